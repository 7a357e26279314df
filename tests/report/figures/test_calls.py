"""The picture of what calls are worth says what its plan says, and draws where calls end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib.lines import Line2D

from attrition.calls.profit import CallCosts, SuccessRate, list_profit
from attrition.report.figures import calls

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
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [float(np.asarray(dot.get_xdata())[0]) for dot in dots] == [calls_made]
    assert drawn.alt.startswith(f"{calls_made} calls are expected to earn ")
    assert drawn.alt.endswith("calls pay up to number 2.")


def test_where_no_client_has_a_value_it_is_drawn_all_the_same() -> None:
    listed = list_profit(RISK, VALUE * np.nan, CallCosts(4), SuccessRate.exactly(0.5))
    assert "expected to earn 0" in calls.profit(listed).alt
