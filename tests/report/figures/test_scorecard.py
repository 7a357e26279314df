"""What the model has learnt, drawn: the right points in the right panels, for any columns."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from attrition.core import formatting
from attrition.core.labels import parse_labels
from attrition.model.scorecard import Scorecard
from attrition.model.terms import CategoricalTerm, KnotAxis, LevelAxis, PairTerm, Weights
from attrition.monitoring.impact import term_weights
from attrition.monitoring.reference import summarise
from attrition.report.figures import scorecard as scorecard_figures
from attrition.report.figures import style
from attrition.report.figures.style import Picture
from tests.support import hostile
from tests.support.figures import card, clear_of_each_other, number, panels, points, sizes, texts


def level(name: str, points: dict[str, float], others: float = 0.0) -> CategoricalTerm:
    return CategoricalTerm(name, LevelAxis(tuple(points)), (*points.values(), others), "", 0.0)


def reference(**columns: Any) -> dict[str, Any]:
    table = pd.DataFrame(columns)
    return summarise(table, np.zeros(len(table)))


def drawn(model: Scorecard, summary: dict[str, Any]) -> Picture:
    """The curves of a model that recorded no points: a column counts half of their range."""
    return scorecard_figures.risk_curves(model, term_weights(model, None), summary)


def test_the_columns_that_count_most_come_first() -> None:
    """The weights are given: they need not follow the range of the points."""
    half, rare = np.repeat([0.0, 1.0], 50), np.repeat([0.0, 1.0], [99, 1])
    shown = scorecard_figures.risk_curves(
        card(
            number("rare", (0, 1), (-1, 1)),
            number("half", (0, 1), (-1, 1)),
            level("plan", {"a": 0.5, "b": -0.5}),
        ),
        {("rare",): 0.2, ("half",): 1.0, ("plan",): 0.5},
        reference(rare=rare, half=half, plan=["a", "b"] * 50),
    )
    first, second, third = panels(shown)
    assert [axes.get_title("left") for axes in (first, second, third)] == ["half", "plan", "rare"]
    assert [texts(axes)[-1] for axes in (first, second, third)] == [
        "weight 1.00",
        "weight 0.50",
        "weight 0.20",
    ]
    assert isinstance(shown, Picture)
    assert "half" in shown.alt
    assert "1.00" in shown.alt


def test_columns_that_count_nothing_are_left_out_but_one_is_always_shown() -> None:
    terms = [number(name, (0, 1), (0, 1)) for name in "abc"]
    summary = reference(a=[0.0, 1.0], b=[0.0, 1.0], c=[0.0, 1.0])

    def titles(*weights: float) -> list[str]:
        of_terms: Weights = {(name,): weight for name, weight in zip("abc", weights, strict=True)}
        shown = scorecard_figures.risk_curves(card(*terms), of_terms, summary)
        return [axes.get_title("left") for axes in panels(shown)]

    assert titles(0.004, 0.3, 0.006) == ["b", "c"]
    assert titles(0.0, 0.0, 0.0) == ["a"]


def test_missing_values_have_a_mark() -> None:
    term = number("x", (0, 1), (0, 0), missing=2.0, share=0.5, average=1.0)
    (axes,) = panels(drawn(card(term), reference(x=[0.0, 1.0, np.nan, np.nan])))
    marks = [line for line in axes.lines if line.get_marker() == "D"]
    assert [points(line)[0][1] for line in marks] == [1.0]  # above the average client's
    assert "missing 50%" in texts(axes)[-1]


def test_points_are_drawn_over_their_knots() -> None:
    term = number("x", (0, 10, 20), (1.0, -1.0, 0.0), average=0.5)
    (axes,) = panels(drawn(card(term), reference(x=np.random.default_rng(5).uniform(0, 20, 500))))
    knots = next(line for line in axes.lines if line.get_marker() == "o")
    assert points(knots) == [(0, 0.5), (0.5, -1.5), (1, -0.5)]
    labels = dict(
        zip(axes.get_xticks(), (t.get_text() for t in axes.get_xticklabels()), strict=True)
    )
    assert labels[0.5] == "10"


def test_a_very_skewed_column_keeps_its_knots_apart() -> None:
    values = np.random.default_rng(5).lognormal(3, 4, 5000)
    knots = tuple(np.quantile(values, np.linspace(0, 1, 9)))
    term = number("x", knots, tuple(np.linspace(1, -1, 9)))
    (axes,) = panels(drawn(card(term), reference(x=values)))
    line = next(line for line in axes.lines if line.get_marker() == "o")
    assert np.diff(line.get_xdata()) == pytest.approx(np.full(8, 1 / 8))
    named = [text.get_text() for text in axes.get_xticklabels()]
    assert named[0] == formatting.short(knots[0])
    assert 3 <= len(named) <= 5


def test_of_200_levels_the_largest_are_named_and_the_rest_pooled() -> None:
    names = [f"level {number}" for number in range(200)]
    rows = np.repeat(names, [400, 300, 200, 100, *[1] * 196])
    points = {name: 1.0 if place < 4 else -0.5 for place, name in enumerate(names[:30])}
    (axes,) = panels(drawn(card(level("x", points, -0.5)), reference(x=rows)))
    assert [width for width, _ in sizes(axes.patches)] == pytest.approx([1, 1, 1, 1, -0.5])
    assert texts(axes)[:10] == [
        "level 0",
        "33%",
        "level 1",
        "25%",
        "level 2",
        "17%",
        "level 3",
        "8%",
        "all others",
        "16%",
    ]


def test_a_blank_level_is_named() -> None:
    summary = reference(x=["a", "a", "", "a"])
    (axes,) = panels(drawn(card(level("x", {"a": 0.1, "": -0.3})), summary))
    assert texts(axes)[:4] == ["a", "75%", "(blank)", "25%"]


@pytest.mark.slow
def test_sixty_columns_are_cut_and_that_is_said() -> None:
    names = [f"column{place}" for place in range(60)]  # the first has no points: it is not used
    terms = [number(name, (0, 1), (-place, place)) for place, name in enumerate(names)]
    shown = drawn(card(*terms), reference(**{name: np.repeat([0.0, 1.0], 20) for name in names}))
    assert [axes.get_title("left") for axes in panels(shown)] == names[:-16:-1]
    assert isinstance(shown, Picture)
    assert "Left out: 44 more columns of a weight of at most 44.00." in shown.caption
    assert len(style.svg(shown)) < 100_000


def test_a_pdf_has_each_row_of_panels_by_itself_whole_and_in_order() -> None:
    names = [f"column{place}" for place in range(7)]
    terms = [number(name, (0, 1), (-9 + place, 0)) for place, name in enumerate(names)]
    shown = drawn(card(*terms), reference(**{name: [0.0, 1.0] for name in names}))
    before = style.svg(shown)
    rows = style.svg_documents(shown)
    assert [re.findall(r">(column\d)<", row) for row in rows] == [names[:3], names[3:6], names[6:]]
    for row in rows:
        height, *texts = map(float, re.findall(r'(?:height|<text[^>]* y)="([\d.]+)', row))
        assert 100 < height < 126  # points of a row in the whole, with the space between rows
        assert 6 < min(texts) < max(texts) < height
    assert style.svg(replace(shown)) == before


@pytest.mark.parametrize("values", [np.full(50, 7.0), np.full(50, np.nan), np.full(10, 1e308)])
def test_constant_and_empty_columns_are_drawn(values: np.ndarray) -> None:
    term = number("x", (7.0,), (0.0,), share=float(np.isnan(values).mean()))
    (axes,) = panels(drawn(card(term), reference(x=values)))
    assert [text.get_text() for text in axes.get_xticklabels()] == ["7"]


def test_huge_numbers_do_not_overflow() -> None:
    term = number("x", (-1.7e308, 0.0, 1.7e308), (0.0, 1.0, 2.0))
    (axes,) = panels(drawn(card(term), reference(x=[-1.7e308, 0.0, 1.7e308])))
    line = next(line for line in axes.lines if line.get_marker() == "o")
    assert [x for x, _ in points(line)] == [0, 0.5, 1]


def test_a_release_without_slices_or_without_the_column_is_drawn() -> None:
    summary = {
        "rows": 5,
        "numeric": {"x": {"edges": [], "counts": [5], "missing": 0}},
        "categorical": {},
    }
    terms = number("x", (0, 1), (0, 1)), level("new", {"a": 1.0})
    assert len(panels(drawn(card(*terms), summary))) == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in hostile.LABELS if name != "\ud800"], ids=ascii)
def test_hostile_names_of_columns_and_levels(name: str) -> None:
    other = f"{name}2"
    terms = (
        number(name, (0, 1), (0, 1)),
        level(other, {name: 1.0, "b": -1.0}),
    )
    summary = reference(**{name: [0.0, 1.0], other: [name or "x", "b"]})
    picture = drawn(card(*terms), summary)
    assert panels(picture)
    style.png(picture, 50)


def test_a_column_of_no_and_yes_has_two_bars_in_words_and_no_line_between_them() -> None:
    term = number("complain", (0.0, 1.0), (-0.5, 1.5))
    labels = parse_labels({"complain": {"values": {"0": "no complaint", "1": "complained"}}})
    weights, summary = term_weights(card(term), None), reference(complain=[0.0, 1.0])
    (axes,) = panels(scorecard_figures.risk_curves(card(term), weights, summary, labels))
    (bars,) = [drawn for drawn in axes.collections if isinstance(drawn, LineCollection)]
    assert [segment[1][1] for segment in bars.get_segments()] == [-0.5, 1.5]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["no complaint", "complained"]
    assert not [line for line in axes.lines if len(points(line)) > 2]


@pytest.mark.parametrize("knots", [2, 5, 17, 64])
@pytest.mark.parametrize("skew", [1, 12])
def test_curves_of_few_and_many_knots_keep_their_labels_apart(knots: int, skew: int) -> None:
    values = tuple(np.linspace(0.1, 1, knots) ** skew * 1e6)
    term = number("x", values, tuple(np.sin(np.arange(knots))))
    (axes,) = panels(drawn(card(term), reference(x=np.array(values))))
    assert len(longest_line(axes)) == knots + 2
    assert clear_of_each_other(axes.get_xticklabels())
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert len(dots) == (knots <= scorecard_figures.MOST_DOTS)


@pytest.mark.parametrize("down", [2, 6, 20, 32])
@pytest.mark.parametrize("across", [2, 5, 6, 20, 32])
def test_maps_of_few_and_many_knots_keep_their_labels_apart(down: int, across: int) -> None:
    """Small ones say their points in figures; large ones have colours and few labels."""
    axes_of_pair = (
        KnotAxis(tuple(np.linspace(0, 99_000, down)), 0.0),
        KnotAxis(tuple(np.linspace(1900, 2019, across)), 1900.0),
    )
    points = tuple(tuple(np.sin((row + np.arange(across)) / 5)) for row in range(down))
    model = card(
        number("a", (0, 1), (0, 1)),
        number("b", (0, 1), (0, 1)),
        PairTerm(("a", "b"), axes_of_pair, points, 0.0),
    )
    shown = scorecard_figures.pair_maps(model, {("a", "b"): 1.0}, scorecard_figures.NO_REFERENCE)
    (axes,) = panels(shown)
    is_small = max(down, across) <= scorecard_figures.MOST_CELLS
    assert bool(texts(axes)) == is_small
    assert isinstance(shown, Picture)
    assert ("maps without figures" in shown.caption) != is_small
    assert clear_of_each_other(axes.get_xticklabels())
    assert 2 <= len(axes.get_yticklabels()) <= scorecard_figures.MOST_CELLS


def test_curves_and_maps_write_numbers_in_the_format_of_their_column() -> None:
    axes_of_pair = KnotAxis((0.0, 12_345_678.0), 0.0), KnotAxis((0.0, 0.5), 0.0)
    pair = PairTerm(("a", "b"), axes_of_pair, ((0.0, 1.0), (1.0, 0.0)), 0.0)
    model = card(number("a", (0, 12_345_678), (0, 1)), number("b", (0, 0.5), (0, 1)), pair)
    labels = parse_labels({"a": {"format": "thousands"}, "b": {"format": "percent"}})
    weights: Weights = {("a",): 2.0, ("b",): 1.0, ("a", "b"): 1.0}
    maps = scorecard_figures.pair_maps(model, weights, scorecard_figures.NO_REFERENCE, labels)
    (axes,) = panels(maps)
    assert [text.get_text() for text in axes.get_yticklabels()] == ["0", "12.3M"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0%", "50%"]
    curves = scorecard_figures.risk_curves(model, weights, scorecard_figures.NO_REFERENCE, labels)
    large, share = ([text.get_text() for text in axes.get_xticklabels()] for axes in panels(curves))
    assert (large[0], large[-1]) == ("0", "10M")
    assert (share[0], share[-1]) == ("0%", "40%")


def test_maps_of_levels_keep_their_labels_apart() -> None:
    left = LevelAxis(("No internet service", "Yes", "No"))
    below = LevelAxis(("Two year", "One year", "Ten year"))
    terms = [PairTerm(("a", name), (left, below), ((0.5,) * 4,) * 4, 0.0) for name in "bcd"]
    shown = scorecard_figures.pair_maps(
        card(number("a", (0, 1), (0, 1)), *terms),
        {term.columns: 1.0 for term in terms},
        scorecard_figures.NO_REFERENCE,
    )
    assert len(panels(shown)) == 3
    assert all(clear_of_each_other(axes.get_xticklabels()) for axes in panels(shown))


def longest_line(axes: Axes) -> list[tuple[float, float]]:
    return max((points(line) for line in axes.lines), key=len)
