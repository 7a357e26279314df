"""The table in which client rows are gathered: checked as they come in, duplicates marked.

DuckDB does the work: it reads sound files fast, keeps what does not fit into memory on disk, and
sees every value as text until a check of ours has accepted it. A file that it cannot be trusted
with is taken apart by `csvfiles` first.
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

from attrition.core import atomic_files
from attrition.core.config import Config
from attrition.core.errors import DataError, PipelineError
from attrition.data import csv_records, source_files, storage, validation
from attrition.data.csv_scan import MEGABYTE, CsvScan, are_alike, scan_csv, unpack
from attrition.data.ledger import Cut

# Rows of the table that are labelled, and those that go to finaldata.csv.
GOOD = "raw IS NULL AND label IS NOT NULL"
KEPT = f"{GOOD} AND NOT is_duplicate"
# Stands between the texts of a rejected row: no file with this character is read.
_SEPARATOR = "chr(0)"
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


class _TimeLimit:
    """The time that one file may take: when it is over, DuckDB stops at once, the rest sees it."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.is_over = False
        self._connection: duckdb.DuckDBPyConnection | None = connection
        self._lock = threading.Lock()

    def end(self) -> None:
        with self._lock:
            if self._connection is not None:
                self.is_over = True
                self._connection.interrupt()

    def lift(self) -> None:
        """From now on no query is stopped."""
        with self._lock:
            self._connection = None


