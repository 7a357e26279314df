"""Takes in new batches on this machine: reads, checks and writes them; the ledger commits them."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from pathlib import Path

from attrition.core import atomic_files, clock, progress
from attrition.core.config import Config
from attrition.core.errors import DataError, PipelineError
from attrition.data import (
    committed_rows,
    deduplication,
    recovery,
    segment_change,
    source_files,
    storage,
)
from attrition.data.alike_ids import ids_written_anew, text_of_ids
from attrition.data.client_table import KEPT, REPEATED, ClientTable, Intake, connect, unpacked
from attrition.data.csv_records import FOUND
from attrition.data.cut_rows import take_back
from attrition.data.discovery import NewBatch, Survey, without
from attrition.data.ledger import (
    INGESTED,
    MATURED,
    REJECTED,
    Commit,
    Cut,
    Ledger,
    LedgerEntry,
    Unmatured,
    next_commit_id,
    write_ledger,
)
from attrition.data.validation import POSITIVE

logger = logging.getLogger(__name__)


def take_in(config: Config, ledger: Ledger, survey: Survey) -> tuple[Survey, Ledger]:
    """Read the new batches, and write their rows; the ledger is not written yet.

    Returns:
        The survey, with batches that changed meanwhile as waiting, and the ledger to be written.
    """
    if not survey.waiting:
        # What is not there by now does not come.
        new = {item.sha256 for item in survey.new}
        ledger = replace(ledger, arrivals=tuple(filter(new.__contains__, ledger.arrivals)))
    ledger = take_back(config, ledger, survey)
    time = clock.now()
    size = sum(item.batch.unpacked_size for item in survey.new)
    with recovery.scratch_folder(config) as scratch, connect(config, scratch, size) as connection:
        table = ClientTable(connection, config, scratch)
        if ledger.has_matured(table.today):
            table.add_matured(config.unmatured)
        taken: list[Taken] = []
        with progress.step("files", total=len(survey.new)) as advance:
            for item in survey.new:
                outcome = _read(table, item, len(taken), scratch)
                if outcome is None:
                    survey = without(survey, {item.batch.name})
                else:
                    taken.append((item, outcome))
                advance()
        return survey, prepare(table, ledger, taken, scratch, time)


def _read(table: ClientTable, item: NewBatch, number: int, scratch: Path) -> Intake | str | None:
    """Take in one batch.

    Returns:
        Its counts; the reason, if the file is rejected; None if it changed meanwhile.
    """
    try:
        with unpacked(table.config, item.batch, scratch) as path, table.transaction():
            intake = table.add(path, number)
            if not source_files.is_unchanged(item.batch):
                raise DataError("changed while it was read")
    except DataError as error:
        return str(error) if source_files.is_unchanged(item.batch) else None
    return intake


_SETTING = re.compile(r"\(setting (\w+)\)")
# A batch with its counts, or with the reason why the file is rejected.
Taken = tuple[NewBatch, Intake | str]


def prepare(
    table: ClientTable, ledger: Ledger, taken: Sequence[Taken], scratch: Path, time: str
) -> Ledger:
    """Write the new rows of a table durably, and the rejected ones.

    Args:
        table: the rows; a file's number in it is its position in `taken`.
        ledger: what is committed so far, and in its place.
        taken: the batches, in the order they were taken in.
        scratch: an existing folder.
        time: now, for the ledger.

    Returns:
        The ledger, which commits the rows once it is written.
    """
    config = table.config
    # If this run is killed from here on, the next one knows that uncommitted rows are its own.
    write_ledger(config.ledger, replace(ledger, schema=config.schema_digest, writing=True))
    final_data = config.final_data if ledger.committed_bytes else None
    deduplication.mark_duplicates(table, final_data, ledger.committed_rows, scratch)
    ledger = segment_change.note_segments(table, ledger, scratch)
    previous = config.open_clients if ledger.open_sha256 else None
    deduplication.mark_known_open_clients(
        table, _ingested_before(ledger, taken), final_data, previous
    )
    unmatured = config.unmatured if ledger.unmatured else None
    if config.snapshot_column is not None:
        deduplication.mark_leavers(table, final_data, unmatured)
    entries = _entries(table, taken, time)
    ledger = _with_ids_written_anew(table, ledger, taken, (final_data, previous, unmatured))
    ledger = _with_replaced(table, ledger, taken, previous, scratch)
    ledger = _with_rows(table, ledger, _parts(ledger, taken, entries, time), scratch)
    is_changed = any(entry.kept or entry.open or entry.duplicate for entry in entries)
    if is_changed or ledger.has_matured(table.today):
        ledger = _with_open_clients(table, ledger, unmatured, scratch)
        if config.snapshot_column is not None:
            ledger = _with_unmatured(table, ledger, unmatured, scratch)
    _write_quarantine(table, entries)
    return ledger


def _ingested_before(ledger: Ledger, taken: Sequence[Taken]) -> list[tuple[int, int]]:
    """First rowid, and that after the last, of the rows in each file that had come before.

    All rows of a file that was ingested before the ledger was rebuilt; of one that has grown those
    that stood in it then.
    """
    files = [(item.batch, outcome.start) for item, outcome in taken if isinstance(outcome, Intake)]
    ranges = pairwise([*(start for _, start in files), sys.maxsize])
    return [
        (start, end if batch.name in ledger.earlier_names else min(end, start + rows))
        for (batch, _), (start, end) in zip(files, ranges, strict=True)
        if batch.name in ledger.earlier_names or (rows := _rows_before_growing(ledger, batch))
    ]


def _rows_before_growing(ledger: Ledger, batch: source_files.Batch) -> int:
    """How many rows of a file had been ingested when it was shorter; 0 if it never was."""
    for entry in reversed(ledger.entries):
        is_shorter = (entry.name, entry.status) == (batch.name, INGESTED)
        is_shorter = is_shorter and 0 < entry.size < batch.stamp.size
        if is_shorter and atomic_files.sha256_of_part(batch.path, 0, entry.size) == entry.sha256:
            return entry.rows_read
    return 0


def _entries(table: ClientTable, taken: Sequence[Taken], time: str) -> list[LedgerEntry]:
    """The ledger's entries for the files."""
    intakes = [outcome for _, outcome in taken if isinstance(outcome, Intake)]
    duplicates = iter(deduplication.count_rows(table, intakes, REPEATED))
    leavers = iter(deduplication.count_rows(table, intakes, f"{KEPT} AND label = {POSITIVE}"))
    cuts = iter(_cuts(table, intakes))
    return [
        replace(ingested(item, outcome, next(duplicates), next(leavers), time=time), cut=next(cuts))
        if isinstance(outcome, Intake)
        else rejected(table.config, item, outcome, time)
        for item, outcome in taken
    ]


