"""Takes back rows that were cut off by a broken upload, once the whole file has arrived.

A file that ends without a line end may have been cut within its last value, and a cut value cannot
be distinguished from a whole one. Its last row is taken in, since most such files are whole; the
ledger records what became of it. When a new content arrives under the same name, begins with all
bytes of the old one, and has another row there, the old row is taken back from `finaldata.csv`, the
list of open clients or the quarantine; a row that it had replaced on the list of open clients is
restored. The row stays, and the ledger says so, where another file holds it, or may hold it, or
where it cannot be distinguished from others.

The files without the row are written beside the old ones and replace them once the ledger names
them, so that a killed run leaves either the old state or the new one.
"""

from __future__ import annotations

import csv
import logging
import mmap
import shutil
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path

from attrition.core import atomic_files, clock
from attrition.core.config import Config
from attrition.core.errors import DataError
from attrition.data import committed_rows, csv_records, recovery, storage
from attrition.data.client_table import ClientTable, connect, unpacked
from attrition.data.csv_scan import scan_file
from attrition.data.cut_row_search import LEFT, SETTLED, client_state, find_other_source
from attrition.data.discovery import NewBatch, Survey
from attrition.data.ledger import Event, Ledger, LedgerEntry, next_commit_id, write_ledger

_WHERE = {
    "kept": "finaldata.csv",
    "open": "openclients.csv",
    "quarantined": "quarantine",
    "duplicate": "the count of duplicates",
}

_AMBIGUOUS = "it cannot be distinguished from others"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _OldRow:
    """The last row of a cut content, with its header."""

    entry: LedgerEntry
    header: tuple[str, ...]
    record: csv_records.Record
    has_changed: bool


def take_back(config: Config, ledger: Ledger, survey: Survey) -> Ledger:
    """Take back the cut rows that new batches hold as whole rows.

    Args:
        ledger: what is committed, and in its place.
        survey: of the source folder; its new batches will be taken in.

    Returns:
        The ledger without those rows: it is written, and all files agree with it.
    """
    changed = ledger
    for item in survey.new:
        of_name = [entry for entry in ledger.entries if entry.name == item.batch.name]
        for entry in (entry for entry in of_name if entry.cut is not None):
            with recovery.scratch_folder(config) as scratch:
                try:
                    old = _old_row(config, item, entry, scratch)
                except DataError:
                    continue  # taking it in will report the error
                if old is None:
                    continue
                changed = _without_row(config, changed, old, survey, scratch)
    if changed == ledger:
        return ledger
    for event in changed.events[len(ledger.events) :]:
        logger.info("%s: %s", event.name, event.what)
    write_ledger(config.ledger, changed)
    return recovery.repair(config)


def _old_row(config: Config, item: NewBatch, entry: LedgerEntry, scratch: Path) -> _OldRow | None:
    """The last row of an old content; None unless the new one begins with all of the old.

    Raises:
        DataError: the new content cannot be read.
    """
    assert entry.cut is not None
    with unpacked(config, item.batch, scratch) as path:
        if path.stat().st_size <= entry.cut.size:
            return None
        before = storage.copy_range(path, 0, entry.cut.size, scratch)
        if atomic_files.sha256_of(before) != entry.cut.sha256:
            return None
        scan = scan_file(before)
        header = csv_records.read_header(before, scan)
        ending = deque(csv_records.read_records(before, scan), maxlen=1)
        if not ending:
            return None
        last = ending.pop()
        records = csv_records.read_records(path, scan_file(path))
        whole = next((record for record in records if record.line >= last.line), None)
    if whole is None:
        return None
    is_same = (whole.text, whole.problem) == (last.text, last.problem)
    return _OldRow(entry, header.names, last, not is_same)


class _Stays(Exception):  # noqa: N818 - not an error
    """The row stays where it is, for the reason in the message."""


@dataclass(frozen=True)
class _Row:
    """A cut row that is to be taken back.

    Attributes:
        entry: of its file.
        table: a file with the row and the header of its source.
        line: the row as the pipeline writes it.
        labelled: the same with a label that may not be used yet.
        older: the row of an open client that it replaced; empty for none.
    """

    entry: LedgerEntry
    table: Path
    line: bytes
    labelled: bytes
    older: bytes


