"""Reads what a report is told from: the model with its records, the last decision, the runs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from attrition import files, history
from attrition.config import Config
from attrition.errors import DataError
from attrition.material import Model, Record
from attrition.scorecard import load_scorecard

_ESSENTIAL = ("time", "verdict", "reason")
RUNS_READ = 400  # enough for trends; one run with 60 columns is some 200 kB

logger = logging.getLogger(__name__)


def deployed_model(config: Config) -> Model | None:
    """The live model with all that was recorded of it; None before the first deployment.

    Raises:
        DataError: the release is damaged.
    """
    release = files.live_release(config.prod_deployment_path)
    if release is None:
        return None
    return _model(release.folder, release.id, release.manifest)


def candidate(config: Config) -> Model | None:
    """The model that was trained last and not deployed; None when there is none.

    Raises:
        DataError: its files are damaged.
    """
    folder = config.output_model_path
    return _model(folder, None, {}) if (folder / "scorecard.json").exists() else None


def _model(folder: Path, release: str | None, manifest: Record) -> Model:
    card = load_scorecard(folder / "scorecard.json")
    training, scores = (shown(folder / name) for name in ("training.json", "scores.json"))
    return Model(release, card, manifest, training, scores)


def shown(path: Path) -> dict[str, Any]:
    """A JSON object that is only shown; {} where it is missing, or (which is said) damaged."""
    if not path.exists():
        return {}
    try:
        found = files.read_json(path)
    except DataError as error:
        logger.warning("%s; the report does without it", error)
        return {}
    return found if isinstance(found, dict) else {}


def last_decision(config: Config) -> Record:
    """The decision record; {} where there is none that can be told."""
    found = shown(config.decision)
    if not found or all(isinstance(found.get(key), str) for key in _ESSENTIAL):
        return _whole(found) if found else {}
    logger.warning("%s: not a decision record; the report does without it", config.decision)
    return {}


def latest_runs(config: Config, decision: Record) -> list[Record]:
    """The recorded runs, newest first; that of the decision stands in it once."""
    found: list[Record] = list(history.runs(config.history, limit=RUNS_READ))
    if decision.get("run_id") and decision["run_id"] not in {run.get("run_id") for run in found}:
        found.insert(0, decision)
    return [_whole(run) for run in found]


def _whole(record: Record) -> Record:
    """A record with every part that a report looks at; what an older one lacks is empty."""
    parts = {key: record.get(key) or {} for key in ("scores", "timings")}
    drift = {"performance": {}, "data": {}, "impact": {}, **(record.get("drift") or {})}
    return {**record, **parts, "drift": drift}
