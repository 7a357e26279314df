"""Deploy the candidate model as a whole release, list the releases, or go back to an older one.

    python deployment.py                        deploy the candidate in models/
    python deployment.py --list                 list the releases
    python deployment.py --rollback [RELEASE]   let an older release be the live one
    python deployment.py --sql DATABASE         print the live model as a SELECT
    python deployment.py --approve [--by NAME]  deploy the candidate that a run has proposed
    python deployment.py --reject [--by NAME]   refuse it; the next one needs new labelled rows

Reads  models/ (the candidate and its scores), ingesteddata/.
Writes production_deployment/: a folder for each release, one symlink that names the live one, and
       rollbacks.json;
       models/clientrisk.csv, clients.db and history.db: the clients ranked by the live release;
       models/decision.json: what became of that ranking, and of the candidate that waited.
"""

from __future__ import annotations

if __name__ == "__main__":
    from attrition.core import environment

    environment.require_packages()

import argparse
import getpass
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrition.core import atomic_files, clock, formatting, releases, rollbacks
from attrition.core.config import Config
from attrition.core.errors import DataError, PipelineError, UnreadableError
from attrition.core.releases import Release
from attrition.data.ledger import read_ledger
from attrition.runs import cli
from attrition.runs.idle import STATE

logger = logging.getLogger(__name__)


def run(config: Config, decision: dict[str, Any]) -> Release:
    """Deploy the candidate in `models/`: a complete release first, then one step to make it live.

    Args:
        decision: why it is deployed, kept in the manifest.

    Returns:
        The live release. Deploying the same model again changes nothing.

    Raises:
        DataError: there is no complete, scored candidate.
    """
    candidate = candidate_files(config)
    training = atomic_files.read_json(candidate["training.json"])
    scores = atomic_files.read_json(candidate["scores.json"])
    about = {
        "deployed_at": clock.now(),
        "replaces": releases.live_release_id(config.prod_deployment_path),
        "f1_score": scores["f1"],
        "training": {key: training[key] for key in ("commit", "schema", "rows", "versions")},
        "decision": decision,
    }
    release = releases.publish_release(config.prod_deployment_path, candidate, about)
    for name in releases.prune_releases(config.prod_deployment_path, config.releases_to_keep):
        logger.info("removed the old release %s", name)
    return release


def candidate_files(config: Config) -> dict[str, Path]:
    """The files that make a release, by their names in it.

    Raises:
        DataError: one is missing, or they belong to different models, as after a killed training.
    """
    models = config.output_model_path
    paths = {name: models / name for name in releases.RELEASE_FILES}
    paths["ingestedfiles.txt"] = config.ingested_files
    for path in paths.values():
        if not path.is_file():
            raise DataError(f"{path}: missing; run training.py and scoring.py before deploying")
    digests = dict(atomic_files.read_json(paths["training.json"])["sha256"])
    digests["scored"] = atomic_files.read_json(paths["scores.json"])["scorecard_sha256"]
    for name in ("trainedmodel.pkl", "scorecard.json"):
        if atomic_files.sha256_of(paths[name]) != digests[name]:
            raise DataError(f"{paths[name]}: not of the model in training.json; run training.py")
    if digests["scored"] != digests["scorecard.json"]:
        raise DataError(f"{paths['scores.json']}: the score of another model; run scoring.py")
    return paths


def restore_candidate(config: Config, deployed: Release) -> None:
    """Where a file of the candidate in `models/` is gone or damaged, the deployed model stands in.

    A whole one: its files are of one model. What is missing is written last, so that a run that
    is killed meanwhile leaves something missing, and the next one begins again.
    """
    paths = [
        config.output_model_path / name
        for name in releases.RELEASE_FILES
        if name != config.ingested_files.name
    ]
    digests = _candidate_digests(config)
    missing = [path for path in paths if _is_damaged(path, digests.get(path.name))]
    if not missing:
        return
    names = ", ".join(path.name for path in missing)
    logger.warning(
        "%s: %s missing or damaged; the candidate is now %s, the deployed model",
        config.output_model_path,
        names,
        deployed.id,
    )
    for path in [*(path for path in paths if path not in missing), *missing]:
        atomic_files.write_bytes(path, deployed.content(path.name))


def _candidate_digests(config: Config) -> Mapping[str, str]:
    """The digests of the candidate's files that its training noted, by their names."""
    try:
        noted = atomic_files.read_json(config.output_model_path / "training.json")["sha256"]
    except (DataError, KeyError, TypeError):
        return {}
    return noted if isinstance(noted, dict) else {}


def _is_damaged(path: Path, sha256: str | None) -> bool:
    """Whether a file of the candidate is gone, empty, no JSON, or not of the model trained last."""
    if not path.is_file() or not path.stat().st_size:
        return True
    try:
        if path.suffix == ".json":
            atomic_files.read_json(path)
    except DataError:
        return True
    return sha256 is not None and atomic_files.sha256_of(path) != sha256


