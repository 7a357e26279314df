"""The decisions, from plain values: drift that can fire, and a promotion that needs evidence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from attrition.model.metrics import Comparison, Score
from attrition.monitoring.decisions import (
    Scored,
    TrainingSituation,
    Verdict,
    disbelieved,
    first_model_verdict,
    new_columns_verdict,
    performance_drift,
    promotion_verdict,
    training_need,
)
from attrition.monitoring.findings import Evidence, RunVerdict, TrainingKind, TrainingNeed


def scored(f1: float, low: float, high: float) -> Score:
    return Score(rows=1000, positives=200, f1=f1, f1_interval=(low, high))


UNKNOWN = Score(2, 1, "too few labelled rows: 2")


@pytest.mark.parametrize(
    ("before", "now", "verdict"),
    [
        (0.70, scored(0.60, 0.55, 0.65), "drift"),
        (0.70, scored(0.649, 0.60, 0.69), "drift"),  # 0.051: just beyond 0.05
        (0.70, scored(0.651, 0.60, 0.69), "no drift"),  # 0.049
        (0.70, scored(0.80, 0.75, 0.85), "no drift"),  # better is no drift
        (0.70, scored(0.60, 0.45, 0.75), "insufficient data"),  # may be chance
        (0.70, Score(3, 1, "too few labelled rows: 3"), "insufficient data"),
        (None, scored(0.60, 0.55, 0.65), "insufficient data"),
    ],
)
def test_performance_drift_is_a_fall_beyond_the_threshold_and_beyond_chance(
    before: float | None, now: Score, verdict: str
) -> None:
    found = performance_drift(before, now, threshold=0.05)
    assert found.verdict == verdict
    assert found.reason


def test_an_f1_at_deployment_that_is_cross_validated_is_called_so() -> None:
    now = scored(0.6, 0.55, 0.65)
    crossed = performance_drift(0.7, now, 0.05, "cross-validated").reason
    assert crossed.startswith("F1 0.600 on 1,000 rows, 0.700 cross-validated at deployment: a fall")
    assert ", 0.700 at deployment: a fall" in performance_drift(0.7, now, 0.05).reason


DEPLOYED: dict[str, Any] = {
    "commit": "c1",
    "schema": "s",
    "left_out_test_rows": 0,
    "test_share": 0.0,
    "versions": {"scikit-learn": "1.9", "pipeline": "1"},
}
TODAY = TrainingSituation(
    commit="c1",
    schema="s",
    left_out_test_rows=0,
    unseen_rows=0,
    versions={"scikit-learn": "1.9", "pipeline": "1"},
    deployed=DEPLOYED,
    rolled_back_commits=(),
    drift=False,
)


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({}, "nothing", "no drift"),
        ({"test_share": 0.2}, "new test rows", "test_share 0.2, it was 0"),
        ({"test_share": 0.2, "commit": "c2", "unseen_rows": 5}, "new test rows", "has learnt them"),
        ({"deployed": {**DEPLOYED, "test_share": 0.3}, "test_share": 0.2}, "nothing", "no drift"),
        ({"drift": True}, "nothing", "the same rows give the same model"),
        ({"commit": None}, "nothing", "no labelled client rows"),
        ({"commit": None, "deployed": None}, "nothing", "no labelled client rows"),
        ({"deployed": None}, "first", "no model is deployed"),
        ({"commit": "c2", "unseen_rows": 1234}, "new rows", "1,234 labelled rows"),
        ({"commit": "c2", "unseen_rows": 5, "drift": True}, "new rows", "labelled rows"),
        ({"left_out_test_rows": 7}, "new rows", "test data"),
        ({"schema": "t"}, "new columns", "config.json"),
        ({"versions": {"scikit-learn": "2.0", "pipeline": "1"}}, "new library", "scikit-learn 1.9"),
        ({"commit": "c2", "rolled_back_commits": {"c2"}}, "nothing", "rolled back by hand"),
        (
            {"commit": "c3", "unseen_rows": 5, "rolled_back_commits": {"c2"}},
            "new rows",
            "5 labelled",
        ),
        ({"commit": "c3", "rolled_back_commits": {"c2", "c3"}}, "nothing", "rolled back by hand"),
        ({"commit": "d9", "unseen_rows": 0}, "new rows", "recorded anew"),
    ],
)
def test_only_other_rows_columns_or_libraries_are_a_reason_to_train(
    change: dict[str, Any], kind: str, words: str
) -> None:
    need = training_need(replace(TODAY, **change))
    assert need.kind == kind
    assert need.train is (kind != "nothing")
    assert words in need.reason


NEW_ROWS = TrainingNeed(TrainingKind.NEW_ROWS, "1,000 labelled rows came")


def compared(difference: float, confidence: float) -> Comparison:
    return Comparison(
        rows=500,
        positives=100,
        champion_f1=0.7,
        challenger_f1=0.7 + difference,
        difference=difference,
        difference_interval=(difference - 0.1, difference + 0.1),
        confidence=confidence,
    )


def evidence(
    test: Comparison, unseen: Comparison | None = None, pooled: Comparison | None = None
) -> Evidence:
    return Evidence(test, unseen, pooled or test)


@pytest.mark.parametrize(
    ("difference", "confidence", "verdict"),
    [
        (0.05, 0.95, "deployed"),
        (0.05, 0.90, "deployed"),
        (0.05, 0.899, "not enough evidence"),
        (0.0, 0.0, "kept"),
        (-0.01, 0.30, "kept"),
    ],
)
def test_the_candidate_is_deployed_when_better_with_enough_confidence(
    difference: float, confidence: float, verdict: str
) -> None:
    found = promotion_verdict(NEW_ROWS, evidence(compared(difference, confidence)), 0.90, 0.60)
    assert found.verdict == verdict
    assert found.deploy is (verdict == "deployed")
    assert "F1" in found.reason


def test_stale_test_data_cannot_veto_but_is_named() -> None:
    case = evidence(compared(-0.02, 0.2), compared(0.2, 1.0), compared(0.05, 0.97))
    found = promotion_verdict(NEW_ROWS, case, 0.90, 0.60)
    assert found.deploy
    assert found.reason == (
        "the candidate is better on test data and new rows pooled: F1 0.750 against 0.700 of the "
        "deployed model on the same 500 rows, better in 97.0% of resamples; by parts: test data "
        "0.680 against 0.700 on 500 rows, new rows 0.900 against 0.700 on 500 rows: the new rows "
        "outvote the test data"
    )
    assert "disagree" in found.warnings[0]
    assert "-0.020 on the test data and by +0.200" in found.warnings[0]


def test_parts_that_agree_raise_no_warning_and_stand_in_the_reason() -> None:
    case = evidence(compared(0.02, 0.8), compared(0.2, 1.0), compared(0.05, 0.97))
    found = promotion_verdict(NEW_ROWS, case, 0.90, 0.60)
    assert found.warnings == ()
    assert "outvote" not in found.reason
    assert found.reason.endswith("new rows 0.900 against 0.700 on 500 rows")


@pytest.mark.parametrize(
    ("test", "unseen", "pooled", "verdict", "words"),
    [
        (0.05, None, 0.05, "deployed", "is better on the test data: F1"),
        (-0.05, None, -0.05, "kept", "is not better on the test data: F1"),
        (0.02, -0.2, -0.05, "kept", "the new rows outvote the test data"),
        (-0.09, 0.02, -0.05, "kept", "the test data outvote the new rows"),
        (-0.2, 0.1, 0.05, "kept", "the test data alone decide"),
        (-0.2, 0.1, 0.05, "kept", "on 500 rows, asked 0.6; new rows 0.800 against 0.700"),
        (-0.02, 0.2, 0.01, "not enough evidence", "the new rows outvote the test data"),
    ],
)
def test_the_reason_says_which_rows_decided(
    test: float, unseen: float | None, pooled: float, verdict: str, words: str
) -> None:
    case = evidence(
        compared(test, 0.5),
        None if unseen is None else compared(unseen, 0.5),
        compared(pooled, 0.95 if pooled > 0.01 else 0.6),
    )
    found = promotion_verdict(NEW_ROWS, case, 0.90, 0.60)
    assert found.verdict == verdict
    assert words in found.reason


def test_new_rows_too_few_to_judge_alone_are_said_to_be() -> None:
    few = Comparison(7, 1, "too few labelled rows: 7")
    found = promotion_verdict(NEW_ROWS, evidence(compared(0.05, 0.95), few), 0.90, 0.60)
    assert found.reason.endswith("; the 7 new rows alone are too few to tell")


@pytest.mark.parametrize(
    ("difference", "confidence", "verdict"),
    [
        (0.2, 0.9, "deployed"),
        (0.2, 0.899, "not enough evidence"),
        (-0.2, 0.0, "kept"),
    ],
)
def test_where_the_test_data_cannot_tell_the_new_rows_decide_alone_and_it_is_said(
    difference: float, confidence: float, verdict: str
) -> None:
    blind = Comparison(3, 0, "too few labelled rows: 3")
    pooled = compared(-difference, 1.0 - confidence)  # as if the three rows outvoted the others
    case = evidence(blind, compared(difference, confidence), pooled)
    found = promotion_verdict(NEW_ROWS, case, 0.90, 0.60)
    assert found.verdict == verdict
    figures = f"F1 {0.7 + difference:.3f} against 0.700 of the deployed model on the same 500 rows"
    assert f"on the new rows, which decide alone: {figures}" in found.reason
    assert found.warnings == (
        "no test data to judge by (too few labelled rows: 3): the new rows stand in for them; put "
        "labelled rows into the test folder, or set test_share in config.json",
    )


def test_nothing_is_deployed_over_a_champion_when_neither_test_data_nor_new_rows_can_tell() -> None:
    blind = Comparison(3, 0, "too few labelled rows: 3")
    found = promotion_verdict(NEW_ROWS, evidence(blind), 0.90, 0.60)
    assert found.verdict == "not enough evidence"
    assert found.reason == "the test data cannot tell the models apart: too few labelled rows: 3"
    few = Comparison(7, 0, "too few labelled rows: 7")
    found = promotion_verdict(NEW_ROWS, evidence(blind, few), 0.90, 0.60)
    assert found.verdict == "not enough evidence"
    assert found.reason.endswith(": 3; nor can the new rows: too few labelled rows: 7")


def test_a_new_library_needs_no_improvement_but_no_fall_either() -> None:
    need = TrainingNeed(TrainingKind.NEW_LIBRARY, "trained under scikit-learn 1.8, this is 1.9")
    assert promotion_verdict(need, evidence(compared(0.0, 0.0)), 0.90, 0.60).deploy
    assert not promotion_verdict(need, evidence(compared(-0.01, 0.0)), 0.90, 0.60).deploy


@pytest.mark.parametrize(
    ("score", "warning"),
    [
        (scored(0.70, 0.6, 0.8), None),
        (scored(0.59, 0.5, 0.7), "weak"),
        (Score(2, 1, "too few labelled rows: 2"), "nobody knows"),
    ],
)
def test_the_first_model_is_deployed_and_a_weak_one_with_a_warning(
    score: Score, warning: str | None
) -> None:
    found = first_model_verdict(
        TrainingNeed(TrainingKind.FIRST, "no model is deployed yet"), Scored(score, UNKNOWN), 0.60
    )
    assert found.deploy
    assert bool(found.warnings) is (warning is not None)
    assert warning is None or warning in found.warnings[0]


def test_without_test_data_cross_validation_speaks_and_is_called_so() -> None:
    need = TrainingNeed(TrainingKind.FIRST, "no model is deployed yet")
    found = first_model_verdict(need, Scored(UNKNOWN, scored(0.55, 0.5, 0.6)), 0.60)
    assert found.reason == (
        "it is the first model; its cross-validated F1 is 0.550 on 1,000 of the rows it learnt from"
    )
    assert "no test data to judge by (too few labelled rows: 2)" in found.warnings[0]
    assert "test_share" in found.warnings[0]
    assert found.warnings[1] == "the model is weak: F1 0.550 is under 0.6"


def test_a_verdict_on_columns_beyond_belief_says_so() -> None:
    verdict = Verdict(
        RunVerdict.DEPLOYED, "it is the first model; its F1 on the test data is 1.000"
    )
    found = disbelieved(verdict, ["refund", "reason"])
    assert found.reason == (
        f"{verdict.reason}; do not believe it before you have looked at refund, reason"
    )
    assert disbelieved(verdict, []) == verdict


def test_a_degraded_candidate_never_replaces_a_model_that_is_not() -> None:
    test = replace(compared(-0.07, 0.0), champion_f1=0.62, challenger_f1=0.55)
    case = evidence(test, compared(0.2, 1.0), compared(0.08, 1.0))
    found = promotion_verdict(NEW_ROWS, case, 0.90, 0.60)
    assert found.verdict == "kept"
    assert "degraded" in found.reason
    # Where both are degraded, the better one may come.
    both = evidence(replace(test, champion_f1=0.59), case.unseen, case.pooled)
    assert promotion_verdict(NEW_ROWS, both, 0.90, 0.60).deploy


@pytest.mark.parametrize(
    ("candidate", "crossed", "champion_f1", "verdict"),
    [
        (scored(0.70, 0.6, 0.8), UNKNOWN, 0.75, "deployed"),  # good enough
        (scored(0.55, 0.5, 0.6), UNKNOWN, 0.50, "deployed"),  # weak, but no weaker than before
        (scored(0.55, 0.5, 0.6), UNKNOWN, 0.75, "kept"),
        (scored(0.55, 0.5, 0.6), UNKNOWN, None, "deployed"),
        (UNKNOWN, UNKNOWN, 0.75, "not enough evidence"),
        # Cross-validated now against cross-validated then (0.58), never against test data.
        (UNKNOWN, scored(0.59, 0.5, 0.6), 0.75, "deployed"),
        (UNKNOWN, scored(0.57, 0.5, 0.6), 0.50, "kept"),
    ],
)
def test_after_a_change_of_columns_the_candidate_must_be_known_to_be_good(
    candidate: Score, crossed: Score, champion_f1: float | None, verdict: str
) -> None:
    need = TrainingNeed(TrainingKind.NEW_COLUMNS, "the columns have changed")
    both = Scored(candidate, crossed)
    assert new_columns_verdict(need, both, champion_f1, 0.58, 0.60).verdict == verdict


def test_a_weak_model_is_called_so_also_where_the_columns_have_changed() -> None:
    need = TrainingNeed(TrainingKind.NEW_COLUMNS, "the columns have changed")
    for f1, warnings in ((0.58, ("the model is weak: F1 0.580 is under 0.6",)), (0.62, ())):
        both = Scored(scored(f1, 0.5, 0.7), UNKNOWN)
        found = new_columns_verdict(need, both, 0.55, 0.58, 0.60)
        assert (found.verdict, found.warnings) == ("deployed", warnings)
