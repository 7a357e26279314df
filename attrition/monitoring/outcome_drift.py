"""Has the deployed model drifted: do outcomes depart from what its probabilities promised?

Three measures are compared: log loss, the share of leavers, AUC. Each counts when it is worse by
more than `drift_threshold` and by more than chance. Chance knows both errors, today's and that of
the reference, and every rows and measures that were looked at (Bonferroni). The log loss is tested
by what has most power against it: intercept and slope of the outcomes on the log-odds together
(Cox 1958), two degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import erfc, exp, sqrt
from operator import add

from attrition.core.formatting import listing
from attrition.model.metrics import Minimum, Score, f1_of, undefined_reason
from attrition.monitoring.findings import Departure, DriftVerdict, Measure, PerformanceDrift
from attrition.monitoring.outcome_evidence import (
    NEWEST_ROWS,
    RECENT_ROWS,
    OutcomeEvidence,
    OutcomeWatch,
)

LEVEL = 0.05  # share of quiet batches in which anything is called drift, at most


def outcome_drift(
    looks: Sequence[Sequence[OutcomeEvidence]],
    reference: OutcomeEvidence,
    threshold: float,
    minimum: Minimum,
) -> PerformanceDrift:
    """Judge batches of outcomes against what was promised of them.

    Args:
        looks: the batches to look at together, for each look; the same model need not have
            predicted them all.
        reference: what a model of this kind reached when it was fitted, on rows that it had not
            learnt: its own departure from its promise, to be expected of it again.
        threshold: the least change that counts: of the log loss in nats, of the share of leavers
            and of AUC as a fraction.
        minimum: with fewer rows nothing is judged.
    """
    sums = [reduce(add, batches, OutcomeEvidence()) for batches in looks]
    most = max(sums, key=lambda one: one.rows, default=OutcomeEvidence())
    if reason := undefined_reason(most.rows, most.leavers, minimum):
        return PerformanceDrift(DriftVerdict.INSUFFICIENT, reason)
    compared = [
        (len(batches), one)
        for batches, one in zip(looks, sums, strict=True)
        if undefined_reason(one.rows, one.leavers, minimum) is None
    ]
    departures = tuple(
        departure
        for batches, one in compared
        for departure in _departures(one, reference, batches, threshold, len(compared))
    )
    drifted = [one for one in departures if one.is_drift]
    if drifted:
        return PerformanceDrift(DriftVerdict.DRIFT, _drift_words(drifted), departures=departures)
    largest = [one for one in departures if one.rows == most.rows]
    large = [one for one in largest if _size(one.measure, one.change) > threshold]
    if large:
        reason = f"{_figures(large)}: that may be chance on so few rows"
        return PerformanceDrift(DriftVerdict.INSUFFICIENT, reason, departures=departures)
    reason = f"{_figures(largest)}: nothing beyond {threshold:g}"
    return PerformanceDrift(DriftVerdict.NO_DRIFT, reason, departures=departures)


def looks(watch: OutcomeWatch) -> list[tuple[OutcomeEvidence, ...]]:
    """The newest batches, and more of them for what is slow or small; each look once."""
    return list(dict.fromkeys([watch.newest(NEWEST_ROWS), watch.newest(RECENT_ROWS)]))


def _departures(
    now: OutcomeEvidence, then: OutcomeEvidence, batches: int, threshold: float, compared: int
) -> list[Departure]:
    """The three measures on one look; p-values for all `compared` looks together."""
    found = (_leavers(now, then), _loss(now, then), _auc(now, then))
    departures: list[Departure] = []
    for one in found:
        p = min(1.0, len(found) * compared * one.p)
        # What comes nearer to the promise than the reference is no drift, however far that was off.
        size = min(_size(one.measure, one.change), _size(one.measure, one.from_promise))
        if one.measure is Measure.LOG_LOSS and departures[0].is_drift:
            # What of it does not follow from the other share of leavers alone.
            size -= now.covariance / now.leavers_variance * departures[0].change
        is_drift = size > threshold and p <= LEVEL
        departures.append(
            Departure(
                one.measure, now.rows, batches, one.expected, one.now, one.change, p, is_drift
            )
        )
    return departures


@dataclass(frozen=True)
class _Comparison:
    """One measure of one look: today's value and that to be expected, and how far it departs."""

    measure: Measure
    now: float
    expected: float
    change: float
    from_promise: float
    p: float


