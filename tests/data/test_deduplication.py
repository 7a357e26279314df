"""New rows beside earlier ones: what counts as a duplicate, and who is an open client."""

from __future__ import annotations

import pytest

import ingestion
from attrition.data import deduplication
from tests.conftest import Project
from tests.support.ingested import counts, open_list, source


@pytest.mark.parametrize("few_rows", [0, 1000], ids=["joined", "line by line"])
def test_rows_that_are_committed_already_are_duplicates(
    project: Project, monkeypatch: pytest.MonkeyPatch, few_rows: int
) -> None:
    monkeypatch.setattr(deduplication, "_FEW_ROWS", few_rows)
    source(project, "a.csv", "k,1,2,,0", '"two, ""q""",1,2,3,0', "m,1,2,3,1")
    first = ingestion.run(project.config)
    source(project, "b.csv", "k,1.0,2,,0", '"two, ""q""",1,2,3,0', "m,1,2,3,0", '"\nl",1,2,3,1')
    second = ingestion.run(project.config)
    assert counts(second) == [("b.csv", 4, 2, 2, 0, 0)]
    source(project, "c.csv", '"\nl",1,2,3,1', "k,1,2,,0", "l,1,2,3,1")
    third = ingestion.run(project.config)
    assert counts(third) == [("c.csv", 3, 1, 2, 0, 0)]
    assert first.end == second.start
    assert len({first.commit, second.commit, third.commit}) == 3


def test_a_line_within_a_row_of_several_lines_is_no_row(project: Project) -> None:
    source(project, "a.csv", '"x\nk,1,2,3,0\ny",1,2,3,0')
    ingestion.run(project.config)
    source(project, "b.csv", "k,1,2,3,0")
    assert ingestion.run(project.config).new_rows == 1


def test_clients_with_two_labels_for_the_same_features_are_both_kept(project: Project) -> None:
    source(project, "a.csv", "k,1,2,3,0", "k,1,2,3,1")
    assert ingestion.run(project.config).new_rows == 2


def test_an_open_client_is_listed_once_with_the_newest_row(project: Project) -> None:
    source(project, "a.csv", "k,1,1,1,", "l,2,2,2,", "k,3,3,3,")
    ingestion.run(project.config)
    assert open_list(project) == ["l,2,2,2,", "k,3,3,3,"]
    source(project, "b.csv", "l,4,4,4,")
    ingestion.run(project.config)
    assert open_list(project) == ["k,3,3,3,", "l,4,4,4,"]


def test_an_open_client_leaves_the_list_when_its_outcome_arrives_later(project: Project) -> None:
    source(project, "a.csv", "k,1,1,1,", "l,2,2,2,0", "l,3,3,3,", "m,1,1,1,", "m,1,1,1,1")
    ingestion.run(project.config)
    assert open_list(project) == ["k,1,1,1,", "l,3,3,3,"], "m's outcome came after its open row"
    source(project, "b.csv", "l,2,2,2,0", "k,5,5,5,1")
    ingestion.run(project.config)
    assert open_list(project) == ["l,3,3,3,"], "l's outcome is an old one, known before"


def test_an_open_client_of_whom_it_is_said_again_later_that_it_left_is_not_listed(
    project: Project,
) -> None:
    source(project, "a.csv", "k,1,1,1,1", "l,2,2,2,1", "m,3,3,3,0", "n,4,4,4,1", "n,5,5,5,0")
    source(project, "b.csv", "k,1,1,1,", "l,2,2,2,", "m,3,3,3,", "n,6,6,6,")
    ingestion.run(project.config)
    assert len(open_list(project)) == 4, "they came back"
    source(project, "c.csv", "k,1,1,1,1", "m,3,3,3,0", "n,4,4,4,1", "n,5,5,5,0")
    assert ingestion.run(project.config).new_rows == 0
    assert open_list(project) == ["l,2,2,2,", "m,3,3,3,", "n,6,6,6,"]
    source(project, "d.csv", "l,7,7,7,", "l,2,2,2,1")
    ingestion.run(project.config)
    assert open_list(project) == ["m,3,3,3,", "n,6,6,6,"]


def test_files_read_again_after_a_change_of_settings_keep_their_order_of_arrival(
    project: Project,
) -> None:
    source(project, "z_may.csv", "k,1,1,1,", "l,2,2,2,")
    ingestion.run(project.config)
    source(project, "june.csv", "k,1,1,1,1")
    ingestion.run(project.config)
    source(project, "april.csv", "m,3,3,3,0")
    project.configure(numeric_columns=["lastmonth_activity", "lastyear_activity"])
    ingestion.run(project.config)
    assert open_list(project) == ["l,2,2,"], "k left after its open row had come"
    names = [line.split(",")[0] for line in project.config.final_data.read_text().splitlines()]
    assert names == ["corporation", "k", "m"]


def test_after_a_lost_ledger_files_keep_their_order_of_arrival_too(project: Project) -> None:
    source(project, "z_may.csv", "k,1,1,1,", "l,2,2,2,")
    ingestion.run(project.config)
    source(project, "june.csv", "k,1,1,1,1")
    ingestion.run(project.config)
    project.config.ledger.unlink()
    ingestion.run(project.config)
    assert open_list(project) == ["l,2,2,2,"]
    project.configure(numeric_columns=["lastmonth_activity", "lastyear_activity"])
    ingestion.run(project.config)
    assert open_list(project) == ["l,2,2,"]


def test_without_an_id_an_open_client_is_its_row(project: Project) -> None:
    project.configure(id_column=None, numeric_columns=["x"], target_column="y")
    source(project, "a.csv", "1,", "2,", "1,", ",", header="x,y")
    result = ingestion.run(project.config)
    assert open_list(project) == ["2,", "1,"]
    assert counts(result) == [("a.csv", 4, 0, 0, 3, 1)]
    source(project, "b.csv", "2,1", header="x,y")
    ingestion.run(project.config)
    assert open_list(project) == ["1,"]
