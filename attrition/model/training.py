"""The model: logistic regression over a hat basis, selected by cross-validation, as a scorecard.

    1. Each column gets a hat basis (attrition/model/transformers.py); a first regression is fitted.
    2. Every pair of columns is screened: how much of what that regression leaves unexplained would
       its coarse grid explain? The best pairs join, as many as cross-validation can distinguish
       from noise.
    3. The L2 strength has the lowest cross-validated log loss, the threshold the highest F1 that
       the out-of-fold probabilities let expect. Many rows are represented by a stratified sample up
       to here.
    4. The final regression is fitted on all rows and exported as a scorecard that equals it, its
       pairs purified (attrition/model/purification.py).

Rows are not weighted by label, so probabilities stay calibrated. All rows of a client are in one
fold: a client that is known from another row is not unseen.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import accumulate
from math import comb
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.pipeline import Pipeline

from attrition.core.errors import NotEnoughData
from attrition.model.metrics import Minimum, log_losses, undefined_reason
from attrition.model.purification import purified
from attrition.model.scorecard import Scorecard
from attrition.model.terms import Axis
from attrition.model.transformers import CategoryLevels, NumericHats, PairGrids

# Raised whenever equal rows would give another model: deployed models are then retrained.
RECIPE = 5

KNOTS = 8
PAIR_COUNTS = (0, 5, 10, 20)
SURE_GAIN = 1.0  # pairs join if the loss falls by more than this many of its standard errors
STRENGTHS = (1.0, 3.0, 10.0, 30.0)  # scikit-learn's C: a larger one shrinks less
WEAKER_STRENGTHS = (1.0, 0.3, 0.1, 0.03)  # tried if the first of STRENGTHS is the best
FOLDS = 5
SAMPLE_ROWS = 20_000

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]
Pairs = tuple[tuple[str, str], ...]
T = TypeVar("T", int, float)


@dataclass(frozen=True)
class Columns:
    """The numeric and the categorical feature columns."""

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]

    @property
    def all(self) -> list[str]:
        """Every column: numeric, then categorical."""
        return [*self.numeric, *self.categorical]


@dataclass(frozen=True)
class Selection:
    """The settings that cross-validation selected.

    `labels`, `probabilities` and `clients` belong to the rows used for the selection: each row's
    probability comes from a model with these settings that was not fitted to the row.
    """

    pairs: Pairs
    strength: float
    threshold: float
    labels: Labels
    probabilities: Floats
    tried: tuple[tuple[int, float, float], ...]  # pairs, strength, cross-validated log loss
    clients: NDArray[np.intp] | None = None  # the rows' clients as codes


@dataclass(frozen=True)
class FittedModel:
    """The final model in its two forms, and how it was selected.

    Attributes:
        pipeline: the scikit-learn pipeline; takes a DataFrame of the feature columns.
        scorecard: the same model.
        selection: the settings that cross-validation selected, with out-of-fold probabilities.
        seed: of the folds.
    """

    pipeline: Pipeline
    scorecard: Scorecard
    selection: Selection
    seed: int

    @property
    def settings(self) -> dict[str, Any]:
        """The selected settings and those tried, as plain values for JSON."""
        return {
            "strength": self.selection.strength,
            "pairs": [list(pair) for pair in self.selection.pairs],
            "knots": KNOTS,
            "cross_validated_rows": len(self.selection.labels),
            "tried": [
                {"pairs": pairs, "strength": strength, "log_loss": loss}
                for pairs, strength, loss in self.selection.tried
            ],
            "seed": self.seed,
        }


def fit(
    features: pd.DataFrame,
    labels: ArrayLike,
    *,
    numeric: Sequence[str],
    categorical: Sequence[str],
    minimum: Minimum,
    seed: int,
    clients: ArrayLike | None = None,
) -> FittedModel:
    """Select and fit the model.

    Args:
        features: one row per client; numbers as float with NaN for missing, categories as text.
        labels: array of shape (n_rows,), 1 for clients who left, 0 for those who stayed.
        numeric: names of the numeric feature columns.
        categorical: names of the categorical feature columns.
        minimum: the fewest rows, in all and of the rarer label, a model is fitted to.
        seed: of the sample and the folds. Equal rows and an equal seed give an equal model.
        clients: array of shape (n_rows,), the client of each row; None: every row has its own.

    Raises:
        NotEnoughData: too few rows, or too few of the rarer label.
    """
    truth = np.asarray(labels).astype(np.int8)
    check_enough(len(truth), int(truth.sum()), minimum)
    columns = Columns(tuple(numeric), tuple(categorical))
    selection, sample = choose(features, truth, columns, seed, clients)
    pipeline, scorecard = fit_selected(features, truth, columns, selection, sample)
    return FittedModel(pipeline, scorecard, selection, seed)


def check_enough(rows: int, positives: int, minimum: Minimum) -> None:
    """Refuse to train on too few rows.

    Raises:
        NotEnoughData: too few rows, or too few of the rarer label.
    """
    least = Minimum(minimum.rows, max(minimum.rarer_label, 2))  # each fold needs both labels
    if reason := undefined_reason(rows, positives, least):
        raise NotEnoughData(f"no model can be trained: {reason}")


def choose(
    features: pd.DataFrame,
    labels: Labels,
    columns: Columns,
    seed: int,
    clients: ArrayLike | None = None,
) -> tuple[Selection, NDArray[np.intp]]:
    """Select pairs, L2 strength and threshold on a sample; also return the sample's positions."""
    sample = selection_rows(labels, seed)
    codes = _codes(clients, len(labels))[sample]
    return select(features.iloc[sample], labels[sample], columns, seed, codes), sample


