"""The lasso, against scikit-learn, a general optimiser and the conditions of the optimum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from attrition.model import lasso
from attrition.model.lasso import Solution, Sums, path, refined, sums
from attrition.model.scorecard import logistic

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Written:
    """Functions that are all written out."""

    matrix: Floats
    signs: NDArray[np.int8]

    def correlations(self, residuals: Floats) -> Floats:
        return self.matrix.T @ residuals

    def values(self, positions: NDArray[np.intp]) -> Floats:
        return self.matrix[:, positions]


def written(matrix: Floats, signs: Sequence[int] = ()) -> Written:
    return Written(matrix, np.array(signs or [0] * matrix.shape[1], dtype=np.int8))


def problem(rows: int = 200, columns: int = 8, seed: int = 3) -> tuple[Floats, Floats]:
    """Functions that go together, of which three matter, and labels."""
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(rows, columns)) + 0.5 * random.normal(size=(rows, 1))
    log_odds = 0.4 + matrix[:, 0] - 1.2 * matrix[:, 1] + 0.6 * matrix[:, 2]
    return matrix, (random.random(rows) < logistic(log_odds)).astype(np.float64)


def all_weights(solution: Solution, columns: int) -> Floats:
    weights = np.zeros(columns)
    weights[solution.positions] = solution.weights
    return weights


def objective(
    matrix: Floats, labels: Floats, weights: Floats, intercept: float, penalties: Floats
) -> float:
    """Mean log loss and penalties (one for each function) times the weights' sizes."""
    log_odds = matrix @ weights + intercept
    loss = np.logaddexp(0.0, log_odds) - labels * log_odds
    return float(loss.mean() + penalties @ np.abs(weights))


def optimum(
    matrix: Floats, labels: Floats, penalties: Floats, signs: Sequence[int] = ()
) -> tuple[Floats, float]:
    """Weights and intercept, found as the difference of two weights that are not negative."""
    columns = matrix.shape[1]
    held = signs or [0] * columns

    def loss(both: Floats) -> tuple[float, Floats]:
        weights = both[:columns] - both[columns:-1]
        log_odds = matrix @ weights + both[-1]
        value = (np.logaddexp(0.0, log_odds) - labels * log_odds).mean()
        slopes = -matrix.T @ (labels - logistic(log_odds)) / len(labels)
        total = (logistic(log_odds) - labels).mean()
        gradient = np.concatenate([penalties + slopes, penalties - slopes, np.array([total])])
        return value + penalties @ (both[:columns] + both[columns:-1]), gradient

    above = [(0.0, 0.0 if sign < 0 else None) for sign in held]
    below = [(0.0, 0.0 if sign > 0 else None) for sign in held]
    best = minimize(
        loss,
        np.zeros(2 * columns + 1),
        jac=True,
        method="L-BFGS-B",
        bounds=[*above, *below, (None, None)],
        options={"maxiter": 20_000, "ftol": 1e-15, "gtol": 1e-10},
    ).x
    return best[:columns] - best[columns:-1], float(best[-1])


