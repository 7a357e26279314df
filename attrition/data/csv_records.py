"""CSV files as text: their header, their records, and which records are usable.

The format is RFC 4180 in UTF-8: commas, quotation marks doubled inside quoted values, one kind of
line end. DuckDB reads sound files fast; this module takes damaged ones apart, slowly and exactly
(Python's `csv` in strict mode splits the values).
"""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

from attrition.core.errors import DataError
from attrition.core.formatting import plural
from attrition.core.spelling import closest
from attrition.data.csv_scan import CsvScan, scan_file

# A longer record is not a client row; also the longest value that Python's csv module accepts.
MAXIMUM_RECORD = 131_072


STRAY_QUOTE = "a quotation mark inside an unquoted value"
# The values of one record by RFC 4180; Python's csv accepts a stray quotation mark.
_VALUE = r'(?:"[^"]*+(?:""[^"]*+)*+"|[^",]*+)'
_VALUES = re.compile(rf"{_VALUE}(?:,{_VALUE})*+")
# The same with stray quotation marks and text after closing ones: broken, but its end is known.
_BROKEN_VALUE = r'(?:"[^"]*+(?:""[^"]*+)*+"[^,]*+|(?!")[^,]*+)'
_BROKEN_VALUES = re.compile(rf"{_BROKEN_VALUE}(?:,{_BROKEN_VALUE})*+")

# In a reason, what follows quotes the file: logs, which must not hold clients' data, omit it.
FOUND = "; found "
_SEPARATOR = "sep=,"  # a first line that tells Excel what separates values
_RETURN = "a carriage return inside the row"


@dataclass(frozen=True)
class Record:
    """One record: its first line, its values, and why it cannot be used (None: it can)."""

    line: int
    values: list[str]
    problem: str | None
    text: str


@dataclass(frozen=True)
class Header:
    """The header of a file: its names without surrounding blanks, and its lines."""

    names: tuple[str, ...]
    line: int
    last_line: int


def read_header(path: Path, scan: CsvScan) -> Header:
    """The first record of a file.

    Raises:
        DataError: it cannot be read.
    """
    with _open_text(path, scan) as stream:
        lines = _Lines(stream)
        for record in _records(lines):
            if record.problem == _RETURN:
                raise DataError(
                    f"its lines end in two ways, {scan.newlines - scan.pairs:,} in LF, "
                    f"{scan.pairs:,} in CR LF and {scan.returns - scan.pairs:,} in CR alone; "
                    f"save it with one kind of line end"
                )
            if record.problem:
                raise DataError(
                    f"the header in line {record.line} cannot be read: {record.problem}"
                )
            names = tuple(name.strip() for name in record.values)
            return Header(names, record.line, lines.number)
    raise DataError("the file is empty")


def column_names(path: Path) -> tuple[str, ...]:
    """The names in a file's header.

    Raises:
        DataError: the file is empty, not UTF-8, or its header cannot be read.
    """
    return read_header(path, scan_file(path)).names


def check_header(names: Sequence[str], required: Sequence[str], optional: Sequence[str]) -> None:
    """Refuse a header in which a column is missing or occurs twice.

    Raises:
        DataError: says what was expected and what was found.
    """
    missing = [name for name in required if name not in names]
    if missing:
        raise DataError(
            f"missing column{'s' if len(missing) > 1 else ''} {_listed(missing)}"
            f"{_spelling_hint(names, required, missing)}; "
            f"expected {_listed(required)}{_separator_hint(names)}{FOUND}{_listed(names)}"
        )
    doubled = [name for name in (*required, *optional) if names.count(name) > 1]
    if doubled:
        raise DataError(f"doubled column{'s' if len(doubled) > 1 else ''} {_listed(doubled)}")


