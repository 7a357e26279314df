"""Both engines on the same files: seconds of each stage, as whole processes.

    python -m benchmarks.engines [--rows 1000000] [--master 'local[2]'] [--append results.md]

Read the ratios. On one machine Spark shows what it costs, not what it gains: it gains where the
data or the memory of one machine end.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from attrition.config import FOLDER_KEYS
from benchmarks.speed import FILES, FOLDERS, Measured, make_project, run, write_batch, write_test

STAGES = ("ingestion.py", "training.py")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table, and append it to a file if asked."""
    parser = argparse.ArgumentParser(description="Time both engines on the same files.")
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000], help="rows to ingest")
    parser.add_argument("--master", default="local[2]", help="the master of Spark")
    parser.add_argument("--memory", default="4g", help="memory of its driver and executors")
    parser.add_argument("--append", type=Path, metavar="FILE", help="append the table to this file")
    arguments = parser.parse_args(argv)
    engine = {"spark": arguments.master, "memory": arguments.memory}
    table = [
        f"\n## This machine and Spark ({arguments.master})\n",
        "| rows | stage | local s | Spark s | Spark / local |",
        "|---:|---|---:|---:|---:|",
    ]
    for rows in arguments.rows:
        table += compare(rows, engine)
    text = "\n".join(table)
    print(text)
    if arguments.append:
        with arguments.append.open("a", encoding="utf-8") as stream:
            stream.write(f"{text}\n")
    return 0


def compare(rows: int, engine: dict[str, str]) -> list[str]:
    """The lines of the table for so many rows."""
    with tempfile.TemporaryDirectory(prefix="attrition-bench-") as folder:
        root = Path(folder)
        local, spark = make_project(root / "local"), make_project(root / "spark")
        for number in range(FILES):
            write_batch(local, f"{number:02}", rows // FILES, number, number * rows // FILES)
        write_test(local)
        configure(spark, engine, local)
        return [line(rows, stage, stage_run(stage, local), stage_run(stage, spark))
                for stage in STAGES]  # fmt: skip


def configure(project: Path, engine: dict[str, str], files_of: Path) -> None:
    """Let a project read the files of another, with an engine of its own."""
    settings: dict[str, object] = dict(zip(FOLDER_KEYS, FOLDERS, strict=True))
    shared = {"input_folder_path": "sourcedata", "test_data_path": "testdata"}
    settings |= {key: str(files_of / name) for key, name in shared.items()}
    settings |= {"package_check": False, "engine": engine}
    (project / "config.json").write_text(json.dumps(settings))


def stage_run(stage: str, project: Path) -> Measured:
    """One stage as its user runs it."""
    return run(stage, "--config", project / "config.json")


def line(rows: int, stage: str, local: Measured, spark: Measured) -> str:
    """One line of the table."""
    ratio = spark.seconds / local.seconds
    return f"| {rows:,} | {stage} | {local.seconds:.1f} | {spark.seconds:.1f} | {ratio:.1f} |"


if __name__ == "__main__":
    raise SystemExit(main())