def _without_row(
    config: Config, ledger: Ledger, old: _OldRow, survey: Survey, scratch: Path
) -> Ledger:
    """Write the files without the row; they stay pending until the returned ledger is written."""
    entry = next(e for e in ledger.entries if _is_same_cut(e, old.entry))
    assert entry.cut is not None
    result = entry.cut.row
    rest = {digest: line for digest, line in ledger.replaced.items() if digest != entry.sha256}
    before = replace(ledger, replaced=rest)
    if not old.has_changed:
        return _with_entry(before, replace(entry, cut=None))
    which, what = f"the row in line {old.record.line}, which was cut off,", ""
    try:
        if result == "quarantined":
            after = before
            _cut_quarantine(config, entry, old.record.line)
        else:
            table, older = _write_table(old, scratch), ledger.replaced.get(entry.sha256, "")
            row = _Row(entry, table, *_lines(config, table, result == "open"), older.encode())
            after, what = _without_good_row(config, before, row, survey)
    except _Stays as reason:
        stays = _with_entry(before, replace(entry, cut=None))
        return _with_event(stays, entry, f"{which} stays: {reason}")
    settled = replace(next(e for e in after.entries if _is_same_cut(e, entry)), cut=None)
    fewer = {"rows_read": entry.rows_read - 1, result: getattr(entry, result) - 1}
    if result == "kept":
        fewer["left"] = None  # it is not known whether that row did
    text = f"{which} is taken back from {_WHERE[result]}, since the whole file is here{what}"
    return _with_event(_with_entry(after, replace(settled, **fewer)), entry, text)


def _without_good_row(
    config: Config, ledger: Ledger, row: _Row, survey: Survey
) -> tuple[Ledger, str]:
    """The ledger without a row that was taken in, and what became of the row that it replaced.

    Raises:
        _Stays: the row is not taken back.
    """
    assert row.entry.cut is not None
    result = row.entry.cut.row
    if result == "open" and ledger.unmatured is not None:
        ledger = _without_unmatured(config, ledger, row, survey)
    if result == "open":
        count, offset = _find_line(recovery.present(config.open_clients), row.line, 0, None)
        if not count:
            return ledger, ""  # a newer row of that client, or its outcome, has replaced it
    if result != "duplicate":
        reason = find_other_source(config, ledger, survey, row.entry, row.table)
        if reason is not None:
            raise _Stays(reason)
    if result == "open":
        if count > 1:
            raise _Stays(_AMBIGUOUS)
        return _without_open_client(config, ledger, row, offset)
    if result == "kept":
        ledger = _without_labelled(config, ledger, row)
    return _with_reopened(config, ledger, row) if row.older else (ledger, "")


def _with_event(ledger: Ledger, entry: LedgerEntry, what: str) -> Ledger:
    event = Event(clock.now(), what, entry.name, entry.sha256)
    return replace(ledger, events=(*ledger.events, event))


def _is_same_cut(one: LedgerEntry, other: LedgerEntry) -> bool:
    return one.sha256 == other.sha256 and one.cut is not None


def _with_entry(ledger: Ledger, entry: LedgerEntry) -> Ledger:
    entries = (entry if _is_same_cut(e, entry) else e for e in ledger.entries)
    return replace(ledger, entries=tuple(entries))


def _write_table(old: _OldRow, scratch: Path) -> Path:
    """Write a file with the header and the row only."""
    path = scratch / "last.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerows([old.header, old.record.values])
    return path


def _lines(config: Config, table_path: Path, is_open: bool) -> tuple[bytes, bytes]:
    """The row as the pipeline writes it, its line end included, and with the label it came with.

    Args:
        is_open: whether it was taken in as that of an open client, whatever its label.
    """
    scratch = table_path.parent
    part = scratch / "line.csv"
    with connect(config, scratch, 0) as connection:
        table = ClientTable(connection, config, scratch)
        with table.transaction():
            table.add(table_path, 0)
        lines = []
        for label in ("NULL" if is_open else "label", "coalesce(label, early)"):
            row = f"(SELECT * REPLACE ({label} AS label) FROM rows WHERE problem IS NULL)"
            storage.write_stored(connection, config, row, part)
            lines.append(part.read_bytes())
    return lines[0], lines[1]


def _without_unmatured(config: Config, ledger: Ledger, row: _Row, survey: Survey) -> Ledger:
    """Write the rows whose labels may not be used yet without a row, if it is among them.

    Raises:
        _Stays: another file holds the row, or may hold it.
    """
    assert ledger.unmatured is not None
    path = recovery.present(config.unmatured)
    count, offset = _find_line(path, row.labelled, 0, None)
    if not count:
        return ledger
    reason = find_other_source(config, ledger, survey, row.entry, row.table)
    if reason is not None:
        raise _Stays(reason)
    waiting = recovery.pending(config.unmatured)
    _copy_with(path, offset, len(row.labelled), b"", waiting)
    digest = atomic_files.sha256_of(waiting)
    return replace(ledger, unmatured=replace(ledger.unmatured, sha256=digest))


