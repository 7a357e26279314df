"""Curves, calibration, gain: checked against scikit-learn, scipy and sums done by hand."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics

from attrition.model import curves

RNG = np.random.default_rng(3)
CHANCE = RNG.beta(1, 4, 5000).round(3)  # with ties
LABELS = (RNG.random(5000) < CHANCE).astype(int)
COUNTS = curves.count_at_thresholds(LABELS, CHANCE)


def test_areas_are_scikit_learns() -> None:
    assert curves.roc_area(COUNTS) == pytest.approx(metrics.roc_auc_score(LABELS, CHANCE))
    expected = metrics.average_precision_score(LABELS, CHANCE)
    assert curves.average_precision(COUNTS) == pytest.approx(expected)


def test_the_thinned_roc_curve_lies_on_scikit_learns() -> None:
    curve = curves.roc(COUNTS)
    x, y, _ = metrics.roc_curve(LABELS, CHANCE, drop_intermediate=False)
    assert {*zip(curve.x, curve.y, strict=True)} <= {*zip(x, y, strict=True)}
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)
    apart = np.abs(x[:, np.newaxis] - curve.x) + np.abs(y[:, np.newaxis] - curve.y)
    assert len(curve.x) < len(x)
    assert apart.min(axis=1).max() < 0.006  # every point has one of the kept ones close by


def test_precision_and_recall_are_scikit_learns() -> None:
    curve = curves.precision_recall(COUNTS)
    precision, recall, _ = metrics.precision_recall_curve(LABELS, CHANCE)
    known = {*zip(recall.round(9), precision.round(9), strict=True)}
    assert {*zip(curve.x.round(9), curve.y.round(9), strict=True)} <= known


def test_curves_of_six_clients_by_hand() -> None:
    """In the order of their risk: left, stayed, left, (left, stayed: a tie), stayed."""
    labels, chances = [1, 0, 1, 1, 0, 0], [0.9, 0.8, 0.7, 0.5, 0.5, 0.1]
    counts = curves.count_at_thresholds(labels, chances)
    assert counts.alarms.tolist() == [1, 2, 3, 5, 6]
    assert counts.hits.tolist() == [1, 1, 2, 3, 3]
    gain, lift = curves.gain(counts), curves.lift(counts)
    assert gain.x * 6 == pytest.approx([0, 1, 2, 3, 5, 6])
    assert gain.y * 3 == pytest.approx([0, 1, 1, 2, 3, 3])
    assert curves.gain_at(counts, 4 / 6) == pytest.approx(2.5 / 3)  # half of the tie
    assert lift.y == pytest.approx([2, 1, 4 / 3, 6 / 5, 1])  # precision over a base rate of half
    deep = counts.from_share(2 / 6)  # two of the six are called, or more
    assert curves.lift(deep).y == pytest.approx([1, 4 / 3, 6 / 5, 1])
    assert curves.precision_recall(deep).y == pytest.approx([1 / 2, 2 / 3, 3 / 5, 1 / 2])
    assert [counts.position(t) for t in (1.0, 0.9, 0.75, 0.5, 0.0)] == [None, 0, 1, 3, 4]


def test_calibration_bins_are_means_and_shares_of_clients_alike() -> None:
    bins = curves.calibration(LABELS, CHANCE)
    assert bins.rows.sum() == 5000
    assert (np.diff(bins.predicted) > 0).all()
    assert bins.predicted @ bins.rows == pytest.approx(CHANCE.sum())
    assert bins.observed @ bins.rows == pytest.approx(LABELS.sum())
    first = np.quantile(CHANCE, 0.1, method="inverted_cdf")
    assert bins.rows[0] == (first >= CHANCE).sum()
    assert bins.observed[0] == pytest.approx(LABELS[first >= CHANCE].mean())


def test_equal_probabilities_share_a_bin_and_few_rows_make_few_bins() -> None:
    tied = curves.calibration([0] * 70 + [1] * 30, [0.3] * 100)
    assert (tied.rows.tolist(), tied.observed.tolist()) == ([100], [0.3])
    few = curves.calibration([0, 1] * 5, np.arange(10) / 10)
    assert few.rows.tolist() == [10]


@pytest.mark.parametrize(("hits", "rows"), [(0, 1), (1, 1), (0, 40), (7, 40), (40, 40), (5, 9999)])
def test_wilsons_interval_is_scipys(hits: int, rows: int) -> None:
    low, high = curves.wilson_interval([hits], [rows])
    expected = binomtest(hits, rows).proportion_ci(method="wilson")
    assert (low[0], high[0]) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_the_histogram_holds_each_class_once_and_takes_the_ends() -> None:
    bars = curves.score_histogram([0, 0, 1, 1], [0.0, 0.51, 1.0, 0.99])
    assert bars.stayed.sum() == bars.left.sum() == 1
    assert (bars.stayed[0], bars.left[-1]) == (0.5, 1.0)
    assert (bars.edges[0], bars.edges[-1]) == (0, 1)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ([], "there are no labelled rows"),
        ([1] * 9, "all 9 rows have the same label"),
        ([0], "all 1 rows have the same label"),
        ([0, 1], None),
    ],
)
def test_what_cannot_be_judged_is_said(labels: list[int], reason: str | None) -> None:
    assert curves.no_curve_reason(labels) == reason


@pytest.mark.slow
def test_two_million_rows_become_small_curves_of_the_same_shape_within_seconds() -> None:
    rng = np.random.default_rng(1)
    chances = rng.beta(1, 4, 2_000_000)
    labels = rng.random(2_000_000) < chances
    start = time.process_time()
    counts = curves.count_at_thresholds(labels, chances)
    roc, pr = curves.roc(counts), curves.precision_recall(counts)
    gain, lift = curves.gain(counts), curves.lift(counts)
    curves.calibration(labels, chances)
    seconds = time.process_time() - start
    print(f"2,000,000 rows: {seconds:.2f} s")
    assert seconds < 15  # loose, for other work shares the machine
    assert max(len(curve.x) for curve in (roc, pr, gain, lift)) <= curves.CURVE_POINTS
    whole = np.interp(
        roc.x, (counts.alarms - counts.hits) / (2e6 - counts.leavers), counts.hits / counts.leavers
    )
    assert np.abs(whole - roc.y).max() < 0.002
    area = np.trapezoid(roc.y, roc.x)
    assert area == pytest.approx(curves.roc_area(counts), abs=1e-3)
