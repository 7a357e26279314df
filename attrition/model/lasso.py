"""Logistic regression with an L1 penalty over very many functions, of which it needs few.

Minimises mean log loss + penalty * sum of |weights| / scales; the intercept is free, and a weight
may be held to one sign. As glmnet does
(Friedman, Hastie and Tibshirani 2010): the loss is replaced by its quadratic approximation, whose
lasso is solved by coordinate descent (scikit-learn's), and again. Only a working set of functions
is ever written out: after each step the functions without weight leave it, and those come in whose
correlation with the residual exceeds the penalty (the condition of the optimum that is violated).
Along falling penalties each solution starts at the last one.

Functions that were selected can be weighed once more: the adaptive lasso (Zou 2006) shrinks large
weights less and small ones more, so that fewer functions say as much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular
from sklearn import config_context
from sklearn.linear_model import enet_path

from attrition.model.scorecard import logistic

Floats = NDArray[np.float64]
Positions = NDArray[np.intp]
Signs = NDArray[np.int8]

STEPS = 8  # approximations for one penalty
ENTERING = 60  # most functions that come in at one step
SLACK = 0.1  # how far the condition of the optimum may be violated, as a share of the penalty
FEW = 10  # functions that come in at the last step
LAST_STEPS = 3  # for functions that are selected already
LEAST_CURVATURE = 1e-4
HALVINGS, ROUNDING = 30, 1e-9  # of a step that is too long; what may be an error of rounding
RIDGE = 1e-9  # of the mean square: equal functions have a solution, too
PART_ROWS = 2048  # at a time: so many fit into the processor's cache
CYCLES, TOLERANCE = 10_000, 1e-4  # of the coordinate descent


class Functions(Protocol):
    """Many functions of the same rows; `signs`, of shape (n_functions,), as for a solution."""

    @property
    def signs(self) -> Signs:
        """Of the weights."""

    def correlations(self, residuals: Floats) -> Floats:
        """Sum over the rows of each function times the residual, array of shape (n_functions,)."""

    def values(self, positions: Positions) -> Floats:
        """Some functions' values, array of shape (n_rows, len(positions)), column by column."""


@dataclass(frozen=True)
class Solution:
    """A fit: log-odds = intercept + functions[positions] @ weights.

    Attributes:
        penalty: in nats a row.
        scales: of the functions; the larger, the less its weight is shrunk.
        signs: of the functions; 1: its weight is not negative, -1: not positive, 0: either.
    """

    penalty: float
    intercept: float
    positions: Positions
    weights: Floats
    scales: Floats
    signs: Signs

    @property
    def cost(self) -> float:
        """What the penalty adds to the mean log loss."""
        return self.penalty * float(np.abs(self.weights / self.scales).sum())

    def selected(self) -> Solution:
        """The same without the functions that have no weight."""
        used = self.weights != 0.0
        return replace(
            self,
            positions=self.positions[used],
            weights=self.weights[used],
            scales=self.scales[used],
            signs=self.signs[used],
        )

    def adaptive(self) -> Solution:
        """To be weighed again: the larger a weight is, the less it will be shrunk."""
        sizes = np.abs(self.weights) / self.scales
        return replace(self, scales=self.scales * sizes / sizes.mean()) if len(sizes) else self


def path(
    functions: Functions, labels: Floats, penalties: Sequence[float]
) -> Iterator[tuple[Solution, Solution]]:
    """The solution for each penalty, by the lasso and by the adaptive lasso.

    Args:
        functions: of the rows.
        labels: array of shape (n_rows,), 1 or 0, both present.
        penalties: falling.
    """
    for solution, values in _followed(functions, labels, penalties):
        yield solution, _adapted(solution, values, labels)


def last(
    functions: Functions, labels: Floats, penalties: Sequence[float], *, is_adapted: bool
) -> Solution:
    """The solution for the last penalty alone; arguments as for `path`."""
    *_, (solution, values) = _followed(functions, labels, penalties)
    return _adapted(solution, values, labels) if is_adapted else solution


def _adapted(solution: Solution, values: Floats, labels: Floats) -> Solution:
    """The solution by the adaptive lasso, from one by the lasso; other arguments as for `sums`."""
    last_loss = _mean_loss(values, labels)
    return refined(lambda at: sums(values, labels, at), solution.adaptive(), last_loss)


