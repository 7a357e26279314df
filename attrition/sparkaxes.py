"""The axes of the model's basis from all rows on Spark: knots at quantiles, levels by frequency.

The rules are those of `hats.knot_axis` and `hats.level_axis`. Spark's `percentile` is exact and
interpolates as numpy's quantile does, but keeps every distinct value in one place: of more than
`QUANTILE_ROWS` rows a fixed sample of about as many (a hash of the row picks it) is asked, whose
quantiles are off by a rank of some thousandth. Levels are always counted over all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pyspark.sql import Column, DataFrame, functions

from attrition.hats import LARGEST_KNOT, MAXIMUM_LEVELS, spread_axis
from attrition.terms import KnotAxis, LevelAxis

QUANTILE_ROWS = 1_000_000
_HASHES = 2.0**53


def knot_axes(rows: DataFrame, total: int, keys: Sequence[str], count: int) -> list[KnotAxis]:
    """The axes of numeric columns.

    Args:
        rows: of clients.
        total: how many there are.
        keys: the columns' names in `rows`; NULL is missing.
        count: at most this many knots on an axis.
    """
    if not keys:
        return []
    if total > QUANTILE_ROWS:
        place = functions.pmod(functions.xxhash64(*rows.columns), functions.lit(int(_HASHES)))
        rows = rows.where(place < _HASHES * QUANTILE_ROWS / total)
    bounded = rows.select(*(_bounded(functions.col(key)).alias(key) for key in keys))
    levels = np.linspace(0.0, 1.0, count).tolist()
    asked = {
        key: (
            _quantiles(functions.col(key), levels),
            functions.median(key),
            functions.approx_count_distinct(key),
        )
        for key in keys
    }
    found = _ask(bounded, asked)
    few = [key for key in keys if 0 < found[key][2] <= 2 * count]
    sets = _ask(bounded, {key: (functions.array_sort(functions.collect_set(key)),) for key in few})
    knots = {key: _first_knots(found[key][0], sets.get(key), count) for key in keys}
    tied = [key for key in keys if 0 < len(knots[key]) < count
            and not (key in sets and len(sets[key][0]) <= count)]  # fmt: skip
    spare = _ask(bounded, {key: (_spare(functions.col(key), knots[key], count),) for key in tied})
    for key in tied:
        knots[key] = np.unique([*knots[key], *(spare[key][0] or [])]).tolist()
    return [spread_axis(knots[key], found[key][1]) if knots[key] else KnotAxis((0.0,), 0.0)
            for key in keys]  # fmt: skip


def _bounded(column: Column) -> Column:
    largest = functions.lit(LARGEST_KNOT)
    within = functions.greatest(functions.least(column, largest), -largest)
    return functions.when(column.isNotNull(), within)  # least(NULL, x) is x


def _first_knots(
    quantiles: list[float] | None, distinct: tuple[list[float]] | None, count: int
) -> list[float]:
    if quantiles is None:
        return []
    if distinct is not None and len(distinct[0]) <= count:
        return distinct[0]
    knots: list[float] = np.unique(quantiles).tolist()
    return knots


def _spare(column: Column, knots: Sequence[float], count: int) -> Column:
    """Quantiles of the values that are no knots, as many as there are knots to spare."""
    levels = np.linspace(0.0, 1.0, count - len(knots) + 2)[1:-1].tolist()
    return _quantiles(functions.when(~column.isin(list(knots)), column), levels)


def _quantiles(column: Column, levels: Sequence[float]) -> Column:
    return functions.percentile(column, [float(level) for level in levels])


def _ask(rows: DataFrame, asked: dict[str, tuple[Column, ...]]) -> dict[str, Any]:
    """Aggregates of several columns in one pass: name -> its answers."""
    if not asked:
        return {}
    flat = [column.alias(f"{key}_{i}") for key, columns in asked.items()
            for i, column in enumerate(columns)]  # fmt: skip
    answers = iter(rows.agg(*flat).first())
    return {key: tuple(next(answers) for _ in columns) for key, columns in asked.items()}


def level_axis(
    rows: DataFrame, key: str, minimum_rows: int, maximum_levels: int = MAXIMUM_LEVELS
) -> LevelAxis:
    """The axis of a categorical column; NULL is blank."""
    counts = rows.groupBy(functions.coalesce(key, functions.lit("")).alias("level")).count()
    frequent = counts.where(
        (functions.col("count") >= minimum_rows) | (functions.col("level") == "")
    )
    ranked = frequent.orderBy(functions.desc("count"), "level").limit(maximum_levels).collect()
    return LevelAxis(tuple(row["level"] for row in ranked))
