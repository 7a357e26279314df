"""Reasons in plain English, word by word; on real tables, they say what the points say."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from attrition.core.formatting import number_text
from attrition.core.labels import parse_labels
from attrition.model.explanations import LONGEST_VALUE, Words
from attrition.model.reasons import Reason, reasons_of
from attrition.model.scorecard import Scorecard
from attrition.model.terms import CategoricalTerm, KnotAxis, LevelAxis, NumericTerm, PairTerm
from benchmarks.quality import our_card, read_tables
from tests.conftest import REPOSITORY

DATA = REPOSITORY.parent / "shared" / "data"
TABLES = (
    "bank_churn_10k",
    "churn_mlc5000",
    "ecommerce_churn",
    "iranian_churn",
    "online_retail_rfm",
    "telco_ibm",
)

# Above the average of 1 up to 75 and from 250 to 600; whole numbers.
ORDERS = KnotAxis((0.0, 50.0, 100.0, 200.0, 300.0, 900.0), 140.0)
SHARES = KnotAxis((0.0, 0.25, 0.9), 0.5)
PLANS = LevelAxis(("gold", "basic"))
CARD = Scorecard(
    0.0,
    0.5,
    (
        NumericTerm("orders", ORDERS, (3.0, 2.0, 0.0, 0.0, 2.0, 0.0), 2.0, 0.1, 1.0),
        NumericTerm("share", SHARES, (0.0, 0.5, 1.0), 0.0, 0.0, 0.3),
    ),
    (CategoricalTerm("plan", PLANS, (0.0,) * 3, "basic", 0.0),),
    (PairTerm(("orders", "plan"), (KnotAxis((0.0, 900.0), 140.0), PLANS), ((0.0,) * 3,) * 2, 0.0),),
)


def told(columns: str, *values: Any, points: float = 0.5) -> str:
    return Words(CARD).of(Reason(tuple(columns.split(" x ")), values, points))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12.0, "orders is 12, below 75: raises the risk"),
        (-3.0, "orders is \N{MINUS SIGN}3, below 75: raises the risk"),
        (50.0, "orders is 50, below 75: raises the risk"),
        (74.9, "orders is 74.9, below 75: raises the risk"),
        (74.9999, "orders is 75: raises the risk"),  # too close to be told apart
        (251.0, "orders is 251, between 250 and 600: raises the risk"),
        (300.0, "orders is 300, between 250 and 600: raises the risk"),
        (599.5, "orders is 599.5, between 250 and 600: raises the risk"),
        (None, "orders is missing: raises the risk"),
    ],
)
def test_a_number_stands_in_the_range_in_which_its_column_raises_the_risk(
    value: float | None, text: str
) -> None:
    assert told("orders", value) == text


def test_a_yes_is_not_said_to_be_above_the_no() -> None:
    complain = NumericTerm("complain", KnotAxis((0.0, 1.0), 0.0), (-1.0, 1.0), 0.0, 0.0, 0.0)
    words = Words(Scorecard(0.0, 0.5, (complain,), (), ()))
    said = [words.of(Reason(("complain",), (value,), 0.5)) for value in (1.0, 0.75)]
    assert said[0] == "complain is 1: raises the risk"
    assert said[1] == "complain is 0.75, above 0.5: raises the risk"
    status = replace(complain, column="status", axis=KnotAxis((1.0, 2.0), 1.0))
    words = Words(Scorecard(0.0, 0.5, (status,), (), ()))
    assert words.of(Reason(("status",), (2.0,), 0.5)) == "status is 2: raises the risk"


def test_a_range_of_whole_numbers_has_whole_ends() -> None:
    assert told("share", 0.5) == "share is 0.5, above 0.15: raises the risk"
    assert told("share", 1e9) == "share is 1,000,000,000, above 0.15: raises the risk"
    counted = NumericTerm("n", KnotAxis((1.0, 2.0, 7.5, 9.0), 2.0), (-1, 2, -1, 3), 0.0, 0.0, 0.0)
    words = Words(Scorecard(0.0, 0.5, (counted,), (), ()))
    assert words.of(Reason(("n",), (3,), 0.5)) == "n is 3, between 1 and 6: raises the risk"
    assert words.of(Reason(("n",), (9.0,), 0.5)) == "n is 9, above 7: raises the risk"
    assert words.of(Reason(("n",), (8.1,), 0.5)) == "n is 8.1, above 7.875: raises the risk"


def test_a_column_that_raises_the_risk_wherever_it_has_a_value_names_no_range() -> None:
    known = NumericTerm("n", KnotAxis((0.0, 9.0), 2.0), (1.0, 2.0), -5.0, 0.5, 0.0)
    words = Words(Scorecard(0.0, 0.5, (known,), (), ()))
    assert words.of(Reason(("n",), (3.0,), 0.5)) == "n is 3: raises the risk"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("gold", "plan is gold: raises the risk"),
        ("basic", "plan is basic: raises the risk"),  # be it ever so frequent
        ("tin", "plan is tin, a rare or new value: raises the risk"),
        ("", "plan is missing: raises the risk"),
        (None, "plan is missing: raises the risk"),
    ],
)
def test_a_category_raises_the_risk_by_its_name(value: str | None, text: str) -> None:
    assert told("plan", value) == text


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((12.0, "gold"), "orders is 12, with plan gold: raises the risk"),
        ((None, ""), "orders is missing, with plan missing: raises the risk"),
    ],
)
def test_a_pair_names_both_columns(values: tuple[Any, ...], text: str) -> None:
    assert told("orders x plan", *values) == text


def test_words_of_a_pairs_second_value_stand_alone() -> None:
    words = Words(CARD, parse_labels({"plan": {"values": {"gold": "has the dearest plan"}}}))
    of_plans = [words.of(Reason(("orders", "plan"), (2.0, plan), 0.5)) for plan in PLANS.levels]
    assert of_plans == [
        "orders is 2, and has the dearest plan: raises the risk",
        "orders is 2, with plan basic: raises the risk",
    ]


def test_what_doubles_the_odds_raises_the_risk_strongly() -> None:
    assert told("plan", "gold", points=0.69) == "plan is gold: raises the risk"
    assert told("plan", "gold", points=0.7) == "plan is gold: raises the risk strongly"
    pair = told("orders x plan", 12.0, "gold", points=2.0)
    assert pair == "orders is 12, with plan gold: raises the risk strongly"


def test_a_hostile_value_stays_on_one_short_line() -> None:
    text = told("plan", "a\r\n\x1b[31m\u202eb" + "c" * 1000)
    assert text.isprintable()
    assert len(text) < LONGEST_VALUE + 60
    assert text.startswith("plan is a [31m bccc")


def test_a_columns_name_is_whole_however_long() -> None:
    name = "durchschnittliche_anzahl_der_beschwerden_pro_quartal_im_jahr" * 2
    term = NumericTerm(name, KnotAxis((0.0, 9.0), 2.0), (1.0, 2.0), -5.0, 0.5, 0.0)
    words = Words(Scorecard(0.0, 0.5, (term,), (), ()))
    assert words.of(Reason((name,), (3.0,), 0.5)) == f"{name} is 3: raises the risk"


def test_the_same_reason_is_made_once_and_another_value_is_another_text() -> None:
    words = Words(CARD)
    first = words.of(Reason(("orders",), (12.0,), 1.0))
    assert words.of(Reason(("orders",), (12.0,), 1.0)) is first
    assert words.of(Reason(("orders",), (13.0,), 1.0)) != first


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-2.0, "\N{MINUS SIGN}2"),
        (649.5, "649.5"),
        (0.123456, "0.1235"),
        (2019.0, "2,019"),
        (1899.0, "1,899"),
        (8122.0, "8,122"),
        (1234.56, "1,235"),
        (12345.6, "12,346"),
        (1e-7, "1e-07"),
        (-2e-5, "\N{MINUS SIGN}2e-05"),
        (1e20, "1e+20"),
    ],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number_text(value) == text


@pytest.mark.parametrize(
    ("knots", "value", "text"),
    [
        ((1009.0, 2033.0, 19_999.0), 1950.0, "1,950, below 3,667"),
        ((1998.0, 2010.0, 2026.0), 2001.0, "2001, below 2012"),
        ((1998.0, 2010.5, 2026.0), 2033.0, "2033, above 2011"),
    ],
)
def test_a_column_not_a_value_decides_whether_its_numbers_are_years(
    knots: tuple[float, ...], value: float, text: str
) -> None:
    points = (1.0, 0.1, -1.0) if "below" in text else (-1.0, -0.1, 1.0)
    term = NumericTerm("x", KnotAxis(knots, knots[1]), points, 0.0, 0.0, 0.0)
    words = Words(Scorecard(0.0, 0.5, (term,), (), ()))
    assert words.of(Reason(("x",), (value,), 0.5)) == f"x is {text}: raises the risk"


# Real tables


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason=f"the real tables are not there: {DATA}")
@pytest.mark.parametrize("name", TABLES)
def test_first_reasons_of_the_likeliest_leavers_say_what_their_points_say(name: str) -> None:
    """Worded as raising the risk, measured from the average client, and true over their range."""
    (table,) = (table for table in read_tables(DATA) if table.name == name)
    rows = np.random.default_rng(1).permutation(len(table.labels))[:2000]
    card = our_card(table, rows, seed=1)
    riskiest = table.features.iloc[rows[np.argsort(-card.probabilities(table.features.iloc[rows]))]]
    first = riskiest.iloc[:100].reset_index(drop=True)
    words = Words(card)
    for reasons in reasons_of(card, first, 3):
        text = words.of(reasons[0])
        assert re.search(r": raises the risk( strongly)?$", text)
        assert not re.search(r"usual|frequent|average", text)
        bounds = re.search(r"(above|below) (\S+):", text)
        if bounds:
            value, bound = reasons[0].values[0], float(bounds[2].replace(",", ""))
            assert value > bound if bounds[1] == "above" else value < bound
