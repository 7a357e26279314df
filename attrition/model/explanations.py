"""Why a client is at risk, in plain English: the scorecard's reasons as short texts.

"lastmonth_activity is 12, far below the usual 140". The usual value is the median, or the most
frequent level, of the clients the model was trained on.
"""

from __future__ import annotations

from typing import Any

from attrition.core.formatting import line
from attrition.model.scorecard import Reason, Scorecard
from attrition.model.terms import CategoricalTerm, KnotAxis, NumericTerm, PairTerm

NO_REASON = "no value raises the risk above the average"
LONGEST_VALUE = 60
# A value is far if this share of the knots, and so about this share of the clients, lies between.
FAR = 1 / 3


class Words:
    """Puts the reasons of one scorecard into words; equal reasons are put into words once."""

    def __init__(self, card: Scorecard) -> None:
        self._terms = dict(zip(card.terms, card.all_terms, strict=True))
        self._usual = {term.column: term.usual_value for term in card.categorical}
        self._texts: dict[tuple[str, tuple[Any, ...]], str] = {}

    def of(self, reason: Reason) -> str:
        """The text of a reason, on one line."""
        key = (reason.term, reason.values)
        if key not in self._texts:
            self._texts[key] = self._describe(reason)
        return self._texts[key]

    def _describe(self, reason: Reason) -> str:
        term, value = self._terms[reason.term], reason.values[0]
        if isinstance(term, NumericTerm):
            return f"{line(term.column, LONGEST_VALUE)} is {_number_in_words(term.axis, value)}"
        if isinstance(term, CategoricalTerm):
            return f"{line(term.column, LONGEST_VALUE)} is {_level_in_words(term, value)}"
        return self._pair_in_words(term, reason.values)

    def _pair_in_words(self, term: PairTerm, values: tuple[Any, ...]) -> str:
        parts = []
        for column, axis, value in zip(term.columns, term.axes, values, strict=True):
            usual = axis.usual_value if isinstance(axis, KnotAxis) else self._usual[column]
            shown, expected = _value_text(value), _value_text(usual)
            remark = "as usual" if shown == expected else f"usually {expected}"
            parts.append(f"{line(column, LONGEST_VALUE)} {shown} ({remark})")
        return " together with ".join(parts)


def number_text(value: float) -> str:
    """A number for people: at most four significant digits, or whole from a thousand on."""
    if abs(value) < 1e15 and (value == int(value) or abs(value) >= 1000):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.0f}"
    return f"{value:.4g}"


def _number_in_words(axis: KnotAxis, value: float | None) -> str:
    if value is None:
        return "missing"
    shown, usual = number_text(value), number_text(axis.usual_value)
    if shown == usual:
        return f"{shown}, about the usual"
    side = "below" if value < axis.usual_value else "above"
    far = "far " if _is_far(axis, value) else ""
    return f"{shown}, {far}{side} the usual {usual}"


def _is_far(axis: KnotAxis, value: float) -> bool:
    """Whether many clients have a value between this one and the usual one; see `FAR`."""
    position, usual = axis.place(value), axis.place(axis.usual_value)
    distance = abs(position.lower + position.share - usual.lower - usual.share)
    return distance > 0 and distance >= FAR * (len(axis) - 1)


def _level_in_words(term: CategoricalTerm, value: str | None) -> str:
    shown = _value_text(value)
    if not value:
        return shown
    if value not in term.axis.levels:
        return f"{shown}, a rare or new value"
    if value == term.usual_value:
        return f"{shown}, the most frequent value"
    return f"{shown} (most frequent: {_value_text(term.usual_value)})"


def _value_text(value: Any) -> str:
    if value is None or value == "":
        return "missing"
    return line(value, LONGEST_VALUE) if isinstance(value, str) else number_text(value)
