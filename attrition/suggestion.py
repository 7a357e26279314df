"""Settings for somebody's table, guessed from all of its rows.

- The id is the column that is called one (`customerID`, `account_number`) or, of text, is different
  in every row; it must never be blank. Without one a client is its row.
- A column is numeric when all its values are numbers, categorical otherwise. Numbers that are
  called a code or an id are names, not amounts: categorical too.
- Of the two labels that one is positive which says so (yes, true, 1), else the rarer one.
- Left out, and told: columns with one value only, dates and times (a model would learn the
  calendar), and texts that nearly every row has one of its own of (names, remarks).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from attrition import batches, checks, csvfiles
from attrition.census import Census, take_census
from attrition.clienttable import connect, read_good, unpacked
from attrition.config import STANDARD_FOLDERS, Config, label_key
from attrition.errors import DataError
from attrition.scratch import scratch_folder

_YES = {"yes", "y", "true", "t", "1", "1.0", "churned", "left", "exited", "lost"}
_ID_ENDINGS = {"id", "identifier", "key", "uuid", "number", "no", "code"}
_ID_NAMES = {"client", "customer", "account", "corporation", "company", "name"}
_CODE_ENDINGS = {"id", "code", "zip", "postcode"}
_MOST_CODES = 50
# An id may come back in later batches of one table, but not in most of its rows.
_FEWEST_IDS = 0.1
_MOST_TEXTS = 0.5


@dataclass(frozen=True)
class Column:
    """What stands in a column, in counts; blanks are no values."""

    name: str
    values: int
    distinct: int
    numbers: int
    dates: int
    has_fractions: bool


@dataclass(frozen=True)
class Suggestion:
    """Settings for a table, and why columns of it are left out."""

    settings: dict[str, Any]
    left_out: dict[str, str]


def suggest_settings(config: Config, path: Path, target: str) -> Suggestion:
    """Guess settings for a table.

    Args:
        config: says how much memory and disk the work may take.
        path: the table, `.csv` or `.csv.gz`.
        target: name of the column of labels.

    Raises:
        DataError: the table cannot be read, has no such column, or that has not two labels.
    """
    try:
        batch = batches.find_batch(path)
        with (
            scratch_folder() as folder,
            unpacked(config, batch, folder) as plain,
            connect(config, folder, batch.unpacked_size) as connection,
        ):
            census, names = _read_header(plain)
            _check_target(names, target)
            _load(connection, plain, census, len(names), folder)
            rows = connection.execute("SELECT count(*) FROM texts").fetchall()[0][0]
            columns = [_look_at(connection, i, name) for i, name in enumerate(names)]
            labels = _labels(connection, names.index(target))
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    positive, negative = choose_labels(labels, target)
    suggestion = choose_columns([c for c in columns if c.name != target], rows)
    settings = {
        **STANDARD_FOLDERS,
        **suggestion.settings,
        "target_column": target,
        "positive_label": positive,
        "negative_label": negative,
    }
    return Suggestion(settings, suggestion.left_out)


def choose_columns(columns: Sequence[Column], rows: int) -> Suggestion:
    """Give each column of a table its part.

    Args:
        columns: all but that of the labels.
        rows: number of rows of the table.
    """
    identity = _choose_id(columns, rows)
    numeric, categorical, left_out = [], [], {}
    for column in columns:
        reason = _reason_to_leave_out(column, rows)
        if column.name == identity:
            continue
        if reason:
            left_out[column.name] = reason
        elif column.numbers == column.values and not _is_code(column):
            numeric.append(column.name)
        else:
            categorical.append(column.name)
    settings = {
        "id_column": identity,
        "numeric_columns": numeric,
        "categorical_columns": categorical,
    }
    return Suggestion(settings, left_out)


def choose_labels(labels: dict[str, int], target: str) -> tuple[str, str]:
    """Tell the positive label from the negative one.

    Args:
        labels: label as it is spelt -> number of rows.
        target: name of their column.

    Raises:
        DataError: there are not two.
    """
    spellings: dict[str, dict[str, int]] = {}
    for text, count in labels.items():
        spellings.setdefault(label_key(text), {})[text.strip()] = count
    if len(spellings) != 2:
        some = ", ".join(repr(text) for text in sorted(labels)[:5])
        raise DataError(
            f"column {target!r}: expected two different labels, found {len(spellings)}"
            + (f" ({some}{', ...' if len(labels) > 5 else ''})" if labels else "")
        )
    counted = [
        (max(texts, key=lambda text: (texts[text], text)), sum(texts.values()))
        for texts in spellings.values()
    ]
    # Yes before no, then the rarer one, then by the alphabet so that a tie is decided, too.
    counted.sort(key=lambda item: (item[0].lower() not in _YES, item[1], item[0]))
    return counted[0][0], counted[1][0]


def _choose_id(columns: Sequence[Column], rows: int) -> str | None:
    for column in columns:
        is_named = _is_called(column.name, _ID_ENDINGS) or column.name.lower() in _ID_NAMES
        if is_named and _may_be_id(column, rows) and column.distinct > _FEWEST_IDS * rows:
            return column.name
    for column in columns:
        if _may_be_id(column, rows) and column.distinct == rows and column.numbers == 0:
            return column.name
    return None


def _may_be_id(column: Column, rows: int) -> bool:
    return column.values == rows and not column.dates and not column.has_fractions


def _reason_to_leave_out(column: Column, rows: int) -> str | None:
    if column.distinct < 2:
        return "no two different values"
    if column.dates == column.values:
        return "dates or times"
    many = column.distinct > max(_MOST_CODES, _MOST_TEXTS * rows)
    if column.numbers < column.values and many:
        return "nearly every row has a text of its own"
    if _is_called(column.name, _CODE_ENDINGS) and column.distinct > _MOST_CODES:
        return "an id or a code with many values"
    return None


def _is_code(column: Column) -> bool:
    return _is_called(column.name, _CODE_ENDINGS) and not column.has_fractions


def _is_called(name: str, endings: set[str]) -> bool:
    """Whether the last word of a name is one of these: `customerID`, `area_code`, `Client Id`."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    return bool(words) and words[-1].lower() in endings


