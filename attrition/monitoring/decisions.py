"""The decisions of a run, as pure functions: is it drift, is there reason to train, is it better.

Values in, a decision with its reason in plain words out; no file, clock or logger.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from attrition.core.formatting import between, plural
from attrition.core.repeated_tests import spent_at
from attrition.core.run_warnings import RunWarning, Topic
from attrition.model.comparison import Comparison
from attrition.model.metrics import (
    Score,
    despite_f1,
    doubt_of_ranking,
    score_to_judge_by,
)
from attrition.monitoring.findings import (
    Evidence,
    RunVerdict,
    TrainingKind,
    TrainingNeed,
)

# A library whose change alone is a reason to train again: the candidate is made of it.
MODEL_LIBRARIES = ("pipeline", "scikit-learn")
# Where new rows are noise the 95 % interval of the candidate's AUC holds 0.5, within these.
NOISE_AUC = 0.45, 0.55


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
    refusal: str = "a model was rolled back by hand"  # why there are rolled-back commits
    monotone: Mapping[str, str] = field(default_factory=dict)  # what is asked of the risk today


def training_need(now: TrainingSituation) -> TrainingNeed:
    """Decide whether there is reason to train a candidate: only other rows give another model."""
    if now.commit is None:
        return TrainingNeed(TrainingKind.NOTHING, "no labelled client rows have been ingested yet")
    if now.commit in now.rolled_back_commits:
        reason = f"{now.refusal} and no labelled rows came since; waiting for them"
        return TrainingNeed(TrainingKind.NOTHING, reason)
    if now.deployed is None:
        return TrainingNeed(TrainingKind.FIRST, "no model is deployed yet")
    if now.schema != now.deployed["schema"]:
        return TrainingNeed(
            TrainingKind.NEW_COLUMNS, "the columns or labels in config.json have changed"
        )
    if now.monotone != now.deployed.get("monotone", {}):
        reason = "the setting monotone in config.json has changed"
        return TrainingNeed(TrainingKind.NEW_DIRECTIONS, reason)
    if now.test_share > (share := now.deployed["test_share"]):
        reason = (
            f"more rows are held out as test data (test_share {now.test_share:g}, it was "
            f"{share:g}), and the deployed model has learnt them"
        )
        return TrainingNeed(TrainingKind.NEW_TEST_ROWS, reason)
    if now.commit != now.deployed["commit"]:
        if now.unseen_rows == 0:
            return TrainingNeed(TrainingKind.NEW_ROWS, "the ingested rows have been recorded anew")
        reason = (
            f"{plural(now.unseen_rows, 'labelled row')} came after the deployed model was trained"
        )
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
    warnings: tuple[RunWarning, ...] = ()

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
    def judged(self) -> Score:
        """The score to judge by."""
        return score_to_judge_by(self.test, self.cross_validated)[0]

    @property
    def f1(self) -> float | None:
        """Its F1; None when neither is known."""
        return self.judged.f1

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
    def warnings(self) -> tuple[RunWarning, ...]:
        """What is not known."""
        if self.test.f1 is not None:
            return ()
        if self.cross_validated.f1 is None:
            text = f"nobody knows how good this model is: {self.test.undefined} in the test data"
            return (RunWarning(text, Topic.UNKNOWN_QUALITY),)
        return (_no_test_data(self.test.undefined, "cross-validation stands in"),)


def _no_test_data(undefined: str | None, substitute: str) -> RunWarning:
    """The warning that something else than test data was judged by."""
    return RunWarning(
        f"no test data to judge by ({undefined}): {substitute} for them; put labelled rows into "
        f"the test folder, or set test_share in config.json"
    )


def first_model_verdict(need: TrainingNeed, candidate: Scored) -> Verdict:
    """With no deployed model the candidate is deployed."""
    why = "it is the first model" if need.kind is TrainingKind.FIRST else need.reason
    return Verdict(RunVerdict.DEPLOYED, f"{why}; its {candidate.words}", candidate.warnings)


def new_columns_verdict(
    need: TrainingNeed,
    candidate: Scored,
    champion_f1: float | None,
    champion_cross_validated_f1: float | None,
    score_threshold: float,
) -> Verdict:
    """Judge the candidate alone, where the deployed model cannot be asked about today's rows.

    So it is after a change of columns or labels, or when it has learnt rows that are held out now;
    and where the setting `monotone` has changed, it is no longer what is asked for.
    The candidate takes its place unless its F1 is low, and lower than that one's was, by more than
    chance: whoever changes a setting wants it obeyed.

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
    interval = candidate.judged.f1_interval
    if before is not None and interval and interval[1] < min(score_threshold, before):
        reason = f"{known}, that of the deployed model was {before:.3f}"
        return Verdict(RunVerdict.KEPT, reason, (*candidate.warnings, _NOT_OBEYED))
    return Verdict(RunVerdict.DEPLOYED, known, candidate.warnings)


