"""`production_deployment/rollbacks.json`: every time somebody went back to an older release."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrition.core import atomic_files, clock, releases
from attrition.core.config import Config
from attrition.core.errors import DataError, UnreadableError

ROLLBACKS = "rollbacks.json"


def rollbacks(config: Config) -> list[dict[str, Any]]:
    """Every rollback so far, oldest first.

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
    record = {"from": left, "to": target, "time": clock.now(), "commits": list(commits)}
    path = config.prod_deployment_path / ROLLBACKS
    atomic_files.write_json(path, [*rollbacks(config), record])


def rolled_back_commits(config: Config) -> frozenset[str]:
    """The ingested rows, by commit, from which no model is to be deployed after a rollback."""
    commits = (commit for record in rollbacks(config) for commit in record["commits"])
    return frozenset(commit for commit in commits if commit is not None)


def is_rolled_back(config: Config) -> bool:
    """Whether the live release is the target of the last rollback."""
    last = rollbacks(config)[-1:]
    return bool(last) and last[0]["to"] == releases.live_release_id(config.prod_deployment_path)
