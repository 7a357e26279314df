"""The ranking by hand-made numbers: order, tiers, value at risk, changes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attrition.calls.profit import CallCosts, ListProfit, SuccessRate
from attrition.data import clients as data_clients
from attrition.model.explanations import NO_REASON
from attrition.model.scorecard import Scorecard
from attrition.model.terms import KnotAxis, NumericTerm
from attrition.ranking import ranking
from attrition.ranking.ranking import Previous, Pricing, Tiers
from tests.support.rankings import TIERS, ranked


def test_the_most_likely_leaver_stands_first_and_tiers_begin_at_their_thresholds() -> None:
    found = ranked({"a": 0.1, "b": 0.9, "c": 0.21, "d": 0.49, "e": 0.51, "f": 0.19})
    assert found.ids.tolist() == ["b", "e", "d", "c", "f", "a"]
    assert found.probabilities.tolist() == [0.9, 0.51, 0.49, 0.21, 0.19, 0.1]
    assert found.tiers.tolist() == ["high", "high", "medium", "medium", "low", "low"]
    assert [found.count(tier) for tier in ("high", "medium", "low")] == [2, 2, 2]
    assert Tiers(0.5, 0.2).of(np.array([0.5, 0.2])).tolist() == ["high", "medium"]


def test_tiers_without_settings_come_from_the_models_own_threshold() -> None:
    assert ranking.choose_tiers(None, None, 0.34) == Tiers(0.34, 0.17)
    assert ranking.choose_tiers(0.8, None, 0.34) == Tiers(0.8, 0.4)
    assert ranking.choose_tiers(0.8, 0.3, 0.34) == Tiers(0.8, 0.3)


def test_value_at_risk_is_probability_times_value_and_has_a_ranking_of_its_own() -> None:
    chances = {"a": 0.9, "b": 0.5, "c": 0.25, "d": 0.1, "e": 0.05}
    found = ranked(chances, [100.0, 1000.0, math.nan, 50.0, 1800.0])
    assert found.values_at_risk is not None
    assert found.value_ranks is not None
    assert found.values_at_risk[[0, 1, 3, 4]] == pytest.approx([90, 500, 5, 90])
    assert math.isnan(found.values_at_risk[2])
    assert found.value_ranks.tolist() == [2, 1, 0, 4, 3]  # a tie goes to the more likely leaver


def test_clients_who_are_held_out_come_last_in_every_rank() -> None:
    chances = {"a": 0.9, "b": 0.1, "c": 0.8, "d": 0.5, "e": 0.2}
    values = [100.0, 1000.0, 500.0, math.nan, 10.0]
    held_out = np.array([False, True, True, False, False])
    found = ranked(chances, values, held_out=held_out)
    assert found.ids.tolist() == ["a", "d", "e", "c", "b"]
    assert found.rows.tolist() == [0, 3, 4, 2, 1]
    assert (found.to_call, found.held_out) == (3, 2)
    assert found.value_ranks is not None
    assert found.value_ranks.tolist() == [1, 0, 2, 3, 4]


# E = .3 p v .9 - (1 - p) .1 v - 4, by hand; c has no value.
WORTH = {"a": (0.9, 100.0), "b": (0.5, 1000.0), "c": (0.3, math.nan), "d": (0.2, 2000.0)}
PROFITS = {"a": 24.3 - 1 - 4, "b": 135 - 50 - 4, "d": 108 - 160 - 4}
PRICING = Pricing(CallCosts(4, offer_share=0.1), SuccessRate.exactly(0.3), 1)


@pytest.mark.parametrize(
    ("rank_by", "order", "held_out_order"),
    [("risk", "abcd", "abdc"), ("value at risk", "bdac", "bdac"), ("profit", "badc", "bdac")],
)
def test_the_list_is_ordered_by_risk_value_at_risk_or_profit(
    rank_by: str, order: str, held_out_order: str
) -> None:
    chances = {name: chance for name, (chance, _) in WORTH.items()}
    values = [value for _, value in WORTH.values()]
    found = ranked(chances, values, rank_by=rank_by, pricing=PRICING)
    assert "".join(found.ids) == order
    assert found.profits is not None
    assert dict(zip(found.ids, found.profits, strict=True)) == pytest.approx(
        PROFITS | {"c": math.nan}, nan_ok=True
    )
    held_out = np.array([name in held_out_order[2:] for name in WORTH])
    found = ranked(chances, values, rank_by=rank_by, pricing=PRICING, held_out=held_out)
    first, last = found.ids.tolist()[:2], found.ids.tolist()[2:]
    assert first == [name for name in order if name in held_out_order[:2]]
    assert last == [name for name in order if name in held_out_order[2:]]
    listed = found.profit(PRICING)
    assert isinstance(listed, ListProfit)
    assert listed.plan.clients == sum(name != "c" for name in first)  # only those to call count


def test_a_value_that_can_be_none_counts_as_unknown_and_is_not_lost() -> None:
    chances, values = {"a": 0.9, "b": 0.5, "c": 0.1}, [1.7e308, 1000.0, -1e6]
    found = ranked(chances, values, rank_by="profit", pricing=PRICING)
    assert found.ids.tolist() == ["b", "a", "c"]  # not first the "offer" that takes 5 % of a loss
    assert found.values is not None
    assert found.values.tolist() == [1000.0, 1.7e308, -1e6]
    assert found.value_ranks is not None
    assert found.value_ranks.tolist() == [1, 0, 0]
    assert found.profits is not None
    assert np.isnan(found.profits).tolist() == [False, True, True]
    listed = found.profit(PRICING)
    assert isinstance(listed, ListProfit)
    assert (listed.plan.clients, listed.without_value) == (1, 2)
    assert str(found.odd_values) == (
        "2 clients have a value below 0 or above 1,000 trillion, such as "
        "\N{MINUS SIGN}1,000,000 and 1.70e+308: such values count as unknown"
    )
    assert ranked(chances, [1.0, 0.0, math.nan]).odd_values is None


def test_without_any_known_value_no_profit_is_told_and_no_value_at_risk() -> None:
    chances = {"a": 0.9, "b": 0.5}
    found = ranked(chances, [math.nan, math.nan], pricing=PRICING)
    assert found.profit(PRICING) == (
        "no profit is shown: none of the 2 clients who may be called has a value"
    )
    assert found.value_at_risk("high") is None
    alone = ranked({"a": 0.9}, [math.nan], pricing=PRICING)
    assert alone.profit(PRICING) == (
        "no profit is shown: the client who may be called has no value"
    )
    held_out = ranked(chances, [1.0, 2.0], pricing=PRICING, held_out=np.array([True, True]))
    assert held_out.profit(PRICING) == "no profit is shown: every client is held out"


def test_equal_profits_are_in_the_order_of_the_risk_then_of_the_names() -> None:
    free = Pricing(CallCosts(5), SuccessRate.exactly(0.5))
    found = ranked(
        {"b": 0.2, "a": 0.2, "c": 0.4}, [20.0, 20.0, 10.0], rank_by="profit", pricing=free
    )
    assert found.ids.tolist() == ["c", "a", "b"]


def test_only_the_first_clients_get_reasons_and_a_safe_one_is_told_so() -> None:
    found = ranked({"a": 0.9, "b": 0.3, "c": 0.2}, with_reasons=2)
    assert found.reasons == [["x is 2.197, above 0: raises the risk strongly"], [NO_REASON]]


def test_at_most_three_reasons_are_told_the_strongest_first() -> None:
    columns = "abcde"
    terms = [
        NumericTerm(c, KnotAxis((0.0, 1.0), 0.0), (0.0, w), 0.0, 0.0, 0.0)
        for c, w in zip(columns, (1.0, -1.0, 4.0, 3.0, 2.0), strict=True)
    ]
    found = ranking.rank(
        Scorecard(0.0, 0.5, tuple(terms), (), ()),
        np.array(["client"], dtype=object),
        {column: np.array([1.0]) for column in columns},
        values=None,
        tiers=TIERS,
        with_reasons=1,
    )
    assert [text[0] for text in found.reasons[0]] == ["c", "d", "e"]


@given(st.lists(st.sampled_from([0.1, 0.3, 0.3, 0.6, 0.9]), min_size=1, max_size=40), st.randoms())
def test_order_falls_and_does_not_depend_on_the_order_of_the_rows(
    chances: list[float], random: Any
) -> None:
    clients = {f"client {place}": chance for place, chance in enumerate(chances)}
    mixed = list(clients.items())
    random.shuffle(mixed)
    found, again = ranked(clients), ranked(dict(mixed))
    assert (np.diff(found.probabilities) <= 0).all()
    assert sorted(found.ids) == sorted(clients)
    assert found.ids.tolist() == again.ids.tolist()
    assert found.tiers.tolist() == again.tiers.tolist()
    expected = sorted(clients, key=lambda client: (-clients[client], client))
    assert found.ids.tolist() == expected


def test_the_last_row_of_each_client_is_its_newest() -> None:
    ids = np.array(["a", "b", "a", "c", "b"], dtype=object)
    assert data_clients.newest_of_each(ids).tolist() == [False, False, True, True, True]


def test_changes_are_matched_by_client_and_new_ones_say_so() -> None:
    last = Previous(["c", "a", "gone", "b"], np.array([0.9, 0.5, 0.4, 0.2]), [""] * 4, [""] * 4)
    found = ranking.with_changes(ranked({"a": 0.8, "b": 0.2, "c": 0.7, "d": 0.6}), last)
    assert found.ids.tolist() == ["a", "c", "d", "b"]
    assert found.probability_changes == ["0.3000", "-0.2000", "new", "0.0000"]
    assert found.rank_changes == ["1", "-1", "new", "0"]


def test_a_first_list_tells_no_changes_and_one_after_an_empty_list_only_new_clients() -> None:
    found = ranked({"a": 0.8, "b": 0.2})
    assert ranking.with_changes(found, None).rank_changes == ["", ""]
    empty = Previous([], np.array([]), [], [])
    assert ranking.with_changes(found, empty).probability_changes == ["new", "new"]


def test_the_same_ranking_again_keeps_the_changes_it_told() -> None:
    found = ranked({"a": 0.8, "b": 0.2})
    last = Previous(["a", "b"], np.array([0.8, 0.2]), ["0.1000", "new"], ["3", "new"])
    again = ranking.with_changes(found, last)
    assert (again.probability_changes, again.rank_changes) == (["0.1000", "new"], ["3", "new"])
    for ids, chances in ((["b", "a"], [0.8, 0.2]), (["a", "b"], [0.8, 0.3]), (["a"], [1.0])):
        texts = ["x"] * len(ids)
        other = Previous(ids, np.array(chances), texts, texts)
        assert "x" not in ranking.with_changes(found, other).rank_changes


def test_another_order_of_the_same_risks_keeps_their_changes_and_compares_no_places() -> None:
    found = ranked({"a": 0.8, "b": 0.2, "c": 0.1})
    by_value = Previous(
        ["c", "a", "b"], np.array([0.1, 0.8, 0.2]), ["new", "0.1000", "-0.2000"], ["new", "3", "1"]
    )
    other = ranking.with_changes(found, by_value)
    assert other.rank_changes == ["1", "1", "-2"]  # the same settings order both
    again = ranking.with_changes(found, replace(by_value, same_order=False))
    assert again.probability_changes == ["0.1000", "-0.2000", "new"]
    assert again.rank_changes == ["", "", "new"]
