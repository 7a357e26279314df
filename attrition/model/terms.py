"""Axes and terms: the place of a client's value on an axis, and the points it gives.

The model's transformers and the scorecard use the same axes, which is why they agree exactly. Axes
and terms work on a whole column (numpy) and on one client: a single request is served several times
faster without arrays.

A place is (lower, upper, share): a value lies between positions `lower` and `upper` of its axis, at
`share` (fraction 0-1) of the way. This is the hat basis: the weight of position `lower` is
1 - share, that of `upper` is share, all others are 0.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attrition.core.formatting import are_years

Record = Mapping[str, Any]  # column name -> value of one client
Floats = NDArray[np.float64]
Weights = Mapping[tuple[str, ...], float]  # columns of a term -> its weight

# What a model is offered at most: the most frequent levels of a column, the most promising pairs.
MOST_LEVELS, MOST_PAIRS = 200, 250


class Table(Protocol):
    """Columns by name, one value per client: a dict of sequences, or a DataFrame."""

    def __getitem__(self, column: str, /) -> Any: ...


class Place(NamedTuple):
    """The place of one value on an axis."""

    lower: int
    upper: int
    share: float


class Places(NamedTuple):
    """The places of a column's values on an axis: arrays of shape (n_rows,)."""

    lower: NDArray[np.intp]
    upper: NDArray[np.intp]
    share: NDArray[np.float64]


@dataclass(frozen=True)
class KnotAxis:
    """A numeric axis: its positions are knots; values outside them count as the end knots.

    Attributes:
        knots: in the column's unit, strictly rising, at least one.
        usual_value: replaces a missing value.
    """

    knots: tuple[float, ...]
    usual_value: float

    def __post_init__(self) -> None:
        """Refuse knots that do not rise."""
        rising = all(low < high for low, high in zip(self.knots, self.knots[1:], strict=False))
        if not self.knots or not rising:
            raise ValueError(f"knots must rise strictly, found {list(self.knots)}")

    def __len__(self) -> int:
        return len(self.knots)

    @property
    def is_flag(self) -> bool:
        """Whether it has two whole values, such as no and yes, and none can be between them."""
        low, high = self.knots[0], self.knots[-1]
        return len(self.knots) == 2 and low == round(low) and high == low + 1

    @property
    def holds_years(self) -> bool:
        """Whether its column's numbers are years."""
        return are_years(self.knots)

    def place(self, value: float | None) -> Place:
        """The place of one number; None and NaN are missing."""
        knots = self.knots
        if is_missing(value):
            value = self.usual_value
        assert value is not None
        upper = bisect_right(knots, value)
        if upper == 0 or upper == len(knots):
            end = min(upper, len(knots) - 1)
            return Place(end, end, 0.0)
        lower = upper - 1
        return Place(lower, upper, (value - knots[lower]) / (knots[upper] - knots[lower]))

    def places(self, values: ArrayLike) -> Places:
        """The place of each number of a column; NaN is missing."""
        position = _interpolated(self.filled(values), self.knots, range(len(self.knots)))
        lower = position.astype(np.intp)
        return Places(lower, np.minimum(lower + 1, len(self.knots) - 1), position - lower)

    def filled(self, values: ArrayLike) -> NDArray[np.float64]:
        """The numbers of a column, with the usual value for missing ones."""
        numbers = np.asarray(values, dtype=np.float64)
        return np.where(np.isnan(numbers), self.usual_value, numbers)


class _Positions(dict[str, int]):
    """Level -> position; for any other level the pool's."""

    def __init__(self, levels: Sequence[str]) -> None:
        super().__init__((level, position) for position, level in enumerate(levels))
        self.pool = len(levels)

    def __missing__(self, level: str) -> int:
        return self.pool


