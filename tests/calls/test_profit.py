"""What calls earn: published figures, sums by hand, every choice tried, outcomes drawn singly."""

from __future__ import annotations

import itertools
import json
import re

import numpy as np
import pytest
from scipy import integrate, stats

from attrition.calls.effect import Enrolled, measure
from attrition.calls.profit import (
    CallCosts,
    CallProfit,
    ListProfit,
    SuccessRate,
    break_even,
    expected_profit,
    list_profit,
    order_of_profit,
)
from attrition.calls.sequence import ConfidenceSequence
from attrition.calls.words import calls_in_brief, profit_in_words
from attrition.core.formatting import amount
from attrition.core.plain_values import from_json, to_json
from benchmarks.effect import Study, profit_coverage
from tests.conftest import REPOSITORY

SEQUENCE = ConfidenceSequence()
# Verbraken's defaults: g ~ Beta(6, 14), a client worth 200, an offer of 10, a contact of 1.
EMP_COSTS = CallCosts(contact_cost=1, offer_cost=10)
LOW, HIGH = stats.beta.interval(0.9, 6, 14)
EMP_RATE = SuccessRate(0.3, float(LOW), float(HIGH))
COSTS = CallCosts(contact_cost=4, offer_share=0.1)


def test_the_break_even_is_that_of_the_published_defaults() -> None:
    # (10 + 1) / (.3 * 190 + 10)
    assert break_even(200, EMP_COSTS, EMP_RATE) == pytest.approx(11 / 67)
    assert break_even(200, EMP_COSTS, EMP_RATE) == pytest.approx(0.164, abs=5e-4)
    # The same offer as a share of the value.
    assert break_even(200, CallCosts(1, offer_share=0.05), EMP_RATE) == pytest.approx(11 / 67)
    # Without an offer, cost over benefit.
    assert break_even(50, CallCosts(3), SuccessRate.exactly(0.2)) == pytest.approx(0.3)


def test_the_break_even_is_where_the_expected_profit_passes_0() -> None:
    for value, costs, rate in itertools.product(
        (30.0, 400.0), (CallCosts(2), COSTS, EMP_COSTS), (0.05, 0.3, 0.9)
    ):
        success = SuccessRate.exactly(rate)
        risks = np.linspace(0, 1, 100_001)
        pays = risks[expected_profit(risks, value, costs, success) > 0]
        limit = break_even(value, costs, success)
        if len(pays):
            assert limit == pytest.approx(pays.min(), abs=2e-5)
        else:
            assert limit is None


def test_where_no_call_pays_there_is_no_break_even() -> None:
    assert break_even(10, CallCosts(20), SuccessRate.exactly(0.5)) is None
    assert break_even(100, CallCosts(1), SuccessRate(-0.1, -0.3, 0.1, is_measured=True)) is None
    assert break_even(100, CallCosts(0), SuccessRate.exactly(0.5)) == 0


def test_the_expected_profit_is_that_of_a_count_by_hand() -> None:
    # 1,000 clients of value 200 and risk .25, g .4: 250 would leave, 100 are kept: 100 * (200 - 20)
    # less 750 * 20 of offers to those who stay anyway, less 4,000 of calls: -1,000
    profit = expected_profit(np.full(1000, 0.25), 200, COSTS, SuccessRate.exactly(0.4))
    assert profit.sum() == pytest.approx(-1000)


def test_the_mean_over_the_rate_is_the_profit_at_its_mean() -> None:
    def at(rate: float) -> float:
        density = float(stats.beta.pdf(rate, 6, 14))
        success = SuccessRate.exactly(rate)
        return density * float(expected_profit(0.4, 200, EMP_COSTS, success))

    mean, _ = integrate.quad(at, 0, 1)
    assert mean == pytest.approx(float(expected_profit(0.4, 200, EMP_COSTS, EMP_RATE)))


