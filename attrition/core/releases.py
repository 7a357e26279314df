"""Releases of the model: one folder each, and a symlink to the live one.

A release is a folder `production_deployment/releases/<id>/` that is complete before it becomes
visible; the symlink `production_deployment/current` names the live one and is replaced in one
step. Its `manifest.json` holds the SHA-256 of every other file and of its own content.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attrition.core.atomic_files import (
    TEMPORARY_PREFIX,
    json_text,
    read_json,
    remove_tree,
    strict,
    sync_folder,
    unused_name,
)
from attrition.core.errors import DataError, unreadable

RELEASE_FILES = (
    "trainedmodel.pkl",
    "scorecard.json",
    "latestscore.txt",
    "ingestedfiles.txt",
    "scores.json",
    "training.json",
)
# Releases with the same content in these files are the same model, however it was scored since.
IDENTITY_FILES = ("scorecard.json", "training.json")
MANIFEST = "manifest.json"
SEAL = "manifest_sha256"  # key of the manifest: the digest of its other keys
# Files with a link beside `current` that leads through it.
LINKED_FILES = (
    "trainedmodel.pkl",
    "scorecard.json",
    "latestscore.txt",
    "ingestedfiles.txt",
    MANIFEST,
)


@dataclass(frozen=True)
class Release:
    """One deployed model: a folder whose files match the digests in its manifest."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def id(self) -> str:
        """The release's name, such as `000003-1f0c9a2b77de`: a running number and its content."""
        return self.folder.name

    def content(self, name: str) -> bytes:
        """The content of one file, read once, so that the bytes checked are the bytes used.

        Raises:
            DataError: the file is gone, or its content has changed since the deployment.
        """
        path = self.folder / Path(name).name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise unreadable(f"{path}: damaged release ({error.strerror})", error) from None
        if hashlib.sha256(content).hexdigest() != self.manifest["sha256"][name]:
            raise DataError(f"{path}: damaged release (its content is not what was deployed)")
        return content


def live_release_id(deployment: Path) -> str | None:
    """Name of the live release, or None before the first deployment; costs one readlink."""
    try:
        target = os.readlink(f"{deployment}/current")  # noqa: PTH115 - every request comes here
    except OSError:
        return None
    return target.rpartition("/")[2]


def live_release(deployment: Path) -> Release | None:
    """The live release with every digest checked; None before the first deployment.

    Raises:
        DataError: the live release is damaged.
    """
    identity = live_release_id(deployment)
    return None if identity is None else open_release(deployment / "releases" / identity)


def open_release(folder: Path) -> Release:
    """Check a release's files against its manifest, then return the release.

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
    if manifest.get("release") != folder.name:
        raise DataError(
            f"{folder}: damaged release (its manifest names {manifest.get('release')!r})"
        )
    strange = sorted({path.name for path in folder.iterdir()} - {*digests, MANIFEST})
    if strange:
        raise DataError(f"{folder / strange[0]}: damaged release (no file of it; remove it)")
    release = Release(folder, manifest)
    for name in digests:
        release.content(name)
    return release


def sealed(manifest: dict[str, Any]) -> dict[str, Any]:
    """A manifest with the digest of its content: a changed score in it also counts as damage."""
    content = {key: strict(value) for key, value in manifest.items() if key != SEAL}
    text = json.dumps(content, sort_keys=True)
    return {**content, SEAL: hashlib.sha256(text.encode()).hexdigest()}


def releases(deployment: Path) -> list[Path]:
    """The folders of all finished releases, oldest first."""
    folder = deployment / "releases"
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.name[:6].isdigit() and path.is_dir())


def publish_release(deployment: Path, files: dict[str, Path], about: dict[str, Any]) -> Release:
    """Make a release of these files and make it live in one step; call it under the run lock.

    Publishing a model that is already live changes nothing. A model that already has a release
    (not yet live when its run was killed, or rolled back) goes live as that release.

    Args:
        deployment: the deployment folder.
        files: name within the release -> file to copy.
        about: further content of the manifest (versions, scores, training set, time).

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
    """Write a release folder under a temporary name, sync it, then rename it."""
    folder.parent.mkdir(exist_ok=True)
    temporary = folder.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{folder.name}")
    remove_tree(temporary)
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
        remove_tree(temporary)
        raise
    sync_folder(folder.parent)
    sync_folder(folder.parent.parent)


def make_live(deployment: Path, folder: Path) -> None:
    """Make a finished release the live one by replacing one symlink in one step."""
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
    if path.is_dir() and not path.is_symlink():  # a copy of the project followed its links
        path.replace(unused_name(path))
    temporary.replace(path)


def prune_releases(deployment: Path, keep: int) -> list[str]:
    """Remove the oldest releases, except the live one and the newest `keep`.

    Returns:
        The names of the removed releases.
    """
    live = live_release_id(deployment)
    surplus = [path for path in releases(deployment)[:-keep] if path.name != live]
    for path in surplus:
        # Renamed first: a half-removed release must never look like a whole one.
        doomed = path.with_name(f"{TEMPORARY_PREFIX}{path.name}")
        path.replace(doomed)
        remove_tree(doomed)
    return [path.name for path in surplus]
