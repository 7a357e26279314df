"""`gunicorn wsgi:app` serves the project that ATTRITION_CONFIG names, with several workers."""

from __future__ import annotations

import errno
import itertools
import json
import logging
import math
import os
import re
import runpy
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.http import errors

from attrition.core import releases
from attrition.core.scratch import sweep_scratch_folders
from attrition.web import predict
from tests.conftest import REPOSITORY, Project, Suite, new_project
from tests.support.answers import BUSY, LEAVES, QUIET
from tests.support.releases import deploy
from tests.support.servers import ask, forwarder, gunicorn, raw
from tests.support.serving_projects import serve_ready

LINUX = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="Linux tells of a process's memory"
)


def counted(text: str, name: str, **labels: str) -> float:
    """One number of Prometheus' text format."""
    for line in text.splitlines():
        found = re.fullmatch(rf"{name}(?:{{(.*)}})? (\S+)", line)
        if found and dict(re.findall(r'(\w+)="([^"]*)"', found[1] or "")) == labels:
            return float(found[2])
    raise AssertionError(f"{name} {labels} is not among:\n{text}")


def test_gunicorn_serves_predictions(project: Project) -> None:
    deploy(project)
    with gunicorn(project) as port:
        status, _, body = ask(port, "/prediction", {"records": [QUIET]})
    assert status == 200
    assert json.loads(body)["predictions"] == [1]


def test_the_counts_of_several_workers_are_added_up(project: Project) -> None:
    """Whichever worker is scraped; and a worker that dies takes nothing with it."""
    version = serve_ready(project)
    with gunicorn(project, "--max-requests", "10", WEB_CONCURRENCY="3") as port:
        for _ in range(40):
            assert ask(port, "/prediction", {"records": [QUIET, QUIET]})[0] == 200
        ask(port, "/clients/No%20such%20client")
        ask(port, "/nowhere")
        texts = [ask(port, "/metrics")[2].decode() for _ in range(5)]
    for text in texts:
        assert (
            counted(
                text, "attrition_requests_total", method="POST", route="/prediction", status="200"
            )
            == 40
        )
        assert counted(text, "attrition_predictions_total") == 80
        assert counted(text, "attrition_request_duration_seconds_count", route="/prediction") == 40
        assert counted(text, "attrition_model_info", version=version) == 1
        assert counted(text, "attrition_model_f1_score") == 0.7
        assert counted(text, "attrition_model_loaded") == 1
        assert counted(text, "attrition_release_damaged") == 0
        assert (
            counted(text, "attrition_requests_total", method="GET", route="none", status="404") == 1
        )
        assert "No such client" not in text
    assert (
        counted(texts[-1], "attrition_requests_total", method="GET", route="/metrics", status="200")
        == 4
    )


def test_a_hundred_redeployments_under_load_give_no_error_and_no_mixture(
    project: Project, suite: Suite
) -> None:
    """Each answer's probability, threshold and version are those of one and the same release."""
    expected = {deploy(project): LEAVES}
    answers: list[tuple[int, dict[str, Any]]] = []
    done = threading.Event()

    def load(port: int, path: str) -> None:
        while not done.is_set():
            body = {"records": [QUIET]} if path == "/prediction" else None
            status, _, data = ask(port, path, body)
            answers.append((status, json.loads(data)))

    with gunicorn(project) as port:
        clients = [
            threading.Thread(target=load, args=(port, path))
            for path in ("/prediction", "/prediction", "/scoring")
        ]
        for thread in clients:
            thread.start()
        for number in range(1, 101):
            version = deploy(project, intercept=-number / 20, f1=number / 100)
            expected[version] = 1 / (1 + math.exp(number / 20 - 2))
            releases.prune_releases(project.config.prod_deployment_path, keep=2)
        done.set()
        for thread in clients:
            thread.join()
    assert {status for status, _ in answers} == {200}
    assert len({answer["model_version"] for _, answer in answers}) > 20
    for _, answer in answers:
        version = answer["model_version"]
        if "probabilities" in answer:
            assert answer["probabilities"] == pytest.approx([expected[version]])
        else:
            number = int(version[:6]) - 1
            assert answer["f1_score"] == pytest.approx(number / 100 if number else 0.7)
    suite.tell(len(expected) - 1, "redeployments under load")
    suite.tell(len(answers), "requests during them, each answered by one model")


