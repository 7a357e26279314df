"""Take in new client rows: checked, without duplicates, added to the training set.

    python ingestion.py                                        take in what is new in sourcedata/
    python ingestion.py --suggest-config FILE --target COLUMN  print a config.json for a table

Reads  sourcedata/*.csv and *.csv.gz.
Writes ingesteddata/finaldata.csv (labelled rows, each once), openclients.csv (clients without an
outcome yet), quarantine/ (rejected rows with line, column, value and reason), ledger.json (what
became of every file), ingestedfiles.txt.

New is what the ledger does not know by its content, whatever its name. Rows are appended to
finaldata.csv and belong to it once the ledger says so: a run that is killed leaves a tail, which
the next run cuts off before it takes in the same files again, with the same result.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrition import batches, cli, files, merging, stored
from attrition.batches import Refusal
from attrition.clienttable import KEPT, ClientTable, Intake, connect, unpacked
from attrition.config import Config
from attrition.errors import DataError, PipelineError
from attrition.ledger import (
    INGESTED,
    REJECTED,
    Commit,
    Ledger,
    LedgerEntry,
    next_commit_id,
    read_ledger,
    write_ledger,
)
from attrition.suggestion import suggest_settings
from attrition.survey import NewBatch, Survey, survey, without

logger = logging.getLogger(__name__)

_PENDING = "openclients.pending.csv"
_QUARANTINE_NAME = re.compile(r"[0-9a-f]{12}-.*\.csv")


@dataclass(frozen=True)
class IngestionResult:
    """What a run of ingestion did.

    Attributes:
        files: the new files, taken in or rejected, in the order of their names.
        refused: what is called like a batch and is none (links, pipes, folders, ...).
        waiting: names of files that are still being written; a later run takes them in.
        commit: the newest commit's id; None while nothing was ever committed.
        start: length of finaldata.csv before, in bytes; the new rows begin there.
        end: its length after.
        new_rows: rows added to it.
        open_clients: clients in openclients.csv.
    """

    files: tuple[LedgerEntry, ...]
    refused: tuple[Refusal, ...]
    waiting: tuple[str, ...]
    commit: str | None
    start: int
    end: int
    new_rows: int
    open_clients: int

    def to_json(self) -> dict[str, Any]:
        """As the decision record holds it."""
        return asdict(self)


@dataclass(frozen=True)
class Pending:
    """What a run of ingestion would find to do."""

    new: tuple[str, ...]
    waiting: tuple[str, ...]
    refused: tuple[Refusal, ...]


def run(config: Config) -> IngestionResult:
    """Take in what is new in the source folder; to be called under the run lock.

    Raises:
        PipelineError: what earlier runs left was changed by somebody else, or there is not enough
            memory or disk.
    """
    before = repair(config)
    found = survey(config.input_folder_path, before, config.upload_settle_seconds)
    _tell(found, before)
    with _scratch(config) as scratch:
        if found.new:
            found, after = _take_in(config, before, found, scratch)
        else:
            after = before
        entries = after.entries[len(before.entries) :]
        refused = {refusal.name: refusal.reason for refusal in found.refused}
        after = replace(
            after,
            schema=config.schema_digest,
            sightings=found.sightings,
            refused=refused,
            events=(*before.events, *found.events),
        )
        if after != before or not config.ledger.exists():
            write_ledger(config.ledger, after)
    _settle(config, after)
    return IngestionResult(
        files=entries,
        refused=found.refused,
        waiting=found.waiting,
        commit=after.commit_id,
        start=before.committed_bytes,
        end=after.committed_bytes,
        new_rows=after.committed_rows - before.committed_rows,
        open_clients=after.open_rows,
    )


def pending(config: Config) -> Pending:
    """See what a run would take in; writes nothing."""
    ledger = read_ledger(config.ledger)
    if ledger.schema != config.schema_digest:
        ledger = Ledger()
    found = survey(config.input_folder_path, ledger, config.upload_settle_seconds)
    return Pending(tuple(item.batch.name for item in found.new), found.waiting, found.refused)


def repair(config: Config) -> Ledger:
    """Bring the folder to the state the ledger names, whatever moment the last run ended at.

    Returns:
        The ledger: an empty one when there is none, or when the settings have changed so that
        every row has to be read again.

    Raises:
        PipelineError: committed rows are gone, so that no run of ours can repair it.
    """
    if not config.ledger.exists() and config.final_data.exists():
        logger.warning(
            "%s: no ledger; every source file is ingested again", config.output_folder_path
        )
    files.sweep_temporary_files([config.output_folder_path, config.quarantine])
    ledger = read_ledger(config.ledger)
    if ledger.schema not in ("", config.schema_digest):
        ledger = _begin_anew(config, ledger)
    _cut_tail(config, ledger)
    _settle(config, ledger)
    return ledger


def _begin_anew(config: Config, ledger: Ledger) -> Ledger:
    """After a change of settings every row reads differently: all files are taken in again."""
    found = survey(config.input_folder_path, ledger, config.upload_settle_seconds)
    present = {sighting.sha256 for sighting in found.sightings.values()}
    present |= {item.sha256 for item in found.new}
    vanished = [
        entry.name
        for entry in ledger.entries
        if entry.kept + entry.open and entry.sha256 not in present
    ]
    if vanished:
        raise PipelineError(
            f"{config.source}: the settings of columns or labels have changed, so every row must "
            f"be read again, but {_some(vanished)} left {config.input_folder_path}; put back what "
            f"is missing, undo the change, or delete {config.ledger} to go on without those rows"
        )
    logger.info("the settings of columns or labels have changed: every file is ingested again")
    # From here on nothing is committed; should this run end now, the next one begins from that.
    anew = Ledger(schema=config.schema_digest)
    write_ledger(config.ledger, anew)
    return anew


def _cut_tail(config: Config, ledger: Ledger) -> None:
    """Cut off what a killed run appended to finaldata.csv without committing it."""
    committed = ledger.committed_bytes
    size = config.final_data.stat().st_size if config.final_data.exists() else 0
    if size < committed:
        raise PipelineError(
            f"{config.final_data}: {size:,} bytes long, but {committed:,} are committed; restore "
            f"the file, or delete {config.ledger} to ingest every source file again"
        )
    if size > committed:
        if committed:
            logger.info("%s: cut back to the committed rows", config.final_data.name)
        os.truncate(config.final_data, committed)


def _settle(config: Config, ledger: Ledger) -> None:
    """Let the files beside finaldata.csv follow the ledger."""
    _settle_open_clients(config, ledger)
    expected = {quarantine_name(entry) for entry in ledger.entries if entry.quarantined}
    if config.quarantine.is_dir():
        for path in sorted(config.quarantine.iterdir()):
            if _QUARANTINE_NAME.fullmatch(path.name) and path.name not in expected:
                path.unlink()
    names = "".join(f"{name}\n" for name in ledger.ingested_names)
    path = config.ingested_files
    if not path.exists() or path.read_text(encoding="utf-8") != names:
        files.write_text(path, names)


def _settle_open_clients(config: Config, ledger: Ledger) -> None:
    """Give the list of open clients that the ledger names its place."""
    waiting = config.output_folder_path / _PENDING
    if not ledger.open_sha256:
        config.open_clients.unlink(missing_ok=True)
    elif _digest_or_none(config.open_clients) != ledger.open_sha256:
        if _digest_or_none(waiting) != ledger.open_sha256:
            raise PipelineError(
                f"{config.open_clients}: not the list of open clients that ingestion wrote; "
                f"restore it, or delete {config.ledger} to ingest every source file again"
            )
        waiting.replace(config.open_clients)
        files.sync_folder(config.output_folder_path)
    waiting.unlink(missing_ok=True)


def _digest_or_none(path: Path) -> str | None:
    return files.sha256_of(path) if path.is_file() else None


def _take_in(config: Config, ledger: Ledger, found: Survey, scratch: Path) -> tuple[Survey, Ledger]:
    """Read the new batches, and write their rows; the ledger is not written yet.

    Returns:
        The survey, in which batches that changed meanwhile wait, and the ledger to be written.
    """
    time = datetime.now(UTC).isoformat(timespec="seconds")
    size = sum(item.batch.unpacked_size for item in found.new)
    with connect(config, scratch, size) as connection:
        table = ClientTable(connection, config, scratch)
        taken: list[tuple[NewBatch, Intake | str]] = []
        for item in found.new:
            outcome = _read(table, item, len(taken), scratch)
            if outcome is None:
                found = without(found, {item.batch.name})
            else:
                taken.append((item, outcome))
        final_data = config.final_data if ledger.committed_bytes else None
        merging.mark_duplicates(table, final_data, ledger.committed_rows, scratch)
        entries = _entries(table, taken, time)
        ledger = _with_rows(table, ledger, entries, scratch, time)
        for number, entry in enumerate(entries):
            _log(entry)
            if entry.quarantined:
                config.quarantine.mkdir(exist_ok=True)
                with files.replacing(config.quarantine / quarantine_name(entry)) as path:
                    table.write_rejections(number, entry.name, path)
    return found, ledger


def _read(table: ClientTable, item: NewBatch, number: int, scratch: Path) -> Intake | str | None:
    """Take in one batch.

    Returns:
        What it came to; the reason, when all of it is rejected; None when it changed meanwhile.
    """
    try:
        with unpacked(table.config, item.batch, scratch) as path, table.transaction():
            intake = table.add(path, number)
            if not batches.is_unchanged(item.batch):
                raise DataError("changed while it was read")
    except DataError as error:
        return str(error) if batches.is_unchanged(item.batch) else None
    return intake


def _entries(
    table: ClientTable, taken: Sequence[tuple[NewBatch, Intake | str]], time: str
) -> list[LedgerEntry]:
    """What became of each file, for the ledger."""
    intakes = [outcome for _, outcome in taken if isinstance(outcome, Intake)]
    duplicates = iter(merging.count_duplicates(table, intakes))
    return [
        _ingested(item, outcome, next(duplicates), time)
        if isinstance(outcome, Intake)
        else _rejected(item, outcome, time)
        for item, outcome in taken
    ]


def _ingested(item: NewBatch, intake: Intake, duplicate: int, time: str) -> LedgerEntry:
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


def _rejected(item: NewBatch, reason: str, time: str) -> LedgerEntry:
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
    table: ClientTable,
    ledger: Ledger,
    entries: Sequence[LedgerEntry],
    scratch: Path,
    time: str,
) -> Ledger:
    """Write the new rows and the open clients, durably, where they wait for their commit.

    Returns:
        The ledger that makes them real once it is written.
    """
    config = table.config
    kept = sum(entry.kept for entry in entries)
    if kept:
        contents = tuple(entry.sha256 for entry in entries if entry.status == INGESTED)
        identity = next_commit_id(ledger.commit_id, config.schema_digest, contents)
        start = ledger.committed_bytes
        end = _append_rows(table, start, scratch)
        entries = [replace(entry, commit=identity if entry.kept else None) for entry in entries]
        ledger = ledger.with_commit(Commit(identity, start, end, kept, time, contents))
    ledger = replace(ledger, entries=(*ledger.entries, *entries))
    if kept or any(entry.open for entry in entries):
        return _with_open_clients(table, ledger, scratch)
    return ledger


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
    config = table.config
    part = scratch / "open.csv"
    count = merging.write_open_clients(
        table, config.open_clients if ledger.open_sha256 else None, part
    )
    waiting = config.output_folder_path / _PENDING
    with files.replacing(waiting) as path, path.open("wb") as stream:
        stored.append(part, stream, config)
    return replace(ledger, open_sha256=files.sha256_of(waiting), open_rows=count)


def quarantine_name(entry: LedgerEntry) -> str:
    """The file in quarantine/ that holds a source file's rejected rows."""
    # A file name has at most 255 bytes.
    name = entry.name.encode()[:200].decode(errors="ignore")
    return f"{entry.sha256[:12]}-{name}.csv"


