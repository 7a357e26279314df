"""Reads client rows for the other scripts: training data, test data, open clients, any table."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attrition.core.config import Config
from attrition.core.errors import DataError
from attrition.data import csv_records, source_files, storage
from attrition.data.alike_ids import FOLDED
from attrition.data.client_table import KEPT, ClientTable, session, unpacked
from attrition.data.deduplication import mark_duplicates, same
from attrition.data.hold_out import is_held_out
from attrition.data.validation import POSITIVE

# Marks rows of clients who had been contacted, by their ids and their distances in rows from where
# reading begins; both and the result are arrays of shape (n,).
Marker = Callable[[NDArray[np.object_], NDArray[np.intp]], NDArray[np.bool_]]


@dataclass(frozen=True)
class Clients:
    """Client rows, one per position.

    Attributes:
        ids: array of shape (n,) of str, the ids unchanged; `row 1`, `row 2`, ... without an id.
        features: (n, n_features) in config order; numbers with NaN, categories with "" for blank.
        labels: (n,) with 1 for the positive label, 0 for the negative one; None when not known.
        values: (n,) of the value column with NaN for blank; None when none is configured.
        segments: segment column -> (n,) of str, "" for blank.
        contacted: (n,) of bool, True where a call may have changed the outcome; None: nowhere.
    """

    ids: NDArray[np.object_]
    features: pd.DataFrame
    labels: NDArray[np.int8] | None
    values: NDArray[np.float64] | None
    contacted: NDArray[np.bool_] | None = None
    segments: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def columns(self) -> dict[str, NDArray[Any]]:
        """The features as a scorecard takes them: name -> array of shape (n,)."""
        return {str(name): self.features[name].to_numpy() for name in self.features.columns}

    def select(self, rows: NDArray[np.bool_]) -> Clients:
        """The clients where `rows`, of shape (n,), is True."""
        return Clients(
            ids=self.ids[rows],
            features=self.features[rows].reset_index(drop=True),
            labels=None if self.labels is None else self.labels[rows],
            values=None if self.values is None else self.values[rows],
            segments={name: texts[rows] for name, texts in self.segments.items()},
            contacted=None if self.contacted is None else self.contacted[rows],
        )

    @property
    def count_left(self) -> int:
        """How many of the labels say that the client left."""
        return 0 if self.labels is None else int((self.labels == POSITIVE).sum())

    @property
    def count_contacted(self) -> int:
        """How many rows are of contacted clients."""
        return 0 if self.contacted is None else int(self.contacted.sum())

    @property
    def only_contacted(self) -> Clients:
        """The rows of contacted clients."""
        nobody = np.zeros(len(self), dtype=bool)
        return self.select(nobody if self.contacted is None else self.contacted)

    @property
    def uncontacted(self) -> Clients:
        """The rows of clients who had not been contacted."""
        if self.contacted is None or not self.contacted.any():
            return replace(self, contacted=None)
        return replace(self.select(~self.contacted), contacted=None)


@dataclass(frozen=True)
class Rejection:
    """A row that was not accepted; where line is None, a whole file."""

    file: str
    line: int | None
    column: str
    value: str
    reason: str


@dataclass(frozen=True)
class TestClients:
    """The labelled clients to test on, each row once, and what was left out.

    Attributes:
        clients: those of the test folder, then those held out of the ingested ones.
        files: the files of the test folder.
        rejected: their rows that cannot be used.
        blank_labels, duplicates: numbers of their rows that are left out for this reason.
        next_day: on which the first further rows may be tested on; None for never.
        held_out: how many of the clients are held out by `test_share`.
        contacted: how many more are, and not tested on, since they had been contacted.
    """

    __test__ = False  # for pytest: not a class of tests

    clients: Clients
    files: tuple[str, ...]
    rejected: tuple[Rejection, ...]
    blank_labels: int
    duplicates: int
    held_out: int = 0
    contacted: int = 0
    next_day: str | None = None

    @property
    def of_folder(self) -> Clients:
        """The clients of the test folder only."""
        return self.clients.select(np.arange(len(self.clients)) < len(self.clients) - self.held_out)


@dataclass(frozen=True)
class TrainingClients:
    """The ingested clients to train on, without those of the test data.

    Attributes:
        clients: in the order of their arrival.
        unseen: (n,) of bool, True for the rows at or after byte `unseen_start`.
        left_out: number of rows left out because they are test data.
    """

    clients: Clients
    unseen: NDArray[np.bool_]
    left_out: int


def final_clients(config: Config, start: int = 0, end: int | None = None) -> Clients:
    """The ingested clients between two offsets of `finaldata.csv`.

    Args:
        start: byte of the first row, by the ledger; 0 for the file's beginning, header included.
        end: byte after the last row, by the ledger; None for the end of the file.

    Raises:
        DataError: the file is missing or damaged.
    """
    return _stored(config, config.final_data, start, end)


def labels_of(config: Config, start: int, end: int) -> tuple[NDArray[np.object_], NDArray[np.int8]]:
    """Id and label of the rows that `final_clients` reads, without their features."""
    assert config.id_column is not None
    with session(config, storage.size_of(config.final_data)) as (connection, scratch):
        rows, parameters = storage.read_range(config, config.final_data, start, end, scratch)
        key = storage.key_of(config)[config.id_column]
        query = f"SELECT coalesce({key}, '') AS id, label::TINYINT AS label FROM {rows}"
        arrays = _read(connection, query, parameters)
    return np.ma.getdata(arrays["id"]), np.ma.getdata(arrays["label"])


def clients_not_held_out(
    config: Config, start: int, end: int, marker: Marker | None = None
) -> Clients:
    """As `final_clients`, without the clients held out as test data, which are judged there."""
    return _stored(
        config, config.final_data, start, end, f"NOT {is_held_out(config)}", marker=marker
    )


def held_out_clients(config: Config, committed_bytes: int, marker: Marker | None = None) -> Clients:
    """The ingested clients that are held out as test data.

    Args:
        committed_bytes: length of `finaldata.csv` by the ledger.
        marker: marks contacted clients; None: there are none.
    """
    return _stored(
        config, config.final_data, 0, committed_bytes, is_held_out(config), marker=marker
    )


def with_held_out(config: Config, test: TestClients, held_out: Clients) -> TestClients:
    """The test data with the held-out clients; a row that is in both counts once."""
    with session(config, 0) as (connection, _):
        doubled = _positions_in(connection, config, held_out, test.clients)
    fresh = np.ones(len(held_out), dtype=bool)
    fresh[doubled] = False
    added = held_out.select(fresh)
    return replace(test, clients=joined(test.clients, added), held_out=len(added))


def joined(one: Clients, other: Clients) -> Clients:
    """Concatenate two sets of labelled clients."""
    assert one.labels is not None
    assert other.labels is not None
    both_values = one.values is not None and other.values is not None
    return Clients(
        ids=np.concatenate([one.ids, other.ids]),
        features=pd.concat([one.features, other.features], ignore_index=True),
        labels=np.concatenate([one.labels, other.labels]),
        values=np.concatenate([one.values, other.values]) if both_values else None,
        segments={
            name: np.concatenate([texts, other.segments[name]])
            for name, texts in one.segments.items()
        },
    )


def training_clients(
    config: Config,
    committed_bytes: int,
    test: TestClients,
    unseen_start: int = 0,
    marker: Marker | None = None,
) -> TrainingClients:
    """The ingested clients, except held-out ones and those whose row is in the test data.

    Rows are compared by id, features and label.

    Args:
        committed_bytes: length of `finaldata.csv` by the ledger.
        test: the clients of the test data.
        unseen_start: byte from which on rows count as unseen.
        marker: marks contacted clients; None: there are none.

    Raises:
        DataError: `finaldata.csv` is missing or damaged.
    """
    with session(config, storage.size_of(config.final_data)) as (connection, scratch):
        rows = storage.read_range(config, config.final_data, 0, committed_bytes, scratch)
        clients = _fetch(connection, config, *rows)
        if marker is not None:
            contacted = marker(clients.ids, np.arange(len(clients)))
            clients = replace(clients, contacted=contacted)
        unseen = np.zeros(len(clients), dtype=bool)
        if unseen_start < committed_bytes:
            late = _count_rows(connection, config, unseen_start, committed_bytes, scratch)
            unseen[len(clients) - late :] = True
        stays = np.ones(len(clients), dtype=bool)
        if config.test_share:
            source, parameters = rows
            query = f"SELECT NOT {is_held_out(config)} AS stays FROM {source}"
            stays = np.ma.getdata(connection.execute(query, parameters).fetchnumpy()["stays"])
        stays[_positions_in(connection, config, clients, test.clients)] = False
    remaining = clients if stays.all() else clients.select(stays)
    return TrainingClients(remaining, unseen[stays], len(clients) - len(remaining))


def labelled_test_clients(config: Config) -> TestClients:
    """Read the labelled clients in the test folder, checked as by ingestion; writes nothing."""
    batches, refused = source_files.list_batches(config.test_data_path)
    rejected = [Rejection(item.name, None, "", "", item.reason) for item in refused]
    names: list[str] = []
    with session(config, sum(batch.unpacked_size for batch in batches)) as (connection, scratch):
        table = ClientTable(connection, config, scratch)
        for batch in batches:
            try:
                with unpacked(config, batch, scratch) as path, table.transaction():
                    table.add(path, len(names))
            except DataError as error:
                rejected.append(Rejection(batch.name, None, "", "", str(error)))
            else:
                names.append(batch.name)
        mark_duplicates(table, None, 0, scratch)
        rejected += _rejections(connection, names)
        counts = "count(*) FILTER (label IS NULL), count(*) FILTER (is_duplicate)"
        blank, duplicates = connection.execute(
            f"SELECT {counts} FROM rows WHERE problem IS NULL"
        ).fetchall()[0]
        clients = _fetch(connection, config, "rows WHERE " + KEPT, [])
        has_dates, early = config.snapshot_column is not None, "rows WHERE early IS NOT NULL"
        next_day = table.first_maturing(f"{early} AND problem IS NULL") if has_dates else None
    return TestClients(clients, tuple(names), tuple(rejected), blank, duplicates, next_day=next_day)


def open_clients(config: Config) -> Clients:
    """The newest row of each client whose outcome is still blank; labels are None.

    Raises:
        DataError: `openclients.csv` is damaged.
    """
    return replace(_stored(config, config.open_clients, 0, None), labels=None)


def waiting_leavers(config: Config) -> set[str]:
    """Ids of the clients who are known to have left by rows that are not mature."""
    if not config.unmatured.exists():
        return set()
    clients = _stored(config, config.unmatured, 0, None)
    assert clients.labels is not None
    return set(clients.ids[clients.labels == POSITIVE].tolist())


@contextlib.contextmanager
def read_table(config: Config, path: Path) -> Iterator[tuple[ClientTable, tuple[Rejection, ...]]]:
    """Read any table of clients, `.csv` or `.csv.gz`; only the features are required.

    Returns:
        The checked rows in the order of the file, and those that were not accepted. The table's
        settings name no id column where the file has none.

    Raises:
        DataError: the file is missing or cannot be used at all.
    """
    config = replace(config, snapshot_column=None, outcome_days=None)
    optional = [name for name in config.stored_columns if name not in config.feature_columns]
    with contextlib.ExitStack() as opened:
        try:
            batch = source_files.find_batch(path)
            # The rows may go to disk; to score them takes memory, too.
            connection, scratch = opened.enter_context(session(config, batch.unpacked_size // 2))
            with unpacked(config, batch, scratch) as plain:
                if config.id_column not in csv_records.column_names(plain):
                    config = replace(config, id_column=None)
                table = ClientTable(connection, config, scratch)
                with table.transaction():
                    table.add(plain, 0, optional)
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
        yield table, tuple(_rejections(connection, [path.name]))


def _stored(
    config: Config,
    path: Path,
    start: int,
    end: int | None,
    condition: str = "true",
    *,
    marker: Marker | None = None,
) -> Clients:
    """The rows between two offsets of a file of the pipeline that fulfil an SQL condition."""
    with session(config, storage.size_of(path)) as (connection, scratch):
        rows, parameters = storage.read_range(config, path, start, end, scratch)
        clients = _fetch(connection, config, f"{rows} WHERE {condition}", parameters)
        if marker is None:
            return clients
        numbered = f"(SELECT *, row_number() OVER () - 1 AS distance FROM {rows})"
        query = f"SELECT distance FROM {numbered} WHERE {condition}"
        distances = connection.execute(query, parameters).fetchnumpy()["distance"]
        return replace(clients, contacted=marker(clients.ids, np.ma.getdata(distances)))


def _count_rows(
    connection: duckdb.DuckDBPyConnection, config: Config, start: int, end: int, scratch: Path
) -> int:
    rows, parameters = storage.read_range(config, config.final_data, start, end, scratch)
    return int(connection.execute(f"SELECT count(*) FROM {rows}", parameters).fetchall()[0][0])


def _fetch(
    connection: duckdb.DuckDBPyConnection, config: Config, rows: str, parameters: list[str]
) -> Clients:
    """Read rows of `v0`, ..., `label` as Clients; a NULL label becomes -1."""
    names = config.stored_columns[:-1]
    texts = [name for name in names if name not in config.numeric_stored_columns]
    columns = ", ".join(
        f"coalesce(v{i}, {'' if name in texts else 'nan'!r}) AS v{i}"
        for i, name in enumerate(names)
    )
    query = f"SELECT {columns}, coalesce(label, -1)::TINYINT AS label FROM {rows}"
    arrays = _read(connection, query, parameters)
    by_name = {name: np.ma.getdata(arrays[f"v{i}"]) for i, name in enumerate(names)}
    return from_columns(config, by_name, np.ma.getdata(arrays["label"]))


def _read(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: list[str]
) -> dict[str, Any]:
    """The columns that a query reads from a file of the pipeline."""
    try:
        return connection.execute(query, parameters).fetchnumpy()
    except (duckdb.InvalidInputException, duckdb.ConversionException):
        raise DataError(
            f"{parameters[0] if parameters else 'clients'}: damaged, not as the pipeline wrote it; "
            f"restore it, or run ingestion.py, which says what to do"
        ) from None


def from_columns(
    config: Config, columns: Mapping[str, NDArray[Any]], labels: NDArray[np.int8] | None
) -> Clients:
    """Clients from their stored columns, by name; blanks are NaN or ""."""
    features = pd.DataFrame(
        # Without a dtype pandas would convert objects to its own text type.
        {
            name: pd.Series(columns[name], dtype=columns[name].dtype)
            for name in config.feature_columns
        }
    )
    if config.id_column is None:
        ids = np.array([f"row {number}" for number in range(1, len(features) + 1)], dtype=object)
    else:
        ids = columns[config.id_column]
    values = None if config.value_column is None else columns[config.value_column]
    segments = {name: columns[name] for name in config.segment_columns}
    return Clients(ids, features, labels, values, segments=segments)


def _positions_in(
    connection: duckdb.DuckDBPyConnection, config: Config, clients: Clients, others: Clients
) -> NDArray[np.int64]:
    """Positions of the clients whose row (id, features, label) is also among `others`."""
    mine, theirs = _whole_rows(config, clients), _whole_rows(config, others)
    connection.register("mine", mine.assign(position=np.arange(len(mine))))
    connection.register("theirs", theirs)
    positions = connection.execute(
        f"SELECT DISTINCT position FROM mine JOIN theirs "
        f"ON {same('mine', 'theirs', list(theirs.columns))} ORDER BY position"
    ).fetchnumpy()["position"]
    connection.unregister("mine")
    connection.unregister("theirs")
    return np.asarray(positions, dtype=np.int64)


def _whole_rows(config: Config, clients: Clients) -> pd.DataFrame:
    columns = {f"f{i}": clients.features.iloc[:, i] for i in range(clients.features.shape[1])}
    if config.id_column is not None:
        columns["id"] = pd.Series(clients.ids)
    return pd.DataFrame({**columns, "label": clients.labels})


def _rejections(connection: duckdb.DuckDBPyConnection, names: Sequence[str]) -> Iterator[Rejection]:
    result = connection.execute(
        'SELECT file, line, "column", value, reason FROM rejections ORDER BY file, line'
    )
    for file, line, column, value, reason in result.fetchall():
        yield Rejection(names[file], line, column, value, reason)


def newest_of_each(ids: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Which rows are their client's last one; array of shape (n,)."""
    last = {client: position for position, client in enumerate(ids)}
    rows = np.zeros(len(ids), dtype=bool)
    rows[list(last.values())] = True
    return rows


