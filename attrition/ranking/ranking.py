"""Ranks clients by their risk of leaving: which ones to call first.

Values in, values out. Equal clients and an equal model give an equal ranking, whatever the order
of the clients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from attrition.calls.profit import CallCosts, ListProfit, SuccessRate, expected_profit, list_profit
from attrition.core.config import BY_PROFIT, BY_RISK, BY_VALUE
from attrition.core.formatting import DECIMALS, amount, count, day
from attrition.core.labels import NO_LABELS, Labels
from attrition.model.explanations import NO_REASON, Words
from attrition.model.reasons import reasons_of
from attrition.model.scorecard import Scorecard
from attrition.model.terms import Floats, Table

HIGH, MEDIUM, LOW = "high", "medium", "low"
CALL, HOLD_OUT = GROUPS = "call", "hold out"
WHY_HELD_OUT = "not to be called, so that what calls change can be measured"
REASONS = 3
NEW = "new"
SEGMENT = "segment_"  # before a segment column's name in CSV, so that it is no other column's
BLANK = "(blank)"  # the segment of clients without a text
# Of a column. More are no branches or account managers, and nobody would look through them.
MOST_SEGMENTS = 500
LARGEST_VALUE = 1e15  # no client is worth more, in any currency
NO_PROFIT = "no profit is shown"
# Equal clients may get probabilities that differ in the last bit, by their position in the table.
_EQUAL_DECIMALS = 9


@dataclass(frozen=True)
class Tiers:
    """Least probabilities of clients at high and at medium risk; fractions 0-1."""

    high: float
    medium: float

    def of(self, probabilities: Floats) -> NDArray[np.object_]:
        """The tier of each client."""
        names = np.array([LOW, MEDIUM, HIGH], dtype=object)
        reached = (probabilities >= self.medium).astype(np.intp) + (probabilities >= self.high)
        return np.asarray(names[reached])


def choose_tiers(high: float | None, medium: float | None, threshold: float) -> Tiers:
    """The tiers by the settings; None: high from the model's threshold on, medium from half of it.

    Args:
        high, medium: the settings; medium is None if high is None, else smaller than high.
        threshold: the model's least probability of a predicted leaver.
    """
    top = threshold if high is None else high
    return Tiers(top, top / 2 if medium is None else medium)


@dataclass(frozen=True)
class Pricing:
    """What a call costs and keeps, and how many can be made (None: any number)."""

    costs: CallCosts
    success: SuccessRate
    calls_per_list: int | None = None


@dataclass(frozen=True)
class OddValues:
    """Values that none can be: how many, and the lowest and the highest of them."""

    clients: int
    lowest: float
    highest: float

    def __str__(self) -> str:
        """A sentence without a full stop."""
        examples = dict.fromkeys(map(amount, (self.lowest, self.highest)))
        verb, clients = ("has", "client") if self.clients == 1 else ("have", "clients")
        return (
            f"{count(self.clients)} {clients} {verb} a value below 0 or above "
            f"{amount(LARGEST_VALUE)}, such as {' and '.join(examples)}: such values count as "
            "unknown"
        )


def worth(values: Floats) -> Floats:
    """The values that count: what is below 0 or above `LARGEST_VALUE` is NaN, as a blank is.

    A loss has nothing to be lost, an offer that is a share of it would be a gain, and larger
    numbers than that are slips.
    """
    return np.where((values >= 0) & (values <= LARGEST_VALUE), values, np.nan)


def resting_in_words(resting: int | None, first_free: str | None) -> str:
    """Who was contacted lately, without a full stop; "" for nobody.

    Args:
        resting: how many of the clients to call; None: nobody rests.
        first_free: the day before which none of them may be called; None where one may be now.
    """
    if not resting:
        return ""
    verb = "was" if resting == 1 else "were"
    if first_free is None:
        return f"{count(resting)} {verb} contacted lately: not to be called again yet"
    who = "the only client" if resting == 1 else f"all {count(resting)} clients"
    return f"nobody may be called before {day(first_free)}: {who} to call {verb} contacted lately"


@dataclass(frozen=True)
class Ranking:
    """Clients, the first to call first: arrays and lists of one item per client.

    The first is the one most likely to leave, or that of the highest value at risk or profit; a
    client without a value is then below all that have one. Where clients are held out, they come
    last, in the same order among themselves.

    Attributes:
        ids: each client's id; array of shape (n,).
        probabilities: of leaving, fraction 0-1, rounded to `DECIMALS`.
        tiers: high, medium or low.
        reasons: up to three texts each, first one that few of the clients just above begin with;
            only for the first clients of the list.
        values: the value column as it came, NaN where blank; None when none is configured.
        values_at_risk: probability x value; NaN where that is blank or `worth` takes it for none.
        value_ranks: rank by value at risk, 1 for the largest, clients who are held out after all
            others; 0 where that is not known.
        probability_changes: since the last ranking, as text; "new", or "" without a last one.
        rank_changes: ranks gained since then, as text; negative for a loss.
        rows: each client's position in the table that was ranked, from 0 on.
        ungrouped: the clients' places here in the order they would have if nobody were held out.
        held_out: how many clients are held out; None: no share of the clients is.
        profits: what calling each is expected to earn, NaN without a value; None without costs.
        last_contacts: the day of the last action, as in `2026-01-31`, of a client who was contacted
            so lately that it is not to be called again; "" for others, and for clients who are
            held out, whom nobody calls anyway. None: nobody rests.
        rest_days: for so many days after that; None: nobody rests.
        segments: segment column -> each client's text, "" for blank.
        exact: the probabilities before rounding to `DECIMALS`; money is computed from them.
        is_again: whether it is the last list, made again; see `is_same`.
    """

    ids: NDArray[np.object_]
    probabilities: Floats
    tiers: NDArray[np.object_]
    reasons: list[list[str]]
    values: Floats | None
    values_at_risk: Floats | None
    value_ranks: NDArray[np.int64] | None
    probability_changes: Sequence[str] = ()
    rank_changes: Sequence[str] = ()
    rows: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))
    ungrouped: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))
    held_out: int | None = None
    profits: Floats | None = None
    last_contacts: Sequence[str] | None = None
    rest_days: int | None = None
    segments: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)
    exact: Floats = field(default_factory=lambda: np.empty(0))
    is_again: bool = False

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def to_call(self) -> int:
        """How many clients are not held out: the first ones."""
        return len(self) - (self.held_out or 0)

    @property
    def callable_now(self) -> NDArray[np.intp]:
        """Positions of the clients who are neither held out nor contacted lately."""
        if self.last_contacts is None:
            return np.arange(self.to_call)
        return np.flatnonzero(np.array(self.last_contacts[: self.to_call], np.str_) == "")

    @property
    def resting(self) -> int | None:
        """How many of the clients to call were contacted lately; None where nobody rests."""
        return None if self.last_contacts is None else self.to_call - len(self.callable_now)

    @property
    def first_free(self) -> str | None:
        """The day from which on one of the clients to call may be called again, such as
        `2026-01-31`; None where one may be called now, or none ever.
        """
        if not self.resting or len(self.callable_now):
            return None
        assert self.last_contacts is not None
        assert self.rest_days is not None
        earliest = date.fromisoformat(min(self.last_contacts[: self.to_call]))
        return (earliest + timedelta(days=self.rest_days)).isoformat()

    @property
    def one_risk(self) -> float | None:
        """The risk of all clients, where several have one and the same; else None."""
        if len(self) < 2 or (self.probabilities != self.probabilities[0]).any():
            return None
        return float(self.probabilities[0])

    @property
    def odd_values(self) -> OddValues | None:
        """The values that `worth` takes for none; None where all are sound."""
        if self.values is None or self.values_at_risk is None:
            return None
        odd = self.values[~np.isnan(self.values) & np.isnan(self.values_at_risk)]
        return OddValues(len(odd), float(odd.min()), float(odd.max())) if len(odd) else None

    def first_to_call(self, number: int) -> list[int]:
        """Positions of the first clients who may be called now."""
        return list(self.callable_now[:number].tolist())

    def risks(self, first: int) -> dict[str, float]:
        """The probabilities of the first clients, by id."""
        return dict(
            zip(self.ids[:first].tolist(), self.probabilities[:first].tolist(), strict=True)
        )

    def profit(self, pricing: Pricing) -> ListProfit | str:
        """What calling those who may be called now is worth; or why that cannot be said."""
        assert self.values is not None  # the settings ask for them beside costs
        called = self.callable_now
        risk, value = self.exact[called], worth(self.values[called])
        if not self.to_call:
            return f"{NO_PROFIT}: every client is held out"
        if self.first_free:
            return resting_in_words(self.to_call, self.first_free)
        if np.isnan(value).all():
            if len(value) == 1:
                return f"{NO_PROFIT}: the client who may be called has no value"
            who = f"none of the {count(len(value))} clients"
            return f"{NO_PROFIT}: {who} who may be called has a value"
        return list_profit(risk, value, pricing.costs, pricing.success, pricing.calls_per_list)

    def count(self, tier: str) -> int:
        """How many clients are in a tier."""
        return int((self.tiers == tier).sum())

    def value_at_risk(self, tier: str) -> float | None:
        """That of the clients of a tier, as far as their values are known; None where none is."""
        if self.values_at_risk is None or np.isnan(self.values_at_risk).all():
            return None
        of_tier = self.values_at_risk[self.tiers == tier]
        known = of_tier[~np.isnan(of_tier)]
        return float(known.sum()) if len(known) or not len(of_tier) else None


@dataclass(frozen=True)
class Previous:
    """The last ranking, best first, with its changes; see `Ranking`.

    Attributes:
        same_order: whether the settings that ordered it are those of the next one.
    """

    ids: Sequence[str]
    probabilities: Floats
    probability_changes: Sequence[str]
    rank_changes: Sequence[str]
    same_order: bool = True


def rank(
    card: Scorecard,
    ids: NDArray[np.object_],
    table: Table,
    *,
    values: Floats | None,
    tiers: Tiers,
    with_reasons: int,
    held_out: NDArray[np.bool_] | None = None,
    labels: Labels = NO_LABELS,
    rank_by: str = BY_RISK,
    pricing: Pricing | None = None,
    segments: Mapping[str, NDArray[np.object_]] | None = None,
) -> Ranking:
    """Rank clients; those who are equal are in the order of their risk, then of their ids.

    Args:
        ids: array of shape (n,) of text.
        table: their features by column, as the scorecard takes them.
        values: array of shape (n,), each client's value, NaN where blank; None without values.
        tiers: the thresholds.
        with_reasons: number of clients at the top that get reasons.
        held_out: array of shape (n,), whether a client is held out; None: no hold-out.
        labels: what the columns are called in reasons.
        rank_by: `BY_RISK`, or with values `BY_VALUE`, or with values and pricing `BY_PROFIT`.
        pricing: of a call; None: no profit is computed.
        segments: segment column -> array of shape (n,), each client's text.
    """
    exact = card.probabilities(table)
    probabilities = np.round(exact, _EQUAL_DECIMALS)
    at_risk, profits = _money(probabilities, values, pricing)
    order = _order(probabilities, ids)
    amounts = {BY_VALUE: at_risk, BY_PROFIT: profits}.get(rank_by)
    if amounts is not None:
        order = order[np.argsort(-amounts[order], kind="stable")]  # NaN last
    ungrouped = np.arange(len(ids))
    if held_out is not None:
        grouped = np.argsort(held_out[order], kind="stable")
        order, ungrouped = order[grouped], np.argsort(grouped)
    to_call = len(ids) if held_out is None else int((~held_out).sum())
    tier_of = tiers.of(exact[order])
    ranked_at_risk = None if at_risk is None else at_risk[order]
    return Ranking(
        ids=ids[order],
        probabilities=np.round(probabilities[order], DECIMALS),
        tiers=tier_of,
        reasons=_reasons(card, table, order[:with_reasons], tier_of[:with_reasons], labels),
        values=None if values is None else values[order],
        values_at_risk=ranked_at_risk,
        value_ranks=None if ranked_at_risk is None else _value_ranks(ranked_at_risk, to_call),
        rows=order,
        ungrouped=ungrouped,
        held_out=None if held_out is None else len(ids) - to_call,
        profits=None if profits is None else profits[order],
        segments={name: texts[order] for name, texts in (segments or {}).items()},
        exact=probabilities[order],
    )


def _money(
    probabilities: Floats, values: Floats | None, pricing: Pricing | None
) -> tuple[Floats | None, Floats | None]:
    """The value at risk and the profit of each client; None without values, or without pricing."""
    if values is None:
        return None, None
    known = worth(values)
    if pricing is None:
        return probabilities * known, None
    profits = expected_profit(probabilities, known, pricing.costs, pricing.success)
    return probabilities * known, profits


def with_changes(ranking: Ranking, previous: Previous | None) -> Ranking:
    """The ranking with each client's changes since the last one.

    One that `is_same` keeps the last one's changes: those since the ranking before. Where other
    settings order it, no places are compared.
    """
    if previous is None:
        blanks = [""] * len(ranking)
        return replace(ranking, probability_changes=blanks, rank_changes=blanks)
    if is_same(ranking, previous):
        changed = _with_kept_changes(ranking, previous)
    else:
        changed = _with_new_changes(ranking, previous)
    if previous.same_order:
        return changed
    places = [change if change == NEW else "" for change in changed.rank_changes]
    return replace(changed, rank_changes=places)


def _with_new_changes(ranking: Ranking, previous: Previous) -> Ranking:
    positions = dict(zip(previous.ids, range(len(previous.ids)), strict=True))
    ids = ranking.ids.tolist()
    before = np.fromiter(map(positions.get, ids, repeat(-1)), np.intp, len(ids))
    # The added 0 allows a last list without clients.
    probabilities_before = np.append(previous.probabilities, 0.0)[before]
    moved = (_units(ranking.probabilities) - _units(probabilities_before)).tolist()
    texts = {units: f"{units / 10**DECIMALS:.{DECIMALS}f}" for units in set(moved)}
    probability_changes = list(map(texts.__getitem__, moved))
    rank_changes = list(map(str, (before - np.arange(len(ids))).tolist()))
    for position in np.flatnonzero(before < 0).tolist():
        probability_changes[position] = rank_changes[position] = NEW
    return replace(ranking, probability_changes=probability_changes, rank_changes=rank_changes)


def is_same(ranking: Ranking, previous: Previous) -> bool:
    """Whether these are the same clients at the same risks, and in the same order unless other
    settings made that: by value at risk, another value makes another list.
    """
    ids, now, before = (
        ranking.ids.tolist(),
        _units(ranking.probabilities),
        _units(previous.probabilities),
    )
    if ids == list(previous.ids):
        return np.array_equal(now, before)
    if previous.same_order or now.sum() != before.sum():
        return False
    risks = zip(ids, now.tolist(), strict=True), zip(previous.ids, before.tolist(), strict=True)
    return dict(risks[0]) == dict(risks[1])


def _with_kept_changes(ranking: Ranking, previous: Previous) -> Ranking:
    kept, places = previous.probability_changes, previous.rank_changes
    if not previous.same_order:  # the places are left out
        changes = dict(zip(previous.ids, kept, strict=True))
        kept = places = [changes[client] for client in ranking.ids.tolist()]
    return replace(ranking, probability_changes=kept, rank_changes=places, is_again=True)


def _units(probabilities: Floats) -> NDArray[np.int64]:
    """Probabilities in ten-thousandths, so that differences are exact."""
    return np.asarray(np.rint(probabilities * 10**DECIMALS), dtype=np.int64)


def _order(probabilities: Floats, ids: NDArray[np.object_]) -> NDArray[np.intp]:
    """The rows, the likeliest leavers first; only among equal ones names are compared."""
    order = np.argsort(-probabilities, kind="stable")
    as_above = np.diff(probabilities[order], prepend=np.nan) == 0
    tied = np.flatnonzero(as_above | np.append(as_above[1:], False))
    rows = np.sort(order[tied])
    names = ids[rows].tolist()
    by_name = rows[sorted(range(len(names)), key=names.__getitem__)]
    order[tied] = by_name[np.argsort(-probabilities[by_name], kind="stable")]
    return order


def _reasons(
    card: Scorecard,
    table: Table,
    rows: NDArray[np.intp],
    tiers: NDArray[np.object_],
    labels: Labels,
) -> list[list[str]]:
    """The reasons of some clients as texts, as `Ranking` has them; `NO_REASON` for a client without
    any.
    """
    selected = {column: np.asarray(table[column])[rows] for column in card.columns}
    words = Words(card, labels)
    return [
        [words.of(reason) for reason in reasons] or [NO_REASON]
        for reasons in reasons_of(card, selected, REASONS, tiers)
    ]


def _value_ranks(at_risk: Floats, to_call: int) -> NDArray[np.int64]:
    """Rank of each client by value at risk, the first `to_call` clients before the others; equal
    ones keep their order, 0 for a blank value.
    """
    ranks = np.zeros(len(at_risk), dtype=np.int64)
    known = np.flatnonzero(~np.isnan(at_risk))
    order = np.lexsort((-at_risk[known], known >= to_call))
    ranks[known[order]] = np.arange(1, len(known) + 1)
    return ranks
