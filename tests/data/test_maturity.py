"""Rows with a date are learnt once their outcome is due; until then they are open clients'.

The expected ids are counted by hand from the table below.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import pytest

import ingestion
from attrition.core import clock
from attrition.data import maturity
from attrition.data.ledger import read_ledger
from tests.conftest import Project

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
    project.configure(
        id_column="id",
        numeric_columns=["x"],
        target_column="y",
        snapshot_column="on",
        outcome_days=30,
    )
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
