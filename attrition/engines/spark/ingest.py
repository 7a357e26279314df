"""Takes in new batches on Spark's workers, one task per file, with the checks of the local engine.

A task reads its file with `client_table` and returns the accepted rows and a report: the counts,
and the quarantine file in pieces. So the same lines are rejected for the same reasons by
construction. The output of the tasks is staged once as Parquet.
"""

from __future__ import annotations

import itertools
import json
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import RecordBatch, Schema
from pyspark.sql import DataFrame, SparkSession, functions

from attrition.core import atomic_files, clock
from attrition.core.config import Config
from attrition.core.errors import DataError, PipelineError
from attrition.core.scratch import sweep_scratch_folders
from attrition.data import recovery, source_files, storage, validation
from attrition.data.client_table import ClientTable, Intake, session, unpacked
from attrition.data.discovery import NewBatch, Survey, without
from attrition.data.ingest import ingested, rejected
from attrition.data.ledger import Commit, Ledger, LedgerEntry, next_commit_id
from attrition.data.source_files import Batch
from attrition.engines.spark.dataset import OPEN, POSITION, ROWS, STAGING, Master, same
from attrition.engines.spark.storage import Storage, literal

# Rows of one Arrow batch, and bytes of a piece of a quarantine file.
_ROWS_AT_ONCE = 50_000
_PIECE = 1 << 20
# With more files than this, a task takes in several.
_MOST_TASKS = 1000
_REJECTED, _UNSEEN = "rejected", "unseen"


@dataclass(frozen=True)
class Unseen:
    """A file that a worker cannot see or sees with another size, and the reason."""

    reason: str


def stage(
    session: SparkSession, config: Config, batches: Sequence[Batch], first: int, address: str
) -> DataFrame:
    """Let the workers read batches, and store their output.

    Args:
        session: of Spark.
        batches: in the order of arrival.
        first: number of the first batch; the others follow.
        address: of a new folder.

    Returns:
        The columns `file`, `row`, `v0`, ..., `label` of accepted rows, and `part`, `piece` of
        reports, whose `row` is NULL.
    """
    tasks = min(len(batches), _MOST_TASKS)
    read = reader(config, batches, first)
    session.range(0, len(batches), 1, tasks).mapInArrow(read, _columns(config)).write.parquet(
        address
    )
    return session.read.schema(_columns(config)).parquet(literal(address))


def outcomes(staged: DataFrame) -> dict[int, Intake | str | Unseen]:
    """The outcome of each file: its counts, or why it is rejected or cannot be seen."""
    results: dict[int, Intake | str | Unseen] = {}
    for row in staged.where("row IS NULL AND part = 0").select("file", "piece").collect():
        report = json.loads(bytes(row["piece"]))
        if _REJECTED in report:
            results[row["file"]] = report[_REJECTED]
        elif _UNSEEN in report:
            results[row["file"]] = Unseen(report[_UNSEEN])
        else:
            extra = tuple(report.pop("extra_columns"))
            results[row["file"]] = Intake(**report, extra_columns=extra)
    return results


def quarantine_pieces(staged: DataFrame) -> Iterator[tuple[int, bytes]]:
    """The pieces of the quarantine files, in order, with the number of the file."""
    pieces = staged.where("row IS NULL AND part > 0").orderBy("file", "part")
    for row in pieces.select("file", "piece").toLocalIterator():
        yield row["file"], bytes(row["piece"])


def reader(
    config: Config, batches: Sequence[Batch], first: int
) -> Callable[[Iterable[RecordBatch]], Iterator[RecordBatch]]:
    """The function of a worker: takes numbers of batches, yields their rows and reports."""
    # An alert's address may hold a secret, and workers send no alerts.
    config = replace(config, alert_webhook=None, alert_command=None)

    def read(numbers: Iterable[RecordBatch]) -> Iterator[RecordBatch]:
        sweep_scratch_folders()  # of killed tasks: they hold clients' rows
        for record_batch in numbers:  # Spark's own batches of one column
            for number in record_batch.column(0).to_pylist():
                yield from _read(config, batches[number], first + number)

    return read


def _read(config: Config, batch: Batch, number: int) -> Iterator[RecordBatch]:
    schema = _schema(config)
    if (unseen := _why_unseen(batch)) is not None:
        yield _report(schema, number, 0, {_UNSEEN: unseen})
        return
    with session(config, batch.unpacked_size) as (connection, scratch):
        table = ClientTable(connection, config, scratch)
        try:
            with unpacked(config, batch, scratch) as path, table.transaction():
                intake = table.add(path, number)
        except DataError as error:
            yield _report(schema, number, 0, {_REJECTED: str(error)})
            return
        yield from _rows(table, schema, number)
        yield _report(schema, number, 0, asdict(replace(intake, cut=None)))  # not taken back here
        if intake.quarantined:
            table.write_rejections(number, batch.name, scratch / "rejected.csv")
            yield from _pieces(schema, number, scratch / "rejected.csv")


