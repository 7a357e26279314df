"""How fast the API answers, and whether slow clients hold up others: one worker of each server.

Compared with a route that does nothing on the same server, with the naive way
(`benchmarks/naive_server.py`, a sync worker) and, where the package mlflow is there, with MLflow's
own scoring server for the same pipeline. The client is a process of its own that keeps two requests
on their way (`benchmarks/load.py`).
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attrition.data.synthetic import client_rows, csv_text
from benchmarks.measuring import (
    REPOSITORY,
    Line,
    at_least,
    at_most,
    make_project,
    memory_text,
    seconds_text,
    stage,
    write_batches,
    write_test,
)

TRAINED = 5_000
PREPARED = ("/scoring", "/summarystats", "/diagnostics")
READY_SECONDS, READY_MEBIBYTES = 1.0, 120.0
STALLED, SLOW_READERS, SLOWEST = 60, 20, 0.05  # clients of each kind; seconds for the others
LONG_REPORT = 12_000_000  # bytes that fit into no buffer of a connection
HAS_MLFLOW = find_spec("mlflow") is not None
READ = "The naive server and MLflow's call this project's own pipeline on a DataFrame." + (
    "" if HAS_MLFLOW else " MLflow is not installed here, so nothing was compared with its server."
)
RECORD = {"lastmonth_activity": 12, "lastyear_activity": 340, "number_of_employees": 25}


@dataclass(frozen=True)
class Sizes:
    """How much to ask: seconds of a round, rounds, rows of the CSV table."""

    seconds: float
    rounds: int
    rows: int


FULL = Sizes(seconds=2.0, rounds=7, rows=100_000)
QUICK = Sizes(seconds=0.5, rounds=3, rows=10_000)


@dataclass(frozen=True)
class Server:
    """A server that runs: its port, the process of its worker, seconds until its first answer."""

    port: int
    worker: int
    ready_seconds: float

    @property
    def mebibytes(self) -> float:
        """Resident memory of its worker; 0 where the system does not tell it."""
        status = Path(f"/proc/{self.worker}/status")
        lines = status.read_text().splitlines() if status.exists() else []
        return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


@dataclass(frozen=True)
class Answers:
    """How a kind of request was answered: so many a second; seconds of half, and of 99 in 100."""

    rate: float
    median: float
    p99: float


def lines(root: Path, sizes: Sizes) -> Iterator[Line]:
    """Every comparison of the two servers."""
    project = make_project(root / "serving")
    write_batches(project, TRAINED, 1)
    write_test(project)
    stage("fullprocess.py", project)
    record, table = _write_bodies(root, sizes.rows)
    ours = {"ATTRITION_CONFIG": str(project / "config.json")}
    # In this folder gunicorn would find our settings: the naive server has gunicorn's own.
    naive = {
        "MODEL": str(project / "models" / "trainedmodel.pkl"),
        "GUNICORN_CMD_ARGS": f"--config {os.devnull}",
    }
    yield _ready(ours, sizes)
    with ExitStack() as stack:
        one = stack.enter_context(_serving("wsgi:app", "/ready", ours))
        other = stack.enter_context(_serving("benchmarks.naive_server:app", "/empty", naive))
        model = {"MODEL": naive["MODEL"]}
        empty = stack.enter_context(_serving("benchmarks.naive_server:app", "/empty", model))
        yield from _compare_answers(one, empty, record, sizes)
        if HAS_MLFLOW:
            yield from _compare_mlflow(one, Path(naive["MODEL"]), record, sizes)
        yield _compare_tables(one, other, table, sizes)
        (project / "models" / "report.html").write_bytes(b" " * LONG_REPORT)
        yield _among_slow_clients(one, record, sizes)
        yield at_most(
            "API worker after all that: memory / limit",
            memory_text(one.mebibytes),
            memory_text(READY_MEBIBYTES),
            one.mebibytes / READY_MEBIBYTES,
            1,
        )


def _write_bodies(folder: Path, rows: int) -> tuple[Path, Path]:
    """One record as JSON, and a long table as CSV."""
    (folder / "record.json").write_text(json.dumps({"records": [RECORD]}))
    (folder / "invocation.json").write_text(json.dumps({"dataframe_records": [RECORD]}))
    (folder / "table.csv").write_text(csv_text(client_rows(rows, seed=5, first_client=0)))
    return folder / "record.json", folder / "table.csv"


def _ready(environment: dict[str, str], sizes: Sizes) -> Line:
    """How long a server takes from its start to its first answer."""
    took = []
    for _ in range(sizes.rounds):
        with _serving("wsgi:app", "/ready", environment) as server:
            took.append(server.ready_seconds)
    seconds = statistics.median(took)
    return at_most(
        "API ready / limit",
        seconds_text(seconds),
        seconds_text(READY_SECONDS),
        seconds / READY_SECONDS,
        1,
    )


def _compare_answers(one: Server, empty: Server, record: Path, sizes: Sizes) -> Iterator[Line]:
    """One record, and the prepared answers, beside a route that does nothing on such a server."""
    kind = "application/json"
    nothing, *answers = _in_turn(
        sizes,
        (empty, "GET", "/empty"),
        (one, "POST", "/prediction", kind, record),
        (one, "POST", "/invocations", kind, record.with_name("invocation.json")),
        *((one, "GET", path) for path in PREPARED),
    )
    asked = ["POST /prediction, one record", "POST /invocations, one record"]
    for what, each in zip([*asked, *(f"GET {path}" for path in PREPARED)], answers, strict=True):
        yield _beside_empty(what, each, nothing, 2)


def _compare_mlflow(one: Server, model: Path, record: Path, sizes: Sizes) -> Iterator[Line]:
    """One record, beside MLflow's own scoring server with the same pipeline."""
    kind, invocation = "application/json", record.with_name("invocation.json")
    requests: list[tuple[Any, ...]] = [
        (one, "POST", "/prediction", kind, record),
        (one, "POST", "/invocations", kind, invocation),
    ]
    with _mlflow(model, record.with_name("mlflow")) as port:
        reference = Server(port, 0, 0)
        *ours, theirs = _in_turn(sizes, *requests, (reference, *requests[1][1:]))
    for (_, _, path, *_), each in zip(requests, ours, strict=True):
        yield at_least(
            f"ours / MLflow's: {path}, one record, answers a second",
            f"{each.rate:,.0f} /s",
            f"{theirs.rate:,.0f} /s",
            each.rate / theirs.rate,
            6,
        )


