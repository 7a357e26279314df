"""The lock that lets one run at a time change the pipeline's files (`flock`)."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from attrition.core.errors import AlreadyRunning, PipelineError


@contextlib.contextmanager
def run_lock(*paths: Path) -> Iterator[None]:
    """Hold the locks needed to change files of the pipeline.

    The kernel (`flock`) releases them when the process ends, however it ends. The lock files are
    never deleted, since two runs could then hold locks on two files of one name.

    Raises:
        AlreadyRunning: another process holds one of them.
    """
    with contextlib.ExitStack() as held:
        for path in paths:
            stream = held.enter_context(_open_lock(path))
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunning(
                    f"another run is at work (it holds {path}); nothing was done, try again later"
                ) from None
        yield


def _open_lock(path: Path) -> IO[str]:
    try:
        return path.open("a")
    except OSError as error:
        raise PipelineError(f"{path}: the run lock cannot be opened ({error.strerror})") from None
