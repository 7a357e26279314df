"""Whether a model can be asked about the clients that today's settings describe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrition.core.config import Config
from attrition.model.scorecard import Scorecard


def label_settings(config: Config) -> dict[str, str]:
    """What a label means, as `training.json` records it."""
    return {
        "column": config.target_column,
        "positive": config.positive_label,
        "negative": config.negative_label,
    }


def misfit(config: Config, card: Scorecard, training: Mapping[str, Any]) -> str | None:
    """Why a model does not fit the settings: other labels, columns or kinds of columns.

    Args:
        config: the settings.
        card: the model.
        training: the record of its training; one without labels is taken to fit them.

    Returns:
        The reason in words; None where the model fits.
    """
    learnt = training.get("label", label_settings(config))
    if learnt != label_settings(config):
        return (
            f"config.json names other labels than the model has learnt, which are "
            f"{learnt['positive']} and {learnt['negative']} in the column {learnt['column']}"
        )
    absent = sorted({*card.numeric_columns, *card.categorical_columns} - {*config.feature_columns})
    if absent:
        return f"config.json no longer names the columns {', '.join(absent)}, which the model needs"
    turned = sorted(
        {*card.numeric_columns} & {*config.categorical_columns}
        | {*card.categorical_columns} & {*config.numeric_columns}
    )
    if turned:
        return (
            f"config.json takes numbers for categories, or categories for numbers, unlike the "
            f"model: {', '.join(turned)}"
        )
    return None