def _read_header(path: Path) -> tuple[Census, tuple[str, ...]]:
    with path.open("rb") as stream:
        census = take_census(stream)
    return census, csvfiles.read_header(path, census).names


def _check_target(names: Sequence[str], target: str) -> None:
    """Refuse a target that is none of a table's columns, or two of them."""
    try:
        csvfiles.check_header(names, [target], ())
    except DataError as error:
        spellings = {name.casefold(): name for name in names}
        close = difflib.get_close_matches(target.casefold(), spellings, n=1)
        if not close or target in names:
            raise
        raise DataError(f"{error}; did you mean {spellings[close[0]]!r}?") from None


def _load(
    connection: duckdb.DuckDBPyConnection, path: Path, census: Census, width: int, scratch: Path
) -> None:
    """Read all sound rows of a table as trimmed text, NULL for blank."""
    good = scratch / "good.csv"
    with good.open("w", encoding="utf-8", newline="") as stream:
        csvfiles.separate(csvfiles.read_records(path, census), width, range(width), stream)
    columns = [f"c{i}" for i in range(width)]
    texts = ", ".join(f"{checks.category(column)} AS {column}" for column in columns)
    source = read_good(columns)
    connection.execute(f"CREATE TABLE texts AS SELECT {texts} FROM {source}", [str(good)])


def _look_at(connection: duckdb.DuckDBPyConnection, position: int, name: str) -> Column:
    column = f"c{position}"
    number = checks.number(column)
    found = connection.execute(
        f"SELECT count({column}), count(DISTINCT {column}), count({number}), "
        f"count(CASE WHEN {number} IS NULL THEN try_cast({column} AS TIMESTAMP) END), "
        f"coalesce(bool_or({number} <> trunc({number})), false) FROM texts"
    ).fetchall()[0]
    return Column(name, *found)


def _labels(connection: duckdb.DuckDBPyConnection, position: int) -> dict[str, int]:
    column = f"c{position}"
    found = connection.execute(
        f"SELECT {column}, count(*) FROM texts WHERE {column} IS NOT NULL GROUP BY 1"
    )
    return {str(text): int(count) for text, count in found.fetchall()}
