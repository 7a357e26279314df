"""A tick around the run: light as long as nothing is to be done, and no failure goes untold."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from attrition.monitoring.record import recorded_runs
from attrition.runs.lock import run_lock
from tests.conftest import Project

COMMAND = [sys.executable, "-c", "import sys; open('told.txt', 'a').write(sys.stdin.read())"]


def in_a_python_of_its_own(
    project: Project, *options: str, path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    python, *rest = project.command("fullprocess.py")
    # Without coverage's own hooks.
    environment = {key: os.environ[key] for key in os.environ if not key.startswith("COV")}
    environment |= {} if path is None else {"PYTHONPATH": str(path)}
    return subprocess.run(
        [python, *options, *rest], env=environment, capture_output=True, text=True, timeout=300
    )


def test_a_tick_beside_another_run_leaves_without_a_library_of_a_run(project: Project) -> None:
    with run_lock(project.config.lock):
        done = in_a_python_of_its_own(project, "-X", "importtime")
    assert done.returncode == 75
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "attrition.monitoring.tick" in imported
    assert not imported & {"numpy", "duckdb", "pandas", "sklearn", "attrition.monitoring.record"}


def test_a_library_that_is_broken_is_a_failure_that_is_recorded_and_told(
    project: Project, tmp_path: Path
) -> None:
    project.configure(alert_command=COMMAND)
    broken = tmp_path / "libraries"
    broken.mkdir()
    (broken / "duckdb.py").write_text("raise ImportError('half an upgrade')\n")
    done = in_a_python_of_its_own(project, path=broken)
    assert done.returncode == 3, done.stderr
    assert "half an upgrade" in (project.root / "cron.log").read_text()
    assert "the run failed: a bug in the pipeline" in (project.root / "told.txt").read_text()
    (run,) = recorded_runs(project.config.history)
    assert run.verdict == "failed"
    assert run.release_before == run.release_after


@pytest.mark.slow
def test_where_every_release_is_damaged_and_none_replaces_it_a_run_fails(
    finished_copy: Project,
) -> None:
    config = finished_copy.config
    for card in (config.prod_deployment_path / "releases").glob("*/scorecard.json"):
        card.write_bytes(card.read_bytes()[:-3])
    finished_copy.configure(minimum_training_rows=10**6)
    for path in (config.final_data, config.ledger, config.open_clients):
        path.unlink(missing_ok=True)
    for path in config.input_folder_path.iterdir():
        path.unlink()
    listed = config.client_risk.read_bytes()
    done = finished_copy.run("fullprocess.py", check=False)
    assert done.returncode == 1, done.stdout
    assert "damaged release" in done.stderr
    assert config.client_risk.read_bytes() == listed
