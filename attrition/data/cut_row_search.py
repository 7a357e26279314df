"""Searches other source files and later rows for a row that was cut off.

A row may also have come with another file, to which it then belongs as well. The ledger does not
record which files held a row, since most rows come with many; an upload that is completed later is
rare, so the files that may hold the row are simply read again.
"""

from __future__ import annotations

from pathlib import Path

from attrition.core.config import Config
from attrition.core.errors import DataError
from attrition.data import source_files, storage
from attrition.data.client_table import ClientTable, connect, unpacked
from attrition.data.deduplication import same
from attrition.data.discovery import Survey
from attrition.data.ledger import INGESTED, Ledger, LedgerEntry
from attrition.data.validation import POSITIVE

# What is known about a client whose row was taken off the list of open clients.
SETTLED, LEFT, UNKNOWN = "settled", "left", "unknown"


def find_other_source(
    config: Config, ledger: Ledger, survey: Survey, entry: LedgerEntry, row: Path
) -> str | None:
    """Find a file other than the cut one that holds its last row, or may hold it.

    Args:
        ledger: what is committed.
        survey: of the source folder.
        entry: of the cut file.
        row: its last row, as a CSV file with a header, in a scratch folder.

    Returns:
        A text that says why the row stays; None when no other file holds it.
    """
    names = {sighting.sha256: name for name, sighting in survey.sightings.items()}
    copies = (
        name
        for name, sighting in survey.sightings.items()
        if sighting.sha256 == entry.sha256 and name != entry.name
    )
    if (copy := next(copies, None)) is not None:
        return f"{copy} brought it, too"
    number = next(i for i, e in enumerate(ledger.entries) if e.sha256 == entry.sha256 and e.cut)
    count = "open" if entry.cut and entry.cut.row == "open" else "duplicate"
    unread = None
    for other in ledger.entries[number + 1 :]:
        if other.status != INGESTED or not getattr(other, count):
            continue
        name = names.get(other.sha256)
        if name is None:
            unread = f"{other.name}, which is gone or changed, may have brought it, too"
            continue
        try:
            if _holds(config, config.input_folder_path / name, row):
                return f"{name} brought it, too"
        except DataError:
            unread = f"{name}, which cannot be read again, may have brought it, too"
    return unread


def _holds(config: Config, path: Path, row: Path) -> bool:
    """Whether a source file holds a row.

    Raises:
        DataError: it cannot be read.
    """
    batch, scratch = source_files.find_batch(path), row.parent
    with (
        unpacked(config, batch, scratch) as plain,
        connect(config, scratch, batch.unpacked_size) as connection,
    ):
        table = ClientTable(connection, config, scratch)
        for number, each in enumerate((row, plain)):
            with table.transaction():
                table.add(each, number)
        equal = same("wanted", "rows", [*table.row_columns, "label"])
        return bool(
            table.scalar(
                f"SELECT count(*) FROM rows JOIN rows AS wanted ON {equal} "
                f"WHERE wanted.rowid = 0 AND rows.rowid > 0 AND rows.problem IS NULL"
            )
        )


def client_state(
    config: Config, row: Path, open_clients: Path, final_data: Path, start: int
) -> str:
    """What other rows say about the open client of one row.

    Args:
        row: a file with the row as it was in `openclients.csv`, in a scratch folder.
        open_clients: the list of open clients.
        final_data: the labelled rows.
        start: byte of `final_data` where newer rows begin.

    Returns:
        SETTLED when the client is on the list, or a newer row has its outcome; LEFT when an older
        row says that it left; else UNKNOWN.
    """
    scratch = row.parent
    with connect(config, scratch, final_data.stat().st_size) as connection:
        table = ClientTable(connection, config, scratch)
        older = storage.read_stored(config, header=False)
        equal = same("older", "other", table.client_columns)

        def has_match(rows: str, parameters: list[str], condition: str = "true") -> bool:
            query = f"SELECT count(*) FROM {older} AS older JOIN {rows} AS other ON {equal}"
            return bool(table.scalar(f"{query} WHERE {condition}", [str(row), *parameters]))

        listed = has_match(storage.read_stored(config), [str(open_clients)])
        newer = storage.read_range(config, final_data, start, None, scratch)
        if listed or has_match(*newer):
            return SETTLED
        every = storage.read_range(config, final_data, 0, None, scratch)
        return LEFT if has_match(*every, f"other.label = {POSITIVE}") else UNKNOWN
