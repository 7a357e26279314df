"""The settings of the model, selected by cross-validation on a sample of the rows.

All rows of a client are in one fold: a client that is known from another row is not unseen.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold, train_test_split
from threadpoolctl import threadpool_limits

from attrition.model.basis import Columns, Floats, Labels, as_pipeline, export, mean_hats, on_basis
from attrition.model.lasso import Solution
from attrition.model.learner import PENALTIES, Learner
from attrition.model.metrics import log_losses
from attrition.model.scorecard import Scorecard

RISE = 0.001  # nats above the lowest loss at which no lower penalty is tried
FOLDS = 5
SAMPLE_ROWS = 20_000

Tried = tuple[float, bool]  # a penalty, and whether the functions are weighed again


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
class Selection:
    """The settings that cross-validation selected.

    `labels`, `probabilities` and `clients` belong to the rows used for the selection: each row's
    probability comes from a model with these settings that was not fitted to the row. The
    penalty is best for `learnt_rows`, as many as each of these models was fitted to.
    """

    penalty: float
    is_adapted: bool
    threshold: float
    labels: Labels
    probabilities: Floats
    tried: tuple[tuple[float, bool, float], ...]  # penalty, adapted or not, log loss
    cards: tuple[Scorecard, ...]  # of the folds
    learnt_rows: float
    clients: NDArray[np.intp] | None = None  # the rows' clients as codes

    def penalty_for(self, rows: int) -> float:
        """The penalty for so many rows: surer with more, a weight is shrunk less.

        It falls by the root of their number, as the error of an estimate does.
        """
        return self.penalty * math.sqrt(self.learnt_rows / rows)


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
    codes = client_codes(clients, len(labels))[sample]
    return select(features.iloc[sample], labels[sample], columns, seed, codes), sample


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
        learnt_rows=float(np.mean([len(fold.learner.labels) for fold in folds])),
        clients=clients,
    )


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


def client_codes(clients: ArrayLike | None, rows: int) -> NDArray[np.intp]:
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