def _followed(
    functions: Functions, labels: Floats, penalties: Sequence[float]
) -> Iterator[tuple[Solution, Floats]]:
    """The solution by the lasso for each penalty, with its functions' values for the rows."""
    base = float(np.log(labels.mean() / (1.0 - labels.mean())))
    none = np.zeros(0)
    solution = Solution(np.inf, base, np.zeros(0, np.intp), none, none, np.zeros(0, np.int8))
    written = _Written(len(labels))
    for penalty in penalties:
        solution = replace(solution, penalty=penalty)
        for step in range(STEPS):
            residuals = labels - logistic(written.values @ solution.weights + solution.intercept)
            entering = _violations(functions, residuals, solution)
            solution = replace(
                solution,
                positions=np.concatenate([solution.positions, entering]),
                weights=np.concatenate([solution.weights, np.zeros(len(entering))]),
                scales=np.concatenate([solution.scales, np.ones(len(entering))]),
                signs=np.concatenate([solution.signs, functions.signs[entering]]),
            )
            written.add(functions.values(entering))
            values = written.values
            solution = _improved(
                sums(values, labels, solution), solution, _mean_loss(values, labels)
            )
            written.keep(solution.weights != 0.0)
            solution = solution.selected()
            if step and len(entering) < FEW:
                break
        yield solution, written.values


class _Written:
    """The working set's values for the rows, with room for more: copying all takes long."""

    def __init__(self, rows: int) -> None:
        self._room = np.empty((rows, ENTERING), order="F")
        self._count = 0

    @property
    def values(self) -> Floats:
        """Array of shape (n_rows, n_functions), valid until functions come or go."""
        return self._room[:, : self._count]

    def add(self, values: Floats) -> None:
        """Functions come in, last."""
        count = self._count + values.shape[1]
        if count > self._room.shape[1]:
            room = np.empty((len(values), 2 * count), order="F")
            room[:, : self._count] = self.values
            self._room = room
        self._room[:, self._count : count] = values
        self._count = count

    def keep(self, used: NDArray[np.bool_]) -> None:
        """The others leave."""
        kept = np.flatnonzero(used)
        for new, old in enumerate(kept):
            if new != old:
                self._room[:, new] = self._room[:, old]
        self._count = len(kept)


def refined(
    sums_at: Callable[[Solution], Sums],
    solution: Solution,
    last_loss: Callable[[Solution], float] | None = None,
) -> Solution:
    """The solution that has only these functions, for perhaps other rows.

    Args:
        sums_at: gives the sums over the rows at a solution (see `sums`).
        solution: where to start; its penalty and scales hold.
        last_loss: gives the mean log loss alone, all that is asked after the last step; None where
            that is no faster than the sums.
    """
    if not len(solution.weights):
        return solution
    at = sums_at(solution)

    def loss_at(proposed: Solution) -> float:
        nonlocal at
        at = sums_at(proposed)
        return at.loss / at.rows

    for _ in range(LAST_STEPS - 1):
        solution = _improved(at, solution, loss_at)
    return _improved(at, solution, last_loss or loss_at).selected()


def _improved(at: Sums, solution: Solution, loss_at: Callable[[Solution], float]) -> Solution:
    """One step from a solution towards the optimum, with the same functions.

    Where the approximation is poor its optimum may be worse: then half the way is tried, and so on.

    Args:
        at: the sums at the solution.
        loss_at: mean log loss of another one.
    """
    proposed = _approximated(at, solution)
    before = at.loss / at.rows + solution.cost
    for _ in range(HALVINGS):
        if loss_at(proposed) + proposed.cost <= before * (1.0 + ROUNDING):
            return proposed
        proposed = replace(
            proposed,
            weights=(solution.weights + proposed.weights) / 2.0,
            intercept=(solution.intercept + proposed.intercept) / 2.0,
        )
    return proposed


def _mean_loss(values: Floats, labels: Floats) -> Callable[[Solution], float]:
    """The mean log loss of solutions over some rows; arguments as for `sums`."""
    return lambda at: float(_losses(values @ at.weights + at.intercept, labels).mean())


def _losses(log_odds: Floats, labels: Floats) -> Floats:
    """The log loss of each row, finite whatever the log-odds."""
    losses = np.log1p(np.exp(-np.abs(log_odds)))
    losses += np.maximum(np.where(labels > 0.0, -log_odds, log_odds), 0.0)
    return losses


def _violations(functions: Functions, residuals: Floats, solution: Solution) -> Positions:
    """The functions that violate the condition of the optimum, at most ENTERING, the worst."""
    slopes = functions.correlations(residuals) / len(residuals)
    slopes = np.where(functions.signs, slopes * functions.signs, np.abs(slopes))
    slopes[solution.positions] = 0.0
    entering = np.flatnonzero(slopes > solution.penalty * (1.0 + SLACK))
    if len(entering) <= ENTERING:
        return entering
    return entering[np.argsort(-slopes[entering], kind="stable")[:ENTERING]]


