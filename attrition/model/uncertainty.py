"""How certain an estimate is: bootstrap resamples, standard errors, intervals of AUC.

F1 depends on a table of predictions only through the counts of its few kinds of rows (label and
prediction: four kinds; label and two models' predictions: eight). Resampling n rows with
replacement is therefore a multinomial draw of those counts: the same bootstrap (Efron 1979) at
the cost of a few numbers, however many rows there are.

Rows of one client are not independent. Where clients repeat, whole clients are resampled, and
standard errors follow from each client's sum: as many rows of fewer clients tell less.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 4000
INTERVAL_LEVEL = 0.95
Z95 = 1.959964  # a normal variable is within so many standard deviations in 95 % of cases


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


def mean_standard_error(
    values: NDArray[np.float64], codes: NDArray[np.intp] | None
) -> float | None:
    """Standard error of the mean of values, one for each row."""
    if codes is None:
        return float(np.std(values) / np.sqrt(len(values)))
    return error_by_clients((values - values.mean()) / len(values), codes)


def error_by_clients(influence: NDArray[np.float64], codes: NDArray[np.intp]) -> float | None:
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
    influence = auc_influence(positive, np.asarray(probabilities, dtype=np.float64))
    if codes is not None:
        return error_by_clients(influence, codes)
    parts = influence[positive], influence[~positive]
    return float(np.sqrt(sum(len(part) ** 2 * np.var(part, ddof=1) / len(part) for part in parts)))


def auc_influence(
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


def resample(
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


def percentile_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """The middle 95 % of bootstrapped values."""
    tail = (1 - INTERVAL_LEVEL) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