def rollback(config: Config, target: str | None) -> Release:
    """Let an older release be the live one; the pipeline will not redeploy what was left.

    Args:
        target: name of the release (or its running number); None means the one before the live one.

    Raises:
        PipelineError: there is no such release, or it is damaged.
    """
    deployment = config.prod_deployment_path
    live = releases.live_release_id(deployment)
    folder = _rollback_target(releases.releases(deployment), live, target)
    release = releases.open_release(folder)
    left = _training_commit(deployment / "releases" / live) if live else None
    # The rows ingested since count, too: a candidate that learnt them may be much the same model.
    commits = [left, read_ledger(config.ledger).commit_id]
    # Written first: a kill in between leaves a harmless note, never an undone rollback.
    rollbacks.record_rollback(config, live, release.id, commits)
    releases.make_live(deployment, folder)
    return release


def approve(config: Config, by: str) -> Release:
    """Deploy the candidate that a run has proposed; the next run reports it.

    Args:
        by: who approves it.

    Raises:
        PipelineError: none waits, or it is not to be deployed as things are now.
    """
    from attrition.monitoring import proposals  # heavy, and --list needs nothing of it

    record, proposal = proposals.pending(config)
    proposals.check_candidate(config, proposal, candidate_files(config)["training.json"])
    return run(config, proposals.approved(config, record, proposal, by).to_json())


def reject(config: Config, by: str) -> None:
    """Refuse the candidate that waits: as after a rollback, the next one needs new labelled rows.

    Args:
        by: who rejects it.

    Raises:
        PipelineError: none waits.
    """
    from attrition.monitoring import proposals  # heavy, and --list needs nothing of it

    record, proposal = proposals.pending(config)
    ledger, commits = read_ledger(config.ledger), [proposal.commit]
    if not ledger.rows_since(proposal.commit):  # a candidate of newer rows has been shown to nobody
        commits.append(ledger.commit_id or proposal.commit)
    rollbacks.rollbacks(config)  # damaged, it is an error before anything is changed
    # Forgotten first: a kill in between leaves a candidate that the next run proposes again.
    _forget_proposal(config)
    rollbacks.record_rejection(config, record.release_after, by, commits)


def _forget_proposal(config: Config) -> None:
    """No candidate waits any more; and the pipeline, if it rested, has something to report."""
    record = atomic_files.read_json_object(config.decision)
    if record.get("proposal") is not None:
        kept = {key: value for key, value in record.items() if key != STATE}
        atomic_files.write_json(config.decision, {**kept, "proposal": None})


def _rollback_target(folders: list[Path], live: str | None, target: str | None) -> Path:
    names = ", ".join(path.name for path in folders) or "none"
    if target is None:
        older = [path for path in folders if live is not None and path.name < live]
        if not older:
            raise PipelineError(f"no release is older than the live one; releases: {names}")
        return older[-1]
    for path in folders:
        if target in (path.name, path.name[:6], str(int(path.name[:6]))):
            return path
    raise PipelineError(f"no release is called {target!r}; releases: {names}")


def _training_commit(folder: Path) -> str | None:
    """What a release was trained on, read leniently: one may roll back from a damaged release."""
    try:
        commit = atomic_files.read_json(folder / releases.MANIFEST)["training"]["commit"]
    except (DataError, KeyError, TypeError):
        return None
    return str(commit)


def table(config: Config) -> str:
    """The releases as a table of at most 80 columns, the newest first."""
    live = releases.live_release_id(config.prod_deployment_path)
    lines = [f"  {'release':<20} {'deployed at (UTC)':<19} {'F1':>6} {'rows':>11}  state"]
    for folder in reversed(releases.releases(config.prod_deployment_path)):
        mark = "*" if folder.name == live else " "
        try:
            about = releases.open_release(folder).manifest
        except DataError:
            lines.append(f"{mark} {folder.name:<20} {'':<19} {'':>6} {'':>11}  damaged")
            continue
        f1 = "-" if about["f1_score"] is None else f"{about['f1_score']:.3f}"
        lines.append(
            f"{mark} {folder.name:<20} {formatting.short_moment(about['deployed_at']):<19} {f1:>6} "
            f"{about['training']['rows']:>11,}  {'live' if folder.name == live else 'kept'}"
        )
    return "\n".join(lines) if len(lines) > 1 else "no release yet; run fullprocess.py"


def _deploy(config: Config, _arguments: argparse.Namespace) -> int:
    before = releases.live_release_id(config.prod_deployment_path)
    reason = "deployed by hand with deployment.py"
    release = run(config, {"verdict": "deployed", "reason": reason, "run_id": None})
    print(f"{release.id} {'was live already' if release.id == before else 'is live now'}")
    if _is_ranked_by_another(config, release.id):
        _forget_proposal(config)
        _rank_again(config)
    return 0