@pytest.mark.parametrize("most", [0, 1, 3, 8, None])
def test_no_other_choice_of_clients_is_expected_to_earn_more(most: int | None) -> None:
    chance = np.random.default_rng(5)
    risk, value = chance.random(8), chance.lognormal(4, 1, 8)
    success = SuccessRate.between(0.1, 0.5)
    profit = expected_profit(risk, value, COSTS, success)
    choices = itertools.product([False, True], repeat=8)
    best = max(
        float(profit[list(choice)].sum())
        for choice in choices
        if most is None or sum(choice) <= most
    )
    plan = list_profit(risk, value, COSTS, success, most).plan
    assert plan.expected == pytest.approx(best)
    assert plan.expected == pytest.approx(np.sort(profit)[::-1][: plan.calls].sum())
    assert plan.gain_over_random == pytest.approx(best - plan.calls * profit.mean())


def test_the_curve_rises_to_the_cut_and_then_falls() -> None:
    chance = np.random.default_rng(6)
    risk, value = chance.random(300), chance.lognormal(4, 1, 300)
    success = SuccessRate.exactly(0.3)
    profit = expected_profit(risk, value, COSTS, success)
    curve = np.concatenate([[0], np.cumsum(profit[order_of_profit(profit)])])
    plan = list_profit(risk, value, COSTS, success).plan
    assert (len(curve), curve[0]) == (301, 0)
    assert (np.diff(curve)[: plan.worth_calling] > 0).all()
    assert (np.diff(curve)[plan.worth_calling :] <= 0).all()
    assert plan.calls == plan.worth_calling == int(np.argmax(curve))
    assert plan.next_call == pytest.approx(curve[plan.calls + 1] - curve[plan.calls])
    assert order_of_profit(np.array([1.0, 3.0, 1.0])).tolist() == [1, 0, 2]


def test_a_range_is_a_beta_distribution_with_those_quantiles() -> None:
    known = SuccessRate.between(EMP_RATE.low, EMP_RATE.high)
    assert known.mean == pytest.approx(0.3, abs=1e-6)
    chances = [0.01, 0.05, 0.5, 0.95, 0.999]
    assert known.quantiles(chances) == pytest.approx(stats.beta.ppf(chances, 6, 14), abs=1e-6)
    for low, high in ((0.01, 0.02), (0.001, 0.6), (0.05, 0.95), (0.9, 0.99), (0.3, 0.301)):
        rate = SuccessRate.between(low, high)
        assert rate.quantiles([0.05, 0.95]) == pytest.approx([low, high], abs=1e-6)
        assert low < rate.mean < high
    for low, high in ((0.0, 0.4), (0.4, 0.4), (0.5, 0.2), (0.5, 1.0)):
        with pytest.raises(ValueError, match="expected 0 < low < high < 1"):
            SuccessRate.between(low, high)


def study(called_left: int, reached: int = 1000) -> Enrolled:
    """1,000 called and 1,000 held out at a risk of .4, of whom 400 left."""
    is_called = np.arange(2000) < 1000
    left = np.where(is_called, np.arange(2000) < called_left, np.arange(2000) < 1400)
    return Enrolled(
        np.full(2000, 0.4),
        is_called,
        np.full(2000, 0.5),
        left.astype(np.float64),
        np.arange(2000) < reached,
        np.full(2000, ""),
    )


def test_a_measured_rate_is_the_points_saved_by_the_mean_risk_of_those_reached() -> None:
    effect = measure(study(called_left=300), SEQUENCE)
    rate = SuccessRate.measured(effect)
    assert rate is not None
    assert effect.estimate is not None
    assert rate.mean == pytest.approx(0.1 / 0.4)
    # The same level and the same limits, by the mean risk.
    assert (rate.low, rate.high) == pytest.approx(np.array(effect.estimate.interval) / 0.4)
    assert rate.quantiles([0.05, 0.5, 0.95]) == pytest.approx([rate.low, rate.mean, rate.high])
    # Half of them reached: the same points were saved by half as many calls.
    half = SuccessRate.measured(measure(study(called_left=300, reached=500), SEQUENCE))
    assert half is not None
    assert half.mean == pytest.approx(0.5)
    # No contact is recorded: as if all had been reached.
    assert SuccessRate.measured(measure(study(called_left=300, reached=0), SEQUENCE)) == rate