def _loss(now: OutcomeEvidence, then: OutcomeEvidence) -> _Comparison:
    promise, departure = now.promised_loss / now.rows, now.excess_loss / now.rows
    change = departure - _per_row(then.excess_loss, then)
    leavers = _departing_share(now) - _departing_share(then)
    p = _joint_p(
        leavers,
        change,
        _both(now.leavers_variance, then.leavers_variance, now, then),
        _both(now.covariance, then.covariance, now, then),
        _both(now.loss_variance, then.loss_variance, now, then),
    )
    value = promise + departure
    return _Comparison(Measure.LOG_LOSS, value, value - change, change, departure, p)


def _leavers(now: OutcomeEvidence, then: OutcomeEvidence) -> _Comparison:
    value, departure = now.leavers / now.rows, _departing_share(now)
    change = departure - _departing_share(then)
    p = 2 * _upper(abs(change), _both(now.leavers_variance, then.leavers_variance, now, then))
    return _Comparison(Measure.LEAVERS, value, value - change, change, departure, p)


def _auc(now: OutcomeEvidence, then: OutcomeEvidence) -> _Comparison:
    pairs, pairs_then = max(now.pairs, 1.0), max(then.pairs, 1.0)
    departure = now.missing_wins / pairs
    change = departure - then.missing_wins / pairs_then
    p = _upper(change, now.wins_variance / pairs**2 + then.wins_variance / pairs_then**2)
    value = now.promised_wins / pairs - departure
    return _Comparison(Measure.AUC, value, value + change, change, departure, p)


def _departing_share(evidence: OutcomeEvidence) -> float:
    return _per_row(evidence.leavers - evidence.expected_leavers, evidence)


def _size(measure: Measure, change: float) -> float:
    """How far a change is for the worse; that of the share of leavers is, in either direction."""
    return abs(change) if measure is Measure.LEAVERS else change


def _per_row(total: float, evidence: OutcomeEvidence) -> float:
    return total / max(evidence.rows, 1)


def _both(now_sum: float, then_sum: float, now: OutcomeEvidence, then: OutcomeEvidence) -> float:
    """Variance (covariance) of the difference of two means, from those of the sums."""
    return now_sum / max(now.rows, 1) ** 2 + then_sum / max(then.rows, 1) ** 2


def _upper(value: float, variance: float) -> float:
    """Chance that a normal variable of mean 0 is at least so large."""
    return 0.5 * erfc(value / sqrt(2 * variance)) if variance > 0 else 1.0


def _joint_p(x: float, y: float, var_x: float, cov: float, var_y: float) -> float:
    """Chance that a bivariate normal variable of mean 0 is at least so far out (chi-square, 2)."""
    determinant = var_x * var_y - cov**2
    if determinant <= 0:
        return 1.0
    return exp(-(x * x * var_y - 2 * x * y * cov + y * y * var_x) / (2 * determinant))


_CAUSES = {
    Measure.AUC: "the model ranks worse",
    Measure.LOG_LOSS: "its probabilities are off",
    Measure.LEAVERS: "the share of leavers has changed",
}


def causes(departures: Sequence[Departure]) -> list[str]:
    """What has drifted, in words."""
    drifted = {one.measure for one in departures if one.is_drift}
    return [words for measure, words in _CAUSES.items() if measure in drifted]


def _drift_words(drifted: Sequence[Departure]) -> str:
    return f"{listing(causes(drifted))}: {_figures(drifted)}"


def _figures(departures: Sequence[Departure]) -> str:
    """Each measure once, by the look where it departs most surely."""
    surest: dict[Measure, Departure] = {}
    for one in sorted(departures, key=lambda one: one.p):
        surest.setdefault(one.measure, one)
    return "; ".join(_figure(surest[measure]) for measure in Measure if measure in surest)


def _figure(one: Departure) -> str:
    rows = f"on {one.rows:,} rows" + ("" if one.batches == 1 else f" of {one.batches} batches")
    if one.measure is Measure.LEAVERS:
        return f"{one.now:.1%} left {rows}, {one.promised:.1%} were to be expected"
    return f"{one.measure} {one.now:.3f} {rows}, {one.promised:.3f} was to be expected"


def f1_at_share(score: Score, share: float) -> float | None:
    """F1 that these predictions would have, had another share of the clients left.

    Args:
        score: of the predictions.
        share: of leavers, a fraction 0-1.

    Returns:
        None where the score is undefined.
    """
    if score.confusion is None or not 0 < score.positives < score.rows:
        return None
    recall = score.confusion["tp"] / score.positives
    alarms = score.confusion["fp"] / (score.rows - score.positives)
    return float(f1_of((1 - share) * alarms, share * (1 - recall), share * recall))
