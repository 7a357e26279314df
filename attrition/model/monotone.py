"""Directions that config.json asks of the risk (`monotone`): told with what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrition.core.config import INCREASING
from attrition.core.formatting import listing
from attrition.core.labels import Labels

if TYPE_CHECKING:  # brings scikit-learn, which a server does not need
    from attrition.model.metrics import Score


def cost(asked: Score, free: Score) -> dict[str, float]:
    """By how much the cross-validated log loss (nats a row) and AUC (0-1) are worse as asked.

    Args:
        asked: score of models that obey.
        free: on the same rows, of models of which nothing is asked.

    Returns:
        The differences, above 0 where obeying costs; nothing where the scores are undefined.
    """
    if asked.log_loss is None or free.log_loss is None:
        return {}
    assert asked.roc_auc is not None
    assert free.roc_auc is not None
    return {"log_loss": asked.log_loss - free.log_loss, "roc_auc": free.roc_auc - asked.roc_auc}


def sentence(training: Mapping[str, Any], labels: Labels) -> str:
    """What the risk never does, and what that costs, in one sentence; "" where nothing is asked.

    Args:
        training: the record of the model's training.
    """
    asked = training.get("monotone")
    if not asked:
        return ""
    rules = listing(
        [
            f"never {'falls' if way == INCREASING else 'rises'} with {labels.name(column)}"
            for column, way in asked.items()
        ]
    )
    words = f"As asked in config.json, the risk {rules}, whatever else a client is"
    if not training.get("monotone_cost"):
        return f"{words}."
    return f"{words}; that costs {_price(training['monotone_cost'], training['cross_validated'])}."


def _price(difference: Mapping[str, float], cross_validated: Mapping[str, float]) -> str:
    log_loss = round(cross_validated["log_loss"], 4)
    auc = round(cross_validated["roc_auc"], 3)
    free_loss = round(cross_validated["log_loss"] - difference["log_loss"], 4)
    free_auc = round(cross_validated["roc_auc"] + difference["roc_auc"], 3)
    parts = []
    if log_loss > free_loss:
        figures = f"{log_loss:.4f} instead of {free_loss:.4f}"
        parts.append(f"{log_loss - free_loss:.4f} nats of log loss ({figures})")
    if auc < free_auc:
        parts.append(f"{free_auc - auc:.3f} of AUC ({auc:.3f} instead of {free_auc:.3f})")
    return listing(parts) if parts else "nothing"
