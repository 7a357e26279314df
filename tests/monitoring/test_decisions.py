"""The decisions, from plain values: what is a reason to train, and what becomes of a candidate."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from attrition.core.run_warnings import RunWarning, Topic
from attrition.model.comparison import Comparison
from attrition.model.metrics import Score, log_losses
from attrition.monitoring.decisions import (
    PromotionRule,
    Scored,
    TrainingSituation,
    Verdict,
    called_weak,
    disbelieved,
    first_model_verdict,
    new_columns_verdict,
    promotion_verdict,
    training_need,
)
from attrition.monitoring.findings import Evidence, RunVerdict, TrainingKind, TrainingNeed


def scored(f1: float, low: float, high: float) -> Score:
    return Score(rows=1000, positives=200, f1=f1, f1_interval=(low, high))


UNKNOWN = Score(2, 1, "too few labelled rows: 2")


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
        ({"monotone": {"age": "increasing"}}, "new directions", "monotone in config.json has"),
        (
            {"monotone": {"age": "increasing"}, "commit": "c2", "unseen_rows": 5},
            "new directions",
            "monotone in config.json has",
        ),
        (
            {"deployed": {**DEPLOYED, "monotone": {"age": "increasing"}}},
            "new directions",
            "monotone in config.json has",
        ),
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


RULE = PromotionRule(confidence=0.90, margin=0.005, score_threshold=0.60)


def compared(
    gain: float, f1_gain: float = 0.0, *, error: float = 0.01, auc: float = 0.8
) -> Comparison:
    """A comparison on 500 rows: by how much the candidate's log loss is lower."""
    return Comparison(
        rows=500,
        positives=100,
        champion_f1=0.7,
        challenger_f1=0.7 + f1_gain,
        difference=f1_gain,
        difference_interval=(f1_gain - 0.02, f1_gain + 0.02),
        champion_log_loss=0.4,
        challenger_log_loss=0.4 - gain,
        gain=gain,
        gain_error=error,
        confidence=NormalDist(0, error).cdf(gain),
        challenger_auc_interval=(auc - 0.03, auc + 0.03),
        auc_gain_interval=(-0.01, 0.01),
    )


FEW = Comparison(7, 1, "too few labelled rows: 7")


def evidence(
    test: Comparison, unseen: Comparison | None = None, pooled: Comparison | None = None
) -> Evidence:
    return Evidence(test, unseen, pooled or test)


def judged(case: Evidence, need: TrainingNeed = NEW_ROWS) -> Verdict:
    return promotion_verdict(need, case, RULE)[0]


@pytest.mark.parametrize(
    ("gain", "verdict", "words"),
    [
        (0.0156, "deployed", "the candidate is better than the deployed model on the rows new"),
        (0.0154, "deployed", "is not worse"),  # a first look needs 93.9 %: 1.548 standard errors
        (0.0, "deployed", "is not worse"),
        (-0.005, "deployed", "is not worse"),  # at the margin
        (-0.0051, "deployed", "is not clearly worse"),
        (-0.0178, "deployed", "is not clearly worse"),
        (-0.0179, "kept", "by more than 0.005 and more than chance"),  # 1.28 beyond the margin
        (-0.2, "kept", "by more than 0.005 and more than chance"),
    ],
)
def test_a_candidate_is_deployed_unless_it_is_surely_worse_and_called_better_where_that_is_sure(
    gain: float, verdict: str, words: str
) -> None:
    case = evidence(compared(0.0), compared(gain, 0.01))
    found, after = promotion_verdict(NEW_ROWS, case, RULE)
    assert found.verdict == verdict
    assert words in found.reason
    assert after.claims_better is ("is better" in found.reason)
    assert f"the rows new to both: log loss {0.4 - gain:.3f} against 0.400, F1" in found.reason
    assert "F1 0.710 against 0.700 (+0.010) on the same 500 rows" in found.reason
    assert "test data: log loss 0.400 against 0.400" in found.reason


