"""Clients that send or read slowly hold up nobody, and each of them is let go after its time."""

from __future__ import annotations

import json
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.conftest import Project, Suite, new_project
from tests.support.answers import QUIET
from tests.support.servers import ask, gunicorn
from tests.support.serving_projects import serve_ready

STALLED, SLOW_READERS, ASKED = 60, 20, 200
HALF_A_HEADER = b"POST /prediction HTTP/1.1\r\nHost: localhost\r\nContent-"
HALF_A_BODY = HALF_A_HEADER + b'Type: application/json\r\nContent-Length: 99\r\n\r\n{"records'
LONG_ANSWER = b"GET /report HTTP/1.1\r\nHost: localhost\r\n\r\n"
KINDS = {"idle": b"", "header": HALF_A_HEADER, "body": HALF_A_BODY}
# Seconds; the machine may be busy. Whoever is held up by a slow client waits for tens of them.
PATIENCE, SOON = 20.0, 0.5


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a report that fits into no buffer of a connection."""
    project = new_project(tmp_path_factory.mktemp("slow") / "project")
    serve_ready(project)
    project.config.report.write_bytes(b" " * 12_000_000)
    return project


@pytest.fixture(scope="module")
def hasty(project: Project) -> Iterator[int]:
    """A server with one worker, few connections and short limits."""
    limits = "--workers 1 --keep-alive 1 --timeout 4 --worker-connections 8"
    with gunicorn(project, *limits.split()) as port:
        assert ask(port, "/health")[0] == 200
        yield port


def connect(port: int, begin: bytes) -> socket.socket:
    """A connection that takes in little at once, and what it sends at first."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(PATIENCE)
    connection.connect(("127.0.0.1", port))
    connection.sendall(begin)
    return connection


@contextmanager
def slow_clients(port: int) -> Iterator[list[socket.socket]]:
    """All kinds of slow clients at once; those that read a long answer slowly."""
    with ExitStack() as stack:
        for begin in KINDS.values():
            for _ in range(STALLED):
                stack.enter_context(connect(port, begin))
        yield [stack.enter_context(connect(port, LONG_ANSWER)) for _ in range(SLOW_READERS)]


def test_slow_clients_hold_up_nobody(project: Project, suite: Suite) -> None:
    took = []
    with gunicorn(project) as port:
        assert ask(port, "/health")[0] == 200
        with slow_clients(port) as readers:
            for number in range(ASKED):
                assert readers[number % len(readers)].recv(64)
                begin = time.perf_counter()
                status, _, answer = ask(port, "/prediction", {"records": [QUIET]})
                took.append(time.perf_counter() - begin)
                assert (status, json.loads(answer)["predictions"]) == (200, [1])
    assert statistics.median(took) < SOON
    suite.tell(3 * STALLED + SLOW_READERS, "slow clients at once")
    suite.tell(ASKED, "requests of others meanwhile, none failed")


