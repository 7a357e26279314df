"""What a person should know after a run: what to do, what is good to know, what is solved already.

Values in, values out; the page and the report show the same messages in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from attrition.calls.effect import Verdict
from attrition.core.formatting import day, percent, sentence, short_moment
from attrition.core.run_warnings import Topic
from attrition.model.metrics import is_like_chance, is_unproven, score_to_judge_by
from attrition.monitoring.findings import RunVerdict
from attrition.monitoring.record import DecisionRecord


class Severity(StrEnum):
    """What a message asks of its reader; the most urgent first."""

    ACT = "do something"
    KNOW = "good to know"
    SOLVED = "solved"


@dataclass(frozen=True)
class Message:
    """One sentence, what it asks of its reader, and the same in plain words ("" for no others)."""

    severity: Severity
    text: str
    plain: str = ""


# Of the model before a new one, in plain words, and what says that the new one is not better.
_BEFORE = {
    Topic.DEGRADED_MODEL: (
        "The model before was weaker than it should be.",
        {Topic.WEAK_MODEL},
    ),
    Topic.LOW_F1: (
        "The F1 of the model before was under what the settings ask for.",
        {Topic.WEAK_MODEL, Topic.LOW_F1_OF_NEW},
    ),
}
# About the model before a new one, which answers them.
_MODEL_TO_REPLACE = frozenset({Topic.MODEL_DRIFT, Topic.DATA_DRIFT, Topic.MOVED_RISK, *_BEFORE})
_TO_DO = frozenset(
    {
        *(Topic.MODEL_DRIFT, Topic.DEGRADED_MODEL, Topic.WEAK_MODEL, Topic.UNKNOWN_QUALITY),
        *(Topic.TOO_GOOD, Topic.LOST_ROWS, Topic.LOST_ACTIONS, Topic.FEW_ROWS_LEARNT),
        Topic.SETTING_NOT_OBEYED,
    }
)
_LOW_F1 = "The model's F1 is under what the settings ask for, though it ranks well."
_PLAIN = {
    Topic.MODEL_DRIFT: "Clients leave, or stay, otherwise than the model expected.",
    Topic.DATA_DRIFT: "The clients' data have changed.",
    Topic.MOVED_RISK: (
        "The predicted risk has changed on average, though no column has by itself."
    ),
    Topic.DEGRADED_MODEL: "The model at work is weaker than it should be.",
    Topic.LOW_F1: _LOW_F1,
    Topic.LOW_F1_OF_NEW: _LOW_F1,
    Topic.SAMPLES_DISAGREE: (
        "The test data and the newest clients disagree: are the test data still like today's?"
    ),
}

_DECIDED_SINCE = (
    "the candidate of the last run has been approved or refused since, or another model was "
    "deployed; the next run reports it"
)


def messages(decision: DecisionRecord | None, runs: Sequence[DecisionRecord] = ()) -> list[Message]:
    """All messages of the last run, the most urgent first.

    Args:
        decision: the record of the last run that came to a verdict.
        runs: the records of the last runs, newest first; a failed one is the first to be told of.
    """
    graded = [] if decision is None else _of_run(decision)
    if has_failed(runs):
        when, reason = short_moment(runs[0].time), runs[0].reason
        text = f"The run of {when} failed; what stands here is from before it: {reason}"
        graded.insert(0, Message(Severity.ACT, sentence(text)))
    return [one for severity in Severity for one in graded if one.severity is severity]


def _of_run(decision: DecisionRecord) -> list[Message]:
    """What a run that came to a verdict has to say."""
    graded = []
    if decision.proposal:
        text = f"{decision.proposal.notice}. {sentence(decision.reason)}"
        graded.append(Message(Severity.ACT, sentence(text)))
    elif decision.verdict is RunVerdict.PROPOSED:
        graded.append(Message(Severity.KNOW, sentence(_DECIDED_SINCE)))
    if decision.no_model:
        graded.append(Message(Severity.ACT, sentence(decision.no_model)))
    if needs_a_hand(decision):
        graded.append(Message(Severity.ACT, decision.study_in_words or ""))
    topics = {warning.topic for warning in decision.warnings}
    for warning in decision.warnings:
        severity, plain = _severity(warning.topic, decision), _PLAIN.get(warning.topic, "")
        if severity is Severity.SOLVED and warning.topic in _BEFORE:
            plain, as_before = _BEFORE[warning.topic]
            if topics & as_before:
                continue  # so is the model that replaced it, as another warning says
        graded.append(Message(severity, sentence(warning.text), plain))
    if decision.ranking and decision.ranking.line_in_words:
        graded.append(Message(Severity.KNOW, decision.ranking.line_in_words))
    if decision.ranking and decision.ranking.odd_values:
        graded.append(Message(Severity.ACT, sentence(str(decision.ranking.odd_values))))
    return graded


def needs_a_hand(decision: DecisionRecord) -> bool:
    """Whether the study of calls has found harm, or is broken."""
    effect, stopping = decision.effect, {Verdict.CALLS_HARM, Verdict.BROKEN_SPLIT}
    return decision.no_effect is not None or (effect is not None and effect.verdict in stopping)


def _severity(topic: Topic, decision: DecisionRecord) -> Severity:
    """Of one warning: a model that is deployed answers what was wrong with the one before it."""
    if decision.verdict is RunVerdict.DEPLOYED and topic in _MODEL_TO_REPLACE:
        return Severity.SOLVED
    return Severity.ACT if topic in _TO_DO else Severity.KNOW


def has_failed(runs: Sequence[DecisionRecord]) -> bool:
    """Whether the last run failed."""
    return bool(runs) and runs[0].verdict is RunVerdict.FAILED


def is_to_be_relied_on(
    decision: DecisionRecord | None, scores: Mapping[str, Any], cross_validated: Mapping[str, Any]
) -> bool:
    """Whether the ranking is an order in which one may call; the arguments are `state_line`'s."""
    score, _ = score_to_judge_by(scores, cross_validated)
    return not (is_like_chance(score) or (decision is not None and decision.suspicious.named))


