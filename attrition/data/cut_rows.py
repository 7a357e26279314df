"""Rows that an upload broke off in, taken back once the whole file is there.

A file that ends without a line end may have been cut within its last value, and nobody can tell a
cut value from a whole one. Its last row is taken in, since most such files are whole; the ledger
notes what became of it. When another content comes under the same name that begins with all bytes
of the old one, and the row reads differently there, the old row is taken back: out of
`finaldata.csv`, the list of open clients or the quarantine. Where it cannot be told from others,
or another file has or may have brought the same row whole, it stays, and the ledger says so.

The files without the row are written beside the old ones; they take their place once the ledger
names them, so that a run that is killed leaves the one state or the other.
"""

from __future__ import annotations

import csv
import hashlib
import logging
import mmap
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from attrition.core import atomic_files, clock
from attrition.core.config import Config
from attrition.core.errors import DataError
from attrition.data import committed_rows, csv_records, recovery, source_files, storage
from attrition.data.client_table import ClientTable, connect, unpacked
from attrition.data.csv_scan import take_census
from attrition.data.discovery import NewBatch, as_ingested
from attrition.data.ledger import Cut, Event, Ledger, LedgerEntry, next_commit_id, write_ledger

_WHERE = {
    "kept": "finaldata.csv",
    "open": "openclients.csv",
    "quarantined": "quarantine",
    "duplicate": "the count of duplicates",
}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Old:
    """The last row of a content that was cut: its line, and the header, both as values."""

    header: tuple[str, ...]
    record: csv_records.Record
    has_changed: bool


def take_back(config: Config, ledger: Ledger, new: Sequence[NewBatch]) -> Ledger:
    """Take back the cut rows of which new batches bring the whole ones.

    Args:
        config: the settings.
        ledger: what is committed, and in its place.
        new: the batches that will be taken in.

    Returns:
        The ledger without those rows: it is written, and all files follow it.
    """
    changed = ledger
    for item in new:
        for entry in _cut_entries(ledger, item):
            with recovery.scratch_folder(config) as scratch:
                try:
                    old = _old_row(config, item, entry, scratch)
                except DataError:
                    continue  # taking it in says what is wrong with it
                if old is None:
                    continue
                changed = _without_row(config, changed, entry, old, scratch)
    if changed == ledger:
        return ledger
    for event in changed.events[len(ledger.events) :]:
        logger.info("%s: %s", event.name, event.what)
    write_ledger(config.ledger, changed)
    return recovery.repair(config)


def _cut_entries(ledger: Ledger, item: NewBatch) -> Iterator[LedgerEntry]:
    return (e for e in ledger.entries if e.cut is not None and e.name == item.batch.name)


def _old_row(config: Config, item: NewBatch, entry: LedgerEntry, scratch: Path) -> _Old | None:
    """The last row of an old content; None unless the new one begins with all of the old.

    Raises:
        DataError: the new content cannot be read.
    """
    assert entry.cut is not None
    with unpacked(config, item.batch, scratch) as path:
        if path.stat().st_size <= entry.cut.size:
            return None
        before = scratch / "before.csv"
        if _copy_begin(path, entry.cut.size, before) != entry.cut.sha256:
            return None
        with before.open("rb") as stream:
            census = take_census(stream)
        header = csv_records.read_header(before, census)
        last = None
        for record in csv_records.read_records(before, census):
            last = record
        if last is None:
            return None
        with path.open("rb") as stream:
            census = take_census(stream)
        records = csv_records.read_records(path, census)
        whole = next((record for record in records if record.line >= last.line), None)
    if whole is None:
        return None
    is_same = (whole.text, whole.problem) == (last.text, last.problem)
    return _Old(header.names, last, not is_same)


def _copy_begin(path: Path, size: int, target: Path) -> str:
    """Copy the first bytes of a file; their digest."""
    digest = hashlib.sha256()
    with path.open("rb") as source, target.open("wb") as stream:
        while size and (chunk := source.read(min(size, 1 << 20))):
            digest.update(chunk)
            stream.write(chunk)
            size -= len(chunk)
    return digest.hexdigest()


def _without_row(
    config: Config, ledger: Ledger, entry: LedgerEntry, old: _Old, scratch: Path
) -> Ledger:
    """Write the files without the row, where they wait for the ledger that is returned."""
    assert entry.cut is not None
    row = entry.cut.row
    settled = replace(entry, cut=None)
    if not old.has_changed:
        return _with_entry(ledger, settled)
    fewer = {"rows_read": entry.rows_read - 1, row: getattr(entry, row) - 1}
    line = old.record.line
    if _stands_elsewhere(config, ledger, entry, old, scratch):
        return _told(
            _with_entry(ledger, settled),
            entry,
            f"the row in line {line}, which was cut off, may stand whole in another file and stays",
        )
    if row == "quarantined":
        _cut_quarantine(config, entry, line)
    elif row == "open":
        ledger = _without_open_client(config, ledger, _line(config, old, scratch))
    elif row == "kept":
        changed = _without_labelled(config, ledger, entry, _line(config, old, scratch))
        if changed is None:
            return _told(
                _with_entry(ledger, settled),
                entry,
                f"the row in line {line}, which was cut off, cannot be told from others and stays",
            )
        ledger = changed
        settled = replace(next(e for e in ledger.entries if _is(e, entry)), cut=None)
    ledger = _with_entry(ledger, replace(settled, **fewer))
    return _told(
        ledger,
        entry,
        f"the row in line {line}, which was cut off, is taken back from {_WHERE[row]}, "
        f"since the whole file is here",
    )


