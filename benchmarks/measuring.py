"""What the benchmarks share: whole processes measured in turn, projects to measure on, the table.

Two sides that are compared take turns, so that both meet the same machine in the same mood. What
counts are the ratios, since machines differ; the medians beside them say of what.
"""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import duckdb

from attrition.core.config import STANDARD_FOLDERS
from attrition.data.synthetic import client_rows, csv_text

REPOSITORY = Path(__file__).resolve().parent.parent
TOLD_VERSIONS = ("duckdb", "numpy", "pandas", "scikit-learn", "flask", "gunicorn", "gevent")
_GENERATED = 500_000  # rows that the generator makes; more are these under other names


@dataclass(frozen=True)
class Measured:
    """Wall-clock seconds and peak memory (MiB) of one process."""

    seconds: float
    mebibytes: float


@dataclass(frozen=True)
class Line:
    """One comparison of the table.

    Attributes:
        what: what was compared.
        ours, other: how the two sides are told, with their unit; `other` may be a fixed limit.
        ratio: what the bar is about.
        bar: how large the ratio must be, in words, such as "at least 3 x".
        met: whether it is.
    """

    what: str
    ours: str
    other: str
    ratio: float
    bar: str
    met: bool


def at_least(what: str, ours: str, other: str, ratio: float, bar: float) -> Line:
    """A line whose ratio must not be below its bar."""
    return Line(what, ours, other, ratio, f"at least {bar:g} x", ratio >= bar)


def at_most(what: str, ours: str, other: str, ratio: float, bar: float) -> Line:
    """A line whose ratio must not be above its bar."""
    return Line(what, ours, other, ratio, f"at most {bar:g} x", ratio <= bar)


def seconds_text(seconds: float) -> str:
    """Seconds for people: three significant digits, below a second in milliseconds."""
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.3g} s"


def memory_text(mebibytes: float) -> str:
    """Memory for people."""
    return f"{mebibytes:.0f} MiB" if mebibytes < 1024 else f"{mebibytes / 1024:.2f} GiB"


def run(*arguments: object) -> Measured:
    """Run Python with these arguments in the repository's folder, and measure the process.

    Raises:
        SystemExit: it failed; with what it said.
    """
    command = [sys.executable, *map(str, arguments)]
    if (peak := Path("/proc/self/clear_refs")).exists():
        peak.write_text("5")  # Linux lets a process begin with its parent's peak of memory
    with tempfile.TemporaryFile("w+") as story:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=story)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            story.seek(0)
            raise SystemExit(f"{' '.join(command)}\n{story.read()}")
    return Measured(seconds, usage.ru_maxrss / 1024)


def stage(script: str, project: Path) -> Measured:
    """Run one of the pipeline's scripts on a project."""
    return run(script, "--config", project / "config.json")


def naive(command: str, project: Path) -> Measured:
    """Run a command of the naive reference on a project."""
    return run("benchmarks/naive.py", command, project)


def in_turn(times: int, *commands: Callable[[], Measured]) -> list[Measured]:
    """The median of each command's time and memory, the commands taking turns."""
    measured = [[command() for command in commands] for _ in range(times)]
    return [
        Measured(
            statistics.median(one.seconds for one in column),
            statistics.median(one.mebibytes for one in column),
        )
        for column in zip(*measured, strict=True)
    ]


def make_project(root: Path) -> Path:
    """An empty project with the default settings, which asks no package index."""
    for name in STANDARD_FOLDERS.values():
        (root / name).mkdir(parents=True)
    (root / "config.json").write_text(json.dumps({**STANDARD_FOLDERS, "package_check": False}))
    return root


def write_batches(project: Path, rows: int, files: int) -> None:
    """Made-up clients in equal files, with duplicates and open clients among them."""
    with duckdb.connect() as database, tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "base.csv"
        base.write_text(csv_text(client_rows(min(_GENERATED, rows // files), seed=1)))
        database.execute(
            "CREATE TABLE base AS SELECT * FROM read_csv(?, all_varchar=true)", [str(base)]
        )
        for number in range(files):
            _write_copies(
                database, project / "sourcedata" / f"batch{number:05}.csv", rows // files, number
            )


def _write_copies(database: duckdb.DuckDBPyConnection, path: Path, rows: int, number: int) -> None:
    """The base under other names, as often as it takes, as one file."""
    copies = math.ceil(rows / _GENERATED)
    database.execute(
        f"""COPY (SELECT * REPLACE (corporation || ' {number}-' || copy AS corporation)
                  FROM range({copies}) copies(copy), base LIMIT {rows})
            TO '{path}' (HEADER, DELIMITER ',')"""
    )


def write_test(project: Path, rows: int = 1000) -> None:
    """Test data of their own."""
    made = client_rows(rows, seed=77, first_client=1_000_000, open_share=0.0)
    (project / "testdata" / "testdata.csv").write_text(csv_text(made))


def add_batch(project: Path, rows: int) -> None:
    """One more file, of clients that were not there before."""
    made = client_rows(rows, seed=99, first_client=50_000_000)
    (project / "sourcedata" / "new.csv").write_text(csv_text(made))


def machine() -> str:
    """What was measured on, in one paragraph of Markdown."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = ", ".join(f"{name} {version(name)}" for name in TOLD_VERSIONS)
    return (
        f"{platform.system()} on {platform.machine()}, {cores} cores, "
        f"Python {platform.python_version()}, {versions}."
    )


def as_markdown(lines: Iterable[Line]) -> str:
    """The lines as a Markdown table that reads well as plain text, too."""
    head = ("what", "ours", "compared with", "ratio", "bar", "met")
    body = [
        (
            line.what,
            line.ours,
            line.other,
            f"{line.ratio:.2f}",
            line.bar,
            "yes" if line.met else "NO",
        )
        for line in lines
    ]
    return markdown_table(head, body)


def markdown_table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A Markdown table with columns of equal width."""
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in (head, rule, *body)
    )
