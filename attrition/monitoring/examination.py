"""The examination of the deployed model on today's rows: scores, drift, impact.

Every new labelled row first examines the deployed model; only then is it learnt from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from typing import Any

from attrition.core import atomic_files, plain_values
from attrition.core.config import Config
from attrition.data.clients import Clients
from attrition.engines.context import RunContext, minimum, score_clients
from attrition.engines.selection import engine
from attrition.model.champion import Champion
from attrition.model.metrics import Score
from attrition.model.scorecard import Scorecard, logistic
from attrition.monitoring.drift import compare
from attrition.monitoring.findings import (
    Drift,
    DriftVerdict,
    ExpectedScore,
    Impact,
    MeasureChange,
    PerformanceDrift,
    Sample,
    SegmentSearch,
)
from attrition.monitoring.impact import impact
from attrition.monitoring.outcome_drift import (
    broken_promise,
    drifted_rows,
    f1_at_share,
    looks,
    outcome_drift,
)
from attrition.monitoring.outcome_evidence import OutcomeEvidence, OutcomeWatch, outcome_evidence
from attrition.monitoring.performance import expected_score, measure_changes
from attrition.monitoring.record import DriftRecord
from attrition.monitoring.segments import of_deployed


@dataclass(frozen=True)
class SampleFindings:
    """Findings about the deployed model on one sample of rows; see `DriftRecord`.

    Where the outcomes of the rows are not known there is no score, performance or measure;
    `all_rows` is the number of all rows, where only a sample of them was looked at; `contacted` is
    how many of these rows are not judged by, since a call may have changed their outcomes.
    """

    expected: ExpectedScore
    data: Drift
    impact: Impact | None
    all_rows: int | None
    contacted: int = 0
    score: Score | None = None
    performance: PerformanceDrift | None = None
    measures: dict[str, MeasureChange] | None = None


@dataclass(frozen=True)
class Examination:
    """Findings about the deployed model, by sample; empty if it was not examined.

    Attributes:
        cross_validated: the model's score of that kind when it was trained.
        watch: what outcomes have said, those of this run included.
        segments: where the model is weak, on all labelled samples together.
        rows_since_change: how many of the newest rows a model is to be judged by that learns all of
            them; None for all, where no change is known.
    """

    samples: Mapping[Sample, SampleFindings] = field(default_factory=dict)
    cross_validated: Score | None = None
    watch: OutcomeWatch = field(default_factory=OutcomeWatch)
    segments: SegmentSearch | None = None
    rows_since_change: int | None = None

    @property
    def scores(self) -> dict[Sample, Score]:
        """On the labelled samples."""
        return {name: finding.score for name, finding in self.samples.items() if finding.score}

    @property
    def drift(self) -> DriftRecord:
        """The findings as the decision record holds them."""
        samples = self.samples.items()
        return DriftRecord(
            performance={
                name: finding.performance for name, finding in samples if finding.performance
            },
            measures={name: finding.measures for name, finding in samples if finding.score},
            expected_scores={name: finding.expected for name, finding in samples},
            data={name: finding.data for name, finding in samples},
            impact={name: finding.impact for name, finding in samples if finding.impact},
        )

    @property
    def contacted(self) -> dict[str, int]:
        """Number of rows of contacted clients that were not judged by, where there are some."""
        return {
            name: finding.contacted for name, finding in self.samples.items() if finding.contacted
        }

    @property
    def sampled(self) -> dict[str, int]:
        """Number of all rows, where only a sample of them was looked at."""
        return {
            name: finding.all_rows for name, finding in self.samples.items() if finding.all_rows
        }


def examine(context: RunContext, watch: OutcomeWatch) -> Examination:
    """Score the deployed model on today's rows, and compare those with the rows it learnt from.

    Args:
        context: of the run.
        watch: what the outcomes had said when the last run ended.

    Returns:
        What was found on the test data, on the labelled rows the model has not learnt, and on the
        open clients. Empty when no model is deployed, or when it no longer fits the data.
    """
    config, ledger, champion = context.config, context.ledger, context.champion
    if champion is None:
        return Examination()
    since_change = champion.training.get("rows_since_change")
    if not champion.fits:
        return Examination(watch=watch, rows_since_change=since_change)
    rows, test = engine(config), context.test
    of_test = test.of_folder if champion.has_learnt_test_rows else test.clients
    samples = {Sample.TEST_DATA: (of_test, len(of_test))}
    start = ledger.unseen_start(champion.training["commit"])
    unanswered = watch.rows_since_change
    if start < ledger.committed_bytes:
        samples[Sample.NEW_ROWS] = unseen = rows.labelled(ledger, start)
        since_change = since_change and since_change + _count_judged(champion, *unseen)
        end = ledger.end_of(watch.commit)
        last = start if end is None else end
        fresh = unseen
        if start < last < ledger.committed_bytes:
            fresh = rows.labelled(ledger, last)
        if last < ledger.committed_bytes and (usual := reference(champion, config)):
            of_batch = judged(champion, fresh[0])
            batch = outcomes_of(config, champion.card, of_batch).expecting(usual)
            watch = watch.with_batch(batch, ledger.commit_id)
            unanswered = unanswered and unanswered + _count_judged(champion, *fresh)
    labelled = [judged(champion, clients) for clients, _ in samples.values()]
    samples[Sample.OPEN_CLIENTS] = rows.opened(ledger)
    on_test = outcomes_of(config, champion.card, of_test)
    findings = {
        name: examine_sample(
            context, champion, name, clients, total=total, watch=watch, on_test=on_test
        )
        for name, (clients, total) in samples.items()
    }
    new_rows = findings.get(Sample.NEW_ROWS)
    change = drifted_rows(new_rows.performance if new_rows else None)
    if change is not None:
        change = max(change, unanswered or 0)
    return Examination(
        _with_doubt(findings, doubt(champion, config, watch, on_test)),
        cross_validated=plain_values.from_json(Score, champion.training["cross_validated"]),
        watch=replace(watch, rows_since_change=change),
        segments=of_deployed(config, champion.card, labelled),
        rows_since_change=change or since_change,
    )


def judged(champion: Champion, clients: Clients) -> Clients:
    """The clients by whose outcomes a model is judged: those it predicts for, not contacted ones.

    A model that knew few others predicts what becomes of clients who are called.
    """
    return clients if champion.learns_contacted else clients.uncontacted


def _count_judged(champion: Champion, clients: Clients, total: int) -> int:
    """How many of all rows a model is judged by, where the clients may be a sample of them."""
    return round(total * len(judged(champion, clients)) / max(len(clients), 1))


def outcomes_of(config: Config, card: Scorecard, clients: Clients) -> OutcomeEvidence:
    """What the outcomes of clients that a model has not learnt say of it."""
    assert clients.labels is not None
    return outcome_evidence(
        clients.labels,
        card.probabilities(clients.columns),
        clients.ids if config.id_column is not None else None,
    )


def reference(
    champion: Champion, config: Config, sample: Sample = Sample.NEW_ROWS
) -> OutcomeEvidence | None:
    """How far the outcomes departed from a model's promise when it was fitted.

    Returns:
        On the test data of that time, or on its newest training rows, out of fold; the latter, too,
        where there were too few test data. None where the release does not say.
    """
    records = [champion.training["cross_validated"]]
    if sample is Sample.TEST_DATA:
        records.insert(0, atomic_files.read_json(champion.release.folder / "scores.json"))
    for record in records:
        if record.get("outcomes") is None:
            return None
        evidence = plain_values.from_json(OutcomeEvidence, record["outcomes"])
        if evidence.undefined(minimum(config)) is None:
            return evidence
    return evidence if evidence.rows else None


def doubt(
    champion: Champion, config: Config, watch: OutcomeWatch, test: OutcomeEvidence
) -> str | None:
    """Why the probabilities are not to be believed, whether that is new or not; None if they are.

    A model that was fitted to a change may still be off by as much as its reference says.
    """
    recent = reduce(add, watch.batches, OutcomeEvidence())
    fitted = reference(champion, config) or OutcomeEvidence()
    broken = (broken_promise(one, samples=3) for one in (recent, test, fitted))
    return next(filter(None, broken), None)


def _with_doubt(
    findings: Mapping[Sample, SampleFindings], doubt: str | None
) -> dict[Sample, SampleFindings]:
    """Estimated scores are not to be believed where the model drifts or its promise is broken."""
    falls = [one.performance for one in findings.values() if one.performance]
    reason = next((fall.reason for fall in falls if fall.has_drifted), doubt)
    return {
        name: replace(one, expected=replace(one.expected, disbelieved=reason))
        for name, one in findings.items()
    }


def examine_sample(
    context: RunContext,
    champion: Champion,
    sample: Sample,
    clients: Clients,
    *,
    total: int,
    watch: OutcomeWatch,
    on_test: OutcomeEvidence,
) -> SampleFindings:
    """Look at the deployed model on one sample of rows.

    Args:
        sample: which rows these are.
        clients: the rows; an engine may give a part of them.
        total: how many there are.
        watch: what the outcomes of the new rows say.
        on_test: what those of the test data say.
    """
    config, card, training = context.config, champion.card, champion.training
    minimum_rows = max(config.minimum_scoring_rows, 1)
    log_odds = card.log_odds(clients.columns)
    findings = SampleFindings(
        expected=expected_score(logistic(log_odds), card.threshold, minimum_rows),
        data=compare(
            training["reference"],
            clients.features,
            log_odds,
            config.data_drift_threshold,
            minimum_rows,
        ),
        impact=None
        if len(clients) < minimum_rows
        else impact(card, clients.columns, log_odds, training["predicted"], training["rows"]),
        all_rows=total if len(clients) < total else None,
    )
    if sample is Sample.OPEN_CLIENTS:
        return findings
    is_of_run, fair = clients is context.test.clients, judged(champion, clients)
    today = context.live_score if is_of_run else score_clients(card, fair, config)
    before, usual = _before(champion, sample), reference(champion, config, sample)
    if usual is None:
        reason = "the release does not say what its probabilities reached at deployment"
        drift = PerformanceDrift(DriftVerdict.INSUFFICIENT, reason)
    else:
        drift = outcome_drift(
            looks(watch) if sample is Sample.NEW_ROWS else [[on_test.expecting(usual)]],
            config.drift_threshold,
            minimum(config),
        )
    return replace(
        findings,
        contacted=total - _count_judged(champion, clients, total),
        score=today,
        performance=_with_f1(
            sample, drift, today, before, training["positives"] / training["rows"]
        ),
        measures=measure_changes(before, today),
    )


def _with_f1(
    sample: Sample, drift: PerformanceDrift, today: Score, before: Mapping[str, Any], share: float
) -> PerformanceDrift:
    """The verdict with F1 then and now beside it; `share` of the training rows left."""
    then, interval = before["f1"], before.get("f1_interval")
    rows = "in cross-validation" if sample is Sample.NEW_ROWS else "on the test data"
    now, at_former_share = today.f1, f1_at_share(today, share)
    words = drift.reason
    if then is not None and now is not None and at_former_share is not None:
        words += (
            f"; F1 {now:.3f}, at deployment {then:.3f} {rows} ({at_former_share:.3f} today, had as "
            f"many left as among the training rows)"
        )
    return replace(
        drift,
        reason=words,
        at_deployment=then,
        now=now,
        fall=None if then is None or now is None else then - now,
        interval_at_deployment=tuple(interval) if interval else None,
        f1_at_former_share=at_former_share,
    )


def _before(champion: Champion, sample: Sample) -> dict[str, Any]:
    """The score to compare with, of the same kind of rows.

    For the test data that at deployment, for new rows the cross-validated one of the old rows.
    """
    if sample is Sample.NEW_ROWS:
        return dict(champion.training["cross_validated"])
    return dict(atomic_files.read_json(champion.release.folder / "scores.json"))
