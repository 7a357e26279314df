"""Settings guessed for somebody's table."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import ingestion
from attrition.errors import DataError
from attrition.suggestion import Column, choose_columns, choose_labels, suggest_settings
from tests.conftest import REPOSITORY, Project

TABLES = REPOSITORY.parent / "shared" / "data"

TEXT = Column("?", values=100, distinct=3, numbers=0, dates=0, has_fractions=False)
NUMBER = Column("?", values=100, distinct=90, numbers=100, dates=0, has_fractions=False)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"Yes": 90, "No": 10}, ("Yes", "No")),
        ({"0": 10, "1": 90}, ("1", "0")),
        ({"gone": 10, "here": 90}, ("gone", "here")),
        ({"1": 5, "1.0": 6, "0": 3}, ("1.0", "0")),
        ({"b": 5, "a": 5}, ("a", "b")),
    ],
)
def test_the_label_that_says_yes_is_positive_else_the_rarer(
    labels: dict[str, int], expected: tuple[str, str]
) -> None:
    assert choose_labels(labels, "y") == expected


@pytest.mark.parametrize("labels", [{}, {"1": 3}, {"1": 3, "1.0": 2}, {"a": 1, "b": 1, "c": 1}])
def test_other_than_two_labels_are_an_error(labels: dict[str, int]) -> None:
    with pytest.raises(DataError, match="expected two different labels"):
        choose_labels(labels, "y")


@pytest.mark.parametrize("name", ["customerID", "client_id", "Account Number", "corporation"])
def test_a_column_called_an_id_is_one(name: str) -> None:
    columns = [NUMBER, replace(NUMBER, name=name)]
    assert choose_columns(columns, 100).settings["id_column"] == name


@pytest.mark.parametrize(
    "column",
    [
        replace(NUMBER, name="account_length"),
        replace(NUMBER, name="id", values=99),
        replace(NUMBER, name="spend", distinct=100),
        replace(NUMBER, name="id", has_fractions=True),
        replace(TEXT, name="area_code"),
    ],
)
def test_what_may_be_blank_or_counts_something_is_no_id(column: Column) -> None:
    assert choose_columns([column], 100).settings["id_column"] is None


def test_a_text_of_its_own_in_every_row_is_an_id_whatever_its_name() -> None:
    firm = replace(TEXT, name="Firma", distinct=100)
    remark = replace(TEXT, name="remark", values=90, distinct=80)
    found = choose_columns([firm, remark], 100)
    assert found.settings["id_column"] == "Firma"
    assert found.left_out == {"remark": "nearly every row has a text of its own"}


def test_each_column_finds_its_part() -> None:
    columns = [
        replace(NUMBER, name="spend"),
        replace(NUMBER, name="area code", distinct=5),
        replace(NUMBER, name="zip", distinct=90),
        replace(NUMBER, name="mixed", numbers=99, distinct=20),
        replace(TEXT, name="plan"),
        replace(TEXT, name="day", dates=100, distinct=90),
        replace(TEXT, name="country", distinct=1),
    ]
    found = choose_columns(columns, 100)
    assert found.settings == {
        "id_column": None,
        "numeric_columns": ["spend"],
        "categorical_columns": ["area code", "mixed", "plan"],
    }
    assert list(found.left_out) == ["zip", "day", "country"]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("y", "missing column 'y'; expected 'y'; found 'plan', 'Left[?]', 'x'$"),
        ("LEFT", r"missing column 'LEFT' \(did you mean 'Left\?'\?\); expected 'LEFT'; found"),
        ("", "missing column ''; expected ''; found 'plan'"),
    ],
)
def test_a_target_that_is_no_column_is_refused_with_those_there_are(
    project: Project, target: str, reason: str
) -> None:
    path = project.write("table.csv", "plan,Left?,x\na,1,2\n")
    with pytest.raises(DataError, match=rf"table\.csv: .*{reason}"):
        suggest_settings(project.config, path, target)


def test_a_target_that_two_columns_are_called_is_refused(project: Project) -> None:
    path = project.write("table.csv", "y,x,y\n1,2,0\n")
    with pytest.raises(DataError, match="doubled column 'y'"):
        suggest_settings(project.config, path, "y")


@pytest.mark.skipif(not TABLES.is_dir(), reason="the real tables are not here")
@pytest.mark.parametrize(
    ("folder", "rejected"),
    [("telco_ibm", 0), ("churn_mlc5000", 0), ("iranian_churn", 0), ("online_retail_rfm", 0)],
)
def test_real_tables_are_ingested_with_the_suggested_settings_alone(
    project: Project, folder: str, rejected: int
) -> None:
    facts = json.loads((TABLES / folder / "manifest.json").read_text())
    table = TABLES / folder / facts["main"]
    suggested = suggest_settings(project.config, table, facts["target"]).settings
    assert suggested["positive_label"] == facts["positive_label"]
    assert Path(suggested["input_folder_path"]) == Path("sourcedata")
    project.configure(**suggested)
    (project.root / "sourcedata" / table.name).write_bytes(table.read_bytes())
    (entry,) = ingestion.run(project.config).files
    assert (entry.rows_read, entry.quarantined, entry.open) == (facts["rows"], rejected, 0)
    features = {*suggested["numeric_columns"], *suggested["categorical_columns"]}
    assert not features & {"customer_id", "snapshot", "customerID"}
