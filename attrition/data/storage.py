"""The format of client rows in `finaldata.csv` and `openclients.csv`: header, reading, writing.

Numbers are written in their shortest form (`1234`, not `1234.0`), categories trimmed, ids
unchanged, labels as in the settings, blanks as empty fields. A row has only one spelling, so equal
rows are equal bytes.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import IO

import duckdb

from attrition.core import atomic_files
from attrition.core.config import Config
from attrition.core.errors import DataError
from attrition.data import validation
from attrition.data.csv_records import MAXIMUM_RECORD

# DuckDB guesses nothing but the line end, which it takes from the first one in the file ...
READ_OPTIONS = "auto_detect=false, delim=',', quote='\"', escape='\"', strict_mode=true"
# ... so it is given for files we wrote: a value may hold another line end.
READ_OWN_OPTIONS = rf"{READ_OPTIONS}, new_line='\n'"


def size_of(path: Path) -> int:
    """Bytes of a file; 0 where it is missing."""
    return path.stat().st_size if path.exists() else 0


def keys(config: Config) -> list[str]:
    """SQL names of the stored columns before the label: `v0`, `v1`, ..."""
    return [f"v{i}" for i in range(len(config.stored_columns) - 1)]


def key_of(config: Config) -> dict[str, str]:
    """Name of a stored column before the label -> its SQL name."""
    return dict(zip(config.stored_columns[:-1], keys(config), strict=True))


def client_keys(config: Config) -> list[str]:
    """SQL names of what tells one client from another: the id, or without one the whole row."""
    return row_keys(config) if config.id_column is None else [key_of(config)[config.id_column]]


def row_keys(config: Config) -> list[str]:
    """SQL names of what, with the label, tells one row from another: not what is a segment only."""
    return [key for key in keys(config) if key not in segment_keys(config)]


def segment_keys(config: Config) -> list[str]:
    """SQL names of the columns that are segments only."""
    return [key_of(config)[name] for name in config.segment_only_columns]


def kinds(config: Config) -> dict[str, str]:
    """SQL name of a stored column before the label -> DuckDB's type."""
    return {key: kind_of(config, name) for name, key in key_of(config).items()}


def read_stored(config: Config, *, header: bool = True) -> str:
    """SQL for rows (`v0`, ..., `label`) of a file of the pipeline; its parameter is the path."""
    columns = {**kinds(config), "label": "VARCHAR"}  # as Python writes it, DuckDB reads it
    positive, negative = map(validation.literal, (config.positive_label, config.negative_label))
    return (
        f"(SELECT {', '.join(keys(config))}, CASE label WHEN {positive} THEN {validation.POSITIVE} "
        f"WHEN {negative} THEN {validation.NEGATIVE} END AS label "
        f"FROM read_csv(?, columns={columns}, header={header}, {READ_OWN_OPTIONS}))"
    )


def stored_header(config: Config) -> str:
    """The first line of the files that hold stored rows."""
    quoted = (
        '"' + name.replace('"', '""') + '"' if re.search('[",\\r\\n]', name) else name
        for name in config.stored_columns
    )
    return ",".join(quoted)


def kind_of(config: Config, column: str) -> str:
    """DuckDB's type of a stored column before the label."""
    return "DOUBLE" if column in config.numeric_stored_columns else "VARCHAR"


def no_rows(config: Config) -> str:
    """SQL for no rows, with the columns of `read_stored` and without parameters."""
    named = ", ".join(f"NULL::{kind} AS {key}" for key, kind in kinds(config).items())
    return f"(SELECT {named}, NULL::TINYINT AS label WHERE false)"


def read_range(
    config: Config, path: Path, start: int, end: int | None, scratch: Path
) -> tuple[str, list[str]]:
    """The rows between two offsets of a file, as SQL and its parameters.

    Args:
        path: the file; a missing or empty one has no rows.
        start: byte of the first row; 0 for the file's beginning, header included.
        end: byte after the last row; None for the end of the file.
        scratch: an existing folder.

    Raises:
        DataError: the file is shorter, or was written with other settings.
    """
    if not path.exists():
        return no_rows(config), []
    size = path.stat().st_size
    if not size and not end:  # a header comes with the first rows
        return no_rows(config), []
    _check_header(config, path)
    end = size if end is None else end
    if not 0 <= start <= end <= size:
        raise DataError(f"{path}: {size} bytes long, but bytes {start} to {end} were asked for")
    if start == end:
        return no_rows(config), []
    if (start, end) != (0, size):
        path = copy_range(path, start, end, scratch)
    return read_stored(config, header=start == 0), [str(path)]


def _check_header(config: Config, path: Path) -> None:
    with path.open("rb") as stream:
        header = stream.readline(MAXIMUM_RECORD).decode("utf-8", "replace").rstrip("\n")
    expected = stored_header(config)
    if header != expected:
        raise DataError(
            f"{path}: expected the columns {expected}, found {header}; "
            f"run ingestion.py, which makes it anew after a change of settings"
        )


def copy_range(path: Path, start: int, end: int, scratch: Path) -> Path:
    """Copy the bytes between two offsets of a file, as far as they are there, into a folder."""
    part = scratch / f"{start}-{end}.csv"
    with path.open("rb") as source, part.open("wb") as target:
        source.seek(start)
        remaining = end - start
        while remaining and (chunk := source.read(min(remaining, 1 << 20))):
            target.write(chunk)
            remaining -= len(chunk)
    return part


def write_stored(
    connection: duckdb.DuckDBPyConnection, config: Config, rows: str, path: Path
) -> None:
    """Write rows, without a header.

    Args:
        connection: where the rows are.
        rows: SQL after FROM, of rows with `v0`, ..., `label` (NULL is blank).
    """
    columns = [
        validation.number_text(key) if kind == "DOUBLE" else key
        for key, kind in kinds(config).items()
    ]
    positive, negative = map(validation.literal, (config.positive_label, config.negative_label))
    columns.append(
        f"CASE label WHEN {validation.POSITIVE} THEN {positive} "
        f"WHEN {validation.NEGATIVE} THEN {negative} END"
    )
    connection.execute(
        f"COPY (SELECT {', '.join(columns)} FROM {rows}) TO {validation.literal(str(path))} "
        f"(FORMAT csv, HEADER false, DELIMITER ',', QUOTE '\"', ESCAPE '\"', NULLSTR '')"
    )


def append(part: Path, stream: IO[bytes], config: Config) -> bytes:
    """Append written rows to a stream; write the header first if the stream is empty.

    Returns:
        The header's line, if it was written; else b"".
    """
    header = b"" if stream.tell() else stored_header(config).encode() + b"\n"
    stream.write(header)
    with part.open("rb") as rows:
        shutil.copyfileobj(rows, stream, 1 << 20)
    return header


def write_whole(part: Path, path: Path, config: Config) -> str:
    """Replace a file by a header and written rows; return its SHA-256."""
    with atomic_files.replacing(path) as temporary, temporary.open("wb") as stream:
        append(part, stream, config)
    return atomic_files.sha256_of(path)
