"""Rows with a date are learnt once their outcome is due; until then they are open clients'.

The expected ids are counted by hand from the table below.
"""

from __future__ import annotations

import csv
import itertools
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

import ingestion
from attrition.core import clock
from attrition.core.errors import PipelineError
from attrition.data import maturity
from attrition.data.clients import labelled_test_clients
from attrition.data.ledger import read_ledger
from attrition.data.ledger_rebuild import accept_edits
from attrition.engines.local import LocalEngine
from attrition.model.scorecard import Scorecard
from tests.conftest import Project
from tests.support.client_tables import whole_table
from tests.support.killing import killed_at

SETTINGS: dict[str, Any] = {
    "id_column": "id",
    "numeric_columns": ["x"],
    "target_column": "y",
    "snapshot_column": "on",
    "outcome_days": 30,
}
HEADER = "id,x,on,y"
# Of an outcome known 30 days after the date: A and B are due on 2026-01-31, C and D on 2026-03-01,
# E on 2026-03-11 and F never, without a label.
TABLE = """a,1,2026-01-01,1
b,2,2026-01-01,0
c,3,2026-01-30,1
d,4,2026-01-30,0
e,5,2026-02-09,0
f,6,2026-01-02,
"""


@dataclass(frozen=True)
class Dated:
    """A project whose rows have dates."""

    project: Project
    patch: pytest.MonkeyPatch

    def ingest(self, day: str) -> None:
        """Take in what is new on a day."""
        self.patch.setattr(clock, "now", lambda *_: f"{day}T12:00:00+00:00")
        ingestion.run(self.project.config)

    def write(self, name: str, *rows: str) -> None:
        self.project.write(f"sourcedata/{name}", "\n".join([HEADER, *rows, ""]))

    def ids(self, path: Path) -> str:
        """Ids of the rows in a file of the pipeline, in their order."""
        with path.open(newline="") as stream:
            return "".join(row["id"] for row in csv.DictReader(stream))

    @property
    def learnt(self) -> str:
        return self.ids(self.project.config.final_data)

    @property
    def opened(self) -> str:
        return self.ids(self.project.config.open_clients)


@pytest.fixture
def dated(project: Project, monkeypatch: pytest.MonkeyPatch) -> Dated:
    project.configure(**SETTINGS)
    return Dated(project, monkeypatch)


@pytest.mark.parametrize(
    ("day", "learnt", "opened", "next_day"),
    [
        ("2026-02-10", "ab", "def", "2026-03-01"),
        ("2026-03-01", "abcd", "ef", "2026-03-11"),
        ("2026-03-11", "abcde", "f", None),
    ],
)
def test_at_three_dates_the_rows_are_learnt_whose_outcome_is_due(
    dated: Dated, day: str, learnt: str, opened: str, next_day: str | None
) -> None:
    dated.write("a.csv", *TABLE.split())
    dated.ingest(day)
    assert (dated.learnt, dated.opened) == (learnt, opened)
    ledger = read_ledger(dated.project.config.ledger)
    assert (ledger.unmatured.next_day if ledger.unmatured else None) == next_day
    (entry,) = ledger.entries
    assert (entry.kept, entry.open, entry.rows_read) == (len(learnt), 6 - len(learnt), 6)


def test_rows_mature_by_time_alone_each_in_a_commit_of_its_own(dated: Dated) -> None:
    dated.write("a.csv", *TABLE.split())
    commits = []
    for day, learnt, opened in [
        ("2026-02-10", "ab", "def"),
        ("2026-02-28", "ab", "def"),
        ("2026-03-01", "abcd", "ef"),
        ("2026-03-20", "abcde", "f"),
    ]:
        dated.ingest(day)
        assert (dated.learnt, dated.opened) == (learnt, opened)
        commits.append(read_ledger(dated.project.config.ledger).commit_id)
    assert commits[0] == commits[1]
    assert len(set(commits)) == 3
    ledger = read_ledger(dated.project.config.ledger)
    assert [commit.rows for commit in ledger.commits] == [2, 2, 1]
    assert ledger.unmatured is None
    assert not dated.project.config.unmatured.exists()


