"""Temporary folders for intermediate results, among the system's temporary files.

They may hold clients' rows. A killed process cannot remove its own folder, so a later run does.
A process locks the folder it uses until it ends: a server may run for months.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROWS, PACKAGES, COUNTS = "client-attrition-risk-", "attrition-packages-", "attrition-counts-"
_LEFT_BEHIND_SECONDS = 24 * 3600  # longer than it takes to make a folder and to lock it


@contextlib.contextmanager
def scratch_folder(prefix: str = ROWS) -> Iterator[Path]:
    """Give an empty folder that only this user may read; remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        lock = hold(Path(name))
        try:
            yield Path(name)
        finally:
            os.close(lock)


def hold(folder: Path) -> int:
    """Mark a folder as in use by a lock that lasts while the returned descriptor is open."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return descriptor


def sweep_scratch_folders() -> list[Path]:
    """Remove this user's scratch folders that are not in use and were unchanged for a day.

    Returns:
        The removed folders.
    """
    temporary = Path(tempfile.gettempdir())
    folders = (path for prefix in (ROWS, PACKAGES, COUNTS) for path in temporary.glob(f"{prefix}*"))
    removed = []
    for path in sorted(folders):
        with contextlib.suppress(FileNotFoundError):
            status = path.lstat()
            is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
            is_old = time.time() - status.st_mtime > _LEFT_BEHIND_SECONDS
            if is_ours and is_old and not _is_held(path):
                shutil.rmtree(path, ignore_errors=True)
                removed.append(path)
    return removed


def _is_held(folder: Path) -> bool:
    """Whether a process uses a folder; where that cannot be determined, it counts as used."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