def heard(connection: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    answer = b""
    while data := connection.recv(65_536):
        answer += data
    return answer


@pytest.mark.parametrize("begin", [b"", HALF_A_HEADER], ids=["idle", "header"])
def test_a_connection_without_a_whole_header_is_closed(hasty: int, begin: bytes) -> None:
    with connect(hasty, begin) as connection:
        assert heard(connection) == b""


def test_a_header_that_comes_letter_by_letter_is_not_waited_for(hasty: int) -> None:
    begin = time.monotonic()
    with connect(hasty, b"GET /health HTTP/1.1\r\nX: ") as connection, pytest.raises(OSError):
        while time.monotonic() < begin + PATIENCE:
            connection.sendall(b"x")
            time.sleep(0.1)


@pytest.mark.parametrize("trickle", [b"", b" "], ids=["stalled", "slow"])
def test_a_body_that_does_not_come_in_time_is_refused_in_words(hasty: int, trickle: bytes) -> None:
    body = HALF_A_BODY.replace(b"Length: 99", b"Length: 9999")
    with connect(hasty, body) as connection:
        for _ in range(30 if trickle else 0):
            connection.sendall(trickle)
            time.sleep(0.1)
        answer = heard(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"the body did not come within the time limit" in answer


def test_whoever_does_not_take_the_answer_in_time_is_let_go(hasty: int) -> None:
    with connect(hasty, LONG_ANSWER) as connection:
        read = 0
        for _ in range(30):
            time.sleep(0.2)
            read += len(connection.recv(64))
        with suppress(ConnectionResetError):
            read += len(heard(connection))
    assert 0 < read < 12_000_000


def test_more_connections_than_are_allowed_wait_until_others_end(hasty: int) -> None:
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(connect(hasty, b""))
        assert ask(hasty, "/health")[0] == 200


def test_an_idle_connection_serves_the_next_request_while_it_is_there(hasty: int) -> None:
    request = b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connect(hasty, request) as connection:
        connection.recv(4096)
        connection.sendall(request)
        assert b"HTTP/1.1 200 " in heard(connection)


HANGS = """
import time

def app(environ, start_response):
    if environ["PATH_INFO"] == "/waits":
        time.sleep(600)
    if environ["PATH_INFO"] == "/goes_on":
        try:
            time.sleep(600)
        except TimeoutError:
            time.sleep(600)
    while environ["PATH_INFO"] == "/computes":
        pass
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]
"""


@pytest.mark.parametrize("path", ["/waits", "/goes_on", "/computes"])
def test_a_handler_that_hangs_is_ended(project: Project, tmp_path: Path, path: str) -> None:
    (tmp_path / "hangs.py").write_text(HANGS)
    options = ("--workers", "1", "--timeout", "2", "--pythonpath", str(tmp_path))
    with gunicorn(project, *options, application="hangs:app") as port:
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with connect(port, request.encode()) as connection, suppress(ConnectionResetError):
            assert heard(connection) == b""
        assert ask(port, "/")[0] == 200


def test_while_long_tables_are_read_a_record_is_answered(project: Project) -> None:
    """By the same worker; the quotation marks have Python read them row by row."""
    table = (",".join(QUIET) + "\n" + '"0",1,9\n' * 100_000).encode()
    answered: list[int] = []

    def send_tables(port: int) -> None:
        for _ in range(3):
            answered.append(ask(port, "/prediction", table, **{"Content-Type": "text/csv"})[0])

    with gunicorn(project, "--workers", "1") as port:
        assert ask(port, "/health")[0] == 200
        sender = threading.Thread(target=send_tables, args=(port,))
        sender.start()
        took = []
        while sender.is_alive():
            begin = time.perf_counter()
            assert ask(port, "/prediction", {"records": [QUIET]})[0] == 200
            took.append(time.perf_counter() - begin)
        sender.join()
    assert answered == [200] * 3
    assert len(took) > 10
    assert statistics.quantiles(took, n=10)[-1] < 1


COMPUTES = """
import time

def app(environ, start_response):
    end = time.perf_counter() + 0.02 * environ["PATH_INFO"].startswith("/long")
    while time.perf_counter() < end:
        pass
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]
"""


def test_those_who_ask_on_without_waiting_for_answers_hold_up_nobody(
    project: Project, tmp_path: Path
) -> None:
    (tmp_path / "computes.py").write_text(COMPUTES)
    options = ("--workers", "1", "--pythonpath", str(tmp_path))
    took = []
    with gunicorn(project, *options, application="computes:app") as port, ExitStack() as stack:
        assert ask(port, "/")[0] == 200
        for _ in range(20):
            requests = b"GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n" * 500
            stack.enter_context(connect(port, requests))
        for _ in range(5):
            begin = time.perf_counter()
            assert ask(port, "/")[0] == 200
            took.append(time.perf_counter() - begin)
    assert statistics.median(took) < SOON
