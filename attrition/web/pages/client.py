"""One client as a page shows it: what drives the risk, where the client stands, what could change.

Values in, values out: a template shows them as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np

from attrition.core import clock
from attrition.core.formatting import LONGEST, amount, chance, day, line, percent, signed
from attrition.core.labels import NO_LABELS, Labels
from attrition.model.scorecard import Scorecard, logistic
from attrition.model.terms import CategoricalTerm, NumericTerm
from attrition.model.uncertainty import Z95
from attrition.web.pages.charts import Bar, Chart, Reading, bar, curve, staircase, stems

MISSING = "missing"
OTHER = "another value"
_MOST_STEMS = 16
_STEPS = 4  # from knot to knot: the risk bends between them, unlike the points

ColumnTerm = NumericTerm | CategoricalTerm


@dataclass(frozen=True)
class Driver:
    """What one column, or a pair, adds to this client's risk above the average client's."""

    name: str
    value: str
    points: str
    raises: bool
    bar: Bar


@dataclass(frozen=True)
class Standing:
    """The risk curve of one column with this client's place on it."""

    column: str
    value: str
    points: str
    chart: Chart
    text: str


@dataclass(frozen=True)
class Option:
    """A category that can be chosen; `value` is what the API takes."""

    value: str
    text: str
    is_chosen: bool


@dataclass(frozen=True)
class Field:
    """A value that can be tried out; `options` is empty for a number."""

    column: str
    name: str
    value: str
    hint: str
    options: tuple[Option, ...]


def drivers(contributions: Sequence[Mapping[str, Any]], labels: Labels = NO_LABELS) -> list[Driver]:
    """What moves this client's risk, up or down, the strongest first.

    Args:
        contributions: as `GET /clients/<id>` answers them.
    """
    largest = max((abs(item["points"]) for item in contributions), default=0.0)
    return [
        Driver(
            name=" with ".join(map(labels.name, item["columns"])),
            value=", ".join(
                labels.phrase(column, value) or value_text(value, column, labels)
                for column, value in zip(item["columns"], item["values"], strict=True)
            ),
            points=signed(item["points"], 2),
            raises=item["points"] > 0,
            bar=bar(item["points"], largest),
        )
        for item in contributions
        if abs(item["points"]) >= 0.005  # what two decimals can show
    ]


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
    terms = _own_terms(card)
    values = {column: _values(terms[column], features[column]) for column in order}
    risks = _risks(card, features, values)
    reach = (0.0, max(risk for of_column in risks.values() for risk in of_column))
    return [
        _standing(terms[column], features[column], risks[column], reach, labels) for column in order
    ]


def _own_terms(card: Scorecard) -> dict[str, ColumnTerm]:
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
    return [*term.axis.levels, _unknown_level(term, value), value or ""]


def _unknown_level(term: CategoricalTerm, value: Any) -> str:
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
    here = term.of_record({term.column: value}) - term.average_points
    if isinstance(term, CategoricalTerm):
        chart = _stems(term, value, risks[:-1], reach, labels)
    elif term.axis.is_flag and value in term.axis.knots:
        chart = _two_stems(term, value, (risks[0], risks[-2]), reach, labels)
    else:
        chart = _curve(term, value, risks, reach, labels)
    name, shown = labels.name(term.column), value_text(value, term.column, labels)
    said = labels.phrase(term.column, value) or f"{name} is {shown}"
    text = (
        f"{said}, and the risk {chance(risks[-1], 0)}; with other values of it, all else being "
        f"equal, the risk goes from {chance(min(risks), 0)} to {chance(max(risks), 0)}."
    )
    return Standing(name, shown, signed(here, 2), chart, text)


def _curve(
    term: NumericTerm,
    value: Any,
    risks: Sequence[float],
    reach: tuple[float, float],
    labels: Labels,
) -> Chart:
    """Knots side by side, at equal distances: they are quantiles, and no value is crowded out."""
    position = term.axis.place(value)
    names = [labels.number(term.column, knot) for knot in term.axis.knots]
    here = position.lower + position.share, risks[-1]
    return curve(risks[:-1], names, here, reach, percent, bounds=_bounds(term, risks[:-1]))


def _bounds(term: NumericTerm, risks: Sequence[float]) -> list[list[float]]:
    """The risks that the column's points at 1.96 standard errors to either side would give."""
    if not term.errors:
        return []
    places = np.linspace(0, len(term.axis) - 1, len(risks))
    errors = Z95 * np.interp(places, range(len(term.axis)), term.errors)
    chances = np.clip(risks, 1e-12, 1.0 - 1e-12)
    log_odds = np.log(chances / (1.0 - chances))
    return [logistic(log_odds + side * errors).tolist() for side in (-1.0, 1.0)]


def _two_stems(
    term: NumericTerm,
    value: float,
    risks: tuple[float, float],
    reach: tuple[float, float],
    labels: Labels,
) -> Chart:
    """A stem for each of two values between which there are none."""
    readings = [
        Reading(
            labels.phrase(term.column, knot) or labels.number(term.column, knot),
            risk,
            marked=knot == value,
        )
        for knot, risk in zip(term.axis.knots, risks, strict=True)
    ]
    return stems(readings, reach, percent)