def test_a_row_that_comes_again_once_it_is_mature_counts_once(dated: Dated) -> None:
    dated.write("a.csv", *TABLE.split())
    dated.ingest("2026-02-10")
    dated.write("b.csv", *TABLE.split(), "g,7,2026-02-01,0")
    dated.ingest("2026-03-20")
    assert dated.learnt == "abcdeg"
    last = read_ledger(dated.project.config.ledger).entries[-1]
    assert (last.kept, last.duplicate, last.open) == (1, 5, 1)


def test_who_has_left_is_not_to_be_called_though_the_row_is_not_mature(dated: Dated) -> None:
    dated.write("a.csv", "a,1,2026-02-01,0", "b,2,2026-02-01,0", "c,3,2026-02-01,1")
    dated.ingest("2026-02-10")
    assert dated.opened == "ab"
    # A has left meanwhile; C comes again as it was known before.
    dated.write("b.csv", "a,1,2026-02-01,1", "c,3,2026-01-20,0", "b,2,2026-02-05,0")
    dated.ingest("2026-02-11")
    assert dated.opened == "b"
    dated.write("c.csv", "c,9,2026-02-10,0", "a,1,2026-02-01,0", "d,3,2026-01-01,0")
    dated.ingest("2026-02-12")
    assert dated.opened == "b"
    # Each row of a client and a date is learnt once; that A has left is what counts.
    dated.ingest("2026-04-01")
    assert dated.opened == ""
    with dated.project.config.final_data.open(newline="") as stream:
        labels = sorted((row["id"], row["on"], row["y"]) for row in csv.DictReader(stream))
    assert labels == [
        ("a", "2026-02-01", "1"),
        ("b", "2026-02-01", "0"),
        ("b", "2026-02-05", "0"),
        ("c", "2026-01-20", "0"),
        ("c", "2026-02-01", "1"),
        ("c", "2026-02-10", "0"),
        ("d", "2026-01-01", "0"),
    ]


@pytest.mark.parametrize("left_on", ["2026-02-01", "2026-01-05"])  # not mature yet, and mature
def test_no_row_of_that_day_or_before_brings_back_who_has_left(dated: Dated, left_on: str) -> None:
    left, before = f"a,1,{left_on},1", f"a,9,{left_on[:8]}01,"
    dated.write("a.csv", left, before, "b,2,2026-02-01,")
    dated.ingest("2026-02-10")
    assert dated.opened == "b", "in one file, the newest row first"
    dated.write("b.csv", f"a,3,{left_on},", "a,4,2025-12-01,")
    dated.ingest("2026-02-11")
    assert dated.opened == "b", "in a file that came later"
    dated.write("c.csv", "a,5,2026-02-09,")
    dated.ingest("2026-02-12")
    assert sorted(dated.opened) == ["a", "b"], "won back"


# Rows of client A, and whether he is on the list. "Left" of 2026-01-05 is mature, of 02-01 not yet.
@pytest.mark.parametrize(
    ("rows", "opened"),
    [
        (("a,1,2026-02-01,1", "a,2,2026-02-09,"), "a"),
        (("a,1,2026-01-05,1", "a,2,2026-02-09,"), "a"),
        (("a,1,2026-02-01,1", "a,2,2026-02-01,"), ""),
        (("a,1,2026-02-09,1", "a,2,2026-02-01,"), ""),
        (("a,1,2026-01-05,1", "a,2,2026-02-09,0"), ""),
        (("a,1,2026-02-01,1", "a,2,2026-02-09,0"), ""),
        (("a,1,2026-01-05,1", "a,2,2026-01-08,", "a,3,2026-01-20,1"), ""),
        (("a,1,2026-01-20,1", "a,2,2026-02-01,0", "a,3,2026-02-05,"), "a"),
    ],
)
def test_who_has_left_and_come_again_is_listed_whatever_came_first(
    dated: Dated, rows: tuple[str, ...], opened: str
) -> None:
    config = dated.project.config
    for order in itertools.permutations(rows):
        for apart in (True, False):
            for folder in (config.input_folder_path, config.output_folder_path):
                shutil.rmtree(folder)
                folder.mkdir()
            for number, row in enumerate(order if apart else ["\n".join(order)]):
                dated.write(f"{number}.csv", row, f"b,{number},2026-02-01,")
                dated.ingest(f"2026-02-1{number}")
            assert dated.opened.replace("b", "") == opened, (order, apart)
            dated.ingest("2026-02-20")  # nothing new: what is listed stays so
            assert dated.opened.replace("b", "") == opened, (order, apart)


