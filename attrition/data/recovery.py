"""Brings the ingestion folder to the state in its ledger, however the last run ended.

Uncommitted rows of a killed run are cut from `finaldata.csv`; `openclients.csv`, `quarantine/` and
`ingestedfiles.txt` are made to agree with the ledger, before a run and again after its commit. A
file that somebody else has changed is refused, and not touched.

Standard library only.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from attrition.core import atomic_files, clock
from attrition.core.config import Config
from attrition.core.errors import DataError, PipelineError
from attrition.data import committed_rows
from attrition.data.csv_records import column_names
from attrition.data.discovery import some, survey
from attrition.data.ledger import MATURED, Commit, Ledger, LedgerEntry, read_ledger, write_ledger

logger = logging.getLogger(__name__)


_QUARANTINE_NAME = re.compile(r"[0-9a-f]{12}-.*\.csv")


def repair(config: Config) -> Ledger:
    """Complete or undo what an earlier run left unfinished.

    Returns:
        The ledger; an empty one if there is none, or if changed settings require that every row
        is read again.

    Raises:
        PipelineError: somebody else has changed committed rows.
    """
    old = repair_ledger(config, "")
    settle_final_data(config, old)
    ledger = _without_tail(config, committed_rows.check(config, old))
    if ledger != old:
        write_ledger(config.ledger, ledger)
    settle(config, ledger)
    return ledger


def repair_ledger(config: Config, store: str) -> Ledger:
    """The ledger of the last run, or a new one if every row has to be read again.

    Args:
        store: where the settings store the rows, in the ledger's form.

    Raises:
        PipelineError: files that would have to be read again are gone.
    """
    atomic_files.sweep_temporary_files([config.output_folder_path, config.quarantine])
    ledger = read_ledger(config.ledger)
    return (
        ledger if ledger.fits(config.schema_digest, store) else _begin_anew(config, ledger, store)
    )


def settle(config: Config, ledger: Ledger) -> None:
    """Make finaldata.csv and the files beside it agree with the ledger.

    Raises:
        PipelineError: a list that the ledger names is gone.
    """
    settle_final_data(config, ledger)
    for path, digest in _lists(config, ledger).items():
        _settle(config, path, digest)
    settle_records(config, ledger)


def settle_records(config: Config, ledger: Ledger) -> None:
    """Make quarantine and list of ingested files agree with the ledger, on every engine."""
    _settle_quarantine(config, ledger)
    _settle_names(config, ledger)


def settle_final_data(config: Config, ledger: Ledger) -> None:
    """Replace `finaldata.csv` by a pending one if the ledger names its rows; else remove that."""
    waiting = pending(config.final_data)
    if waiting.exists():
        if waiting.stat().st_size == ledger.committed_bytes and all(
            commit.sha256 == digest
            for commit, digest in zip(
                ledger.commits, committed_rows.digests(waiting, ledger.commits), strict=True
            )
        ):
            waiting.replace(config.final_data)
            atomic_files.sync_folder(config.output_folder_path)
        waiting.unlink(missing_ok=True)


def pending(path: Path) -> Path:
    """Where a file of rows waits, rewritten, until the ledger names its content."""
    return path.with_name(f"{path.stem}.pending{path.suffix}")


def present(path: Path) -> Path:
    """A file of rows as it will be: the one that waits before the one in place."""
    waiting = pending(path)
    return waiting if waiting.exists() else path


@contextlib.contextmanager
def scratch_folder(config: Config) -> Iterator[Path]:
    """A folder on the same disk for data that does not fit into memory; removed afterwards."""
    folder = config.output_folder_path / f"{atomic_files.TEMPORARY_PREFIX}{os.getpid()}-ingestion"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def quarantine_path(config: Config, entry: LedgerEntry) -> Path:
    """The file in quarantine/ that holds a source file's rejected rows."""
    # A file name has at most 255 bytes.
    name = entry.name.encode()[:200].decode(errors="ignore")
    return config.quarantine / f"{entry.sha256[:12]}-{name}.csv"


