"""The functions that the lasso weighs: ramps of single columns, and their products for pairs.

A ramp is 0 up to a knot, rises to 1 at the next one and stays there: its weight is by how much the
curve climbs between the two, so an L1 penalty on ramps is one on all climbing and falling of a
curve (its total variation). A hinge is 0 up to a knot and rises evenly to the end, or falls so
from the other end to 0. At the same price it climbs SLOPE times as far: so a curve bends where it
can and jumps where it must. Of a long curve it leaves the last ENDS intervals to the ramps: so
what is known of many rows says nothing of the few at the very end.

A pair has the products of its columns' functions, rising and falling: each raises the risk of one
corner of the grid. They climb half as far at the same price: of so many some fit noise, the more
easily the fewer rows there are. Levels of a category have a function each. What sets fewer than
LEAST_ROWS rows apart is no function: of so few nothing is known. This is the highly adaptive lasso
(Benkeser and van der Laan 2016) with two columns at most, slopes for steps, and the hinges of
Friedman's multivariate adaptive regression splines (1991) beside them.

Everything is computed on the positions of the hat basis: a function is a vector of points, one for
each of its block's hats, and a row's value is the row's hats times these points. So whatever is
weighed is again a curve or a grid of points.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.compose import ColumnTransformer

from attrition.model.terms import Axis, KnotAxis

Floats = NDArray[np.float64]
Positions = NDArray[np.intp]
Signs = NDArray[np.int8]
Places = tuple[Positions, Floats]  # of rows along an axis: lower position, share of the way on

LEAST_ROWS = 10
SLOPE = 2.0  # how far a hinge climbs at the price of a ramp
PAIR = 0.5  # how far a product of two ramps climbs at the price of one
LONG, ENDS = 12, 3  # a curve of more positions has hinges that are flat along so many intervals


@dataclass(frozen=True, eq=False)
class Side:
    """The functions of one axis; all pairs of a column share one object.

    Attributes:
        points: array of shape (positions, functions).
        signs: array of shape (functions,); 1: a weight below 0 would break the direction that was
            asked of the column, -1: one above 0 would, 0: none would.
    """

    points: Floats
    signs: Signs

    def supported(self, rows: Floats, count: float) -> Side:
        """Without the functions that are the same for nearly all rows.

        Args:
            rows: how many rows each position has, array of shape (positions,).
            count: number of all rows.
        """
        sums = rows @ (self.points / self.points.max(axis=0))
        kept = (sums >= LEAST_ROWS) & (sums <= count - LEAST_ROWS)
        return Side(self.points[:, kept], self.signs[kept])

    def silent(self) -> Side:
        """Without any function."""
        return Side(self.points[:, :0], self.signs[:0])

    @cached_property
    def climbs(self) -> Floats:
        """From each position to the next one, array of the shape of `points`."""
        return np.diff(self.points, axis=0, append=self.points[-1:])


ONE = Side(np.ones((1, 1)), np.zeros(1, dtype=np.int8))


@dataclass(frozen=True)
class Block:
    """The functions of one term, on hats `first` and following of the basis.

    A function of the term is the product of a function of each side; of a single column `columns`
    is ONE. Products that no weight but 0 would let rise and fall as asked are left out.
    """

    first: int
    rows: Side
    columns: Side

    @cached_property
    def allowed(self) -> Positions:
        """Which products are functions."""
        return np.flatnonzero(np.multiply.outer(self.rows.signs, self.columns.signs) >= 0)

    @cached_property
    def signs(self) -> Signs:
        """Of the functions' weights; see `Side`."""
        both = np.add.outer(self.rows.signs, self.columns.signs).ravel()[self.allowed]
        return np.sign(both).astype(np.int8)

    @property
    def hats(self) -> slice:
        """The term's columns of the basis."""
        return slice(self.first, self.first + len(self.rows.points) * len(self.columns.points))

    def correlations(self, hats: Floats) -> Floats:
        """Of each function, from those of the hats."""
        rows, columns = self.rows.points, self.columns.points
        grid = hats[self.hats].reshape(len(rows), len(columns))
        products: Floats = (rows.T @ grid @ columns).ravel()
        return products if len(self.allowed) == len(products) else products[self.allowed]

    def factors(self, function: int) -> tuple[int, int]:
        """The functions of both sides whose product a function is."""
        row, column = divmod(int(self.allowed[function]), self.columns.points.shape[1])
        return row, column

    def points(self, function: int) -> Floats:
        """Of one function, one for each hat."""
        row, column = self.factors(function)
        return np.outer(self.rows.points[:, row], self.columns.points[:, column]).ravel()

    def places(self, by_hat: sparse.csr_matrix) -> Floats:
        """Where rows lie along both axes, array of shape (2, n_rows).

        The hats of a row add up to 1, and their mean position is the row's place.

        Args:
            by_hat: matrix of shape (width, n_rows), the rows on the basis.
        """
        positions = np.indices((len(self.rows.points), len(self.columns.points)), np.float64)
        places: Floats = positions.reshape(2, -1) @ by_hat[self.hats]
        return places


