"""The model: hats by hand, the scorecard equal to the pipeline, and tables of every odd kind."""

from __future__ import annotations

import io
import math
import os
import pickle
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from threadpoolctl import threadpool_info, threadpool_limits

from attrition.core.errors import NotEnoughData
from attrition.model import lasso, learner, selection, training
from attrition.model.basis import Columns, make_basis
from attrition.model.lasso import Solution
from attrition.model.learner import PENALTIES, Learner, rank_pairs
from attrition.model.metrics import Minimum
from attrition.model.scorecard import FEW_ROWS, logistic, scorecard_from_json
from attrition.model.selection import (
    SAMPLE_ROWS,
    Fold,
    Selection,
    best_threshold,
    choose,
    one_thread,
    selection_rows,
)
from attrition.model.terms import KnotAxis
from attrition.model.training import FittedModel, Functions, RowsInMemory, fit
from attrition.model.transformers import (
    CategoryLevels,
    NumericHats,
    PairGrids,
    knot_axis,
    level_axis,
)

NAN = float("nan")
LEAST = Minimum(rows=20, rarer_label=2)


def fitted_on(features: pd.DataFrame, labels: NDArray[np.bool_], seed: int = 7) -> FittedModel:
    """Fit with number columns as numeric ones and all others as categorical ones."""
    numeric = [str(name) for name in features if pd.api.types.is_numeric_dtype(features[name])]
    categorical = [str(name) for name in features if name not in numeric]
    return fit(
        features,
        labels.astype(np.int8),
        numeric=numeric,
        categorical=categorical,
        minimum=LEAST,
        seed=seed,
    )


def assert_equal_to_its_pipeline(fitted: FittedModel, features: pd.DataFrame) -> None:
    """Scorecard and pipeline agree to 1e-9 on every row, for many rows and for one by one."""
    expected = fitted.pipeline.predict_proba(features)[:, 1]
    many = pd.concat([features] * (FEW_ROWS + 1))
    answers = fitted.scorecard.probabilities(many)[: len(features)]
    assert np.max(np.abs(answers - expected)) < 1e-9
    for row in range(len(features)):
        alone = fitted.scorecard.probabilities(features.iloc[[row]])
        assert abs(alone[0] - expected[row]) < 1e-9


# Hats and levels, by hand


def test_a_hat_is_one_at_its_knot_and_falls_to_zero_at_the_next() -> None:
    hats = NumericHats(knots=3).fit(pd.DataFrame({"x": [0.0, 10.0, 30.0, NAN]}))
    assert hats.axes_ == [KnotAxis((0.0, 10.0, 30.0), 10.0)]
    asked = pd.DataFrame({"x": [0.0, 10.0, 15.0, 30.0, 99.0, -5.0, NAN]})
    assert hats.transform(asked).toarray() == pytest.approx(
        np.array(
            [  # at 0, at 10, at 30, missing
                [1.0, 0.0, 0.0, 0.0],
                [0.0, 1.0, 0.0, 0.0],
                [0.0, 0.75, 0.25, 0.0],
                [0.0, 0.0, 1.0, 0.0],
                [0.0, 0.0, 1.0, 0.0],
                [1.0, 0.0, 0.0, 0.0],
                [0.0, 1.0, 0.0, 1.0],
            ]
        )
    )
    assert hats.get_feature_names_out().tolist() == [
        "x at 0.0",
        "x at 10.0",
        "x at 30.0",
        "x missing",
    ]


def test_levels_have_a_column_each_and_rare_and_unknown_ones_share_the_pool() -> None:
    seen = pd.DataFrame({"plan": ["b", "b", "a", "b", "a", "rare", ""]}, dtype=object)
    levels = CategoryLevels(minimum_rows=2).fit(seen)
    assert levels.axes_[0].levels == ("b", "a", "")  # a blank is a level even when it is rare
    asked = pd.DataFrame({"plan": ["a", "b", "", "rare", "never seen"]}, dtype=object)
    assert levels.transform(asked).toarray().tolist() == [
        [0, 1, 0, 0],
        [1, 0, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 0, 1],
        [0, 0, 0, 1],
    ]
    assert levels.get_feature_names_out().tolist() == [
        "plan = b",
        "plan = a",
        "plan = ",
        "plan = other",
    ]