def _begin_anew(config: Config, ledger: Ledger, store: str) -> Ledger:
    """Begin a new ledger after a change of settings: all files are to be ingested again."""
    text, costs = change_in_words(config, ledger, store)
    logger.info("%s", text)
    # From here on no row is committed; if this run ends now, the next one starts from that.
    known = [entry.sha256 for entry in ledger.entries]
    anew = Ledger(
        schema=config.schema_digest,
        store=store,
        writing=True,
        notices=ledger.notices,
        arrivals=tuple(dict.fromkeys([*known, *ledger.arrivals])),
        former=_former(config, ledger, store),
    )
    notice = text if costs else None
    is_of_no_file = ledger.open_of_no_file or any(not commit.files for commit in ledger.commits)
    if not ledger.store and is_of_no_file:
        kept = " and ".join(
            atomic_files.keep_copy(path).name
            for path in (config.final_data, config.open_clients, config.unmatured)
            if path.exists()
        )
        notice = f"{text}; rows that may stand in no file are kept in {kept}"
    if notice is not None:
        logger.warning("%s", notice)
        anew = anew.with_notice(clock.now(), notice)
    write_ledger(config.ledger, anew)
    return anew


def change_in_words(config: Config, ledger: Ledger, store: str) -> tuple[str, bool]:
    """What a change of settings does that has every row read again, and whether it is sure to cost
    something that is not had again.

    Raises:
        PipelineError: files that would have to be read again are gone.
    """
    gone, matters = vanished(config, ledger), dates_matter(config)
    what = "columns or labels" if ledger.store == store else "columns, labels or engine"
    if gone:
        raise PipelineError(
            f"{config.source}: the settings of {what} have changed, so every row must "
            f"be read again, but what came as {some(gone)} is no longer in "
            f"{config.input_folder_path}; put it back (beside a newer file of the same name: under "
            f"another), undo the change, or delete {config.ledger}: then what cannot be read by "
            f"the new settings is set aside under another name, and the run goes on without it"
            f"{f'; every row then counts as one of that day: {LOSES}' if matters else ''}"
        )
    text = f"the settings of {what} have changed, so every file is ingested again"
    if not matters:
        return text, False
    if not _keeps_days(config, ledger, store):
        return f"{text}; every row then counts as one of that day: {LOSES}", True
    text += ", as of the day on which it came: "
    if _has_other_ids(config):
        return text + _OTHER_IDS, True
    return text + _LOSES_REJECTED, False


# What is lost with the days on which rows came, where something hangs on these.
LOSES = (
    "a study of calls loses the outcomes it has so far, and rows of clients who have been "
    "contacted are not learnt"
)
_LOSES_REJECTED = (
    "a study of calls loses no outcome by that, except those in files that the new settings reject"
)
_OTHER_IDS = (
    "clients under new ids are new clients: a study of calls and actions no longer find them "
    "(unless only the column's name has changed)"
)


def _keeps_days(config: Config, ledger: Ledger, store: str) -> bool:
    """Whether rows that are read again count as of the day on which they came.

    On Spark they are one commit; and nobody knows any more when rows have matured, or when those
    came that were there when the ledger was rebuilt.
    """
    former = _before(ledger)
    has_matured = ledger.unmatured or any(
        name.startswith(MATURED) for commit in former for name in commit.files
    )
    is_unknown = has_matured or not all(commit.files for commit in former)
    return not (store or ledger.store or config.snapshot_column or is_unknown)


def _before(ledger: Ledger) -> tuple[Commit, ...]:
    """The commits that files to be read again are to make again, oldest first."""
    return (*ledger.emptied, *ledger.commits, *ledger.former)


def _has_other_ids(config: Config) -> bool:
    """Whether the rows that are there were read with another `id_column`, as far as they tell."""
    try:
        return column_names(config.final_data)[0] != config.id_column
    except (DataError, OSError):
        return False


