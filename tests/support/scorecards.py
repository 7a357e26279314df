"""Scorecards for tests: one to compute by hand, and random ones of hostile names and values."""

from __future__ import annotations

import math
import random
from typing import Any

from attrition.model.scorecard import Scorecard, scorecard_from_json

CARD: dict[str, Any] = {
    "format": 1,
    "intercept": -1.0,
    "threshold": 0.4,
    "numeric": {
        "tenure": {
            "knots": [0, 10, 30],
            "points": [2.0, 1.0, -1.0],
            "missing_points": 0.25,
            "missing_share": 0.1,
            "usual_value": 20.0,
            "average_points": 0.5,
        }
    },
    "categorical": {
        "contract": {
            "points": {"monthly": 0.75, "": 0.5, "yearly": -0.75},
            "other_points": 0.125,
            "usual_value": "monthly",
            "average_points": 0.0,
        }
    },
    "pairs": [
        {
            "columns": ["tenure", "contract"],
            "axes": [{"knots": [0, 20]}, {"levels": ["monthly"]}],
            "points": [[1.0, 0.0], [-1.0, 2.0]],
            "average_points": 0.25,
        }
    ],
}

# tenure, contract -> tenure's points, contract's points, the pair's points; all by hand.
CLIENTS = [
    (0.0, "monthly", 2.0, 0.75, 1.0),
    (5.0, "yearly", 1.5, -0.75, 0.5),  # halfway to 10; a quarter of the way from 0 to 2
    (20.0, "", 0.0, 0.5, 2.0),  # halfway from 10 to 30
    (99.0, "weekly", -1.0, 0.125, 2.0),  # the ends hold; a level nobody has seen
    (-7.0, "monthly", 2.0, 0.75, 1.0),
    (math.nan, "monthly", 0.25, 0.75, -1.0),  # missing: own points; in the pair as 20
]


def card() -> Scorecard:
    return scorecard_from_json(CARD)


LEVELS = ("", "a", "it's", 'a "b"', "back\\slash", "-- no comment", "über", "$1", "%s {x}")
HOSTILE = ('a"b`c', "score_value_0", "it's; --", "Ünï cödé\n%s", "select")


def random_card(seed: int) -> Scorecard:
    """A scorecard of hostile names and levels, every kind of term and pair among it."""
    rng = random.Random(seed)

    def points(count: int) -> list[float]:
        return [rng.choice([0.0, 1e-9, rng.gauss(0, 2), rng.gauss(0, 300)]) for _ in range(count)]

    def knots() -> list[float]:
        scale = rng.choice([1e-12, 1.0, 1e12])
        return sorted({scale * rng.randint(-9, 9) for _ in range(rng.randint(1, 6))})

    numeric: dict[str, Any] = {
        name: {
            "knots": (own := knots()),
            "points": points(len(own)),
            "missing_points": rng.gauss(0, 1),
            "missing_share": 0.1,
            "usual_value": own[0] + 0.3 * (own[-1] - own[0]),
            "average_points": 0.0,
        }
        for name in HOSTILE[:3]
    }
    categorical: dict[str, Any] = {
        name: {
            "points": dict(zip(levels, points(len(levels)), strict=True)),
            "other_points": rng.gauss(0, 1),
            "usual_value": "a",
            "average_points": 0.0,
        }
        for name, levels in zip(HOSTILE[3:], (LEVELS, LEVELS[1:2]), strict=True)
    }

    def axis(name: str) -> dict[str, Any]:
        return {"knots": knots()} if name in numeric else {"levels": rng.sample(LEVELS, 3)}

    pairs = []
    for _ in range(5):
        columns = rng.sample(HOSTILE, 2)
        axes = [axis(name) for name in columns]
        rows, width = (len(a.get("knots", [0, *a.get("levels", [])])) for a in axes)
        grid = [points(width) for _ in range(rows)]
        pairs.append({"columns": columns, "axes": axes, "points": grid, "average_points": 0.0})
    return scorecard_from_json(
        {
            "format": 1,
            "intercept": rng.gauss(0, 1),
            "threshold": 0.5,
            "numeric": numeric,
            "categorical": categorical,
            "pairs": pairs,
        }
    )


def random_clients(model: Scorecard, seed: int, count: int = 300) -> dict[str, list[Any]]:
    """Values at, between and outside the knots, missing, levels known and unknown."""
    rng = random.Random(seed)

    def number(name: str) -> float:
        term = next(term for term in model.numeric if term.column == name)
        others = [knot for pair in model.pairs for axis in pair.axes for knot in _knots(axis)]
        near = rng.choice([*term.axis.knots, *others])
        return rng.choice([near, near * rng.gauss(1, 1), math.nan, 1e300, -1e300, 0.0])

    return {
        **{name: [number(name) for _ in range(count)] for name in model.numeric_columns},
        **{
            name: [rng.choice([*LEVELS, "unknown"]) for _ in range(count)]
            for name in model.categorical_columns
        },
    }


def _knots(axis: Any) -> tuple[float, ...]:
    return getattr(axis, "knots", ())
