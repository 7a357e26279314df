"""Why a client is at risk, in plain English: the scorecard's reasons as short texts.

"lastmonth_activity is 12, below 83: raises the risk strongly". Words and points are measured from
the same thing, the average client, all other columns being equal: within the range that is named
(below 83) this column's points are above their average. A pair raises the risk beyond what its two
columns do alone.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil, floor

from attrition.core.labels import NO_LABELS, Labels
from attrition.model.scorecard import STRONG_POINTS, Reason, Scorecard
from attrition.model.terms import CategoricalTerm, NumericTerm, PairTerm

NO_REASON = "no single value stands out as raising the risk"
LONGEST_NAME, LONGEST_VALUE = 200, 60  # the list is a file, too, and has names as they are


def with_years(card: Scorecard, labels: Labels) -> Labels:
    """The labels, which then know what columns hold years."""
    terms = (term for term in card.all_terms if isinstance(term, NumericTerm))
    return replace(labels, years=frozenset(t.column for t in terms if t.axis.holds_years))


class Words:
    """Puts the reasons of one scorecard into words; equal reasons are put into words once."""

    def __init__(self, card: Scorecard, labels: Labels = NO_LABELS) -> None:
        self._labels = with_years(card, labels)
        self._terms = dict(zip(card.terms, card.all_terms, strict=True))
        self._texts: dict[Reason, str] = {}

    def of(self, reason: Reason) -> str:
        """The text of a reason, on one line."""
        if reason not in self._texts:
            term = self._terms[reason.term]
            verb = "together raise" if isinstance(term, PairTerm) else "raises"
            strongly = " strongly" if reason.points >= STRONG_POINTS else ""
            subject = _subject(term, reason, self._labels)
            self._texts[reason] = f"{subject}: {verb} the risk{strongly}"
        return self._texts[reason]


def _subject(term: NumericTerm | CategoricalTerm | PairTerm, reason: Reason, labels: Labels) -> str:
    """What raises the risk: a column with its value, or two."""
    pairs = list(zip(reason.columns, reason.values, strict=True))
    phrases = [labels.phrase(*pair) for pair in pairs]
    texts = [
        (labels.name(column, LONGEST_NAME), labels.value(column, value, LONGEST_VALUE))
        for column, value in pairs
    ]
    if isinstance(term, PairTerm):
        said = zip(phrases, texts, strict=True)
        return " with ".join(phrase or " ".join(text) for phrase, text in said)
    if phrases[0]:
        return phrases[0]
    remark = ""
    if isinstance(term, NumericTerm) and reason.values[0] is not None:
        remark = _range_text(term, reason.values[0], labels)
    elif isinstance(term, CategoricalTerm) and reason.values[0] not in (None, *term.axis.levels):
        remark = ", a rare or new value" if reason.values[0] else ""
    return f"{' is '.join(texts[0])}{remark}"


def _range_text(term: NumericTerm, value: float, labels: Labels) -> str:
    """The range around a value within which the column raises the risk, if it has an end."""
    knots, place = term.axis.knots, term.axis.place(value)
    if term.axis.is_flag and value in knots:  # that a yes is above the no goes without saying
        return ""
    above = [points - term.average_points for points in term.points]

    def crossing(first: int, second: int) -> float:
        share = above[first] / (above[first] - above[second])
        return knots[first] + share * (knots[second] - knots[first])

    lower = next((i for i in range(place.lower, -1, -1) if above[i] <= 0.0), None)
    upper = next((i for i in range(place.upper, len(knots)) if above[i] <= 0.0), None)
    low = None if lower is None else crossing(lower, lower + 1)
    high = None if upper is None else crossing(upper - 1, upper)
    if float(value).is_integer() and 2 * sum(knot.is_integer() for knot in knots) >= len(knots):
        low, high = low and floor(low), high and ceil(high)  # it counts something
    ends = [labels.number(term.column, end) for end in (low, high) if end is not None]
    text = " and ".join(ends)
    if labels.number(term.column, value) in ends:  # too close to be told apart
        return ""
    if low is not None and high is not None:
        return f", between {text}"
    return f", {'below' if low is None else 'above'} {text}" if text else ""
