"""Profile of the ingested rows: statistics, missing data, repeated clients.

DuckDB computes it over `finaldata.csv` of any size, within the memory that the settings allow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import duckdb

from attrition.core.config import Config
from attrition.data.client_table import session
from attrition.data.ledger import Ledger
from attrition.data.storage import key_of, read_range, size_of

QUANTILES = (0.05, 0.25, 0.75, 0.95)
BATCHES = 12  # newest batches that are profiled one by one
LEVELS = 20  # most frequent levels of a categorical column; the others are counted together


@dataclass(frozen=True)
class BatchProfile:
    """The rows that one run of ingestion added."""

    commit: str
    time: str
    rows: int
    base_rate: float | None  # share of the positive label
    missing_data_percentages: dict[str, float | None]  # feature column -> 0-100


@dataclass(frozen=True)
class DataProfile:
    """Statistics of the ingested rows; shares are fractions 0-1 unless called percentages."""

    rows: int
    base_rate: float | None  # share of the positive label
    clients: int | None  # None without an id column
    repeated_clients: int | None  # clients with more than one row
    conflicting_clients: int  # same client, same features, both labels
    summary_statistics: dict[str, dict[str, float | None]]  # numeric column -> statistic
    categories: dict[str, dict[str, Any]]  # categorical column -> levels, others, distinct
    missing_data_percentages: dict[str, float | None]  # feature column -> 0-100
    batches: tuple[BatchProfile, ...]  # the newest ones, oldest first


def profile_data(config: Config, ledger: Ledger) -> DataProfile:
    """Compute the statistics of `finaldata.csv`, of any size; without the file they are empty."""
    keys = key_of(config)
    features = {name: keys[name] for name in config.feature_columns}
    client = None if config.id_column is None else keys[config.id_column]
    same = [key for key in (client, *features.values()) if key]
    with _clients(config) as database:
        rows, base_rate, missing = _overview(database, features)
        clients, repeated = _count_clients(database, client) if client else (None, None)
        return DataProfile(
            rows=rows,
            base_rate=base_rate,
            clients=clients,
            repeated_clients=repeated,
            conflicting_clients=_count_conflicts(database, same),
            summary_statistics={c: _summarise(database, keys[c]) for c in config.numeric_columns},
            categories={c: _count_levels(database, keys[c]) for c in config.categorical_columns},
            missing_data_percentages=missing,
            batches=_profile_batches(database, ledger, features),
        )


def missing_changes(
    profile: DataProfile, reference: Mapping[str, Any] | None
) -> dict[str, dict[str, float | None]]:
    """Compare missing values now with those of the deployed model's training rows.

    Args:
        profile: of the ingested rows.
        reference: the deployed model's, made by `reference.summarise`; None without a model.

    Returns:
        feature column -> percentage (0-100) missing in the `training_rows`, in `all_rows` and in
        the `newest_batch`, and the `change` from training rows to newest batch in percentage
        points; None if not known.
    """
    newest = profile.batches[-1].missing_data_percentages if profile.batches else {}
    result = {}
    for column, share in profile.missing_data_percentages.items():
        before, now = _missing_in_training(reference or {}, column), newest.get(column)
        change = None if before is None or now is None else now - before
        result[column] = {
            "training_rows": before,
            "all_rows": share,
            "newest_batch": now,
            "change": change,
        }
    return result


def _missing_in_training(reference: Mapping[str, Any], column: str) -> float | None:
    for kind, key in (("numeric", "missing"), ("categorical", "blank")):
        counts = reference.get(kind, {}).get(column)
        if counts is not None and reference["rows"]:
            return 100.0 * float(counts[key]) / float(reference["rows"])
    return None


@contextmanager
def _clients(config: Config) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with the ingested rows as the table `clients`: `v0`, `v1`, ... and `label`."""
    with session(config, size_of(config.final_data)) as (database, scratch):
        rows, parameters = read_range(config, config.final_data, 0, None, scratch)
        database.execute(f"CREATE TABLE clients AS FROM {rows}", parameters)
        yield database


def _row(database: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    row = database.execute(query).fetchone()
    assert row is not None
    return row


def _overview(
    database: duckdb.DuckDBPyConnection, features: Mapping[str, str], condition: str = "true"
) -> tuple[int, float | None, dict[str, float | None]]:
    """The number of rows, the share of leavers, and feature -> percentage (0-100) missing."""
    shares = ", ".join(f"100.0 * avg(({key} IS NULL)::INT)" for key in features.values())
    rows, base_rate, *missing = _row(
        database, f"SELECT count(*), avg(label), {shares} FROM clients WHERE {condition}"
    )
    return rows, base_rate, dict(zip(features, missing, strict=True))


def _summarise(database: duckdb.DuckDBPyConnection, name: str) -> dict[str, float | None]:
    """Statistics of a numeric column over its present values; the deviation is the sample's."""
    mean, deviation, low, median, high, quantiles = _row(
        database,
        f"SELECT avg({name}), stddev_samp({name}), min({name}), median({name}), max({name}), "
        f"quantile_cont({name}, {list(QUANTILES)}) FROM clients",
    )
    return statistics(mean, median, deviation, low, *(quantiles or [None] * len(QUANTILES)), high)


def statistics(*values: float | None) -> dict[str, float | None]:
    """A numeric column's statistics by name: three, then lowest value, `QUANTILES`, highest."""
    quantiles = (f"quantile_{round(100 * q):02}" for q in QUANTILES)
    names = ("mean", "median", "standard_deviation", "minimum", *quantiles, "maximum")
    return dict(zip(names, values, strict=True))


def _count_levels(database: duckdb.DuckDBPyConnection, name: str) -> dict[str, Any]:
    """Rows of the most frequent levels, of all others together, and how many levels there are."""
    levels = database.execute(
        f"SELECT {name}, count(*) AS n FROM clients WHERE {name} IS NOT NULL "
        f"GROUP BY 1 ORDER BY n DESC, 1 LIMIT {LEVELS}"
    ).fetchall()
    present, distinct = _row(database, f"SELECT count({name}), count(DISTINCT {name}) FROM clients")
    counted = sum(count for _, count in levels)
    return {"levels": dict(levels), "others": present - counted, "distinct": distinct}


def _profile_batches(
    database: duckdb.DuckDBPyConnection, ledger: Ledger, features: Mapping[str, str]
) -> tuple[BatchProfile, ...]:
    """Profile the newest batches; a row's position in `finaldata.csv` shows its batch."""
    ends = list(accumulate(commit.rows for commit in ledger.commits))
    newest = list(zip(ledger.commits, ends, strict=True))[-BATCHES:]
    return tuple(
        BatchProfile(
            commit.id,
            commit.time,
            *_overview(database, features, f"rowid >= {end - commit.rows} AND rowid < {end}"),
        )
        for commit, end in newest
    )


def _count_clients(database: duckdb.DuckDBPyConnection, client: str) -> tuple[int, int]:
    """The number of clients, and of those with several rows."""
    sizes = f"(SELECT count(*) AS n FROM clients GROUP BY {client})"
    clients, repeated = _row(database, f"SELECT count(*), count(*) FILTER (n > 1) FROM {sizes}")
    return int(clients), int(repeated)


def _count_conflicts(database: duckdb.DuckDBPyConnection, same: Sequence[str]) -> int:
    """The number of clients that have both labels with the same features."""
    groups = f"GROUP BY {', '.join(same)} HAVING min(label) < max(label)"
    return int(_row(database, f"SELECT count(*) FROM (SELECT 1 FROM clients {groups})")[0])
