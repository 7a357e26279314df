"""The runs over time, as a picture."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes

from attrition.core import plain_values
from attrition.monitoring.record import DecisionRecord
from attrition.report import inputs
from attrition.report.figures import runs as run_figures
from attrition.report.figures.style import Absent, Picture
from tests.support.figures import compared, panels, points, table
from tests.support.records import decision_record


def score(f1: float | None) -> dict[str, Any]:
    interval = None if f1 is None else [f1 - 0.05, f1 + 0.05]
    return {"f1": f1, "f1_interval": interval, "base_rate": None if f1 is None else 0.2}


def run(day: int, verdict: str, f1: float | None, **more: Any) -> DecisionRecord:
    parts = {
        "time": f"2026-03-{day:02}T06:00:00+00:00",
        "verdict": verdict,
        "scores": {"test data": score(f1)},
        "drift": {"data": {"test data": plain_values.to_json(compared(table(200)))}},
        "timings": {"ingestion": 1.0, "training": 2.0},
        "finished_at": f"2026-03-{day:02}T06:00:03+00:00",
        **more,
    }
    return decision_record(**parts)


FIRST = run(
    1,
    "deployed",
    None,
    scores={},
    drift={},
    candidate_score=score(0.7),
)
FAILED = run(2, "failed", None, scores={}, drift={}, timings={})


KEPT = run(3, "kept", 0.5)


def line(axes: Axes, label: str) -> list[float]:
    return next([y for _, y in points(line)] for line in axes.lines if line.get_label() == label)


@pytest.mark.slow
def test_runs_stand_in_their_order_with_gaps_where_nothing_is_known() -> None:
    runs = [FIRST, FAILED, run(3, "kept", 0.5), run(9, "deployed", 0.4, candidate_score=score(0.8))]
    shown = run_figures.trends(runs, 0.6)
    f1, base_rate, _missing, drifted, seconds = panels(shown)
    np.testing.assert_equal(line(f1, "test data"), [0.7, np.nan, 0.5, 0.8])  # after the run
    np.testing.assert_equal(line(base_rate, "test data"), [0.2, np.nan, 0.2, 0.2])
    np.testing.assert_equal(line(drifted, "test data"), [np.nan, np.nan, 0, 0])
    np.testing.assert_equal(line(seconds, "whole run"), [3, np.nan, 3, 3])
    np.testing.assert_equal(line(seconds, "training"), [2, np.nan, 2, 2])
    marks = {line.get_marker(): len(points(line)) for line in f1.lines if points(line)}
    assert marks["^"] == 2
    assert marks["x"] == 1
    assert isinstance(shown, Picture)
    assert shown.alt == (
        "4 runs, 2 with a deployment, 1 failed; the last F1 on test data is 0.800, at or above 0.6."
    )


@pytest.mark.slow
def test_of_a_run_that_is_still_at_work_the_stages_are_known_and_the_whole_is_not() -> None:
    at_work = replace(KEPT, finished_at=None)
    *_, seconds = panels(run_figures.trends([FIRST, at_work, at_work], 0.6))
    np.testing.assert_equal(line(seconds, "whole run"), [3, np.nan, np.nan])
    np.testing.assert_equal(line(seconds, "training"), [2, 2, 2])
    *_, alone = panels(run_figures.trends([at_work] * 3, 0.6))
    assert {one.get_label() for one in alone.lines} >= {"training"}
    assert "whole run" not in {one.get_label() for one in alone.lines}


@pytest.mark.slow
@pytest.mark.parametrize("only", [FIRST, FAILED, KEPT], ids=["first", "failed", "kept"])
def test_runs_of_one_kind_alone_are_drawn(only: DecisionRecord) -> None:
    shown = run_figures.trends([only] * 3, 0.6)
    assert len(panels(shown)) == 5
    assert isinstance(shown, Picture)
    assert shown.alt.startswith("3 runs, ")
    empty = [axes for axes in shown.figure.axes if not axes.get_legend()]
    assert [texts[0].get_text() for axes in empty if (texts := axes.texts)] == [
        "nothing is known yet"
    ] * len(empty)
    assert bool(empty) == (only is not KEPT)


@pytest.mark.slow
def test_without_runs_that_is_said_and_of_many_the_newest_are_drawn() -> None:
    assert isinstance(run_figures.trends([], 0.6), Absent)
    assert isinstance(run_figures.trends([KEPT, KEPT], 0.6), Absent)
    runs = [run(1 + n // 24 % 28, "kept", 0.5) for n in range(90)]
    told = inputs.runs_to_draw(runs[0], runs, None, 0.6)
    shown = run_figures.trends(list(reversed(told.runs)), 0.6, told.left_out)
    assert len(line(panels(shown)[0], "test data")) == inputs.RUNS_DRAWN
    assert isinstance(shown, Picture)
    assert "30 older runs are left out" in shown.caption


@pytest.mark.parametrize(
    ("hours", "date"),
    [
        (0.01, r"06:\d\d:\d\d"),
        (6, r"[12] March, \d\d:\d\d"),
        (24 * 8, r"\d+ (March|April)"),
        (24 * 200, r"(May|July|September|November|January|March) 202[67]"),
    ],
)
def test_each_panel_has_dates_that_say_all_by_themselves(hours: float, date: str) -> None:
    first = datetime(2026, 3, 1, 6, tzinfo=UTC)
    times = [first + number * timedelta(hours=hours) for number in range(4)]
    shown = run_figures.trends([replace(KEPT, time=time.isoformat()) for time in times], 0.6)
    assert isinstance(shown, Picture)
    shown.figure.draw_without_rendering()
    for axes in panels(shown):
        left, right = axes.get_xlim()
        dates = [
            text.get_text()
            for text in axes.get_xticklabels()
            if left <= text.get_position()[0] <= right
        ]
        assert 2 <= len(dates) <= run_figures.MOST_DATES
        assert all(re.fullmatch(date, text) for text in dates), dates
        assert not axes.xaxis.get_offset_text().get_text()
