"""A candidate that waits for a person: proposed by a run, then approved or rejected by somebody.

The candidate is the one in `models/`, its evidence the record of the run that proposed it. Each run
that is not idle trains and judges it again, so a proposal is never older than the data: it stands
where the same candidate comes out, gives way to a newer one that would be deployed, and is
withdrawn where none would be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from attrition.core import atomic_files, clock, formatting, releases
from attrition.core.config import PROPOSE, Config
from attrition.core.errors import PipelineError
from attrition.core.run_warnings import RunWarning
from attrition.data.ledger import read_ledger
from attrition.model.champion import Champion
from attrition.monitoring.challenge import Challenge, suspicions
from attrition.monitoring.findings import RunVerdict
from attrition.monitoring.record import DecisionRecord, Proposal, last_decision
from attrition.ranking.study_of_calls import study_by_settings

AGAIN = "run fullprocess.py, which judges a candidate anew"
HAD_WAITED = "the candidate that had waited since"


def with_proposal(
    config: Config,
    champion: Champion | None,
    outcome: Challenge,
    decide: Callable[[Challenge], DecisionRecord],
) -> DecisionRecord:
    """The record of a run; a candidate to be deployed is proposed, where a person is to approve it.

    The first model is deployed at once: nothing would be served otherwise.

    Args:
        champion: the deployed model.
        outcome: what became of the candidate.
        decide: makes the record of an outcome.
    """
    record, last = decide(outcome), last_decision(config)
    earlier = last.proposal if last else None
    if outcome.verdict.deploy and champion is not None and config.promotion == PROPOSE:
        training = config.output_model_path / "training.json"
        proposal = Proposal(
            since=record.time,
            candidate=atomic_files.sha256_of(training),
            commit=atomic_files.read_json(training)["commit"],
            watch=record.watch,
            looks=record.looks,
            segments=record.segments,
            suspicious=record.suspicious,
        )
        record = replace(decide(as_proposed(champion, outcome)), proposal=proposal)
    return succeeding(record, earlier)


def as_proposed(champion: Champion, outcome: Challenge) -> Challenge:
    """The outcome for a candidate that is proposed: the deployed model stays what it was."""
    verdict = replace(outcome.verdict, verdict=RunVerdict.PROPOSED)
    suspicious = suspicions(champion.training)
    return replace(outcome, verdict=verdict, suspicious=suspicious, segments=None)


def succeeding(record: DecisionRecord, earlier: Proposal | None) -> DecisionRecord:
    """The record, with what became of the candidate that had waited before this run."""
    if earlier is None or record.verdict is RunVerdict.DEPLOYED:
        return record
    if record.proposal and record.proposal.candidate == earlier.candidate:
        return replace(record, proposal=replace(record.proposal, since=earlier.since))
    became = "gave way to a newer one" if record.proposal else "is withdrawn: see the verdict"
    text = f"{HAD_WAITED} {formatting.moment(earlier.since)} {became}"
    return replace(record, warnings=(*record.warnings, RunWarning(text)))


def pending(config: Config) -> tuple[DecisionRecord, Proposal]:
    """The record of the run that proposed the waiting candidate, and the proposal.

    Raises:
        PipelineError: no candidate waits, or another model has become live since.
    """
    record = last_decision(config)
    if record is None or record.proposal is None:
        raise PipelineError("no candidate waits for approval")
    live = releases.live_release_id(config.prod_deployment_path)
    if live != record.release_after:
        raise PipelineError(
            f"the candidate was to replace release {record.release_after}, but {live or 'none'} "
            f"is live now; {AGAIN}"
        )
    return record, record.proposal


def check_candidate(config: Config, proposal: Proposal, training: Path) -> None:
    """Refuse a candidate that is not what was proposed, or that rows or settings have outrun.

    Args:
        training: its `training.json`, whose digests its other files are known to match.

    Raises:
        PipelineError: it is not to be deployed.
    """
    if atomic_files.sha256_of(training) != proposal.candidate:
        raise PipelineError(f"{training}: not of the candidate that was proposed; {AGAIN}")
    if read_ledger(config.ledger).commit_id != proposal.commit:  # by a run that failed then
        raise PipelineError(
            f"{config.final_data}: rows have come in since the candidate was proposed; {AGAIN}"
        )
    about = atomic_files.read_json(training)
    if (
        about["schema"] != config.schema_digest
        or about["test_share"] < config.test_share
        or about.get("monotone", {}) != config.monotone
    ):
        raise PipelineError(
            f"{config.source}: columns, labels, monotone or test_share have changed since the "
            f"candidate was trained; {AGAIN}"
        )


def approved(config: Config, record: DecisionRecord, proposal: Proposal, by: str) -> DecisionRecord:
    """The record of the deployment that somebody has approved; the next run reports it.

    Args:
        record: of the run that proposed the candidate.
        proposal: the same run's.
        by: who approved it.
    """
    now, ingestion = clock.now("milliseconds"), record.ingestion
    # The clients are ranked at once, by the settings of today.
    study, notice = study_by_settings(config, record.study, now)
    warnings = [one for one in record.warnings if not one.text.startswith(HAD_WAITED)]
    return replace(
        record,
        run_id=now,
        time=now,
        release_before=record.release_after,
        release_after=None,
        verdict=RunVerdict.DEPLOYED,
        reason=f"approved by {by}: {record.reason}",
        warnings=(*warnings, *([RunWarning(notice)] if notice else ())),
        proposal=None,
        approved_by=by,
        watch=proposal.watch,
        looks=proposal.looks,
        segments=proposal.segments,
        suspicious=proposal.suspicious,
        new_rows=0,
        ingestion=ingestion and replace(ingestion, files=(), waiting=(), new_rows=0),
        ranking=None,
        no_ranking=None,
        study=study,
        effect=None,
        no_effect=None,
        timings={},
        finished_at=None,
    )
