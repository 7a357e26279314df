"""A script killed at one operation after another, and what the next run makes of each."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrition.core import releases as core_releases
from attrition.web.live_model import LiveModel
from tests.support.outcome import differences, outcome, state
from tests.support.script_runner import Ended, Job, ScriptRunner

if TYPE_CHECKING:
    from tests.conftest import Suite


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody disturbed: where it began, its operations, what it found and left."""

    script: str
    template: Path
    operations: list[str]
    before: dict[str, Any]
    outcome: dict[str, Any]
    releases: frozenset[str | None]


def begin(template: Path, folder: Path) -> Path:
    """A fresh copy of a project to disturb.

    Returns:
        Its config.json.
    """
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder, symlinks=True)
    time.sleep(0.2)  # so that no file is young: equal runs then do equal operations
    return folder / "config.json"


def undisturbed(runner: ScriptRunner, script: str, template: Path, folder: Path) -> Undisturbed:
    """Let a run come to its end."""
    config = begin(template, folder)
    ended = runner.run(Job(script, str(config)))
    assert ended.code == 0, ended.text
    live = frozenset(live_release(project) for project in (template, folder))
    return Undisturbed(script, template, ended.operations, outcome(template), outcome(folder), live)


def undisturbed_stage(
    runner: ScriptRunner, stages: Sequence[str], stage: str, template: Path, folder: Path
) -> Undisturbed:
    """Let a stage come to its end, after those that stand before it."""
    before = folder / "before"
    config = begin(template, before)
    for earlier in stages[: stages.index(stage)]:
        assert runner.run(Job(earlier, str(config))).code == 0
    return undisturbed(runner, stage, before, folder / "undisturbed")


def live_release(project: Path) -> str | None:
    """The release a reader finds, whole; None before the first one."""
    deployment = project / "production_deployment"
    release = core_releases.live_release(deployment)
    served = LiveModel(deployment).resolve()
    assert (served and served.version) == (release and release.id)
    for name in core_releases.LINKED_FILES:
        path = deployment / name
        if release is not None and path.is_symlink():
            assert path.read_bytes() == (release.folder / name).read_bytes()
    return release.id if release else None


def is_made_good(
    runner: ScriptRunner, run: Undisturbed, config: Path, but: Collection[str] = ()
) -> None:
    """After whatever disturbed it: a whole release, and a next run that ends as undisturbed.

    Args:
        but: names of files that may be otherwise.
    """
    assert live_release(config.parent) in run.releases
    after = runner.run(Job(run.script, str(config)))
    assert after.code == 0, after.text
    found = set(differences(outcome(config.parent), run.outcome)) - set(but)
    assert not found, found


def is_made_good_once(
    runner: ScriptRunner,
    run: Undisturbed,
    config: Path,
    seen: set[str],
    but: Collection[str] = (),
) -> None:
    """The same, for one project of those that lie there in the same state.

    Args:
        seen: the states that were made good; this one joins them.
        but: names of files that may be otherwise.
    """
    left = state(config.parent)
    if left not in seen:
        is_made_good(runner, run, config, but)
    seen.add(left)


def kill_at_each(
    runner: ScriptRunner, run: Undisturbed, numbers: Sequence[int], folder: Path
) -> list[Ended]:
    """Kill a run before each of these operations, in a fresh copy each time.

    Kills that leave the same state behind are made good once.

    Returns:
        Those that ended by the kill.
    """
    kills: list[Ended] = []
    seen: set[str] = set()
    for number in numbers:
        config = begin(run.template, folder)
        ended = runner.run(Job(run.script, str(config), kill_at=number))
        # A run looks once more at files that are young, or does not: the last are not always there.
        is_last = ended.code == 0 and number > len(run.operations) - 10
        assert ended.was_killed or is_last, ended.text
        is_made_good_once(runner, run, config, seen)
        kills += [ended] if ended.was_killed else []
    return kills


def sweep(
    runner: ScriptRunner,
    run: Undisturbed,
    folder: Path,
    suite: Suite,
    *,
    most: int,
    part: slice = slice(None),
) -> None:
    """Kill a run at a part of its operations; where sweeps are sampled, at `most` of them."""
    every = range(1, len(run.operations) + 1)
    numbers = (every if suite.is_complete else sample(run.operations, most))[part]
    kills = kill_at_each(runner, run, numbers, folder)
    what, share, least = (
        ("fullprocess.py", 0.9, 2) if run.script == "fullprocess" else ("a stage", 0.7, 1)
    )
    suite.tell(len(kills), f"kills of {what} survived")
    assert len(kills) >= share * len(numbers) > least


def calls_of(
    runner: ScriptRunner, run: Undisturbed, names: str, folder: Path
) -> Iterator[tuple[str, bool]]:
    """Each system call of a run, such as `fsync:when=3`, and whether its file is the project's.

    strace counts by kind of call and thread: a number stands for one call in each thread.
    """
    config = begin(run.template, folder)
    ended = runner.run(Job(run.script, str(config), strace=(f"trace={names}",)))
    counts: Counter[tuple[str, str]] = Counter()
    for line in ended.calls.splitlines():
        thread, call = line.split(maxsplit=1)
        name = call.partition("(")[0]
        if name in names.split(","):
            counts[thread, name] += 1
            is_ours = f"{folder}/" in line and "config.json" not in line
            yield f"{name}:when={counts[thread, name]}", is_ours


def sample(operations: Sequence[str], most: int) -> list[int]:
    """Numbers of some operations: the renames, which matter most, and every 40th, thinned out."""
    chosen = [
        number
        for number, operation in enumerate(operations, start=1)
        if operation.startswith("os.rename") or number % 40 == 1
    ]
    return chosen[:: -(-len(chosen) // most)]


def thinned(calls: Sequence[str], most: int) -> Sequence[str]:
    """At most so many of the calls, from the first to the last."""
    return calls[:: max(1, -(-len(calls) // most))]
