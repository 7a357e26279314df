"""What a person should do, know, or need not see to any more; and the state in one plain line."""

from __future__ import annotations

from typing import Any

import pytest

from attrition.core import plain_values
from attrition.core.run_warnings import Topic
from attrition.model.metrics import Score
from attrition.monitoring.alerts import conditions
from attrition.monitoring.decisions import Scored, Verdict, called_weak
from attrition.monitoring.findings import RunVerdict
from attrition.monitoring.severity import Message, Severity, messages, state_line
from tests.support.effects import effect_of
from tests.support.records import decision_record, made

DRIFT = {"text": "it ranks worse", "topic": "model drift"}
DATA = {"text": "tenure is longer", "topic": "data drift"}
GOOD = {"f1": 0.72, "recall": 0.69, "precision": 0.77}
TIERS = {"high": 0.35, "medium": 0.2}
LISTED = {"clients": 100, "high": 20, "thresholds": TIERS}
# As measured where 61 % of the clients leave, and where 3 % do.
ROUGH: dict[str, Any] = {"f1": 0.76, "roc_auc": 0.617, "roc_auc_interval": [0.57, 0.661]}
RARE = {"f1": 0.472, "recall": 0.59, "precision": 0.39, "roc_auc_interval": [0.896, 0.968]}
CROWD = {**LISTED, "high": 95}


def severities(**parts: Any) -> dict[str, Severity]:
    return {one.text: one.severity for one in messages(decision_record(**parts))}


@pytest.mark.parametrize(
    ("topic", "kept", "deployed"),
    [
        (Topic.MODEL_DRIFT, Severity.ACT, Severity.SOLVED),
        (Topic.DATA_DRIFT, Severity.KNOW, Severity.SOLVED),
        (Topic.DEGRADED_MODEL, Severity.ACT, Severity.SOLVED),
        (Topic.LOW_F1, Severity.KNOW, Severity.SOLVED),
        (Topic.LOW_F1_OF_NEW, Severity.KNOW, Severity.KNOW),
        (Topic.MOVED_RISK, Severity.KNOW, Severity.SOLVED),
        (Topic.TOO_GOOD, Severity.ACT, Severity.ACT),
        (Topic.WEAK_MODEL, Severity.ACT, Severity.ACT),
        (Topic.SAMPLES_DISAGREE, Severity.KNOW, Severity.KNOW),
        (Topic.UNKNOWN_QUALITY, Severity.ACT, Severity.ACT),
        (Topic.LOST_ACTIONS, Severity.ACT, Severity.ACT),
        (Topic.LOST_ROWS, Severity.ACT, Severity.ACT),
        (Topic.FEW_ROWS_LEARNT, Severity.ACT, Severity.ACT),
        (Topic.NOTICE, Severity.KNOW, Severity.KNOW),
    ],
)
def test_what_a_new_model_answers_is_solved_and_the_rest_is_not(
    topic: Topic, kept: Severity, deployed: Severity
) -> None:
    """By its topic, whatever the words are."""
    warning = {"text": "model drift, they say", "topic": topic.value}
    (of_kept,) = severities(warnings=[warning]).values()
    (of_deployed,) = severities(verdict="deployed", warnings=[warning]).values()
    assert (of_kept, of_deployed) == (kept, deployed)


def test_what_is_to_be_done_comes_first_a_failed_run_before_all() -> None:
    record = decision_record(warnings=[DATA, "the ledger was rebuilt", DRIFT])
    failed = decision_record(verdict="failed", reason="no column 'revenue'")
    found = messages(record, [failed, record])
    assert [one.severity for one in found] == [Severity.ACT, Severity.ACT, *[Severity.KNOW] * 2]
    assert "failed; what stands here is from before it: no column 'revenue'." in found[0].text
    assert found[1].text == "It ranks worse."
    assert found[1].plain == "Clients leave, or stay, otherwise than the model expected."
    assert found[3].plain == ""  # where its own words are plain enough


def test_a_weak_model_that_replaced_a_weak_one_has_solved_nothing() -> None:
    degraded = {"topic": str(Topic.DEGRADED_MODEL), "text": "its F1 is under 0.6"}
    weak = {"topic": str(Topic.WEAK_MODEL), "text": "F1 0.5 is under 0.6"}
    (solved,) = messages(decision_record(verdict="deployed", warnings=[degraded]))
    assert solved.severity is Severity.SOLVED
    assert solved.plain == "The model before was weaker than it should be."
    (open_one,) = messages(decision_record(verdict="deployed", warnings=[degraded, weak]))
    assert open_one == Message(Severity.ACT, "F1 0.5 is under 0.6.")