def known_ids(config: Config, wanted: set[str]) -> dict[str, str]:
    """Those of some ids that an ingested row has, but for case, spaces, Unicode form and `.0`.

    Returns:
        The id -> itself, or the likely one; on Spark, where nobody looks, all to themselves.
    """
    if config.engine is not None or config.id_column is None or not wanted:
        return {name: name for name in wanted}
    known = _alike(config, wanted, "{}")
    return known | _alike(config, wanted - known.keys(), FOLDED)


def _alike(config: Config, wanted: set[str], form: str) -> dict[str, str]:
    """Those of some ids that an ingested row has in some form, and the row's id."""
    if not wanted:
        return {}
    key = storage.key_of(config)[str(config.id_column)]
    alike: dict[str, str] = {}
    with session(config, storage.size_of(config.final_data)) as (connection, scratch):
        connection.register("wanted", pd.DataFrame({"id": pd.Series(sorted(wanted), dtype=str)}))
        for path in (config.final_data, config.open_clients, config.unmatured):
            rows, parameters = storage.read_range(config, path, 0, None, scratch)
            pairs = connection.execute(
                f"SELECT id, min({key}) FROM {rows} JOIN wanted "
                f"ON {form.format(key)} = {form.format('id')} GROUP BY id",
                parameters,
            ).fetchall()
            alike.update(pairs)
    return alike
