"""The ingestion folder brought to the state its ledger names, however the last run ended.

`finaldata.csv` loses what was never committed; `openclients.csv`, `quarantine/` and
`ingestedfiles.txt` follow the ledger: before a run begins, and once more after its commit.

Standard library only.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path

from attrition import files
from attrition.config import Config
from attrition.errors import PipelineError
from attrition.ledger import Ledger, LedgerEntry, read_ledger, write_ledger
from attrition.survey import survey

logger = logging.getLogger(__name__)

_QUARANTINE_NAME = re.compile(r"[0-9a-f]{12}-.*\.csv")


def repair(config: Config) -> Ledger:
    """Make good what an earlier run left unfinished.

    Returns:
        The ledger: an empty one when there is none, or when the settings have changed so that
        every row has to be read again.

    Raises:
        PipelineError: committed rows are gone, so that no run of ours can repair it.
    """
    ledger = repair_ledger(config, "")
    _cut_tail(config, ledger)
    settle(config, ledger)
    return ledger


def repair_ledger(config: Config, store: str) -> Ledger:
    """The ledger an interrupted run left, or a new one when every row has to be read again.

    Args:
        config: the settings.
        store: where the rows are by the settings, as a ledger names it.

    Raises:
        PipelineError: files that would have to be read again are gone.
    """
    if not config.ledger.exists() and config.final_data.exists():
        logger.warning(
            "%s: no ledger; every source file is ingested again", config.output_folder_path
        )
    files.sweep_temporary_files([config.output_folder_path, config.quarantine])
    ledger = read_ledger(config.ledger)
    return (
        ledger if ledger.fits(config.schema_digest, store) else _begin_anew(config, ledger, store)
    )


def settle(config: Config, ledger: Ledger) -> None:
    """Let the files beside finaldata.csv follow the ledger.

    Raises:
        PipelineError: the list of open clients that the ledger names is gone.
    """
    _settle_open_clients(config, ledger)
    settle_records(config, ledger)


def settle_records(config: Config, ledger: Ledger) -> None:
    """Let what tells people about the files follow the ledger, wherever the rows are."""
    _settle_quarantine(config, ledger)
    _settle_names(config, ledger)


def pending_open_clients(config: Config) -> Path:
    """Where a new list of open clients waits for the ledger that names it."""
    return config.output_folder_path / "openclients.pending.csv"


def quarantine_path(config: Config, entry: LedgerEntry) -> Path:
    """The file in quarantine/ that holds a source file's rejected rows."""
    # A file name has at most 255 bytes.
    name = entry.name.encode()[:200].decode(errors="ignore")
    return config.quarantine / f"{entry.sha256[:12]}-{name}.csv"


def _begin_anew(config: Config, ledger: Ledger, store: str) -> Ledger:
    """After a change of settings every row reads differently: all files are taken in again."""
    vanished = _vanished(config, ledger)
    what = "columns or labels" if ledger.store == store else "columns, labels or engine"
    if vanished:
        raise PipelineError(
            f"{config.source}: the settings of {what} have changed, so every row must "
            f"be read again, but {_some(vanished)} left {config.input_folder_path}; put back what "
            f"is missing, undo the change, or delete {config.ledger} to go on without those rows"
        )
    logger.info("the settings of %s have changed: every file is ingested again", what)
    # From here on nothing is committed; should this run end now, the next one begins from that.
    anew = Ledger(schema=config.schema_digest, store=store)
    write_ledger(config.ledger, anew)
    return anew


def _vanished(config: Config, ledger: Ledger) -> list[str]:
    """Names of files that rows were taken from and that are in the source folder no more."""
    found = survey(config.input_folder_path, ledger, config.upload_settle_seconds)
    present = {sighting.sha256 for sighting in found.sightings.values()}
    present |= {item.sha256 for item in found.new}
    return [
        entry.name
        for entry in ledger.entries
        if entry.kept + entry.open and entry.sha256 not in present
    ]


def _some(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


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


def _settle_open_clients(config: Config, ledger: Ledger) -> None:
    """Give the list of open clients that the ledger names its place."""
    waiting = pending_open_clients(config)
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


def _settle_quarantine(config: Config, ledger: Ledger) -> None:
    """Remove the rejected rows of files the ledger does not name; what others put there stays."""
    expected = {quarantine_path(config, entry) for entry in ledger.entries if entry.quarantined}
    if config.quarantine.is_dir():
        for path in sorted(config.quarantine.iterdir()):
            if _QUARANTINE_NAME.fullmatch(path.name) and path not in expected:
                path.unlink()


def _settle_names(config: Config, ledger: Ledger) -> None:
    """Write the names of the ingested files, if they are not there yet."""
    names = "".join(f"{name}\n" for name in ledger.ingested_names)
    path = config.ingested_files
    if not path.exists() or path.read_text(encoding="utf-8") != names:
        files.write_text(path, names)