@contextlib.contextmanager
def _scratch(config: Config) -> Iterator[Path]:
    """A folder on the same disk for what does not fit into memory; removed afterwards."""
    folder = config.output_folder_path / f"{files.TEMPORARY_PREFIX}{os.getpid()}-ingestion"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tell(found: Survey, ledger: Ledger) -> None:
    """Tell the log what happened in the source folder."""
    for event in found.events:
        logger.info("%s: %s", event.name, event.what)
    for refusal in found.refused:
        if ledger.refused.get(refusal.name) != refusal.reason:
            logger.warning("%s: refused: %s", refusal.name, refusal.reason)
    for name in found.waiting:
        logger.info("%s: still being written, left for the next run", name)


def _log(entry: LedgerEntry) -> None:
    """Tell the log what became of a file; a reason's details may quote it, so they stay out."""
    if entry.status == REJECTED:
        reason = str(entry.reason).partition(";")[0]
        logger.warning("%s: rejected: %s (more in ledger.json)", entry.name, reason)
        return
    logger.info(
        "%s: %d rows: %d new, %d duplicate, %d of open clients, %d quarantined",
        entry.name, entry.rows_read, entry.kept, entry.duplicate, entry.open, entry.quarantined,
    )  # fmt: skip
    if entry.extra_columns:
        logger.info("%s: %d other columns ignored", entry.name, len(entry.extra_columns))


