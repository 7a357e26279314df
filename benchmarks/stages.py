"""The tick at rest, ingestion, training, predictions, side by side with others: whole processes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import (
    Line,
    Measured,
    add_batch,
    at_least,
    at_most,
    in_turn,
    make_project,
    memory_text,
    naive,
    run,
    seconds_text,
    stage,
    write_batches,
    write_test,
)

MEMORY_LIMIT = 4 * 1024  # MiB
PREDICTION_MEMORY = 600e6 / 2**20  # MiB
NEW_ROWS = 10_000
# The least that could be done with a table: it is read, one expression worked out, and written.
BARE_COPY = """import sys, duckdb
table, output = sys.argv[1:]
duckdb.sql(f"SELECT corporation, tanh(lastmonth_activity / 10 - number_of_employees / 1e4) "
           f"FROM read_csv('{table}')").write_csv(output)"""


@dataclass(frozen=True)
class Sizes:
    """How much to measure with: rows, and how often."""

    months: int  # files of 10,000 clients that a tick's project has ingested
    ingested: int
    spilled: int  # rows of the ingestion that must stay within the memory limit; 0 for none
    trained: int
    times: int


FULL = Sizes(months=12, ingested=5_000_000, spilled=50_000_000, trained=1_000_000, times=5)
QUICK = Sizes(months=2, ingested=200_000, spilled=0, trained=30_000, times=3)


def lines(root: Path, sizes: Sizes) -> Iterator[Line]:
    """Every comparison, as soon as it is measured."""
    yield from compare_ticks(root / "tick", sizes)
    yield from compare_ingestion(root / "ingestion", sizes)
    yield from compare_training(root / "training", sizes)
    yield from compare_prediction(root / "prediction", sizes)
    if sizes.spilled:
        yield spilled_ingestion(root / "spilled", sizes)


def compare_ticks(root: Path, sizes: Sizes) -> Iterator[Line]:
    """A tick at rest against a bare interpreter, and against a naive tick.

    The company has had a file of 10,000 clients every month of a year.
    """
    project = make_project(root)
    write_batches(project, sizes.months * 10_000, sizes.months)
    write_test(project)
    stage("fullprocess.py", project)
    theirs = shutil.copytree(project, root.with_name("naive-tick"), symlinks=True)
    naive("train", theirs)
    stage("fullprocess.py", project)  # the first may have found its files too fresh to rest
    ours, interpreter, other = in_turn(
        3 * sizes.times,
        lambda: stage("fullprocess.py", project),
        lambda: run("-c", "import json"),
        lambda: naive("tick", theirs),
    )
    yield at_most(
        "tick at rest / bare interpreter",
        *_seconds(ours, interpreter),
        ours.seconds / interpreter.seconds,
        5,
    )
    yield at_least(
        "naive tick / tick at rest", *_seconds(ours, other), other.seconds / ours.seconds, 60
    )


def compare_ingestion(root: Path, sizes: Sizes) -> Iterator[Line]:
    """The first ingestion of ten files, and a small batch on top of them."""
    project = make_project(root)
    write_batches(project, sizes.ingested, 10)
    theirs = shutil.copytree(project, root.with_name("naive-ingestion"))
    what = f"{sizes.ingested:,} rows"
    ours, other = in_turn(
        max(sizes.times // 2, 1),
        lambda: _first_ingestion(project),
        lambda: naive("ingest", theirs),
    )
    yield at_least(
        f"naive / ours: first ingestion, {what}",
        *_seconds(ours, other),
        other.seconds / ours.seconds,
        3,
    )
    yield at_least(
        f"naive / ours: its memory, {what}",
        memory_text(ours.mebibytes),
        memory_text(other.mebibytes),
        other.mebibytes / ours.mebibytes,
        2,
    )
    for each in (project, theirs):
        add_batch(each, NEW_ROWS)
    kept = shutil.copytree(project / "ingesteddata", root.with_name("kept"))
    ours, other = in_turn(
        max(sizes.times // 2, 1),
        lambda: _next_ingestion(project, kept),
        lambda: naive("ingest", theirs),
    )
    yield at_least(
        f"naive / ours: {NEW_ROWS:,} rows on top of {what}",
        *_seconds(ours, other),
        other.seconds / ours.seconds,
        10,
    )
    for folder in (project, theirs, kept):
        shutil.rmtree(folder)


def compare_training(root: Path, sizes: Sizes) -> Iterator[Line]:
    """Training against gradient boosting on the same rows, both reading them first."""
    project = make_project(root)
    write_batches(project, sizes.trained, 1)
    write_test(project)
    stage("ingestion.py", project)
    ours, other = in_turn(
        max(sizes.times // 2, 1),
        lambda: stage("training.py", project),
        lambda: naive("boost", project),
    )
    yield at_most(
        f"training / gradient boosting, {sizes.trained:,} rows",
        *_seconds(ours, other),
        ours.seconds / other.seconds,
        3,
    )
    yield _within_memory(f"training, {sizes.trained:,} rows: memory / limit", ours)
    shutil.rmtree(project)


def compare_prediction(root: Path, sizes: Sizes) -> Iterator[Line]:
    """The predictions for a table against a bare copy of it by DuckDB."""
    project = make_project(root)
    write_batches(project, 10_000, 1)
    write_test(project)
    for script in ("ingestion.py", "training.py", "scoring.py", "deployment.py"):
        stage(script, project)
    write_batches(project, sizes.ingested, 1)
    table = project / "sourcedata" / "batch00000.csv"
    config = project / "config.json"
    ours, bare = in_turn(
        max(sizes.times // 2, 1),
        lambda: run("diagnostics.py", "--config", config, "--predict", table),
        lambda: run("-c", BARE_COPY, table, root / "copy.csv"),
    )
    what = f"prediction of {sizes.ingested:,} rows"
    yield at_most(
        f"{what} / bare copy by DuckDB", *_seconds(ours, bare), ours.seconds / bare.seconds, 4
    )
    yield _within_memory(f"{what}: memory / limit", ours, PREDICTION_MEMORY)
    shutil.rmtree(project)


def spilled_ingestion(root: Path, sizes: Sizes) -> Line:
    """More rows than memory holds."""
    project = make_project(root)
    write_batches(project, sizes.spilled, 10)
    ours = stage("ingestion.py", project)
    shutil.rmtree(project)
    what = f"ingestion, {sizes.spilled:,} rows in {seconds_text(ours.seconds)}: memory / limit"
    return _within_memory(what, ours)


def _within_memory(what: str, ours: Measured, limit: float = MEMORY_LIMIT) -> Line:
    used = ours.mebibytes
    return at_most(what, memory_text(used), memory_text(limit), used / limit, 1)


def _seconds(ours: Measured, other: Measured) -> tuple[str, str]:
    return seconds_text(ours.seconds), seconds_text(other.seconds)


def _first_ingestion(project: Path) -> Measured:
    """Ingest with nothing ingested before."""
    shutil.rmtree(project / "ingesteddata")
    (project / "ingesteddata").mkdir()
    return stage("ingestion.py", project)


def _next_ingestion(project: Path, kept: Path) -> Measured:
    """Ingest on top of what was kept of an earlier ingestion."""
    shutil.rmtree(project / "ingesteddata")
    shutil.copytree(kept, project / "ingesteddata")
    return stage("ingestion.py", project)
