"""The whole pipeline through the real script: from files in a folder to a deployed model."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from app import create_app
from attrition.calls.holdout import is_held_out
from attrition.core import atomic_files, releases
from attrition.core.spreadsheet import plain
from attrition.data import synthetic
from attrition.runs import history
from tests.conftest import REPOSITORY, Project, book
from tests.support.outcome import tree
from tests.support.records import texts
from tests.support.releases import live_id

SCRIPT = "fullprocess.py"
# Measuring coverage has a process import what it would not, and takes its time.
UNMEASURED = {key: value for key, value in os.environ.items() if not key.startswith("COV")}
IDLE = "idle: nothing has changed since the last finished run"
FEBRUARY = book(2500, 4, drift=1.0)


@pytest.fixture
def project(finished_copy: Project) -> Project:
    """A project after its first run."""
    return finished_copy


def settle(project: Project) -> None:
    """Run until idle: a copy has other inodes, which are looked at once."""
    for _ in range(3):
        if IDLE in project.run(SCRIPT).stderr:
            return
    raise AssertionError("the pipeline does not come to rest")


def decision(project: Project) -> dict[str, Any]:
    return dict(atomic_files.read_json(project.root / "models/decision.json"))


def test_the_first_run_deploys_a_model_and_says_so_in_80_columns(finished: Path) -> None:
    text = (finished / "first.txt").read_text()
    assert "DEPLOYED: it is the first model" in text
    assert max(map(len, text.splitlines())) <= 80
    record = atomic_files.read_json(finished / "models/decision.json")
    assert record["verdict"] == "deployed"
    assert record["release_before"] is None
    assert record["release_after"].startswith("000001-")
    assert record["candidate_score"]["f1"] > 0.6
    ledger = atomic_files.read_json(finished / "ingesteddata/ledger.json")
    assert record["ranking"]["clients"] == ledger["open_clients"]["rows"]
    assert f"{record['ranking']['high']} of " in text


@pytest.mark.parametrize(
    "name",
    [
        "ingesteddata/finaldata.csv",
        "ingesteddata/ingestedfiles.txt",
        "ingesteddata/ledger.json",
        "ingesteddata/openclients.csv",
        "models/trainedmodel.pkl",
        "models/scorecard.json",
        "models/training.json",
        "models/latestscore.txt",
        "models/scores.json",
        "models/confusionmatrix.png",
        "models/clientrisk.csv",
        "models/apireturns.txt",
        "models/decision.json",
        "models/history.db",
        "models/diagnostics.json",
        "production_deployment/current/manifest.json",
        "production_deployment/trainedmodel.pkl",
        "production_deployment/scorecard.json",
        "production_deployment/latestscore.txt",
        "production_deployment/ingestedfiles.txt",
        "production_deployment/manifest.json",
        "cron.log",
    ],
)
def test_every_file_of_the_interface_is_there(finished: Path, name: str) -> None:
    assert (finished / name).stat().st_size > 0


def test_the_latest_score_is_one_number_and_the_f1_of_the_scores(finished: Path) -> None:
    number = float((finished / "models/latestscore.txt").read_text())
    assert number == atomic_files.read_json(finished / "models/scores.json")["f1"]


def test_a_second_run_is_idle_and_writes_one_line_in_the_log(project: Project) -> None:
    settle(project)
    before = tree(project.root)
    log = project.root / "cron.log"
    lines = len(log.read_text().splitlines())
    result = project.run(SCRIPT)
    assert result.stdout == ""
    assert tree(project.root) == before
    assert len(log.read_text().splitlines()) == lines + 1


def test_an_idle_run_imports_the_standard_library_alone(project: Project) -> None:
    settle(project)
    result = subprocess.run(
        [sys.executable, "-X", "importtime", REPOSITORY / SCRIPT, "--config", project.config_path],
        env=UNMEASURED,
        capture_output=True,
        text=True,
        check=True,
    )
    assert IDLE in result.stderr
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    ours = {name for name in imported if name.split(".")[0] == "attrition"}
    assert ours <= {
        "attrition",
        "attrition.core",
        "attrition.core.paths",
        "attrition.core.permissions",
        "attrition.runs",
        "attrition.runs.idle",
    }
    heavy = {
        "numpy",
        "pandas",
        "duckdb",
        "sklearn",
        "scipy",
        "matplotlib",
        "flask",
        "sqlite3",
        "rich",
    }
    assert not heavy & {name.split(".")[0] for name in imported}


def test_an_idle_run_costs_at_most_five_times_a_bare_interpreter(project: Project) -> None:
    """In processor time, which other work on the machine hardly touches."""

    def seconds(*command: Any) -> float:
        process = subprocess.Popen(
            [sys.executable, *command], stderr=subprocess.DEVNULL, env=UNMEASURED
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return usage.ru_utime + usage.ru_stime

    settle(project)
    idle, bare = [], []
    for _ in range(7):  # in turn, so that both meet the same machine
        bare.append(seconds("-c", "import json"))
        idle.append(seconds(REPOSITORY / SCRIPT, "--config", project.config_path))
    print(f"idle {median(idle):.3f} s, bare interpreter {median(bare):.3f} s")
    assert median(idle) <= 5 * median(bare)


def test_a_dry_run_says_what_would_happen_and_writes_nothing(project: Project) -> None:
    settle(project)
    assert "would do nothing" in project.run(SCRIPT, "--dry-run").stdout
    project.write("sourcedata/february.csv", book(100, 3))
    before = tree(project.root)
    result = project.run(SCRIPT, "--dry-run")
    assert "february.csv" in result.stdout
    assert tree(project.root) == before


def test_a_drifted_batch_leads_to_a_new_release_that_explains_itself(project: Project) -> None:
    old = live_id(project)
    project.write("sourcedata/february.csv", FEBRUARY)
    result = project.run(SCRIPT)
    record = decision(project)
    assert record["verdict"] == "deployed"
    assert record["release_before"] == old
    assert live_id(project) == record["release_after"] != old
    assert record["drift"]["performance"]["new rows"]["verdict"] == "drift"
    drifted = [
        column["column"]
        for column in record["drift"]["data"]["new rows"]["columns"]
        if column["verdict"] == "drift"
    ]
    assert "lastyear_activity" in drifted
    assert "number_of_employees" not in drifted
    evidence = record["evidence"]
    assert evidence["unseen"]["difference"] > 0
    assert evidence["unseen"]["confidence"] >= evidence["needed_confidence"] > 0.9
    assert evidence["claims_better"]
    assert evidence["pooled"]["rows"] == evidence["test"]["rows"] + evidence["unseen"]["rows"]
    assert "better than the deployed model on the rows new to both" in record["reason"]
    assert any("data drift in the new rows" in text for text in texts(record["warnings"]))
    impact = record["drift"]["impact"]["new rows"]
    total = sum(term["change"] for term in impact["terms"])
    assert total == pytest.approx(impact["log_odds_change"], abs=1e-9)
    assert impact["terms"][0]["term"] in drifted
    assert impact["terms"][0]["term"] in result.stdout.split("Impact")[1]
    assert impact["risk_now"] > impact["risk_before"]
    assert record["drift"]["measures"]["new rows"]["roc_auc"]["change"] < 0
    expected = record["drift"]["expected_scores"]
    assert expected["open clients"]["is_estimate"]
    # What the probabilities promise was no longer true of these rows.
    assert expected["new rows"]["f1"] > record["scores"]["new rows"]["f1"]
    assert max(map(len, result.stdout.splitlines())) <= 80
    # Before and after, on the same test rows.
    for name in ("confusionmatrix.png", "confusionmatrix2.png"):
        assert (project.root / "models" / name).stat().st_size > 0
    answers = [
        atomic_files.read_json(project.root / "models" / name)["/prediction"]["model_version"]
        for name in ("apireturns.txt", "apireturns2.txt")
    ]
    assert answers == [old, live_id(project)]
    manifest = atomic_files.read_json(project.root / "production_deployment/manifest.json")
    assert manifest["decision"]["reason"] == record["reason"]
    assert manifest["replaces"] == old


@pytest.mark.slow
def test_a_weak_model_that_replaces_a_weak_one_is_still_called_weak(project: Project) -> None:
    project.configure(model_score_threshold=0.99, reports=["html"])
    project.run(SCRIPT)
    project.write("sourcedata/february.csv", FEBRUARY)
    shown = " ".join(project.run(SCRIPT).stdout.split())
    assert "DEPLOYED" in shown
    assert "the new model's F1" in shown
    report = (project.root / "models/report.html").read_text()
    assert "under what the settings ask for, though it ranks well" in report
    assert "weaker than it should be" not in report


def test_rows_that_are_all_known_train_nothing(project: Project) -> None:
    old = live_id(project)
    known = (project.root / "sourcedata/january.csv").read_text()
    project.write("sourcedata/again.csv", known + "\n")
    project.run(SCRIPT)
    record = decision(project)
    assert record["verdict"] == "kept"
    assert record["new_rows"] == 0
    assert record["training"]["kind"] == "nothing"
    assert live_id(project) == old


def test_a_candidate_that_learnt_noise_is_not_deployed(project: Project) -> None:
    """Shuffled labels: on them it is better, and worse on the test data, which decide."""
    old = live_id(project)
    header, *rows = book(2500, 5, open_share=0.0).splitlines()
    labels = [row.rpartition(",")[2] for row in rows]
    shuffled = [
        f"{row.rpartition(',')[0]},{label}"
        for row, label in zip(rows, labels[7:] + labels[:7], strict=True)
    ]
    project.write("sourcedata/noise.csv", "\n".join([header, *shuffled]) + "\n")
    project.run(SCRIPT)
    record = decision(project)
    assert record["verdict"] == "kept"
    assert "the candidate ranks the new rows as chance does" in record["reason"]
    assert record["evidence"]["unseen"]["gain"] > 0 > record["evidence"]["test"]["gain"]
    assert live_id(project) == old
    settle(project)


def test_a_rollback_stays_until_new_rows_come(project: Project) -> None:
    first = live_id(project)
    project.write("sourcedata/february.csv", FEBRUARY)
    project.run(SCRIPT)
    second = live_id(project)
    assert second != first
    assert str(first) in project.run("deployment.py", "--rollback").stdout
    assert live_id(project) == first
    project.run(SCRIPT)
    assert live_id(project) == first
    assert "rolled back by hand" in decision(project)["reason"]
    settle(project)
    project.write("sourcedata/march.csv", book(2500, 6, drift=1.0))
    project.run(SCRIPT)
    assert decision(project)["training"]["kind"] == "new rows"
    assert live_id(project) not in (first, second)


def test_a_rollback_stays_even_when_rows_came_that_had_not_made_a_better_model(
    project: Project,
) -> None:
    """Those rows are known when somebody rolls back: the next tick must not undo it."""
    first = live_id(project)
    project.write("sourcedata/february.csv", FEBRUARY)
    project.run(SCRIPT)
    project.write("sourcedata/march.csv", book(60, 7, drift=1.0))
    project.run(SCRIPT)
    project.run("deployment.py", "--rollback", str(first))
    project.run(SCRIPT)
    assert live_id(project) == first
    assert "rolled back by hand" in decision(project)["reason"]


def test_a_damaged_or_deleted_decision_record_stops_nothing(project: Project) -> None:
    path = project.root / "models/decision.json"
    first = live_id(project)
    path.write_text("{")
    project.run(SCRIPT)
    assert decision(project)["verdict"] == "kept"
    path.unlink()
    shown = project.run(SCRIPT).stdout
    assert "KEPT" in shown
    assert live_id(project) == first
    settle(project)


def test_after_the_ledger_was_deleted_known_rows_are_no_exam(project: Project) -> None:
    """The deployed model has learnt the rows that stand there: they prove nothing."""
    (project.root / "ingesteddata/ledger.json").unlink()
    project.run(SCRIPT)
    record = decision(project)
    assert list(record["scores"]) == ["test data"]
    assert record["evidence"]["unseen"] is None
    assert "recorded anew" in record["training"]["reason"]


def test_after_rows_and_ledger_were_lost_rows_read_again_are_no_exam(project: Project) -> None:
    for name in ("ledger.json", "finaldata.csv"):
        (project.root / "ingesteddata" / name).unlink()
    project.write("sourcedata/february.csv", FEBRUARY)
    project.run(SCRIPT)
    record = decision(project)
    assert record["new_rows"] > 0
    assert list(record["scores"]) == ["test data"]
    assert record["evidence"]["unseen"] is None


def test_a_model_that_was_rolled_back_stays_away_when_the_ledger_is_lost(project: Project) -> None:
    first = live_id(project)
    project.write("sourcedata/february.csv", FEBRUARY)
    project.run(SCRIPT)
    assert live_id(project) != first
    project.run("deployment.py", "--rollback")
    (project.root / "ingesteddata/ledger.json").unlink()
    project.run(SCRIPT)
    assert live_id(project) == first
    assert "rolled back by hand" in decision(project)["training"]["reason"]


def test_a_model_that_does_not_fit_the_settings_is_not_asked_and_that_is_said(
    project: Project,
) -> None:
    """A column has become a category, and no candidate can be deployed: no run stumbles."""
    first = live_id(project)
    project.configure(
        numeric_columns=["lastmonth_activity", "lastyear_activity"],
        categorical_columns=["number_of_employees"],
        minimum_training_rows=100_000,
    )
    shown = " ".join(project.run(SCRIPT).stdout.split())
    reason = "unlike the model: number_of_employees"
    assert "There is no list of clients to call: config.json takes numbers" in shown
    assert live_id(project) == first
    record = decision(project)
    assert record["ranking"] is None
    assert reason in record["no_ranking"]
    settle(project)
    browser = create_app(project.config).test_client()
    assert reason in browser.get("/clients").get_json()["detail"]
    assert reason in browser.get("/", headers={"Accept": "text/html"}).text
    assert browser.get("/ready").get_json()["status"] == "ready"
    for script, option in (("scoring.py", "--deployed"), ("diagnostics.py", "--predict")):
        arguments = [option] if option == "--deployed" else [option, project.config.final_data]
        result = project.run(script, *map(str, arguments), check=False)
        assert result.returncode == 1
        assert reason in result.stderr


def test_after_a_change_of_columns_without_test_data_cross_validation_judges(
    project: Project,
) -> None:
    first = live_id(project)
    project.configure(numeric_columns=["lastmonth_activity", "lastyear_activity"])
    (project.root / "testdata/testdata.csv").unlink()
    project.run(SCRIPT)
    record = decision(project)
    assert record["verdict"] == "deployed"
    assert "the candidate's cross-validated F1 is" in record["reason"]
    assert "no test data to judge by" in " ".join(texts(record["warnings"]))
    assert live_id(project) != first


def test_after_a_change_of_columns_nothing_unknown_replaces_the_model(project: Project) -> None:
    first = live_id(project)
    project.configure(numeric_columns=["lastmonth_activity"], minimum_scoring_rows=5000)
    project.run(SCRIPT)
    assert decision(project)["verdict"] == "not enough evidence"
    assert live_id(project) == first


def test_a_file_that_waited_in_a_run_which_reported_for_a_killed_one_is_not_lost(
    project: Project,
) -> None:
    project.write("sourcedata/february.csv", FEBRUARY)
    command: list[str | Path] = [sys.executable, "-c", KILL, "decision.json", REPOSITORY / SCRIPT]
    killed = subprocess.run([*command, "--config", project.config_path], capture_output=True)
    assert killed.returncode == -9
    path = project.root / "sourcedata/march.csv"
    with path.open("w") as upload:
        upload.write(book(80, 7))
        upload.flush()
        assert "DEPLOYED" in project.run(SCRIPT).stdout
    project.run(SCRIPT)
    assert "march.csv" in (project.root / "ingesteddata/ingestedfiles.txt").read_text()
    assert decision(project)["new_rows"] > 0
    from attrition.runs import history

    verdicts = [run["verdict"] for run in history.runs(project.root / "models/history.db")]
    assert len(verdicts) == 3
    settle(project)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("a,1,1,1,1\n" * 3, "too few"),
        ("".join(f"c{k},{k},{k},{k},0\n" for k in range(200)), "same label"),
    ],
)
def test_without_enough_of_both_labels_there_is_no_model_and_a_reason(
    make_project: Callable[[str], Project], rows: str, words: str
) -> None:
    project = make_project("few")
    header = "corporation,lastmonth_activity,lastyear_activity,number_of_employees,exited\n"
    project.write("sourcedata/few.csv", header + rows)
    project.write("testdata/testdata.csv", book(300, 2, open_share=0.0))
    project.run(SCRIPT)
    record = decision(project)
    assert record["verdict"] == "not enough evidence"
    assert words in record["reason"]
    assert live_id(project) is None
    settle(project)


def test_how_many_rows_a_first_model_lacks_is_said_first_everywhere(
    make_project: Callable[[str], Project],
) -> None:
    project, missing = make_project("few"), "40, and at least 50 are needed, that is 10 more"
    project.configure(reports=["html"])
    project.write("sourcedata/january.csv", book(40, 1, open_share=0.0))
    assert missing in " ".join(project.run(SCRIPT).stdout.split())
    report = (project.root / "models/report.html").read_text()
    assert missing in report
    assert "Nothing calls for action" not in report
    assert "test rows" not in report
    browser = create_app(project.config).test_client()
    page = browser.get("/", headers={"Accept": "text/html"}).text
    lead = page.partition('<p class="lead">')[2].partition("</p>")[0]
    assert missing in lead
    assert "1 to do" in page
    assert missing in browser.post("/prediction", json=[]).text


def test_a_file_that_lost_all_its_rows_is_something_to_do_until_a_good_copy_comes(
    project: Project,
) -> None:
    project.configure(reports=["html"])
    head, *rows = book(300, 7).splitlines()
    broken = "\n".join([head, *(f"{row.rpartition(',')[0]},perhaps" for row in rows), ""])
    project.write("sourcedata/march.csv", broken)
    all_rows = f"{len(rows)} of {len(rows)} rows"
    lost = f"{all_rows} of march.csv were not taken in, most often because of exited: "

    def said() -> tuple[bool, bool, bool]:
        shown = " ".join(project.run(SCRIPT).stdout.split())
        report = (project.root / "models/report.html").read_text()
        page = create_app(project.config).test_client().get("/", headers={"Accept": "text/html"})
        to_do = page.text.partition('id="to-do"')[2].partition("</ul>")[0]
        return f"Attention {lost}" in shown, lost in report, lost in to_do

    assert said() == (True, True, True)
    project.write("sourcedata/april.csv", book(100, 8))
    assert said() == (True, True, True)
    project.write("sourcedata/march.csv", "\n".join([head, *rows, ""]))
    assert said() == (False, False, False)


def test_where_the_open_clients_are_among_lost_rows_nobody_is_told_to_leave_outcomes_blank(
    make_project: Callable[[str], Project],
) -> None:
    project = make_project("lost")
    project.configure(reports=["html"])
    project.write("sourcedata/january.csv", book(400, 1, open_share=0.0))
    head, *rows = book(60, 2, open_share=1.0).splitlines()
    broken = [row.replace(",", ",many", 1) for row in rows]
    project.write("sourcedata/february.csv", "\n".join([head, *broken, ""]))
    said = "No open clients: rows that were not taken in may hold them"
    assert f"Attention {said}." in " ".join(project.run(SCRIPT).stdout.split())
    browser = create_app(project.config).test_client()
    pages = [browser.get(path, headers={"Accept": "text/html"}).text for path in ("/", "/clients")]
    for text in (*pages, (project.root / "models/report.html").read_text()):
        assert said in text
        assert "leave the outcome blank" not in text


def test_an_empty_project_runs_and_says_that_there_is_nothing_yet(
    make_project: Callable[[str], Project],
) -> None:
    project = make_project("empty")
    assert "no rows to train one on" in project.run(SCRIPT, "--dry-run").stdout
    project.run(SCRIPT)
    assert "no labelled client rows" in decision(project)["reason"]
    settle(project)


def test_without_test_data_cross_validation_judges_the_first_model_new_rows_the_next(
    make_project: Callable[[str], Project],
) -> None:
    project = make_project("blind")
    project.write("sourcedata/january.csv", book(1500, 1))
    project.run(SCRIPT)
    first, record = live_id(project), decision(project)
    assert first is not None
    assert f"its cross-validated F1 is {record['cross_validated']['f1']:.3f}" in record["reason"]
    assert "no test data to judge by" in " ".join(texts(record["warnings"]))
    assert (project.root / "models/latestscore.txt").read_text() == "undefined\n"
    answers = atomic_files.read_json(project.root / "models/apireturns.txt")
    assert len(answers["/prediction"]["predictions"]) == 100
    assert answers["/scoring"]["cross_validated"]["f1"] == record["cross_validated"]["f1"]
    project.write("sourcedata/february.csv", book(1500, 4, drift=1.0))
    project.run(SCRIPT)
    record = decision(project)
    assert record["verdict"] == "deployed"
    new_rows = record["evidence"]["unseen"]
    assert (
        f"better than the deployed model on the rows new to both: log loss "
        f"{new_rows['challenger_log_loss']:.3f} against {new_rows['champion_log_loss']:.3f}, F1 "
        f"{new_rows['challenger_f1']:.3f} against {new_rows['champion_f1']:.3f} (+"
    ) in record["reason"]
    assert "the new rows stand in for them" in " ".join(texts(record["warnings"]))
    second = live_id(project)
    assert second not in (None, first)
    project.write("sourcedata/march.csv", book(12, 5))
    project.run(SCRIPT)
    assert decision(project)["verdict"] == "not enough evidence"
    assert live_id(project) == second


def with_columns(text: str, **columns: Callable[[int, int], object]) -> str:
    """A book of clients with further columns: name -> value by label and row number."""
    header, *rows = text.splitlines()
    lines = [f"{header},{','.join(columns)}"]
    for number, row in enumerate(rows):
        label = row.rpartition(",")[2]
        values = [str(made(int(label), number)) for made in columns.values()] if label else []
        lines.append(",".join([row, *(values or ["" for _ in columns])]))
    return "\n".join(lines) + "\n"


def test_a_column_that_is_the_answer_in_disguise_is_named_and_not_praised(
    make_project: Callable[[str], Project],
) -> None:
    """One is a copy, the other a copy with 2 % of the labels flipped; the third is honest."""
    project = make_project("leaking")
    numeric = ["lastmonth_activity", "lastyear_activity", "number_of_employees", "refund", "visits"]
    project.configure(numeric_columns=numeric, categorical_columns=["state"])
    clients = with_columns(
        book(1500, 1),
        refund=lambda label, number: label * (number % 7 + 1),
        state=lambda label, number: "here" if label == (number % 50 == 0) else "gone",
        visits=lambda label, number: number % 11 + label,
    )
    project.write("sourcedata/january.csv", clients)
    shown = project.run(SCRIPT).stdout
    record = decision(project)
    assert record["verdict"] == "deployed"
    assert "do not believe it before you have looked at refund, state" in record["reason"]
    (warning,) = [text for text in texts(record["warnings"]) if "too good to be true" in text]
    assert "refund (AUC 1.000) and state (AUC 0.9" in warning
    assert "visits" not in warning
    assert "too good to be true" in shown
    # The next run, which trains nothing, says so still.
    project.write("sourcedata/again.csv", clients + "\n")
    project.run(SCRIPT)
    assert decision(project)["training"]["kind"] == "nothing"
    assert "too good to be true" in " ".join(texts(decision(project)["warnings"]))
    # Without them it is an honest model, and nothing is said.
    project.configure(numeric_columns=[*numeric[:3], "visits"])
    project.run(SCRIPT)
    record = decision(project)
    assert record["verdict"] == "deployed"
    assert "too good" not in " ".join(texts(record["warnings"]))
    assert "believe" not in record["reason"]


def test_two_columns_that_are_the_answer_together_are_named_and_not_praised(
    make_project: Callable[[str], Project],
) -> None:
    """Neither bill tells much alone; that one is lower than the other tells all."""
    project = make_project("together")
    numeric = ["lastmonth_activity", "lastyear_activity", "number_of_employees", "before", "after"]
    project.configure(numeric_columns=numeric)
    clients = with_columns(
        book(1500, 1),
        before=lambda label, number: number * 37 % 200,
        after=lambda label, number: number * 37 % 200 - label * (20 + number % 30),
    )
    project.write("sourcedata/january.csv", clients)
    project.run(SCRIPT)
    record = decision(project)
    assert record["suspicious"]["columns"] == {}
    assert set(record["suspicious"]["together"]["columns"]) == {"before", "after"}
    assert "do not believe it before you have looked at " in record["reason"]
    (warning,) = [text for text in texts(record["warnings"]) if "too good to be true" in text]
    assert "nearly without error" in warning
    trained = project.run("training.py").stdout
    assert "is beyond belief, by " in trained
    assert max(map(len, trained.splitlines())) <= 80
    # The next run, which trains nothing, says so still.
    project.write("sourcedata/again.csv", clients + "\n")
    project.run(SCRIPT)
    assert decision(project)["training"]["kind"] == "nothing"
    assert "too good to be true" in " ".join(texts(decision(project)["warnings"]))


def test_test_rows_among_the_training_rows_are_left_out_and_counted(project: Project) -> None:
    lines = (project.root / "testdata/testdata.csv").read_text().splitlines()
    project.write("sourcedata/overlap.csv", "\n".join(lines[:101]) + "\n")
    project.run(SCRIPT)
    training = atomic_files.read_json(project.root / "models/training.json")
    assert training["left_out_test_rows"] == 100
    ledger = atomic_files.read_json(project.root / "ingesteddata/ledger.json")
    assert training["rows"] == ledger["committed_rows"] - 100


def test_a_file_open_for_writing_waits_and_is_taken_in_once_closed(project: Project) -> None:
    path = project.root / "sourcedata/upload.csv"
    with path.open("w") as upload:
        upload.write(book(50, 7))
        upload.flush()
        project.run(SCRIPT)
        assert decision(project)["ingestion"]["waiting"] == ["upload.csv"]
        assert "upload.csv" not in (project.root / "ingesteddata/ingestedfiles.txt").read_text()
        project.run(SCRIPT)
    project.run(SCRIPT)
    assert "upload.csv" in (project.root / "ingesteddata/ingestedfiles.txt").read_text()
    settle(project)


def test_a_damaged_release_gives_way_to_the_last_good_one(project: Project) -> None:
    first = live_id(project)
    project.write("sourcedata/february.csv", FEBRUARY)
    project.run(SCRIPT)
    card = project.root / "production_deployment/current/scorecard.json"
    card.write_bytes(card.read_bytes().replace(b"1", b"2", 1))
    project.configure(drift_threshold=0.06)
    result = project.run(SCRIPT)
    assert "damaged" in result.stderr
    assert "last good release" in result.stderr
    # The good old model is the champion again, and the same rows make the new one again.
    assert decision(project)["release_before"] == first
    assert decision(project)["verdict"] == "deployed"
    assert releases.live_release(project.root / "production_deployment") is not None


def test_other_columns_in_the_settings_read_everything_anew_and_replace_the_model(
    project: Project,
) -> None:
    old = live_id(project)
    project.configure(numeric_columns=["lastmonth_activity", "lastyear_activity"])
    project.run(SCRIPT)
    record = decision(project)
    assert record["training"]["kind"] == "new columns"
    assert record["verdict"] == "deployed"
    assert live_id(project) not in (None, old)
    header = (project.root / "ingesteddata/finaldata.csv").read_text().splitlines()[0]
    assert header == "corporation,lastmonth_activity,lastyear_activity,exited"
    settle(project)


def test_a_model_of_another_library_is_said_and_trained_again(project: Project) -> None:
    """A release whose training record names another scikit-learn, its digests being right."""
    release = project.root / "production_deployment" / "current"
    training = atomic_files.read_json(release / "training.json")
    training["versions"]["scikit-learn"] = "0.1"
    atomic_files.write_json(release / "training.json", training)
    manifest = atomic_files.read_json(release / "manifest.json")
    manifest["sha256"]["training.json"] = atomic_files.sha256_of(release / "training.json")
    atomic_files.write_json(release / "manifest.json", releases.sealed(manifest))
    project.configure(drift_threshold=0.06)
    project.run(SCRIPT)
    record = decision(project)
    assert record["training"]["kind"] == "new library"
    assert "scikit-learn 0.1" in record["training"]["reason"]
    assert record["verdict"] == "deployed"


KILL = """
import os, runpy, signal, sys
target = sys.argv.pop(1)
def kill(event, arguments):
    if event == "os.rename" and str(arguments[1]).endswith(target):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(kill)