def _with_ids_written_anew(
    table: ClientTable, ledger: Ledger, taken: Sequence[Taken], paths: Sequence[Path | None]
) -> Ledger:
    """The ledger with a notice of each file whose new ids look like known ones.

    A file that is read again is not named again.
    """
    named = [(item.batch.name, outcome) for item, outcome in taken if isinstance(outcome, Intake)]
    counts = ids_written_anew(
        table, [intake for _, intake in named], [path for path in paths if path is not None]
    )
    known = {notice.text for notice in ledger.notices}
    for (name, _), (new, like) in zip(named, counts, strict=True):
        if like and (text := text_of_ids(name, new, like)) not in known:
            logger.warning("%s", text)
            ledger = ledger.with_notice(clock.now(), text)
    return ledger


def _cuts(table: ClientTable, intakes: Sequence[Intake]) -> list[Cut | None]:
    """For each file that ends without a line end, what became of its last row; else None."""
    cuts = []
    for intake, end in pairwise([*intakes, None]):
        assert intake is not None
        cut = intake.cut
        if cut is not None and not cut.row:
            row = table.scalar(
                "SELECT CASE WHEN problem IS NOT NULL THEN 'quarantined' WHEN label IS NULL THEN "
                "'open' WHEN is_duplicate THEN 'duplicate' ELSE 'kept' END FROM rows "
                "WHERE rowid >= ? AND rowid < ? ORDER BY rowid DESC LIMIT 1",
                [intake.start, end.start if end else sys.maxsize],
            )
            cut = replace(cut, row=row)
        cuts.append(cut)
    return cuts


