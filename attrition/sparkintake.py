"""New batches read by Spark's workers, each file by one task, with the very checks of this machine.

A task takes its file in as `clienttable` does and hands over the sound rows, and a report: what it
came to, and the quarantine file, piece by piece. So the same lines are rejected for the same
reasons by construction. What the tasks hand over is staged as Parquet, once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrition import stored
from attrition.batches import Batch
from attrition.clienttable import ClientTable, Intake, connect, unpacked
from attrition.config import Config
from attrition.errors import DataError
from attrition.scratch import scratch_folder, sweep_scratch_folders
from attrition.sparkstorage import literal

if TYPE_CHECKING:
    from pyarrow import RecordBatch, Schema
    from pyspark.sql import DataFrame, SparkSession

# Rows that travel together, and bytes of a piece of a quarantine file.
_ROWS_AT_ONCE = 50_000
_PIECE = 1 << 20
# Of many small files, a task takes several in.
_MOST_TASKS = 1000
_REJECTED, _UNSEEN = "rejected", "unseen"
POSITION = ("file", "row")  # the order of arrival: which file, and where in it


@dataclass(frozen=True)
class Unseen:
    """A file that a worker does not see as the driver does, and what it saw."""

    reason: str


def stage(
    session: SparkSession, config: Config, batches: Sequence[Batch], first: int, address: str
) -> DataFrame:
    """Let the workers read batches, and keep what they hand over.

    Args:
        session: of Spark.
        config: the settings.
        batches: in the order of arrival.
        first: number of the first one; the others follow.
        address: of a folder that is not there yet.

    Returns:
        The columns `file`, `row`, `v0`, ..., `label` of sound rows; `part`, `piece` of reports,
        whose `row` is NULL.
    """
    tasks = min(len(batches), _MOST_TASKS)
    read = reader(config, batches, first)
    session.range(0, len(batches), 1, tasks).mapInArrow(read, _columns(config)).write.parquet(
        address
    )
    return session.read.schema(_columns(config)).parquet(literal(address))


def outcomes(staged: DataFrame) -> dict[int, Intake | str | Unseen]:
    """What taking in each file came to: its counts, or why it is rejected or cannot be seen."""
    found: dict[int, Intake | str | Unseen] = {}
    for row in staged.where("row IS NULL AND part = 0").select("file", "piece").collect():
        report = json.loads(bytes(row["piece"]))
        if _REJECTED in report:
            found[row["file"]] = report[_REJECTED]
        elif _UNSEEN in report:
            found[row["file"]] = Unseen(report[_UNSEEN])
        else:
            extra = tuple(report.pop("extra_columns"))
            found[row["file"]] = Intake(**report, extra_columns=extra)
    return found


def quarantine_pieces(staged: DataFrame) -> Iterator[tuple[int, bytes]]:
    """The pieces of the quarantine files, by number of the file and in order."""
    pieces = staged.where("row IS NULL AND part > 0").orderBy("file", "part")
    for row in pieces.select("file", "piece").toLocalIterator():
        yield row["file"], bytes(row["piece"])


def reader(
    config: Config, batches: Sequence[Batch], first: int
) -> Callable[[Iterable[RecordBatch]], Iterator[RecordBatch]]:
    """What a worker does: numbers of batches in, their rows and reports out."""
    # An alert's address may hold a secret, and no worker alerts anybody.
    config = replace(config, alert_webhook=None, alert_command=None)

    def read(numbers: Iterable[RecordBatch]) -> Iterator[RecordBatch]:
        sweep_scratch_folders()  # of killed tasks: they hold clients' rows
        for some in numbers:  # Spark's own batches of one column
            for number in some.column(0).to_pylist():
                yield from _read(config, batches[number], first + number)

    return read


def _read(config: Config, batch: Batch, number: int) -> Iterator[RecordBatch]:
    schema = _schema(config)
    if (unseen := _why_unseen(batch)) is not None:
        yield _report(schema, number, 0, {_UNSEEN: unseen})
        return
    with (
        scratch_folder() as scratch,
        connect(config, scratch, batch.unpacked_size) as connection,
    ):
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
    """The sound rows, labelled and open ones, in the order of the file."""
    columns = ", ".join([*table.keys, "label"])
    rows = table.connection.sql(
        f"SELECT {number}::INTEGER AS file, rowid AS row, {columns}, NULL::INTEGER AS part, "
        f"NULL::BLOB AS piece FROM rows WHERE raw IS NULL ORDER BY rowid"
    )
    for some in rows.to_arrow_reader(_ROWS_AT_ONCE):
        yield some.cast(schema)


def _pieces(schema: Schema, number: int, path: Path) -> Iterator[RecordBatch]:
    with path.open("rb") as stream:
        part = 1
        while piece := stream.read(_PIECE):
            yield _report(schema, number, part, piece)
            part += 1


def _report(schema: Schema, number: int, part: int, content: bytes | dict[str, Any]) -> RecordBatch:
    import pyarrow

    piece = content if isinstance(content, bytes) else json.dumps(content).encode()
    report = dict.fromkeys(schema.names, None) | {"file": number, "part": part, "piece": piece}
    return pyarrow.RecordBatch.from_pylist([report], schema)


def _schema(config: Config) -> Schema:
    import pyarrow

    kinds = {"DOUBLE": pyarrow.float64(), "VARCHAR": pyarrow.string()}
    values = [
        (key, kinds[stored.kind_of(config, name)])
        for key, name in zip(stored.keys(config), config.stored_columns[:-1], strict=True)
    ]
    return pyarrow.schema(
        [("file", pyarrow.int32()), ("row", pyarrow.int64()), *values, ("label", pyarrow.int8()),
         ("part", pyarrow.int32()), ("piece", pyarrow.binary())]
    )  # fmt: skip


def _columns(config: Config) -> str:
    """The same as Spark writes it."""
    kinds = {"DOUBLE": "double", "VARCHAR": "string"}
    values = [
        f"{key} {kinds[stored.kind_of(config, name)]}"
        for key, name in zip(stored.keys(config), config.stored_columns[:-1], strict=True)
    ]
    return f"file int, row long, {', '.join(values)}, label byte, part int, piece binary"
