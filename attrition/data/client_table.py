"""The table in which client rows are gathered: checked as they come in, duplicates marked.

DuckDB does the work: it reads sound files fast, keeps what does not fit into memory on disk, and
sees every value as text until a check of ours has accepted it. A file that it cannot be trusted
with is taken apart by `csv_records` first.
"""

from __future__ import annotations

import contextlib
import json
import operator
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from attrition.core import atomic_files, clock
from attrition.core.config import Config
from attrition.core.errors import DataError, PipelineError
from attrition.core.scratch import scratch_folder
from attrition.data import csv_records, maturity, source_files, storage, validation
from attrition.data.csv_scan import MEGABYTE, CsvScan, are_alike, scan_file, unpack
from attrition.data.ledger import Cut

# Rows of the table that are labelled, those of them that go to finaldata.csv and the others, and
# those of open clients.
GOOD = "problem IS NULL AND label IS NOT NULL"
KEPT = f"{GOOD} AND NOT is_duplicate"
REPEATED = "is_duplicate AND label IS NOT NULL"
OPEN = "problem IS NULL AND label IS NULL"
_REJECTED = "problem IS NOT NULL"
# What one file may take of `run_deadline_minutes`.
PART_OF_A_RUN = 1 / 4
_MEMORY_PER_CORE = 100_000_000


@dataclass(frozen=True)
class Intake:
    """What taking in one file came to, in rows; `start` is the first one's rowid.

    `cut` tells of a file that ends without a line end; what becomes of its last row is known then
    if it is no row at all.
    """

    start: int
    rows_read: int
    open: int
    quarantined: int
    extra_columns: tuple[str, ...]
    cut: Cut | None = None


@contextlib.contextmanager
def _time_limit(connection: duckdb.DuckDBPyConnection, config: Config) -> Iterator[threading.Event]:
    """A limit to what is done with one file, so that it holds up neither others nor the next run.

    When the time is over the event is set, and DuckDB stops at once.

    Raises:
        DataError: the time is over.
    """
    seconds = 60 * config.run_deadline_minutes * PART_OF_A_RUN
    is_over = threading.Event()

    def end() -> None:
        is_over.set()
        connection.interrupt()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield is_over
    except (duckdb.InterruptException, DataError):
        if not is_over.is_set():
            raise
    finally:
        timer.cancel()
        timer.join()  # from now on no query is stopped
    if is_over.is_set():
        raise DataError(
            f"reading it took more than {seconds:g} seconds, a quarter of a run's time "
            f"(setting run_deadline_minutes); split the file"
        )


@dataclass(frozen=True)
class _File:
    """A file being taken in; `start` rows are in the table before."""

    path: Path
    number: int
    census: CsvScan
    header: csv_records.Header
    start: int