def _is_ranked_by_another(config: Config, release: str) -> bool:
    """Whether a run has recorded a ranking, and by another release, or could not make one."""
    record = atomic_files.read_json_object(config.decision)
    ranking = record.get("ranking")
    ranked_by = ranking.get("release") if isinstance(ranking, dict) else None
    return bool(record) and ranked_by != release


def _rank_again(config: Config) -> None:
    """Rank the clients by the release that went live: the old one's list is none of today's."""
    from attrition.ranking import call_list  # heavy, and --list needs nothing of it

    try:
        listed = call_list.rank(config)
    except UnreadableError:
        raise  # the disk does not give a file today; ranked anew, it may
    except DataError as error:
        listed = call_list.give_up(config, str(error))
    call_list.record_anew(config, listed)
    if isinstance(listed, str):
        print(formatting.no_list(listed))
    else:
        path = formatting.within(config.client_risk, config.root)
        print(f"The clients are ranked anew: {path}")
    print("The report follows with the next run.")


def _list(config: Config, _arguments: argparse.Namespace) -> int:
    print(table(config))
    return 0


def _print_sql(config: Config, arguments: argparse.Namespace) -> int:
    from attrition.model import scorecard_sql  # numpy is heavy, and --list needs nothing of it
    from attrition.model.champion import fitting_champion

    champion = fitting_champion(config)
    labels = (config.negative_label, config.positive_label)
    dialect = scorecard_sql.DIALECTS[arguments.sql]
    table = arguments.table or "clients"
    print(f"-- Probability of leaving, by the model of release {champion.release.id}")
    print(scorecard_sql.select(champion.card, dialect, table, config.id_column, labels), end="")
    return 0


def _roll_back(config: Config, arguments: argparse.Namespace) -> int:
    release = rollback(config, arguments.rollback or None)
    print(f"{release.id} is live now.")
    _forget_proposal(config)
    _rank_again(config)
    print("The pipeline trains again when new labelled rows arrive.")
    return 0


def _approve(config: Config, arguments: argparse.Namespace) -> int:
    by = arguments.by or _login_name()
    release = approve(config, by)
    print(f"{release.id} is live now, approved by {by}.")
    _forget_proposal(config)
    _rank_again(config)
    return 0


def _reject(config: Config, arguments: argparse.Namespace) -> int:
    by = arguments.by or _login_name()
    reject(config, by)
    live = releases.live_release_id(config.prod_deployment_path)
    print(f"The candidate is rejected by {by}; {live} stays live.")
    print("The pipeline trains again when new labelled rows arrive.")
    return 0


def _name(text: str) -> str:
    """A person's name on one line, without characters that control a screen."""
    if not any(character.isprintable() and not character.isspace() for character in text):
        raise argparse.ArgumentTypeError("expected a name")
    return formatting.line(text)


def _login_name() -> str:
    """That of the account, or its number where it has no name."""
    try:
        return _name(getpass.getuser())
    except (OSError, KeyError, argparse.ArgumentTypeError):
        return f"user {os.getuid()}"


def main(argv: Sequence[str] | None = None) -> int:
    """Deploy, list, roll back, or decide about the candidate that waits."""
    parser = cli.parser(__doc__)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--list", action="store_true", help="list the releases")
    choice.add_argument(
        "--rollback",
        nargs="?",
        const="",
        metavar="RELEASE",
        help="make an older release live (default: the one before the live one)",
    )
    choice.add_argument(
        "--sql",
        choices=("duckdb", "postgres", "spark"),
        help="print the live model as a SELECT that scores clients in that database",
    )
    parser.add_argument("--table", metavar="NAME", help="the table for --sql (default: clients)")
    choice.add_argument("--approve", action="store_true", help="deploy the proposed candidate")
    choice.add_argument("--reject", action="store_true", help="refuse the proposed candidate")
    parser.add_argument(
        "--by",
        type=_name,
        metavar="NAME",
        help="who approves or rejects (default: the login name)",
    )
    arguments = parser.parse_args(argv)
    if arguments.by and not (arguments.approve or arguments.reject):
        parser.error("--by goes with --approve or --reject")
    if arguments.table and not arguments.sql:
        parser.error("--table goes with --sql")
    if arguments.list:
        return cli.run(parser, argv, _list)
    if arguments.sql:
        return cli.run(parser, argv, _print_sql)
    if arguments.approve or arguments.reject:
        return cli.run_alone(parser, argv, _approve if arguments.approve else _reject)
    return cli.run_alone(parser, argv, _deploy if arguments.rollback is None else _roll_back)


if __name__ == "__main__":
    raise SystemExit(main())