def test_an_old_row_that_stayed_leaves_a_later_one_on_the_list(dated: Dated) -> None:
    dated.write("a.csv", "a,2,2026-02-05,0", "a,1,2026-01-25,0")
    dated.ingest("2026-02-10")
    with dated.project.config.open_clients.open(newline="") as stream:
        assert [row["on"] for row in csv.DictReader(stream)] == ["2026-02-05"]
    dated.ingest("2026-03-01")
    assert (dated.learnt, dated.opened) == ("a", "a")
    dated.ingest("2026-03-07")
    assert (dated.learnt, dated.opened) == ("aa", "")


def test_a_row_without_a_readable_date_is_quarantined_with_its_reason(dated: Dated) -> None:
    wrong = {
        "": "blank; every row has a date",
        "2026-02-29": "not a date such as 2026-01-31",
        "2026-1-31": "not a date such as 2026-01-31",
        "31.01.2026": "not a date such as 2026-01-31",
        "2026-01-31 10:00": "not a date such as 2026-01-31",
        "2026-01-31x": "not a date such as 2026-01-31",
        "0000-01-01": "not a date such as 2026-01-31",
        "2026-04-03": "a date in the future",
    }
    rows = [f"w{i},1,{text},1" for i, text in enumerate(wrong)]
    dated.write("a.csv", *rows, "a,1, 2024-02-29 ,1", "b,1,2026-04-02,0")
    dated.ingest("2026-04-01")
    (path,) = dated.project.config.quarantine.iterdir()
    with path.open(newline="") as stream:
        reasons = [(row["column"], row["reason"]) for row in csv.DictReader(stream)]
    assert reasons == [("on", reason) for reason in wrong.values()]
    assert (dated.learnt, dated.opened) == ("a", "b")


def test_the_first_day_of_a_far_date_is_no_error(dated: Dated) -> None:
    config = dated.project.config
    assert maturity.maturing_day(config, "9999-12-31") == "9999-12-31"
    assert maturity.maturing_day(config, "2026-02-01") == "2026-03-03"


@pytest.mark.parametrize("step", ["write_ledger", "settle"])
def test_a_run_killed_while_rows_mature_is_finished_by_the_next(dated: Dated, step: str) -> None:
    dated.write("a.csv", *TABLE.split())
    dated.ingest("2026-02-10")
    # Before the ledger names the new rows, and before the other files agree with it.
    with killed_at(ingestion if step == "write_ledger" else LocalEngine, step):
        dated.ingest("2026-03-01")
    dated.ingest("2026-03-01")
    assert (dated.learnt, dated.opened) == ("abcd", "ef")
    assert dated.ids(dated.project.config.unmatured) == "e"


def test_without_a_ledger_the_rows_that_wait_stay(dated: Dated) -> None:
    dated.write("a.csv", *TABLE.split())
    dated.ingest("2026-02-10")
    dated.project.config.ledger.unlink()
    (dated.project.root / "sourcedata/a.csv").unlink()
    dated.ingest("2026-02-11")
    assert (dated.learnt, dated.opened) == ("ab", "def")
    assert dated.ids(dated.project.config.unmatured) == "cde"
    dated.ingest("2026-03-01")
    assert (dated.learnt, dated.opened) == ("abcd", "ef")


def test_a_leaver_in_a_file_of_a_known_name_is_not_listed_after_the_ledger_was_lost(
    dated: Dated,
) -> None:
    dated.write("a.csv", "a,1,2026-01-01,0", "a,2,2026-02-01,0")
    dated.ingest("2026-02-10")
    assert (dated.learnt, dated.opened) == ("a", "a")
    dated.project.config.ledger.unlink()
    dated.write("a.csv", "a,1,2026-01-01,0", "a,2,2026-02-01,1")
    dated.ingest("2026-02-11")
    assert (dated.learnt, dated.opened) == ("a", "")


def test_an_edit_of_the_rows_that_wait_is_refused_until_it_is_accepted(dated: Dated) -> None:
    dated.write("a.csv", *TABLE.split())
    dated.ingest("2026-02-10")
    path = dated.project.config.unmatured
    path.write_text(path.read_text().replace("e,5,", "e,55,"))
    with pytest.raises(PipelineError, match=r"unmatured\.csv: not the rows .* --accept-edits"):
        dated.ingest("2026-02-11")
    accept_edits(dated.project.config)
    dated.ingest("2026-03-20")
    assert "e,55,2026-02-09,0" in dated.project.config.final_data.read_text()


