"""A project for a newcomer's table: folders, settings, a share of test data, the table itself.

The table is copied as it is, so that lines named later are those of the user's own file. What is
held out as test data (`test_share`) follows from the clients' ids: all rows of a client are on one
side, whenever they come. Of several shares the first is taken whose clients leave as often as all.
"""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from attrition.core import atomic_files
from attrition.core.config import DEFAULT_CONFIG_PATH, FOLDER_KEYS, STANDARD_FOLDERS, Config
from attrition.core.config_parsing import parse_config, read_settings
from attrition.core.errors import ConfigError, DataError, PipelineError
from attrition.data import source_files, storage
from attrition.data.client_table import KEPT, OPEN, REPEATED, ClientTable, session, unpacked
from attrition.data.column_choice import Choice
from attrition.data.config_suggestion import suggest_settings
from attrition.data.deduplication import mark_duplicates
from attrition.data.hold_out import is_held_out
from attrition.data.source_files import Batch

# Shares of the rows to hold out, in percent, of which one is chosen.
SHARES = range(20, 26)
# Shares of leavers that differ by less are alike.
_ALIKE = 0.005


@dataclass(frozen=True)
class Part:
    """Some labelled rows: how many, of how many clients, and how many of the rows are leavers'."""

    rows: int
    left: int
    clients: int

    @property
    def share_left(self) -> float:
        return self.left / self.rows if self.rows else 0.0


@dataclass(frozen=True)
class Census:
    """What ingestion will find in a table, in rows.

    Attributes:
        labelled: the rows to learn from and to test on.
        open: of open clients.
        duplicates, rejected: left out, and set aside.
        duplicates_left: how many of the duplicates are leavers'.
        test: the part held out as test data; None where there are too few rows for that.
        test_share: the share that holds it out; 0 for none.
    """

    labelled: Part
    open: int
    duplicates: int
    duplicates_left: int
    rejected: int
    test: Part | None
    test_share: float


@dataclass(frozen=True)
class NewProject:
    """A project that was made: its settings file, why they are as they are, and its rows."""

    config: Config
    table: str
    choice: Choice
    census: Census


def create_project(
    folder: Path, table: Path, target: str, positive: str | None = None
) -> NewProject:
    """Make a project folder for a table, whole or not at all.

    Args:
        folder: a new or an empty one.
        table: `.csv` or `.csv.gz`.
        target: name of the column of labels.
        positive: the label that means leaving; None where it is to be guessed.

    Raises:
        DataError: as `suggest_settings`.
        PipelineError: the folder is not empty, the one that it is to stand in is missing, it would
            stand in a folder of another project, or it cannot be made.
    """
    folder = folder.resolve()
    _check_new(folder)
    source = folder / DEFAULT_CONFIG_PATH.name
    standard = parse_config(STANDARD_FOLDERS, source)
    choice = suggest_settings(standard, table, target, positive)
    batch = source_files.find_batch(table)
    census = _census(parse_config(choice.settings, source), batch)
    settings = {**choice.settings, "test_share": census.test_share}
    with _replacing_folder(folder) as temporary:
        for key in FOLDER_KEYS:
            (temporary / STANDARD_FOLDERS[key]).mkdir()
        _copy(batch, temporary / STANDARD_FOLDERS["input_folder_path"] / batch.name)
        atomic_files.write_json(temporary / source.name, settings)
    return NewProject(parse_config(settings, source), batch.name, choice, census)


def _check_new(folder: Path) -> None:
    if not folder.parent.is_dir():
        raise PipelineError(
            f"{folder}: the folder that it is to stand in does not exist; "
            f"create it with: mkdir -p '{folder.parent}'"
        )
    if folder.exists() and not folder.is_dir():
        raise PipelineError(f"{folder}: expected a new folder, found a file")
    if folder.exists() and any(folder.iterdir()):
        raise PipelineError(
            f"{folder}: expected a new or an empty folder, found one with files in it, which stay "
            f"as they are; name another one"
        )
    for parent in folder.parents:
        _check_no_folder_of(parent / DEFAULT_CONFIG_PATH.name, folder)


