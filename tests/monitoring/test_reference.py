"""The reference: what is kept of a sample is small, and good enough for a distance to a percent."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from attrition.monitoring import drift
from attrition.monitoring.reference import CUTS, slice_means, summarise

RNG = np.random.default_rng(4)
SPIKED = np.where(RNG.random(20_000) < 0.3, 0.0, RNG.lognormal(3, 1, 20_000))


def distance(before: np.ndarray, now: np.ndarray) -> float | None:
    """What the drift check reports."""
    reference = summarise(pd.DataFrame({"x": before}), np.zeros(len(before)))
    found = drift.compare(reference, pd.DataFrame({"x": now}), np.zeros(len(now)), 0.05, 1)
    return found.columns[0].wasserstein


def test_slice_means_are_the_means_between_the_cuts() -> None:
    assert (np.diff(CUTS) > 0).all()
    values = np.arange(20_000.0)
    means = slice_means(values[::-1])
    for start, end, mean in zip(CUTS, CUTS[1:], means, strict=False):
        assert mean == pytest.approx(values[round(start * 20_000) : round(end * 20_000)].mean())
    assert slice_means([3.0]) == pytest.approx(np.full(len(CUTS) - 1, 3.0))
    # Of three rows the slice .33 to .34 is one third of the first row, two thirds of the second.
    third = int(np.searchsorted(CUTS, 0.335)) - 1
    assert slice_means([0.0, 3.0, 9.0])[third] == pytest.approx(3.0 * 2 / 3)
    assert slice_means(SPIKED) @ np.diff(CUTS) == pytest.approx(SPIKED.mean())


@pytest.mark.parametrize(
    "now",
    [
        RNG.lognormal(3, 1, 5000) + 4,
        RNG.lognormal(3.3, 1.2, 5000),
        np.where(RNG.random(7001) < 0.5, 0.0, RNG.lognormal(3, 1, 7001)),
        SPIKED * 1.2,
        np.full(100, 7.0),
        RNG.normal(20, 15, 3000),
    ],
)
def test_the_distance_is_scipys_to_a_percent(now: np.ndarray) -> None:
    exact = stats.wasserstein_distance(SPIKED, now) / SPIKED.std()
    found = distance(SPIKED, now)
    assert found == pytest.approx(exact, rel=0.01)
    assert found <= exact * (1 + 1e-9)


def test_a_move_by_a_tenth_of_a_deviation_is_a_distance_of_a_tenth_whatever_the_unit() -> None:
    values = np.random.default_rng(5).normal(0, 1, 10_000)
    assert distance(values, values + 0.1 * values.std()) == pytest.approx(0.1)
    large = 1e9 + values
    assert distance(large, large + 0.1 * values.std()) == pytest.approx(0.1, rel=1e-4)
    assert distance(values * 1e300, (values + 0.1 * values.std()) * 1e300) == pytest.approx(0.1)


def test_where_there_is_no_scale_or_no_number_there_is_no_distance() -> None:
    assert distance(np.full(50, 5.0), np.full(50, 6.0)) is None
    assert distance(np.full(50, np.nan), np.full(50, 6.0)) is None
    assert distance(np.arange(50.0), np.full(50, np.nan)) is None


@pytest.mark.slow
def test_two_million_rows_are_compared_within_seconds() -> None:
    """Four columns; the bound is loose, for other work shares the machine."""
    rng = np.random.default_rng(1)
    rows = 2_000_000
    levels = np.array(["basic", "plus", "pro", ""], dtype=object)
    table = pd.DataFrame({name: rng.normal(0, 1, rows) for name in "abc"})
    table["plan"] = levels[rng.integers(0, 4, rows)]
    reference = summarise(table.head(50_000), table["a"].head(50_000))
    start = time.process_time()
    drift.compare(reference, table, table["a"], 0.05, 30)
    seconds = time.process_time() - start
    print(f"2,000,000 rows, 4 columns and the predictions: {seconds:.2f} s")
    assert seconds < 10
