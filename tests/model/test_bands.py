"""Standard errors of points: by hand, and against curves that are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from attrition.model.bands import with_errors
from attrition.model.metrics import Minimum
from attrition.model.scorecard import Scorecard, logistic, scorecard_from_json
from attrition.model.terms import CategoricalTerm, KnotAxis, LevelAxis, NumericTerm, PairTerm
from attrition.model.training import fit

AXIS = KnotAxis((0.0, 10.0), 5.0)
PLANS = LevelAxis(("a",))
ONE_DEGREE = (
    12.7062 / 1.959964
)  # Student's t with 1 degree of freedom against the normal, at 97.5 %


def card(
    curve: tuple[float, ...], levels: tuple[float, float], grid: tuple[tuple[float, ...], ...]
) -> Scorecard:
    """A model whose average points are 1 for the curve, 0 for levels and pair."""
    return Scorecard(
        intercept=0.0,
        threshold=0.5,
        numeric=(NumericTerm("x", AXIS, curve, 0.0, 0.0, 1.0),),
        categorical=(CategoricalTerm("plan", PLANS, levels, "a", 0.0),),
        pairs=(PairTerm(("x", "plan"), (AXIS, PLANS), grid, 0.0),),
    )


ALL = card((1.0, 3.0), (0.5, 0.0), ((1.0, 0.0), (0.0, -1.0)))
FIRST = card((2.0, 3.0), (0.5, 0.0), ((1.0, 0.0), (0.0, -1.0)))
SECOND = card((0.0, 3.0), (0.9, -0.3), ((1.0, 0.0), (0.0, -1.0)))


def test_the_errors_of_two_models_by_hand() -> None:
    """Of two: the root of the mean of both squared deviations, widened by Student's t."""
    banded = with_errors(ALL, [FIRST, SECOND])
    [curve], [levels], [pair] = banded.numeric, banded.categorical, banded.pairs
    assert curve.errors == pytest.approx((1.0 * ONE_DEGREE, 0.0), rel=1e-5)
    assert levels.errors == pytest.approx(
        (0.4 / 2**0.5 * ONE_DEGREE, 0.3 / 2**0.5 * ONE_DEGREE), rel=1e-5
    )
    assert pair.errors == ((0.0, 0.0), (0.0, 0.0))
    assert scorecard_from_json(banded.to_json()) == banded
    clients = {"x": [0.0, 7.0], "plan": ["a", "b"]}
    assert banded.log_odds(clients).tolist() == ALL.log_odds(clients).tolist()


def test_equal_models_of_five_folds_have_no_error_and_more_models_less_widening() -> None:
    assert with_errors(ALL, [ALL] * 5).numeric[0].errors == (0.0, 0.0)
    # (g - 1) * mean of squares: 4 * 1 at the first knot; t of 4 degrees of freedom: 2.7764
    five = with_errors(ALL, [FIRST, SECOND, FIRST, SECOND, FIRST])
    assert five.numeric[0].errors[0] == pytest.approx(2.0 * 2.7764 / 1.959964, rel=1e-4)


def test_models_are_compared_above_their_own_averages() -> None:
    """A constant that moved from the intercept into a curve is no uncertainty."""
    moved = replace(
        ALL, intercept=-4.0, numeric=(NumericTerm("x", AXIS, (5.0, 7.0), 4.0, 0.0, 5.0),)
    )
    assert with_errors(ALL, [moved, moved]).numeric[0].errors == (0.0, 0.0)


def test_a_pair_that_no_fold_has_is_as_unsure_as_it_is_large() -> None:
    banded = with_errors(ALL, [replace(ALL, pairs=())] * 2)
    [pair] = banded.pairs
    assert np.array(pair.errors) == pytest.approx(np.array([[1, 0], [0, 1]]) * ONE_DEGREE, rel=1e-5)


def test_other_knots_and_levels_are_compared_at_the_places_of_the_model_of_all_rows() -> None:
    axis = KnotAxis((0.0, 5.0), 5.0)  # ends before 10: flat beyond
    other = replace(
        ALL,
        numeric=(NumericTerm("x", axis, (1.0, 2.0), 0.0, 0.0, 1.0),),
        categorical=(CategoricalTerm("plan", LevelAxis(()), (0.2,), "a", 0.0),),
    )
    banded = with_errors(ALL, [other, other])
    assert banded.numeric[0].errors == pytest.approx((0.0, 1.0 * ONE_DEGREE), rel=1e-5)
    assert banded.categorical[0].errors == pytest.approx(
        (0.3 * ONE_DEGREE, 0.2 * ONE_DEGREE), rel=1e-5
    )


LEVELS = {"a": 0.0, "b": 0.8, "c": -0.6, "d": 0.3}


def true_points(column: str, values: NDArray[np.generic]) -> NDArray[np.float64]:
    if column == "plan":
        return np.array([LEVELS[value] for value in values])
    numbers = values.astype(np.float64)
    return {"x": 1.2 * np.sin(numbers), "y": -0.35 * numbers, "z": 0.0 * numbers}[column]


def covered(seed: int) -> dict[str, float]:
    """Share of the positions, where clients are, whose true points lie within two errors."""
    random, rows = np.random.default_rng(seed), 3000
    clients = pd.DataFrame(
        {
            "x": random.uniform(0.0, 6.0, rows),
            "y": random.gamma(2.0, 2.0, rows),
            "z": random.normal(size=rows),
            "plan": random.choice(list("abcd"), rows, p=[0.4, 0.3, 0.2, 0.1]).astype(object),
        }
    )
    truth = {name: true_points(name, clients[name].to_numpy()) for name in (*"xyz", "plan")}
    labels = random.random(rows) < logistic(np.sum(list(truth.values()), axis=0) - 1.2)
    least = Minimum(rows=20, rarer_label=2)
    model = fit(
        clients,
        labels.astype(np.int8),
        numeric=["x", "y", "z"],
        categorical=["plan"],
        minimum=least,
        seed=1,
    )
    result = {}
    terms: tuple[NumericTerm | CategoricalTerm, ...] = (
        *model.scorecard.numeric,
        *model.scorecard.categorical,
    )
    for term in terms:
        column, axis = term.column, term.axis
        places = np.array(axis.knots if isinstance(axis, KnotAxis) else axis.levels)
        if isinstance(axis, KnotAxis):
            low, high = clients[column].quantile([0.05, 0.95])
            inside = (places >= low) & (places <= high)
        else:
            inside = np.ones(len(places), dtype=bool)
        points = np.array(term.points[: len(places)]) - term.average_points
        away = np.abs(points - true_points(column, places) + truth[column].mean())
        result[column] = float(
            np.mean(away[inside] <= 2.0 * np.array(term.errors)[: len(places)][inside])
        )
    return result


@pytest.mark.complete
def test_most_true_curves_lie_within_two_standard_errors() -> None:
    """Of 30 tables with known curves: nowhere near all, because the penalty flattens the tips."""
    shares = pd.DataFrame([covered(seed) for seed in range(30)]).mean()
    assert shares.mean() > 0.85, shares
    assert shares.min() > 0.75, shares
