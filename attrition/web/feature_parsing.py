"""Client rows as columns of a scorecard, from what a client of the API sends: records or CSV.

Nothing heavy: the server must start in a moment and stay small. The same text means the same here
and in ingestion: blanks are missing, categories are trimmed, and what is no number is an error that
names row and column.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from attrition.core.errors import DataError
from attrition.core.formatting import plural
from attrition.core.loading import uncollected
from attrition.data.csv_scan import first_stray_quote
from attrition.web.plain_csv import plain_table

Columns = dict[str, NDArray[Any]]
Levels = Mapping[str, Collection[str]]
_NO_LEVELS: Levels = {}
MOST_COLUMNS = 10_000  # of a CSV table
_FIRST_LINE = re.compile(rb"[^\r\n]*")

# What Python and MLflow's client write for some numbers and JSON has not.
_NO_NUMBER = re.compile(r"NaN|-?Infinity")
# The same after what is before it (texts may hold the same letters), or a part of the body without
# it: a search of all at once would hold up the other threads.
_PIECE = re.compile(
    rb"""((?:[^"NI-]++|"[^"\\]*+(?:\\.[^"\\]*+)*+"?|(?!NaN|-?Infinity).){0,9999}+)(NaN|-?Infinity)?""",
    re.DOTALL,
)


def decoded_json(data: bytes | bytearray) -> Any:
    """Decode strict JSON (RFC 8259): UTF-8, and no NaN or Infinity.

    Raises:
        DataError: it is not that, or nested too deeply.
    """
    try:
        return _loaded(data)
    except orjson.JSONDecodeError as error:
        reason = error.msg
        after_sign = error.pos > 0 and error.doc[error.pos - 1] == "-"
        match = _NO_NUMBER.match(error.doc, error.pos - after_sign)
    if "depth" in reason:
        raise DataError("the JSON is nested too deeply")
    if match is not None:
        raise DataError(
            f"the body holds {match[0]}, which is not JSON: "
            "write null where a value is missing, else a finite number"
        )
    if "infinity" in reason:
        raise DataError("the JSON holds a number too large; expected finite numbers, below 1.8e308")
    raise DataError(f"the body is not valid JSON in UTF-8: {reason}")


def _loaded(data: bytes | bytearray) -> Any:
    """The value of a JSON text.

    Without the garbage collector, which would look at a long table's rows again and again while
    no other thread gets its turn.
    """
    with uncollected():
        return orjson.loads(data)


def decoded_mlflow_json(data: bytes) -> Any:
    """The same; but NaN, which MLflow's own client writes for a missing value, means null."""
    if b"NaN" not in data:
        return decoded_json(data)
    strict = bytearray()  # re.sub would keep all the pieces of a long table at once
    for match in _PIECE.finditer(data):
        strict += match[1]
        strict += b"null" if match[2] == b"NaN" else match[2] or b""
    return decoded_json(strict)


def columns_from_records(
    records: Any,
    numeric: Sequence[str],
    categorical: Sequence[str],
    levels: Levels = _NO_LEVELS,
) -> Columns:
    """Columns of decoded JSON records; what else the records hold is ignored.

    Args:
        records: a list of objects, one per client; null and blank text are missing values.
        numeric: names of the columns that hold numbers.
        categorical: names of the columns that hold categories.
        levels: those that the model knows, by column; a number is taken for the one it spells.

    Returns:
        name -> array of shape (n_rows,): floats with NaN for missing, or text with "" for blank.

    Raises:
        DataError: not a list of objects, a column is missing, or a value is of no use.
    """
    if not isinstance(records, list):
        raise DataError("records: expected a list of objects, one for each client")
    for row, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            raise DataError(f"row {row}: expected an object, found {_shown(record)}")
    result: Columns = {}
    for name in numeric:
        values = [_number(v, row, name) for row, v in enumerate(_cells(records, name), start=1)]
        result[name] = np.array(values, dtype=np.float64)
    for name in categorical:
        known = levels.get(name, ())
        cells = enumerate(_cells(records, name), start=1)
        texts = [_category(value, row, name, known) for row, value in cells]
        result[name] = np.array(texts, dtype=object)
    return result


def columns_from_mlflow(
    body: Any,
    numeric: Sequence[str],
    categorical: Sequence[str],
    levels: Levels = _NO_LEVELS,
) -> Columns:
    """Columns of decoded JSON in one of the forms of MLflow's scoring protocol.

    Args:
        body: an object with exactly one of `dataframe_split` (`columns` and `data`),
            `dataframe_records`, `instances` and `inputs` (objects, or lists of values in the order
            of the model's columns; `inputs` also as lists of values by column).
        numeric, categorical, levels: as for `columns_from_records`.

    Raises:
        DataError: it is not that, a column is missing, or a value is of no use.
    """
    forms = ("dataframe_split", "dataframe_records", "instances", "inputs")
    given = [form for form in forms if isinstance(body, dict) and form in body]
    if len(given) != 1:
        raise DataError(f"expected an object with exactly one of {', '.join(forms)}")
    form, rows = given[0], body[given[0]]
    names = [*numeric, *categorical]
    if form == "dataframe_split":
        if not isinstance(rows, dict) or not {"columns", "data"} <= rows.keys():
            raise DataError("dataframe_split: expected an object with columns and data")
        names, rows = rows["columns"], rows["data"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise DataError("columns: expected a list of names")
    elif form == "inputs" and isinstance(rows, dict):
        names, rows = list(rows), _turned(rows)
    for name in (*numeric, *categorical):
        if names.count(name) != 1:
            problem = "is missing" if name not in names else "stands there more than once"
            raise DataError(f"{form}: the column {name!r} {problem}")
    if isinstance(rows, list) and form != "dataframe_records":
        rows = [_named(row, names, number) for number, row in enumerate(rows, start=1)]
    return columns_from_records(rows, numeric, categorical, levels)


def _turned(by_column: dict[str, Any]) -> list[list[Any]]:
    """Rows of lists of values by column."""
    lists = list(by_column.values())
    if not all(isinstance(values, list) for values in lists):
        raise DataError("inputs: expected a list of values for each column")
    if len({len(values) for values in lists}) > 1:
        raise DataError("inputs: expected as many values in each column")
    return [list(row) for row in zip(*lists, strict=True)]


def _named(row: Any, names: Sequence[str], number: int) -> Any:
    """A row of values as an object."""
    if not isinstance(row, list):
        return row
    if len(row) != len(names):
        raise DataError(f"row {number}: expected {plural(len(names), 'value')}, found {len(row)}")
    return dict(zip(names, row, strict=True))


def columns_from_csv(data: bytes, numeric: Sequence[str], categorical: Sequence[str]) -> Columns:
    """Columns of a CSV table with a header, comma-separated, in UTF-8; others are ignored.

    Raises:
        DataError: not such a table, a column is missing or doubled, or a value is of no use.
    """
    first = _FIRST_LINE.match(data)
    assert first is not None
    _limit_columns(first[0].count(b",") + 1)  # before they are read: millions take seconds
    plain = plain_table(data)
    header, rows, lines = _csv_rows(data) if plain is None else (plain.header, [], count(2))
    result: Columns = {}
    for name in (*numeric, *categorical):
        position = _position(header, name, (*numeric, *categorical))
        numbers = plain.numbers(position) if plain and name in numeric else None
        if numbers is not None:
            result[name] = numbers
            continue
        texts = plain.texts(position) if plain else [row[position] for row in rows]
        if name in numeric:
            result[name] = _numbers(texts, name, lines)
        else:
            result[name] = np.array([text.strip() for text in texts], dtype=object)
    return result


def _position(header: Sequence[str], name: str, needed: Sequence[str]) -> int:
    """The position of a column in a header."""
    positions = [
        position for position, column in enumerate(header) if column.strip() == name.strip()
    ]
    if len(positions) != 1:
        problem = "is missing" if not positions else f"stands {len(positions)} times in the header"
        raise DataError(f"column {name!r} {problem}; the columns needed are: {', '.join(needed)}")
    return positions[0]


def _limit_columns(columns: int) -> None:
    if columns > MOST_COLUMNS:
        raise DataError(f"the header has {columns:,} columns; expected at most {MOST_COLUMNS:,}")


def _csv_rows(data: bytes) -> tuple[list[str], list[list[str]], list[int]]:
    """The header, the rows, and the line of each row."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"the table is not UTF-8 text (byte {error.start + 1})") from None
    if "\0" in text:
        raise DataError("the table holds NUL characters; expected CSV text")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        header = next(reader, [])
        _limit_columns(len(header))
        for row in reader:
            if len(row) == len(header):
                rows.append(row)
                lines.append(reader.line_num)
            elif row:  # a blank line is no client
                raise DataError(
                    f"line {reader.line_num}: expected {plural(len(header), 'value')}, "
                    f"as in the header, found {len(row)}"
                )
    except csv.Error as error:
        raise DataError(f"line {reader.line_num}: not valid CSV ({error})") from None
    framed = b"\n" + data.removeprefix(codecs.BOM_UTF8) + b"\n"
    if (stray := first_stray_quote(framed)) is not None:
        line = framed.count(b"\n", 1, stray) + 1
        raise DataError(f"line {line}: not valid CSV (a quotation mark inside an unquoted value)")
    if not header:
        raise DataError("the table is empty; expected a header with the names of the columns")
    return header, rows, lines


def _cells(records: list[dict[str, Any]], name: str) -> list[Any]:
    try:
        return [record[name] for record in records]
    except KeyError:
        row = next(row for row, record in enumerate(records, start=1) if name not in record)
        raise DataError(f"row {row}: {name!r} is missing") from None


def _numbers(texts: list[str], name: str, lines: Iterable[int]) -> NDArray[np.float64]:
    """Many numbers at once; blanks and doubtful texts take the slow way."""
    try:
        values = np.array([float(text) for text in texts], dtype=np.float64)
    except ValueError:
        values = np.array([math.nan])
    together = "".join(texts)
    if np.isfinite(values).all() and together.isascii() and "_" not in together:
        return values
    slow = [_number(text, line, name, "line") for line, text in zip(lines, texts, strict=False)]
    return np.array(slow, dtype=np.float64)


def _number(value: Any, number: int, name: str, unit: str = "row") -> float:
    kind = type(value)
    if kind is float or kind is int:
        try:
            result = float(value)
        except OverflowError:
            result = math.inf
    elif value is None or (kind is str and not value.strip()):
        return math.nan
    else:
        result = _number_from_text(value) if kind is str else math.inf
    if not math.isfinite(result):
        raise DataError(f"{unit} {number}: {name!r}: expected a number, found {_shown(value)}")
    return result


def _number_from_text(text: str) -> float:
    text = text.strip()
    try:
        # Only Python reads 1_000, and digits of other scripts, as numbers.
        return float(text) if text.isascii() and "_" not in text else math.inf
    except ValueError:
        return math.inf


def _category(value: Any, row: int, name: str, known: Collection[str]) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _level(value, known)
    raise DataError(f"row {row}: {name!r}: expected text, found {_shown(value)}")


def _level(number: float, known: Collection[str]) -> str:
    """The level that a number spells: 7 and 7.0 are one number in JSON, and pandas turns the one
    into the other where a value beside it is missing."""
    text = json.dumps(number)
    if text in known or (isinstance(number, float) and not number.is_integer()):
        return text
    whole = json.dumps(int(number))
    return f"{whole}.0" if f"{whole}.0" in known else whole


def _shown(value: Any) -> str:
    """A value in words, short; nested ones by their kind, since they may be deep."""
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, int) and abs(value) > 10**30:
        return "a huge number"
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."