_NOT_OBEYED = RunWarning(
    "the model at work is not the one that config.json now asks for, which is clearly weaker; take "
    "the change back, or deploy the weaker one by `python deployment.py`",
    Topic.SETTING_NOT_OBEYED,
)


def called_weak(verdict: Verdict, candidate: Scored, score_threshold: float) -> Verdict:
    """The verdict to deploy a candidate, with a warning if that is weak, whatever came before it.

    Args:
        verdict: any that deploys.
        candidate: its scores.
        score_threshold: `model_score_threshold`, a fraction 0-1.
    """
    score = candidate.judged
    if doubt := doubt_of_ranking(score, "the model"):
        text = f"{doubt}: AUC {score.roc_auc:.3f} ({between(score.roc_auc_interval)})"
        weak = RunWarning(text, Topic.WEAK_MODEL)
    elif score.f1 is not None and score.f1 < score_threshold:
        lower = f"F1 {score.f1:.3f} is under {score_threshold:g}"
        weak = RunWarning(f"the model is weak: {lower}", Topic.WEAK_MODEL)
        if despite := despite_f1(score):
            weak = RunWarning(f"the new model's {lower}{despite}", Topic.LOW_F1_OF_NEW)
    else:
        return verdict
    return replace(verdict, warnings=(*verdict.warnings, weak))


def disbelieved(verdict: Verdict, columns: Collection[str]) -> Verdict:
    """The verdict, with a word of doubt where columns tell the answer beyond belief."""
    if not columns:
        return verdict
    text = f"{verdict.reason}; do not believe it before you have looked at {', '.join(columns)}"
    return replace(verdict, reason=text)


@dataclass(frozen=True)
class PromotionRule:
    """What a candidate must show to take the place of the deployed model.

    Attributes:
        confidence: `promotion_confidence`, with which "better" is claimed, at whatever look, and
            "worse", at this one.
        margin: `promotion_margin`, how much higher its log loss may be, in nats.
        score_threshold: `model_score_threshold`, a fraction 0-1.
    """

    confidence: float
    margin: float
    score_threshold: float

    def needed_confidence(self, look: int) -> float:
        """Confidence that one comparison must reach for "better" to be claimed.

        A candidate comes at every batch, and one that is no better would seem so some day. So each
        comparison spends a part of the allowed error (`spent_at`).
        """
        return 1 - (1 - self.confidence) * spent_at(look)

    def is_worse(self, part: Comparison) -> bool:
        """Whether the candidate is worse there by more than the margin, and by more than chance."""
        within = part.confidence_beyond(-self.margin)
        return within is not None and within <= 1 - self.confidence and not self.is_within(part)

    def is_within(self, part: Comparison) -> bool:
        """Whether its log loss is measured as higher by the margin at most."""
        return part.gain is not None and part.gain >= -self.margin


def promotion_verdict(
    need: TrainingNeed, evidence: Evidence, rule: PromotionRule
) -> tuple[Verdict, Evidence]:
    """Decide between the deployed model and the candidate on the same rows, by their log loss.

    A candidate is trained because it has more or other rows to learn from, so it need not be
    better: it is deployed unless it is worse by more than the margin and by more than chance. That
    it is better is only claimed with the confidence which `PromotionRule` needs for that.

    Args:
        need: why the candidate was trained.
        evidence: the comparisons.
        rule: what a candidate must show.

    Returns:
        The verdict, and the evidence with what was claimed.
    """
    deciding, rows_from = _deciding(evidence)
    if deciding.confidence is None:
        reason = f"{rows_from} cannot tell the models apart: {deciding.undefined}"
        return Verdict(RunVerdict.NOT_ENOUGH_EVIDENCE, reason), evidence
    needed = rule.needed_confidence(evidence.look)
    is_sure = deciding.confidence >= needed
    figures = f"{rows_from}: {_figures(deciding)}"
    others = _other_rows(evidence, deciding)
    refusal = _degraded(evidence, rule, outweighed=is_sure and deciding is evidence.unseen)
    if refusal is None and rule.is_worse(deciding):
        refusal = (
            f"the candidate's log loss is higher than that of the deployed model, by more than "
            f"{rule.margin:g} and more than chance"
        )
    better = refusal is None and is_sure and need.kind is not TrainingKind.NEW_LIBRARY
    judged = replace(evidence, needed_confidence=needed, claims_better=better)
    if refusal is not None:
        return Verdict(RunVerdict.KEPT, f"{refusal}; on {figures}{others}"), judged
    if better:
        sure = f"{deciding.confidence:.1%} sure, {needed:.1%} needed"
        reason = f"the candidate is better than the deployed model on {figures}, {sure}{others}"
    else:
        clearly = "" if rule.is_within(deciding) else "clearly "
        reason = (
            f"{need.reason}; the candidate is not {clearly}worse than the deployed model on "
            f"{figures}{others}"
        )
    return Verdict(RunVerdict.DEPLOYED, reason, _doubts(evidence, rule, deciding)), judged


