"""The impact: exact sums, numbers computed by hand, and calm where something was not recorded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from attrition.model.metrics import Minimum
from attrition.model.scorecard import Scorecard
from attrition.model.terms import CategoricalTerm, KnotAxis, LevelAxis, NumericTerm, PairTerm
from attrition.model.training import fit
from attrition.monitoring.impact import STRONGEST, baseline, impact, predicted_risk, term_weights

AXIS = KnotAxis((0.0, 10.0), 5.0)
# Points 0 at x = 0 to 2 at x = 10; training had a mean x of 5. Plan b +1, held by a fifth.
NUMBER = NumericTerm("x", AXIS, (0.0, 2.0), 0.5, 0.0, 1.0)
PLAN = CategoricalTerm("plan", LevelAxis(("a", "b")), (0.0, 1.0, 0.0), "a", 0.2)
PAIR = PairTerm(("x", "plan"), (AXIS, LevelAxis(("a", "b"))), ((0, 0, 0), (0, -1.0, 0)), -0.1)
CARD = Scorecard(-2.0, 0.5, (NUMBER,), (PLAN,), (PAIR,))


def clients(x: list[float], plan: list[str]) -> dict[str, Any]:
    return {"x": np.array(x), "plan": np.array(plan, dtype=object)}


def judge(table: Any, recorded: dict[str, Any], card: Scorecard = CARD) -> Any:
    return impact(card, table, card.log_odds(table), recorded, 1000)


def test_the_shares_are_those_computed_by_hand() -> None:
    now = clients([10.0, 10.0, 5.0, 5.0], ["b", "a", "a", "a"])
    before = {"x": 1.0, "plan": 0.2, "x x plan": -0.1}
    recorded = baseline(CARD, now, CARD.log_odds(now)) | {"average_points": before}
    found = judge(now, recorded)
    by_name = {term.term: term for term in found.terms}
    assert [term.term for term in found.terms] == ["x", "x x plan", "plan"]  # by size
    assert by_name["x"].points_now == 1.5  # 2, 2, 1, 1
    assert by_name["x"].change == pytest.approx(0.5)
    assert by_name["plan"].change == pytest.approx(0.25 - 0.2)
    assert by_name["x x plan"].change == pytest.approx(-0.25 + 0.1)  # the pair's own share
    assert found.log_odds_before == pytest.approx(-2.0 + 1.0 + 0.2 - 0.1)
    # The points of x vary by .25; four rows against a thousand.
    assert by_name["x"].standard_error == pytest.approx(np.sqrt(0.25 * (1 / 4 + 1 / 1000)))


def test_risk_and_moved_clients_by_hand() -> None:
    """Log-odds 0, 0, -1, -2: at a threshold of .5 half are leavers, where a tenth was."""
    card = Scorecard(
        0.0,
        0.5,
        (NumericTerm("x", KnotAxis((-9.0, 9.0), 0.0), (-9.0, 9.0), 0.0, 0.0, -1.0),),
        (),
        (),
    )
    chances = 1 / (1 + np.exp(-np.array([0.0, 0.0, -1.0, -2.0])))
    spread = baseline(card, {"x": np.full(10, -1.0)}, np.full(10, -1.0))["points"]
    recorded = {"mean_probability": 0.2, "leaver_share": 0.1, "points": spread}
    found = judge({"x": np.array([0.0, 0.0, -1.0, -2.0])}, recorded, card)
    assert found.risk_now == pytest.approx(chances.mean())
    assert found.risk_before == 0.2
    assert (found.leavers_before, found.leavers_now) == (0.1, 0.5)
    assert found.moved_clients == pytest.approx(4 * 0.4)
    # Without its shift every client has the -1 that all had in training.
    assert found.terms[0].risk_without == pytest.approx(1 / (1 + np.e))


def test_a_probability_at_the_threshold_is_a_leaver() -> None:
    found = predicted_risk([0.0, -0.1], 0.5)
    assert found["leaver_share"] == 0.5
    assert found["mean_probability"] == pytest.approx((0.5 + 1 / (1 + np.exp(0.1))) / 2)


@pytest.fixture(scope="module")
def trained() -> tuple[Scorecard, pd.DataFrame]:
    """A real model with a pair, and its training rows."""
    rng = np.random.default_rng(3)
    table = made_up(rng, 3000)
    steep = np.where(table["plan"] == "b", 3.0, -3.0) * (table["x"].fillna(0) - 0.3)
    labels = rng.random(3000) < 1 / (1 + np.exp(-steep))
    model = fit(
        table, labels, numeric=("x", "y"), categorical=("plan",), minimum=Minimum(50, 10), seed=1
    )
    assert model.scorecard.pairs
    return model.scorecard, table


def made_up(rng: np.random.Generator, rows: int, shift: float = 0.0) -> pd.DataFrame:
    x = rng.normal(shift, 1, rows)
    x[rng.random(rows) < 0.1] = np.nan
    plan = rng.choice(["a", "b", ""], rows, p=[0.6, 0.3, 0.1]).astype(object)
    return pd.DataFrame({"x": x, "y": rng.normal(0, 1, rows), "plan": plan})


@pytest.mark.parametrize("rows", [1, 5, 900])
def test_the_shares_sum_to_the_change_of_the_mean_log_odds(trained: Any, rows: int) -> None:
    card, training_rows = trained
    now = made_up(np.random.default_rng(rows), rows, 0.7)
    found = judge(now, baseline(card, training_rows, card.log_odds(training_rows)), card)
    assert {term.term for term in found.terms} == set(card.terms)
    total = sum(term.change for term in found.terms)
    assert total == pytest.approx(found.log_odds_change, abs=1e-12)
    change = card.log_odds(now).mean() - card.log_odds(training_rows).mean()
    assert total == pytest.approx(change, abs=1e-9)
    sizes = [abs(term.change) for term in found.terms]
    assert sizes == sorted(sizes, reverse=True)


def test_the_training_rows_themselves_have_no_impact(trained: Any) -> None:
    card, rows = trained
    found = judge(rows, baseline(card, rows, card.log_odds(rows)), card)
    assert max(abs(term.change) for term in found.terms) < 1e-9
    assert found.moved_clients == 0
    assert found.risk_now == found.risk_before
    for term in found.terms[:STRONGEST]:
        assert term.risk_without == pytest.approx(found.risk_now, abs=1e-3)


def test_rows_that_the_model_did_not_learn_count_where_they_were_there_at_training(
    trained: Any,
) -> None:
    """Those of contacted clients, who are mostly at high risk."""
    card, learnt = trained
    others = made_up(np.random.default_rng(5), 900, 1.5)
    rows = pd.concat([learnt, others], ignore_index=True)
    found = judge(rows, baseline(card, rows, card.log_odds(rows)), card)
    assert max(abs(term.change) for term in found.terms) < 1e-9
    assert found.log_odds_before == pytest.approx(card.log_odds(rows).mean(), abs=1e-9)
    assert found.risk_now == found.risk_before


def test_without_the_one_shift_there_is_the_risk_of_unshifted_clients(trained: Any) -> None:
    """The same made-up clients with y moved by one deviation, and with y as it was."""
    card, rows = trained
    recorded = baseline(card, rows, card.log_odds(rows))
    same = made_up(np.random.default_rng(77), 4000)
    found = judge(same.assign(y=same["y"] * 2 + 1), recorded, card)
    share = next(term for term in found.terms if term.term == "y")
    assert share.risk_without == pytest.approx(card.probabilities(same).mean(), abs=0.005)
    moved = same.assign(x=same["x"] + 1.0)
    assert judge(moved, recorded, card).terms[0].columns[0] == "x"


def test_the_weight_of_a_term_is_its_mean_absolute_deviation_over_the_training_rows(
    trained: Any,
) -> None:
    card, rows = trained
    weights = term_weights(card, baseline(card, rows, card.log_odds(rows)))
    for term in card.all_terms:
        points = term.of_column(rows)
        expected = np.abs(points - points.mean()).mean()
        assert weights[term.columns] == pytest.approx(expected, rel=0.02)


def test_without_a_record_the_weight_of_a_term_is_half_of_its_range() -> None:
    assert term_weights(CARD, None) == {("x",): 1.0, ("plan",): 0.5, ("x", "plan"): 0.5}
