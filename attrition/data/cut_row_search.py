"""Who else tells of a row that was cut off: the other source files, the rows that came later.

A row that another file brought, too, is that file's row as well. Which files brought a row nobody
notes, since most rows are brought by many; but an upload that is completed later is rare, so the
files that may have brought it are read once more.
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

# What is known of a client whose row was taken off the list of open clients.
SETTLED, LEFT, UNKNOWN = "settled", "left", "unknown"


def find_bringer(
    config: Config, ledger: Ledger, found: Survey, entry: LedgerEntry, row: Path
) -> str | None:
    """Find a file beside the cut one that brought its last row, or may have.

    Args:
        config: the settings.
        ledger: what is committed.
        found: the source folder.
        entry: of the cut file.
        row: its last row, as a CSV file with a header, in a folder for scratch files.

    Returns:
        In words why the row is to stay; None when no other file brought it.
    """
    names = {sighting.sha256: name for name, sighting in found.sightings.items()}
    copies = (
        name
        for name, sighting in found.sightings.items()
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
        equal = same("wanted", "rows", [*table.keys, "label"])
        return bool(
            table.scalar(
                f"SELECT count(*) FROM rows JOIN rows AS wanted ON {equal} "
                f"WHERE wanted.rowid = 0 AND rows.rowid > 0 AND rows.raw IS NULL"
            )
        )


def client_state(
    config: Config, row: Path, open_clients: Path, final_data: Path, start: int
) -> str:
    """What is known of an open client beside one row of it.

    Args:
        config: the settings.
        row: a file of it, as it stood in `openclients.csv`, in a folder for scratch files.
        open_clients: the list of open clients.
        final_data: the labelled rows.
        start: byte of that file from which on a row is newer.

    Returns:
        SETTLED when the client is on the list, or a newer row tells its outcome; LEFT when an older
        one says that it left; else UNKNOWN.
    """
    scratch = row.parent
    with connect(config, scratch, final_data.stat().st_size) as connection:
        table = ClientTable(connection, config, scratch)
        older = storage.read_stored(config, header=False)
        equal = same("older", "other", table.client_columns)

        def tells(rows: str, parameters: list[str], condition: str = "true") -> bool:
            query = f"SELECT count(*) FROM {older} AS older JOIN {rows} AS other ON {equal}"
            found = table.scalar(f"{query} WHERE {condition}", [str(row), *parameters])
            return bool(found)

        listed = tells(storage.read_stored(config), [str(open_clients)])
        newer = storage.read_range(config, final_data, start, None, scratch)
        if listed or tells(*newer):
            return SETTLED
        every = storage.read_range(config, final_data, 0, None, scratch)
        return LEFT if tells(*every, f"other.label = {POSITIVE}") else UNKNOWN
