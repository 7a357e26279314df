"""What a model does not use is told: columns by why, levels and pairs beyond what it is offered."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from attrition.core.labels import Label, Labels
from attrition.model import unused
from attrition.model.metrics import Minimum
from attrition.model.terms import CategoricalTerm, NumericTerm
from attrition.model.training import FittedModel, fit

ROWS = 600
RANDOM = np.random.default_rng(3)
AGE = RANDOM.normal(size=ROWS)
LEFT = (RANDOM.random(ROWS) < 1.0 / (1.0 + np.exp(-2.0 * AGE))).astype(np.int8)
# Half of those who left, and half of those who stayed, at any age: it tells nothing.
EVERY_SECOND = np.argsort(np.lexsort((AGE, LEFT))) % 2.0


def fitted_with(**columns: object) -> FittedModel:
    features = pd.DataFrame({"age": AGE} | columns)
    numeric = [str(name) for name in features.select_dtypes("number")]
    categorical = [str(name) for name in features.select_dtypes(object)]
    return fit(
        features, LEFT, numeric=numeric, categorical=categorical, minimum=Minimum(20, 2), seed=1
    )


def texts(values: list[str]) -> pd.Series:
    return pd.Series(values, dtype=object)


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (np.full(ROWS, np.nan), "always empty"),
        (texts([""] * ROWS), "always empty"),
        (np.full(ROWS, 7.0), "hardly a second value"),
        (texts(["de"] * (ROWS - 3) + ["at", "ch", "li"]), "hardly a second value"),
        (texts([f"client {row}" for row in range(ROWS)]), "no frequent value"),
        (EVERY_SECOND, "nothing to add"),
    ],
)
def test_a_column_without_effect_is_named_with_the_reason(column: object, reason: str) -> None:
    fitted = fitted_with(more=column)
    card = fitted.scorecard
    assert unused.phrases(card, fitted.copies) == [f"more ({reason})"]
    single = (one for one in card.all_terms if isinstance(one, NumericTerm | CategoricalTerm))
    terms = {term.column: unused.is_used(card, term) for term in single}
    assert terms.pop("more") is False
    assert all(terms.values())
    labels = Labels({"more": Label("one more")})
    said = unused.sentence(fitted.scorecard, {"settings": fitted.settings}, labels)
    assert said == f"Not used: one more ({reason})."


@pytest.mark.parametrize("copy", [AGE, -(AGE**3)])
def test_a_column_in_the_order_of_another_is_named_with_it(copy: object) -> None:
    fitted = fitted_with(copy=copy, letter=texts([*"abc"] * 200), number=texts([*"789"] * 200))
    assert fitted.copies == {"copy": "age", "number": "letter"}
    phrase = "copy as age and number as letter (each says the same)"
    assert phrase in unused.phrases(fitted.scorecard, fitted.copies)


def test_a_model_that_uses_all_says_nothing() -> None:
    card = fitted_with().scorecard
    assert unused.phrases(card, {}) == []
    assert unused.sentence(card, {}, Labels()) == ""


@pytest.mark.slow
def test_many_columns_are_counted_and_so_are_pairs_and_levels() -> None:
    flat = {f"flat_{number:02}": np.zeros(ROWS) for number in range(24)}
    assert unused.phrases(fitted_with(**flat).scorecard, {}) == [
        "flat_00, flat_01, flat_02, flat_03 and 20 more (hardly a second value)",
        "all but the 250 most promising of 300 pairs of columns",
    ]
    rows = 20 * 250
    place = np.repeat([f"place {number:03}" for number in range(250)], 20)
    left = (np.arange(rows) // 20 % 2).astype(np.int8)
    features = pd.DataFrame({"place": texts(list(place))})
    card = fit(features, left, numeric=[], categorical=["place"], minimum=Minimum(20, 2), seed=1)
    assert unused.phrases(card.scorecard, {}) == ["place (values other than the 200 most frequent)"]
