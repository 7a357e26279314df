"""Whether a model can score clients as described by the present settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrition.core.config import Config
from attrition.model.scorecard import Scorecard


def label_settings(config: Config) -> dict[str, str]:
    """The meaning of labels by the settings, as recorded in `training.json`."""
    return {
        "column": config.target_column,
        "positive": config.positive_label,
        "negative": config.negative_label,
    }


def misfit(config: Config, card: Scorecard, training: Mapping[str, Any]) -> str | None:
    """Why a model does not fit the settings: other labels, columns or kinds of columns.

    Args:
        training: the record of its training; if it has no labels, they are assumed to fit.

    Returns:
        The reason as text; None if the model fits.
    """
    trained = training.get("label", label_settings(config))
    if trained != label_settings(config):
        return (
            f"config.json names other labels than the model has learnt, which are "
            f"{trained['positive']} and {trained['negative']} in the column {trained['column']}"
        )
    absent = sorted({*card.numeric_columns, *card.categorical_columns} - {*config.feature_columns})
    if absent:
        return f"config.json no longer names the columns {', '.join(absent)}, which the model needs"
    changed = sorted(
        {*card.numeric_columns} & {*config.categorical_columns}
        | {*card.categorical_columns} & {*config.numeric_columns}
    )
    if changed:
        return (
            f"config.json takes numbers for categories, or categories for numbers, unlike the "
            f"model: {', '.join(changed)}"
        )
    return None
