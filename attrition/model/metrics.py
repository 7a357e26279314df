"""How good predictions are, and how certain that is: metrics, bootstrap intervals, comparisons.

Two models are compared by the log loss of each row, which tells sooner than F1 which is better.
F1 depends on a table of predictions only through the counts of its few kinds of rows (label and
prediction: four kinds; label and two models' predictions: eight). Resampling n rows with
replacement is therefore a multinomial draw of those counts: the same bootstrap (Efron 1979) at
the cost of a few numbers, however many rows there are.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 4000
INTERVAL_LEVEL = 0.95
CALIBRATION_BINS = 10
SMALLEST_PROBABILITY = 1e-9  # nearer to 0, one row would outweigh all others


@dataclass(frozen=True)
class Minimum:
    """The fewest labelled rows that allow a score: of both labels, and of the rarer one."""

    rows: int
    rarer_label: int


@dataclass(frozen=True)
class Score:
    """How well a model's predictions fit labelled rows; fractions 0-1 unless said otherwise.

    If there is no score, `undefined` says why and the metrics are None.
    """

    rows: int
    positives: int = 0  # not kept in the thinned record of an old run
    undefined: str | None = None
    f1: float | None = None
    f1_interval: tuple[float, float] | None = None  # 95 % bootstrap percentile interval
    precision: float | None = None
    recall: float | None = None
    roc_auc: float | None = None
    average_precision: float | None = None
    log_loss: float | None = None  # nats per row
    brier_score: float | None = None
    calibration_error: float | None = None
    base_rate: float | None = None
    mean_probability: float | None = None
    # Of roc_auc, calibration_error and mean_probability - base_rate (`calibration_gap`).
    standard_errors: dict[str, float | None] | None = None
    confusion: dict[str, int] | None = None  # rows: tn, fp, fn, tp

    def to_json(self) -> dict[str, Any]:
        """The score as plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Comparison:
    """Champion against challenger on the same rows.

    The log loss decides; F1 and its bootstrap interval stand beside for people.

    Attributes:
        champion_log_loss, challenger_log_loss: nats per row.
        gain: how much lower the challenger's log loss is.
        gain_error: standard error of `gain`, from the paired rows; rows of one client count as one.
        confidence: that the challenger's log loss is lower; of one look alone.
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


def score(
    labels: ArrayLike,
    probabilities: ArrayLike,
    threshold: float,
    minimum: Minimum,
    seed: int,
) -> Score:
    """Score probabilities against labels.

    Args:
        labels: array of shape (n_rows,), 1 positive, 0 negative.
        probabilities: array of shape (n_rows,), of the positive label, fractions 0-1.
        threshold: a probability of at least this predicts the positive label.
        minimum: with fewer rows the score is undefined.
        seed: of the bootstrap.

    Returns:
        The score; undefined with its reason if there are too few rows or only one label.
    """
    from sklearn import metrics

    truth = np.asarray(labels).astype(np.int8)
    probability = np.asarray(probabilities, dtype=np.float64)
    predicted = (probability >= threshold).astype(np.int8)
    rows, positives = len(truth), int(truth.sum())
    reason = undefined_reason(rows, positives, minimum)
    if reason:
        return Score(rows, positives, reason)
    counts = np.bincount(2 * truth + predicted, minlength=4)  # tn, fp, fn, tp
    tn, fp, fn, tp = (int(count) for count in counts)
    f1_resampled = f1_of(*_resample(counts, seed).T[1:])
    return Score(
        rows=rows,
        positives=positives,
        f1=float(f1_of(fp, fn, tp)),
        f1_interval=_interval(f1_resampled),
        precision=tp / (tp + fp) if tp + fp else 0.0,
        recall=tp / positives,
        roc_auc=float(metrics.roc_auc_score(truth, probability)),
        average_precision=float(metrics.average_precision_score(truth, probability)),
        log_loss=float(metrics.log_loss(truth, probability, labels=[0, 1])),
        brier_score=float(metrics.brier_score_loss(truth, probability)),
        calibration_error=calibration_error(truth, probability),
        base_rate=positives / rows,
        mean_probability=float(probability.mean()),
        standard_errors={
            "roc_auc": auc_standard_error(truth, probability),
            "calibration_error": _calibration_standard_error(truth, probability, seed),
            "calibration_gap": float(np.std(probability - truth) / np.sqrt(rows)),
        },
        confusion={"tn": tn, "fp": fp, "fn": fn, "tp": tp},
    )


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
        """Log loss of each row, in nats."""
        right = np.where(truth == 1, self.probabilities, 1 - self.probabilities)
        losses: NDArray[np.float64] = -np.log(np.clip(right, SMALLEST_PROBABILITY, None))
        return losses


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
        minimum: with fewer rows the comparison is undefined.
        seed: of the bootstrap of F1.
        clients: array of shape (n_rows,), the client of each row; None: every row has its own.
    """
    truth = np.asarray(labels).astype(np.int64)
    rows, positives = len(truth), int(truth.sum())
    reason = undefined_reason(rows, positives, minimum)
    if reason:
        return Comparison(rows, positives, reason)
    counts = np.bincount(4 * truth + 2 * champion.labels + challenger.labels, minlength=8)
    champion_f1, challenger_f1 = _paired_f1(counts[np.newaxis])
    differences = np.subtract(*_paired_f1(_resample(counts, seed))[::-1])
    before, after = champion.losses(truth), challenger.losses(truth)
    gain, error = float(np.mean(before - after)), _mean_error(before - after, clients)
    return Comparison(
        rows=rows,
        positives=positives,
        champion_f1=float(champion_f1[0]),
        challenger_f1=float(challenger_f1[0]),
        difference=float(challenger_f1[0] - champion_f1[0]),
        difference_interval=_interval(differences),
        champion_log_loss=float(before.mean()),
        challenger_log_loss=float(after.mean()),
        gain=gain,
        gain_error=error,
        confidence=NormalDist().cdf(gain / error) if error else float(gain > 0),
    )


