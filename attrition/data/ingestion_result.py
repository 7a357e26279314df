"""What a run of ingestion did, as its record keeps it."""

from __future__ import annotations

from dataclasses import dataclass

from attrition.core.formatting import plural
from attrition.data.csv_records import FOUND
from attrition.data.ledger import REJECTED, LedgerEntry
from attrition.data.source_files import Refusal


@dataclass(frozen=True)
class IngestionResult:
    """What a run of ingestion did.

    Attributes:
        files: the new files, taken in or rejected, in the order of their names.
        refused: what is not read there or in the test data, named when it is new: links, folders,
            other suffixes, ...
        waiting: names of files that are still being written; a later run takes them in.
        commit: the newest commit's id; None while nothing was ever committed.
        start: length of finaldata.csv before, in bytes (on Spark: rows); the new ones begin there.
        end: its length after.
        new_rows: rows added to it.
        open_clients: clients whose outcome is not known yet.
        all_rejected: that no file could be taken in, ever, and why; None where one was.
        notices: what ever happened to the ledger and its files, each with its time, oldest first.
        actions: the new files of actions, with their folder, taken in or rejected; `kept` are new
            actions.
        actions_known: number of all actions.
        actions_store: the mark of the database that holds them; None where there is none.
    """

    files: tuple[LedgerEntry, ...]
    refused: tuple[Refusal, ...]
    waiting: tuple[str, ...]
    commit: str | None
    start: int
    end: int
    new_rows: int
    open_clients: int
    all_rejected: str | None = None
    notices: tuple[str, ...] = ()
    actions: tuple[LedgerEntry, ...] = ()
    actions_known: int = 0
    actions_store: str | None = None


@dataclass(frozen=True)
class Pending:
    """What a run of ingestion would find to do: names of files, and what it would not read.

    `rejected` are new files whose header is not as the settings say; `actions` are files of
    what was done with clients.
    """

    new: tuple[str, ...]
    waiting: tuple[str, ...]
    refused: tuple[Refusal, ...]
    rejected: tuple[Refusal, ...] = ()
    actions: tuple[str, ...] = ()


def actions_text(entry: LedgerEntry) -> str:
    """What became of a file of actions, without what stands in it: logs hold that, too."""
    if entry.status == REJECTED:
        return f"rejected: {(entry.reason or '').partition(FOUND)[0]}"
    counts = f"{plural(entry.kept, 'new action')}, {entry.duplicate:,} known"
    return f"{counts}, {entry.quarantined:,} in quarantine" if entry.quarantined else counts
