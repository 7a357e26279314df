"""How good predictions are over all thresholds: the numbers behind the curves of the report.

Everything comes from one table: for each distinct probability, how many clients who left and how
many who stayed are at or above it. Curves are thinned, so that two million rows are drawn as fast
as two hundred.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attrition.model.metrics import Minimum, undefined_reason
from attrition.model.uncertainty import Z95

Floats = NDArray[np.float64]

CURVE_POINTS = 400
CALIBRATION_BINS = 10
ROWS_IN_A_BIN = 10  # fewer rows make fewer bins, in the end one
HISTOGRAM_BINS = 40


@dataclass(frozen=True)
class ThresholdCounts:
    """Counts at each distinct probability, highest first: arrays of shape (n_thresholds,).

    Attributes:
        thresholds: the probabilities.
        alarms: clients at or above the threshold.
        hits: clients at or above it who left.
        rows, leavers: numbers of all clients and of leavers, with at least one of each label.
    """

    thresholds: Floats
    alarms: Floats
    hits: Floats
    rows: int
    leavers: int

    @property
    def base_rate(self) -> float:
        """Share of all clients who left, a fraction 0-1."""
        return self.leavers / self.rows

    def from_share(self, share: float) -> ThresholdCounts:
        """Only the thresholds at which a share of the clients (a fraction 0-1) or more is called:
        of fewer clients precision and lift are chance.
        """
        kept = self.alarms >= share * self.rows
        return replace(
            self,
            thresholds=self.thresholds[kept],
            alarms=self.alarms[kept],
            hits=self.hits[kept],
        )

    def position(self, threshold: float) -> int | None:
        """Position of the lowest probability at or above a threshold; None without one."""
        count = int(np.sum(self.thresholds >= threshold))
        return count - 1 if count else None


@dataclass(frozen=True)
class Curve:
    """A curve to draw: arrays of shape (n_points,), at most about CURVE_POINTS."""

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
    """Shares of each class's clients by probability; `edges` has shape (n_bins + 1,)."""

    edges: Floats
    stayed: Floats
    left: Floats


def no_curve_reason(labels: ArrayLike) -> str | None:
    """Why these labels allow no curve (no rows, or only one label); None if they do."""
    truth = np.asarray(labels)
    if not len(truth):
        return "there are no labelled rows"
    return undefined_reason(len(truth), int(truth.sum()), Minimum(1, 1))


def count_at_thresholds(labels: ArrayLike, probabilities: ArrayLike) -> ThresholdCounts:
    """Count leavers and alarms at every threshold.

    Args:
        labels: array of shape (n_rows,), 1 left, 0 stayed, at least one of each.
        probabilities: array of shape (n_rows,), of leaving, fractions 0-1.
    """
    truth, chances = np.asarray(labels, dtype=np.float64), np.asarray(probabilities)
    order = np.argsort(-chances, kind="stable")
    falling = chances[order]
    last = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)  # of equal ones
    hits = truth[order].cumsum()[last]
    return ThresholdCounts(falling[last], last + 1.0, hits, len(truth), int(truth.sum()))


def roc(counts: ThresholdCounts) -> Curve:
    """False positive rate (x) against share of leavers found (y)."""
    stayed = counts.rows - counts.leavers
    x, y = (counts.alarms - counts.hits) / stayed, counts.hits / counts.leavers
    return _thinned(np.concatenate([[0.0], x]), np.concatenate([[0.0], y]))


def roc_area(counts: ThresholdCounts) -> float:
    """Area under the ROC curve: the probability that a leaver ranks above one who stayed."""
    stayed = counts.rows - counts.leavers
    x = np.concatenate([[0.0], (counts.alarms - counts.hits) / stayed])
    return float(np.trapezoid(np.concatenate([[0.0], counts.hits / counts.leavers]), x))


def precision_recall(counts: ThresholdCounts) -> Curve:
    """Share of leavers found (x) against share of alarms that are right (y)."""
    return _thinned(counts.hits / counts.leavers, counts.hits / counts.alarms)


def average_precision(counts: ThresholdCounts) -> float:
    """Mean of the precision, weighted by the recall that each lower threshold adds."""
    steps = np.diff(counts.hits / counts.leavers, prepend=0.0)
    return float(steps @ (counts.hits / counts.alarms))


