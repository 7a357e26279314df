"""Do two rows of counts come of one distribution: chi-square, by simulation where counts are small.

Beside the p-value stands an effect size, the population stability index; Holm's adjustment holds
the error rate of many such tests together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from attrition.monitoring.reference import Counts

SMALLEST_EXPECTED = 5.0  # Cochran (1954): below it the chi-square distribution fits badly
SIMULATIONS = 4999  # random tables of the same margins that then stand in for the distribution
SEED = 1  # of the simulation: the same samples give the same p


@dataclass(frozen=True)
class Test:
    """A test's name, statistic, degrees of freedom and p-value, and the PSI beside it."""

    name: str
    statistic: float
    degrees_of_freedom: int
    p: float
    psi: float


def homogeneity(before: Counts, now: Counts) -> Test:
    """Test whether two rows of counts come of one distribution over their bins.

    Args:
        before: array of shape (n_bins,), counts of the reference.
        now: array of shape (n_bins,), counts of the sample compared with it.
    """
    table = np.array([before, now], dtype=np.int64)
    table = table[:, table.sum(axis=0) > 0]
    psi = population_stability_index(table[0], table[1])
    degrees = table.shape[1] - 1
    if degrees == 0:
        return Test("none (one value only)", 0.0, 0, 1.0, psi)
    result = stats.chi2_contingency(table, correction=False)
    name = "chi-square"
    if result.expected_freq.min() < SMALLEST_EXPECTED:
        # Valid for any counts, however small (Davison and Hinkley 1997, section 4.3), where merging
        # rare bins would hide a level or a missingness that is new.
        method = stats.MonteCarloMethod(SIMULATIONS, rng=np.random.default_rng(SEED))
        result = stats.chi2_contingency(table, correction=False, method=method)
        name = "chi-square, simulated"
    return Test(name, float(result.statistic), degrees, float(result.pvalue), psi)


def population_stability_index(before: ArrayLike, now: ArrayLike) -> float:
    """Sum of (share now - share before) * ln(share now / share before) over the bins.

    This is the symmetric Kullback-Leibler divergence (Jeffreys 1946) under the name credit
    scoring gave it. An empty bin counts as half a row, since its logarithm would be infinite.

    Args:
        before: array of shape (n_bins,), counts of the reference.
        now: array of shape (n_bins,), counts of the sample compared with it.
    """
    old = np.maximum(np.asarray(before, dtype=np.float64), 0.5)
    new = np.maximum(np.asarray(now, dtype=np.float64), 0.5)
    old, new = old / old.sum(), new / new.sum()
    return float(np.sum((new - old) * np.log(new / old)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values so that rejecting those <= level keeps the family's error rate at level.

    Source: Holm, A simple sequentially rejective multiple test procedure (1979).
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    ascending = np.maximum.accumulate(np.asarray(p_values)[order] * factors)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(ascending, 1.0)
    return [float(p) for p in adjusted]
