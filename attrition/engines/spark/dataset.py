"""The master data set on Spark: one folder of Parquet files for each commit, and the open clients.

    <data>/rows/<commit>/    labelled rows, each once over all folders
    <data>/open/<name>/      open clients, as of one commit

A folder is written once and counts once the ledger names it. Its columns are the stored columns
under their own names, the target as 1 and 0, and `attrition_file` and `attrition_row`, the order
of arrival. Here they have their SQL names: `v0`, `v1`, ..., `label`, `file`, `row`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame, SparkSession, functions

from attrition.calls.contacted import Contacted
from attrition.core.config import Config
from attrition.data import storage as local_storage
from attrition.data.clients import Clients, TestClients, from_columns
from attrition.data.hold_out import is_held_out
from attrition.data.ledger import Commit, Ledger
from attrition.engines.spark.storage import Storage, literal

POSITION = ("file", "row")  # the order of arrival: number of the file, and of the row in it


ROWS, OPEN, STAGING = "rows", "open", "staging"
# Largest sample that is processed on this machine.
SAMPLE_ROWS = 200_000
# A hash selects that many times too many rows, since it is inexact; the surplus is cut off.
_SURPLUS = 1.05
_HASHES = 2.0**53


@dataclass(frozen=True)
class Master:
    """The folders of a project's rows, for reading and adding."""

    session: SparkSession
    config: Config
    storage: Storage

    @property
    def columns(self) -> list[str]:
        """Columns of a row, in the order of the files."""
        return [*local_storage.keys(self.config), "label", *POSITION]

    def claim(self) -> None:
        """Claim the folder for this project.

        Raises:
            PipelineError: it belongs to another project.
        """
        self.storage.claim(str(self.config.output_folder_path))

    def labelled(self, commits: Sequence[Commit]) -> DataFrame:
        """The labelled rows of some commits."""
        return self._read([self.storage.path(ROWS, commit.id) for commit in commits])

    def opened(self, ledger: Ledger) -> DataFrame:
        """The open clients that a ledger names."""
        name = ledger.open_sha256
        return self._read([self.storage.path(OPEN, name)] if name else [])

    def write(self, rows: DataFrame, kind: str, name: str) -> DataFrame:
        """Write labelled rows or open clients to a new folder.

        Returns:
            The rows, read back from there.
        """
        address = self.storage.path(kind, name)
        names = [*self.config.stored_columns, "attrition_file", "attrition_row"]
        rows.select(*self.columns).toDF(*names).write.parquet(address)
        return self._read([address])

    def held_out(self, rows: DataFrame) -> DataFrame:
        """The labelled rows that are held out by `test_share`."""
        return rows.where(is_held_out(self.config))

    def not_held_out(self, rows: DataFrame) -> DataFrame:
        """The labelled rows that are not held out by `test_share`."""
        return rows.where(f"NOT {is_held_out(self.config)}") if self.config.test_share else rows

    def not_contacted(self, rows: DataFrame, acted_on: Contacted) -> DataFrame:
        """The labelled rows of clients who had not been contacted, by numbers of first files."""
        table = pyarrow.table({"name": acted_on.clients.tolist(), "first": acted_on.begins})
        firsts = self.session.createDataFrame(table)
        assert self.config.id_column is not None
        client = local_storage.key_of(self.config)[self.config.id_column]
        is_one = (rows[client] == firsts["name"]) & (rows["file"] >= firsts["first"])
        return rows.join(firsts, is_one, "left_anti")

    def _read(self, addresses: Sequence[str]) -> DataFrame:
        if addresses:
            return self.session.read.parquet(*map(literal, addresses)).toDF(*self.columns)
        kinds = {"DOUBLE": "double", "VARCHAR": "string"}
        values = [kinds[kind] for kind in local_storage.kinds(self.config).values()]
        types = zip(self.columns, [*values, "byte", "int", "long"], strict=True)
        return self.session.createDataFrame([], ", ".join(map(" ".join, types)))

    def not_in_test(self, rows: DataFrame, test: TestClients) -> DataFrame:
        """The labelled rows that are neither held out nor, by id, features and label, test data."""
        mine = (self.config.id_column, *self.config.feature_columns)
        whole = [key for name, key in local_storage.key_of(self.config).items() if name in mine]
        others = _to_frame(self.session, self.config, test.clients)
        rows = self.not_held_out(rows)
        return rows.join(others, same(rows, others, [*whole, "label"]), "left_anti")

    def ids_among(self, rows: DataFrame, test: TestClients) -> set[str]:
        """The clients of the test data of whom there are rows among the given ones."""
        if self.config.id_column is None or not len(test.clients):
            return set()
        key = local_storage.key_of(self.config)[self.config.id_column]
        tested = _to_frame(self.session, self.config, test.clients).select(key)
        known = rows.select(key).join(tested, key, "left_semi").distinct()
        return {row[0] for row in known.collect()}


