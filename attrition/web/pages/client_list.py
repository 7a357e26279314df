"""The ranked clients as a page shows them: rows in words, filters, orders and pages as links.

Values in, values out: a template shows them as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from attrition.core.config import BY_PROFIT
from attrition.core.formatting import (
    OPEN_CLIENTS,
    amount,
    chance,
    count,
    day,
    line,
    plain_number,
    plural,
    points,
)
from attrition.ranking.client_pages import client_url
from attrition.ranking.lookup_db import CONTACTS, LATELY, NOT_LATELY, TIERS, Page, Question
from attrition.ranking.movement import CAME, LEFT
from attrition.ranking.ranking import CALL, GROUPS, HIGH, HOLD_OUT, NEW, WHY_HELD_OUT

LONGEST_NAME = 200
_FILTERS = (
    ("All", TIERS),
    ("High", ("high",)),
    ("High and medium", ("high", "medium")),
    ("Medium", ("medium",)),
    ("Low", ("low",)),
)
_CONTACTS = (("Hide", (NOT_LATELY,)), ("Show", CONTACTS), ("Only these", (LATELY,)))
_GROUPS = (("All", GROUPS), ("To call", (CALL,)), ("Held out", (HOLD_OUT,)))
# Column -> the order that its button asks for first, and the one after that.
_ORDERS = {
    "client": ("client", "-client"),
    "risk": ("place", "-place"),
    "value": ("-value_at_risk", "value_at_risk"),
    "profit": ("-profit", "profit"),
}
_HELD_OUT = f"Held out: {WHY_HELD_OUT}."
_SAME = {"-probability": "place", "probability": "-place"}
_DESCENDING = {"-client", "place", "-probability", "-value_at_risk", "-profit"}


@dataclass(frozen=True)
class Row:
    """One client in words."""

    place: str
    client: str
    url: str
    risk: str
    share: float
    tier: str
    reasons: tuple[str, ...]
    change: str
    value_at_risk: str
    profit: str  # what a call is expected to earn; empty where that is not known
    held_out: str  # why nobody calls it; empty for a client to call
    last_contact: str  # the day, of a client who was contacted lately; else empty
    part: str = ""  # of the list, below its first part: why one does not call on


@dataclass(frozen=True)
class Choice:
    """One of the filters, or one of the orders."""

    name: str
    value: str
    is_chosen: bool
    clients: str = ""
    aria_sort: str = "none"


@dataclass(frozen=True)
class Listing:
    """A page of the ranked clients.

    Attributes:
        about: of the ranking; see `lookup_db.Page`.
        is_open: whether the clients are open ones, whom one may still call.
        summary: how many clients were found, in words.
        matching: how many clients were found, on all pages.
        groups: the filters by group; none where nobody is held out.
        contacts: likewise by whether a client was contacted lately; none where nobody rests.
        moves: likewise by who has come to high risk, or left it; none without an earlier list.
        least_value: what the form says of it.
        orders: column -> its button.
        previous, next: addresses, from the question mark on; None where there is no such page.
        csv: address of all that match, on every page, as CSV.
        everybody: address of all clients.
    """

    about: Mapping[str, Any]
    is_open: bool
    part: str
    sort: str
    summary: str
    matching: str
    rows: list[Row]
    filters: list[Choice]
    groups: list[Choice]
    contacts: list[Choice]
    moves: list[Choice]
    least_value: str
    orders: dict[str, Choice]
    has_values: bool
    has_profit: bool
    has_changes: bool
    number: int
    pages: int
    previous: str | None
    next: str | None
    csv: str
    everybody: str


def listing(
    page: Page,
    question: Question,
    number: int,
    size: int,
    *,
    has_values: bool,
) -> Listing:
    """A page of the list.

    Args:
        page: the clients of page `number`, `size` to a page.
        has_values: whether a column says what a client is worth.
    """
    pages = max(1, -(-page.matching // size))
    more = _all_contacts(page.about) if question.contacts == set(CONTACTS) else {}
    return Listing(
        about=page.about,
        is_open=page.about["ranked"] == OPEN_CLIENTS,
        part=question.part,
        sort=question.sort,
        summary=_summary(page, number, pages),
        matching=count(page.matching),
        rows=[
            replace(row(client), part=_part(client, page.about, question.sort))
            for client in page.clients
        ],
        filters=[_filter(name, tiers, question.tiers, page.found) for name, tiers in _FILTERS],
        groups=[_filter(name, some, question.groups, page.groups) for name, some in _GROUPS]
        if page.groups
        else [],
        contacts=[_filter(name, some, question.contacts, page.contacts) for name, some in _CONTACTS]
        if page.contacts
        else [],
        moves=_moves(page.about, question),
        least_value="" if question.least_value is None else plain_number(question.least_value),
        orders={column: _order(column, question.sort, page.about) for column in _ORDERS},
        has_values=has_values,
        has_profit="has_profit" in page.about,
        has_changes=any(client["probability_change"] for client in page.clients),
        number=number,
        pages=pages,
        previous=address(question, min(number - 1, pages), **more) if number > 1 else None,
        next=address(question, number + 1, **more) if number < pages else None,
        csv=address(question, 1, **more, format="csv"),
        everybody=address(Question(), 1, **_all_contacts(page.about)),
    )


def _all_contacts(about: Mapping[str, Any]) -> dict[str, str]:
    """For an address: that of a page which would hide who was contacted lately."""
    return {"contacted": _value(CONTACTS)} if "rest_days" in about else {}


def row(client: Mapping[str, Any]) -> Row:
    """One client of `GET /clients` in words."""
    return Row(
        place=count(client["place"]),
        client=line(client["client"], LONGEST_NAME),
        url=client_url(client["client"]),
        risk=chance(client["probability"], 0),
        share=client["probability"],
        tier=client["tier"],
        reasons=tuple(client["reasons"]),
        change=_change(client["probability_change"], client["rank_change"]),
        value_at_risk="" if client["value_at_risk"] is None else count(client["value_at_risk"]),
        profit="" if client.get("profit") is None else amount(round(client["profit"])),
        held_out=_HELD_OUT if client.get("group") == HOLD_OUT else "",
        last_contact=day(client["last_contact"]) if client.get("last_contact") else "",
    )


def _part(client: Mapping[str, Any], about: Mapping[str, Any], sort: str) -> str:
    """Where a list ends on which one calls from the top; "" before that end."""
    if client.get("group") == HOLD_OUT:
        return _HELD_OUT
    if sort != "place" or about.get("rank_by") != BY_PROFIT:
        return ""
    most, profit = about.get("calls_per_list"), client["profit"]
    if profit is None:
        return "No value is known, so nobody can say whether a call pays."
    if profit <= 0:
        return "From here on a call costs more than it is expected to keep."
    if most is not None and client["place"] > about.get("last_call", most):
        return f"The {plural(most, 'call')} that can be made end here; more would pay, too."
    return ""


def address(question: Question, number: int, **others: Any) -> str:
    """The query of a page of the list, from the question mark on; what is usual is left out."""
    parameters: dict[str, Any] = {}
    if question.part:
        parameters["q"] = question.part
    if len(question.tiers) < len(TIERS):
        parameters["tier"] = _value([tier for tier in TIERS if tier in question.tiers])
    if len(question.groups) < len(GROUPS):
        parameters["group"] = _value([group for group in GROUPS if group in question.groups])
    if len(question.contacts) < len(CONTACTS):
        parameters["contacted"] = _value([one for one in CONTACTS if one in question.contacts])
    if question.moved:
        parameters["moved"] = question.moved
    if question.least_value is not None:
        parameters["least_value"] = plain_number(question.least_value)
    if question.sort != "place":
        parameters["sort"] = question.sort
    if number > 1:
        parameters["page"] = number
    return f"?{urlencode(parameters | others)}"


def _summary(page: Page, number: int, pages: int) -> str:
    if not page.matching:
        return "No client matches."
    clients = plural(page.about["total"], "client")
    is_all = page.matching == page.about["total"]
    shown = clients if is_all else f"{count(page.matching)} of {clients}"
    return f"{shown}, page {count(number)} of {count(pages)}" if pages > 1 else shown


def _filter(
    name: str, values: tuple[str, ...], chosen: frozenset[str], counts: Mapping[str, int]
) -> Choice:
    clients = count(sum(counts.get(value, 0) for value in values))
    return Choice(name, _value(values), chosen == frozenset(values), clients)


def _moves(about: Mapping[str, Any], question: Question) -> list[Choice]:
    moved = about.get("moved")
    if moved is None:
        return []
    names = {"": "All", CAME: "New at high risk", LEFT: "No longer at high risk"}
    return [
        Choice(name, move, question.moved == move, count(moved[move]) if move else "")
        for move, name in names.items()
    ]


def movement(about: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Who has come to high risk and who has left it: texts, each with the address of the clients.

    An address is "" where the clients are not on the list any more.
    """
    moved = about.get("moved")
    if moved is None:
        return []
    more = _all_contacts(about)
    parts = [
        (moved[CAME], "new at high risk", address(Question(moved=CAME), 1, **more)),
        (moved[LEFT], "no longer", address(Question(moved=LEFT), 1, **more)),
        (moved["gone"], "not listed any more", ""),
    ]
    return [(f"{count(number)} {words}", url) for number, words, url in parts if number]


