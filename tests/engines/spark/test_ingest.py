"""What a task on a worker does with its file, without a cluster."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

pyarrow = pytest.importorskip("pyarrow", reason="pip install -r requirements-spark.txt")

pickling = pytest.importorskip(
    "pyspark.cloudpickle", reason="pip install -r requirements-spark.txt"
)

from attrition.core import scratch
from attrition.data import source_files
from attrition.data.source_files import Batch
from attrition.engines.spark import ingest
from tests.conftest import Project
from tests.support.ingested import source


def handed_over(project: Project, *found: Batch, first: int = 0) -> list[dict[str, Any]]:
    read = ingest.reader(project.config, found, first)
    numbers = pyarrow.record_batch({"id": list(range(len(found)))})
    return [row for batch in read([numbers]) for row in batch.to_pylist()]


def report(rows: list[dict[str, Any]]) -> Any:
    return json.loads(next(row["piece"] for row in rows if row["part"] == 0))


def test_a_file_becomes_rows_a_report_and_its_quarantine(project: Project) -> None:
    path = source(project, "a.csv", "k,1,2,,1", "l,x,2,3,0", "m,1,2,3,")
    found = handed_over(project, source_files.find_batch(path), first=7)
    rows = [row for row in found if row["row"] is not None]
    assert [(r["file"], r["row"], r["v0"], r["v3"], r["label"]) for r in rows] == [
        (7, 0, "k", None, 1),
        (7, 2, "m", 3.0, None),
    ]
    assert report(found) == {
        "start": 0,
        "rows_read": 3,
        "open": 1,
        "quarantined": 1,
        "extra_columns": [],
        "cut": None,
    }
    (piece,) = (row["piece"] for row in found if row["part"] == 1)
    assert piece.decode().splitlines()[1] == "a.csv,3,lastmonth_activity,x,not a number"


def test_a_long_quarantine_travels_in_pieces(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "_PIECE", 64)
    path = source(project, "a.csv", *(f"k{n},x,2,3,0" for n in range(20)))
    found = handed_over(project, source_files.find_batch(path))
    parts = [(row["part"], row["piece"]) for row in found if (row["part"] or 0) > 0]
    assert [number for number, _ in parts] == list(range(1, len(parts) + 1))
    assert b"".join(piece for _, piece in parts).decode().count("not a number") == 20


def test_a_file_that_is_no_good_gives_its_reason_and_no_row(project: Project) -> None:
    path = source(project, "a.csv", "1", header="x")
    (only,) = handed_over(project, source_files.find_batch(path))
    assert json.loads(only["piece"])["rejected"].startswith("missing columns 'corporation'")


def test_a_file_the_worker_does_not_see_is_not_taken_for_a_bad_one(project: Project) -> None:
    path = source(project, "a.csv", "k,1,2,3,1")
    batch = source_files.find_batch(path)
    path.write_text("something else")
    assert "instead of" in report(handed_over(project, batch))["unseen"]
    path.unlink()
    assert report(handed_over(project, batch)) == {"unseen": "No such file or directory"}


def test_no_worker_is_told_where_alerts_go(project: Project) -> None:
    project.configure(alert_webhook="https://hooks.example/SECRET", alert_command=["SECRET"])
    shipped = pickling.dumps(ingest.reader(project.config, [], 0))
    assert b"lastmonth_activity" in shipped  # the settings are within it
    assert b"SECRET" not in shipped


def test_what_a_killed_task_left_on_the_worker_is_removed_a_day_later(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task keeps rows in a scratch folder, as every stage does, and clears away old ones."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    path = source(project, "a.csv", "k,1,2,3,1")
    read = ingest.reader(project.config, [source_files.find_batch(path)], 0)
    numbers = pyarrow.record_batch({"id": [0]})
    left = temporary / f"{scratch.ROWS}killed"
    left.mkdir()
    os.utime(left, (0, 0))
    assert len(list(read([numbers]))) == 2
    assert list(temporary.iterdir()) == []
