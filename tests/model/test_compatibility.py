"""Whether a model fits the settings: one answer, in words, to whoever asks."""

from __future__ import annotations

from typing import Any

import pytest

from attrition.model.compatibility import label_settings, misfit
from attrition.model.scorecard import Scorecard
from attrition.model.terms import CategoricalTerm, KnotAxis, LevelAxis, NumericTerm
from tests.conftest import Project

CARD = Scorecard(
    0.0,
    0.5,
    (NumericTerm("size", KnotAxis((0.0, 10.0), 5.0), (0.0, 1.0), 0.5, 0.1, 0.0),),
    (CategoricalTerm("place", LevelAxis(("north", "")), (-2.0, 2.0, 4.0), "north", 0.0),),
    (),
)
SETTINGS: dict[str, Any] = {"numeric_columns": ["size", "age"], "categorical_columns": ["place"]}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, None),
        ({"numeric_columns": ["age", "size"], "categorical_columns": ["place", "kind"]}, None),
        ({"numeric_columns": ["age"]}, "no longer names the columns size, which"),
        ({"numeric_columns": ["age"], "categorical_columns": ["size"]}, "the columns place, which"),
        (
            {"numeric_columns": ["age"], "categorical_columns": ["place", "size"]},
            "takes numbers for categories, or categories for numbers, unlike the model: size",
        ),
        (
            {"numeric_columns": ["age", "place", "size"], "categorical_columns": []},
            "takes numbers for categories, or categories for numbers, unlike the model: place",
        ),
        ({"positive_label": "left"}, "which are 1 and 0 in the column exited"),
        ({"positive_label": "0", "negative_label": "1"}, "names other labels than the model"),
        ({"target_column": "churn"}, "names other labels than the model"),
    ],
)
def test_a_model_fits_the_settings_or_the_reason_is_said(
    project: Project, settings: dict[str, Any], reason: str | None
) -> None:
    project.configure(**SETTINGS)
    training = {"label": label_settings(project.config)}
    project.configure(**SETTINGS | settings)
    found = misfit(project.config, CARD, training)
    if reason is None:
        assert found is None
    else:
        assert found is not None
        assert reason in found
    if "column" not in str(settings):
        assert misfit(project.config, CARD, {}) is None, "an old record does not name its labels"
