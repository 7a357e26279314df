"""What is news: a condition when it appears or changes in kind, its end once, each file once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from attrition.core import plain_values
from attrition.core.run_warnings import Topic
from attrition.data.ledger import Ledger, LedgerEntry
from attrition.monitoring import alerts
from attrition.monitoring.alerts import LONGEST, MESSAGES_KEPT, AlertState, Condition
from attrition.monitoring.record import DecisionRecord
from attrition.runs.idle import FAILED_RUN
from tests.support.effects import effect_of
from tests.support.records import decision_record

DRIFT = Condition("data drift in the new rows", "tenure", "data drift in the new rows: tenure")
DEGRADED = Condition("degraded model", "degraded", "the deployed model is degraded: F1 0.5")


def record(**changes: Any) -> DecisionRecord:
    return decision_record(**{"scores": {"test data": {"f1": 0.7}}, **changes})


def found(**changes: Any) -> list[tuple[str, str]]:
    return [(c.key, c.kind) for c in alerts.conditions(record(**changes), 0.6)]


def column(name: str, verdict: str) -> dict[str, str]:
    return {"column": name, "verdict": verdict}


def test_a_good_model_and_no_drift_are_no_condition() -> None:
    assert found() == []


def test_a_deployed_model_under_its_threshold_is_degraded() -> None:
    assert found(scores={"test data": {"f1": 0.59}}) == [("degraded model", "degraded")]
    assert found(scores={"test data": {"f1": 0.6}}) == []
    assert found(scores={"test data": {"f1": None}}) == []
    assert found(scores={"new rows": {"f1": 0.1}}) == []


def test_a_high_f1_does_not_hide_a_ranking_that_is_like_chance() -> None:
    """Where half of the clients leave, whoever calls all of them has an F1 of 0.67."""
    blind = {"f1": 0.67, "roc_auc": 0.5, "roc_auc_interval": [0.47, 0.53]}
    (condition,) = alerts.conditions(record(scores={"test data": blind}), 0.6)
    assert condition.text == (
        "nothing shows that the deployed model ranks better than chance: its AUC on the test data "
        "is 0.500 (0.470 to 0.530)"
    )
    rough = {**blind, "roc_auc": 0.617, "roc_auc_interval": [0.57, 0.661]}
    (condition,) = alerts.conditions(record(scores={"test data": rough}), 0.6)
    assert condition.kind == "unproven"
    assert condition.text == (
        "it is not shown that the deployed model ranks reliably: its AUC on the test data is 0.617 "
        "(0.570 to 0.661)"
    )
    assert found(scores={"test data": {**blind, "roc_auc_interval": [0.701, 0.8]}}) == []


def test_a_low_f1_of_a_model_that_ranks_well_is_told_with_that() -> None:
    """Where few leave F1 is low, however well they are found."""
    rare = {"f1": 0.472, "roc_auc": 0.942, "roc_auc_interval": [0.896, 0.968]}
    (condition,) = alerts.conditions(record(scores={"test data": rare}), 0.6)
    assert condition.text == (
        "the deployed model's F1 on the test data, 0.472, is under 0.6, though it ranks well (AUC "
        "0.942); lower model_score_threshold if that is enough"
    )
    assert condition.topic is Topic.LOW_F1


def test_a_setting_that_the_live_model_does_not_obey_stays_open() -> None:
    warning = {"text": "the model at work is another", "topic": "setting not obeyed"}
    assert found(warnings=[warning]) == [("setting not obeyed", "setting not obeyed")]


def test_a_model_deployed_by_the_run_is_judged_by_its_own_score() -> None:
    old, new = {"test data": {"f1": 0.1}}, {"f1": 0.7}
    assert found(verdict="deployed", scores=old, candidate_score=new) == []
    assert found(verdict="kept", scores=old, candidate_score=new) != []
    assert found(verdict="deployed", scores={}, candidate_score={"f1": 0.3}) != []
    assert found(verdict="deployed", scores=old, candidate_score=None) == []


BLIND = {"f1": None, "undefined": "too few labelled rows"}


def test_where_the_test_data_cannot_tell_the_cross_validated_score_does() -> None:
    scores, weak, good = {"test data": BLIND}, {"f1": 0.59}, {"f1": 0.6}
    (condition,) = alerts.conditions(record(scores=scores, champion_cross_validated=weak), 0.6)
    assert condition.text == (
        "the deployed model is degraded: its F1 in cross-validation, 0.590, is under 0.6"
    )
    (condition,) = alerts.conditions(record(scores={"test data": weak}), 0.6)
    assert condition.topic is Topic.DEGRADED_MODEL
    assert condition.text == (
        "the deployed model is degraded: its F1 on the test data, 0.590, is under 0.6"
    )
    assert found(scores=scores, champion_cross_validated=good, cross_validated=weak) == []
    assert found(champion_cross_validated=weak) == []
    new = {"verdict": "deployed", "candidate_score": BLIND}
    assert found(**new, champion_cross_validated=good, cross_validated=weak) != []
    assert found(**new, champion_cross_validated=weak, cross_validated=good) == []


def test_columns_beyond_belief_are_a_condition_until_the_model_is_another() -> None:
    suspicious = {"columns": {"refund": 1.0, "state": 0.978}, "model_auc": 0.99}
    (condition,) = alerts.conditions(record(suspicious=suspicious), 0.6)
    assert condition == Condition(
        "too good to be true",
        "refund, state",
        "too good to be true: refund (AUC 1.000) and state (AUC 0.978) each alone tell who left; "
        "the whole model reaches 0.990. Are they filled in only once a client has left? Then take "
        "them out of config.json",
        Topic.TOO_GOOD,
    )
    one = alerts.conditions(record(suspicious={"columns": {"x": 1.0}, "model_auc": None}), 0.6)
    assert one[0].text == (
        "too good to be true: x (AUC 1.000) alone tells who left. Is it filled in only once a "
        "client has left? Then take it out of config.json"
    )
    carriers = {"columns": ["before", "after"], "roc_auc": 0.991}
    together = {"columns": {}, "model_auc": 0.995, "together": carriers}
    (condition,) = alerts.conditions(record(suspicious=together), 0.6)
    assert (condition.kind, condition.topic) == ("before, after", Topic.TOO_GOOD)
    assert condition.text == (
        "too good to be true: the model tells who left nearly without error (AUC 0.995 on rows "
        "that it had not learnt); with before and after alone it reaches 0.991. Are they filled in "
        "only once a client has left? Then take them out of config.json"
    )
    assert found(suspicious={}) == found(suspicious=None) == []


def test_a_shift_that_moves_the_mean_risk_by_two_points_is_named_whatever_its_size() -> None:
    def impact(risk_now: float, risk_error: float | None = 0.005) -> dict[str, Any]:
        log_odds = {"log_odds_before": -1.4, "log_odds_now": -1.2, "log_odds_change": 0.2}
        leavers = {"leavers_before": 0.2, "leavers_now": 0.2, "moved_clients": 0.0}
        risks = {"risk_before": 0.2, "risk_now": risk_now, "risk_error": risk_error}
        return {"new rows": {"rows": 900, "terms": [], **log_odds, **leavers, **risks}}

    quiet = {"new rows": {"verdict": "no drift"}}
    (said,) = alerts.conditions(record(drift={"impact": impact(0.225), "data": quiet}), 0.6)
    assert (said.key, said.kind) == ("moved risk in the new rows", "up")
    assert said.topic is Topic.MOVED_RISK
    assert "is 22.5% on average, among the training rows it was 20.0%" in said.text
    assert found(drift={"impact": impact(0.17), "data": quiet})[0][1] == "down"
    for calm in (impact(0.215), impact(0.225, 0.01), impact(0.5, None)):  # small, chance, unknown
        assert found(drift={"impact": calm, "data": quiet}) == []
    drifted = {"new rows": {"verdict": "drift", "columns": [column("a", "drift")]}}
    (one,) = found(drift={"impact": impact(0.3), "data": drifted})
    assert one == ("data drift in the new rows", "a")


def test_drift_is_told_by_sample_and_data_drift_by_its_columns() -> None:
    performance = {
        "test data": {"verdict": "drift", "reason": "F1 fell"},
        "new rows": {"verdict": "no drift", "reason": ""},
    }
    data = {
        "new rows": {
            "verdict": "drift",
            "columns": [column("a", "drift"), column("b", "no drift")],
            "predictions": column("predictions", "drift"),
        }
    }
    assert found(drift={"performance": performance, "data": data}) == [
        ("model drift on the test data", "drift"),
        ("data drift in the new rows", "a, predictions"),
    ]


def test_a_condition_is_told_once_and_again_in_another_kind() -> None:
    message, state = alerts.news(AlertState(), [DRIFT], {}, "kept: no")
    assert message == "- data drift in the new rows: tenure\n- kept: no"
    assert alerts.news(state, [DRIFT], {}, "kept: no") == (None, state)
    other = replace(DRIFT, kind="age", text="data drift in the new rows: age")
    message, state = alerts.news(state, [DEGRADED, other], {}, None)
    assert message == "- the deployed model is degraded: F1 0.5\n- data drift in the new rows: age"
    message, _ = alerts.news(state, [DEGRADED, DRIFT], {}, None)
    assert message == "- data drift in the new rows: tenure\n- as before: degraded model"


def test_that_calls_help_is_told_once_and_is_nothing_that_has_to_end() -> None:
    shown = [effect_of(300, 400), effect_of(310, 410)]
    first, second = (
        alerts.conditions(record(effect=plain_values.to_json(one)), 0.6) for one in shown
    )
    message, state = alerts.news(AlertState(), first, {}, None)
    assert message is not None
    assert message.startswith("- calls keep clients: Of 2,000 listed, 1,000 were held out: 30%")
    assert alerts.news(state, second, {}, None) == (None, state)
    message, state = alerts.news(state, [*second, DRIFT], {}, None)
    message, state = alerts.news(state, second, {}, None)
    assert message == "all is well again (it was: data drift in the new rows)"
    assert alerts.news(state, [], {}, None)[0] is None


def test_harm_and_a_study_that_measures_nothing_are_conditions() -> None:
    for left, keys in (((400, 300), ["calls make clients leave"]), ((350, 350), [])):
        effect = plain_values.to_json(effect_of(*left))
        assert [key for key, _ in found(effect=effect)] == keys
    assert [key for key, _ in found(no_effect="lost")] == ["the study of calls measures nothing"]


def test_the_end_of_all_conditions_is_one_line_said_once() -> None:
    _, state = alerts.news(AlertState(), [DRIFT, DEGRADED], {}, None)
    assert alerts.news(state, [DRIFT], {}, None)[0] is None  # not all is well yet
    message, state = alerts.news(state, [], {}, "kept: no")
    assert message == "all is well again (it was: data drift in the new rows; degraded model)"
    assert alerts.news(state, [], {}, None) == (None, state)


def test_a_run_that_works_again_is_said_though_drift_remains() -> None:
    state = AlertState(conditions={FAILED_RUN: "disk full", DRIFT.key: DRIFT.kind})
    message, _ = alerts.news(state, [DRIFT], {}, None)
    assert message == "the runs work again; open: data drift in the new rows"


def test_a_failure_with_other_numbers_is_no_news_and_another_failure_is() -> None:
    _, state = alerts.news(AlertState(), [alerts.failure("12 bytes free")], {}, None)
    assert alerts.news(state, [alerts.failure("7 bytes free")], {}, None)[0] is None
    message, _ = alerts.news(state, [alerts.failure("no memory")], {}, None)
    assert message == "- the run failed: no memory"


def test_what_was_open_stays_open_when_a_run_fails() -> None:
    state = AlertState(conditions={FAILED_RUN: "x", DRIFT.key: DRIFT.kind})
    assert [(c.key, c.kind) for c in alerts.still_open(state)] == [(DRIFT.key, DRIFT.kind)]


def entry(name: str, status: str = "ingested", quarantined: int = 0) -> LedgerEntry:
    return LedgerEntry(
        name=name,
        sha256=name.ljust(64, "0"),
        size=1,
        status=status,
        reason="a secret value",
        rows_read=9,
        kept=9 - quarantined,
        quarantined=quarantined,
        time="2026",
    )


def test_troubled_files_are_told_with_names_and_counts_alone() -> None:
    entries = (entry("fine.csv"), entry("bad.csv", "rejected"), entry("some.csv", quarantined=2))
    files = alerts.troubled_files(Ledger(entries=entries, refused={"link.csv": "a link"}))
    assert list(files.values()) == [
        "file bad.csv: rejected; ledger.json tells the reason",
        "file some.csv: 2 of 9 rows in quarantine",
        "link.csv: not read; ledger.json tells the reason",
    ]


def test_a_file_of_actions_that_is_not_or_not_wholly_taken_in_is_told() -> None:
    rejected = "actions/may.csv: rejected: missing columns 'date'"
    ledger = Ledger(refused={"link.csv": "a link"}).with_notice("2026-05-01", rejected)
    files = alerts.troubled_actions(ledger, "actions")
    assert list(files.values()) == [rejected, "actions/link.csv: not read: a link"]
    assert alerts.news(AlertState(), [], files, None)[0] == "\n".join(
        f"- {line}" for line in files.values()
    )


def test_a_troubled_file_is_told_once_and_keeps_nothing_open() -> None:
    message, state = alerts.news(AlertState(), [], {"a": "file a"}, "kept: no")
    assert message == "- file a"
    assert alerts.news(state, [], {"a": "file a"}, None) == (None, state)
    assert alerts.news(state, [], {"a": "file a", "b": "file b"}, None)[0] == "- file b"
    assert alerts.news(state, [], None, None)[1].files == ("a",)  # the ledger is unreadable


def test_of_many_files_the_others_are_counted() -> None:
    message, _ = alerts.news(AlertState(), [], {str(i): f"file {i}" for i in range(1234)}, None)
    assert message is not None
    assert message.splitlines()[9:] == ["- file 9", "- and 1,224 files more"]


def test_a_file_may_be_called_anything() -> None:
    refused = {"a\nb\udcff\x1b[2J.csv": "a link"}
    (line,) = alerts.troubled_files(Ledger(refused=refused)).values()
    assert line.startswith("a")
    message, _ = alerts.news(AlertState(), [], {"a": line}, None)
    assert message is not None
    message.encode()
    assert "\x1b" not in message


def test_unsent_messages_are_kept_in_order_and_not_without_end() -> None:
    assert alerts.with_unsent(AlertState(unsent=("a",)), None) == ("a",)
    assert alerts.with_unsent(AlertState(unsent=("a",)), "b") == ("a", "b")
    many = tuple(map(str, range(MESSAGES_KEPT)))
    assert alerts.with_unsent(AlertState(unsent=many), "new") == (*many[1:], "new")


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        (["all is well"], "us: all is well"),
        (["- a\n- b"], "us:\n- a\n- b"),
        (["- a", "- b", "well"], "us: well\nNot delivered before, oldest first:\n- a\n- b"),
    ],
)
def test_the_text_begins_with_what_is_newest(messages: list[str], text: str) -> None:
    assert alerts.text_of(messages, "us") == text


def test_a_text_is_never_longer_than_a_chat_tool_takes() -> None:
    assert len(alerts.text_of(["x" * 9999], "us")) == LONGEST
