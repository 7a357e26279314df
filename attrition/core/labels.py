"""What columns are called wherever people read of them: the setting `labels`.

A label is a text, or an object with a text, a unit and a format of the column's numbers, and words
for single values ("has complained" for 1). A column without a label is called by its name. Machines
meet the columns' own names: in JSON keys, CSV headers, settings.

Standard library only: reading the settings needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from attrition.core.formatting import LONGEST, line, middle, number_text, short, year_text

LONGEST_LABEL = 60
LONGEST_UNIT = 12
_PERCENT = "percent"
_FORMATS: dict[str, Callable[[float], str]] = {
    "thousands": lambda number: f"{number:,.0f}",
    _PERCENT: lambda number: f"{number_text(round(100 * number, 10))}%",
}
FORMATS = ("plain", *_FORMATS)  # the first: as numbers are written wherever they stand
_KEYS = ("label", "unit", "format", "values")
_EXPECTED = (
    f"for each column a text of at most {LONGEST_LABEL} characters on one line, or an object with "
    f"label and, if wanted, unit (at most {LONGEST_UNIT} characters), "
    f"format ({', '.join(FORMATS)}) and values (value -> text)"
)


@dataclass(frozen=True)
class Label:
    """A column's words.

    Attributes:
        text: instead of its name; None: its name.
        unit: after a number of it, such as "EUR".
        format: one of FORMATS.
        values: a value's key -> words that say it without the column's name.
    """

    text: str | None = None
    unit: str = ""
    format: str = FORMATS[0]
    values: Mapping[str, str] = field(default_factory=dict)


_NONE = Label()


@dataclass(frozen=True)
class Labels:
    """The words of all columns that have some; `years` are the columns that hold years."""

    by_column: Mapping[str, Label] = field(default_factory=dict)
    years: frozenset[str] = frozenset()

    def name(self, column: str, limit: int = LONGEST) -> str:
        """What a column is called, on one line; where it is too long, both its ends stay."""
        return middle(self._of(column).text or column, limit)

    def term(self, columns: Iterable[str], limit: int = LONGEST) -> str:
        """What a column, or a pair of them, is called."""
        return " x ".join(self.name(column, limit) for column in columns)

    def number(self, column: str, number: float) -> str:
        """A number of a column without its unit."""
        usual = year_text if column in self.years else number_text
        return _FORMATS.get(self._of(column).format, usual)(number)

    def tick(self, column: str, number: float) -> str:
        """A number of a column in few characters, for an axis: 1,999 (of years 1999), 12M, 30%."""
        if self._of(column).format == _PERCENT:
            return f"{short(round(100 * number, 10))}%"
        return (year_text if column in self.years else short)(number)

    def value(self, column: str, value: Any, limit: int) -> str:
        """A value of a column, with its unit if it is a number."""
        if value is None or value == "":
            return "missing"
        if isinstance(value, str):
            return line(value, limit)
        return f"{self.number(column, value)} {self._of(column).unit}".strip()

    def phrase(self, column: str, value: Any) -> str | None:
        """Words that say a column's value without its name; None where there are none."""
        return self._of(column).values.get(value_key(value))

    def _of(self, column: str) -> Label:
        return self.by_column.get(column, _NONE)


NO_LABELS = Labels()


def value_key(value: Any) -> str:
    """A value's form for comparisons: numbers by value (`1` is `1.0`), else trimmed text."""
    trimmed = str(value).strip()
    try:
        return repr(float(trimmed) + 0.0)
    except ValueError:
        return trimmed


class LabelError(ValueError):
    """One label is wrong, and not the whole object: `label`, from its column to what was given."""

    def __init__(self, column: str, given: Any) -> None:
        super().__init__(_EXPECTED)
        self.label = {column: given}


def parse_labels(value: Any) -> Labels:
    """Labels as the settings hold them; a ValueError's text says what was expected."""
    if not isinstance(value, dict):
        raise ValueError(f"an object: {_EXPECTED}")
    return Labels({column: _parse_label(column, given) for column, given in value.items()})


def _parse_label(column: str, given: Any) -> Label:
    settings = given if isinstance(given, dict) else {"label": given}
    unit, values = settings.get("unit", ""), settings.get("values", {})
    is_sound = (
        settings
        and settings.keys() <= set(_KEYS)
        and ("label" not in settings or _is_words(settings["label"]))
        and (unit == "" or _is_words(unit, LONGEST_UNIT))
        and settings.get("format", FORMATS[0]) in FORMATS
        and isinstance(values, dict)
        and all(map(_is_words, values.values()))
    )
    if not is_sound:
        raise LabelError(column, given)
    by_value = {value_key(key): text for key, text in values.items()}
    return Label(settings.get("label"), unit, settings.get("format", FORMATS[0]), by_value)


def _is_words(text: Any, most: int = LONGEST_LABEL) -> bool:
    return (
        isinstance(text, str)
        and 0 < len(text) <= most
        and text == text.strip()
        and text.isprintable()
    )