def _some(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def table_text(result: IngestionResult) -> str:
    """A result as a table of at most 80 columns."""
    lines = [f"{'file':<34}{'rows':>9}{'new':>9}{'duplic.':>9}{'open':>9}{'quarant.':>10}"]
    for entry in result.files:
        if entry.status == REJECTED:
            lines.append(f"{_fit(entry.name)}  rejected: {entry.reason}"[:80])
        else:
            lines.append(
                f"{_fit(entry.name)}{entry.rows_read:>9}{entry.kept:>9}"
                f"{entry.duplicate:>9}{entry.open:>9}{entry.quarantined:>10}"
            )
    lines += [f"{_fit(item.name)}  refused: {item.reason}"[:80] for item in result.refused]
    lines += [f"{_fit(name)}  still being written" for name in result.waiting]
    if len(lines) == 1:
        lines = ["nothing new"]
    lines.append(
        f"{result.new_rows:,} rows added to the training set; {result.open_clients:,} open clients"
    )
    return "\n".join(lines)


def _fit(name: str, width: int = 34) -> str:
    short = name if len(name) < width else f"{name[: width - 4]}..."
    return f"{short:<{width}}"


def main(argv: Sequence[str] | None = None) -> int:
    """Ingest, or with --suggest-config print settings for a table."""
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--suggest-config", type=Path, metavar="FILE", help="print settings for this table"
    )
    parser.add_argument("--target", metavar="COLUMN", help="the column of labels in that table")
    arguments = parser.parse_args(argv)
    if (arguments.suggest_config is None) != (arguments.target is None):
        parser.error("--suggest-config FILE and --target COLUMN belong together")
    if arguments.suggest_config is None:
        return cli.run_alone(parser, argv, _ingest)
    return cli.run(parser, argv, _suggest)


def _ingest(config: Config, arguments: argparse.Namespace) -> int:
    print(table_text(run(config)))
    return 0


def _suggest(config: Config, arguments: argparse.Namespace) -> int:
    suggestion = suggest_settings(config, arguments.suggest_config, arguments.target)
    for name, reason in suggestion.left_out.items():
        logger.info("left out: %s (%s)", name, reason)
    print(files.json_text(suggestion.settings), end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
