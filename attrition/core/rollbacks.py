"""`production_deployment/rollbacks.json`: every rollback, and every rejection of a candidate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrition.core import atomic_files, clock, releases
from attrition.core.config import Config
from attrition.core.errors import DataError, UnreadableError

ROLLBACKS = "rollbacks.json"


def rollbacks(config: Config) -> list[dict[str, Any]]:
    """Every rollback and rejection so far, oldest first.

    Raises:
        DataError: the file is damaged.
    """
    path = config.prod_deployment_path / ROLLBACKS
    if not path.exists():
        return []
    try:
        records = atomic_files.read_json(path)
    except UnreadableError:
        raise
    except DataError:
        records = None
    if isinstance(records, list) and all(map(_is_record, records)):
        return records
    live = releases.live_release_id(config.prod_deployment_path)
    raise DataError(
        f"{path}: damaged; restore it, or delete it and then, so that the pipeline does not "
        f"deploy again what was left, run: deployment.py --rollback {live or 'RELEASE'}"
    )


def _is_record(value: Any) -> bool:
    """Whether it is what `record_rollback` wrote."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("to"), str)
        and isinstance(commits := value.get("commits"), list)
        and all(commit is None or isinstance(commit, str) for commit in commits)
    )


def record_rollback(
    config: Config, left: str | None, target: str, commits: Sequence[str | None]
) -> None:
    """Add a rollback.

    Args:
        left: the release that was live.
        target: the release that is to be live.
        commits: the ingested rows from which no model is to be deployed afterwards.
    """
    _record(config, {"from": left, "to": target, "commits": list(commits)})


def record_rejection(
    config: Config, live: str | None, by: str, commits: Sequence[str | None]
) -> None:
    """Add the rejection of a candidate: to be treated as a rollback to the release that is live.

    Args:
        live: the release that is, and stays, live.
        by: who rejected the candidate.
        commits: as for `record_rollback`.
    """
    _record(config, {"from": live, "to": live, "commits": list(commits), "rejected_by": by})


def _record(config: Config, record: dict[str, Any]) -> None:
    path = config.prod_deployment_path / ROLLBACKS
    atomic_files.write_json(path, [*rollbacks(config), {**record, "time": clock.now()}])


def refusal(config: Config) -> str:
    """What was refused last, a model or a candidate, and by whom, as the begin of a sentence."""
    by = next((record.get("rejected_by") for record in rollbacks(config)[-1:]), None)
    return f"the candidate was rejected by {by}" if by else "a model was rolled back by hand"


def rolled_back_commits(config: Config) -> frozenset[str]:
    """The ingested rows, by commit, from which no model is to be deployed any more."""
    commits = (commit for record in rollbacks(config) for commit in record["commits"])
    return frozenset(commit for commit in commits if commit is not None)


def is_rolled_back(config: Config) -> bool:
    """Whether the live release is the target of the last rollback."""
    last = rollbacks(config)[-1:]
    return bool(last) and last[0]["to"] == releases.live_release_id(config.prod_deployment_path)
