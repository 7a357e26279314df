"""The functions that the lasso weighs, by hand, and what their products and signs add up to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse
from sklearn.compose import ColumnTransformer

from attrition.model import ramps as room
from attrition.model.basis import Columns, make_basis
from attrition.model.ramps import SLOPE, Ramps, RampsOfRows

NAN = float("nan")
X, Y, PLAN = [0.0, 1.0, 3.0, NAN], [5.0, 5.0, 6.0, 6.0], ["a", "b", "a", "a"]


def table() -> pd.DataFrame:
    """Three knots of x and its missing values, two of y, and levels; 20 rows of each kind."""
    plan = np.array(PLAN * 20, dtype=object)
    return pd.DataFrame({"x": X * 20, "y": Y * 20, "plan": plan})


def fitted(
    numeric: tuple[str, ...],
    categorical: tuple[str, ...] = (),
    pairs: tuple[tuple[str, str], ...] = (),
    monotone: Mapping[str, int] | None = None,
    features: pd.DataFrame | None = None,
) -> tuple[ColumnTransformer, Ramps, RampsOfRows]:
    seen = table() if features is None else features
    basis = make_basis(Columns(numeric, categorical), pairs, len(seen))
    hats = sparse.csr_matrix(basis.fit_transform(seen[[*numeric, *categorical]]))
    ramps = Ramps(basis, hats, monotone or {})
    return basis, ramps, RampsOfRows(ramps, hats)


def all_values(rows: RampsOfRows) -> NDArray[np.float64]:
    return rows.values(np.arange(len(rows.signs)))


def test_a_column_has_a_ramp_between_any_two_knots_hinges_and_was_missing() -> None:
    _, ramps, rows = fitted(("x",))
    assert all_values(rows)[:4].tolist() == [  # 0 to 1, 1 to 3, all along, missing
        [0.0, 0.0, 0.0, 0.0],
        [1.0, 0.0, 1.0, 0.0],
        [1.0, 1.0, 2.0, 0.0],
        [1.0, 0.0, 1.0, 1.0],  # at the usual value, 1
    ]
    points = ramps.points(np.array([1, 2, 3])).toarray().T
    assert points.tolist() == [[0, 0, 1, 0], [0, 1, 2, 0], [0, 0, 0, 1]]
    assert ramps.points(np.array([], dtype=np.intp)).shape == (4, 0)


def test_a_hinge_rises_from_a_knot_or_falls_to_it_twice_as_far_as_a_ramp() -> None:
    five = table().assign(x=[0.0, 1.0, 2.0, 3.0, 4.0] * 16)
    _, ramps, _ = fitted(("x",), features=five)
    hinges = ramps.points(np.arange(4, len(ramps.signs))).toarray()[:5].T
    third = 2 / 3
    assert hinges == pytest.approx(
        np.array(
            [
                [0, 0.5, 1, 1.5, 2],
                [0, 0, third, 2 * third, 2],
                [0, 0, 0, 1, 2],
                [2, 2 * third, third, 0, 0],
                [2, 1, 0, 0, 0],
            ]
        )
    )


def test_along_many_knots_hinges_leave_the_last_three_intervals_to_the_ramps() -> None:
    many = pd.DataFrame({"x": np.arange(13.0).repeat(80), "plan": "a"})
    _, ramps, _ = fitted(("x",), features=many)
    knots = len(ramps.blocks[0].rows.points)
    assert knots > 12
    hinges = ramps.points(np.arange(knots - 1, len(ramps.signs))).toarray()[:knots].T
    is_rising = hinges[:, -1] > 0
    assert (hinges[is_rising][:, -4:] == 2.0).all()
    assert (hinges[~is_rising][:, :4] == 2.0).all()
    assert is_rising.sum() == (~is_rising).sum() + 1 == knots - 5


def test_a_level_has_a_function_and_so_has_the_pool() -> None:
    rare = table().assign(plan=["a", "b", "b", *"cdefghijk"] * 6 + ["a"] * 8)
    _, ramps, rows = fitted((), ("plan",), features=rare)
    assert all_values(rows)[[0, 1, 3]].tolist() == np.eye(3).tolist()
    assert ramps.points(np.arange(3)).toarray().tolist() == np.eye(3).tolist()


def test_what_sets_fewer_than_ten_rows_apart_is_no_function() -> None:
    """Neither alone nor in a pair, where it would be as good as what the other column says."""

    def functions(apart: int, **columns: Any) -> int:
        others = pd.DataFrame({"x": [NAN], "y": [7.0], "plan": [""]})
        seen = table().assign(**columns)
        seen.iloc[:apart] = others.iloc[[0] * apart]
        _, ramps, _ = fitted(("x", "y"), ("plan",), PAIRS, features=seen)
        return len(ramps.signs)

    whole = {"x": [0.0, 1.0] * 40, "y": 6.0, "plan": "a"}
    assert functions(0, **whole) == functions(9, **whole) == 1  # x from 0 to 1
    assert functions(10, **whole) > 10


def test_a_pair_of_numbers_has_a_function_that_raises_each_corner() -> None:
    _, ramps, rows = fitted(("y", "x"), pairs=(("y", "x"),))
    blocks = [block.hats for block in ramps.blocks]
    assert blocks == [slice(0, 2), slice(2, 3), slice(3, 6), slice(6, 7), slice(7, 13)]
    first = int(ramps.starts[-2])
    assert len(ramps.signs) - first == 2 * 6  # of y: rising, falling; of x: two and a hinge each
    grids = ramps.points(np.arange(first, len(ramps.signs))).toarray()[7:].T.reshape(12, 2, 3)
    grids = (grids / room.PAIR).round(12)
    rising, along, falling = grids[0], grids[2], grids[10]
    assert along.tolist() == [[0, 0, 0], [0, 1, 2]]  # y high, the higher x
    assert rising.tolist() == [[0, 0, 0], [0, 1, 1]]  # y high, x over 0
    assert falling.tolist() == [[1, 1, 0], [0, 0, 0]]  # y low, x under 3
    assert rows.values(np.array([first]))[:4, 0] == pytest.approx([0.0, 0.0, 0.5, 0.5])
    halfway = pd.DataFrame({"y": [5.5], "x": [0.5]})
    basis, _, _ = fitted(("y", "x"), pairs=(("y", "x"),))
    hats = sparse.csr_matrix(basis.transform(halfway))
    assert RampsOfRows(ramps, hats).values(np.array([first]))[0, 0] == pytest.approx(0.25 / 2)


def test_a_pair_of_a_number_and_levels_has_both_ways_for_each_level() -> None:
    _, ramps, rows = fitted(("y",), ("plan",), pairs=(("y", "plan"),))
    first = int(ramps.starts[-2])
    values = rows.values(np.arange(first, len(ramps.signs)))
    a, b = [1.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 0.0]
    y = np.array([0.0, 0.0, 1.0, 1.0])
    expected = [y * a, y * b, (1 - y) * a, (1 - y) * b]
    assert pytest.approx(np.array(expected)) == values[:4].T / room.PAIR


def test_a_column_of_one_value_has_no_ramp() -> None:
    _, ramps, rows = fitted(("y",), (), (), {}, table().assign(y=7.0))
    assert len(ramps.signs) == 0
    assert all_values(rows).shape == (80, 0)


def random_table(random: np.random.Generator, rows: int = 120) -> pd.DataFrame:
    x, y = random.normal(size=rows), random.gamma(2.0, 2.0, rows).round(1)
    x[random.random(rows) < 0.1] = NAN
    plan = random.choice(["a", "b", "c", ""], rows).astype(object)
    return pd.DataFrame({"x": x, "y": y, "plan": plan})


PAIRS = (("x", "y"), ("x", "plan"), ("y", "plan"))


@pytest.mark.parametrize("monotone", [{}, {"x": 1}, {"x": -1, "y": 1}])
def test_correlations_and_values_are_those_of_the_points(monotone: dict[str, int]) -> None:
    random = np.random.default_rng(4)
    _, ramps, rows = fitted(("x", "y"), ("plan",), PAIRS, monotone, random_table(random))
    values, residuals = all_values(rows), random.normal(size=120)
    assert rows.correlations(residuals) == pytest.approx(values.T @ residuals)
    points = ramps.points(np.arange(len(ramps.signs)))
    assert (rows.hats @ points).toarray() == pytest.approx(values)
    assert ramps.starts[-1] == len(ramps.signs) == values.shape[1]
    assert np.all((values > -1e-12) & (values < SLOPE**2 + 1e-12))
    some = np.array([len(ramps.signs) - 1, 0, 7])  # in any order
    assert rows.values(some).tolist() == values[:, some].tolist()


Direction = st.sampled_from([-1, 0, 1])


@pytest.mark.slow
@given(x=Direction, y=Direction, seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_whatever_the_weights_the_risk_rises_and_falls_as_asked(x: int, y: int, seed: int) -> None:
    """Any weights of the allowed signs, at any values, beyond the ends, too."""
    random = np.random.default_rng(seed)
    seen = random_table(random)
    basis, ramps, _ = fitted(("x", "y"), ("plan",), PAIRS, {"x": x, "y": y}, seen)
    signs = ramps.signs
    weights = random.exponential(size=len(signs)) * (random.random(len(signs)) < 0.3)
    weights *= np.where(signs == 0, random.choice([-1, 1], len(signs)), signs)
    used = np.flatnonzero(weights)
    points = ramps.points(used) @ weights[used]
    for column, direction in (("x", x), ("y", y)):
        grid = np.sort(random.normal(scale=4.0, size=40))
        others = seen.iloc[random.integers(0, len(seen), 5)]
        for row in range(len(others)):
            asked = others.iloc[[row] * len(grid)].assign(**{column: grid})
            hats = sparse.csr_matrix(basis.transform(asked))
            log_odds = cast(NDArray[np.float64], hats @ points)
            assert np.all(np.diff(log_odds) * direction >= -1e-9)


@pytest.mark.slow
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_functions_of_asked_directions_leave_no_monotone_grid_out(seed: int) -> None:
    """Any grid that rises along x and falls along y is a sum of functions of allowed signs."""
    from scipy.optimize import lsq_linear

    random = np.random.default_rng(seed)
    seen = pd.DataFrame({"x": [0.0, 1.0, 2.0] * 15, "y": np.repeat([0.0, 1.0, 2.0], 15)})
    _, ramps, _ = fitted(("x", "y"), (), (("x", "y"),), {"x": 1, "y": -1}, seen)
    grid = np.cumsum(random.exponential(size=3))[:, None] - np.cumsum(random.exponential(size=3))
    points = ramps.points(np.arange(len(ramps.signs))).toarray()
    places = sparse.csr_matrix(
        make_basis(Columns(("x", "y"), ()), (("x", "y"),), len(seen)).fit_transform(seen)
    )
    values = np.hstack([places @ points, np.ones((len(seen), 1))])
    aims = grid[seen["x"].astype(int), seen["y"].astype(int)]
    low = [0.0 if sign > 0 else -np.inf for sign in ramps.signs]
    high = [0.0 if sign < 0 else np.inf for sign in ramps.signs]
    fit = lsq_linear(values, aims, bounds=([*low, -np.inf], [*high, np.inf]))
    assert np.abs(fit.fun).max() < 1e-6
