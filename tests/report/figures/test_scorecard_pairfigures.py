"""What pairs of columns add together, drawn as maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgba_array

from attrition.model.scorecard import Scorecard
from attrition.model.terms import KnotAxis, LevelAxis, PairTerm
from attrition.monitoring.impact import term_weights
from attrition.report.figures import scorecard as scorecard_figures
from attrition.report.figures import style
from attrition.report.figures.style import Absent, Picture
from tests.support import hostile
from tests.support.figures import card, clear_of_each_other, inside, number, panels, texts


def drawn(
    model: Scorecard, summary: Mapping[str, Any] = scorecard_figures.NO_REFERENCE
) -> Picture | Absent:
    """The maps of a model that recorded no points: a pair counts half of their range."""
    return scorecard_figures.pair_maps(model, term_weights(model, None), summary)


def test_pairs_show_their_points_those_that_count_most_first() -> None:
    axes_of = (KnotAxis((0, 10), 0), LevelAxis(("a", "b")))
    weak = PairTerm(("x", "w"), axes_of, ((0.1, 0.0, 0.0), (0.0, 0.1, 0.0)), 0.0)
    strong = PairTerm(("x", "s"), axes_of, ((1.2, -0.7, 0.0), (0.0, 0.5, 0.0)), 0.0)
    shown = drawn(card(number("x", (0, 10), (0, 0)), weak, strong))
    first, second = panels(shown)
    assert (first.get_xlabel(), first.get_ylabel(), second.get_ylabel()) == ("x", "s", "w")
    assert texts(first) == ["+1.2", f"{style.MINUS}0.7", "+0.5"]
    assert [text.get_text() for text in first.get_yticklabels()] == ["a", "b"]  # no empty pool
    assert [text.get_text() for text in first.get_xticklabels()] == ["0", "10"]
    assert isinstance(shown, Picture)
    assert "x with s: it adds up to 1.20" in shown.alt


@pytest.mark.parametrize(("rest", "shown"), [(0, ["a", "b"]), (3, ["a", "b", "others"])])
def test_a_level_is_shown_where_clients_have_it(rest: int, shown: list[str]) -> None:
    """The pool has points, too, where nobody is in it; names stand at the left, whole."""
    summary = {"numeric": {}, "categorical": {"s": {"levels": {"a": 5, "b": 1}, "rest": rest}}}
    summary["categorical"]["s"]["blank"] = 0
    axes_of = (KnotAxis(tuple(range(20)), 0), LevelAxis(("a", "b", "unseen")))
    pair = PairTerm(("x", "s"), axes_of, ((1.0, -1.0, 2.0, 2.0),) * 20, 0.0)
    (axes,) = panels(drawn(card(number("x", (0, 10), (0, 0)), pair), summary))
    assert [text.get_text() for text in axes.get_yticklabels()] == shown


def test_a_long_name_below_the_last_map_is_not_cut() -> None:
    name = "durchschnittliche_anzahl_der_beschwerden_pro_quartal_im_jahr"
    axes_of = (KnotAxis((0, 10), 0), LevelAxis(("a level of a long name", "b")))
    points = ((1.2, -0.7, 0.0), (0.0, 0.5, 0.0))
    pairs = [PairTerm((name, f"s{n}"), axes_of, points, 0.0) for n in range(3)]
    shown = drawn(card(number(name, (0, 10), (0, 0)), *pairs))
    assert isinstance(shown, Picture)
    *_, last = panels(shown)
    assert inside(shown.figure, last.xaxis.label)


def test_one_strong_corner_leaves_the_rest_of_the_maps_visible() -> None:
    grid = np.full((32, 32), 0.05)
    grid[-1, -1] = 3.0
    axes_of = (KnotAxis(tuple(range(32)), 0), KnotAxis(tuple(range(32)), 0))
    pair = PairTerm(("x", "y"), axes_of, tuple(map(tuple, grid.tolist())), 0.0)
    (axes,) = panels(drawn(card(number("x", (0, 1), (0, 0)), pair)))
    (areas,) = axes.collections
    extents = [path.get_extents() for path in areas.get_paths()]
    largest = int(np.argmax([extent.width * extent.height for extent in extents]))
    assert to_rgba_array(areas.get_facecolor())[largest, 3] > 0.05


def test_a_map_on_which_nothing_would_be_seen_is_left_out() -> None:
    axes_of = (KnotAxis(tuple(range(6)), 0), KnotAxis(tuple(range(6)), 0))
    strong, faint = (
        PairTerm(("x", name), axes_of, ((size,) * 6,) * 6, 0.0)
        for name, size in (("y", 30.0), ("z", 0.5))
    )
    shown = scorecard_figures.pair_maps(
        card(number("x", (0, 1), (0, 0)), strong, faint),
        {("x", "y"): 1.0, ("x", "z"): 0.1},
        scorecard_figures.NO_REFERENCE,
    )
    assert [axes.get_xlabel() for axes in panels(shown)] == ["y"]
    assert isinstance(shown, Picture)
    assert "Left out: 1 weaker pair." in shown.caption


def test_without_pairs_that_is_said() -> None:
    shown = drawn(card(number("x", (0, 1), (0, 1))))
    assert isinstance(shown, Absent)
    assert "No pair" in shown.reason


def test_a_pair_with_200_levels_shows_the_strongest() -> None:
    names = tuple(f"level {place}" for place in range(200))
    grid = tuple((float(place) / 100, 0.0) for place in range(201))
    pair = PairTerm(("x", "y"), (LevelAxis(names), KnotAxis((0, 1), 0)), grid, 0.0)
    (axes,) = panels(drawn(card(number("y", (0, 1), (0, 0)), pair)))
    assert len(axes.get_yticks()) == scorecard_figures.MOST_CELLS
    assert texts(axes)[-1] == "+2.0"


@pytest.mark.parametrize(
    ("below", "labels", "has_figures"), [("levels", 3, True), ("knots", 5, False)]
)
def test_beside_names_of_levels_no_more_stands_than_has_room(
    below: str, labels: int, has_figures: bool
) -> None:
    names = ("Separated", "Divorced", "Widowed", "Single", "Married")
    other = LevelAxis(names) if below == "levels" else KnotAxis((0, 1, 2, 3, 4), 0)
    grid = tuple(tuple(0.1 * (row - column) for column in range(len(other))) for row in range(6))
    pair = PairTerm(("x", "y"), (LevelAxis(names), other), grid, 0.0)
    (axes,) = panels(drawn(card(number("y", (0, 1), (0, 0)), pair)))
    assert len(axes.get_xticks()) == labels
    assert bool(axes.texts) == has_figures
    assert clear_of_each_other(axes.get_xticklabels())


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in hostile.LABELS if name != "\ud800"], ids=ascii)
def test_hostile_names_of_columns_and_levels(name: str) -> None:
    axes_of = (KnotAxis((0, 1), 0), LevelAxis((name, "b")))
    pair = PairTerm((name, f"{name}2"), axes_of, ((1.0, -1.0, 0.0), (0.5, 0.0, 0.0)), 0.0)
    picture = drawn(card(number(name, (0, 1), (0, 1)), pair))
    assert panels(picture)
    assert isinstance(picture, Picture)
    style.png(picture, 50)