@contextmanager
def _mlflow(model: Path, folder: Path) -> Iterator[int]:
    """`mlflow models serve` with one worker for the trained pipeline; its port."""
    pipeline = pickle.loads(model.read_bytes())
    import_module("mlflow.sklearn").save_model(
        pipeline, str(folder), serialization_format="cloudpickle"
    )
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    command += ["--model-uri", str(folder), "--port", str(port), "--workers", "1"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # it calls uvicorn
    process = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=os.environ | {"PATH": path},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while True:
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/ping"):
                break
            assert process.poll() is None, "MLflow's server ended"
            time.sleep(0.5)
        yield port
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)  # it has children
        process.wait()


def _among_slow_clients(one: Server, record: Path, sizes: Sizes) -> Line:
    """One record, asked for while others stall: idle, in a header, in a body, in a long answer."""
    head = b"POST /prediction HTTP/1.1\r\nHost: localhost\r\n"
    body = head + b'Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{"records'
    beginnings = [b"", head, body] * STALLED
    beginnings += [b"GET /report HTTP/1.1\r\nHost: localhost\r\n\r\n"] * SLOW_READERS
    slowest = []
    for _ in range(sizes.rounds):
        with ExitStack() as stack:
            for begin in beginnings:
                connection = stack.enter_context(socket.socket())
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.connect(("127.0.0.1", one.port))
                connection.sendall(begin)
            answers = _load(sizes.seconds, one, "POST", "/prediction", "application/json", record)
        slowest.append(answers.p99)
    seconds = statistics.median(slowest)
    return at_most(
        f"p99 among {STALLED} stalled clients of each kind / limit",
        f"{seconds * 1000:.1f} ms",
        seconds_text(SLOWEST),
        seconds / SLOWEST,
        1,
    )


def _beside_empty(what: str, answers: Answers, empty: Answers, bar: float) -> Line:
    return at_most(
        f"{what} / empty route, p50",
        f"{answers.median * 1000:.2f} ms",
        f"{empty.median * 1000:.2f} ms",
        answers.median / empty.median,
        bar,
    )


def _compare_tables(one: Server, other: Server, table: Path, sizes: Sizes) -> Line:
    """A long CSV table."""
    request = ("POST", "/prediction", "text/csv", table)
    ours, naive = _in_turn(sizes, (one, *request), (other, *request))
    return at_least(
        f"naive / ours: CSV of {sizes.rows:,} rows",
        seconds_text(ours.median),
        seconds_text(naive.median),
        naive.median / ours.median,
        3,
    )


def _in_turn(sizes: Sizes, *requests: tuple[Any, ...]) -> list[Answers]:
    """The median figures of each request, the requests taking turns."""
    rounds = [[_load(sizes.seconds, *request) for request in requests] for _ in range(sizes.rounds)]
    return [
        Answers(
            statistics.median(one.rate for one in column),
            statistics.median(one.median for one in column),
            statistics.median(one.p99 for one in column),
        )
        for column in zip(*rounds, strict=True)
    ]


def _load(seconds: float, server: Server, *request: object) -> Answers:
    """The figures of one round, asked by a process of its own."""
    command = [sys.executable, "-m", "benchmarks.load", server.port, seconds, *request]
    done = subprocess.run(
        [str(word) for word in command], cwd=REPOSITORY, check=True, stdout=subprocess.PIPE
    )
    figures = json.loads(done.stdout)
    rate = figures["requests"] / figures["seconds"]
    return Answers(rate, figures["p50"] / 1000, figures["p99"] / 1000)


@contextmanager
def _serving(application: str, path: str, environment: dict[str, str]) -> Iterator[Server]:
    """gunicorn with one worker on a free port, ready to answer."""
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--bind",
        "127.0.0.1:0",
        "--workers",
        "1",
        application,
    ]
    begin = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=REPOSITORY, env=os.environ | environment, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        told = iter(process.stderr)
        line = next(line for line in told if "Listening at" in line)
        port = int(line.split("Listening at:")[1].split("(")[0].strip().rpartition(":")[2])
        worker = int(next(line for line in told if "Booting worker" in line).rpartition(":")[2])
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60):
            yield Server(port, worker, time.perf_counter() - begin)
    finally:
        process.terminate()
        process.communicate()