def _why_unseen(batch: Batch) -> str | None:
    try:
        size = batch.path.lstat().st_size
    except OSError as error:
        return error.strerror or str(error)
    return None if size == batch.stamp.size else f"{size} bytes instead of {batch.stamp.size}"


def _rows(table: ClientTable, schema: Schema, number: int) -> Iterator[RecordBatch]:
    """The accepted rows, labelled and open, in the order of the file."""
    columns = ", ".join([*table.keys, "label"])
    rows = table.connection.sql(
        f"SELECT {number}::INTEGER AS file, rowid AS row, {columns}, NULL::INTEGER AS part, "
        f"NULL::BLOB AS piece FROM rows WHERE problem IS NULL ORDER BY rowid"
    )
    for record_batch in rows.to_arrow_reader(_ROWS_AT_ONCE):
        yield record_batch.cast(schema)


def _pieces(schema: Schema, number: int, path: Path) -> Iterator[RecordBatch]:
    with path.open("rb") as stream:
        part = 1
        while piece := stream.read(_PIECE):
            yield _report(schema, number, part, piece)
            part += 1


def _report(schema: Schema, number: int, part: int, content: bytes | dict[str, Any]) -> RecordBatch:
    piece = content if isinstance(content, bytes) else json.dumps(content).encode()
    report = dict.fromkeys(schema.names, None) | {"file": number, "part": part, "piece": piece}
    return pyarrow.RecordBatch.from_pylist([report], schema)


def _schema(config: Config) -> Schema:
    kinds = {"DOUBLE": pyarrow.float64(), "VARCHAR": pyarrow.string()}
    values = [(key, kinds[kind]) for key, kind in storage.kinds(config).items()]
    return pyarrow.schema(
        [
            ("file", pyarrow.int32()),
            ("row", pyarrow.int64()),
            *values,
            ("label", pyarrow.int8()),
            ("part", pyarrow.int32()),
            ("piece", pyarrow.binary()),
        ]
    )


def _columns(config: Config) -> str:
    """The schema in Spark's notation."""
    kinds = {"DOUBLE": "double", "VARCHAR": "string"}
    values = [f"{key} {kinds[kind]}" for key, kind in storage.kinds(config).items()]
    return f"file int, row long, {', '.join(values)}, label byte, part int, piece binary"


def take_in(master: Master, ledger: Ledger, survey: Survey) -> tuple[Survey, Ledger]:
    """Take in new batches, as `data.ingest.take_in` does on this machine.

    Raises:
        PipelineError: a worker cannot see the source files, or the driver not the workers' output.
    """
    storage, first = master.storage, len(ledger.entries)
    master.claim()
    sweep(storage, ledger)
    while survey.new:
        listed = [item.batch for item in survey.new]
        address = storage.path(STAGING)
        staged = stage(master.session, master.config, listed, first, address)
        outcomes = _outcomes(master, staged, survey.new, first)
        # Checked after all files were read: an unchanged file was read as it is.
        changed = {batch.name for batch in listed if not source_files.is_unchanged(batch)}
        if not changed:
            ledger = _commit(master, ledger, survey.new, outcomes, staged)
            break
        storage.remove(STAGING)
        survey = without(survey, changed)
    storage.remove(STAGING)
    return survey, ledger


def set_aside(storage: Storage) -> list[str]:
    """Rename the folders of rows that no ledger names.

    Returns:
        The new addresses.
    """
    return [storage.set_aside(kind) for kind in (ROWS, OPEN) if storage.names(kind)]


def sweep(storage: Storage, ledger: Ledger) -> None:
    """Remove folders not in the ledger: of killed runs, of older lists, of older settings."""
    storage.remove(STAGING)
    named = {ROWS: {commit.id for commit in ledger.commits}, OPEN: {ledger.open_sha256}}
    for kind, kept in named.items():
        for name in storage.names(kind):
            if name not in kept:
                storage.remove(kind, name)


