"""Scratch folders go away with their work, or a day after it was killed."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest

from attrition.scratch import scratch_folder, sweep_scratch_folders
from tests.nursery import Job, Nursery
from tests.sweeping import begin


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


def test_what_a_killed_process_left_is_removed_a_day_later(temporary: Path) -> None:
    with scratch_folder() as at_work, scratch_folder() as left:
        (left / "rows").touch()
        others = temporary / "somebody-elses"
        link = temporary / f"{left.name}-link"
        others.mkdir()
        link.symlink_to(others)
        old = two_days_ago()
        for path in (left, others, link):
            os.utime(path, (old, old), follow_symlinks=False)
        assert sweep_scratch_folders() == [left]
        assert at_work.is_dir()
        left.mkdir()
    assert others.is_dir()
    assert link.is_symlink()


def test_a_run_of_the_pipeline_removes_what_a_killed_one_left(
    small: Path, nursery: Nursery, tmp_path: Path
) -> None:
    with scratch_folder() as gone:
        left = nursery.temporary / gone.name
    left.mkdir()
    (left / "rows").touch()
    os.utime(left, (two_days_ago(), two_days_ago()))
    ended = nursery.run(Job("fullprocess", str(begin(small, tmp_path / "project"))))
    assert ended.code == 0, ended.text
    assert not left.exists()
