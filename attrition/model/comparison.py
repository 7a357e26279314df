"""Champion against challenger on the same rows.

Two models are compared by the log loss of each row, which tells sooner than F1 which is better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attrition.model.metrics import (
    Minimum,
    f1_of,
    log_losses,
    why_undefined,
)
from attrition.model.uncertainty import (
    Z95,
    auc_influence,
    auc_interval,
    auc_standard_error,
    error_by_clients,
    mean_standard_error,
    percentile_interval,
    repeating_clients,
    resample,
)

# Taken for smaller probabilities: no row then weighs more than 6.9 nats, and who rightly gives a
# smaller probability loses at most 0.001 nats by it, less than what decides.
SMALLEST_COMPARED = 1e-3


@dataclass(frozen=True)
class Comparison:
    """Champion against challenger on the same rows.

    The log loss decides; F1 and its bootstrap interval stand beside for people.

    Attributes:
        champion_log_loss, challenger_log_loss: nats per row.
        gain: how much lower the challenger's log loss is.
        gain_error: standard error of `gain`, from the paired rows; rows of one client count as one.
        confidence: that the challenger's log loss is lower; of one look alone.
        challenger_auc_interval: 95 %, of the challenger's area under the ROC curve.
        auc_gain_interval: 95 %, of how much larger it is than the champion's.
    """

    rows: int
    positives: int
    undefined: str | None = None
    champion_f1: float | None = None
    challenger_f1: float | None = None
    difference: float | None = None
    difference_interval: tuple[float, float] | None = None
    champion_log_loss: float | None = None
    challenger_log_loss: float | None = None
    gain: float | None = None
    gain_error: float | None = None
    confidence: float | None = None
    challenger_auc_interval: tuple[float, float] | None = None
    auc_gain_interval: tuple[float, float] | None = None

    @property
    def gain_interval(self) -> tuple[float, float] | None:
        """The gain's 95 % interval."""
        if self.gain is None or self.gain_error is None:
            return None
        return self.gain - Z95 * self.gain_error, self.gain + Z95 * self.gain_error

    def gain_interval_beyond(self, other: Comparison) -> tuple[float, float]:
        """95 % interval of how much larger the gain is than on other rows; both must be known."""
        assert self.gain is not None and self.gain_error is not None
        assert other.gain is not None and other.gain_error is not None
        larger, error = self.gain - other.gain, math.hypot(self.gain_error, other.gain_error)
        return larger - Z95 * error, larger + Z95 * error

    def confidence_beyond(self, gain: float) -> float | None:
        """How sure one look is that the challenger's log loss is lower by more than `gain`."""
        if self.gain is None or self.gain_error is None:
            return None
        if self.gain_error == 0:
            return float(self.gain > gain)
        return NormalDist(gain, self.gain_error).cdf(self.gain)


@dataclass(frozen=True)
class Predictions:
    """What one model says of some rows: array of shape (n_rows,) and a threshold, fractions 0-1."""

    probabilities: NDArray[np.float64]
    threshold: float

    @property
    def labels(self) -> NDArray[np.int64]:
        """1 where the model predicts the positive label."""
        return (self.probabilities >= self.threshold).astype(np.int64)

    def losses(self, truth: NDArray[np.int64]) -> NDArray[np.float64]:
        """Log loss of each row, in nats, to compare it with another model's."""
        return log_losses(truth, self.probabilities, SMALLEST_COMPARED)


def compare(
    labels: ArrayLike,
    champion: Predictions,
    challenger: Predictions,
    minimum: Minimum,
    *,
    seed: int,
    clients: ArrayLike | None = None,
) -> Comparison:
    """Compare two models on the same rows, row by row.

    Args:
        labels: array of shape (n_rows,), 1 positive, 0 negative.
        champion: the deployed model.
        challenger: the candidate.
        minimum, clients: as for `score`.
        seed: of the bootstrap of F1.
    """
    truth = np.asarray(labels).astype(np.int64)
    codes = repeating_clients(clients)
    rows, positives = len(truth), int(truth.sum())
    reason = why_undefined(truth, codes, minimum)
    if codes is not None and not codes.any():
        reason = reason or f"all {rows:,} labelled rows are of one client"
    if reason:
        return Comparison(rows, positives, reason)
    kinds = 4 * truth + 2 * champion.labels + challenger.labels
    champion_f1, challenger_f1 = _paired_f1(np.bincount(kinds, minlength=8)[np.newaxis])
    differences = np.subtract(*_paired_f1(resample(kinds, 8, codes, seed))[::-1])
    before, after = champion.losses(truth), challenger.losses(truth)
    compared = Comparison(
        rows=rows,
        positives=positives,
        champion_f1=float(champion_f1[0]),
        challenger_f1=float(challenger_f1[0]),
        difference=float(challenger_f1[0] - champion_f1[0]),
        difference_interval=percentile_interval(differences),
        champion_log_loss=float(before.mean()),
        challenger_log_loss=float(after.mean()),
        gain=float((before - after).mean()),
        gain_error=mean_standard_error(before - after, codes),
        challenger_auc_interval=_auc_interval_of(truth, challenger.probabilities, codes),
        auc_gain_interval=_auc_gain_interval(truth, champion, challenger, codes),
    )
    return replace(compared, confidence=compared.confidence_beyond(0.0))


def _auc_interval_of(
    truth: NDArray[np.int64], probabilities: NDArray[np.float64], codes: NDArray[np.intp] | None
) -> tuple[float, float]:
    from sklearn import metrics

    positives = int(truth.sum())
    auc = float(metrics.roc_auc_score(truth, probabilities))
    error = auc_standard_error(truth, probabilities, codes)
    return auc_interval(auc, error, positives, len(truth) - positives)


def _auc_gain_interval(
    truth: NDArray[np.int64],
    champion: Predictions,
    challenger: Predictions,
    codes: NDArray[np.intp] | None,
) -> tuple[float, float] | None:
    from sklearn import metrics

    models = [challenger.probabilities, champion.probabilities]
    after, before = (float(metrics.roc_auc_score(truth, risks)) for risks in models)
    influence = np.subtract(*(auc_influence(truth == 1, risks) for risks in models))
    rows = np.arange(len(truth)) if codes is None else codes
    error = error_by_clients(influence, rows)
    if error is None:
        return None
    return after - before - Z95 * error, after - before + Z95 * error


def _paired_f1(counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """F1 of both models from counts of shape (n, 8) by (label, champion, challenger)."""
    table = counts.reshape(-1, 2, 2, 2)
    champion, challenger = table.sum(axis=3), table.sum(axis=2)  # (n, label, prediction)
    return (
        f1_of(champion[:, 0, 1], champion[:, 1, 0], champion[:, 1, 1]),
        f1_of(challenger[:, 0, 1], challenger[:, 1, 0], challenger[:, 1, 1]),
    )
