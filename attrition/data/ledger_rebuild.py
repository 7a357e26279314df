"""Makes a new ledger for the rows in the ingestion folder, where the old one does not fit them.

Without a ledger it is unknown which file a row came from; but the rows in `finaldata.csv` are kept.
Every row is checked like those of a source file, and rewritten in the pipeline's form if it has
another. Rows that cannot be kept are reported, and the old file is kept under another name.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from pathlib import Path

from attrition.core import atomic_files, clock
from attrition.core.config import Config
from attrition.core.errors import DataError, PipelineError, UnreadableError
from attrition.core.formatting import plural
from attrition.data import (
    committed_rows,
    csv_records,
    deduplication,
    maturity,
    recovery,
    source_files,
    storage,
)
from attrition.data.client_table import GOOD, OPEN, ClientTable, connect
from attrition.data.csv_scan import scan_file
from attrition.data.discovery import some
from attrition.data.ledger import (
    Commit,
    Ledger,
    Unmatured,
    next_commit_id,
    read_ledger,
    write_ledger,
)

LINES_NAMED = 10  # of the rows that cannot be kept

Check = Callable[[Config, Path], "Checked"]  # the path is that of a scratch folder
WithRows = Callable[[Config, Ledger, "Checked"], Ledger]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checked:
    """The checked content of a file of stored rows.

    Attributes:
        source: the file.
        rows: number of rows to keep, each once.
        repeated: number of repetitions of these rows.
        problems: line and reason of every unusable row.
        path: a file with the kept rows in the pipeline's form, header included.
    """

    source: Path
    rows: int
    repeated: int
    problems: tuple[tuple[int, str], ...]
    path: Path


def rebuild_ledger(config: Config) -> None:
    """Make a new ledger of the stored rows, if the ledger is missing or damaged.

    If nothing was ever ingested, do nothing.
    """
    text = _what_is_wrong(config)
    if text is None:
        return
    names = _earlier_names(config)
    texts = [text]
    ledger = Ledger(schema=config.schema_digest, writing=True)
    with recovery.scratch_folder(config) as scratch:
        for path, check, with_rows in _files(config):
            try:
                checked = check(config, scratch)
                ledger = with_rows(config, ledger, checked)
                texts += _lost(checked)
            except DataError as error:
                texts.append(_set_aside(path, error))
    if ledger.commits:
        ledger = replace(ledger, earlier_names=names)
    texts.append(
        f"a new ledger was made of the {plural(ledger.committed_rows, 'labelled row')} and the "
        f"{plural(ledger.open_rows, 'open client')} that stand there; what the source files bring "
        f"beyond them is added"
    )
    if recovery.dates_matter(config):
        texts.append(f"every row counts as one of today: {recovery.LOSES}")
    text = "; ".join(texts)
    logger.warning("%s", text)
    write_ledger(config.ledger, ledger.with_notice(clock.now(), text))


def accept_edits(config: Config) -> str:
    """Accept edits that somebody has made in `finaldata.csv` and `openclients.csv`.

    Returns:
        A text that says what was done.

    Raises:
        PipelineError: a file is gone, or holds unusable rows; nothing was changed.
    """
    rebuild_ledger(config)
    ledger = read_ledger(config.ledger)
    if not ledger.fits(config.schema_digest, ""):
        raise PipelineError(
            f"{config.source}: the settings of columns, labels or engine have changed since the "
            f"rows were ingested; undo that, or run ingestion.py first"
        )
    texts: list[str] = []
    with recovery.scratch_folder(config) as scratch:
        for path, check, with_rows in _files(config):
            if _is_edited(config, ledger, path):
                checked = _sound(path, partial(check, config, scratch))
                ledger = with_rows(config, ledger, checked)
                texts.append(_accepted(checked))
    if texts:
        write_ledger(config.ledger, ledger.with_notice(clock.now(), "; ".join(texts)))
    recovery.repair(config)
    return "; ".join(texts) or "nothing was edited: the rows are those that the last run left"


def damage(config: Config) -> str | None:
    """What is wrong with a damaged ledger, of which a copy is kept; None if it is sound.

    Raises:
        UnreadableError: the system cannot read it; it may be sound.
    """
    try:
        read_ledger(config.ledger)
    except UnreadableError:
        raise
    except DataError:
        return (
            f"ledger.json was damaged and is kept as {atomic_files.keep_copy(config.ledger).name}"
        )
    return None


def _what_is_wrong(config: Config) -> str | None:
    """Why a new ledger is needed; None if it is not."""
    if config.ledger.exists():
        return damage(config)
    ours = (
        config.final_data,
        config.open_clients,
        recovery.pending(config.open_clients),
        recovery.present(config.unmatured),
    )
    return "ledger.json was missing" if any(map(storage.size_of, ours)) else None


def _earlier_names(config: Config) -> tuple[str, ...]:
    """Names of the files that were ingested before; if unknown, of all present files."""
    if config.ingested_files.is_file():
        text = config.ingested_files.read_text(encoding="utf-8", errors="replace")
        return tuple(text.splitlines())
    batches, _ = source_files.list_batches(config.input_folder_path)
    return tuple(batch.name for batch in batches)


def _files(config: Config) -> Iterator[tuple[Path, Check, WithRows]]:
    """Each file of stored rows, what checks it, and what makes a ledger name its rows."""
    yield config.final_data, _check_labelled, _with_rows
    yield config.open_clients, _check_opened, _with_open_clients
    yield config.unmatured, _check_unmatured, _with_unmatured


def _is_edited(config: Config, ledger: Ledger, path: Path) -> bool:
    if path != config.final_data:
        return recovery.is_edited(config, ledger, path)
    try:
        committed_rows.check(config, ledger)
    except PipelineError:
        return True
    return False


def _check_labelled(config: Config, scratch: Path, path: Path | None = None) -> Checked:
    """Check `finaldata.csv`, or another file of labelled rows.

    Raises:
        DataError: it cannot be read with the present settings.
    """

    def keep(table: ClientTable) -> None:
        deduplication.mark_duplicates(table, None, 0, scratch)

    problem = "no outcome; such rows belong into openclients.csv"
    return _check(config, path or config.final_data, (GOOD, problem), keep, scratch)


def _check_opened(config: Config, scratch: Path) -> Checked:
    """Check the list of open clients, as `_check_labelled` checks `finaldata.csv`."""

    def keep(table: ClientTable) -> None:
        client = ", ".join(table.client_columns)
        table.connection.execute(
            f"UPDATE rows SET is_duplicate = true WHERE {OPEN} AND rowid NOT IN "
            f"(SELECT max(rowid) FROM rows WHERE {OPEN} GROUP BY {client})"
        )

    path = recovery.present(config.open_clients)  # a pending list of a killed run is complete
    problem = "an outcome; such rows belong into finaldata.csv"
    return _check(config, path, (OPEN, problem), keep, scratch)


def _check_unmatured(config: Config, scratch: Path) -> Checked:
    """Check the rows whose labels may not be used yet, as `_check_labelled`."""
    if config.snapshot_column is None:
        return Checked(config.unmatured, 0, 0, (), scratch / config.unmatured.name)
    return _check_labelled(config, scratch, recovery.present(config.unmatured))


def _check(
    config: Config,
    path: Path,
    rule: tuple[str, str],
    mark_repeated: Callable[[ClientTable], None],
    scratch: Path,
) -> Checked:
    """Check every row of a file that the pipeline wrote.

    Args:
        path: the file; a missing or empty one has no rows.
        rule: SQL for the rows that belong there, and what is wrong with others.
        mark_repeated: marks repeated rows.
        scratch: an existing folder.
    """
    clean = scratch / path.name
    if not storage.size_of(path):
        return Checked(path, 0, 0, (), clean)
    scan = scan_file(path)
    if csv_records.read_header(path, scan).names != config.stored_columns:
        raise DataError(f"its header is not {storage.stored_header(config)}")
    condition, problem = rule
    with connect(config, scratch, path.stat().st_size) as connection:
        table = ClientTable(connection, config, scratch)
        table.today = maturity.END_OF_TIME  # these rows were mature when they came
        if scan.lines > 1:
            with table.transaction():
                table.add(path, 0)
        mark_repeated(table)
        numbers = table.row_numbers(f"problem IS NULL AND NOT ({condition})")
        rejections = connection.execute('SELECT line, "column", reason FROM rejections').fetchall()
        rows = int(table.scalar(f"SELECT count(*) FROM rows WHERE {condition}"))
        repeated = int(table.scalar("SELECT count(*) FROM rows WHERE is_duplicate"))
        part, kept = scratch / "part.csv", f"rows WHERE {condition} AND NOT is_duplicate"
        storage.write_stored(connection, config, kept, part)
    with clean.open("wb") as target:
        storage.append(part, target, config)
    bad = [(line, f"{column}: {why}" if column else why) for line, column, why in rejections]
    lines = csv_records.start_lines(csv_records.read_records(path, scan), numbers)
    bad += [(line, problem) for line in lines]
    return Checked(path, rows - repeated, repeated, tuple(sorted(bad)), clean)


def _with_rows(config: Config, ledger: Ledger, checked: Checked) -> Ledger:
    """A ledger for these rows; if `finaldata.csv` differs from them, they are written as pending.

    Leading commits whose bytes are unchanged stay; the rows after them become one commit.
    """
    if not checked.rows:
        return replace(ledger, commits=(), writing=True, stamp=None)
    size = checked.path.stat().st_size
    inside = [commit for commit in ledger.commits if commit.end <= size]
    pairs = zip(inside, committed_rows.digests(checked.path, inside), strict=True)
    commits = tuple(
        commit for commit, _ in takewhile(lambda pair: pair[0].sha256 == pair[1], pairs)
    )
    start = commits[-1].end if commits else 0
    ledger = replace(ledger, commits=commits, writing=True, stamp=None)
    if start < size:
        rest = Commit("", start, size, checked.rows - ledger.committed_rows, clock.now(), ())
        (digest,) = committed_rows.digests(checked.path, [rest])
        identity = next_commit_id(ledger.commit_id, config.schema_digest, [digest])
        ledger = ledger.with_commit(replace(rest, id=identity, sha256=digest))
        ledger = replace(ledger, earlier_end=size)
    kept = {commit.id for commit in commits}
    entries = tuple(
        entry
        if entry.commit is None or entry.commit in kept
        else replace(entry, commit=ledger.commit_id)
        for entry in ledger.entries
    )
    if not storage.size_of(config.final_data) or atomic_files.sha256_of(
        config.final_data
    ) != atomic_files.sha256_of(checked.path):
        _let_wait(checked.path, config.final_data)
    return replace(ledger, entries=entries)


def _with_open_clients(config: Config, ledger: Ledger, checked: Checked) -> Ledger:
    """A ledger that names these open clients, which are written as a pending list."""
    if not checked.rows:
        return replace(ledger, open_sha256="", open_rows=0, open_of_no_file=False)
    digest = _let_wait(checked.path, config.open_clients)
    return replace(ledger, open_sha256=digest, open_rows=checked.rows, open_of_no_file=True)


def _with_unmatured(config: Config, ledger: Ledger, checked: Checked) -> Ledger:
    """A ledger that names these rows, which are written as pending; today they are looked at."""
    if not checked.rows:
        return replace(ledger, unmatured=None)
    digest = _let_wait(checked.path, config.unmatured)
    return replace(ledger, unmatured=Unmatured(digest, clock.today()))


def _let_wait(rows: Path, path: Path) -> str:
    """Write rows as pending for a file; return their digest."""
    with atomic_files.replacing(recovery.pending(path)) as temporary:
        shutil.copyfile(rows, temporary)
    return atomic_files.sha256_of(rows)


def _lost(checked: Checked) -> list[str]:
    """Texts about the rows of a file that are not kept."""
    path, texts = checked.source, []
    if checked.problems:
        lines = [str(line) for line, _ in checked.problems]
        texts.append(
            f"{path.name}: {plural(len(lines), 'row')} cannot be read "
            f"(line {some(lines, LINES_NAMED)}); "
            f"the old file is kept as {atomic_files.keep_copy(path).name}"
        )
    if checked.repeated:
        texts.append(f"{path.name}: {plural(checked.repeated, 'repeated row')} left out")
    return texts


def _set_aside(path: Path, error: DataError) -> str:
    copy = atomic_files.keep_copy(path)
    return f"{path.name} cannot be read ({_public(error)}) and is kept as {copy.name}"


def _public(error: DataError) -> str:
    """A reason without the part that quotes the file."""
    return str(error).partition(csv_records.FOUND)[0]


def _sound(path: Path, check: Callable[[], Checked]) -> Checked:
    """The content of a file, if it can be accepted as it is.

    Raises:
        PipelineError: it cannot be accepted; nothing was changed.
    """
    if not storage.size_of(path):
        problem = "is gone or empty"
    else:
        try:
            checked = check()
        except DataError as error:
            problem = f"cannot be read: {_public(error)}"
        else:
            if not checked.problems:
                return checked
            problem = f"{len(checked.problems):,} rows are no client rows: " + "; ".join(
                f"line {line}: {reason}" for line, reason in checked.problems[:LINES_NAMED]
            )
    raise PipelineError(
        f"{path}: {problem}; nothing was changed; mend that or restore the file, or delete the "
        f"ledger.json beside it: then the rows that can be read are kept, and every source file is "
        f"read again"
    )


def _accepted(checked: Checked) -> str:
    again = f", {plural(checked.repeated, 'repeated row')} left out" if checked.repeated else ""
    rows = plural(checked.rows, "row")
    return f"{checked.source.name} was changed by hand and accepted: {rows}{again}"
