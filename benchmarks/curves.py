"""How the cost grows: seconds over rows, and those of a tick at rest over files already ingested.

The exponent is the slope of a straight line through the points of a curve on logarithmic axes,
from where on the work outweighs the start of a process: 1 means that twice the rows take twice the
time.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.measuring import (
    add_batch,
    in_turn,
    make_project,
    markdown_table,
    run,
    seconds_text,
    stage,
    write_batches,
    write_test,
)

Curve = dict[int, float]
ROWS = (10_000, 100_000, 1_000_000, 10_000_000)
FILES = (1, 10, 100, 1_000, 10_000)
ROWS_OF_A_FILE = 20
# From where on the work outweighs the start of a process.
FITTED_ROWS, FITTED_FILES = 100_000, 100
STAGES = ("first ingestion", "10,000 rows on top", "training", "batch prediction", "report")
TICKS = "files already ingested"
MARKERS = "os^Dv"


def measure(root: Path, sizes: tuple[int, ...] = ROWS) -> dict[str, Curve]:
    """Stage -> rows -> seconds of its whole process."""
    curves: dict[str, Curve] = {name: {} for name in STAGES}
    for rows in sizes:
        project = make_project(root / f"rows{rows}")
        write_batches(project, rows, 10)
        write_test(project)
        curves["first ingestion"][rows] = stage("ingestion.py", project).seconds
        add_batch(project, 10_000)
        curves["10,000 rows on top"][rows] = stage("ingestion.py", project).seconds
        curves["training"][rows] = stage("training.py", project).seconds
        stage("scoring.py", project)
        stage("deployment.py", project)
        curves["report"][rows] = stage("reporting.py", project).seconds
        table = project / "ingesteddata" / "finaldata.csv"
        curves["batch prediction"][rows] = run(
            "diagnostics.py", "--config", project / "config.json", "--predict", table
        ).seconds
        shutil.rmtree(project)
    return curves


def measure_ticks(root: Path, sizes: tuple[int, ...] = FILES) -> Curve:
    """Files already ingested -> seconds of a tick at rest."""
    curve = {}
    for files in sizes:
        project = make_project(root / f"files{files}")
        write_batches(project, files * ROWS_OF_A_FILE, files)
        write_test(project)
        for _ in range(2):  # the first may find its files too fresh to rest
            stage("fullprocess.py", project)
        (tick,) = in_turn(7, partial(stage, "fullprocess.py", project))
        curve[files] = tick.seconds
        shutil.rmtree(project)
    return curve


def exponent(curve: Mapping[int, float], start: int) -> float | None:
    """The slope on logarithmic axes from a size on; None with fewer than two such points."""
    points = [(size, seconds) for size, seconds in curve.items() if size >= start]
    if len(points) < 2:
        return None
    size, seconds = np.log(np.array(points)).T
    return float(np.polyfit(size, seconds, 1)[0])


def as_markdown(curves: Mapping[str, Curve], what: str, start: int) -> str:
    """The curves as a table: a row for each, a column for each size; fitted from one size on."""
    sizes = sorted({size for curve in curves.values() for size in curve})
    head = [f"seconds over {what}", *(f"{size:,}" for size in sizes), "exponent"]
    body = []
    for name, curve in curves.items():
        slope = exponent(curve, start)
        cells = [seconds_text(curve[size]) if size in curve else "-" for size in sizes]
        body.append([name, *cells, "-" if slope is None else f"{slope:.2f}"])
    return markdown_table(head, body)


def draw(curves: Mapping[str, Curve], path: Path) -> None:
    """Draw the curves over rows, legible in grey."""
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    axes = figure.subplots()
    for (name, curve), marker in zip(curves.items(), MARKERS, strict=True):
        axes.plot([*curve], [*curve.values()], marker=marker, linewidth=1.4, label=name)
    axes.set(xscale="log", yscale="log", xlabel="rows", ylabel="seconds, whole process")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)
