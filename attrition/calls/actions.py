"""What was done with clients, as a CSV file says: which of its rows count, and why others do not.

A row is a client, the date (YYYY-MM-DD), the action in a word ("call", "offer", "visit") and, if
the columns are there, its cost and a note. Values in, values out: the caller reads the file and
sets aside what is rejected, in the quarantine's columns.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from attrition.data.csv_records import Record, check_header, wrong_width

REQUIRED = ("client", "date", "action")
OPTIONAL = ("cost", "note")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True)
class Action:
    """Something done with a client.

    Attributes:
        client: its id, unchanged.
        day: when.
        kind: the action's word, in lower case.
        cost: in the unit of the clients' values, at least 0; None: as every contact costs.
        note: for people.
    """

    client: str
    day: date
    kind: str
    cost: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Rejection:
    """A row that does not count: where it stands, the column and its text, and the reason."""

    line: int
    column: str
    value: str
    reason: str


@dataclass(frozen=True)
class Actions:
    """The rows of a file: accepted + duplicates + rejected are all of them.

    Attributes:
        accepted: in the file's order. A client may have several on a day, if they differ.
        duplicates: rows equal to an accepted one in every value.
        rejected: in the file's order.
    """

    accepted: tuple[Action, ...]
    duplicates: int
    rejected: tuple[Rejection, ...]


def check_actions(names: Sequence[str], records: Iterable[Record], last_day: date) -> Actions:
    """Check every row of a file of actions.

    Args:
        names: its header.
        records: the rows after it.
        last_day: on which something can have been done.

    Raises:
        DataError: a column is missing or doubled; nothing can be read.
    """
    check_header(names, REQUIRED, OPTIONAL)
    accepted: dict[Action, None] = {}
    rejected = []
    rows = 0
    for record in records:
        rows += 1
        result = _check(names, record, last_day)
        if isinstance(result, Action):
            accepted[result] = None
        else:
            rejected.append(result)
    return Actions(tuple(accepted), rows - len(accepted) - len(rejected), tuple(rejected))


def _check(names: Sequence[str], record: Record, last_day: date) -> Action | Rejection:
    """The row as an action, or the first thing that is wrong with it."""
    if reason := record.problem or wrong_width(record, len(names)):
        return Rejection(record.line, "", record.text, reason)
    texts = dict(zip(names, record.values, strict=True))
    cost = texts.get("cost", "")
    problems = {
        "client": None if texts["client"].strip() else "blank",
        "date": _date_problem(texts["date"].strip(), last_day),
        "action": None if texts["action"].strip() else "blank",
        "cost": _cost_problem(cost.strip()),
    }
    for column, problem in problems.items():
        if problem is not None:
            return Rejection(record.line, column, texts[column], problem)
    return Action(
        client=texts["client"],
        day=date.fromisoformat(texts["date"].strip()),
        kind=texts["action"].strip().lower(),
        cost=float(cost) if cost.strip() else None,
        note=texts.get("note", "").strip(),
    )


def _date_problem(text: str, last_day: date) -> str | None:
    if not text:
        return "blank"
    if not _DATE.fullmatch(text):
        return "not a date (expected YYYY-MM-DD)"
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return "not a day of the calendar"
    return "in the future" if day > last_day else None


def _cost_problem(text: str) -> str | None:
    """What is wrong with a cost; blank is allowed, a number is what `data.validation` says."""
    if not text:
        return None
    try:
        cost = float(text)
    except ValueError:
        return "not a number"
    if "_" in text or not text.isascii():
        return "not a number"
    if not math.isfinite(cost):
        return "not a finite number"
    return "below 0" if cost < 0 else None
