"""What a run leaves in the folders, without what tells the time: equal runs, equal outcomes."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from contextlib import closing, suppress
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
    return {name: without_times(root, name, content) for name, content in tree(root).items()}


def without_times(root: Path, name: str, content: bytes | str) -> Any:
    """A file's content as it is, a record's without its times."""
    if name == "models/history.db":
        path = root / name
        return timeless([history.runs(path), [r for _, r in history.rankings(path)]])
    if isinstance(content, str):
        return content
    if name == "models/clients.db":
        return book(content)
    if name in ENDS:
        return content.rstrip().endswith(ENDS[name])
    if name.endswith((".json", "returns.txt", "returns2.txt")):
        return timeless(json.loads(content))
    return content


def state(root: Path) -> str:
    """A digest of what a killed run left: every name, size and content, without times.

    Two kills that leave the same state leave the next run the same work.
    """
    parts = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
    for name, content in tree(root).items():
        timeless_content: Any = content
        with suppress(ValueError, sqlite3.Error):  # cut in the middle: all of it counts
            timeless_content = without_times(root, name, content)
        parts.append(repr((name, len(content), timeless_content)))
    named = re.sub(r"\.tmp-\d+-", ".tmp-", "\n".join(parts))  # a process's number
    return hashlib.sha256(named.encode(errors="surrogateescape")).hexdigest()


def raw_state(root: Path) -> str:
    """A digest of every name and content below a folder, to compare moments of one run."""
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
    return hashlib.sha256(repr((names, tree(root))).encode(errors="surrogateescape")).hexdigest()


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
