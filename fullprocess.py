"""The whole pipeline, as cron runs it every three minutes: ingest, watch, retrain, deploy, report.

    python fullprocess.py             one run; an idle one takes a few hundredths of a second
    python fullprocess.py --dry-run   say what a run would do, change nothing

Reads  config.json, sourcedata/, testdata/ and what the earlier runs left.
Writes what the stages write (see each script), models/decision.json, models/history.db,
models/alerts.json (who was told what), cron.log.

A run killed at any moment is finished by the next one: what is new follows from the ledger, the
live release and the record of the last run, and each stage changes its files in one step.
"""

from __future__ import annotations

import sys

from attrition.runs import idle

# Most ticks end here, before anything heavy is imported; a run imports this module once more.
if __name__ == "__main__":
    if idle.rests(sys.argv[1:]):
        raise SystemExit(0)
    from attrition.core import environment

    environment.require_packages()
    from attrition.monitoring import tick

    raise SystemExit(tick.main(sys.argv[1:], __doc__))

import logging
from collections.abc import Sequence
from dataclasses import replace

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
from attrition.monitoring import alert_delivery, proposals, segments, tick
from attrition.monitoring.challenge import Challenge, challenge, training_situation, uncontested
from attrition.monitoring.champion import find_champion
from attrition.monitoring.decisions import Scored, Verdict, training_need
from attrition.monitoring.examination import Examination, examine
from attrition.monitoring.findings import Looks, RunVerdict, Sample, TrainingNeed
from attrition.monitoring.record import DecisionRecord
from attrition.monitoring.run_record import decided, remembered, unreported
from attrition.ranking import call_list
from attrition.ranking.study_of_calls import study_fault
from attrition.report.drawing import Drawing
from attrition.report.prospect import describe_prospect
from attrition.report.run_summary import summary
from attrition.runs import history, package_check
from attrition.runs.stopwatch import Stopwatch

logger = logging.getLogger(__name__)


def run(config: Config, inputs: idle.Inputs, watch: Stopwatch, drawing: Drawing) -> str:
    """Do one run that is not idle; the caller holds the lock.

    Args:
        inputs: what stood in the input folders when the run began; what came since is news.
        watch: times the stages.
        drawing: draws the pictures of the report.

    Returns:
        What was decided and why, as text for a terminal.
    """
    with package_check.checking_daily(config) as check:  # pip answers, or not, meanwhile
        champion = find_champion(config)
        if champion is not None:
            deployment.restore_candidate(config, champion.release)
        owed = unreported(config, champion)
        if owed is None:
            context, record, outgoing = run_stages(config, champion, inputs, watch)
        else:
            context, (record, outgoing) = read_context(config, champion), owed
        with watch.stage("reporting"):
            record = report(context, record, outgoing, watch=watch, check=check, drawing=drawing)
        record = close(context, inputs, record, outgoing, watch)
        return summary(record, config.labels, config.root)


def run_stages(
    config: Config, champion: Champion | None, inputs: idle.Inputs, watch: Stopwatch
) -> tuple[RunContext, DecisionRecord, Release | None]:
    """Ingest, examine the deployed model, challenge it, deploy: one stage after another.

    Returns:
        The context with the model that is live now, the decision record, and the release that was
        replaced, None when none was.
    """
    sweep_scratch_folders()
    started = clock.now("milliseconds")
    with watch.stage("ingestion"):
        ingested = ingestion.run(config)
    if ingested.all_rejected is not None:
        raise DataError(ingested.all_rejected)
    if not ingested.files:
        watch.forget("ingestion")
    with watch.stage("check"):
        context = read_context(config, champion)
        memory = remembered(config, context.live)
        exam = examine(context, memory.watch)
        need = training_need(training_situation(context, exam.drift.has_drifted))
    logger.info("%s: %s", "a candidate is due" if need.train else "no candidate", need.reason)
    outcome = run_challenge(context, need, exam, memory.looks, watch)

    def decide(outcome: Challenge) -> DecisionRecord:
        return decided(
            config,
            ingested,
            exam,
            need,
            challenge=outcome,
            memory=memory,
            ledger=context.ledger,
            started=started,
        )

    record = proposals.with_proposal(config, champion, outcome, decide)
    record = replace(record, inputs=inputs.digest, release_before=context.live)
    if set_aside := context.test.contacted:
        record = replace(record, contacted={Sample.TEST_DATA: set_aside, **record.contacted})
    if record.verdict is not RunVerdict.DEPLOYED:
        return context, record, None
    outgoing = deploy(context, record, watch)
    return replace(context, champion=live_champion(config)), record, outgoing


