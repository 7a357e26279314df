"""Projects with what a run records, made by hand, for tests of what serves it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from attrition.core import atomic_files
from attrition.ranking import lookup_db_writer
from attrition.runs import history
from tests.conftest import Project
from tests.support.records import decision_record
from tests.support.releases import NOW, deploy

DIAGNOSTICS: dict[str, Any] = {
    "time": NOW,
    "rows": 5000,
    "base_rate": 0.25,
    "summary_statistics": {
        "lastmonth_activity": {"mean": 50.5, "median": 40.0, "standard_deviation": 12.0},
        "number_of_employees": {"mean": 1234.5, "median": None, "standard_deviation": None},
    },
    "missing_data_percentages": {"lastmonth_activity": 1.5, "number_of_employees": 100.0},
    "execution_times": {"ingestion": 1.5, "training": None},
    "packages": {
        "state": "checked",
        "time": NOW,
        "as_of": NOW,
        "outdated": [{"name": "Flask", "current_version": "3.0", "latest_version": "3.1"}],
    },
}
DECISION = decision_record(
    run_id=NOW,
    reason="the candidate is not better <b>",
    warnings=[{"text": "data drift in lastyear_activity", "topic": "data drift"}],
    release_before="000001-a",
    release_after="000001-a",
    drift={"data": {"test data": {"verdict": "no drift"}}},
    timings={"ingestion": 1.5, "training": 2.5},
    ingestion={"files": [{"name": "secret-client-list.csv"}]},
).to_json()

TABLE = (
    "corporation,number_of_employees,lastyear_activity,lastmonth_activity,exited\n"
    "Acme,9,1,0,1\n"
    "Bolt,9,1,100,\n"
    "Crest,9,1,,0\n"
)
FEATURES = ("lastmonth_activity", "lastyear_activity", "number_of_employees")
# Place, client, tier, probability, changes, value, value at risk, value rank; reasons; features.
RANKED = [
    ((1, "Quiet AG", "high", 0.8808, "0.1000", "2", 10.0, 8.81, 2), ["it is quiet"], (0, 1, 9)),
    ((2, "=Öl/Gas & Co", "high", 0.5, "new", "new", None, None, None), [], (50, None, 9)),
    ((3, "Busy", "low", 0.1192, "", "", 1000.0, 119.2, 1), [], (100, 1, 9)),
]
PROFITS = (40.0, None, -7.5)


def write_records(project: Project) -> None:
    """What a run records of a project."""
    atomic_files.write_json(project.config.diagnostics, DIAGNOSTICS)
    atomic_files.write_json(project.config.decision, DECISION)


def rank(
    project: Project, release: str, contacted: Sequence[tuple[int, str]] = (), **more: Any
) -> None:
    """A book of three clients, more said about it, and the history of one of them."""
    about = {
        "time": NOW,
        "release": release,
        "ranked": "open clients",
        "total": 3,
        "tiers": {"high": 2, "medium": 0, "low": 1},
        "thresholds": {"high": 0.5, "medium": 0.25},
        **more,
    }
    details = [
        (row[0], json.dumps(reasons), json.dumps(dict(zip(FEATURES, zip(values), strict=True))))
        for row, reasons, values in RANKED
    ]
    profits = [(profit,) if "has_profit" in more else () for profit in PROFITS]
    rows = [(*row, *profit) for (row, _, _), profit in zip(RANKED, profits, strict=True)]
    texts = ("North/West", "", "North/West")  # of each client in each segment column
    segments = [
        (place, number, text)
        for place, text in enumerate(texts, 1)
        for number, _ in enumerate(about.get("segments", ()))
    ]
    book = project.config.client_book
    lookup_db_writer.write_book(book, about, rows, details, contacted=contacted, segments=segments)
    for key, time, risk in (("a", "2026-02-01", 0.7808), ("b", NOW, 0.8808)):
        history.record_ranking(
            project.config.history, key, time, {"release": release}, 9, risks={"Quiet AG": risk}
        )


def serve_ready(project: Project) -> str:
    """A project in which every route has an answer.

    Returns:
        The live release.
    """
    version = deploy(project)
    write_records(project)
    rank(project, version)
    history.record_run(project.config.history, DECISION)
    project.write("testdata/testdata.csv", TABLE)
    project.config.report.write_text("<!doctype html><title>Report</title>")
    project.config.report_pdf.write_bytes(b"%PDF-1.7 report")
    return version
