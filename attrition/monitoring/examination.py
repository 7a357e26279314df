"""The examination of the deployed model on today's rows: scores, drift, impact.

Every new labelled row first examines the deployed model; only then is it learnt from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from attrition.core import atomic_files
from attrition.core.config import Config
from attrition.data.clients import Clients
from attrition.data.ledger import Ledger
from attrition.engines.context import RunContext
from attrition.engines.selection import engine
from attrition.model.champion import Champion
from attrition.model.metrics import Minimum, Score, score
from attrition.model.scorecard import Scorecard, logistic
from attrition.monitoring.decisions import performance_drift
from attrition.monitoring.drift import compare
from attrition.monitoring.findings import (
    Drift,
    ExpectedScore,
    Impact,
    MeasureChange,
    PerformanceDrift,
    Sample,
    SegmentSearch,
)
from attrition.monitoring.impact import impact
from attrition.monitoring.performance import expected_score, measure_changes
from attrition.monitoring.record import DriftRecord
from attrition.monitoring.segments import of_deployed


@dataclass(frozen=True)
class SampleFindings:
    """What a look at the deployed model found on one sample of rows; see `DriftRecord`.

    Where the outcomes of the rows are not known there is no score, performance or measure;
    `all_rows` is the number of all rows, where only a sample of them was looked at.
    """

    expected: ExpectedScore
    data: Drift
    impact: Impact | None
    all_rows: int | None
    score: Score | None = None
    performance: PerformanceDrift | None = None
    measures: dict[str, MeasureChange] | None = None


@dataclass(frozen=True)
class Examination:
    """What a look at the deployed model found, by sample; empty without a look.

    `segments` says where it is weak, on all labelled samples together.
    """

    samples: Mapping[Sample, SampleFindings] = field(default_factory=dict)
    segments: SegmentSearch | None = None

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
    def sampled(self) -> dict[str, int]:
        """Number of all rows, where only a sample of them was looked at."""
        return {
            name: finding.all_rows for name, finding in self.samples.items() if finding.all_rows
        }


def minimum(config: Config) -> Minimum:
    """The fewest labelled rows a score or a verdict is given for."""
    return Minimum(config.minimum_scoring_rows, config.minimum_rarer_label_rows)


def score_clients(card: Scorecard, clients: Clients, config: Config) -> Score:
    """Score a model on labelled clients; undefined, with the reason, where they are too few."""
    return score(
        clients.labels if clients.labels is not None else [],
        card.probabilities(clients.columns),
        card.threshold,
        minimum(config),
        config.random_seed,
    )


def examine(context: RunContext) -> Examination:
    """Score the deployed model on today's rows, and compare those with the rows it learnt from.

    Returns:
        What was found on the test data, on the newest labelled rows it has not learnt, and on the
        open clients. Empty when no model is deployed, or when it no longer fits the data.
    """
    config, ledger, champion = context.config, context.ledger, context.champion
    if champion is None or not champion.fits:
        return Examination()
    rows = engine(config)
    test = context.test
    of_test = test.of_folder if champion.has_learnt_test_rows else test.clients
    samples = {Sample.TEST_DATA: (of_test, len(of_test))}
    start = newest_unseen_start(champion, ledger)
    if start < ledger.committed_bytes:
        samples[Sample.NEW_ROWS] = rows.labelled(ledger, start)
    labelled = [clients for clients, _ in samples.values()]
    samples[Sample.OPEN_CLIENTS] = rows.opened(ledger)
    return Examination(
        {
            name: examine_sample(config, champion, name, clients, total)
            for name, (clients, total) in samples.items()
        },
        of_deployed(config, champion.card, labelled),
    )


def examine_sample(
    config: Config, champion: Champion, sample: Sample, clients: Clients, total: int
) -> SampleFindings:
    """Look at the deployed model on one sample of rows.

    Args:
        config: the settings.
        champion: the deployed model.
        sample: which rows these are.
        clients: the rows; an engine may give a part of them.
        total: how many there are.
    """
    card, training = champion.card, champion.training
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
    today, before = score_clients(card, clients, config), _before(champion, sample)
    how = "cross-validated" if sample is Sample.NEW_ROWS else ""
    fall = performance_drift(before["f1"], today, config.drift_threshold, how)
    interval = before.get("f1_interval")
    return replace(
        findings,
        score=today,
        performance=replace(fall, interval_at_deployment=tuple(interval) if interval else None),
        measures=measure_changes(before, today),
    )


def _before(champion: Champion, sample: Sample) -> dict[str, Any]:
    """The score to compare with, of the same kind of rows.

    For the test data that at deployment, for new rows the cross-validated one of the old rows.
    """
    if sample is Sample.NEW_ROWS:
        return dict(champion.training["cross_validated"])
    return dict(atomic_files.read_json(champion.release.folder / "scores.json"))


def newest_unseen_start(champion: Champion, ledger: Ledger) -> int:
    """Byte of finaldata.csv where the newest ingested rows begin that the champion has not learnt.

    It is the end of the file when the champion has learnt them all.
    """
    unseen = ledger.unseen_start(champion.training["commit"])
    return max([unseen, *(commit.start for commit in ledger.commits[-1:])])
