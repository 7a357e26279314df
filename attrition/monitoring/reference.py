"""What is kept of a sample so that later rows can be compared: bins, slices, levels, no rows.

Training summarises the rows it learnt from; the summary travels with the release, and later rows
are counted into the same bins (`attrition/monitoring/drift.py` then judges).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import pandas as pd

BINS = 10
LEVELS = 30  # categories counted one by one; the rest together

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

# Where the sorted values are cut into slices, as shares of the rows: at each percent, and ten and
# a hundred times finer at the ends, for in a long tail a few rows weigh much.
_TAIL = np.concatenate([np.arange(1, 10) * 1e-4, np.arange(1, 10) * 1e-3])
CUTS: Floats = np.concatenate([[0.0], _TAIL, np.arange(1, 100) / 100, 1 - _TAIL[::-1], [1.0]])


def summarise(features: pd.DataFrame, log_odds: ArrayLike) -> dict[str, Any]:
    """Summarise a sample so that later ones can be compared with it.

    Args:
        features: one row per client; numeric columns are floats with NaN for missing, all others
            categories as text with "" for blank.
        log_odds: array of shape (n_rows,), the model's prediction for each row.

    Returns:
        JSON-able: `rows`, per numeric column `edges` and `counts` of the bins, `missing`, `slices`
        (see `slice_means`), `median` and `deviation` (standard; these three are None without any
        number), per categorical column `levels` with their counts, `rest` and `blank`, and
        `log_odds` as a numeric column.
    """
    from pandas.api.types import is_numeric_dtype

    numeric, categorical = {}, {}
    for name in map(str, features.columns):
        if is_numeric_dtype(features[name]):
            numeric[name] = _summarise_numbers(features[name].to_numpy(np.float64))
        else:
            categorical[name] = _summarise_categories(features[name])
    return {
        "rows": len(features),
        "numeric": numeric,
        "categorical": categorical,
        "log_odds": _summarise_numbers(np.asarray(log_odds, dtype=np.float64)),
    }


def slice_means(values: ArrayLike) -> Floats:
    """Means of the sorted values in the slices between `CUTS`, rows split if need be.

    The Wasserstein distance of two samples is the mean distance between their quantile functions
    (Vallender 1974); that between their slice means, weighted by the slices' widths, is the same
    but for slices in which the two functions cross: never more, and hardly less.

    Args:
        values: array of shape (n_rows,), at least one, without NaN.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    # Within [-1, 1] around the median, so that neither large numbers nor many lose digits.
    size = max(-ordered[0], ordered[-1]) or 1.0
    middle = ordered[len(ordered) // 2] / size
    sums = np.concatenate([[0.0], np.cumsum(ordered / size - middle)])
    cuts = np.interp(CUTS * len(ordered), np.arange(len(ordered) + 1), sums)
    means: Floats = (np.diff(cuts) / (np.diff(CUTS) * len(ordered)) + middle) * size
    return means


def _summarise_numbers(values: Floats) -> dict[str, Any]:
    present = np.sort(values[~np.isnan(values)])
    edges = _edges(present)
    summary = {
        "edges": edges.tolist(),
        "counts": _bin(edges, present).tolist(),
        "missing": int(len(values) - len(present)),
    }
    if not len(present):
        return {**summary, "slices": None, "median": None, "deviation": None}
    size = max(-present[0], present[-1]) or 1.0
    return {
        **summary,
        "slices": slice_means(present).tolist(),
        "median": median(present),
        "deviation": float(np.std(present / size) * size),
    }


def median(values: Floats) -> float:
    """The middle value, the lower one of two: always a value that occurs."""
    return float(np.quantile(values, 0.5, method="inverted_cdf"))


def _edges(present: Floats) -> Floats:
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


def _bin(edges: Floats, present: Floats) -> Counts:
    """Rows in each of the bins (-inf, e1], (e1, e2], ..., (en, inf)."""
    return np.bincount(np.searchsorted(edges, present), minlength=len(edges) + 1)


def _summarise_categories(column: pd.Series[Any]) -> dict[str, Any]:
    sizes = column.value_counts()
    blank = int(sizes.pop("")) if "" in sizes.index else 0
    # By size, then name: equally frequent levels must not stand in the order of the rows.
    frequent = sorted(sizes.items(), key=lambda level: (-level[1], str(level[0])))[:LEVELS]
    levels = {str(level): int(rows) for level, rows in frequent}
    return {"levels": levels, "rest": int(sizes.sum()) - sum(levels.values()), "blank": blank}


def number_counts(summary: Mapping[str, Any], values: Floats) -> tuple[Counts, Counts]:
    """Counts before and now: the bins, then missing."""
    present = values[~np.isnan(values)]
    bins = _bin(np.asarray(summary["edges"], dtype=np.float64), present)
    missing = len(values) - len(present)
    return np.array([*summary["counts"], summary["missing"]]), np.array([*bins, missing])


def category_counts(summary: Mapping[str, Any], column: pd.Series[Any]) -> tuple[Counts, Counts]:
    """Counts before and now: the frequent levels, the rest, then blank."""
    sizes = column.value_counts()
    known = [int(sizes.get(level, 0)) for level in summary["levels"]]
    blank = int(sizes.get("", 0))
    rest = len(column) - sum(known) - blank
    before = [*summary["levels"].values(), summary["rest"], summary["blank"]]
    return np.array(before), np.array([*known, rest, blank])