class ClientTable:
    """Checked client rows in the order of their arrival, in a DuckDB table called `rows`.

    Its columns are `v0`, `v1`, ... for the stored columns before the label (NULL for blank),
    `label` (1, 0; NULL for an open client), `early` (the label of a row that is not mature, whose
    `label` is NULL; see `maturity`), `is_duplicate`, and `problem`: NULL for a good row,
    for one that is rejected the column, its text and the reason. `rowid` is the order of arrival.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, config: Config, scratch: Path
    ) -> None:
        self.connection = connection
        self.config = config
        self._scratch = scratch
        self.keys = storage.keys(config)
        self._names = config.stored_columns[:-1]
        self.row_columns = storage.row_keys(config)
        self.segment_columns = storage.segment_keys(config)
        self.client_columns = storage.client_keys(config)
        kinds = ", ".join(f"{key} {kind}" for key, kind in storage.kinds(config).items())
        problem = '"column" VARCHAR, value VARCHAR, reason VARCHAR'
        connection.execute(
            f"CREATE TABLE rows ({kinds}, label TINYINT, early TINYINT, problem STRUCT({problem}), "
            f"is_duplicate BOOLEAN DEFAULT false)"
        )
        self.today = clock.today()
        connection.execute(f"CREATE TABLE rejections (file INTEGER, line BIGINT, {problem})")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is added within is added, or on an error nothing of it."""
        self.connection.begin()
        try:
            yield
        except BaseException:
            self.connection.rollback()
            raise
        self.connection.commit()

    def add(self, path: Path, number: int, optional: Sequence[str] = ()) -> Intake:
        """Take in a decompressed file; to be called within a transaction of its own.

        Args:
            number: names the file among the rejections.
            optional: stored columns that need not be there; they are blank then, as are segment
                columns that are no features.

        Raises:
            DataError: the whole file is unusable, for this reason; the transaction is to be left.
        """
        with _time_limit(self.connection, self.config) as self._is_over:
            return self._add(path, number, optional)

    def _add(self, path: Path, number: int, optional: Sequence[str]) -> Intake:
        census = scan_file(path)
        header = csv_records.read_header(path, census)
        optional = [*optional, *self.config.segment_only_columns]
        required = [name for name in self.config.stored_columns if name not in optional]
        csv_records.check_header(header.names, required, optional)
        file = _File(path, number, census, header, start=self._count_rows(0))
        lost, is_last_lost = (0, False) if self._load_sound(file) else self._load_damaged(file)
        counts = f"count(*), count(problem), count(*) FILTER ({OPEN})"
        rows, bad, open_rows = self.connection.execute(
            f"SELECT {counts} FROM rows WHERE rowid >= ?", [file.start]
        ).fetchall()[0]
        if rows + lost == 0:
            raise DataError("a header and no rows")
        extra = tuple(name for name in header.names if name not in self.config.stored_columns)
        cut = None
        if census.is_cut:
            cut = Cut(
                census.size, atomic_files.sha256_of(path), "quarantined" if is_last_lost else ""
            )
        return Intake(file.start, rows + lost, open_rows, bad + lost, extra, cut)

    def _load_sound(self, file: _File) -> bool:
        """Let DuckDB read a file; False, and nothing done, when it cannot be relied on to."""
        census, header = file.census, file.header
        if header.last_line > 1 or census.has_stray_quotes or census.line_end == "\r":
            return False
        source = _read_csv(len(header.names))
        try:
            self._insert(source, header.names, file.path)
            rows = self._count_rows(file.start)
            is_exact = self._separators_add_up(source, file, rows)
        except duckdb.InvalidInputException:
            is_exact = False
        if not is_exact:
            self.connection.rollback()
            self.connection.begin()
            return False
        numbers = self.row_numbers(_REJECTED, file.start)
        if census.lines == rows + 1 or not numbers:  # every record is one line
            lines = [number + 1 for number in numbers]
        else:
            lines = csv_records.start_lines(self._records(file), numbers)
        self._explain(file, lines)
        return True

    def _separators_add_up(self, source: str, file: _File, rows: int) -> bool:
        """Whether every comma and line end of a file separates values or stands in one.

        DuckDB passes over a comma too many at a row's end, and over a line end of another kind
        after blank values: the row may be shifted by then, or not be one.
        """
        census, names = file.census, file.header.names
        commas = census.commas - (len(names) - 1) * (rows + 1) - "".join(names).count(",")
        if commas == 0 and census.has_one_line_end:
            return True
        if census.quotes == 0:
            return False
        counts = ", ".join(_occurrences(len(names), text) for text in (",", "\n", "\r", "\r\n"))
        query = f"SELECT {counts} FROM {source}"
        inside = self.connection.execute(query, [str(file.path)]).fetchall()[0]
        ends = (census.newlines, census.returns, census.pairs)
        return commas == inside[0] and are_alike(*map(operator.sub, ends, inside[1:]))

    def _load_damaged(self, file: _File) -> tuple[int, bool]:
        """Take a file apart ourselves, and let DuckDB read what is sound of it.

        Returns:
            How many records are no rows at all, and whether the last one is such a record.
        """
        header = file.header.names
        names = [name for name in self.config.stored_columns if name in header]
        columns = [header.index(name) for name in names]
        good_path = self._scratch / "good.csv"
        with good_path.open("w", encoding="utf-8", newline="") as good:
            lines, bad = csv_records.separate(self._records(file), len(header), columns, good)
        self._insert(read_good(len(names)), names, good_path)
        good_path.unlink()
        numbers = self.row_numbers(_REJECTED, file.start)
        self._explain(file, [lines[number - 1] for number in numbers])
        self.connection.execute(
            "INSERT INTO rejections SELECT ?, unnest(?::BIGINT[]), '', unnest(?::VARCHAR[]), "
            "unnest(?::VARCHAR[])",
            [
                file.number,
                [record.line for record in bad],
                [record.text for record in bad],
                [record.problem for record in bad],
            ],
        )
        return len(bad), bool(bad) and (not lines or bad[-1].line > lines[-1])

    def _records(self, file: _File) -> Iterator[csv_records.Record]:
        """All records of a file, until its time is over."""
        for record in csv_records.read_records(file.path, file.census):
            if self._is_over.is_set():
                raise DataError("its time is over")
            yield record

    def _insert(self, source: str, names: Sequence[str], path: Path) -> None:
        """Check the rows of a source and append them to the table.

        Args:
            source: what DuckDB reads, with a parameter for the path; its columns are `c0`, ...
            names: what these columns hold; a stored column that is not among them is blank.
        """
        texts = [
            f"c{names.index(name)}" if name in names else "NULL::VARCHAR"
            for name in self.config.stored_columns
        ]
        known = validation.label(f"t{len(self.keys)}", self.config)
        is_early = self._is_early()
        self.connection.execute(
            f"WITH texts AS (SELECT {_named('t', texts)} FROM {source}), "
            f"checked AS (SELECT *, {_named('v', self._values())}, {known} AS known FROM texts), "
            f"judged AS (SELECT *, CASE WHEN {is_early} THEN NULL ELSE known END AS label, "
            f"CASE WHEN {is_early} THEN known END AS early FROM checked) "
            f"INSERT INTO rows SELECT {', '.join(self.keys)}, label, early, {self._problem()}, "
            f"false FROM judged",
            [str(path)],
        )

    def add_matured(self, path: Path) -> None:
        """Take in the rows of `unmatured.csv` that are mature by now."""
        columns = ", ".join([*self.keys, "label"])
        self.connection.execute(
            f"INSERT INTO rows SELECT {columns}, NULL, NULL, false FROM "
            f"{storage.read_stored(self.config)} WHERE {self.is_mature}",
            [str(path)],
        )

    @property
    def is_mature(self) -> str:
        """Whether the label of a row may be used, as SQL."""
        if self.config.snapshot_column is None:
            return "true"
        return f"{maturity.key(self.config)} <= '{maturity.last_mature(self.config, self.today)}'"

    def _is_early(self) -> str:
        """Whether the label of a checked row must not be used yet, as SQL."""
        if self.config.snapshot_column is None:
            return "false"
        return f"NOT ({self.is_mature}) AND known <> {validation.NEITHER}"

    def first_maturing(self, rows: str) -> str | None:
        """The day on which the first of some rows, as SQL after FROM, matures."""
        first = self.scalar(f"SELECT min({maturity.key(self.config)}) FROM {rows}")
        return None if first is None else maturity.maturing_day(self.config, first)

    def _values(self) -> Iterator[str]:
        """The stored columns before the label, as SQL on the texts `t0`, `t1`, ..."""
        for i, column in enumerate(self._names):
            if column in self.config.numeric_stored_columns:
                yield validation.number(f"t{i}")
            elif column == self.config.snapshot_column:
                yield validation.date(f"t{i}")
            else:
                is_id = column == self.config.id_column
                yield f"t{i}" if is_id else validation.category(f"t{i}")

    def _problem(self) -> str:
        """The first thing that is wrong with a checked row, as SQL; NULL for a good row."""
        columns = [validation.literal(name) for name in self.config.stored_columns]
        cases = " ".join(
            f"WHEN {condition} THEN {{'column': {columns[i]}, 'value': coalesce(t{i}, ''), "
            f"'reason': {reason}}}"
            for condition, i, reason in self._problems()
        )
        return f"CASE {cases} END"

    def _problems(self) -> Iterator[tuple[str, int, str]]:
        """What can be wrong with a row: condition, position of the column, reason; all as SQL."""
        config = self.config
        for i, column in enumerate(self._names):
            is_blank = validation.is_blank(f"t{i}")
            if column == config.id_column:
                yield is_blank, i, "'blank; every client has an id'"
            elif column in config.numeric_stored_columns:
                is_wrong = f"v{i} IS NULL AND NOT ({is_blank})"
                yield is_wrong, i, validation.number_problem(f"t{i}")
            elif column == config.snapshot_column:
                yield is_blank, i, "'blank; every row has a date'"
                yield f"v{i} IS NULL", i, "'not a date such as 2026-01-31'"
                latest = maturity.latest_date(self.today)
                yield f"v{i} > '{latest}'", i, "'a date in the future'"
        labels = f"neither {config.positive_label!r} nor {config.negative_label!r}"
        yield f"label = {validation.NEITHER}", len(self._names), validation.literal(labels)
        if config.id_column is None:
            is_empty = " AND ".join(f"{key} IS NULL" for key in [*self.keys, "label"])
            yield is_empty, 0, "'every value is blank'"

    def write_rejections(self, number: int, name: str, path: Path) -> None:
        """Write the rejected rows of a file, in the order of its lines, as CSV with a header.

        Args:
            number: the file's number when it was taken in.
            name: its name.
            path: gets the columns file, line, column, value, reason.
        """
        self.connection.execute(
            f'COPY (SELECT {validation.literal(name)} AS file, line, "column", value, reason '
            f"FROM rejections WHERE file = {number} ORDER BY line) "
            f"TO {validation.literal(str(path))} (FORMAT csv, HEADER true)"
        )

    def _explain(self, file: _File, lines: Sequence[int]) -> None:
        """Write down why rows were rejected; the lines they start in are given in their order."""
        self.connection.execute(
            "INSERT INTO rejections SELECT ?, line, unnest(problem) "
            "FROM (SELECT unnest(?::BIGINT[]) AS line) POSITIONAL JOIN "
            f"(SELECT problem FROM rows WHERE rowid >= ? AND {_REJECTED} ORDER BY rowid)",
            [file.number, list(lines), file.start],
        )

    def row_numbers(self, condition: str, start: int = 0) -> list[int]:
        """Numbers within the last file of the rows that fulfil an SQL condition, from 1 on.

        `start` rows are in the table before that file's.
        """
        # Until it is committed, the rowid of a file's first row is far above `start`.
        rows = self.connection.execute(
            "SELECT rowid - (SELECT min(rowid) FROM rows WHERE rowid >= $1) + 1 AS number "
            f"FROM rows WHERE rowid >= $1 AND ({condition}) ORDER BY number",
            [start],
        )
        return [int(row[0]) for row in rows.fetchall()]

    def _count_rows(self, start: int) -> int:
        return int(self.scalar("SELECT count(*) FROM rows WHERE rowid >= ?", [start]))

    def scalar(self, query: str, parameters: Sequence[object] = ()) -> Any:
        """The one value a query gives."""
        row = self.connection.execute(query, list(parameters)).fetchone()
        return row[0] if row else None


