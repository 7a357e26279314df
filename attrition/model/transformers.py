"""The hat basis: scikit-learn transformers that make a linear model piecewise linear.

A hat is 1 at its knot, falls to 0 at the neighbouring knots and is 0 beyond (a B-spline of degree
1; de Boor, A Practical Guide to Splines, 1978). A weighted sum of hats is a line from knot to knot;
the weights are the points of a scorecard. Each transformer returns a sparse matrix with one row per
client; its fitted `axes_` define the columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin

from attrition.model.terms import (
    MOST_LEVELS,
    Axis,
    CategoricalTerm,
    KnotAxis,
    LevelAxis,
    NumericTerm,
    PairTerm,
    Places,
)

# Knots lie within these bounds, so that their differences can neither overflow nor vanish.
LARGEST_KNOT = 1e307
SMALLEST_GAP = 1e-290


def knot_axis(values: ArrayLike, count: int) -> KnotAxis:
    """Knots at distinct quantiles; if ties leave fewer, the other values get the remaining knots.

    Args:
        values: array of shape (n_rows,), NaN for missing.
        count: at most this many knots; with no more distinct values, each is a knot.

    Returns:
        The axis; its usual value is the median. A column without any value has one knot at 0.
    """
    numbers = np.asarray(values, dtype=np.float64)
    present = np.clip(numbers[~np.isnan(numbers)], -LARGEST_KNOT, LARGEST_KNOT)
    if not len(present):
        return KnotAxis((0.0,), 0.0)
    knots = np.unique(present)
    if len(knots) > count:
        knots = np.unique(np.quantile(present, np.linspace(0.0, 1.0, count)))
        untied = present[~np.isin(present, knots)]
        if (spare := count - len(knots)) and len(untied):
            levels = np.linspace(0.0, 1.0, spare + 2)[1:-1]
            knots = np.unique(np.concatenate([knots, np.quantile(untied, levels)]))
    return spread_axis(knots, float(np.median(present)))


def spread_axis(knots: ArrayLike, usual_value: float) -> KnotAxis:
    """An axis of rising knots, without those too close to their predecessor."""
    rising = np.asarray(knots, dtype=np.float64).tolist()
    apart = [b for a, b in pairwise(rising) if b - a >= SMALLEST_GAP]
    return KnotAxis((rising[0], *apart), usual_value)


def level_axis(values: Iterable[str], minimum_rows: int, maximum_levels: int) -> LevelAxis:
    """The frequent levels, most frequent first; others share the pool. Blank is never rare."""
    counts = pd.Series(values, dtype=object).value_counts()
    ranked = sorted(counts.items(), key=lambda level: (-level[1], level[0]))
    frequent = [str(level) for level, rows in ranked if rows >= minimum_rows or level == ""]
    return LevelAxis(tuple(frequent[:maximum_levels]))


class _Columns:
    """Collects the non-zero entries of a sparse matrix with the same count of entries in each row.

    Rows come in order and columns from left to right, so the compressed rows need no sorting.
    """

    def __init__(self) -> None:
        self.width = 0
        self._columns: list[NDArray[np.int32]] = []
        self._weights: list[NDArray[np.float64]] = []

    def add(self, width: int, *entries: tuple[NDArray[Any], NDArray[np.float64]]) -> None:
        """Add a block of columns, by (position within the block, weight) arrays of (n_rows,)."""
        for position, weight in entries:
            self._columns.append((position + self.width).astype(np.int32))
            self._weights.append(weight)
        self.width += width

    def matrix(self) -> sparse.csr_matrix:
        """The matrix, of shape (n_rows, width)."""
        entries, rows = len(self._columns), len(self._columns[0])
        starts = np.arange(0, entries * rows + 1, entries)
        columns = np.stack(self._columns, axis=1).ravel()
        weights = np.stack(self._weights, axis=1).ravel()
        matrix = sparse.csr_matrix((weights, columns, starts), shape=(rows, self.width))
        matrix.eliminate_zeros()
        return matrix


class NumericHats(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Numeric columns as hats, and "was missing".

    Args:
        knots: at most this many for a column.

    Attributes:
        axes_: one KnotAxis per column. A column's block is its hats, then its "was missing".
    """

    def __init__(self, knots: int = 8) -> None:
        self.knots = knots

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:
        """Place the knots of each column."""
        self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        self.n_features_in_ = X.shape[1]
        self.axes_ = [knot_axis(X[column], self.knots) for column in X]
        return self

    def transform(self, X: pd.DataFrame) -> sparse.csr_matrix:
        """Expand the columns; missing values are placed at the usual value."""
        block = _Columns()
        for column, axis in zip(self.feature_names_in_, self.axes_, strict=True):
            values = X[column].to_numpy(dtype=np.float64)
            lower, upper, share = axis.places(values)
            block.add(len(axis), (lower, 1.0 - share), (upper, share))
            block.add(1, (np.zeros_like(lower), np.isnan(values).astype(np.float64)))
        return block.matrix()

    def terms(
        self, coefficients: NDArray[np.float64], means: NDArray[np.float64]
    ) -> tuple[NumericTerm, ...]:
        """The scorecard's terms.

        Args:
            coefficients: one for each column of the expansion.
            means: of these columns over the training rows.
        """
        result, start = [], 0
        for column, axis in zip(self.feature_names_in_, self.axes_, strict=True):
            where = slice(start, start := start + len(axis) + 1)
            *hats, was_missing = coefficients[where]
            points = np.array(hats)
            # A missing value has the points of the usual value plus those of "was missing".
            missing = float(np.interp(axis.usual_value, axis.knots, points) + was_missing)
            share, average = float(means[where][-1]), float(coefficients[where] @ means[where])
            result.append(NumericTerm(column, axis, _plain(points), missing, share, average))
        return tuple(result)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Names such as `tenure at 12.0`, `tenure missing`."""
        return np.array(
            [
                f"{column} {what}"
                for column, axis in zip(self.feature_names_in_, self.axes_, strict=True)
                for what in (*(f"at {knot!r}" for knot in axis.knots), "missing")
            ],
            dtype=object,
        )


class CategoryLevels(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Categorical columns as one column per level; rare and unknown levels share a pool.

    Args:
        minimum_rows: a level of fewer training rows is rare.

    Attributes:
        axes_: one LevelAxis per column. A column's block is its levels, then its pool.
        usual_levels_: the most frequent level of each column.
    """

    def __init__(self, minimum_rows: int = 10) -> None:
        self.minimum_rows = minimum_rows

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:
        """Find the frequent levels of each column."""
        self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        self.n_features_in_ = X.shape[1]
        self.axes_ = [level_axis(X[column], self.minimum_rows, MOST_LEVELS) for column in X]
        self.usual_levels_ = [level_axis(X[column], 1, 1).levels[0] for column in X]
        return self

    def transform(self, X: pd.DataFrame) -> sparse.csr_matrix:
        """Expand the columns."""
        block = _Columns()
        for column, axis in zip(self.feature_names_in_, self.axes_, strict=True):
            position = axis.places(X[column].to_numpy()).lower
            block.add(len(axis), (position, np.ones(len(position))))
        return block.matrix()

    def terms(
        self, coefficients: NDArray[np.float64], means: NDArray[np.float64]
    ) -> tuple[CategoricalTerm, ...]:
        """The scorecard's terms; arguments as for `NumericHats.terms`."""
        result, start = [], 0
        for column, axis, usual in zip(
            self.feature_names_in_, self.axes_, self.usual_levels_, strict=True
        ):
            where = slice(start, start := start + len(axis))
            average = float(coefficients[where] @ means[where])
            term = CategoricalTerm(column, axis, _plain(coefficients[where]), usual, average)
            result.append(term)
        return tuple(result)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Names such as `Contract = One year`, `Contract = other`."""
        return np.array(
            [
                f"{column} = {level}"
                for column, axis in zip(self.feature_names_in_, self.axes_, strict=True)
                for level in (*axis.levels, "other")
            ],
            dtype=object,
        )


@dataclass(frozen=True)
class Cells:
    """How the training rows lie on a pair's grid, of n cells, row by row.

    Attributes:
        means: array of shape (n,), mean weight of each cell over all training rows.
        rows: matrix of shape (n_rows, n), the weights, for all training rows or a sample of them.
    """

    means: NDArray[np.float64]
    rows: sparse.csr_matrix


class PairGrids(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Pairs of columns as products of hats: a grid for each pair.

    Args:
        pairs: the names of each pair's columns.
        numeric: which columns are numeric; the others are categorical.
        knots: at most this many positions of a numeric axis.
        levels: at most this many levels of a categorical axis, besides the pool.

    Attributes:
        axes_: column name -> its axis. A pair's block is its grid, row by row.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[str, str]] = (),
        numeric: Sequence[str] = (),
        knots: int = 5,
        levels: int = 6,
    ) -> None:
        self.pairs = pairs
        self.numeric = numeric
        self.knots = knots
        self.levels = levels

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:
        """Find the axes of the columns that are in pairs."""
        self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        self.n_features_in_ = X.shape[1]
        used = dict.fromkeys(column for pair in self.pairs for column in pair)
        self.axes_ = {column: self._axis(column, X[column]) for column in used}
        return self

    def _axis(self, column: str, values: pd.Series[Any]) -> Axis:
        if column in self.numeric:
            return knot_axis(values, self.knots)
        return level_axis(values, 1, self.levels)

    def transform(self, X: pd.DataFrame) -> sparse.csr_matrix:
        """Expand the pairs."""
        if not self.pairs:
            return sparse.csr_matrix((len(X), 0))
        places = {column: axis.places(X[column].to_numpy()) for column, axis in self.axes_.items()}
        block = _Columns()
        for first, second in self.pairs:
            columns = len(self.axes_[second])
            entries = [
                (row * columns + column, high * wide)
                for row, high in _entries(places[first])
                for column, wide in _entries(places[second])
            ]
            block.add(len(self.axes_[first]) * columns, *entries)
        return block.matrix()

    def cells(self, means: NDArray[np.float64], sample: sparse.csr_matrix) -> list[Cells]:
        """How the training rows lie on each grid.

        Args:
            means: one for each column of the expansion, over the training rows.
            sample: some training rows, expanded.
        """
        result, start = [], 0
        by_column = sample.tocsc()  # so that taking a grid out of it reads no other
        for size in self.sizes():
            where = slice(start, start := start + size)
            result.append(Cells(means[where], by_column[:, where].tocsr()))
        return result

    def sizes(self) -> list[int]:
        """Number of cells in each pair's grid."""
        return [len(self.axes_[first]) * len(self.axes_[second]) for first, second in self.pairs]

    def terms(
        self, coefficients: NDArray[np.float64], means: NDArray[np.float64]
    ) -> tuple[PairTerm, ...]:
        """The scorecard's terms; arguments as for `NumericHats.terms`."""
        result, start = [], 0
        for first, second in self.pairs:
            axes = (self.axes_[first], self.axes_[second])
            where = slice(start, start := start + len(axes[0]) * len(axes[1]))
            average = float(coefficients[where] @ means[where])
            grid = coefficients[where].reshape(len(axes[0]), len(axes[1]))
            term = PairTerm((first, second), axes, tuple(_plain(row) for row in grid), average)
            result.append(term)
        return tuple(result)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Names such as `tenure x Contract (3, 1)`, by the positions on the two axes."""
        return np.array(
            [
                f"{first} x {second} ({row}, {column})"
                for first, second in self.pairs
                for row in range(len(self.axes_[first]))
                for column in range(len(self.axes_[second]))
            ],
            dtype=object,
        )


def _entries(places: Places) -> list[tuple[NDArray[Any], NDArray[np.float64]]]:
    """The two hats of each value; only one if every value is exactly on a position."""
    lower, upper, share = places
    if not share.any():
        return [(lower, np.ones(len(lower)))]
    return [(lower, 1.0 - share), (upper, share)]


def _plain(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(values.tolist())