def _with_replaced(
    table: ClientTable,
    ledger: Ledger,
    taken: Sequence[Taken],
    previous: Path | None,
    scratch: Path,
) -> Ledger:
    """The ledger with the open clients' rows that are replaced by rows that may be cut."""
    intakes = [(item.sha256, outcome) for item, outcome in taken if isinstance(outcome, Intake)]
    if not intakes:
        return ledger
    ends = [
        *(intake.start for _, intake in intakes[1:]),
        int(table.scalar("SELECT count(*) FROM rows")),
    ]
    last = {
        end - 1: sha256
        for (sha256, intake), end in zip(intakes, ends, strict=True)
        if intake.cut is not None and not intake.cut.row
    }
    if not last:
        return ledger
    rows = deduplication.replaced_open_rows(table, previous, list(last), scratch)
    replaced = {last[row]: line for row, line in rows.items()}
    return replace(ledger, replaced={**ledger.replaced, **replaced})


def ingested(
    item: NewBatch, intake: Intake, duplicate: int, left: int, *, time: str
) -> LedgerEntry:
    """The entry of a file whose rows were taken in."""
    return LedgerEntry(
        name=item.batch.name,
        sha256=item.sha256,
        size=item.batch.stamp.size,
        status=INGESTED,
        rows_read=intake.rows_read,
        kept=intake.rows_read - intake.open - intake.quarantined - duplicate,
        left=left,
        duplicate=duplicate,
        open=intake.open,
        quarantined=intake.quarantined,
        extra_columns=intake.extra_columns,
        time=time,
    )


def rejected(config: Config, item: NewBatch, reason: str, time: str) -> LedgerEntry:
    """The entry of a file that is rejected as a whole.

    A reason that is a limit names its setting: `(setting maximum_unpacked_megabytes)`.
    """
    named = _SETTING.findall(reason.partition(FOUND)[0])
    limits = {name: getattr(config, name, None) for name in named}
    return LedgerEntry(
        name=item.batch.name,
        sha256=item.sha256,
        size=item.batch.stamp.size,
        status=REJECTED,
        reason=reason,
        time=time,
        limits={name: limit for name, limit in limits.items() if isinstance(limit, int)},
    )


@dataclass(frozen=True)
class _Part:
    """Files whose rows make one commit.

    Attributes:
        entries: theirs in the ledger.
        rows: SQL that chooses their new rows.
        time: of the commit.
        former: the commit in whose place it stands; None for files that are new.
    """

    entries: list[LedgerEntry]
    rows: str
    time: str
    former: Commit | None


def _parts(
    ledger: Ledger, taken: Sequence[Taken], entries: Sequence[LedgerEntry], time: str
) -> list[_Part]:
    """The files by commit: those that are read again as before, so that it stays known what came
    after what; then those that are new.
    """
    number_of = dict.fromkeys(ledger.arrivals, 0)
    for number, commit in enumerate(ledger.former):
        number_of |= dict.fromkeys(commit.files, number)
    last = len(ledger.former)
    numbers = list(accumulate((number_of.get(item.sha256, last) for item, _ in taken), max))
    starts = [
        (number, outcome.start)
        for number, (_, outcome) in zip(numbers, taken, strict=True)
        if isinstance(outcome, Intake)
    ]
    begins = [
        min((start for number, start in starts if number >= part), default=sys.maxsize)
        for part in range(1, last + 1)
    ]
    ranges = pairwise([0, *begins, sys.maxsize])  # rows that have matured come first
    return [
        _Part(
            [entry for number, entry in zip(numbers, entries, strict=True) if number == part],
            f"rows WHERE ({KEPT}) AND rowid >= {begin} AND rowid < {end}",
            former.time if former else time,
            former,
        )
        for part, (former, (begin, end)) in enumerate(
            zip((*ledger.former, None), ranges, strict=True)
        )
    ]


def _with_rows(table: ClientTable, ledger: Ledger, parts: Sequence[_Part], scratch: Path) -> Ledger:
    """Append the new rows, if any; return the ledger with the files and their commits."""
    done: list[LedgerEntry] = []
    for part in parts:
        ledger, entries = _with_commit(table, ledger, part, scratch)
        done += entries
        ledger = replace(ledger, arrivals=_to_come(ledger, part.entries))
        if part.former is not None and part.former.files:
            ledger = ledger.standing_for(part.former)
    return with_entries(ledger, done)


