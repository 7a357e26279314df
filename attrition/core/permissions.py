"""Who may read what the pipeline writes: its user and that user's group, nobody else.

Clients' rows stand in it. A stricter umask that the process was started with is kept.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False  # that of `typing`, without the price of importing it
if TYPE_CHECKING:
    from collections.abc import Iterable


_MASK = 0o027  # the group reads, others do not


def keep_private() -> int:
    """Let the files that this process makes be for its user and group; the mask in force."""
    mask = os.umask(_MASK) | _MASK
    os.umask(mask)
    return mask


def tighten(paths: Iterable[str | os.PathLike[str]]) -> None:
    """Take from files and folders of this user what the mask would not have given them."""
    mask = keep_private()
    for path in paths:
        try:
            mode = os.lstat(path).st_mode
            if mode & mask and not stat.S_ISLNK(mode):
                os.chmod(path, stat.S_IMODE(mode) & ~mask)  # noqa: PTH101 - pathlib is dear
        except OSError:
            continue  # it has gone, or is somebody else's
