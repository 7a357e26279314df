"""Rankings of clients whose probabilities are given."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from attrition.model.scorecard import Scorecard
from attrition.model.terms import KnotAxis, NumericTerm
from attrition.ranking import ranking
from attrition.ranking.ranking import Ranking, Tiers

TIERS = Tiers(0.5, 0.2)


def odds_card() -> Scorecard:
    """The log-odds are the column `x` itself, between -10 and 10; missing counts 0."""
    axis = KnotAxis((-10.0, 10.0), 0.0)
    return Scorecard(0.0, 0.5, (NumericTerm("x", axis, (-10.0, 10.0), 0.0, 0.0, 0.0),), (), ())


def logit(chance: float) -> float:
    return math.log(chance / (1 - chance))


def ranked(chances: dict[str, float], values: list[float] | None = None, **more: Any) -> Ranking:
    settings = {"tiers": TIERS, "with_reasons": 100, **more}
    return ranking.rank(
        odds_card(),
        np.array(list(chances), dtype=object),
        {"x": np.array([logit(chance) for chance in chances.values()])},
        values=None if values is None else np.array(values),
        **settings,
    )
