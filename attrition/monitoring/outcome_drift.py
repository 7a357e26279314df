"""Has the deployed model drifted: do outcomes depart from what was to be expected of it?

Three measures are compared: log loss, the share of leavers, AUC. Each counts when it is worse by
more than `drift_threshold` and by more than chance. Chance knows both errors, today's and that of
what is usual, and every look that was taken (Bonferroni): the first, on the newest rows, spends
twice as much of the level as any other, for it has fewest rows and is most urgent. At each look one
test asks whether anything has changed: intercept and slope of the outcomes on the log-odds together
(Cox 1958), two degrees of freedom. Only where it says so are the measures asked which it was, so
that three of them cost the first test no power (gatekeeping). Where another share of leavers is
sure already, only that part of the log loss is tested and shown which does not follow from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import erfc, exp, sqrt
from operator import add

from attrition.core.formatting import listing, plural
from attrition.model.metrics import Minimum, Score, f1_of
from attrition.monitoring.findings import Departure, DriftVerdict, Measure, PerformanceDrift
from attrition.monitoring.outcome_evidence import (
    NEWEST_ROWS,
    RECENT_ROWS,
    OutcomeEvidence,
    OutcomeWatch,
    Tally,
)

# Share of quiet batches in which anything is called drift on the new rows, at most; of changes of
# the test data likewise.
LEVEL = 0.05
DOUBTED = 0.02  # a share of leavers off by so much, as a fraction, makes estimates unbelievable


def outcome_drift(
    looks: Sequence[Sequence[OutcomeEvidence]], threshold: float, minimum: Minimum
) -> PerformanceDrift:
    """Judge batches of outcomes against what was to be expected of them.

    Args:
        looks: the batches to look at together, for each look, the newest alone first; the same
            model need not have predicted them all.
        threshold: the least change that counts: of the log loss in nats, of the share of leavers
            and of AUC as a fraction.
        minimum: with fewer rows nothing is judged.
    """
    sums = [reduce(add, batches, OutcomeEvidence()) for batches in looks]
    most = max(sums, key=lambda one: one.rows, default=OutcomeEvidence())
    if reason := most.undefined(minimum):
        return PerformanceDrift(DriftVerdict.INSUFFICIENT, reason)
    compared = [
        (len(batches), one)
        for batches, one in zip(looks, sums, strict=True)
        if one.undefined(minimum) is None
    ]
    departures = tuple(
        departure
        for number, (batches, one) in enumerate(compared)
        for departure in _departures(one, batches, threshold, _level_share(number, len(compared)))
    )
    drifted = [one for one in departures if one.is_drift]
    if drifted:
        reason = f"{listing(causes(drifted))}: {_figures(drifted)}"
        return PerformanceDrift(DriftVerdict.DRIFT, reason, departures=departures)
    largest = [one for one in departures if one.rows == most.rows]
    large = [one for one in largest if one.size > threshold]
    if large:
        reason = f"{_figures(large)}: that may be chance on so few rows"
        return PerformanceDrift(DriftVerdict.INSUFFICIENT, reason, departures=departures)
    reason = f"{_figures(largest)}: nothing beyond {threshold:g}"
    return PerformanceDrift(DriftVerdict.NO_DRIFT, reason, departures=departures)


def looks(watch: OutcomeWatch) -> list[tuple[OutcomeEvidence, ...]]:
    """The newest batches, and more of them for what is slow or small; each look once."""
    return list(dict.fromkeys([watch.newest(NEWEST_ROWS), watch.newest(RECENT_ROWS)]))


def drifted_rows(performance: PerformanceDrift | None) -> int | None:
    """How many of the newest rows show a change; None where there is none."""
    rows = [one.rows for one in performance.departures if one.is_drift] if performance else []
    return min(rows, default=None)


def broken_promise(evidence: OutcomeEvidence, samples: int = 1) -> str | None:
    """Why the probabilities are not to be believed, usual or not; None where they may be.

    The share of leavers is looked at, on which an estimate of unknown outcomes rests most.

    Args:
        samples: how many such samples are looked at.
    """
    leavers, rows = evidence.leavers, max(evidence.rows, 1)
    p = 2 * _upper(abs(leavers.departure), leavers.larger_variance)
    if samples * p > LEVEL or abs(leavers.departure) <= DOUBTED * rows:
        return None
    return (
        f"{leavers.came / rows:.1%} left on {evidence.rows:,} rows, and the probabilities said "
        f"{leavers.promised / rows:.1%}"
    )


def _level_share(number: int, looks_taken: int) -> float:
    """The share of the level that a look spends, a fraction 0-1; they sum to 1."""
    return (1 if number else 2) / (looks_taken + 1)


def _departures(
    rows: OutcomeEvidence, batches: int, threshold: float, level_share: float
) -> list[Departure]:
    """The three measures on one look; p-values for all looks together."""
    anything = _log_loss(rows, net=False).p

    def judged(measure: Measure, one: _Compared) -> Departure:
        p = min(1.0, max(anything, one.p) / level_share)
        is_drift = one.size > threshold and p <= LEVEL
        return Departure(
            measure=measure,
            rows=rows.rows,
            batches=batches,
            promised=one.expected,
            now=one.came,
            change=one.came - one.expected,
            size=one.size,
            p=p,
            is_drift=is_drift,
            net=one.net,
        )

    leavers = judged(Measure.LEAVERS, _share_of_leavers(rows))
    loss = judged(Measure.LOG_LOSS, _log_loss(rows, net=leavers.is_drift))
    return [leavers, loss, judged(Measure.AUC, _auc(rows))]


@dataclass(frozen=True)
class _Compared:
    """One measure of one look, by row or pair: what came and what was to be expected.

    Attributes:
        size: how far that is for the worse. What comes nearer to the promise than is usual is not.
        net: whether what follows from another share of leavers alone is left out.
    """

    came: float
    expected: float
    size: float
    p: float
    net: bool = False


def _share_of_leavers(rows: OutcomeEvidence) -> _Compared:
    leavers, count = rows.leavers, rows.rows
    is_for_the_worse = leavers.change * leavers.departure > 0
    size = is_for_the_worse * min(abs(leavers.change), abs(leavers.departure)) / count
    p = 2 * _upper(abs(leavers.change), leavers.change_variance)
    return _Compared(leavers.came / count, (leavers.came - leavers.change) / count, size, p)


def _log_loss(rows: OutcomeEvidence, *, net: bool) -> _Compared:
    """The log loss; net of what follows from another share of leavers alone, where that is sure."""
    leavers, loss, count = rows.leavers, rows.loss, rows.rows
    expected = (loss.came - loss.change) / count
    covariance = rows.larger_covariance + _usual_covariance(rows)
    variance = leavers.change_variance
    by_leavers = covariance / variance if variance > 0 else 0.0
    unexplained = max(loss.change_variance - by_leavers * covariance, 0.0)
    if not net:
        size = min(loss.change, loss.departure) / count
        p = _joint_p(leavers, loss, by_leavers, unexplained)
        return _Compared(loss.came / count, expected, size, p)
    change = loss.change - by_leavers * leavers.change
    departure = loss.departure - by_leavers * leavers.departure
    p = _upper(change, unexplained) if _is_apart(unexplained, loss) else 1.0
    size = min(change, departure) / count
    return _Compared(expected + change / count, expected, size, p, net=True)


def _auc(rows: OutcomeEvidence) -> _Compared:
    wins, pairs = rows.wins, max(rows.pairs, 1.0)
    size = min(-wins.change, -wins.departure) / pairs
    p = _upper(-wins.change, wins.change_variance)
    return _Compared(wins.came / pairs, (wins.came - wins.change) / pairs, size, p)


def _usual_covariance(rows: OutcomeEvidence) -> float:
    """Of the errors of the usual numbers of leavers and of the usual log loss."""
    scale = sqrt(rows.leavers.larger_variance * rows.loss.larger_variance)
    errors = rows.leavers.usual_error * rows.loss.usual_error
    return rows.larger_covariance / scale * errors if scale else 0.0


def _upper(value: float, variance: float) -> float:
    """Chance that a normal variable of mean 0 is at least so large."""
    return 0.5 * erfc(value / sqrt(2 * variance)) if variance > 0 else 1.0


def _joint_p(leavers: Tally, loss: Tally, by_leavers: float, unexplained: float) -> float:
    """Chance that both together are at least so far out (chi-square, 2 degrees of freedom).

    Where the probabilities are all alike, the log loss says nothing beside the leavers.
    """
    if leavers.change_variance <= 0:
        return 1.0
    square = leavers.change**2 / leavers.change_variance
    if not _is_apart(unexplained, loss):
        return erfc(sqrt(square / 2))
    return exp(-(square + (loss.change - by_leavers * leavers.change) ** 2 / unexplained) / 2)


def _is_apart(unexplained: float, loss: Tally) -> bool:
    """Whether the log loss varies otherwise than with the number of leavers."""
    return unexplained > 1e-9 * loss.change_variance


_CAUSES = {
    Measure.AUC: "the model ranks worse",
    Measure.LOG_LOSS: "its probabilities are off",
    Measure.LEAVERS: "the share of leavers has changed",
}


def causes(departures: Sequence[Departure]) -> list[str]:
    """What has drifted, in words."""
    drifted = {one.measure for one in departures if one.is_drift}
    return [words for measure, words in _CAUSES.items() if measure in drifted]


def _figures(departures: Sequence[Departure]) -> str:
    """Each measure once, by the look where it departs most surely."""
    surest: dict[Measure, Departure] = {}
    for one in sorted(departures, key=lambda one: one.p):
        surest.setdefault(one.measure, one)
    figures: dict[str, list[str]] = {}
    for one in (surest[measure] for measure in Measure if measure in surest):
        batches = "" if one.batches == 1 else f" of {one.batches} batches"
        figures.setdefault(f"on {plural(one.rows, 'row')}{batches}", []).append(_figure(one))
    return "; ".join(f"{rows} {', '.join(listed)}" for rows, listed in figures.items())


def _figure(one: Departure) -> str:
    if one.measure is Measure.LEAVERS:
        return f"{one.now:.1%} left ({one.promised:.1%} expected)"
    net = "; both without what the share of leavers does" if one.net else ""
    return f"{one.measure} {one.now:.3f} ({one.promised:.3f} expected{net})"


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
