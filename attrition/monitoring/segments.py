"""Weak segments: where in the data the model is clearly worse than on average.

Looked at are the levels of each category, five quantile ranges of each number, and the pairs of
those. A client of middling risk costs more log loss than a safe one, though nothing is wrong, so
each segment's loss is compared with the loss to be expected of its own probabilities, once these
are corrected for what is wrong everywhere (a logistic recalibration over all rows; Cox 1958). Two
tests a segment: is the loss higher than that, and did more or fewer leave than that? Tails are
computed by saddlepoint (Lugannani and Rice 1980), since leavers may be few; Bonferroni's correction
over all tests keeps the chance of any false name of a model that is right everywhere under `LEVEL`.
The interval of the loss is the inversion of its test, as Wilson's (1927) is of a share's: it leaves
out 0 where the test is significant, and nowhere else. The surest segment is named, and the search
goes on without its rows: what overlaps with it is named only for what else is wrong there. Each
further search has that chance again, under `LEVEL`, where all names before it were true.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit
from scipy.stats import norm

from attrition.core.config import Config
from attrition.core.formatting import line, number_format
from attrition.data.clients import Clients, joined, newest_of_each
from attrition.engines.candidate import TrainingResult
from attrition.model.curves import wilson_interval
from attrition.model.metrics import log_losses
from attrition.model.scorecard import Scorecard
from attrition.model.selection import selection_rows
from attrition.monitoring.findings import SegmentSearch, WeakSegment

LEVEL = 0.05
LEAST_ROWS = 50
MOST_ROWS = 200_000  # more are represented by a sample
RANGES, LEVELS = 5, 12  # of a number; of a category, the most frequent
MOST_COLUMNS = 20  # whose pairs are looked at: those whose segments' predictions differ most
NAMED = 5
TRIED = 100  # significant segments of which it is asked whether they matter
# What is significant is named only where it matters: a tenth of the log loss, a fifth of leavers.
LEAST_LOSS, LEAST_GAP = 0.1, 0.2
BINS = 32  # of the probabilities, to compute tails
LARGEST_LOG_ODDS = 14.0

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class _Rows:
    """Rows with what is expected of them: arrays of shape (n,), bins of shape (n_bins,).

    Attributes:
        log_loss: mean over all rows.
        surprise: 1 or 0 less the corrected probability.
        excess: the log loss less the one to be expected.
        bins: which bin the probability is in.
        chances: mean corrected probability of each bin.
        slopes: mean loss of each bin that a leaver costs more than one who stays.
    """

    labels: Floats
    probabilities: Floats
    log_loss: float
    expected: Floats
    surprise: Floats
    excess: Floats
    bins: Codes
    chances: Floats
    slopes: Floats


@dataclass(frozen=True)
class _Column:
    """A column's segments: the code of each row, and the segments in words."""

    codes: Codes
    names: list[str]


Segment = tuple[tuple[int, ...], tuple[int, ...]]  # positions of its columns, codes in these


@dataclass(frozen=True)
class _Sums:
    """Sums over the rows of some segments: arrays of shape (n_segments,).

    Attributes:
        segments: which they are.
        counts: array of shape (n_segments, n_bins), rows in each bin of the probabilities.
        surprise, excess: as `_Rows` has them.
    """

    segments: list[Segment]
    counts: NDArray[Any]
    surprise: NDArray[Any]
    excess: NDArray[Any]


def of_deployed(config: Config, card: Scorecard, samples: Sequence[Clients]) -> SegmentSearch:
    """Where a deployed model is weak, on samples of labelled clients that it has not learnt."""
    clients = reduce(joined, samples)
    return _search(config, clients, card.probabilities(clients.columns))


def of_candidate(config: Config, trained: TrainingResult, test: Clients) -> SegmentSearch:
    """Where a candidate is weak: on the test data, and on its own rows, predicted out of fold."""
    selection, rows = trained.fitted.selection, trained.representatives
    assert rows.labels is not None
    chosen = np.zeros(len(rows), dtype=bool)
    chosen[selection_rows(rows.labels, trained.fitted.seed)] = True
    on_test = trained.fitted.scorecard.probabilities(test.columns)
    return _search(
        config,
        joined(rows.select(chosen), test),
        np.concatenate([selection.probabilities, on_test]),
    )


