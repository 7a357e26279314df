"""How fast the API answers, side by side with the naive way: gunicorn, one sync worker each.

The naive server stands in `benchmarks/naive_server.py`. The client is a process of its own
that keeps two requests on their way (`benchmarks/load.py`).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
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
READ = (
    "The naive server calls this project's own pipeline on a DataFrame. How much of an answer's "
    "time is gunicorn's own shows in the two comparisons: from release 26 on it waits for the "
    "client to close each connection, and looks closer at headers."
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
    """How a kind of request was answered: so many a second, half of them in so many seconds."""

    rate: float
    median: float


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
        bare = stack.enter_context(_serving("benchmarks.naive_server:nothing", "/", naive))
        yield from _compare_answers(one, other, bare, record, sizes)
        yield _compare_tables(one, other, table, sizes)
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


def _compare_answers(
    one: Server, other: Server, bare: Server, record: Path, sizes: Sizes
) -> Iterator[Line]:
    """One record, and the prepared answers, against the naive way and a route that does nothing."""
    body = ("application/json", record)
    nothing, empty, naive, ours, *prepared = _in_turn(
        sizes,
        (bare, "GET", "/"),
        (other, "GET", "/empty"),
        (other, "POST", "/prediction", *body),
        (one, "POST", "/prediction", *body),
        *((one, "GET", path) for path in PREPARED),
    )
    yield at_least(
        "ours / naive: one record, answers a second",
        f"{ours.rate:,.0f} /s",
        f"{naive.rate:,.0f} /s",
        ours.rate / naive.rate,
        12,
    )
    for what, answers in (("a Flask route", empty), ("gunicorn", nothing)):
        yield at_least(
            f"  ({what} that does nothing / naive, for comparison)",
            f"{answers.rate:,.0f} /s",
            f"{naive.rate:,.0f} /s",
            answers.rate / naive.rate,
            1,
        )
    yield _beside_empty("POST /prediction, one record", ours, empty, 1.6)
    for path, answers in zip(PREPARED, prepared, strict=True):
        yield _beside_empty(f"GET {path}", answers, empty, 2)


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
        5,
    )


def _in_turn(sizes: Sizes, *requests: tuple[Any, ...]) -> list[Answers]:
    """The median figures of each request, the requests taking turns."""
    rounds = [[_load(sizes.seconds, *request) for request in requests] for _ in range(sizes.rounds)]
    return [
        Answers(
            statistics.median(one.rate for one in column),
            statistics.median(one.median for one in column),
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
    return Answers(figures["requests"] / figures["seconds"], figures["p50"] / 1000)


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
