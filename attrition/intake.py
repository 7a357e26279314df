"""Take in new batches on this machine: read, checked, written for the ledger to make real."""

from __future__ import annotations

from pathlib import Path

from attrition import batches, clock, commits, progress, recovery
from attrition.clienttable import ClientTable, Intake, connect, unpacked
from attrition.config import Config
from attrition.cutrows import take_back
from attrition.errors import DataError
from attrition.ledger import Ledger
from attrition.survey import NewBatch, Survey, without


def take_in(config: Config, ledger: Ledger, found: Survey) -> tuple[Survey, Ledger]:
    """Read the new batches, and write their rows; the ledger is not written yet.

    Returns:
        The survey, in which batches that changed meanwhile wait, and the ledger to be written.
    """
    ledger = take_back(config, ledger, found.new)
    time = clock.now()
    size = sum(item.batch.unpacked_size for item in found.new)
    with recovery.scratch_folder(config) as scratch, connect(config, scratch, size) as connection:
        table = ClientTable(connection, config, scratch)
        taken: list[commits.Taken] = []
        with progress.step("files", total=len(found.new)) as advance:
            for item in found.new:
                outcome = _read(table, item, len(taken), scratch)
                if outcome is None:
                    found = without(found, {item.batch.name})
                else:
                    taken.append((item, outcome))
                advance()
        return found, commits.prepare(table, ledger, taken, scratch, time)


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
