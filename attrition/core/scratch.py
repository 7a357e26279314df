"""Folders for what a computation puts aside, among the system's temporary files.

They may hold clients' rows. A process that is killed cannot remove its own, so a later run does.
Who uses one holds a lock on it, which ends with the process: a server may run for months.
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
    """Give an empty folder that only this user may look into; it is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        lock = hold(Path(name))
        try:
            yield Path(name)
        finally:
            os.close(lock)


def hold(folder: Path) -> int:
    """Lock a folder as one in use, for as long as the descriptor that is returned is open."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return descriptor


def sweep_scratch_folders() -> list[Path]:
    """Remove this user's scratch folders that nobody uses or has touched for a day.

    Returns:
        The removed folders.
    """
    temporary = Path(tempfile.gettempdir())
    found = (path for prefix in (ROWS, PACKAGES, COUNTS) for path in temporary.glob(f"{prefix}*"))
    removed = []
    for path in sorted(found):
        with contextlib.suppress(FileNotFoundError):
            status = path.lstat()
            is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
            is_old = time.time() - status.st_mtime > _LEFT_BEHIND_SECONDS
            if is_ours and is_old and not _is_held(path):
                shutil.rmtree(path, ignore_errors=True)
                removed.append(path)
    return removed


def _is_held(folder: Path) -> bool:
    """Whether somebody uses a folder; where that cannot be told, it counts as used."""
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