def test_a_pair_is_the_product_of_its_hats() -> None:
    seen = pd.DataFrame({"x": [0.0, 10.0], "plan": ["a", "b"]})
    pairs = PairGrids([("x", "plan")], numeric=["x"], levels=1).fit(seen)
    asked = pd.DataFrame({"x": [2.5, 10.0, NAN], "plan": ["a", "b", "a"]})
    assert pairs.transform(asked).toarray().tolist() == [
        [0.75, 0.0, 0.25, 0.0],  # (0.75, 0.25) x (a, other)
        [0.0, 0.0, 0.0, 1.0],
        [0.5, 0.0, 0.5, 0.0],  # missing counts as the usual value, 5
    ]
    assert len(pairs.get_feature_names_out()) == 4


@pytest.mark.parametrize(
    ("values", "knots"),
    [
        ([3.0, 1.0, 2.0, 2.0], (1.0, 2.0, 3.0)),  # few values: a knot at each
        ([5.0] * 9, (5.0,)),
        ([NAN] * 9, (0.0,)),
        ([0.0] * 80 + [*range(1, 21)], (0.0, 7.0, 13.0, 20.0)),  # ties: the spare knots go round
        ([1e-300, 1e-300 + 1e-310, 2e-300], (1e-300,)),  # too close to tell apart
        ([-1.7e308, 1.7e308], (-1e307, 1e307)),  # the difference must not overflow
    ],
)
def test_knots_are_unique_and_rise(values: list[float], knots: tuple[float, ...]) -> None:
    assert knot_axis(np.array(values), 4).knots == pytest.approx(knots, rel=0.05)


def test_knots_stand_at_quantiles() -> None:
    axis = knot_axis(np.arange(101.0) ** 2, 5)
    assert axis == KnotAxis((0.0, 625.0, 2500.0, 5625.0, 10000.0), 2500.0)


def test_equally_frequent_levels_stand_in_the_order_of_their_names() -> None:
    assert level_axis(["b", "c", "a", "c"], 1, 2).levels == ("c", "a")


def test_transformers_can_be_cloned_and_name_each_of_their_columns() -> None:
    features = pd.DataFrame({"x": [1.0, 2.0, NAN], "plan": ["a", "", "a"]})
    basis = clone(make_basis(Columns(("x",), ("plan",)), (("x", "plan"),), 3))
    assert basis.fit_transform(features).shape[1] == len(basis.get_feature_names_out())


# Scorecard and pipeline

finite = st.floats(allow_nan=False, allow_infinity=False)
tame = st.integers(-3, 3).map(float)
numbers = st.one_of(tame, finite, st.just(NAN))
words = st.sampled_from(["", "a", "b", "c", "long word", "é"])


@st.composite
def tables(draw: st.DrawFn, rows: int) -> pd.DataFrame:
    """Two numeric and two categorical columns of anything that may pass ingestion."""
    columns = {
        name: draw(st.lists(values, min_size=rows, max_size=rows))
        for name, values in (("x", numbers), ("y", tame), ("plan", words), ("region", words))
    }
    return pd.DataFrame(columns).astype({"plan": object, "region": object})


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(
    features=tables(rows=30),
    asked=tables(rows=6),
    labels=st.lists(st.booleans(), min_size=30, max_size=30).filter(lambda x: 0 < sum(x) < 30),
    penalty=st.sampled_from(PENALTIES),
    is_adapted=st.booleans(),
)
def test_scorecard_and_pipeline_are_equal(
    features: pd.DataFrame,
    asked: pd.DataFrame,
    labels: list[bool],
    penalty: float,
    is_adapted: bool,
) -> None:
    """Over random tables, with missing values and levels that training has not seen."""
    asked.loc[0, ["plan", "region"]] = "never seen"
    truth = np.array(labels, dtype=np.int8)
    chosen = Selection(penalty, is_adapted, 0.5, truth, truth.astype(float), (), (), len(truth))
    everyone = np.arange(len(truth))
    columns = Columns(("x", "y"), ("plan", "region"))
    pipeline, card = training.fit_selected(features, truth, columns, chosen, everyone)
    read = scorecard_from_json(card.to_json())
    fitted = FittedModel(pipeline, read, chosen, seed=0, columns=columns)
    assert_equal_to_its_pipeline(fitted, pd.concat([features, asked]))
    average = card.contributions(features).mean(axis=0)
    assert average == pytest.approx(np.zeros(len(card.terms)), abs=1e-9)


