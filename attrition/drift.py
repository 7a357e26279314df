"""Has the data moved? Two samples compared column by column, the older one kept as a small summary.

Training summarises the rows it learnt from (bin edges and counts, no rows), the summary travels
with the release, and later rows are compared with it. Each column, and the predictions, is one
chi-square test of homogeneity on bins, missing values being a bin of their own: it suits numbers
and categories alike, and treats the reference as the sample it is. Beside each p-value stands an
effect size, and both must speak before drift is claimed: the p-value so that a small sample does
not cry wolf, the effect size so that a large one does not make noise look like news.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from attrition.errors import DataError

DRIFT = "drift"
NO_DRIFT = "no drift"
INSUFFICIENT = "insufficient data"
PREDICTIONS = "predictions"

BINS = 10
LEVELS = 30  # categories counted one by one; the rest together
SMALLEST_EXPECTED = 5.0  # Cochran (1954): below it the chi-square distribution fits badly
SIMULATIONS = 4999  # random tables that then stand in for the distribution
SEED = 1  # of the simulation: the same samples give the same p
PSI_FLOOR = 0.1  # the usual reading: below 0.1 no shift worth the name, above 0.25 a large one

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class ColumnDrift:
    """One column's comparison; without enough data test, statistic, p-values and psi are None.

    `psi` is the population stability index, `adjusted_p` Holm's; shares are fractions 0-1.
    """

    column: str
    kind: str  # "numeric", "categorical" or "predictions"
    verdict: str
    missing_before: float
    missing_now: float
    test: str | None = None
    statistic: float | None = None
    degrees_of_freedom: int | None = None
    p: float | None = None
    adjusted_p: float | None = None
    psi: float | None = None


@dataclass(frozen=True)
class Drift:
    """The comparison of two samples; `verdict` is drift when any column or the predictions did."""

    verdict: str
    level: float
    reference_rows: int
    rows: int
    columns: tuple[ColumnDrift, ...]
    predictions: ColumnDrift

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of what drifted: columns in their order, then `predictions`."""
        return tuple(
            result.column for result in (*self.columns, self.predictions) if result.verdict == DRIFT
        )

    def to_json(self) -> dict[str, Any]:
        """The comparison as plain values for JSON."""
        return {**asdict(self), "columns": [asdict(column) for column in self.columns]}


def summarise(features: pd.DataFrame, log_odds: ArrayLike) -> dict[str, Any]:
    """Summarise a sample so that later ones can be compared with it.

    Args:
        features: one row per client; numeric columns are floats with NaN for missing, all others
            categories as text with "" for blank.
        log_odds: array of shape (n_rows,), the model's prediction for each row.

    Returns:
        JSON-able: `rows`, per numeric column `edges` and `counts` of the bins and `missing`, per
        categorical column `levels` with their counts, `rest` and `blank`, and `log_odds` binned.
    """
    numeric, categorical = {}, {}
    for name in map(str, features.columns):
        if pd.api.types.is_numeric_dtype(features[name]):
            numeric[name] = _summarise_numbers(features[name].to_numpy(np.float64))
        else:
            categorical[name] = _summarise_categories(features[name])
    return {
        "rows": len(features),
        "numeric": numeric,
        "categorical": categorical,
        "log_odds": _summarise_numbers(np.asarray(log_odds, dtype=np.float64)),
    }


def compare(
    reference: Mapping[str, Any],
    features: pd.DataFrame,
    log_odds: ArrayLike,
    level: float,
    minimum_rows: int,
) -> Drift:
    """Compare rows with a reference made by `summarise`.

    The predictions join the columns in one Holm family, so that under no drift at all the chance
    of any alarm in the one overall verdict is at most `level`.

    Args:
        reference: from `summarise`.
        features: as for `summarise`, with at least the reference's columns.
        log_odds: array of shape (n_rows,), predictions of the same model as the reference's.
        level: significance level of the whole family of tests, a fraction 0-1.
        minimum_rows: with fewer rows (in the reference or now) there is no verdict.

    Raises:
        DataError: a column of the reference is absent.
    """
    absent = [n for n in (*reference["numeric"], *reference["categorical"]) if n not in features]
    if absent:
        raise DataError(f"columns of the drift reference are absent: {', '.join(absent)}")
    tables = [
        *((n, "numeric", *_number_counts(s, features[n].to_numpy(np.float64)))
          for n, s in reference["numeric"].items()),
        *((n, "categorical", *_category_counts(s, features[n]))
          for n, s in reference["categorical"].items()),
        (PREDICTIONS, PREDICTIONS, *_number_counts(
            reference["log_odds"], np.asarray(log_odds, dtype=np.float64))),
    ]  # fmt: skip
    enough = min(int(reference["rows"]), len(features)) >= minimum_rows
    results = _judge(tables, level) if enough else [_unjudged(*table) for table in tables]
    verdicts = {result.verdict for result in results}
    overall = next((v for v in (DRIFT, NO_DRIFT) if v in verdicts), INSUFFICIENT)
    return Drift(
        overall, level, int(reference["rows"]), len(features), tuple(results[:-1]), results[-1]
    )


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


def _summarise_numbers(values: NDArray[np.float64]) -> dict[str, Any]:
    present = values[~np.isnan(values)]
    edges = _edges(present)
    return {
        "edges": edges.tolist(),
        "counts": _bin(edges, present).tolist(),
        "missing": int(len(values) - len(present)),
    }


