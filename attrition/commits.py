"""What was taken in, written where it waits for its commit: real once the ledger is written.

New rows stand behind the committed ones in `finaldata.csv`, the list of open clients beside the
old one; `attrition.recovery` puts them right, both after the commit and when it never came.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from attrition import files, merging, recovery, stored
from attrition.clienttable import KEPT, ClientTable, Intake
from attrition.ledger import INGESTED, REJECTED, Commit, Ledger, LedgerEntry, next_commit_id
from attrition.survey import NewBatch

# A batch, and what taking it in came to: the reason, when all of it is rejected.
Taken = tuple[NewBatch, Intake | str]


def prepare(
    table: ClientTable, ledger: Ledger, taken: Sequence[Taken], scratch: Path, time: str
) -> Ledger:
    """Write what is new of the rows in a table, durably, and the rejected ones.

    Args:
        table: the rows of `taken`, whose positions are the numbers of the files there.
        ledger: what is committed so far, and in its place.
        taken: the batches, in the order they were taken in.
        scratch: an existing folder.
        time: now, for the ledger.

    Returns:
        The ledger that makes it real once it is written.
    """
    final_data = table.config.final_data if ledger.committed_bytes else None
    merging.mark_duplicates(table, final_data, ledger.committed_rows, scratch)
    entries = _entries(table, taken, time)
    ledger = _with_rows(table, ledger, entries, scratch, time)
    if any(entry.kept or entry.open or entry.duplicate for entry in entries):
        ledger = _with_open_clients(table, ledger, scratch)
    _write_quarantine(table, entries)
    return ledger


def _entries(table: ClientTable, taken: Sequence[Taken], time: str) -> list[LedgerEntry]:
    """What became of each file, for the ledger."""
    intakes = [outcome for _, outcome in taken if isinstance(outcome, Intake)]
    duplicates = iter(merging.count_duplicates(table, intakes))
    return [
        ingested(item, outcome, next(duplicates), time)
        if isinstance(outcome, Intake)
        else rejected(item, outcome, time)
        for item, outcome in taken
    ]


def ingested(item: NewBatch, intake: Intake, duplicate: int, time: str) -> LedgerEntry:
    """The entry of a file whose rows were taken in."""
    return LedgerEntry(
        name=item.batch.name,
        sha256=item.sha256,
        size=item.batch.stamp.size,
        status=INGESTED,
        reason=None,
        rows_read=intake.rows_read,
        kept=intake.rows_read - intake.open - intake.quarantined - duplicate,
        duplicate=duplicate,
        open=intake.open,
        quarantined=intake.quarantined,
        extra_columns=intake.extra_columns,
        commit=None,
        time=time,
    )


def rejected(item: NewBatch, reason: str, time: str) -> LedgerEntry:
    """The entry of a file that is no good as a whole."""
    return LedgerEntry(
        name=item.batch.name,
        sha256=item.sha256,
        size=item.batch.stamp.size,
        status=REJECTED,
        reason=reason,
        rows_read=0,
        kept=0,
        duplicate=0,
        open=0,
        quarantined=0,
        extra_columns=(),
        commit=None,
        time=time,
    )


def _with_rows(
    table: ClientTable, ledger: Ledger, entries: list[LedgerEntry], scratch: Path, time: str
) -> Ledger:
    """Append the new rows, if there are any; the ledger gets the files and their commit."""
    kept = sum(entry.kept for entry in entries)
    if kept:
        contents = tuple(entry.sha256 for entry in entries if entry.status == INGESTED)
        identity = next_commit_id(ledger.commit_id, table.config.schema_digest, contents)
        start = ledger.committed_bytes
        end = _append_rows(table, start, scratch)
        entries = [replace(entry, commit=identity if entry.kept else None) for entry in entries]
        ledger = ledger.with_commit(Commit(identity, start, end, kept, time, contents))
    return replace(ledger, entries=(*ledger.entries, *entries))


def _append_rows(table: ClientTable, start: int, scratch: Path) -> int:
    """Append the new rows to finaldata.csv.

    Returns:
        Its new length.
    """
    part = scratch / "rows.csv"
    stored.write_stored(table.connection, table.config, f"rows WHERE {KEPT}", part)
    with table.config.final_data.open("ab") as stream:
        # Nothing but committed rows stands here: a tail was cut off before.
        assert stream.tell() == start
        stored.append(part, stream, table.config)
        stream.flush()
        os.fsync(stream.fileno())
        end = stream.tell()
    part.unlink()
    files.sync_folder(table.config.output_folder_path)
    return end


def _with_open_clients(table: ClientTable, ledger: Ledger, scratch: Path) -> Ledger:
    """Write the list of open clients beside the present one; the ledger names the new one."""
    config = table.config
    part = scratch / "open.csv"
    previous = config.open_clients if ledger.open_sha256 else None
    count = merging.write_open_clients(table, previous, part)
    waiting = recovery.pending_open_clients(config)
    with files.replacing(waiting) as path, path.open("wb") as stream:
        stored.append(part, stream, config)
    return replace(ledger, open_sha256=files.sha256_of(waiting), open_rows=count)


def _write_quarantine(table: ClientTable, entries: Sequence[LedgerEntry]) -> None:
    """Write the rejected rows, a file for each source file that has some."""
    for number, entry in enumerate(entries):
        if entry.quarantined:
            table.config.quarantine.mkdir(exist_ok=True)
            with files.replacing(recovery.quarantine_path(table.config, entry)) as path:
                table.write_rejections(number, entry.name, path)
