"""Champion against challenger: is there reason to train a candidate, and is it better?

Gathers what the pure functions of `decisions.py` judge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attrition.core.config import Config
from attrition.core.rollbacks import is_rolled_back, refusal, rolled_back_commits
from attrition.core.run_warnings import RunWarning, Topic
from attrition.data.clients import Clients, joined
from attrition.engines.candidate import TrainingResult
from attrition.engines.context import RunContext, minimum
from attrition.engines.selection import engine
from attrition.model.champion import Champion
from attrition.model.comparison import Comparison, Predictions, compare
from attrition.model.suspicion import Together
from attrition.model.training import out_of_fold_probabilities
from attrition.model.versions import versions
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
)
from attrition.monitoring.findings import (
    Evidence,
    Looks,
    SegmentSearch,
    Suspicion,
    TrainingKind,
    TrainingNeed,
)
from attrition.runs.stopwatch import Stopwatch

TRAINING_ROWS = "rows to learn from"  # in counts by sample

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Challenge:
    """What became of a candidate.

    Attributes:
        verdict: whether it is deployed, and why.
        suspicious: columns of the live model that predict the label suspiciously well.
        scored: its scores; None when none was trained.
        evidence: the comparison with the champion; None when there was none.
        sampled: how many rows were new to both, where only a sample of them was compared.
        contacted: how many rows of contacted clients the candidate has not learnt, if any.
        segments: where a candidate that is deployed is weak; None without one.
    """

    verdict: Verdict
    suspicious: Suspicion
    scored: Scored | None = None
    evidence: Evidence | None = None
    sampled: dict[str, int] = field(default_factory=dict)
    contacted: dict[str, int] = field(default_factory=dict)
    segments: SegmentSearch | None = None


def training_situation(context: RunContext, drift: bool) -> TrainingSituation:
    """Gather what the need for training depends on.

    Args:
        drift: whether the deployed model drifts.
    """
    config, ledger, champion = context.config, context.ledger, context.champion
    deployed = champion.training if champion else None
    rolled_back = set(rolled_back_commits(config))
    if ledger.commit_id is not None and ledger.earlier_end == ledger.committed_bytes:
        # The ledger was rebuilt, and no row came since: those are the rows of that time.
        rolled_back |= {ledger.commit_id} if is_rolled_back(config) else set()
    left_out = 0
    if deployed and deployed["commit"] == ledger.commit_id:
        # The same ingested rows; but other test data may change which of them may be learnt.
        left_out = engine(config).count_in_test(ledger, context.test)
    return TrainingSituation(
        commit=ledger.commit_id,
        schema=config.schema_digest,
        left_out_test_rows=left_out,
        unseen_rows=ledger.rows_since(deployed["commit"] if deployed else None),
        versions=versions(),
        deployed=deployed,
        rolled_back_commits=rolled_back,
        drift=drift,
        test_share=config.test_share,
        refusal=refusal(config),
        monotone=config.monotone,
    )


def uncontested(champion: Champion | None, verdict: Verdict) -> Challenge:
    """The outcome of a run without a candidate: what is suspicious of the champion stays so."""
    return Challenge(verdict, suspicions(champion.training) if champion else Suspicion())


def challenge(
    context: RunContext,
    need: TrainingNeed,
    trained: TrainingResult,
    scored: Scored,
    *,
    looks: Looks,
    watch: Stopwatch,
) -> Challenge:
    """Judge a candidate, against the champion where that can be asked.

    Args:
        need: why the candidate was trained.
        looks: the comparisons before this one.
        watch: times the comparison.
    """
    config, champion = context.config, context.champion
    threshold, evidence, sampled = config.model_score_threshold, None, {}
    if champion is None:
        verdict = first_model_verdict(need, scored)
    elif (
        need.kind is TrainingKind.NEW_DIRECTIONS
        or not champion.fits
        or champion.has_learnt_test_rows
    ):
        before = champion.release.manifest["f1_score"]
        cross_validated = champion.training["cross_validated"]["f1"]
        verdict = new_columns_verdict(need, scored, before, cross_validated, threshold)
    else:
        with watch.stage("comparison"):
            evidence = gather_evidence(config, champion, trained, context.test.clients)
        rule = PromotionRule(config.promotion_confidence, config.promotion_margin, threshold)
        verdict, evidence = promotion_verdict(
            need, replace(evidence, look=looks.number_of(evidence)), rule
        )
        if trained.unseen_rows > int(trained.unseen.sum()):
            sampled = {"comparison": trained.unseen_rows}
    suspicious = Suspicion()
    if trained.suspicious or trained.together:
        model_auc = trained.cross_validated.roc_auc
        suspicious = Suspicion(trained.suspicious, model_auc, trained.together)
    if verdict.deploy:
        verdict = disbelieved(called_weak(verdict, scored, threshold), suspicious.named)
    elif champion is not None and not suspicious.named:
        suspicious = suspicions(champion.training)
    contacted = {TRAINING_ROWS: trained.contacted} if trained.contacted else {}
    if trained.learns_contacted:
        verdict, contacted = replace(verdict, warnings=(*verdict.warnings, _learns(trained))), {}
    elif trained.contacted > trained.rows:
        verdict = replace(verdict, warnings=(*verdict.warnings, _sets_aside(trained)))
    if trained.copied:
        verdict = replace(verdict, warnings=(*verdict.warnings, RunWarning(str(trained.copied))))
    return Challenge(verdict, suspicious, scored, evidence, sampled, contacted)


def _learns(trained: TrainingResult) -> RunWarning:
    """That the candidate has learnt what becomes of clients who are called."""
    return RunWarning(
        f"the risk is that of clients who are called: of the {trained.rows:,} rows to learn from, "
        f"all but {trained.rows - trained.contacted:,} are of contacted clients; hold clients out "
        f"(holdout_share)"
    )


def _sets_aside(trained: TrainingResult) -> RunWarning:
    """That most rows are of contacted clients, which may be a matter of the ledger's age."""
    return RunWarning(
        f"most rows are set aside: the model learnt from {trained.rows:,} of "
        f"{trained.rows + trained.contacted:,}; the others are of clients whom the team had "
        f"contacted before their rows came. If all files were read again lately, that is why",
        Topic.FEW_ROWS_LEARNT,
    )