def _edges(present: NDArray[np.float64]) -> NDArray[np.float64]:
    """Upper edges of all bins but the last, from quantiles.

    A value that holds a whole bin's share or more (zeros, often) gets a bin to itself, or a move
    away from it to one side would stay unseen.
    """
    if not len(present):
        return np.array([])
    quantiles = np.quantile(present, np.linspace(0, 1, BINS + 1), method="inverted_cdf")
    values, repeats = np.unique(quantiles, return_counts=True)
    heavy = values[repeats > 1]
    edges = np.union1d(np.setdiff1d(values, [present.min(), present.max()]), heavy)
    return np.union1d(edges, np.nextafter(heavy, -np.inf))


def _bin(edges: NDArray[np.float64], present: NDArray[np.float64]) -> Counts:
    """Rows in each of the bins (-inf, e1], (e1, e2], ..., (en, inf)."""
    return np.bincount(np.searchsorted(edges, present), minlength=len(edges) + 1)


def _summarise_categories(column: pd.Series[Any]) -> dict[str, Any]:
    sizes = column.value_counts()
    blank = int(sizes.pop("")) if "" in sizes.index else 0
    # By size, then name: equally frequent levels must not stand in the order of the rows.
    frequent = sorted(((str(level), int(n)) for level, n in sizes.items()), key=_by_size)[:LEVELS]
    levels = dict(frequent)
    return {"levels": levels, "rest": int(sizes.sum()) - sum(levels.values()), "blank": blank}


def _by_size(level: tuple[str, int]) -> tuple[int, str]:
    return -level[1], level[0]


def _number_counts(
    summary: Mapping[str, Any], values: NDArray[np.float64]
) -> tuple[Counts, Counts]:
    """Counts before and now: the bins, then missing."""
    present = values[~np.isnan(values)]
    bins = _bin(np.asarray(summary["edges"], dtype=np.float64), present)
    missing = len(values) - len(present)
    return np.array([*summary["counts"], summary["missing"]]), np.array([*bins, missing])


def _category_counts(summary: Mapping[str, Any], column: pd.Series[Any]) -> tuple[Counts, Counts]:
    """Counts before and now: the frequent levels, the rest, then blank."""
    sizes = column.value_counts()
    known = [int(sizes.get(level, 0)) for level in summary["levels"]]
    blank = int(sizes.get("", 0))
    rest = len(column) - sum(known) - blank
    before = [*summary["levels"].values(), summary["rest"], summary["blank"]]
    return np.array(before), np.array([*known, rest, blank])


def _unjudged(column: str, kind: str, before: Counts, now: Counts) -> ColumnDrift:
    return ColumnDrift(column, kind, INSUFFICIENT, _last_share(before), _last_share(now))


def _last_share(counts: Counts) -> float:
    total = int(counts.sum())
    return float(counts[-1] / total) if total else 0.0


def _judge(tables: Sequence[tuple[str, str, Counts, Counts]], level: float) -> list[ColumnDrift]:
    """Test every table and decide over all of them together."""
    tests = [_test(before, now) for _, _, before, now in tables]
    results = []
    for table, test, adjusted in zip(tables, tests, holm([t.p for t in tests]), strict=True):
        column, kind, before, now = table
        drifted = adjusted <= level and test.psi >= PSI_FLOOR
        results.append(
            ColumnDrift(
                column=column,
                kind=kind,
                verdict=DRIFT if drifted else NO_DRIFT,
                missing_before=_last_share(before),
                missing_now=_last_share(now),
                test=test.name,
                statistic=test.statistic,
                degrees_of_freedom=test.degrees_of_freedom,
                p=test.p,
                adjusted_p=adjusted,
                psi=test.psi,
            )
        )
    return results


@dataclass(frozen=True)
class _Test:
    name: str
    statistic: float
    degrees_of_freedom: int
    p: float
    psi: float


def _test(before: Counts, now: Counts) -> _Test:
    """Test whether two rows of counts come of one distribution over their bins."""
    table = np.array([before, now], dtype=np.int64)
    table = table[:, table.sum(axis=0) > 0]
    psi = population_stability_index(table[0], table[1])
    degrees = table.shape[1] - 1
    if degrees == 0:
        return _Test("none (one value only)", 0.0, 0, 1.0, psi)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    statistic = float(np.sum((table - expected) ** 2 / expected))
    if expected.min() >= SMALLEST_EXPECTED:
        return _Test(
            "chi-square", statistic, degrees, float(stats.chi2.sf(statistic, degrees)), psi
        )
    return _Test("chi-square, simulated", statistic, degrees, _simulated_p(table, statistic), psi)


def _simulated_p(table: Counts, statistic: float) -> float:
    """Share of random tables with the same margins that lie at least as far from expectation.

    Valid for any counts, however small (Davison and Hinkley 1997, section 4.3), where merging
    rare bins would hide a level or a missingness that is new.
    """
    smaller = int(table.sum(axis=1).argmin())
    totals, size = table.sum(axis=0), int(table[smaller].sum())
    draw = np.random.default_rng(SEED).multivariate_hypergeometric
    tables = draw(totals, size, size=SIMULATIONS, method="marginals")
    expected = totals * (size / totals.sum())
    # Given the margins, one row's squared deviations decide the other's: a factor makes the sum.
    factor = totals.sum() / (totals.sum() - size)
    simulated = np.sum((tables - expected) ** 2 / expected, axis=1) * factor
    return float((1 + np.sum(simulated >= statistic * (1 - 1e-9))) / (1 + SIMULATIONS))
