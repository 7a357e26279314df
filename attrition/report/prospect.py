"""What a run would do now, in words; `fullprocess.py --dry-run` prints it."""

from __future__ import annotations

from attrition.core import formatting, releases, rollbacks
from attrition.core.config import PROPOSE, Config
from attrition.core.errors import PipelineError
from attrition.data import recovery, segment_change
from attrition.data.ingestion_result import Pending
from attrition.data.ledger import Ledger, read_ledger
from attrition.engines.selection import engine
from attrition.monitoring.record import last_decision
from attrition.runs import idle


def describe_prospect(config: Config, pending: Pending) -> list[str]:
    """What a run would do, in sentences; the last ones name what it would not read."""
    if idle.is_idle(config, idle.observe_inputs(config)):
        sentences = ["A run would do nothing: nothing has changed since the last finished run."]
    else:
        sentences = _describe_run(config, pending)
    decision = last_decision(config)
    if decision and decision.proposal:
        sentences.append(formatting.sentence(decision.proposal.notice))
    return sentences + [f"Not read: {item.name}: {item.reason}." for item in pending.refused]


def _describe_run(config: Config, pending: Pending) -> list[str]:
    new = (*pending.new, *pending.actions)
    ledger = read_ledger(config.ledger)
    sentences = _describe_change(config, ledger)
    sentences.append(f"New files a run would ingest: {', '.join(new) or 'none'}.")
    sentences += [f"A run would reject {item.name}: {item.reason}." for item in pending.rejected]
    if pending.waiting:
        sentences.append(f"Still being written, left for later: {', '.join(pending.waiting)}.")
    live = releases.live_release_id(config.prod_deployment_path)
    if not pending.new and ledger.commit_id in rollbacks.rolled_back_commits(config):
        sentences.append(
            f"It would check the deployed model, {live or 'none'}, and train no candidate: "
            f"{rollbacks.refusal(config)} and no labelled rows came since."
        )
    elif live is not None:
        promote = "propose" if config.promotion == PROPOSE else "deploy"
        sentences.append(
            f"It would check the deployed model, {live}, train a candidate if there are other "
            f"rows to learn from, and {promote} it unless it is worse."
        )
    elif pending.new or ledger.committed_rows:
        sentences.append("No model is deployed: it would deploy the first one it can train.")
    else:
        sentences.append("No model is deployed, and there are no rows to train one on.")
    return sentences


def _describe_change(config: Config, ledger: Ledger) -> list[str]:
    """What a change of settings costs that has every file read again; nothing without one."""
    store = engine(config).store
    if ledger.fits(config.schema_digest, store) or segment_change.is_due(config, ledger):
        return []
    try:
        return [formatting.sentence(recovery.change_in_words(config, ledger, store)[0])]
    except PipelineError as error:
        return [f"A run would fail: {error}."]
