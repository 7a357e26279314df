"""A whole model that is too good to be true: columns that only together are the answer.

A bill that is cut and a bill of before tell nothing alone; their difference may say that a client
had left when it was written. No single column is then suspicious, but the model is: of nine public
tables the honest ones reach an AUC of .98 on rows that the model had not learnt, and not more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attrition.model.metrics import Score
from attrition.model.scorecard import Scorecard

if TYPE_CHECKING:  # a server does not need it
    import pandas as pd

SUSPICIOUS_AUC = 0.99
# ... and that must not be chance: the lower 97.5 % bound of the model's AUC is above this.
LEAST_LOWER_BOUND = 0.98
MOST_TRIED, MOST_NAMED = 12, 5  # columns
MOST_ROWS = 10_000  # that are looked at to name them

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Together:
    """Columns that only together tell the answer beyond belief.

    Attributes:
        columns: those whose points differ most between clients first.
        roc_auc: what their points reach, without those of all other columns.
    """

    columns: tuple[str, ...]
    roc_auc: float


def is_beyond_belief(cross_validated: Score) -> bool:
    """Whether a model predicts suspiciously well, and not by chance."""
    auc, interval = cross_validated.roc_auc, cross_validated.roc_auc_interval
    return (
        auc is not None
        and interval is not None
        and auc >= SUSPICIOUS_AUC
        and interval[0] > LEAST_LOWER_BOUND
    )


def suspicious_together(
    card: Scorecard, features: pd.DataFrame, labels: NDArray[Any], cross_validated: Score
) -> Together | None:
    """The columns that carry a model that is beyond belief; None where it is not.

    From those whose points differ most between clients they are taken out one by one, each time the
    one without which the others rank best, as long as these alone are beyond `LEAST_LOWER_BOUND`.

    Args:
        card: the model.
        features: one row per client, as the scorecard takes them.
        labels: array of shape (n_rows,), 1 left, 0 stayed.
        cross_validated: its score on rows it had not learnt.
    """
    if not is_beyond_belief(cross_validated):
        return None
    rows = np.linspace(0, len(labels) - 1, min(len(labels), MOST_ROWS)).astype(np.intp)
    points, truth = card.contributions(features.iloc[rows]), labels[rows]
    spreads = points.std(axis=0)
    of_column = {
        column: max(spreads[i] for i, term in enumerate(card.all_terms) if column in term.columns)
        for column in card.columns
    }
    left = sorted(card.columns, key=lambda column: -of_column[column])[:MOST_TRIED]
    reached = _power(card, points, truth, left)
    while len(left) > 1:
        without = [[kept for kept in left if kept != column] for column in left]
        powers = [_power(card, points, truth, columns) for columns in without]
        best = int(np.argmax(powers))
        if powers[best] <= LEAST_LOWER_BOUND and len(left) <= MOST_NAMED:
            break
        left, reached = without[best], powers[best]
    return Together(tuple(left), reached)


def _power(card: Scorecard, points: Floats, truth: NDArray[Any], columns: list[str]) -> float:
    """The AUC of the points of some columns, and of their pairs."""
    from sklearn.metrics import roc_auc_score

    own = [set(term.columns) <= set(columns) for term in card.all_terms]
    return float(roc_auc_score(truth, points[:, own].sum(axis=1)))
