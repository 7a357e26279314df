"""The decision record: what a run found, decided and did, as `models/decision.json` holds it.

Light to import, for the server reads it, too. What outcomes have said, and how many candidates were
compared, the next run goes on from; the rest is only shown. A record that is not of this form is
said in the log, and whoever reads it does without.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrition.calls.effect import Effect
from attrition.calls.study import Study
from attrition.calls.words import calls_in_brief, study_in_words
from attrition.core import formatting, plain_values
from attrition.core.atomic_files import read_json_object
from attrition.core.config import Config
from attrition.core.errors import DataError
from attrition.core.run_warnings import RunWarning, Topic
from attrition.data.ingestion_result import IngestionResult
from attrition.model.metrics import Score
from attrition.monitoring.findings import (
    Drift,
    DriftVerdict,
    Evidence,
    ExpectedScore,
    Impact,
    MeasureChange,
    PerformanceDrift,
    RunVerdict,
    Sample,
    SegmentSearch,
    Suspicion,
    TrainingNeed,
)
from attrition.monitoring.outcome_evidence import OutcomeWatch
from attrition.ranking.outcomes import RankingRecord
from attrition.runs import history

APPROVE, REJECT = "python deployment.py --approve", "python deployment.py --reject"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DriftRecord:
    """Findings about the deployed model, by sample.

    Attributes:
        performance: outcomes against the probabilities given before; the only judge of model drift.
        measures: AUC and calibration against those at deployment; None when undefined.
        expected_scores: F1 estimated from the probabilities alone; beside a measured F1, it shows
            how far the estimate can be believed.
        data: drift of the columns and of the predictions.
        impact: what the shifts do to the predicted risk; absent with too few rows.
    """

    performance: Mapping[Sample, PerformanceDrift] = field(default_factory=dict)
    measures: Mapping[Sample, Mapping[str, MeasureChange] | None] = field(default_factory=dict)
    expected_scores: Mapping[Sample, ExpectedScore] = field(default_factory=dict)
    data: Mapping[Sample, Drift] = field(default_factory=dict)
    impact: Mapping[Sample, Impact] = field(default_factory=dict)

    @property
    def verdicts(self) -> list[DriftVerdict]:
        """Of every check: the outcomes, then the data."""
        falls = [finding.verdict for finding in self.performance.values()]
        return falls + [finding.verdict for finding in self.data.values()]

    @property
    def has_drifted(self) -> bool:
        """Whether any check found drift."""
        return DriftVerdict.DRIFT in self.verdicts


@dataclass(frozen=True)
class Proposal:
    """A candidate in `models/` that waits for a person's approval.

    Attributes:
        since: when it was first proposed, UTC, ISO 8601.
        candidate: SHA-256 of its `training.json`, which names the digests of its other files.
        commit: the ingested rows that it learnt from.
        watch, looks, segments, suspicious: what the decision record holds of these once it is
            deployed.
    """

    since: str
    candidate: str
    commit: str
    watch: OutcomeWatch = field(default_factory=OutcomeWatch)
    looks: int = 0
    segments: SegmentSearch | None = None
    suspicious: Suspicion = field(default_factory=Suspicion)

    @property
    def notice(self) -> str:
        """That it waits, and what a person can do."""
        return (
            f"{formatting.CANDIDATE_WAITS} since {formatting.moment(self.since)}; "
            f"to deploy it: {APPROVE}; to refuse it: {REJECT}"
        )


@dataclass(frozen=True, kw_only=True)
class DecisionRecord:
    """What a run found, decided and did. The defaults stand for what an old record does not keep.

    Attributes:
        run_id: names the run; None where a model was deployed by hand.
        time: when the run began, UTC, ISO 8601.
        inputs: digest of the input folders as they were then.
        scores: of the deployed model, on the labelled samples.
        segments: where the model that is live after the run is weak; None where none is judged.
        sampled: number of all rows, where only a sample of them was looked at.
        contacted: number of rows of contacted clients that nothing was judged by, by sample, and
            that the candidate has not learnt; empty where there are none.
        champion_cross_validated: of the deployed model, when it was trained; None without one.
        candidate_score: on the test data; None when there was no candidate.
        cross_validated: likewise, on the rows it learnt from.
        proposal: the candidate that waits for approval; None where none does.
        approved_by: who approved the model that was deployed; None where nobody was asked.
        watch: what the outcomes have said so far, for the next run.
        looks: how many candidates were compared since the last that was claimed to be better.
        no_ranking: why there is no ranking.
        study: which clients are held out; None where nobody is.
        effect: what calls have changed; None where nobody is held out.
        no_effect: why that is not measured although there is a study.
        release_before, release_after: the live release when the run began, and at its end.
        timings: seconds of each stage; empty while the run has not told of them.
        finished_at: None while the run is at work.
    """

    run_id: str | None = None
    time: str
    inputs: str | None = None
    release_before: str | None = None
    verdict: RunVerdict
    reason: str
    warnings: tuple[RunWarning, ...] = ()
    suspicious: Suspicion = field(default_factory=Suspicion)
    training: TrainingNeed | None = None
    new_rows: int | None = None
    ingestion: IngestionResult | None = None
    scores: Mapping[Sample, Score] = field(default_factory=dict)
    drift: DriftRecord = field(default_factory=DriftRecord)
    segments: SegmentSearch | None = None
    sampled: Mapping[str, int] = field(default_factory=dict)
    contacted: Mapping[str, int] = field(default_factory=dict)
    champion_cross_validated: Score | None = None
    candidate_score: Score | None = None
    cross_validated: Score | None = None
    evidence: Evidence | None = None
    proposal: Proposal | None = None
    approved_by: str | None = None
    watch: OutcomeWatch = field(default_factory=OutcomeWatch)
    looks: int = 0
    ranking: RankingRecord | None = None
    no_ranking: str | None = None
    study: Study | None = None
    effect: Effect | None = None
    no_effect: str | None = None
    release_after: str | None = None
    timings: Mapping[str, float] = field(default_factory=dict)
    finished_at: str | None = None

    @property
    def live_score(self) -> Score | None:
        """On the test data, of the model that the run left in place; None where it has none."""
        if self.verdict is RunVerdict.DEPLOYED:
            return self.candidate_score
        return self.scores.get(Sample.TEST_DATA)

    @property
    def live_cross_validated(self) -> Score | None:
        """Likewise, cross-validated."""
        if self.verdict is RunVerdict.DEPLOYED:
            return self.cross_validated
        return self.champion_cross_validated

    @property
    def no_model(self) -> str | None:
        """Why the run could train no first model; None where it could, or where one is at work."""
        if self.release_after or self.verdict is not RunVerdict.NOT_ENOUGH_EVIDENCE:
            return None
        return self.reason.removeprefix("no candidate: ")

    @property
    def no_open_clients(self) -> str:
        """What to say where there are none: their rows may be among those that were lost."""
        is_lost = any(warning.topic is Topic.LOST_ROWS for warning in self.warnings)
        return formatting.NOBODY_READ if is_lost else formatting.NO_OPEN_CLIENTS

    @property
    def calls_in_brief(self) -> str:
        """What calling is expected to earn and has kept so far; empty where neither is known."""
        listed = self.ranking
        if listed is None:
            return calls_in_brief(None, self.effect)
        nobody = listed.resting_in_words if listed.first_free else ""
        return calls_in_brief(listed.profit, self.effect, nobody)

    @property
    def study_in_words(self) -> str | None:
        """What the study of calls says; None where nobody is held out."""
        if self.no_effect is not None:
            return formatting.sentence(self.no_effect)
        if self.effect is None:
            return None
        return study_in_words(self.effect, self.time)

    @property
    def seconds(self) -> float | None:
        """Of all stages; None while the run is at work, as it is when it reports."""
        is_over = self.finished_at is not None or self.verdict is RunVerdict.FAILED
        return sum(self.timings.values()) if is_over else None

    def to_json(self) -> dict[str, Any]:
        """The record as plain values for JSON, without what the run has not come to yet."""
        plain: dict[str, Any] = plain_values.to_json(self)
        if not self.suspicious.named:
            plain["suspicious"] = {}
        if self.ranking is not None:
            plain["ranking"] = self.ranking.to_json()
        for key in ("study", "effect", "no_effect"):
            if plain[key] is None:
                del plain[key]
        if not self.contacted:
            del plain["contacted"]
        if not self.timings and self.verdict is not RunVerdict.FAILED:
            for key in ("ranking", "no_ranking", "release_after", "timings"):
                del plain[key]
        if self.finished_at is None:
            del plain["finished_at"]
        return plain

    @classmethod
    def from_json(cls, plain: Any) -> DecisionRecord:
        """What `to_json` wrote, now or in an older version.

        Raises:
            DataError: it is no such record.
        """
        record = plain_values.from_json(cls, plain)
        try:
            for time in (record.time, record.finished_at or record.time):
                datetime.fromisoformat(time).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise DataError(f"time: {error}") from None
        return record


def read_record(plain: Any, source: Path) -> DecisionRecord | None:
    """The record in a file; None, which is said in the log, where it is none of this form."""
    try:
        return DecisionRecord.from_json(plain)
    except DataError as error:
        logger.warning("%s: not a decision record, and left out (%s)", source, error)
        return None


def last_decision(config: Config) -> DecisionRecord | None:
    """The record of the last run that came to a verdict; None where none can be read."""
    plain = read_json_object(config.decision)
    return read_record(plain, config.decision) if plain else None


def recorded_runs(path: Path, limit: int | None = None) -> list[DecisionRecord]:
    """The runs of a history, newest first, as `history.runs` takes its arguments."""
    records = (read_record(plain, path) for plain in history.runs(path, limit))
    return [record for record in records if record is not None]
