"""Folders for what a computation puts aside, among the system's temporary files.

They hold clients' rows. A process that is killed cannot remove its own, so a later run does.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "client-attrition-risk-"
_LEFT_BEHIND_SECONDS = 24 * 3600  # longer than any run or request may take


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give an empty folder that only this user may look into; it is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
        yield Path(name)


def sweep_scratch_folders() -> list[Path]:
    """Remove this user's scratch folders that nobody has touched for a day.

    Returns:
        The removed folders.
    """
    removed = []
    for path in sorted(Path(tempfile.gettempdir()).glob(f"{_PREFIX}*")):
        with contextlib.suppress(FileNotFoundError):
            status = path.lstat()
            is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
            if is_ours and time.time() - status.st_mtime > _LEFT_BEHIND_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
                removed.append(path)
    return removed