sys.path.insert(0, os.path.dirname(sys.argv[1]))
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_two_runs_at_once_the_second_leaves_with_75(project: Project) -> None:
    from attrition.runs.lock import run_lock

    with run_lock(project.root / "models/.lock"):
        result = project.run(SCRIPT, check=False)
    assert result.returncode == 75
    assert "another run" in result.stderr


def test_under_crons_bare_environment_and_a_shifted_clock_zone_it_works(project: Project) -> None:
    project.write("sourcedata/february.csv", book(60, 8))
    result = subprocess.run(
        project.command(SCRIPT),
        env={"PATH": "/usr/bin:/bin", "TZ": "Pacific/Kiritimati"},
        cwd="/",
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert decision(project)["new_rows"] > 0
    assert decision(project)["time"].endswith("+00:00")
    assert os.environ.get("TZ") != "Pacific/Kiritimati"


def test_a_history_that_cannot_be_read_keeps_no_new_rows_waiting(finished_copy: Project) -> None:
    """Nor is a deployment reported anew only because nobody can look it up."""
    finished_copy.config.history.write_bytes(b"not a history" * 1000)
    finished_copy.write("sourcedata/new.csv", book(40, 7, open_share=0.0))
    done = finished_copy.run("fullprocess.py")
    assert "could not finish" not in done.stderr
    assert "new.csv: 40 rows" in done.stderr


def test_an_ingestion_that_had_nothing_to_do_is_not_timed(finished_copy: Project) -> None:
    before = json.loads(finished_copy.run("diagnostics.py", "--json").stdout)["execution_times"]
    finished_copy.write("testdata/testdata.csv", book(900, 5, open_share=0.0))
    finished_copy.run("fullprocess.py")
    newest = history.runs(finished_copy.config.history, limit=1)[0]
    assert "check" in newest["timings"]
    assert "ingestion" not in newest["timings"]
    after = json.loads(finished_copy.run("diagnostics.py", "--json").stdout)["execution_times"]
    assert after["ingestion"] == before["ingestion"] > 0


def test_a_study_of_calls_is_recorded_and_begins_and_ends_with_a_sentence(
    finished_copy: Project,
) -> None:
    project, path = finished_copy, finished_copy.root / "models/clientrisk.csv"
    assert "study" not in decision(project)
    project.configure(holdout_share=0.2, holdout_salt="spring", reports=["html"])
    shown = " ".join(project.run(SCRIPT).stdout.split())
    assert "a study of calls begins, 20% of the open clients are held out" in shown
    record = decision(project)
    assert record["study"]["since"] == record["time"]
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    expected = is_held_out([plain(row["client"]) for row in rows], 0.2, "spring")
    assert [row["group"] == "hold out" for row in rows] == expected.tolist()
    assert 0 < expected.sum() < len(rows) / 2
    assert expected[-expected.sum() :].all()
    report = (project.root / "models/report.html").read_text(encoding="utf-8")
    assert f"{expected.sum():,} of them are held out: not to be called" in report
    assert "holdout share" in report
    project.configure()
    assert "the study of calls has ended" in " ".join(project.run(SCRIPT).stdout.split())
    assert "study" not in decision(project)
    assert "group" not in path.read_text(encoding="utf-8-sig").splitlines()[0]
    newest, before = history.runs(project.config.history, limit=2)
    assert "study" not in newest
    assert before["study"] == record["study"]


def test_rows_of_contacted_clients_are_set_aside_and_counted(finished_copy: Project) -> None:
    """The open clients at high risk are called; in what came of them, that is said."""
    project, root = finished_copy, finished_copy.root
    (root / "actions").mkdir()
    made = "--clients 2500 --seed 1 --first-client 10000".split()
    paths = {"list": "models/clientrisk.csv", "actions": "actions/calls.csv"}
    paths["output"] = "sourcedata/may.csv"
    named = [text for name, path in paths.items() for text in (f"--{name}", str(root / path))]
    assert synthetic.main([*made, *named]) == 0
    with (root / paths["actions"]).open(encoding="utf-8", newline="") as stream:
        called = {row["client"] for row in csv.DictReader(stream)}
    with (root / paths["output"]).open(encoding="utf-8", newline="") as stream:
        rows = [row["corporation"] for row in csv.DictReader(stream)]
    assert 10 < len(called) < len(rows) / 2
    project.configure(reports=["html"])
    text = " ".join(project.run(SCRIPT).stdout.split())
    counted = (
        f"rows of clients who had been contacted: {len(called)} of the new rows and {len(called)} "
        f"of the rows to learn from."
    )
    assert f"Set aside {counted}" in text
    record = decision(project)
    assert record["contacted"] == {"new rows": len(called), "rows to learn from": len(called)}
    assert record["scores"]["new rows"]["rows"] == len(rows) - len(called)
    assert record["drift"]["data"]["new rows"]["rows"] == len(rows)
    assert record["evidence"]["unseen"]["rows"] == len(rows) - len(called)
    trained = atomic_files.read_json(root / "models/training.json")
    assert trained["contacted_rows"] == len(called)
    assert trained["reference"]["rows"] == trained["rows"] + len(called)
    (earlier,) = record["ranking"]["outcomes"]
    first = earlier["top"]["10"]
    assert first["contacted"] > 0
    assert first["known"] + first["contacted"] == 10
    assert earlier["all"]["contacted"] == len(called)
    outcomes = f"{first['contacted']} known outcomes of clients who had been contacted"
    assert f"{outcomes} are not counted" in text
    report = (root / "models/report.html").read_text(encoding="utf-8")
    assert f"Neither judged by nor learnt from are {counted}" in report
