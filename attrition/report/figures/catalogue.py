"""The pictures of a report, drawn from its inputs."""

from __future__ import annotations

from collections.abc import Sequence

from attrition.calls.effect import Estimate
from attrition.core.labels import NO_LABELS, Labels
from attrition.model.explanations import with_years
from attrition.model.metrics import Score
from attrition.model.terms import Floats
from attrition.monitoring.impact import term_weights
from attrition.monitoring.record import DriftRecord
from attrition.ranking.outcomes import RankingRecord
from attrition.report.document import Pictures, Plot
from attrition.report.figures import calls as call_figures
from attrition.report.figures import drift as drift_figures
from attrition.report.figures import model_quality, style
from attrition.report.figures import runs as run_figures
from attrition.report.figures import scorecard as scorecard_figures
from attrition.report.figures.style import Absent, Picture
from attrition.report.inputs import Model, RunsToDraw, Skill

DOTS_PER_INCH = 240


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
    reference = model.training.get("reference") or scorecard_figures.NO_REFERENCE
    weights = term_weights(model.card, model.training.get("predicted"))
    drawn = (scorecard_figures.risk_curves, scorecard_figures.pair_maps)
    labels = with_years(model.card, labels)
    return [draw(model.card, weights, reference, labels) for draw in drawn]


def profit_pictures(listed: RankingRecord | None) -> list[Picture | Absent]:
    """What calls are worth; none where no costs are set."""
    return [call_figures.profit(listed.profit)] if listed and listed.profit else []


def effect_pictures(known: Sequence[tuple[str, Estimate]], level: float) -> list[Picture | Absent]:
    """What calls change, over the runs of the present study; none of fewer than three.

    Args:
        known: as `inputs.known_effects` gives it.
        level: of the intervals, a fraction 0-1.
    """
    return [call_figures.effect(known, level)] if len(known) >= run_figures.SHORTEST else []


def change_pictures(found: DriftRecord, labels: Labels = NO_LABELS) -> list[Picture | Absent]:
    """What changed in the data, and what that does to the risk."""
    return [drift_figures.drift(found.data, labels), drift_figures.impact(found.impact, labels)]


def matrix(score: Score, title: str) -> bytes:
    """The confusion matrix as a file of its own, PNG; the score is defined."""
    drawn = model_quality.confusion(score, title)
    assert isinstance(drawn, Picture)
    return style.png(drawn, DOTS_PER_INCH)


def of_skill(forms: Sequence[str], model: Model, skill: Skill) -> Pictures:
    """How good the model is; `forms` are those of the report, "html", "pdf" or both."""
    return _pictures(quality_pictures(model, *skill), forms)


def of_card(forms: Sequence[str], model: Model, labels: Labels = NO_LABELS) -> Pictures:
    """What the model has learnt."""
    return _pictures(scorecard_pictures(model, labels), forms)


def of_changes(forms: Sequence[str], found: DriftRecord, labels: Labels = NO_LABELS) -> Pictures:
    """What changed in the data."""
    return _pictures(change_pictures(found, labels), forms)


def of_runs(forms: Sequence[str], told: RunsToDraw) -> Pictures:
    """The runs over time, what calls change, and what they are worth."""
    oldest_first = list(reversed(told.runs))
    drawn = [run_figures.trends(oldest_first, told.threshold, told.left_out)]
    if told.decision and told.decision.effect:
        drawn += effect_pictures(told.effects, told.decision.effect.level)
    return _pictures([*drawn, *profit_pictures(told.listed)], forms)


def _pictures(drawn: Sequence[Picture | Absent], forms: Sequence[str]) -> Pictures:
    """The pictures in the forms of the report."""
    there = [one for one in drawn if isinstance(one, Picture)]
    return Pictures(
        texts={one.name: _text(one) for one in drawn},
        pages={one.name: style.svg(one) for one in there} if "html" in forms else {},
        documents={one.name: style.svg_documents(one) for one in there} if "pdf" in forms else {},
    )


def _text(one: Picture | Absent) -> Plot | str:
    if isinstance(one, Picture):
        return Plot(one.name, one.title, one.alt, one.caption)
    return f"{one.title}: {one.reason}"
