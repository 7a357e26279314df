"""The functions that the lasso weighs: ramps of single columns, and their products for pairs.

A ramp is 0 up to a knot, rises to 1 at the next one and stays there: its weight is by how much the
curve climbs between the two, so an L1 penalty on ramps is one on all climbing and falling of a
curve (its total variation). A pair has the products of its columns' ramps, rising and falling: each
raises the risk of one corner of the grid. Levels of a category have a function each. This is the
highly adaptive lasso (Benkeser and van der Laan 2016) with two columns at most and slopes for
steps.

Everything is computed on the positions of the hat basis: a function is a vector of points, one for
each of its block's hats, and a row's value is the row's hats times these points. So whatever is
weighed is again a curve or a grid of points.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.compose import ColumnTransformer

from attrition.model.terms import Axis, KnotAxis

Floats = NDArray[np.float64]
Positions = NDArray[np.intp]

PAIR_SCALE = 0.5


@dataclass(frozen=True)
class Block:
    """The functions of one term, on hats `first` and following of the basis.

    Attributes:
        rows, columns: arrays of shape (positions, functions): points of the functions of the two
            axes. A function of the term is the product of one of each; of a single column `columns`
            is [[1]].
    """

    first: int
    rows: Floats
    columns: Floats
    is_pair: bool = False

    @property
    def hats(self) -> slice:
        """The term's columns of the basis."""
        return slice(self.first, self.first + len(self.rows) * len(self.columns))

    @property
    def count(self) -> int:
        """Number of functions."""
        return int(self.rows.shape[1] * self.columns.shape[1])

    def correlations(self, hats: Floats) -> Floats:
        """Of each function, from those of the hats."""
        grid = hats[self.hats].reshape(len(self.rows), len(self.columns))
        result: Floats = (self.rows.T @ grid @ self.columns).ravel()
        return result

    def points(self, function: int) -> Floats:
        """Of one function, one for each hat."""
        row, column = divmod(function, self.columns.shape[1])
        return np.outer(self.rows[:, row], self.columns[:, column]).ravel()


class Ramps:
    """All functions of a fitted basis.

    Attributes:
        blocks: one a term; the functions are numbered from block to block.
        width: number of the basis' columns.
        scales: of the functions, for the lasso: what two columns say must be surer.
    """

    def __init__(self, basis: ColumnTransformer) -> None:
        self.blocks = list(_blocks(basis))
        self.width = self.blocks[-1].hats.stop if self.blocks else 0
        counts = [block.count for block in self.blocks]
        self.starts = np.cumsum([0, *counts])
        self.scales = np.repeat(
            [PAIR_SCALE if block.is_pair else 1.0 for block in self.blocks], counts
        )

    def points(self, positions: Positions) -> sparse.csc_matrix:
        """Some functions as points of the hats, matrix of shape (width, len(positions))."""
        owners = np.searchsorted(self.starts, positions, side="right") - 1
        indices, values = [], []
        for position, owner in zip(positions.tolist(), owners.tolist(), strict=True):
            block = self.blocks[owner]
            points = block.points(position - int(self.starts[owner]))
            used = np.flatnonzero(points)
            indices.append(used + block.first)
            values.append(points[used])
        sizes = np.cumsum([0, *map(len, indices)])
        if not len(positions):
            return sparse.csc_matrix((self.width, 0))
        return sparse.csc_matrix(
            (np.concatenate(values), np.concatenate(indices), sizes),
            shape=(self.width, len(positions)),
        )


def _blocks(basis: ColumnTransformer) -> Iterator[Block]:
    """In the order of the basis' columns."""
    first, parts, one = 0, basis.named_transformers_, np.ones((1, 1))
    for name in ("numeric", "categorical"):
        if basis.output_indices_[name].start == basis.output_indices_[name].stop:
            continue
        for axis in parts[name].axes_:
            yield Block(first, _climbing(axis), one)
            first += len(axis)
            if isinstance(axis, KnotAxis):  # its "was missing"
                yield Block(first, one, one)
                first += 1
    if basis.output_indices_["pairs"].start < basis.output_indices_["pairs"].stop:
        grids = parts["pairs"]
        for columns in grids.pairs:
            axes = [grids.axes_[column] for column in columns]
            sides = [_climbing(axis, both_ways=True) for axis in axes]
            yield Block(first, sides[0], sides[1], is_pair=True)
            first += len(axes[0]) * len(axes[1])


def _climbing(axis: Axis, both_ways: bool = False) -> Floats:
    """The functions of an axis: ramps that rise, and those that fall; levels each by itself."""
    size = len(axis)
    if not isinstance(axis, KnotAxis):
        return np.eye(size)
    rising = np.tri(size, size - 1, -1)
    return np.hstack([rising, 1.0 - rising]) if both_ways else rising


@dataclass(frozen=True)
class RampsOfRows:
    """The functions' values for rows whose hats are known: what the lasso asks for.

    Attributes:
        ramps: the functions.
        hats: matrix of shape (n_rows, width), the rows on the basis.
    """

    ramps: Ramps
    hats: sparse.csr_matrix

    @cached_property
    def _by_hat(self) -> sparse.csr_matrix:
        return self.hats.T.tocsr()

    def correlations(self, residuals: Floats) -> Floats:
        """Sum over the rows of each function times the residual."""
        of_hats = self._by_hat @ residuals
        return np.concatenate([block.correlations(of_hats) for block in self.ramps.blocks])

    def values(self, positions: Positions) -> Floats:
        """Some functions' values, array of shape (n_rows, len(positions))."""
        result: Floats = (self.hats @ self.ramps.points(positions)).toarray()
        return result
