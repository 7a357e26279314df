"""The idle check: asleep while nothing changes, awake whenever something does."""

from __future__ import annotations

import calendar
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from attrition.core import atomic_files, releases
from attrition.core.config import Config
from attrition.runs import idle, lock
from tests.conftest import REPOSITORY, Project
from tests.support.outcome import differences, outcome


def finish(config: Config) -> None:
    """Note a finished run."""
    inputs = idle.observe_inputs(config)
    assert inputs.settled
    record(config, inputs)


def record(config: Config, inputs: idle.Inputs) -> None:
    """Write the decision record of a finished run, as far as it matters here."""
    state = idle.finished_state(config, inputs)
    atomic_files.write_json(config.decision, {"verdict": "kept", idle.STATE: state})


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


def _with_actions(root: Path, text: str) -> None:
    (root / "actions").mkdir(exist_ok=True)
    (root / "actions/a.csv").write_text(text)


CHANGES: dict[str, Callable[[Path], object]] = {
    "a new source file": lambda root: (root / "sourcedata/b.csv").write_text("x\n"),
    "a longer source file": lambda root: (root / "sourcedata/a.csv").write_text("x\ny\n"),
    "as long a source file": lambda root: (root / "sourcedata/a.csv").write_text("y\n"),
    "a removed source file": lambda root: (root / "sourcedata/a.csv").unlink(),
    "a renamed source file": lambda root: (root / "sourcedata/a.csv").rename(root / "sourcedata/c"),
    "a first file of actions": lambda root: _with_actions(root, "x\n"),
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


def test_on_the_day_on_which_labels_come_of_age_it_wakes_up(
    quiet: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = quiet.config
    state = idle.finished_state(config, idle.observe_inputs(config), "2026-03-01")
    atomic_files.write_json(config.decision, {"verdict": "kept", idle.STATE: state})
    arguments, first = ["--config", str(config.source)], calendar.timegm((2026, 3, 1, 0, 0, 0))
    for seconds, rests in [(first - 1, True), (first, False), (first + 1e6, False)]:
        monkeypatch.setattr(time, "time", lambda seconds=seconds: seconds)
        assert (is_idle(quiet), idle.rests(arguments)) == (rests, rests)


def test_the_moment_after_a_change_is_waited_out(project: Project) -> None:
    """Within it the file may change once more without another time of change."""
    path = project.write("sourcedata/a.csv", "x\n")
    assert idle.observe_inputs(project.config).settled
    assert time.time_ns() - path.stat().st_ctime_ns > 0.1e9


def test_files_that_never_come_to_rest_do_not_hold_the_run_up(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = project.write("sourcedata/a.csv", "x\n").stat().st_ctime_ns
    monkeypatch.setattr(time, "time_ns", lambda: changed + 1)
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


HEAVY = {
    "argparse",
    "dataclasses",
    "logging",
    "pathlib",
    "typing",
    "numpy",
    "attrition.core.config",
}


def imports_of(*command: str | Path) -> set[str]:
    """What a new interpreter imports on its way, without coverage's own hooks."""
    environment = {key: os.environ[key] for key in os.environ if not key.startswith("COV")}
    said = subprocess.run(
        [sys.executable, "-X", "importtime", *command],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    return {line.rpartition("|")[2].strip() for line in said.splitlines()}


@pytest.mark.slow
def test_a_tick_at_rest_imports_nothing_heavy(finished_copy: Project) -> None:
    finished_copy.run("fullprocess.py")  # the copied files are new to it; now it is at rest
    script = REPOSITORY / "fullprocess.py"
    added = imports_of(script, "--config", finished_copy.config_path) - imports_of("-c", "")
    assert "attrition.runs.idle" in added
    assert added & HEAVY == set()


def rests(project: Project) -> bool:
    return idle.rests(["--config", str(project.config_path)])


def test_a_tick_at_rest_is_seen_to_be_one_and_told(quiet: Project) -> None:
    assert rests(quiet)
    assert rests(quiet)
    lines = (quiet.root / "cron.log").read_text().splitlines()
    assert [line.partition(" ")[2] for line in lines] == [idle.MESSAGE] * 2


@pytest.mark.parametrize("change", CHANGES)
def test_no_tick_rests_after_a_change(quiet: Project, change: str) -> None:
    CHANGES[change](quiet.root)
    assert not rests(quiet)
    assert not (quiet.root / "cron.log").exists()


def test_with_a_folder_of_actions_a_tick_rests_until_a_file_changes_or_goes(quiet: Project) -> None:
    _with_actions(quiet.root, "x\n")
    finish(quiet.config)
    assert rests(quiet)
    _with_actions(quiet.root, "y\n")
    assert not rests(quiet)
    finish(quiet.config)
    assert rests(quiet)
    (quiet.root / "actions/a.csv").unlink()
    assert not rests(quiet)
    finish(quiet.config)
    (quiet.root / "actions").rmdir()
    assert rests(quiet)
    quiet.write("ingesteddata/actions.db", "x")
    assert not rests(quiet)


STUDY = "ingesteddata/enrolled/0.2-c0fa1ef864788c45"  # printf june | sha256sum


STUDY_CHANGES: dict[str, Callable[[Path], object]] = {
    "restored": lambda folder: (folder / "000001-a.csv").write_text("x\n"),
    "edited": lambda folder: (folder / "000002-b.csv").write_text("y\n"),
    "deleted": lambda folder: (folder / "000002-b.csv").unlink(),
    "all deleted": shutil.rmtree,
    "stray": lambda folder: (folder / "000002-c.csv").write_text("x\n"),
}


@pytest.mark.parametrize("change", STUDY_CHANGES)
def test_whatever_becomes_of_a_file_of_the_current_study_wakes_it_up(
    quiet: Project, change: str
) -> None:
    """A file is missing; nothing is measured until it is restored."""
    quiet.configure(holdout_share=0.2, holdout_salt="june")
    folder = quiet.root / STUDY
    assert quiet.config.study_folder == folder
    finish(quiet.config)
    assert rests(quiet)  # nobody is enrolled yet
    folder.mkdir(parents=True)
    quiet.write(f"{STUDY}/000002-b.csv", "x\n")
    finish(quiet.config)
    folder.with_name("0.5-0123456789abcdef").mkdir()  # another study's
    assert rests(quiet)
    assert is_idle(quiet)
    STUDY_CHANGES[change](folder)
    assert not rests(quiet)
    assert not is_idle(quiet)


def test_a_tick_does_not_rest_where_a_whole_run_has_something_to_say(quiet: Project) -> None:
    """Another run at work, a log to rotate, an alert that may be due, a settings file gone bad."""
    with lock.run_lock(quiet.config.lock):
        assert not rests(quiet)
    assert not idle.rests(["--dry-run"])
    log = quiet.write("cron.log", "x" * idle.LARGEST_LOG)
    assert not rests(quiet)
    assert log.stat().st_size == idle.LARGEST_LOG
    log.unlink()
    assert rests(quiet)
    quiet.configure(alert_command=["true"])
    finish(quiet.config)
    assert rests(quiet)
    for content, owes in (
        ({"conditions": {"drift": "x"}, "failed_at": None}, False),
        ({"conditions": {idle.FAILED_RUN: "x"}, "failed_at": None}, True),
        ({"conditions": {}, "failed_at": 1.5}, True),
    ):
        quiet.write("models/alerts.json", json.dumps({"command": content}))
        finish(quiet.config)
        assert rests(quiet) != owes
    quiet.write("config.json", "{")
    assert not rests(quiet)


def test_a_project_that_was_moved_goes_on_resting(quiet: Project, tmp_path: Path) -> None:
    moved = Project(tmp_path / "elsewhere")
    quiet.root.rename(moved.root)
    assert rests(moved)


def outputs(project: Project) -> list[Path]:
    """What a run has left, but for the rows and what ingestion alone can make again."""
    models = [path for path in project.config.output_model_path.iterdir() if path.name != ".lock"]
    links = [path for path in project.config.prod_deployment_path.iterdir() if path.is_symlink()]
    return sorted([*models, *links, project.config.ingested_files])


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


SPOILED: dict[str, Callable[[Path], object]] = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "half": halve,
    "older": lambda path: path.write_bytes(path.read_bytes().replace(b"1", b"2", 1)),
}


def content_of(path: Path) -> bytes | Path:
    return path.readlink() if path.is_symlink() else path.read_bytes()


def put_back(path: Path, content: bytes | Path) -> None:
    path.unlink(missing_ok=True)
    if isinstance(content, Path):
        path.symlink_to(content)
    else:
        path.write_bytes(content)


@pytest.mark.slow
def test_whatever_becomes_of_an_output_wakes_it_up(finished_copy: Project) -> None:
    config = finished_copy.config
    rewritten = {config.api_returns, config.diagnostics, config.alerts, config.history}
    finished_copy.let_rest()
    paths = [path for path in outputs(finished_copy) if path != config.decision]
    assert len(paths) >= 17
    for path, how in itertools.product(paths, SPOILED):
        whole = content_of(path)
        if isinstance(whole, Path) and how != "gone":
            continue  # a link cannot be cut, and through it the release is, which is watched
        if path in rewritten and how == "older":
            continue  # those that people and alerts have written anew
        if path == config.history and how == "half":
            continue  # a damaged history is said by whoever reads it
        SPOILED[how](path)
        assert not rests(finished_copy), (path, how)
        put_back(path, whole)
        finished_copy.let_rest()


@pytest.mark.slow
def test_what_people_have_written_anew_and_the_history_wake_nothing_up(
    finished_copy: Project,
) -> None:
    """The scripts beside fullprocess.py are there to be run at any time, its alerts, too."""
    config = finished_copy.config
    finished_copy.let_rest()
    finished_copy.run("apicalls.py")
    finished_copy.run("diagnostics.py")
    config.history.touch()
    assert rests(finished_copy)


def test_what_somebody_clears_out_of_the_quarantine_wakes_nothing_up(quiet: Project) -> None:
    quarantine = quiet.config.quarantine
    quarantine.mkdir()
    path = quiet.write("ingesteddata/quarantine/0123456789ab-a.csv.csv", "x\n")
    finish(quiet.config)
    path.unlink()
    assert rests(quiet)
    quarantine.rmdir()
    assert rests(quiet)


@pytest.mark.slow
def test_outputs_that_are_gone_or_cut_are_made_again_by_a_run_which_then_rests(
    finished_copy: Project,
) -> None:
    config = finished_copy.config
    finished_copy.configure(reports=["html"])
    finished_copy.run("fullprocess.py")
    assert rests(finished_copy)
    before, live = outputs(finished_copy), releases.live_release_id(config.prod_deployment_path)
    assert len(before) == 20
    left = outcome(finished_copy.root)
    apart = [config.history, config.prod_deployment_path / "current"]
    rest = [path for path in before if path not in apart]
    files = [path for path in rest if not path.is_symlink() and path != config.decision]
    # The history is begun anew, and with it what is drawn from it.
    told = {f"models/{name}" for name in ("history.db", "decision.json", "alerts.json")}
    told.add("models/apireturns.txt")
    for spoil, spoiled in (
        (SPOILED["gone"], [apart[0]]),
        (SPOILED["gone"], [apart[1]]),
        (SPOILED["gone"], rest),
        (halve, files),
    ):
        for path in spoiled:
            spoil(path)
        assert not rests(finished_copy)
        assert "DEPLOYED" not in finished_copy.run("fullprocess.py").stdout
        assert outputs(finished_copy) == before
        assert releases.live_release_id(config.prod_deployment_path) == live
        assert rests(finished_copy)
        changed = differences(outcome(finished_copy.root), left)
        assert set(changed) <= told, spoil


def test_a_folder_in_the_place_of_an_output_is_set_aside_whole_and_said(
    finished_copy: Project,
) -> None:
    finished_copy.let_rest()
    config = finished_copy.config
    paths = (config.client_risk, config.client_book, config.decision, config.history)
    for path in (*paths, config.ingested_files):
        path.unlink()
        path.mkdir()
        (path / "mine").write_text(path.name)
    said = finished_copy.run("fullprocess.py").stderr
    for path in (*paths, config.ingested_files):
        assert path.is_file()
        assert str(path) in said
        (mine,) = path.parent.glob(f"{path.stem}*-1{path.suffix}/mine")
        assert mine.read_text() == path.name
        assert mine.parent.name in said
    assert rests(finished_copy)


def test_a_folder_in_the_place_of_the_ledger_is_named_with_what_to_do(
    finished_copy: Project,
) -> None:
    ledger = finished_copy.config.ledger
    ledger.unlink()
    ledger.mkdir()
    ended = finished_copy.run("fullprocess.py", check=False)
    assert ended.returncode == 1
    assert f"{ledger}: a folder stands in this file's place; move it away" in ended.stderr
    ledger.rmdir()
    finished_copy.run("fullprocess.py")
    assert ledger.is_file()


@pytest.mark.parametrize("name", ["packages.json", "report.pdf"])
def test_a_run_rests_whether_or_not_it_made_what_is_optional(quiet: Project, name: str) -> None:
    path = quiet.write(f"models/{name}", "x")
    assert not rests(quiet)
    finish(quiet.config)
    assert rests(quiet)
    path.unlink()
    assert not rests(quiet)
    finish(quiet.config)
    assert rests(quiet)
    for second in ("confusionmatrix2.png", "apireturns2.txt"):  # of a model that was replaced
        quiet.write(f"models/{second}", "x")
        assert rests(quiet)


def test_a_change_in_a_nested_module_is_news(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "package"
    module = package / "room" / "inner" / "module.py"
    module.parent.mkdir(parents=True)
    module.touch()
    monkeypatch.setattr(idle, "PACKAGE", str(package))
    before = idle.observe_inputs(project.config).digest
    assert idle.observe_inputs(project.config).digest == before
    module.write_text("changed = True\n")
    assert idle.observe_inputs(project.config).digest != before
