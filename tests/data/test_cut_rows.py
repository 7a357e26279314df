"""Uploads that broke off within their last row, and were completed later."""

from __future__ import annotations

import gzip
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import ingestion
from attrition.data.ledger import read_ledger
from tests.conftest import Project, Suite
from tests.support.ingested import final, open_list, quarantined
from tests.support.script_runner import ScriptRunner
from tests.support.sweeping import sweep, undisturbed

LABEL_FIRST = "exited,corporation,lastmonth_activity,lastyear_activity,number_of_employees\n"
NAME_LAST = "exited,lastmonth_activity,lastyear_activity,number_of_employees,corporation\n"
# What came first, what came then.
CASES = {
    "within the last value": (LABEL_FIRST, "0,k,1,2,3\n1,l,1,2,2", "75\n0,m,4,5,6\n"),
    "at the end of a value": (LABEL_FIRST, "0,k,1,2,3\n1,l,1,2", ",275\n0,m,4,5,6\n"),
    "behind a comma": (LABEL_FIRST, "0,k,1,2,3\n1,l,1,2,", "275\n0,m,4,5,6\n"),
    "in the line end": (LABEL_FIRST, "0,k,1,2,3\r\n1,l,1,2,275\r", "\n0,m,4,5,6\r\n"),
    "before the line end": (LABEL_FIRST, "0,k,1,2,3\n1,l,1,2,275", "\n0,m,4,5,6\n"),
    "within quotation marks": (NAME_LAST, '0,1,2,3,k\n1,4,5,6,"l, ', 'x"\n0,4,5,6,m\n'),
    "behind a doubled mark's half": (NAME_LAST, '0,1,2,3,k\n1,4,5,6,"l "', '"x"""\n0,4,5,6,m\n'),
    "in an open client's name": (NAME_LAST, "0,1,2,3,k\n,4,5,6,Smi", "th\n,4,5,6,m\n"),
    "in an open client's number": (LABEL_FIRST, "0,k,1,2,3\n,l,1,2,2", "75\n,m,4,5,6\n"),
    "within a bad row among bad ones": (LABEL_FIRST, "x,k,1,2,3\n1,l,1,b", "ad,3\n0,m,4,5,6\n"),
    "within a row that is there already": (LABEL_FIRST, "0,k,1,2,3\n0,k,1,2,3", "4\n0,m,4,5,6\n"),
}
WAYS: dict[str, Callable[[bytes], bytes]] = {"a.csv": bytes, "a.csv.gz": gzip.compress}


def put(project: Project, name: str, text: str) -> None:
    path = project.root / "sourcedata" / name
    path.write_bytes(WAYS.get(name, bytes)(text.encode()))
    os.utime(path, (1, 1))  # nobody has touched it for long


def stands(project: Project) -> tuple[list[str], list[str], list[list[str]]]:
    """Labelled rows, open clients and quarantined rows, in any order."""
    return sorted(final(project)), sorted(open_list(project)), sorted(quarantined(project))


@pytest.mark.slow
@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("case", CASES)
def test_after_the_whole_file_all_stands_as_if_it_had_come_whole(
    make_project: Callable[[str], Project], case: str, name: str
) -> None:
    header, first, then = CASES[case]
    project, at_once = make_project("project"), make_project("at_once")
    for each in (project, at_once):
        put(each, "0.csv", LABEL_FIRST + "1,z,7,8,9\n,y,7,8,9\n")  # another client's file
        ingestion.run(each.config)
    put(project, name, header + first)
    ingestion.run(project.config)
    put(project, "b.csv", LABEL_FIRST + "1,after,7,8,9\n")  # a later commit
    ingestion.run(project.config)
    before = read_ledger(project.config.ledger)
    put(project, name, header + first + then)
    result = ingestion.run(project.config)
    put(at_once, name, header + first + then)
    put(at_once, "b.csv", LABEL_FIRST + "1,after,7,8,9\n")
    ingestion.run(at_once.config)
    labelled, opened, bad = stands(project)
    expected = stands(at_once)
    assert (labelled, opened) == expected[:2]
    assert [row for row in expected[2] if row not in bad] == []
    assert len({tuple(row) for row in bad}) == len(expected[2])
    ledger = read_ledger(project.config.ledger)
    assert all(e.rows_read == e.kept + e.duplicate + e.open + e.quarantined for e in ledger.entries)
    assert ledger.committed_rows == len(labelled)
    numbers = [ledger.number_of(commit.id) for commit in before.commits]
    assert numbers == [number for number, _ in enumerate(before.commits, start=1)]
    assert ledger.open_rows == len(opened)
    assert not any(entry.cut for entry in ledger.entries)
    taken_back = [event for event in ledger.events if "is taken back" in event.what]
    is_known = case not in ("before the line end", "within quotation marks")
    assert len(taken_back) == is_known
    put(project, "c.csv", LABEL_FIRST + "1,last,7,8,9\n")
    assert ingestion.run(project.config).new_rows == 1, "the digests of all rows are right"
    assert result.end - result.start == 0 or result.new_rows > 0


