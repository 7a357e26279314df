"""What the first clients of a list have in common, in one sentence.

Where most of them are there for the same reason, their rows read alike and say less than this: "24
of the first 25 clients have Contract Month-to-month (55% of all 1,409 listed)". It is said of a
value, or of the range around a number, that by itself raises the risk of at least half of them and
that `MOST` of them have, and of all listed clients a share that is smaller by `MORE`.

Values in, values out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attrition.core.formatting import chance, count
from attrition.core.labels import Labels
from attrition.model.explanations import Ends, raising_range, range_words, with_years
from attrition.model.reasons import raised_by
from attrition.model.scorecard import Scorecard
from attrition.model.terms import NumericTerm, Table
from attrition.ranking.ranking import Ranking

FIRST = 25  # clients that a list begins with, where nobody has said how many are called
FEWEST_FIRST, MOST_FIRST = 10, 1000  # of fewer nothing is said; more say no more
REASON_OF = 0.5  # of the first clients, whose reason the column is
MOST = 0.6  # of the first clients, that have it
MORE = 0.2  # by which their share is above that of all
MORE_AGAIN = 0.1  # likewise for a second fact, among the clients who have the first
SAMPLE = 100_000  # of a longer list so many clients, evenly along it, stand for all
_LONGEST = 60
# A label's words for a value are said of one client.
_PLURALS = {"has": "have", "is": "are", "was": "were", "does": "do"}


@dataclass(frozen=True)
class Fact:
    """What clients have in common.

    Attributes:
        column, value: a column's value; None: it is missing.
        ends: where one of them is not None, the clients' values are between these instead.
        first: whether each of the first clients has it, array of shape (n_first,).
        every: likewise each listed client, or each of the sample of them.
    """

    column: str
    value: Any
    ends: Ends
    first: NDArray[np.bool_]
    every: NDArray[np.bool_]


def in_common(
    card: Scorecard, table: Table, listed: Ranking, number: int, labels: Labels
) -> str | None:
    """What most of the first clients have in common, a sentence; None where nothing stands out.

    Args:
        card: the model that ranked the clients.
        table: their columns, in the order of the rows that were ranked: arrays, or a DataFrame.
        listed: the ranking.
        number: how many clients are called first.
        labels: what the columns are called.
    """
    first = listed.first_to_call(min(number, MOST_FIRST))
    if len(first) < FEWEST_FIRST:
        return None
    rows = listed.rows[first]
    every = listed.rows[:: -(-len(listed) // SAMPLE)]
    facts = most_telling(list(_facts(card, table, rows, every)))
    return _in_words(facts, len(listed), with_years(card, labels)) if facts else None


def most_telling(facts: Sequence[Fact]) -> list[Fact]:
    """The facts that stand out, at most two, the most telling first.

    The second is ahead among the clients who have the first, too: else it says the same again.
    """
    telling = [fact for fact in facts if _share(fact.first) >= MOST and _ahead(fact) >= MORE]
    if not telling:
        return []
    best, *others = sorted(telling, key=_ahead, reverse=True)
    return [best, *[fact for fact in others if _ahead(fact, best) >= MORE_AGAIN][:1]]


def _ahead(fact: Fact, among: Fact | None = None) -> float:
    """By how much the share of the first clients that have it is above that of all listed ones.

    Args:
        among: of each only those who have this; None: of all.
    """
    if among is None:
        return round(_share(fact.first) - _share(fact.every), 9)
    return _ahead(replace(fact, first=fact.first[among.first], every=fact.every[among.every]))


def _share(has: NDArray[np.bool_]) -> float:
    return float(has.mean()) if len(has) else 0.0


def _facts(
    card: Scorecard, table: Table, first: NDArray[np.intp], every: NDArray[np.intp]
) -> Iterator[Fact]:
    """What at least half of the first clients owe a reason to, column by column.

    Args:
        first: rows of the first clients.
        every: rows of all listed clients, or of a sample of them.
    """
    of_first = {column: np.asarray(table[column].take(first)) for column in card.columns}
    reasons = raised_by(card, of_first)
    terms = (*card.numeric, *card.categorical)
    for place in np.flatnonzero(reasons.mean(axis=0) >= REASON_OF).tolist():
        term, is_reason = terms[place], reasons[:, place]
        values = of_first[term.column]
        ends: Ends = (None, None)
        if isinstance(term, NumericTerm):
            # A range that holds most of them holds the one in their middle; NaN is the last.
            middle = float(np.sort(values[is_reason])[(is_reason.sum() - 1) // 2])
            value = None if np.isnan(middle) else middle
            ends = (None, None) if value is None else raising_range(term, middle)
            if ends == (None, None) and not (value is None or term.axis.is_flag):
                continue  # whatever number it is, it raises the risk
        else:
            value = Counter(values[is_reason].tolist()).most_common(1)[0][0]
        of_every = np.asarray(table[term.column].take(every))
        yield Fact(term.column, value, ends, _has(values, value, ends), _has(of_every, value, ends))


def _has(values: NDArray[Any], value: Any, ends: Ends) -> NDArray[np.bool_]:
    """Whether each value is this one, or, where there is an end, between the ends."""
    low, high = ends
    if low is None and high is None:
        return np.asarray(np.isnan(values) if value is None else values == value, dtype=np.bool_)
    above: NDArray[np.bool_] = values > (-np.inf if low is None else low)
    return above & (values < (np.inf if high is None else high))


def _in_words(facts: Sequence[Fact], clients: int, labels: Labels) -> str:
    """The facts as a sentence.

    Args:
        clients: how many are listed.
    """
    size, parts = len(facts[0].first), list[str]()
    for fact in facts:
        having = int(fact.first.sum())
        if parts:
            who, of_all = ("all" if having == size else count(having)), ""
        else:
            who = f"{'All' if having == size else count(having)} of the first {count(size)} clients"
            of_all = f" of all {count(clients)} listed"
        share = chance(_share(fact.every), 0)
        parts.append(f"{who} {_trait(fact, labels)} ({share}{of_all})")
    return f"{', and '.join(parts)}."


def _trait(fact: Fact, labels: Labels) -> str:
    """What clients have, after their number: "have Contract Month-to-month"."""
    column, name = fact.column, labels.name(fact.column, _LONGEST)
    ends = [end for end in fact.ends if end is not None]
    if ends:
        texts = [labels.number(column, end) for end in ends[:-1]]
        texts.append(labels.value(column, ends[-1], _LONGEST))
        return f"have {name} {range_words(fact.ends, texts)}"
    said = labels.phrase(column, fact.value)
    if said is None:
        return f"have {name} {labels.value(column, fact.value, _LONGEST)}"
    verb, _, rest = said.partition(" ")
    if rest and verb in _PLURALS:
        return f"{_PLURALS[verb]} {rest}"
    quotes = "\N{LEFT DOUBLE QUOTATION MARK}", "\N{RIGHT DOUBLE QUOTATION MARK}"
    return f"have {name} {said.join(quotes)}"
