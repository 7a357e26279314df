"""Settings that are written anew: old or new, whole, and nothing of the old ones lost."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attrition.core.errors import ConfigError
from attrition.core.settings_file import replace_settings
from tests.conftest import FOLDERS, REPOSITORY, Project

NEW = {**FOLDERS, "id_column": "client", "numeric_columns": ["x"], "value_column": None}
SCRIPT = f"""
import sys
from pathlib import Path
from attrition.core.settings_file import replace_settings
from tests.support.script_runner import count_operations

path, number, notes = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
count_operations(f"{{path.parent}}/", number, notes)
replace_settings(path, {NEW!r})
"""


def texts(project: Project) -> dict[str, str]:
    """What stands in the settings file and what is kept of older ones."""
    return {path.name: path.read_text() for path in project.root.iterdir() if path.is_file()}


def test_a_file_that_was_not_there_is_written(project: Project) -> None:
    project.config_path.unlink()
    written = replace_settings(project.config_path, NEW)
    assert (written.is_new, written.backup, written.kept) == (True, None, ())
    assert list(texts(project)) == ["config.json"]
    assert project.config.id_column == "client"


def test_folders_and_other_keys_are_taken_over_and_those_that_are_written_are_not(
    project: Project,
) -> None:
    old = FOLDERS | {"input_folder_path": "inbox", "value_column": "v", "drift_threshold": 0.2}
    project.config_path.write_text(json.dumps(old))
    written = replace_settings(project.config_path, NEW)
    assert (written.kept, written.problem) == (("drift_threshold", "input_folder_path"), None)
    assert json.loads(project.config_path.read_text()) == NEW | {
        "input_folder_path": "inbox",
        "drift_threshold": 0.2,
    }


@pytest.mark.parametrize("old", ["", "{", '{"drift_treshold": 0.1}', "[]"])
def test_a_file_of_no_use_is_kept_aside_and_said(project: Project, old: str) -> None:
    project.config_path.write_text(old)
    written = replace_settings(project.config_path, NEW)
    assert written.problem is not None
    assert str(project.config_path) in written.problem
    assert texts(project)["config.json.bak"] == old
    assert project.config.id_column == "client"


def test_no_older_file_is_lost_however_often_settings_are_written(project: Project) -> None:
    for name in "abc":
        project.configure(id_column=name)
        replace_settings(project.config_path, NEW)
    kept = {name: json.loads(text)["id_column"] for name, text in texts(project).items()}
    assert kept == {
        "config.json": "client",
        "config.json.bak": "c",
        "config.json.bak.1": "a",
        "config.json.bak.2": "b",
    }
    assert not replace_settings(project.config_path, NEW).is_new
    assert len(texts(project)) == 4


def test_a_link_stays_one_and_who_may_read_the_file_stays_as_it_was(project: Project) -> None:
    real = project.root / "elsewhere.json"
    project.config_path.rename(real)
    real.chmod(0o600)
    project.config_path.symlink_to(real)
    written = replace_settings(project.config_path, NEW)
    assert project.config_path.is_symlink()
    assert (written.path, written.backup) == (real, real.with_name("elsewhere.json.bak"))
    assert {stat.S_IMODE(path.stat().st_mode) for path in project.root.glob("else*")} == {0o600}


def test_settings_that_would_be_invalid_are_not_written(project: Project) -> None:
    before = texts(project)
    with pytest.raises(ConfigError, match="expected at least one, found none"):
        replace_settings(project.config_path, NEW | {"numeric_columns": []})
    assert texts(project) == before


def test_where_the_file_cannot_be_replaced_it_stays_and_nothing_half_written_is_left(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = texts(project)

    def fail(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        replace_settings(project.config_path, NEW)
    monkeypatch.undo()
    assert texts(project)["config.json"] == before["config.json"]
    assert not list(project.root.glob(".tmp-*"))


@pytest.mark.slow
def test_killed_at_any_call_the_settings_are_the_old_or_the_new_ones_and_none_is_lost(
    make_project: Callable[[str], Project], tmp_path: Path
) -> None:
    killed = []
    for number in range(1, 100):
        project = make_project(f"p{number}")
        project.write("config.json.bak", "older")
        project.configure(id_column="old")
        old = project.config_path.read_text()
        command: list[str | Path] = [
            sys.executable,
            "-c",
            SCRIPT,
            project.config_path,
            str(number),
            tmp_path / "notes",
        ]
        code = subprocess.run(command, cwd=REPOSITORY, timeout=60).returncode
        assert code in (0, -9)
        left = texts(project)
        assert project.config.id_column in ("old", "client")
        assert {old, "older"} <= set(left.values())
        replace_settings(project.config_path, NEW)
        assert project.config.id_column == "client"
        left = texts(project)
        assert {old, "older"} <= set(left.values())
        assert not any(name.startswith(".tmp-") for name in left)
        if code == 0:
            break
        killed.append(number)
    assert len(killed) >= 6


def test_labels_of_an_earlier_tables_columns_are_not_taken_over(tmp_path: Path) -> None:
    labels = {"lastmonth_activity": "orders last month", "number_of_employees": "employees"}
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**FOLDERS, "labels": labels}))
    replace_settings(path, {"numeric_columns": ["lastmonth_activity"]})
    assert load_labels(path) == {"lastmonth_activity": "orders last month"}
    assert "labels" not in replace_settings(path, {"numeric_columns": ["spend"]}).kept
    assert load_labels(path) is None


def test_what_an_earlier_table_could_be_priced_and_changed_by_is_not_taken_over(
    tmp_path: Path,
) -> None:
    path = tmp_path / "config.json"
    old = {"numeric_columns": ["spend", "calls"], "levers": ["spend", "calls"], "value_column": "v"}
    asked = {"monotone": {"spend": "increasing", "calls": "decreasing"}}
    costs = {"contact_cost": 5, "success_rate": 0.3, "rank_by": "profit"}
    path.write_text(
        json.dumps({**FOLDERS, **old, **asked, **costs, "high_risk_threshold": "profit"})
    )
    replace_settings(path, {"numeric_columns": ["spend", "age"], "value_column": "v"})
    kept = json.loads(path.read_text())
    assert kept["levers"] == ["spend"]
    assert kept["monotone"] == {"spend": "increasing"}
    assert {key: kept[key] for key in costs} == costs
    replace_settings(path, {"numeric_columns": ["age"], "value_column": None})
    left = json.loads(path.read_text())
    assert left.keys().isdisjoint([*costs, "levers", "monotone", "high_risk_threshold"])


def load_labels(path: Path) -> Any:
    return json.loads(path.read_text()).get("labels")
