"""What the pipeline writes is for its user and group, whatever umask it was started with."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, Project
from tests.support.sweeping import begin

OUTPUTS = ("ingesteddata", "models", "production_deployment")


def modes(root: Path) -> dict[str, int]:
    """Permissions of all that stands below a folder."""
    return {
        str(path.relative_to(root)): path.lstat().st_mode & 0o777
        for path in sorted(root.rglob("*"))
        if not path.is_symlink()
    }


@pytest.mark.slow
def test_nobody_else_may_read_what_a_run_leaves(small: Path, tmp_path: Path) -> None:
    project = Project(begin(small, tmp_path / "project").parent)
    for name in ("models/left.csv", "cron.log.1"):  # as it was before
        project.write(name, "x").chmod(0o644)
    script = shlex.join([sys.executable, str(REPOSITORY / "fullprocess.py"), "--config"])
    subprocess.run(
        ["/bin/sh", "-c", f"umask 022; exec {script} config.json >> cron.log 2>&1"],
        cwd=project.root,
        check=True,
    )
    found = modes(project.root)
    for name in (
        "cron.log",
        "models/history.db",
        "models/clients.db",
        "models/clientrisk.csv",
        "ingesteddata/finaldata.csv",
        "models/.lock",
        "models/left.csv",
        "cron.log.1",
    ):
        assert found[name] == 0o640, name
    ours = {
        name: mode
        for name, mode in found.items()
        if name.startswith(OUTPUTS) and name not in OUTPUTS
    }
    assert len(ours) > 25
    assert {name: oct(mode) for name, mode in ours.items() if mode & 0o027} == {}
    assert (
        found["sourcedata/january.csv"] == (small / "sourcedata/january.csv").stat().st_mode & 0o777
    )
    assert modes(project.root)["models/history.db"] & 0o040, "a group may read it"


@pytest.mark.parametrize(("umask", "mode"), [("022", "640"), ("077", "600"), ("000", "640")])
def test_a_stricter_umask_is_kept(tmp_path: Path, umask: str, mode: str) -> None:
    code = (
        "from attrition.core.permissions import *; keep_private(); "
        "open('new', 'w'); tighten(['old'])"
    )
    (tmp_path / "old").touch(0o666)
    subprocess.run(
        ["/bin/sh", "-c", f"umask {umask}; exec {sys.executable} -c {shlex.quote(code)}"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY)},
        check=True,
    )
    assert set(modes(tmp_path).values()) == {int(mode, 8)}
