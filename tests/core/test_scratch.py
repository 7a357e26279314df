"""Scratch folders go away with their work, or a day after it was killed."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest

from attrition.core.scratch import COUNTS, PACKAGES, ROWS, scratch_folder, sweep_scratch_folders
from tests.support.script_runner import Job, ScriptRunner
from tests.support.sweeping import begin


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def two_days_ago() -> float:
    return time.time() - 2 * 24 * 3600


def test_a_scratch_folder_is_private_and_goes_away(temporary: Path) -> None:
    with pytest.raises(RuntimeError), scratch_folder() as folder:
        assert folder.parent == temporary
        assert folder.stat().st_mode & 0o077 == 0
        (folder / "rows").touch()
        raise RuntimeError
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("prefix", [ROWS, PACKAGES, COUNTS])
def test_what_a_killed_process_left_is_removed_a_day_later(temporary: Path, prefix: str) -> None:
    left, young, others = (temporary / name for name in (f"{prefix}a", f"{prefix}b", "others"))
    link = temporary / f"{prefix}link"
    for folder in (left, young, others):
        folder.mkdir()
        (folder / "rows").touch()
    link.symlink_to(others)
    for path in (left, others, link):
        os.utime(path, (two_days_ago(), two_days_ago()), follow_symlinks=False)
    assert sweep_scratch_folders() == [left]
    assert sorted(temporary.iterdir()) == sorted([young, others, link])


def test_a_folder_in_use_is_left_however_old_it_is() -> None:
    with scratch_folder() as at_work:
        os.utime(at_work, (two_days_ago(), two_days_ago()))
        assert sweep_scratch_folders() == []
        assert at_work.is_dir()


@pytest.mark.slow
def test_a_run_of_the_pipeline_removes_what_a_killed_one_left(
    small: Path, runner: ScriptRunner, tmp_path: Path
) -> None:
    with scratch_folder() as gone:
        left = runner.temporary / gone.name
    left.mkdir()
    (left / "rows").touch()
    os.utime(left, (two_days_ago(), two_days_ago()))
    ended = runner.run(Job("fullprocess", str(begin(small, tmp_path / "project"))))
    assert ended.code == 0, ended.text
    assert not left.exists()
