"""How sure the points of a scorecard are: the jackknife over the models of the folds.

Each fold's model has not seen a part of the rows, and has selected its functions anew. With g such
models the variance of a figure is (g - 1) / g * sum of (figure - figure of the model of all rows)^2
(the grouped jackknife, in its form that is rather too wide; Wolter, Introduction to Variance
Estimation, 2007, chapter 4). So a band holds what the selection leaves open, too, which the
covariance of the selected functions does not.

A variance from so few models is itself a guess: where they agree by chance, it is far too small. By
Student's t the errors are widened so that 1.96 of them on both sides hold what t's quantile would.
They know nothing of what the penalty costs: it draws all curves towards flat ones, the tips most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from attrition.model.scorecard import Scorecard
from attrition.model.terms import NO_LEVEL, Axis, KnotAxis, Term
from attrition.model.uncertainty import INTERVAL_LEVEL, Z95

Floats = NDArray[np.float64]


def with_errors(card: Scorecard, cards: Sequence[Scorecard]) -> Scorecard:
    """The scorecard with standard errors of its points, against their mean over all clients.

    Args:
        card: the model of all rows.
        cards: models of the rows without a part of them, each row being in one of the parts; at
            least two.
    """
    degrees = len(cards) - 1
    widened = float(stdtrit(degrees, (1.0 + INTERVAL_LEVEL) / 2.0)) / Z95
    by_columns = [{term.columns: term for term in other.all_terms} for other in cards]

    def errors(term: Any) -> list[Any]:
        table = _positions(term.axes, term.columns)
        several = np.stack([_above_average(one.get(term.columns), table) for one in by_columns])
        squares = (several - _above_average(term, table)) ** 2
        result = widened * np.sqrt(degrees * squares.mean(axis=0))
        grid: list[Any] = result.reshape([len(axis) for axis in term.axes]).tolist()
        return grid

    return replace(
        card,
        numeric=tuple(replace(term, errors=tuple(errors(term))) for term in card.numeric),
        categorical=tuple(replace(term, errors=tuple(errors(term))) for term in card.categorical),
        pairs=tuple(replace(term, errors=tuple(map(tuple, errors(term)))) for term in card.pairs),
    )


def _above_average(term: Term | None, table: dict[str, NDArray[Any]]) -> Floats:
    """A term's points above its average; a pair that was not selected has none."""
    if term is None:
        return np.zeros(len(next(iter(table.values()))))
    return term.of_column(table) - term.average_points


def _positions(axes: Sequence[Axis], columns: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Values that lie on all positions of one axis, or on all cells of two, row by row."""
    values = [
        np.array(axis.knots)
        if isinstance(axis, KnotAxis)
        else np.array([*axis.levels, NO_LEVEL], object)
        for axis in axes
    ]
    cells = np.meshgrid(*values, indexing="ij")
    return {column: cell.ravel() for column, cell in zip(columns, cells, strict=True)}
