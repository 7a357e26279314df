"""Profile of the ingested rows, computed by Spark: the statistics of `data.profile`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import Column, DataFrame, functions

from attrition.data.ledger import Commit, Ledger
from attrition.data.profile import (
    BATCHES,
    LEVELS,
    QUANTILES,
    BatchProfile,
    DataProfile,
    statistics,
)
from attrition.engines.spark.dataset import first_file

# Ranks of quantiles are off by less than 1 / _ACCURACY; exact ones would need all values at once.
_ACCURACY = 10_000


def profile_rows(
    rows: DataFrame,
    ledger: Ledger,
    client: str | None,
    numeric: Mapping[str, str],
    categorical: Mapping[str, str],
) -> DataProfile:
    """Compute the statistics.

    Args:
        rows: all labelled rows.
        ledger: tells which row came with which commit.
        client: name in `rows` of the id column; None without one.
        numeric, categorical: name of a feature column -> its name in `rows`.
    """
    features = {**numeric, **categorical}
    count, base_rate, missing = _overview(rows, features)
    clients, repeated = _count_clients(rows, client) if client else (None, None)
    return DataProfile(
        rows=count,
        base_rate=base_rate,
        clients=clients,
        repeated_clients=repeated,
        conflicting_clients=_count_conflicts(rows, [k for k in (client, *features.values()) if k]),
        summary_statistics={name: _summarise(rows, key) for name, key in numeric.items()},
        categories={name: _count_levels(rows, key) for name, key in categorical.items()},
        missing_data_percentages=missing,
        batches=tuple(
            _profile_batch(rows, ledger, commit, features) for commit in ledger.commits[-BATCHES:]
        ),
    )


def _first(rows: DataFrame, columns: Sequence[Column]) -> tuple[Any, ...]:
    return tuple(rows.agg(*(column.alias(f"a{i}") for i, column in enumerate(columns))).first())


def _overview(
    rows: DataFrame, features: Mapping[str, str]
) -> tuple[int, float | None, dict[str, float | None]]:
    """The number of rows, the share of leavers, and feature -> percentage (0-100) missing."""
    missing = [
        functions.avg(functions.col(key).isNull().cast("int")) * 100.0 for key in features.values()
    ]
    count, base_rate, *shares = _first(
        rows, [functions.count("*"), functions.avg("label"), *missing]
    )
    return count, base_rate, dict(zip(features, shares, strict=True))


def _summarise(rows: DataFrame, key: str) -> dict[str, float | None]:
    levels = [0.5, *QUANTILES]
    stats = [functions.avg(key), functions.stddev_samp(key), functions.min(key), functions.max(key)]
    approximate = functions.percentile_approx(key, levels, _ACCURACY)
    mean, deviation, low, high, found = _first(rows, [*stats, approximate])
    median, *quantiles = found or [None] * len(levels)
    return statistics(mean, median, deviation, low, *quantiles, high)


def _count_levels(rows: DataFrame, key: str) -> dict[str, Any]:
    counts = rows.where(functions.col(key).isNotNull()).groupBy(key).count()
    top = counts.orderBy(functions.desc("count"), key).limit(LEVELS).collect()
    levels = {row[0]: row[1] for row in top}
    present, distinct = _first(
        counts, [functions.coalesce(functions.sum("count"), functions.lit(0)), functions.count("*")]
    )
    return {"levels": levels, "others": present - sum(levels.values()), "distinct": distinct}


def _profile_batch(
    rows: DataFrame, ledger: Ledger, commit: Commit, features: Mapping[str, str]
) -> BatchProfile:
    start, end = first_file(ledger, commit.start), first_file(ledger, commit.end)
    mine = rows.where(functions.col("file").between(start, end - 1))
    return BatchProfile(commit.id, commit.time, *_overview(mine, features))


def _count_clients(rows: DataFrame, client: str) -> tuple[int, int]:
    sizes = rows.groupBy(client).count()
    clients, repeated = _first(
        sizes, [functions.count("*"), functions.count_if(functions.col("count") > 1)]
    )
    return clients, repeated


def _count_conflicts(rows: DataFrame, same: Sequence[str]) -> int:
    """The number of clients that have both labels with the same features."""
    both = rows.groupBy(*same).agg(
        functions.min("label").alias("low"), functions.max("label").alias("high")
    )
    return int(both.where("low < high").count())