@LINUX
def test_long_tables_one_after_the_other_take_no_memory_anew(project: Project) -> None:
    """Else a worker asks the kernel for thousands of pages at each of them."""
    deploy(project)
    header = "lastmonth_activity,lastyear_activity,number_of_employees\n"
    table = (header + "0,1,9\n100,1,9\n" * 50_000).encode()
    with gunicorn(project, "--workers", "1") as port:
        faults = []
        for _ in range(6):
            status, _, body = ask(port, "/prediction", table, **{"Content-Type": "text/csv"})
            assert (status, json.loads(body)["predictions"]) == (200, [1, 0] * 50_000)
            faults.append(page_faults(worker_of(port)))
    assert faults[-1] - faults[1] < 4 * 300


@LINUX
def test_answers_that_are_read_slowly_take_little_memory(project: Project) -> None:
    """As CSV they are written while they are sent, and much fits into no buffer of a connection."""
    deploy(project)
    header = "lastmonth_activity,lastyear_activity,number_of_employees\n"
    project.write("testdata/long.csv", header + "0,1,9\n" * predict.MAXIMUM_ROWS)
    body = b'{"filepath": "testdata/long.csv"}'
    request = (
        b"POST /prediction HTTP/1.1\r\nHost: localhost\r\nAccept: text/csv\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    with gunicorn(project, "--workers", "1") as port, ExitStack() as stack:
        for _ in range(2):
            assert ask(port, "/prediction", body, Accept="text/csv")[0] == 200
        before = most_memory(worker_of(port))
        for _ in range(predict.MAXIMUM_LONG_ANSWERS):
            reader = stack.enter_context(socket.socket())
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.settimeout(60)
            reader.connect(("127.0.0.1", port))
            reader.sendall(request)
            assert reader.recv(1)
        most = most_memory(worker_of(port)) - before
    assert most < predict.MAXIMUM_LONG_ANSWERS * 3_000_000


def worker_of(port: int) -> int:
    """The process that serves a port, and is not the one that watches over it."""
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    here, listening = f"0100007F:{port:04X}", "0A"
    (inode,) = (each[9] for each in sockets if each[1] == here and each[3] == listening)
    holders = [
        int(entry.parent.parent.name)
        for entry in Path("/proc").glob("[0-9]*/fd/*")
        if _target(entry) == f"socket:[{inode}]"
    ]
    return next(process for process in holders if int(about(process)[1]) in holders)


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def page_faults(process: int) -> int:
    return int(about(process)[7])


def about(process: int) -> list[str]:
    """State, parent and so on; see proc(5)."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


def test_the_server_leaves_no_counts_behind(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no run of the pipeline takes them from a server that has been there for days."""
    deploy(project)
    (tmp_path / "t").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "t"))
    with gunicorn(project, TMPDIR=str(tmp_path / "t")) as port:
        ask(port, "/health")
        (counts,) = (tmp_path / "t").glob("attrition-counts-*")
        os.utime(counts, (0, 0))
        assert sweep_scratch_folders() == []
        assert list(counts.glob("*.db"))
    assert not list((tmp_path / "t").glob("attrition-counts-*"))


# --- bodies -----------------------------------------------------------------------------------


