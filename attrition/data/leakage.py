"""Columns that leak the label: how well each column alone predicts who left.

A column that is filled in after a client has left (a reason for leaving, a final bill, another
model's score) alone ranks the clients nearly perfectly, and is not available when predictions are
made. Other columns do not: in seven public churn tables the best single column has an AUC of .88.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

# The largest AUC is 1: a column with .95 has nine tenths of what any model can add to chance.
SUSPICIOUS_AUC = 0.95
# ... and that must not be chance: the lower 97.5 % bound of its AUC is above this.
LEAST_LOWER_BOUND = 0.90
FOLDS = 5
MOST_BINS = 100
RARER_IN_A_BIN = 5  # rows of the rarer label, on average
# At most so many rows of each label are used: enough, however many there are.
MOST_ROWS = 25_000
_Z95 = 1.959964

Codes = NDArray[np.int64]


def single_column_power(table: pd.DataFrame, labels: ArrayLike) -> dict[str, float]:
    """How well each column alone ranks those who left above those who stayed.

    A row's score is the share of leavers among the other folds' rows with the same value or, for
    numbers, in the same bin (bins have about equally many rows); so a text that no other row has
    predicts nothing. A missing value counts as a value.

    Args:
        table: one row per client. Columns of numbers are binned; all others are categories, with
            values unchanged. Missing is NaN, None or "".
        labels: array of shape (n_rows,), 1 left, 0 stayed.

    Returns:
        Column -> area under the ROC curve, 0.5 for no better than chance; 0.5 for all columns with
        fewer than two rows of a label.
    """
    truth = np.asarray(labels).astype(np.int64)
    of_each = [np.flatnonzero(truth == label) for label in (0, 1)]
    folds = min(FOLDS, *map(len, of_each))
    if folds < 2:
        return {str(name): 0.5 for name in table.columns}
    chosen = [_spread(rows) for rows in of_each]
    rows = np.concatenate(chosen)
    # The rows of each label are dealt to the folds in turn, so that every fold has both labels.
    fold = np.concatenate([np.arange(len(mine)) % folds for mine in chosen])
    rarer = min(map(len, chosen))
    size = max(len(rows) / MOST_BINS, RARER_IN_A_BIN * len(rows) / rarer)
    return {
        str(name): _cross_validated_auc(
            _codes(table[name].iloc[rows], size), truth[rows], fold, folds
        )
        for name in table.columns
    }


def is_suspicious(power: float, rarer: int) -> bool:
    """Whether a column alone predicts suspiciously well, and not by chance.

    Args:
        power: from `single_column_power`.
        rarer: number of rows of the rarer label; with fewer than 35 no column is suspicious.
    """
    # The score test, whose inversion is Wilson's interval (1927): valid even for an AUC of 1.
    above = (power - LEAST_LOWER_BOUND) * sqrt(rarer)
    spread = sqrt(LEAST_LOWER_BOUND * (1 - LEAST_LOWER_BOUND))
    return power >= SUSPICIOUS_AUC and above > _Z95 * spread


def suspicious_columns(table: pd.DataFrame, labels: ArrayLike) -> dict[str, float]:
    """The columns that alone predict suspiciously well, with their AUC, the strongest first."""
    positives = int(np.asarray(labels).astype(np.int64).sum())
    rarer = min(positives, len(table) - positives)
    power = single_column_power(table, labels)
    names = [name for name in power if is_suspicious(power[name], rarer)]
    return {name: power[name] for name in sorted(names, key=lambda name: -power[name])}


def _spread(rows: Codes) -> Codes:
    """All positions, or MOST_ROWS of them, evenly spread."""
    if len(rows) <= MOST_ROWS:
        return rows
    return rows[np.linspace(0, len(rows) - 1, MOST_ROWS).astype(np.int64)]


def _codes(values: pd.Series, size: float) -> Codes:
    """A code for each value, or for each bin of about `size` numbers; missing has its own code."""
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        distinct, inverse, counts = np.unique(numbers, return_inverse=True, return_counts=True)
        bins = 2 * ((np.cumsum(counts) - counts) // size)  # by the rows below
        bins[(counts >= size) | np.isnan(distinct)] += 1  # frequent or missing: a bin of its own
        return bins.astype(np.int64)[inverse]
    codes, _ = pd.factorize(values.where(values.notna(), "").astype(str))
    return codes.astype(np.int64)


def _cross_validated_auc(codes: Codes, truth: Codes, fold: Codes, folds: int) -> float:
    """Mean area under the ROC curve over the folds."""
    from scipy.stats import rankdata

    kinds, base_rate = int(codes.max()) + 1, truth.mean()
    rows, left = np.bincount(codes, minlength=kinds), np.bincount(codes, truth, minlength=kinds)
    areas = []
    for number in range(folds):
        mine = fold == number
        others = rows - np.bincount(codes[mine], minlength=kinds)
        others_left = left - np.bincount(codes[mine], truth[mine], minlength=kinds)
        # A value that no other fold has gets the base rate; a single row moves it halfway.
        shares = (others_left + base_rate) / (others + 1)
        gone = truth[mine] == 1
        ranks, leavers = rankdata(shares[codes[mine]]), int(gone.sum())
        won = ranks[gone].sum() - leavers * (leavers + 1) / 2  # Mann and Whitney 1947
        areas.append(won / (leavers * (len(gone) - leavers)))
    return float(np.mean(areas))
