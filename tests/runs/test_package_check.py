"""Outdated packages: asked of pip, once a day, without waiting; never over a real network here."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from attrition.core.config import Config
from attrition.runs import package_check
from attrition.runs.package_check import Outdated, Packages
from tests.conftest import Project

DEAD_INDEX = "http://127.0.0.1:9/simple"  # the discard port: nothing listens there


@pytest.fixture
def config(project: Project, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A project whose pip knows one index, which is down."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", DEAD_INDEX)
    project.configure(package_check=True)
    return project.config


def ask(config: Config, seconds: float = 60) -> Packages:
    state = package_check.finish_check(package_check.start_check(config), seconds)
    package_check.store(config, state)
    return state


def hours_ago(hours: float) -> str:
    return (datetime.now(UTC) - timedelta(hours=hours)).isoformat(timespec="seconds")


OLD_FLASK = Outdated("Flask", "3.0.0", "3.1.0")


@pytest.mark.slow
def test_an_unreachable_index_is_said_and_what_was_known_stays(config: Config) -> None:
    before = Packages(package_check.CHECKED, hours_ago(30), hours_ago(30), (OLD_FLASK,))
    package_check.store(config, before)
    state = ask(config)
    assert state.state == package_check.UNREACHABLE
    assert state.outdated == (OLD_FLASK,)
    assert state.as_of == before.as_of
    assert "index unreachable" in state.describe()


@pytest.mark.parametrize("hours", [0.0, 23.0])
def test_pip_is_asked_at_most_once_a_day(config: Config, hours: float) -> None:
    known = Packages(package_check.CHECKED, hours_ago(hours), hours_ago(hours), (OLD_FLASK,))
    package_check.store(config, known)
    check = package_check.start_check(config)
    assert check.process is None
    assert package_check.finish_check(check, 0) == known


@pytest.mark.parametrize("time", ["no time", "2099-01-01T00:00:00+00:00", "2024-01-01", 5])
def test_a_stored_time_that_makes_no_sense_means_asking_again(config: Config, time: str) -> None:
    (config.output_model_path / "packages.json").write_text(
        json.dumps({"state": "checked", "time": time, "as_of": None, "outdated": []})
    )
    check = package_check.start_check(config)
    assert check.process is not None
    package_check.finish_check(check, 0)


@pytest.mark.parametrize(
    "damage", [{"outdated": [{"name": "Flask"}]}, {"outdated": 5}, {"time": 5, "as_of": []}, {}]
)
def test_a_damaged_answer_is_none(config: Config, damage: dict[str, object]) -> None:
    kept = {
        "state": "checked",
        "time": hours_ago(1),
        "as_of": None,
        "outdated": [asdict(OLD_FLASK)],
    }
    package_check.store(config, Packages("checked", hours_ago(1), None, (OLD_FLASK,)))
    (config.output_model_path / "packages.json").write_text(json.dumps({**kept, **damage}))
    found = package_check.stored(config)
    assert found.time is None if damage else found.outdated == (OLD_FLASK,)
    assert found.describe()


def test_a_run_does_not_ask_about_what_was_just_installed(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package_check, "installed_at", lambda: hours_ago(23))
    with package_check.checking_daily(config) as check:
        assert check.process is None
    state = package_check.finish_check(check, 0)
    assert state.describe().endswith("not checked: installed within a day")
    monkeypatch.setattr(package_check, "installed_at", lambda: hours_ago(25))
    with package_check.checking_daily(config) as check:
        assert check.process is not None
    config = replace(config, package_check=False)
    with package_check.checking_daily(config) as check:
        assert check.known.state == package_check.SWITCHED_OFF


def test_an_answer_that_does_not_come_is_not_waited_for(config: Config) -> None:
    check = package_check.start_check(config)
    assert check.process is not None
    start = time.perf_counter()
    state = package_check.finish_check(check, 0.0)
    assert time.perf_counter() - start < 2
    assert state.state == package_check.UNANSWERED
    assert check.process.returncode is not None  # pip is not left running


@pytest.mark.slow
def test_a_package_index_with_newer_versions_is_read(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index made of a folder offers Flask 99, and nothing else that is named."""
    index = tmp_path / "index"
    for name in package_check.required_names(package_check.REQUIREMENTS.read_text()):
        (index / name).mkdir(parents=True)
        (index / name / "index.html").write_text("<!doctype html><html><body></body></html>")
    wheel = "flask-99.0-py3-none-any.whl"
    (index / "flask" / "index.html").write_text(
        f'<!doctype html><html><body><a href="{wheel}">{wheel}</a></body></html>'
    )
    monkeypatch.setenv("PIP_INDEX_URL", index.as_uri())
    state = ask(config)
    assert state.state == package_check.CHECKED
    assert [(p.name, p.latest_version) for p in state.outdated] == [("Flask", "99.0")]
    assert "99.0" in state.describe()
    assert package_check.stored(config) == state


def test_a_pip_that_fails_is_said(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 7\n")
    broken.chmod(broken.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(broken))
    assert ask(config).state == "pip failed (exit code 7)"


def test_switched_off_asks_nothing_and_keeps_nothing(config: Config) -> None:
    state = ask(replace(config, package_check=False))
    assert state == Packages(package_check.SWITCHED_OFF)
    assert list(config.output_model_path.iterdir()) == []


def test_names_are_read_from_a_requirements_file() -> None:
    text = (
        "# comment\nscikit-learn==1.9\nFlask>=3 # why\n\nruamel.yaml ; python_version > '3'\n-r x"
    )
    assert package_check.required_names(text) == {"scikit-learn", "flask", "ruamel-yaml"}


def test_all_up_to_date_is_said() -> None:
    assert "all up to date" in Packages(package_check.CHECKED).describe()


@pytest.mark.slow
@pytest.mark.parametrize("script", ["fullprocess.py", "diagnostics.py"])
def test_nothing_is_imported_from_the_folder_that_one_starts_in(
    finished_copy: Project, tmp_path: Path, script: str
) -> None:
    """Neither by a script nor by the pip that it starts."""
    folder = tmp_path / "shared"
    folder.mkdir()
    for module in ("pip", "token", "sitecustomize", "attrition", "json", "duckdb"):
        (folder / f"{module}.py").write_text(
            "import pathlib; pathlib.Path(__file__).with_suffix('.run').touch()"
        )
    finished_copy.configure(package_check=True)
    done = subprocess.run(
        finished_copy.command(script),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": DEAD_INDEX},
    )
    assert done.returncode == 0, done.stderr
    assert {path.suffix for path in folder.iterdir()} == {".py"}
    if script == "diagnostics.py":  # a run asks of no new installation
        assert package_check.UNREACHABLE in done.stdout