def test_without_a_margin_an_equal_candidate_is_deployed_and_a_clearly_worse_one_is_not() -> None:
    rule = replace(RULE, margin=0.0)
    for gain, error, deployed in ((0.0, 0.0, True), (-0.001, 0.001, True), (-0.002, 0.001, False)):
        case = evidence(compared(0.0), compared(gain, error=error or 1e-9))
        case = replace(case, unseen=replace(case.unseen or FEW, gain_error=error))
        assert promotion_verdict(NEW_ROWS, case, rule)[0].deploy is deployed


def test_of_two_equal_models_compared_forty_times_one_in_ten_is_called_better_at_most() -> None:
    """The looks go on counting where the candidate is deployed without a claim, as it mostly is."""
    random, streams = np.random.default_rng(5), 150
    labels = (random.random((streams, 40, 250)) < 0.3).astype(np.int64)
    before, after = random.normal(labels - 1.5, 1.0, (2, *labels.shape))  # they err equally
    gains = log_losses(labels, expit(before)) - log_losses(labels, expit(after))
    claimed, at_one_look = 0, 0
    for means, errors in zip(gains.mean(2), gains.std(2) / np.sqrt(250), strict=True):
        parts = [compared(mean, error=error) for mean, error in zip(means, errors, strict=True)]
        looks = [
            promotion_verdict(NEW_ROWS, replace(evidence(part, part), look=look), RULE)[1]
            for look, part in enumerate(parts, start=1)
        ]
        claimed += any(look.claims_better for look in looks)
        at_one_look += any((part.confidence or 0) >= RULE.confidence for part in parts)
    assert claimed / streams <= 0.1
    assert at_one_look / streams > 0.9, "without spending nearly every one would be"


def test_the_rows_new_to_both_come_before_old_test_data_and_a_contradiction_is_said() -> None:
    for gain in (0.02, 0.0, -0.01):
        found = judged(evidence(compared(-0.05), compared(gain), compared(-0.03)))
        assert found.deploy
        assert "on the rows new to both" in found.reason
        assert "test data: log loss 0.450 against 0.400" in found.reason
        (warning,) = found.warnings
        assert warning.topic is Topic.SAMPLES_DISAGREE
        assert warning.text == (
            f"test data and new rows disagree: the candidate's log loss differs by +0.050 on the "
            f"test data, and by {-gain:+.3f} on the new rows, more than chance lets them differ "
            f"(95%: {gain + 0.05 - 0.0277:.3f} to {gain + 0.05 + 0.0277:.3f} apart); are the test "
            f"data still like today's clients?"
        )
    assert not judged(evidence(compared(0.05), compared(-0.02))).deploy
    assert not judged(evidence(compared(-0.015), compared(0.0))).warnings, "it may be chance"
    for worse in (-0.012, -0.011, -0.004):
        same = evidence(compared(-0.012, error=0.001), compared(worse, error=0.005))
        assert not judged(same).warnings, "both say the same"


def test_new_rows_that_the_candidate_ranks_as_chance_would_leave_it_to_the_test_data() -> None:
    """Labels that are noise: who has learnt them is better on them, and worse on all others."""
    noise = compared(0.3, auc=0.519)
    found, after = promotion_verdict(NEW_ROWS, evidence(compared(-0.05), noise), RULE)
    assert found.verdict == "kept"
    assert "on the test data: log loss 0.450" in found.reason
    assert "the candidate ranks the new rows as chance does" in found.reason
    assert after.claims_better is False
    few = replace(noise, challenger_auc_interval=(0.3, 0.7))
    halfway = replace(noise, auc_gain_interval=(0.01, 0.09))
    turned = compared(0.3, auc=0.4)
    for unseen in (few, halfway, turned, compared(0.3, auc=0.521)):
        assert judged(evidence(compared(-0.05), unseen)).deploy, "it may be a change"
    assert judged(evidence(FEW, noise)).deploy, "no test data, and the new rows decide"


