"""Who may read the files that the pipeline writes: its user and that user's group, nobody else.

They hold clients' rows. A stricter umask that the process was started with is kept.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False  # as in `typing`, without the cost of importing it
if TYPE_CHECKING:
    from collections.abc import Iterable


_MASK = 0o027  # the group reads, others do not


def keep_private() -> int:
    """Restrict files that this process creates to its user and group; return the umask."""
    mask = os.umask(_MASK) | _MASK
    os.umask(mask)
    return mask


def tighten(paths: Iterable[str | os.PathLike[str]]) -> None:
    """Remove permissions that the umask forbids from this user's files and folders."""
    mask = keep_private()
    for path in paths:
        try:
            mode = os.lstat(path).st_mode
            if mode & mask and not stat.S_ISLNK(mode):
                os.chmod(path, stat.S_IMODE(mode) & ~mask)  # noqa: PTH101 - pathlib is slow
        except OSError:
            continue  # it is gone, or belongs to another user