def _with_commit(
    table: ClientTable, ledger: Ledger, part: _Part, scratch: Path
) -> tuple[Ledger, list[LedgerEntry]]:
    """Append the rows of a part; return the ledger with their commit, and the files with it."""
    kept = int(table.scalar(f"SELECT count(*) FROM {part.rows}"))
    if not kept:
        return ledger, part.entries
    former = part.former
    contents = tuple(
        entry.sha256
        for entry in part.entries
        if entry.status == INGESTED
        if former is None or entry.kept or entry.sha256 in former.files
    )
    if ledger.has_matured(table.today):
        contents = (f"{MATURED}{table.today}", *contents)
    identity = next_commit_id(ledger.commit_id, table.config.schema_digest, contents)
    start = ledger.committed_bytes
    digest, stamp = _append_rows(table, ledger, part.rows, scratch)
    commit = Commit(identity, start, stamp[0], kept, part.time, contents, digest)
    entries = [replace(entry, commit=identity if entry.kept else None) for entry in part.entries]
    return replace(ledger.with_commit(commit), stamp=stamp), entries


def _to_come(ledger: Ledger, entries: Sequence[LedgerEntry]) -> tuple[str, ...]:
    """The contents that are still to be read again after these files."""
    contents = {entry.sha256 for entry in entries}
    return tuple(digest for digest in ledger.arrivals if digest not in contents)


def with_entries(ledger: Ledger, entries: Sequence[LedgerEntry]) -> Ledger:
    """The ledger with these files; its newest commit is theirs, if they have one.

    A model may have been trained on rows of files ingested before the ledger was rebuilt.
    """
    again = {entry.name for entry in entries if entry.name in ledger.earlier_names}
    is_earlier = any(entry.kept for entry in entries if entry.name in again)
    return replace(
        ledger,
        entries=(*ledger.entries, *entries),
        earlier_names=tuple(name for name in ledger.earlier_names if name not in again),
        arrivals=_to_come(ledger, entries),
        earlier_end=ledger.commits[-1].end if is_earlier else ledger.earlier_end,
    )


def _append_rows(
    table: ClientTable, ledger: Ledger, rows: str, scratch: Path
) -> tuple[str, tuple[int, ...]]:
    """Append rows to finaldata.csv.

    Args:
        rows: SQL that chooses them.

    Returns:
        The digest of the appended bytes, and the file's stamp afterwards.

    Raises:
        PipelineError: somebody else has changed the file since this run began.
    """
    config = table.config
    part = scratch / "rows.csv"
    storage.write_stored(table.connection, config, rows, part)
    with config.final_data.open("ab") as stream:
        before = committed_rows.stamp_of(os.fstat(stream.fileno()))
        if ledger.committed_bytes and before != ledger.stamp:
            raise PipelineError(
                f"{config.final_data}: changed while rows were to be added; nothing was added, the "
                f"next run looks at it again"
            )
        digest = hashlib.sha256(storage.append(part, stream, config))
        stream.flush()
        os.fsync(stream.fileno())
        stamp = committed_rows.stamp_of(os.fstat(stream.fileno()))
    with part.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    part.unlink()
    atomic_files.sync_folder(config.output_folder_path)
    return digest.hexdigest(), stamp


def _with_open_clients(
    table: ClientTable, ledger: Ledger, unmatured: Path | None, scratch: Path
) -> Ledger:
    """Write the new list of open clients as pending; return the ledger that names it."""
    config = table.config
    part = scratch / "open.csv"
    previous = config.open_clients if ledger.open_sha256 else None
    count = deduplication.write_open_clients(table, previous, unmatured, part)
    digest = storage.write_whole(part, recovery.pending(config.open_clients), config)
    return replace(ledger, open_sha256=digest, open_rows=count)


def _with_unmatured(
    table: ClientTable, ledger: Ledger, previous: Path | None, scratch: Path
) -> Ledger:
    """Write the rows whose labels may not be used yet as pending; return the ledger with them."""
    config, part = table.config, scratch / "unmatured.csv"
    next_day = deduplication.write_unmatured(table, previous, part)
    if next_day is None:
        return replace(ledger, unmatured=None)
    digest = storage.write_whole(part, recovery.pending(config.unmatured), config)
    return replace(ledger, unmatured=Unmatured(digest, next_day))


def _write_quarantine(table: ClientTable, entries: Sequence[LedgerEntry]) -> None:
    """Write the rejected rows, one file for each source file that has some."""
    for number, entry in enumerate(entries):
        if entry.quarantined:
            table.config.quarantine.mkdir(exist_ok=True)
            with atomic_files.replacing(recovery.quarantine_path(table.config, entry)) as path:
                table.write_rejections(number, entry.name, path)
