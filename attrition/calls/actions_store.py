"""What was done with clients, kept in `ingesteddata/actions.db` (SQLite), one row an action.

The files in the folder of actions are taken in as batches are: by content, not by name; a content
once; unchanged files are not read again; a file that is still being written waits. Rows and ledger
change in one transaction: a run that is killed leaves all of a run's actions or none. An action
stays when its file goes. If the database is missing, the files are read again.

Rows that cannot be used go to `ingesteddata/quarantine/actions-...`. So do those of clients who are
in no row yet, for people to see: they are kept, and count as soon as the client comes.
"""

from __future__ import annotations

import contextlib
import csv
import json
import logging
import secrets
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

from attrition.calls.actions import Actions, check_actions
from attrition.calls.client_actions import read_only
from attrition.core import atomic_files, clock
from attrition.core.config import Config
from attrition.core.errors import DataError, PipelineError
from attrition.core.formatting import moment, plural
from attrition.data import recovery, source_files
from attrition.data.client_table import unpacked
from attrition.data.csv_records import read_header, read_records
from attrition.data.csv_scan import scan_file
from attrition.data.discovery import NewBatch, survey, without
from attrition.data.ingestion_result import actions_text
from attrition.data.ledger import (
    INGESTED,
    REJECTED,
    Ledger,
    LedgerEntry,
    ledger_json,
    parse_ledger,
)
from attrition.data.source_files import Refusal

