"""Files that are never half written: atomic writes, the run lock, and releases of the model.

Standard library only: the idle tick of fullprocess.py takes the lock and looks at the live
release.

A release is a folder `production_deployment/releases/<id>/` that is complete before anyone can
see it; the symlink `production_deployment/current` names the live one and is replaced in one
step. `manifest.json` in it holds the SHA-256 of every other file, and one of itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import json
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from attrition.errors import AlreadyRunning, DataError, PipelineError

TEMPORARY_PREFIX = ".tmp-"
RELEASE_FILES = (
    "trainedmodel.pkl",
    "scorecard.json",
    "latestscore.txt",
    "ingestedfiles.txt",
    "scores.json",
    "training.json",
)
# Two releases with the same content here are the same model, however it was scored since.
IDENTITY_FILES = ("scorecard.json", "training.json")
MANIFEST = "manifest.json"
SEAL = "manifest_sha256"  # key of the manifest: the digest of all its others
# What stands beside `current` under a plain name, as a link through it.
LINKED_FILES = (
    "trainedmodel.pkl",
    "scorecard.json",
    "latestscore.txt",
    "ingestedfiles.txt",
    MANIFEST,
)


def sync_folder(folder: Path) -> None:
    """Make renames and new names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; on success it durably takes the place of `path`.

    The body writes and closes the file. On an error the temporary file is removed and the old
    file stays. (The name keeps the suffix, since plotting libraries choose the format by it.)
    """
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{path.name}")
    try:
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Replace a file by UTF-8 text, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Replace a file by indented strict JSON; numbers that are not finite become null."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """Indented strict JSON (RFC 8259) ending in a newline; nan and infinity become null."""
    return json.dumps(strict(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def strict(value: Any) -> Any:
    """The same value with every number that JSON cannot say replaced by None."""
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
        DataError: the file is missing, unreadable or not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not readable as JSON ({error})") from None


def keep_copy(path: Path) -> Path:
    """Copy a file under a numbered name beside it that nothing overwrites or sweeps away.

    Returns:
        The copy; that of an earlier call, if it has the same content.
    """
    import shutil  # dear: an idle run does without

    digest = sha256_of(path)
    for number in itertools.count(1):
        copy = path.with_name(f"{path.stem}.set-aside-{number}{path.suffix}")
        if not copy.exists():
            break
        if copy.is_file() and sha256_of(copy) == digest:
            return copy
    with replacing(copy) as temporary:
        shutil.copyfile(path, temporary)
    return copy


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sweep_temporary_files(folders: Iterable[Path]) -> list[Path]:
    """Remove what a killed run left half written; call it under the run lock only.

    Returns:
        The removed paths.
    """
    removed = []
    for folder in folders:
        for path in sorted(folder.glob(f"{TEMPORARY_PREFIX}*")):
            _remove(path)
            removed.append(path)
    return removed


def check_writable(folders: Iterable[Path]) -> None:
    """Raise a PipelineError that names the first folder nothing can be written to."""
    for folder in folders:
        effective = os.access in os.supports_effective_ids
        if not os.access(folder, os.W_OK | os.X_OK, effective_ids=effective):
            raise PipelineError(
                f"{folder}: this folder cannot be written to; "
                f"give the user that runs the pipeline write permission"
            )


@contextlib.contextmanager
def run_lock(path: Path) -> Iterator[None]:
    """Hold the one lock under which files of the pipeline change.

    The lock is the kernel's (`flock`): it ends with the process, however that ends. The file is
    never unlinked, since two runs could then hold locks on two files of one name.

    Raises:
        AlreadyRunning: another process holds it.
    """
    with _open_lock(path) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(
                f"another run is at work (it holds {path}); nothing was done, try again later"
            ) from None
        yield


def _open_lock(path: Path) -> IO[str]:
    try:
        return path.open("a")
    except OSError as error:
        raise PipelineError(f"{path}: the run lock cannot be opened ({error.strerror})") from None


@dataclass(frozen=True)
class Release:
    """One deployed model: a folder whose files are proved by its manifest's digests."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def id(self) -> str:
        """The release's name, such as `000003-1f0c9a2b77de`: a running number and its content."""
        return self.folder.name

    def content(self, name: str) -> bytes:
        """What stands in one of its files: read once, so that what is used is what was checked.

        Raises:
            DataError: it is gone, or no longer what was deployed.
        """
        path = self.folder / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: damaged release ({error.strerror})") from None
        if hashlib.sha256(content).hexdigest() != self.manifest["sha256"][name]:
            raise DataError(f"{path}: damaged release (its content is not what was deployed)")
        return content


def live_release_id(deployment: Path) -> str | None:
    """Name of the live release, or None before the first deployment; one readlink, no more."""
    try:
        target = os.readlink(f"{deployment}/current")  # noqa: PTH115 - asked for by every request
    except OSError:
        return None
    return target.rpartition("/")[2]