def _deciding(evidence: Evidence) -> tuple[Comparison, str]:
    """The comparison that decides, and what its rows are called.

    The rows new to both do, for they are of today; pooled with the test data where they are too few
    for a score. Labels that are noise make any candidate that has learnt them seem better on them:
    where it ranks the new rows as chance does, the test data decide.
    """
    test, unseen = evidence.test, evidence.unseen
    if unseen is None or (test.gain is not None and _is_noise(unseen)):
        return test, "the test data"
    if unseen.gain is None:
        return evidence.pooled, "test data and new rows together"
    return unseen, "the rows new to both"


def _is_noise(unseen: Comparison) -> bool:
    """Whether the candidate ranks these rows as chance does, and no better than the deployed model.

    Few rows cannot show that, nor those of a change: half-way through it the candidate ranks them
    poorly, and yet better.
    """
    auc, gain = unseen.challenger_auc_interval, unseen.auc_gain_interval
    if auc is None or gain is None:
        return False
    return NOISE_AUC[0] < auc[0] <= 0.5 <= auc[1] < NOISE_AUC[1] and gain[0] <= 0


def _degraded(evidence: Evidence, rule: PromotionRule, *, outweighed: bool) -> str | None:
    """Why a candidate is refused that the test data show to be degraded; None where they do not.

    They do when its F1 there is under the threshold, that of the deployed model is not, and the
    fall is no chance; but not where they are outweighed by new rows that are sure of the contrary.
    """
    test = evidence.test
    if test.champion_f1 is None or test.challenger_f1 is None or test.difference_interval is None:
        return None
    is_under = test.challenger_f1 < rule.score_threshold <= test.champion_f1
    if not is_under or test.difference_interval[1] >= 0 or outweighed:
        return None
    return (
        f"on the test data the candidate is degraded where the deployed model is not: F1 "
        f"{test.challenger_f1:.3f} against {test.champion_f1:.3f} on {test.rows:,} rows, under "
        f"{rule.score_threshold:g}"
    )


def _figures(part: Comparison) -> str:
    """What both models reach on the same rows: what decides, and F1 for people."""
    return (
        f"log loss {part.challenger_log_loss:.3f} against {part.champion_log_loss:.3f}, F1 "
        f"{part.challenger_f1:.3f} against {part.champion_f1:.3f} ({part.difference:+.3f}) on the "
        f"same {part.rows:,} rows"
    )


def _other_rows(evidence: Evidence, deciding: Comparison) -> str:
    """What the rows say that did not decide; "" where there are none or they are not scored."""
    test, unseen = evidence.test, evidence.unseen
    if unseen is None:
        return ""
    if unseen.gain is None:
        return f"; the {unseen.rows:,} new rows alone cannot tell: {unseen.undefined}"
    if deciding is test:
        return (
            f"; the candidate ranks the new rows as chance does, so they do not decide: "
            f"{_figures(unseen)}"
        )
    return "" if test.gain is None else f"; test data: {_figures(test)}"


def _doubts(
    evidence: Evidence, rule: PromotionRule, deciding: Comparison
) -> tuple[RunWarning, ...]:
    """A warning where the new rows decided alone, or the test data clearly say the contrary."""
    test = evidence.test
    if deciding is not evidence.unseen:
        return ()
    if test.gain is None:
        return (_no_test_data(test.undefined, "the new rows stand in"),)
    low, high = deciding.gain_interval_beyond(test)
    if not rule.is_worse(test) or low <= 0:
        return ()
    text = (
        f"test data and new rows disagree: the candidate's log loss differs by {-test.gain:+.3f} "
        f"on the test data, and by {-(deciding.gain or 0.0):+.3f} on the new rows, more than "
        f"chance lets them differ (95%: {low:.3f} to {high:.3f} apart); are the test data still "
        f"like today's clients?"
    )
    return (RunWarning(text, Topic.SAMPLES_DISAGREE),)
