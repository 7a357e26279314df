"""Every run that was not idle, in `models/history.db` (SQLite), for trends and for questions later.

Beside the runs it remembers the last rankings of clients, until outcomes tell whether they helped.

Standard library only. The record of a run is a mapping with at least `time` (UTC, ISO 8601),
`verdict` and `reason`; the keys `release_before`, `release_after`, `new_rows`, `scores`, `drift`
and `timings` (stage -> seconds) have columns of their own, all others travel along as details.

The history informs and never decides, so it never stops a run: what cannot be recorded is said
in the log. It keeps SQLite's rollback journal: after a kill at any moment the next writer finds
either the whole record or none, and readers (unlike under WAL) write nothing beside the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from attrition import files

# Step n lifts a file of version n to version n + 1 (PRAGMA user_version). Steps are only added.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
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
            details TEXT NOT NULL
        )""",
        """CREATE TABLE timings (
            number INTEGER NOT NULL REFERENCES runs (number),
            stage TEXT NOT NULL,
            seconds REAL NOT NULL,
            PRIMARY KEY (number, stage)
        ) WITHOUT ROWID""",
    ),
    (
        """CREATE TABLE rankings (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            key TEXT NOT NULL UNIQUE,
            time TEXT NOT NULL,
            ranking TEXT NOT NULL   -- JSON
        )""",
    ),
    ("CREATE INDEX timings_by_stage ON timings (stage, number)",),  # for latest_timings
    (
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
    ),
)
_PLAIN = ("run_id", "time", "verdict", "reason", "release_before", "release_after", "new_rows")
_JSON = ("scores", "drift")
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_BUSY_SECONDS = 5.0
_RANKINGS_SINCE, _RISKS_SINCE = 2, 4  # version of the file

T = TypeVar("T")
logger = logging.getLogger(__name__)


def record_run(path: Path, record: Mapping[str, Any]) -> None:
    """Add a run to the history; one that stands there already (by `run_id`) is left as it is.

    A damaged history is moved aside and a new one begun.

    Args:
        path: the database.
        record: see the module. Without a `run_id` the record's content stands for it.
    """

    def add(connection: sqlite3.Connection) -> None:
        _insert(connection, _row(record), dict(record.get("timings") or {}))

    _write(path, add, "this run")


def record_ranking(
    path: Path,
    key: str,
    time: str,
    ranking: Mapping[str, Any],
    keep: int,
    *,
    risks: Mapping[str, float] = MappingProxyType({}),
) -> None:
    """Add a ranking of clients, and forget the oldest ones; one that stands there is left as it is.

    Args:
        path: the database.
        key: names the ranking.
        time: when it was made, UTC, ISO 8601.
        ranking: plain values.
        keep: so many rankings stay.
        risks: client -> probability; remembered where it is another than in the ranking before.
    """

    def add(connection: sqlite3.Connection) -> None:
        done = connection.execute(
            "INSERT INTO rankings (key, time, ranking) VALUES (?, ?, ?) "
            "ON CONFLICT (key) DO NOTHING",
            (key, time, _json(ranking)),
        )
        is_new, number = done.rowcount > 0, done.lastrowid
        _forget_rankings(connection, keep)
        if is_new and number is not None:
            _remember_risks(connection, number, risks)

    _write(path, add, "this ranking")