def _check_no_folder_of(source: Path, folder: Path) -> None:
    """Refuse a folder within one of another project's, whose runs would meet it there."""
    try:
        other = parse_config(read_settings(source), source) if source.is_file() else None
    except ConfigError:
        return  # no settings of a project
    for key in FOLDER_KEYS if other else ():
        if folder.is_relative_to(getattr(other, key)):
            raise PipelineError(
                f"{folder}: expected a folder outside other projects' folders, found it within "
                f"{getattr(other, key)}, the {key} of {source}; name another one"
            )


@contextmanager
def _replacing_folder(folder: Path) -> Iterator[Path]:
    """Give a temporary folder beside a new one; on success it gets that name, else it is removed.

    What a killed run has left there is removed, too.
    """
    prefix = atomic_files.TEMPORARY_PREFIX
    for left in folder.parent.glob(f"{prefix}*-{glob.escape(folder.name)}"):
        atomic_files.remove_tree(left)
    temporary = folder.parent / f"{prefix}{os.getpid()}-{folder.name}"
    try:
        temporary.mkdir()
        yield temporary
        temporary.rename(folder)
        atomic_files.sync_folder(folder.parent)
    except BaseException as error:
        atomic_files.remove_tree(temporary)
        if isinstance(error, OSError) and temporary.name in str(error.filename):
            raise PipelineError(f"{folder}: cannot be made ({error.strerror})") from None
        raise


def _copy(batch: Batch, path: Path) -> None:
    with (
        atomic_files.replacing(path) as temporary,
        source_files.open_batch(batch) as table,
        temporary.open("wb") as copy,
    ):
        shutil.copyfileobj(table, copy)
    if not source_files.is_unchanged(batch):
        raise DataError(f"{batch.path}: it has changed meanwhile; try again when it is complete")


def _census(config: Config, batch: Batch) -> Census:
    """Let ingestion's own reader count a table's rows, and choose the share to hold out."""
    with (
        session(config, batch.unpacked_size) as (connection, folder),
        unpacked(config, batch, folder) as plain,
    ):
        table = ClientTable(connection, config, folder)
        with table.transaction():
            rejected = table.add(plain, 0).quarantined
        mark_duplicates(table, None, 0, folder)
        labelled = _part(table, "true")
        share, test = _choose_share(table, labelled)
        repeated = f"SELECT count(*), count_if(label = 1) FROM rows WHERE {REPEATED}"
        duplicates, duplicates_left = connection.execute(repeated).fetchall()[0]
        return Census(
            labelled=labelled,
            open=int(table.scalar(f"SELECT count(*) FROM rows WHERE {OPEN}")),
            duplicates=duplicates,
            duplicates_left=duplicates_left,
            rejected=rejected,
            test=test,
            test_share=share,
        )


def _part(table: ClientTable, condition: str) -> Part:
    """The labelled rows that fulfil an SQL condition."""
    identity = table.config.id_column
    client = "rowid" if identity is None else storage.key_of(table.config)[identity]
    query = f"SELECT count(*), coalesce(sum(label), 0), count(DISTINCT {client}) FROM rows"
    counts = table.connection.execute(f"{query} WHERE {KEPT} AND {condition}").fetchall()[0]
    return Part(*map(int, counts))


def _choose_share(table: ClientTable, labelled: Part) -> tuple[float, Part | None]:
    """The share to hold out that is most like all rows, and what it holds out; 0 if all too few."""
    config = table.config
    choices = [
        (max(_ALIKE, abs(part.share_left - labelled.share_left)), percent / 100, part)
        for percent in SHARES
        for part in [_part(table, is_held_out(replace(config, test_share=percent / 100)))]
        if part.clients >= config.minimum_scoring_rows
        and min(part.left, part.rows - part.left) >= config.minimum_rarer_label_rows
        and labelled.rows - part.rows >= config.minimum_training_rows
    ]
    if not choices:
        return 0.0, None
    _, share, part = min(choices, key=lambda choice: choice[:2])
    return share, part
