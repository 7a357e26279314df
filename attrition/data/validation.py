"""The rules of a client row, as DuckDB expressions: what is blank, a number, a label, a category.

- A blank is text that consists of white space only (as Python and Unicode define it).
- A number is text that DuckDB and Python both read as a finite double, without underscores; `-0`
  is `0`.
- A label is the positive or negative one of the settings, compared as numbers where both are
  numbers (`1` is `1.0`), else as trimmed text.
- An id is any text that is not blank, unchanged. A category is trimmed.
- A date is text such as `2026-01-31`, white space aside, and in the calendar.

Every function returns SQL; none queries a database.
"""

from __future__ import annotations

import math

from attrition.core.config import Config

# The white space of `str.isspace`; a test compares them.
WHITE_SPACE = (
    "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006"
    "\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
POSITIVE, NEGATIVE, NEITHER = 1, 0, 2


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def trimmed(column: str) -> str:
    """A text without surrounding white space."""
    return f"trim({column}, {literal(WHITE_SPACE)})"


def is_blank(column: str) -> str:
    """Whether a text holds nothing but white space; NULL is blank."""
    # Most texts begin with a printable ASCII character: one comparison tells, without trimming.
    return (
        f"CASE WHEN {column} >= '!' AND {column} < chr(127) THEN false "
        f"ELSE coalesce({trimmed(column)}, '') = '' END"
    )


def number(column: str) -> str:
    """The number in a text; NULL if the text is blank or not a number."""
    value = f"coalesce(try_cast({column} AS DOUBLE), try_cast({trimmed(column)} AS DOUBLE)) + 0.0"
    # DuckDB alone reads `1_000` and `+-5` as numbers.
    return (
        f"CASE WHEN isfinite({value}) AND NOT contains({column}, '_') "
        f"AND NOT contains({column}, '+-') THEN {value} END"
    )


def category(column: str) -> str:
    """A text without surrounding white space; NULL where it is blank."""
    return f"nullif({trimmed(column)}, '')"


def label(column: str, config: Config) -> str:
    """POSITIVE, NEGATIVE or NEITHER; NULL where the text is blank."""
    cases = []
    for text, code in ((config.positive_label, POSITIVE), (config.negative_label, NEGATIVE)):
        cases.append(f"WHEN {trimmed(column)} = {literal(text.strip())} THEN {code}")
        value = _finite(text)
        if value is not None:
            cases.append(f"WHEN {number(column)} = {value!r}::DOUBLE THEN {code}")
    return (
        f"CASE {column} WHEN {literal(config.positive_label)} THEN {POSITIVE} "
        f"WHEN {literal(config.negative_label)} THEN {NEGATIVE} ELSE "
        f"CASE WHEN {is_blank(column)} THEN NULL {' '.join(cases)} ELSE {NEITHER} END END"
    )


def date(column: str) -> str:
    """The date in a text, as text that sorts by time; NULL where it is none."""
    text = trimmed(column)
    is_date = f"regexp_full_match({text}, '[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}')"
    is_there = f"{text} >= '0001' AND try_cast({text} AS DATE) IS NOT NULL"  # Python's first year
    return f"CASE WHEN {is_date} AND {is_there} THEN {text} END"


def number_text(column: str) -> str:
    """The shortest text that reads as a double again: `1234` rather than `1234.0`."""
    return (
        f"CASE WHEN abs({column}) < 1e15 AND {column} = trunc({column}) "
        f"THEN {column}::BIGINT::VARCHAR ELSE {column}::VARCHAR END"
    )


def number_problem(column: str) -> str:
    """Why a text is not a number; only for texts that are not."""
    value = f"try_cast({trimmed(column)} AS DOUBLE)"
    return (
        f"CASE WHEN {value} IS NULL OR contains({column}, '+-') THEN 'not a number' "
        f"WHEN contains({column}, '_') THEN 'not a number (an underscore)' "
        f"ELSE 'not a finite number' END"
    )


def _finite(text: str) -> float | None:
    """A label's text as a number, by the rule of `number`; None if it is not one."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None
