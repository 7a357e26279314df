"""Training: from ingested rows to the candidate's three files, the same bytes each time."""

from __future__ import annotations

import csv
import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ingestion
import scoring
import training
from attrition.core import atomic_files
from attrition.core.errors import NotEnoughData
from attrition.data.clients import labelled_test_clients
from attrition.data.ledger import read_ledger
from attrition.data.synthetic import COLUMNS, client_rows, csv_text
from attrition.engines.candidate import TrainingResult
from attrition.model.scorecard import load_scorecard
from attrition.model.versions import versions
from tests.conftest import HEADER, Project

NAMES = ("trainedmodel.pkl", "scorecard.json", "training.json")


def fill(project: Project, clients: int = 600, seed: int = 1) -> list[list[str]]:
    """Put generated clients into the source folder and ingest them."""
    rows = client_rows(clients, seed=seed, open_share=0.0)
    project.write("sourcedata/batch.csv", csv_text(rows))
    ingestion.run(project.config)
    return rows


def train(project: Project, deployed_commit: str | None = None) -> TrainingResult:
    config = project.config
    return training.run(
        config, read_ledger(config.ledger), labelled_test_clients(config), deployed_commit
    )


def record_of(project: Project) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((project.root / "models/training.json").read_text())
    return record


def test_the_three_files_hold_one_model(project: Project) -> None:
    fill(project)
    result = train(project)
    features = result.clients.features
    card = load_scorecard(project.root / "models/scorecard.json")
    pipeline = pickle.loads((project.root / "models/trainedmodel.pkl").read_bytes())
    expected = pipeline.predict_proba(features)[:, 1]
    assert np.max(np.abs(card.probabilities(features) - expected)) < 1e-9
    assert card == result.fitted.scorecard
    record = record_of(project)
    assert record["threshold"] == card.threshold
    for name in ("trainedmodel.pkl", "scorecard.json"):
        assert record["sha256"][name] == atomic_files.sha256_of(project.root / "models" / name)


def test_the_record_says_what_was_learnt_and_how_well(project: Project) -> None:
    rows = fill(project)
    train(project)
    record, ledger = record_of(project), read_ledger(project.config.ledger)
    unique = {tuple(row) for row in rows}
    assert record["commit"] == ledger.commit_id
    assert record["schema"] == project.config.schema_digest
    assert record["label"] == {"column": "exited", "positive": "1", "negative": "0"}
    assert record["rows"] == len(unique)
    assert record["positives"] == sum(row[-1] == "1" for row in unique)
    assert record["left_out_test_rows"] == 0
    assert record["versions"] == versions()
    assert record["reference"]["rows"] == len(unique)
    assert record["predicted"]["mean_probability"] == pytest.approx(
        record["positives"] / len(unique), abs=0.02
    )
    assert 0 < record["predicted"]["leaver_share"] < 1
    assert set(record["predicted"]["points"]) >= set(project.config.numeric_columns)
    assert 0.75 < record["cross_validated"]["roc_auc"] < 0.99
    assert 0.3 < record["cross_validated"]["f1"] < 0.99
    assert record["settings"]["penalty"] in {row["penalty"] for row in record["settings"]["tried"]}


def test_equal_rows_give_equal_bytes_in_any_process(project: Project) -> None:
    fill(project)
    train(project)
    before = {name: (project.root / "models" / name).read_bytes() for name in NAMES}
    project.run("training.py")
    after = {name: (project.root / "models" / name).read_bytes() for name in NAMES}
    assert [name for name in NAMES if before[name] != after[name]] == []


def test_another_row_gives_another_model(project: Project) -> None:
    fill(project)
    train(project)
    before = (project.root / "models/training.json").read_bytes()
    project.write("sourcedata/more.csv", csv_text(client_rows(40, seed=9, first_client=5000)))
    ingestion.run(project.config)
    train(project)
    assert (project.root / "models/training.json").read_bytes() != before


def test_rows_of_the_test_data_are_not_learnt(project: Project) -> None:
    rows = fill(project)
    unique = list({tuple(row): None for row in rows})
    project.write("testdata/test.csv", csv_text([list(row) for row in unique[:100]]))
    result = train(project)
    assert result.left_out == 100
    assert record_of(project)["left_out_test_rows"] == 100
    assert len(result.clients) == len(unique) - 100
    assert not {row[0] for row in unique[:100]} & set(result.clients.ids)


def monthly(months: int, clients: int) -> list[list[str]]:
    """Rows of the same clients month by month; who leaves and who stays shows in every month."""
    rows = client_rows(clients, seed=1, open_share=0.0)
    return [
        [name, str(int(row[1] or 0) + month), *row[2:]]
        for month in range(months)
        for row in rows
        for name in row[:1]
    ]


