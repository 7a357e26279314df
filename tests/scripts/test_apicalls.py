"""The API's answers on file: from the server or from here, before and after a redeployment."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.serving import make_server

import apicalls
from app import create_app
from attrition.web.data_files import data_folders
from tests.conftest import Project
from tests.support.releases import deploy
from tests.support.serving_projects import TABLE, write_records

DEAD = "http://127.0.0.1:9"  # the discard port: nothing listens there


@pytest.fixture
def served(project: Project) -> Project:
    """A project with a deployed model and no server."""
    project.configure(api_url=DEAD)
    project.write("testdata/testdata.csv", TABLE)
    deploy(project)
    write_records(project)
    return project


@contextmanager
def server_of(project: Project, app: Flask | None = None) -> Iterator[str]:
    """A real server of a project's application."""
    server = make_server("127.0.0.1", 0, app or create_app(project.config), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answers(project: Project, name: str = "apireturns.txt") -> Any:
    return json.loads((project.root / "models" / name).read_text())


def test_with_no_server_the_application_answers_here_and_it_is_said(served: Project) -> None:
    result = served.run("apicalls.py")
    assert "asked the application itself" in result.stderr
    found = answers(served)
    assert list(found) == ["/prediction", "/scoring", "/summarystats", "/diagnostics"]
    assert found["/prediction"]["predictions"] == [1, 0, 1]
    assert found["/scoring"]["f1_score"] == 0.7
    assert found["/summarystats"]["summary_statistics"][0] == 50.5
    assert found["/diagnostics"]["execution_times"] == [1.5, 2.5]


def test_the_file_reads_well(served: Project) -> None:
    """One line for each field, however many predictions."""
    served.run("apicalls.py")
    lines = (served.root / "models/apireturns.txt").read_text().splitlines()
    assert '    "predictions": [1, 0, 1],' in lines
    assert len(lines) < 50


def test_with_a_server_it_is_asked_and_answers_the_same(served: Project) -> None:
    served.run("apicalls.py")
    here = answers(served)
    with server_of(served) as url:
        served.configure(api_url=url + "/")
        result = served.run("apicalls.py")
    assert f"asking the server at {url}" in result.stderr
    assert answers(served) == here


def test_proxies_of_the_environment_are_not_asked(
    served: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", DEAD)
    with server_of(served) as url:
        served.configure(api_url=url)
        assert "asking the server" in served.run("apicalls.py").stderr


def test_before_and_after_a_replacement_stand_side_by_side(served: Project) -> None:
    """A running server answers with the new release at once."""
    with server_of(served) as url:
        served.configure(api_url=url)
        apicalls.record_current(served.config)
        version = deploy(served, intercept=-5.0)
        apicalls.record_redeployed(served.config)
    before, after = answers(served), answers(served, "apireturns2.txt")
    assert before["/prediction"]["model_version"] != version
    assert after["/prediction"]["model_version"] == version
    assert after["/prediction"]["predictions"] == [0, 0, 0]
    apicalls.record_current(served.config)
    assert answers(served)["/prediction"] == after["/prediction"]
    assert not (served.root / "models/apireturns2.txt").exists()


def test_the_server_of_another_project_is_not_asked(served: Project, make_project: Any) -> None:
    other = make_project("other")
    deploy(other, intercept=3.0)
    with server_of(other) as url:
        served.configure(api_url=url)
        assert "serves another model" in served.run("apicalls.py").stderr
    assert answers(served)["/prediction"]["predictions"] == [1, 0, 1]


class Nonsense(BaseHTTPRequestHandler):
    """Some other service that happens to listen there."""

    reply = b"<html>hello</html>"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.reply)))
        self.end_headers()
        self.wfile.write(self.reply)

    def log_message(self, *arguments: object) -> None:
        pass


class Closing(Nonsense):
    """One that hangs up."""

    def do_GET(self) -> None:
        self.close_connection = True


class Listing(Nonsense):
    """One that answers with a list."""

    reply = b"[1]"


class Cut(Nonsense):
    """One that fails, and hangs up in the midst of saying so."""

    def do_GET(self) -> None:
        self.send_response(500)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"{")
        self.close_connection = True


class Deep(Nonsense):
    """One whose answer is nested without an end."""

    reply = b"[" * 100_000


class Mute(Nonsense):
    """One that does not speak HTTP."""

    def handle(self) -> None:
        self.wfile.write(b"SSH-2.0-a-shell\r\n")


@pytest.mark.parametrize("handler", [Nonsense, Closing, Listing, Cut, Deep, Mute])
def test_some_other_service_is_not_asked(
    served: Project, handler: type[BaseHTTPRequestHandler]
) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        served.configure(api_url=f"http://127.0.0.1:{server.server_port}")
        assert not apicalls.failed(apicalls.record_current(served.config))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "nonsense", "http://127.0.0.1:99999"])
def test_an_address_that_is_none_means_asking_here(served: Project, url: str) -> None:
    served.configure(api_url=url)
    assert not apicalls.failed(apicalls.record_current(served.config))


def test_a_failed_call_is_written_as_a_failure(served: Project) -> None:
    (served.root / "models/diagnostics.json").write_text("{}")  # of another version
    result = served.run("apicalls.py", check=False)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    found = answers(served)
    assert "503" in found["/summarystats"]["error"]
    assert "fullprocess.py" in found["/diagnostics"]["error"]
    assert found["/scoring"]["f1_score"] == 0.7


def test_before_the_first_deployment_every_answer_says_so(project: Project) -> None:
    project.configure(api_url=DEAD)
    found = apicalls.record_current(project.config)
    assert "CSV" in found["/prediction"]["error"]
    assert "no model is deployed" in found["/scoring"]["error"]
    assert json.loads((project.root / "models/apireturns.txt").read_text()) == found


def test_the_token_is_sent(served: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """To a server, and to the application here, which asks for it as well."""
    monkeypatch.setenv("ATTRITION_API_TOKEN", "s\u00e9same\n")
    served.run("apicalls.py")
    here = answers(served)
    with server_of(served) as url:
        served.configure(api_url=url)
        assert "asking the server" in served.run("apicalls.py").stderr
    assert answers(served) == here


def test_a_server_that_wants_the_token_is_said_and_the_application_answers_here(
    served: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under cron, whose environment does not hold it."""
    with monkeypatch.context() as environment:
        environment.setenv("ATTRITION_API_TOKEN", "s3cret")
        app = create_app(served.config)
    with server_of(served, app) as url:
        served.configure(api_url=url)
        told = served.run("apicalls.py").stderr
    assert f"{url}: status 401: a password is needed: the access token" in told
    assert "asked the application itself" in told
    assert answers(served)["/prediction"]["predictions"] == [1, 0, 1]


def test_the_first_csv_file_of_the_test_data_is_asked_for(served: Project) -> None:
    (served.root / "testdata/a.csv").mkdir()
    served.write("testdata/.b.csv", "hidden")
    path = served.write("testdata/c.csv", TABLE.replace("Acme,9,1,0", "Acme,9,1,100"))
    assert Path(path).parent in data_folders(served.config).values()
    assert apicalls.collect(served.config)["/prediction"]["predictions"] == [0, 0, 1]