def rankings(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The remembered rankings, newest first: time, and what was recorded."""

    def newest(reader: sqlite3.Connection) -> list[tuple[str, dict[str, Any]]]:
        if _version(reader) < _RANKINGS_SINCE:
            return []
        rows = reader.execute("SELECT time, ranking FROM rankings ORDER BY number DESC")
        return [(row["time"], json.loads(row["ranking"])) for row in rows]

    return _read(path, newest, [])


def risks_of(path: Path, client: str) -> list[dict[str, Any]]:
    """A client's risk where it changed, oldest first: `time`, `probability` and `release`."""

    def changes(reader: sqlite3.Connection) -> list[dict[str, Any]]:
        if _version(reader) < _RISKS_SINCE:
            return []
        rows = reader.execute(
            "SELECT time, risks.probability, rankings.ranking FROM risks "
            "JOIN clients ON clients.number = risks.client "
            "JOIN rankings ON rankings.number = risks.ranking "
            "WHERE clients.client = ? ORDER BY rankings.number",
            (client,),
        )
        return [
            {"time": row["time"], "probability": row["probability"],
             "release": json.loads(row["ranking"]).get("release")}
            for row in rows
        ]  # fmt: skip

    return _read(path, changes, [])


def runs(path: Path, limit: int | None = None) -> list[dict[str, Any]]:
    """The recorded runs, newest first, each as it was recorded plus its `run_id`.

    Args:
        path: the database; absent or unreadable means no runs (the latter is said in the log).
        limit: at most so many; None for all.
    """

    def newest(reader: sqlite3.Connection) -> list[dict[str, Any]]:
        rows = reader.execute(
            "SELECT * FROM runs ORDER BY number DESC LIMIT ?", (-1 if limit is None else limit,)
        ).fetchall()
        return [_restored(row, _timings(reader, row["number"])) for row in rows]

    return _read(path, newest, [])


def has_run(path: Path, run_id: str) -> bool:
    """Whether a run is recorded."""

    def find(reader: sqlite3.Connection) -> bool:
        found = reader.execute("SELECT 1 FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        return found is not None

    return _read(path, find, False)


def latest_timings(path: Path) -> dict[str, float]:
    """Seconds of each stage, each from the newest run in which that stage did its work."""

    def newest_each(reader: sqlite3.Connection) -> dict[str, float]:
        # SQLite takes a bare column from the row in which max() was found.
        rows = reader.execute(
            "SELECT stage, seconds, max(number) FROM timings GROUP BY stage ORDER BY stage"
        )
        return {row["stage"]: row["seconds"] for row in rows}

    return _read(path, newest_each, {})


def migrate(connection: sqlite3.Connection, steps: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Lift a history to the newest version, in one transaction; the runs in it stay.

    Raises:
        sqlite3.NotSupportedError: a newer version of this pipeline wrote it.
    """
    version = _version(connection)
    if version > len(steps):
        raise sqlite3.NotSupportedError(
            f"it is of version {version}, this pipeline knows versions up to {len(steps)}"
        )
    if version == len(steps):
        return
    with _transaction(connection):
        for statements in steps[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(steps)}")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _write(path: Path, add: Callable[[sqlite3.Connection], None], what: str) -> None:
    """Add something in one transaction, if need be to a new file; what fails is said in the log."""
    try:
        try:
            _add(path, add)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            _move_aside(path, error)
            _add(path, add)
    except (sqlite3.Error, OSError) as error:
        logger.warning("%s: %s could not be recorded (%s)", path, what, error)


def _add(path: Path, add: Callable[[sqlite3.Connection], None]) -> None:
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    with contextlib.closing(connection):
        connection.execute("PRAGMA synchronous = EXTRA")  # the journal's end is durable, too
        connection.execute("PRAGMA foreign_keys = ON")
        (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if finding != "ok":
            raise _Damaged(finding)
        migrate(connection)
        with _transaction(connection):
            add(connection)


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a record; strict JSON, so that nan reads back as None everywhere."""
    row = {key: record.get(key) for key in _PLAIN}
    row |= {key: record[key] for key in ("time", "verdict", "reason")}
    row["run_id"] = record.get("run_id") or hashlib.sha256(_json(record).encode()).hexdigest()
    row |= {key: _json(record.get(key)) for key in _JSON}
    known = (*_PLAIN, *_JSON, "timings")
    row["details"] = _json({key: value for key, value in record.items() if key not in known})
    return row


def _json(value: Any) -> str:
    return json.dumps(files.strict(value), ensure_ascii=False, sort_keys=True)


def _insert(
    connection: sqlite3.Connection, row: Mapping[str, Any], timings: Mapping[str, float]
) -> None:
    marks = ", ".join(f":{column}" for column in row)
    done = connection.execute(
        f"INSERT INTO runs ({', '.join(row)}) VALUES ({marks}) ON CONFLICT (run_id) DO NOTHING",
        dict(row),
    )
    if done.rowcount:
        connection.executemany(
            "INSERT INTO timings VALUES (?, ?, ?)",
            [(done.lastrowid, stage, seconds) for stage, seconds in timings.items()],
        )


def _forget_rankings(connection: sqlite3.Connection, keep: int) -> None:
    """Forget the oldest rankings, the risks told then, and clients of whom nothing is left."""
    done = connection.execute(
        "DELETE FROM rankings WHERE number NOT IN "
        "(SELECT number FROM rankings ORDER BY number DESC LIMIT ?)",
        (keep,),
    )
    if done.rowcount:
        connection.execute("DELETE FROM risks WHERE ranking < (SELECT min(number) FROM rankings)")
        connection.execute(
            "DELETE FROM clients WHERE NOT EXISTS "
            "(SELECT 1 FROM risks WHERE risks.client = clients.number)"
        )


def _remember_risks(
    connection: sqlite3.Connection, ranking: int, risks: Mapping[str, float]
) -> None:
    """Add the risks that are news."""
    known = {
        row[0]: row[1:]
        for row in connection.execute("SELECT client, number, probability FROM clients")
    }
    new = [(client, risk) for client, risk in risks.items() if client not in known]
    changed = [
        (risk, known[client][0])
        for client, risk in risks.items()
        if client in known and known[client][1] != risk
    ]
    connection.executemany("INSERT INTO clients (client, probability) VALUES (?, ?)", new)
    connection.executemany("UPDATE clients SET probability = ? WHERE number = ?", changed)
    connection.executemany(
        "INSERT INTO risks SELECT number, ?, probability FROM clients WHERE client = ?",
        [(ranking, client) for client, _ in new],
    )
    connection.executemany(
        "INSERT INTO risks VALUES (?, ?, ?)",
        [(number, ranking, risk) for risk, number in changed],
    )


def _timings(connection: sqlite3.Connection, number: int) -> dict[str, float]:
    rows = connection.execute(
        "SELECT stage, seconds FROM timings WHERE number = ? ORDER BY stage", (number,)
    )
    return {row["stage"]: row["seconds"] for row in rows}


def _restored(row: sqlite3.Row, timings: dict[str, float]) -> dict[str, Any]:
    record = {key: row[key] for key in _PLAIN}
    record |= {key: json.loads(row[key]) for key in _JSON}
    return {**record, "timings": timings, **json.loads(row["details"])}


def _read(path: Path, ask: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
    """Ask over a connection that cannot write; without a readable history, the other answer."""
    if not path.exists():
        return otherwise
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS)) as reader:
            reader.row_factory = sqlite3.Row
            return ask(reader) if _version(reader) else otherwise
    except sqlite3.Error as error:
        logger.warning("%s: the history cannot be read (%s)", path, error)
        return otherwise


class _Damaged(sqlite3.DatabaseError):
    """SQLite opened the file and then found its pages inconsistent."""


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    # The low byte is the kind of error, the rest tells more about it.
    code = getattr(error, "sqlite_errorcode", None) or 0
    return isinstance(error, _Damaged) or code & 0xFF in _DAMAGED


def _move_aside(path: Path, error: Exception) -> None:
    """Keep a damaged history for whoever wants to rescue what is in it."""
    number = 1
    while (aside := path.with_name(f"{path.stem}-corrupt-{number}{path.suffix}")).exists():
        number += 1
    path.replace(aside)
    logger.warning("%s: damaged (%s); kept as %s, a new one begins", path, error, aside.name)
