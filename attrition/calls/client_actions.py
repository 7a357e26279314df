"""What was done with one client, read from the database that `actions_store` writes.

It stands apart, since the server needs nothing else of it and starts without what that needs.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from pathlib import Path
from typing import Any

MOST_SHOWN = 100  # actions of a client

logger = logging.getLogger(__name__)


def actions_of(path: Path, client: str) -> list[dict[str, Any]]:
    """The newest actions of a client, latest first, for the API; [] where there are none."""
    if not path.exists():
        return []
    try:
        with contextlib.closing(read_only(path, 0.5)) as connection:
            rows = connection.execute(
                "SELECT day, kind, cost, note FROM actions WHERE client = ? "
                "ORDER BY day DESC, number DESC LIMIT ?",
                (client, MOST_SHOWN),
            ).fetchall()
    except sqlite3.Error as error:
        logger.warning("%s: not readable (%s)", path, error)
        return []
    return [dict(zip(("date", "action", "cost", "note"), row, strict=True)) for row in rows]


def read_only(path: Path, seconds: float) -> sqlite3.Connection:
    """The database, to be read; for so many seconds it waits for a run that writes."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=seconds)