def _listed(names: Sequence[str], most: int = 30) -> str:
    shown = ", ".join(repr(name if len(name) <= 60 else name[:57] + "...") for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def _spelling_hint(names: Sequence[str], required: Sequence[str], missing: Sequence[str]) -> str:
    """A hint at the columns of a header that were probably meant.

    It is empty unless most columns are present or nearly so: in a file without a header the first
    record is a client, and logs must not hold clients' data.
    """
    others = [name for name in names if name not in required]
    meant = [name for name in (closest(column, others) for column in missing) if name is not None]
    if 2 * (len(required) - len(missing) + len(meant)) <= len(required) or not meant:
        return ""
    return f" (did you mean {_listed(meant)}?)"


def _separator_hint(names: Sequence[str]) -> str:
    if len(names) == 1 and names[0].lower() == "sep=":  # a tab is stripped
        return " (its first line tells Excel of another separator; commas are needed)"
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")):
        if len(names) == 1 and separator in names[0]:
            return f" (the file seems to be separated by {name}; commas are needed)"
    return ""


def read_records(path: Path, scan: CsvScan) -> Iterator[Record]:
    """All records after the header, the unusable ones with their reason.

    Blank lines are skipped. A record is unusable when its quoting is broken, when it is too long,
    or when its line end differs from the header's.

    Raises:
        DataError: the file cannot be used, since the limits of its records are no longer clear.
    """
    with _open_text(path, scan) as stream:
        lines = _Lines(stream)
        records = _records(lines)
        next(records, None)
        expected = lines.end
        for record in records:
            if record.problem is None and lines.end not in (expected, ""):
                problem = f"the line ends in {_shown(lines.end)}, the header in {_shown(expected)}"
                yield Record(record.line, record.values, problem, record.text)
            else:
                yield record


def separate(
    records: Iterable[Record], width: int, columns: Sequence[int], good: IO[str]
) -> tuple[array[int], list[Record]]:
    """Separate the usable records of a damaged file from the others.

    Args:
        records: of the file, from `read_records`.
        width: number of columns of the header.
        columns: positions of the values to keep.
        good: gets the kept values of every usable record, as CSV without a header.

    Returns:
        The line each usable record starts in, and the unusable records.

    Raises:
        DataError: as `read_records`.
    """
    # Everything is quoted, so that even a lone carriage return stays inside its value.
    writer = csv.writer(good, quoting=csv.QUOTE_ALL, lineterminator="\n")
    lines = array("q")
    bad = []
    for record in records:
        if record.problem is not None:
            bad.append(record)
        elif problem := wrong_width(record, width):
            bad.append(Record(record.line, record.values, problem, record.text))
        else:
            writer.writerow([record.values[column] for column in columns])
            lines.append(record.line)
    return lines, bad


def wrong_width(record: Record, width: int) -> str | None:
    """What is wrong with a record of more or fewer values than columns; None with any other."""
    count = len(record.values)
    return None if count == width else f"{plural(count, 'value')}, the header has {width} columns"


def start_lines(records: Iterable[Record], numbers: Sequence[int]) -> list[int]:
    """The physical lines in which some records of a sound file start.

    Args:
        records: of the file, from `read_records`.
        numbers: of records, the first record after the header being 1.
    """
    wanted = set(numbers)
    read = enumerate(islice(records, max(numbers, default=0)), start=1)
    return [record.line for number, record in read if number in wanted]


def _open_text(path: Path, scan: CsvScan) -> IO[str]:
    return path.open(encoding="utf-8-sig", newline=scan.line_end)


class _Lines:
    """An iterator over the physical lines of a file for `csv.reader`, which counts them."""

    def __init__(self, stream: IO[str]) -> None:
        self.number = 0
        self.end = ""
        self.is_too_long = False
        self._stream = stream
        self._text: list[str] = []
        self._length = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(MAXIMUM_RECORD)
        if not line:
            raise StopIteration
        self.number += 1
        self.end = _line_end(line)
        self._length += len(line)
        if self._length >= MAXIMUM_RECORD:
            return self._skip()
        self._text.append(line)
        return line

    def start_record(self) -> None:
        self._text = []
        self._length = 0
        self.is_too_long = False

    @property
    def text(self) -> str:
        """The record so far."""
        return "".join(self._text).rstrip("\r\n")

    def _skip(self) -> str:
        """Skip a line that is too long; csv.reader gets a blank one instead."""
        if self._text:
            raise DataError(
                f"a value of more than {MAXIMUM_RECORD:,} characters before line {self.number}; "
                f"a quotation mark that is never closed?"
            )
        while not self.end:
            rest = self._stream.readline(MAXIMUM_RECORD)
            if not rest:
                break
            self.end = _line_end(rest)
        self.is_too_long = True
        return "\n"


def _records(lines: _Lines) -> Iterator[Record]:
    reader = csv.reader(lines, strict=True)
    while True:
        first = lines.number + 1
        lines.start_record()
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Record(first, [], _quoting_problem(error, first, lines), lines.text)
            continue
        if first == 1 and lines.text.lower() == _SEPARATOR:
            continue
        if lines.is_too_long:
            yield Record(first, [], f"longer than {MAXIMUM_RECORD:,} characters", "")
        elif values:
            text = lines.text
            is_sound = '"' not in text or _VALUES.fullmatch(text)
            yield Record(first, values, None if is_sound else STRAY_QUOTE, text)


def _quoting_problem(error: csv.Error, first: int, lines: _Lines) -> str:
    text = str(error)
    if "unexpected end" in text:
        raise DataError(f"a quotation mark opened in line {first} is never closed")
    if "new-line character" in text:
        return _RETURN
    if lines.number > first:
        raise DataError(
            f"a quotation mark opened in line {first} is still open in line {lines.number}, "
            f"where text follows the closing one"
        )
    if not _BROKEN_VALUES.fullmatch(lines.text):
        raise DataError(
            f"in line {first} text follows a closing quotation mark, and another one stays open"
        )
    return "text follows a closing quotation mark"


def _line_end(line: str) -> str:
    if line.endswith("\r\n"):
        return "\r\n"
    return line[-1] if line[-1] in "\r\n" else ""


def _shown(line_end: str) -> str:
    names = {"\r\n": "CR LF", "\n": "LF", "\r": "CR"}
    return names.get(line_end, "nothing")
