"""The files that a client of the API may name: CSV files in the data folders, and nothing else."""

from __future__ import annotations

import gzip
import io
import os
import stat
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from attrition.core.config import Config
from attrition.core.errors import DataError
from attrition.data.source_files import is_batch_name


def data_folders(config: Config) -> dict[PurePosixPath, Path]:
    """The folders a client of the API may name a file in: how it names them -> where they are."""
    folders = (config.input_folder_path, config.test_data_path, config.output_folder_path)
    return {_public_name(config, folder): folder for folder in folders}


def public_name(config: Config, path: Path) -> str | None:
    """How a client of the API names a data file, such as `testdata/testdata.csv`."""
    for name, folder in data_folders(config).items():
        if path.parent == folder:
            return str(name / path.name)
    return None


def read_data_file(config: Config, name: str, maximum_bytes: int) -> bytes:
    """Read a CSV file inside the configured data folders, following no link.

    Args:
        name: the file as a client names it, relative: `testdata/testdata.csv`.
        maximum_bytes: no more than that is read.

    Raises:
        DataError: the name is not one of a CSV file in a data folder.
        FileNotFoundError: there is no such regular file.
        OverflowError: it is larger than `maximum_bytes`, unpacked or as it is.
    """
    parts = tuple(name.split("/"))
    if not name.isprintable() or any(part.startswith(".") or not part for part in parts):
        raise DataError("filepath: expected the relative path of a file in a data folder")
    folders = data_folders(config)
    public = next((p for p in folders if p.parts == parts[: len(p.parts)] != parts), None)
    if public is None:
        allowed = ", ".join(f"{folder}/" for folder in folders)
        raise DataError(f"filepath: expected a file in one of {allowed}")
    if not is_batch_name(parts[-1]):
        raise DataError("filepath: expected a file whose name ends in .csv or .csv.gz")
    data = _read_regular(folders[public], parts[len(public.parts) :], maximum_bytes)
    return _unpacked(data, maximum_bytes) if name.lower().endswith(".gz") else data


def _unpacked(data: bytes, maximum_bytes: int) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            plain = stream.read(maximum_bytes + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise DataError("filepath: not a sound gzip file") from None
    if len(plain) > maximum_bytes:
        raise OverflowError("the file is too large when unpacked")
    return plain


def _public_name(config: Config, folder: Path) -> PurePosixPath:
    inside = folder.is_relative_to(config.root)
    return PurePosixPath(folder.relative_to(config.root) if inside else folder.name)


def _read_regular(folder: Path, parts: Sequence[str], maximum_bytes: int) -> bytes:
    """Walk down from the folder, one name at a time: no link on the way, no pipe, no device."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        opened = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=descriptor)
    except OSError:
        raise FileNotFoundError("no such file in the data folders") from None
    finally:
        os.close(descriptor)
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise FileNotFoundError("no such file in the data folders")
    with os.fdopen(opened, "rb") as stream:
        data = stream.read(maximum_bytes + 1)
    if len(data) > maximum_bytes:
        raise OverflowError("the file is too large")
    return data