def with_threshold_for_all(
    fitted: FittedModel, set_aside: pd.DataFrame, ratio: float
) -> FittedModel:
    """The model with the threshold that is best for the rows it has not learnt, too.

    Its probabilities are right for them, but those selected it without the riskiest clients.

    Args:
        set_aside: features of the rows that were not learnt, or of some of them.
        ratio: of the number of all these to that of the learnt rows. It is kept where a sample of
            the learnt rows selected the settings.
    """
    selection = fitted.selection
    count = round(ratio * len(selection.labels)) if len(set_aside) else 0
    chosen = np.linspace(0, len(set_aside) - 1, count).astype(np.intp)
    unseen = fitted.scorecard.probabilities(set_aside.iloc[chosen])
    threshold = best_threshold(np.concatenate([selection.probabilities, unseen]))
    return replace(
        fitted,
        scorecard=replace(fitted.scorecard, threshold=threshold),
        selection=replace(selection, threshold=threshold),
    )


def out_of_fold_probabilities(
    fitted: FittedModel,
    features: pd.DataFrame,
    labels: ArrayLike,
    rows: NDArray[np.bool_],
    clients: ArrayLike | None = None,
) -> Floats:
    """Predictions of models with the same settings for rows they were not fitted to.

    Args:
        fitted: the model that was fitted to these features and labels.
        features, labels: all its training rows.
        rows: array of shape (n_rows,), true for the rows to predict.
        clients: array of shape (n_rows,), the client of each row; None: every row has its own.

    Returns:
        Array of shape (rows.sum(),): each row's probability by a model fitted to all rows outside
        its fold. Folds hold only rows to predict, and all such rows of a client in one fold.
    """
    truth, positions = np.asarray(labels).astype(np.int8), np.flatnonzero(rows)
    result = np.empty(len(truth))
    codes = _codes(None if clients is None else np.asarray(clients)[positions], len(positions))
    shuffled = np.random.default_rng(fitted.seed).permutation(codes.max(initial=-1) + 1)
    for part in filter(len, np.array_split(shuffled, FOLDS)):
        fold = positions[np.isin(codes, part)]
        seen = np.ones(len(truth), dtype=bool)
        seen[fold] = False
        pipeline = clone(fitted.pipeline).fit(features[seen], truth[seen])
        result[fold] = pipeline.predict_proba(features.iloc[fold])[:, 1]
    return result[positions]


