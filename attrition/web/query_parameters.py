"""Parameters of a query, checked: each once, known, and of the right kind; else status 400."""

from __future__ import annotations

import math
import re
from collections.abc import Collection

from flask import abort, request

from attrition.core.spelling import did_you_mean
from attrition.ranking import lookup_db
from attrition.ranking.lookup_db import Question
from attrition.ranking.movement import MOVES
from attrition.ranking.ranking import GROUPS


def whole_number(name: str, default: int, least: int, most: int) -> int:
    """A whole number from `least` to `most`."""
    text = one(name)
    if text is None:
        return default
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(most))
    if not is_number or not least <= int(text) <= most:
        abort(400, f"{name}: expected a whole number from {least:,} to {most:,}")
    return int(text)


def number(name: str) -> float | None:
    """A number; None where none is given, or a blank one."""
    text = (one(name) or "").strip()
    if not text:
        return None
    is_number = re.fullmatch(r"[-+]?\d*\.?\d*(e[-+]?\d+)?", text, re.ASCII | re.IGNORECASE)
    try:
        value = float(text) if is_number else math.nan
    except ValueError:
        value = math.nan
    return value if math.isfinite(value) else abort(400, f"{name}: expected a number such as 5000")


def yes_or_no(name: str) -> bool:
    """`true` or `false`; false where it is not given."""
    return choice(name, "false", ("true", "false")) == "true"


def choice(name: str, default: str, choices: Collection[str]) -> str:
    """One of some words."""
    text = one(name)
    if text is not None and text not in choices:
        abort(400, f"{name}: expected one of {', '.join(filter(None, choices))}")
    return default if text is None else text


def choices(name: str, known: Collection[str]) -> frozenset[str]:
    """Some words of several, with commas between; all of them where none is given."""
    text = one(name)
    chosen = frozenset(known if text is None else text.split(","))
    if not chosen <= set(known):
        abort(400, f"{name}: expected one or more of {', '.join(known)}, with commas between")
    return chosen


def given(*names: str) -> bool:
    """Whether any of these parameters stands in the query."""
    return any(one(name) is not None for name in names)


def one(name: str) -> str | None:
    """The text of a parameter that may stand once; None where it does not."""
    if not request.query_string:
        return None
    texts = request.args.getlist(name)
    if len(texts) > 1:
        abort(400, f"{name}: expected once")
    return texts[0] if texts else None


def refuse_others(known: Collection[str]) -> None:
    """Refuse parameters of other names: a misspelt filter would give all clients."""
    for name in request.args if request.query_string else ():
        if name not in known:
            abort(400, f"{name}: no such parameter{did_you_mean(name, known)}")


def several(name: str) -> list[str]:
    """The texts of a parameter that may stand several times, without blank ones."""
    return [text for text in request.args.getlist(name) if text] if request.query_string else []


LAST_PAGE = 10**7


def question(
    *, sorts: Collection[str] = lookup_db.SORTS, segment_columns: Collection[str] = ()
) -> Question:
    """Which clients the request asks for, and in which order.

    Args:
        sorts: the orders that can be asked for.
        segment_columns: the columns that `segment` can name.
    """
    return Question(
        tiers=choices("tier", lookup_db.TIERS),
        groups=choices("group", GROUPS),
        contacts=choices("contacted", lookup_db.CONTACTS),
        part=(one("q") or "").strip(),  # a phone's keyboard puts a blank after a word
        sort=choice("sort", "place", sorts),
        moved=choice("moved", "", ("", *MOVES)),
        least_value=number("least_value"),
        segments=segments(segment_columns),
    )


def segments(columns: Collection[str]) -> tuple[tuple[str, str], ...]:
    """The parameters `segment`, such as `branch=North`, one for each column; a blank one is none.

    Args:
        columns: those that there are.
    """
    pairs = [(column, text) for column, _, text in (t.partition("=") for t in several("segment"))]
    asked_for = [column for column, _ in pairs]
    if not set(asked_for) <= set(columns) or len(set(asked_for)) < len(asked_for):
        known = ", ".join(columns) or "none; name them in segment_columns"
        abort(400, f"segment: expected COLUMN=TEXT, each column once; the columns are: {known}")
    return tuple(pairs)


def page_number() -> int:
    """The parameter `page` of the request."""
    return whole_number("page", 1, 1, LAST_PAGE)
