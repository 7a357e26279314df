"""Purified pairs: what a pair says about one of its columns alone becomes that column's own.

A grid can hold a part that depends on its first column only, one that depends on its second only,
and a constant; the fit decides by chance how much of them. Here they move into the two columns'
curves and into the intercept, and the pair keeps what neither column can say alone (Lengerich, Tan,
Chang, Hooker, Caruana: Purifying interaction effects with the functional ANOVA, 2020). The sum of
all points stays the same for every client, and there is only one such split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from attrition.model.scorecard import Scorecard
from attrition.model.terms import Axis, CategoricalTerm, KnotAxis, LevelAxis, NumericTerm, PairTerm
from attrition.model.transformers import Cells, spread_axis

Floats = NDArray[np.float64]

# Of two columns that are nearly functions of each other nobody can say whose a part is: it stays in
# the pair. Eigenvalue of the additive parts under which that is so; the largest is at most 2.
LEAST_EIGENVALUE = 2e-3

Part = tuple[Axis, Floats]  # points along the axis of a column; their mean over the rows is 0


def purified(card: Scorecard, cells: Sequence[Cells]) -> Scorecard:
    """The same model with pure pairs: the training rows' mean on each line of a grid is 0.

    Args:
        card: the model; each column of a pair has a term of its own.
        cells: of each pair.
    """
    parts: dict[str, list[Part]] = {}
    pairs, intercept = [], card.intercept
    for term, where in zip(card.pairs, cells, strict=True):
        constant, lines, pure = _split(np.asarray(term.points), where)
        intercept += constant
        for column, axis, points in zip(term.columns, term.axes, lines, strict=True):
            parts.setdefault(column, []).append((axis, points))
        pairs.append(_pure(term, pure, where.means.reshape(pure.shape)))
    return replace(
        card,
        intercept=intercept,
        numeric=tuple(_bent(term, parts.get(term.column, [])) for term in card.numeric),
        categorical=tuple(_raised(term, parts.get(term.column, [])) for term in card.categorical),
        pairs=tuple(pairs),
    )


def _pure(term: PairTerm, points: Floats, shares: Floats) -> PairTerm:
    """A pair with other points; `shares` of the rows lie on each of them."""
    means = points @ shares.sum(axis=0), shares.sum(axis=1) @ points
    return replace(
        term,
        points=tuple(tuple(row) for row in points.tolist()),
        average_points=float((shares * points).sum()),
        means=tuple(tuple(each.tolist()) for each in means),
    )


def _split(grid: Floats, cells: Cells) -> tuple[float, tuple[Floats, Floats], Floats]:
    """Constant, parts of the two columns, and what is left of a grid: least squares over rows."""
    rows, columns = grid.shape
    sides = np.hstack([np.eye(rows).repeat(columns, axis=0), np.tile(np.eye(columns), (rows, 1))])
    # In units of the root of each position's rows, a rare position counts no less than others.
    masses = sides.T @ cells.means
    scale = np.divide(1.0, np.sqrt(masses), out=np.zeros_like(masses), where=masses > 0.0)
    places = cells.rows @ sparse.csr_matrix(sides)
    products = (places.T @ places).toarray() / places.shape[0]
    values, vectors = np.linalg.eigh(scale[:, None] * products * scale)
    kept = values > LEAST_EIGENVALUE
    aims = places.T @ (cells.rows @ grid.ravel()) / places.shape[0]
    both = scale * (vectors[:, kept] @ (vectors[:, kept].T @ (scale * aims) / values[kept]))
    first = both[:rows] - masses[:rows] @ both[:rows]
    second = both[rows:] - masses[rows:] @ both[rows:]
    constant = float(cells.means @ grid.ravel())
    return constant, (first, second), grid - constant - first[:, None] - second


def _bent(term: NumericTerm, parts: Sequence[Part]) -> NumericTerm:
    """A curve with the parts of its column's pairs added; their knots become its own."""
    axes = [term.axis, *(axis for axis, _ in parts if isinstance(axis, KnotAxis))]
    axis = spread_axis(np.unique([knot for one in axes for knot in one.knots]), axes[0].usual_value)
    points, missing = np.interp(axis.knots, term.axis.knots, term.points), term.missing_points
    for other, added in parts:
        assert isinstance(other, KnotAxis)
        points += np.interp(axis.knots, other.knots, added)
        missing += float(np.interp(other.usual_value, other.knots, added))
    return replace(term, axis=axis, points=tuple(points.tolist()), missing_points=missing)


def _raised(term: CategoricalTerm, parts: Sequence[Part]) -> CategoricalTerm:
    """Levels with the parts of their column's pairs added; a pair's rare level becomes one."""
    axes = [term.axis, *(axis for axis, _ in parts if isinstance(axis, LevelAxis))]
    axis = LevelAxis(tuple(dict.fromkeys(level for one in axes for level in one.levels)))
    points = np.asarray(term.points)[_positions(term.axis, axis)]
    for other, added in parts:
        assert isinstance(other, LevelAxis)
        points += added[_positions(other, axis)]
    return replace(term, axis=axis, points=tuple(points.tolist()))


def _positions(axis: LevelAxis, of: LevelAxis) -> list[int]:
    """Where the levels of another axis, and its pool, stand on an axis."""
    return [*(axis.place(level).lower for level in of.levels), len(axis) - 1]
