"""Diagnostics: the numbers are pandas' own, the tables fit a terminal, and nothing is written."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import diagnostics
import ingestion
from attrition import files, history, packages
from attrition.errors import DataError
from attrition.profile import LEVELS, profile_data
from attrition.synthetic import client_rows, csv_text
from tests.conftest import HEADER, REPOSITORY, Project
from tests.releases import deploy
from tests.test_app import tree

BATCH = f"""{HEADER}
Acme,10,1,5,0
Acme,20,2,5,1
Bolt,,3,5,0
Bolt,,3,5,1
Crest,40,4,5,1
Dune,30,,5,0
"""


@pytest.fixture
def ingested(project: Project) -> Project:
    """Six labelled rows of four clients, ingested, and a deployed model."""
    project.write("sourcedata/batch.csv", BATCH)
    ingestion.run(project.config)
    deploy(project)
    return project


def test_the_profile_is_computed_by_hand(ingested: Project) -> None:
    profile = profile_data(ingested.config)
    assert profile.rows == 6
    assert profile.base_rate == 0.5
    assert profile.clients == 4
    assert profile.repeated_clients == 2
    assert profile.conflicting_clients == 1  # Bolt; Acme's two rows differ in their features
    assert profile.missing_data_percentages == pytest.approx(
        {"lastmonth_activity": 100 / 3, "lastyear_activity": 100 / 6, "number_of_employees": 0.0}
    )
    activity = profile.summary_statistics["lastmonth_activity"]
    assert activity["mean"] == 25.0
    assert activity["median"] == 25.0
    assert activity["standard_deviation"] == pytest.approx(math.sqrt(500 / 3))
    assert (activity["minimum"], activity["maximum"]) == (10.0, 40.0)


def test_the_statistics_are_those_of_pandas(project: Project) -> None:
    project.configure(numeric_columns=["lastmonth_activity", "lastyear_activity"],
                      categorical_columns=["number_of_employees"])  # fmt: skip
    project.write("sourcedata/book.csv", csv_text(client_rows(1500, seed=3)))
    ingestion.run(project.config)
    profile = profile_data(project.config)
    table = pd.read_csv(project.config.final_data, dtype={"number_of_employees": str},
                        keep_default_na=False, na_values=[""])  # fmt: skip
    for column in project.config.numeric_columns:
        values = table[column]
        expected = {
            "mean": values.mean(),
            "median": values.median(),
            "standard_deviation": values.std(),
            "minimum": values.min(),
            "maximum": values.max(),
            **{
                f"quantile_{round(q * 100):02}": values.quantile(q)
                for q in (0.05, 0.25, 0.75, 0.95)
            },
        }
        assert profile.summary_statistics[column] == pytest.approx(expected)
        share = profile.missing_data_percentages[column]
        assert share == pytest.approx(100 * values.isna().mean())
    counts = table["number_of_employees"].value_counts()
    found = profile.categories["number_of_employees"]
    assert found["distinct"] == len(counts)
    assert list(found["levels"].values()) == counts.iloc[:LEVELS].tolist()
    assert all(counts[level] == count for level, count in found["levels"].items())
    assert sum(found["levels"].values()) + found["others"] == counts.sum()
    assert profile.base_rate == pytest.approx((table["exited"] == 1).mean())


def test_without_an_id_column_no_clients_are_counted(project: Project) -> None:
    project.configure(id_column=None)
    project.write("sourcedata/batch.csv", BATCH)
    ingestion.run(project.config)
    profile = profile_data(project.config)
    assert profile.clients is profile.repeated_clients is None
    assert profile.conflicting_clients == 1
    assert "clients with several rows" not in describe(project)


def describe(project: Project) -> str:
    return diagnostics.describe(diagnostics.look(project.config))


def test_a_column_that_is_all_missing_has_no_statistics_and_prints_calmly(
    project: Project,
) -> None:
    project.write("sourcedata/batch.csv", f"{HEADER}\nAcme,,1,1,0\nBolt,,1,1,1\n")
    ingestion.run(project.config)
    found = profile_data(project.config)
    assert set(found.summary_statistics["lastmonth_activity"].values()) == {None}
    assert found.missing_data_percentages["lastmonth_activity"] == 100.0
    assert "100.0%" in describe(project)


def test_odd_names_of_columns_are_no_sql(project: Project) -> None:
    odd = ['Call  "x"; DROP', "label"]
    project.configure(numeric_columns=odd, target_column="select")
    project.write(
        "sourcedata/batch.csv", 'corporation,"Call  ""x""; DROP",label,select\nAcme,1,2,1\n'
    )
    ingestion.run(project.config)
    found = profile_data(project.config)
    assert found.base_rate == 1.0
    assert found.summary_statistics[odd[0]]["mean"] == 1.0
    assert found.summary_statistics["label"]["mean"] == 2.0


# --- the script -------------------------------------------------------------------------------


def test_the_tables_fit_80_columns_whatever_the_names_and_numbers(project: Project) -> None:
    long = "a column with a very long name, as people have them"
    project.configure(numeric_columns=[long, "tiny"], categorical_columns=["plan"])
    rows = [f"client {i},{(-1) ** i * 10 ** (i % 30)}.5,1e-{i % 9},level {'x' * 30} {i % 5},{i % 2}"
            for i in range(60)]  # fmt: skip
    header = f'corporation,"{long}",tiny,plan,exited'
    project.write("sourcedata/batch.csv", "\n".join([header, *rows, ""]))
    ingestion.run(project.config)
    deploy(project)
    record = {"time": "2026-03-01", "verdict": "kept", "reason": "none",
              "timings": {"training": 12345.678, "ingestion": 0.1, "reporting": 2.0}}  # fmt: skip
    history.record_run(project.config.history, record)
    lines = project.run("diagnostics.py").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    stages = [line.split()[0] for line in lines if line.endswith(" s")]
    assert stages == ["ingestion", "training", "reporting"]


def test_json_is_what_the_pipeline_records(ingested: Project) -> None:
    shown = json.loads(ingested.run("diagnostics.py", "--json").stdout)
    assert shown["execution_times"] == {"ingestion": None, "training": None}
    assert shown["packages"]["state"] == "switched off"
    diagnostics.run(ingested.config, {"ingestion": 1.5})
    recorded = files.read_json(ingested.config.diagnostics)
    assert recorded["execution_times"] == {"ingestion": 1.5, "training": None}
    assert recorded.keys() == shown.keys()
    assert recorded["summary_statistics"] == shown["summary_statistics"]


def test_timings_of_this_run_go_before_those_of_the_history(ingested: Project) -> None:
    record = {"time": "2026-03-01", "verdict": "kept", "reason": "none",
              "timings": {"training": 9.0, "ingestion": 9.0}}  # fmt: skip
    history.record_run(ingested.config.history, record)
    assert diagnostics.run(ingested.config, {"ingestion": 1.0}).timings == {
        "ingestion": 1.0,
        "training": 9.0,
    }


def test_by_hand_nothing_is_written(ingested: Project) -> None:
    before = tree(ingested.root)
    ingested.run("diagnostics.py")
    ingested.run("diagnostics.py", "--json")
    assert tree(ingested.root) == before


def test_with_nothing_ingested_the_message_says_what_to_do(project: Project) -> None:
    result = project.run("diagnostics.py", check=False)
    assert result.returncode == 1
    assert "nothing is ingested yet" in result.stderr
    assert "fullprocess.py" in result.stderr
    assert result.stdout == ""


def test_with_nothing_ingested_the_pipeline_goes_on(project: Project) -> None:
    result = diagnostics.run(project.config)
    assert result.profile.rows == 0
    assert result.profile.base_rate is None
    recorded = files.read_json(project.config.diagnostics)
    assert set(recorded["missing_data_percentages"].values()) == {None}


def test_without_a_deployed_model_the_tables_stand_and_the_message_says_what_to_do(
    project: Project,
) -> None:
    project.write("sourcedata/batch.csv", BATCH)
    ingestion.run(project.config)
    result = project.run("diagnostics.py", check=False)
    assert result.returncode == 1
    assert "NUMBERS" in result.stdout
    assert "no model is deployed yet; run fullprocess.py" in result.stderr


def test_data_of_other_settings_are_named_as_such(ingested: Project) -> None:
    ingested.configure(numeric_columns=["lastmonth_activity"])
    result = ingested.run("diagnostics.py", check=False)
    assert result.returncode == 1
    assert "expected the columns" in result.stderr


def test_a_pip_in_the_background_is_stopped_when_the_profile_fails(
    ingested: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    ingested.config.final_data.write_text("other,columns\n")
    config = replace(ingested.config, package_check=True)
    with pytest.raises(DataError), packages.checking(config) as check:
        diagnostics.run(config, check=check)
    assert check.process is not None
    assert check.process.returncode is not None
    with pytest.raises(DataError):
        diagnostics.run(config)


def test_the_pipeline_stores_what_pip_said(
    ingested: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setattr(diagnostics, "PIPELINE_WAIT_SECONDS", 60.0)
    config = replace(ingested.config, package_check=True)
    result = diagnostics.run(config)
    assert result.packages.state == packages.UNREACHABLE
    assert packages.start_check(config).process is None


# --- measuring --------------------------------------------------------------------------------


@pytest.mark.slow
def test_measuring_times_both_stages_and_touches_nothing(project: Project) -> None:
    project.write("sourcedata/book.csv", csv_text(client_rows(600, seed=3)))
    project.write("testdata/testdata.csv", csv_text(client_rows(200, seed=4, open_share=0.0)))
    before = tree(project.root)
    seconds = json.loads(project.run("diagnostics.py", "--measure", "--json").stdout)
    assert list(seconds) == ["ingestion", "training"]
    assert all(value > 0 for value in seconds.values())
    assert tree(project.root) == before
    lines = project.run("diagnostics.py", "--measure").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["ingestion", "training"]


def test_a_stage_that_fails_while_being_measured_is_said(project: Project) -> None:
    result = project.run("diagnostics.py", "--measure", check=False)
    assert result.returncode == 1
    assert "failed while being measured" in result.stderr


def test_many_rows_are_profiled_within_a_small_memory(project: Project) -> None:
    """The memory limit is a setting, and the statistics keep to it."""
    config = replace(project.config, memory_limit="500MB")
    rng = np.random.default_rng(1)
    rows = 300_000
    table = pd.DataFrame({
        "corporation": np.arange(rows).astype(str),
        **{column: rng.integers(0, 10_000, rows) for column in config.numeric_columns},
        "exited": rng.integers(0, 2, rows),
    })  # fmt: skip
    table.to_csv(config.final_data, index=False)
    profile = profile_data(config)
    assert profile.rows == rows
    median = profile.summary_statistics["number_of_employees"]["median"]
    assert median == table["number_of_employees"].median()


def test_help_names_every_option() -> None:
    text: Any = subprocess.run(
        [sys.executable, REPOSITORY / "diagnostics.py", "--help"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "--json" in text
    assert "--measure" in text