# Tables of every odd kind


def clients(rows: int, seed: int = 0) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """A risk that falls with activity and is higher for monthly plans."""
    random = np.random.default_rng(seed)
    activity = random.lognormal(3, 1, rows).round()
    plan = random.choice(["monthly", "yearly"], rows)
    log_odds = 2.0 - 0.08 * activity + (plan == "monthly")
    exited = random.random(rows) < 1 / (1 + np.exp(-log_odds))
    return pd.DataFrame({"activity": activity, "plan": plan.astype(object)}), exited


ODD_COLUMNS: dict[str, Callable[[int], list[float] | list[str]]] = {
    "constant": lambda n: [5.0] * n,
    "all missing": lambda n: [NAN] * n,
    "half missing": lambda n: [NAN, 1.0] * (n // 2),
    "two values": lambda n: [0.0, 0.0, 1.0, 0.0] * (n // 4),
    "heavy ties": lambda n: [0.0] * (n - n // 4) + [float(i) for i in range(n // 4)],
    "huge": lambda n: [1e300 * (i % 7 - 3) for i in range(n)],
    "tiny": lambda n: [1e-300 * (i % 7) for i in range(n)],
    "huge and tiny": lambda n: [10.0 ** (i % 600 - 300) for i in range(n)],
    "all blank": lambda n: [""] * n,
    "each its own level": lambda n: [f"client {i}" for i in range(n)],
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ODD_COLUMNS)
@pytest.mark.parametrize("rows", [60, pytest.param(600, marks=pytest.mark.complete)])
def test_an_odd_column_does_no_harm(kind: str, rows: int) -> None:
    """New clients are told apart nearly as well as without it."""

    def beside(features: pd.DataFrame) -> pd.DataFrame:
        odd = ODD_COLUMNS[kind](len(features))
        return features.assign(
            odd=pd.Series(odd, dtype=float if isinstance(odd[0], float) else object)
        )

    (features, labels), (others, left) = clients(rows), clients(4000, seed=9)
    without, fitted = fitted_on(features, labels), fitted_on(beside(features), labels)
    assert_equal_to_its_pipeline(fitted, beside(features).iloc[:20])
    auc = roc_auc_score(left, fitted.scorecard.probabilities(beside(others)))
    assert auc > roc_auc_score(left, without.scorecard.probabilities(others)) - 0.06


@pytest.mark.slow
def test_values_missing_or_unseen_only_at_prediction_time_get_middling_answers() -> None:
    features, labels = clients(1000)
    fitted = fitted_on(features, labels)
    asked = pd.DataFrame({"activity": [NAN, 20.0, NAN], "plan": ["monthly", "quarterly", ""]})
    assert_equal_to_its_pipeline(fitted, asked)
    assert np.all(np.abs(fitted.scorecard.contributions(asked)) < 1.5)


def test_fifty_rows_are_enough() -> None:
    features, labels = clients(50)
    fitted = fitted_on(features, labels)
    assert roc_auc_score(*reversed((fitted.scorecard.probabilities(features), labels))) > 0.7


@pytest.mark.slow
def test_one_positive_in_a_hundred_is_enough() -> None:
    features, _ = clients(2000)
    labels = np.zeros(2000, dtype=bool)
    labels[np.argsort(features["activity"].to_numpy(), kind="stable")[:40:2]] = True
    fitted = fitted_on(features, labels)
    chance = fitted.scorecard.probabilities(features)
    assert roc_auc_score(labels, chance) > 0.95
    assert 0.0 < fitted.scorecard.threshold < 1.0


@pytest.mark.slow
def test_one_column_of_integers_is_enough() -> None:
    features, labels = clients(500)
    alone = features[["activity"]].astype(np.int64)
    fitted = fitted_on(alone, labels)
    assert_equal_to_its_pipeline(fitted, alone.iloc[:20])
    assert fitted.scorecard.terms == ("activity",)


@pytest.mark.slow
def test_probabilities_are_calibrated_not_weighted_by_label() -> None:
    features, labels = clients(3000)
    fitted = fitted_on(features, labels[:])
    chance = fitted.scorecard.probabilities(features)
    assert chance.mean() == pytest.approx(labels.mean(), abs=1e-3)


def test_risk_bends() -> None:
    """Both quiet and frantic clients leave: no straight line ranks them, hats do."""
    random = np.random.default_rng(3)
    activity = random.normal(size=3000)
    labels = random.random(3000) < 1 / (1 + np.exp(3 - 2 * np.abs(activity) ** 1.5))
    fitted = fitted_on(pd.DataFrame({"activity": activity}), labels)
    assert fitted.scorecard.probabilities({"activity": [-2.5, 0.0, 2.5]}) == pytest.approx(
        1 / (1 + np.exp(3 - 2 * np.array([2.5, 0, 2.5]) ** 1.5)), abs=0.12
    )


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ([0] * 100, "all 100 rows have the same label"),
        ([1] * 100, "all 100 rows have the same label"),
        ([0, 1] * 9, "too few labelled rows: 18, and at least 20 are needed"),
        ([0] * 99 + [1], "only 1 row of the rarer label, and at least 2 are needed"),
        ([], "too few labelled rows: 0"),
    ],
)
def test_what_cannot_be_learnt_is_refused_with_the_reason(labels: list[int], reason: str) -> None:
    features = pd.DataFrame({"x": np.arange(float(len(labels)))})
    with pytest.raises(NotEnoughData, match=f"no model can be trained: {reason}"):
        fitted_on(features, np.array(labels, dtype=bool))


def test_even_one_row_of_the_rarer_label_is_refused_when_settings_would_allow_it() -> None:
    features = pd.DataFrame({"x": np.arange(100.0)})
    with pytest.raises(NotEnoughData, match="only 1 row of the rarer label"):
        fit(
            features,
            np.arange(100) == 5,
            numeric=["x"],
            categorical=[],
            minimum=Minimum(1, 1),
            seed=0,
        )


# What cross-validation chooses


def strongest_pair(fitted: FittedModel, features: pd.DataFrame) -> tuple[tuple[str, ...], float]:
    """The pair that moves the log-odds most, and the standard deviation of its points."""
    deviations = {
        term.columns: float(term.of_column(features).std()) for term in fitted.scorecard.pairs
    }
    if not deviations:
        return (), 0.0
    strongest = max(deviations, key=deviations.__getitem__)
    return strongest, deviations[strongest]


def crossed(rows: int, strength: float, seed: int) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """Four numbers and a category; `x` raises the risk of plan a and lowers that of plan b."""
    random = np.random.default_rng(seed)
    features = pd.DataFrame({name: random.normal(size=rows) for name in "uvwx"})
    features["plan"] = pd.Series(random.choice(["a", "b"], rows), dtype=object)
    sign = np.where(features["plan"] == "a", 1.0, -1.0)
    log_odds = (-0.5 + features["u"] + strength * sign * features["x"]).to_numpy()
    return features, random.random(rows) < 1 / (1 + np.exp(-log_odds))


@pytest.mark.slow
def test_a_planted_interaction_is_found_first_and_taken() -> None:
    features, labels = crossed(1500, strength=1.0, seed=1)
    columns = Columns(("u", "v", "w", "x"), ("plan",))
    assert rank_pairs(features, labels.astype(np.int8), columns)[0] == ("x", "plan")
    fitted = fitted_on(features, labels)
    assert strongest_pair(fitted, features)[0] == ("x", "plan")
    asked = pd.DataFrame(
        {"u": 0.0, "v": 0.0, "w": 0.0, "x": [1.5, 1.5, -1.5, -1.5], "plan": ["a", "b"] * 2}
    )
    up_a, up_b, down_a, down_b = fitted.scorecard.log_odds(asked)
    assert up_a - up_b > 1.5
    assert down_a - down_b < -1.5


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_where_nothing_is_planted_pairs_say_next_to_nothing(seed: int) -> None:
    """Beside a column whose points have a standard deviation of .9; as many as are planted, .7."""
    features, labels = crossed(1500, strength=0.0, seed=seed)
    fitted = fitted_on(features, labels)
    assert strongest_pair(fitted, features)[1] < 0.15
    points = sum(term.of_column(features) for term in fitted.scorecard.pairs)
    assert np.std(points) < 0.2


def test_numbers_that_multiply_are_found_too() -> None:
    """Exclusive or: high risk where both are high or both are low; neither tells alone."""
    random = np.random.default_rng(5)
    features = pd.DataFrame({name: random.normal(size=2000) for name in "uvw"})
    labels = random.random(2000) < np.where(features["u"] * features["w"] > 0, 0.8, 0.2)
    fitted = fitted_on(features, labels)
    assert strongest_pair(fitted, features)[0] == ("u", "w")
    assert roc_auc_score(fitted.selection.labels, fitted.selection.probabilities) > 0.7


def test_the_threshold_by_hand() -> None:
    # The F1 to expect of the first: 2 * .9 / (1 + 2); of two: 2 * 1.5 / (2 + 2); of three, 1.4;
    # of all, 2 * 2 / (6 + 2). Two are best, and half of their .75 lies between .6 and .3.
    assert best_threshold(np.array([0.3, 0.9, 0.05, 0.6, 0.05, 0.1])) == pytest.approx(0.375)


@given(st.lists(st.floats(0.001, 1.0), min_size=1, max_size=40))
def test_no_other_cut_has_a_higher_expected_f1(chances: list[float]) -> None:
    probabilities = np.array(chances)

    def expected(called: NDArray[np.bool_]) -> float:
        return float(2 * probabilities[called].sum() / (called.sum() + probabilities.sum()))

    best = expected(probabilities >= best_threshold(probabilities))
    assert all(expected(probabilities >= cut) <= best + 1e-9 for cut in chances)


def test_the_threshold_of_equal_probabilities_calls_everybody() -> None:
    assert best_threshold(np.array([0.3, 0.3])) <= 0.3


@pytest.mark.slow
def test_the_threshold_hardly_depends_on_single_outcomes() -> None:
    """By the outcomes of 300 clients, the best cut has a standard deviation of .09."""
    thresholds = [fitted_on(*clients(300, seed)).scorecard.threshold for seed in range(8)]
    assert np.std(thresholds) < 0.03


def test_the_chosen_threshold_serves_new_clients_better_than_a_half() -> None:
    features, labels = clients(6000, seed=1)
    rare = labels & (np.arange(6000) % 3 == 0)
    fitted = fitted_on(features[:3000], rare[:3000])
    chance = fitted.scorecard.probabilities(features[3000:])
    chosen = f1_score(rare[3000:], chance >= fitted.scorecard.threshold)
    assert chosen > f1_score(rare[3000:], chance >= 0.5) + 0.1


@pytest.mark.slow
def test_equal_rows_and_seeds_give_equal_models() -> None:
    features, labels = crossed(400, strength=1.0, seed=1)
    first, second = fitted_on(features, labels), fitted_on(features, labels)
    assert first.scorecard == second.scorecard
    assert first.settings == second.settings
    assert pickle.dumps(first.pipeline) == pickle.dumps(second.pipeline)


@pytest.mark.slow
def test_fitting_changes_nothing_it_was_given() -> None:
    features, labels = crossed(200, strength=1.0, seed=1)
    before = features.copy(deep=True), labels.copy()
    fitted_on(features, labels)
    pd.testing.assert_frame_equal(features, before[0])
    assert np.array_equal(labels, before[1])


@pytest.mark.slow
def test_many_rows_are_represented_by_a_sample_and_all_are_learnt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    features, labels = clients(4000)
    monkeypatch.setattr(selection, "SAMPLE_ROWS", 1000)
    fitted = fitted_on(features, labels)
    assert len(fitted.selection.labels) == 1000
    assert fitted.selection.labels.mean() == pytest.approx(labels.mean(), abs=0.001)
    assert_equal_to_its_pipeline(fitted, features.iloc[:20])
    chance = fitted.scorecard.probabilities(features)
    assert chance.mean() == pytest.approx(labels.mean(), abs=1e-3)  # true of all 4000 only
    log_odds = 2.0 - 0.08 * features["activity"] + (features["plan"] == "monthly")
    assert np.abs(chance - logistic(log_odds.to_numpy())).mean() < 0.03  # of the sample alone, .033


def bent(rows: int) -> tuple[pd.DataFrame, NDArray[np.int8], NDArray[np.float64]]:
    """Features, labels and true log-odds: both low and high `u` raise the risk."""
    random = np.random.default_rng(1)
    features = pd.DataFrame({name: random.normal(size=rows) for name in "uw"})
    log_odds = (2 * features["u"].abs() - 0.5 * features["w"] - 1.0).to_numpy()
    labels = (random.random(rows) < logistic(log_odds)).astype(np.int8)
    return features, labels, log_odds


def selected(penalty: float, labels: NDArray[np.int8]) -> Selection:
    return Selection(penalty, True, 0.5, labels, labels.astype(float), (), (), len(labels))


def test_the_penalty_falls_by_the_root_of_the_rows_that_learn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The folds chose it for four fifths of the rows; each fit has more of them, or fewer."""
    features, labels, _ = bent(1000)
    asked = []
    last = lasso.last

    def asked_of(rows: Any, truth: Any, penalties: Any, *, is_adapted: bool) -> Solution:
        asked.append((len(truth), penalties[-1]))
        return last(rows, truth, penalties, is_adapted=is_adapted)

    monkeypatch.setattr(lasso, "last", asked_of)
    fitted = fitted_on(features, labels.astype(bool))
    chosen = fitted.selection.penalty
    assert asked == [(1000, pytest.approx(chosen * math.sqrt(0.8)))]
    everyone = np.ones(1000, dtype=bool)
    training.out_of_fold_probabilities(fitted, features, labels, everyone)
    assert sorted(asked[1:]) == [(800, pytest.approx(chosen))] * 5


@pytest.mark.slow
def test_functions_of_a_sample_have_the_weights_that_all_rows_give_them() -> None:
    """Without penalty those of a logistic regression on the functions' values."""
    features, labels, _ = bent(300_000)
    sample = selection_rows(labels, seed=7)
    assert len(sample) == SAMPLE_ROWS
    rows = RowsInMemory(features, labels)
    regression = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10)
    with one_thread():
        of_few = Learner.of(features.iloc[sample], labels[sample], Columns(("u", "w"), ()), ())
        solution = of_few.fit(0.008, is_adapted=True)
        functions = Functions(of_few.basis, of_few.ramps.points(solution.positions))
        refined = functions.refined(rows, replace(solution, penalty=1e-9))
        values = (functions.hats(features) @ functions.points).toarray()
        regression.fit(values, labels)
    assert 2 < len(solution.weights) < 30
    assert refined.positions.tolist() == solution.positions.tolist()
    assert refined.weights == pytest.approx(regression.coef_[0], abs=2e-3)
    assert refined.intercept == pytest.approx(regression.intercept_[0], abs=2e-3)
    assert np.abs(solution.weights - regression.coef_[0]).max() > 10 * 2e-3