def _read_csv(width: int) -> str:
    """A CSV file with a header as SQL, with a parameter for the path; all columns are text."""
    options = f"{storage.READ_OPTIONS}, max_line_size={csv_records.MAXIMUM_RECORD}"
    return f"read_csv(?, columns={_texts(width)}, header=true, {options})"


def read_good(width: int) -> str:
    """The same for what `csv_records.separate` wrote: columns `c0`, `c1`, ..., no header."""
    return f"read_csv(?, columns={_texts(width)}, header=false, {storage.READ_OWN_OPTIONS})"


def _texts(width: int) -> dict[str, str]:
    # As Python writes it, DuckDB reads it.
    return {f"c{i}": "VARCHAR" for i in range(width)}


def _named(letter: str, expressions: Iterable[str]) -> str:
    """Expressions as columns with a letter and a number each: `... AS v0, ... AS v1`."""
    return ", ".join(f"{text} AS {letter}{i}" for i, text in enumerate(expressions))


def _occurrences(width: int, text: str) -> str:
    """How often a text stands in the values of so many columns, as SQL."""
    without = [f"replace(c{i}, {validation.literal(text)}, '')" for i in range(width)]
    values = " + ".join(f"coalesce(len(c{i}) - len({without[i]}), 0)" for i in range(width))
    return f"(sum({values}) // {len(text)})::BIGINT"


