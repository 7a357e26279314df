"""The widths of intervals that hold at every look: by hand, and turned around."""

from __future__ import annotations

import math

import numpy as np
import pytest

from attrition.calls.sequence import ConfidenceSequence

NINETY = ConfidenceSequence(level=0.9, tightest_at=1000)


def test_the_width_is_that_of_the_formula() -> None:
    # rho^2 = (-2 ln .1 + ln(1 - 2 ln .1)) / 1000 = (4.60517 + 1.72369) / 1000 = .00632886;
    # sqrt(2 * 7.32886 / (1000^2 * .00632886) * ln(sqrt(7.32886) / .1)) = .0874
    assert NINETY.half_width(1000, 1.0) == pytest.approx(0.08740, abs=5e-6)
    assert NINETY.half_width(1000, 3.0) == pytest.approx(0.26220, abs=2e-5)
    # one-sided: ln(1 + sqrt(7.32886) / .2) = 2.67658 instead of ln(27.0719) = 3.29850
    assert NINETY.one_sided_width(1000, 1.0) == pytest.approx(0.07873, abs=1e-5)


def test_no_other_tuning_is_narrower_at_the_row_count_asked_for() -> None:
    best = NINETY.half_width(1000, 1.0)
    others = [
        ConfidenceSequence(0.9, rows).half_width(1000, 1.0) for rows in (200, 500, 2000, 9000)
    ]
    assert min(others) > best
    assert max(others[1:3]) < 1.03 * best


def test_it_is_wider_than_an_interval_for_one_look() -> None:
    for rows in (10, 100, 1000, 10_000):
        assert NINETY.half_width(rows, 1.0) > 1.6449 / math.sqrt(rows)
        assert NINETY.one_sided_width(rows, 1.0) < NINETY.half_width(rows, 1.0)


@pytest.mark.parametrize("effect", [0.5, 0.092, -0.092, 0.001])
def test_the_rows_needed_are_the_fewest_whose_interval_leaves_out_0(effect: float) -> None:
    rows = NINETY.rows_needed(effect, 1.15)
    assert rows is not None
    assert NINETY.half_width(rows, 1.15) < abs(effect) <= NINETY.half_width(rows - 1, 1.15)


def test_no_number_of_rows_shows_nothing() -> None:
    assert NINETY.rows_needed(0.0, 1.0) is None
    assert NINETY.rows_needed(1e-9, 1.0) is None


def test_the_truth_is_left_out_at_some_look_in_no_more_studies_than_promised() -> None:
    rows = np.arange(1, 2001)
    means = np.random.default_rng(3).normal(size=(1000, 2000)).cumsum(axis=1) / rows
    widths = np.array([NINETY.half_width(int(count), 1.0) for count in rows])
    one_sided = np.array([NINETY.one_sided_width(int(count), 1.0) for count in rows])
    assert 0.02 < (np.abs(means) > widths).any(axis=1).mean() < 0.1
    assert 0.02 < (means > one_sided).any(axis=1).mean() < 0.1
    # The usual interval, looked at as often, leaves it out in most.
    assert (np.abs(means) > 1.6449 / np.sqrt(rows)).any(axis=1).mean() > 0.5
