"""The decision record of the last run, `models/decision.json`, read to be shown."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from attrition.core.atomic_files import read_json_object
from attrition.core.config import Config

Record = Mapping[str, Any]

_ESSENTIAL = ("time", "verdict", "reason")

logger = logging.getLogger(__name__)


def last_decision(config: Config) -> Record:
    """The decision record; {} where there is none that can be told."""
    found = read_json_object(config.decision)
    if not found or all(isinstance(found.get(key), str) for key in _ESSENTIAL):
        return with_every_part(found) if found else {}
    logger.warning("%s: not a decision record; the report does without it", config.decision)
    return {}


def with_every_part(record: Record) -> Record:
    """A record with every part that a report looks at; what an older one lacks is empty."""
    parts = {key: record.get(key) or {} for key in ("scores", "timings")}
    drift = {"performance": {}, "data": {}, "impact": {}, **(record.get("drift") or {})}
    return {**record, **parts, "drift": drift}
