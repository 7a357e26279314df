"""The ranked clients as a page shows them: rows in words, filters, orders and pages as links.

Values in, values out: a template shows them as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    whole_amount,
)
from attrition.core.labels import Labels
from attrition.ranking.client_pages import client_url
from attrition.ranking.lookup_db import CONTACTS, LATELY, NOT_LATELY, TIERS, Book, Page, Question
from attrition.ranking.movement import CAME, LEFT, EarlierLine
from attrition.ranking.ranking import (
    BLANK,
    CALL,
    GROUPS,
    HIGH,
    HOLD_OUT,
    MOST_SEGMENTS,
    NEW,
    WHY_HELD_OUT,
)

LONGEST_NAME = 200
_FILTERS = (
    ("All", TIERS),
    ("High", ("high",)),
    ("High and medium", ("high", "medium")),
    ("Medium", ("medium",)),
    ("Low", ("low",)),
)
_CONTACTS = (
    ("Hide resting", (NOT_LATELY,)),
    ("Show resting", CONTACTS),
    ("Only resting", (LATELY,)),
)
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
    segments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """One of the filters, or one of the orders."""

    name: str
    value: str
    is_chosen: bool
    clients: str = ""
    aria_sort: str = "none"


@dataclass(frozen=True)
class SegmentFilter:
    """A segment column: its label and its texts to choose from; none: there are too many."""

    label: str
    choices: list[Choice]


@dataclass(frozen=True)
class Listing:
    """A page of the ranked clients.

    Attributes:
        about: of the ranking; see `lookup_db.Page`.
        is_open: whether the clients are open ones, whom one may still call.
        is_by_name: whether names alone order them, as all have one risk.
        summary: how many clients were found, in words.
        hidden: how many more would match, but were contacted lately.
        unhidden: the address of a list with these.
        matching: how many clients were found, on all pages.
        groups: the filters by group; none where nobody is held out.
        contacts: likewise by whether a client was contacted lately; none where nobody rests.
        moves: likewise by who has come to high risk, or left it; none without an earlier list.
        segments: likewise by each segment column.
        is_narrowed: whether one of the further filters is set.
        least_value: what the form says of it.
        orders: column -> its button.
        previous, next: addresses, from the question mark on; None where there is no such page.
        csv: address of all that match, on every page, as CSV.
        everybody: address of all clients.
        row_names: where the rows stand that clients without names are called by; "" with names.
    """

    about: Mapping[str, Any]
    is_open: bool
    is_by_name: bool
    part: str
    sort: str
    summary: str
    hidden: int
    unhidden: str
    matching: str
    rows: list[Row]
    filters: list[Choice]
    groups: list[Choice]
    contacts: list[Choice]
    moves: list[Choice]
    segments: Sequence[SegmentFilter]
    is_narrowed: bool
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
    row_names: str = ""


def listing(
    page: Page,
    question: Question,
    number: int,
    size: int,
    *,
    has_values: bool,
    segments: Sequence[SegmentFilter] = (),
) -> Listing:
    """A page of the list.

    Args:
        page: the clients of page `number`, `size` to a page.
        has_values: whether a column says what a client is worth.
        segments: the filters by segment columns.
    """
    pages = max(1, -(-page.matching // size))
    hidden = 0 if LATELY in question.contacts else page.contacts.get(LATELY, 0)
    more = _all_contacts(page.about) if question.contacts == set(CONTACTS) else {}
    return Listing(
        about=page.about,
        is_open=page.about["ranked"] == OPEN_CLIENTS,
        is_by_name="one_risk" in page.about and "rank_by" not in page.about,
        part=question.part,
        sort=question.sort,
        summary=_summary(page, number, pages),
        hidden=hidden,
        unhidden=address(question, 1, contacted=_value(CONTACTS)),
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
        segments=segments,
        is_narrowed=replace(question, part="").is_narrowed
        or question.groups != set(GROUPS)
        or bool(page.contacts and LATELY in question.contacts),
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
        value_at_risk=_whole(client["value_at_risk"]),
        profit=_whole(client.get("profit")),
        held_out=_HELD_OUT if client.get("group") == HOLD_OUT else "",
        last_contact=day(client["last_contact"]) if client.get("last_contact") else "",
        segments=tuple(line(text, LONGEST_NAME) for text in _segments(client).values() if text),
    )


def _whole(money: float | None) -> str:
    return "" if money is None else whole_amount(money)


def _segments(client: Mapping[str, Any]) -> Mapping[str, str]:
    segments: Mapping[str, str] = client.get("segments", {})
    return segments


def segments_in_words(client: Mapping[str, Any], labels: Labels) -> list[str]:
    """A client's text in each segment column, after the column's label."""
    return [
        f"{labels.name(column)}: {line(text, LONGEST_NAME) or BLANK}"
        for column, text in _segments(client).items()
    ]


def segment_filters(book: Book, question: Question, labels: Labels) -> list[SegmentFilter]:
    """The filters by segment columns; more than `MOST_SEGMENTS` texts are too many to choose from.

    The one that the question asks for is among them, even if no client has it.
    """
    chosen = dict(question.segments)
    filters = []
    for column in book.segment_columns:
        texts = dict(book.segment_texts(column, MOST_SEGMENTS + 1))
        if len(texts) > MOST_SEGMENTS:
            texts = {}
        if column in chosen:
            texts.setdefault(chosen[column], 0)
        every = Choice("All", "", column not in chosen)
        choices = [
            Choice(
                line(text, LONGEST_NAME) or BLANK,
                f"{column}={text}",
                chosen.get(column) == text,
                count(clients) if clients else "",
            )
            for text, clients in texts.items()
        ]
        filters.append(SegmentFilter(labels.name(column), [every, *choices] if choices else []))
    return filters


def _part(client: Mapping[str, Any], about: Mapping[str, Any], sort: str) -> str:
    """Why one does not call on who calls from the top, true on every page; "" where one does."""
    if client.get("group") == HOLD_OUT:
        return _HELD_OUT
    if sort != "place":
        return ""
    is_by_profit, most = about.get("rank_by") == BY_PROFIT, about.get("calls_per_list")
    if is_by_profit and client["profit"] is None:
        return "No usable value is known, so nobody can say whether a call pays."
    if is_by_profit and client["profit"] <= 0:
        return "A call to these costs more than it is expected to keep."
    if most is not None and client["place"] > about.get("last_call", most):
        more = ": more would pay, too" if is_by_profit else ""
        return f"Beyond your team's {plural(most, 'call')}{more}."
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
    if question.segments:
        parameters["segment"] = [f"{column}={text}" for column, text in question.segments]
    if question.sort != "place":
        parameters["sort"] = question.sort
    if number > 1:
        parameters["page"] = number
    return f"?{urlencode(parameters | others, doseq=True)}"


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


def headline(about: Mapping[str, Any]) -> str:
    """How many clients are at high risk, and from where on if that is new; without a full stop."""
    clients, high = plural(about["total"], "client"), count(about["tiers"][HIGH])
    if (risk := about.get("one_risk")) is not None:
        return f"All {clients} have the same risk of leaving, {chance(risk)}"
    verb = "is" if about["tiers"][HIGH] == 1 else "are"
    line = about.get("earlier_line")
    was = EarlierLine(**line).in_brief(about["thresholds"][HIGH]) if line else ""
    return f"{high} of {clients} {verb} at high risk of leaving{was}"


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
        (moved[LEFT], "no longer at high risk", address(Question(moved=LEFT), 1, **more)),
        (moved["gone"], "not listed any more", ""),
    ]
    return [(f"{count(number)} {words}", url) for number, words, url in parts if number]


def value_at_risk(about: Mapping[str, Any]) -> str:
    """What the clients at high risk are worth, each by its risk, and what all are; "" without."""
    sums = about.get("value_at_risk") or {}
    known = [money for money in sums.values() if money is not None]
    if not known:
        return ""
    high = "not known" if sums[HIGH] is None else amount(sums[HIGH])
    whom = "all clients" if len(known) == len(sums) else "the clients with a known value"
    return f"Value at risk: {high} among clients at high risk, {amount(sum(known))} among {whom}"


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
    """The changes of risk and, where it is known, of rank since the last list, in words."""
    if probability in ("", NEW):
        return probability
    moved, climbed = float(probability), int(rank_change or 0)
    parts = [points(100 * moved)] if moved else []
    if climbed:
        parts.append(f"{'up' if climbed > 0 else 'down'} {count(abs(climbed))}")
    return ", ".join(parts) or "unchanged"
