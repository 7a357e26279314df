"""How good predictions are, and how certain that is: metrics, bootstrap intervals, comparisons.

Two models are compared by the log loss of each row, which tells sooner than F1 which is better.
F1 depends on a table of predictions only through the counts of its few kinds of rows (label and
prediction: four kinds; label and two models' predictions: eight). Resampling n rows with
replacement is therefore a multinomial draw of those counts: the same bootstrap (Efron 1979) at
the cost of a few numbers, however many rows there are.

Rows of one client are not independent. Where clients repeat, whole clients are resampled, and
standard errors follow from each client's sum: as many rows of fewer clients tell less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attrition.core.formatting import plural

RESAMPLES = 4000
INTERVAL_LEVEL = 0.95
CALIBRATION_BINS = 10
SMALLEST_PROBABILITY = 1e-9  # taken for smaller ones, so that each log loss is a number
# Likewise where two models are compared: no row then weighs more than 6.9 nats, and who rightly
# gives a smaller probability loses at most 0.001 nats by it, less than what decides.
SMALLEST_COMPARED = 1e-3


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


def _f1(score: Score | Mapping[str, Any]) -> Any:
    return score.f1 if isinstance(score, Score) else score.get("f1")


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

    def confidence_beyond(self, gain: float) -> float | None:
        """How sure one look is that the challenger's log loss is lower by more than `gain`."""
        if self.gain is None or self.gain_error is None:
            return None
        if self.gain_error == 0:
            return float(self.gain > gain)
        return NormalDist(gain, self.gain_error).cdf(self.gain)


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
    reason = undefined_reason(rows, positives, minimum)
    reason = reason or _undefined_by_clients(truth, codes, minimum)
    if reason:
        return Score(rows, positives, reason)
    kinds = 2 * truth + predicted
    tn, fp, fn, tp = (int(count) for count in np.bincount(kinds, minlength=4))
    f1_resampled = f1_of(*_resample(kinds, 4, codes, seed).T[1:])
    auc = float(metrics.roc_auc_score(truth, probability))
    auc_error = auc_standard_error(truth, probability, codes)
    return Score(
        rows=rows,
        positives=positives,
        f1=float(f1_of(fp, fn, tp)),
        f1_interval=_interval(f1_resampled),
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
            "calibration_gap": _mean_standard_error(probability - truth, codes),
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
        """Log loss of each row, in nats, to compare it with another model's."""
        return log_losses(truth, self.probabilities, SMALLEST_COMPARED)


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
    reason = undefined_reason(rows, positives, minimum)
    reason = reason or _undefined_by_clients(truth, codes, minimum)
    if codes is not None and not codes.any():
        reason = reason or f"all {rows:,} labelled rows are of one client"
    if reason:
        return Comparison(rows, positives, reason)
    kinds = 4 * truth + 2 * champion.labels + challenger.labels
    champion_f1, challenger_f1 = _paired_f1(np.bincount(kinds, minlength=8)[np.newaxis])
    differences = np.subtract(*_paired_f1(_resample(kinds, 8, codes, seed))[::-1])
    before, after = champion.losses(truth), challenger.losses(truth)
    compared = Comparison(
        rows=rows,
        positives=positives,
        champion_f1=float(champion_f1[0]),
        challenger_f1=float(challenger_f1[0]),
        difference=float(challenger_f1[0] - champion_f1[0]),
        difference_interval=_interval(differences),
        champion_log_loss=float(before.mean()),
        challenger_log_loss=float(after.mean()),
        gain=float((before - after).mean()),
        gain_error=_mean_standard_error(before - after, codes),
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
    influence = np.subtract(*(_auc_influence(truth == 1, risks) for risks in models))
    rows = np.arange(len(truth)) if codes is None else codes
    error = _error_by_clients(influence, rows)
    if error is None:
        return None
    return after - before - Z95 * error, after - before + Z95 * error


def repeating_clients(clients: ArrayLike | None) -> NDArray[np.intp] | None:
    """Each row's client as a code from 0 on; None if no client has two rows.

    Args:
        clients: array of shape (n_rows,); None: every row has its own.
    """
    if clients is None:
        return None
    import pandas as pd

    codes, names = pd.factorize(np.asarray(clients))
    return codes if len(names) < len(codes) else None


def _undefined_by_clients(
    truth: NDArray[np.integer[Any]], codes: NDArray[np.intp] | None, minimum: Minimum
) -> str | None:
    """Why rows are of too few clients for a score; None if they are of enough."""
    if codes is None:
        return None
    clients = int(codes.max()) + 1
    if clients < minimum.rows:
        return (
            f"too few clients: the {len(truth):,} labelled rows are of {clients} clients, and at "
            f"least {minimum.rows} are needed"
        )
    rarer = min(len(np.unique(codes[truth == label])) for label in (0, 1))
    if rarer < minimum.rarer_label:
        return (
            f"the rows of the rarer label are of {rarer} clients, and at least "
            f"{minimum.rarer_label} are needed"
        )
    return None


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


def _mean_standard_error(
    values: NDArray[np.float64], codes: NDArray[np.intp] | None
) -> float | None:
    """Standard error of the mean of values, one for each row."""
    if codes is None:
        return float(np.std(values) / np.sqrt(len(values)))
    return _error_by_clients((values - values.mean()) / len(values), codes)


def _error_by_clients(influence: NDArray[np.float64], codes: NDArray[np.intp]) -> float | None:
    """Standard error of an estimate from what each row moves it; None with a single client."""
    sums = np.bincount(codes, influence)
    clients = len(sums)
    return float(np.sqrt(clients / (clients - 1) * (sums @ sums))) if clients > 1 else None


def auc_standard_error(
    labels: ArrayLike, probabilities: ArrayLike, codes: NDArray[np.intp] | None = None
) -> float | None:
    """Standard error of the area under the ROC curve, exact for any scores and ties.

    It follows from the variance of each row's share of won comparisons (DeLong, DeLong and
    Clarke-Pearson 1988), of each client's sum of these where clients repeat (Obuchowski 1997). The
    shares come from ranks (Sun and Xu 2014): a sort, not all pairs.

    Args:
        labels: array of shape (n_rows,), 1 positive, 0 negative, at least one of each.
        probabilities: array of shape (n_rows,).
        codes: as `repeating_clients` gives them.

    Returns:
        The standard error; None with only one row of a label, which has no variance.
    """
    positive = np.asarray(labels).astype(bool)
    if min(int(positive.sum()), int((~positive).sum())) < 2:
        return None
    influence = _auc_influence(positive, np.asarray(probabilities, dtype=np.float64))
    if codes is not None:
        return _error_by_clients(influence, codes)
    parts = influence[positive], influence[~positive]
    return float(np.sqrt(sum(len(part) ** 2 * np.var(part, ddof=1) / len(part) for part in parts)))


def _auc_influence(
    positive: NDArray[np.bool_], probability: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What each row moves the area under the ROC curve."""
    from scipy.stats import rankdata

    overall, influence = rankdata(probability), np.empty(len(probability))
    for mine, sign in ((positive, 1.0), (~positive, -1.0)):
        others = len(probability) - int(mine.sum())
        won = (overall[mine] - rankdata(probability[mine])) / others
        influence[mine] = sign * (won - won.mean()) / len(won)
    return influence


def auc_interval(
    auc: float, standard_error: float | None, positives: int, negatives: int
) -> tuple[float, float]:
    """95 % interval of the area under the ROC curve, valid for few rows, too.

    It holds every area that would give the one measured within 1.96 of its own standard errors,
    those of exponential scores (Newcombe 2006, method 5). They are raised by the factor by which
    the standard error at hand exceeds them at the measured area, as it does where scores are mixed
    or clients repeat. Around the measured area alone, few rows give an interval that is too narrow.

    Args:
        auc: the measured area, a fraction 0-1.
        standard_error: as `auc_standard_error` gives it.
        positives, negatives: numbers of rows, at least 1 each.
    """

    def variance(area: float) -> float:
        spread = (1 - area) / (2 - area) + area / (1 + area)
        half = (positives + negatives) / 2 - 1
        return area * (1 - area) * (1 + half * spread) / (positives * negatives)

    least = variance(auc)
    factor = max(1.0, (standard_error or 0.0) ** 2 / least) if least > 0 else 1.0
    ends = []
    for end in (0.0, 1.0):
        inside, outside = auc, end
        for _ in range(40):
            middle = (inside + outside) / 2
            if (auc - middle) ** 2 <= Z95**2 * factor * variance(middle):
                inside = middle
            else:
                outside = middle
        ends.append(outside)
    return ends[0], ends[1]


def _paired_f1(counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """F1 of both models from counts of shape (n, 8) by (label, champion, challenger)."""
    table = counts.reshape(-1, 2, 2, 2)
    champion, challenger = table.sum(axis=3), table.sum(axis=2)  # (n, label, prediction)
    return (
        f1_of(champion[:, 0, 1], champion[:, 1, 0], champion[:, 1, 1]),
        f1_of(challenger[:, 0, 1], challenger[:, 1, 0], challenger[:, 1, 1]),
    )


def _resample(
    kinds: NDArray[np.integer[Any]], size: int, codes: NDArray[np.intp] | None, seed: int
) -> NDArray[np.int64]:
    """Counts of bootstrap resamples, shape (RESAMPLES, size), of rows or of whole clients.

    Args:
        kinds: array of shape (n_rows,), each row's kind, from 0 to `size` - 1.
        size: number of kinds.
        codes: as `repeating_clients` gives them.
        seed: of the draws.
    """
    random = np.random.default_rng(seed)
    if codes is None:
        counts = np.bincount(kinds, minlength=size)
        return random.multinomial(len(kinds), counts / len(kinds), size=RESAMPLES)
    import pandas as pd

    clients = int(codes.max()) + 1
    by_client = np.bincount(codes * size + kinds, minlength=clients * size).reshape(-1, size)
    by_client[:, 0] = 0  # true negatives, of which F1 knows nothing: fewer clients differ
    equal = pd.DataFrame(by_client).groupby(list(range(size))).size()
    tables, shares = equal.index.to_frame().to_numpy(), equal.to_numpy() / clients
    steps = (random.multinomial(clients, shares, size=100) for _ in range(RESAMPLES // 100))
    return np.concatenate([step @ tables for step in steps])  # in steps: there may be many tables


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    tail = (1 - INTERVAL_LEVEL) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


Z95 = 1.959964  # a normal variable is within so many standard deviations in 95 % of cases