@dataclass(frozen=True)
class LevelAxis:
    """A categorical axis: one position per level, and a last one, the pool, for all others."""

    levels: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse a level that occurs twice."""
        if len(set(self.levels)) < len(self.levels):
            raise ValueError(f"levels must differ, found {list(self.levels)}")

    def __len__(self) -> int:
        return len(self.levels) + 1

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without derived values, so that equal axes are equal bytes."""
        return {"levels": self.levels}

    @cached_property
    def _positions(self) -> _Positions:
        return _Positions(self.levels)

    def place(self, value: str | None) -> Place:
        """The place of one level; None is blank."""
        position = self._positions["" if value is None else value]
        return Place(position, position, 0.0)

    def places(self, values: Sequence[str] | NDArray[Any]) -> Places:
        """The place of each level of a column."""
        position = np.fromiter(map(self._positions.__getitem__, values), np.intp, len(values))
        return Places(position, position, np.zeros(len(position)))


Axis = KnotAxis | LevelAxis
NO_LEVEL = "\0"  # no level has this name: it stands for all that have no position of their own

CROWDED = 0.15  # least share of an axis to scale for the middle half of the knots


def to_scale(knots: ArrayLike) -> Floats:
    """Positions of knots on an axis from 0 to 1, as far apart as their values."""
    # Halved, so that a difference of large numbers does not overflow.
    halves = np.asarray(knots, dtype=np.float64) / 2
    if len(halves) == 1:
        return np.array([0.5])
    positions: Floats = (halves - halves[0]) / (halves[-1] - halves[0])
    return positions


def is_crowded(knots: ArrayLike) -> bool:
    """Whether most knots would crowd together on an axis to scale; it is drawn stretched."""
    positions = to_scale(knots)
    low, high = np.quantile(positions, [0.25, 0.75])
    return len(positions) > 1 and bool(high - low < CROWDED)


def drawn_positions(knots: ArrayLike) -> Floats:
    """Positions of knots on a drawn axis from 0 to 1: to scale, or even if most would crowd."""
    positions = to_scale(knots)
    return np.linspace(0, 1, len(positions)) if is_crowded(knots) else positions


def is_missing(value: float | None) -> bool:
    """Whether a number is missing: None or NaN."""
    return value is None or math.isnan(value)


