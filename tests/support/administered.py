"""Tables of known client rows, what must have become of them, and the advice that messages give.

The rows are counted without the project's code: Python's csv reads what the tests themselves made.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

# In this order in the tables; the one that can be cut off and is a number still comes last.
NUMERIC = ("lastmonth_activity", "lastyear_activity", "number_of_employees")
COLUMNS = ("exited", "corporation", *NUMERIC)
LABEL, ID = 0, 1

Row = tuple[str, ...]  # the values in the order of COLUMNS; a label of "" makes an open client


def client_row(number: int) -> Row:
    """The row of a client; another number gives another client."""
    name = f"Client {number}"
    if number % 11 == 4:
        name += ', "West"\nand East'  # a line end is not the end of a row
    label = "" if number % 7 == 3 else str(int(number % 5 < 2))
    month, year, size = number * 37 % 100, number * 53 % 1000, 100 + number * 11 % 900
    return (label, name, str(month), str(year), str(size))


def client_rows(first: int, count: int) -> tuple[Row, ...]:
    """The rows of clients with numbers from the first on."""
    return tuple(client_row(number) for number in range(first, first + count))


@dataclass(frozen=True)
class Table:
    """A source file.

    Attributes:
        rows: the good ones.
        broken: ids of clients with a text where a number belongs.
        cut: bytes that are missing at its end: 1 the line end, more also digits of the last number.
        padding: bytes of a further column, to make it large.
    """

    rows: tuple[Row, ...]
    broken: tuple[str, ...] = ()
    cut: int = 0
    padding: int = 0

    @property
    def content(self) -> bytes:
        """As it stands on the disk."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        further = ["p" * self.padding] if self.padding else []
        writer.writerow([*COLUMNS, *(["further"] if self.padding else [])])
        writer.writerows(("0", name, "many", "2", "300", *further) for name in self.broken)
        writer.writerows((*row, *further) for row in self.rows)
        content = stream.getvalue().encode()
        return content[: len(content) - self.cut]

    @property
    def whole_rows(self) -> tuple[Row, ...]:
        """Those that surely stand there with their last value whole."""
        return self.rows[:-1] if self.cut else self.rows

    @property
    def last_rows(self) -> set[Row]:
        """What the last one may be read as, where the file is cut."""
        if not self.cut:
            return set()
        *values, last = self.rows[-1]
        return {(*values, last[: len(last) - self.cut + 1])}


def stored_rows(content: bytes) -> list[Row]:
    """The rows of a file that the pipeline wrote, in the order of COLUMNS; "" for a missing column.

    Numbers are in their shortest form.
    """
    stream = io.StringIO(content.decode("utf-8-sig"), newline="")
    return [
        tuple(shortest(row.get(column) or "") for column in COLUMNS)
        for row in csv.DictReader(stream)
    ]


def shortest(value: str) -> str:
    """A number without what does not change it, any other text as it is."""
    return f"{float(value):g}" if re.fullmatch(r"-?\d+(\.\d+)?", value) else value


def projected(rows: Iterable[Row], numeric: Sequence[str]) -> set[Row]:
    """Rows as they are stored where the model looks at these numeric columns alone."""
    left = {"exited", "corporation", *numeric}
    return {
        tuple(value if name in left else "" for name, value in zip(COLUMNS, row, strict=True))
        for row in rows
    }


def doubled(rows: Iterable[Row]) -> list[Row]:
    """The rows that stand there more than once."""
    return [row for row, count in Counter(rows).items() if count > 1]


@dataclass(frozen=True)
class Advice:
    """What a message says to do: `restore`, `delete`, `raise`, `run`, `undo`, `put back`, `make`.

    `what` is a path, a setting, or a script and its arguments.
    """

    do: str
    what: str = ""


# The group is what to do it with.
_ADVICE = (
    ("run", re.compile(r"\b((?:fullprocess|ingestion|reporting|deployment)\.py(?: --[a-z-]+)*)")),
    ("restore", re.compile(r"^(?:error: )?(/[^:]+): .*\brestore\b")),
    ("restore", re.compile(r"\brestore it, or (/\S+) where that is an older copy")),
    ("delete", re.compile(r"\b(?:delete|move|remove) (/[^\s,;:']+)")),
    ("raise", re.compile(r"\b(?:setting|raise) `?([a-z]+_[a-z_]+)")),
    ("undo", re.compile(r"\bundo\b()")),
    ("undo", re.compile(r"^error: \S+/(?:config\.json): .*\bexpected\b()")),
    ("undo", re.compile(r"^error: \S+/(?:config\.json): (?:unknown key|not valid JSON)()")),
    ("undo", re.compile(r"\bcorrect the files, or the columns\b()")),
    ("put back", re.compile(r"\bput (?:it |them |what is missing )?back\b()")),
    ("make", re.compile(r"mkdir -p '([^']+)'")),
)


def advice(lines: Iterable[str]) -> list[Advice]:
    """What messages say to do, each once, in the order in which it stands in _ADVICE."""
    return list(dict.fromkeys(_advice(list(lines))))


def _advice(lines: Sequence[str]) -> Iterator[Advice]:
    for do, pattern in _ADVICE:
        for line in lines:
            yield from (Advice(do, found) for found in pattern.findall(line))
