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
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from attrition.core import atomic_files, progress, releases
from attrition.core.config import Config
from attrition.core.errors import DataError, NotEnoughData
from attrition.runs import cli

if TYPE_CHECKING:  # heavy modules: an idle run must not pay for them
    import numpy as np
    from numpy.typing import NDArray

    from attrition.core.releases import Release
    from attrition.data.clients import Clients, TestClients
    from attrition.data.ingestion_result import IngestionResult
    from attrition.data.ledger import Ledger
    from attrition.monitoring.champion import Champion
    from attrition.monitoring.decisions import Scored, TrainingSituation, Verdict
    from attrition.monitoring.examination import Examination
    from attrition.monitoring.findings import Evidence, Suspicion, TrainingNeed
    from attrition.monitoring.record import DecisionRecord
    from attrition.runs.package_check import PackageCheck
    from ingestion import Pending
    from training import TrainingResult

logger = logging.getLogger(__name__)


def now() -> str:
    """The time, to name a run by."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Stopwatch:
    """Seconds that each stage of a run took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage, show it at work, and tell the log when it is done."""
        start = time.perf_counter()
        with progress.step(name):
            yield
        self.seconds[name] = round(time.perf_counter() - start, 3)
        logger.info("%s: %.2f s", name, self.seconds[name])

    def forget(self, name: str) -> None:
        """Leave out a stage that had nothing to do: its time would tell nothing."""
        del self.seconds[name]


@dataclass(frozen=True)
class Challenge:
    """What became of a candidate: the verdict, its scores, the evidence against the champion.

    `sampled` says how many rows were new to both, where only a sample of them was compared.
    """

    verdict: Verdict
    suspicious: Suspicion
    scored: Scored | None = None
    evidence: Evidence | None = None
    sampled: dict[str, int] = field(default_factory=dict)


def process(config: Config, inputs: idle.Inputs, watch: Stopwatch) -> DecisionRecord:
    """Do one run that is not idle; the caller holds the lock.

    Args:
        config: the settings.
        inputs: what stood in the input folders when the run began; what came since is news.
        watch: times the stages.

    Returns:
        The decision record.
    """
    import deployment
    from attrition.monitoring.champion import find_champion
    from attrition.runs import package_check as package_checks

    with package_checks.checking(config) as package_check:  # pip answers, or not, meanwhile
        champion = find_champion(config)
        if champion is not None:
            deployment.restore_candidate(config, champion.release)
        owed = owed_report(config, champion)
        record, outgoing = owed or run_stages(config, champion, inputs, watch)
        with watch.stage("reporting"):
            record = report(config, record, outgoing, watch, package_check)
        return close(config, inputs, record, outgoing, watch)


def report(
    config: Config,
    record: DecisionRecord,
    outgoing: Release | None,
    watch: Stopwatch,
    package_check: PackageCheck,
) -> DecisionRecord:
    """Rank the clients, diagnose, and tell of it all.

    Returns:
        The decision record, with what the ranking found.
    """
    import diagnostics
    import reporting
    from attrition.engines.test_clients import gather_test_clients
    from attrition.ranking import call_list

    test = gather_test_clients(config)
    reporting.run(config, outgoing, test)
    listed = call_list.rank(config)
    diagnosed = diagnostics.run(config, watch.seconds, package_check)
    ranking, no_ranking = call_list.recorded(listed)
    record = replace(record, ranking=ranking, no_ranking=no_ranking)
    live = releases.live_release_id(config.prod_deployment_path)
    so_far = replace(record, release_after=live, timings=dict(watch.seconds))
    reporting.tell(config, so_far, diagnosed.to_json(), listed, test)
    return record


def run_stages(
    config: Config, champion: Champion | None, inputs: idle.Inputs, watch: Stopwatch
) -> tuple[DecisionRecord, Release | None]:
    """Ingest, examine the deployed model, challenge it, deploy: one stage after another.

    Returns:
        The decision record, and the release that was replaced, None when none was.
    """
    import ingestion
    from attrition.core.scratch import sweep_scratch_folders
    from attrition.data.ledger import read_ledger
    from attrition.engines.test_clients import gather_test_clients
    from attrition.monitoring.decisions import training_need
    from attrition.monitoring.examination import Examination, examine

    sweep_scratch_folders()
    started = now()
    with watch.stage("ingestion"):
        ingested = ingestion.run(config)
    if ingested.all_rejected is not None:
        raise DataError(ingested.all_rejected)
    if not ingested.files:
        watch.forget("ingestion")
    with watch.stage("check"):
        ledger = read_ledger(config.ledger)
        test = gather_test_clients(config)
        exam = examine(config, champion, ledger, test) if champion else Examination()
        need = training_need(training_situation(config, champion, ledger, test, exam))
    logger.info("%s: %s", "a candidate is due" if need.train else "no candidate", need.reason)
    challenge = run_challenge(config, champion, need, test, watch)
    record = replace(
        decision_record(config, ingested, exam, need, challenge, started=started),
        inputs=inputs.digest,
        release_before=champion.release.id if champion else None,
    )
    outgoing = deploy(config, champion, record, watch) if challenge.verdict.deploy else None
    return record, outgoing


def decision_record(
    config: Config,
    ingested: IngestionResult,
    exam: Examination,
    need: TrainingNeed,
    challenge: Challenge,
    *,
    started: str,
) -> DecisionRecord:
    """What was found and decided by the run that began at `started`."""
    from attrition.monitoring.alerts import findings
    from attrition.monitoring.findings import Sample
    from attrition.monitoring.record import DecisionRecord, last_decision

    verdict, scored, drift, scores = challenge.verdict, challenge.scored, exam.drift, exam.scores
    last = last_decision(config)
    told = last.ingestion.notices if last and last.ingestion else ()
    untold = [notice for notice in ingested.notices if notice not in told]
    on_test, suspicious = scores.get(Sample.TEST_DATA), challenge.suspicious
    alerts = findings(on_test, drift, suspicious, config.model_score_threshold)
    return DecisionRecord(
        run_id=started,
        time=started,
        verdict=verdict.verdict,
        reason=verdict.reason,
        warnings=(*untold, *(alert.text for alert in alerts), *verdict.warnings),
        suspicious=suspicious,
        training=need,
        new_rows=ingested.new_rows,
        ingestion=ingested,
        scores=scores,
        drift=drift,
        sampled=exam.sampled | challenge.sampled,
        candidate_score=scored.test if scored else None,
        cross_validated=scored.cross_validated if scored else None,
        evidence=challenge.evidence,
    )


def training_situation(
    config: Config, champion: Champion | None, ledger: Ledger, test: TestClients, exam: Examination
) -> TrainingSituation:
    """Gather what the need for training depends on."""
    from attrition.engines.selection import engine
    from attrition.monitoring.decisions import TrainingSituation
    from deployment import is_rolled_back, rolled_back_commits
    from training import versions

    deployed = champion.training if champion else None
    unseen_start = ledger.unseen_start(deployed["commit"]) if deployed else 0
    rolled_back = set(rolled_back_commits(config))
    if ledger.commit_id is not None and ledger.earlier_end == ledger.committed_bytes:
        # The ledger was made anew, and no row came since: those are the rows of that time.
        rolled_back |= {ledger.commit_id} if is_rolled_back(config) else set()
    left_out = 0
    if deployed and deployed["commit"] == ledger.commit_id:
        # The same ingested rows; but other test data may change which of them may be learnt.
        left_out = engine(config).count_in_test(ledger, test)
    return TrainingSituation(
        commit=ledger.commit_id,
        schema=config.schema_digest,
        left_out_test_rows=left_out,
        unseen_rows=sum(commit.rows for commit in ledger.commits if commit.start >= unseen_start),
        versions=versions(),
        deployed=deployed,
        rolled_back_commits=rolled_back,
        drift=exam.drift.has_drifted,
        test_share=config.test_share,
    )


def run_challenge(
    config: Config,
    champion: Champion | None,
    need: TrainingNeed,
    test: TestClients,
    watch: Stopwatch,
) -> Challenge:
    """Train a candidate if there is need, score it, and judge it against the champion."""
    import scoring
    import training
    from attrition.monitoring.decisions import (
        Scored,
        Verdict,
        disbelieved,
        first_model_verdict,
        new_columns_verdict,
        promotion_verdict,
    )
    from attrition.monitoring.findings import RunVerdict

    known = suspicions(champion.training if champion else {})
    if not need.train:
        return Challenge(Verdict(RunVerdict.KEPT, need.reason), known)
    try:
        with watch.stage("training"):
            trained = training.run(config, test, champion.training["commit"] if champion else None)
    except NotEnoughData as error:
        verdict = Verdict(RunVerdict.NOT_ENOUGH_EVIDENCE, f"no candidate: {error}")
        return Challenge(verdict, known)
    with watch.stage("scoring"):
        scored = Scored(scoring.run(config, test), trained.cross_validated)
    asked, evidence, sampled = config.model_score_threshold, None, {}
    if champion is None:
        verdict = first_model_verdict(need, scored, asked)
    elif not champion.fits or champion.has_learnt_test_rows:
        before = champion.release.manifest["f1_score"]
        crossed = champion.training["cross_validated"]["f1"]
        verdict = new_columns_verdict(need, scored, before, crossed, asked)
    else:
        with watch.stage("comparison"):
            evidence = gather_evidence(config, champion, trained, test)
        verdict = promotion_verdict(need, evidence, config.promotion_confidence, asked)
        if (compared := trained.unseen_rows) > int(trained.unseen.sum()):
            sampled = {"comparison": compared}
    found = suspicions(atomic_files.read_json(config.output_model_path / "training.json"))
    return Challenge(
        disbelieved(verdict, trained.suspicious) if verdict.deploy else verdict,
        found if found.columns or verdict.deploy else known,
        scored,
        evidence,
        sampled,
    )


def suspicions(training: Mapping[str, Any]) -> Suspicion:
    """Columns that alone tell the answer beyond belief, by the record of a training.

    Empty when there is no such column, or when an older version trained the model.
    """
    from attrition.monitoring.findings import Suspicion

    columns = training.get("suspicious_columns")
    return Suspicion(columns, training["cross_validated"]["roc_auc"]) if columns else Suspicion()


def gather_evidence(
    config: Config, champion: Champion, trained: TrainingResult, test: TestClients
) -> Evidence:
    """Ask champion and candidate about the same rows: the test data and those new to the champion.

    The candidate has learnt the new rows, so about them it answers out of fold: each row is
    predicted by a model of its kind that did not see it.
    """
    import numpy as np

    from attrition.model.metrics import Comparison, compare
    from attrition.model.training import out_of_fold_probabilities
    from attrition.monitoring.examination import minimum
    from attrition.monitoring.findings import Evidence

    card, clients, unseen = trained.fitted.scorecard, trained.clients, trained.unseen

    def answers(rows: Clients, candidate: NDArray[np.float64]) -> NDArray[np.int8]:
        """Label, champion's and candidate's prediction: array of shape (3, n_rows)."""
        champions = champion.card.probabilities(rows.columns) >= champion.card.threshold
        assert rows.labels is not None
        return np.stack([rows.labels, champions, candidate >= card.threshold]).astype(np.int8)

    def judge(rows: NDArray[np.int8]) -> Comparison:
        return compare(rows[0], rows[1], rows[2], minimum(config), config.random_seed)

    on_test = answers(test.clients, card.probabilities(test.clients.columns))
    if not unseen.any():
        return Evidence(judge(on_test), None, judge(on_test))
    assert clients.labels is not None
    chances = out_of_fold_probabilities(
        trained.fitted, clients.features, clients.labels, unseen, clients.ids
    )
    on_unseen = answers(clients.select(unseen), chances)
    pooled = np.concatenate([on_test, on_unseen], axis=1)
    return Evidence(judge(on_test), judge(on_unseen), judge(pooled))


def deploy(
    config: Config, champion: Champion | None, record: DecisionRecord, watch: Stopwatch
) -> Release | None:
    """Deploy the candidate; the outgoing model answers the API calls once more before it goes.

    Returns:
        The release it replaced, None for the first one.
    """
    import apicalls
    import deployment

    if champion is not None:
        with watch.stage("outgoing answers"):
            apicalls.record_current(config)
    with watch.stage("deployment"):
        deployment.run(config, record.to_json())
    return champion.release if champion else None


def close(
    config: Config,
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
    import apicalls
    from attrition.core import clock
    from attrition.data import committed_rows
    from attrition.data.ledger import read_ledger
    from attrition.monitoring import alert_delivery
    from attrition.runs import history

    live = releases.live_release_id(config.prod_deployment_path)
    record = replace(record, release_after=live, timings=dict(watch.seconds))
    atomic_files.write_json(config.decision, record.to_json())  # the API shows it
    if live is not None:
        with watch.stage("answers"):
            record_answers = apicalls.record_redeployed if outgoing else apicalls.record_current
            record_answers(config)
    record = replace(record, timings=dict(watch.seconds), finished_at=clock.now())
    plain = record.to_json()
    history.record_run(config.history, plain, config.runs_to_keep)
    alert_delivery.tell_run(config, record)
    is_all_seen = inputs.settled and inputs.digest == record.inputs
    is_all_seen = is_all_seen and committed_rows.is_as_left(config, read_ledger(config.ledger))
    if is_all_seen and not (record.ingestion and record.ingestion.waiting):
        plain |= {idle.STATE: idle.finished_state(config, inputs)}
    atomic_files.write_json(config.decision, plain)
    return record


def owed_report(
    config: Config, champion: Champion | None
) -> tuple[DecisionRecord, Release | None] | None:
    """What a killed run decided and deployed but could not report, and the release it replaced.

    Reporting it is all that the run after it does, so that it ends as the killed one would have;
    what has come since is for the next. None when nothing is owed.
    """
    from attrition.monitoring.record import last_decision, read_record
    from attrition.runs import history

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
    logger.info("reporting the deployment of %s, which an earlier run could not finish", live.id)
    folder = config.prod_deployment_path / "releases" / str(live.manifest["replaces"])
    try:
        return decision, releases.open_release(folder)
    except DataError:  # it replaced none, or that one is damaged
        return decision, None


def fail(config: Config, started: str, watch: Stopwatch, message: str) -> None:
    """Record a run that failed, and tell of it; a failure that repeats itself is recorded once.

    Args:
        config: the settings.
        started: when the run began (UTC, ISO 8601).
        watch: holds the stages that it finished.
        message: what happened.
    """
    from attrition.monitoring import alert_delivery
    from attrition.monitoring.alerts import failure_kind
    from attrition.monitoring.findings import RunVerdict
    from attrition.monitoring.record import DecisionRecord, recorded_runs
    from attrition.runs import history

    live = releases.live_release_id(config.prod_deployment_path)
    last = recorded_runs(config.history, limit=1)
    is_known = last and last[0].verdict is RunVerdict.FAILED
    if not is_known or failure_kind(last[0].reason) != failure_kind(message):
        record = DecisionRecord(
            run_id=started,
            time=started,
            verdict=RunVerdict.FAILED,
            reason=message,
            release_before=live,
            release_after=live,
            timings=dict(watch.seconds),
        )
        history.record_run(config.history, record.to_json(), config.runs_to_keep)
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
    from attrition.report.run_summary import summary

    print(summary(record))
    return 0


def _rest(config: Config) -> int:
    """Do nothing, but for an alert that could not be delivered."""
    logger.info("%s", idle.MESSAGE)
    if config.alert_webhook is not None or config.alert_command is not None:
        from attrition.monitoring import alert_delivery

        alert_delivery.catch_up(config)
    return 0


def _dry_run(config: Config, _arguments: argparse.Namespace) -> int:
    """Say what a run would do now; nothing is written, and no lock is taken."""
    import ingestion

    found = ingestion.pending(config)
    if idle.is_idle(config, idle.observe_inputs(config)):
        lines = ["A run would do nothing: nothing has changed since the last finished run."]
    else:
        lines = _prospect(config, found)
    lines += [f"Not read: {item.name}: {item.reason}." for item in found.refused]
    for line in lines:
        print(textwrap.fill(line, 80, subsequent_indent="  ", break_on_hyphens=False))
    return 0


def _prospect(config: Config, found: Pending) -> list[str]:
    """What a run that is not idle would do."""
    from attrition.data.ledger import read_ledger

    lines = [f"New files a run would ingest: {', '.join(found.new) or 'none'}."]
    if found.waiting:
        lines.append(f"Still being written, left for later: {', '.join(found.waiting)}.")
    live = releases.live_release_id(config.prod_deployment_path)
    rows = read_ledger(config.ledger).committed_rows
    if live is not None:
        lines.append(
            f"It would check the deployed model, {live}, train a candidate if there are other "
            f"rows to learn from, and deploy it if it is better."
        )
    elif rows or found.new:
        lines.append("No model is deployed: it would deploy the first one it can train.")
    else:
        lines.append("No model is deployed, and there are no rows to train one on.")
    return lines


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