@pytest.fixture
def exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the optimum itself: the slack and the tolerance are for speed."""
    monkeypatch.setattr(lasso, "SLACK", 1e-9)
    monkeypatch.setattr(lasso, "TOLERANCE", 1e-12)


@pytest.mark.usefixtures("exactly")
@pytest.mark.parametrize("penalty", [0.1, 0.03, 0.01, 0.001])
def test_a_solution_is_that_of_scikit_learn(penalty: float) -> None:
    matrix, labels = problem()
    *_, (solution, _) = path(written(matrix), labels, [penalty] * 3)
    other = LogisticRegression(
        l1_ratio=1.0, C=1 / (penalty * len(labels)), solver="saga", tol=1e-10, max_iter=100_000
    ).fit(matrix, labels)
    assert all_weights(solution, 8) == pytest.approx(other.coef_[0], abs=1e-5)
    assert solution.intercept == pytest.approx(other.intercept_[0], abs=1e-5)


@pytest.mark.usefixtures("exactly")
@pytest.mark.parametrize(
    "signs", [(0,) * 8, (1,) * 8, (-1,) * 8, (-1, 0, 1, 1, -1, 0, 0, 1), (0, 1, 0, 0, 0, 0, 0, 0)]
)
def test_weights_that_are_held_to_a_sign_are_the_best_ones_that_have_it(
    signs: tuple[int, ...],
) -> None:
    matrix, labels = problem()
    *_, (solution, _) = path(written(matrix, signs), labels, [0.1, *[0.01] * 3])
    weights = all_weights(solution, 8)
    assert np.all(weights * signs >= 0.0)
    expected, intercept = optimum(matrix, labels, np.full(8, 0.01), signs)
    assert weights == pytest.approx(expected, abs=1e-4)
    assert solution.intercept == pytest.approx(intercept, abs=1e-4)


@pytest.mark.usefixtures("exactly")
@pytest.mark.parametrize("signs", [(0,) * 8, (1, -1, 0, 0, 1, -1, 0, 0)])
def test_weighed_again_is_the_lasso_with_penalties_by_the_first_weights(
    signs: tuple[int, ...],
) -> None:
    """Adaptive lasso: a function's penalty is divided by its first weight against the mean."""
    matrix, labels = problem()
    *_, (first, second) = path(written(matrix, signs), labels, [0.1, *[0.02] * 3])
    sizes = np.abs(first.weights)
    penalties = 0.02 * sizes.mean() / sizes
    chosen = matrix[:, first.positions]
    expected, intercept = optimum(
        chosen, labels, penalties, [signs[one] for one in first.positions]
    )
    weights = all_weights(second, 8)[first.positions]
    assert weights == pytest.approx(expected, abs=2e-3)
    assert second.intercept == pytest.approx(intercept, abs=2e-3)


@pytest.mark.parametrize("signs", [(0,) * 300, (1, -1, 0) * 100])
def test_every_solution_on_a_path_is_nearly_optimal(signs: tuple[int, ...]) -> None:
    """As it is used: many functions, few steps; conditions within the slack, the loss within 1 %.

    Of a function without weight the slope of the loss is at most the penalty; of one with weight it
    is the penalty.
    """
    matrix, labels = problem(rows=400, columns=300)
    held = np.array(signs)
    for solution, _ in path(written(matrix, signs), labels, [0.1, 0.05, 0.03, 0.02]):
        log_odds = matrix[:, solution.positions] @ solution.weights + solution.intercept
        residuals = labels - logistic(log_odds)
        assert abs(residuals.mean()) < 1e-3
        slopes = matrix.T @ residuals / len(labels)
        towards = np.where(held == 0, np.abs(slopes), slopes * held)
        assert towards.max() < solution.penalty * (1.0 + lasso.SLACK) * 1.05
        weighed = slopes[solution.positions] * np.sign(solution.weights)
        assert weighed == pytest.approx(solution.penalty, rel=0.1)
        weights = all_weights(solution, 300)
        assert np.all(weights * held >= 0.0)
        penalties = np.full(300, solution.penalty)
        ours = objective(matrix, labels, weights, solution.intercept, penalties)
        best = objective(matrix, labels, *optimum(matrix, labels, penalties, signs), penalties)
        assert best - 1e-9 <= ours < best * 1.01


def test_sums_over_parts_of_the_rows_are_those_over_all() -> None:
    matrix, labels = problem()
    *_, (_, solution) = path(written(matrix), labels, [0.02])
    values = matrix[:, solution.positions]
    count = len(solution.positions)
    parts = [
        sums(values[rows], labels[rows], solution).numbers()
        for rows in np.split(np.arange(len(labels)), [1, 90])
    ]
    together, whole = Sums.of(np.sum(parts, axis=0), count), sums(values, labels, solution)
    for name, expected in vars(whole).items():
        assert getattr(together, name) == pytest.approx(expected), name
    assert together.products.shape == (count, count)
    ours = refined(lambda _: together, solution)
    assert ours.weights == pytest.approx(refined(lambda _: whole, solution).weights)


