"""Diagnostics: the numbers are pandas' own, the tables fit a terminal, and nothing is written."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pytest

import diagnostics
import ingestion
from attrition.core import atomic_files
from attrition.core.config import Config
from attrition.core.errors import DataError
from attrition.core.labels import NO_LABELS
from attrition.data.ledger import Ledger, read_ledger
from attrition.data.profile import LEVELS, BatchProfile, DataProfile, missing_changes, profile_data
from attrition.data.synthetic import client_rows, csv_text
from attrition.report.diagnostics_text import describe_decision
from attrition.runs import history, package_check
from tests.conftest import HEADER, REPOSITORY, Project
from tests.support.context import context_of
from tests.support.outcome import stamped_tree
from tests.support.records import decision_record
from tests.support.releases import deploy

BATCH = f"""{HEADER}
Acme,10,1,5,0
Acme,20,2,5,1
Bolt,,3,5,0
Bolt,,3,5,1
Crest,40,4,5,1
Dune,30,,5,0
"""


def diagnose(
    config: Config, timings: Mapping[str, float] = MappingProxyType({})
) -> diagnostics.DiagnosticsResult:
    """As the pipeline does."""
    with package_check.checking(config) as check:
        return diagnostics.run(context_of(config), timings, check)


@pytest.fixture
def ingested(project: Project) -> Project:
    """Six labelled rows of four clients, ingested, and a deployed model."""
    project.write("sourcedata/batch.csv", BATCH)
    ingestion.run(project.config)
    deploy(project)
    return project


def test_the_profile_is_computed_by_hand(ingested: Project) -> None:
    profile = profile_data(ingested.config, read_ledger(ingested.config.ledger))
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
    project.configure(
        numeric_columns=["lastmonth_activity", "lastyear_activity"],
        categorical_columns=["number_of_employees"],
    )
    project.write("sourcedata/book.csv", csv_text(client_rows(1500, seed=3)))
    ingestion.run(project.config)
    profile = profile_data(project.config, read_ledger(project.config.ledger))
    table = pd.read_csv(
        project.config.final_data,
        dtype={"number_of_employees": str},
        keep_default_na=False,
        na_values=[""],
    )
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
    profile = profile_data(project.config, read_ledger(project.config.ledger))
    assert profile.clients is profile.repeated_clients is None
    assert profile.conflicting_clients == 1
    assert "clients with several rows" not in describe(project)


def describe(project: Project) -> str:
    found = diagnostics.look(project.config)
    return diagnostics.describe(found, None, "", project.config.labels, project.root)


def test_a_column_that_is_all_missing_has_no_statistics_and_prints_calmly(
    project: Project,
) -> None:
    project.write("sourcedata/batch.csv", f"{HEADER}\nAcme,,1,1,0\nBolt,,1,1,1\n")
    ingestion.run(project.config)
    found = profile_data(project.config, read_ledger(project.config.ledger))
    assert set(found.summary_statistics["lastmonth_activity"].values()) == {None}
    assert found.missing_data_percentages["lastmonth_activity"] == 100.0
    assert "100.0%" in describe(project)


def test_numbers_of_any_size_keep_apart(project: Project) -> None:
    """Their standard deviation is beyond all floats."""
    rows = [f"C{n},{sign}1e300,1,1,{n % 2}" for n, sign in enumerate(["", "-"] * 4)]
    project.write("sourcedata/batch.csv", "\n".join([HEADER, *rows, ""]))
    ingestion.run(project.config)
    (row,) = (one for one in describe(project).splitlines() if one.startswith("lastmonth"))
    assert row.split()[3:] == ["-", "-1e+300", "1.0e+300", "0.0%"]
    assert len(row) <= 80


def test_odd_names_of_columns_are_no_sql(project: Project) -> None:
    odd = ['Call  "x"; DROP', "label"]
    project.configure(numeric_columns=odd, target_column="select")
    project.write(
        "sourcedata/batch.csv", 'corporation,"Call  ""x""; DROP",label,select\nAcme,1,2,1\n'
    )
    ingestion.run(project.config)
    found = profile_data(project.config, read_ledger(project.config.ledger))
    assert found.base_rate == 1.0
    assert found.summary_statistics[odd[0]]["mean"] == 1.0
    assert found.summary_statistics["label"]["mean"] == 2.0


# --- the script -------------------------------------------------------------------------------


def test_the_tables_fit_80_columns_whatever_the_names_and_numbers(project: Project) -> None:
    long = "a column with a very long name, as people have them"
    project.configure(numeric_columns=[long, "tiny"], categorical_columns=["plan"])
    rows = [
        f"client {i},{(-1) ** i * 10 ** (i % 30)}.5,1e-{i % 9},level {'x' * 30} {i % 5},{i % 2}"
        for i in range(60)
    ]
    header = f'corporation,"{long}",tiny,plan,exited'
    project.write("sourcedata/batch.csv", "\n".join([header, *rows, ""]))
    ingestion.run(project.config)
    deploy(project)
    record = {
        "time": "2026-03-01",
        "verdict": "kept",
        "reason": "none",
        "timings": {"training": 12345.678, "ingestion": 0.1, "reporting": 2.0},
    }
    history.record_run(project.config.history, record)
    lines = project.run("diagnostics.py").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    stages = [line.split()[0] for line in lines if line.endswith(" s")]
    assert stages == ["ingestion", "training", "reporting"]


def test_stages_stand_in_the_order_of_a_run_and_unknown_ones_behind() -> None:
    mixed = {"zoo": 1.0, "answers": 2.0, "check": 3.0, "apples": 4.0, "training": 5.0}
    assert list(diagnostics.in_order(mixed).items()) == [
        ("ingestion", None),
        ("training", 5.0),
        ("check", 3.0),
        ("answers", 2.0),
        ("apples", 4.0),
        ("zoo", 1.0),
    ]


def test_json_is_what_the_pipeline_records(ingested: Project) -> None:
    shown = json.loads(ingested.run("diagnostics.py", "--json").stdout)
    assert list(shown["execution_times"].items()) == [("ingestion", None), ("training", None)]
    assert shown["missing_data_changes"]["lastmonth_activity"]["training_rows"] is None
    assert shown["batches"][0]["rows"] == 6
    assert shown["packages"]["state"] == "switched off"
    diagnose(ingested.config, {"ingestion": 1.5})
    recorded = atomic_files.read_json(ingested.config.diagnostics)
    assert recorded["execution_times"] == {"ingestion": 1.5, "training": None}
    assert recorded.keys() == shown.keys()
    assert recorded["summary_statistics"] == shown["summary_statistics"]


def test_timings_of_this_run_go_before_those_of_the_history(ingested: Project) -> None:
    record = {
        "time": "2026-03-01",
        "verdict": "kept",
        "reason": "none",
        "timings": {"training": 9.0, "ingestion": 9.0},
    }
    history.record_run(ingested.config.history, record)
    assert diagnose(ingested.config, {"ingestion": 1.0}).timings == {
        "ingestion": 1.0,
        "training": 9.0,
    }


def test_by_hand_nothing_is_written(ingested: Project) -> None:
    before = stamped_tree(ingested.root)
    ingested.run("diagnostics.py")
    ingested.run("diagnostics.py", "--json")
    assert stamped_tree(ingested.root) == before


def test_with_nothing_ingested_the_message_says_what_to_do(project: Project) -> None:
    result = project.run("diagnostics.py", check=False)
    assert result.returncode == 1
    assert "nothing is ingested yet" in result.stderr
    assert "fullprocess.py" in result.stderr
    assert result.stdout == ""


def test_with_nothing_ingested_the_pipeline_goes_on(project: Project) -> None:
    result = diagnose(project.config)
    assert result.profile.rows == 0
    assert result.profile.base_rate is None
    recorded = atomic_files.read_json(project.config.diagnostics)
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
    with pytest.raises(DataError), package_check.checking(config) as check:
        diagnostics.run(context_of(config), {}, check)
    assert check.process is not None
    assert check.process.returncode is not None
    with pytest.raises(DataError):
        diagnose(config)


def test_the_pipeline_stores_what_pip_said(
    ingested: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setattr(diagnostics, "PIPELINE_WAIT_SECONDS", 60.0)
    config = replace(ingested.config, package_check=True)
    result = diagnose(config)
    assert result.packages.state == package_check.UNREACHABLE
    assert package_check.start_check(config).process is None


# --- batches and missing data -----------------------------------------------------------------


def test_batches_and_missing_data_are_those_of_pandas(finished_copy: Project) -> None:
    """Rates by ledger commit, from the bytes the ledger names; change against the training rows."""
    project = finished_copy
    project.write(
        "sourcedata/february.csv", csv_text(client_rows(300, seed=9, first_client=90_000))
    )
    ingestion.run(project.config)
    config = project.config
    content = config.final_data.read_bytes()
    names = content.split(b"\n", 1)[0].decode().split(",")
    shown = json.loads(project.run("diagnostics.py", "--json").stdout)
    commits = read_ledger(config.ledger).commits
    assert len(shown["batches"]) == len(commits) == 2
    for found, commit in zip(shown["batches"], commits, strict=True):
        part = io.BytesIO(content[commit.start : commit.end])
        table = pd.read_csv(part, names=names, header=0 if commit.start == 0 else None)
        assert (found["commit"], found["time"]) == (commit.id, commit.time)
        assert found["rows"] == len(table) == commit.rows
        assert found["base_rate"] == pytest.approx((table["exited"] == 1).mean())
        for column in config.numeric_columns:
            share = 100 * table[column].isna().mean()
            assert found["missing_data_percentages"][column] == pytest.approx(share)
    # The deployed model was trained on the first batch: none of its rows is test data.
    first = pd.read_csv(io.BytesIO(content[: commits[0].end]))
    whole = pd.read_csv(config.final_data)
    for column in config.numeric_columns:
        found = shown["missing_data_changes"][column]
        before, now = 100 * first[column].isna().mean(), 100 * table[column].isna().mean()
        assert found["training_rows"] == pytest.approx(before)
        assert found["newest_batch"] == pytest.approx(now)
        assert found["all_rows"] == pytest.approx(100 * whole[column].isna().mean())
        assert found["change"] == pytest.approx(now - before)
    tables = project.run("diagnostics.py").stdout
    assert "MISSING" in tables
    assert f"{now - before:+.1f} points" in tables
    assert max(map(len, tables.splitlines())) <= 80


def test_missing_categories_are_compared_with_the_blank_ones_of_training() -> None:
    shares: dict[str, float | None] = {"plan": 50.0}
    batch = BatchProfile("c", "2026", 4, 0.5, {"plan": 75.0})
    profile = DataProfile(8, 0.5, 8, 0, 0, {}, {}, shares, (batch,))
    reference = {"rows": 20, "numeric": {}, "categorical": {"plan": {"blank": 5}}}
    assert missing_changes(profile, reference)["plan"] == {
        "training_rows": 25.0,
        "all_rows": 50.0,
        "newest_batch": 75.0,
        "change": 50.0,
    }
    assert missing_changes(profile, None)["plan"]["change"] is None


def test_of_many_batches_the_newest_twelve_are_shown(project: Project) -> None:
    for number in range(14):
        project.write(f"sourcedata/batch{number:02}.csv", f"{HEADER}\nA{number},1,1,{number},0\n")
        ingestion.run(project.config)
    found = profile_data(project.config, read_ledger(project.config.ledger)).batches
    commits = read_ledger(project.config.ledger).commits
    assert [batch.commit for batch in found] == [commit.id for commit in commits[-12:]]
    assert [batch.rows for batch in found] == [1] * 12


def test_a_line_break_in_a_clients_name_does_not_shift_the_rows(project: Project) -> None:
    """finaldata.csv is read as it is written: rows end in a line feed, values may hold others."""
    project.write("sourcedata/a.csv", f'{HEADER}\n"Acme\r\nLtd",1,,3,1\n"Bolt\rplc",1,2,3,0\n')
    ingestion.run(project.config)
    project.write("sourcedata/b.csv", f"{HEADER}\nCrest,1,2,,1\n")
    ingestion.run(project.config)
    profile = profile_data(project.config, read_ledger(project.config.ledger))
    assert [(batch.rows, batch.base_rate) for batch in profile.batches] == [(2, 0.5), (1, 1.0)]
    assert profile.clients == 3


# --- predictions ------------------------------------------------------------------------------

TABLE = """number_of_employees,corporation,lastyear_activity,lastmonth_activity
1,"Zwölf, GmbH",1,0
1,007,1,100
1,NA,1,
1,=1+1,1,25
1,Bad,1,abc
"""


def test_predictions_are_those_of_the_scorecard_by_hand(project: Project) -> None:
    deploy(project)
    path = project.write("table.csv", TABLE)
    before = stamped_tree(project.root)
    result = project.run("diagnostics.py", "--predict", str(path))
    rows = list(csv.reader(io.StringIO(result.stdout)))
    assert rows[0] == ["id", "probability", "prediction"]
    assert [row[0] for row in rows[1:]] == ["Zwölf, GmbH", "007", "NA", "=1+1"]
    chances = [1 / (1 + math.exp(-z)) for z in (2.0, -2.0, 1.0, 1.0)]  # see quiet_month_card
    assert [float(row[1]) for row in rows[1:]] == pytest.approx(chances, abs=1e-12)
    assert [row[2] for row in rows[1:]] == ["1", "0", "1", "1"]
    assert "table.csv, line 6: rejected; lastmonth_activity: " in result.stderr
    assert "abc" not in result.stderr
    assert stamped_tree(project.root) == before


def test_predicted_labels_are_spelt_as_the_settings_spell_them(project: Project) -> None:
    project.configure(positive_label="gone", negative_label="here")
    deploy(project)
    path = project.write("table.csv", TABLE)
    shown = project.run("diagnostics.py", "--predict", str(path)).stdout
    rows = list(csv.reader(io.StringIO(shown)))[1:]
    assert [label for _, _, label in rows] == ["gone", "here", "gone", "gone"]


def refusal(project: Project, path: Path) -> str:
    """What is said instead of predictions, none of which may be printed."""
    ended = project.run("diagnostics.py", "--predict", str(path), check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    return ended.stderr


def test_predictions_need_a_model_that_fits_and_a_file(project: Project) -> None:
    path = project.write("table.csv", TABLE)
    assert "no model is deployed" in refusal(project, path)
    deploy(project)
    assert "none.csv" in refusal(project, project.root / "none.csv")
    project.configure(numeric_columns=["lastmonth_activity"])
    assert "has other columns or labels" in refusal(project, path)


def test_a_model_of_other_labels_is_not_asked(finished_copy: Project) -> None:
    finished_copy.configure(positive_label="0", negative_label="1")
    path = finished_copy.write("table.csv", TABLE)
    assert "has other columns or labels" in refusal(finished_copy, path)


def test_predictions_can_be_had_as_json(project: Project) -> None:
    deploy(project)
    path = project.write("table.csv", TABLE)
    rows = json.loads(project.run("diagnostics.py", "--predict", str(path), "--json").stdout)
    assert [list(row) for row in rows] == [["id", "probability", "prediction"]] * 4
    assert [(row["id"], row["prediction"]) for row in rows] == [
        ("Zwölf, GmbH", "1"),
        ("007", "0"),
        ("NA", "1"),
        ("=1+1", "1"),
    ]
    assert rows[1]["probability"] == pytest.approx(1 / (1 + math.exp(2.0)), abs=1e-12)


# --- the last decision ------------------------------------------------------------------------


def test_by_hand_the_last_decision_is_shown_with_its_age_and_its_numbers(
    finished_copy: Project,
) -> None:
    project = finished_copy
    rows = client_rows(1500, seed=9, drift=1.0, first_client=90_000)
    project.write("sourcedata/may.csv", csv_text(rows))
    project.run("fullprocess.py")
    record = atomic_files.read_json(project.config.decision)
    shown = project.run("diagnostics.py").stdout
    assert max(map(len, shown.splitlines())) <= 80
    flat = " ".join(shown.split())
    assert record["reason"] in flat
    assert re.search(rf"{record['verdict'].capitalize()}, (just now|\d+ minutes? ago): ", flat)
    line = next(line for line in shown.splitlines() if line.startswith("new rows "))
    found, measures = (record["drift"][key]["new rows"] for key in ("performance", "measures"))
    assert line.split()[2:7] == [
        f"{found['at_deployment']:.3f}",
        f"{found['now']:.3f}",
        "-",  # what the probabilities let expect is not to be believed after drift
        f"{measures['roc_auc']['at_deployment']:.3f}",
        f"{measures['roc_auc']['now']:.3f}",
    ]
    assert line.split()[7] == f"{100 * measures['calibration_gap']['now']:+.1f}"
    assert "estimates are not to be believed" in flat.lower()
    drifted = [
        one for one in record["drift"]["data"]["new rows"]["columns"] if one["verdict"] == "drift"
    ]
    changes = {t["term"]: t["change"] for t in record["drift"]["impact"]["new rows"]["terms"]}
    assert drifted
    for one in drifted:
        words = f"{one['column']} {one['psi']:.2f} {changes[one['column']]:+.2f} {one['change']}"
        assert words in flat


def test_columns_are_called_by_their_labels_in_every_table(finished_copy: Project) -> None:
    """The drift table among them: a shift of one column is made up in the record."""
    finished_copy.configure(labels={"lastmonth_activity": "orders last month"})
    record = atomic_files.read_json(finished_copy.config.decision)
    shift = {"column": "lastmonth_activity", "verdict": "drift", "psi": 0.5, "change": "more"}
    record["drift"]["data"] = {
        "new rows": {"verdict": "drift", "rows": 9, "columns": [shift], "reason": ""}
    }
    atomic_files.write_json(finished_copy.config.decision, record)
    shown = finished_copy.run("diagnostics.py").stdout
    assert "lastmonth_activity" not in shown
    assert re.search(r"^orders last month  .*%$", shown, re.MULTILINE)
    assert "  orders last month       0.50" in shown


def test_outcomes_of_old_lists_are_shown_in_80_columns() -> None:
    top = {"clients": 10, "known": 8, "left": 6, "share_left": 0.75}
    everybody = {"clients": 500, "known": 400, "left": 100, "share_left": 0.25}
    outcome = {
        "time": "2026-03-01T06:00:00",
        "release": "000001-a",
        "top": {"10": top},
        "all": everybody,
    }
    decision = decision_record(
        time="2026-03-01T06:00:00+00:00",
        reason="x\x1b[31m" * 90,
        ranking={"outcomes": [outcome]},
    )
    now = "2026-03-04T07:00:00+00:00"
    shown = "\n\n".join(describe_decision(decision, now, NO_LABELS, Path("/")))
    assert max(map(len, shown.splitlines())) <= 80
    assert "\x1b" not in shown
    assert "Kept, 3 days ago" in shown
    assert "6 of 8 known of the first 10" in shown
    assert "100 of 400 known" in shown


# --- the history ------------------------------------------------------------------------------


def test_an_empty_history_is_said_calmly(project: Project) -> None:
    assert project.run("diagnostics.py", "--history").stdout.startswith("No run is recorded yet")
    assert json.loads(project.run("diagnostics.py", "--history", "--json").stdout) == []
    assert not project.config.history.exists()


def test_one_run_is_one_line(finished_copy: Project) -> None:
    head, line = finished_copy.run("diagnostics.py", "--history").stdout.splitlines()
    run = json.loads(finished_copy.run("diagnostics.py", "--history", "--json").stdout)[0]
    assert len(head) == len(line) <= 80
    assert line.split()[2:] == [
        "deployed",
        f"{run['candidate_score']['f1']:.3f}",
        "-",
        f"{run['new_rows']:,}",
        "000001",
        f"{sum(run['timings'].values()):.1f}",
        "s",
    ]
    assert line.startswith(run["time"][:16].replace("T", " "))
    assert set(run["timings"]) <= set(diagnostics.STAGES)


def test_the_history_is_newest_first_and_a_number_limits_it(project: Project) -> None:
    for number in range(30):
        record = {"time": f"2026-03-{number + 1:02}T06:00:00", "verdict": "kept", "reason": "no"}
        history.record_run(project.config.history, record)

    def days(*arguments: str) -> list[str]:
        lines = project.run("diagnostics.py", "--history", *arguments).stdout.splitlines()[1:]
        return [line[8:10] for line in lines]

    assert days() == [f"{day:02}" for day in range(30, 10, -1)]
    assert days("2") == ["30", "29"]
    assert len(json.loads(project.run("diagnostics.py", "--json", "--history").stdout)) == 30
    assert len(json.loads(project.run("diagnostics.py", "--json", "--history", "3").stdout)) == 3
    none = project.run("diagnostics.py", "--history", "0", check=False)
    assert none.returncode == 2
    assert "--history: expected a number of runs, 1 or more, found '0'" in none.stderr


# --- measuring --------------------------------------------------------------------------------


@pytest.mark.slow
def test_measuring_times_both_stages_and_touches_nothing(project: Project) -> None:
    project.write("sourcedata/book.csv", csv_text(client_rows(600, seed=3)))
    project.write("testdata/testdata.csv", csv_text(client_rows(200, seed=4, open_share=0.0)))
    before = stamped_tree(project.root)
    seconds = json.loads(project.run("diagnostics.py", "--measure", "--json").stdout)
    assert list(seconds) == ["ingestion", "training"]
    assert all(value > 0 for value in seconds.values())
    assert stamped_tree(project.root) == before
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
    table = pd.DataFrame(
        {
            "corporation": np.arange(rows).astype(str),
            **{column: rng.integers(0, 10_000, rows) for column in config.numeric_columns},
            "exited": rng.integers(0, 2, rows),
        }
    )
    table.to_csv(config.final_data, index=False)
    profile = profile_data(config, Ledger())
    assert profile.rows == rows
    median = profile.summary_statistics["number_of_employees"]["median"]
    assert median == table["number_of_employees"].median()


def test_help_names_every_option() -> None:
    text: Any = subprocess.run(
        [sys.executable, REPOSITORY / "diagnostics.py", "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "--json" in text
    assert "--measure" in text
    assert "--history" in text
    assert "--predict" in text
