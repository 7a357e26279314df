"""Where a client stands: its risk over the values of each column, as curves and bars.

Values in, values out: a template shows them as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from attrition.core.formatting import LONGEST, chance, percent, plural
from attrition.core.labels import NO_LABELS, Labels
from attrition.model.scorecard import Scorecard, logistic
from attrition.model.terms import CategoricalTerm, NumericTerm, drawn_positions, is_crowded
from attrition.model.uncertainty import Z95
from attrition.web.pages.charts import Chart, Reading, curve, round_ticks

OTHER = "another value"
_MOST_LEVELS = 6
_FLAT = 0.01  # of the height of a chart
_STEPS = 4  # from knot to knot: the risk bends between them, unlike the points
_ROUND, _KNOTS = 6, 4  # labels below a curve, about: round numbers, or knots of a stretched axis
_HUGE = 1e300  # beyond it a range may be none

ColumnTerm = NumericTerm | CategoricalTerm


@dataclass(frozen=True)
class Level:
    """The client's risk with one of a column's few values.

    Attributes:
        risk: in words.
        width: of the bar, in percent.
        is_own: whether this is the client's value.
    """

    name: str
    risk: str
    width: float
    is_own: bool


@dataclass(frozen=True)
class Standing:
    """The risk over the values of one column, with this client's place.

    Attributes:
        text: what it shows, in words.
        is_flat: whether the risk is the same, to the eye, with every value.
        chart: of numbers; None for a column of few values.
        levels: instead of a chart, the highest risk first.
        remark: what the picture alone does not say; "" for nothing.
    """

    column: str
    value: str
    text: str
    is_flat: bool = False
    chart: Chart | None = None
    levels: tuple[Level, ...] = ()
    remark: str = ""


def standings(
    card: Scorecard,
    features: Mapping[str, Any],
    order: Sequence[str],
    labels: Labels = NO_LABELS,
) -> list[Standing]:
    """The client's risk over the values of each column, all others as they are; on one scale.

    Args:
        card: the scorecard that ranked the client.
        features: the client's values by column.
        order: the columns, the most telling first.
    """
    terms = own_terms(card)
    values = {column: _values(terms[column], features[column]) for column in order}
    risks = _risks(card, features, values)
    reach = (0.0, max(risk for of_column in risks.values() for risk in of_column))
    return [
        _standing(terms[column], features[column], risks[column], reach, labels) for column in order
    ]


def own_terms(card: Scorecard) -> dict[str, ColumnTerm]:
    """Column -> the term that reads it alone."""
    terms: tuple[ColumnTerm, ...] = (*card.numeric, *card.categorical)
    return {term.column: term for term in terms}


def _values(term: ColumnTerm, value: Any) -> list[Any]:
    """The values at which a curve is drawn, and last the client's own."""
    if isinstance(term, NumericTerm):
        knots = term.axis.knots
        positions = [step / _STEPS for step in range(_STEPS * (len(knots) - 1) + 1)]
        between = np.interp(positions, range(len(knots)), knots).tolist()
        return [*between, math.nan if value is None else value]
    return [*term.axis.levels, unknown_level(term, value), value or ""]


def unknown_level(term: CategoricalTerm, value: Any) -> str:
    """A level that no client has, and the model has not learnt."""
    unknown = OTHER
    while unknown in term.axis.levels or unknown == value:
        unknown += "…"
    return unknown


def _risks(
    card: Scorecard, features: Mapping[str, Any], values: Mapping[str, Sequence[Any]]
) -> dict[str, list[float]]:
    """The client's risk with each of some values in a column's place, by column."""
    blank: dict[str, Any] = dict.fromkeys(card.numeric_columns, math.nan)
    blank |= dict.fromkeys(card.categorical_columns, "")
    own = {name: blank[name] if features[name] is None else features[name] for name in blank}
    records = [{**own, name: value} for name, some in values.items() for value in some]
    table = {name: [record[name] for record in records] for name in own}
    risks = iter(card.probabilities(table).tolist())
    return {name: [next(risks) for _ in some] for name, some in values.items()}


def _standing(
    term: ColumnTerm,
    value: Any,
    risks: Sequence[float],
    reach: tuple[float, float],
    labels: Labels,
) -> Standing:
    name, shown = labels.name(term.column), value_text(value, term.column, labels)
    said = labels.phrase(term.column, value) or f"{name} is {shown}"
    text = (
        f"{said}, and the risk {chance(risks[-1], 0)}; with other values of it, all else being "
        f"equal, the risk goes from {chance(min(risks), 0)} to {chance(max(risks), 0)}."
    )
    is_flat = max(risks) - min(risks) < _FLAT * reach[1]
    standing = Standing(name, shown, text, is_flat)
    if isinstance(term, NumericTerm) and not (term.axis.is_flag and value in term.axis.knots):
        chart = _curve(term, value, risks, reach, labels)
        remarks = ["Axis stretched, not to scale"] * is_crowded(term.axis.knots)
        if value is None:
            remarks.insert(0, f"A missing value is not on the curve: {chance(risks[-1], 0)}")
        return replace(standing, chart=chart, remark="; ".join(remarks))
    levels, rest = _levels(_risk_by_level(term, value, risks, labels), round_ticks(*reach)[-1])
    return replace(standing, levels=levels, remark=rest)


