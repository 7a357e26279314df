"""How fast the pipeline is, side by side with the naive way, in whole processes.

    python -m benchmarks.speed [--rows 1000000]   (make bench)

Each line is the median of runs made in turn, so that both sides meet the same machine; read the
ratios, since machines differ.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from attrition.config import FOLDER_KEYS
from attrition.synthetic import client_rows, csv_text

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDERS = ("sourcedata", "ingesteddata", "testdata", "models", "production_deployment")
FILES = 10
NEW_ROWS = 10_000


@dataclass(frozen=True)
class Measured:
    """Wall-clock seconds and peak memory (MB) of one process."""

    seconds: float
    megabytes: float


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Time the pipeline against the naive way.")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the first ingestion")
    rows = parser.parse_args(argv).rows
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        print(f"{rows:,} rows in {FILES} files, {os.cpu_count()} cores\n")
        print(f"{'one / other':<34}{'one':>10}{'other':>11}{'ratio':>8}{'memory':>9}")
        compare_idle(root)
        compare_ingestion(root, rows)
    return 0


def compare_idle(root: Path) -> None:
    """An idle tick against a bare interpreter, and against a naive tick."""
    project = make_project(root / "idle")
    other = make_project(root / "naive-tick")
    for each in (project, other):
        write_batch(each, "a", 2000, 1)
    write_test(project)
    for _ in range(3):  # the first run works, the second may find its files too fresh
        run("fullprocess.py", "--config", project / "config.json")
    tick, interpreter, before = in_turn(
        9,
        lambda: run("fullprocess.py", "--config", project / "config.json"),
        lambda: run("-c", "import json"),
        lambda: run("benchmarks/naive.py", other),
    )
    show("idle tick / bare interpreter", tick, interpreter)
    show("naive tick / idle tick", before, tick)


def compare_ingestion(root: Path, rows: int) -> None:
    """The first ingestion, and a small batch on top of it."""
    project, naive = make_project(root / "ours"), make_project(root / "naive")
    for number in range(FILES):
        write_batch(project, f"{number:02}", rows // FILES, number, number * rows // FILES)
    for path in (project / "sourcedata").iterdir():
        shutil.copy(path, naive / "sourcedata")
    ours, reference = in_turn(
        3,
        lambda: (empty(project), run("ingestion.py", "--config", project / "config.json"))[1],
        lambda: (empty(naive), run("benchmarks/naive.py", naive))[1],
    )
    show("naive / ours: first ingestion", reference, ours)
    write_batch(project, "new", NEW_ROWS, 99, rows)
    shutil.copy(project / "sourcedata/new.csv", naive / "sourcedata")
    ours = run("ingestion.py", "--config", project / "config.json")
    reference = run("benchmarks/naive.py", naive)
    show(f"naive / ours: {NEW_ROWS:,} new rows", reference, ours)


def in_turn(times: int, *commands: Callable[[], Measured]) -> list[Measured]:
    """The median of each command's time and memory, the commands taking turns."""
    measured = [[command() for command in commands] for _ in range(times)]
    return [
        Measured(
            statistics.median(one.seconds for one in column),
            statistics.median(one.megabytes for one in column),
        )
        for column in zip(*measured, strict=True)
    ]


def run(*arguments: object) -> Measured:
    """Run Python with these arguments in the repository's folder, and measure it."""
    command = [sys.executable, *map(str, arguments)]
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


def show(what: str, one: Measured, other: Measured) -> None:
    """One line: seconds of both, their ratio, and the ratio of their peak memory."""
    print(
        f"{what:<34}{one.seconds:>9.3f}s{other.seconds:>10.3f}s"
        f"{one.seconds / other.seconds:>8.1f}{one.megabytes / other.megabytes:>9.1f}"
    )


def make_project(root: Path) -> Path:
    """An empty project with the default settings."""
    for name in FOLDERS:
        (root / name).mkdir(parents=True)
    settings = dict(zip(FOLDER_KEYS, FOLDERS, strict=True))
    (root / "config.json").write_text(json.dumps({**settings, "package_check": False}))
    return root


def write_batch(project: Path, name: str, clients: int, seed: int, first: int = 0) -> None:
    """A batch of made-up clients."""
    rows = client_rows(clients, seed=seed, first_client=first)
    (project / "sourcedata" / f"{name}.csv").write_text(csv_text(rows))


def write_test(project: Path) -> None:
    """Test data of their own."""
    rows = client_rows(1000, seed=77, first_client=1_000_000, open_share=0.0)
    (project / "testdata" / "testdata.csv").write_text(csv_text(rows))


def empty(project: Path) -> None:
    """Forget what was ingested."""
    shutil.rmtree(project / "ingesteddata")
    (project / "ingesteddata").mkdir()


if __name__ == "__main__":
    raise SystemExit(main())
