"""Numbers, times and foreign texts, formatted for reports."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

NOT_KNOWN = "\N{EN DASH}"
OPEN_CLIENTS = "open clients"  # the usual population of a list, as its records name it
# Shown first wherever a list is made of other clients.
NO_OPEN_CLIENTS = "No open clients: leave the outcome blank for those whom you may still call"
NOBODY_READ = "No open clients: rows that were not taken in may hold them"
CANDIDATE_WAITS = "a candidate waits for approval"
# Probabilities are shown, and compared with those of the last ranking, in ten-thousandths.
DECIMALS = 4
LONGEST = 80
TERMINAL_WIDTH = 80
_INDENT = 13
_MINUS = "\N{MINUS SIGN}"
_YEARS = (1900, 2100)


def line(text: object, limit: int = LONGEST) -> str:
    """A text from outside on one line, shortened, without characters that control a screen.

    Line breaks, control characters and those that change the writing direction become spaces.
    """
    shown = str(text)[: 4 * limit]
    shown = " ".join("".join(c if c.isprintable() else " " for c in shown).split())
    if not shown:
        return "(blank)"
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def middle(text: object, limit: int = LONGEST) -> str:
    """A name from outside as `line` gives it, but shortened in its middle: both its ends stay."""
    shown = line(text, 4 * LONGEST)
    if len(shown) <= limit:
        return shown
    end = (limit - 1) // 2
    return f"{shown[: limit - 1 - end]}…{shown[-end:]}"


def paragraph(label: str, text: str) -> str:
    """A labelled text for a terminal of 80 columns."""
    return textwrap.fill(
        text,
        TERMINAL_WIDTH,
        initial_indent=f"{label:<{_INDENT}}",
        subsequent_indent=" " * _INDENT,
        break_on_hyphens=False,
    )


def within(text: object, folder: Path) -> str:
    """A text in which paths within a project's folder are relative to it.

    Who stands in another project would take them for files there: for them they stay whole.
    """
    if _is_in_another_project(Path.cwd(), folder):
        return str(text)
    return re.sub(rf"(?<![\w./-]){re.escape(str(folder))}/", "", str(text))


@cache
def _is_in_another_project(here: Path, folder: Path) -> bool:
    """Looked up once, and not for each paragraph."""
    return not here.is_relative_to(folder) and (here / "config.json").is_file()


def sentence(text: str) -> str:
    """A text with a capital at its beginning and a full stop at its end.

    A name of a file or a column there stays as it is.
    """
    text = text.strip()
    is_name = re.match(r"\S*[._/]\w", text)
    return (
        (text[:1] if is_name else text[:1].upper()) + text[1:] + ("" if text[-1:] in ".?!" else ".")
    )


def no_list(reason: str) -> str:
    """A sentence that says that there is no list of clients to call, and why."""
    if reason.startswith(NO_OPEN_CLIENTS):
        return sentence(reason)
    return sentence(f"there is no list of clients to call: {reason}")


def listing(words: Sequence[str]) -> str:
    """Words joined for a sentence: "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def count(number: float | None) -> str:
    """A whole number with commas."""
    return NOT_KNOWN if number is None else f"{number:,.0f}".replace("-", _MINUS)