def _outcomes(
    master: Master, staged: DataFrame, new: Sequence[NewBatch], first: int
) -> list[Intake | str]:
    """The outcomes of the files, in their order."""
    by_number = outcomes(staged)
    ordered = []
    for number, item in enumerate(new, start=first):
        outcome = by_number.get(number)
        if outcome is None:
            raise PipelineError(
                f"{master.storage.address}: what Spark's workers wrote is not there; "
                f"the setting engine, data must name storage that all machines share"
            )
        if isinstance(outcome, Unseen):
            raise PipelineError(
                f"{item.batch.path}: a Spark worker does not see it ({outcome.reason}); "
                f"every worker must have {master.config.input_folder_path} mounted there"
            )
        ordered.append(outcome)
    return ordered


def _commit(
    master: Master,
    ledger: Ledger,
    new: Sequence[NewBatch],
    outcomes: Sequence[Intake | str],
    staged: DataFrame,
) -> Ledger:
    """Write the new rows, the open clients and the quarantine; return the new ledger."""
    time = clock.now()
    contents = tuple(
        item.sha256
        for item, outcome in zip(new, outcomes, strict=True)
        if isinstance(outcome, Intake)
    )
    identity = next_commit_id(ledger.commit_id, master.config.schema_digest, contents)
    kept = _keep(master, ledger, staged, identity)
    counts = kept.groupBy("file").agg(
        functions.count("*").alias("rows"), functions.sum("label").alias("left")
    )
    kept_rows = {row["file"]: (row["rows"], row["left"]) for row in counts.collect()}
    first = len(ledger.entries)
    entries = [
        _entry(master.config, item, outcome, kept_rows.get(number, (0, 0)), identity, time=time)
        for number, (item, outcome) in enumerate(zip(new, outcomes, strict=True), start=first)
    ]
    if total := sum(rows for rows, _ in kept_rows.values()):
        start = ledger.committed_rows
        ledger = ledger.with_commit(Commit(identity, start, start + total, total, time, contents))
    if any(entry.kept or entry.open or entry.duplicate for entry in entries):
        ledger = _with_open_clients(master, ledger, staged, kept, contents)
    _write_quarantine(master.config, entries, first, staged)
    return replace(ledger, entries=(*ledger.entries, *entries))


def _entry(
    config: Config,
    item: NewBatch,
    outcome: Intake | str,
    counts: tuple[int, int],
    identity: str,
    *,
    time: str,
) -> LedgerEntry:
    """The ledger's entry for a file, of which so many rows are kept, and so many of those left."""
    if isinstance(outcome, str):
        return rejected(config, item, outcome, time)
    kept, left = counts
    labelled = outcome.rows_read - outcome.open - outcome.quarantined
    entry = ingested(item, outcome, labelled - kept, left, time=time)
    return replace(entry, commit=identity if kept else None)


def _keep(master: Master, ledger: Ledger, staged: DataFrame, identity: str) -> DataFrame:
    """Write the new labelled rows, each with the position of its first occurrence."""
    whole = [*storage.row_keys(master.config), "label"]
    position = functions.struct(*POSITION)
    segments = [  # of equal rows the newest that is not blank
        functions.max_by(key, functions.when(functions.col(key).isNotNull(), position)).alias(key)
        for key in storage.segment_keys(master.config)
    ]
    rows = staged.where("row IS NOT NULL AND label IS NOT NULL")
    firsts = rows.groupBy(*whole).agg(functions.min(position).alias("first"), *segments)
    values = [*storage.keys(master.config), "label"]
    firsts = firsts.select(*values, *(f"first.{name}" for name in POSITION))
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
    """Write the newest row of each open client, unless an outcome came later.

    See `deduplication.write_open_clients`.
    """
    config, columns = master.config, master.columns
    client = storage.client_keys(config)
    opened = staged.where("row IS NOT NULL AND label IS NULL").select(*columns)
    opened = newest_of_each(opened.union(master.opened(ledger)), client).select(*columns)
    position = functions.struct(*POSITION)
    closed = kept.groupBy(*client).agg(functions.max(position).alias("closed"))
    labelled = staged.where("row IS NOT NULL AND label IS NOT NULL")
    last = labelled.groupBy(*client).agg(
        functions.max(position).alias("closed"), functions.max_by("label", position).alias("last")
    )
    left = last.where(f"last = {validation.POSITIVE}").select(*closed.columns)
    closed = closed.union(left)
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
    """Write the rejected rows, one file for each source file that has some."""
    if not any(entry.quarantined for entry in entries):
        return
    config.quarantine.mkdir(exist_ok=True)
    pieces = quarantine_pieces(staged)
    for number, parts in itertools.groupby(pieces, key=operator.itemgetter(0)):
        with (
            atomic_files.replacing(
                recovery.quarantine_path(config, entries[number - first])
            ) as path,
            path.open("wb") as stream,
        ):
            stream.writelines(piece for _, piece in parts)
