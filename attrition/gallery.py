"""The pictures of a report: which there are, drawn from its material."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrition import (
    cardfigures,
    confusionfigure,
    datafigures,
    modelfigures,
    pairfigures,
    runfigures,
)
from attrition.blocks import Plot
from attrition.figures import Absent, Picture
from attrition.impact import term_weights
from attrition.material import Model
from attrition.scores import Score
from attrition.terms import Floats


def of_skill(
    model: Model, score: Score, labels: Sequence[int], probabilities: Floats
) -> list[Picture | Absent]:
    """How good the model is on labelled clients.

    Args:
        model: the model.
        score: of it on these clients.
        labels: array of shape (n_clients,), 1 left, 0 stayed.
        probabilities: array of shape (n_clients,), fractions 0-1.
    """
    threshold = model.card.threshold
    name = f"Release {model.release}" if model.release else "Candidate, not deployed"
    return [
        confusionfigure.confusion(score, name),
        modelfigures.roc_and_precision_recall(labels, probabilities, threshold),
        modelfigures.calibration(labels, probabilities),
        modelfigures.gain_and_lift(labels, probabilities),
        modelfigures.score_distribution(labels, probabilities, threshold),
    ]


def of_card(model: Model) -> list[Picture | Absent]:
    """What the model has learnt."""
    reference = model.training.get("reference")
    weights = term_weights(model.card, model.training.get("predicted"))
    curves = [cardfigures.risk_curves(model.card, weights, reference)] if reference else []
    return [*curves, pairfigures.pair_maps(model.card, weights)]


def of_changes(
    decision: Mapping[str, Any], runs: Sequence[Mapping[str, Any]], threshold: float
) -> list[Picture | Absent]:
    """What moved in the data, and the runs over time.

    Args:
        decision: the decision record.
        runs: newest first.
        threshold: `model_score_threshold`.
    """
    drift = decision.get("drift") or {}
    return [
        datafigures.drift(drift.get("data") or {}),
        datafigures.impact(drift.get("impact") or {}),
        runfigures.trends(list(reversed(runs)), threshold),
    ]


def labels_of(pictures: Sequence[Picture | Absent]) -> dict[str, Plot | str]:
    """What a story must know of the pictures: name -> its texts, or why there is none."""
    return {
        one.name: Plot(one.name, one.title, one.alt, one.caption)
        if isinstance(one, Picture)
        else f"{one.title}: {one.reason}"
        for one in pictures
    }
