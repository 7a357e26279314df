"""The decisions of a run, as pure functions: is it drift, is there reason to train, is it better.

Values in, a decision with its reason in plain words out; no file, clock or logger.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from attrition.model.metrics import Comparison, Score, score_to_judge_by
from attrition.monitoring.findings import (
    DriftVerdict,
    Evidence,
    PerformanceDrift,
    RunVerdict,
    TrainingKind,
    TrainingNeed,
)

# A library whose change alone is a reason to train again: the candidate is made of it.
MODEL_LIBRARIES = ("pipeline", "scikit-learn")


def performance_drift(
    at_deployment: float | None, now: Score, threshold: float, measured: str = ""
) -> PerformanceDrift:
    """Judge a model's F1 of today against its F1 at deployment, on the same kind of rows.

    A fall beyond the threshold is drift when it is more than chance: when the whole 95 % interval
    of today's F1 lies below the F1 at deployment. Else there are too few rows to tell.

    Args:
        at_deployment: F1 when the model was deployed; None when it was undefined.
        now: its score on today's rows.
        threshold: the fall of F1 that counts, a fraction 0-1.
        measured: how the F1 at deployment was, where it is not the one that the verdict told then.
    """
    if now.f1 is None or now.f1_interval is None:
        return PerformanceDrift(DriftVerdict.INSUFFICIENT, str(now.undefined), at_deployment)
    if at_deployment is None:
        reason = "the score at deployment was undefined, so there is nothing to compare with"
        return PerformanceDrift(DriftVerdict.INSUFFICIENT, reason, None, now.f1)
    fall = at_deployment - now.f1
    then = " ".join(filter(None, (f"{at_deployment:.3f}", measured, "at deployment")))
    change = f"F1 {now.f1:.3f} on {now.rows:,} rows, {then}"
    if fall <= threshold:
        verdict, reason = DriftVerdict.NO_DRIFT, f"{change}: no fall beyond {threshold:g}"
    elif now.f1_interval[1] < at_deployment:
        verdict, reason = (
            DriftVerdict.DRIFT,
            f"{change}: a fall of {fall:.3f}, beyond {threshold:g}",
        )
    else:
        verdict = DriftVerdict.INSUFFICIENT
        reason = f"{change}: a fall of {fall:.3f} that may be chance on so few rows"
    return PerformanceDrift(verdict, reason, at_deployment, now.f1, fall)


@dataclass(frozen=True)
class TrainingSituation:
    """What the need for a new model depends on.

    `deployed` is the training record (`training.json`) of the deployed model, None without one.
    """

    commit: str | None  # of the ingested data today, None when nothing is ingested
    schema: str  # digest of the settings that say how a client row reads
    left_out_test_rows: int  # rows that stand in the test data today, and so may not be learnt
    unseen_rows: int  # labelled rows that came after the deployed model was trained
    versions: Mapping[str, str]
    deployed: Mapping[str, Any] | None
    rolled_back_commits: Collection[str]
    drift: bool
    test_share: float = 0.0  # of the labelled rows, held out as test data today


def training_need(now: TrainingSituation) -> TrainingNeed:
    """Decide whether there is reason to train a candidate: only other rows give another model."""
    if now.commit is None:
        return TrainingNeed(TrainingKind.NOTHING, "no labelled client rows have been ingested yet")
    if now.commit in now.rolled_back_commits:
        reason = "a model was rolled back by hand and no labelled rows came since; waiting for them"
        return TrainingNeed(TrainingKind.NOTHING, reason)
    if now.deployed is None:
        return TrainingNeed(TrainingKind.FIRST, "no model is deployed yet")
    if now.schema != now.deployed["schema"]:
        return TrainingNeed(
            TrainingKind.NEW_COLUMNS, "the columns or labels in config.json have changed"
        )
    if now.test_share > (share := now.deployed["test_share"]):
        reason = (
            f"more rows are held out as test data (test_share {now.test_share:g}, it was "
            f"{share:g}), and the deployed model has learnt them"
        )
        return TrainingNeed(TrainingKind.NEW_TEST_ROWS, reason)
    if now.commit != now.deployed["commit"]:
        if now.unseen_rows == 0:
            return TrainingNeed(TrainingKind.NEW_ROWS, "the ingested rows have been recorded anew")
        reason = f"{now.unseen_rows:,} labelled rows came after the deployed model was trained"
        return TrainingNeed(TrainingKind.NEW_ROWS, reason)
    if now.left_out_test_rows != now.deployed["left_out_test_rows"]:
        return TrainingNeed(TrainingKind.NEW_ROWS, "other training rows now stand in the test data")
    for library in MODEL_LIBRARIES:
        then, today = now.deployed["versions"].get(library), now.versions.get(library)
        if then != today:
            reason = f"the deployed model was trained under {library} {then}, this is {today}"
            return TrainingNeed(TrainingKind.NEW_LIBRARY, reason)
    if now.drift:
        reason = "drift, but no new labelled rows to learn from: the same rows give the same model"
        return TrainingNeed(TrainingKind.NOTHING, reason)
    return TrainingNeed(TrainingKind.NOTHING, "no drift, and no new labelled rows to learn from")


@dataclass(frozen=True)
class Verdict:
    """What became of the candidate."""

    verdict: RunVerdict
    reason: str
    warnings: tuple[str, ...] = ()

    @property
    def deploy(self) -> bool:
        """Whether the candidate is to be deployed."""
        return self.verdict is RunVerdict.DEPLOYED


@dataclass(frozen=True)
class Scored:
    """What is known of a model by itself: its score on the test data, and cross-validated.

    The second one is of rows that the model has learnt, each predicted by a model of its kind that
    has not; it is what to judge by where the test data cannot tell.
    """

    test: Score
    cross_validated: Score

    @property
    def f1(self) -> float | None:
        """The F1 to judge by; None when neither is known."""
        return score_to_judge_by(self.test, self.cross_validated)[0].f1

    @property
    def words(self) -> str:
        """That F1, and which it is."""
        if self.test.f1 is not None:
            return f"F1 on the test data is {self.test.f1:.3f}"
        if self.cross_validated.f1 is None:
            return "score is undefined"
        return (
            f"cross-validated F1 is {self.cross_validated.f1:.3f} on "
            f"{self.cross_validated.rows:,} of the rows it learnt from"
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is not known."""
        if self.test.f1 is not None:
            return ()
        if self.cross_validated.f1 is None:
            return (f"nobody knows how good this model is: {self.test.undefined} in the test data",)
        return (_no_test_data(self.test.undefined, "cross-validation stands in"),)