def test_a_young_file_without_a_last_line_end_is_waited_for_a_moment(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = project.write("sourcedata/a.csv", LABEL_FIRST + "1,l,1,2,2")
    waits = []

    def go_on(seconds: float) -> None:
        waits.append(seconds)
        with path.open("a") as stream:
            stream.write("75\n")

    monkeypatch.setattr(time, "sleep", go_on)
    assert ingestion.run(project.config).waiting == ("a.csv",)
    assert ingestion.run(project.config).new_rows == 1
    assert (final(project), waits) == (["l,1,2,275,1"], [3])
    path = project.write("sourcedata/b.csv", LABEL_FIRST + "1,m,1,2,2")
    monkeypatch.setattr(time, "sleep", waits.append)
    assert ingestion.run(project.config).new_rows == 1, "nobody goes on: the row is taken in"
    assert waits == [3, 3]


def test_a_content_that_does_not_go_on_from_the_old_one_takes_nothing_back(
    project: Project,
) -> None:
    put(project, "a.csv", LABEL_FIRST + "0,k,1,2,3\n1,l,1,2,2")
    ingestion.run(project.config)
    for name, text in (("a.csv", "0,k,1,2,4\n1,l,1,2,275\n"), ("b.csv", "0,k,1,2,3\n1,l,1,2,29\n")):
        put(project, name, LABEL_FIRST + text)
        ingestion.run(project.config)
    assert "l,1,2,2,1" in final(project)


def test_a_cut_row_that_cannot_be_told_from_others_stays_and_is_named(project: Project) -> None:
    """A value of several lines holds the very same line."""
    put(project, "a.csv", NAME_LAST + '0,1,2,3,"x\nl,1,2,3,1\ny"\n')
    put(project, "b.csv", LABEL_FIRST + "0,k,1,2,3\n1,l,1,2,3")
    ingestion.run(project.config)
    before = final(project)
    put(project, "b.csv", LABEL_FIRST + "0,k,1,2,3\n1,l,1,2,33\n")
    ingestion.run(project.config)
    assert final(project) == [*before, "l,1,2,33,1"]
    (event,) = [e for e in read_ledger(project.config.ledger).events if "cut off" in e.what]
    assert event.what == (
        "the row in line 3, which was cut off, stays: it cannot be distinguished from others"
    )


CUT, WHOLE = "0,k,1,2,3\n1,l,1,2,2", "0,k,1,2,3\n1,l,1,2,275\n"


def told(project: Project) -> str:
    """What the ledger says of the one row that was cut off."""
    events = read_ledger(project.config.ledger).events
    (event,) = [event for event in events if "cut off" in event.what]
    return event.what


@pytest.mark.slow
@pytest.mark.parametrize(
    ("other", "is_gone", "labelled", "opened"),
    [
        ("1,l,1.0,2,2\n0,n,1,2,3\n", False, "stays: b.csv brought it, too", "stays: b.csv brought"),
        ("0,k,1,2,3\n0,n,1,2,3\n", False, "is taken back", "is taken back"),
        ("0,k,1,2,3\n0,n,1,2,3\n", True, "stays: b.csv, which is gone", "stays: b.csv, which is"),
        # Labelled, it has no duplicate; of open clients nobody counts them.
        ("0,n,1,2,3\n", True, "is taken back", "stays: b.csv, which is gone or changed, may"),
        (CUT, False, "stays: b.csv brought it, too", "stays: b.csv brought it, too"),
    ],
)
@pytest.mark.parametrize("is_open", [False, True])
def test_a_cut_row_that_another_file_brought_too_stays_and_is_named(
    project: Project, *, other: str, is_gone: bool, labelled: str, opened: str, is_open: bool
) -> None:
    def of(text: str) -> str:
        return LABEL_FIRST + (re.sub("^[01]", "", text, flags=re.MULTILINE) if is_open else text)

    project.configure(id_column=None, categorical_columns=["corporation"])
    for name, text in (("a.csv", CUT), ("b.csv", other)):
        put(project, name, of(text))
        ingestion.run(project.config)
    if is_gone:
        (project.root / "sourcedata/b.csv").unlink()
    put(project, "a.csv", of(WHOLE))
    ingestion.run(project.config)
    what, rows, end = (
        (opened, open_list(project), "") if is_open else (labelled, final(project), "1")
    )
    assert what in told(project)
    assert (f"1,2,2,l,{end}" in rows) == ("stays" in what)
    assert f"1,2,275,l,{end}" in rows
    put(project, "c.csv", LABEL_FIRST + "1,last,7,8,9\n")
    assert ingestion.run(project.config).new_rows == 1, "all digests are right"


@pytest.mark.slow
def test_two_uploads_completed_at_once_are_both_mended(project: Project) -> None:
    for name in "ab":
        put(project, f"{name}.csv", LABEL_FIRST + f"0,{name},1,2,3")
    ingestion.run(project.config)
    for name in "ab":
        put(project, f"{name}.csv", LABEL_FIRST + f"0,{name},1,2,33\n")
    ingestion.run(project.config)
    assert sorted(final(project)) == ["a,1,2,33,0", "b,1,2,33,0"]


# The cut row, the rest of it, what came between, the list then, what is told.
REPLACED = [
    (",l,1,2,2", "75\n", "", ["l,1,2,275,"], "back on the list"),
    # The cut name is that of another open client, who was on the list already.
    (",4,5,6,l", "m\n", "", ["l,7,8,9,", "lm,4,5,6,"], "older row is back on the list"),
    ("0,4,5,6,l", "m\n", "", ["l,7,8,9,"], "row it had closed is back on the list"),
    # Meanwhile another file told of that client.
    (",4,5,6,l", "m\n", "1,l,1,1,1\n", ["lm,4,5,6,"], "is taken back"),
    (",4,5,6,l", "m\n", ",l,1,1,1\n", ["l,1,1,1,", "lm,4,5,6,"], "is taken back"),
    ("0,4,5,6,l", "m\n", "1,l,1,1,1\n", [], "is taken back"),
    ("0,4,5,6,l", "m\n", ",l,1,1,1\n", ["l,1,1,1,"], "is taken back"),
]


@pytest.mark.slow
@pytest.mark.parametrize("is_older_in_same_run", [False, True])
@pytest.mark.parametrize(("cut", "rest", "between", "expected", "what"), REPLACED)
def test_what_a_cut_row_replaced_on_the_list_of_open_clients_comes_back(
    project: Project,
    *,
    cut: str,
    rest: str,
    between: str,
    expected: list[str],
    what: str,
    is_older_in_same_run: bool,
) -> None:
    project.configure(id_column="corporation")
    header = NAME_LAST if rest == "m\n" else LABEL_FIRST
    put(project, "0.csv", LABEL_FIRST + "0,z,7,8,9\n,l,7,8,9\n")
    if not is_older_in_same_run:
        ingestion.run(project.config)
    put(project, "a.csv", header + cut)
    ingestion.run(project.config)
    assert list(read_ledger(project.config.ledger).replaced.values()) == ["l,7,8,9,\n"]
    if between:
        put(project, "b.csv", LABEL_FIRST + between)
        ingestion.run(project.config)
    put(project, "a.csv", header + cut + rest)
    ingestion.run(project.config)
    assert sorted(open_list(project)) == expected
    assert what in told(project)
    assert not read_ledger(project.config.ledger).replaced
    put(project, "c.csv", LABEL_FIRST + "1,last,7,8,9\n")
    ingestion.run(project.config)
    assert sorted(open_list(project)) == expected


@pytest.mark.slow
def test_a_client_who_left_before_is_not_put_back_on_the_list_and_that_is_named(
    project: Project,
) -> None:
    project.configure(id_column="corporation")
    put(project, "0.csv", LABEL_FIRST + "1,l,7,8,9\n,l,7,8,9\n")
    ingestion.run(project.config)
    put(project, "a.csv", NAME_LAST + "0,4,5,6,l")
    ingestion.run(project.config)
    put(project, "a.csv", NAME_LAST + "0,4,5,6,lm\n")
    ingestion.run(project.config)
    assert open_list(project) == []
    assert "is not back on the list of open clients" in told(project)


@pytest.mark.slow
@pytest.mark.parametrize("first", ["1,l,1,2,2", ",l,1,2,2", "x,k,1,2,3\n1,l,1,b"])
def test_taking_a_row_back_killed_at_any_operation_is_finished_by_the_next_run(
    project: Project, runner: ScriptRunner, tmp_path: Path, suite: Suite, first: str
) -> None:
    put(project, "a.csv", LABEL_FIRST + first)
    put(project, "b.csv", LABEL_FIRST + "0,m,1,2,3\n,n,1,2,3\n")
    ingestion.run(project.config)
    put(project, "a.csv", LABEL_FIRST + first + "75\n1,o,1,2,3\n")
    run = undisturbed(runner, "ingestion", project.root, tmp_path / "undisturbed")
    sweep(runner, run, tmp_path / "copy", suite, most=4)


@pytest.mark.parametrize("noted", ["0,k,1,2,3,South\n", "1,l,1,2,2,South\n"])
def test_the_whole_file_corrects_a_cut_segment_also_where_segments_were_noted(
    project: Project, noted: str
) -> None:
    header = LABEL_FIRST.strip() + ",branch\n"
    project.configure(segment_columns=["branch"])
    put(project, "a.csv", header + "0,k,1,2,3,North\n1,l,1,2,2,Nor")
    ingestion.run(project.config)
    put(project, "b.csv", header + noted)
    ingestion.run(project.config)
    assert len(final(project)) == 2
    assert sum("South" in row for row in final(project)) == 1
    put(project, "a.csv", header + "0,k,1,2,3,North\n1,l,1,2,2,North\n")
    ingestion.run(project.config)
    assert sorted(final(project)) == ["k,1,2,3,North,0", "l,1,2,2,North,1"]
