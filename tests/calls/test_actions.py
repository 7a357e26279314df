"""Each row of a file of actions counts, is a duplicate, or is rejected with its reason."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from attrition.calls.actions import Action, Actions, check_actions
from attrition.core.errors import DataError
from attrition.data.csv_records import read_header, read_records
from attrition.data.csv_scan import scan_file

TODAY = date(2026, 5, 20)


def checked(folder: Path, text: str) -> Actions:
    """The rows of a real file."""
    path = folder / "may.csv"
    path.write_text(text, encoding="utf-8")
    scan = scan_file(path)
    names = read_header(path, scan).names
    return check_actions(names, read_records(path, scan), TODAY)


def test_a_row_is_a_client_a_day_an_action_and_perhaps_its_cost_and_a_note(tmp_path: Path) -> None:
    actions = checked(
        tmp_path,
        "note,date,client,cost,action,by\n"
        'angry,2026-05-01,"Müller, Söhne",12.5, Call ,Ann\n'
        ",2026-05-20,007,,offer,Ann\n"
        ",2024-02-29, Blank ,0,visit,Bob\n",
    )
    assert actions == Actions(
        (
            Action("Müller, Söhne", date(2026, 5, 1), "call", 12.5, "angry"),
            Action("007", TODAY, "offer"),
            Action(" Blank ", date(2024, 2, 29), "visit", 0.0),
        ),
        0,
        (),
    )


def test_cost_and_note_may_be_missing(tmp_path: Path) -> None:
    actions = checked(tmp_path, "client,date,action\nAcme,2026-05-01,call\n")
    assert actions.accepted == (Action("Acme", date(2026, 5, 1), "call"),)


@pytest.mark.parametrize(
    ("row", "rejection"),
    [
        (",2026-05-01,call,", ("client", "", "blank")),
        ("  ,2026-05-01,call,", ("client", "  ", "blank")),
        ("Acme,,call,", ("date", "", "blank")),
        ("Acme,2026-05-21,call,", ("date", "2026-05-21", "in the future")),
        ("Acme,2026-02-30,call,", ("date", "2026-02-30", "not a day of the calendar")),
        ("Acme,0000-01-01,call,", ("date", "0000-01-01", "not a day of the calendar")),
        ("Acme,1.5.2026,call,", ("date", "1.5.2026", "not a date (expected YYYY-MM-DD)")),
        ("Acme,20260501,call,", ("date", "20260501", "not a date (expected YYYY-MM-DD)")),
        ("Acme,2026-05-01, ,", ("action", " ", "blank")),
        ("Acme,2026-05-01,call,-1", ("cost", "-1", "below 0")),
        ('Acme,2026-05-01,call,"12,50"', ("cost", "12,50", "not a number")),
        ("Acme,2026-05-01,call,1_000", ("cost", "1_000", "not a number")),
        ("Acme,2026-05-01,call,٣", ("cost", "٣", "not a number")),
        ("Acme,2026-05-01,call,5 EUR", ("cost", "5 EUR", "not a number")),
        ("Acme,2026-05-01,call,inf", ("cost", "inf", "not a finite number")),
        ("Acme,2026-05-01,call,nan", ("cost", "nan", "not a finite number")),
        ("Acme,call", ("", "Acme,call", "2 values, the header has 4 columns")),
        ('Ac"me,2026-05-01,call,', ("", 'Ac"me,2026-05-01,call,', "a quotation mark inside an un")),
        (" ,yesterday,,-1", ("client", " ", "blank")),
    ],
)
def test_what_is_wrong_with_a_row_is_named(
    tmp_path: Path, row: str, rejection: tuple[str, str, str]
) -> None:
    text = f"client,date,action,cost\nAcme,2026-05-02,call,3\n{row}\n007,2026-05-02,call,3\n"
    actions = checked(tmp_path, text)
    (rejected,) = actions.rejected
    column, value, reason = rejection
    assert (rejected.line, rejected.column, rejected.value) == (3, column, value)
    assert rejected.reason.startswith(reason)
    assert [action.client for action in actions.accepted] == ["Acme", "007"]


def test_a_row_that_comes_twice_counts_once_and_rows_that_differ_count_each(tmp_path: Path) -> None:
    actions = checked(
        tmp_path,
        "client,date,action,cost,note\n"
        "Acme,2026-05-01,call,3,\n"
        "Acme,2026-05-01,CALL, 3.0 ,\n"
        "Acme,2026-05-01,call,3,second try\n"
        "Acme,2026-05-01,offer,3,\n"
        "007,2026-05-01,call,3,\n"
        "007,2026-05-02,call,3,\n"
        "007,2026-05-02,offer,3,\n",
    )
    assert (len(actions.accepted), actions.duplicates, actions.rejected) == (6, 1, ())


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("client,day,action", "missing column 'date'"),
        ("client,date,action,date", "doubled column 'date'"),
        ("client,date,action,cost,cost", "doubled column 'cost'"),
    ],
)
def test_a_file_without_its_columns_is_refused(tmp_path: Path, header: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        checked(tmp_path, header + "\n")
