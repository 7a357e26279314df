"""Files whose rows were not taken in are told of until that is mended, or long past."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ingestion
from attrition.data import recovery
from attrition.data.ledger import INGESTED, REJECTED, Ledger, LedgerEntry, Sighting, read_ledger
from attrition.data.lost_rows import LostRows, lost_rows
from tests.conftest import Project

FIRST_DAY, DAY_13, DAY_14 = "2026-03-01", "2026-03-14", "2026-03-15"


def entry(name: str, day: str, quarantined: int = 0, rows_read: int = 400) -> LedgerEntry:
    counts: dict[str, Any] = {"rows_read": rows_read, "quarantined": quarantined}
    time = f"{day}T06:00:00+00:00"
    return LedgerEntry(
        name=name, sha256=f"{name} {day}", size=1, status=INGESTED, time=time, **counts
    )


def rejected(name: str, day: str) -> LedgerEntry:
    reason = "missing column 'income' (did you mean 'income_eur'?); found 'a', 'income_eur'"
    time = f"{day}T06:00:00+00:00"
    return LedgerEntry(
        name=name, sha256=f"{name} {day}", size=1, status=REJECTED, reason=reason, time=time
    )


def told(project: Project, *entries: LedgerEntry) -> list[LostRows]:
    for one in entries:
        if one.quarantined:
            in_quarantine(project, one)
    return lost_rows(project.config, Ledger(entries=entries, sightings=stand(*entries)))


def stand(*entries: LedgerEntry) -> dict[str, Sighting]:
    return {one.name: Sighting(one.sha256, 1, 0, 0, 0, 0) for one in entries}


def in_quarantine(project: Project, one: LedgerEntry, *rows: str) -> Path:
    path = recovery.quarantine_path(project.config, one)
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as stream:
        stream.writelines(f"{row}\n" for row in rows)
    return path


@pytest.mark.parametrize(
    ("later", "is_told"),
    [
        ([], True),
        ([entry("april.csv", DAY_13)], True),  # of other clients
        ([entry("april.csv", DAY_14)], False),
        ([entry("april.csv", DAY_14, rows_read=0)], True),  # nothing was in it
        ([entry("march.csv", FIRST_DAY)], False),  # mended
        ([entry("april.csv", DAY_13), entry("may.csv", DAY_14)], False),
    ],
)
def test_a_file_is_told_of_until_it_is_mended_or_two_weeks_have_gone_well(
    project: Project, later: list[LedgerEntry], is_told: bool
) -> None:
    for bad in (entry("march.csv", FIRST_DAY, 400), rejected("march.csv", FIRST_DAY)):
        assert bool(told(project, entry("january.csv", FIRST_DAY), bad, *later)) is is_told


def test_a_rejected_file_is_told_of_until_it_is_deleted_from_the_source_folder(
    project: Project,
) -> None:
    project.write("sourcedata/stray.csv", "a,b\n1,2\n")
    for is_there in (True, False):
        ingestion.run(project.config)
        ledger = read_ledger(project.config.ledger)
        assert [one.text.partition(" ")[0] for one in lost_rows(project.config, ledger)] == [
            "stray.csv"
        ] * is_there
        (project.config.input_folder_path / "stray.csv").unlink(missing_ok=True)


def test_a_copy_that_is_no_better_tells_of_itself_alone_and_ends_nothing(project: Project) -> None:
    bad, again = entry("march.csv", FIRST_DAY, 400), entry("march.csv", DAY_14, 300)
    (lost,) = told(project, bad, again)
    assert lost.text.startswith("300 of 400 rows of march.csv were not taken in; ")
    lost, _ = told(project, bad, entry("april.csv", DAY_14, 400))
    assert "april.csv" in lost.text  # the newest first


def test_few_rows_are_usual_a_tenth_is_good_to_know_and_half_is_most(project: Project) -> None:
    assert told(project, entry("march.csv", FIRST_DAY, 39)) == []
    for quarantined, is_most in ((40, False), (199, False), (200, True), (400, True)):
        (lost,) = told(project, entry("march.csv", FIRST_DAY, quarantined))
        assert lost.is_most is is_most


def test_the_commonest_reason_is_told_without_values_and_what_to_do(project: Project) -> None:
    project.configure(labels={"lastyear_activity": "Orders last year"})
    bad = entry("march.csv", FIRST_DAY, 400)
    path = recovery.quarantine_path(project.config, bad)
    common = "lastyear_activity,secret,not a number"
    rows = ["m,2,lastmonth_activity,x,not a number", f"m,3,{common}", f"m,4,{common}"]
    path = in_quarantine(project, bad, "file,line,column,value,reason", *rows)
    (lost,) = told(project, bad)
    assert lost.text == (
        "400 of 400 rows of march.csv were not taken in, most often because of Orders last year: "
        "not a number; put the corrected ones into sourcedata/ under the same name, or under any "
        f"and delete quarantine/{path.name}, which has each row's reason"
    )
    path.unlink()  # as the text asks for
    assert lost_rows(project.config, Ledger(entries=(bad,))) == []
    (lost,) = told(project, rejected("march.csv", FIRST_DAY))
    assert lost == LostRows(
        "march.csv was not taken in: missing column 'income' (did you mean 'income_eur'?); put the "
        "mended file into sourcedata/ under the same name",
        is_most=True,
    )


def test_of_many_files_five_are_named_and_the_others_counted(project: Project) -> None:
    lost = told(project, *(entry(f"{number}.csv", FIRST_DAY, 400) for number in range(8)))
    assert [one.text.split()[5] for one in lost[:5]] == [f"{n}.csv" for n in range(7, 2, -1)]
    assert lost[5] == LostRows("3 more files lost rows; ledger.json names them", is_most=True)


def test_files_that_one_run_rejects_for_one_reason_are_told_of_together(project: Project) -> None:
    bad = [rejected(f"{number}.csv", FIRST_DAY) for number in range(7)]
    together, alone = told(project, rejected("old.csv", "2026-02-01"), *bad)
    assert together.text == (
        "6.csv, 5.csv, 4.csv, 3.csv, 2.csv and 2 more were not taken in: missing column 'income' "
        "(did you mean 'income_eur'?); put the mended files into sourcedata/ under the same names"
    )
    assert alone.text.startswith("old.csv was not taken in: ")
