"""Purified pairs: the same answers, pairs without one-column parts, and one way to say it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import sparse

from attrition.model.purification import purified
from attrition.model.scorecard import Scorecard, scorecard_from_json
from attrition.model.terms import CategoricalTerm, KnotAxis, LevelAxis, NumericTerm, PairTerm
from attrition.model.transformers import Cells, PairGrids

NAN = float("nan")
PAIRS = [("x", "y"), ("x", "plan"), ("plan", "region")]
ALONE = KnotAxis((0.0, 3.0, 10.0), 4.0)


def clients(rows: int = 400) -> pd.DataFrame:
    """Numbers that go together, with missing ones, and a level so rare that only a pair has it."""
    random = np.random.default_rng(5)
    x = random.gamma(2.0, 2.0, rows)
    y = x + random.normal(size=rows)
    plan = np.where(x > random.gamma(2.0, 2.0, rows), "gold", "basic").astype(object)
    plan[:3] = "rare"
    region = random.choice(["", "north", "south", "east", "west", "far"], rows).astype(object)
    x[::9], y[::11] = NAN, NAN
    return pd.DataFrame({"x": x, "y": y, "plan": plan, "region": region})


def unpurified(features: pd.DataFrame) -> tuple[Scorecard, list[Cells]]:
    """A scorecard whose grids hold anything, and how the clients lie on them."""
    random = np.random.default_rng(8)
    grids = PairGrids(PAIRS, ["x", "y"]).fit(features)
    matrix = grids.transform(features)
    means = np.asarray(matrix.mean(axis=0)).ravel()
    pairs = grids.terms(random.normal(size=len(means)) * 3, means)
    numeric = tuple(
        NumericTerm(
            name,
            replace(ALONE, usual_value=float(features[name].median())),
            (1.0, -1.0, 2.0),
            0.3,
            0.1,
            0.0,
        )
        for name in ("x", "y")
    )
    categorical = (
        CategoricalTerm("plan", LevelAxis(("basic", "gold")), (0.1, -0.4, 0.7), "basic", 0.0),
        CategoricalTerm("region", LevelAxis(("north", "")), (0.5, 0.2, -0.3), "north", 0.0),
    )
    return Scorecard(-1.0, 0.4, numeric, categorical, pairs), grids.cells(means, matrix)


def hats(term: PairTerm, features: pd.DataFrame) -> NDArray[np.float64]:
    """The weights of the positions on both axes, side by side; shape (n_clients, n_positions)."""
    blocks = []
    for axis, column in zip(term.axes, term.columns, strict=True):
        lower, upper, share = axis.places(features[column].to_numpy())
        one = np.eye(len(axis))
        blocks.append((1 - share)[:, None] * one[lower] + share[:, None] * one[upper])
    return np.hstack(blocks)


def test_no_answer_changes_whatever_the_client() -> None:
    """Missing and unknown values, and numbers far beyond the last knot, among them."""
    features = clients()
    card, cells = unpurified(features)
    odd = pd.DataFrame(
        {
            "x": [NAN, -1e9, 1e9, NAN, 0.0],
            "y": [NAN, 1e9, NAN, -1e300, 4.0],
            "plan": ["", "rare", "never seen", "gold", "basic"],
            "region": ["never seen", "", "far", "west", "north"],
        }
    )
    asked = pd.concat([features, odd])
    pure = purified(card, cells)
    written = scorecard_from_json(pure.to_json())
    for answers in (pure.log_odds(asked), written.log_odds(asked)):
        assert np.abs(answers - card.log_odds(asked)).max() < 1e-9
    for row in range(len(odd)):
        alone = odd.iloc[[row]]
        assert pure.log_odds(alone) == pytest.approx(card.log_odds(alone), abs=1e-9)


def test_a_pair_keeps_nothing_that_one_of_its_columns_says() -> None:
    features = clients()
    card, cells = unpurified(features)
    pure = purified(card, cells)
    assert pure.average_log_odds == pytest.approx(card.average_log_odds, abs=1e-12)
    for before, after in zip(card.pairs, pure.pairs, strict=True):
        weights, points = hats(after, features), after.of_column(features)
        assert np.abs(weights.T @ before.of_column(features)).max() > 1.0
        assert weights.T @ points == pytest.approx(np.zeros(weights.shape[1]), abs=1e-9)
        assert after.average_points == pytest.approx(0.0, abs=1e-12)
        assert points.std() > 0.1


def test_levels_of_a_pair_by_hand() -> None:
    """Four cells of a quarter of the rows each: what is left is +1 and -1 crosswise."""
    axes = LevelAxis(("a",)), LevelAxis(("c",))
    terms = tuple(
        CategoricalTerm(name, axis, (0.0, 0.0), "", 0.0)
        for name, axis in zip("uv", axes, strict=True)
    )
    pair = PairTerm(("u", "v"), axes, ((8.0, 2.0), (0.0, -2.0)), 2.0)
    card = Scorecard(0.5, 0.5, (), terms, (pair,))
    pure = purified(card, [Cells(np.full(4, 0.25), sparse.csr_matrix(np.eye(4)))])
    assert pure.intercept == pytest.approx(2.5)
    assert pure.categorical[0].points == pytest.approx((3.0, -3.0))
    assert pure.categorical[1].points == pytest.approx((2.0, -2.0))
    assert np.array(pure.pairs[0].points) == pytest.approx(np.array([[1.0, -1.0], [-1.0, 1.0]]))


def test_a_curve_gets_the_knots_of_its_pairs_and_a_column_their_rare_levels() -> None:
    features = clients()
    card, cells = unpurified(features)
    pure = purified(card, cells)
    of_pair = card.pairs[0].axes[0]
    assert isinstance(of_pair, KnotAxis)
    assert pure.numeric[0].axis.knots == tuple(sorted({*ALONE.knots, *of_pair.knots}))
    assert pure.categorical[0].axis.levels == ("basic", "gold", "rare")


def test_however_a_fit_spreads_a_part_the_scorecard_says_it_in_one_way() -> None:
    features = clients()
    card, cells = unpurified(features)
    pair, plan = card.pairs[1], card.categorical[0]
    grid = np.array(pair.points)
    parts = np.array([-2.0, 1.0, 3.0, 0.0])  # of the three levels, and the pool
    assert isinstance(pair.axes[1], LevelAxis)
    on_own = [parts[pair.axes[1].place(level).lower] for level in (*plan.axis.levels, "rare", "-")]
    axis = LevelAxis((*plan.axis.levels, "rare"))
    points = np.array([*plan.points, plan.points[-1]]) - on_own
    other = replace(
        card,
        categorical=(
            replace(plan, axis=axis, points=tuple(points.tolist())),
            card.categorical[1],
        ),
        pairs=(
            card.pairs[0],
            replace(pair, points=tuple(map(tuple, (grid + parts).tolist()))),
            card.pairs[2],
        ),
    )
    assert other.log_odds(features) == pytest.approx(card.log_odds(features), abs=1e-9)
    one, another = purified(card, cells), purified(other, cells)
    for term, same in zip(one.all_terms, another.all_terms, strict=True):
        # But for a constant: reasons are measured from the term's average.
        assert np.ptp(term.of_column(features) - same.of_column(features)) < 1e-9


def test_what_two_columns_say_alike_stays_where_it_is() -> None:
    """Columns that are functions of each other: no part of them is told as the other's negative."""
    features = clients().assign(y=lambda table: (table["x"] * 2.0).round(1)).dropna()
    grids = PairGrids([("x", "y")], ["x", "y"]).fit(features)
    matrix = grids.transform(features)
    means = np.asarray(matrix.mean(axis=0)).ravel()
    (pair,) = grids.terms(np.random.default_rng(2).normal(size=len(means)), means)
    terms = tuple(NumericTerm(name, ALONE, (0.0,) * 3, 0.0, 0.0, 0.0) for name in ("x", "y"))
    pure = purified(Scorecard(0.0, 0.5, terms, (), (pair,)), grids.cells(means, matrix))
    largest = np.abs(np.array(pair.points)).max()
    for term in pure.numeric:
        assert np.abs(term.points).max() < 2 * largest
