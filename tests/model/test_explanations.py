"""Reasons in plain English, word by word, for numbers, categories, pairs and what is missing."""

from __future__ import annotations

from typing import Any

import pytest

from attrition.model.explanations import LONGEST_VALUE, Words, number_text
from attrition.model.scorecard import Reason, Scorecard
from attrition.model.terms import CategoricalTerm, KnotAxis, LevelAxis, NumericTerm, PairTerm

# Seven knots, the usual value on the fourth: two knots away is a third of the axis.
ORDERS = KnotAxis((0.0, 50.0, 100.0, 140.0, 200.0, 300.0, 900.0), 140.0)
PLANS = LevelAxis(("gold", "basic"))
CARD = Scorecard(
    0.0,
    0.5,
    (NumericTerm("orders", ORDERS, (0.0,) * 7, 0.0, 0.0, 0.0),),
    (CategoricalTerm("plan", PLANS, (0.0,) * 3, "basic", 0.0),),
    (PairTerm(("orders", "plan"), (KnotAxis((0.0, 900.0), 140.0), PLANS), ((0.0,) * 3,) * 2, 0.0),),
)


def told(term: str, *values: Any) -> str:
    return Words(CARD).of(Reason(term, tuple(term.split(" x ")), values, 1.0))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12.0, "orders is 12, far below the usual 140"),
        (50.0, "orders is 50, far below the usual 140"),  # exactly a third of the axis away
        (51.0, "orders is 51, below the usual 140"),
        (139.0, "orders is 139, below the usual 140"),
        (140.0, "orders is 140, about the usual"),
        (140.01, "orders is 140, about the usual"),
        (141.5, "orders is 141.5, above the usual 140"),
        (299.0, "orders is 299, above the usual 140"),
        (300.0, "orders is 300, far above the usual 140"),
        (1e9, "orders is 1,000,000,000, far above the usual 140"),
        (-3.0, "orders is -3, far below the usual 140"),
        (None, "orders is missing"),
    ],
)
def test_a_number_is_compared_with_the_usual_one(value: float | None, text: str) -> None:
    assert told("orders", value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("gold", "plan is gold (most frequent: basic)"),
        ("basic", "plan is basic, the most frequent value"),
        ("tin", "plan is tin, a rare or new value"),
        ("", "plan is missing"),
        (None, "plan is missing"),
    ],
)
def test_a_category_is_compared_with_the_most_frequent_one(value: str | None, text: str) -> None:
    assert told("plan", value) == text


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((12.0, "gold"), "orders 12 (usually 140) together with plan gold (usually basic)"),
        ((None, "basic"), "orders missing (usually 140) together with plan basic (as usual)"),
        ((140.0, ""), "orders 140 (as usual) together with plan missing (usually basic)"),
    ],
)
def test_a_pair_names_both_columns(values: tuple[Any, ...], text: str) -> None:
    assert told("orders x plan", *values) == text


def test_a_hostile_value_stays_on_one_short_line() -> None:
    text = told("plan", "a\r\n\x1b[31m\u202eb" + "c" * 1000)
    assert text.isprintable()
    assert len(text) < LONGEST_VALUE + 40
    assert text.startswith("plan is a [31m bccc")


def test_the_same_reason_is_made_once_and_another_value_is_another_text() -> None:
    words = Words(CARD)
    first = words.of(Reason("orders", ("orders",), (12.0,), 1.0))
    assert words.of(Reason("orders", ("orders",), (12.0,), 2.0)) is first
    assert words.of(Reason("orders", ("orders",), (13.0,), 1.0)) != first


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-2.0, "-2"),
        (649.5, "649.5"),
        (0.123456, "0.1235"),
        (2019.0, "2019"),
        (1234.56, "1235"),
        (12345.6, "12,346"),
        (1e-7, "1e-07"),
        (1e20, "1e+20"),
    ],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number_text(value) == text
