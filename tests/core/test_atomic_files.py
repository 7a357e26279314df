"""Atomic writes, the run lock and releases, on real folders and real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from attrition.core import atomic_files, releases
from attrition.core.errors import AlreadyRunning, DataError, PipelineError
from attrition.runs import lock as runs_lock
from tests.conftest import REPOSITORY


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    atomic_files.write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_files.replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_write_is_synced_before_it_is_renamed_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Power loss must find the old file or the new one: the order of the system calls."""
    calls: list[str] = []

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.rename" and str(arguments[1]).endswith("a.txt"):
            calls.append("rename")

    sys.addaudithook(note)
    real = os.fsync

    def fsync(descriptor: int) -> None:
        target = Path(f"/proc/self/fd/{descriptor}").readlink()
        calls.append("sync folder" if target.is_dir() else "sync file")
        real(descriptor)

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc")
    monkeypatch.setattr(os, "fsync", fsync)
    atomic_files.write_text(tmp_path / "a.txt", "new")
    assert calls == ["sync file", "rename", "sync folder"]


def test_json_that_is_written_is_strict(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    atomic_files.write_json(path, {"a": [float("nan"), float("inf"), 1.5], "b": (1, "é")})
    assert atomic_files.read_json(path) == {"a": [None, None, 1.5], "b": [1, "é"]}
    assert path.read_text().endswith("}\n")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_damaged_json_is_a_data_error_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.json"):
        atomic_files.read_json(path)


def test_what_a_killed_run_left_is_swept(tmp_path: Path) -> None:
    (tmp_path / ".tmp-1-a").touch()
    (tmp_path / ".tmp-1-b").mkdir()
    (tmp_path / ".tmp-1-b" / "c").touch()
    (tmp_path / "keep").touch()
    assert len(atomic_files.sweep_temporary_files([tmp_path])) == 2
    assert names(tmp_path) == ["keep"]


HOLDER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from attrition.runs.lock import run_lock
with run_lock(Path(sys.argv[2])):
    print("held", flush=True)
    time.sleep(30)  # one that waits for the lock has it then, and fails the test
"""


def test_the_lock_excludes_another_process_and_ends_with_it(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    command = [sys.executable, "-c", HOLDER, str(REPOSITORY), str(lock)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(AlreadyRunning, match="another run"), runs_lock.run_lock(lock):
            pass
        holder.kill()
    with runs_lock.run_lock(lock):
        assert lock.exists()


def test_the_lock_is_one_file_for_ever(tmp_path: Path) -> None:
    """Were it unlinked, a run that waits on the old file and one on the new could both go on."""
    lock = tmp_path / ".lock"
    with runs_lock.run_lock(lock):
        inode = lock.stat().st_ino
    assert lock.stat().st_ino == inode


def test_the_lock_is_not_handed_to_children(tmp_path: Path) -> None:
    """A child that outlives the run (a hung pip, say) must not keep the next runs out."""
    lock = tmp_path / ".lock"
    with runs_lock.run_lock(lock):
        child = subprocess.Popen(["sleep", "30"], close_fds=False)
    try:
        with runs_lock.run_lock(lock):
            pass
    finally:
        child.kill()
        child.wait()


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    atomic_files.check_writable([tmp_path])
    tmp_path.chmod(0o500)
    user = os.geteuid()
    if user == 0:  # root may write everywhere
        os.seteuid(65534)
    try:
        with pytest.raises(PipelineError, match="cannot be written to"):
            atomic_files.check_writable([tmp_path])
    finally:
        os.seteuid(user)
        tmp_path.chmod(0o700)


def candidate(folder: Path, content: str) -> dict[str, Path]:
    folder.mkdir(exist_ok=True)
    paths = {name: folder / name for name in releases.RELEASE_FILES}
    for name, path in paths.items():
        path.write_text(f"{name} {content}")
    return paths


def publish(root: Path, content: str) -> releases.Release:
    deployment = root / "deployment"
    deployment.mkdir(exist_ok=True)
    return releases.publish_release(
        deployment, candidate(root / "models", content), {"note": content}
    )


def test_a_release_is_whole_and_reachable_by_the_plain_names(tmp_path: Path) -> None:
    release = publish(tmp_path, "one")
    deployment = tmp_path / "deployment"
    assert releases.live_release_id(deployment) == release.id
    assert release.manifest["note"] == "one"
    for name in releases.LINKED_FILES:
        assert (deployment / name).is_symlink()
        assert (deployment / name).read_bytes() == (release.folder / name).read_bytes()
    assert sorted(release.manifest["sha256"]) == sorted(releases.RELEASE_FILES)


def test_publishing_the_same_model_again_changes_nothing(tmp_path: Path) -> None:
    first = publish(tmp_path, "one")
    before = snapshot(tmp_path / "deployment")
    assert publish(tmp_path, "one").id == first.id
    assert snapshot(tmp_path / "deployment") == before


def snapshot(folder: Path) -> dict[str, Any]:
    return {
        str(path.relative_to(folder)): path.readlink() if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def test_releases_are_numbered_and_the_newest_goes_live(tmp_path: Path) -> None:
    numbers = [publish(tmp_path, content).id[:6] for content in ("one", "two", "three")]
    assert numbers == ["000001", "000002", "000003"]
    assert str(releases.live_release_id(tmp_path / "deployment"))[:6] == "000003"


def test_a_finished_release_of_a_killed_run_is_taken_up_again(tmp_path: Path) -> None:
    publish(tmp_path, "one")
    orphan = publish(tmp_path, "two")
    deployment = tmp_path / "deployment"
    releases.make_live(deployment, releases.releases(deployment)[0])
    assert publish(tmp_path, "two").id == orphan.id
    assert len(releases.releases(deployment)) == 2


def test_pruning_keeps_the_newest_and_the_live_one(tmp_path: Path) -> None:
    deployment = tmp_path / "deployment"
    for number in range(6):
        publish(tmp_path, str(number))
    oldest = releases.releases(deployment)[0]
    releases.make_live(deployment, oldest)
    releases.prune_releases(deployment, keep=2)
    kept = [path.name[:6] for path in releases.releases(deployment)]
    assert kept == ["000001", "000005", "000006"]
    assert releases.live_release(deployment) is not None


def test_before_the_first_deployment_there_is_no_live_release(tmp_path: Path) -> None:
    assert releases.live_release(tmp_path) is None
    assert releases.releases(tmp_path) == []


@pytest.mark.parametrize("name", [*releases.RELEASE_FILES, releases.MANIFEST])
def test_a_changed_byte_anywhere_in_a_release_is_refused(tmp_path: Path, name: str) -> None:
    release = publish(tmp_path, "one")
    path = release.folder / name
    data = bytearray(path.read_bytes())
    data[3] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError):
        releases.open_release(release.folder)


def test_a_missing_file_or_an_empty_manifest_is_refused(tmp_path: Path) -> None:
    release = publish(tmp_path, "one")
    (release.folder / "scorecard.json").unlink()
    with pytest.raises(DataError, match="damaged"):
        releases.open_release(release.folder)
    (release.folder / releases.MANIFEST).write_text(json.dumps({"sha256": {}}))
    with pytest.raises(DataError, match="not the manifest"):
        releases.open_release(release.folder)


def test_a_manifest_that_leaves_out_a_file_is_refused(tmp_path: Path) -> None:
    release = publish(tmp_path, "one")
    manifest = atomic_files.read_json(release.folder / releases.MANIFEST)
    del manifest["sha256"]["scorecard.json"]
    atomic_files.write_json(release.folder / releases.MANIFEST, releases.sealed(manifest))
    with pytest.raises(DataError, match="manifest"):
        releases.open_release(release.folder)


def test_a_file_that_changes_after_the_check_is_refused_as_it_is_read(tmp_path: Path) -> None:
    release = publish(tmp_path, "one")
    assert release.content("scorecard.json") == b"scorecard.json one"
    (release.folder / "scorecard.json").write_text("another")
    with pytest.raises(DataError, match="damaged"):
        release.content("scorecard.json")
    (release.folder / "scorecard.json").unlink()
    with pytest.raises(DataError, match="damaged"):
        release.content("scorecard.json")


DEPLOY = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from attrition.core import releases
root, kill_at, count = sys.argv[2], int(sys.argv[3]), 0
def hook(event, arguments):
    global count
    if event != "os.kill" and event.startswith(("open", "os.")):
        count += any(str(argument).startswith(root) for argument in arguments)
        if count == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
candidate = {name: Path(root, "models", name) for name in releases.RELEASE_FILES}
releases.publish_release(Path(root, "deployment"), candidate, {})
releases.prune_releases(Path(root, "deployment"), 5)
"""


@pytest.mark.slow
def test_fifty_deployments_with_kills_leave_five_releases_and_no_litter(tmp_path: Path) -> None:
    deployment = tmp_path / "deployment"
    deployment.mkdir()
    kills = 0
    for number in range(50):
        candidate(tmp_path / "models", str(number))
        # Killed a step later each time; then the next run sweeps up and does it again.
        for kill_at in (1 + number % 35, 0):
            command = [sys.executable, "-c", DEPLOY, str(REPOSITORY), str(tmp_path), str(kill_at)]
            ended = subprocess.run(command, env={}, check=False).returncode
            kills += ended == -9
            assert ended in ((0, -9) if kill_at else (0,))
            assert releases.live_release(deployment) is not None or number == 0
            for folder in releases.releases(deployment):
                releases.open_release(folder)  # none is half there
            atomic_files.sweep_temporary_files([deployment, deployment / "releases"])
        live = releases.live_release(deployment)
        assert live is not None
        assert (live.folder / "scorecard.json").read_text() == f"scorecard.json {number}"
    assert kills > 45
    assert len([releases.open_release(folder) for folder in releases.releases(deployment)]) == 5
    assert sorted(names(deployment)) == sorted([*releases.LINKED_FILES, "current", "releases"])
    assert not [name for name in names(deployment / "releases") if name.startswith(".")]


@pytest.mark.parametrize("change", ["another name", "an extra file"])
def test_a_release_of_another_name_or_with_an_extra_file_is_refused(
    tmp_path: Path, change: str
) -> None:
    folder = publish(tmp_path, "one").folder
    if change == "another name":
        folder = folder.rename(folder.with_name(f"000009-{folder.name[7:]}"))
    else:
        (folder / "sitecustomize.py").touch()
    with pytest.raises(DataError, match="damaged release"):
        releases.open_release(folder)
