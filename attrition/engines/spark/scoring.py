"""The scorecard as a Spark column: log-odds of every row of a table, without Python on workers.

They equal `Scorecard.log_odds` (a test proves it to 1e-9).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from pyspark.sql import Column, DataFrame, functions

from attrition.model.scorecard import Scorecard
from attrition.model.terms import Axis, KnotAxis, NumericTerm, PairTerm

LOG_ODDS, PROBABILITY = "log_odds", "probability"


def scored(rows: DataFrame, card: Scorecard, keys: Mapping[str, str]) -> DataFrame:
    """Add the columns `log_odds` and `probability` to rows.

    Args:
        rows: of clients; NULL is missing.
        keys: name of a feature column -> its name in `rows`.
    """
    places: dict[tuple[str, Axis], str] = {}
    for pair in card.pairs:
        for name, axis in zip(pair.columns, pair.axes, strict=True):
            places.setdefault((name, axis), f"place_{len(places)}")
    wide = rows.withColumns(
        {place: _place(functions.col(keys[name]), axis) for (name, axis), place in places.items()}
    )
    total = functions.lit(card.intercept)
    for number in card.numeric:
        total = total + _number_points(functions.col(keys[number.column]), number)
    for level in card.categorical:
        column = functions.col(keys[level.column])
        total = total + _by_level(column, level.axis.levels, level.points)
    for pair in card.pairs:
        first, second = (
            functions.col(places[name, axis])
            for name, axis in zip(pair.columns, pair.axes, strict=True)
        )
        total = total + _pair_points(first, second, pair)
    wide = wide.withColumn(LOG_ODDS, total).drop(*places.values())
    return wide.withColumn(
        PROBABILITY,
        functions.lit(0.5) + functions.lit(0.5) * functions.tanh(functions.col(LOG_ODDS) * 0.5),
    )


def _number_points(column: Column, term: NumericTerm) -> Column:
    bent = _interpolated(column, term.axis.knots, term.points)
    return functions.when(column.isNull(), functions.lit(term.missing_points)).otherwise(bent)


def _pair_points(first: Column, second: Column, term: PairTerm) -> Column:
    """Interpolate bilinearly between the four nearest points of the grid."""
    width = len(term.axes[1])
    grid = functions.array(*(functions.lit(points) for row in term.points for points in row))
    low, left = functions.floor(first), functions.floor(second)
    high = functions.least(low + 1, functions.lit(len(term.axes[0]) - 1))
    right = functions.least(left + 1, functions.lit(width - 1))
    s, t = first - low, second - left

    def at(row: Column, column: Column) -> Column:
        return functions.element_at(grid, (row * width + column + 1).cast("int"))

    return (1 - s) * ((1 - t) * at(low, left) + t * at(low, right)) + s * (
        (1 - t) * at(high, left) + t * at(high, right)
    )


def _place(column: Column, axis: Axis) -> Column:
    """The place of values on an axis: a position, with a fraction between two knots."""
    if not isinstance(axis, KnotAxis):
        return _by_level(column, axis.levels, [float(i) for i in range(len(axis))])
    filled = functions.coalesce(column, functions.lit(axis.usual_value))
    return _interpolated(filled, axis.knots, [float(i) for i in range(len(axis))])


def _by_level(column: Column, levels: Sequence[str], points: Sequence[float]) -> Column:
    """The points of each level; all other levels have the last points."""
    if not levels:
        return functions.lit(points[-1])
    text = functions.coalesce(column, functions.lit(""))
    cases = functions.when(text == levels[0], functions.lit(points[0]))
    for level, value in zip(levels[1:], points[1:], strict=False):
        cases = cases.when(text == level, functions.lit(value))
    return cases.otherwise(functions.lit(points[-1]))


def _interpolated(column: Column, knots: Sequence[float], points: Sequence[float]) -> Column:
    """Interpolate linearly between knots; values outside them count as the end knots."""
    cases = functions.when(column <= knots[0], functions.lit(points[0]))
    for (x, low), (end, high) in pairwise(zip(knots, points, strict=True)):
        slope = (high - low) / (end - x)
        cases = cases.when(column <= end, functions.lit(low) + (column - x) * slope)
    return cases.otherwise(functions.lit(points[-1]))