def _stands_elsewhere(
    config: Config, ledger: Ledger, entry: LedgerEntry, old: _Old, scratch: Path
) -> bool:
    """Whether another file has, or may have, brought a row that the cut one stands for, too.

    A labelled row that stands there already counts as a duplicate, so a later file with duplicates
    that is gone may have held it. Of an open client, any other row was replaced by the cut one.
    """
    assert entry.cut is not None
    number = next(i for i, e in enumerate(ledger.entries) if _is(e, entry))
    if entry.cut.row == "kept":
        others = [e for e in ledger.entries[number + 1 :] if e.duplicate]
    elif entry.cut.row == "open":
        others = [e for e in ledger.entries if e.open and e.sha256 != entry.sha256]
    else:
        return False
    there = as_ingested(config.input_folder_path, ledger)
    present = [there[e.sha256] for e in others if e.sha256 in there]
    if entry.cut.row == "kept" and len(present) < len(others):
        return True
    try:
        return any(_holds_row(config, batch, entry.cut, old, scratch) for batch in present)
    except DataError:  # read once, and not again: by a busy machine, say
        return True


def _holds_row(
    config: Config, batch: source_files.Batch, cut: Cut, old: _Old, scratch: Path
) -> bool:
    """Whether a file holds a labelled row, or any open row of that client."""
    with connect(config, scratch, batch.unpacked_size) as connection:
        table = ClientTable(connection, config, scratch)
        with table.transaction():
            table.add(_last_row(old, scratch), 0)
        with unpacked(config, batch, scratch) as path, table.transaction():
            start = table.add(path, 1).start
        columns = [*table.keys, "label"] if cut.row == "kept" else [*table.client_columns, "label"]
        same = " AND ".join(f"old.{c} IS NOT DISTINCT FROM other.{c}" for c in columns)
        count = table.scalar(
            f"SELECT count(*) FROM rows AS old JOIN rows AS other ON {same} WHERE old.rowid < ? "
            f"AND other.rowid >= ? AND old.raw IS NULL AND other.raw IS NULL",
            [start, start],
        )
    return bool(count)


def _told(ledger: Ledger, entry: LedgerEntry, what: str) -> Ledger:
    event = Event(clock.now(), what, entry.name, entry.sha256)
    return replace(ledger, events=(*ledger.events, event))


def _is(one: LedgerEntry, other: LedgerEntry) -> bool:
    return one.sha256 == other.sha256 and one.cut is not None


def _with_entry(ledger: Ledger, entry: LedgerEntry) -> Ledger:
    entries = (entry if _is(e, entry) else e for e in ledger.entries)
    return replace(ledger, entries=tuple(entries))


def _line(config: Config, old: _Old, scratch: Path) -> bytes:
    """The row as the pipeline writes it, its line end included."""
    table_path, part = _last_row(old, scratch), scratch / "line.csv"
    with connect(config, scratch, 0) as connection:
        table = ClientTable(connection, config, scratch)
        with table.transaction():
            table.add(table_path, 0)
        storage.write_stored(connection, config, "rows WHERE raw IS NULL", part)
    return part.read_bytes()


def _last_row(old: _Old, scratch: Path) -> Path:
    """A file with the header and that row alone."""
    path = scratch / "last.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerows([old.header, old.record.values])
    return path


def _without_labelled(
    config: Config, ledger: Ledger, entry: LedgerEntry, line: bytes
) -> Ledger | None:
    """Write `finaldata.csv` without a row; None when it cannot be told from others.

    The commits from that row's on get new ids, since their content is another.
    """
    waiting = recovery.pending_final_data(config)
    path = waiting if waiting.exists() else config.final_data  # several rows in one run
    number = next((i for i, c in enumerate(ledger.commits) if c.id == entry.commit), None)
    place = None
    if number is not None:
        first = ledger.commits[number]
        place = _only_place(path, line, first.start, first.end)
    if number is None or place is None:
        return None
    _copy_without(path, place, len(line), waiting)
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


def _without_open_client(config: Config, ledger: Ledger, line: bytes) -> Ledger:
    """Write the list of open clients without a row, if it stands there still."""
    waiting = recovery.pending_open_clients(config)
    path = waiting if waiting.exists() else config.open_clients
    place = _only_place(path, line, 0, path.stat().st_size)
    if place is None:
        return ledger  # a newer row of that client has taken its place, or its outcome
    _copy_without(path, place, len(line), waiting)
    digest = atomic_files.sha256_of(waiting)
    return replace(ledger, open_sha256=digest, open_rows=ledger.open_rows - 1)


def _only_place(path: Path, line: bytes, start: int, end: int) -> int | None:
    """Where a line stands between two offsets of a file with a header, if it stands there once."""
    with (
        path.open("rb") as stream,
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        place = data.find(b"\n" + line, max(0, start - 1), end)
        again = place >= 0 and data.find(b"\n" + line, place + 1, end) >= 0
    return place + 1 if place >= 0 and not again else None


def _copy_without(path: Path, start: int, length: int, target: Path) -> None:
    with (
        atomic_files.replacing(target) as part,
        path.open("rb") as source,
        part.open("wb") as stream,
    ):
        stream.write(source.read(start))
        source.seek(length, 1)
        shutil.copyfileobj(source, stream, 1 << 20)


def _cut_quarantine(config: Config, entry: LedgerEntry, line: int) -> None:
    """Write the quarantine of a file without a row; once more does no harm."""
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