def live_release(deployment: Path) -> Release | None:
    """The live release, every digest checked; None before the first deployment.

    Raises:
        DataError: the live release is damaged.
    """
    identity = live_release_id(deployment)
    return None if identity is None else open_release(deployment / "releases" / identity)


def open_release(folder: Path) -> Release:
    """Check a release's files against its manifest, then return it.

    Raises:
        DataError: a file is missing, or its content is not what was deployed.
    """
    manifest = read_json(folder / MANIFEST)
    digests = manifest.get("sha256") if isinstance(manifest, dict) else None
    if not isinstance(digests, dict) or not digests.keys() >= set(RELEASE_FILES):
        raise DataError(f"{folder / MANIFEST}: not the manifest of a whole release")
    written = json_text(sealed(manifest)).encode(errors="replace")
    if (folder / MANIFEST).read_bytes() != written:
        raise DataError(f"{folder / MANIFEST}: damaged release (it is not what was deployed)")
    for name, digest in digests.items():
        path = folder / Path(str(name)).name
        try:
            found = sha256_of(path)
        except OSError as error:
            raise DataError(f"{path}: damaged release ({error.strerror})") from None
        if found != digest:
            raise DataError(f"{path}: damaged release (its content is not what was deployed)")
    return Release(folder, manifest)


def sealed(manifest: dict[str, Any]) -> dict[str, Any]:
    """A manifest with the digest of what it says: a score in it that has changed is damage, too."""
    content = {key: strict(value) for key, value in manifest.items() if key != SEAL}
    text = json.dumps(content, sort_keys=True)
    return {**content, SEAL: hashlib.sha256(text.encode()).hexdigest()}


def releases(deployment: Path) -> list[Path]:
    """The folders of all releases, oldest first; unfinished ones are not among them."""
    folder = deployment / "releases"
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.name[:6].isdigit() and path.is_dir())


def publish_release(deployment: Path, files: dict[str, Path], about: dict[str, Any]) -> Release:
    """Make a release of these files and let it go live in one step; call it under the run lock.

    Publishing a model that is already live changes nothing. A model that has a release (which a
    killed run had not yet made live, or which was rolled back) goes live as that release.

    Args:
        deployment: the deployment folder.
        files: name within the release -> file to copy.
        about: what else the manifest holds (versions, scores, training set, time).

    Returns:
        The release that is now live.
    """
    contents = {name: path.read_bytes() for name, path in files.items()}
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(contents.items())}
    model = {name: digests[name] for name in IDENTITY_FILES if name in digests}
    content_id = hashlib.sha256(json.dumps(model).encode()).hexdigest()[:12]
    existing = releases(deployment)
    same = [path for path in existing if path.name.endswith(content_id) and _is_intact(path)]
    if same:
        folder = same[-1]
    else:
        number = int(existing[-1].name[:6]) + 1 if existing else 1
        folder = deployment / "releases" / f"{number:06d}-{content_id}"
        manifest = sealed({"release": folder.name, "sha256": digests, **about})
        _write_release(folder, {**contents, MANIFEST: json_text(manifest).encode()})
    make_live(deployment, folder)
    return open_release(folder)


def _is_intact(folder: Path) -> bool:
    try:
        open_release(folder)
    except DataError:
        return False
    return True


def _write_release(folder: Path, contents: dict[str, bytes]) -> None:
    """Write a release folder under a temporary name, sync everything, then give it its name."""
    folder.parent.mkdir(exist_ok=True)
    temporary = folder.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{folder.name}")
    _remove(temporary)
    temporary.mkdir()
    try:
        for name, data in contents.items():
            with (temporary / name).open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
        sync_folder(temporary)
        temporary.replace(folder)
    except BaseException:
        _remove(temporary)
        raise
    sync_folder(folder.parent)
    sync_folder(folder.parent.parent)


def make_live(deployment: Path, folder: Path) -> None:
    """Let a finished release be the live one: one symlink, replaced in one step."""
    _link(deployment / "current", Path("releases") / folder.name)
    for name in LINKED_FILES:
        _link(deployment / name, Path("current") / name)
    sync_folder(deployment)


def _link(path: Path, target: Path) -> None:
    if path.is_symlink() and path.readlink() == target:
        return
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{path.name}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(path)


def prune_releases(deployment: Path, keep: int) -> list[str]:
    """Remove the oldest releases; the live one and the newest `keep` stay.

    Returns:
        The names of the removed releases.
    """
    live = live_release_id(deployment)
    surplus = [path for path in releases(deployment)[:-keep] if path.name != live]
    for path in surplus:
        # Renamed first: a half-removed release must never look like a whole one.
        doomed = path.with_name(f"{TEMPORARY_PREFIX}{path.name}")
        path.replace(doomed)
        _remove(doomed)
    return [path.name for path in surplus]


def _remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; what is not there is fine."""
    import shutil  # dear: an idle run does without

    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
