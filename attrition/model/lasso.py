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
RIDGE = 1e-9  # of the mean square: equal functions have a solution, too
CYCLES, TOLERANCE = 10_000, 1e-4  # of the coordinate descent


class Functions(Protocol):
    """Many functions of the same rows; `signs`, of shape (n_functions,), as for a solution."""

    @property
    def signs(self) -> Signs:
        """Of the weights."""

    def correlations(self, residuals: Floats) -> Floats:
        """Sum over the rows of each function times the residual, array of shape (n_functions,)."""

    def values(self, positions: Positions) -> Floats:
        """Some functions' values, array of shape (n_rows, len(positions))."""


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
    base = float(np.log(labels.mean() / (1.0 - labels.mean())))
    none = np.zeros(0)
    solution = Solution(np.inf, base, np.zeros(0, np.intp), none, none, np.zeros(0, np.int8))
    values = np.empty((len(labels), 0), order="F")
    for penalty in penalties:
        solution = replace(solution, penalty=penalty)
        for step in range(STEPS):
            residuals = labels - logistic(values @ solution.weights + solution.intercept)
            entering = _violations(functions, residuals, solution)
            solution = replace(
                solution,
                positions=np.concatenate([solution.positions, entering]),
                weights=np.concatenate([solution.weights, np.zeros(len(entering))]),
                scales=np.concatenate([solution.scales, np.ones(len(entering))]),
                signs=np.concatenate([solution.signs, functions.signs[entering]]),
            )
            values = np.hstack([values, functions.values(entering)])
            solution = _approximated(sums(values, labels, solution), solution)
            used = solution.weights != 0.0
            solution, values = solution.selected(), values[:, used]
            if step and len(entering) < FEW:
                break
        yield solution, refined(lambda at: sums(values, labels, at), solution.adaptive())  # noqa: B023


def refined(sums_at: Callable[[Solution], Sums], solution: Solution) -> Solution:
    """The solution that has only these functions, for perhaps other rows.

    Args:
        sums_at: gives the sums over the rows at a solution (see `sums`).
        solution: where to start; its penalty and scales hold.
    """
    for _ in range(LAST_STEPS if len(solution.weights) else 0):
        solution = _approximated(sums_at(solution), solution)
    return solution.selected()


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
            numbers, np.cumsum([3, count, count * count])
        )
        rows, curvature, target = scalars.tolist()
        square = products.reshape(count, count)
        return cls(rows, curvature, target, values, square, with_target)


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
    scaled = values * solution.scales
    weighted = scaled * np.sqrt(curvature)[:, None]
    aim = curvature * target
    return Sums(
        rows=float(len(labels)),
        curvature=float(curvature.sum()),
        target=float(aim.sum()),
        values=curvature @ scaled,
        products=weighted.T @ weighted,
        with_target=aim @ scaled,
    )


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