def test_a_low_f1_of_a_model_that_ranks_well_is_good_to_know_and_no_weakness() -> None:
    """As measured where few leave: page and report call the same ranking reliable."""
    plain = "The model's F1 is under what the settings ask for, though it ranks well."
    score = {**RARE, "roc_auc": 0.942}
    (condition,) = conditions(decision_record(scores={"test data": score}), 0.6)
    before = {"topic": str(condition.topic), "text": condition.text}
    (known,) = messages(decision_record(warnings=[before]))
    assert (known.severity, known.plain) == (Severity.KNOW, plain)
    scored = made(Score, rows=900, positives=30, **score)
    deployed = Verdict(RunVerdict.DEPLOYED, "")
    (warning,) = called_weak(deployed, Scored(scored, scored), 0.6).warnings
    now = {"topic": str(warning.topic), "text": warning.text}
    (known,) = messages(decision_record(verdict="deployed", warnings=[before, now]))
    assert known.text == (
        "The new model's F1 0.472 is under 0.6, though it ranks well (AUC 0.942); lower "
        "model_score_threshold if that is enough."
    )
    assert (known.severity, known.plain) == (Severity.KNOW, plain)
    (solved,) = messages(decision_record(verdict="deployed", warnings=[before]))
    assert solved.plain == "The F1 of the model before was under what the settings ask for."


def test_a_candidate_that_waits_is_something_to_do() -> None:
    proposal = {"since": "2026-03-01T06:00:00+00:00", "candidate": "a", "commit": "b"}
    (waiting,) = messages(decision_record(verdict="proposed", proposal=proposal))
    assert waiting.severity is Severity.ACT
    assert "--approve" in waiting.text


def test_calls_that_harm_and_a_broken_study_ask_for_a_hand_and_calls_that_help_do_not() -> None:
    harm, help_ = (plain_values.to_json(effect_of(*left)) for left in ((400, 300), (300, 400)))
    (message,) = messages(decision_record(effect=harm))
    assert message.severity is Severity.ACT
    assert "calling makes 10 more in 100 leave" in message.text
    (message,) = messages(decision_record(no_effect="the study measures nothing: no file 1"))
    assert message == Message(Severity.ACT, "The study measures nothing: no file 1.")
    assert messages(decision_record(effect=help_)) == []


@pytest.mark.parametrize(
    ("parts", "scores", "line"),
    [
        (
            {},
            GOOD,
            "The ranking is reliable: the model finds 7 of 10 clients who leave, and 8 of 10 of "
            "its alarms are right.",
        ),
        (
            {"verdict": "deployed", "warnings": [DRIFT, DATA]},
            GOOD,
            "Clients have changed; the model was retrained on them on 1 March 2026, and the "
            "ranking is reliable again.",
        ),
        ({"warnings": [DRIFT]}, GOOD, "Clients have changed, and the model has not caught up: "),
        ({"warnings": [DATA]}, GOOD, "The ranking is reliable, though clients have begun to"),
        ({"suspicious": {"columns": {"refund": 0.99}}}, GOOD, "Do not rely on this ranking yet"),
        (
            {"suspicious": {"together": {"columns": ["a", "b"], "roc_auc": 0.99}}},
            GOOD,
            "Do not rely on this ranking yet",
        ),
        ({}, {**GOOD, "roc_auc_interval": [0.5, 0.5]}, "Nothing shows so far that this ranking is"),
        ({}, RARE, "The ranking is reliable: the model finds 6 of 10"),
        (
            {},
            ROUGH,
            "Rely on this ranking with care: of a client who leaves and one who stays, it puts the "
            "one who leaves first in 62 of 100 cases (57 to 66 on the test data).",
        ),
        (
            {"ranking": CROWD},
            ROUGH,
            "Rely on this ranking with care: of a client who leaves and one who stays, it puts the "
            "one who leaves first in 62 of 100 cases (57 to 66 on the test data); nearly every "
            "client is at high risk.",
        ),
        ({"warnings": [DRIFT], "verdict": "deployed"}, ROUGH, "Rely on this ranking with"),
        (
            {"ranking": CROWD},
            {"f1": 0.876, "recall": 0.98, "precision": 0.79, "roc_auc_interval": [0.714, 0.777]},
            "The ranking is reliable; nearly every client is at high risk: go by the order.",
        ),
        (
            {"ranking": {**LISTED, "thresholds": {**TIERS, "high": 0.5}}},
            GOOD,
            "The ranking is reliable: from a risk of 35% on, the model finds 7 of 10 clients who",
        ),
        (
            {},
            {"f1": None, "undefined": "one label only"},
            "Nobody knows yet how far this ranking can be relied on: one label only (test data).",
        ),
    ],
)
def test_the_state_is_one_plain_line(
    parts: dict[str, Any], scores: dict[str, Any], line: str
) -> None:
    said = state_line(decision_record(**{"ranking": LISTED, **parts}), scores, {}, 0.35)
    assert said.startswith(line)
    for word in ("F1", "log-odds", "log loss", "candidate", "AUC"):
        assert word not in said


def test_where_the_test_data_cannot_tell_the_line_says_by_what_it_is_judged() -> None:
    line = state_line(None, {"f1": None, "undefined": "no rows"}, GOOD, 0.35)
    assert line.endswith("and 8 of 10 of its alarms are right, in cross-validation.")


def test_nine_of_ten_are_not_all_and_one_is_not_none() -> None:
    """What is missed by few is no certainty: `0.96` is no "10 of 10"."""
    line = state_line(None, {"f1": 0.9, "recall": 0.96, "precision": 1.0}, {}, 0.35)
    assert "finds 9 of 10 clients who leave, and 10 of 10 of its alarms" in line
    line = state_line(None, {"f1": 0.7, "recall": 0.04, "precision": 0.0}, {}, 0.35)
    assert "finds 1 of 10 clients who leave, and 0 of 10 of its alarms" in line