def _stems(
    term: CategoricalTerm,
    value: Any,
    risks: Sequence[float],
    reach: tuple[float, float],
    labels: Labels,
) -> Chart:
    """Stems by falling risk; of many categories the most telling and this client's own."""
    chosen = term.axis.place(value).lower
    names = [
        *(labels.phrase(term.column, level) or value_text(level) for level in term.axis.levels),
        OTHER,
    ]
    readings = [
        Reading(name, risk, marked=position == chosen)
        for position, (name, risk) in enumerate(zip(names, risks, strict=True))
        if position == chosen or name != OTHER
    ]
    own = risks[chosen]
    telling = sorted(readings, key=lambda one: (not one.marked, -abs(one.value - own)))
    shown = sorted(telling[:_MOST_STEMS], key=lambda reading: -reading.value)
    return stems(shown, reach, percent)


def fields(
    card: Scorecard,
    features: Mapping[str, Any],
    order: Sequence[str],
    levers: Sequence[str] = (),
    labels: Labels = NO_LABELS,
) -> tuple[list[Field], list[Field]]:
    """The client's values as a form takes them: those that can be tried out, and the others.

    Args:
        card, features, order: as for `standings`.
        levers: the columns that a team can change; none: all numeric ones.
        labels: what people call the columns.
    """
    terms = _own_terms(card)
    changeable = levers or card.numeric_columns
    made = {column: _field(terms[column], features[column], labels) for column in order}
    return (
        [field for column, field in made.items() if column in changeable],
        [field for column, field in made.items() if column not in changeable],
    )


def _field(term: ColumnTerm, value: Any, labels: Labels) -> Field:
    name = labels.name(term.column)
    if isinstance(term, NumericTerm):
        text = "" if value is None else f"{value:.15g}"
        usual = value_text(term.axis.usual_value)  # in the form that the field takes
        return Field(term.column, name, text, f"usually {usual}", ())
    return Field(term.column, name, value or "", "", tuple(_options(term, value or "")))


def _options(term: CategoricalTerm, value: str) -> list[Option]:
    known = [Option(level, line(level), level == value) for level in term.axis.levels if level]
    if value and value not in term.axis.levels:
        known.append(Option(value, f"{line(value)} (a rare or new value)", True))
    return [
        *known,
        Option(_unknown_level(term, value), OTHER, False),
        Option("", MISSING, not value),
    ]


def columns_by_points(card: Scorecard, contributions: Sequence[Mapping[str, Any]]) -> list[str]:
    """The scorecard's columns, those that say most about this client first."""
    alone = [item["columns"][0] for item in contributions if len(item["columns"]) == 1]
    return sorted(card.columns, key=alone.index)


def risk_history(
    history: Sequence[Mapping[str, Any]], now: Mapping[str, Any]
) -> tuple[Chart, str, list[tuple[str, str]]] | None:
    """The client's risk over time, what it says in words, and its points as dates and risks, the
    newest first; None of fewer than two readings.

    Args:
        history: where the risk changed, as `GET /clients/<id>` answers it.
        now: `time` and `probability` of the present list, up to which the last change holds.
    """
    if len(history) < 2:
        return None
    every = list(history) + [now] * (moment_of(now) > moment_of(history[-1]))
    readings = [Reading(day(item["time"]), item["probability"]) for item in every]
    times = [moment_of(item) for item in every]
    first, last = readings[0], readings[-1]
    text = (
        f"From {chance(first.value, 0)} ({first.name}) to {chance(last.value, 0)} ({last.name}), "
        f"in {len(readings)} readings."
    )
    said = [(reading.name, chance(reading.value)) for reading in reversed(readings)]
    return staircase(readings, times, percent), text, said


def moment_of(item: Mapping[str, Any]) -> float:
    """The time of a reading, in seconds."""
    return datetime.fromisoformat(item["time"]).timestamp()


def last_contact(done: Sequence[Mapping[str, Any]], rest_days: int | None) -> str:
    """When the client was last contacted, and from when on it may be called; "" where never.

    Args:
        rest_days: None where the client does not rest, or is not to be called at all.
    """
    if not done:
        return ""
    last = done[0]["date"]
    words = f"Last contact on {day(last)}"
    if rest_days is None or last < clock.days_ago(rest_days - 1):
        return f"{words}."
    again = date.fromisoformat(last) + timedelta(days=rest_days)
    return f"{words}; to be called again from {day(again.isoformat())} on."


def actions(done: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """What was done with the client as texts of one line; as `GET /clients/<id>` answers it."""
    return [
        {
            "date": action["date"],
            "action": line(action["action"]),
            "cost": "" if action["cost"] is None else amount(action["cost"]),
            "note": line(action["note"], 200) if action["note"] else "",
        }
        for action in done
    ]


def value_text(value: Any, column: str = "", labels: Labels = NO_LABELS) -> str:
    """A client's value for people."""
    return labels.value(column, value, LONGEST)