def value_at_risk(about: Mapping[str, Any]) -> str:
    """What the clients at high risk are worth, each by its risk, and what all are; "" without."""
    sums = about.get("value_at_risk")
    if sums is None:
        return ""
    return f"Value at risk {amount(sums[HIGH])}, of all clients {amount(sum(sums.values()))}"


def _value(values: list[str] | tuple[str, ...]) -> str:
    return ",".join(values)


def _order(column: str, sort: str, about: Mapping[str, Any]) -> Choice:
    first, second = _ORDERS[column]
    if "rank_by" not in about:  # the list is in the order of risk
        sort = _SAME.get(sort, sort)
    elif column == "risk":
        first, second = "-probability", "probability"
    if sort not in (first, second):
        return Choice(column, first, False)
    way = "descending" if sort in _DESCENDING else "ascending"
    return Choice(column, second if sort == first else first, True, aria_sort=way)


def _change(probability: str, rank_change: str) -> str:
    """The changes of risk and rank since the last list, in words."""
    if probability in ("", NEW):
        return probability
    moved, climbed = float(probability), int(rank_change)
    parts = [points(100 * moved)] if moved else []
    if climbed:
        parts.append(f"{'up' if climbed > 0 else 'down'} {count(abs(climbed))}")
    return ", ".join(parts) or "unchanged"
