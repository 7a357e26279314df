"""How predictions fare over all thresholds: the numbers behind the curves of the report.

Everything is read off one table: at each distinct probability, how many clients who left and how
many who stayed stand at or above it. Curves are thinned, so that two million rows draw as fast as
two hundred.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attrition.model.metrics import Z95, Minimum, undefined_reason

Floats = NDArray[np.float64]

CURVE_POINTS = 400
CALIBRATION_BINS = 10
ROWS_IN_A_BIN = 10  # fewer rows make fewer bins, in the end one
HISTOGRAM_BINS = 40


@dataclass(frozen=True)
class Ladder:
    """Counts at each distinct probability, highest first: arrays of shape (n_thresholds,).

    Attributes:
        thresholds: the probabilities.
        alarms: clients at or above it.
        found: those of them who left.
        rows, leavers: of all, at least one leaver and one who stayed.
    """

    thresholds: Floats
    alarms: Floats
    found: Floats
    rows: int
    leavers: int

    @property
    def base_rate(self) -> float:
        """Share of all clients who left, a fraction 0-1."""
        return self.leavers / self.rows

    def rung(self, threshold: float) -> int | None:
        """Position of the lowest probability at or above a threshold; None if none is."""
        count = int(np.sum(self.thresholds >= threshold))
        return count - 1 if count else None


@dataclass(frozen=True)
class Curve:
    """A curve to draw: arrays of shape (n_points,), at most some CURVE_POINTS."""

    x: Floats
    y: Floats


@dataclass(frozen=True)
class CalibrationBins:
    """Clients of similar probability, lowest first: arrays of shape (n_bins,).

    Attributes:
        rows: number of clients.
        predicted: mean probability, a fraction 0-1.
        observed: share who left, a fraction 0-1.
        low, high: its 95 % interval (Wilson's).
    """

    rows: NDArray[np.int64]
    predicted: Floats
    observed: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Histogram:
    """Probabilities by class: `edges` of shape (n_bins + 1,), shares of each class's clients."""

    edges: Floats
    stayed: Floats
    left: Floats


def cannot_be_judged(labels: ArrayLike) -> str | None:
    """Why no curve can be drawn of these labels (no rows, or one label only); None if it can."""
    truth = np.asarray(labels)
    if not len(truth):
        return "there are no labelled rows"
    return undefined_reason(len(truth), int(truth.sum()), Minimum(1, 1))


def ladder(labels: ArrayLike, probabilities: ArrayLike) -> Ladder:
    """Count leavers and alarms at every threshold.

    Args:
        labels: array of shape (n_rows,), 1 left, 0 stayed, at least one of each.
        probabilities: array of shape (n_rows,), of leaving, fractions 0-1.
    """
    from sklearn.metrics import confusion_matrix_at_thresholds

    truth = np.asarray(labels).astype(np.int8)
    _, wrong, _, found, thresholds = confusion_matrix_at_thresholds(truth, probabilities)
    return Ladder(thresholds, wrong + found, found, len(truth), int(truth.sum()))


def roc(rungs: Ladder) -> Curve:
    """Share of those who stayed that are called (x) against share of leavers found (y)."""
    stayed = rungs.rows - rungs.leavers
    x, y = (rungs.alarms - rungs.found) / stayed, rungs.found / rungs.leavers
    return _thinned(np.concatenate([[0.0], x]), np.concatenate([[0.0], y]))


def roc_area(rungs: Ladder) -> float:
    """Area under the ROC curve: the chance that a leaver stands above one who stayed."""
    stayed = rungs.rows - rungs.leavers
    x = np.concatenate([[0.0], (rungs.alarms - rungs.found) / stayed])
    return float(np.trapezoid(np.concatenate([[0.0], rungs.found / rungs.leavers]), x))


def precision_recall(rungs: Ladder) -> Curve:
    """Share of leavers found (x) against share of alarms that are right (y)."""
    return _thinned(rungs.found / rungs.leavers, rungs.found / rungs.alarms)


def average_precision(rungs: Ladder) -> float:
    """Mean of the precision, weighted by the recall that each step down adds."""
    steps = np.diff(rungs.found / rungs.leavers, prepend=0.0)
    return float(steps @ (rungs.found / rungs.alarms))


def gain(rungs: Ladder) -> Curve:
    """Share of clients called, most likely leavers first (x), against share of leavers found (y).

    Clients of equal probability are called in any order: between them the curve is straight.
    """
    x, y = rungs.alarms / rungs.rows, rungs.found / rungs.leavers
    return _thinned(np.concatenate([[0.0], x]), np.concatenate([[0.0], y]))


def gain_at(rungs: Ladder, share: float) -> float:
    """Share of the leavers found when that share of the clients is called, fractions 0-1."""
    x = np.concatenate([[0.0], rungs.alarms / rungs.rows])
    return float(np.interp(share, x, np.concatenate([[0.0], rungs.found / rungs.leavers])))


def lift(rungs: Ladder) -> Curve:
    """Share of clients called (x) against precision as a multiple of the base rate (y)."""
    x = rungs.alarms / rungs.rows
    return _thinned(x, rungs.found / rungs.alarms / rungs.base_rate)


def calibration(labels: ArrayLike, probabilities: ArrayLike) -> CalibrationBins:
    """Compare predicted with observed shares in bins of about equally many clients.

    Equal probabilities always share a bin.

    Args:
        labels: array of shape (n_rows,), 1 left, 0 stayed, at least one row.
        probabilities: array of shape (n_rows,), fractions 0-1.
    """
    truth = np.asarray(labels, dtype=np.float64)
    chance = np.asarray(probabilities, dtype=np.float64)
    count = min(CALIBRATION_BINS, max(len(chance) // ROWS_IN_A_BIN, 1))
    cuts = np.arange(1, count + 1) / count
    tops = np.unique(np.quantile(chance, cuts, method="inverted_cdf"))
    bins = np.searchsorted(tops, chance)
    rows = np.bincount(bins, minlength=len(tops))
    left = np.bincount(bins, truth, minlength=len(tops))
    low, high = wilson_interval(left, rows)
    predicted = np.bincount(bins, chance, minlength=len(tops)) / rows
    return CalibrationBins(rows, predicted, left / rows, low, high)


def wilson_interval(hits: ArrayLike, rows: ArrayLike) -> tuple[Floats, Floats]:
    """95 % interval of a share (Wilson 1927): within 0-1, and sound for few rows too.

    Args:
        hits: array of shape (n,), so many of the rows.
        rows: array of shape (n,), at least 1 each.
    """
    total = np.asarray(rows, dtype=np.float64)
    share, square = np.asarray(hits, dtype=np.float64) / total, Z95**2
    centre = (share + square / (2 * total)) / (1 + square / total)
    reach = Z95 * np.sqrt(share * (1 - share) / total + square / (4 * total**2))
    reach = reach / (1 + square / total)
    return np.clip(centre - reach, 0.0, share), np.clip(centre + reach, share, 1.0)


def score_histogram(labels: ArrayLike, probabilities: ArrayLike) -> Histogram:
    """How the probabilities of those who stayed and of those who left are spread over 0-1."""
    truth = np.asarray(labels).astype(bool)
    chance = np.asarray(probabilities, dtype=np.float64)
    edges = np.linspace(0.0, 1.0, HISTOGRAM_BINS + 1)
    stayed, left = (
        np.histogram(chance[mine], edges)[0] / max(int(mine.sum()), 1) for mine in (~truth, truth)
    )
    return Histogram(edges, stayed, left)


def _thinned(x: Floats, y: Floats) -> Curve:
    """Leave out points that lie closer on the curve than it can be seen.

    Lengths are measured in shares of each axis's range, so that no axis outweighs the other.
    """
    if len(x) <= CURVE_POINTS:
        return Curve(x, y)
    walked = np.abs(np.diff(x)) / (np.ptp(x) or 1.0) + np.abs(np.diff(y)) / (np.ptp(y) or 1.0)
    distance = np.concatenate([[0.0], np.cumsum(walked)])
    marks = np.floor(distance / distance[-1] * (CURVE_POINTS - 2))
    kept = np.union1d(np.flatnonzero(np.diff(marks, prepend=-1.0)), [len(x) - 1])
    return Curve(x[kept], y[kept])