def _search(config: Config, clients: Clients, probabilities: Floats) -> SegmentSearch:
    """Search among clients, each once, with its newest row: rows of one client are alike."""
    newest = np.ones(len(clients), dtype=bool)
    if config.id_column is not None:
        newest = newest_of_each(clients.ids)
    least = max(config.minimum_scoring_rows, LEAST_ROWS)
    rows = clients.select(newest)
    assert rows.labels is not None
    called = {column: config.labels.name(column) for column in config.labels.by_column}
    features = rows.features.rename(columns=called)
    return weak_segments(features, rows.labels, probabilities[newest], least)


def weak_segments(
    features: pd.DataFrame, labels: ArrayLike, probabilities: ArrayLike, minimum_rows: int
) -> SegmentSearch:
    """Search for segments in which the model is worse than elsewhere.

    Args:
        features: one row per client; numbers as float with NaN for missing, categories as text.
        labels: array of shape (n_rows,), 1 left, 0 stayed.
        probabilities: array of shape (n_rows,), of leaving, by models that have not learnt the
            row; fractions 0-1.
        minimum_rows: smaller segments are not looked at.
    """
    truth, chances = np.asarray(labels, np.float64), np.asarray(probabilities, np.float64)
    if len(truth) > MOST_ROWS:
        sample = np.sort(np.random.default_rng(0).choice(len(truth), MOST_ROWS, replace=False))
        features, truth, chances = features.iloc[sample], truth[sample], chances[sample]
    rows = len(truth)
    columns = [_segments(features[name]) for name in features]
    columns = [column for column in columns if len(column.names) > 1]
    overall = float(log_losses(truth, chances).mean()) if len(truth) else None
    looked_at, weak = 0, list[WeakSegment]()
    while len(weak) < NAMED and len(truth) >= 2 * minimum_rows and truth.min() < truth.max():
        count, worst = _worst(_prepare(truth, chances), columns, minimum_rows)
        looked_at = looked_at or count
        if worst is None:
            break
        segment, inside = worst
        weak.append(segment)
        truth, chances = truth[~inside], chances[~inside]
        columns = [replace(column, codes=column.codes[~inside]) for column in columns]
    return SegmentSearch(rows, looked_at, LEVEL, tuple(weak), overall)


def _worst(
    rows: _Rows, columns: list[_Column], minimum_rows: int
) -> tuple[int, tuple[WeakSegment, Flags] | None]:
    """How many segments there are, and the surest of those that are significant and matter."""
    parts = [_sums(rows, columns, which, minimum_rows) for which in _groups(rows, columns)]
    segments = [segment for part in parts for segment in part.segments]
    if not segments:
        return 0, None
    values = _p_values(
        rows,
        np.concatenate([part.counts for part in parts]),
        np.concatenate([part.surprise for part in parts]),
        np.concatenate([part.excess for part in parts]),
    )
    tests = 2 * len(segments)
    adjusted = np.minimum(values * tests, 1.0)
    order = np.argsort(values, kind="stable")
    for position in order[adjusted[order] <= LEVEL][:TRIED]:
        which, codes = segments[position]
        pairs = [(columns[column], code) for column, code in zip(which, codes, strict=True)]
        inside = np.logical_and.reduce([column.codes == code for column, code in pairs])
        names = tuple(column.names[code] for column, code in pairs)
        segment = _described(rows, names, inside, float(adjusted[position]), tests)
        if _matters(rows, segment):
            return len(segments), (segment, inside)
    return len(segments), None


def _prepare(truth: Floats, probabilities: Floats) -> _Rows:
    log_odds = np.clip(logit(probabilities), -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS)
    expected = _recalibrated(truth, log_odds)
    edges = np.unique(np.quantile(log_odds, np.arange(1, BINS) / BINS))
    bins = np.searchsorted(edges, log_odds)
    sizes = np.maximum(np.bincount(bins, minlength=len(edges) + 1), 1)
    surprise = truth - expected
    return _Rows(
        labels=truth,
        probabilities=probabilities,
        log_loss=float(log_losses(truth, probabilities).mean()),
        expected=expected,
        surprise=surprise,
        excess=-log_odds * surprise,
        bins=bins,
        chances=np.bincount(bins, expected, len(sizes)) / sizes,
        slopes=np.bincount(bins, -log_odds, len(sizes)) / sizes,
    )