@pytest.mark.parametrize(("label", "opened"), [("0", "c"), ("1", "")])
def test_a_cut_row_that_waits_is_taken_back_when_the_whole_file_comes(
    dated: Dated, label: str, opened: str
) -> None:
    dated.project.configure(**SETTINGS, upload_settle_seconds=1)
    cut = f"id,y,on,x\na,0,2026-01-01,1\nb,1,2026-02-01,1\nc,{label},2026-02-01,12"
    path = dated.project.write("sourcedata/a.csv", cut)
    os.utime(path, (1, 1))
    dated.ingest("2026-02-10")
    assert dated.ids(dated.project.config.unmatured) == "bc"
    path.write_text(f"{cut}34\n")
    dated.ingest("2026-02-11")
    assert (dated.learnt, dated.opened) == ("a", opened)
    assert dated.ids(dated.project.config.unmatured) == "bc"
    assert f"c,1234,2026-02-01,{label}" in dated.project.config.unmatured.read_text()


def test_other_days_have_the_rows_read_again(dated: Dated) -> None:
    dated.write("a.csv", *TABLE.split())
    dated.ingest("2026-02-10")
    dated.project.configure(**SETTINGS | {"outcome_days": 60})
    dated.ingest("2026-02-11")
    assert (dated.learnt, dated.opened) == ("", "bdef")
    dated.project.configure(**SETTINGS | {"snapshot_column": None, "outcome_days": None})
    dated.ingest("2026-02-12")
    assert (dated.learnt, dated.opened) == ("abcde", "f")
    assert not dated.project.config.unmatured.exists()
    assert "unmatured" not in dated.project.config.ledger.read_text()


def test_test_data_are_scored_and_tables_predicted_by_the_same_rule(dated: Dated) -> None:
    dated.patch.setattr(clock, "now", lambda *_: "2026-02-10T12:00:00+00:00")
    path = dated.project.write("testdata/t.csv", "\n".join([HEADER, *TABLE.split(), ""]))
    test = labelled_test_clients(dated.project.config)
    assert test.clients.ids.tolist() == ["a", "b"]
    assert (test.next_day, test.blank_labels) == ("2026-03-01", 4)
    path.write_text("id,x\na,1\n")
    clients, rejected = whole_table(dated.project.config, path)
    assert (clients.ids.tolist(), rejected) == (["a"], ())


def test_where_nobody_is_open_none_is_ranked_whose_other_row_says_left(dated: Dated) -> None:
    dated.write("a.csv", "a,1,2026-01-01,0", "b,2,2026-01-01,0", "a,3,2026-02-01,1")
    dated.ingest("2026-02-10")
    assert dated.opened == ""
    engine = LocalEngine(dated.project.config)
    card = cast(Scorecard, None)  # of all rows none is left off
    stayed, _ = engine.riskiest_stayed(read_ledger(dated.project.config.ledger), card)
    assert stayed.ids.tolist() == ["b"]


def test_where_outcomes_are_due_later_a_change_of_columns_says_what_it_costs(
    make_project: Callable[[str], Project],
) -> None:
    project = make_project("project")
    project.configure(**SETTINGS)
    project.write("sourcedata/a.csv", f"{HEADER}\n{TABLE}")
    (project.root / "actions").mkdir()
    project.write("actions/calls.csv", "client,date,action\na,2026-01-02,call\n")
    project.run("ingestion.py")
    before = read_ledger(project.config.ledger).commit_id
    project.configure(**{**SETTINGS, "categorical_columns": ["x"], "numeric_columns": []})
    cost = "every row then counts as one of that day: a study of calls loses the outcomes it has"
    assert cost in " ".join(project.run("fullprocess.py", "--dry-run").stdout.split())
    project.write("sourcedata/b.csv", f"{HEADER}\ng,1,2026-01-01,1\n")
    project.run("ingestion.py")
    ledger = read_ledger(project.config.ledger)
    assert any(cost in notice.text for notice in ledger.notices)  # a run tells of those
    assert before is not None
    assert ledger.end_of(before) == ledger.commits[-1].start, "what came later is later"
    assert ledger.commits[-1].rows == 1
