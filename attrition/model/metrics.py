"""How good predictions are on labelled rows: F1, AUC, log loss, calibration, and their errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attrition.core.formatting import plural
from attrition.model.uncertainty import (
    RESAMPLES,
    auc_interval,
    auc_standard_error,
    mean_standard_error,
    percentile_interval,
    repeating_clients,
    resample,
)

CALIBRATION_BINS = 10
# Of a client who leaves and one who stays, the one who leaves has the higher risk in 70 % of pairs.
RELIABLE_AUC = 0.7
SMALLEST_PROBABILITY = 1e-9  # taken for smaller ones, so that each log loss is a number


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
    roc_auc_interval: tuple[float, float] | None = None  # 95 %
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


Scores = TypeVar("Scores", Score, Mapping[str, Any])


def score_to_judge_by(test: Scores, cross_validated: Scores | None) -> tuple[Scores, str]:
    """A model's score on the test data, or the cross-validated one where these cannot tell.

    Args:
        test: the score on the test data, as such or as plain values.
        cross_validated: likewise, of rows that the model has learnt, each predicted by a model of
            its kind that has not; None where it is not known.

    Returns:
        The score, without an F1 where neither has one, and in words where it was measured.
    """
    if _f1(test) is None and cross_validated is not None and _f1(cross_validated) is not None:
        return cross_validated, "in cross-validation"
    return test, "on the test data"


def is_like_chance(score: Score | Mapping[str, Any]) -> bool:
    """Whether a score does not show that leavers rank higher than chance would have them.

    A high F1 does not: where many leave, whoever calls everybody has one.
    """
    return _may_be(score, 0.5)


def is_unproven(score: Score | Mapping[str, Any]) -> bool:
    """Whether a score does not show that the ranking is reliable; so it is where it is like chance.

    F1 does not show it: it is high wherever many leave, and low wherever few do.
    """
    return _may_be(score, RELIABLE_AUC)


def doubt_of_ranking(score: Score, model: str) -> str:
    """That a score does not show a model to rank reliably; "" where it shows that.

    Args:
        score: the model's.
        model: what it is called.
    """
    if is_like_chance(score):
        return f"nothing shows that {model} ranks better than chance"
    return f"it is not shown that {model} ranks reliably" if is_unproven(score) else ""


def despite_f1(score: Score) -> str:
    """That a ranking is reliable whose F1 is too low, and what to do; "" where no AUC is known."""
    if score.roc_auc_interval is None or is_unproven(score):
        return ""
    return (
        f", though it ranks well (AUC {score.roc_auc:.3f}); lower model_score_threshold if that is "
        "enough"
    )


def _may_be(score: Score | Mapping[str, Any], auc: float) -> bool:
    """Whether the AUC may be as low as this one, by its 95 % interval."""
    interval = _of(score, "roc_auc_interval")
    return interval is not None and interval[0] <= auc


def _f1(score: Score | Mapping[str, Any]) -> Any:
    return _of(score, "f1")


def _of(score: Score | Mapping[str, Any], key: str) -> Any:
    return getattr(score, key) if isinstance(score, Score) else score.get(key)


def score(
    labels: ArrayLike,
    probabilities: ArrayLike,
    threshold: float,
    minimum: Minimum,
    seed: int,
    *,
    clients: ArrayLike | None = None,
) -> Score:
    """Score probabilities against labels.

    Args:
        labels: array of shape (n_rows,), 1 positive, 0 negative.
        probabilities: array of shape (n_rows,), of the positive label, fractions 0-1.
        threshold: a probability of at least this predicts the positive label.
        minimum: with fewer rows, or fewer clients than rows asked, the score is undefined.
        seed: of the bootstrap.
        clients: array of shape (n_rows,), the client of each row; None: every row has its own.

    Returns:
        The score; undefined with its reason if there are too few rows or only one label.
    """
    from sklearn import metrics

    truth = np.asarray(labels).astype(np.int8)
    probability = np.asarray(probabilities, dtype=np.float64)
    predicted = (probability >= threshold).astype(np.int8)
    codes = repeating_clients(clients)
    rows, positives = len(truth), int(truth.sum())
    if reason := why_undefined(truth, codes, minimum):
        return Score(rows, positives, reason)
    kinds = 2 * truth + predicted
    tn, fp, fn, tp = (int(count) for count in np.bincount(kinds, minlength=4))
    f1resampled = f1_of(*resample(kinds, 4, codes, seed).T[1:])
    auc = float(metrics.roc_auc_score(truth, probability))
    auc_error = auc_standard_error(truth, probability, codes)
    return Score(
        rows=rows,
        positives=positives,
        f1=float(f1_of(fp, fn, tp)),
        f1_interval=percentile_interval(f1resampled),
        precision=tp / (tp + fp) if tp + fp else 0.0,
        recall=tp / positives,
        roc_auc=auc,
        roc_auc_interval=auc_interval(auc, auc_error, positives, rows - positives),
        average_precision=float(metrics.average_precision_score(truth, probability)),
        log_loss=float(log_losses(truth, probability).mean()),
        brier_score=float(metrics.brier_score_loss(truth, probability)),
        calibration_error=calibration_error(truth, probability),
        base_rate=positives / rows,
        mean_probability=float(probability.mean()),
        standard_errors={
            "roc_auc": auc_error,
            "calibration_error": _calibration_standard_error(truth, probability, codes, seed),
            "calibration_gap": mean_standard_error(probability - truth, codes),
        },
        confusion={"tn": tn, "fp": fp, "fn": fn, "tp": tp},
    )


def log_losses(
    labels: ArrayLike,
    probabilities: NDArray[np.float64],
    smallest: float = SMALLEST_PROBABILITY,
) -> NDArray[np.float64]:
    """Log loss of each row, in nats.

    Args:
        labels: array of shape (n_rows,), 1 positive, 0 negative.
        probabilities: array of shape (n_rows,), of the positive label, fractions 0-1.
        smallest: taken for smaller probabilities, and 1 less this for larger ones.
    """
    right = np.where(np.asarray(labels) == 1, probabilities, 1.0 - probabilities)
    losses: NDArray[np.float64] = -np.log(np.clip(right, smallest, 1 - smallest))
    return losses


def why_undefined(
    truth: NDArray[np.integer[Any]], codes: NDArray[np.intp] | None, minimum: Minimum
) -> str | None:
    """Why rows, or the clients they are of, are too few for a score; None if they are enough."""
    reason = undefined_reason(len(truth), int(truth.sum()), minimum)
    if reason or codes is None:
        return reason
    if reason := too_few_clients(len(truth), int(codes.max()) + 1, minimum):
        return reason
    rarer = min(len(np.unique(codes[truth == label])) for label in (0, 1))
    if rarer < minimum.rarer_label:
        return (
            f"the rows of the rarer label are of {rarer} clients, and at least "
            f"{minimum.rarer_label} are needed"
        )
    return None


def too_few_clients(rows: int, clients: int, minimum: Minimum) -> str | None:
    """Why rows of so many clients are too few to judge by; None if they are enough."""
    if clients >= minimum.rows:
        return None
    return (
        f"too few clients: the {rows:,} labelled rows are of {clients} clients, and at least "
        f"{minimum.rows} are needed"
    )


def undefined_reason(rows: int, positives: int, minimum: Minimum) -> str | None:
    """Why these rows are too few for a score; None if they are enough."""
    rarer = min(positives, rows - positives)
    if rows < minimum.rows:
        return f"too few labelled rows: {rows}, and at least {minimum.rows} are needed"
    if rarer == 0:
        return f"all {rows:,} rows have the same label"
    if rarer < minimum.rarer_label:
        rows_of_it = plural(rarer, "row")
        return (
            f"only {rows_of_it} of the rarer label, and at least {minimum.rarer_label} are needed"
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
    bins = _calibration_rows(probabilities)
    return (
        np.array([len(rows) for rows in bins]),
        np.array([probabilities[rows].mean() for rows in bins]),
        np.array([labels[rows].mean() for rows in bins]),
    )


def _calibration_rows(probabilities: NDArray[np.float64]) -> list[NDArray[np.intp]]:
    """The positions of each bin's rows."""
    order = np.argsort(probabilities, kind="stable")
    return np.array_split(order, min(CALIBRATION_BINS, len(order)))


def _calibration_standard_error(
    labels: NDArray[np.int8],
    probabilities: NDArray[np.float64],
    codes: NDArray[np.intp] | None,
    seed: int,
) -> float:
    """Standard deviation of the calibration error when the labels in each bin are resampled.

    Where clients repeat, the bins' numbers of positives are drawn from a normal distribution with
    the covariance that the clients give them.
    """
    rows, predicted, observed = _calibration_bins(labels, probabilities)
    random = np.random.default_rng(seed)
    if codes is None:
        shares = random.binomial(rows, observed, size=(RESAMPLES, len(rows))) / rows
    else:
        by_client = np.zeros((codes.max() + 1, len(rows)))
        for number, members in enumerate(_calibration_rows(probabilities)):
            surplus = labels[members] - observed[number]
            by_client[:, number] = np.bincount(codes[members], surplus, len(by_client))
        covariance = by_client.T @ by_client
        positives = random.multivariate_normal(rows * observed, covariance, RESAMPLES)
        shares = positives / rows
    return float(np.std(np.abs(predicted - shares) @ rows / rows.sum()))