def test_numbers_of_sums_and_back() -> None:
    one = Sums(3.0, 0.5, 2.0, -1.0, np.array([4.0, 5.0]), np.arange(4.0).reshape(2, 2), np.ones(2))
    assert one.numbers().tolist() == [3.0, 0.5, 2.0, -1.0, 4.0, 5.0, 0.0, 1.0, 2.0, 3.0, 1.0, 1.0]
    again = Sums.of(one.numbers(), 2)
    assert again.numbers().tolist() == one.numbers().tolist()
    assert (again.rows, again.products.tolist()) == (3.0, [[0.0, 1.0], [2.0, 3.0]])


def test_functions_that_tell_the_labels_apart_have_finite_weights() -> None:
    labels = np.repeat([0.0, 1.0], 100)
    matrix = np.column_stack([labels, np.linspace(0.0, 1.0, 200), labels - 0.5])
    for solutions in path(written(matrix), labels, np.geomspace(0.1, 1e-4, 9).tolist()):
        for solution in solutions:
            log_odds = matrix[:, solution.positions] @ solution.weights + solution.intercept
            assert np.all(np.isfinite(log_odds))
            assert np.abs(log_odds).max() < 12.0
            assert np.all((log_odds > 0.0) == (labels > 0.0))


def test_equal_functions_predict_what_one_of_them_does() -> None:
    matrix, labels = problem(columns=3)
    doubled = np.hstack([matrix, matrix[:, :1]])
    *_, (one, _) = path(written(matrix), labels, [0.02] * 3)
    *_, (two, _) = path(written(doubled), labels, [0.02] * 3)
    expected = matrix @ all_weights(one, 3) + one.intercept
    assert doubled @ all_weights(two, 4) + two.intercept == pytest.approx(expected, abs=2e-2)


def test_a_constant_function_gets_no_weight() -> None:
    """The intercept, which costs nothing, says the same."""
    matrix, labels = problem(columns=3)
    more = np.column_stack([np.full(len(labels), 7.0), matrix, np.zeros(len(labels))])
    for solutions in path(written(more), labels, [0.05, 0.01, 0.001]):
        for solution in solutions:
            assert {0, 4}.isdisjoint(solution.positions.tolist())


@pytest.mark.parametrize("columns", [0, 4])
def test_without_a_useful_function_the_share_of_the_label_is_predicted(columns: int) -> None:
    matrix, labels = problem(columns=4)
    [(plain, adapted)] = path(written(matrix[:, :columns] * 1e-6), labels, [0.01])
    for solution in (plain, adapted, refined(lambda at: sums(matrix[:, :0], labels, at), plain)):
        assert len(solution.positions) == len(solution.weights) == 0
        assert logistic(np.array([solution.intercept]))[0] == pytest.approx(labels.mean())


def test_a_solution_that_is_refined_with_its_own_rows_stays() -> None:
    matrix, labels = problem()
    *_, (solution, _) = path(written(matrix), labels, [0.02] * 3)
    again = refined(lambda at: sums(matrix[:, at.positions], labels, at), replace(solution))
    assert again.positions.tolist() == solution.positions.tolist()
    assert again.weights == pytest.approx(solution.weights, abs=1e-3)


def test_after_the_last_step_the_loss_alone_is_enough() -> None:
    """It gives the solution that all sums give, and they are asked for once less."""
    matrix, labels = problem()
    *_, (solution, _) = path(written(matrix), labels, [0.02])
    asked = []

    def sums_at(at: Solution) -> Sums:
        asked.append(at)
        return sums(matrix[:, at.positions], labels, at)

    def loss_at(at: Solution) -> float:
        whole = sums(matrix[:, at.positions], labels, at)
        return whole.loss / whole.rows

    expected = refined(sums_at, solution.adaptive())
    with_all = len(asked)
    ours = refined(sums_at, solution.adaptive(), loss_at)
    assert len(asked) - with_all == with_all - 1
    assert ours.weights.tolist() == expected.weights.tolist()
    assert ours.positions.tolist() == expected.positions.tolist()