def test_a_measured_rate_has_the_level_of_its_study_restated_at_90_percent() -> None:
    wide = SuccessRate.measured(measure(study(300), ConfidenceSequence(level=0.99)))
    assert wide is not None
    effect = measure(study(300), ConfidenceSequence(level=0.99)).estimate
    assert effect is not None
    expected = (
        (effect.interval[1] - effect.saved) / 0.4 * stats.norm.ppf(0.95) / stats.norm.ppf(0.995)
    )
    assert wide.high - wide.mean == pytest.approx(expected)


def test_calls_that_harm_are_measured_so_and_none_is_made() -> None:
    rate = SuccessRate.measured(measure(study(called_left=520), SEQUENCE))
    assert rate is not None
    assert rate.mean == pytest.approx(-0.3)
    plan = list_profit(np.full(50, 0.9), np.full(50, 1000.0), COSTS, rate).plan
    assert (plan.calls, plan.expected, plan.interval) == (0, 0, (0, 0))
    assert plan.next_call is not None
    assert plan.next_call < 0


def test_a_study_without_an_estimate_gives_no_rate() -> None:
    few = study(called_left=300).where(np.arange(2000) < 1005)
    assert SuccessRate.measured(measure(few, SEQUENCE)) is None


def test_a_profit_without_chance_has_no_width() -> None:
    plan = list_profit(np.ones(3), np.full(3, 10.0), CallCosts(1), SuccessRate.exactly(1.0)).plan
    assert plan.expected == 27
    assert plan.interval == pytest.approx((27, 27))
    assert (plan.share_by_success_rate, plan.next_call) == (None, None)


def test_the_interval_of_few_calls_holds_nothing_impossible() -> None:
    """One call that costs 1 to a client of 300 earns -1 or 299."""
    plan = list_profit(np.ones(1), np.full(1, 300.0), CallCosts(1), SuccessRate.exactly(0.5)).plan
    assert plan.interval == pytest.approx((-1, 299))


@pytest.mark.parametrize("success", [SuccessRate.exactly(0.3), SuccessRate.between(0.15, 0.45)])
def test_the_interval_is_that_of_sums_drawn_one_by_one(success: SuccessRate) -> None:
    chance = np.random.default_rng(7)
    risk, value = chance.beta(2, 3, 900), chance.lognormal(5, 0.5, 900)
    plan = list_profit(risk, value, COSTS, success, calls_per_list=400).plan
    assert plan.calls == 400
    called = order_of_profit(expected_profit(risk, value, COSTS, success))[:400]
    p, v = risk[called], value[called]
    sums = np.empty(10_000)
    rates = success.quantiles(chance.random(len(sums)))
    for number, rate in enumerate(rates):
        leaves, agrees = chance.random((2, len(p))) < np.array([p, np.full(len(p), rate)])
        sums[number] = (np.where(leaves, agrees * 0.9 * v, -0.1 * v) - 4).sum()
    assert plan.expected == pytest.approx(sums.mean(), rel=0.02)
    spread = sums.std()
    assert plan.interval == pytest.approx(np.quantile(sums, [0.05, 0.95]), abs=0.06 * spread)
    assert plan.share_by_success_rate is not None
    assert (plan.share_by_success_rate > 0.5) == (success.high > success.low)


def test_what_a_list_earns_is_plain_values_and_comes_back_from_json() -> None:
    success = SuccessRate.between(0.1, 0.5)
    plan = list_profit(np.array([0.2, 0.8]), np.array([100.0, 300.0]), COSTS, success).plan
    for value in (plan, success):
        assert from_json(type(value), json.loads(json.dumps(to_json(value)))) == value
    assert isinstance(plan, CallProfit)


@pytest.mark.slow
def test_what_calls_earn_is_within_the_interval_as_often_as_it_says() -> None:
    """Fewer lists than in `make effect`; 3 standard errors of leeway."""
    lists = 60
    for success in (SuccessRate.between(0.15, 0.45), Study(reached=0.7)):
        hits, _ = profit_coverage(success, lists)
        assert hits > 0.9 - 3 * (0.09 / lists) ** 0.5


