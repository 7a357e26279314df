"""The model: logistic regression over ramps of one and two columns, as a scorecard.

    1. Each column and each pair of columns gets a hat basis (attrition/model/transformers.py), the
       finer the more rows there are, and ramps over it (attrition/model/ramps.py).
    2. An L1 penalty selects the ramps that are worth it (attrition/model/lasso.py): every pair is
       looked at again at each step. Its strength, and whether what was selected is weighed again,
       have the lowest cross-validated log loss.
    3. The threshold has the highest F1 that the out-of-fold probabilities let expect. Many rows are
       represented by a stratified sample up to here.
    4. The selected ramps are fitted to all rows and exported as a scorecard, its pairs purified
       (attrition/model/purification.py).

Rows are not weighted by label, so probabilities stay calibrated. All rows of a client are in one
fold: a client that is known from another row is not unseen.
"""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial, reduce
from operator import add
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from attrition.core.errors import NotEnoughData
from attrition.model import lasso
from attrition.model.bands import with_errors
from attrition.model.lasso import Solution, Sums
from attrition.model.metrics import Minimum, log_losses, undefined_reason
from attrition.model.purification import purified
from attrition.model.ramps import Ramps, RampsOfRows
from attrition.model.scorecard import Scorecard, logistic
from attrition.model.terms import Axis
from attrition.model.transformers import CategoryLevels, NumericHats, PairGrids

# Raised whenever equal rows would give another model: deployed models are then retrained.
RECIPE = 6