def run_challenge(
    context: RunContext, need: TrainingNeed, exam: Examination, looks: Looks, watch: Stopwatch
) -> Challenge:
    """Train a candidate if there is need, score it, and judge it against the champion.

    Args:
        context: of the run.
        need: whether and why to train.
        exam: what was found about the champion.
        looks: the comparisons before this one.
        watch: times the stages.
    """
    config, champion = context.config, context.champion
    if not need.train:
        return uncontested(champion, Verdict(RunVerdict.KEPT, need.reason))
    try:
        with watch.stage("training"):
            commit = champion.training["commit"] if champion else None
            trained = training.run(
                config, context.ledger, context.test, commit, exam.rows_since_change
            )
    except NotEnoughData as error:
        verdict = Verdict(RunVerdict.NOT_ENOUGH_EVIDENCE, f"no candidate: {error}")
        return uncontested(champion, verdict)
    with watch.stage("scoring"):
        scored = Scored(scoring.run(config, context.test), trained.cross_validated)
    outcome = challenge(context, need, trained, scored, looks=looks, watch=watch)
    if outcome.verdict.deploy:
        weak = segments.of_candidate(config, trained, context.test.clients)
        outcome = replace(outcome, segments=weak)
    return outcome


def deploy(context: RunContext, record: DecisionRecord, watch: Stopwatch) -> Release | None:
    """Deploy the candidate; the outgoing model answers the API calls once more before it goes.

    Returns:
        The release it replaced, None for the first one.
    """
    if context.champion is not None:
        with watch.stage("outgoing answers"):
            apicalls.record_current(context.config)
    with watch.stage("deployment"):
        deployment.run(context.config, record.to_json())
    return context.champion.release if context.champion else None


def report(
    context: RunContext,
    record: DecisionRecord,
    outgoing: Release | None,
    *,
    watch: Stopwatch,
    check: package_check.PackageCheck,
    drawing: Drawing,
) -> DecisionRecord:
    """Rank the clients, diagnose, and report it all.

    Returns:
        The decision record, with the ranking.
    """
    if context.champion is None:
        releases.live_release(context.config.prod_deployment_path)  # a damaged one is an error
    reporting.run(context, drawing, outgoing)
    model = reporting.draw_known(context, drawing, record)
    listed = call_list.rank_clients(context.config, context.ledger, context.champion)
    diagnosed = diagnostics.run(context, watch.seconds, check)
    ranking, no_ranking = call_list.recorded(listed)
    effect, no_effect = call_list.effect_of_calls(context.config, context.ledger, listed)
    record = replace(
        record, ranking=ranking, no_ranking=no_ranking, effect=effect, no_effect=no_effect
    )
    if effect and record.study:
        enrolled = effect.called.clients + effect.held_out.clients
        record = replace(record, study=replace(record.study, enrolled=enrolled))
    so_far = replace(record, release_after=context.live, timings=dict(watch.seconds))
    diagnoses = diagnosed.to_json()
    reporting.tell(context, drawing, model, decision=so_far, diagnosed=diagnoses, listed=listed)
    return record


def close(
    context: RunContext,
    inputs: idle.Inputs,
    record: DecisionRecord,
    outgoing: Release | None,
    watch: Stopwatch,
) -> DecisionRecord:
    """Call the API, write down what was decided, and tell what is news of it.

    Without `finished_at` a run is still at work. The alerts come before the idle state: a run
    killed among them is not finished, and the next one tells.

    Returns:
        The decision record, complete.
    """
    config = context.config
    record = replace(record, release_after=context.live, timings=dict(watch.seconds))
    atomic_files.write_json(config.decision, record.to_json())  # the API shows it
    if context.live is not None:
        with watch.stage("answers"):
            record_answers = apicalls.record_redeployed if outgoing else apicalls.record_current
            record_answers(config)
    record = replace(record, timings=dict(watch.seconds), finished_at=clock.now())
    plain = record.to_json()
    lasting = {key: value for key, value in plain.items() if key not in {"watch", "proposal"}}
    history.record_run(config.history, lasting, config.runs_to_keep)
    alert_delivery.tell_run(config, record)
    is_all_seen = inputs.settled and inputs.digest == record.inputs
    is_all_seen = is_all_seen and committed_rows.is_as_left(config, context.ledger)
    if is_all_seen and not (record.ingestion and record.ingestion.waiting):
        days = (context.wake_day, record.ranking.first_free if record.ranking else None)
        wake_day = min(filter(None, days), default=None)
        state = idle.finished_state(config, inputs, wake_day)
        # A file of the study may have been restored during the run: looked at after the stamps.
        if record.no_effect is None or study_fault(config) == record.no_effect:
            plain |= {idle.STATE: state}
    atomic_files.write_json(config.decision, plain)
    return record


def prospect(config: Config) -> list[str]:
    """What a run would do now, in sentences; writes nothing."""
    return describe_prospect(config, ingestion.pending(config))


def main(argv: Sequence[str] | None = None) -> int:
    """Do one run, or with --dry-run only say what it would do."""
    return tick.main(argv, __doc__)