def suspicions(training: Mapping[str, Any]) -> Suspicion:
    """Columns that predict the label suspiciously well, by the record of a training."""
    columns, together = training["suspicious_columns"], training.get("suspicious_together")
    if not columns and not together:
        return Suspicion()
    carriers = Together(tuple(together["columns"]), together["roc_auc"]) if together else None
    return Suspicion(columns, training["cross_validated"]["roc_auc"], carriers)


def gather_evidence(
    config: Config, champion: Champion, trained: TrainingResult, test: Clients
) -> Evidence:
    """Ask champion and candidate about the same rows: the test data and those new to the champion.

    The candidate has learnt the new rows, so about them it answers out of fold: each row is
    predicted by a model of its kind that did not see it.
    """
    old, new = champion.card, trained.fitted.scorecard

    def judge(rows: Clients, before: Floats, after: Floats) -> Comparison:
        assert rows.labels is not None
        return compare(
            rows.labels,
            Predictions(before, old.threshold),
            Predictions(after, new.threshold),
            minimum(config),
            seed=config.random_seed,
            clients=rows.ids if config.id_column is not None else None,
        )

    before, after = old.probabilities(test.columns), new.probabilities(test.columns)
    on_test = judge(test, before, after)
    if not trained.unseen.any():
        return Evidence(on_test, None, on_test)
    clients, unseen = trained.clients, trained.clients.select(trained.unseen)
    before_unseen = old.probabilities(unseen.columns)
    assert clients.labels is not None
    after_unseen = out_of_fold_probabilities(
        trained.fitted, clients.features, clients.labels, trained.unseen, clients.ids
    )
    pooled = judge(
        joined(test, unseen),
        np.concatenate([before, before_unseen]),
        np.concatenate([after, after_unseen]),
    )
    return Evidence(on_test, judge(unseen, before_unseen, after_unseen), pooled)
