"""How fast the API answers, side by side with the naive way: gunicorn, one sync worker each.

    python -m benchmarks.serving [--seconds 2]   (make bench)

The sides take turns, so that both meet the same machine; each figure is the median of its rounds.
Read the ratios, since machines differ.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attrition.synthetic import client_rows, csv_text
from benchmarks.speed import REPOSITORY, make_project, run, write_batch, write_test

ROUNDS = 5
CSV_ROWS = 100_000


@dataclass(frozen=True)
class Server:
    """A server that runs: its port, the process of its worker, seconds until its first answer."""

    port: int
    worker: int
    ready_seconds: float

    @property
    def megabytes(self) -> float:
        """Resident memory of its worker."""
        text = Path(f"/proc/{self.worker}/status").read_text()
        (line,) = (line for line in text.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Time the API against the naive way.")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each round")
    seconds = parser.parse_args(argv).seconds
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(Path(folder) / "project")
        write_batch(project, "a", 5000, 1)
        write_test(project)
        run("fullprocess.py", "--config", project / "config.json")
        record, table = write_bodies(Path(folder))
        ours = {"ATTRITION_CONFIG": str(project / "config.json")}
        naive = {"MODEL": str(project / "models/trainedmodel.pkl")}
        with (
            serving("wsgi:app", "/ready", **ours) as one,
            serving("benchmarks.naive_server:app", "/empty", **naive) as other,
        ):
            compare(one, other, record, table, seconds)
            print(f"\nworker, after that: ready in {one.ready_seconds:.2f} s with "
                  f"{one.megabytes:.0f} MB (naive: {other.ready_seconds:.2f} s with "
                  f"{other.megabytes:.0f} MB)")  # fmt: skip
    return 0


def write_bodies(folder: Path) -> tuple[Path, Path]:
    """One record as JSON, and a long table as CSV."""
    record = {"lastmonth_activity": 12, "lastyear_activity": 340, "number_of_employees": 25}
    (folder / "record.json").write_text(json.dumps({"records": [record]}))
    rows = client_rows(CSV_ROWS, seed=5, first_client=0)
    (folder / "table.csv").write_text(csv_text(rows))
    return folder / "record.json", folder / "table.csv"


def compare(one: Server, other: Server, record: Path, table: Path, seconds: float) -> None:
    """Each kind of request against the naive one, or against a route that does nothing."""
    print(f"{'one worker; median of rounds':<40}{'a second':>10}{'p50':>10}")
    as_json = ("application/json", record)
    as_csv = ("text/csv", table)
    empty, naive, ours, *prepared = in_turn(
        seconds,
        (other, "GET", "/empty"),
        (other, "POST", "/prediction", *as_json),
        (one, "POST", "/prediction", *as_json),
        *((one, "GET", path) for path in PREPARED),
    )
    show("a route that does nothing", empty)
    show("POST /prediction, naive", naive)
    show("POST /prediction", ours)
    told = dict(zip(PREPARED, prepared, strict=True))
    for path, figures in told.items():
        show(f"GET {path}", figures)
    slow, fast = in_turn(
        seconds, (other, "POST", "/prediction", *as_csv), (one, "POST", "/prediction", *as_csv)
    )
    show(f"POST /prediction, CSV of {CSV_ROWS:,}, naive", slow)
    show(f"POST /prediction, CSV of {CSV_ROWS:,}", fast)
    print(f"\nrequests a second, ours / naive: {ours['rate'] / naive['rate']:.1f} (one record), "
          f"{fast['rate'] / slow['rate']:.1f} (CSV)")  # fmt: skip
    print(
        f"p50 / that of the empty route: {ours['p50'] / empty['p50']:.2f} (one record), "
        + ", ".join(f"{told[path]['p50'] / empty['p50']:.2f} ({path})" for path in PREPARED)
    )


PREPARED = ("/scoring", "/summarystats", "/diagnostics")


def in_turn(seconds: float, *requests: tuple[Any, ...]) -> list[dict[str, float]]:
    """The median figures of each request, the requests taking turns."""
    rounds = [[load(seconds, *request) for request in requests] for _ in range(ROUNDS)]
    return [
        {
            "rate": statistics.median(one["requests"] / one["seconds"] for one in column),
            "p50": statistics.median(one["p50"] for one in column),
        }
        for column in zip(*rounds, strict=True)
    ]


def load(seconds: float, server: Server, *request: Any) -> dict[str, float]:
    """The figures of one round, asked by a process of its own."""
    command = [sys.executable, "-m", "benchmarks.load", server.port, seconds, *request]
    done = subprocess.run([str(word) for word in command], cwd=REPOSITORY, check=True,
                          stdout=subprocess.PIPE)  # fmt: skip
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def show(what: str, figures: dict[str, float]) -> None:
    """One line: requests a second, and the median time of an answer."""
    print(f"{what:<40}{figures['rate']:>10,.1f}{figures['p50']:>7.2f} ms")


@contextmanager
def serving(application: str, path: str, **environment: str) -> Iterator[Server]:
    """gunicorn with one worker on a free port, ready to answer."""
    command = [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0", "--workers", "1",
               application]  # fmt: skip
    begin = time.perf_counter()
    process = subprocess.Popen(command, cwd=REPOSITORY, env=os.environ | environment,
                               stderr=subprocess.PIPE, text=True)  # fmt: skip
    assert process.stderr is not None
    try:
        lines = iter(process.stderr)
        line = next(line for line in lines if "Listening at" in line)
        port = int(line.split("Listening at:")[1].split("(")[0].strip().rpartition(":")[2])
        line = next(line for line in lines if "Booting worker" in line)
        worker = int(line.rpartition(":")[2])
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60):
            yield Server(port, worker, time.perf_counter() - begin)
    finally:
        process.terminate()
        process.communicate()


if __name__ == "__main__":
    raise SystemExit(main())
