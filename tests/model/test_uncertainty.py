"""The interval of AUC, against its own definition and in simulated data."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from sklearn import metrics

from attrition.model.uncertainty import Z95, auc_interval, auc_standard_error


def test_an_end_of_the_interval_is_as_many_of_its_own_standard_errors_away() -> None:
    for end in auc_interval(0.8, None, 10, 40):
        spread = 1 + (50 / 2 - 1) * ((1 - end) / (2 - end) + end / (1 + end))
        assert abs(0.8 - end) == pytest.approx(Z95 * np.sqrt(end * (1 - end) * spread / 400))


def test_the_interval_is_wider_where_the_standard_error_is_and_never_leaves_0_to_1() -> None:
    narrow, wide = auc_interval(0.8, 0.01, 10, 40), auc_interval(0.8, 0.15, 10, 40)
    assert narrow == auc_interval(0.8, None, 10, 40)
    assert wide[0] < narrow[0] < 0.8 < narrow[1] < wide[1] < 1
    low, high = auc_interval(1.0, 0.0, 5, 45)
    assert high == 1
    assert 0.5 < low < 0.9, "five leavers on top of the list prove no perfect model"
    assert auc_interval(0.0, 0.0, 5, 45) == pytest.approx((0.0, 1 - low))


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "leavers"), [(50, 8), (100, 20), (1000, 100)])
@pytest.mark.parametrize("area", [0.8, 0.95])
def test_the_interval_of_auc_holds_the_true_one_about_95_times_in_100(
    rows: int, leavers: int, area: float
) -> None:
    """Two normal distributions, shifted so far that the true area is known."""
    random = np.random.default_rng(5)
    labels = (np.arange(rows) < leavers).astype(int)
    shift = np.sqrt(2) * NormalDist().inv_cdf(area)
    held = 0
    for _ in range(300):
        drawn = random.normal(size=rows) + shift * labels
        measured = metrics.roc_auc_score(labels, drawn)
        error = auc_standard_error(labels, drawn)
        low, high = auc_interval(measured, error, leavers, rows - leavers)
        held += low <= area <= high
    assert 0.93 <= held / 300 <= 0.995