@contextlib.contextmanager
def connect(config: Config, scratch: Path, input_bytes: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB in memory that puts what is too large for it into a folder, and asks no network.

    Args:
        config: the settings; `memory_limit` is the most it takes.
        scratch: an existing folder.
        input_bytes: size of the files that will be read: little work takes little memory.

    Raises:
        PipelineError: DuckDB fails for want of memory or disk, or cannot read or write a file.
    """
    wanted = _MEMORY_PER_CORE * (os.cpu_count() or 1) + 3 * input_bytes // 2
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{min(wanted, _bytes(config.memory_limit))}B",
        "temp_directory": str(scratch / "spill"),
        "autoload_known_extensions": "false",
        "autoinstall_known_extensions": "false",
        # A checkpoint would only compress the tables, which takes longer than all else.
        "checkpoint_threshold": "1TB",
    }
    try:
        with duckdb.connect(":memory:", config=settings) as connection:
            yield connection
    except duckdb.OutOfMemoryException as error:
        raise PipelineError(
            f"not enough memory or disk space (setting memory_limit is {config.memory_limit}): "
            f"{_first_line(error)}"
        ) from None
    except duckdb.IOException as error:
        raise PipelineError(_first_line(error)) from None


@contextlib.contextmanager
def session(config: Config, input_bytes: int) -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
    """As `connect`, with a folder for temporary files, which is removed afterwards."""
    with scratch_folder() as folder, connect(config, folder, input_bytes) as connection:
        yield connection, folder


def _bytes(size: str) -> int:
    return int(size[:-2]) * {"MB": 1_000_000, "GB": 1_000_000_000}[size[-2:]]


def _first_line(error: Exception) -> str:
    # Further lines may quote the data, and client values have no place in a log.
    text = str(error).partition("\n")[0]
    # Of an error in a thread of its own DuckDB tells the JSON it was handed over in.
    before, brace, packed = text.partition("{")
    try:
        words = json.loads(brace + packed)["exception_message"]
    except (ValueError, KeyError, TypeError):
        return text
    return f"{before.partition(':')[0]}: {words}"


@contextlib.contextmanager
def unpacked(config: Config, batch: source_files.Batch, scratch: Path) -> Iterator[Path]:
    """A batch as a file that is not compressed: itself, or a copy in the scratch folder.

    Raises:
        DataError: it is too large, cannot be read, or is no sound gzip file.
    """
    most = config.maximum_unpacked_megabytes
    if not batch.is_packed:
        if batch.stamp.size > most * MEGABYTE:
            raise DataError(f"larger than {most} MB (setting maximum_unpacked_megabytes)")
        yield batch.path
        return
    plain = scratch / "unpacked.csv"
    try:
        with source_files.open_batch(batch) as packed, plain.open("wb") as stream:
            unpack(packed, stream, most)
        yield plain
    finally:
        plain.unlink(missing_ok=True)