def _curve(
    term: NumericTerm,
    value: Any,
    risks: Sequence[float],
    reach: tuple[float, float],
    labels: Labels,
) -> Chart:
    """The axis as in the report: to scale, or with its knots side by side if most would crowd."""
    knots, positions = term.axis.knots, drawn_positions(term.axis.knots)
    places = np.linspace(0, len(knots) - 1, len(risks) - 1)
    shares = np.interp(places, range(len(knots)), positions).tolist()
    here = None
    if value is not None:
        here = float(np.interp(value, knots, positions)), risks[-1]
    ticks = _ticks(knots)
    names = [
        (share, labels.tick(term.column, tick))
        for tick, share in zip(ticks, np.interp(ticks, knots, positions).tolist(), strict=True)
    ]
    return curve(
        list(zip(shares, risks[:-1], strict=True)),
        names if len(knots) > 1 else [(0.5, names[0][1])],
        here,
        reach,
        percent,
        bounds=_bounds(term, risks[:-1]),
    )


def _ticks(knots: Sequence[float]) -> list[float]:
    """Values to label: round ones on an axis to scale, knots on any other."""
    low, high = knots[0], knots[-1]
    are_whole = all(float(knot).is_integer() for knot in knots)
    if len(knots) > 1 and not is_crowded(knots) and max(abs(low), abs(high)) < _HUGE:
        inside = [tick for tick in round_ticks(low, high, _ROUND) if low <= tick <= high]
        kept = [tick for tick in inside if tick.is_integer() or not are_whole]
        if len(kept) > 1:
            return kept
    places = np.linspace(0, len(knots) - 1, min(len(knots), _KNOTS)).round().astype(int)
    return [knots[place] for place in places.tolist()]


def _bounds(term: NumericTerm, risks: Sequence[float]) -> list[list[float]]:
    """The risks that the column's points at 1.96 standard errors to either side would give."""
    if not term.errors:
        return []
    places = np.linspace(0, len(term.axis) - 1, len(risks))
    errors = Z95 * np.interp(places, range(len(term.axis)), term.errors)
    chances = np.clip(risks, 1e-12, 1.0 - 1e-12)
    log_odds = np.log(chances / (1.0 - chances))
    return [logistic(log_odds + side * errors).tolist() for side in (-1.0, 1.0)]


def _risk_by_level(
    term: ColumnTerm, value: Any, risks: Sequence[float], labels: Labels
) -> list[Reading]:
    """The risk with each value of a column that has few; the client's own is marked."""
    if isinstance(term, NumericTerm):  # two values, between which there are none
        return [
            Reading(number_in_words(term, knot, labels), risk, marked=knot == value)
            for knot, risk in zip(term.axis.knots, (risks[0], risks[-2]), strict=True)
        ]
    own = term.axis.place(value).lower
    names = [
        *(labels.phrase(term.column, level) or value_text(level) for level in term.axis.levels),
        OTHER,
    ]
    return [
        Reading(name, risk, marked=position == own)
        for position, (name, risk) in enumerate(zip(names, risks[:-1], strict=True))
        if position == own or name != OTHER
    ]


def number_in_words(term: NumericTerm, number: float, labels: Labels) -> str:
    """A value of a column of two, in words where it has some."""
    return labels.phrase(term.column, number) or labels.number(term.column, number)


def _levels(readings: Sequence[Reading], full: float) -> tuple[tuple[Level, ...], str]:
    """Bars by falling risk, and what is left out: of many levels the most telling ones are shown,
    and this client's own.

    Args:
        full: the risk of the longest bar that there can be.
    """
    own = next(reading.value for reading in readings if reading.marked)
    telling = sorted(readings, key=lambda one: (not one.marked, -abs(one.value - own)))
    shown = sorted(telling[:_MOST_LEVELS], key=lambda reading: -reading.value)
    levels = tuple(
        Level(one.name, chance(one.value, 0), round(100 * one.value / full, 1), one.marked)
        for one in shown
    )
    others = [one.value for one in telling[_MOST_LEVELS:]]
    if not others:
        return levels, ""
    low, high = chance(min(others), 0), chance(max(others), 0)
    return (
        levels,
        f"{plural(len(others), 'more value')}: {low if low == high else f'{low} to {high}'}",
    )


def value_text(value: Any, column: str = "", labels: Labels = NO_LABELS) -> str:
    """A client's value for people."""
    return labels.value(column, value, LONGEST)