def _no_test_data(undefined: str | None, substitute: str) -> str:
    """The warning that something else than test data was judged by."""
    return (
        f"no test data to judge by ({undefined}): {substitute} for them; put labelled rows into "
        f"the test folder, or set test_share in config.json"
    )


def _warnings(candidate: Scored, score_threshold: float) -> tuple[str, ...]:
    """What is not known of a candidate that is deployed, and whether it is weak."""
    if candidate.f1 is None or candidate.f1 >= score_threshold:
        return candidate.warnings
    weak = f"the model is weak: F1 {candidate.f1:.3f} is under {score_threshold:g}"
    return (*candidate.warnings, weak)


def first_model_verdict(need: TrainingNeed, candidate: Scored, score_threshold: float) -> Verdict:
    """With no deployed model the candidate is deployed, with a warning if it is weak."""
    warnings = _warnings(candidate, score_threshold)
    why = "it is the first model" if need.kind is TrainingKind.FIRST else need.reason
    return Verdict(RunVerdict.DEPLOYED, f"{why}; its {candidate.words}", warnings)


def new_columns_verdict(
    need: TrainingNeed,
    candidate: Scored,
    champion_f1: float | None,
    champion_cross_validated_f1: float | None,
    score_threshold: float,
) -> Verdict:
    """Judge the candidate alone, where the deployed model cannot be asked about today's rows.

    So it is after a change of columns or labels, or when it has learnt rows that are held out now.
    The candidate takes its place if it is known to be
    good enough, or no worse than it was.

    Args:
        need: why the candidate was trained.
        candidate: its scores.
        champion_f1: F1 of the deployed model on the test data of its deployment; None when
            undefined.
        champion_cross_validated_f1: likewise, cross-validated; what the candidate is compared with
            where its own score on the test data is undefined.
        score_threshold: `model_score_threshold`, a fraction 0-1.
    """
    if candidate.f1 is None:
        undefined = candidate.test.undefined
        reason = f"{need.reason}, and nobody knows how good the candidate is: {undefined}"
        return Verdict(RunVerdict.NOT_ENOUGH_EVIDENCE, reason)
    known = f"{need.reason}; the candidate's {candidate.words}"
    before = champion_cross_validated_f1 if candidate.test.f1 is None else champion_f1
    if before is not None and candidate.f1 < min(score_threshold, before):
        reason = f"{known}, that of the deployed model was {before:.3f}"
        return Verdict(RunVerdict.KEPT, reason, candidate.warnings)
    return Verdict(RunVerdict.DEPLOYED, known, _warnings(candidate, score_threshold))


def disbelieved(verdict: Verdict, columns: Collection[str]) -> Verdict:
    """The verdict, with a word of doubt where single columns tell the answer beyond belief."""
    if not columns:
        return verdict
    text = f"{verdict.reason}; do not believe it before you have looked at {', '.join(columns)}"
    return replace(verdict, reason=text)