def _recalibrated(truth: Floats, log_odds: Floats) -> Floats:
    """Probabilities corrected for what is wrong over all rows: intercept and slope, by Newton."""
    design = np.stack([np.ones_like(log_odds), log_odds])
    weights = np.array([0.0, 1.0])
    for _ in range(20):
        chance = expit(weights @ design)
        hessian = (design * (chance * (1.0 - chance))) @ design.T + 1e-6 * np.eye(2)
        step = np.linalg.solve(hessian, design @ (truth - chance))
        weights = weights + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-8:
            break
    result: Floats = expit(weights @ design)
    return result


def _segments(values: pd.Series[Any]) -> _Column:
    name = line(values.name, 60)
    if pd.api.types.is_numeric_dtype(values):
        return _ranges(name, values.to_numpy(np.float64))
    codes, levels = pd.factorize(values.to_numpy(), use_na_sentinel=False)
    order = np.argsort(-np.bincount(codes, minlength=len(levels)), kind="stable")
    ranks = np.empty(len(levels), np.intp)
    ranks[order] = np.minimum(np.arange(len(levels)), LEVELS)
    texts = [f"{name} {line(levels[at], 40) if levels[at] else 'missing'}" for at in order[:LEVELS]]
    more = [f"{name} not among the {LEVELS} most frequent values"] * (len(levels) > LEVELS)
    return _Column(ranks[codes], texts + more)


def _ranges(name: str, numbers: Floats) -> _Column:
    """Quantile ranges of a number, each from its lowest to its highest value; missing apart."""
    missing = np.isnan(numbers)
    present = numbers[~missing]
    codes, texts = np.zeros(len(numbers), np.intp), []
    if len(present):
        ordered = np.sort(present)
        ends = np.ceil(len(ordered) * np.arange(1, RANGES) / RANGES).astype(np.intp) - 1
        edges = np.unique(ordered[ends])
        edges = edges[edges < ordered[-1]]
        codes[~missing] = np.searchsorted(edges, present)
        starts = [0, *np.searchsorted(ordered, edges, side="right"), len(ordered)]
        text = number_format((ordered[0], *edges, ordered[-1]))
        for start, end in pairwise(starts):
            low, high = text(ordered[start]), text(ordered[end - 1])
            texts.append(f"{name} {low}" if low == high else f"{name} from {low} to {high}")
    if missing.any():
        codes[missing] = len(texts)
        texts.append(f"{name} missing")
    return _Column(codes, texts)


def _groups(rows: _Rows, columns: list[_Column]) -> Iterator[tuple[int, ...]]:
    """Each column, then the pairs of those that the predictions depend on most."""
    yield from ((position,) for position in range(len(columns)))
    spread = []
    for column in columns:
        sizes = np.maximum(np.bincount(column.codes), 1)
        means = np.bincount(column.codes, rows.expected) / sizes
        spread.append(float(np.average((means - rows.expected.mean()) ** 2, weights=sizes)))
    chosen = np.sort(np.argsort(-np.asarray(spread), kind="stable")[:MOST_COLUMNS]).tolist()
    yield from combinations(chosen, 2)


def _sums(rows: _Rows, columns: list[_Column], which: tuple[int, ...], minimum_rows: int) -> _Sums:
    """What is added up of the segments of a column, or of a pair."""
    shape = tuple(len(columns[position].names) for position in which)
    codes = columns[which[0]].codes
    if len(which) > 1:
        codes = codes * shape[1] + columns[which[1]].codes
    cells, bins = int(np.prod(shape)), len(rows.chances)
    counts = np.bincount(codes * bins + rows.bins, minlength=cells * bins).reshape(cells, bins)
    large = np.flatnonzero(counts.sum(axis=1) >= minimum_rows)
    places = np.stack(np.unravel_index(large, shape), axis=1).tolist()
    return _Sums(
        segments=[(which, tuple(place)) for place in places],
        counts=counts[large],
        surprise=np.bincount(codes, rows.surprise, cells)[large],
        excess=np.bincount(codes, rows.excess, cells)[large],
    )


def _p_values(rows: _Rows, counts: NDArray[Any], surprise: Floats, excess: Floats) -> Floats:
    """The smaller p-value of each segment's two tests, of loss and of calibration."""
    sides = np.where(surprise < 0.0, -1.0, 1.0)
    ones = np.ones_like(rows.chances)
    two_sided = 2.0 * _tails(counts, rows.chances, sides[:, None] * ones, np.abs(surprise), True)
    slopes = np.broadcast_to(rows.slopes, counts.shape)
    result: Floats = np.minimum(_tails(counts, rows.chances, slopes, excess, False), two_sided)
    return np.minimum(result, 1.0)