def first_file(ledger: Ledger, start: int) -> int:
    """The number of the first file whose rows are at a position or after it."""
    late = {commit.id for commit in ledger.commits if commit.start >= start}
    numbers = (number for number, entry in enumerate(ledger.entries) if entry.commit in late)
    return next(numbers, len(ledger.entries))


def same(one: DataFrame, other: DataFrame, names: Sequence[str]) -> Column:
    """A condition that two rows are equal in some columns; blanks are equal."""
    condition = one[names[0]].eqNullSafe(other[names[0]])
    for name in names[1:]:
        condition = condition & one[name].eqNullSafe(other[name])
    return condition


def sample(
    frame: DataFrame, config: Config, counts: dict[Any, int]
) -> tuple[Clients, NDArray[np.intp]]:
    """All rows, or a sample of `SAMPLE_ROWS` with the same share of each label.

    A hash of the row decides, not chance: equal rows give equal samples, wherever they are stored.

    Args:
        frame: the rows.
        config: the settings; `random_seed` salts the hash.
        counts: label (None for open clients) -> number of rows.

    Returns:
        Clients in the order of arrival, with labels None if unknown; and the number of each
        client's file.
    """
    total = sum(counts.values())
    if total <= SAMPLE_ROWS:
        return collect(frame, config)
    parts = [*local_storage.keys(config), "label"]
    hashed = functions.pmod(
        functions.xxhash64(functions.lit(config.random_seed), *parts), functions.lit(int(_HASHES))
    )
    picked = frame.withColumn("hash", hashed)
    table = picked.where(
        functions.col("hash") < _HASHES * min(1.0, _SURPLUS * SAMPLE_ROWS / total)
    ).toArrow()
    labels = np.array(table["label"].to_pylist(), dtype=object)
    hashes = table["hash"].to_numpy()
    chosen = []
    for label, count in counts.items():
        mine = np.flatnonzero([value == label for value in labels])
        order = np.argsort(hashes[mine], kind="stable")
        chosen.append(mine[order[: round(SAMPLE_ROWS * count / total)]])
    return _clients(config, table.take(np.concatenate(chosen)))


def collect(frame: DataFrame, config: Config) -> tuple[Clients, NDArray[np.intp]]:
    """All rows, in the form of `sample`."""
    return _clients(config, frame.toArrow())


def marked(clients: Clients, files: NDArray[np.intp], acted_on: Contacted | None) -> Clients:
    """Clients, as `sample` gives them, with the contacted ones marked."""
    return replace(clients, contacted=None if acted_on is None else acted_on.of(clients.ids, files))


def count_labels(frame: DataFrame) -> dict[Any, int]:
    """Label -> number of rows."""
    return {row["label"]: row["count"] for row in frame.groupBy("label").count().collect()}


def _to_frame(session: SparkSession, config: Config, clients: Clients) -> DataFrame:
    """Labelled clients as rows: `v0`, ... (the value column is NULL), `label`."""
    count = len(clients)
    arrays = {}
    for name, key in local_storage.key_of(config).items():
        kind = (
            pyarrow.string()
            if local_storage.kind_of(config, name) == "VARCHAR"
            else pyarrow.float64()
        )
        if name == config.id_column:
            arrays[key] = pyarrow.array(clients.ids.tolist(), kind)
        elif name not in config.feature_columns:
            arrays[key] = pyarrow.nulls(count, kind)
        else:
            values = clients.features[name].to_numpy()
            blank = np.isnan(values) if kind == pyarrow.float64() else values == ""
            arrays[key] = pyarrow.array(values.tolist(), kind, mask=np.asarray(blank, dtype=bool))
    arrays["label"] = pyarrow.array(clients.labels, pyarrow.int8())
    return session.createDataFrame(pyarrow.table(arrays))


def _clients(config: Config, table: Any) -> tuple[Clients, NDArray[np.intp]]:
    """Convert rows of an Arrow table, in any order, to Clients in the order of arrival."""
    table = table.sort_by([(name, "ascending") for name in POSITION])
    values = {
        name: _array(table[key], local_storage.kind_of(config, name) == "DOUBLE")
        for name, key in local_storage.key_of(config).items()
    }
    labels = table["label"].combine_chunks()
    known = None if labels.null_count else labels.to_numpy()
    return from_columns(config, values, known), table["file"].to_numpy().astype(np.intp)


def _array(column: Any, is_number: bool) -> NDArray[Any]:
    """A column as an array, with NaN or "" for blanks."""
    if is_number:
        return np.array(column.fill_null(np.nan).to_numpy())
    return np.array(column.fill_null("").to_pylist(), dtype=object)
