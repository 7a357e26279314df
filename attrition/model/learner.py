"""What some rows teach: functions of their columns, selected and weighed by the lasso."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from sklearn.compose import ColumnTransformer

from attrition.model import lasso
from attrition.model.basis import Columns, Floats, Labels, Pairs, make_basis
from attrition.model.lasso import Solution
from attrition.model.ramps import Ramps, RampsOfRows
from attrition.model.scorecard import logistic
from attrition.model.terms import MOST_PAIRS, Axis
from attrition.model.transformers import PairGrids

# Of the lasso, in nats a row: from one that few rows of noise cannot pass.
PENALTIES = tuple(np.geomspace(0.1, 0.00012, 13).tolist())
SAME = 0.9999  # correlation of ranks from which on two columns say the same
COARSE = 5  # knots a side of the grids by which pairs are ranked


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
        copied = copies(features, columns)
        if pairs is None:
            pairs = candidate_pairs(features, labels, columns, copied)
        basis = make_basis(columns, pairs, len(features))
        hats = sparse.csr_matrix(basis.fit_transform(features[columns.all]))
        ramps = Ramps(basis, hats, columns.monotone, copied)
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

    def fit(self, penalty: float, *, is_adapted: bool) -> Solution:
        """The solution for a penalty, reached through heavier ones."""
        penalties = [one for one in PENALTIES if one > penalty] + [penalty]
        return lasso.last(self.rows, self.labels, penalties, is_adapted=is_adapted)


def copies(features: pd.DataFrame, columns: Columns) -> dict[str, str]:
    """Columns that say the same as one before them -> that one.

    So are numbers in the same order, whatever their unit, and levels of other names. Which of the
    two would get the points were chance. A column of which a direction is asked is no copy.
    """
    found: dict[str, str] = {}
    numeric, categorical = list(columns.numeric), list(columns.categorical)
    ranks = features[numeric].rank().fillna(0.0).to_numpy()
    ranks = ranks - ranks.mean(axis=0)
    sizes = np.sqrt((ranks**2).sum(axis=0))
    limits = SAME * np.outer(sizes, sizes)
    alike = (np.abs(ranks.T @ ranks) >= limits) & (limits > 0.0)
    for second, first in zip(*np.nonzero(np.tril(alike, -1)), strict=True):
        if numeric[first] not in found:
            found.setdefault(numeric[second], numeric[first])
    by_codes: dict[bytes, str] = {}
    for column in categorical:
        codes, levels = pd.factorize(features[column])
        first_one = by_codes.setdefault(codes.tobytes(), column)
        if first_one != column and len(levels) > 1:
            found[column] = first_one
    return {column: first for column, first in found.items() if column not in columns.monotone}


def candidate_pairs(
    features: pd.DataFrame, labels: Labels, columns: Columns, copied: Mapping[str, str]
) -> Pairs:
    """The pairs of columns that are looked at: all, or the best of very many; none of a copy."""
    names = [column for column in columns.all if column not in copied]
    pairs = [(names[i], names[j]) for j in range(len(names)) for i in range(j)]
    if len(pairs) <= MOST_PAIRS:
        return tuple(pairs)
    ranked = rank_pairs(features, labels, columns)
    return tuple(pair for pair in ranked if not copied.keys() & pair)[:MOST_PAIRS]


def rank_pairs(features: pd.DataFrame, labels: Labels, columns: Columns) -> Pairs:
    """Pairs of columns that would explain more than their single columns, best first.

    The gain of a pair is the score statistic of its grid against the residual of the regression
    without pairs, sum(gradient^2 / curvature) over the cells, minus its degrees of freedom
    (Rao 1948, with separate cells). Two matrix products compute all cells of all pairs.
    """
    singles = Learner.of(features, labels, columns, ())
    solution = singles.fit(PENALTIES[len(PENALTIES) // 2], is_adapted=False)
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
