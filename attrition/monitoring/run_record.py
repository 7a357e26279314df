"""Makes the decision record of a run: one that decides now, or one that was killed after it had
deployed.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace

from attrition.core import releases
from attrition.core.config import Config
from attrition.core.errors import DataError
from attrition.core.formatting import plural
from attrition.core.releases import Release
from attrition.core.run_warnings import RunWarning, Topic
from attrition.data.ingestion_result import IngestionResult
from attrition.data.ledger import Ledger
from attrition.data.lost_rows import lost_rows
from attrition.model.champion import Champion
from attrition.monitoring.alerts import findings
from attrition.monitoring.challenge import Challenge
from attrition.monitoring.examination import Examination
from attrition.monitoring.findings import Looks, Sample, TrainingNeed
from attrition.monitoring.outcome_evidence import OutcomeWatch
from attrition.monitoring.record import DecisionRecord, last_decision, read_record
from attrition.ranking.study_of_calls import study_by_settings
from attrition.runs import history

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Memory:
    """What one run leaves to the next about the live model.

    Attributes:
        watch: what outcomes have said.
        looks: the comparisons with candidates.
    """

    watch: OutcomeWatch = field(default_factory=OutcomeWatch)
    looks: Looks = field(default_factory=Looks)


def remembered(config: Config, live: str | None) -> Memory:
    """What was noted when the last run ended; of outcomes nothing if another release is live."""
    last = last_decision(config)
    if last is None or live is None:
        return Memory()
    watch = last.watch if last.release_after == live else OutcomeWatch()
    return Memory(watch, Looks(last.looks, last.evidence))


def left_to_next(
    exam: Examination, memory: Memory, challenge: Challenge, commit: str | None
) -> Memory:
    """What a run leaves to the next one."""
    evidence, looks = challenge.evidence, memory.looks.with_comparison(challenge.evidence)
    if not challenge.verdict.deploy:
        return Memory(exam.watch, looks)
    new_rows = exam.drift.performance.get(Sample.NEW_ROWS)
    # What the new model reaches on the rows of a change is its reference now, and no news any more.
    is_answered = evidence is None or (new_rows is not None and new_rows.has_drifted)
    watch = OutcomeWatch((), commit) if is_answered else replace(exam.watch, commit=commit)
    return Memory(watch, looks)


def decided(
    config: Config,
    ingested: IngestionResult,
    exam: Examination,
    need: TrainingNeed,
    *,
    challenge: Challenge,
    memory: Memory,
    ledger: Ledger,
    started: str,
) -> DecisionRecord:
    """The findings and the verdict of a run, and what it leaves to the next one.

    Args:
        config: the settings.
        ingested: what was taken in.
        exam: what was found about the deployed model.
        need: whether and why to train.
        challenge: what became of the candidate.
        memory: what the runs before had noted.
        ledger: of ingestion.
        started: when the run began, UTC, ISO 8601.
    """
    remaining = left_to_next(exam, memory, challenge, ledger.commit_id)
    verdict, scored, drift, scores = challenge.verdict, challenge.scored, exam.drift, exam.scores
    last = last_decision(config)
    ingested, warnings = _with_mark(config, last.ingestion if last else None, ingested)
    warnings += _of_lost_rows(config, ledger)
    study, study_notice = study_by_settings(config, last.study if last else None, started)
    if study_notice:
        warnings.append(RunWarning(study_notice))
    suspicious, threshold = challenge.suspicious, config.model_score_threshold
    on_test, validated = scores.get(Sample.TEST_DATA), exam.cross_validated
    alerts = findings(on_test, validated, drift, suspicious, threshold, labels=config.labels)
    warnings += [RunWarning(alert.text, alert.topic) for alert in alerts]
    return DecisionRecord(
        run_id=started,
        time=started,
        verdict=verdict.verdict,
        reason=verdict.reason,
        warnings=(*warnings, *verdict.warnings),
        suspicious=suspicious,
        training=need,
        new_rows=ingested.new_rows,
        ingestion=ingested,
        scores=scores,
        drift=drift,
        segments=challenge.segments or exam.segments,
        sampled=exam.sampled | challenge.sampled,
        contacted=exam.contacted | challenge.contacted,
        champion_cross_validated=exam.cross_validated,
        candidate_score=scored.test if scored else None,
        cross_validated=scored.cross_validated if scored else None,
        evidence=challenge.evidence,
        watch=remaining.watch,
        looks=remaining.looks.count,
        study=study,
    )


def _of_lost_rows(config: Config, ledger: Ledger) -> list[RunWarning]:
    """Which files lost rows; most of them: that is something to do."""
    return [
        RunWarning(lost.text, Topic.LOST_ROWS if lost.is_most else Topic.NOTICE)
        for lost in lost_rows(config, ledger)
    ]


def _with_mark(
    config: Config, before: IngestionResult | None, now: IngestionResult
) -> tuple[IngestionResult, list[RunWarning]]:
    """What was taken in, and what of it a run before has not noticed.

    The mark of the database of actions, and how many it knew, stay the last run's until that
    database is back; one that is made anew has the mark, too.
    """
    if before is None:
        return now, [RunWarning(notice) for notice in now.notices]
    news = [RunWarning(notice) for notice in now.notices if notice not in before.notices]
    marked = replace(now, actions_store=before.actions_store or now.actions_store)
    if _is_foreign(before, now):
        marked = replace(marked, actions_known=before.actions_known)
    lost = _lost_actions(config, before, now)
    return marked, news + [RunWarning(text, Topic.LOST_ACTIONS) for text in lost]


def _is_foreign(before: IngestionResult, now: IngestionResult) -> bool:
    """Whether the database of actions is not the one that the last run wrote."""
    return bool(now.actions_store) and before.actions_store not in (None, now.actions_store)


def _lost_actions(config: Config, before: IngestionResult, now: IngestionResult) -> list[str]:
    """Whether actions of the last run are gone, or their database is another one, in sentences."""
    name, folder = config.actions.name, config.actions_folder
    if _is_foreign(before, now):
        return [
            f"{name} is not the database of actions that the last run wrote; restore it, or delete "
            f"it: it is made anew of the files in {folder.name}/"
        ]
    if now.actions_known < before.actions_known:
        return [
            f"actions are gone: {plural(now.actions_known, 'action')} with clients known, "
            f"{before.actions_known:,} at the last run; restore {name}, or the files in "
            f"{folder.name}/: without them clients count as not contacted"
        ]
    return []


def unreported(
    config: Config, champion: Champion | None
) -> tuple[DecisionRecord, Release | None] | None:
    """What a killed run decided and deployed but could not report, and the release it replaced.

    The run after it only reports that, so that it ends as the killed one would have; files that
    have come since are for the next run.

    Returns:
        None when every deployment is reported.
    """
    if champion is None:
        return None
    live = champion.release
    if live.manifest["decision"]["run_id"] is None:  # deployed by hand
        return None
    decision = read_record(live.manifest["decision"], live.folder)
    if decision is None or decision.run_id is None:
        return None
    shown = last_decision(config)
    is_finished = shown is not None and shown.finished_at is not None
    if shown and is_finished and shown.release_after == live.id:
        return None  # whatever became of the history
    is_half_shown = shown is not None and shown.run_id == decision.run_id and not is_finished
    if history.has_run(config.history, decision.run_id, live.id) and not is_half_shown:
        return None
    by = decision.approved_by
    why = f"{by} has approved" if by else "an earlier run could not finish"
    logger.info("reporting the deployment of %s, which %s", live.id, why)
    folder = config.prod_deployment_path / "releases" / str(live.manifest["replaces"])
    try:
        return decision, releases.open_release(folder)
    except DataError:  # it replaced none, or that one is damaged
        return decision, None