def make_basis(columns: Columns, pairs: Pairs) -> ColumnTransformer:
    """The transformer from feature columns to the sparse matrix the regression is fitted on."""
    return ColumnTransformer(
        [
            ("numeric", NumericHats(KNOTS), list(columns.numeric)),
            ("categorical", CategoryLevels(), list(columns.categorical)),
            ("pairs", PairGrids(pairs, columns.numeric), columns.all if pairs else []),
        ],
        sparse_threshold=1.0,
        verbose_feature_names_out=False,
    )


def select(
    features: pd.DataFrame,
    labels: Labels,
    columns: Columns,
    seed: int,
    clients: NDArray[np.intp] | None = None,
) -> Selection:
    """Select pairs, L2 strength and threshold by cross-validation; `clients` are codes."""
    # Each fold at work takes memory; more of them than cores would gain no time.
    with ThreadPoolExecutor(min(FOLDS, os.cpu_count() or 1)) as threads:
        folds = list(
            threads.map(
                lambda part: Fold.prepare(features, labels, columns, *part),
                _folds(labels, clients, seed),
            )
        )

        predictions: dict[tuple[int, float], Floats] = {}

        def losses(count: int, strength: float) -> Floats:
            """Log loss of each row, in nats, by the model that was not fitted to its fold."""
            if (count, strength) not in predictions:
                parts = threads.map(lambda fold: fold.predict(count, strength), folds)
                predictions[count, strength] = np.empty(len(labels))
                for fold, part in zip(folds, parts, strict=True):
                    predictions[count, strength][fold.test] = part
            return log_losses(labels, predictions[count, strength])

        possible = comb(len(columns.all), 2)
        counts = tuple(dict.fromkeys(min(count, possible) for count in PAIR_COUNTS))
        count = _descend(counts, lambda count: losses(count, STRENGTHS[0]), SURE_GAIN)
        strength = _descend(STRENGTHS, lambda strength: losses(count, strength))
        if strength == STRENGTHS[0]:
            strength = _descend(WEAKER_STRENGTHS, lambda strength: losses(count, strength))
    return Selection(
        pairs=rank_pairs(features, labels, columns)[:count],
        strength=strength,
        threshold=best_threshold(predictions[count, strength]),
        labels=labels,
        probabilities=predictions[count, strength],
        tried=tuple((*tried, float(losses(*tried).mean())) for tried in predictions),
        clients=clients,
    )


def _codes(clients: ArrayLike | None, rows: int) -> NDArray[np.intp]:
    """The clients as codes from 0 on; without clients every row has its own code."""
    return np.arange(rows) if clients is None else pd.factorize(np.asarray(clients))[0]


