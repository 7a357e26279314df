"""The model: logistic regression over ramps and hinges of one and two columns, as a scorecard.

    1. Each column and each pair of columns gets a hat basis (attrition/model/basis.py), the finer
       the more rows there are, with ramps and hinges over it (attrition/model/ramps.py).
    2. An L1 penalty selects those that are worth it (attrition/model/learner.py): every pair is
       looked at again at each step. Its strength, and whether what was selected is weighed again,
       have the lowest cross-validated log loss (attrition/model/selection.py).
    3. The threshold has the highest F1 that the out-of-fold probabilities let expect. Many rows are
       represented by a stratified sample up to here.
    4. The selected functions are fitted to all rows and exported as a scorecard, its pairs purified
       (attrition/model/purification.py).

Rows are not weighted by label, so probabilities stay calibrated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from operator import add
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from attrition.core.errors import NotEnoughData
from attrition.model import lasso
from attrition.model.bands import with_errors
from attrition.model.basis import Columns, Floats, Labels, as_pipeline, export, mean_hats, on_basis
from attrition.model.lasso import Solution, Sums
from attrition.model.learner import Learner, copies
from attrition.model.metrics import Minimum, undefined_reason
from attrition.model.scorecard import Scorecard
from attrition.model.selection import (
    FOLDS,
    Selection,
    at_once,
    best_threshold,
    choose,
    client_codes,
    one_thread,
    selection_rows,
)

# Raised whenever equal rows would give another model: deployed models are then retrained.
RECIPE = 9

CHUNK_ROWS = 20_000  # of which the functions are written out at a time

PartSums = Callable[[pd.DataFrame, Labels], Floats]  # sums over some rows, by features and labels


@dataclass(frozen=True)
class FittedModel:
    """The final model in its two forms, and how it was selected.

    Attributes:
        pipeline: the scikit-learn pipeline; takes a DataFrame of the feature columns.
        scorecard: the same model.
        selection: the settings that cross-validation selected, with out-of-fold probabilities.
        seed: of the folds.
        columns: which are numeric, which categorical.
        copies: columns without points, since another says the same -> that one.
        free: what would have been selected without `Columns.monotone`; None where that is empty.
    """

    pipeline: Pipeline
    scorecard: Scorecard
    selection: Selection
    seed: int
    columns: Columns
    copies: Mapping[str, str] = field(default_factory=dict)
    free: Selection | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The selected settings and those tried, as plain values for JSON."""
        return {
            "penalty": self.selection.penalty,
            "adapted": self.selection.is_adapted,
            "copies": dict(self.copies),
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
    card = with_errors(card, selection.cards)
    copied = copies(chosen[0], columns)
    return FittedModel(pipeline, card, selection, seed, columns, copied, free)


def check_enough(rows: int, positives: int, minimum: Minimum) -> None:
    """Refuse to train on too few rows.

    Raises:
        NotEnoughData: too few rows, or too few of the rarer label.
    """
    least = Minimum(minimum.rows, max(minimum.rarer_label, 2))  # each fold needs both labels
    if reason := undefined_reason(rows, positives, least):
        more = f", that is {least.rows - rows:,} more" if rows < least.rows else ""
        raise NotEnoughData(f"no model can be trained: {reason}{more}")


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
    codes = client_codes(
        None if clients is None else np.asarray(clients)[positions], len(positions)
    )
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
    solution = learner.fit(selection.penalty_for(len(labels)), is_adapted=selection.is_adapted)
    basis, kept = learner.reduced(solution)
    hats = learner.rows.hats[:, kept]
    means = mean_hats(hats)
    if len(labels) < rows.count:
        functions = Functions(basis, learner.ramps.points(solution.positions)[kept])
        penalty = selection.penalty_for(rows.count)
        solution = functions.refined(rows, replace(solution, penalty=penalty))
        means = rows.total(functions.sums_of_hats) / rows.count
    pipeline = as_pipeline(basis, learner.points(solution)[kept], solution.intercept)
    card = export(pipeline, means, hats)
    return pipeline, replace(card, threshold=selection.threshold)