def state_line(
    decision: DecisionRecord | None,
    scores: Mapping[str, Any],
    cross_validated: Mapping[str, Any],
    alarm: float,
) -> str:
    """How far the ranking can be relied on, in one plain sentence.

    Args:
        decision: the record of the last run that came to a verdict, about the live model.
        scores, cross_validated: those of the live model; see `score_to_judge_by`.
        alarm: the probability from which on the live model counts a client as a leaver.
    """
    score, where = score_to_judge_by(scores, cross_validated)
    ranking = decision.ranking if decision is not None else None
    crowd = f"; {ranking.crowd_in_words}" if ranking and ranking.crowd_in_words else ""
    if score.get("f1") is None:
        why = scores.get("undefined") or "it was not measured"
        return f"Nobody knows yet how far this ranking can be relied on: {why} (test data)."
    if is_like_chance(score):
        return "Nothing shows so far that this ranking is better than chance: do not rely on it."
    if is_unproven(score):
        return f"Rely on this ranking with care: {_pairs(score, where)}{crowd}."
    if decision is not None and decision.suspicious.named:
        return "Do not rely on this ranking yet: it may know the answer from a column of today."
    if decision is not None and decision.proposal:
        return "A new model waits for approval; this ranking is by the one at work."
    topics = {warning.topic for warning in decision.warnings} if decision is not None else set()
    begins = (
        ""
        if ranking and ranking.thresholds.high == alarm
        else f"from a risk of {percent(alarm)} on, "
    )
    of_high = f"{crowd}: go by the order" if crowd else _hits(score, where, begins)
    if decision is not None and topics & {Topic.MODEL_DRIFT, Topic.DATA_DRIFT}:
        if decision.verdict is RunVerdict.DEPLOYED:
            since = "now" if Topic.DEGRADED_MODEL in topics else "again"
            return (
                f"Clients have changed; the model was retrained on them on {day(decision.time)}, "
                f"and the ranking is reliable {since}."
            )
        if Topic.MODEL_DRIFT in topics:
            return (
                "Clients have changed, and the model has not caught up: rely on the ranking less "
                "until more outcomes are known."
            )
        return f"The ranking is reliable, though clients have begun to change{of_high}."
    return f"The ranking is reliable{of_high}."


def _pairs(score: Mapping[str, Any], where: str) -> str:
    """What the AUC says of the ranking, in words."""
    first, (least, most) = 100 * score["roc_auc"], score["roc_auc_interval"]
    return (
        f"of a client who leaves and one who stays, it puts the one who leaves first in "
        f"{first:.0f} of 100 cases ({100 * least:.0f} to {100 * most:.0f} {where})"
    )


def _hits(score: Mapping[str, Any], where: str, begins: str) -> str:
    """How often the model is right, in tenths, as the end of a sentence; "" where not known."""
    recall, precision = score.get("recall"), score.get("precision")
    if recall is None or precision is None:
        return ""
    return (
        f": {begins}the model finds {_tenths(recall)} of 10 clients who leave, and "
        f"{_tenths(precision)} of 10 of its alarms are right"
        f"{'' if 'test' in where else f', {where}'}"
    )


def _tenths(share: float) -> int:
    """A share in tenths; none and all only where it is that."""
    return round(10 * share) if share in (0, 1) else min(max(round(10 * share), 1), 9)