def _mean_error(values: NDArray[np.float64], clients: ArrayLike | None) -> float:
    """Standard error of the mean of rows, of which those of one client depend on each other."""
    centred = values - values.mean()
    if clients is not None:
        _, client = np.unique(np.asarray(clients), return_inverse=True)
        centred = np.bincount(client, centred)
    groups = len(centred)
    return float(np.sqrt(centred @ centred * groups / max(groups - 1, 1)) / len(values))


def undefined_reason(rows: int, positives: int, minimum: Minimum) -> str | None:
    """Why these rows are too few for a score; None if they are enough."""
    rarer = min(positives, rows - positives)
    if rows < minimum.rows:
        return f"too few labelled rows: {rows}, and at least {minimum.rows} are needed"
    if rarer == 0:
        return f"all {rows:,} rows have the same label"
    if rarer < minimum.rarer_label:
        return (
            f"only {rarer} rows of the rarer label, and at least {minimum.rarer_label} are needed"
        )
    return None


def f1_of(fp: ArrayLike, fn: ArrayLike, tp: ArrayLike) -> NDArray[np.float64]:
    """F1 = 2 tp / (2 tp + fp + fn) (van Rijsbergen 1979); 0 where nothing is or was positive."""
    wrong = np.asarray(fp, dtype=np.float64) + np.asarray(fn, dtype=np.float64)
    twice_right = 2.0 * np.asarray(tp, dtype=np.float64)
    total = twice_right + wrong
    return np.divide(twice_right, total, out=np.zeros_like(total), where=total > 0)


def calibration_error(labels: NDArray[np.int8], probabilities: NDArray[np.float64]) -> float:
    """Expected calibration error over ten bins of equally many rows (Naeini et al. 2015).

    The mean distance between a bin's mean probability and its share of positives, as a fraction
    0-1, each bin weighted by its rows.
    """
    rows, predicted, observed = _calibration_bins(labels, probabilities)
    return float(np.abs(predicted - observed) @ rows / rows.sum())


def _calibration_bins(
    labels: NDArray[np.int8], probabilities: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Each bin's number of rows, mean probability and share of positives."""
    order = np.argsort(probabilities, kind="stable")
    bins = np.array_split(order, min(CALIBRATION_BINS, len(order)))
    return (
        np.array([len(rows) for rows in bins]),
        np.array([probabilities[rows].mean() for rows in bins]),
        np.array([labels[rows].mean() for rows in bins]),
    )


def _calibration_standard_error(
    labels: NDArray[np.int8], probabilities: NDArray[np.float64], seed: int
) -> float:
    """Standard deviation of the calibration error when the labels in each bin are resampled."""
    rows, predicted, observed = _calibration_bins(labels, probabilities)
    draw = np.random.default_rng(seed).binomial
    shares = draw(rows, observed, size=(RESAMPLES, len(rows))) / rows
    return float(np.std(np.abs(predicted - shares) @ rows / rows.sum()))


def auc_standard_error(labels: ArrayLike, probabilities: ArrayLike) -> float | None:
    """Standard error of the area under the ROC curve, exact for any scores and ties.

    It follows from the variance of each row's share of won comparisons (DeLong, DeLong and
    Clarke-Pearson 1988); the shares come from ranks (Sun and Xu 2014): a sort, not all pairs.

    Args:
        labels: array of shape (n_rows,), 1 positive, 0 negative, at least one of each.
        probabilities: array of shape (n_rows,).

    Returns:
        The standard error; None with only one row of a label, which has no variance.
    """
    from scipy.stats import rankdata

    positive = np.asarray(labels).astype(bool)
    probability = np.asarray(probabilities, dtype=np.float64)
    if min(int(positive.sum()), int((~positive).sum())) < 2:
        return None
    overall, variance = rankdata(probability), 0.0
    for mine in (positive, ~positive):
        others = len(probability) - int(mine.sum())
        won = (overall[mine] - rankdata(probability[mine])) / others
        variance += float(np.var(won, ddof=1)) / len(won)
    return float(np.sqrt(variance))


def _paired_f1(counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """F1 of both models from counts of shape (n, 8) by (label, champion, challenger)."""
    table = counts.reshape(-1, 2, 2, 2)
    champion, challenger = table.sum(axis=3), table.sum(axis=2)  # (n, label, prediction)
    return (
        f1_of(champion[:, 0, 1], champion[:, 1, 0], champion[:, 1, 1]),
        f1_of(challenger[:, 0, 1], challenger[:, 1, 0], challenger[:, 1, 1]),
    )


def _resample(counts: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Counts of bootstrap resamples, shape (RESAMPLES, n_kinds)."""
    rows = int(counts.sum())
    return np.random.default_rng(seed).multinomial(rows, counts / rows, size=RESAMPLES)


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    tail = (1 - INTERVAL_LEVEL) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


Z95 = 1.959964  # a normal variable is within so many standard deviations in 95 % of cases
