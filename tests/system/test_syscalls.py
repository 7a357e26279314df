"""System calls under strace: their order, which outlives a loss of power, and a kill at each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Suite
from tests.support.script_runner import STAGES, Job, ScriptRunner, has_strace
from tests.support.sweeping import (
    Undisturbed,
    before_changes,
    begin,
    calls_of,
    copies,
    is_made_good_once,
    thinned,
    undisturbed_stage,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not has_strace(), reason="needs strace and leave to follow a process (ptrace)"
    ),
]
# What changes files, whoever calls it: Python, DuckDB or SQLite.
CHANGES = (
    "write,pwrite64,writev,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,"
    "mkdir,mkdirat,symlink,symlinkat,truncate,ftruncate"
)
OPENS_AND_CHANGES = f"openat,{CHANGES}"


def steps(calls: str, project: Path) -> Iterator[tuple[str, str, str]]:
    """What happened to files of the project: `write`, `sync` or `rename`, from, to."""
    for line in calls.splitlines():
        if " = -1 " in line:
            continue
        name = line.split(maxsplit=1)[1].partition("(")[0]
        paths = [p for p in re.findall(r'[<"]([^<>"]+)[>"]', line) if p.startswith(str(project))]
        if name.startswith("rename"):
            yield "rename", paths[-2], paths[-1]
        elif paths and name in ("fsync", "fdatasync"):
            yield "sync", paths[0], ""
        elif paths and "write" in name:
            yield "write", paths[0], ""


def test_every_file_is_synced_before_it_gets_its_name_and_its_folder_after(
    drifted: Path, runner: ScriptRunner, tmp_path: Path, suite: Suite
) -> None:
    """So after a loss of power each name means the old content or the new, never a torn one."""
    project = tmp_path / "project"
    job = Job("fullprocess", str(begin(drifted, project)), strace=(f"trace={CHANGES}",))
    ended = runner.run(job)
    assert ended.code == 0, ended.text
    dirty: set[str] = set()  # written and not synced
    unnamed: set[str] = set()  # folders in which a new name is not synced
    written: set[str] = set()
    unlisted: set[str] = set()  # folders in which a new file is not synced
    releases = f"{project}/production_deployment/releases"
    renames = 0
    for what, path, new in steps(ended.calls, project):
        if what == "write":
            dirty.add(path)
            if path not in written:
                unlisted.add(str(Path(path).parent))
            written.add(path)
        elif what == "sync":
            dirty.discard(path)
            unnamed.discard(path)
            unlisted.discard(path)
        elif Path(path).parent == project:
            assert Path(new).name.startswith("cron.log")
        else:
            renames += 1
            inside = {name for name in dirty if name == path or name.startswith(f"{path}/")}
            assert not inside, f"renamed to {new} before it was synced"
            if new.endswith("ledger.json"):
                assert f"{project}/ingesteddata/finaldata.csv" not in dirty
                assert f"{project}/ingesteddata" not in unnamed
            assert path not in unlisted, f"renamed to {new} before what is in it was synced"
            if new.endswith("/current"):
                assert releases not in unnamed, "live before its release has a name"
            unnamed.add(str(Path(new).parent))
    suite.tell(renames, "renames, each between two syncs")
    assert not unnamed
    assert renames > 15
    left = {Path(name).name for name in dirty if Path(name).exists()}
    assert left <= {"cron.log", ".lock"}


def kills_at(runner: ScriptRunner, run: Undisturbed, calls: str, most: int, folder: Path) -> int:
    """Kill a run at some of these calls on files of the project, one after another.

    Of calls that find the same files, such as those that open one to read, it is killed at the
    first. Kills that leave the same state behind are made good once.

    Returns:
        How often it was killed.
    """
    found = thinned(before_changes(calls_of(runner, run, calls, folder)), most)
    kills = 0
    seen: set[str] = set()
    for call, config in zip(found, copies(run.template, folder), strict=False):
        name, _, when = call.partition(":")
        kill = (f"trace={name}", f"inject={name}:signal=KILL:{when}")
        ended = runner.run(Job(run.script, str(config), strace=kill))
        assert ended.was_killed or ended.code == 0, ended.text
        kills += ended.was_killed
        is_made_good_once(runner, run, config, seen)
    # Threads share the work anew each time, so the last of a kind may not be reached.
    assert kills >= 0.8 * len(found) > 2
    return kills


@pytest.mark.parametrize("stage", STAGES)
def test_killed_at_any_system_call_that_writes_the_next_run_makes_it_good(
    drifted: Path, runner: ScriptRunner, tmp_path: Path, suite: Suite, stage: str
) -> None:
    run = undisturbed_stage(runner, STAGES, stage, drifted, tmp_path)
    most = 10_000 if suite.is_complete else 5
    kills = kills_at(runner, run, OPENS_AND_CHANGES, most, tmp_path / "project")
    suite.tell(kills, "kills at a system call survived")


@pytest.mark.complete
def test_a_whole_run_killed_at_system_calls_that_write_is_made_good(
    redeploying: Undisturbed, runner: ScriptRunner, tmp_path: Path, suite: Suite
) -> None:
    kills = kills_at(runner, redeploying, OPENS_AND_CHANGES, 40, tmp_path / "project")
    suite.tell(kills, "kills at a system call survived")
