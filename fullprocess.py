"""The whole pipeline, as cron runs it every three minutes: ingest, watch, retrain, deploy, report.

    python fullprocess.py             one run; an idle one takes a few hundredths of a second
    python fullprocess.py --dry-run   say what a run would do, change nothing

Reads  config.json, sourcedata/, testdata/ and what the earlier runs left.
Writes what the stages write (see each script), models/decision.json, models/history.db,
models/alerts.json (who was told what), cron.log.

A run killed at any moment is finished by the next one: what is new follows from the ledger and the
live release, never from memory, and each stage changes its files in one step.
"""

from __future__ import annotations

import sys

from attrition.runs import idle

# Most ticks end here, before anything heavy is imported.
if __name__ == "__main__" and idle.rests(sys.argv[1:]):
    raise SystemExit(0)

import argparse
import logging
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import apicalls
import deployment
import diagnostics
import ingestion
import reporting
import scoring
import training
from attrition.core import atomic_files, clock, releases
from attrition.core.config import Config
from attrition.core.errors import DataError, NotEnoughData
from attrition.core.releases import Release
from attrition.core.scratch import sweep_scratch_folders
from attrition.data import committed_rows
from attrition.engines.context import RunContext, read_context
from attrition.model.champion import Champion, live_champion
from attrition.monitoring import alert_delivery
from attrition.monitoring import alerts as alert_conditions
from attrition.monitoring.challenge import Challenge, challenge, training_situation, uncontested
from attrition.monitoring.champion import find_champion
from attrition.monitoring.decisions import Scored, TrainingNeed, Verdict, training_need
from attrition.monitoring.examination import Examination, alerts, examine
from attrition.ranking import call_list
from attrition.report.prospect import describe_prospect
from attrition.report.run_summary import summary
from attrition.runs import cli, history, package_check
from attrition.runs.package_check import PackageCheck
from attrition.runs.stopwatch import Stopwatch
from ingestion import IngestionResult

logger = logging.getLogger(__name__)


FAILED = "failed"  # the verdict of a run that did not come to one


