"""Each stage and the whole run killed wherever files have changed: the next run makes it good."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Suite
from tests.support.script_runner import STAGES, Job, ScriptRunner
from tests.support.sweeping import (
    Undisturbed,
    begin,
    is_made_good,
    sweep,
    undisturbed,
    undisturbed_stage,
)

pytestmark = pytest.mark.slow
SCRIPTS = (*STAGES, "apicalls")  # those that write, in the order of a run
# So that two workers share the work.
PARTS = [pytest.param(slice(n, None, 2), id=str(n)) for n in (0, 1)]


@pytest.fixture(scope="session")
def first(
    small: Path, runner: ScriptRunner, tmp_path_factory: pytest.TempPathFactory
) -> Undisturbed:
    """The first run of a project."""
    folder = tmp_path_factory.mktemp("first") / "project"
    return undisturbed(runner, "fullprocess", small, folder)


@pytest.mark.parametrize("part", PARTS)
def test_the_first_run_killed_at_any_operation_is_finished_by_the_next(
    first: Undisturbed, runner: ScriptRunner, tmp_path: Path, suite: Suite, part: slice
) -> None:
    sweep(runner, first, tmp_path / "project", suite, most=8, part=part)


@pytest.mark.parametrize("part", PARTS)
def test_a_redeploying_run_killed_at_any_operation_is_finished_by_the_next(
    redeploying: Undisturbed, runner: ScriptRunner, tmp_path: Path, suite: Suite, part: slice
) -> None:
    sweep(runner, redeploying, tmp_path / "project", suite, most=12, part=part)


@pytest.mark.parametrize("stage", SCRIPTS)
def test_a_stage_killed_at_any_operation_is_finished_by_the_next(
    drifted: Path, runner: ScriptRunner, tmp_path: Path, suite: Suite, stage: str
) -> None:
    run = undisturbed_stage(runner, SCRIPTS, stage, drifted, tmp_path)
    sweep(runner, run, tmp_path / "project", suite, most=4)


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