def test_a_list_is_worth_its_plan_and_its_curve_holds_it_among_its_numbers_of_calls() -> None:
    chance = np.random.default_rng(8)
    risk, value = chance.random(300), chance.lognormal(4, 1, 300)
    success = SuccessRate.between(0.15, 0.45)
    unknown = np.where(np.arange(300) < 20, np.nan, value)
    listed = list_profit(risk, unknown, COSTS, success, 40)
    assert listed.without_value == 20
    assert listed.plan == list_profit(risk[20:], value[20:], COSTS, success, 40).plan
    curve = listed.curve
    assert (curve.calls[0], curve.expected[0], curve.by_risk[0]) == (0, 0, 0)
    assert {40, listed.plan.worth_calling} <= set(curve.calls)
    at = curve.calls.index(40)
    assert curve.expected[at] == pytest.approx(listed.plan.expected)
    assert (curve.low[at], curve.high[at]) == pytest.approx(listed.plan.interval)
    # Never more by risk than by profit; and it is the sum over the 40 at the highest risk.
    profit = expected_profit(risk[20:], value[20:], COSTS, success)
    assert curve.by_risk[at] == pytest.approx(profit[np.argsort(-risk[20:])[:40]].sum())
    assert (np.array(curve.by_risk) <= np.array(curve.expected) + 1e-9).all()
    assert from_json(ListProfit, json.loads(json.dumps(to_json(listed)))) == listed


def test_a_list_without_any_value_is_worth_nothing() -> None:
    listed = list_profit(np.full(3, 0.5), np.full(3, np.nan), COSTS, EMP_RATE)
    assert (listed.plan.clients, listed.plan.calls, listed.without_value) == (0, 0, 3)
    assert listed.curve.calls == (0,)


def test_the_words_say_what_is_earned_where_calls_end_and_what_that_rests_on() -> None:
    # E = .5 * p * 90 - (1 - p) * 10 - 4: 35.5, 8 and -8.5
    risk, value = np.array([0.9, 0.4, 0.1]), np.full(3, 100.0)
    words = profit_in_words(list_profit(risk, value, COSTS, SuccessRate.exactly(0.5)))
    assert words.startswith("The 2 calls that pay best are expected to earn 44 (90%: ")
    assert (
        "as many calls to the clients at the highest risk 44, to clients drawn at random " in words
    )
    assert "One more would cost more than it is expected to keep." in words
    assert words.endswith("assumed, not measured, that a call keeps 50% of those who would leave.")
    words = profit_in_words(list_profit(risk, value, COSTS, SuccessRate.exactly(0.5), 1))
    assert words.startswith("One call is expected to earn 36 ")
    assert "; one call to the client at the highest risk 36, to a client drawn at random " in words
    assert "That is all the team can make; 1 more client is worth a call, it would earn 8." in words
    measured = SuccessRate.measured(measure(study(called_left=300), SEQUENCE))
    assert measured is not None
    assert "By the hold-out, a call keeps 25% (" in profit_in_words(
        list_profit(risk, value, COSTS, measured)
    )


def test_the_first_screen_says_in_a_sentence_what_calls_are_expected_to_earn() -> None:
    risk, value = np.array([0.9, 0.4, 0.1]), np.full(3, 100.0)
    listed = list_profit(risk, value, COSTS, SuccessRate.exactly(0.5))
    low, high = (amount(round(limit)) for limit in listed.plan.interval)
    assert calls_in_brief(listed, None) == (
        f"The 2 calls that pay best are expected to earn 44 (90%: {low} to {high})."
    )
    nothing = list_profit(risk, value, CallCosts(90), SuccessRate.exactly(0.5))
    effect = measure(study(called_left=300), SEQUENCE)
    assert calls_in_brief(nothing, effect).startswith(
        "No call is expected to earn what it costs. Of 100 clients to call, calls so far have kept "
    )


def test_the_worked_example_of_the_documentation_is_right() -> None:
    text = (REPOSITORY / "docs/effect.md").read_text()
    rows = re.findall(r"\| (\w+) \| ([\d,]+) \| ([\d.]+) \| .* = (-?\d+)", text)
    assert len(rows) == 3
    costs, success = CallCosts(25, offer_share=0.05), SuccessRate.exactly(0.25)
    for name, value, risk, profit in rows:
        expected = expected_profit(float(risk), float(value.replace(",", "")), costs, success)
        assert float(expected) == pytest.approx(float(profit), abs=0.5), name
    assert "probability of .18 on" in text
    assert break_even(12_000, costs, success) == pytest.approx(0.18, abs=0.005)
