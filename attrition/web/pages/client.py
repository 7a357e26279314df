"""One client as a page shows it: what drives the risk, what could change, what was done.

Values in, values out: a template shows them as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from attrition.core import clock
from attrition.core.formatting import amount, chance, count, day, line, percent, plural, signed
from attrition.core.labels import NO_LABELS, Labels
from attrition.model.scorecard import Scorecard
from attrition.model.terms import CategoricalTerm
from attrition.ranking.ranking import NEW
from attrition.web.pages.charts import Bar, Chart, Reading, bar, staircase
from attrition.web.pages.standings import (
    OTHER,
    ColumnTerm,
    number_in_words,
    own_terms,
    unknown_level,
    value_text,
)

MISSING = "missing"
_MOST_DRIVERS = 15
_VISIBLE = 0.005  # points that two decimals can show


@dataclass(frozen=True)
class Driver:
    """What one column, or a pair, adds to this client's risk, against its mean over all clients."""

    name: str
    value: str
    points: str
    raises: bool
    bar: Bar


@dataclass(frozen=True)
class Option:
    """A category that can be chosen; `value` is what the API takes."""

    value: str
    text: str
    is_chosen: bool


@dataclass(frozen=True)
class Field:
    """A value that can be tried out; `kind` is number or category, and without `options` any
    number can be written.
    """

    column: str
    name: str
    kind: str
    value: str
    hint: str
    options: tuple[Option, ...]


def drivers(contributions: Sequence[Mapping[str, Any]], labels: Labels = NO_LABELS) -> list[Driver]:
    """What moves this client's risk, up or down, the strongest first; the weakest as one.

    Args:
        contributions: as `GET /clients/<id>` answers them.
    """
    largest = max((abs(item["points"]) for item in contributions), default=0.0)
    visible = [item for item in contributions if abs(item["points"]) >= _VISIBLE]
    shown = [
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
        for item in visible[:_MOST_DRIVERS]
    ]
    if len(visible) <= _MOST_DRIVERS:
        return shown
    rest = sum(item["points"] for item in contributions[_MOST_DRIVERS:])
    name = f"{count(len(contributions) - _MOST_DRIVERS)} more columns and pairs"
    return [*shown, Driver(name, "together", signed(rest, 2), rest > 0, bar(rest, largest))]


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
    terms = own_terms(card)
    changeable = levers or card.numeric_columns
    made = {column: _field(terms[column], features[column], labels) for column in order}
    return (
        [field for column, field in made.items() if column in changeable],
        [field for column, field in made.items() if column not in changeable],
    )


def _field(term: ColumnTerm, value: Any, labels: Labels) -> Field:
    name = labels.name(term.column)
    if isinstance(term, CategoricalTerm):
        known = [Option(level, line(level), level == value) for level in term.axis.levels if level]
        options = _options(known, value or "", Option(unknown_level(term, value), OTHER, False))
        return Field(term.column, name, "category", value or "", "", options)
    text = "" if value is None else f"{value:.15g}"
    if term.axis.is_flag:
        known = [
            Option(f"{knot:.15g}", number_in_words(term, knot, labels), knot == value)
            for knot in term.axis.knots
        ]
        return Field(term.column, name, "number", text, "", _options(known, text))
    # In the form that the field takes, without a label's format.
    usual = Labels(years=labels.years).number(term.column, term.axis.usual_value)
    return Field(term.column, name, "number", text, f"usually {usual}", ())


def _options(known: Sequence[Option], value: str, *others: Option) -> tuple[Option, ...]:
    """What can be chosen: known values, the client's own if it is another, others, and none."""
    own = [Option(value, f"{line(value)} (a rare or new value)", True)]
    is_unknown = value and not any(option.is_chosen for option in known)
    return (*known, *(own if is_unknown else ()), *others, Option("", MISSING, not value))


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
        now: `time` of the present list, up to which the last change holds: other settings make a
            list anew, and are no reading.
    """
    if len(history) < 2:
        return None
    readings = [Reading(day(item["time"]), item["probability"]) for item in history]
    times = [moment_of(item) for item in history]
    first, last = readings[0], readings[-1]
    text = (
        f"{chance(first.value, 0)} on {first.name}, then {plural(len(readings) - 1, 'change')}; "
        f"{chance(last.value, 0)} since {last.name}."
    )
    said = [(reading.name, chance(reading.value)) for reading in reversed(readings)]
    end = day(now["time"]), max(moment_of(now), times[-1])
    return staircase(readings, times, percent, end), text, said


def risk_so_far(client: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """What a risk of fewer than two readings says in words.

    Args:
        client: what `GET /clients/<id>` answers.
        about: the ranking; see `lookup_db.Page`.
    """
    if not client["history"]:
        return f"Today {chance(client['probability'], 0)}; no earlier risk of this client is kept."
    said = "the same on each list that the client was on"
    if client["probability_change"] == NEW:
        said = "the client was not on the last list"
        readings, moved = client["history"], about.get("moved")
        if moved and moment_of(readings[0]) >= moment_of({"time": moved["since"]}):
            said = "this is the first list that the client is on"
    return f"So far {chance(client['probability'], 0)}: {said}."


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
