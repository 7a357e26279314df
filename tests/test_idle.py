"""The idle check: asleep while nothing changes, awake whenever something does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from attrition import files, idle
from attrition.config import Config
from tests.conftest import REPOSITORY, Project


def finish(config: Config) -> None:
    """Note a finished run."""
    inputs = idle.observe_inputs(config)
    assert inputs.settled
    record(config, inputs)


def record(config: Config, inputs: idle.Inputs) -> None:
    """Write the decision record of a finished run, as far as it matters here."""
    state = idle.finished_state(config, inputs)
    files.write_json(config.decision, {"verdict": "kept", idle.STATE: state})


def is_idle(project: Project) -> bool:
    return idle.is_idle(project.config, idle.observe_inputs(project.config))


@pytest.fixture
def quiet(project: Project) -> Project:
    """A project whose last run has finished."""
    project.write("sourcedata/a.csv", "x\n")
    project.write("testdata/t.csv", "x\n")
    project.write("ingesteddata/finaldata.csv", "x\n")
    release = project.root / "production_deployment/releases/1"
    release.mkdir(parents=True)
    (release / "scorecard.json").write_text("x")
    (project.root / "production_deployment/current").symlink_to("releases/1")
    finish(project.config)
    return project


def test_a_project_that_never_ran_is_not_idle(project: Project) -> None:
    assert not is_idle(project)


def test_after_a_finished_run_it_is_idle_as_often_as_one_asks(quiet: Project) -> None:
    assert is_idle(quiet)
    assert is_idle(quiet)


def relink(link: Path) -> None:
    link.unlink()
    link.symlink_to("releases/2")


CHANGES: dict[str, Callable[[Path], object]] = {
    "a new source file": lambda root: (root / "sourcedata/b.csv").write_text("x\n"),
    "a longer source file": lambda root: (root / "sourcedata/a.csv").write_text("x\ny\n"),
    "as long a source file": lambda root: (root / "sourcedata/a.csv").write_text("y\n"),
    "a removed source file": lambda root: (root / "sourcedata/a.csv").unlink(),
    "a renamed source file": lambda root: (root / "sourcedata/a.csv").rename(root / "sourcedata/c"),
    "other test data": lambda root: (root / "testdata/t.csv").write_text("z\n"),
    "other settings": lambda root: (root / "config.json").write_text(
        (root / "config.json").read_text() + " "
    ),
    "a removed output": lambda root: (root / "ingesteddata/finaldata.csv").unlink(),
    "a changed file of the live release": lambda root: (
        root / "production_deployment/releases/1/scorecard.json"
    ).write_text("z"),
    "another live release": lambda root: relink(root / "production_deployment/current"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_wakes_it_up(quiet: Project, change: str) -> None:
    CHANGES[change](quiet.root)
    assert not is_idle(quiet)


def test_a_change_of_content_that_keeps_size_and_mtime_wakes_it_up(quiet: Project) -> None:
    path = quiet.root / "sourcedata/a.csv"
    status = path.stat()
    path.write_text("y\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not is_idle(quiet)


def test_a_file_that_came_during_the_run_is_news_to_the_next(quiet: Project) -> None:
    inputs = idle.observe_inputs(quiet.config)
    quiet.write("sourcedata/late.csv", "x\n")
    record(quiet.config, inputs)
    assert not is_idle(quiet)


def test_the_moment_after_a_change_is_waited_out(project: Project) -> None:
    """Within it the file may change once more without another time of change."""
    path = project.write("sourcedata/a.csv", "x\n")
    assert idle.observe_inputs(project.config).settled
    assert time.time_ns() - path.stat().st_ctime_ns > 0.1e9


def test_files_that_never_come_to_rest_do_not_hold_the_run_up(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = project.write("sourcedata/a.csv", "x\n").stat().st_ctime_ns
    monkeypatch.setattr(idle.time, "time_ns", lambda: changed + 1)
    assert not idle.observe_inputs(project.config).settled


def test_another_installed_package_wakes_it_up(
    quiet: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    packages = tmp_path / "site-packages"
    (packages / "scikit_learn-9.9.dist-info").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [*sys.path, str(packages)])
    assert not is_idle(quiet)


def test_a_damaged_state_file_means_a_run(quiet: Project) -> None:
    quiet.write("models/decision.json", "{")
    assert not is_idle(quiet)


def test_the_check_needs_the_standard_library_alone(tmp_path: Path) -> None:
    """A copy of the modules it uses, run by an interpreter that sees no site-packages."""
    package = tmp_path / "attrition"
    package.mkdir()
    for name in ("__init__", "errors", "config", "files", "idle", "cli"):
        shutil.copy(REPOSITORY / "attrition" / f"{name}.py", package)
    code = "import sys; sys.path.insert(0, '.'); from attrition import cli, idle"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], cwd=tmp_path, check=True)
