"""Small charts as plain numbers: where lines, dots and bars stand in an SVG's coordinates.

Templates draw them, so that they have the page's font and colours; each has its text alternative.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from attrition.calls.profit import ProfitCurve

WIDTH, HEIGHT = 320.0, 150.0
LEFT, RIGHT, TOP, BOTTOM = 40.0, 10.0, 10.0, 22.0
_LETTER, _GAP = 6.0, 8.0  # width of a letter below the axis, and least room between two labels
_INTERVALS = 3  # so many, about, between the ticks of an upright axis
_FLAT = 1e-6  # a range of so small a part of its size is none

Say = Callable[[float], str]
Point = tuple[float, float]


@dataclass(frozen=True)
class Reading:
    """One number of a series.

    Attributes:
        name: when or where it was read, in words.
        value: the number.
        interval: how sure that is, if that is known.
        marked: whether it is to stand out, such as a deployment or this client.
    """

    name: str
    value: float
    interval: tuple[float, float] | None = None
    marked: bool = False


@dataclass(frozen=True)
class Tick:
    """A label beside an axis, at a coordinate; `anchor` is what part of the text stands there."""

    at: float
    text: str
    anchor: str = "middle"


@dataclass(frozen=True)
class Dot:
    """A reading in the chart; `text` says it in words."""

    x: float
    y: float
    text: str
    marked: bool


@dataclass(frozen=True)
class Chart:
    """What a template draws within `WIDTH` x `HEIGHT`.

    Attributes:
        line: an SVG path; "" for none.
        band: an SVG path around the intervals; "" for none.
        dots: the readings.
        stem: y from which a stem leads to each dot; None for no stems.
        ticks: beside the upright axis.
        first, last: below the left and the right end.
        across: instead of these, labels along the level axis.
    """

    line: str
    band: str
    dots: tuple[Dot, ...]
    stem: float | None
    ticks: tuple[Tick, ...]
    first: str
    last: str
    across: tuple[Tick, ...] = ()


@dataclass(frozen=True)
class Bar:
    """A bar that leads from the middle to one side; all in percent of the width."""

    start: float
    width: float


def round_ticks(low: float, high: float, intervals: int = _INTERVALS) -> list[float]:
    """A few round numbers, evenly spaced, that embrace the range."""
    size, span = max(abs(low), abs(high)), high - low
    if span < _FLAT * max(size, _FLAT):
        span = size if size > _FLAT else 1.0
    raw = span / intervals
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if step >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [position * step for position in range(first, max(last, first + 1) + 1)]


def trend(readings: Sequence[Reading], say: Say, including: Sequence[float] = ()) -> Chart:
    """A line through readings that stand evenly side by side, with a band for their intervals.

    Args:
        readings: at least two, oldest first.
        say: a number of the upright axis in words.
        including: what else the upright axis reaches.
    """
    bounds = [edge for reading in readings for edge in reading.interval or (reading.value,)]
    ticks = round_ticks(min(*bounds, *including), max(*bounds, *including))
    positions = _spread(len(readings))
    points = [(x, _up(r.value, ticks)) for x, r in zip(positions, readings, strict=True)]
    known = [(x, r.interval) for x, r in zip(positions, readings, strict=True) if r.interval]
    above = [(x, _up(interval[1], ticks)) for x, interval in known]
    below = [(x, _up(interval[0], ticks)) for x, interval in known]
    return Chart(
        line=path(points),
        band=f"{path([*above, *reversed(below)])}Z" if len(known) > 1 else "",
        dots=_dots(points, readings, say),
        stem=None,
        ticks=_ticks(ticks, say),
        first=readings[0].name,
        last=readings[-1].name,
    )


def profit_curve(curve: ProfitCurve, marks: Mapping[int, str], say: Say) -> Chart:
    """What so many calls earn, with a band; stems from zero to some numbers of calls.

    Args:
        curve: of at least two numbers of calls.
        marks: numbers of calls to point out -> what each is; the first stands out.
        say: an amount in words.
    """
    ticks = round_ticks(min(0.0, *curve.low), max(0.0, *curve.high))
    positions = [_across(calls / curve.calls[-1]) for calls in curve.calls]

    def points(amounts: Sequence[float]) -> list[Point]:
        return [(x, _up(each, ticks)) for x, each in zip(positions, amounts, strict=True)]

    marked = [
        Dot(x, y, f"{calls:,} calls, {marks[calls]}: {say(expected)}", calls == next(iter(marks)))
        for (x, y), calls, expected in zip(
            points(curve.expected), curve.calls, curve.expected, strict=True
        )
        if calls in marks
    ]
    return Chart(
        line=path(points(curve.expected)),
        band=f"{path([*points(curve.high), *reversed(points(curve.low))])}Z",
        dots=tuple(marked),
        stem=_up(0.0, ticks),
        ticks=_ticks(ticks, say),
        first="no call",
        last=f"{curve.calls[-1]:,} calls",
    )


def staircase(
    readings: Sequence[Reading],
    times: Sequence[float],
    say: Say,
    end: tuple[str, float] | None = None,
) -> Chart:
    """A line that holds each value until the next one; the axis is time.

    Args:
        readings: at least two, oldest first.
        times: of each reading, in any unit.
        say: a number of the upright axis in words.
        end: until when, in words and in that unit, the last value holds; None: it is just read.
    """
    ticks = round_ticks(0.0, max(reading.value for reading in readings))
    last, until = end or (readings[-1].name, times[-1])
    span = (until - times[0]) or 1.0
    positions = [_across((time - times[0]) / span) for time in times]
    points = [(x, _up(r.value, ticks)) for x, r in zip(positions, readings, strict=True)]
    corners = [(after[0], before[1]) for before, after in pairwise(points)]
    steps = [point for pair in zip(points[1:], corners, strict=True) for point in reversed(pair)]
    return Chart(
        line=path([points[0], *steps, *([(_across(1.0), points[-1][1])] if end else [])]),
        band="",
        dots=_dots(points, readings, say),
        stem=None,
        ticks=_ticks(ticks, say),
        first=readings[0].name,
        last=last,
    )


def curve(
    points: Sequence[Point],
    names: Sequence[tuple[float, str]],
    here: Point | None,
    reach: tuple[float, float],
    say: Say,
    *,
    bounds: Sequence[Sequence[float]] = (),
) -> Chart:
    """A line through points, and one place on it.

    Args:
        points: at least one; each is a share of the level axis (a fraction 0-1) and a value.
        names: shares of that axis with what is to be written below, as far as there is room.
        here: where this client stands; None: nowhere on the line.
        reach: the lowest and the highest value of all charts that are to be compared.
        say: a number of the upright axis in words.
        bounds: of each value, the lower ones and the upper ones; they are drawn within `reach`.
    """
    ticks = round_ticks(*reach)
    positions = [_across(share) for share, _ in points]
    line = [(x, _up(value, ticks)) for x, (_, value) in zip(positions, points, strict=True)]
    if len(line) == 1:  # a constant column
        line = [(LEFT, line[0][1]), (WIDTH - RIGHT, line[0][1])]
    sides = [
        [
            (x, _up(min(max(bound, ticks[0]), ticks[-1]), ticks))
            for x, bound in zip(positions, side, strict=True)
        ]
        for side in (bounds if len(points) > 1 else ())
    ]
    dot = here and Dot(_across(here[0]), _up(here[1], ticks), say(here[1]), True)
    return Chart(
        line=path(line),
        band=path([*sides[0], *reversed(sides[1])]) + "Z" if sides else "",
        dots=(dot,) if dot else (),
        stem=None,
        ticks=_ticks(ticks, say),
        first=names[0][1],
        last=names[-1][1],
        across=_apart([_label(*name) for name in names]),
    )


def _label(share: float, text: str) -> Tick:
    """A label below the level axis; at the ends it is written inwards."""
    at, half = _across(share), _LETTER * len(text) / 2
    if at - half < LEFT - _GAP:
        return Tick(at, text, "start")
    return Tick(at, text, "end" if at + half > WIDTH - RIGHT + _GAP else "middle")


def _extent(label: Tick) -> tuple[float, float]:
    width = _LETTER * len(label.text)
    start = label.at - {"start": 0.0, "middle": 0.5, "end": 1.0}[label.anchor] * width
    return start, start + width


def _apart(labels: Sequence[Tick]) -> tuple[Tick, ...]:
    """Those that have room: the first, the last, and what stands clear of all before it."""
    if len(labels) < 3:
        return tuple(labels)
    first, *between, last = labels
    shown = [first]
    for label in between:
        start, end = _extent(label)
        if start >= _extent(shown[-1])[1] + _GAP and end <= _extent(last)[0] - _GAP:
            shown.append(label)
    return (*shown, last)


def bar(value: float, largest: float) -> Bar:
    """A bar for a number between minus and plus `largest`."""
    width = round(50.0 * min(abs(value) / largest, 1.0), 2) if largest else 0.0
    return Bar(50.0 if value >= 0 else 50.0 - width, width)


def path(points: Sequence[Point]) -> str:
    """Straight lines from point to point as an SVG path."""
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points)


def _dots(points: Sequence[Point], readings: Sequence[Reading], say: Say) -> tuple[Dot, ...]:
    return tuple(
        Dot(x, y, f"{reading.name}: {say(reading.value)}", reading.marked)
        for (x, y), reading in zip(points, readings, strict=True)
    )


def _ticks(values: Sequence[float], say: Say) -> tuple[Tick, ...]:
    return tuple(Tick(_up(value, values), say(value)) for value in values)


def _spread(count: int) -> list[float]:
    """Evenly spaced positions from the left end to the right one."""
    return [_across(position / (count - 1) if count > 1 else 0.5) for position in range(count)]


def _across(share: float) -> float:
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def _up(value: float, ticks: Sequence[float]) -> float:
    share = (value - ticks[0]) / (ticks[-1] - ticks[0])
    return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)