class _OfOneColumn:
    """What the terms of one column share."""

    column: str
    axis: Axis
    points: tuple[float, ...]
    errors: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse points that do not fit the axis."""
        _check_count("points", self.points, self.axis)
        _check_count("standard errors", self.errors or self.points, self.axis)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns this term reads."""
        return (self.column,)

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Those of its columns."""
        return (self.axis,)


@dataclass(frozen=True)
class NumericTerm(_OfOneColumn):
    """What one numeric column adds to the log-odds.

    Attributes:
        column: the column's name.
        axis: its knots and usual value (median).
        points: one per knot, in log-odds.
        missing_points: points of a missing value.
        missing_share: fraction 0-1 of the training rows without a value.
        average_points: mean over the training rows.
        errors: standard errors of the points, against the average; empty if unknown.
    """

    column: str
    axis: KnotAxis
    points: tuple[float, ...]
    missing_points: float
    missing_share: float
    average_points: float
    errors: tuple[float, ...] = ()

    def of_column(self, table: Table) -> Floats:
        """Points of every client."""
        values = np.asarray(table[self.column], dtype=np.float64)
        missing = np.isnan(values)
        points = _interpolated(np.where(missing, 0.0, values), self.axis.knots, self.points)
        points[missing] = self.missing_points
        return points

    def of_record(self, record: Record) -> float:
        """Points of one client."""
        value = record[self.column]
        if is_missing(value):
            return self.missing_points
        lower, upper, share = self.axis.place(value)
        return (1.0 - share) * self.points[lower] + share * self.points[upper]


@dataclass(frozen=True)
class CategoricalTerm(_OfOneColumn):
    """What one categorical column adds to the log-odds.

    Attributes:
        column: the column's name.
        axis: its levels.
        points: one per level, in log-odds; the last for all other levels.
        usual_value: the most frequent level of the training rows.
        average_points: mean over the training rows.
        errors: standard errors of the points, against the average; empty if unknown.
    """

    column: str
    axis: LevelAxis
    points: tuple[float, ...]
    usual_value: str
    average_points: float
    errors: tuple[float, ...] = ()

    def of_column(self, table: Table) -> Floats:
        """Points of every client."""
        return np.asarray(self.points)[self.axis.places(table[self.column]).lower]

    def of_record(self, record: Record) -> float:
        """Points of one client."""
        return self.points[self.axis.place(record[self.column]).lower]


@dataclass(frozen=True)
class PairTerm:
    """What two columns add together, beyond what each adds alone.

    Attributes:
        columns: the two columns' names.
        axes: of the first and of the second column.
        points: the grid, one row per position of the first axis, one column per position of the
            second; between knots the points are interpolated bilinearly.
        average_points: mean over the training rows.
        errors: standard errors of the points, a grid like theirs; empty if unknown.
        means: for each position of the first axis the mean points over all training rows' values
            of the second column, and the same for the second axis; empty if unknown.
    """

    columns: tuple[str, str]
    axes: tuple[Axis, Axis]
    points: tuple[tuple[float, ...], ...]
    average_points: float
    errors: tuple[tuple[float, ...], ...] = ()
    means: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        """Refuse a grid that does not fit the axes."""
        for axis, means in zip(self.axes, self.means, strict=bool(self.means)):
            _check_count("means", means, axis)
        for what, grid in (("points", self.points), ("standard errors", self.errors)):
            _check_count(f"rows of {what}", grid or self.points, self.axes[0])
            for row in grid:
                _check_count(f"{what} in a row", row, self.axes[1])

    def of_column(self, table: Table) -> Floats:
        """Points of every client."""
        sides = zip(self.axes, self.columns, strict=True)
        return self.of_places(*(axis.places(table[column]) for axis, column in sides))

    def of_places(self, first: Places, second: Places) -> Floats:
        """Points of every client, by the places on the two axes."""
        cells = first.lower * len(self.axes[1]) + second.lower
        a, b, c, d = self._corners.take(cells, axis=0).T
        s, t = first.share, second.share
        result: Floats = (1.0 - s) * ((1.0 - t) * a + t * b) + s * ((1.0 - t) * c + t * d)
        return result

    def mean_over(self, side: int, places: Places) -> Floats:
        """Each client's mean points over all values of one column, the other one's being its own.

        Args:
            side: the column over which the mean is: 0 or 1.
            places: the clients' on the axis of the other one.
        """
        lower, upper, share = places
        if not self.means:
            return np.full(len(lower), self.average_points)
        means = np.asarray(self.means[1 - side])
        result: Floats = (1.0 - share) * means[lower] + share * means[upper]
        return result

    @cached_property
    def _corners(self) -> Floats:
        """The points around each cell of the grid, array of shape (n_cells, 4)."""
        grid = np.pad(np.asarray(self.points), (0, 1), "edge")
        corners = (grid[:-1, :-1], grid[:-1, 1:], grid[1:, :-1], grid[1:, 1:])
        return np.stack(corners, axis=-1).reshape(-1, 4)

    def of_record(self, record: Record) -> float:
        """Points of one client."""
        first, second = self.columns
        a, b, s = self.axes[0].place(record[first])
        c, d, t = self.axes[1].place(record[second])
        low, high = self.points[a], self.points[b]
        return (1.0 - s) * ((1.0 - t) * low[c] + t * low[d]) + s * (
            (1.0 - t) * high[c] + t * high[d]
        )


def _interpolated(numbers: Floats, knots: Sequence[float], points: Sequence[float]) -> Floats:
    """As `numpy.interp`, bit for bit; of whole numbers each is interpolated only once."""
    if len(numbers) and numbers.min() >= 0 and numbers.max() < len(numbers):
        whole = numbers.astype(np.intp)
        if (whole == numbers).all():
            once: Floats = np.interp(np.arange(whole.max() + 1), knots, points)
            return once[whole]
    return np.interp(numbers, knots, points)


Term = NumericTerm | CategoricalTerm | PairTerm


def _check_count(what: str, values: Sequence[Any], axis: Axis) -> None:
    if len(values) != len(axis):
        raise ValueError(f"expected {len(axis)} {what}, one per position, found {len(values)}")
