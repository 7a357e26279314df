"""Alerts reach a real server and a real command; what fails is kept and never fails a run."""

from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from attrition.core import atomic_files
from attrition.monitoring import alert_delivery
from attrition.runs import history, history_store, lock
from tests.conftest import HEADER, REPOSITORY, Project, book
from tests.support.records import decision_record

COMMAND = [
    sys.executable,
    "-c",
    "import os, sys; text = sys.stdin.read(); assert text == os.environ['ATTRITION_ALERT']\n"
    "open('told.txt', 'a').write(text + '\\n---\\n')",
]
DRIFTED = decision_record(reason="the rows are the same", scores={"test data": {"f1": 0.4}})
WELL = decision_record(reason="the rows are the same", scores={"test data": {"f1": 0.7}})


@dataclass
class Hook:
    """A webhook on this machine: what it got, and what it answers."""

    url: str = ""
    status: int = 200
    location: str | None = None
    bodies: list[dict[str, Any]] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        return [body["text"] for body in self.bodies]


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    here = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            here.methods.append("POST")
            assert self.headers["Content-Type"] == "application/json"
            if here.status == 200:
                here.bodies.append(json.loads(body))
            self.send_response(here.status)
            if here.location:
                self.send_header("Location", here.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            here.methods.append("GET")
            self.send_error(500)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        here.url = f"http://127.0.0.1:{server.server_port}/services/SECRET"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield here
        server.shutdown()
        thread.join()


def told(project: Project) -> list[str]:
    path = project.root / "told.txt"
    return path.read_text().split("\n---\n")[:-1] if path.exists() else []


def test_webhook_and_command_get_the_same_text_once(project: Project, hook: Hook) -> None:
    project.configure(alert_webhook=hook.url, alert_command=COMMAND)
    for record in (DRIFTED, DRIFTED, WELL, WELL):
        alert_delivery.tell_run(project.config, record)
    assert hook.texts == told(project)
    first, second = hook.texts
    assert first == (
        "Client attrition risk (project):\n"
        "- the deployed model is degraded: its F1 on the test data, 0.400, is under 0.6\n"
        "- kept: the rows are the same"
    )
    assert second == "Client attrition risk (project): all is well again (it was: degraded model)"


def test_without_settings_nothing_is_written(project: Project) -> None:
    alert_delivery.tell_run(project.config, DRIFTED)
    alert_delivery.tell_failure(project.config, "x")
    alert_delivery.catch_up(project.config)
    assert not project.config.alerts.exists()


def test_a_refused_alert_is_kept_and_delivered_later_with_the_news(
    project: Project, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    """Each addressee has its own account: the command, which worked, hears nothing twice."""
    project.configure(alert_webhook=hook.url, alert_command=COMMAND)
    hook.status = 503
    alert_delivery.tell_run(project.config, DRIFTED)
    assert "127.0.0.1 answered 503" in caplog.text
    assert "SECRET" not in caplog.text + project.config.alerts.read_text()
    hook.status = 200
    alert_delivery.tell_run(project.config, WELL)
    (text,) = hook.texts
    assert text.index("all is well again") < text.index("the deployed model is degraded")
    assert len(told(project)) == 2
    alert_delivery.tell_run(project.config, WELL)
    assert len(hook.texts) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(project: Project, hook: Hook, status: int) -> None:
    project.configure(alert_webhook=hook.url)
    hook.status, hook.location = status, "file:///etc/passwd"
    alert_delivery.tell_run(project.config, DRIFTED)
    hook.location = hook.url
    alert_delivery.tell_run(project.config, DRIFTED)
    assert hook.methods == ["POST", "POST"]
    assert atomic_files.read_json(project.config.alerts)["webhook"]["unsent"] != []


def test_a_dead_webhook_is_said(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    project.configure(alert_webhook="http://127.0.0.1:9/SECRET")
    alert_delivery.tell_run(project.config, DRIFTED)
    assert "127.0.0.1 cannot be reached" in caplog.text
    assert "SECRET" not in caplog.text


def test_a_webhook_that_never_answers_is_left_after_a_while(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(alert_delivery, "WEBHOOK_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        project.configure(alert_webhook=f"http://127.0.0.1:{silent.getsockname()[1]}/")
        alert_delivery.tell_run(project.config, DRIFTED)
    assert "alert_webhook: 127.0.0.1" in caplog.text


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["/no/such/program"], "/no/such/program cannot be run"),
        ([sys.executable, "-c", "raise SystemExit('no\\nmailbox full')"], "exit code 1 (mailbox"),
        ([sys.executable, "-c", "import time; time.sleep(60)"], "took longer than 0.5 s"),
    ],
)
def test_a_command_that_fails_is_said_and_tried_again(
    project: Project,
    command: list[str],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(alert_delivery, "COMMAND_SECONDS", 0.5)
    project.configure(alert_command=command)
    alert_delivery.tell_run(project.config, DRIFTED)
    assert reason in caplog.text
    monkeypatch.undo()
    project.configure(alert_command=COMMAND)
    alert_delivery.tell_run(project.config, DRIFTED)
    assert len(told(project)) == 1
    assert "degraded" in told(project)[0]


def test_no_shell_reads_the_command(project: Project) -> None:
    project.configure(alert_command=[*COMMAND, "; touch broken", "$(touch broken)"])
    alert_delivery.tell_run(project.config, DRIFTED)
    assert len(told(project)) == 1
    assert not (project.root / "broken").exists()


@pytest.mark.parametrize("content", ["", "[]", '{"command": {}}', '{"command": 3}'])
def test_a_damaged_account_is_said_and_all_is_told_anew(
    project: Project, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    project.configure(alert_command=COMMAND)
    project.config.alerts.write_text(content)
    alert_delivery.tell_run(project.config, DRIFTED)
    assert "sent anew" in caplog.text
    assert len(told(project)) == 1


def test_while_idle_a_failed_delivery_is_tried_again_once_an_hour(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.configure(alert_command=["/no/such/program"])
    alert_delivery.tell_run(project.config, DRIFTED)
    project.configure(alert_command=COMMAND)
    alert_delivery.catch_up(project.config)
    assert told(project) == []
    now = atomic_files.read_json(project.config.alerts)["command"]["failed_at"]
    monkeypatch.setattr(time, "time", lambda: now + alert_delivery.RETRY_SECONDS + 1)
    alert_delivery.catch_up(project.config)
    alert_delivery.catch_up(project.config)
    assert len(told(project)) == 1
    alert_delivery.tell_run(project.config, WELL)
    assert "all is well again" in told(project)[1]


# --- the whole pipeline -----------------------------------------------------------------------


def runs(project: Project) -> list[dict[str, Any]]:
    return history.runs(project.config.history)


@pytest.mark.slow
def test_a_failed_run_is_recorded_and_told_once_and_so_is_its_end(project: Project) -> None:
    project.configure(alert_command=COMMAND)
    project.run("fullprocess.py")  # nothing there yet, and all is well
    project.config.final_data.write_text("not ours")
    for _ in range(2):
        assert project.run("fullprocess.py", check=False).returncode == 1
    assert [run["verdict"] for run in runs(project)] == ["failed", "kept"]
    assert "changed since the last run" in runs(project)[0]["reason"]
    (text,) = told(project)
    assert "- the run failed: " in text
    assert "changed since the last run" in text
    project.config.final_data.unlink()
    project.run("fullprocess.py")
    assert told(project)[1:] == [
        "Client attrition risk (project): all is well again (it was: failed run)"
    ]
    shown = project.run("diagnostics.py", "--history").stdout
    assert "failed" in shown
    assert "changed since the last run" in shown.replace("\n" + " " * 18, " ")
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.slow
def test_a_bug_is_told_without_its_words(project: Project) -> None:
    """They might hold a client's values; the log has them."""
    project.configure(alert_command=COMMAND)
    code = (
        "import sys, fullprocess, ingestion\n"
        "def run(config): raise ZeroDivisionError('Acme Ltd')\n"
        "ingestion.run = run\n"
        f"raise SystemExit(fullprocess.main(['--config', {str(project.config_path)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True)
    assert done.returncode == 3
    (text,) = told(project)
    assert text.endswith("a bug in the pipeline (ZeroDivisionError); see cron.log")
    assert "Acme" not in text + json.dumps(runs(project))
    assert "Acme Ltd" in (project.root / "cron.log").read_text()


def test_a_busy_lock_and_wrong_settings_are_no_failures(project: Project) -> None:
    project.configure(alert_command=COMMAND)
    with lock.run_lock(project.config.lock):
        assert project.run("fullprocess.py", check=False).returncode == 75
    project.configure(alert_command=COMMAND, drift_threshold=7)
    assert project.run("fullprocess.py", check=False).returncode == 2
    assert told(project) == []
    assert not (project.root / "models/history.db").exists()


@pytest.mark.slow
def test_drift_and_bad_files_are_told_and_a_dead_webhook_fails_nothing(
    finished_copy: Project,
) -> None:
    project = finished_copy
    project.configure(alert_command=COMMAND, alert_webhook="http://127.0.0.1:9/")
    project.write("sourcedata/february.csv", book(2500, 4, drift=1.0) + "Acme,abc,1,2,0\n")
    project.write("sourcedata/broken.csv", "x\n")
    (project.root / "actions").mkdir()
    project.write("actions/calls.csv", "client,day\nAcme,2026-05-01\n")
    result = project.run("fullprocess.py")
    assert "alert_webhook: 127.0.0.1 cannot be reached" in result.stderr
    (text,) = told(project)
    assert "- data drift in the new rows: " in text
    assert "- file february.csv: 1 of " in text
    assert "- file broken.csv: rejected" in text
    assert "- actions/calls.csv: rejected: missing columns 'date', 'action'" in text
    assert "- deployed: " in text
    assert "Acme" not in text
    assert "abc" not in text
    kept = atomic_files.read_json(project.config.alerts)["webhook"]["unsent"]
    assert len(kept) == 1
    assert "idle" in project.run("fullprocess.py").stderr
    assert len(told(project)) == 1


@pytest.mark.slow
def test_a_damaged_history_is_said_and_moved_aside_by_the_next_run(project: Project) -> None:
    project.write("models/history.db", "no database" * 100)
    shown = project.run("diagnostics.py", "--history", check=False)
    assert shown.returncode == 1
    assert shown.stdout == ""
    assert "cannot be read" in shown.stderr
    project.write("sourcedata/few.csv", f"{HEADER}\nAcme,1,2,3,0\n")
    assert "kept as history-corrupt-1.db" in project.run("fullprocess.py").stderr
    assert (project.root / "models/history-corrupt-1.db").read_text() == "no database" * 100
    with closing(sqlite3.connect(project.config.history)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()
    assert version == (history_store.VERSION,)
    assert len(project.run("diagnostics.py", "--history").stdout.splitlines()) == 2


def test_no_name_of_a_file_addresses_people_or_hides_a_link(project: Project, hook: Hook) -> None:
    """A webhook's tool reads markup; a command gets the name as it is."""
    names = ["<!channel> & co.csv", "@here.csv", "[click](http:, ,evil).csv"]
    for name in names:
        project.write(f"sourcedata/{name}", f'no,such,"columns{name}"\n1,2,3\n')
    project.run("ingestion.py")
    project.configure(alert_webhook=hook.url, alert_command=COMMAND)
    alert_delivery.tell_run(project.config, WELL)
    (text,) = hook.texts
    assert "&lt;!channel&gt; &amp; co.csv" in text
    assert "@\u200bhere.csv" in text
    assert "[click]\u200b(http" in text
    assert not any(odd in text for odd in ("<", ">", "@h", "]("))
    assert all(name in told(project)[0] for name in names)