def now() -> str:
    """The time, to name a run by."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def process(config: Config, inputs: idle.Inputs, watch: Stopwatch) -> dict[str, Any]:
    """Do one run that is not idle; the caller holds the lock.

    Args:
        config: the settings.
        inputs: what stood in the input folders when the run began; what came since is news.
        watch: times the stages.

    Returns:
        The decision record, as `decision.json` holds it.
    """
    with package_check.checking(config) as check:  # pip answers, or not, meanwhile
        champion = find_champion(config)
        if champion is not None:
            deployment.restore_candidate(config, champion.release)
        owed = owed_report(config, champion)
        if owed is None:
            context, record, outgoing = run_stages(config, champion, inputs, watch)
        else:
            context, (record, outgoing) = read_context(config, champion), owed
        with watch.stage("reporting"):
            record = report(context, record, outgoing, watch, check)
        return close(context, inputs, record, outgoing, watch)


def run_stages(
    config: Config, champion: Champion | None, inputs: idle.Inputs, watch: Stopwatch
) -> tuple[RunContext, dict[str, Any], Release | None]:
    """Ingest, examine the deployed model, challenge it, deploy: one stage after another.

    Returns:
        The context with the model that is live now, the decision record, and the release that was
        replaced, None when none was.
    """
    sweep_scratch_folders()
    started = now()
    with watch.stage("ingestion"):
        ingested = ingestion.run(config)
    if ingested.all_rejected is not None:
        raise DataError(ingested.all_rejected)
    if not ingested.files:
        watch.forget("ingestion")
    with watch.stage("check"):
        context = read_context(config, champion)
        exam = Examination()
        if champion is not None:
            exam = examine(config, champion, context.ledger, context.test)
        need = training_need(training_situation(context, exam.drift))
    logger.info("%s: %s", "a candidate is due" if need.train else "no candidate", need.reason)
    outcome = run_challenge(context, need, watch)
    record = {
        "run_id": started,
        "time": started,
        "inputs": inputs.digest,
        "release_before": champion.release.id if champion else None,
        **decision_record(config, ingested, exam, need, outcome),
    }
    if not outcome.verdict.deploy:
        return context, record, None
    outgoing = deploy(context, record, watch)
    return replace(context, champion=live_champion(config)), record, outgoing


def run_challenge(context: RunContext, need: TrainingNeed, watch: Stopwatch) -> Challenge:
    """Train a candidate if there is need, score it, and judge it against the champion."""
    config, champion = context.config, context.champion
    if not need.train:
        return uncontested(champion, Verdict("kept", need.reason))
    try:
        with watch.stage("training"):
            commit = champion.training["commit"] if champion else None
            trained = training.run(config, context.ledger, context.test, commit)
    except NotEnoughData as error:
        return uncontested(champion, Verdict("not enough evidence", f"no candidate: {error}"))
    with watch.stage("scoring"):
        scored = Scored(scoring.run(config, context.test), trained.cross_validated)
    with watch.stage("comparison"):
        record = atomic_files.read_json(config.output_model_path / "training.json")
        outcome = challenge(context, need, trained, scored, record)
    if outcome.evidence is None:
        watch.forget("comparison")
    return outcome


def deploy(context: RunContext, record: dict[str, Any], watch: Stopwatch) -> Release | None:
    """Deploy the candidate; the outgoing model answers the API calls once more before it goes.

    Returns:
        The release it replaced, None for the first one.
    """
    if context.champion is not None:
        with watch.stage("outgoing answers"):
            apicalls.record_current(context.config)
    with watch.stage("deployment"):
        deployment.run(context.config, record)
    return context.champion.release if context.champion else None


def report(
    context: RunContext,
    record: dict[str, Any],
    outgoing: Release | None,
    watch: Stopwatch,
    check: PackageCheck,
) -> dict[str, Any]:
    """Rank the clients, diagnose, and report it all.

    Returns:
        The decision record, with the ranking.
    """
    reporting.run(context, outgoing)
    listed = call_list.rank_clients(context.config, context.ledger, context.champion)
    diagnosed = diagnostics.run(context, watch.seconds, check)
    record = {**record, **call_list.recorded(listed)}
    live = context.champion.release.id if context.champion else None
    so_far = {**record, "release_after": live, "timings": dict(watch.seconds)}
    reporting.tell(context, so_far, diagnosed.to_json(), listed)
    return record


def decision_record(
    config: Config,
    ingested: IngestionResult,
    exam: Examination,
    need: TrainingNeed,
    challenge: Challenge,
) -> dict[str, Any]:
    """What was found and decided, as plain values for JSON."""

    verdict, scored, findings = challenge.verdict, challenge.scored, exam.to_json()
    last = _shown_decision(config).get("ingestion")
    told = last.get("notices", ()) if isinstance(last, dict) else ()
    untold = [notice for notice in ingested.notices if notice not in told]
    return {
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "warnings": [*untold, *alerts(config, exam, challenge.suspicious), *verdict.warnings],
        "suspicious": challenge.suspicious,
        "training": {"kind": need.kind, "reason": need.reason},
        "new_rows": ingested.new_rows,
        "ingestion": ingested.to_json(),
        "scores": findings["scores"],
        "drift": {
            "performance": findings["performance_drift"],
            "measures": findings["measures"],
            "expected_scores": findings["expected_scores"],
            "data": findings["data_drift"],
            "impact": findings["impact"],
        },
        "sampled": findings["sampled"] | challenge.sampled,
        "candidate_score": scored.test.to_json() if scored else None,
        "cross_validated": scored.cross_validated.to_json() if scored else None,
        "evidence": challenge.evidence.to_json() if challenge.evidence else None,
    }


def close(
    context: RunContext,
    inputs: idle.Inputs,
    record: dict[str, Any],
    outgoing: Release | None,
    watch: Stopwatch,
) -> dict[str, Any]:
    """Call the API, write down what was decided, and tell what is news of it.

    Without `finished_at` a run is still at work. The alerts come before the idle state: a run
    killed among them is not finished, and the next one tells.

    Returns:
        The decision record, complete.
    """
    config = context.config
    live = context.champion.release.id if context.champion else None
    record = {**record, "release_after": live}
    atomic_files.write_json(
        config.decision, {**record, "timings": watch.seconds}
    )  # the API shows it
    if live is not None:
        with watch.stage("answers"):
            record_answers = apicalls.record_redeployed if outgoing else apicalls.record_current
            record_answers(config)
    record = {**record, "timings": watch.seconds, "finished_at": clock.now()}
    history.record_run(config.history, record, config.runs_to_keep)
    alert_delivery.tell_run(config, record)
    is_all_seen = inputs.settled and inputs.digest == record["inputs"]
    is_all_seen = is_all_seen and committed_rows.is_as_left(config, context.ledger)
    if is_all_seen and not record["ingestion"]["waiting"]:
        record |= {idle.STATE: idle.finished_state(config, inputs)}
    atomic_files.write_json(config.decision, record)
    return record


def owed_report(
    config: Config, champion: Champion | None
) -> tuple[dict[str, Any], Release | None] | None:
    """What a killed run decided and deployed but could not report, and the release it replaced.

    Reporting it is all that the run after it does, so that it ends as the killed one would have;
    what has come since is for the next. None when nothing is owed.
    """

    if champion is None:
        return None
    live, decision = champion.release, champion.release.manifest["decision"]
    if decision["run_id"] is None:  # deployed by hand
        return None
    shown = _shown_decision(config)
    if "finished_at" in shown and shown.get("release_after") == live.id:
        return None  # whatever became of the history
    is_half_shown = shown.get("run_id") == decision["run_id"] and "finished_at" not in shown
    if history.has_run(config.history, decision["run_id"], live.id) and not is_half_shown:
        return None
    logger.info("reporting the deployment of %s, which an earlier run could not finish", live.id)
    folder = config.prod_deployment_path / "releases" / str(live.manifest["replaces"])
    try:
        return dict(decision), releases.open_release(folder)
    except DataError:  # it replaced none, or that one is damaged
        return dict(decision), None


def _shown_decision(config: Config) -> dict[str, Any]:
    """What `decision.json` shows; nothing when it is missing or damaged, since it is only shown."""
    try:
        shown = atomic_files.read_json(config.decision)
    except DataError:
        return {}
    return shown if isinstance(shown, dict) else {}


def fail(config: Config, started: str, watch: Stopwatch, message: str) -> None:
    """Record a run that failed, and tell of it; a failure that repeats itself is recorded once.

    Args:
        config: the settings.
        started: when the run began (UTC, ISO 8601).
        watch: holds the stages that it finished.
        message: what happened.
    """

    live = releases.live_release_id(config.prod_deployment_path)
    kind = alert_conditions.failure_kind(message)
    last = history.runs(config.history, limit=1)
    if not last or (last[0]["verdict"], alert_conditions.failure_kind(last[0]["reason"])) != (
        FAILED,
        kind,
    ):
        record: dict[str, Any] = {
            "run_id": started,
            "time": started,
            "verdict": FAILED,
            "reason": message,
            "release_before": live,
            "release_after": live,
            "scores": {},
            "drift": {"performance": {}, "data": {}},
            "timings": dict(watch.seconds),
        }
        history.record_run(config.history, record, config.runs_to_keep)
    alert_delivery.tell_failure(config, message)


def _run(config: Config, _arguments: argparse.Namespace) -> int:
    cli.log_to_file(config.log)
    watch = Stopwatch()
    tell = partial(fail, config, now(), watch)
    with cli.on_failure(tell):
        inputs = idle.observe_inputs(config)
        if idle.is_idle(config, inputs):
            return _rest(config)
        with cli.deadline(60 * config.run_deadline_minutes, tell):
            record = process(config, inputs, watch)

    print(summary(record))
    return 0


def _rest(config: Config) -> int:
    """Do nothing, but for an alert that could not be delivered."""
    logger.info("%s", idle.MESSAGE)
    if config.alert_webhook is not None or config.alert_command is not None:
        alert_delivery.catch_up(config)
    return 0


def _dry_run(config: Config, _arguments: argparse.Namespace) -> int:
    """Say what a run would do now; nothing is written, and no lock is taken."""

    pending = ingestion.pending(config)
    if idle.is_idle(config, idle.observe_inputs(config)):
        lines = ["A run would do nothing: nothing has changed since the last finished run."]
    else:
        lines = describe_prospect(config, pending.new, pending.waiting)
    lines += [f"Not read: {item.name}: {item.reason}." for item in pending.refused]
    for line in lines:
        print(textwrap.fill(line, 80, subsequent_indent="  ", break_on_hyphens=False))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Do one run, or with --dry-run only say what it would do."""
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--dry-run", action="store_true", help="say what a run would do, change nothing"
    )
    if parser.parse_args(argv).dry_run:
        return cli.run(parser, argv, _dry_run)
    return cli.run_alone(parser, argv, _run)


if __name__ == "__main__":
    raise SystemExit(main())
