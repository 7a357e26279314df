"""The CSV files that lie in a folder: which there are, and whether they are there whole.

Only regular `.csv` and `.csv.gz` files are batches, in capital letters, too. Names that start with
a dot or end in `.part`, `.tmp` or `.crdownload` belong to uploads and are not looked at. What else
is called `x.csv` (a link, a pipe, a device, a folder) is refused without being waited for, and what
is called otherwise is named as not read.

Standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from attrition.core.errors import DataError

SUFFIXES = (".csv", ".csv.gz")
_UPLOADS = (".part", ".tmp", ".crdownload")
_OTHER_NAME = "its name does not end in .csv or .csv.gz; put CSV files here, unpacked or as .csv.gz"
_MISSING = "no such file; expected the path of a .csv or .csv.gz file"


@dataclass(frozen=True)
class Stamp:
    """What tells that a file is as it was: changes with every write or replacement.

    A size and a time of modification can be restored after a write, the time of change cannot.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(frozen=True)
class Batch:
    """A file of client rows as a listing found it."""

    path: Path
    stamp: Stamp

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def is_packed(self) -> bool:
        return self.name.lower().endswith(".gz")

    @property
    def unpacked_size(self) -> int:
        """Size in bytes, for a packed file a guess."""
        return self.stamp.size * (10 if self.is_packed else 1)


@dataclass(frozen=True)
class Refusal:
    """A file, or what is called like one, that cannot be used, and why."""

    name: str
    reason: str


def list_batches(folder: Path) -> tuple[list[Batch], list[Refusal]]:
    """Look at a folder, in the order of names.

    Returns:
        The batches, and what is called like one but refused.
    """
    found: list[Batch] = []
    refused: list[Refusal] = []
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if is_batch_name(entry.name))
    for name in names:
        path = folder / name
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        reason = _refusal(name, status)
        if reason is None:
            found.append(Batch(path, _stamp(status)))
        else:
            refused.append(Refusal(printable(name), reason))
    return found, refused


def list_unread(folder: Path) -> list[Refusal]:
    """What lies in a folder and is no batch by its name, in the order of names."""
    with os.scandir(folder) as entries:
        found = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    return [
        Refusal(printable(name), "a folder; put its files here" if is_folder else _OTHER_NAME)
        for name, is_folder in found
        if not (is_batch_name(name) or name.startswith(".") or name.lower().endswith(_UPLOADS))
    ]


def find_batch(path: Path) -> Batch:
    """One file, wherever it lies.

    Raises:
        DataError: there is none of that name, or it is refused.
    """
    if not is_batch_name(path.name):
        raise DataError("not called like a table; expected the path of a .csv or .csv.gz file")
    if not path.parent.is_dir():
        raise DataError(_MISSING)
    found, refused = list_batches(path.parent)
    for refusal in refused:
        if refusal.name == printable(path.name):
            raise DataError(f"refused: {refusal.reason}")
    for batch in found:
        if batch.name == path.name:
            return batch
    raise DataError(_MISSING)


def is_batch_name(name: str) -> bool:
    """Whether a name is that of a batch: not hidden, `.csv` or `.csv.gz` in any case."""
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def _refusal(name: str, status: os.stat_result) -> str | None:
    if printable(name) != name:
        return "its name holds control characters or is not UTF-8; rename it"
    kinds = (
        (stat.S_ISLNK, "a symbolic link; put the file itself here"),
        (stat.S_ISDIR, "a folder; put its files here"),
        (stat.S_ISFIFO, "a named pipe; only regular files are read"),
        (stat.S_ISSOCK, "a socket; only regular files are read"),
        (stat.S_ISREG, None),
    )
    for is_kind, reason in kinds:
        if is_kind(status.st_mode):
            return reason
    return "a device; only regular files are read"


def printable(name: str) -> str:
    """A file name as it can stand in a line of UTF-8 text."""
    text = name.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


@contextlib.contextmanager
def open_batch(batch: Batch) -> Iterator[BufferedReader]:
    """Open a batch for reading; never follows a link, never waits for a pipe's other end.

    Raises:
        DataError: it is no longer a regular file, or cannot be read.
    """
    try:
        descriptor = os.open(batch.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})") from None
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise DataError("no longer a regular file")
        yield stream


def is_unchanged(batch: Batch) -> bool:
    """Whether a file is still the one that was listed."""
    try:
        return _stamp(batch.path.lstat()) == batch.stamp
    except OSError:
        return False


def still_written(found: Iterable[Batch], settle_seconds: int) -> set[str]:
    """Find the batches that somebody is writing at this moment.

    On Linux a read lease tells at once: the kernel grants none while somebody has the file open
    for writing (fcntl(2), F_SETLEASE). Where there are no leases (another system, another user's
    file, some network folders) a file must have been left alone for a while; young ones are waited
    for together, once, and looked at again. So is a file whose last line has no line end, since an
    upload may have broken off there, and may soon go on.

    Args:
        found: the batches in question.
        settle_seconds: for how long a file must have been left alone, in seconds.

    Returns:
        The names of those that are not finished.
    """
    writing = set()
    young = []
    for batch in found:
        leased = _has_no_writer(batch)
        is_doubtful = leased is None or (leased and not _ends_in_line_end(batch))
        if is_doubtful and _age(batch) < settle_seconds:
            young.append(batch)
        elif leased is False:
            writing.add(batch.name)
    if young:
        time.sleep(settle_seconds)
        writing.update(batch.name for batch in young if not is_unchanged(batch))
    return writing


def _ends_in_line_end(batch: Batch) -> bool:
    """Whether a file's last byte is that of a line end; a packed one is whole or damaged."""
    if batch.is_packed or not batch.stamp.size:
        return True
    try:
        with open_batch(batch) as stream:
            stream.seek(-1, os.SEEK_END)
            return stream.read(1) == b"\n"
    except (OSError, DataError):
        return True


def _has_no_writer(batch: Batch) -> bool | None:
    """True or False as the kernel says; None where it cannot say."""
    if not hasattr(fcntl, "F_SETLEASE"):
        return None
    try:
        with open_batch(batch) as stream:
            # A writer that opens the file in between makes the kernel send a signal: one that is
            # ignored by default, since the usual one (SIGIO) would end the process.
            fcntl.fcntl(stream, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(stream, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(stream, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return False
    except (OSError, DataError):
        return None
    return True


def _age(batch: Batch) -> float:
    return time.time() - batch.stamp.mtime_ns / 1e9


def _stamp(status: os.stat_result) -> Stamp:
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
