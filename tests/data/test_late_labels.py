"""A file whose leavers are known before its stayers is named, once, and hardly any other is."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import fisher_exact

from attrition.data import late_labels
from attrition.data.ledger import LedgerEntry, read_ledger
from attrition.monitoring import alerts
from tests.conftest import HEADER, Project


def entry(number: int, kept: int, left: int | None, opened: int) -> LedgerEntry:
    return LedgerEntry(
        name=f"{number}.csv",
        sha256=str(number),
        size=1,
        status="ingested",
        rows_read=kept + opened,
        kept=kept,
        left=left,
        open=opened,
        time="2026",
    )


FIRST = entry(0, 400, 76, 20)  # 19 % left


def named(*entries: LedgerEntry) -> list[str]:
    return list(late_labels.late_labels(entries, False))


def test_a_file_of_leavers_and_open_clients_is_named_with_its_numbers() -> None:
    texts = late_labels.late_labels([FIRST, entry(1, 95, 95, 405)], False)
    assert list(texts) == ["1"]
    assert texts["1"].startswith(
        "1.csv: 95 of its 95 new rows with a known outcome left (100%; 19% in the files before), "
        "and 405 rows are still open"
    )
    assert texts["1"].endswith("or set snapshot_column and outcome_days in config.json")
    known = late_labels.late_labels([FIRST, entry(1, 95, 95, 405)], True)
    assert known["1"].endswith("or see whether outcome_days is long enough in config.json")


@pytest.mark.parametrize(
    "other",
    [
        entry(1, 95, 95, 40),  # few are open
        entry(1, 95, 22, 405),  # 23 %: no clear rise
        entry(1, 4, 4, 400),  # four outcomes
        entry(1, 95, None, 405),  # by an older version, which did not count them
    ],
)
def test_other_files_are_not_named(other: LedgerEntry) -> None:
    assert named(FIRST, other) == []


def test_nothing_is_said_of_the_first_files() -> None:
    assert named(entry(0, 95, 95, 405)) == []
    assert named(entry(0, 29, 3, 0), entry(1, 95, 95, 405)) == []


def test_the_test_is_fishers() -> None:
    for left, kept, leavers, rows in [(95, 95, 76, 400), (9, 20, 76, 400), (40, 90, 700, 3000)]:
        table = np.array([[left, kept - left], [leavers, rows - leavers]])
        exact = fisher_exact(table, alternative="greater").pvalue
        assert late_labels._chance(left, kept, leavers, rows) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_streams_without_a_rise_are_hardly_ever_named(share: float) -> None:
    random = np.random.default_rng(1)
    streams = 200
    alarms = sum(
        bool(named(*(entry(i, 60, int(random.binomial(60, share)), 60) for i in range(40))))
        for _ in range(streams)
    )
    # 0.05 are allowed; more than 18 of 200 would come with a probability below 1 %.
    assert alarms <= 18


def batch(start: int, labels: list[str]) -> str:
    rows = (f"c{start + i},{50 + i % 7},{500 + i % 9},{i + 1},{y}" for i, y in enumerate(labels))
    return "\n".join([HEADER, *rows, ""])


def test_a_run_says_it_once_in_the_ledger_and_to_whom_alerts_go(project: Project) -> None:
    project.write("sourcedata/a.csv", batch(0, (["1"] + ["0"] * 4) * 20))
    project.write("sourcedata/b.csv", batch(1000, (["1"] + [""] * 4) * 10))
    ended = project.run("ingestion.py")
    assert "b.csv: 10 of its 10 new rows with a known outcome left (100%; 20%" in ended.stderr
    ledger = read_ledger(project.config.ledger)
    assert [entry.left for entry in ledger.entries] == [20, 10]
    (notice,) = ledger.notices
    assert "40 rows are still open" in notice.text
    assert notice.text in alerts.troubled_files(ledger).values()
    assert "b.csv" not in project.run("ingestion.py").stderr
    # Read again after a change of settings, the file is not told of again.
    project.configure(numeric_columns=["lastmonth_activity"])
    project.run("ingestion.py")
    again = read_ledger(project.config.ledger)
    assert again.notices == (notice,)
    assert "left" in json.loads(project.config.ledger.read_text())["files"][0]
