"""Why a client is at risk, in plain English: the reasons as short texts.

"lastmonth_activity is 12, below 83: raises the risk strongly". Words and points are measured from
the mean over all values of the column, the other columns being as they are. Within the range that
is named (below 83) the column's own points are above their average. Where a column raises the risk
above all in a pair, the other column is named instead: "orders is 2, with complains yes" or,
where its value has words of its own, "orders is 2, and has complained".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, floor

from attrition.core.labels import NO_LABELS, Labels
from attrition.model.reasons import STRONG_POINTS, Reason
from attrition.model.scorecard import Scorecard
from attrition.model.terms import CategoricalTerm, NumericTerm

RAISES = ": raises the risk"  # after what does so
NO_REASON = "no single value stands out as raising the risk"
LONGEST_NAME, LONGEST_VALUE = 200, 60  # the list is a file, too, and has names as they are

Ends = tuple[float | None, float | None]  # of a range of numbers; None where it has no end


def with_years(card: Scorecard, labels: Labels) -> Labels:
    """The labels, which then know what columns hold years."""
    return replace(labels, years=frozenset(t.column for t in card.numeric if t.axis.holds_years))


class Words:
    """Puts the reasons of one scorecard into words; equal reasons are put into words once."""

    def __init__(self, card: Scorecard, labels: Labels = NO_LABELS) -> None:
        self._labels = with_years(card, labels)
        self._terms = {term.column: term for term in (*card.numeric, *card.categorical)}
        self._texts: dict[tuple[object, ...], str] = {}

    def of(self, reason: Reason) -> str:
        """The text of a reason, on one line."""
        is_strong = reason.points >= STRONG_POINTS
        key = (reason.columns, reason.values, is_strong)
        if key not in self._texts:
            strongly = " strongly" if is_strong else ""
            self._texts[key] = f"{self._subject(reason)}{RAISES}{strongly}"
        return self._texts[key]

    def _subject(self, reason: Reason) -> str:
        """What raises the risk: a column with its value, and perhaps with what."""
        column, *others = reason.columns
        value, *values = reason.values
        term, labels = self._terms[column], self._labels
        said = labels.phrase(column, value)
        text = said or f"{labels.name(column, LONGEST_NAME)} is {self._value(column, value)}"
        if others:
            if other := labels.phrase(others[0], values[0]):
                return f"{text}, and {other}"
            other = labels.name(others[0], LONGEST_NAME)
            return f"{text}, with {other} {self._value(others[0], values[0])}"
        if said:
            return text
        if isinstance(term, NumericTerm):
            return text if value is None else text + _range_text(term, value, labels)
        if isinstance(term, CategoricalTerm) and value and value not in term.axis.levels:
            return f"{text}, a rare or new value"
        return text

    def _value(self, column: str, value: object) -> str:
        return self._labels.value(column, value, LONGEST_VALUE)


def _range_text(term: NumericTerm, value: float, labels: Labels) -> str:
    """The range around a value within which the column raises the risk, if it has an end."""
    ends = raising_range(term, value)
    texts = [labels.number(term.column, end) for end in ends if end is not None]
    if labels.number(term.column, value) in texts:  # too close to be told apart
        return ""
    return f", {range_words(ends, texts)}" if texts else ""


def range_words(ends: Ends, texts: Sequence[str]) -> str:
    """A range with an end, in words: "below 83".

    Args:
        ends: at least one of them is not None.
        texts: those that are not.
    """
    if None not in ends:
        return f"between {' and '.join(texts)}"
    return f"{'below' if ends[0] is None else 'above'} {texts[0]}"


def raising_range(term: NumericTerm, value: float) -> Ends:
    """The range around a value within which the column raises the risk: between its ends."""
    knots, place = term.axis.knots, term.axis.place(value)
    if term.axis.is_flag and value in knots:  # that a yes is above the no goes without saying
        return None, None
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
    return low, high
