"""Drift, its effect on the risk, and the runs over time, as pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from attrition import datafigures, drift, figures
from attrition.figures import Absent, Picture
from attrition.impact import baseline, impact
from attrition.reference import summarise
from attrition.terms import Floats
from tests.releases import quiet_month_card
from tests.test_figures import HOSTILE

RNG = np.random.default_rng(8)


def table(rows: int, **columns: Any) -> pd.DataFrame:
    return pd.DataFrame(
        {"calm": RNG.normal(0, 1, rows), "moved": RNG.normal(0, 1, rows), **columns}
    )


def compared(now: pd.DataFrame) -> dict[str, Any]:
    reference = summarise(table(2000), RNG.normal(0, 1, 2000))
    return drift.compare(reference, now, RNG.normal(0, 1, len(now)), 0.05, 30).to_json()


def panels(picture: Picture | Absent) -> list[Axes]:
    assert isinstance(picture, Picture), picture
    assert len(figures.svg(picture)) < 100_000  # and warnings are errors
    return [axes for axes in picture.figure.axes if axes.get_visible()]


def filled(axes: Axes) -> dict[str, list[float]]:
    """Name -> PSI of the filled marks, which are drift."""
    names = [text.get_text() for text in axes.get_yticklabels()]
    found: dict[str, list[float]] = {}
    for line in axes.lines:
        if line.get_markerfacecolor() == figures.ALARM:
            for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True):
                found.setdefault(names[int(y)], []).append(float(x))
    return found


def test_what_drifted_is_filled_and_stands_at_its_psi() -> None:
    found = {"test data": compared(table(500)),
             "new rows": compared(table(500, moved=RNG.normal(2, 1, 500))),
             "open clients": compared(table(5))}  # fmt: skip
    shown = datafigures.drift(found)
    (axes,) = panels(shown)
    psi = next(c["psi"] for c in found["new rows"]["columns"] if c["column"] == "moved")
    assert filled(axes) == {"moved": [psi]}
    assert axes.get_yticklabels()[0].get_text() == "moved"
    assert isinstance(shown, Picture)
    assert "Drifted columns: 1 in the new rows; moved moved farthest" in shown.alt
    assert f"{psi:.2f}" in shown.alt
    assert "Open clients: insufficient data (5 rows)." in shown.caption
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "test data (500 rows)", "new rows (500 rows)",
    ]  # fmt: skip


def test_without_drift_or_data_that_is_said() -> None:
    calm = datafigures.drift({"test data": compared(table(400))})
    assert isinstance(calm, Picture)
    assert calm.alt.startswith("No column drifted")
    few = datafigures.drift({"test data": compared(table(5))})
    assert isinstance(few, Absent)
    assert few.reason == "test data: insufficient data (5 rows)."
    assert isinstance(datafigures.drift({}), Absent)


def test_sixty_columns_are_cut_and_that_is_said() -> None:
    def wide(rows: int) -> pd.DataFrame:
        return pd.DataFrame(RNG.normal(0, 1, (rows, 60)), columns=[f"c{n}" for n in range(60)])

    reference = summarise(wide(500), np.zeros(500))
    found = drift.compare(reference, wide(500), np.zeros(500), 0.05, 30).to_json()
    shown = datafigures.drift({"new rows": found})
    (axes,) = panels(shown)
    assert len(axes.get_yticks()) == datafigures.MOST_COLUMNS
    assert isinstance(shown, Picture)
    assert "37 columns that moved less are left out" in shown.caption  # 60, and the predictions


def card_impact(activity: Floats, recorded: bool = True) -> dict[str, Any]:
    card = quiet_month_card()

    def columns(values: Floats) -> dict[str, Floats]:
        others = ("lastyear_activity", "number_of_employees")
        return {"lastmonth_activity": values} | {name: np.zeros(len(values)) for name in others}

    then, now = columns(np.linspace(0, 100, 200)), columns(activity)
    before = baseline(card, then, card.log_odds(then)) if recorded else None
    return impact(card, now, card.log_odds(now), before, 200).to_json()


def test_the_shift_of_each_column_is_told_in_points_of_risk() -> None:
    found = card_impact(np.linspace(0, 60, 100))
    shown = datafigures.impact(
        {"new rows": found, "test data": card_impact(np.linspace(0, 100, 50))}
    )
    first, second = panels(shown)
    effect = found["risk_now"] - found["terms"][0]["risk_without"]
    assert first.patches[0].get_width() == pytest.approx(effect)
    assert [text.get_text() for text in first.texts][:2] == [
        "lastmonth_activity", f"{100 * effect:+.1f}",
    ]  # fmt: skip
    assert first.get_title("left") == (
        f"new rows: {found['risk_before']:.1%} → {found['risk_now']:.1%}"
    )
    assert first.get_xlim() == second.get_xlim()
    assert isinstance(shown, Picture)
    assert f"by {100 * effect:+.1f} points" in shown.alt


def test_an_older_release_has_no_risk_before() -> None:
    (axes,) = panels(datafigures.impact({"new rows": card_impact(np.full(40, 50.0), False)}))
    assert axes.get_title("left") == "new rows: 50.0%"
    assert isinstance(datafigures.impact({}), Absent)


def score(f1: float | None) -> dict[str, Any]:
    interval = None if f1 is None else [f1 - 0.05, f1 + 0.05]
    return {"f1": f1, "f1_interval": interval, "base_rate": None if f1 is None else 0.2}


def run(day: int, verdict: str, f1: float | None, **more: Any) -> dict[str, Any]:
    return {
        "time": f"2026-03-{day:02}T06:00:00+00:00",
        "verdict": verdict,
        "reason": "",
        "scores": {"test data": score(f1)},
        "drift": {"data": {"test data": compared(table(200))}, "performance": {}},
        "timings": {"ingestion": 1.0, "training": 2.0},
        **more,
    }


FIRST = run(1, "deployed", None, scores={}, drift={"data": {}, "performance": {}},
            candidate_score=score(0.7))  # fmt: skip
FAILED = run(2, "failed", None, scores={}, drift={"performance": {}, "data": {}}, timings={})


KEPT = run(3, "kept", 0.5)


def line(axes: Axes, label: str) -> list[float]:
    return next(line.get_ydata().tolist() for line in axes.lines if line.get_label() == label)


def test_runs_stand_in_their_order_with_gaps_where_nothing_is_known() -> None:
    runs = [FIRST, FAILED, run(3, "kept", 0.5), run(9, "deployed", 0.4, candidate_score=score(0.8))]
    shown = datafigures.trends(runs, 0.6)
    f1, base_rate, _missing, drifted, seconds = panels(shown)
    np.testing.assert_equal(line(f1, "test data"), [0.7, np.nan, 0.5, 0.8])  # after the run
    np.testing.assert_equal(line(base_rate, "test data"), [0.2, np.nan, 0.2, 0.2])
    np.testing.assert_equal(line(drifted, "test data"), [np.nan, np.nan, 0, 0])
    np.testing.assert_equal(line(seconds, "whole run"), [3, np.nan, 3, 3])
    np.testing.assert_equal(line(seconds, "training"), [2, np.nan, 2, 2])
    marks = {line.get_marker(): len(line.get_xdata()) for line in f1.lines if len(line.get_xdata())}
    assert marks["^"] == 2
    assert marks["x"] == 1
    assert isinstance(shown, Picture)
    assert shown.alt == (
        "4 runs, 2 with a deployment, 1 failed; the last F1 on test data is 0.800, at or above 0.6."
    )


@pytest.mark.parametrize("only", [FIRST, FAILED, KEPT], ids=["first", "failed", "kept"])
def test_one_run_alone_is_drawn(only: dict[str, Any]) -> None:
    shown = datafigures.trends([only], 0.6)
    assert len(panels(shown)) == 5
    assert isinstance(shown, Picture)
    assert shown.alt.startswith("1 run, ")
    empty = [axes for axes in shown.figure.axes if not axes.get_legend()]
    assert [texts[0].get_text() for axes in empty if (texts := axes.texts)] == [
        "nothing is known yet"
    ] * len(empty)
    assert bool(empty) == (only is not KEPT)


def test_without_runs_that_is_said_and_of_many_the_newest_are_drawn() -> None:
    assert isinstance(datafigures.trends([], 0.6), Absent)
    shown = datafigures.trends([run(1 + n // 24 % 28, "kept", 0.5) for n in range(90)], 0.6)
    assert len(line(panels(shown)[0], "test data")) == datafigures.MOST_RUNS
    assert isinstance(shown, Picture)
    assert "30 older runs are left out" in shown.caption


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_hostile_names_of_columns(name: str) -> None:
    found = compared(table(100))
    found["columns"][0]["column"] = name
    shift = card_impact(np.linspace(0, 60, 100))
    shift["terms"][0]["term"] = name
    for picture in (
        datafigures.drift({"new rows": found}),
        datafigures.impact({"new rows": shift}),
    ):
        assert panels(picture)
        assert isinstance(picture, Picture)
        figures.png(picture, 50)
        assert picture.alt.isprintable()