def test_new_rows_too_few_to_judge_alone_are_pooled_with_the_test_data() -> None:
    found = judged(evidence(compared(-0.02), FEW, compared(0.0)))
    assert found.deploy
    assert "on test data and new rows together" in found.reason
    assert found.reason.endswith("; the 7 new rows alone cannot tell: too few labelled rows: 7")


def test_where_the_test_data_cannot_tell_the_new_rows_decide_alone_and_it_is_said() -> None:
    found = judged(evidence(FEW, compared(0.0)))
    assert found.deploy
    (warning,) = found.warnings
    assert warning.topic is Topic.NOTICE
    assert warning.text == (
        "no test data to judge by (too few labelled rows: 7): the new rows stand in for them; put "
        "labelled rows into the test folder, or set test_share in config.json"
    )


@pytest.mark.parametrize("unseen", [None, FEW])
def test_nothing_is_deployed_where_neither_test_data_nor_new_rows_can_tell(
    unseen: Comparison | None,
) -> None:
    found = judged(evidence(FEW, unseen))
    assert found.verdict == "not enough evidence"
    assert "cannot tell the models apart: too few labelled rows: 7" in found.reason


def test_after_a_change_of_library_nothing_is_called_better() -> None:
    need = TrainingNeed(TrainingKind.NEW_LIBRARY, "trained under scikit-learn 1.8, this is 1.9")
    found = judged(evidence(compared(0.02)), need)
    assert found.deploy
    assert found.reason.startswith(f"{need.reason}; the candidate is not worse than the deployed")
    assert not judged(evidence(compared(-0.02)), need).deploy


@pytest.mark.parametrize(
    ("f1_gain", "new_rows", "is_kept"),
    [
        (-0.15, compared(0.0), True),  # .70 to .55
        (-0.15, compared(0.02), False),  # the new rows are sure of the contrary
        (-0.15, compared(0.02, auc=0.49), True),  # but not where they are noise
        (-0.15, None, True),
        (-0.09, compared(0.0), False),  # .61: not under the threshold
    ],
)
def test_a_candidate_that_the_test_data_show_to_be_degraded_is_refused(
    f1_gain: float, new_rows: Comparison | None, is_kept: bool
) -> None:
    case = evidence(compared(0.02 if new_rows is None else 0.0, f1_gain), new_rows)
    found, after = promotion_verdict(NEW_ROWS, case, RULE)
    assert found.deploy is not is_kept
    assert not (is_kept and after.claims_better), "nothing better is refused"
    assert ("degraded where the deployed model is not" in found.reason) is is_kept


def test_a_fall_under_the_threshold_that_may_be_chance_refuses_no_candidate() -> None:
    test = replace(compared(0.0, -0.11), difference_interval=(-0.25, 0.03))
    assert judged(evidence(test, compared(0.0))).deploy


@pytest.mark.parametrize(
    ("score", "warning"),
    [
        (scored(0.70, 0.6, 0.8), None),
        (scored(0.59, 0.5, 0.7), "weak"),
        (Score(2, 1, "too few labelled rows: 2"), "nobody knows"),
        (
            replace(scored(0.67, 0.6, 0.7), roc_auc=0.5, roc_auc_interval=(0.47, 0.53)),
            "nothing shows that the model ranks better than chance: AUC 0.500 (0.470 to 0.530)",
        ),
        (
            replace(scored(0.76, 0.7, 0.8), roc_auc=0.617, roc_auc_interval=(0.57, 0.661)),
            "it is not shown that the model ranks reliably: AUC 0.617 (0.570 to 0.661)",
        ),
        (
            replace(scored(0.47, 0.4, 0.5), roc_auc=0.942, roc_auc_interval=(0.896, 0.968)),
            "F1 0.470 is under 0.6, though it ranks well (AUC 0.942); lower model_score_threshold",
        ),
    ],
)
def test_the_first_model_is_deployed_and_a_weak_one_with_a_warning(
    score: Score, warning: str | None
) -> None:
    need, candidate = (
        TrainingNeed(TrainingKind.FIRST, "no model is deployed yet"),
        Scored(score, UNKNOWN),
    )
    found = called_weak(first_model_verdict(need, candidate), candidate, 0.60)
    assert found.deploy
    assert bool(found.warnings) is (warning is not None)
    assert warning is None or warning in found.warnings[0].text


