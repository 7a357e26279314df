"""The pictures of a report, drawn from its inputs."""

from __future__ import annotations

from collections.abc import Sequence

from attrition.calls.study import Study
from attrition.core.labels import NO_LABELS, Labels
from attrition.model.metrics import Score
from attrition.model.terms import Floats
from attrition.monitoring.impact import term_weights
from attrition.monitoring.record import DecisionRecord, DriftRecord
from attrition.ranking.outcomes import RankingRecord
from attrition.report.document import Plot
from attrition.report.figures import calls as call_figures
from attrition.report.figures import drift as drift_figures
from attrition.report.figures import model_quality
from attrition.report.figures import runs as run_figures
from attrition.report.figures import scorecard as scorecard_figures
from attrition.report.figures.style import Absent, Picture
from attrition.report.inputs import Model


def quality_pictures(
    model: Model, score: Score, labels: Sequence[int], probabilities: Floats
) -> list[Picture | Absent]:
    """How good the model is on labelled clients.

    Args:
        score: the model's on these clients.
        labels: array of shape (n_clients,), 1 left, 0 stayed.
        probabilities: array of shape (n_clients,), fractions 0-1.
    """
    threshold = model.card.threshold
    name = f"Release {model.release}" if model.release else "Candidate, not deployed"
    return [
        model_quality.confusion(score, name),
        model_quality.roc_and_precision_recall(labels, probabilities, threshold),
        model_quality.calibration(labels, probabilities),
        model_quality.gain_and_lift(labels, probabilities),
        model_quality.score_distribution(labels, probabilities, threshold),
    ]


def scorecard_pictures(model: Model, labels: Labels = NO_LABELS) -> list[Picture | Absent]:
    """The terms of the model."""
    reference = model.training.get("reference")
    weights = term_weights(model.card, model.training.get("predicted"))
    curves = (
        [scorecard_figures.risk_curves(model.card, weights, reference, labels)] if reference else []
    )
    return [*curves, scorecard_figures.pair_maps(model.card, weights, labels)]


def profit_pictures(listed: RankingRecord | None) -> list[Picture | Absent]:
    """What calls are worth; none where no costs are set."""
    return [call_figures.profit(listed.profit)] if listed and listed.profit else []


def effect_pictures(
    decision: DecisionRecord | None, runs: Sequence[DecisionRecord]
) -> list[Picture | Absent]:
    """What calls change, over the runs of the present study; none without an estimate.

    Args:
        decision: the decision record; None where no run is known.
        runs: newest first.
    """
    effect = decision.effect if decision else None
    if decision is None or effect is None or effect.estimate is None:
        return []
    earlier = [
        (run.time, run.effect.estimate)
        for run in reversed(runs)
        if run.run_id != decision.run_id
        and run.effect
        and run.effect.estimate
        and _is_same_study(run.study, decision.study)
    ]
    return [call_figures.effect([*earlier, (decision.time, effect.estimate)], effect.level)]


def _is_same_study(one: Study | None, other: Study | None) -> bool:
    """Whether both hold out the same clients; one that was left for a while goes on."""
    return (
        one is not None
        and other is not None
        and (one.share, one.salt_digest) == (other.share, other.salt_digest)
    )


def change_pictures(
    decision: DecisionRecord | None,
    runs: Sequence[DecisionRecord],
    threshold: float,
    labels: Labels = NO_LABELS,
) -> list[Picture | Absent]:
    """What changed in the data, and the runs over time.

    Args:
        decision: the decision record; None where no run is known.
        runs: newest first.
        threshold: `model_score_threshold`.
    """
    drift = decision.drift if decision else DriftRecord()
    return [
        drift_figures.drift(drift.data, labels),
        drift_figures.impact(drift.impact, labels),
        run_figures.trends(list(reversed(runs)), threshold),
    ]


def picture_texts(pictures: Sequence[Picture | Absent]) -> dict[str, Plot | str]:
    """What a chapter needs of the pictures: name -> its texts, or why there is no picture."""
    return {
        one.name: Plot(one.name, one.title, one.alt, one.caption)
        if isinstance(one, Picture)
        else f"{one.title}: {one.reason}"
        for one in pictures
    }