def promotion_verdict(
    need: TrainingNeed, evidence: Evidence, confidence: float, score_threshold: float
) -> Verdict:
    """Decide between the deployed model and the candidate on the same rows.

    The candidate is deployed when its F1 is better on the pooled rows and the paired bootstrap
    gives that at least `confidence`; but never one that is degraded on the test data where the
    deployed one is not. Where the test data cannot be scored, the rows new to both decide alone.
    After a change of library alone nothing can have got better, and it is enough that nothing got
    worse.

    Args:
        need: why the candidate was trained.
        confidence: `promotion_confidence`, a fraction 0-1.
        score_threshold: `model_score_threshold`, a fraction 0-1.
    """
    test = evidence.test
    if test.champion_f1 is None or test.challenger_f1 is None:
        return _verdict_of_new_rows(need, evidence, confidence)
    if test.challenger_f1 < score_threshold <= test.champion_f1:
        reason = (
            f"the test data alone decide, on which the candidate is degraded where the deployed "
            f"model is not: F1 {test.challenger_f1:.3f} against {test.champion_f1:.3f} on "
            f"{test.rows:,} rows, asked {score_threshold:g}"
        )
        if evidence.unseen is not None and evidence.unseen.difference is not None:
            reason += f"; {_figures('new rows', evidence.unseen)}"
        return Verdict(RunVerdict.KEPT, reason)
    where = "on the test data" if evidence.unseen is None else "on test data and new rows pooled"
    verdict = _verdict_of(need, evidence.pooled, where, confidence)
    reason = verdict.reason + _parts(evidence)
    return Verdict(verdict.verdict, reason, _disagreement(evidence))


def _verdict_of_new_rows(need: TrainingNeed, evidence: Evidence, confidence: float) -> Verdict:
    """The verdict where the test data cannot be scored."""
    undefined, unseen = evidence.test.undefined, evidence.unseen
    if unseen is None or unseen.difference is None:
        reason = f"the test data cannot tell the models apart: {undefined}"
        if unseen is not None:
            reason += f"; nor can the new rows: {unseen.undefined}"
        return Verdict(RunVerdict.NOT_ENOUGH_EVIDENCE, reason)
    verdict = _verdict_of(need, unseen, "on the new rows, which decide alone", confidence)
    return replace(verdict, warnings=(_no_test_data(undefined, "the new rows stand in"),))


def _verdict_of(need: TrainingNeed, rows: Comparison, where: str, confidence: float) -> Verdict:
    """The verdict by the comparison on the rows that decide; `where` says in words which rows."""
    assert rows.difference is not None and rows.confidence is not None
    numbers = (
        f"{where}: F1 {rows.challenger_f1:.3f} against {rows.champion_f1:.3f} of the deployed "
        f"model on the same {rows.rows:,} rows"
    )
    sure = f"better in {rows.confidence:.1%} of resamples"
    if need.kind is TrainingKind.NEW_LIBRARY and rows.difference >= 0:
        return Verdict(RunVerdict.DEPLOYED, f"{need.reason}; no worse {numbers}")
    if rows.difference <= 0:
        return Verdict(RunVerdict.KEPT, f"the candidate is not better {numbers}")
    if rows.confidence < confidence:
        reason = f"the candidate may be better by chance {numbers}, {sure}; {confidence:.0%} asked"
        return Verdict(RunVerdict.NOT_ENOUGH_EVIDENCE, reason)
    return Verdict(RunVerdict.DEPLOYED, f"the candidate is better {numbers}, {sure}")


def _parts(evidence: Evidence) -> str:
    """The comparisons that were pooled, and which of them the pooled one overruled."""
    if evidence.unseen is None:
        return ""
    test, unseen, pooled = evidence.test, evidence.unseen, evidence.pooled
    if unseen.difference is None:
        return f"; the {unseen.rows:,} new rows alone are too few to tell"
    assert test.difference is not None and pooled.difference is not None
    text = f"; by parts: {_figures('test data', test)}, {_figures('new rows', unseen)}"
    if test.difference * pooled.difference < 0:
        return f"{text}: the new rows outvote the test data"
    if unseen.difference * pooled.difference < 0:
        return f"{text}: the test data outvote the new rows"
    return text


def _figures(name: str, part: Comparison) -> str:
    return f"{name} {part.challenger_f1:.3f} against {part.champion_f1:.3f} on {part.rows:,} rows"


def _disagreement(evidence: Evidence) -> tuple[str, ...]:
    """A warning when the test data and the new rows favour different models."""
    test = evidence.test.difference
    unseen = evidence.unseen.difference if evidence.unseen else None
    if test is None or unseen is None or test * unseen >= 0:
        return ()
    text = (
        f"test data and new rows disagree: the candidate's F1 differs by {test:+.3f} on the test "
        f"data and by {unseen:+.3f} on the new rows"
    )
    return (text + "; is the test data still like today's clients?" if unseen > 0 else text,)
