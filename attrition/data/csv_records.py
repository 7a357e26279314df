"""CSV files as text: what the header says, which records there are, and which of them are sound.

The format is RFC 4180 in UTF-8: commas, quotation marks doubled inside quoted values, one kind of
line end. DuckDB reads sound files fast; what is here takes apart, slowly and exactly, one that is
not (Python's `csv` in its strict mode tells the values apart).
"""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from attrition.core.errors import DataError
from attrition.core.spelling import closest
from attrition.data.csv_scan import Census, take_census

# A client row longer than this is none; also the longest value Python's csv module takes.
MAXIMUM_RECORD = 131_072


STRAY_QUOTE = "a quotation mark inside an unquoted value"
# The values of one record by RFC 4180; Python's csv does not mind a stray quotation mark.
_VALUE = r'(?:"[^"]*+(?:""[^"]*+)*+"|[^",]*+)'
_VALUES = re.compile(rf"{_VALUE}(?:,{_VALUE})*+")
# The same with text behind quotation marks that close, and stray ones: broken, but it ends here.
_BROKEN_VALUE = r'(?:"[^"]*+(?:""[^"]*+)*+"[^,]*+|(?!")[^,]*+)'
_BROKEN_VALUES = re.compile(rf"{_BROKEN_VALUE}(?:,{_BROKEN_VALUE})*+")

# Before what a reason quotes of the file itself: a log, which must not hold clients, stops there.
FOUND = "; found "
_RETURN = "a carriage return inside the row"


@dataclass(frozen=True)
class Record:
    """One record: the line it starts in, its values, and why it cannot be used (None: it can)."""

    line: int
    values: list[str]
    problem: str | None
    text: str


@dataclass(frozen=True)
class Header:
    """The header of a file: its names, surrounding blanks removed, and where it stands."""

    names: tuple[str, ...]
    line: int
    last_line: int


def read_header(path: Path, census: Census) -> Header:
    """The first record of a file.

    Raises:
        DataError: it cannot be read.
    """
    with _open_text(path, census) as stream:
        lines = _Lines(stream)
        for record in _records(lines):
            if record.problem == _RETURN:
                raise DataError(
                    f"its lines end in two ways, {census.newlines - census.pairs:,} in LF, "
                    f"{census.pairs:,} in CR LF and {census.returns - census.pairs:,} in CR alone; "
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
    with path.open("rb") as stream:
        census = take_census(stream)
    return read_header(path, census).names


def check_header(found: Sequence[str], required: Sequence[str], optional: Sequence[str]) -> None:
    """Refuse a header in which a column is missing or stands twice.

    Raises:
        DataError: says what was expected and what was found.
    """
    missing = [name for name in required if name not in found]
    if missing:
        raise DataError(
            f"missing column{'s' if len(missing) > 1 else ''} {_listed(missing)}"
            f"{_spelling_hint(found, required, missing)}; "
            f"expected {_listed(required)}{_separator_hint(found)}{FOUND}{_listed(found)}"
        )
    doubled = [name for name in (*required, *optional) if found.count(name) > 1]
    if doubled:
        raise DataError(f"doubled column{'s' if len(doubled) > 1 else ''} {_listed(doubled)}")


def _listed(names: Sequence[str], most: int = 30) -> str:
    shown = ", ".join(repr(name if len(name) <= 60 else name[:57] + "...") for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def _spelling_hint(found: Sequence[str], required: Sequence[str], missing: Sequence[str]) -> str:
    """Which columns of a header were probably meant.

    Only where most columns are there or nearly so: the first record of a file without a header is a
    client, of whom no log may tell.
    """
    others = [name for name in found if name not in required]
    meant = [name for name in (closest(column, others) for column in missing) if name is not None]
    if 2 * (len(required) - len(missing) + len(meant)) <= len(required) or not meant:
        return ""
    return f" (did you mean {_listed(meant)}?)"


def _separator_hint(found: Sequence[str]) -> str:
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")):
        if len(found) == 1 and separator in found[0]:
            return f" (the file seems to be separated by {name}; commas are needed)"
    return ""


def read_records(path: Path, census: Census) -> Iterator[Record]:
    """All records after the header, the unusable ones with their reason.

    Blank lines are no records. A record is unusable when its quoting is broken, when it is too
    long, or when its line does not end as the header's line does.

    Raises:
        DataError: where records begin and end can no longer be told, so the file is no good.
    """
    with _open_text(path, census) as stream:
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
    """Take a damaged file apart.

    Args:
        records: of the file, as `read_records` gives them.
        width: number of columns of the header.
        columns: positions of the values to keep.
        good: gets the kept values of every sound record, as CSV without a header.

    Returns:
        The line each sound record starts in, and the unusable records.

    Raises:
        DataError: as `read_records`.
    """
    # Everything quoted: also a lone carriage return then stays inside its value.
    writer = csv.writer(good, quoting=csv.QUOTE_ALL, lineterminator="\n")
    lines = array("q")
    bad = []
    for record in records:
        if record.problem is not None:
            bad.append(record)
        elif len(record.values) != width:
            found = len(record.values)
            problem = f"{found} value{'s' if found > 1 else ''}, the header has {width} columns"
            bad.append(Record(record.line, record.values, problem, record.text))
        else:
            writer.writerow([record.values[column] for column in columns])
            lines.append(record.line)
    return lines, bad


def start_lines(records: Iterable[Record], numbers: Sequence[int]) -> list[int]:
    """The physical lines in which some records of a sound file start.

    Args:
        records: of the file, as `read_records` gives them.
        numbers: ascending numbers of records, the first record after the header being 1.
    """
    wanted = iter(numbers)
    following = next(wanted, None)
    found = []
    for number, record in enumerate(records, start=1):
        if following is None:
            break
        if number == following:
            found.append(record.line)
            following = next(wanted, None)
    return found


def _open_text(path: Path, census: Census) -> IO[str]:
    return path.open(encoding="utf-8-sig", newline=census.line_end)


class _Lines:
    """The physical lines of a file, counted, as `csv.reader` wants them."""

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
        """Leave out a line that is too long; csv.reader takes it for a blank one."""
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
