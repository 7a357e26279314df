"""Another segment column in a running project: rows, commits and a study's outcomes stay."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from attrition.core import atomic_files
from attrition.data.clients import labelled_test_clients, training_clients
from attrition.data.ledger import read_ledger
from attrition.ranking import call_list
from tests.conftest import HEADER, Project
from tests.support.contacts import act_on
from tests.support.effects import ranked_effect
from tests.support.killing import killed_at
from tests.support.releases import deploy

pytestmark = pytest.mark.slow

STUDY = {"holdout_share": 0.5, "holdout_salt": "spring"}
WITH_BRANCH = {**STUDY, "segment_columns": ["branch"]}


def take_in(project: Project, name: str, *rows: str, header: str = HEADER) -> str:
    project.write(f"sourcedata/{name}", "\n".join([header, *rows, ""]))
    return project.run("ingestion.py").stderr


def rank(project: Project) -> tuple[int, int]:
    """How many are in the study, and how many outcomes are known."""
    effect = ranked_effect(project)
    groups = (effect.called, effect.held_out)
    return sum(group.clients for group in groups), sum(group.known for group in groups)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def studied(project: Project) -> Project:
    """Two clients are in a study, one of them has an outcome; two commits."""
    deploy(project)
    project.configure(**STUDY)
    take_in(project, "old.csv", '"Old, Ltd",90,10,1,0', "Gone,1,2,,1")
    take_in(project, "open.csv", "Quiet,0,10,1,", "Absent,1,10,1,")
    assert rank(project) == (2, 0)
    take_in(project, "came.csv", "Quiet,2,10,1,1")
    assert rank(project) == (2, 1)
    return project


def test_a_new_segment_column_loses_no_row_no_outcome_and_no_commit(studied: Project) -> None:
    config, before = studied.config, read_ledger(studied.config.ledger)
    files = (config.final_data, config.open_clients)
    rows = [rows_of(path) for path in files]
    for path in config.input_folder_path.iterdir():
        path.unlink()  # taken in long ago
    studied.configure(**WITH_BRANCH)
    assert (
        "New files a run would ingest: none." in studied.run("fullprocess.py", "--dry-run").stdout
    )
    told = studied.run("ingestion.py").stderr
    assert "no file is read again, so branch is blank for a client until it comes in ano" in told
    after = read_ledger(config.ledger)
    parts = ("id", "rows", "time", "files")
    assert [[getattr(commit, part) for part in parts] for commit in after.commits] == [
        [getattr(commit, part) for part in parts] for commit in before.commits
    ]
    assert [rows_of(path) for path in files] == [
        [row | {"branch": ""} for row in listed] for listed in rows
    ]
    assert rank(studied) == (2, 1)
    assert "segment columns" not in studied.run("ingestion.py").stderr
    take_in(
        studied,
        "new.csv",
        "Absent,1,10,1,North,",
        header=HEADER.replace(",exited", ",branch,exited"),
    )
    assert {row["corporation"]: row["branch"] for row in rows_of(config.open_clients)} == {
        "Absent": "North"
    }
    take_in(studied, "late.csv", "Absent,1,10,1,0")
    assert rank_of_none(studied) == 2


def rank_of_none(project: Project) -> int:
    """How many outcomes of the study are known where nobody is open."""
    effect, _ = call_list.effect_of_calls(
        project.config, read_ledger(project.config.ledger), "there are no clients"
    )
    assert effect is not None
    return effect.called.known + effect.held_out.known


def test_a_column_that_is_taken_out_again_leaves_the_rows_as_they_were(studied: Project) -> None:
    config = studied.config
    files = (config.final_data, config.open_clients)
    before = [path.read_bytes() for path in files], read_ledger(config.ledger).commits
    studied.configure(**WITH_BRANCH)
    studied.run("ingestion.py")
    assert "branch" in config.final_data.read_text()
    studied.configure(**STUDY)
    studied.run("ingestion.py")
    assert ([path.read_bytes() for path in files], read_ledger(config.ledger).commits) == before


def test_a_row_that_a_cut_file_has_replaced_comes_back_with_the_new_column(
    studied: Project,
) -> None:
    config = studied.config
    studied.write("sourcedata/cut.csv", f"{HEADER}\nAbsent,1,10,1,")
    studied.run("ingestion.py")
    (line,) = read_ledger(config.ledger).replaced.values()
    assert line == "Absent,1,10,1,\n"
    studied.configure(**WITH_BRANCH)
    studied.run("ingestion.py")
    assert list(read_ledger(config.ledger).replaced.values()) == ["Absent,1,10,1,,\n"]


def test_without_actions_and_study_every_file_that_is_there_is_read_again(
    project: Project,
) -> None:
    header = HEADER.replace(",exited", ",branch,exited")
    take_in(project, "a.csv", "Quiet,0,10,1,North,", "Old,9,9,9,South,0", header=header)
    project.configure(segment_columns=["branch"])
    project.run("ingestion.py")
    assert [row["branch"] for row in rows_of(project.config.open_clients)] == ["North"]


def test_where_more_has_changed_and_files_are_gone_the_error_says_what_it_costs(
    make_project: Callable[[str], Project],
) -> None:
    project = make_project("project")
    take_in(project, "a.csv", "Quiet,0,10,1,", "Old,9,9,9,0")
    act_on(project, ["Quiet"])
    project.run("ingestion.py")
    (project.root / "sourcedata/a.csv").unlink()
    project.configure(numeric_columns=["lastmonth_activity"], segment_columns=["branch"])
    failed = project.run("ingestion.py", check=False)
    assert failed.returncode == 1
    said = " ".join(failed.stderr.split())
    assert "a study of calls loses the outcomes it has so far, and rows of clients who have" in said


def test_where_nobody_was_enrolled_reading_all_again_costs_no_study_anything(
    project: Project,
) -> None:
    take_in(project, "a.csv", "Quiet,0,10,1,", "Old,9,9,9,0")
    (project.config.enrolled / "0.5-spring").mkdir(parents=True)
    project.configure(numeric_columns=["lastmonth_activity"])
    assert "loses" not in project.run("ingestion.py").stderr
    act_on(project, ["Quiet"])
    project.run("ingestion.py")
    project.configure(numeric_columns=["lastmonth_activity", "number_of_employees"])
    assert "a study of calls loses no outcome by that" in project.run("ingestion.py").stderr


def test_a_change_of_open_clients_only_is_finished_after_a_kill(
    project: Project,
) -> None:
    import ingestion
    from attrition.data import segment_change

    take_in(project, "open.csv", "Quiet,0,10,1,")
    act_on(project, ["Quiet"])
    (project.root / "sourcedata/open.csv").unlink()
    project.configure(segment_columns=["branch"])
    with killed_at(segment_change, "write_ledger"):
        ingestion.run(project.config)
    ingestion.run(project.config)
    assert [row["branch"] for row in rows_of(project.config.open_clients)] == [""]


def test_no_name_is_doubted_of_a_column_that_a_notice_calls_blank(
    studied: Project, caplog: pytest.LogCaptureFixture
) -> None:
    studied.configure(**WITH_BRANCH)
    studied.run("ingestion.py")
    rank(studied)
    assert "is that a file's column?" not in caplog.text


@pytest.mark.parametrize("at", ["rows", "lists", "ledger"])
def test_a_run_killed_as_it_changes_columns_is_finished_by_the_next(
    studied: Project, at: str
) -> None:
    import ingestion
    from attrition.data import segment_change

    studied.configure(**WITH_BRANCH)
    name = {"rows": "_with_rows", "lists": "_with_replaced", "ledger": "write_ledger"}[at]
    with killed_at(segment_change, name):
        ingestion.run(studied.config)
    ingestion.run(studied.config)
    assert rank(studied) == (2, 1)
    assert "branch" in studied.config.final_data.read_text()
    assert not list(studied.config.output_folder_path.glob("*pending*"))
    assert atomic_files.read_json(studied.config.ledger)["committed_rows"] == 3


BRANCH_HEADER = HEADER.replace(",exited", ",branch,exited")


def test_the_same_rows_with_the_new_column_are_no_new_rows_and_tell_the_segments(
    studied: Project,
) -> None:
    config = studied.config
    take_in(studied, "stays.csv", "Stays,5,10,1,0")
    commits = read_ledger(config.ledger).commits
    studied.configure(**WITH_BRANCH)
    studied.run("ingestion.py")
    labelled = ['"Old, Ltd",90,10,1,North,0', "Gone,1,2,,South,1", "Quiet,2,10,1,South,1"]
    rows = [*labelled, "Stays,5,10,1,North,0", "Absent,1,10,1,North,"]
    take_in(studied, "whole.csv", *rows, header=BRANCH_HEADER)
    after = read_ledger(config.ledger)
    parts = ("id", "rows", "time", "files")
    assert [[getattr(commit, part) for part in parts] for commit in after.commits] == [
        [getattr(commit, part) for part in parts] for commit in commits
    ]
    assert (after.entries[-1].kept, after.entries[-1].duplicate) == (0, 4)
    assert [row["branch"] for row in rows_of(config.final_data)] == [
        "North",
        "South",
        "South",
        "North",
    ]
    assert rank(studied) == (2, 1)
    take_in(studied, "blank.csv", "Stays,5,10,1,0", "Absent,3,10,1,")
    (absent,) = rows_of(config.open_clients)
    assert (absent["lastmonth_activity"], absent["branch"]) == ("3", "North")
    assert rows_of(config.final_data)[-1]["branch"] == "North"
    assert "segment columns" not in studied.run("ingestion.py").stderr  # all is as it was left


def test_a_list_of_clients_who_stayed_has_the_segments_of_a_later_export(project: Project) -> None:
    deploy(project)
    take_in(project, "old.csv", "Stays,90,10,1,0", "Gone,1,2,,1")
    act_on(project, ["Stays"])
    project.run("ingestion.py")
    project.configure(segment_columns=["branch"])
    take_in(project, "new.csv", "Stays,90,10,1,North,0", "Gone,1,2,,South,1", header=BRANCH_HEADER)
    assert read_ledger(project.config.ledger).committed_rows == 2
    call_list.rank(project.config)
    (row,) = rows_of(project.config.output_model_path / "clientrisk.csv")
    assert row["segment_branch"] == "North"
    assert (project.config.segment_lists / "branch-North.csv").exists()


@pytest.mark.parametrize("at", ["write_ledger", "settle_final_data"])
def test_a_run_killed_as_it_notes_segments_is_finished_by_the_next(
    studied: Project, at: str
) -> None:
    import ingestion
    from attrition.data import recovery, segment_change

    studied.configure(**WITH_BRANCH)
    studied.run("ingestion.py")
    studied.write("sourcedata/new.csv", f"{BRANCH_HEADER}\nGone,1,2,,South,1\nNew,3,3,3,North,0\n")
    with killed_at(segment_change if at == "write_ledger" else recovery, at):
        ingestion.run(studied.config)
    ingestion.run(studied.config)
    branches = {row["corporation"]: row["branch"] for row in rows_of(studied.config.final_data)}
    assert branches == {"Old, Ltd": "", "Gone": "South", "Quiet": "", "New": "North"}
    assert read_ledger(studied.config.ledger).committed_rows == 4
    assert not list(studied.config.output_folder_path.glob("*pending*"))


def test_of_equal_rows_the_newest_segment_counts_whichever_files_they_came_in(
    project: Project,
) -> None:
    """Test data, too, have each row once, and none that a model has learnt."""
    project.configure(segment_columns=["branch"])
    rows = ["A,1,1,1,,0", "A,1,1,1,North,0", "B,2,2,2,North,1", "A,1,1,1,,0"]
    take_in(project, "a.csv", *rows, header=BRANCH_HEADER)
    assert [row["branch"] for row in rows_of(project.config.final_data)] == ["North", "North"]
    take_in(project, "b.csv", "B,2,2,2,South,1", "A,1,1,1,,0", header=BRANCH_HEADER)
    assert [row["branch"] for row in rows_of(project.config.final_data)] == ["North", "South"]
    project.write(
        "testdata/test.csv", "\n".join([BRANCH_HEADER, "B,2,2,2,East,1", "B,2,2,2,West,1", ""])
    )
    test = labelled_test_clients(project.config)
    assert (len(test.clients), test.duplicates) == (1, 1)
    left = training_clients(project.config, project.config.final_data.stat().st_size, test)
    assert left.clients.ids.tolist() == ["A"]
