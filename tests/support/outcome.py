"""What a run leaves in the folders, without what tells the time: equal runs, equal outcomes."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from attrition.runs import history

# Keys of JSON records that tell when, how long, or where on the disk.
TIMED = frozenset(
    "run_id time finished_at timings execution_times deployed_at idle_state inputs "
    "seen_ns mtime_ns ctime_ns inode stamp "
    "manifest_sha256".split()  # a digest of all the others
)
# A run that takes up a killed one found the new file ingested already. That is all it may say
# otherwise: what it decided, deployed, listed and drew is the same.
INGESTED_BEFORE = frozenset({"ingestion", "new_rows"})
# How the reports end; times stand everywhere in them, in their pictures, too.
ENDS = {"models/report.html": b"</html>", "models/report.pdf": b"%%EOF"}


def tree(root: Path) -> dict[str, bytes | str]:
    """Content of every file below a folder but the log and the lock."""
    return {
        str(path.relative_to(root)): str(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        for path in sorted(root.rglob("*"))
        if (path.is_symlink() or path.is_file()) and not path.name.startswith(("cron.log", ".lock"))
    }


def outcome(root: Path) -> dict[str, Any]:
    """Every file below a project's folder: bytes as they are, records without their times."""
    found: dict[str, Any] = {}
    for name, content in tree(root).items():
        if name == "models/history.db":
            path = root / name
            found[name] = timeless([history.runs(path), [r for _, r in history.rankings(path)]])
        elif name == "models/clients.db":
            found[name] = book(content) if isinstance(content, bytes) else content
        elif name in ENDS and isinstance(content, bytes):
            found[name] = content.rstrip().endswith(ENDS[name])
        elif name.endswith((".json", "returns.txt", "returns2.txt")) and isinstance(content, bytes):
            found[name] = timeless(json.loads(content))
        else:
            found[name] = content
    return found


def book(content: bytes) -> dict[str, Any]:
    """Every row of the clients' book, the time of its making left out."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(content)
        (about,) = database.execute("SELECT about FROM about").fetchone()
        rows = [
            database.execute(f"SELECT * FROM {name} ORDER BY place").fetchall()
            for name in ("clients", "details")
        ]
    return {"about": timeless(json.loads(about)), "rows": rows}


def timeless(value: Any) -> Any:
    """A record without its times."""
    if isinstance(value, dict):
        left_out = TIMED | INGESTED_BEFORE if "verdict" in value else TIMED
        return {key: timeless(item) for key, item in value.items() if key not in left_out}
    if isinstance(value, list):
        return [timeless(item) for item in value]
    return value


def differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Names of the files that differ, for a message that can be read."""
    names = sorted(found.keys() | expected.keys())
    return [name for name in names if found.get(name) != expected.get(name)]


def stamped_tree(root: Path) -> dict[str, str]:
    """Digest of every file and target of every link, with the time of change."""
    return {
        str(path): f"{path.lstat().st_mtime_ns} "
        + (str(path.readlink()) if path.is_symlink() else "")
        + (hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "")
        for path in sorted(root.rglob("*"))
    }
