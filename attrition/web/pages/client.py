"""One client as a page shows it: what drives the risk, where the client stands, what could change.

Values in, values out: a template shows them as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from attrition.core.formatting import amount, chance, day, decimal, line, percent, signed
from attrition.model.scorecard import Scorecard
from attrition.model.terms import CategoricalTerm, NumericTerm
from attrition.web.pages.charts import Bar, Chart, Reading, bar, curve, staircase, stems

MISSING = "missing"
OTHER = "another value"
_MOST_STEMS = 16

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


def drivers(contributions: Sequence[Mapping[str, Any]]) -> list[Driver]:
    """What moves this client's risk, up or down, the strongest first.

    Args:
        contributions: as `GET /clients/<id>` answers them.
    """
    largest = max((abs(item["points"]) for item in contributions), default=0.0)
    return [
        Driver(
            name=" with ".join(map(line, item["columns"])),
            value=", ".join(map(value_text, item["values"])),
            points=signed(item["points"], 2),
            raises=item["points"] > 0,
            bar=bar(item["points"], largest),
        )
        for item in contributions
        if abs(item["points"]) >= 0.005  # what two decimals can show
    ]


def standings(card: Scorecard, features: Mapping[str, Any], order: Sequence[str]) -> list[Standing]:
    """The curve of each column, all on one scale.

    Args:
        card: the scorecard that ranked the client.
        features: the client's values by column.
        order: the columns, the most telling first.
    """
    terms = _own_terms(card)
    above = [p - term.average_points for term in terms.values() for p in term.points]
    reach = (min(0.0, *above), max(0.0, *above))
    return [_standing(terms[column], features[column], reach) for column in order]


def _own_terms(card: Scorecard) -> dict[str, ColumnTerm]:
    """Column -> the term that reads it alone."""
    terms: tuple[ColumnTerm, ...] = (*card.numeric, *card.categorical)
    return {term.column: term for term in terms}


def _standing(term: ColumnTerm, value: Any, reach: tuple[float, float]) -> Standing:
    here = term.of_record({term.column: value}) - term.average_points
    chart = (
        _curve(term, value, here, reach)
        if isinstance(term, NumericTerm)
        else _stems(term, value, reach)
    )
    text = (
        f"{line(term.column)} is {value_text(value)}: {signed(here, 2)} points against the average "
        f"client; over all values the points go from "
        f"{signed(min(term.points) - term.average_points, 2)} to "
        f"{signed(max(term.points) - term.average_points, 2)}."
    )
    return Standing(line(term.column), value_text(value), signed(here, 2), chart, text)


def _curve(term: NumericTerm, value: Any, here: float, reach: tuple[float, float]) -> Chart:
    """Knots side by side, at equal distances: they are quantiles, and no value is crowded out."""
    position = term.axis.place(value)
    return curve(
        [points - term.average_points for points in term.points],
        (amount(term.axis.knots[0]), amount(term.axis.knots[-1])),
        (position.lower + position.share, here),
        reach,
        _points,
    )


def _stems(term: CategoricalTerm, value: Any, reach: tuple[float, float]) -> Chart:
    """Stems by falling points; of many categories the most telling and this client's own."""
    chosen = term.axis.place(value).lower
    names = [*map(value_text, term.axis.levels), OTHER]
    readings = [
        Reading(name, points - term.average_points, marked=position == chosen)
        for position, (name, points) in enumerate(zip(names, term.points, strict=True))
    ]
    telling = sorted(readings, key=lambda reading: (not reading.marked, -abs(reading.value)))
    shown = sorted(telling[:_MOST_STEMS], key=lambda reading: -reading.value)
    return stems(shown, reach, _points)


def fields(card: Scorecard, features: Mapping[str, Any], order: Sequence[str]) -> list[Field]:
    """The client's values as a form takes them; arguments as for `standings`."""
    terms = _own_terms(card)
    return [_field(terms[column], features[column]) for column in order]


def _field(term: ColumnTerm, value: Any) -> Field:
    name = line(term.column)
    if isinstance(term, NumericTerm):
        text = "" if value is None else f"{value:.15g}"
        return Field(term.column, name, text, f"usually {amount(term.axis.usual_value)}", ())
    return Field(term.column, name, value or "", "", tuple(_options(term, value or "")))


def _options(term: CategoricalTerm, value: str) -> list[Option]:
    known = [Option(level, line(level), level == value) for level in term.axis.levels if level]
    if value and value not in term.axis.levels:
        known.append(Option(value, f"{line(value)} (a rare or new value)", True))
    unknown = OTHER
    while unknown in term.axis.levels or unknown == value:
        unknown += "…"
    return [*known, Option(unknown, OTHER, False), Option("", MISSING, not value)]


def columns_by_points(card: Scorecard, contributions: Sequence[Mapping[str, Any]]) -> list[str]:
    """The scorecard's columns, those that say most about this client first."""
    alone = [item["columns"][0] for item in contributions if len(item["columns"]) == 1]
    columns = (*card.numeric_columns, *card.categorical_columns)
    return sorted(columns, key=alone.index)


def risk_history(history: Sequence[Mapping[str, Any]]) -> tuple[Chart, str] | None:
    """The client's risk over time and what it says in words; None of fewer than two readings.

    Args:
        history: as `GET /clients/<id>` answers it.
    """
    if len(history) < 2:
        return None
    readings = [Reading(day(item["time"]), item["probability"]) for item in history]
    times = [datetime.fromisoformat(item["time"]).timestamp() for item in history]
    first, last = readings[0], readings[-1]
    text = (
        f"From {chance(first.value, 0)} ({first.name}) to {chance(last.value, 0)} ({last.name}), "
        f"in {len(readings)} readings."
    )
    return staircase(readings, times, percent), text


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


def value_text(value: Any) -> str:
    """A client's value for people."""
    if value is None or value == "":
        return MISSING
    return line(value) if isinstance(value, str) else amount(value)


def _points(value: float) -> str:
    return decimal(value, 0) if value == round(value) else decimal(value, 1)