def _former(config: Config, ledger: Ledger, store: str) -> tuple[Commit, ...]:
    """The commits that the files are to make again: those of before; or a single one, of today."""
    former = _before(ledger)
    if _keeps_days(config, ledger, store) or not former:
        return former
    files: tuple[str, ...] = ()  # as where those of a rebuilt ledger are unknown
    if all(commit.files for commit in former):
        files = tuple(digest for commit in former for digest in commit.files)
    last = replace(former[-1], files=files, time=clock.now())
    return (last.with_ids(name for commit in former for name in commit.ids),)


def dates_matter(config: Config) -> bool:
    """Whether there are actions, or clients who take part in a study."""
    return config.actions.exists() or any(config.enrolled.rglob("*.csv"))


def vanished(config: Config, ledger: Ledger) -> list[str]:
    """Names of files that rows came from and that are no longer in the source folder."""
    current = survey(config.input_folder_path, ledger, config.upload_settle_seconds)
    present = {sighting.sha256 for sighting in current.sightings.values()}
    present |= {item.sha256 for item in current.new}
    names = {*current.sightings, *(item.batch.name for item in current.new)}
    return [
        *(name for name in ledger.earlier_names if name not in names),
        *(
            entry.name
            for entry in ledger.entries
            if entry.kept + entry.open and entry.sha256 not in present
        ),
    ]


def _without_tail(config: Config, ledger: Ledger) -> Ledger:
    """Cut off rows that a killed run appended to finaldata.csv without committing them."""
    end = ledger.committed_bytes
    if ledger.stamp is not None and ledger.stamp[0] > end:
        if end:
            logger.info("%s: cut back to the committed rows", config.final_data.name)
        os.truncate(config.final_data, end)
        ledger = replace(ledger, stamp=committed_rows.current_stamp(config.final_data))
    return replace(ledger, writing=False)


def _lists(config: Config, ledger: Ledger) -> dict[Path, str]:
    """The lists beside `finaldata.csv`, and each one's digest by the ledger; "" of none."""
    unmatured = ledger.unmatured.sha256 if ledger.unmatured else ""
    return {config.open_clients: ledger.open_sha256, config.unmatured: unmatured}


def is_edited(config: Config, ledger: Ledger, path: Path) -> bool:
    """Whether a list is not the one that the ledger names, neither in place nor pending."""
    digest = _lists(config, ledger)[path]
    return bool(digest) and digest not in map(_digest_or_none, (path, pending(path)))


def _settle(config: Config, path: Path, digest: str) -> None:
    """Put a list of the digest that the ledger names in place; none, where that is ""."""
    waiting = pending(path)
    if not digest:
        path.unlink(missing_ok=True)
    elif _digest_or_none(path) != digest:
        if _digest_or_none(waiting) != digest:
            what = "list of open clients" if path == config.open_clients else "rows"
            raise PipelineError(
                f"{path}: not the {what} that ingestion wrote; "
                f"nothing was changed; {committed_rows.advice(config, path)}"
            )
        waiting.replace(path)
        atomic_files.sync_folder(config.output_folder_path)
    waiting.unlink(missing_ok=True)


def _digest_or_none(path: Path) -> str | None:
    return atomic_files.sha256_of(path) if path.is_file() else None


def _settle_quarantine(config: Config, ledger: Ledger) -> None:
    """Remove the rejected rows of files that are not in the ledger; foreign files stay."""
    expected = {quarantine_path(config, entry) for entry in ledger.entries if entry.quarantined}
    if config.quarantine.is_dir():
        for path in sorted(config.quarantine.iterdir()):
            if _QUARANTINE_NAME.fullmatch(path.name) and path not in expected:
                path.unlink()


def _settle_names(config: Config, ledger: Ledger) -> None:
    """Write the names of the ingested files, unless they are already written."""
    names = "".join(f"{name}\n" for name in ledger.ingested_names)
    path = config.ingested_files
    if not path.is_file() or path.read_text(encoding="utf-8") != names:
        atomic_files.write_text(path, names)
