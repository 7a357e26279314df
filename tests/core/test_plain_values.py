"""Dataclasses as plain values: back they are the same, and what is of another type is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pytest

from attrition.core.errors import DataError
from attrition.core.plain_values import from_json, to_json


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Part:
    name: str
    size: float | None


@dataclass(frozen=True)
class Whole:
    colour: Colour
    count: int
    parts: tuple[Part, ...] = ()
    span: tuple[float, float] | None = None
    shares: Mapping[Colour, dict[int, float]] = field(default_factory=dict)
    is_new: bool = False


WHOLE = Whole(
    Colour.RED, 3, (Part("a", None), Part("b", 0.5)), (0.0, 1.0), {Colour.BLUE: {10: 0.5}}, True
)
PLAIN: dict[str, Any] = {
    "colour": "red",
    "count": 3,
    "parts": [{"name": "a", "size": None}, {"name": "b", "size": 0.5}],
    "span": [0.0, 1.0],
    "shares": {"blue": {"10": 0.5}},
    "is_new": True,
}


def test_plain_values_have_the_keys_in_the_order_of_the_fields_and_read_back_the_same() -> None:
    assert to_json(WHOLE) == PLAIN
    assert list(to_json(WHOLE)) == list(PLAIN)
    assert type(to_json(WHOLE)["colour"]) is str
    assert from_json(Whole, PLAIN) == WHOLE


def test_an_unknown_key_is_ignored_and_a_missing_one_takes_its_default() -> None:
    little = {"colour": "blue", "count": 0, "parts": None, "of tomorrow": 1}
    assert from_json(Whole, little) == Whole(Colour.BLUE, 0)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"colour": "green"}, "colour: "),
        ({"colour": None}, "colour: expected str, found 'None'"),
        ({"count": 1.0}, "count: expected int"),
        ({"count": True}, "count: expected int"),
        ({"parts": {}}, "parts: expected list"),
        ({"parts": [{"name": "a"}, 7]}, "parts: expected dict, found '7'"),
        ({"parts": [{"size": 1}]}, "parts: name: expected str"),
        ({"span": [0.0]}, "span: "),
        ({"span": [0.0, float("inf")]}, "span: expected float"),
        ({"span": [0.0, 10**400]}, "span: "),
        ({"shares": {"green": {}}}, "shares: "),
        ({"shares": {"red": {"ten": 0.5}}}, "shares: "),
        ({"is_new": 1}, "is_new: expected bool"),
    ],
)
def test_what_is_of_another_type_is_refused_and_the_key_named(
    change: dict[str, Any], where: str
) -> None:
    with pytest.raises(DataError, match=f"^{where}"):
        from_json(Whole, {**PLAIN, **change})
