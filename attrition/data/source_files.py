"""The CSV files in a folder: which there are, and whether they are completely written.

Only regular files named `.csv` or `.csv.gz`, in any case, are batches. Names that start with a dot
or end in `.part`, `.tmp` or `.crdownload` belong to uploads and are ignored. Anything else named
`x.csv` (a link, a pipe, a device, a folder) is refused without waiting for it, and files with other
names are reported as not read.

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


@dataclass(frozen=True)
class Stamp:
    """The values that show whether a file is unchanged: every write or replacement changes them.

    Size and time of modification can be restored after a write; the time of change cannot.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(frozen=True)
class Batch:
    """A file of client rows with its stamp at the time it was listed."""

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
        """Size in bytes; for a packed file a guess."""
        return self.stamp.size * (10 if self.is_packed else 1)


@dataclass(frozen=True)
class Refusal:
    """An entry of a folder that cannot be used, and why."""

    name: str
    reason: str


def list_batches(folder: Path) -> tuple[list[Batch], list[Refusal]]:
    """List the batches of a folder in the order of names.

    Returns:
        The batches, and the refused entries that are named like one.
    """
    batches: list[Batch] = []
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
            batches.append(Batch(path, _stamp(status)))
        else:
            refused.append(Refusal(printable(name), reason))
    return batches, refused


def list_unread(folder: Path) -> list[Refusal]:
    """The entries of a folder that are not named like a batch, in the order of names."""
    with os.scandir(folder) as entries:
        listed = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    return [
        Refusal(printable(name), "a folder; put its files here" if is_folder else _OTHER_NAME)
        for name, is_folder in listed
        if not (is_batch_name(name) or name.startswith(".") or name.lower().endswith(_UPLOADS))
    ]


def find_batch(path: Path) -> Batch:
    """The batch at a path.

    Raises:
        DataError: there is no such file, or it is refused.
    """
    if not is_batch_name(path.name):
        raise DataError("not called like a table; expected the path of a .csv or .csv.gz file")
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        raise DataError("no such file; expected the path of a .csv or .csv.gz file") from None
    reason = _refusal(path.name, status)
    if reason is not None:
        raise DataError(f"refused: {reason}")
    return Batch(path, _stamp(status))


def is_batch_name(name: str) -> bool:
    """Whether a name is that of a batch: not hidden, ending in `.csv` or `.csv.gz` in any case."""
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
    """A file name as printable UTF-8 text, other characters escaped."""
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


def still_written(batches: Iterable[Batch], settle_seconds: int) -> set[str]:
    """Find the batches that are still being written.

    On Linux a read lease shows it at once: the kernel grants none while a process has the file
    open for writing (fcntl(2), F_SETLEASE). Where there are no leases (another system, another
    user's file, some network folders) a file must have been unchanged for a while; this waits once
    for all recent ones, then checks them again. The same holds for a file whose last line has no
    line end, since an upload may have broken off there, and may soon continue.

    Args:
        batches: the batches to check.
        settle_seconds: how long a file must have been unchanged, in seconds.

    Returns:
        The names of the batches that are not finished.
    """
    writing = set()
    young = []
    for batch in batches:
        leased = _has_no_writer(batch)
        is_doubtful = leased is None or (leased and not _ends_in_line_end(batch))
        age = time.time() - batch.stamp.mtime_ns / 1e9
        if is_doubtful and age < settle_seconds:
            young.append(batch)
        elif leased is False:
            writing.add(batch.name)
    if young:
        time.sleep(settle_seconds)
        writing.update(batch.name for batch in young if not is_unchanged(batch))
    return writing


def _ends_in_line_end(batch: Batch) -> bool:
    """Whether a file ends in a line end; True for a packed one, which is whole or damaged."""
    if batch.is_packed or not batch.stamp.size:
        return True
    try:
        with open_batch(batch) as stream:
            stream.seek(-1, os.SEEK_END)
            return stream.read(1) == b"\n"
    except (OSError, DataError):
        return True


def _has_no_writer(batch: Batch) -> bool | None:
    """Whether no process has a batch open for writing; None where the kernel cannot say."""
    if not hasattr(fcntl, "F_SETLEASE"):
        return None
    try:
        with open_batch(batch) as stream:
            # If a writer opens the file meanwhile, the kernel sends this signal, which is ignored
            # by default; the usual one (SIGIO) would end the process.
            fcntl.fcntl(stream, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(stream, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(stream, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return False
    except (OSError, DataError):
        return None
    return True


def _stamp(status: os.stat_result) -> Stamp:
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