def gain(counts: ThresholdCounts) -> Curve:
    """Share of clients called, most likely leavers first (x), against share of leavers found (y).

    Clients of equal probability are called in any order: between them the curve is straight.
    """
    x, y = counts.alarms / counts.rows, counts.hits / counts.leavers
    return _thinned(np.concatenate([[0.0], x]), np.concatenate([[0.0], y]))


def gain_at(counts: ThresholdCounts, share: float) -> float:
    """Share of the leavers found when `share` of the clients is called, fractions 0-1."""
    x = np.concatenate([[0.0], counts.alarms / counts.rows])
    return float(np.interp(share, x, np.concatenate([[0.0], counts.hits / counts.leavers])))


def lift(counts: ThresholdCounts) -> Curve:
    """Share of clients called (x) against precision as a multiple of the base rate (y)."""
    x = counts.alarms / counts.rows
    return _thinned(x, counts.hits / counts.alarms / counts.base_rate)


def calibration(labels: ArrayLike, probabilities: ArrayLike) -> CalibrationBins:
    """Compare predicted with observed shares in bins of about equally many clients.

    Equal probabilities always share a bin.

    Args:
        labels: array of shape (n_rows,), 1 left, 0 stayed, at least one row.
        probabilities: array of shape (n_rows,), fractions 0-1.
    """
    truth = np.asarray(labels, dtype=np.float64)
    probability = np.asarray(probabilities, dtype=np.float64)
    count = min(CALIBRATION_BINS, max(len(probability) // ROWS_IN_A_BIN, 1))
    cuts = np.arange(1, count + 1) / count
    tops = np.unique(np.quantile(probability, cuts, method="inverted_cdf"))
    bins = np.searchsorted(tops, probability)
    rows = np.bincount(bins, minlength=len(tops))
    left = np.bincount(bins, truth, minlength=len(tops))
    low, high = wilson_interval(left, rows)
    predicted = np.bincount(bins, probability, minlength=len(tops)) / rows
    return CalibrationBins(rows, predicted, left / rows, low, high)


def wilson_interval(hits: ArrayLike, rows: ArrayLike) -> tuple[Floats, Floats]:
    """95 % interval of a share (Wilson 1927): within 0-1, and valid for few rows, too.

    Args:
        hits: array of shape (n,), how many of the rows count.
        rows: array of shape (n,), at least 1 each.
    """
    total = np.asarray(rows, dtype=np.float64)
    share, square = np.asarray(hits, dtype=np.float64) / total, Z95**2
    centre = (share + square / (2 * total)) / (1 + square / total)
    half_width = Z95 * np.sqrt(share * (1 - share) / total + square / (4 * total**2))
    half_width = half_width / (1 + square / total)
    return np.clip(centre - half_width, 0.0, share), np.clip(centre + half_width, share, 1.0)


def score_histogram(labels: ArrayLike, probabilities: ArrayLike) -> Histogram:
    """The distribution over 0-1 of the probabilities of those who stayed and who left."""
    truth = np.asarray(labels).astype(bool)
    risk = np.asarray(probabilities, dtype=np.float64)
    edges = np.linspace(0.0, 1.0, HISTOGRAM_BINS + 1)
    stayed, left = (
        np.histogram(risk[mine], edges)[0] / max(int(mine.sum()), 1) for mine in (~truth, truth)
    )
    return Histogram(edges, stayed, left)


def _thinned(x: Floats, y: Floats) -> Curve:
    """Leave out points that are too close together to be seen.

    Distances are measured as shares of each axis's range, so that both axes count equally.
    """
    if len(x) <= CURVE_POINTS:
        return Curve(x, y)
    steps = np.abs(np.diff(x)) / (np.ptp(x) or 1.0) + np.abs(np.diff(y)) / (np.ptp(y) or 1.0)
    distance = np.concatenate([[0.0], np.cumsum(steps)])
    marks = np.floor(distance / distance[-1] * (CURVE_POINTS - 2))
    kept = np.union1d(np.flatnonzero(np.diff(marks, prepend=-1.0)), [len(x) - 1])
    return Curve(x[kept], y[kept])
