"""The decisions of a run, as pure functions: is it drift, is there reason to train, is it better.

Values in, a decision with its reason in plain words out; no file, clock or logger.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from attrition.scores import Comparison, Score

# A library whose change alone is a reason to train again: the candidate is made of it.
MODEL_LIBRARIES = ("pipeline", "scikit-learn")


@dataclass(frozen=True)
class PerformanceDrift:
    """Whether a model's F1 has fallen since it was deployed.

    `verdict` is "drift", "no drift" or "insufficient data"; `fall` is a difference of F1, and the
    interval (95 %) that of F1 at deployment, where it is known.
    """

    verdict: str
    reason: str
    at_deployment: float | None = None
    now: float | None = None
    fall: float | None = None
    interval_at_deployment: tuple[float, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """The finding as plain values for JSON."""
        return asdict(self)


def performance_drift(
    at_deployment: float | None, now: Score, threshold: float
) -> PerformanceDrift:
    """Judge a model's F1 of today against its F1 at deployment, on the same kind of rows.

    A fall beyond the threshold is drift when it is more than chance: when the whole 95 % interval
    of today's F1 lies below the F1 at deployment. Else there are too few rows to tell.

    Args:
        at_deployment: F1 when the model was deployed; None when it was undefined.
        now: its score on today's rows.
        threshold: the fall of F1 that counts, a fraction 0-1.
    """
    if now.f1 is None or now.f1_interval is None:
        return PerformanceDrift("insufficient data", str(now.undefined), at_deployment)
    if at_deployment is None:
        reason = "the score at deployment was undefined, so there is nothing to compare with"
        return PerformanceDrift("insufficient data", reason, None, now.f1)
    fall = at_deployment - now.f1
    change = f"F1 {now.f1:.3f} on {now.rows:,} rows, {at_deployment:.3f} at deployment"
    if fall <= threshold:
        verdict, reason = "no drift", f"{change}: no fall beyond {threshold:g}"
    elif now.f1_interval[1] < at_deployment:
        verdict, reason = "drift", f"{change}: a fall of {fall:.3f}, beyond {threshold:g}"
    else:
        verdict = "insufficient data"
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


@dataclass(frozen=True)
class TrainingNeed:
    """Whether to train, and why (not).

    `kind` is "nothing", "first", "new columns", "new rows" or "new library".
    """

    kind: str
    reason: str

    @property
    def train(self) -> bool:
        """Whether a candidate is to be trained."""
        return self.kind != "nothing"


def training_need(now: TrainingSituation) -> TrainingNeed:
    """Decide whether there is reason to train a candidate: only other rows give another model."""
    if now.commit is None:
        return TrainingNeed("nothing", "no labelled client rows have been ingested yet")
    if now.commit in now.rolled_back_commits:
        reason = "a model was rolled back by hand and no labelled rows came since; waiting for them"
        return TrainingNeed("nothing", reason)
    if now.deployed is None:
        return TrainingNeed("first", "no model is deployed yet")
    if now.schema != now.deployed["schema"]:
        return TrainingNeed("new columns", "the columns or labels in config.json have changed")
    if now.commit != now.deployed["commit"]:
        if now.unseen_rows == 0:
            return TrainingNeed("new rows", "the ingested rows have been recorded anew")
        reason = f"{now.unseen_rows:,} labelled rows came after the deployed model was trained"
        return TrainingNeed("new rows", reason)
    if now.left_out_test_rows != now.deployed["left_out_test_rows"]:
        return TrainingNeed("new rows", "other training rows now stand in the test data")
    for library in MODEL_LIBRARIES:
        then, today = now.deployed["versions"].get(library), now.versions.get(library)
        if then != today:
            reason = f"the deployed model was trained under {library} {then}, this is {today}"
            return TrainingNeed("new library", reason)
    if now.drift:
        reason = "drift, but no new labelled rows to learn from: the same rows give the same model"
        return TrainingNeed("nothing", reason)
    return TrainingNeed("nothing", "no drift, and no new labelled rows to learn from")


@dataclass(frozen=True)
class Verdict:
    """What became of the candidate: "deployed", "kept" (the old model) or "not enough evidence"."""

    verdict: str
    reason: str
    warnings: tuple[str, ...] = ()

    @property
    def deploy(self) -> bool:
        """Whether the candidate is to be deployed."""
        return self.verdict == "deployed"


def first_model_verdict(need: TrainingNeed, candidate: Score, score_threshold: float) -> Verdict:
    """With no comparable deployed model the candidate is deployed, with a warning if it is weak."""
    warnings: tuple[str, ...] = ()
    if candidate.f1 is None:
        warnings = (f"nobody knows how good this model is: {candidate.undefined} in the test data",)
        known = "its score is undefined"
    else:
        known = f"its F1 on the test data is {candidate.f1:.3f}"
        if candidate.f1 < score_threshold:
            warnings = (f"the model is weak: F1 {candidate.f1:.3f} is under {score_threshold:g}",)
    why = "it is the first model" if need.kind == "first" else need.reason
    return Verdict("deployed", f"{why}; {known}", warnings)


def new_columns_verdict(
    need: TrainingNeed, candidate: Score, champion_f1: float | None, score_threshold: float
) -> Verdict:
    """After a change of columns or labels the deployed model cannot be asked about today's rows.

    The candidate takes its place if it is known to be good enough, or no worse than it was.

    Args:
        need: why the candidate was trained.
        candidate: its score on the test data.
        champion_f1: F1 of the deployed model when it was deployed; None when undefined.
        score_threshold: `model_score_threshold`, a fraction 0-1.
    """
    if candidate.f1 is None:
        reason = f"{need.reason}, and nobody knows how good the candidate is: {candidate.undefined}"
        return Verdict("not enough evidence", reason)
    known = f"{need.reason}; the candidate's F1 on the test data is {candidate.f1:.3f}"
    if champion_f1 is not None and candidate.f1 < min(score_threshold, champion_f1):
        return Verdict("kept", f"{known}, that of the deployed model was {champion_f1:.3f}")
    return Verdict("deployed", known)


@dataclass(frozen=True)
class Evidence:
    """Champion against challenger: on the test data, on the rows new to both, and on both pooled.

    `unseen` is None when no labelled row came after the deployed model was trained.
    """

    test: Comparison
    unseen: Comparison | None
    pooled: Comparison

    def to_json(self) -> dict[str, Any]:
        """The evidence as plain values for JSON."""
        return asdict(self)


def promotion_verdict(
    need: TrainingNeed, evidence: Evidence, confidence: float, score_threshold: float
) -> Verdict:
    """Decide between the deployed model and the candidate on the same rows.

    The candidate is deployed when its F1 is better on the pooled rows and the paired bootstrap
    gives that at least `confidence`; but never one that is degraded on the test data where the
    deployed one is not. After a change of library alone nothing can have got better, and it is
    enough that nothing got worse.

    Args:
        need: why the candidate was trained.
        evidence: the comparisons.
        confidence: `promotion_confidence`, a fraction 0-1.
        score_threshold: `model_score_threshold`, a fraction 0-1.
    """
    test = evidence.test
    if test.champion_f1 is None or test.challenger_f1 is None:
        reason = f"the test data cannot tell the models apart: {test.undefined}"
        return Verdict("not enough evidence", reason)
    if test.challenger_f1 < score_threshold <= test.champion_f1:
        reason = (
            f"the candidate is degraded where the deployed model is not: F1 on the test data "
            f"{test.challenger_f1:.3f} against {test.champion_f1:.3f}, asked {score_threshold:g}"
        )
        return Verdict("kept", reason)
    pooled = evidence.pooled
    assert pooled.difference is not None and pooled.confidence is not None
    numbers = (
        f"F1 {pooled.challenger_f1:.3f} against {pooled.champion_f1:.3f} of the deployed model "
        f"on the same {pooled.rows:,} rows"
    )
    sure = f"better in {pooled.confidence:.1%} of resamples"
    warnings = _disagreement(evidence)
    if need.kind == "new library" and pooled.difference >= 0:
        return Verdict("deployed", f"{need.reason}; no worse: {numbers}", warnings)
    if pooled.difference <= 0:
        return Verdict("kept", f"the candidate is not better: {numbers}", warnings)
    if pooled.confidence < confidence:
        reason = f"the candidate may be better by chance: {numbers}, {sure}; {confidence:.0%} asked"
        return Verdict("not enough evidence", reason, warnings)
    return Verdict("deployed", f"the candidate is better: {numbers}, {sure}", warnings)


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
