"""A whole model beyond belief: the columns that only together are the answer are named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from attrition.model.metrics import Score
from attrition.model.scorecard import Scorecard
from attrition.model.suspicion import MOST_NAMED, is_beyond_belief, suspicious_together
from attrition.model.terms import KnotAxis, NumericTerm

SURE = Score(1000, roc_auc=0.995, roc_auc_interval=(0.988, 0.998))


def linear(slopes: dict[str, float]) -> Scorecard:
    """A model whose log-odds rise by so much with each column."""
    terms = tuple(
        NumericTerm(
            name, KnotAxis((-100.0, 100.0), 0.0), (-100.0 * slope, 100.0 * slope), 0.0, 0.0, 0.0
        )
        for name, slope in slopes.items()
    )
    return Scorecard(0.0, 0.5, terms, (), ())


def clients(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Who has left has a bill of less than the one before; the rest is noise."""
    random = np.random.default_rng(1)
    left = random.random(rows) < 0.3
    before = random.uniform(0, 80, rows)
    after = before - np.where(left, random.uniform(5, 15, rows), random.uniform(-2, 2, rows))
    return pd.DataFrame({"age": random.normal(size=rows), "after": after, "before": before}), left


@pytest.mark.parametrize("rows", [500, 30_000])
def test_two_columns_that_are_the_answer_together_are_named_and_no_third(rows: int) -> None:
    features, left = clients(rows)
    card = linear({"age": 0.3, "after": -3.0, "before": 3.0})
    together = suspicious_together(card, features, left, SURE)
    assert together is not None
    assert set(together.columns) == {"after", "before"}
    assert together.roc_auc > 0.99


def test_of_an_answer_spread_over_many_columns_the_strongest_few_are_named() -> None:
    random = np.random.default_rng(2)
    left = random.random(2000) < 0.5
    names = [f"c{number}" for number in range(20)]
    features = pd.DataFrame({name: left + random.normal(size=2000) for name in names})
    features["best"] = left + random.normal(size=2000) / 2
    card = linear({**dict.fromkeys(names, 1.0), "best": 4.0})
    together = suspicious_together(card, features, left, SURE)
    assert together is not None
    assert len(together.columns) == MOST_NAMED
    assert together.columns[0] == "best"


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        ({"roc_auc": 0.995, "roc_auc_interval": (0.988, 0.998)}, True),
        ({"roc_auc": 0.995, "roc_auc_interval": (0.975, 0.999)}, False),  # it may be chance
        ({"roc_auc": 0.988, "roc_auc_interval": (0.986, 0.990)}, False),  # surely high, and honest
        ({"roc_auc": 0.995}, False),
        ({"undefined": "too few rows"}, False),
    ],
)
def test_only_what_is_surely_nearly_without_error_is_beyond_belief(
    score: dict[str, Any], expected: bool
) -> None:
    assert is_beyond_belief(Score(1000, **score)) is expected
    features, left = clients(300)
    found = suspicious_together(linear({"after": -3.0, "before": 3.0}), features, left, Score(300))
    assert found is None