def _tails(
    counts: NDArray[Any], chances: Floats, weights: Floats, sums: Floats, whole: bool
) -> Floats:
    """Probability that a weighted sum of surprises is so large, or larger.

    Args:
        counts: array of shape (n_sums, n_bins), rows of each bin in a sum.
        chances: array of shape (n_bins,), probability of leaving in a bin.
        weights: array of shape (n_sums, n_bins), of a surprise.
        sums: array of shape (n_sums,).
        whole: the sums count clients, in steps of one.
    """
    result = np.ones(len(sums))
    spread = np.sqrt((counts * weights**2) @ (chances * (1.0 - chances)))
    odd = np.flatnonzero(sums > 1.5 * spread)
    if not len(odd):
        return result
    n, w, x = counts[odd], weights[odd], sums[odd]
    chance = np.clip(chances, 1e-9, 1.0 - 1e-9)
    most = (n * np.where(w > 0, w * (1.0 - chance), -w * chance)).sum(axis=1)
    x = np.minimum(x, 0.999 * most)

    def tilted(t: Floats) -> Floats:
        return expit(logit(chance) + t[:, None] * w)

    low, high = np.zeros(len(x)), np.full(len(x), 1e3)
    for _ in range(60):
        middle = (low + high) / 2.0
        below = (n * w * (tilted(middle) - chance)).sum(axis=1) < x
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    t = (low + high) / 2.0
    grown = (
        np.logaddexp(np.log1p(-chance), np.log(chance) + t[:, None] * w) - t[:, None] * w * chance
    )
    chances_then = tilted(t)
    variance = (n * w**2 * chances_then * (1.0 - chances_then)).sum(axis=1)
    r = np.sqrt(np.maximum(2.0 * (t * x - (n * grown).sum(axis=1)), 1e-12))
    u = (-np.expm1(-t) if whole else t) * np.sqrt(variance)
    result[odd] = norm.sf(r) + norm.pdf(r) * (1.0 / u - 1.0 / r)
    return np.clip(result, 0.0, 1.0)


def _chance_sum(counts: NDArray[Any], chances: Floats, weights: Floats, level: float) -> float:
    """The weighted sum of surprises that chance alone reaches with a probability of `level`.

    Args:
        counts, chances, weights: arrays of shape (n_bins,); see `_tails`.
    """
    low = 0.0
    high = float(
        (counts * np.where(weights > 0, weights * (1 - chances), -weights * chances)).sum()
    )
    for _ in range(3):
        sums = np.linspace(low, high, 65)
        each, weighted = (np.tile(array, (len(sums), 1)) for array in (counts, weights))
        is_rare = _tails(each, chances, weighted, sums, False) <= level
        first = int(is_rare.argmax()) if is_rare.any() else len(sums) - 1
        low, high = float(sums[max(first - 1, 0)]), float(sums[first])
    return high


def _matters(rows: _Rows, segment: WeakSegment) -> bool:
    gap = abs(segment.left - segment.expected_left) / segment.expected_left
    return segment.difference >= LEAST_LOSS * rows.log_loss or gap >= LEAST_GAP


def _described(
    rows: _Rows, names: tuple[str, ...], inside: Flags, adjusted_p: float, tests: int
) -> WeakSegment:
    """What is known of a segment; its interval holds for all segments at once (Bonferroni's)."""
    size, left = int(inside.sum()), float(rows.labels[inside].sum())
    difference = float(rows.excess[inside].mean() - rows.excess[~inside].mean())
    # Over all rows the excess adds up to 0, as they are recalibrated: a sum gives the difference.
    to_difference = 1.0 / size + 1.0 / (len(inside) - size)
    counts = np.bincount(rows.bins[inside], minlength=len(rows.chances))
    above, below = (
        _chance_sum(counts, rows.chances, side * rows.slopes, LEVEL / tests) * to_difference
        for side in (1.0, -1.0)
    )
    losses = log_losses(rows.labels[inside], rows.probabilities[inside])
    low, high = wilson_interval([left], [size])
    return WeakSegment(
        conditions=names,
        rows=size,
        log_loss=float(losses.mean()),
        difference=difference,
        interval=(difference - above, difference + below),
        adjusted_p=adjusted_p,
        left=left / size,
        left_interval=(float(low[0]), float(high[0])),
        predicted=float(rows.probabilities[inside].mean()),
        expected_left=float(rows.expected[inside].mean()),
    )
