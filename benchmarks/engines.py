"""Both engines on the same files: seconds of each stage, as whole processes.

On one machine Spark shows what it costs, not what it gains: it gains where the data or the memory
of one machine end.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from attrition.core.config import STANDARD_FOLDERS
from benchmarks.measuring import (
    Measured,
    make_project,
    markdown_table,
    seconds_text,
    stage,
    write_batches,
    write_test,
)

ROWS = (1_000_000, 10_000_000)
STAGES = ("ingestion.py", "training.py")
ENGINE = {"spark": "local[2]", "memory": "4g"}
FILES = 10
HEAD = ("rows", "stage", "local", f"Spark ({ENGINE['spark']})", "Spark / local")
READ = (
    "On one machine, where Spark can only show what it costs. One machine is enough as long as the "
    "first column is short enough for you; see docs/spark.md for when it is not."
)


def are_here() -> bool:
    """Whether Spark can be run at all."""
    return importlib.util.find_spec("pyspark") is not None and shutil.which("java") is not None


def measure(root: Path) -> str:
    """The table of both engines."""
    body = [line for rows in ROWS for line in _compare(root / f"engines{rows}", rows)]
    return f"{READ}\n\n{markdown_table(HEAD, body)}"


def _compare(root: Path, rows: int) -> Iterator[tuple[str, ...]]:
    """The lines of the table for so many rows."""
    local, spark = make_project(root / "local"), make_project(root / "spark")
    write_batches(local, rows, FILES)
    write_test(local)
    _configure(spark, files_of=local)
    for script in STAGES:
        yield _line(rows, script, stage(script, local), stage(script, spark))
    shutil.rmtree(root)


def _configure(project: Path, *, files_of: Path) -> None:
    """Let a project read the files of another, with Spark."""
    shared = {"input_folder_path": "sourcedata", "test_data_path": "testdata"}
    settings = STANDARD_FOLDERS | {key: str(files_of / name) for key, name in shared.items()}
    (project / "config.json").write_text(
        json.dumps({**settings, "package_check": False, "engine": ENGINE})
    )


def _line(rows: int, script: str, local: Measured, spark: Measured) -> tuple[str, ...]:
    """One line of the table, printed when it comes."""
    ratio = f"{spark.seconds / local.seconds:.1f}"
    cells = (f"{rows:,}", script, seconds_text(local.seconds), seconds_text(spark.seconds), ratio)
    print("  ".join(cells), flush=True)
    return cells
