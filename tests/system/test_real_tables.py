"""The whole pipeline on four real churn tables, with nothing but a config.json.

The tables are not part of the project; where `../shared/data` is absent these tests are skipped.
"""

from __future__ import annotations

import csv
import json
import random
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from attrition.core import atomic_files
from tests.conftest import FOLDERS, REPOSITORY, Project

DATA = REPOSITORY.parent / "shared" / "data"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"the real tables are not there: {DATA}"),
]

# Path, target and what --suggest-config must find out by itself.
TABLES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "telco_ibm": (
        "telco.csv",
        "Churn",
        {"id_column": "customerID", "positive_label": "Yes", "negative_label": "No"},
    ),
    "churn_mlc5000": (
        "mlc_churn.csv",
        "churn",
        {"id_column": None, "positive_label": "yes", "negative_label": "no"},
    ),
    "iranian_churn": (
        "Customer_Churn.csv",
        "Churn",
        {"id_column": None, "positive_label": "1", "negative_label": "0"},
    ),
    "online_retail_rfm": (
        "rfm_snapshots.csv",
        "churned",
        {"id_column": "customer_id", "positive_label": "1", "negative_label": "0"},
    ),
}


def rows_of(name: str) -> tuple[list[str], list[list[str]]]:
    with (DATA / name / TABLES[name][0]).open(encoding="utf-8", newline="") as stream:
        header, *rows = csv.reader(stream)
    return header, rows


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)


def configure(project: Project, name: str) -> dict[str, Any]:
    """Write the config.json that the pipeline itself suggests for a table."""
    file, target, _ = TABLES[name]
    suggested = project.run(
        "ingestion.py", "--suggest-config", str(DATA / name / file), "--target", target
    )
    settings = json.loads(suggested.stdout)
    project.configure(**{key: value for key, value in settings.items() if key not in FOLDERS})
    return dict(settings)


def decision(project: Project) -> dict[str, Any]:
    return dict(atomic_files.read_json(project.root / "models/decision.json"))


@pytest.mark.parametrize("name", ["telco_ibm", "churn_mlc5000", "iranian_churn"])
def test_a_real_table_runs_by_settings_alone(
    make_project: Callable[[str], Project], name: str
) -> None:
    project = make_project(name)
    settings = configure(project, name)
    assert {key: settings[key] for key in TABLES[name][2]} == TABLES[name][2]
    header, rows = rows_of(name)
    random.Random(1).shuffle(rows)
    write_rows(project.root / "sourcedata/clients.csv", header, rows[len(rows) // 4 :])
    write_rows(project.root / "testdata/clients.csv", header, rows[: len(rows) // 4])
    result = project.run("fullprocess.py")
    record = decision(project)
    assert record["verdict"] == "deployed"
    assert record["suspicious"] == {}
    assert [entry["quarantined"] for entry in record["ingestion"]["files"]] == [0]
    assert max(map(len, result.stdout.splitlines())) <= 80
    reference = json.loads((DATA / name / "manifest.json").read_text())["reference"]
    # Plain logistic regression at its threshold of one half, on another split: a floor, no bar.
    assert record["candidate_score"]["roc_auc"] > reference["auc"] - 0.02
    assert record["candidate_score"]["f1"] > reference["f1"]
    assert "idle: nothing" in project.run("fullprocess.py").stderr


def test_a_blank_that_is_a_space_is_a_missing_value(make_project: Callable[[str], Project]) -> None:
    project = make_project("telco")
    configure(project, "telco_ibm")
    assert "TotalCharges" in project.config.numeric_columns
    header, rows = rows_of("telco_ibm")
    column = header.index("TotalCharges")
    assert sum(row[column] == " " for row in rows) == 11
    write_rows(project.root / "sourcedata/clients.csv", header, rows)
    project.run("ingestion.py")
    with project.config.final_data.open(encoding="utf-8", newline="") as stream:
        final = list(csv.DictReader(stream))
    assert len(final) == len(rows)
    assert sum(row["TotalCharges"] == "" for row in final) == 11


def test_duplicate_rows_without_an_id_are_dropped_and_counted(
    make_project: Callable[[str], Project],
) -> None:
    project = make_project("iranian")
    configure(project, "iranian_churn")
    header, rows = rows_of("iranian_churn")
    write_rows(project.root / "sourcedata/clients.csv", header, rows)
    project.run("ingestion.py")
    ledger = atomic_files.read_json(project.config.ledger)
    distinct = len({tuple(row) for row in rows})
    assert ledger["files"][0]["kept"] == distinct
    assert ledger["files"][0]["duplicate"] == len(rows) - distinct == 300


@pytest.mark.complete
def test_monthly_snapshots_fed_one_by_one_keep_the_model_up_to_date(
    make_project: Callable[[str], Project],
) -> None:
    """The shop's customers drift: the pipeline replaces its model, and it pays."""
    project = make_project("retail")
    settings = configure(project, "online_retail_rfm")
    assert {key: settings[key] for key in TABLES["online_retail_rfm"][2]} == TABLES[
        "online_retail_rfm"
    ][2]
    assert "snapshot" not in settings["categorical_columns"]
    header, rows = rows_of("online_retail_rfm")
    month, client = header.index("snapshot"), header.index("customer_id")

    def held_out(row: Sequence[str]) -> bool:
        return zlib.crc32(row[client].encode()) % 5 == 0

    months = sorted({row[month] for row in rows})
    assert len(months) == 7
    releases = []
    for name in months:
        batch = [row for row in rows if row[month] == name]
        learnt = [row for row in batch if not held_out(row)]
        write_rows(project.root / f"sourcedata/{name}.csv", header, learnt)
        # Each month the test data are that month's: the customers kept aside.
        write_rows(project.root / "testdata/now.csv", header, filter(held_out, batch))
        project.run("fullprocess.py")
        record = decision(project)
        assert record["verdict"] in ("deployed", "kept", "not enough evidence")
        assert record["reason"]
        releases.append(record["release_after"])
    assert len(set(releases)) >= 3
    assert record["drift"]["data"]["new rows"]["verdict"] == "drift"
    first, last = (
        atomic_files.read_json(
            project.root / "production_deployment/releases" / name / "training.json"
        )
        for name in (releases[0], releases[-1])
    )
    assert first["rows"] < last["rows"]
    project.run("deployment.py", "--rollback", releases[0])
    stale = log_loss(project.run("scoring.py", "--deployed").stdout)
    project.run("deployment.py", "--rollback", releases[-1])
    fresh = log_loss(project.run("scoring.py", "--deployed").stdout)
    assert fresh < stale - 0.01


def log_loss(shown: str) -> float:
    line = next(line for line in shown.splitlines() if line.startswith("log loss"))
    return float(line.split()[3].rstrip(","))
