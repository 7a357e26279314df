"""Pictures of how well the model predicts: the numbers in them are the right ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from sklearn.metrics import roc_auc_score

from attrition.model import curves
from attrition.report.figures import model_quality, style
from attrition.report.figures.style import Absent, Picture
from tests.support.figures import CHANCES, LABELS, drawn, points, sizes


def by_color(axes: Axes, color: str) -> list[tuple[float, float]]:
    """Points of the lines of that colour."""
    lines = [line for line in axes.lines if line.get_color() == color]
    return [point for line in lines for point in points(line)]


def test_the_curves_pass_through_the_models_threshold() -> None:
    picture = drawn(model_quality.roc_and_precision_recall(LABELS, CHANCES, 0.5))
    roc, pr = picture.figure.axes
    assert by_color(roc, style.ACCENT) == [(0, 0), (0, 0.8), (0.1, 0.8), (0.1, 1), (1, 1)]
    assert by_color(roc, style.ALARM) == [(0.1, 0.8)]  # 10 of 100 stayed, 40 of 50 left
    assert by_color(pr, style.ACCENT) == [(0.8, 1), (0.8, 0.8), (1, 50 / 60), (1, 1 / 3)]
    assert by_color(pr, style.ALARM) == [(0.8, 0.8)]
    area = roc_auc_score(LABELS, CHANCES)
    assert f"area under the ROC curve is {area:.3f}" in picture.alt
    assert f"area {area:.3f}" in roc.get_title("left")
    assert "base rate, 33.3%" in picture.caption


def test_a_threshold_that_calls_nobody_is_marked_at_the_origin() -> None:
    picture = drawn(model_quality.roc_and_precision_recall(LABELS, CHANCES, 0.9))
    roc, pr = picture.figure.axes
    assert by_color(roc, style.ALARM) == [(0, 0)]
    assert by_color(pr, style.ALARM) == []


def test_calibration_shows_each_group_with_its_interval() -> None:
    picture = drawn(model_quality.calibration(LABELS, CHANCES))
    upper, lower = picture.figure.axes
    bins = curves.calibration(LABELS, CHANCES)
    assert by_color(upper, style.ACCENT) == [*zip(bins.predicted, bins.observed, strict=True)]
    intervals: Any = upper.collections[0]
    bars = [segment[:, 1].tolist() for segment in intervals.get_segments()]
    assert bars == [[low, high] for low, high in zip(bins.low, bins.high, strict=True)]
    assert sum(height for _, height in sizes(lower.patches)) == 150
    assert f"{CHANCES.mean():.1%}, and 33.3% left" in picture.alt


def test_gain_tells_what_the_first_calls_find() -> None:
    picture = drawn(model_quality.gain_and_lift(LABELS, CHANCES))
    gain, lift = picture.figure.axes
    ((calls, leavers),) = by_color(gain, style.ALARM)
    assert (calls, leavers) == pytest.approx((0.1, 0.3))  # 15 calls, 15 leavers
    assert "finds 30% of the leavers, 3.0 times as many as chance" in picture.alt
    assert by_color(lift, style.ACCENT)[0] == pytest.approx((40 / 150, 3.0))


def test_the_distribution_tells_how_many_of_each_class_are_called() -> None:
    picture = drawn(model_quality.score_distribution(LABELS, CHANCES, 0.5))
    left, stayed = picture.figure.axes
    assert left.get_title("left") == "50 clients who left, 80% of them called"
    assert stayed.get_title("left") == "100 clients who stayed, 10% of them called"
    steps: Any = left.patches[0]
    assert steps.get_data().values.sum() == pytest.approx(1)
    assert "80% of those who left and 10% of those who stayed" in picture.alt


PICTURES: dict[str, Callable[..., Picture | Absent]] = {
    "roc": lambda y, p: model_quality.roc_and_precision_recall(y, p, 0.5),
    "calibration": model_quality.calibration,
    "gain": model_quality.gain_and_lift,
    "distribution": lambda y, p: model_quality.score_distribution(y, p, 0.5),
}


@pytest.mark.parametrize("name", PICTURES)
def test_one_class_or_no_rows_give_a_reason(name: str) -> None:
    for labels in ([], [1] * 9, [0]):
        shown = PICTURES[name](labels, [0.5] * len(labels))
        assert isinstance(shown, Absent)
        assert shown.reason.endswith(("labelled rows.", "the same label."))


@pytest.mark.slow
@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize(
    "chances",
    [np.linspace(0, 1, 10), np.full(10, 0.3), np.zeros(10), np.ones(10), np.full(10, 1e-12)],
)
def test_ten_rows_are_drawn_whatever_the_probabilities(name: str, chances: np.ndarray) -> None:
    picture = drawn(PICTURES[name]([0, 1] * 5, chances))
    assert len(style.svg(picture)) < 100_000
    assert style.png(picture, 60)
