"""The basis of the model, hats of columns and of pairs, and the scorecard of their points.

Every piecewise-linear curve and every bilinear map is a weighted sum of hats, whose values for the
rows are a sparse matrix (attrition/model/transformers.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from attrition.model.purification import purified
from attrition.model.scorecard import Scorecard
from attrition.model.transformers import CategoryLevels, NumericHats, PairGrids

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]
Pairs = tuple[tuple[str, str], ...]


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


def mean_hats(hats: sparse.csr_matrix) -> Floats:
    """Means over rows on a basis, array of shape (n_hats,)."""
    return np.asarray(hats.sum(axis=0)).ravel() / hats.shape[0]


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