@contextlib.contextmanager
def _time_limit(connection: duckdb.DuckDBPyConnection, config: Config) -> Iterator[_TimeLimit]:
    """A limit to what is done with one file, so that it holds up neither others nor the next run.

    Raises:
        DataError: the time is over.
    """
    limit = _TimeLimit(connection)
    timer = threading.Timer(60 * config.run_deadline_minutes * PART_OF_A_RUN, limit.end)
    timer.daemon = True
    timer.start()
    try:
        yield limit
    except (duckdb.InterruptException, DataError):
        if not limit.is_over:
            raise
    finally:
        timer.cancel()
        limit.lift()
    if limit.is_over:
        raise DataError(
            f"reading it took more than {60 * config.run_deadline_minutes * PART_OF_A_RUN:g} "
            f"seconds, a quarter of a run's time (setting run_deadline_minutes); split the file"
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
    `label` (1, 0; NULL for an open client), `is_duplicate`, and `raw`: NULL for a good row, the
    joined texts of all stored columns for one that is rejected. `rowid` is the order of arrival.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, config: Config, scratch: Path
    ) -> None:
        self.connection = connection
        self.config = config
        self._scratch = scratch
        self.keys = storage.keys(config)
        self._names = config.stored_columns[:-1]
        # What tells one client from another: the id, or without one the whole row.
        self.client_columns = [
            key
            for key, name in zip(self.keys, self._names, strict=True)
            if config.id_column in (name, None)
        ]
        kinds = ", ".join(
            f"v{i} {storage.kind_of(config, column)}" for i, column in enumerate(self._names)
        )
        connection.execute(
            f"CREATE TABLE rows ({kinds}, label TINYINT, raw VARCHAR, "
            f"is_duplicate BOOLEAN DEFAULT false)"
        )
        connection.execute(
            "CREATE TABLE rejections (file INTEGER, line BIGINT, "
            '"column" VARCHAR, value VARCHAR, reason VARCHAR)'
        )

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
            path: the file.
            number: names the file among the rejections.
            optional: stored columns that need not be there; they are blank then.

        Raises:
            DataError: the whole file is unusable, for this reason; the transaction is to be left.
        """
        with _time_limit(self.connection, self.config) as self._limit:
            return self._add(path, number, optional)

    def _add(self, path: Path, number: int, optional: Sequence[str]) -> Intake:
        with path.open("rb") as stream:
            census = scan_csv(stream)
        header = csv_records.read_header(path, census)
        required = [name for name in self.config.stored_columns if name not in optional]
        csv_records.check_header(header.names, required, optional)
        file = _File(path, number, census, header, start=self._count_rows(0))
        lost, is_last_lost = (0, False) if self._load_sound(file) else self._load_damaged(file)
        counts = "count(*), count(raw), count(*) FILTER (raw IS NULL AND label IS NULL)"
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
        source = read_csv(f"c{i}" for i in range(len(header.names)))
        try:
            self._insert(source, {name: f"c{i}" for i, name in enumerate(header.names)}, file.path)
            rows = self._count_rows(file.start)
            is_exact = self._separators_add_up(source, file, rows)
        except duckdb.InvalidInputException:
            is_exact = False
        if not is_exact:
            self.connection.rollback()
            self.connection.begin()
            return False
        numbers = self._rejected_numbers(file)
        if census.lines == rows + 1 or not numbers:  # every record is one line
            lines = [number + 1 for number in numbers]
        else:
            lines = csv_records.start_lines(self._records(file), numbers)
        self._explain(file, numbers, lines)
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
        found = file.header.names
        names = [name for name in self.config.stored_columns if name in found]
        columns = [found.index(name) for name in names]
        good_path = self._scratch / "good.csv"
        with good_path.open("w", encoding="utf-8", newline="") as good:
            lines, bad = csv_records.separate(self._records(file), len(found), columns, good)
        source = read_good(f"c{i}" for i in range(len(names)))
        self._insert(source, {name: f"c{i}" for i, name in enumerate(names)}, good_path)
        good_path.unlink()
        numbers = self._rejected_numbers(file)
        self._explain(file, numbers, [lines[number - 1] for number in numbers])
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
            if self._limit.is_over:
                raise DataError("its time is over")
            yield record

    def _insert(self, source: str, positions: dict[str, str], path: Path) -> None:
        """Check the rows of a source and append them to the table.

        Args:
            source: what DuckDB reads, with a parameter for the path.
            positions: name of a stored column -> the source's column; blank without one.
            path: the file.
        """
        config = self.config
        texts = [positions.get(name, "NULL::VARCHAR") for name in config.stored_columns]
        values = [
            f"{self._value(*pair)} AS v{i}"
            for i, pair in enumerate(zip(self._names, texts[:-1], strict=True))
        ]
        parts = ", ".join(f"coalesce({text}, '')" for text in texts)
        self.connection.execute(
            f"INSERT INTO rows SELECT {', '.join(self.keys)}, label, CASE "
            f"WHEN {self._is_bad(texts)} THEN concat_ws({_SEPARATOR}, {parts}) END, false FROM "
            f"(SELECT *, {', '.join(values)}, {validation.label(texts[-1], config)} AS label "
            f"FROM {source})",
            [str(path)],
        )

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

    def _value(self, column: str, text: str) -> str:
        if column in self.config.numeric_stored_columns:
            return validation.number(text)
        return text if column == self.config.id_column else validation.category(text)

    def _is_bad(self, texts: Sequence[str]) -> str:
        """Whether a checked row is to be rejected."""
        problems = [condition for condition, _, _ in self._problems(texts)]
        return " OR ".join(f"({problem})" for problem in problems)

    def _problems(self, texts: Sequence[str]) -> list[tuple[str, int, str]]:
        """What can be wrong with a row: condition, position of the column, reason as SQL."""
        problems = []
        for i, column in enumerate(self._names):
            if column == self.config.id_column:
                problems.append(
                    (validation.is_blank(texts[i]), i, "'blank; every client has an id'")
                )
            elif column in self.config.numeric_stored_columns:
                is_blank = validation.is_blank(texts[i])
                is_text = f"CASE WHEN v{i} IS NULL THEN NOT ({is_blank}) ELSE false END"
                problems.append((is_text, i, validation.number_problem(texts[i])))
        labels = f"{self.config.positive_label!r} nor {self.config.negative_label!r}"
        reason = validation.literal(f"neither {labels}")
        problems.append(
            (f"coalesce(label = {validation.NEITHER}, false)", len(self._names), reason)
        )
        if self.config.id_column is None:
            blank = " AND ".join(f"{key} IS NULL" for key in [*self.keys, "label"])
            problems.append((blank, 0, "'every value is blank'"))
        return problems

    def _explain(self, file: _File, numbers: Sequence[int], lines: Sequence[int]) -> None:
        """Write down why rows were rejected."""
        if not numbers:
            return
        names = self.config.stored_columns
        texts = [f"texts[{i + 1}]" for i in range(len(names))]
        cases = " ".join(
            f"WHEN {condition} THEN {{'column': {validation.literal(names[i])}, "
            f"'value': {texts[i]}, 'reason': {reason}}}"
            for condition, i, reason in self._problems(texts)
        )
        self.connection.execute(
            f"INSERT INTO rejections SELECT {file.number}, line, problem.column, "
            f"coalesce(problem.value, ''), problem.reason FROM (SELECT line, CASE {cases} END "
            f"AS problem FROM (SELECT unnest(?::BIGINT[]) + {self._first_row(file) - 1} AS r, "
            f"unnest(?::BIGINT[]) AS line) JOIN "
            f"(SELECT *, rowid, string_split(raw, {_SEPARATOR}) AS texts FROM rows) AS rejected "
            f"ON rejected.rowid = r)",
            [list(numbers), list(lines)],
        )

    def _rejected_numbers(self, file: _File) -> list[int]:
        """Numbers within their file of the rejected rows, the first row being 1."""
        query = (
            "SELECT rowid - ? + 1 AS n FROM rows WHERE rowid >= ? AND raw IS NOT NULL ORDER BY n"
        )
        found = self.connection.execute(query, [self._first_row(file), file.start])
        return [int(row[0]) for row in found.fetchall()]

    def _first_row(self, file: _File) -> int:
        """The rowid of a file's first row: far above its later one until it is committed."""
        return int(self.scalar("SELECT min(rowid) FROM rows WHERE rowid >= ?", [file.start]) or 0)

    def _count_rows(self, start: int) -> int:
        return int(self.scalar("SELECT count(*) FROM rows WHERE rowid >= ?", [start]))

    def scalar(self, query: str, parameters: Sequence[object] = ()) -> Any:
        """The one value a query gives."""
        row = self.connection.execute(query, list(parameters)).fetchone()
        return row[0] if row else None


def read_csv(columns: Iterable[str]) -> str:
    """A CSV file with a header as SQL, with a parameter for the path; every column is text."""
    options = f"{storage.READ_OPTIONS}, max_line_size={csv_records.MAXIMUM_RECORD}"
    return f"read_csv(?, columns={{{_texts(columns)}}}, header=true, {options})"


def read_good(columns: Iterable[str]) -> str:
    """The same for what `csvfiles.separate` found good."""
    return f"read_csv(?, columns={{{_texts(columns)}}}, header=false, {storage.READ_OWN_OPTIONS})"


def _occurrences(width: int, text: str) -> str:
    """How often a text stands in the values of so many columns, as SQL."""
    without = [f"replace(c{i}, {validation.literal(text)}, '')" for i in range(width)]
    values = " + ".join(f"coalesce(len(c{i}) - len({without[i]}), 0)" for i in range(width))
    return f"(sum({values}) // {len(text)})::BIGINT"


def _texts(columns: Iterable[str]) -> str:
    return ", ".join(f"'{column}': 'VARCHAR'" for column in columns)


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