def _folds(
    labels: Labels, clients: NDArray[np.intp] | None, seed: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Positions to train on and to predict: FOLDS times, or fewer if a label is rare.

    All rows of a client are on one side, unless all rows of a label belong to one client.
    """
    _, first, codes = np.unique(
        np.arange(len(labels)) if clients is None else clients,
        return_index=True,
        return_inverse=True,
    )
    if len(first) < len(labels):
        left = np.zeros(len(first), dtype=np.int8)
        np.maximum.at(left, codes, labels)
        rarer = min(int(left.sum()), len(left) - int(left.sum()))
        strata, count = (left, min(FOLDS, rarer)) if rarer > 1 else (np.zeros_like(left), FOLDS)
        if len(first) >= count:
            splitter = StratifiedKFold(count, shuffle=True, random_state=seed)
            parts = [np.isin(codes, test) for _, test in splitter.split(strata, strata)]
            if all(0 < labels[~part].sum() < (~part).sum() for part in parts):
                yield from ((np.flatnonzero(~part), np.flatnonzero(part)) for part in parts)
                return
    rarer = min(int(labels.sum()), len(labels) - int(labels.sum()))
    splitter = StratifiedKFold(min(FOLDS, rarer), shuffle=True, random_state=seed)
    yield from splitter.split(labels, labels)


def _descend(candidates: Sequence[T], losses: Callable[[T], Floats], least_gain: float = 0.0) -> T:
    """The last candidate, in this order, up to which the mean loss keeps falling.

    Args:
        candidates: the simplest first.
        losses: gives the loss of each row under a candidate.
        least_gain: number of its standard errors by which the loss must fall at each step.
    """
    best = candidates[0]
    for candidate in candidates[1:]:
        gains = losses(best) - losses(candidate)
        if gains.mean() <= least_gain * gains.std() / np.sqrt(len(gains)):
            break
        best = candidate
    return best


@dataclass(frozen=True)
class Fold:
    """One fold with its expanded basis: the first `widths[count]` columns hold `count` pairs."""

    test: NDArray[np.intp]
    labels: Labels
    seen: sparse.csr_matrix
    unseen: sparse.csr_matrix
    widths: list[int]

    @classmethod
    def prepare(
        cls,
        features: pd.DataFrame,
        labels: Labels,
        columns: Columns,
        train: NDArray[np.intp],
        test: NDArray[np.intp],
    ) -> Fold:
        """Screen the pairs on the fold's own training rows and expand its rows."""
        known, unseen = features.iloc[train], features.iloc[test]
        pairs = rank_pairs(known, labels[train], columns)[: max(PAIR_COUNTS)]
        basis = make_basis(columns, pairs)
        seen = basis.fit_transform(known)
        grids = basis.named_transformers_["pairs"].sizes() if pairs else []
        widths = list(accumulate(grids, initial=seen.shape[1] - sum(grids)))
        return cls(test, labels[train], sparse.csr_matrix(seen), basis.transform(unseen), widths)

    def predict(self, count: int, strength: float) -> Floats:
        """Probabilities of the fold's unseen rows."""
        width = self.widths[min(count, len(self.widths) - 1)]
        model = LogisticRegression(C=strength, solver="newton-cg", tol=3e-4)
        model.fit(self.seen[:, :width], self.labels)
        result: Floats = model.predict_proba(self.unseen[:, :width])[:, 1]
        return result


def rank_pairs(features: pd.DataFrame, labels: Labels, columns: Columns) -> Pairs:
    """Pairs of columns that would explain more than their single columns, best first.

    The gain of a pair is the score statistic of its grid against the residual of the regression
    without pairs, sum(gradient^2 / curvature) over the cells, minus its degrees of freedom
    (Rao 1948, with separate cells). Two matrix products compute all cells of all pairs.
    """
    matrix = make_basis(columns, ()).fit_transform(features[columns.all])
    model = LogisticRegression(C=STRENGTHS[0], solver="newton-cg", tol=3e-4).fit(matrix, labels)
    probability = model.predict_proba(matrix)[:, 1]
    grids = PairGrids([(column, column) for column in columns.all], columns.numeric).fit(features)
    axes = {column: axis for column, axis in grids.axes_.items() if len(axis) > 1}
    hats, owner = _coarse_hats(features, axes)
    gradient = hats.T @ (hats * (labels - probability)[:, None])
    curvature = (hats**2).T @ (hats**2 * (probability * (1.0 - probability))[:, None])
    full = curvature > 1e-6 * len(labels)
    cells = np.where(full, gradient**2 / np.where(full, curvature, 1.0) - 1.0, 0.0)
    members = (owner[:, None] == np.arange(len(axes))).astype(np.float64)
    gains = members.T @ cells @ members
    names = list(axes)
    ranked = sorted(
        (-gains[i, j], i, j) for i in range(len(names)) for j in range(i) if gains[i, j] > 0.0
    )
    return tuple((names[j], names[i]) for _, i, j in ranked)


def _coarse_hats(features: pd.DataFrame, axes: dict[str, Axis]) -> tuple[Floats, NDArray[np.intp]]:
    """The hats of all axes side by side, and the axis of each."""
    blocks = []
    rows = np.arange(len(features))
    for column, axis in axes.items():
        lower, upper, share = axis.places(features[column].to_numpy())
        hats = np.zeros((len(rows), len(axis)))
        hats[rows, lower] = 1.0 - share
        hats[rows, upper] += share
        blocks.append(hats)
    owner = np.repeat(np.arange(len(axes)), [len(axis) for axis in axes.values()])
    return (np.hstack(blocks) if blocks else np.zeros((len(rows), 0))), owner


def best_threshold(probabilities: Floats) -> float:
    """The threshold with the highest expected F1, from calibrated probabilities alone.

    With the k highest called leavers, the expected F1 is 2 * (sum of these k) / (k + sum of all).
    One more raises it if its probability is over half of it: the best threshold is half the best
    F1 (Lipton, Elkan and Narayanaswamy 2014). Without labels it has no noise of single outcomes.
    """
    falling = np.sort(probabilities)[::-1]
    alarms = np.arange(1, len(falling) + 1)
    return float(np.max(np.cumsum(falling) / (alarms + falling.sum())))


def selection_rows(labels: Labels, seed: int) -> NDArray[np.intp]:
    """Rising positions of the rows used for a selection: at most SAMPLE_ROWS, stratified by label.

    Equal labels and an equal seed give equal rows.
    """
    positions = np.arange(len(labels))
    if len(labels) <= SAMPLE_ROWS:
        return positions
    chosen, _ = train_test_split(
        positions, train_size=SAMPLE_ROWS, stratify=labels, random_state=seed
    )
    return np.sort(chosen)


def fit_selected(
    features: pd.DataFrame,
    labels: Labels,
    columns: Columns,
    selection: Selection,
    sample: NDArray[np.intp],
) -> tuple[Pipeline, Scorecard]:
    """Fit the selected model to all rows, and export the scorecard.

    Args:
        features, labels, columns: the training rows.
        selection: pairs, strength and threshold.
        sample: positions of the rows used for the selection.
    """
    basis = make_basis(columns, selection.pairs)
    matrix = basis.fit_transform(features[columns.all])
    regression = LogisticRegression(
        C=selection.strength, solver="newton-cholesky", warm_start=len(sample) < len(labels)
    )
    if regression.warm_start:  # start at the sample's solution: few steps over all rows remain
        regression.fit(matrix[sample], labels[sample])
    regression.fit(matrix, labels)
    pipeline = Pipeline([("basis", basis), ("regression", regression)])
    means = np.asarray(matrix.mean(axis=0)).ravel()
    return pipeline, export(pipeline, means, matrix[sample], selection.threshold)


def export(
    pipeline: Pipeline, means: Floats, sample: sparse.csr_matrix, threshold: float
) -> Scorecard:
    """The scorecard that equals a fitted pipeline, with purified pairs.

    Args:
        pipeline: basis and regression, fitted.
        means: of the basis' columns over the training rows; they give the average points.
        sample: of the training rows, on the basis: what pairs and single columns share.
        threshold: of the scorecard.
    """
    basis, regression = pipeline["basis"], pipeline["regression"]
    terms = {
        name: basis.named_transformers_[name].terms(regression.coef_[0][where], means[where])
        for name, where in basis.output_indices_.items()
        if where.start < where.stop
    }
    card = Scorecard(
        intercept=float(regression.intercept_[0]),
        threshold=threshold,
        numeric=terms.get("numeric", ()),
        categorical=terms.get("categorical", ()),
        pairs=terms.get("pairs", ()),
    )
    if not card.pairs:
        return card
    where = basis.output_indices_["pairs"]
    cells = basis.named_transformers_["pairs"].cells(means[where], sample[:, where])
    return purified(card, cells)