class Ramps:
    """All functions of a fitted basis.

    Attributes:
        blocks: one a term; the functions are numbered from block to block.
        width: number of the basis' columns.
        signs: of the functions' weights, array of shape (n_functions,); see `Side`.
    """

    def __init__(
        self,
        basis: ColumnTransformer,
        hats: sparse.csr_matrix,
        monotone: Mapping[str, int],
        silent: Collection[str] = (),
    ) -> None:
        """Find the functions.

        Args:
            basis: fitted.
            hats: the rows on it.
            monotone: column -> 1 where the risk must not fall along it, -1 where not rise.
            silent: columns that have no functions; none of the pairs has one of them.
        """
        sums = np.asarray(hats.sum(axis=0), dtype=np.float64).ravel()
        blocks = _blocks(basis, sums, hats.shape[0], monotone)
        self.blocks = [
            replace(block, rows=block.rows.silent()) if column in silent else block
            for column, block in blocks
        ]
        self.width = self.blocks[-1].hats.stop if self.blocks else 0
        signs = [block.signs for block in self.blocks]
        self.starts = np.cumsum([0, *map(len, signs)])
        self.signs = np.concatenate(signs) if signs else np.zeros(0, dtype=np.int8)

    def located(self, positions: Positions) -> Iterator[tuple[Block, int]]:
        """The block of each of some functions, and its number there."""
        owners = np.searchsorted(self.starts, positions, side="right") - 1
        for owner, function in zip(owners, positions - self.starts[owners], strict=True):
            yield self.blocks[owner], int(function)

    def points(self, positions: Positions) -> sparse.csc_matrix:
        """Some functions as points of the hats, matrix of shape (width, len(positions))."""
        indices, values = [], []
        for block, function in self.located(positions):
            points = block.points(function)
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


def _blocks(
    basis: ColumnTransformer, sums: Floats, count: int, monotone: Mapping[str, int]
) -> Iterator[tuple[str, Block]]:
    """Each with its column, "" for a pair, in the order of the basis' columns.

    Args:
        sums: of the basis' columns over all rows.
        count: number of these rows.
    """
    first, parts = 0, basis.named_transformers_
    for name in ("numeric", "categorical"):
        if basis.output_indices_[name].start == basis.output_indices_[name].stop:
            continue
        for column, axis in zip(parts[name].feature_names_in_, parts[name].axes_, strict=True):
            side, last = _side(axis, monotone.get(column, 0)), first + len(axis)
            yield column, Block(first, side.supported(sums[first:last], count), ONE)
            first = last
            if isinstance(axis, KnotAxis):  # its "was missing"
                yield column, Block(first, ONE.supported(sums[first : first + 1], count), ONE)
                first += 1
    if basis.output_indices_["pairs"].start < basis.output_indices_["pairs"].stop:
        grids = parts["pairs"]
        sides: dict[str, Side] = {}
        for pair in grids.pairs:
            shape = [len(grids.axes_[column]) for column in pair]
            grid = sums[first : first + shape[0] * shape[1]].reshape(shape)
            for column, rows in zip(pair, (grid.sum(axis=1), grid.sum(axis=0)), strict=True):
                if column not in sides:
                    side = _side(grids.axes_[column], monotone.get(column, 0), both_ways=True)
                    sides[column] = replace(side, points=PAIR**0.5 * side.points).supported(
                        rows, count
                    )
            yield "", Block(first, sides[pair[0]], sides[pair[1]])
            first += grid.size