@dataclass(frozen=True)
class Sums:
    """Weighted sums over rows of a regression: all that its solution depends on."""

    rows: float
    loss: float
    curvature: float
    target: float
    values: Floats  # (n_functions,)
    products: Floats  # (n_functions, n_functions)
    with_target: Floats  # (n_functions,)

    def numbers(self) -> Floats:
        """All in one array, whose sum over parts of the rows belongs to all of them."""
        return np.concatenate([np.ravel(part) for part in vars(self).values()])

    @classmethod
    def of(cls, numbers: Floats, count: int) -> Sums:
        """The sums of so many functions from such an array."""
        scalars, values, products, with_target = np.split(
            numbers, np.cumsum([4, count, count * count])
        )
        rows, loss, curvature, target = scalars.tolist()
        square = products.reshape(count, count)
        return cls(rows, loss, curvature, target, values, square, with_target)


def sums(values: Floats, labels: Floats, solution: Solution) -> Sums:
    """The sums over some rows of the loss's quadratic approximation at a solution.

    Args:
        values: of the solution's functions, array of shape (n_rows, n_functions).
        labels: array of shape (n_rows,), 1 or 0.
    """
    log_odds = values @ solution.weights + solution.intercept
    chances = logistic(log_odds)
    curvature = np.maximum(chances * (1.0 - chances), LEAST_CURVATURE)
    target = log_odds + (labels - chances) / curvature
    products = _weighted_products(values, target, np.sqrt(curvature))
    scales, ones, targets = solution.scales, products[-2], products[-1]
    return Sums(
        rows=float(len(labels)),
        loss=float(_losses(log_odds, labels).sum()),
        curvature=float(ones[-2]),
        target=float(ones[-1]),
        values=ones[:-2] * scales,
        products=products[:-2, :-2] * np.outer(scales, scales),
        with_target=targets[:-2] * scales,
    )


def _weighted_products(values: Floats, target: Floats, roots: Floats) -> Floats:
    """Sums over rows of the products of functions, of 1 (last but one) and of the target (last).

    A part of the rows at a time: what is written anew for each fits into the processor's cache.

    Args:
        roots: of the rows' weights.
    """
    count = values.shape[1]
    products, room = np.zeros((count + 2, count + 2)), np.empty((PART_ROWS, count + 2), order="F")
    for start in range(0, len(roots), PART_ROWS):
        rows = slice(start, start + PART_ROWS)
        root = roots[rows]
        part = room[: len(root)]
        np.multiply(values[rows], root[:, None], out=part[:, :count])
        part[:, -2], part[:, -1] = root, root * target[rows]
        products += part.T @ part
    return products


def _approximated(sums: Sums, solution: Solution) -> Solution:
    """The lasso of the quadratic approximation at a solution."""
    means = sums.values / sums.curvature
    mean = sums.target / sums.curvature
    if not len(solution.weights):
        return replace(solution, intercept=mean)
    products = sums.products - sums.curvature * np.outer(means, means)
    aims = sums.with_target - sums.curvature * means * mean
    ridge = RIDGE * (np.trace(products) + sums.rows)
    scaled = _lasso(products, aims, ridge, solution, sums.rows)
    return replace(
        solution, weights=scaled * solution.scales, intercept=mean - float(means @ scaled)
    )


def _lasso(products: Floats, aims: Floats, ridge: float, solution: Solution, rows: float) -> Floats:
    """Weights of a least squares problem under an L1 penalty, from its normal equations.

    Where a sign is held, each free function stands there twice, once as its negative, and no
    weight is negative.
    """
    start = solution.weights / solution.scales
    has_signs = bool(solution.signs.any())
    owners, flips = np.arange(len(start)), np.ones(len(start))
    if has_signs:
        free = np.flatnonzero(solution.signs == 0)
        owners = np.concatenate([owners, free])
        flips = np.concatenate([np.where(solution.signs < 0, -1.0, 1.0), -np.ones(len(free))])
        products = products[np.ix_(owners, owners)] * np.outer(flips, flips)
        aims, start = aims[owners] * flips, np.maximum(start[owners] * flips, 0.0)
    products[np.diag_indices_from(products)] += ridge
    # The same problem in as many rows as there are functions.
    factor = cholesky(products)
    with config_context(skip_parameter_validation=True):  # it takes longer than the descent
        _, weights, _ = enet_path(
            factor,
            solve_triangular(factor, aims, trans="T"),
            l1_ratio=1.0,
            alphas=[solution.penalty * rows / len(aims)],
            precompute=products,
            Xy=aims,
            coef_init=start,
            check_input=False,
            max_iter=CYCLES,
            tol=TOLERANCE,
            positive=has_signs,
        )
    result = np.zeros(len(solution.weights))
    np.add.at(result, owners, weights[:, 0] * flips)
    return result
