"""When runs start: at once, never ending, with a wrong clock, from cron. And many of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from attrition.core import atomic_files
from attrition.runs.lock import run_lock
from tests.conftest import REPOSITORY, Project, book
from tests.support.outcome import differences, outcome
from tests.support.script_runner import Job, ScriptRunner, may_run
from tests.support.sweeping import Undisturbed, begin, live_release

IDLE = "idle: nothing has changed"


def test_of_runs_started_at_once_one_works_and_the_others_leave(
    redeploying: Undisturbed, tmp_path: Path
) -> None:
    project = Project(begin(redeploying.template, tmp_path / "project").parent)
    command = project.command("fullprocess.py")
    runs = [
        subprocess.Popen(command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(3)
    ]
    # One that starts as the first has ended finds nothing to do.
    assert {run.wait(120) for run in runs} == {0, 75}
    assert differences(outcome(project.root), redeploying.outcome) == []


HANGING = """
import sys, time
from dataclasses import replace
sys.path.insert(0, sys.argv[1])
import fullprocess, training
from attrition.runs import cli as cli
read = cli.load_config
cli.load_config = lambda path: replace(read(path), run_deadline_minutes=0.2)
training.run = lambda *_: time.sleep(600)
raise SystemExit(fullprocess.main(["--config", sys.argv[2]]))
"""


def test_a_stage_that_hangs_is_ended_and_the_next_run_finishes_the_job(
    redeploying: Undisturbed, runner: ScriptRunner, tmp_path: Path
) -> None:
    config = begin(redeploying.template, tmp_path / "project")
    command: list[str | Path] = [sys.executable, "-c", HANGING, REPOSITORY, config]
    hung = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd="/")
    assert hung.returncode == 1
    assert (
        "longer than 0.2 minutes (run_deadline_minutes in config.json) and was ended" in hung.stderr
    )
    assert live_release(config.parent) in redeploying.releases
    after = runner.run(Job("fullprocess", str(config)))
    assert after.code == 0, after.text
    left = differences(outcome(config.parent), redeploying.outcome)
    assert left == ["models/history.db"], "beside the failed run that it tells of"


@pytest.mark.parametrize("days", [-4000, 4000])
def test_a_clock_that_jumps_changes_no_decision(
    redeploying: Undisturbed, runner: ScriptRunner, tmp_path: Path, days: int
) -> None:
    config = begin(redeploying.template, tmp_path / "project")
    ended = runner.run(Job("fullprocess", str(config), clock_shift=86_400.0 * days))
    assert ended.code == 0, ended.text
    assert differences(outcome(config.parent), redeploying.outcome) == []
    recorded = atomic_files.read_json(config.parent / "models/decision.json")["time"]
    assert abs(int(recorded[:4]) - time.gmtime().tm_year) > 9, "the clock was not shifted"
    # Back to the right time: nothing is ingested or decided anew.
    assert runner.run(Job("fullprocess", str(config))).code == 0
    again = outcome(config.parent)
    for name in ("ingesteddata/finaldata.csv", "production_deployment/current"):
        assert again[name] == redeploying.outcome[name]


@pytest.mark.parametrize("zone", ["America/St_Johns", "Pacific/Kiritimati"])
def test_the_zone_of_the_clock_changes_no_decision(
    redeploying: Undisturbed, runner: ScriptRunner, tmp_path: Path, zone: str
) -> None:
    config = begin(redeploying.template, tmp_path / "project")
    ended = runner.run(Job("fullprocess", str(config), zone=zone))
    assert ended.code == 0, ended.text
    assert differences(outcome(config.parent), redeploying.outcome) == []


# A real cron daemon.


@pytest.fixture
def installation(small: Path, tmp_path: Path) -> Path:
    """A copy of the scripts with a project in it, as somebody installs it."""
    if os.geteuid():
        pytest.skip("only root may start a cron daemon")
    if shutil.which("cron") is None or shutil.which("crontab") is None:
        pytest.skip("cron is not installed")
    if not may_run("unshare", "--mount", "true"):
        pytest.skip("needs leave to unshare mounts, to leave this machine's crontabs alone")
    folder = tmp_path / "pipeline"
    shutil.copytree(small, folder)
    for path in REPOSITORY.iterdir():
        if path.suffix in (".py", ".sh") or path.name in ("cronjob.txt", "requirements.txt"):
            shutil.copy(path, folder)
    shutil.copytree(REPOSITORY / "attrition", folder / "attrition")
    return folder


DAEMON = """
set -e
mount -t tmpfs tmpfs /var/spool/cron
mkdir -m 1730 /var/spool/cron/crontabs
chgrp crontab /var/spool/cron/crontabs
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /etc/cron.d
PYTHON="$1" ./setup_cron.sh
crontab -l | sed 's,^[*]/3 ,* ,' | crontab -
crontab -l >&2
exec cron -f
"""


@pytest.mark.slow
@pytest.mark.complete  # cron fires on the full minute
def test_a_real_cron_daemon_runs_the_pipeline(installation: Path) -> None:
    """In a mount namespace of its own: no crontab of this machine is read or changed."""
    command = ["unshare", "--mount", "sh", "-c", DAEMON, "daemon", sys.executable]
    bare = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
    log = installation / "cron.log"
    with subprocess.Popen(
        command, cwd=installation, env=bare, stderr=subprocess.PIPE, text=True
    ) as daemon:
        try:
            until = time.monotonic() + 240
            while not (log.exists() and IDLE in log.read_text()):
                assert daemon.poll() is None, daemon.stderr and daemon.stderr.read()
                assert time.monotonic() < until, log.read_text() if log.exists() else "no log"
                time.sleep(1)
        finally:
            daemon.terminate()
    assert live_release(installation) is not None
    lines = log.read_text().splitlines()
    assert sum(IDLE in line for line in lines) == 1
    assert "a candidate is due: no model is deployed yet" in log.read_text()
    assert not [line for line in lines if "Alder" in line], "no client's name in the log"


def test_settings_that_share_a_folder_do_not_write_to_it_at_once(
    make_project: Callable[[str], Project],
) -> None:
    """Neither sweeps away what the other has under way, whichever folder they share."""
    one, other = make_project("one"), make_project("other")
    other.write("sourcedata/a.csv", book(60, 1))
    for key in ("output_folder_path", "output_model_path", "prod_deployment_path"):
        shared = getattr(one.config, key)
        other.configure(**{key: str(shared)})
        at_work = shared / ".tmp-1-finaldata.csv"
        at_work.touch()
        with run_lock(*one.config.locks):
            done = other.run("ingestion.py", check=False)
        assert done.returncode == 75
        assert f"it holds {shared}/.lock" in done.stderr
        assert at_work.exists()
