"""A disk that is full, fails or may not be written to: the old state, one clear line, exit 1.

The next run, once there is room again, ends where one ends that was never disturbed.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from attrition.core import atomic_files
from tests.conftest import FOLDERS, Suite
from tests.support.outcome import differences, outcome, tree
from tests.support.script_runner import (
    STAGES,
    Ended,
    Job,
    ScriptRunner,
    has_strace,
    may_run,
    unmeasured,
)
from tests.support.sweeping import (
    Undisturbed,
    begin,
    calls_of,
    is_made_good_once,
    live_release,
    thinned,
    undisturbed_stage,
)

pytestmark = pytest.mark.slow

ERRORS = ("ENOSPC", "EIO", "EDQUOT")
# What can fail when a disk does, whoever calls it: Python, DuckDB or SQLite.
FAILING = "write,pwrite64,fsync,fdatasync,rename,mkdir,symlink,openat,ftruncate"
HISTORY = "models/history.db"  # what cannot be recorded there is said, and stops nothing
UNREAD = (HISTORY, "ingesteddata/openclients.pending.csv")  # the latter until it is committed


def says_one_clear_line(ended: Ended) -> bool:
    """Whether a failed run told its error in one line, and in words."""
    return len(ended.errors) == 1 and not any(odd in ended.text for odd in ("Traceback", '{"'))


def assert_old_or_new(run: Undisturbed, project: Path) -> None:
    """Each file is what it was before the run, or what the run makes of it, whole."""
    found = outcome(project)
    assert run.before.keys() <= found.keys()
    for name, content in found.items():
        if name == "ingesteddata/finaldata.csv":  # the next run cuts off what is not committed
            assert content.startswith(run.before.get(name, b""))
        elif not name.startswith(UNREAD) and atomic_files.TEMPORARY_PREFIX not in name:
            either = [run.before.get(name), run.outcome.get(name)]
            if name == "ingesteddata/ledger.json":  # the old one says that a run was writing
                either.append({**run.before[name], "writing": True})
            assert content in either, f"{name} is neither the old one nor the new one"


# A limit on the size of files stands for a full disk wherever one may run the tests.


@pytest.mark.parametrize("limit", [0, pytest.param(500, marks=pytest.mark.complete), 4_000, 20_000])
def test_where_no_file_may_grow_a_whole_run_keeps_the_old_state_and_says_so(
    redeploying: Undisturbed, runner: ScriptRunner, tmp_path: Path, limit: int
) -> None:
    config = begin(redeploying.template, tmp_path / "project")
    ended = runner.run(Job("fullprocess", str(config), file_bytes=limit))
    if ended.code == 0:  # only pictures and the history were too large; each was said
        assert limit >= 20_000
        assert "warning: " in ended.text
    else:
        assert ended.code == 1, ended.text
        assert says_one_clear_line(ended), ended.text
    assert live_release(config.parent) in redeploying.releases
    assert_old_or_new(redeploying, config.parent)
    after = runner.run(Job("fullprocess", str(config)))
    assert after.code == 0, after.text
    left = set(differences(outcome(config.parent), redeploying.outcome))
    assert left <= {HISTORY}, "beside the failed run that it tells of"


# A real full disk.


@pytest.fixture(scope="module")
def tiny_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ScriptRunner, Path]]:
    """A process to run scripts that sees a disk of its own, 4 MB small, and its mount point."""
    scratch = tmp_path_factory.mktemp("tiny")
    disk = scratch / "disk"
    disk.mkdir()
    mount = ["unshare", "--mount"] + (["--map-root-user"] if os.geteuid() else [])
    shell = ["sh", "-c", 'mount -t tmpfs -o size=4m tmpfs "$0" && exec "$@"', str(disk)]
    probe = subprocess.run([*mount, *shell, "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("needs leave to mount a small disk")
    (scratch / "runner").mkdir()
    with ScriptRunner(scratch / "runner", unmeasured(), [*mount, *shell]) as runner:
        yield runner, disk


@pytest.mark.parametrize("free", [0, 32, 120])
def test_on_a_full_disk_a_whole_run_keeps_the_old_state_and_the_next_recovers(
    redeploying: Undisturbed, tiny_disk: tuple[ScriptRunner, Path], free: int
) -> None:
    runner, disk = tiny_disk
    seen = runner.files / disk.relative_to("/")  # the disk, from outside
    project = seen / "project"
    begin(redeploying.template, project)
    filler = seen / "filler"
    fill(filler, free * 1024)
    job = Job("fullprocess", str(disk / "project" / "config.json"))
    ended = runner.run(job)
    assert ended.code == 1, ended.text
    assert says_one_clear_line(ended), ended.text
    assert live_release(project) in redeploying.releases
    assert_old_or_new(redeploying, project)
    filler.unlink()
    assert runner.run(job).code == 0
    assert set(differences(outcome(project), redeploying.outcome)) <= {HISTORY}


def fill(path: Path, free: int) -> None:
    """Fill a disk but for so many bytes."""
    with path.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(4096))
        except OSError:
            stream.truncate(max(0, stream.tell() - free))


# Single calls that fail.


def calls_on_files(runner: ScriptRunner, run: Undisturbed, folder: Path) -> list[str]:
    """The calls of a run that fail in no thread on any other file than the project's."""
    found: dict[str, bool] = {}
    for call, is_ours in calls_of(runner, run, FAILING, folder):
        found[call] = found.get(call, True) and is_ours
    return [call for call, is_ours in found.items() if is_ours]