@pytest.mark.slow
def test_many_rows_teach_more_than_their_sample() -> None:
    """The log loss above the least possible one is less than 0.6 of that of the sample's model."""
    features, labels, log_odds = bent(100_000)
    sample, columns = np.arange(0, 100_000, 20), Columns(("u", "w"), ())
    few, known = features.iloc[sample], labels[sample]
    chosen, all_of_few = selected(0.0003, known), np.arange(len(sample))
    of_sample = training.fit_selected(few, known, columns, chosen, all_of_few)[1]
    of_all = training.fit_selected(features, labels, columns, chosen, sample)[1]
    chance, shapes, excess = logistic(log_odds), [], []
    for card in (of_sample, of_all):
        answer = card.probabilities(features)
        gain = chance * np.log(chance / answer)
        gain += (1 - chance) * np.log((1 - chance) / (1 - answer))
        excess.append(gain.mean())
        shapes.append([term.axis for term in card.numeric])
    assert excess[1] < 0.6 * excess[0]
    assert shapes[0] == shapes[1]
    average = of_all.contributions(features).mean(axis=0)
    assert average == pytest.approx(np.zeros(len(of_all.terms)), abs=1e-9)


def test_where_no_pair_is_selected_the_basis_is_one_of_single_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(learner, "PENALTIES", (0.4,))
    features, _, _ = bent(2000)
    noise = np.random.default_rng(2).normal(size=2000)
    labels = (features["u"].to_numpy() > noise).astype(np.int8)
    everyone, columns = np.arange(2000), Columns(("u", "w"), ())
    chosen = selected(0.4, labels)
    pipeline, card = training.fit_selected(features, labels, columns, chosen, everyone)
    assert card.pairs == ()
    chance = pipeline.predict_proba(features)[:, 1]
    assert np.max(np.abs(card.probabilities(features) - chance)) < 1e-9
    width = len(pipeline["basis"].get_feature_names_out())
    assert pipeline["regression"].coef_.shape == (1, width)