def _side(axis: Axis, direction: int, both_ways: bool = False) -> Side:
    """The functions of an axis: ramps and hinges that rise, and that fall; levels each by itself.

    Args:
        axis: of a column.
        direction: 1 where the risk must not fall along it, -1 where it must not rise, else 0.
        both_ways: for a pair, with the functions that equal one less another.
    """
    size = len(axis)
    if not isinstance(axis, KnotAxis):
        return Side(np.eye(size), np.zeros(size, dtype=np.int8))
    is_long_curve = size > LONG and not both_ways
    end = size - 1 - (ENDS if is_long_curve else 0)
    ramps, hinges = np.tri(size, size - 1, -1), _hinges(size, end)
    rising = np.hstack([ramps, hinges])
    falling = np.hstack([1.0 - ramps, hinges[::-1]]) if both_ways else hinges[::-1, 1:]
    signs = np.repeat([direction, -direction], [rising.shape[1], falling.shape[1]])
    return Side(np.hstack([rising, falling]), signs.astype(np.int8))


def _hinges(size: int, end: int) -> Floats:
    """Rising ones to a position from each that is two or more before it, array (positions, hinges).

    One over a single interval would be a ramp.
    """
    first = np.arange(max(end - 1, 0))
    hinges: Floats = np.clip((np.arange(size)[:, None] - first) / (end - first), 0.0, 1.0)
    return SLOPE * hinges


@dataclass(frozen=True)
class RampsOfRows:
    """The functions' values for rows whose hats are known: what the lasso asks for.

    Attributes:
        ramps: the functions.
        hats: matrix of shape (n_rows, width), the rows on the basis.
    """

    ramps: Ramps
    hats: sparse.csr_matrix
    _places: dict[Side, Places] = field(default_factory=dict, init=False)

    @property
    def signs(self) -> Signs:
        """Of the functions' weights."""
        return self.ramps.signs

    @cached_property
    def _by_hat(self) -> sparse.csr_matrix:
        return self.hats.T.tocsr()

    def correlations(self, residuals: Floats) -> Floats:
        """Sum over the rows of each function times the residual."""
        of_hats = self._by_hat @ residuals
        return np.concatenate([block.correlations(of_hats) for block in self.ramps.blocks])

    def values(self, positions: Positions) -> Floats:
        """Some functions' values, array of shape (n_rows, len(positions)), column by column."""
        result = np.empty((self.hats.shape[0], len(positions)), order="F")
        along = cache(self._along)  # functions of a pair share those of its sides
        for i, (block, function) in enumerate(self.ramps.located(positions)):
            row, column = block.factors(function)
            if len(block.rows.points) == 1:  # "was missing", whose hat does not always add up to 1
                result[:, i] = self._by_hat[block.hats].toarray()[0]
            else:
                result[:, i] = along(block, block.rows, row)
            if block.columns is not ONE:
                result[:, i] *= along(block, block.columns, column)
        return result

    def _along(self, block: Block, side: Side, function: int) -> Floats:
        """A function of a block's side for the rows, array of shape (n_rows,)."""
        if side not in self._places:
            for each, places in zip(
                (block.rows, block.columns), block.places(self._by_hat), strict=True
            ):
                lower = places.astype(np.intp)
                self._places.setdefault(each, (lower, places - lower))
        lower, share = self._places[side]
        result: Floats = side.points[:, function].take(lower)
        result += side.climbs[:, function].take(lower) * share
        return result