def chunked(path: str, kind: str, body: bytes, step: int = 2**16) -> bytes:
    """A POST whose length is not announced."""
    chunks = (body[start : start + step] for start in range(0, len(body), step))
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
    return b"".join(
        [
            head.encode(),
            b"Transfer-Encoding: chunked\r\n\r\n",
            *(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks),
            b"0\r\n\r\n",
        ]
    )


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server with one worker, for tests of bodies."""
    project = new_project(tmp_path_factory.mktemp("bodies") / "project")
    deploy(project)
    with gunicorn(project, "--workers", "1") as port:
        yield port


def as_long_as_allowed(path: str, kind: str) -> tuple[bytes, int]:
    """A body of exactly the bytes that are allowed, which may end in lines of its last 128 bytes.

    Returns:
        The body, and how many clients it holds.
    """
    if kind == "application/json":
        form = "records" if path == "/prediction" else "dataframe_records"
        return json.dumps({form: [BUSY]}).encode().ljust(predict.MAXIMUM_BYTES), 1
    lines = (f"{','.join(BUSY)},", f"{','.join(map(str, BUSY.values()))},")
    header, row = (line.ljust(127, "x").encode() + b"\n" for line in lines)
    clients = predict.MAXIMUM_BYTES // 128 - 1
    return header + row * clients, clients


@pytest.mark.parametrize("path", ["/prediction", "/invocations"])
@pytest.mark.parametrize("kind", ["text/csv", "application/json"])
def test_a_body_in_chunks_is_read_to_its_end_or_refused(port: int, path: str, kind: str) -> None:
    """Never answered for a part of it: where the cut falls inside a number it is another one."""
    body, clients = as_long_as_allowed(path, kind)
    head, _, answer = raw(port, chunked(path, kind, body)).partition(b"\r\n\r\n")
    assert head.split()[1] == b"200", answer
    assert json.loads(answer)["predictions"] == [0] * clients
    for more in (1, 128, 2**21):
        longer = body + (body[-128:] * (more // 128) or body[-1:])
        head, _, answer = raw(port, chunked(path, kind, longer)).partition(b"\r\n\r\n")
        assert head.split()[1] == b"413", answer[:300]
        assert json.loads(answer)["detail"] == "the body is larger than 16,777,216 bytes"


@pytest.mark.parametrize(
    ("length", "kind", "expected"),
    [(2**23, "text/plain", 415), (predict.MAXIMUM_BYTES + 1, "text/csv", 413)],
)
def test_whoever_sends_a_refused_body_to_its_end_reads_why(
    port: int, length: int, kind: str, expected: int
) -> None:
    """A connection closed before the body has come would be reset, and the answer lost."""
    answers = [ask(port, "/prediction", b"x" * length, **{"Content-Type": kind}) for _ in range(5)]
    assert [status for status, _, _ in answers] == [expected] * 5


@LINUX
def test_chunks_without_an_end_take_no_more_memory_than_the_limit(port: int) -> None:
    request = chunked("/prediction", "text/csv", b"").removesuffix(b"0\r\n\r\n")
    before = most_memory(worker_of(port))
    assert b" 413 " in raw(port, request + b"ffffffffff\r\n" + b"x" * 2**27)
    assert most_memory(worker_of(port)) - before < 8 * predict.MAXIMUM_BYTES


def most_memory(process: int) -> int:
    """The most bytes that a process ever held."""
    text = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    assert found
    return 1024 * int(found[1])


@pytest.mark.parametrize(
    "chunks",
    [
        b"-1\r\nx\r\n",
        b"1_0\r\n0123456789abcdef\r\n",
        b"1\r\nxyz\r\n",
        b"\r\n",
        b"0x1\r\nx\r\n",
        b"1;\r\nx\r\n",
        b"5\r\nabcdeXX",
    ],
)
@pytest.mark.parametrize("path", ["/prediction", "/invocations"])
def test_chunks_that_are_none_are_a_bad_request(port: int, path: str, chunks: bytes) -> None:
    request = chunked(path, "text/csv", b"").removesuffix(b"0\r\n\r\n")
    assert b" 400 " in raw(port, request + chunks + b"0\r\n\r\n").partition(b"\r\n")[0]


# --- who may ask ------------------------------------------------------------------------------


def test_through_a_plain_forwarder_nobody_comes_in_without_the_token(project: Project) -> None:
    """It makes whoever uses it look like this machine."""
    deploy(project)
    right = {"Authorization": "Bearer s3cret"}
    routes = (("/scoring", None), ("/prediction", {"records": [QUIET]}))
    with gunicorn(project, ATTRITION_API_TOKEN="s3cret") as port, forwarder(port) as forwarded:
        for place, host, (path, body) in itertools.product(
            (forwarded, port), ("localhost", f"127.0.0.1:{port}", "[::1]"), routes
        ):
            asked: dict[str, str] = {"Host": host}
            assert ask(place, path, body, **asked)[0] == 401
            assert ask(place, path, body, **asked, Authorization="Bearer wrong")[0] == 401
            assert ask(place, path, body, **asked, **right)[0] == 200


def test_where_the_settings_trust_this_machine_it_needs_no_token(project: Project) -> None:
    project.configure(trust_this_machine=True)
    deploy(project)
    with gunicorn(project, ATTRITION_API_TOKEN="s3cret") as port:
        assert ask(port, "/scoring")[0] == 200
        assert ask(port, "/prediction", {"records": [QUIET]})[0] == 200
        assert ask(port, "/scoring", Host="risk.example")[0] == 401
        assert ask(port, "/scoring", **{"X-Forwarded-For": "192.0.2.7"})[0] == 401


@pytest.mark.parametrize("name", ["SCRIPT_NAME", "PATH_INFO", "Script-Name"])
def test_no_header_says_which_path_is_asked_for(port: int, name: str) -> None:
    request = f"GET /health HTTP/1.1\r\nHost: localhost\r\n{name}: /scoring\r\n\r\n"
    head, _, answer = raw(port, request.encode()).partition(b"\r\n\r\n")
    assert head.split()[1] == b"200"
    assert json.loads(answer)["status"] == "ok"


def test_hostile_requests_are_refused_and_the_server_lives_on(project: Project) -> None:
    deploy(project)
    too_many = "".join(f"X-{n}: 1\r\n" for n in range(60))
    requests = {
        "a long line": f"GET /{'x' * 5000} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "many headers": f"GET /health HTTP/1.1\r\nHost: localhost\r\n{too_many}\r\n",
        "a long header": f"GET /health HTTP/1.1\r\nHost: localhost\r\nX: {'x' * 9000}\r\n\r\n",
        "two lengths": "POST /prediction HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
        "Content-Length: 3\r\n\r\n{}x",
        "length and chunks": "POST /prediction HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "no HTTP": "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        "a name in Latin-1": "GET /clients/M\xfcller HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "no version": "GET /clients/Secret Ltd HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "a bad header": "GET /health HTTP/1.1\r\nHost: localhost\r\nSecret Ltd: 1\r\n\r\n",
    }
    with gunicorn(project) as port:
        for what, request in requests.items():
            with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
                connection.sendall(request.encode("latin-1"))
                head, _, answer = connection.makefile("rb").read().partition(b"\r\n\r\n")
            status = re.match(rb"HTTP/1.1 (4\d\d) ", head)
            assert status, (what, head)
            assert b"application/problem+json" in head
            assert json.loads(answer)["status"] == int(status[1])
            assert b"Secret" not in answer
        assert ask(port, "/health")[0] == 200


def test_what_is_no_request_is_logged_without_what_it_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker_class = runpy.run_path(str(REPOSITORY / "gunicorn.conf.py"))["Worker"]
    worker = SimpleNamespace(log=logging.getLogger("gunicorn.error"))
    for kind in (errors.InvalidRequestLine, errors.InvalidHeaderName, errors.InvalidRequestMethod):
        server, client = socket.socketpair()
        with server, client:
            worker_class.handle_error(worker, None, server, ("::1", 5), kind("Secret Ltd"))
            assert client.recv(4096).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert kind.__name__ in caplog.text
    assert "Secret" not in caplog.text


def test_settings_that_are_wrong_stop_the_server_with_a_word(project: Project) -> None:
    project.config_path.write_text('{"nonsense": 1}')
    done = subprocess.run(
        [sys.executable, "-c", "import wsgi"],
        cwd=REPOSITORY,
        check=False,
        env=os.environ | {"ATTRITION_CONFIG": str(project.config_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "unknown key 'nonsense'" in done.stderr


@pytest.mark.parametrize(("word", "code"), [("--help", 0), ("", 2)])
def test_whoever_runs_it_as_a_script_reads_how_it_is_served(word: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, REPOSITORY / "wsgi.py", *word.split()], capture_output=True, text=True
    )
    assert done.returncode == code
    assert "make serve" in (done.stderr if code else done.stdout)
    assert "gunicorn wsgi:app" in done.stdout + done.stderr


def test_to_start_takes_no_class_of_the_runs_records_and_no_heavy_library() -> None:
    heavy = ("attrition.monitoring", "pandas", "sklearn", "scipy", "duckdb", "matplotlib")
    code = f"import sys, wsgi; print(*(m for m in sys.modules if m.startswith({heavy!r})))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_settings_that_are_not_there_stop_gunicorn_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0", "wsgi:app"],
        cwd=REPOSITORY,
        env=os.environ | {"ATTRITION_CONFIG": str(tmp_path / "misspelt.json")},
        capture_output=True,
        text=True,
    )
    said = [line for line in done.stderr.splitlines() if not line.startswith("[")]
    assert (done.returncode, len(said)) == (2, 1), done.stderr
    assert "misspelt.json" in said[0]
    assert "--config" not in said[0]


def test_a_taken_port_is_said_in_words_with_a_free_one(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, socket.socket() as next_to_it:
        port = other.getsockname()[1]
        with suppress(OSError):  # somebody else has it already
            next_to_it.bind(("127.0.0.1", port + 1))
            next_to_it.listen()
        bind = ["--config", "gunicorn.conf.py", "--bind", f"127.0.0.1:{port}"]
        done = subprocess.run(
            [sys.executable, "-m", "gunicorn", *bind, "wsgi:app"],
            cwd=REPOSITORY,
            env=os.environ | {"ATTRITION_CONFIG": str(project.config_path)},
            capture_output=True,
            text=True,
        )
    assert done.returncode == 1
    assert f"\nport {port} of 127.0.0.1 is taken" in done.stderr
    free = int(done.stderr.rpartition("make serve PORT=")[2])
    assert free > port + 1
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="ports cannot be shared here")
def test_servers_that_share_a_port_on_purpose_may(project: Project) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        options = f"--graceful-timeout 1 --reuse-port --bind 127.0.0.1:{other.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *options.split(), "wsgi:app"],
            cwd=REPOSITORY,
            env=os.environ | {"ATTRITION_CONFIG": str(project.config_path)},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        with process.stderr:
            try:
                assert any("Booting worker" in line for line in process.stderr)
            finally:
                process.terminate()
                process.communicate(timeout=60)


@pytest.fixture
def refuse_taken() -> Callable[[tuple[str, int]], None]:
    """What gunicorn.conf.py looks at a port with."""
    refuse: Callable[[tuple[str, int]], None]
    refuse = runpy.run_path(str(REPOSITORY / "gunicorn.conf.py"))["_refuse_taken"]
    return refuse


def test_a_port_that_is_just_being_freed_is_waited_for(
    refuse_taken: Callable[[tuple[str, int]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setattr(time, "sleep", lambda _seconds: other.close())
        refuse_taken(other.getsockname())


def test_a_port_that_cannot_be_is_said_in_words(
    refuse_taken: Callable[[tuple[str, int]], None],
) -> None:
    with pytest.raises(SystemExit, match="there is no port 65536"):
        refuse_taken(("127.0.0.1", 65536))


def test_a_port_without_the_right_to_it_is_said_in_words(
    refuse_taken: Callable[[tuple[str, int]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_args: Any, **_named: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket, "create_server", refused)
    with pytest.raises(SystemExit, match=r"port 80 of .* needs rights"):
        refuse_taken(("127.0.0.1", 80))


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_serves_another_project_on_another_port() -> None:
    """Also when an outer make runs this test, whose variables would change what is printed."""
    command = ["make", "--no-print-directory", "--dry-run", "serve"]
    environment = {name: text for name, text in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        [*command, "PORT=8123", "PROJECT=/srv/my project"],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
    )
    line = " ".join(done.stdout.replace("\\\n", " ").split())
    assert line.endswith(
        'ATTRITION_CONFIG="/srv/my project/config.json" '
        ".venv/bin/gunicorn --bind 127.0.0.1:8123 wsgi:app"
    )