def test_sums_do_not_depend_on_how_many_rows_are_taken_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    features, labels, _ = bent(1000)
    rows = RowsInMemory(features, labels)

    def sums(part: pd.DataFrame, known: NDArray[np.int8]) -> NDArray[np.float64]:
        return np.array([len(part), known @ part["u"]])

    expected = sums(features, labels)
    for size in (1, 300, 1000, 1001):
        monkeypatch.setattr(training, "CHUNK_ROWS", size)
        assert rows.total(sums) == pytest.approx(expected, rel=1e-12)


def test_a_fit_has_one_thread_of_blas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Among busy processes, threads that wait for each other took ten times as long."""
    threads: list[int] = []

    def select(*arguments: Any) -> Selection:
        threads.extend(one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas")
        return selected(0.01, arguments[1])

    monkeypatch.setattr(selection, "select", select)
    features, labels, _ = bent(200)
    with threadpool_limits(2, "blas"):
        choose(features, labels, Columns(("u", "w"), ()), seed=7)
    assert set(threads) == {1}


# Out of fold


@pytest.mark.slow
def test_a_fold_never_looks_at_the_labels_it_predicts() -> None:
    """Neither fitting nor screening: among noise, which pairs come first hangs on every label."""
    random = np.random.default_rng(6)
    names = tuple("abcdefghijkl")
    features = pd.DataFrame({name: random.normal(size=600) for name in names})
    truth = random.integers(0, 2, 600).astype(np.int8)
    test = np.arange(0, 600, 3)
    train = np.setdiff1d(np.arange(600), test)
    lied = truth.copy()
    lied[test] = 1 - lied[test]
    honest, deceived = (
        Fold.prepare(features, labels, Columns(names, ()), train, test) for labels in (truth, lied)
    )
    for fold in (honest, deceived):
        for _ in PENALTIES[:5]:
            fold.go_on()
    assert len(honest.solutions[PENALTIES[4], False].weights) > 10
    for tried in honest.solutions:
        assert np.array_equal(honest.answers(tried), deceived.answers(tried))


@pytest.mark.parametrize(("cores", "most"), [(2, 2), (None, 1)])
def test_no_more_folds_are_fitted_at_once_than_there_are_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int | None, most: int
) -> None:
    """Each takes memory while it is fitted."""
    features, labels = clients(200)
    before = fitted_on(features, labels).selection
    threads, go_on = set[int](), Fold.go_on

    def go_on_here(fold: Fold) -> None:
        threads.add(threading.get_ident())
        go_on(fold)

    monkeypatch.setattr(Fold, "go_on", go_on_here)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    after = fitted_on(features, labels).selection
    assert 1 <= len(threads) <= most
    assert np.array_equal(after.probabilities, before.probabilities)


@pytest.mark.slow
def test_out_of_fold_answers_do_not_depend_on_the_row_s_own_label() -> None:
    features, labels = clients(200)
    fitted = fitted_on(features, labels)
    asked = np.arange(200) >= 150
    answers = training.out_of_fold_probabilities(fitted, features, labels, asked)
    assert answers.shape == (50,)
    lied = labels.copy()
    lied[160] = ~lied[160]
    others = training.out_of_fold_probabilities(fitted, features, lied, asked)
    assert others[10] == answers[10]
    assert not np.array_equal(others, answers)  # its fellows of other folds have learnt from it


@pytest.mark.slow
def test_out_of_fold_answers_for_one_row_come_from_all_the_others() -> None:
    features, labels = clients(200)
    fitted = fitted_on(features, labels)
    alone = np.arange(200) == 17
    answer = training.out_of_fold_probabilities(fitted, features, labels, alone)
    others, truth = features[~alone], labels[~alone].astype(np.int8)
    everyone = np.arange(len(others))
    expected, _ = training.fit_selected(others, truth, fitted.columns, fitted.selection, everyone)
    assert answer[0] == pytest.approx(expected.predict_proba(features[alone])[0, 1])
    nobody = np.zeros(200, dtype=bool)
    assert training.out_of_fold_probabilities(fitted, features, labels, nobody).shape == (0,)


@pytest.mark.slow
def test_the_pickle_names_only_classes_of_its_own_libraries() -> None:
    """An allow-list for reading it stays short."""
    features, labels = crossed(400, strength=1.0, seed=1)
    data = pickle.dumps(fitted_on(features, labels).pipeline, protocol=5)
    named = set()

    class Noting(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            named.add(f"{module}.{name}")
            return super().find_class(module, name)

    Noting(io.BytesIO(data)).load()
    assert named <= {
        "sklearn.pipeline.Pipeline",
        "sklearn.compose._column_transformer.ColumnTransformer",
        "sklearn.linear_model._logistic.LogisticRegression",
        "attrition.model.transformers.NumericHats",
        "attrition.model.transformers.CategoryLevels",
        "attrition.model.transformers.PairGrids",
        "attrition.model.terms.KnotAxis",
        "attrition.model.terms.LevelAxis",
        "builtins.slice",
        "numpy.ndarray",
        "numpy.dtype",
        "numpy._core.multiarray._reconstruct",
        "numpy._core.multiarray.scalar",
        "numpy._core.numeric._frombuffer",
    }


def clients_of_many_rows() -> tuple[pd.DataFrame, NDArray[np.int8], NDArray[np.object_]]:
    """Thirty clients of twenty rows each, whom a column tells apart and nothing foretells."""
    random = np.random.default_rng(3)
    codes = np.tile(np.arange(30), 20)
    labels = (random.permutation(30) % 2)[codes] ^ (random.random(600) < 0.1)
    clients = np.array([f"C{i}" for i in codes], dtype=object)
    return pd.DataFrame({"plan": clients}), labels.astype(np.int8), clients


@pytest.mark.slow
def test_cross_validation_does_not_recognize_a_client_by_another_row() -> None:
    features, labels, clients = clients_of_many_rows()

    def chosen(whose: NDArray[np.object_] | None) -> Selection:
        return fit(
            features,
            labels,
            numeric=[],
            categorical=["plan"],
            minimum=LEAST,
            seed=7,
            clients=whose,
        ).selection

    assert roc_auc_score(labels, chosen(None).probabilities) > 0.8
    assert roc_auc_score(labels, chosen(clients).probabilities) < 0.6


@pytest.mark.slow
def test_where_no_client_repeats_naming_them_changes_nothing() -> None:
    features, labels = clients(200)
    names = np.array([f"C{number}" for number in range(200)], dtype=object)
    of_rows = fitted_on(features, labels)
    of_clients = fit(
        features,
        labels,
        numeric=["activity"],
        categorical=["plan"],
        minimum=LEAST,
        seed=7,
        clients=names,
    )
    assert of_clients.scorecard == of_rows.scorecard
    assert of_clients.settings == of_rows.settings
    everyone = np.ones(200, dtype=bool)
    assert np.array_equal(
        training.out_of_fold_probabilities(of_rows, features, labels, everyone),
        training.out_of_fold_probabilities(of_rows, features, labels, everyone, names),
    )


@pytest.mark.slow
def test_out_of_fold_answers_do_not_recognize_a_client_by_another_row() -> None:
    features, labels, clients = clients_of_many_rows()
    fitted, everyone = fitted_on(features, labels == 1), np.ones(len(labels), dtype=bool)
    known = training.out_of_fold_probabilities(fitted, features, labels, everyone)
    unknown = training.out_of_fold_probabilities(fitted, features, labels, everyone, clients)
    assert roc_auc_score(labels, known) > 0.8
    assert roc_auc_score(labels, unknown) < 0.6


@pytest.mark.slow
@pytest.mark.parametrize(
    "labels_of_clients",
    [[[0, 1]] * 12, [[0, 0, 1]] + [[0, 0]] * 12, [[0] * 9, [1] * 9]],
    ids=["every client has both labels", "one client left", "one client of each label"],
)
def test_clients_of_many_rows_are_cross_validated_whatever_their_labels(
    labels_of_clients: list[list[int]],
) -> None:
    clients = np.repeat(np.arange(len(labels_of_clients)), [len(one) for one in labels_of_clients])
    labels = np.concatenate([*labels_of_clients, [1, 0] * 2]).astype(np.int8)
    clients = np.append(clients, [clients.max()] * 4)
    features = pd.DataFrame({"x": np.arange(len(labels)) % 5 / 2})
    fitted = fit(
        features,
        labels,
        numeric=["x"],
        categorical=[],
        minimum=Minimum(10, 2),
        seed=7,
        clients=clients,
    )
    assert len(fitted.selection.probabilities) == len(labels)
    assert np.isfinite(fitted.selection.probabilities).all()
