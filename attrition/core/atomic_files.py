"""Files that are never half written: a temporary file in the same folder, synced, then renamed.

Standard library only: the idle tick of fullprocess.py may need it.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import logging
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from attrition.core.errors import DataError, PipelineError, UnreadableError

TEMPORARY_PREFIX = ".tmp-"

logger = logging.getLogger(__name__)


def sync_folder(folder: Path) -> None:
    """Make renames and new names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; on success it durably replaces `path`.

    The body writes and closes the file. On an error the temporary file is removed and the old
    file stays. A folder that stands in its place is set aside under another name. (The name keeps
    the suffix, since plotting libraries choose the format by it.)
    """
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{path.name}")
    try:
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        try:
            temporary.replace(path)
        except IsADirectoryError:
            aside = unused_name(path)
            path.rename(aside)
            logger.warning(
                "%s: a folder stood in this file's place; it is %s now", path, aside.name
            )
            temporary.replace(path)
        sync_folder(path.parent)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and str(error.filename) in ("None", str(temporary)):
            error.filename = str(path)  # people know the file, not what stands for it
        raise


def write_text(path: Path, text: str) -> None:
    """Replace a file by UTF-8 text, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file by bytes, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Replace a file by indented strict JSON; numbers that are not finite become null."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """Indented strict JSON (RFC 8259) ending in a newline; nan and infinity become null."""
    return json.dumps(strict(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def strict(value: Any) -> Any:
    """The same value with every number that JSON cannot represent replaced by None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict(item) for item in value]
    return value


def read_json(path: Path) -> Any:
    """Read a JSON file that the pipeline wrote.

    Raises:
        UnreadableError: the system cannot read the file.
        DataError: the file is missing or not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UnreadableError(
            f"{path}: a folder stands in this file's place; move it away"
        ) from None
    except OSError as error:
        raise UnreadableError(f"{path}: not readable ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not readable as JSON ({error})") from None


def keep_copy(path: Path) -> Path:
    """Copy a file under a numbered name beside it that nothing overwrites or removes.

    Returns:
        The copy; an earlier one, if it has the same content.
    """
    import shutil  # slow to import: an idle run does not need it

    digest = sha256_of(path)
    for copy in _set_aside_names(path):
        if not copy.exists():
            break
        if copy.is_file() and sha256_of(copy) == digest:
            return copy
    with replacing(copy) as temporary:
        shutil.copyfile(path, temporary)
    return copy


def unused_name(path: Path) -> Path:
    """A numbered name beside a path for what is set aside, such as `current.set-aside-1`."""
    return next(name for name in _set_aside_names(path) if not os.path.lexists(name))


def _set_aside_names(path: Path) -> Iterator[Path]:
    for number in itertools.count(1):
        yield path.with_name(f"{path.stem}.set-aside-{number}{path.suffix}")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_part(path: Path, start: int, size: int) -> str:
    """SHA-256 of so many bytes of a file, or of what there is of them, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        stream.seek(start)
        while size and (chunk := stream.read(min(size, 1 << 20))):
            digest.update(chunk)
            size -= len(chunk)
    return digest.hexdigest()


def sweep_temporary_files(folders: Iterable[Path]) -> list[Path]:
    """Remove the half-written files of a killed run; call this only under the run lock.

    Returns:
        The removed paths.
    """
    removed = []
    for folder in folders:
        for path in sorted(folder.glob(f"{TEMPORARY_PREFIX}*")):
            remove_tree(path)
            removed.append(path)
    return removed


def check_writable(folders: Iterable[Path]) -> None:
    """Raise a PipelineError that names the first folder that cannot be written to."""
    for folder in folders:
        effective = os.access in os.supports_effective_ids
        if not os.access(folder, os.W_OK | os.X_OK, effective_ids=effective):
            raise PipelineError(
                f"{folder}: this folder cannot be written to; "
                f"give the user that runs the pipeline write permission"
            )


def remove_tree(path: Path) -> None:
    """Remove a file, or a folder with its content; a missing path is no error."""
    import shutil  # slow to import: an idle run does not need it

    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON object for display; {} where it is missing or, with a warning, damaged."""
    if not path.exists():
        return {}
    try:
        value = read_json(path)
    except DataError as error:
        logger.warning("%s; the report does without it", error)
        return {}
    return value if isinstance(value, dict) else {}
