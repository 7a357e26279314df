"""The SQLite file behind the history: kept whole, moved aside if damaged or of another version.

Standard library only. It keeps SQLite's rollback journal: after a kill at any moment the next
writer finds either the whole of what was added or none, and readers (unlike under WAL) write
nothing beside the file. What fails is said in the log and never raised: the history informs, and
stops no run.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

VERSION = 1  # of the tables below (PRAGMA user_version); an empty file is of version 0
_TABLES = (
    """CREATE TABLE runs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of recording, whatever the clock
        run_id TEXT NOT NULL UNIQUE,
        time TEXT NOT NULL,
        verdict TEXT NOT NULL,
        reason TEXT NOT NULL,
        release_before TEXT,
        release_after TEXT,
        new_rows INTEGER,
        scores TEXT NOT NULL,   -- this and the next two are JSON
        drift TEXT NOT NULL,
        details TEXT NOT NULL,
        digest TEXT NOT NULL,   -- SQLite sees a damaged page, and no damaged letter in it
        is_thin INTEGER NOT NULL DEFAULT 0   -- whether only the figures of the run are left
    )""",
    "CREATE INDEX full_runs ON runs (number) WHERE is_thin = 0",
    """CREATE TABLE timings (
        number INTEGER NOT NULL REFERENCES runs (number),
        stage TEXT NOT NULL,
        seconds REAL NOT NULL,
        PRIMARY KEY (number, stage)
    ) WITHOUT ROWID""",
    "CREATE INDEX timings_by_stage ON timings (stage, number)",  # for latest_timings
    """CREATE TABLE rankings (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL UNIQUE,
        time TEXT NOT NULL,
        ranking TEXT NOT NULL,   -- JSON
        digest TEXT NOT NULL
    )""",
    """CREATE TABLE clients (
        number INTEGER PRIMARY KEY,
        client TEXT NOT NULL UNIQUE,
        probability REAL NOT NULL   -- in the newest ranking the client was in
    )""",
    # A row only where a client's probability became another one. Numbers instead of references
    # that SQLite checks: it would look through all rows for each ranking that is forgotten.
    """CREATE TABLE risks (
        client INTEGER NOT NULL,
        ranking INTEGER NOT NULL,
        probability REAL NOT NULL,
        PRIMARY KEY (client, ranking)
    ) WITHOUT ROWID""",
    f"PRAGMA user_version = {VERSION}",
)
# An SQL error in a history of this version: its tables are not those that we made.
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
DAMAGED = "it is damaged; one of the next runs that are not idle moves it aside"
_HALF_WRITTEN = "a run was ended while it recorded; the next one that is not idle takes that back"
_BUSY_SECONDS = 5.0
_WHOLE_EVERY = 20  # runs; the whole file is looked through as often, and where a reader met damage
_suspected: set[Path] = set()  # histories in which this process met damage as it read them

T = TypeVar("T")

logger = logging.getLogger(__name__)


def write(path: Path, add: Callable[[sqlite3.Connection], None], what: str) -> None:
    """Add something in one transaction, if need be to a new file; what fails is said in the log."""
    try:
        try:
            _add(path, add)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            if not _is_damage(error) and not path.is_dir():
                raise
            _move_aside(path, error)
            _add(path, add)
    except (sqlite3.Error, OSError) as error:
        logger.warning("%s: %s could not be recorded (%s)", path, what, error)


def _add(path: Path, add: Callable[[sqlite3.Connection], None]) -> None:
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    with contextlib.closing(connection):
        connection.text_factory = _text
        connection.execute("PRAGMA synchronous = EXTRA")  # the journal's end is durable, too
        connection.execute("PRAGMA foreign_keys = ON")
        with _transaction(connection):
            if _is_begun(connection):
                _check_pages(path, connection)
            else:
                for statement in _TABLES:
                    connection.execute(statement)
            add(connection)


def _check_pages(path: Path, connection: sqlite3.Connection) -> None:
    """Look at every page from time to time: it takes the longer the more runs there are."""
    is_due = connection.execute(
        "SELECT 1 FROM sqlite_sequence WHERE name = 'runs' AND seq % ? = 0", (_WHOLE_EVERY,)
    ).fetchone()
    if is_due or path in _suspected:
        (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        _suspected.discard(path)
        if finding != "ok":
            raise _Damaged(finding)


def read(path: Path, ask: Callable[[sqlite3.Connection], T], otherwise: T, mode: str = "ro") -> T:
    """Ask over a connection that cannot write; without a readable history, the other answer.

    In mode `rw`, for who may write, SQLite first takes back what was written by halves.
    """
    if not path.exists():
        return otherwise
    try:
        return _asked(path, ask, otherwise, mode)
    # IndexError: a column of another name; ValueError: a text that is no JSON.
    except (sqlite3.Error, IndexError, ValueError) as error:
        _suspected.add(path)
        logger.warning("%s: the history cannot be read (%s)", path, error)
        return otherwise


def _asked(path: Path, ask: Callable[[sqlite3.Connection], T], otherwise: T, mode: str) -> T:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS)) as reader:
        reader.row_factory = sqlite3.Row
        reader.text_factory = _text
        return ask(reader) if _is_begun(reader) else otherwise


def fault(path: Path) -> str | None:
    """Why no run can be read from a history, and what becomes of it; None where they can be."""
    try:
        if path.exists():
            _asked(path, lambda reader: reader.execute("SELECT max(number) FROM runs"), None, "ro")
    except sqlite3.Error as error:
        if _is_damage(error):
            return DAMAGED
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_READONLY_ROLLBACK:
            return _HALF_WRITTEN
        return f"it cannot be read ({error})"
    return None


def _text(raw: bytes) -> str:
    """A text of the file; of a damaged one, that much can be shown."""
    return raw.decode("utf-8", "replace")


def _is_begun(connection: sqlite3.Connection) -> bool:
    """Whether an open history has its tables; False of an empty one.

    Raises:
        sqlite3.DatabaseError: another version of this pipeline wrote it.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in (0, VERSION):
        raise _Damaged(f"it is of version {version}, this pipeline reads version {VERSION}")
    return bool(version)


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # SQLite has ended it already where the disk is full
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


class _Damaged(sqlite3.DatabaseError):
    """SQLite opened the file, but its pages are inconsistent or its version is another one."""


def error_kind(error: Exception) -> int:
    """SQLite's primary result code; 0 of an error that has none."""
    # The low byte is the kind of error, the rest tells more about it.
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def _is_damage(error: Exception) -> bool:
    # Where a damaged name stands in SQLite's message, Python cannot decode the message.
    return isinstance(error, (_Damaged, UnicodeDecodeError)) or error_kind(error) in _DAMAGED


def _move_aside(path: Path, error: Exception) -> None:
    """Keep a damaged history for whoever wants to rescue what is in it."""
    number = 1
    while (aside := path.with_name(f"{path.stem}-corrupt-{number}{path.suffix}")).exists():
        number += 1
    path.replace(aside)
    logger.warning("%s: not usable (%s); kept as %s, a new one begins", path, error, aside.name)
