"""Chooses the role of each column of a table, with the reason, from names and counts alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attrition.data import column_names
from attrition.data.column_names import BARE_KEY, CLIENT_NAME, OTHER_KEY, OTHER_NAME
from attrition.data.label_choice import is_rare

MOST_CODES = 50
# A column of text must have several rows for each value to learn from.
_MOST_TEXTS = 0.2
_NEARLY_OWN_TEXTS = 0.5
# An id may come again in later batches of one table, but not in most of its rows.
_FEWEST_IDS = 0.1
_NEARLY_ALL = 0.9
_FEWEST_COUNTED = 20
_FEWEST_DIGITS = 7
_FEWEST_WORTHS = 20
_OWN_TEXTS = "nearly every row has a text of its own"
_FEW_ROWS = "too many different texts, too few rows with each"
_MANY = (_OWN_TEXTS, _FEW_ROWS)
_UNIQUE_TEXT, _COUNTING_KEY, _LONG_NUMBER = 10, 11, 12  # ranks of ids of last resort


@dataclass(frozen=True)
class Column:
    """Counts of a column's values, without blanks.

    Attributes:
        name: as in the header.
        values: rows that are not blank.
        distinct: different values.
        numbers: values that are numbers.
        dates: values that are dates or times and not numbers.
        has_fractions: whether a number is not whole.
        smallest, largest: of the numbers.
        digits: number of digits, where all values are equally long and of digits only (a plus
            before them, and zeros after a point, are ignored); else 0.
        has_leading_zeros: whether there is a value such as `007`, which is not an amount.
        written_amounts: values that are no numbers and would be without a percent sign, a currency
            or separators, such as `22%`, `1,234.50 €` or `$1.2M`; `written_amount` is one of them.
    """

    name: str
    values: int
    distinct: int
    numbers: int
    dates: int
    has_fractions: bool
    smallest: float = 0.0
    largest: float = 0.0
    digits: int = 0
    has_leading_zeros: bool = False
    written_amounts: int = 0
    written_amount: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all values are whole numbers."""
        return self.numbers == self.values and not self.has_fractions

    @property
    def counts(self) -> bool:
        """Whether the values are consecutive numbers, each once or nearly so."""
        span = self.largest - self.smallest + 1
        return (
            self.is_whole
            and self.distinct >= max(_FEWEST_COUNTED, 0.99 * self.values)
            and 0.98 * self.distinct <= span <= 1.02 * self.distinct
        )


@dataclass(frozen=True)
class Choice:
    """The roles of a table's columns.

    Attributes:
        settings: those that name columns, except that of the labels; of a suggestion, all.
        chosen: column -> its role and the reason.
        left_out: column -> the reason.
        notes: remarks for a person to check.
    """

    settings: dict[str, Any]
    chosen: dict[str, tuple[str, str]]
    left_out: dict[str, str]
    notes: tuple[str, ...] = ()


def choose_columns(
    columns: Sequence[Column], rows: int, revealing: Mapping[str, str | None] | None = None
) -> Choice:
    """Choose the role of each column of a table.

    Args:
        columns: all except that of the labels.
        rows: number of rows of the table.
        revealing: column -> why it probably leaks the label; None where it does not.
    """
    names = Counter(column.name for column in columns)
    identity, why = _choose_id([c for c in columns if names[c.name] == 1], rows)
    chosen = {} if identity is None else {identity.name: ("id_column", why)}
    numeric: list[Column] = []
    categorical: list[Column] = []
    left_out: dict[str, str] = {}
    for column in columns:
        if column is identity:
            continue
        reason = reason_to_leave_out(column, rows) or (revealing or {}).get(column.name)
        if names[column.name] > 1:
            reason = "several columns have this name"
        if reason:
            left_out[column.name] = reason
        elif is_numeric(column):
            numeric.append(column)
            chosen[column.name] = ("numeric", f"{column.distinct:,} different numbers")
        else:
            categorical.append(column)
            kind = "codes" if column.numbers == column.values else "texts"
            chosen[column.name] = ("categorical", f"{column.distinct:,} different {kind}")
    worth, notes = _choose_worth(numeric)
    notes += _written_amounts(categorical, "read")
    notes += _written_amounts([c for c in columns if left_out.get(c.name) in _MANY], "left out")
    if worth is not None:
        part, why = chosen[worth]
        chosen[worth] = (f"value_column and {part}", f"its name says what a client is worth; {why}")
    settings = {
        "id_column": None if identity is None else identity.name,
        "numeric_columns": [column.name for column in numeric],
        "categorical_columns": [column.name for column in categorical],
        "value_column": worth,
    }
    if identity is None:
        notes.append("no id_column: no column names the clients; a client is its row")
    return Choice(settings, chosen, left_out, (*notes, *_sensitive(list(chosen))))


def is_numeric(column: Column) -> bool:
    """Whether a column holds amounts; a few damaged values among many are ignored."""
    if column_names.is_code(column.name) and not column.has_fractions:
        return False
    if column.has_leading_zeros:
        return False
    if column.numbers == column.values:
        return True
    return column.distinct > MOST_CODES and is_rare(column.values - column.numbers, column.values)


