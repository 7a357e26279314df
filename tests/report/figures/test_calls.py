"""The picture of what calls are worth says what its plan says, and draws where calls end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib.lines import Line2D

from attrition.calls.profit import CallCosts, SuccessRate, list_profit
from attrition.core import plain_values
from attrition.monitoring.record import DecisionRecord
from attrition.report import inputs
from attrition.report.figures import calls, catalogue
from attrition.report.figures.style import Picture
from tests.support.effects import effect_of
from tests.support.records import decision_record

RISK, VALUE = np.array([0.9, 0.4, 0.1]), np.full(3, 100.0)


def vertical_lines(lines: Sequence[Line2D]) -> list[float]:
    ends = [np.asarray(line.get_xdata()) for line in lines]
    return [float(x[0]) for x in ends if len(x) == 2 and x[0] == x[1]]


@pytest.mark.parametrize(("capacity", "marked", "calls_made"), [(None, [], 2), (1, [1.0], 1)])
def test_the_dot_is_the_plan_and_a_line_marks_what_the_team_can_do(
    capacity: int | None, marked: list[float], calls_made: int
) -> None:
    success = SuccessRate.between(0.4, 0.6)
    drawn = calls.profit(list_profit(RISK, VALUE, CallCosts(4, 0.1), success, capacity))
    (axes,) = drawn.figure.axes
    assert vertical_lines(axes.lines) == marked
    (legend,) = drawn.figure.legends
    assert ("1 call can be made" in [text.get_text() for text in legend.get_texts()]) == bool(
        marked
    )
    assert not axes.texts  # which would cover a line
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [float(np.asarray(dot.get_xdata())[0]) for dot in dots] == [calls_made]
    assert drawn.alt.startswith(f"{calls_made} calls are expected to earn ")
    assert drawn.alt.endswith("calls pay up to number 2.")


def test_the_effect_is_drawn_over_the_runs_of_the_same_study() -> None:
    def run(day: int, left: tuple[int, int, int], share: float = 0.5) -> DecisionRecord:
        time = f"2026-05-{day:02}T06:00:00+00:00"
        study = {"share": share, "salt_digest": "a", "since": time[:8]}
        effect = plain_values.to_json(effect_of(*left))
        return decision_record(run_id=time, time=time, study=study, effect=effect)

    old, few = run(1, (30, 40, 100), share=0.2), run(2, (3, 4, 9))  # too few for an estimate
    runs = [*(run(day, (310, 390, 1000)) for day in (5, 4)), run(3, (30, 40, 100)), few, old]
    known = inputs.known_effects(runs[0], runs)
    (drawn,) = catalogue.effect_pictures(known, 0.9)
    assert isinstance(drawn, Picture)
    (axes,) = drawn.figure.axes
    (line,) = [line for line in axes.lines if line.get_marker() == "o"]
    assert np.asarray(line.get_ydata()).tolist() == pytest.approx([0.1, 0.08, 0.08])
    assert drawn.alt.startswith("After 2,000 outcomes calling saves 8.0 points (90%: ")
    assert catalogue.effect_pictures(inputs.known_effects(few, runs), 0.9) == []
    start, end = axes.get_xlim()  # days
    assert end - start < 10
    assert catalogue.effect_pictures(known[:2], 0.9) == [], "two runs are no course of time"


def test_where_no_client_has_a_value_it_is_drawn_all_the_same() -> None:
    listed = list_profit(RISK, VALUE * np.nan, CallCosts(4), SuccessRate.exactly(0.5))
    assert "expected to earn 0" in calls.profit(listed).alt
