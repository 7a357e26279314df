"""Each stage and the whole run killed at every file operation: the next run makes it good."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Suite
from tests.support.script_runner import STAGES, Job, ScriptRunner
from tests.support.sweeping import (
    Undisturbed,
    begin,
    is_made_good,
    kill_at_each,
    sample,
    undisturbed,
)

pytestmark = pytest.mark.slow
SCRIPTS = (*STAGES, "apicalls")  # those that write, in the order of a run
PARTS = (0, 1)  # so that two workers share the work


@pytest.fixture(scope="session")
def first(
    small: Path, runner: ScriptRunner, tmp_path_factory: pytest.TempPathFactory
) -> Undisturbed:
    """The first run of a project."""
    folder = tmp_path_factory.mktemp("first") / "project"
    return undisturbed(runner, "fullprocess", small, folder)


@pytest.mark.parametrize("part", PARTS)
def test_the_first_run_killed_at_any_operation_is_finished_by_the_next(
    first: Undisturbed, runner: ScriptRunner, tmp_path: Path, suite: Suite, part: int
) -> None:
    every = range(1, len(first.operations) + 1)
    numbers = list(every if suite.is_complete else sample(first.operations, 8))[part::2]
    kills = kill_at_each(runner, first, numbers, tmp_path / "project")
    suite.tell(len(kills), "kills of fullprocess.py survived")
    assert len(kills) >= 0.9 * len(numbers) > 2


@pytest.mark.parametrize("part", PARTS)
def test_a_redeploying_run_killed_at_any_operation_is_finished_by_the_next(
    redeploying: Undisturbed, runner: ScriptRunner, tmp_path: Path, suite: Suite, part: int
) -> None:
    every = range(1, len(redeploying.operations) + 1)
    numbers = list(every if suite.is_complete else sample(redeploying.operations, 12))[part::2]
    kills = kill_at_each(runner, redeploying, numbers, tmp_path / "project")
    suite.tell(len(kills), "kills of fullprocess.py survived")
    assert len(kills) >= 0.9 * len(numbers) > 2


@pytest.mark.parametrize("stage", SCRIPTS)
def test_a_stage_killed_at_any_operation_is_finished_by_the_next(
    drifted: Path, runner: ScriptRunner, tmp_path: Path, suite: Suite, stage: str
) -> None:
    template = tmp_path / "template"
    config = begin(drifted, template)
    for before in SCRIPTS[: SCRIPTS.index(stage)]:
        assert runner.run(Job(before, str(config))).code == 0
    run = undisturbed(runner, stage, template, tmp_path / "undisturbed")
    every = range(1, len(run.operations) + 1)
    numbers = every if suite.is_complete else sample(run.operations, 4)
    kills = kill_at_each(runner, run, numbers, tmp_path / "project")
    suite.tell(len(kills), "kills of a stage survived")
    assert len(kills) >= 0.7 * len(numbers) > 1


def test_a_run_killed_again_and_again_comes_to_the_same_end(
    redeploying: Undisturbed, runner: ScriptRunner, tmp_path: Path, suite: Suite
) -> None:
    """Each run takes up what the one before left, and is killed a little later than that one."""
    config = begin(redeploying.template, tmp_path / "project")
    kills = 0
    for number in range(12, 1000, 30):
        ended = runner.run(Job("fullprocess", str(config), kill_at=number))
        if not ended.was_killed:
            assert ended.code == 0, ended.text
            break
        kills += 1
    is_made_good(runner, redeploying, config)
    suite.tell(kills, "kills of fullprocess.py survived")
    assert kills >= 3