def reason_to_leave_out(column: Column, rows: int) -> str | None:
    """Why a column is of no use to a model; None where it may be of use."""
    name, has_many = column.name, column.distinct > MOST_CODES
    is_own = column.distinct > _NEARLY_ALL * rows
    if not name:
        return "its name is blank" if not column.counts else "it counts the rows"
    if column.distinct < 2:
        return "no two different values"
    if column.dates == column.values:
        return "dates or times"
    if column.counts or (column_names.is_counter(name) and column.is_whole and is_own):
        return "it counts the rows"
    if column_names.is_name_of_people(name):
        return "names of people"
    rank = column_names.key_rank(name)
    if has_many and not column.has_fractions:
        if column_names.is_code(name) or (rank == OTHER_KEY and is_own) or column.has_leading_zeros:
            return "an id or a code with many values"
        if column.digits >= _FEWEST_DIGITS and is_own:
            return f"an id by its looks: nearly every row has {column.digits} digits of its own"
    if is_numeric(column):
        return None
    if has_many and rank in (CLIENT_NAME, OTHER_NAME):
        return "names of clients"
    if column.distinct > max(MOST_CODES, _NEARLY_OWN_TEXTS * rows):
        return _OWN_TEXTS
    if column.distinct > max(MOST_CODES, _MOST_TEXTS * rows):
        return _FEW_ROWS
    return None


def _choose_id(columns: Sequence[Column], rows: int) -> tuple[Column | None, str]:
    """The id column, and why it was chosen."""
    ranked = [
        (rank, -column.distinct, position, why)
        for position, column in enumerate(columns)
        for rank, why in [_rank_as_id(column, rows)]
        if rank is not None
    ]
    if not ranked:
        return None, ""
    *_, position, why = min(ranked)
    column = columns[position]
    return column, f"{why}; {column.distinct:,} different ones in {rows:,} rows"


def _rank_as_id(column: Column, rows: int) -> tuple[int | None, str]:
    blank = rows - column.values
    if blank and not is_rare(blank, rows):
        return None, ""
    if not column.name or column.dates == column.values or column.has_fractions:
        return None, ""
    is_own = column.distinct > _NEARLY_ALL * rows
    rank = column_names.key_rank(column.name)
    if (
        rank is not None
        and rank < BARE_KEY
        and column.distinct > min(_FEWEST_IDS * rows, MOST_CODES)
    ):
        return rank, "its name is that of a client's id"
    if rank == BARE_KEY and column.distinct > _FEWEST_IDS * rows:
        if column.counts:
            return _COUNTING_KEY, "its name is that of an id, though it may only count the rows"
        return rank, "its name is that of an id"
    if rank == CLIENT_NAME and column.distinct > _FEWEST_IDS * rows:
        return rank, "it names clients"
    if column.counts or column_names.is_name_of_people(column.name):
        return None, ""
    if rank == OTHER_NAME and is_own:
        return rank, "it names clients"
    if rank == OTHER_KEY and is_own:
        return rank, "its name is that of a number or a code"
    if column.distinct == rows and column.numbers == 0:
        return _UNIQUE_TEXT, "every row has a text of its own"
    if (
        column.distinct == rows
        and column.digits >= _FEWEST_DIGITS
        and not column_names.is_counter(column.name)
    ):
        return _LONG_NUMBER, f"every row has {column.digits} digits of its own"
    return None, ""


def _choose_worth(numeric: Sequence[Column]) -> tuple[str | None, list[str]]:
    """The column of a client's value; where none is clearly that, none, and a note."""
    named = [
        (rank, column)
        for column in numeric
        for rank in [column_names.worth_rank(column.name)]
        if rank is not None
    ]
    ranked = [(rank, column.name) for rank, column in named if _why_no_worth(column) is None]
    if not ranked:
        reasons = [f"{column.name} {_why_no_worth(column)}" for _, column in named]
        why = "; ".join(reasons) or "no column's name says what a client is worth"
        return None, [f"no value_column: {why}; where one says that, name it in config.json"]
    best = [name for rank, name in ranked if rank == min(ranked)[0]]
    if len(best) == 1:
        return best[0], []
    return None, [
        f"no value_column: each of {', '.join(best)} may be a part of what a client is worth"
    ]


def _why_no_worth(column: Column) -> str | None:
    """Why a column named like one is no client's value; None where it may be that."""
    if column.numbers < column.values:
        return "holds values that are no numbers"
    if column.distinct < _FEWEST_WORTHS:
        return f"has only {column.distinct:,} different values"
    return "is negative for some" if column.smallest < 0 else None


def _written_amounts(columns: Sequence[Column], what: str) -> list[str]:
    """Columns that a person takes for numbers, and that are `what` as text."""
    return [
        f"{column.name} is {what} as text, not as numbers, for its values are written like "
        f"{column.written_amount!r}: to learn from them as numbers, write them with digits and a "
        f"decimal point alone, without percent sign, currency or thousands separator"
        for column in columns
        if column.written_amounts
        and is_rare(column.values - column.numbers - column.written_amounts, column.values)
    ]


def _sensitive(names: Sequence[str]) -> list[str]:
    sensitive = [name for name in names if column_names.is_sensitive(name)]
    if not sensitive:
        return []
    return [
        f"sensitive: {', '.join(sensitive)}; the law may forbid to treat people by such columns: "
        f"take out of the settings what the model must not look at"
    ]
