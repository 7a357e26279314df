"""What pairs of columns add together, drawn as maps."""

from __future__ import annotations

import pytest

from attrition.model.scorecard import Scorecard
from attrition.model.terms import KnotAxis, LevelAxis, PairTerm
from attrition.monitoring.impact import term_weights
from attrition.report.figures import scorecard as scorecard_figures
from attrition.report.figures import style
from attrition.report.figures.style import Absent, Picture
from tests.support import hostile
from tests.support.figures import card, number, panels, texts


def drawn(model: Scorecard) -> Picture | Absent:
    """The maps of a model that recorded no points: a pair counts half of their range."""
    return scorecard_figures.pair_maps(model, term_weights(model, None))


def test_pairs_show_their_points_those_that_count_most_first() -> None:
    axes_of = (KnotAxis((0, 10), 0), LevelAxis(("a", "b")))
    weak = PairTerm(("x", "w"), axes_of, ((0.1, 0.0, 0.0), (0.0, 0.1, 0.0)), 0.0)
    strong = PairTerm(("x", "s"), axes_of, ((1.2, -0.7, 0.0), (0.0, 0.5, 0.0)), 0.0)
    shown = drawn(card(number("x", (0, 10), (0, 0)), weak, strong))
    first, second = panels(shown)
    assert (first.get_ylabel(), first.get_xlabel(), second.get_xlabel()) == ("x", "s", "w")
    assert texts(first) == ["+1.2", f"{style.MINUS}0.7", "+0.5"]
    assert [text.get_text() for text in first.get_xticklabels()] == ["a", "b"]  # no empty pool
    assert [text.get_text() for text in first.get_yticklabels()] == ["0", "10"]
    assert isinstance(shown, Picture)
    assert "x with s: it adds up to 1.20" in shown.alt


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


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in hostile.LABELS if name != "\ud800"], ids=ascii)
def test_hostile_names_of_columns_and_levels(name: str) -> None:
    axes_of = (KnotAxis((0, 1), 0), LevelAxis((name, "b")))
    pair = PairTerm((name, f"{name}2"), axes_of, ((1.0, -1.0, 0.0), (0.5, 0.0, 0.0)), 0.0)
    picture = drawn(card(number(name, (0, 1), (0, 1)), pair))
    assert panels(picture)
    assert isinstance(picture, Picture)
    style.png(picture, 50)
