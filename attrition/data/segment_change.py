"""Gives the rows that are there other segment columns, where reading them again costs too much.

No model learns from a segment column that is no feature, so rows may lack it: a new one is blank in
them until their client comes in another file. The commits keep their ids and times. So a study of
calls keeps its outcomes, and who had been contacted before a row came stays known.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import duckdb

from attrition.core import atomic_files, clock
from attrition.core.config import Config
from attrition.core.errors import DataError
from attrition.core.formatting import listing
from attrition.data import committed_rows, deduplication, recovery, storage
from attrition.data.client_table import ClientTable, connect
from attrition.data.csv_records import column_names
from attrition.data.ledger import Ledger, read_ledger, write_ledger

# Writes the rows between two bytes of a file (None: its end) into another, without a header.
Rewrite = Callable[[Path, int, int | None, Path], None]

_BLANK = "blank for a client until it comes in another file"  # ends the notice

logger = logging.getLogger(__name__)


def is_due(config: Config, ledger: Ledger) -> bool:
    """Whether nothing but segment columns has changed, and rows are better not read again."""
    return _settings_before(config, ledger) is not None and (
        recovery.dates_matter(config) or bool(recovery.vanished(config, ledger))
    )


def change_segment_columns(config: Config) -> None:
    """Rewrite the rows and their ledger with the segment columns of the settings, where it is due.

    Raises:
        DataError, PipelineError: the ledger is damaged, or somebody else has changed the rows.
    """
    ledger = read_ledger(config.ledger)
    before = _settings_before(config, ledger)
    if before is None or not is_due(config, ledger):
        return
    ledger = recovery.repair(before)  # what earlier runs left is whole, and in its place
    size = ledger.committed_bytes
    with (
        recovery.scratch_folder(config) as scratch,
        connect(config, scratch, size) as connection,
    ):
        rewrite = _rewriting(connection, before, config, scratch)
        ledger = _with_rows(config, ledger, rewrite, scratch)
        ledger = _with_lists(config, ledger, rewrite, scratch)
        ledger = _with_replaced(before, ledger, rewrite, scratch)
    text = "the segment columns have changed; no file is read again"
    if new := [name for name in config.stored_columns if name not in before.stored_columns]:
        verb = "is" if len(new) == 1 else "are"
        text += f", so {listing(new)} {verb} {_BLANK}"
    logger.warning("%s", text)
    ledger = replace(ledger, schema=config.schema_digest).with_notice(clock.now(), text)
    write_ledger(config.ledger, ledger)


def awaited(config: Config, ledger: Ledger) -> list[str]:
    """The segment columns of which a notice says that they are blank so far."""
    texts = [
        notice.text.partition(", so ")[2]
        for notice in ledger.notices
        if notice.text.endswith(_BLANK)
    ]
    return [name for name in config.segment_columns if any(name in text for text in texts)]


def note_segments(table: ClientTable, ledger: Ledger, scratch: Path) -> Ledger:
    """Give committed rows the segments of their duplicates in the table, which are newer.

    Args:
        table: the rows, duplicates marked.
        ledger: what is committed so far, and in its place.
        scratch: an existing folder.

    Returns:
        The ledger, already written: the commits keep their ids, times and rows.
    """
    config, connection, segments = table.config, table.connection, table.segment_columns
    if not ledger.committed_bytes or not segments or not table.scalar("SELECT count(*) FROM noted"):
        return ledger
    if not committed_rows.is_as_left(config, ledger):
        return ledger  # changed since this run began; appending or the next run says so
    equal = deduplication.same("final", "noted", [*table.row_columns, "label"])
    news = " OR ".join(f"noted.{key} <> coalesce(final.{key}, '')" for key in segments)
    rows = f"{storage.read_stored(config)} AS final JOIN noted ON {equal} WHERE {news}"
    if not table.scalar(f"SELECT count(*) FROM {rows}", [str(config.final_data)]):
        return ledger
    known = ", ".join(f"coalesce(noted.{key}, final.{key}) AS {key}" for key in segments)

    def rewrite(source: Path, start: int, end: int | None, target: Path) -> None:
        rows, parameters = storage.read_range(config, source, start, end, scratch)
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE moved AS SELECT final.* REPLACE ({known}) "
            f"FROM (SELECT row_number() OVER () AS r, * FROM {rows}) AS final "
            f"LEFT JOIN noted ON {equal} ORDER BY r",
            parameters,
        )
        storage.write_stored(connection, config, "moved ORDER BY r", target)

    ledger = _with_rows(config, ledger, rewrite, scratch)
    write_ledger(config.ledger, ledger)
    recovery.settle_final_data(config, ledger)
    stamp = committed_rows.current_stamp(config.final_data)
    return replace(ledger, writing=False, stamp=stamp)


def _settings_before(config: Config, ledger: Ledger) -> Config | None:
    """The settings that the rows were read with, if only segment columns were others; else None."""
    if ledger.store or ledger.fits(config.schema_digest, ""):
        return None
    others = {*replace(config, segment_columns=()).stored_columns}
    waiting = recovery.pending(config.open_clients)  # of a killed change it has the new columns
    for path in (config.final_data, config.open_clients, waiting):
        try:
            names = column_names(path)
        except (DataError, OSError):
            continue
        columns = tuple(name for name in names if name not in others)
        before = replace(config, segment_columns=columns)
        if before.schema_digest == ledger.schema:
            return before
    return None


def _rewriting(
    connection: duckdb.DuckDBPyConnection, before: Config, config: Config, scratch: Path
) -> Rewrite:
    """What rewrites rows that were read with the settings before."""
    old = storage.key_of(before)
    columns = ", ".join(
        f"{old[name]} AS {key}" if name in old else f"NULL::VARCHAR AS {key}"
        for name, key in storage.key_of(config).items()
    )

    def rewrite(source: Path, start: int, end: int | None, target: Path) -> None:
        rows, parameters = storage.read_range(before, source, start, end, scratch)
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE moved AS SELECT {columns}, label FROM {rows}",
            parameters,
        )
        storage.write_stored(connection, config, "moved", target)
        for copy in scratch.glob(f"{start}-*.csv"):
            copy.unlink()  # of the range

    return rewrite


def _with_rows(config: Config, ledger: Ledger, rewrite: Rewrite, scratch: Path) -> Ledger:
    """The ledger of the rewritten labelled rows, which wait for it."""
    if not ledger.commits:
        return ledger
    part, waiting = scratch / "part.csv", recovery.pending(config.final_data)
    commits, ends = [], {}
    with atomic_files.replacing(waiting) as path, path.open("wb") as stream:
        for commit in ledger.commits:
            rewrite(config.final_data, commit.start, commit.end, part)
            start = stream.tell()
            storage.append(part, stream, config)
            commits.append(replace(commit, start=start, end=stream.tell()))
            ends[commit.end] = stream.tell()
    digests = committed_rows.digests(waiting, commits)
    return replace(
        ledger,
        commits=tuple(
            replace(commit, sha256=digest) for commit, digest in zip(commits, digests, strict=True)
        ),
        earlier_end=ends.get(ledger.earlier_end, 0),
        writing=True,
        stamp=None,
    )


def _with_lists(config: Config, ledger: Ledger, rewrite: Rewrite, scratch: Path) -> Ledger:
    """The ledger of the rewritten open clients and rows that mature, which wait for it."""

    def rewritten(source: Path) -> str:
        part = scratch / "part.csv"
        rewrite(source, 0, None, part)
        return storage.write_whole(part, recovery.pending(source), config)

    if ledger.open_sha256:
        ledger = replace(ledger, open_sha256=rewritten(config.open_clients))
    if ledger.unmatured:
        unmatured = replace(ledger.unmatured, sha256=rewritten(config.unmatured))
        ledger = replace(ledger, unmatured=unmatured)
    return ledger


def _with_replaced(before: Config, ledger: Ledger, rewrite: Rewrite, scratch: Path) -> Ledger:
    """The ledger with the rows that it holds itself rewritten, too."""
    one, part, replaced = scratch / "one.csv", scratch / "part.csv", {}
    for digest, line in ledger.replaced.items():
        one.write_text(f"{storage.stored_header(before)}\n{line}", encoding="utf-8", newline="")
        rewrite(one, 0, None, part)
        with part.open(encoding="utf-8", newline="") as stream:
            replaced[digest] = stream.read()
    return replace(ledger, replaced=replaced)
