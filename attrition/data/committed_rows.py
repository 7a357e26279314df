"""Checks that `finaldata.csv` still holds the rows that the ledger names, byte for byte.

If the file's stamp (size, times, inode) is still that of the last run, one stat proves it; else
the digest of each commit's bytes does. A file that somebody else has changed is never cut or
overwritten: it is refused, and the message says what to do.

Standard library only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from attrition.core import atomic_files
from attrition.core.config import Config
from attrition.core.errors import PipelineError
from attrition.data.ledger import Commit, Ledger


def stamp_of(status: os.stat_result) -> tuple[int, ...]:
    """The size, times and inode that show whether a file is unchanged."""
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def current_stamp(path: Path) -> tuple[int, ...] | None:
    """The stamp of a file; None when it is missing."""
    try:
        return stamp_of(path.stat())
    except FileNotFoundError:
        return None


def is_as_left(config: Config, ledger: Ledger) -> bool:
    """Whether `finaldata.csv` still has the stamp of the last run."""
    if ledger.store or not (ledger.commits or config.final_data.exists()):
        return True
    return ledger.stamp is not None and ledger.stamp == current_stamp(config.final_data)


def check(config: Config, ledger: Ledger) -> Ledger:
    """Check that `finaldata.csv` holds the committed rows, and nothing unknown after them.

    Returns:
        The ledger with the file's present stamp.

    Raises:
        PipelineError: somebody else has changed the file.
    """
    path = config.final_data
    if is_as_left(config, ledger) and not ledger.writing:
        return ledger
    stamp = current_stamp(path)
    size = stamp[0] if stamp else 0
    committed = ledger.committed_bytes
    if size < committed:
        state = f"{size:,} bytes long" if stamp else "gone"
        raise _changed(config, f"{state}, but {committed:,} bytes are committed")
    if size > committed and not ledger.writing:
        raise _changed(config, f"{size - committed:,} bytes follow the committed rows")
    if not stamp:
        return replace(ledger, stamp=None)
    for commit, digest in zip(ledger.commits, digests(path, ledger.commits), strict=True):
        if commit.sha256 != digest:
            raise _changed(
                config,
                f"the {commit.rows:,} rows of commit {commit.id} (bytes {commit.start:,} to "
                f"{commit.end:,}) are not those that were committed",
            )
    return replace(ledger, stamp=stamp)


def digests(path: Path, commits: Sequence[Commit]) -> Iterator[str]:
    """SHA-256 of the bytes of each commit in a file, as it is now."""
    for commit in commits:
        yield atomic_files.sha256_of_part(path, commit.start, commit.end - commit.start)


def advice(config: Config, path: Path) -> str:
    """Advice about a file of ingestion that somebody else has changed.

    It offers to accept the edits only where the file is not empty.
    """
    stands = (current_stamp(path) or (0,))[0] > 0
    accepted = (
        "run `python ingestion.py --accept-edits`, which checks every row and takes the file as "
        "it stands; or "
    )
    return (
        f"restore it, or {config.ledger} where that is an older copy; or {accepted * stands}delete "
        f"{config.ledger}: then the rows that stand there are checked and kept, and every file in "
        f"{config.input_folder_path} is read again"
    )


def _changed(config: Config, what: str) -> PipelineError:
    return PipelineError(
        f"{config.final_data}: changed since the last run: {what}; nothing was cut or changed; "
        f"{advice(config, config.final_data)}"
    )
