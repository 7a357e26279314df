"""New batches taken in on Spark: the same rows kept, rejected and opened as on this machine.

Everything is written to new folders and new files; it is real once the ledger names it.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence
from dataclasses import replace

from pyspark.sql import DataFrame, functions

from attrition import batches, clock, files, recovery, sparkintake, stored
from attrition.clienttable import Intake
from attrition.commits import ingested, rejected
from attrition.config import Config
from attrition.errors import PipelineError
from attrition.ledger import Commit, Ledger, LedgerEntry, next_commit_id
from attrition.sparkintake import POSITION, Unseen
from attrition.sparkrows import OPEN, ROWS, STAGING, Master, same
from attrition.sparkstorage import Storage
from attrition.survey import NewBatch, Survey, without


def take_in(master: Master, ledger: Ledger, found: Survey) -> tuple[Survey, Ledger]:
    """Take in new batches; as `intake.take_in` does on this machine.

    Raises:
        PipelineError: a worker does not see the source files, or the driver not what it wrote.
    """
    storage, first = master.storage, len(ledger.entries)
    master.claim()
    sweep(storage, ledger)
    while found.new:
        listed = [item.batch for item in found.new]
        address = storage.path(STAGING)
        staged = sparkintake.stage(master.session, master.config, listed, first, address)
        outcomes = _outcomes(master, staged, found.new, first)
        # Looked at after all has been read: an unchanged file was read as it is.
        changed = {batch.name for batch in listed if not batches.is_unchanged(batch)}
        if not changed:
            ledger = _commit(master, ledger, found.new, outcomes, staged)
            break
        storage.remove(STAGING)
        found = without(found, changed)
    storage.remove(STAGING)
    return found, ledger


def sweep(storage: Storage, ledger: Ledger) -> None:
    """Remove what the ledger does not name: of killed runs, of older lists, of older settings."""
    storage.remove(STAGING)
    named = {ROWS: {commit.id for commit in ledger.commits}, OPEN: {ledger.open_sha256}}
    for kind, kept in named.items():
        for name in storage.names(kind):
            if name not in kept:
                storage.remove(kind, name)


def _outcomes(
    master: Master, staged: DataFrame, new: Sequence[NewBatch], first: int
) -> list[Intake | str]:
    """What each file came to, in their order."""
    found = sparkintake.outcomes(staged)
    result = []
    for number, item in enumerate(new, start=first):
        outcome = found.get(number)
        if outcome is None:
            raise PipelineError(
                f"{master.storage.address}: what Spark's workers wrote is not there; "
                f"the setting engine, data must name storage that all machines share"
            )
        if isinstance(outcome, Unseen):
            raise PipelineError(
                f"{item.batch.path}: a worker of Spark does not see it ({outcome.reason}); "
                f"every worker must have {master.config.input_folder_path} mounted there"
            )
        result.append(outcome)
    return result


def _commit(
    master: Master,
    ledger: Ledger,
    new: Sequence[NewBatch],
    outcomes: Sequence[Intake | str],
    staged: DataFrame,
) -> Ledger:
    """Write the new rows, the open clients and the quarantine."""
    time = clock.now()
    contents = tuple(
        item.sha256
        for item, outcome in zip(new, outcomes, strict=True)
        if isinstance(outcome, Intake)
    )
    identity = next_commit_id(ledger.commit_id, master.config.schema_digest, contents)
    kept = _keep(master, ledger, staged, identity)
    kept_rows = {row["file"]: row["count"] for row in kept.groupBy("file").count().collect()}
    first = len(ledger.entries)
    entries = [
        _entry(master.config, item, outcome, kept_rows.get(number, 0), identity, time=time)
        for number, (item, outcome) in enumerate(zip(new, outcomes, strict=True), start=first)
    ]
    if total := sum(kept_rows.values()):
        start = ledger.committed_rows
        ledger = ledger.with_commit(Commit(identity, start, start + total, total, time, contents))
    if any(entry.kept or entry.open for entry in entries):
        ledger = _with_open_clients(master, ledger, staged, kept, contents)
    _write_quarantine(master.config, entries, first, staged)
    return replace(ledger, entries=(*ledger.entries, *entries))


def _entry(
    config: Config, item: NewBatch, outcome: Intake | str, kept: int, identity: str, *, time: str
) -> LedgerEntry:
    """What became of a file, for the ledger."""
    if isinstance(outcome, str):
        return rejected(config, item, outcome, time)
    labelled = outcome.rows_read - outcome.open - outcome.quarantined
    entry = ingested(item, outcome, labelled - kept, time)
    return replace(entry, commit=identity if kept else None)


def _keep(master: Master, ledger: Ledger, staged: DataFrame, identity: str) -> DataFrame:
    """Write the labelled rows that are new, each where it came first."""
    whole = [*stored.keys(master.config), "label"]
    rows = staged.where("row IS NOT NULL AND label IS NOT NULL")
    firsts = rows.groupBy(*whole).agg(functions.min(functions.struct(*POSITION)).alias("first"))
    firsts = firsts.select(*whole, *(f"first.{name}" for name in POSITION))
    if ledger.commits:
        known = master.labelled(ledger.commits)
        firsts = firsts.join(known, same(firsts, known, whole), "left_anti")
    return master.write(firsts, ROWS, identity)


def _with_open_clients(
    master: Master,
    ledger: Ledger,
    staged: DataFrame,
    kept: DataFrame,
    contents: Sequence[str],
) -> Ledger:
    """Write the open clients: each one's newest row, unless a new labelled one came later."""
    config, columns = master.config, master.columns
    keys = zip(stored.keys(config), config.stored_columns, strict=False)
    client = [key for key, name in keys if config.id_column in (name, None)]
    opened = staged.where("row IS NOT NULL AND label IS NULL").select(*columns)
    opened = newest_of_each(opened.union(master.opened(ledger)), client).select(*columns)
    position = functions.struct(*POSITION)
    closed = kept.groupBy(*client).agg(functions.max(position).alias("closed"))
    is_closed = same(opened, closed, client) & (position < closed["closed"])
    name = next_commit_id(ledger.open_sha256, config.schema_digest, contents)
    still_open = master.write(opened.join(closed, is_closed, "left_anti"), OPEN, name)
    return replace(ledger, open_sha256=name, open_rows=still_open.count())


def newest_of_each(rows: DataFrame, client: Sequence[str]) -> DataFrame:
    """The newest row of each client."""
    others = [name for name in rows.columns if name not in POSITION]
    newest = rows.groupBy(*client).agg(
        functions.max(functions.struct(*POSITION, *others)).alias("newest")
    )
    return newest.select("newest.*")


def _write_quarantine(
    config: Config, entries: Sequence[LedgerEntry], first: int, staged: DataFrame
) -> None:
    """Write the rejected rows, a file for each source file that has some."""
    if not any(entry.quarantined for entry in entries):
        return
    config.quarantine.mkdir(exist_ok=True)
    pieces = sparkintake.quarantine_pieces(staged)
    for number, parts in itertools.groupby(pieces, key=operator.itemgetter(0)):
        with (
            files.replacing(recovery.quarantine_path(config, entries[number - first])) as path,
            path.open("wb") as stream,
        ):
            stream.writelines(piece for _, piece in parts)