def test_without_test_data_cross_validation_speaks_and_is_called_so() -> None:
    need = TrainingNeed(TrainingKind.FIRST, "no model is deployed yet")
    candidate = Scored(UNKNOWN, scored(0.55, 0.5, 0.6))
    found = called_weak(first_model_verdict(need, candidate), candidate, 0.60)
    assert found.reason == (
        "it is the first model; its cross-validated F1 is 0.550 on 1,000 of the rows it learnt from"
    )
    assert "no test data to judge by (too few labelled rows: 2)" in found.warnings[0].text
    assert "test_share" in found.warnings[0].text
    weak = RunWarning("the model is weak: F1 0.550 is under 0.6", Topic.WEAK_MODEL)
    assert found.warnings[1] == weak


def test_a_verdict_on_columns_beyond_belief_says_so() -> None:
    verdict = Verdict(
        RunVerdict.DEPLOYED, "it is the first model; its F1 on the test data is 1.000"
    )
    found = disbelieved(verdict, ["refund", "reason"])
    assert found.reason == (
        f"{verdict.reason}; do not believe it before you have looked at refund, reason"
    )
    assert disbelieved(verdict, []) == verdict


@pytest.mark.parametrize(
    ("candidate", "crossed", "champion_f1", "verdict"),
    [
        (scored(0.70, 0.6, 0.8), UNKNOWN, 0.75, "deployed"),  # good enough
        (scored(0.55, 0.5, 0.6), UNKNOWN, 0.50, "deployed"),  # weak, but no weaker than before
        (scored(0.55, 0.5, 0.59), UNKNOWN, 0.75, "kept"),
        (scored(0.55, 0.5, 0.59), UNKNOWN, None, "deployed"),
        (scored(0.55, 0.5, 0.6), UNKNOWN, 0.75, "deployed"),  # it may be good enough
        (scored(0.542, 0.49, 0.599), UNKNOWN, 0.598, "deployed"),  # worse by no more than chance
        (UNKNOWN, UNKNOWN, 0.75, "not enough evidence"),
        # Cross-validated now against cross-validated then (0.58), never against test data.
        (UNKNOWN, scored(0.59, 0.5, 0.6), 0.75, "deployed"),
        (UNKNOWN, scored(0.55, 0.5, 0.57), 0.50, "kept"),
    ],
)
def test_after_a_change_of_columns_the_candidate_must_be_known_to_be_good(
    candidate: Score, crossed: Score, champion_f1: float | None, verdict: str
) -> None:
    need = TrainingNeed(TrainingKind.NEW_COLUMNS, "the columns have changed")
    both = Scored(candidate, crossed)
    found = new_columns_verdict(need, both, champion_f1, 0.58, 0.60)
    assert found.verdict == verdict
    topics = [warning.topic for warning in found.warnings]
    assert (Topic.SETTING_NOT_OBEYED in topics) == (verdict == "kept")


def test_a_weak_model_is_called_so_also_where_the_columns_have_changed() -> None:
    need = TrainingNeed(TrainingKind.NEW_COLUMNS, "the columns have changed")
    weak = RunWarning("the model is weak: F1 0.580 is under 0.6", Topic.WEAK_MODEL)
    for f1, warnings in ((0.58, (weak,)), (0.62, ())):
        both = Scored(scored(f1, 0.5, 0.7), UNKNOWN)
        found = called_weak(new_columns_verdict(need, both, 0.55, 0.58, 0.60), both, 0.60)
        assert (found.verdict, found.warnings) == ("deployed", warnings)