def plural(number: int, noun: str) -> str:
    """A number of things: "1 file", "2 files"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def percent(share: float | None, digits: int = 0) -> str:
    """A fraction 0-1 as a percentage."""
    return NOT_KNOWN if share is None else f"{share:.{digits}%}".replace("-", _MINUS)


def chance(probability: float, digits: int = 1) -> str:
    """A predicted probability, a fraction 0-1, as a percentage; never shown as 0 % or 100 %.

    It is rounded as in the list first: 76.504 % is the list's 76.50 %, and shown like it.
    """
    text, least = f"{round(probability, DECIMALS):.{digits}%}", 0.1 ** (digits + 2)
    if text == f"{0:.{digits}%}":
        return f"<{least:.{digits}%}"
    return f">{1 - least:.{digits}%}" if text == f"{1:.{digits}%}" else text


def points(difference: float | None, digits: int = 1) -> str:
    """A difference of percentages in percentage points, with its sign."""
    return NOT_KNOWN if difference is None else f"{signed(difference, digits)} pts"


def decimal(number: float | None, digits: int = 3) -> str:
    """A number with a fixed number of decimals."""
    return NOT_KNOWN if number is None else f"{number:.{digits}f}".replace("-", _MINUS)


def signed(number: float | None, digits: int = 3) -> str:
    """A difference with its sign; one that rounds to zero has no sign."""
    if number is None:
        return NOT_KNOWN
    text = f"{number:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", _MINUS)


def between(interval: Sequence[float] | None, digits: int = 3) -> str:
    """An interval: "0.687 to 0.762"."""
    if interval is None:
        return NOT_KNOWN
    return f"{decimal(interval[0], digits)} to {decimal(interval[1], digits)}"


def amount(number: float | None) -> str:
    """A number of any size in a few characters."""
    if number is None:
        return NOT_KNOWN
    size = abs(number)
    if size >= 1e18 or 0 < size < 1e-3:
        text = f"{number:.2e}"
    elif size >= 1e12:
        trillions = float(f"{number / 1e12:.4g}")
        return f"{amount(trillions)} trillion"
    elif size >= 1000:
        text = f"{number:,.0f}"
    else:
        text = f"{number:.4g}"
    return text.replace("-", _MINUS)


def whole_amount(money: float | None) -> str:
    """Money without its cents."""
    return amount(None if money is None else round(money))


def plain_number(value: float) -> str:
    """A number in its shortest form that reads back the same; whole ones without a point."""
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else repr(value)


def number_text(value: float) -> str:
    """A number for people: at most four significant digits, or whole from a thousand on, with
    commas; of a column of years see `number_format`.
    """
    is_whole = abs(value) < 1e15 and (value == int(value) or abs(value) >= 1000)
    return _signed_well(f"{value:,.0f}" if is_whole else f"{value:.4g}")


def year_text(value: float) -> str:
    """A number of a column of years: one of them has no comma."""
    return f"{value:.0f}" if _YEARS[0] <= value <= _YEARS[1] else number_text(value)


def are_years(numbers: Sequence[float]) -> bool:
    """Whether a column with these numbers (all, or some from end to end) holds years: none is
    before 1900 or after 2100, and most are whole.
    """
    if not all(_YEARS[0] <= number <= _YEARS[1] for number in numbers):
        return False
    return 0 < len(numbers) <= 2 * sum(number == int(number) for number in numbers)


def number_format(numbers: Sequence[float]) -> Callable[[float], str]:
    """How numbers of a column are written that holds these: all in one way."""
    return year_text if are_years(numbers) else number_text


def short(number: float) -> str:
    """A number in few characters, for an axis: 0.03, 7.5, 250, 2,500, 12k, 3.4M."""
    for size, unit in ((1e12, "tn"), (1e9, "bn"), (1e6, "M"), (1e4, "k")):
        if size <= abs(number) < 1e15:
            return _signed_well(f"{number / (1e3 if unit == 'k' else size):.3g}{unit}")
    return _signed_well(f"{number:,.0f}" if 100 <= abs(number) < 1e4 else f"{number:.3g}")


def _signed_well(text: str) -> str:
    """A number with a minus sign before it, not a hyphen; that of an exponent stays: 1e-05."""
    return f"{_MINUS}{text[1:]}" if text.startswith("-") else text


def seconds(duration: float | None) -> str:
    """A duration: "0.32 s", "41 s", "12 min"."""
    if duration is None:
        return NOT_KNOWN
    if duration >= 600:
        return f"{duration / 60:,.0f} min"
    return f"{duration:.2f} s" if duration < 10 else f"{duration:.0f} s"


def moment(time: str | None) -> str:
    """A recorded time for people: "22 November 2026, 17:17 UTC"; other text stays as it is."""
    parsed = _parsed(time)
    return line(time or NOT_KNOWN) if parsed is None else f"{_date(parsed)}, {parsed:%H:%M} UTC"


def day(time: str | None) -> str:
    """The day of a recorded time: "22 November 2026"."""
    parsed = _parsed(time)
    return line(time or NOT_KNOWN) if parsed is None else _date(parsed)


def short_moment(time: str | None) -> str:
    """A recorded time in a table: "2026-11-22 17:17"."""
    parsed = _parsed(time)
    return line(time or NOT_KNOWN) if parsed is None else f"{parsed:%Y-%m-%d %H:%M}"


def ago(time: str, now: str) -> str:
    """How long ago something was: "just now", "5 minutes ago", "3 days ago"."""
    then, today = _parsed(time), _parsed(now)
    if then is None or today is None:
        return line(time)
    passed = int((today - then).total_seconds())
    for size, unit in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if passed >= size:
            return f"{plural(passed // size, unit)} ago"
    return "just now" if passed >= 0 else moment(time)


def _parsed(time: str | None) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(time or "")
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


_MONTHS = (
    "January February March April May June July August September October November December"
).split()


def _date(date: datetime) -> str:
    """A date with its month in English, whatever the machine's language."""
    return f"{date.day} {_MONTHS[date.month - 1]} {date.year}"
