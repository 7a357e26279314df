"""What a shift in the data does to the risk: the share each column, and each pair, has in it.

The log-odds of a scorecard are a sum of points, so the change of their mean is the sum over its
terms of (mean of the term's points now - mean over the rows at training): exact, with nothing left
over. A large shift in a column that hardly counts is harmless; a small one in a steep place is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import sqrt
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from attrition.model.scorecard import Scorecard, logistic
from attrition.model.terms import Floats, Table, Term, Weights
from attrition.monitoring.findings import Impact, TermImpact
from attrition.monitoring.reference import CUTS, slice_means

COUNTS = 0.005  # least weight of a term that counts; a smaller one is written 0.00
STRONGEST = 5  # terms for which the risk without their shift is computed: each one sorts the rows

T = TypeVar("T", bound=Term)


def baseline(card: Scorecard, table: Table, log_odds: Floats) -> dict[str, Any]:
    """What later predictions are compared with; training records it.

    Args:
        table: the rows at its training, those of contacted clients among them.
        log_odds: array of shape (n_clients,), what the card says of them.

    Returns:
        JSON-able: as `predicted_risk`; `points`: of each term the `slice_means` of the rows'
        points; `average_points`: their mean.
    """
    points = {
        name: term.of_column(table) for name, term in zip(card.terms, card.all_terms, strict=True)
    }
    return {
        **predicted_risk(log_odds, card.threshold),
        "points": {name: slice_means(of_term).tolist() for name, of_term in points.items()},
        "average_points": {name: float(of_term.mean()) for name, of_term in points.items()},
    }


def term_weights(card: Scorecard, recorded: Mapping[str, Any] | None) -> Weights:
    """How much each term counts among the rows that the model was trained on.

    Args:
        recorded: `baseline` of those rows; None where it is not known.

    Returns:
        The mean absolute deviation of the term's points from their average, in log-odds; of a
        term whose points were not recorded, half of their range.
    """
    spreads = recorded["points"] if recorded else {}
    widths = np.diff(CUTS)
    return {
        term.columns: float(np.abs(np.asarray(spreads[name]) - term.average_points) @ widths)
        if name in spreads
        else float(np.ptp(np.asarray(term.points))) / 2
        for name, term in zip(card.terms, card.all_terms, strict=True)
    }


def strongest(terms: Sequence[T], weights: Weights) -> list[T]:
    """The terms by weight, largest first, without those that count nothing; at least one."""
    ranked = sorted(terms, key=lambda term: -weights[term.columns])
    return [term for term in ranked if weights[term.columns] >= COUNTS] or ranked[:1]


def predicted_risk(log_odds: ArrayLike, threshold: float) -> dict[str, float]:
    """Mean predicted risk, and how many are called leavers.

    Args:
        log_odds: array of shape (n_rows,), at least one.
        threshold: a probability of at least this predicts that the client leaves.

    Returns:
        `mean_probability` and `leaver_share` (at or above the threshold), fractions 0-1.
    """
    probabilities = logistic(np.asarray(log_odds, dtype=np.float64))
    leavers = float(np.mean(probabilities >= threshold))
    return {"mean_probability": float(probabilities.mean()), "leaver_share": leavers}


def impact(
    card: Scorecard,
    table: Table,
    log_odds: Floats,
    recorded: Mapping[str, Any],
    training_rows: int,
) -> Impact:
    """Measure what the shift in each column does to the predicted risk.

    Args:
        card: the deployed model.
        table: today's clients, at least one, as for `Scorecard.log_odds`.
        log_odds: array of shape (n_clients,), what the card says of them.
        recorded: `baseline` of the rows at its training. One without `average_points`, of an older
            release, is of the rows that the model learnt, whose mean points the card knows.
        training_rows: number of rows the model was trained on.
    """
    rows, now = len(log_odds), predicted_risk(log_odds, card.threshold)
    averages = recorded.get("average_points", {})
    by_rows = 1 / rows + 1 / max(training_rows, 1)
    shares = []
    for name, term in zip(card.terms, card.all_terms, strict=True):
        before, points = averages.get(name, term.average_points), term.of_column(table)
        mean, error = float(points.mean()), sqrt(float(points.var()) * by_rows)
        shares.append(TermImpact(name, term.columns, before, mean, mean - before, error, None))
    log_odds_before = card.intercept + sum(share.points_before for share in shares)
    shares.sort(key=lambda share: -abs(share.change))
    for position, share in enumerate(shares[:STRONGEST]):
        term = card.all_terms[card.terms.index(share.term)]
        points = term.of_column(table)
        then = _as_spread(points, recorded["points"][share.term])
        without = float(logistic(log_odds - points + then).mean())
        shares[position] = replace(share, risk_without=without)
    return Impact(
        rows=rows,
        terms=tuple(shares),
        log_odds_before=log_odds_before,
        log_odds_now=float(log_odds.mean()),
        log_odds_change=float(log_odds.mean()) - log_odds_before,
        risk_before=recorded["mean_probability"],
        risk_now=now["mean_probability"],
        leavers_before=recorded["leaver_share"],
        leavers_now=now["leaver_share"],
        moved_clients=rows * (now["leaver_share"] - recorded["leaver_share"]),
        risk_error=sqrt(float(logistic(log_odds).var()) * by_rows),
    )


def _as_spread(points: Floats, spread: Sequence[float]) -> Floats:
    """For each client the points that stood at its rank among the training rows."""
    then = np.empty(len(points))
    ranks = (np.arange(len(points)) + 0.5) / len(points)
    slices = np.searchsorted(CUTS, ranks) - 1
    then[np.argsort(points, kind="stable")] = np.asarray(spread)[slices]
    return then