def _without_labelled(config: Config, ledger: Ledger, row: _Row) -> Ledger:
    """Write `finaldata.csv` without a row.

    That row's commit and all later ones get new ids, since their content has changed.
    """
    line, path = row.line, recovery.present(config.final_data)
    number = next((i for i, c in enumerate(ledger.commits) if c.id == row.entry.commit), None)
    if number is None:
        raise _Stays(_AMBIGUOUS)
    first = ledger.commits[number]
    count, offset = _find_line(path, line, first.start, first.end)
    if count != 1:
        raise _Stays(_AMBIGUOUS)
    waiting = recovery.pending(config.final_data)
    _copy_with(path, offset, len(line), b"", waiting)
    previous = ledger.commits[number - 1].id if number else None
    commits = list(ledger.commits[:number])
    names: dict[str, str] = {}
    for commit in ledger.commits[number:]:
        identity = next_commit_id(previous, config.schema_digest, [commit.id, "cut row"])
        is_first = not names
        names[commit.id], previous = identity, identity
        commits.append(
            replace(
                commit,
                id=identity,
                former_ids=commit.ids,
                start=commit.start - (0 if is_first else len(line)),
                end=commit.end - len(line),
                rows=commit.rows - is_first,
                sha256="",
            )
        )
    with_digests = [
        replace(commit, sha256=digest)
        for commit, digest in zip(commits, committed_rows.digests(waiting, commits), strict=True)
    ]
    return replace(
        ledger,
        commits=tuple(with_digests),
        entries=tuple(
            replace(e, commit=names.get(e.commit or "", e.commit)) for e in ledger.entries
        ),
        stamp=None,
        writing=True,
        earlier_end=commits[-1].end,
    )


def _without_open_client(
    config: Config, ledger: Ledger, row: _Row, offset: int
) -> tuple[Ledger, str]:
    """Write the list of open clients with a row replaced by the client's older row, or removed."""
    waiting = recovery.pending(config.open_clients)
    _copy_with(recovery.present(config.open_clients), offset, len(row.line), row.older, waiting)
    what = "; the client's older row is back on the list of open clients" if row.older else ""
    return _with_list(config, ledger, ledger.open_rows - (not row.older)), what


def _with_reopened(config: Config, ledger: Ledger, row: _Row) -> tuple[Ledger, str]:
    """Put the row of an open client back on the list, if only the cut row had closed it."""
    commit = next(e for e in ledger.entries if _is_same_cut(e, row.entry)).commit
    start = next((c.start for c in ledger.commits if c.id == commit), 0)
    older = row.table.with_name("older.csv")
    older.write_bytes(row.older)
    path = recovery.present(config.open_clients)
    state = client_state(config, older, path, recovery.present(config.final_data), start)
    if state == SETTLED:
        return ledger, ""
    if state == LEFT:
        return ledger, (
            "; the open client whose row it had closed is not back on the list of open clients, "
            "since an earlier row says that it left"
        )
    waiting = recovery.pending(config.open_clients)
    _copy_with(path, path.stat().st_size, 0, row.older, waiting)
    what = "; the open client whose row it had closed is back on the list of open clients"
    return _with_list(config, ledger, ledger.open_rows + 1), what


def _with_list(config: Config, ledger: Ledger, rows: int) -> Ledger:
    digest = atomic_files.sha256_of(recovery.pending(config.open_clients))
    return replace(ledger, open_sha256=digest, open_rows=rows)


def _find_line(path: Path, line: bytes, start: int, end: int | None) -> tuple[int, int]:
    """Find a line between two offsets of a file with a header.

    Returns:
        How often it occurs (2: or more often), and the offset of the first.
    """
    with (
        path.open("rb") as stream,
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        end = len(data) if end is None else end
        offset = data.find(b"\n" + line, max(0, start - 1), end)
        again = offset >= 0 and data.find(b"\n" + line, offset + 1, end) >= 0
    return (offset >= 0) + again, offset + 1


def _copy_with(path: Path, start: int, length: int, instead: bytes, target: Path) -> None:
    """Copy a file, replacing `length` bytes from `start` on."""
    with (
        atomic_files.replacing(target) as part,
        path.open("rb") as source,
        part.open("wb") as stream,
    ):
        stream.write(source.read(start))
        stream.write(instead)
        source.seek(length, 1)
        shutil.copyfileobj(source, stream, 1 << 20)


def _cut_quarantine(config: Config, entry: LedgerEntry, line: int) -> None:
    """Write the quarantine of a file without a row; doing so twice is harmless."""
    path = recovery.quarantine_path(config, entry)
    if not path.exists():
        return
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    kept = [row for row in rows if row[1:2] != [str(line)]]
    with (
        atomic_files.replacing(path) as part,
        part.open("w", encoding="utf-8", newline="") as stream,
    ):
        csv.writer(stream, lineterminator="\n").writerows(kept)