@pytest.mark.skipif(not has_strace(), reason="needs strace and leave to follow a process (ptrace)")
@pytest.mark.parametrize("stage", STAGES)
def test_a_call_that_fails_is_an_error_of_one_line_or_does_no_harm(
    drifted: Path, runner: ScriptRunner, tmp_path: Path, suite: Suite, stage: str
) -> None:
    run = undisturbed_stage(runner, STAGES, stage, drifted, tmp_path)
    calls = calls_on_files(runner, run, tmp_path / "project")
    failed, seen = 0, set[str]()
    chosen = calls if suite.is_complete else thinned(calls, 6)
    for call, error in zip(chosen, itertools.cycle(ERRORS), strict=False):
        name, _, when = call.partition(":")
        failure = f"{name}:error={error}:{when}"
        ended = fail_once(runner, run, failure, tmp_path / "project", seen)
        failed += "INJECTED" in ended.calls
    suite.tell(failed, "failing system calls survived")
    # Threads share the work anew each time, so the last of a kind may not be reached.
    assert failed >= 0.7 * len(chosen) > 1


def fail_once(
    runner: ScriptRunner, run: Undisturbed, failure: str, folder: Path, seen: set[str]
) -> Ended:
    """Let one call fail, such as `fsync:error=EIO:when=2`, and see that it does no harm.

    What lies there in the same state as after an earlier failure (`seen`) is made good once.
    """
    config = begin(run.template, folder)
    trace = (f"trace={failure.partition(':')[0]}", f"inject={failure}")
    ended = runner.run(Job(run.script, str(config), strace=trace))
    told = f"{failure}\n{ended.text}"
    # DuckDB can end the process itself where an exception meets its destructors: like a kill.
    is_aborted = ended.code == -signal.SIGABRT and "duckdb::" in ended.text
    assert ended.code in (0, 1) or is_aborted, told
    if ended.code == 1:
        assert says_one_clear_line(ended), told
    if ended.code == 0:
        # SQLite calls fdatasync, and passes over a folder that cannot be synced; fsync is ours.
        is_sync = failure.startswith("fsync") and "INJECTED" in ended.calls
        assert not is_sync or "warning: " in ended.text, f"nobody heard of it\n{told}"
        found = differences(outcome(folder), run.outcome)
        left = [
            name for name in found if atomic_files.TEMPORARY_PREFIX not in name
        ]  # is swept up later
        assert left == [] or "warning: " in ended.text, f"{left} is otherwise, unsaid\n{told}"
    else:
        assert_old_or_new(run, folder)
    assert live_release(config.parent) in run.releases, told
    # What the history did not take was said; a deployment that stands is not recorded again.
    is_said = ended.code == 0 and "warning: " in ended.text and run.script == "deployment"
    but = [HISTORY, f"{HISTORY}-journal"] if is_said else ()
    is_made_good_once(runner, run, config, seen, but)
    return ended


# Folders that may not be written to.


@pytest.fixture(scope="module")
def plain_user(
    runner: ScriptRunner, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ScriptRunner]:
    """A process to run scripts that permissions bind, as they bind every user but root."""
    if os.geteuid():
        yield runner
        return
    rights = "-dac_override,-dac_read_search,-fowner"
    drop = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"]
    if not may_run(*drop, "true"):
        pytest.skip("root may write anywhere, and needs setpriv to give that up")
    with ScriptRunner(tmp_path_factory.mktemp("plain"), unmeasured(), drop) as bound:
        yield bound


@pytest.mark.parametrize("folder", [name for name in FOLDERS.values() if "data" not in name[:10]])
@pytest.mark.parametrize("script", ["fullprocess", "ingestion"])
def test_a_folder_that_may_not_be_written_to_is_named_and_nothing_is_done(
    drifted: Path, plain_user: ScriptRunner, tmp_path: Path, folder: str, script: str
) -> None:
    config = begin(drifted, tmp_path / "project")
    locked = config.parent / folder
    before = tree(config.parent)
    locked.chmod(0o500)
    try:
        ended = plain_user.run(Job(script, str(config)))
    finally:
        locked.chmod(0o700)
    assert ended.code == 1
    assert says_one_clear_line(ended), ended.text
    assert str(locked) in ended.errors[0]
    assert tree(config.parent) == before
    assert plain_user.run(Job(script, str(config))).code == 0


def test_a_source_file_that_may_not_be_read_is_named_and_stops_no_other(
    small: Path, plain_user: ScriptRunner, tmp_path: Path
) -> None:
    config = begin(small, tmp_path / "project")
    secret = config.parent / "sourcedata" / "secret.csv"
    secret.write_text("x\n")
    secret.chmod(0)
    ended = plain_user.run(Job("ingestion", str(config)))
    assert ended.code == 0
    assert "secret.csv: not read: cannot be read (Permission denied)" in ended.text
    assert (
        atomic_files.read_json(config.parent / "ingesteddata/ledger.json")["committed_rows"] > 200
    )