def test_months_of_the_same_clients_are_as_many_witnesses_as_clients(project: Project) -> None:
    """The interval of F1 by the real files: six months of 150 clients are hardly surer than one."""
    rows = monthly(6, 150)
    widths: list[float] = []
    for part in (rows[:150], rows):
        project.write("testdata/test.csv", csv_text(part))
        if not widths:
            fill(project)
            train(project)
        scored = scoring.run(project.config, labelled_test_clients(project.config))
        low, high = scored.f1_interval or (1, 0)
        widths.append(high - low)
    assert scored.rows > 800
    assert widths[1] > 0.8 * widths[0]


def test_test_rows_of_clients_who_are_known_from_other_rows_are_counted(project: Project) -> None:
    rows = monthly(3, 200)
    project.write("sourcedata/batch.csv", csv_text(rows[:400]))
    ingestion.run(project.config)
    strangers = client_rows(50, seed=2, first_client=9000, open_share=0.0)
    asked = [*rows[400:440], *strangers, *rows[:3]]
    project.write("testdata/test.csv", csv_text(asked))
    result = train(project)
    tested = {tuple(row) for row in asked}
    learnt = {tuple(row) for row in rows[:400]} - tested
    known = sum(row[0] in {row[0] for row in learnt} for row in tested)
    assert result.rows == len(learnt)
    assert result.known_test_rows == record_of(project)["known_test_rows"] == known > 40
    assert f"known clients      {known} test rows, by other rows" in training.describe(result)
    project.configure(id_column=None)
    ingestion.run(project.config)
    assert train(project).known_test_rows == 0


def test_rows_that_came_after_the_deployed_model_are_marked_unseen(project: Project) -> None:
    fill(project)
    commit = read_ledger(project.config.ledger).commit_id
    more = client_rows(50, seed=2, open_share=0.0, first_client=9000)
    project.write("sourcedata/more.csv", csv_text(more))
    ingestion.run(project.config)
    result = train(project, commit)
    assert set(result.clients.ids[result.unseen]) == {row[0] for row in more}


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], "no labelled client rows have been ingested yet"),
        ([("1", "0")] * 60, "all 60 rows have the same label"),
        ([("1", "0"), ("2", "1")] * 5, "too few labelled rows: 10, and at least 50 are needed"),
        (
            [("1", "0")] * 60 + [("2", "1")] * 3,
            "only 3 rows of the rarer label, and at least 5 are needed",
        ),
    ],
)
def test_too_little_to_learn_from_is_said_and_nothing_is_written(
    project: Project, rows: list[tuple[str, str]], reason: str
) -> None:
    lines = [f"client {i},{x},{x},10,{label}" for i, (x, label) in enumerate(rows)]
    if lines:
        project.write("sourcedata/batch.csv", "\n".join([HEADER, *lines]) + "\n")
    ingestion.run(project.config)
    with pytest.raises(NotEnoughData, match=reason):
        train(project)
    assert not list((project.root / "models").glob("*.json"))


def test_a_refusal_is_one_clear_line_for_the_user(project: Project) -> None:
    result = project.run("training.py", check=False)
    assert result.returncode == 1
    assert result.stderr == (
        "error: no labelled client rows have been ingested yet; run ingestion.py\n"
    )


def test_the_script_prints_a_short_summary(project: Project) -> None:
    fill(project)
    printed = project.run("training.py").stdout
    assert max(map(len, printed.splitlines())) <= 80
    assert "lastmonth_activity" in printed
    assert "cross-validated" in printed
    card = load_scorecard(project.root / "models/scorecard.json")
    assert f"{card.threshold:.3f}" in printed


def test_categories_missing_values_and_other_label_words_are_learnt(
    project: Project, tmp_path: Path
) -> None:
    project.configure(
        id_column=None,
        numeric_columns=["tenure", "nothing known"],
        categorical_columns=["plan"],
        target_column="Churn",
        positive_label="Yes",
        negative_label="No",
    )
    random = np.random.default_rng(0)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["tenure", "nothing known", "plan", "Churn"])
    for row in range(400):
        tenure, plan = int(random.integers(0, 70)), str(random.choice(["month", "year", ""]))
        leaves = random.random() < (0.9 if plan == "month" else 0.1) * (1 - tenure / 100)
        shown = "" if row % 10 == 0 else tenure
        writer.writerow([shown, "", plan, "Yes" if leaves else "No"])
    project.write("sourcedata/table.csv", text.getvalue())
    ingestion.run(project.config)
    card = train(project).fitted.scorecard
    assert card.numeric_columns == ("tenure", "nothing known")
    month, year, blank = card.log_odds(
        {"tenure": [10.0] * 3, "nothing known": [np.nan] * 3, "plan": ["month", "year", ""]}
    )
    assert month > year + 1
    assert month > blank + 1


def test_the_sample_columns_are_the_default_columns(project: Project) -> None:
    assert ",".join(COLUMNS) == HEADER