VERSION = 1  # of the tables below (PRAGMA user_version)
_TABLES = (
    "CREATE TABLE ledger (ledger TEXT NOT NULL)",  # one row, JSON
    """CREATE TABLE actions (
        number INTEGER PRIMARY KEY,
        client TEXT NOT NULL,
        day TEXT NOT NULL,   -- 2026-01-31
        kind TEXT NOT NULL,
        cost REAL,
        note TEXT NOT NULL
    )""",
    # Equal rows count once, in whatever files they come. No cost is below 0.
    "CREATE UNIQUE INDEX same ON actions (client, day, kind, note, ifnull(cost, -1))",
    f"PRAGMA user_version = {VERSION}",
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ActionsTaken:
    """What a run did with the files of actions.

    Attributes:
        files: the new ones, with their folder, in the order of their names; `kept` are the new
            actions.
        refused: what is not read there, named when it is new.
        waiting: names of files that are still being written.
        notices: what ever was odd about them, each with its time, oldest first.
        known: number of all actions, of whatever file.
        store: the mark of the database; None without one.
    """

    files: tuple[LedgerEntry, ...] = ()
    refused: tuple[Refusal, ...] = ()
    waiting: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    known: int = 0
    store: str | None = None


def take_in(config: Config, known: Callable[[set[str]], Mapping[str, str]]) -> ActionsTaken:
    """Take in new files of actions; to be called under the run lock, after the clients' rows.

    Without ids there are no clients to act on; the folder is then not read.

    Args:
        known: gives those of some ids that a client has, or has almost, and the client's id.

    Raises:
        PipelineError: the database cannot be written.
    """
    has_folder = config.actions_folder.is_dir()
    if config.id_column is None or not (has_folder or config.actions.exists()):
        return ActionsTaken()
    try:
        with _opened_to_write(config.actions) as (connection, ledger):
            taken = ActionsTaken(notices=_notices(ledger), store=ledger.store or None)
            if has_folder:
                taken = _take_in(config, connection, ledger, known)
            (count,) = connection.execute("SELECT count(*) FROM actions").fetchone()
            return replace(taken, known=count)
    except sqlite3.Error as error:
        raise PipelineError(f"{config.actions}: cannot be written ({error})") from None


def pending(config: Config) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of files that a run would take in, and of those still being written."""
    if config.id_column is None or not config.actions_folder.is_dir():
        return (), ()
    try:
        ledger = _checked(config.actions).reopened(config)
    except (sqlite3.DatabaseError, DataError):
        ledger = Ledger()
    looked = survey(config.actions_folder, ledger, config.upload_settle_seconds)
    folder = config.actions_folder.name
    return (
        tuple(f"{folder}/{item.batch.name}" for item in looked.new),
        tuple(f"{folder}/{name}" for name in looked.waiting),
    )


def actions_since(path: Path, day: str) -> list[tuple[str, str, str]]:
    """Client, day and kind of every action from a day on, in the order of the days; [] without any.

    Args:
        day: as in `2026-01-31`.
    """
    if not path.exists():
        return []
    try:
        with contextlib.closing(read_only(path, 5)) as connection:
            return connection.execute(
                "SELECT client, day, kind FROM actions WHERE day >= ? ORDER BY day, number", (day,)
            ).fetchall()
    except sqlite3.Error as error:
        logger.warning("%s: not readable (%s)", path, error)
        return []


def first_days(path: Path) -> list[tuple[str, str]]:
    """Every client with an action, and the day of the first one.

    Raises:
        PipelineError: the database cannot be read.
    """
    try:
        with contextlib.closing(read_only(path, 5)) as connection:
            return connection.execute(
                "SELECT client, min(day) FROM actions GROUP BY client ORDER BY client"
            ).fetchall()
    except sqlite3.Error as error:
        raise PipelineError(f"{path}: cannot be read ({error}); run ingestion.py") from None


def read_ledger(path: Path) -> Ledger:
    """What became of the files of actions; an empty one without a database, or of a damaged one."""
    try:
        return _checked(path)
    except (sqlite3.Error, DataError):
        return Ledger()  # the next run makes it anew, and says so


@contextlib.contextmanager
def _opened_to_write(path: Path) -> Iterator[tuple[sqlite3.Connection, Ledger]]:
    """The database within a transaction, and its ledger; made anew where it is damaged."""
    try:
        ledger = _checked(path)
    except (sqlite3.DatabaseError, DataError) as error:
        if isinstance(error, sqlite3.OperationalError):
            raise  # a full or failing disk damages nothing
        copy = atomic_files.keep_copy(path)
        path.unlink()
        path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
        text = (
            f"{path.name} was damaged and is kept as {copy.name}; the files of actions that are "
            f"still there are read again"
        )
        logger.warning("%s (%s)", text, error)
        ledger = Ledger().with_notice(clock.now(), text)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = EXTRA")  # the journal's end is durable, too
        connection.execute("PRAGMA cache_spill = OFF")  # whoever reads waits for the end alone
        connection.execute("BEGIN IMMEDIATE")
        if not connection.execute("PRAGMA user_version").fetchone()[0]:
            for statement in _TABLES:
                connection.execute(statement)
            connection.execute("INSERT INTO ledger VALUES (?)", (json.dumps(ledger_json(ledger)),))
        yield connection, ledger  # an error leaves the transaction, which closing takes back
        connection.execute("COMMIT")


def _checked(path: Path) -> Ledger:
    """The ledger of the database; an empty one where there is none yet.

    Raises:
        sqlite3.DatabaseError, DataError: it is damaged.
    """
    if not path.exists():
        return Ledger()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if not version and not tables:
            return Ledger()  # a run was killed as it made the file
        (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if version != VERSION or finding != "ok":
            raise DataError(f"version {version}, {finding}")
        row = connection.execute("SELECT ledger FROM ledger").fetchone()
    try:
        return parse_ledger(json.loads(row[0]))
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        raise DataError("its ledger is not readable") from None


def _take_in(
    config: Config,
    connection: sqlite3.Connection,
    before: Ledger,
    known: Callable[[set[str]], Mapping[str, str]],
) -> ActionsTaken:
    before = before.reopened(config)
    looked = survey(config.actions_folder, before, config.upload_settle_seconds)
    after = before if before.store else replace(before, store=_mark(config))
    with tempfile.TemporaryDirectory(dir=config.output_folder_path, prefix=".tmp-") as scratch:
        for item in looked.new:
            read = _read(config, item, Path(scratch))
            if not source_files.is_unchanged(item.batch):
                looked = without(looked, {item.batch.name})
                continue
            entry, notice = _added(config, connection, item, read, known)
            after = replace(after, entries=(*after.entries, entry))
            if notice:
                logger.warning("%s", notice)
                after = after.with_notice(entry.time, notice)
    after = replace(
        after,
        sightings=looked.sightings,
        refused={refusal.name: refusal.reason for refusal in looked.refused},
        events=(*after.events, *looked.events),
    )
    if after != before:
        connection.execute("DELETE FROM ledger")
        connection.execute("INSERT INTO ledger VALUES (?)", (json.dumps(ledger_json(after)),))
    folder = config.actions_folder.name
    for event in looked.events:
        logger.info("%s/%s: %s", folder, event.name, event.what)
    new = after.entries[len(before.entries) :]
    return ActionsTaken(
        tuple(replace(entry, name=f"{folder}/{entry.name}") for entry in new),
        tuple(
            Refusal(f"{folder}/{item.name}", item.reason)
            for item in looked.refused
            if before.refused.get(item.name) != item.reason
        ),
        tuple(f"{folder}/{name}" for name in looked.waiting),
        _notices(after),
        store=after.store,
    )


def _mark(config: Config) -> str:
    """What tells the project's database from others: that of the last run, or else a new one."""
    record = atomic_files.read_json_object(config.decision)
    ingestion = record.get("ingestion")
    last = ingestion.get("actions_store") if isinstance(ingestion, dict) else None
    return last if isinstance(last, str) else secrets.token_hex(8)


def _notices(ledger: Ledger) -> tuple[str, ...]:
    return tuple(f"{notice.text} ({moment(notice.time)})" for notice in ledger.notices)


def _read(config: Config, item: NewBatch, scratch: Path) -> Actions | DataError:
    """The rows of a file, or why it is rejected."""
    # A day begins in the east while it is still the day before in UTC.
    last_day = date.fromisoformat(clock.today()) + timedelta(days=1)
    try:
        with unpacked(config, item.batch, scratch) as path:
            scan = scan_file(path)
            names = read_header(path, scan).names
            return check_actions(names, read_records(path, scan), last_day)
    except (DataError, OSError) as error:
        return error if isinstance(error, DataError) else DataError(f"cannot be read ({error})")


def _added(
    config: Config,
    connection: sqlite3.Connection,
    item: NewBatch,
    read: Actions | DataError,
    known: Callable[[set[str]], Mapping[str, str]],
) -> tuple[LedgerEntry, str | None]:
    """Add a file's actions; its entry in the ledger, and a sentence about what is odd in it."""
    name, size = item.batch.name, item.batch.stamp.size
    entry = LedgerEntry(name=name, sha256=item.sha256, size=size, status=INGESTED, time=clock.now())
    label = f"{config.actions_folder.name}/{name}"
    if isinstance(read, DataError):
        entry = replace(entry, status=REJECTED, reason=str(read))
        return entry, f"{label}: {actions_text(entry)}"
    (last,) = connection.execute("SELECT ifnull(max(number), 0) FROM actions").fetchone()
    start = connection.total_changes
    connection.executemany(
        "INSERT OR IGNORE INTO actions (client, day, kind, cost, note) VALUES (?, ?, ?, ?, ?)",
        ((a.client, a.day.isoformat(), a.kind, a.cost, a.note) for a in read.accepted),
    )
    kept = connection.total_changes - start
    entry = replace(
        entry,
        rows_read=len(read.accepted) + read.duplicates + len(read.rejected),
        kept=kept,
        duplicate=len(read.accepted) + read.duplicates - kept,
        quarantined=len(read.rejected),
    )
    logger.info("%s: %s", label, actions_text(entry))
    _log_same_day(connection, label, last)
    names = {action.client for action in read.accepted}
    ids = known(names)
    unknown = {name: ids.get(name) for name in sorted(names) if ids.get(name) != name}
    return entry, _set_aside(config, label, entry, read, unknown)


def _log_same_day(connection: sqlite3.Connection, label: str, last: int) -> None:
    """Log how many clients have a new action on a day on which they have another.

    Args:
        last: number of the last action before the file's.
    """
    (clients,) = connection.execute(
        "SELECT count(DISTINCT client) FROM (SELECT client FROM actions GROUP BY client, day "
        "HAVING count(*) > 1 AND max(number) > ?)",
        (last,),
    ).fetchone()
    if clients:
        logger.info(
            "%s: %s with several actions on one day; all count as one contact, and the one that "
            "came first names its kind",
            label,
            plural(clients, "client"),
        )


def _set_aside(
    config: Config,
    label: str,
    entry: LedgerEntry,
    read: Actions,
    unknown: Mapping[str, str | None],
) -> str | None:
    """Write down what is odd in a file; a sentence about it, without clients' names.

    Args:
        unknown: clients of no row -> one that is written almost alike, if there is one.
    """
    rows = [(r.line, r.column, r.value, r.reason) for r in read.rejected]
    if not rows and not unknown:
        return None
    reason = "no client of this name so far; the actions are kept"
    rows += [
        (0, "client", name, f"{reason}; is it {likely}?" if likely else reason)
        for name, likely in unknown.items()
    ]
    of_rows = recovery.quarantine_path(config, entry)
    path = of_rows.with_name(f"actions-{of_rows.name}")
    config.quarantine.mkdir(exist_ok=True)
    with (
        atomic_files.replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as stream,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("file", "line", "column", "value", "reason"))
        writer.writerows((entry.name, *row) for row in rows)
    parts = []
    if entry.quarantined:
        parts.append(f"{entry.quarantined:,} of {plural(entry.rows_read, 'row')} in quarantine")
    if unknown:
        almost = len(unknown) - list(unknown.values()).count(None)
        likely = f" ({almost:,} written almost as a known one: is it that?)" if almost else ""
        parts.append(f"{plural(len(unknown), 'client')} of it in no row so far{likely}")
    return f"{label}: {' and '.join(parts)}; see quarantine/{path.name}"