# Of the lasso, in nats a row: from one that few rows of noise cannot pass.
PENALTIES = tuple(np.geomspace(0.1, 0.00012, 13).tolist())
RISE = 0.001  # nats above the lowest loss at which no lower penalty is tried
MOST_PAIRS = 250  # more pairs than this are ranked first,
COARSE = 5  # on grids of so many knots a side
FOLDS = 5
SAMPLE_ROWS = 20_000
CHUNK_ROWS = 20_000  # of which the functions are written out at a time

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]
Pairs = tuple[tuple[str, str], ...]
Tried = tuple[float, bool]  # a penalty, and whether the functions are weighed again
PartSums = Callable[[pd.DataFrame, Labels], Floats]  # sums over some rows, by features and labels


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread of BLAS for each of ours.

    Its own would wait for each other, ten times as long as the work takes where other processes
    want the cores, too. That a step of the lasso ends early is no news: the next one goes on.
    """
    with threadpool_limits(1, "blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def at_once() -> ThreadPoolExecutor:
    """As many threads as there are cores: each fold takes memory, and more would gain no time."""
    return ThreadPoolExecutor(min(FOLDS, os.cpu_count() or 1))


@dataclass(frozen=True)
class Columns:
    """The numeric and the categorical feature columns.

    Attributes:
        monotone: numeric column -> 1 where the risk must not fall along it, -1 where not rise.
    """

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    monotone: Mapping[str, int] = field(default_factory=dict)

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

    penalty: float
    is_adapted: bool
    threshold: float
    labels: Labels
    probabilities: Floats
    tried: tuple[tuple[float, bool, float], ...]  # penalty, adapted or not, log loss
    cards: tuple[Scorecard, ...]  # of the folds
    clients: NDArray[np.intp] | None = None  # the rows' clients as codes


@dataclass(frozen=True)
class FittedModel:
    """The final model in its two forms, and how it was selected.

    Attributes:
        pipeline: the scikit-learn pipeline; takes a DataFrame of the feature columns.
        scorecard: the same model.
        selection: the settings that cross-validation selected, with out-of-fold probabilities.
        seed: of the folds.
        columns: which are numeric, which categorical.
        free: what would have been selected without `Columns.monotone`; None where that is empty.
    """

    pipeline: Pipeline
    scorecard: Scorecard
    selection: Selection
    seed: int
    columns: Columns
    free: Selection | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The selected settings and those tried, as plain values for JSON."""
        return {
            "penalty": self.selection.penalty,
            "adapted": self.selection.is_adapted,
            "pairs": [list(term.columns) for term in self.scorecard.pairs],
            "cross_validated_rows": len(self.selection.labels),
            "tried": [
                {"penalty": penalty, "adapted": is_adapted, "log_loss": loss}
                for penalty, is_adapted, loss in self.selection.tried
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
    monotone: Mapping[str, int] | None = None,
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
        monotone: as for `Columns`.

    Raises:
        NotEnoughData: too few rows, or too few of the rarer label.
    """
    truth = np.asarray(labels).astype(np.int8)
    check_enough(len(truth), int(truth.sum()), minimum)
    columns = Columns(tuple(numeric), tuple(categorical), monotone or {})
    rows = RowsInMemory(features, truth)
    return fit_rows(rows, features, truth, columns, seed=seed, clients=clients)


def fit_rows(
    rows: TrainingRows,
    features: pd.DataFrame,
    labels: Labels,
    columns: Columns,
    *,
    seed: int,
    clients: ArrayLike | None = None,
) -> FittedModel:
    """Select and fit the model, wherever the rows are.

    Args:
        rows: all training rows.
        features, labels, clients: of all or many of them, to take the sample for the selection
            from; as for `fit`.
        columns: which are numeric, which categorical.
        seed: of the sample and the folds.
    """
    selection, sample = choose(features, labels, columns, seed, clients)
    chosen = features.iloc[sample], labels[sample]
    pipeline, card = fit_to_all(rows, *chosen, columns, selection)
    free = None
    if columns.monotone:
        free, _ = choose(features, labels, replace(columns, monotone={}), seed, clients)
    return FittedModel(pipeline, with_errors(card, selection.cards), selection, seed, columns, free)


def check_enough(rows: int, positives: int, minimum: Minimum) -> None:
    """Refuse to train on too few rows.

    Raises:
        NotEnoughData: too few rows, or too few of the rarer label.
    """
    least = Minimum(minimum.rows, max(minimum.rarer_label, 2))  # each fold needs both labels
    if reason := undefined_reason(rows, positives, least):
        raise NotEnoughData(f"no model can be trained: {reason}")


@one_thread()
def choose(
    features: pd.DataFrame,
    labels: Labels,
    columns: Columns,
    seed: int,
    clients: ArrayLike | None = None,
) -> tuple[Selection, NDArray[np.intp]]:
    """Select penalty and threshold on a sample; also return the sample's positions."""
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

    def predict(part: NDArray[np.intp]) -> None:
        fold = positions[np.isin(codes, part)]
        seen = np.ones(len(truth), dtype=bool)
        seen[fold] = False
        known, sample = truth[seen], selection_rows(truth[seen], fitted.seed)
        pipeline, _ = fit_selected(features[seen], known, fitted.columns, fitted.selection, sample)
        result[fold] = pipeline.predict_proba(features.iloc[fold])[:, 1]

    with one_thread(), at_once() as threads:
        list(threads.map(predict, filter(len, np.array_split(shuffled, FOLDS))))
    return result[positions]


def knot_counts(rows: int) -> tuple[int, int]:
    """Knots of a curve and of each side of a grid: the more rows, the finer.

    The cube root is the rate at which steps of a regression should shrink (Wasserman 2006).
    """
    side = min(max(round(rows ** (1 / 3)), 4), 32)
    return 2 * side, side


def make_basis(columns: Columns, pairs: Pairs, rows: int) -> ColumnTransformer:
    """The transformer from feature columns to the sparse matrix of their hats.

    Args:
        rows: their number, on which it depends how fine the basis is.
    """
    knots, side = knot_counts(rows)
    return ColumnTransformer(
        [
            ("numeric", NumericHats(knots), list(columns.numeric)),
            ("categorical", CategoryLevels(), list(columns.categorical)),
            ("pairs", PairGrids(pairs, columns.numeric, side), columns.all if pairs else []),
        ],
        sparse_threshold=1.0,
        verbose_feature_names_out=False,
    )


def on_basis(basis: ColumnTransformer, features: pd.DataFrame) -> sparse.csr_matrix:
    """Rows on a fitted basis, matrix of shape (n_rows, n_hats)."""
    return sparse.csr_matrix(basis.transform(features[basis.feature_names_in_]))


def select(
    features: pd.DataFrame,
    labels: Labels,
    columns: Columns,
    seed: int,
    clients: NDArray[np.intp] | None = None,
) -> Selection:
    """Select penalty and threshold by cross-validation; `clients` are codes."""
    with at_once() as threads:
        folds = list(
            threads.map(
                lambda part: Fold.prepare(features, labels, columns, *part),
                _folds(labels, clients, seed),
            )
        )
        predictions: dict[Tried, Floats] = {}
        losses: dict[Tried, float] = {}
        for penalty in PENALTIES:
            list(threads.map(Fold.go_on, folds))
            for tried in ((penalty, False), (penalty, True)):
                predictions[tried] = np.empty(len(labels))
                for fold in folds:
                    predictions[tried][fold.test] = fold.answers(tried)
                losses[tried] = float(log_losses(labels, predictions[tried]).mean())
            best = min(losses, key=losses.__getitem__)
            if min(losses[penalty, False], losses[penalty, True]) > losses[best] + RISE:
                break  # a lower one would fit noise
        cards = threads.map(lambda fold: fold.card(best), folds)
    return Selection(
        penalty=best[0],
        is_adapted=best[1],
        threshold=best_threshold(predictions[best]),
        labels=labels,
        probabilities=predictions[best],
        tried=tuple((*tried, loss) for tried, loss in losses.items()),
        cards=tuple(cards),
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


@dataclass
class Fold:
    """One fold: what is learnt from its training rows, and the answers for its test rows.

    Attributes:
        test: positions of the test rows.
        hats: these rows on the basis.
        learner: of the training rows.
        solutions: those found so far.
    """

    test: NDArray[np.intp]
    hats: sparse.csr_matrix
    learner: Learner
    solutions: dict[Tried, Solution] = field(default_factory=dict)

    @classmethod
    def prepare(
        cls,
        features: pd.DataFrame,
        labels: Labels,
        columns: Columns,
        train: NDArray[np.intp],
        test: NDArray[np.intp],
    ) -> Fold:
        """Expand the rows; whatever is learnt, is learnt from the fold's own training rows."""
        learner = Learner.of(features.iloc[train], labels[train], columns)
        return cls(test, on_basis(learner.basis, features.iloc[test]), learner)

    @cached_property
    def _path(self) -> Iterator[tuple[Solution, Solution]]:
        return self.learner.path(PENALTIES)

    def go_on(self) -> None:
        """Find the solutions of the next penalty."""
        plain, adapted = next(self._path)
        self.solutions |= {(plain.penalty, False): plain, (plain.penalty, True): adapted}

    def answers(self, tried: Tried) -> Floats:
        """Probabilities of the test rows."""
        return self.learner.probabilities(self.hats, self.solutions[tried])

    def card(self, tried: Tried) -> Scorecard:
        """The model of the training rows."""
        learner, solution = self.learner, self.solutions[tried]
        basis, kept = learner.reduced(solution)
        hats = learner.rows.hats[:, kept]
        pipeline = as_pipeline(basis, learner.points(solution)[kept], solution.intercept)
        return export(pipeline, mean_hats(hats), hats)


@dataclass(frozen=True)
class Learner:
    """Fits rows by the lasso.

    Attributes:
        basis: the hats of all columns and pairs, fitted.
        ramps: the functions on them.
        rows: the training rows' functions.
        labels: the training rows', array of shape (n_rows,).
    """

    basis: ColumnTransformer
    ramps: Ramps
    rows: RampsOfRows
    labels: Floats

    @classmethod
    def of(
        cls, features: pd.DataFrame, labels: Labels, columns: Columns, pairs: Pairs | None = None
    ) -> Learner:
        """A learner for some rows, by default with the candidate pairs of these."""
        if pairs is None:
            pairs = candidate_pairs(features, labels, columns)
        basis = make_basis(columns, pairs, len(features))
        hats = sparse.csr_matrix(basis.fit_transform(features[columns.all]))
        ramps = Ramps(basis, columns.monotone)
        return cls(basis, ramps, RampsOfRows(ramps, hats), labels.astype(np.float64))

    def path(self, penalties: Sequence[float]) -> Iterator[tuple[Solution, Solution]]:
        """Solutions by the lasso and by the adapted lasso, penalty by penalty."""
        return lasso.path(self.rows, self.labels, penalties)

    def points(self, solution: Solution) -> Floats:
        """A solution as points of the hats, array of shape (n_columns,)."""
        result: Floats = self.ramps.points(solution.positions) @ solution.weights
        return result

    def probabilities(self, hats: sparse.csr_matrix, solution: Solution) -> Floats:
        """Of rows on the basis, array of shape (n_rows,)."""
        return logistic(hats @ self.points(solution) + solution.intercept)

    def reduced(self, solution: Solution) -> tuple[ColumnTransformer, NDArray[np.bool_]]:
        """The basis with only the pairs that have points, and which of its columns these are."""
        has_points = self.points(solution) != 0.0
        basis = copy.deepcopy(self.basis)
        where = basis.output_indices_["pairs"]
        kept = np.ones(len(has_points), dtype=bool)
        if where.start == where.stop:
            return basis, kept
        grids, pairs, start = basis.named_transformers_["pairs"], [], where.start
        for pair, size in zip(grids.pairs, grids.sizes(), strict=True):
            used = bool(has_points[start : start + size].any())
            kept[start : start + size] = used
            pairs += [pair] if used else []
            start += size
        grids.pairs = tuple(pairs)
        basis.output_indices_["pairs"] = slice(where.start, where.start + sum(grids.sizes()))
        if not pairs:  # scikit-learn leaves out a part only where it has no columns to read
            basis.transformers_ = [
                (name, part, [] if part is grids else columns)
                for name, part, columns in basis.transformers_
            ]
        return basis, kept

    def fit(self, selection: Selection) -> Solution:
        """The solution with the selected settings."""
        penalties = [one for one in PENALTIES if one > selection.penalty] + [selection.penalty]
        return lasso.last(self.rows, self.labels, penalties, is_adapted=selection.is_adapted)


def candidate_pairs(features: pd.DataFrame, labels: Labels, columns: Columns) -> Pairs:
    """The pairs of columns that are looked at: all, or the best of very many."""
    names = columns.all
    pairs = [(names[i], names[j]) for j in range(len(names)) for i in range(j)]
    if len(pairs) <= MOST_PAIRS:
        return tuple(pairs)
    return rank_pairs(features, labels, columns)[:MOST_PAIRS]


def rank_pairs(features: pd.DataFrame, labels: Labels, columns: Columns) -> Pairs:
    """Pairs of columns that would explain more than their single columns, best first.

    The gain of a pair is the score statistic of its grid against the residual of the regression
    without pairs, sum(gradient^2 / curvature) over the cells, minus its degrees of freedom
    (Rao 1948, with separate cells). Two matrix products compute all cells of all pairs.
    """
    singles = Learner.of(features, labels, columns, ())
    middle = PENALTIES[: len(PENALTIES) // 2 + 1]
    solution = lasso.last(singles.rows, singles.labels, middle, is_adapted=False)
    probability = singles.probabilities(singles.rows.hats, solution)
    grids = PairGrids([(column, column) for column in columns.all], columns.numeric, COARSE).fit(
        features
    )
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


class TrainingRows(Protocol):
    """All training rows, in memory or on a cluster."""

    @property
    def count(self) -> int:
        """Their number."""

    def total(self, of_part: PartSums) -> Floats:
        """The sums over all rows, array of the shape that `of_part` gives for some of them."""


@dataclass(frozen=True)
class RowsInMemory:
    """Training rows of this process."""

    features: pd.DataFrame
    labels: Labels

    @property
    def count(self) -> int:
        return len(self.labels)

    def total(self, of_part: PartSums) -> Floats:
        def chunk(start: int) -> Floats:
            rows = slice(start, start + CHUNK_ROWS)
            return of_part(self.features.iloc[rows], self.labels[rows])

        with at_once() as threads:
            return reduce(add, threads.map(chunk, range(0, self.count, CHUNK_ROWS)))


@dataclass(frozen=True)
class Functions:
    """The functions that a model weighs.

    Attributes:
        basis: the hats, fitted.
        points: of the functions, matrix of shape (n_hats, n_functions).
    """

    basis: ColumnTransformer
    points: sparse.csc_matrix

    def hats(self, features: pd.DataFrame) -> sparse.csr_matrix:
        """Rows on the basis."""
        return on_basis(self.basis, features)

    def sums_of_hats(self, features: pd.DataFrame, labels: Labels) -> Floats:
        """Over some rows, array of shape (n_hats,)."""
        return np.ones(len(labels)) @ self.hats(features)

    def sums(self, features: pd.DataFrame, labels: Labels, *, solution: Solution) -> Floats:
        """What the lasso asks of some rows at a solution, as `Sums.numbers`."""
        values = (self.hats(features) @ self.points).toarray()
        return lasso.sums(values, labels.astype(np.float64), solution).numbers()

    def refined(self, rows: TrainingRows, solution: Solution) -> Solution:
        """The solution for all rows, from one for a sample of them."""

        def sums_at(at: Solution) -> Sums:
            return Sums.of(rows.total(partial(self.sums, solution=at)), len(at.weights))

        return lasso.refined(sums_at, solution)


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
        selection: penalty and threshold.
        sample: positions of the rows used for the selection.
    """
    rows = RowsInMemory(features, labels)
    return fit_to_all(rows, features.iloc[sample], labels[sample], columns, selection)


@one_thread()
def fit_to_all(
    rows: TrainingRows,
    features: pd.DataFrame,
    labels: Labels,
    columns: Columns,
    selection: Selection,
) -> tuple[Pipeline, Scorecard]:
    """Select the functions by a sample, weigh them by all rows, and export the scorecard.

    Args:
        rows: all training rows.
        features, labels, columns: the rows used for the selection, all or a sample.
        selection: penalty and threshold.
    """
    learner = Learner.of(features, labels, columns)
    solution = learner.fit(selection)
    basis, kept = learner.reduced(solution)
    hats = learner.rows.hats[:, kept]
    means = mean_hats(hats)
    if len(labels) < rows.count:
        functions = Functions(basis, learner.ramps.points(solution.positions)[kept])
        # Surer with more rows, it is shrunk less: by the root, as an estimate's error.
        penalty = solution.penalty * (len(labels) / rows.count) ** 0.5
        solution = functions.refined(rows, replace(solution, penalty=penalty))
        means = rows.total(functions.sums_of_hats) / rows.count
    pipeline = as_pipeline(basis, learner.points(solution)[kept], solution.intercept)
    card = export(pipeline, means, hats)
    return pipeline, replace(card, threshold=selection.threshold)


def mean_hats(hats: sparse.csr_matrix) -> Floats:
    """Means over rows on a basis, array of shape (n_hats,)."""
    return np.asarray(hats.mean(axis=0)).ravel()


def as_pipeline(basis: ColumnTransformer, points: Floats, intercept: float) -> Pipeline:
    """The scikit-learn pipeline of a fitted basis and the points of its hats."""
    regression = LogisticRegression()
    regression.classes_ = np.array([0, 1], dtype=np.int8)
    regression.coef_, regression.intercept_ = points[None, :], np.array([intercept])
    regression.n_features_in_ = len(points)
    return Pipeline([("basis", basis), ("regression", regression)])


def export(pipeline: Pipeline, means: Floats, sample: sparse.csr_matrix) -> Scorecard:
    """The scorecard that equals a fitted pipeline, with purified pairs, and a threshold of .5.

    Args:
        pipeline: basis and regression, fitted.
        means: of the basis' columns over the training rows; they give the average points.
        sample: of the training rows, on the basis: what pairs and single columns share.
    """
    basis, regression = pipeline["basis"], pipeline["regression"]
    terms = {
        name: basis.named_transformers_[name].terms(regression.coef_[0][where], means[where])
        for name, where in basis.output_indices_.items()
        if where.start < where.stop
    }
    card = Scorecard(
        intercept=float(regression.intercept_[0]),
        threshold=0.5,
        numeric=terms.get("numeric", ()),
        categorical=terms.get("categorical", ()),
        pairs=terms.get("pairs", ()),
    )
    if not card.pairs:
        return card
    where = basis.output_indices_["pairs"]
    cells = basis.named_transformers_["pairs"].cells(means[where], sample[:, where])
    return purified(card, cells)
