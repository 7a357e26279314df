"""CSV files as text: which header is refused, what is one record, where it stands."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attrition.core.errors import DataError
from attrition.data import csv_records
from attrition.data.csv_records import Record
from attrition.data.csv_scan import CsvScan, scan_csv


def census_of(data: bytes) -> CsvScan:
    return scan_csv(io.BytesIO(data))


def records_of(folder: Path, data: bytes) -> list[Record]:
    path = folder / "table.csv"
    path.write_bytes(data)
    return list(csv_records.read_records(path, census_of(data)))


def problems_of(folder: Path, data: bytes) -> list[tuple[int, str | None]]:
    return [(record.line, record.problem) for record in records_of(folder, data)]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes('\ufeffid ,"x,y",z  z\n'.encode())
    assert csv_records.column_names(path) == ("id", "x,y", "z  z")
    path.write_bytes(b'id, "x,y"\n')
    with pytest.raises(DataError, match="header in line 1 cannot be read: a quotation mark"):
        csv_records.column_names(path)


def test_a_header_may_be_quoted_and_span_lines(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b'\n"a\nb","c,d"\n1,2\n')
    header = csv_records.read_header(path, census_of(path.read_bytes()))
    assert header == csv_records.Header(("a\nb", "c,d"), line=2, last_line=3)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (["a"], "missing column 'b'; expected 'a', 'b'; found 'a'"),
        (["x", "y"], "missing columns 'a', 'b'"),
        (["a", "B "], "missing column 'b' (did you mean 'B '?); expected 'a', 'b'; found"),
        (["b", "x", "A"], "missing column 'a' (did you mean 'A'?); "),
        (["a;b"], "separated by semicolons"),
        (["a\tb"], "separated by tabs"),
        (["a|b"], "separated by vertical bars"),
        (["a", "b", "b"], "doubled column 'b'"),
    ],
)
def test_a_header_with_missing_or_doubled_columns_is_refused(found: list[str], reason: str) -> None:
    with pytest.raises(DataError) as error:
        csv_records.check_header(found, ["a", "b"], [])
    assert reason in str(error.value)


def test_a_file_without_a_header_is_not_answered_with_the_values_of_a_client() -> None:
    needed = ["corporation", "activity", "size", "exited"]
    with pytest.raises(DataError) as error:
        csv_records.check_header(["Corporation", "3", "17", "0"], needed, [])
    assert str(error.value).startswith("missing columns 'corporation', 'activity', 'size', 'exit")
    assert "did you mean" not in str(error.value)


def test_a_misspelt_column_is_answered_with_the_one_that_was_meant() -> None:
    with pytest.raises(DataError) as error:
        csv_records.check_header(["id", "activity", "left"], ["id", "actvity", "left"], [])
    assert str(error.value) == (
        "missing column 'actvity' (did you mean 'activity'?); "
        "expected 'id', 'actvity', 'left'; found 'id', 'activity', 'left'"
    )


def test_a_column_that_is_needed_itself_is_not_offered_for_another() -> None:
    with pytest.raises(DataError) as error:
        csv_records.check_header(
            ["lastyear_activity"], ["lastmonth_activity", "lastyear_activity"], []
        )
    assert "did you mean" not in str(error.value)


def test_a_header_may_hold_more_columns_in_any_order_even_twice() -> None:
    csv_records.check_header(["x", "b", "x", "a"], ["a", "b"], [])


def test_records_know_the_line_they_start_in(tmp_path: Path) -> None:
    data = b'a,b\n\n1,2\n"x\ny",3\n\n"p""q",4'
    assert [(r.line, r.values) for r in records_of(tmp_path, data)] == [
        (3, ["1", "2"]),
        (4, ["x\ny", "3"]),
        (7, ['p"q', "4"]),
    ]


def test_broken_rows_are_told_from_sound_ones(tmp_path: Path) -> None:
    data = b'a,b\n1,2\n"x"y,3\n4,5\r\nlone\rreturn,6\n7,8\nx"y,9\n"5" x",""\n'
    assert problems_of(tmp_path, data) == [
        (2, None),
        (3, "text follows a closing quotation mark"),
        (4, "the line ends in CR LF, the header in LF"),
        (5, "a carriage return inside the row"),
        (6, None),
        (7, "a quotation mark inside an unquoted value"),
        (8, "text follows a closing quotation mark"),
    ]


def test_a_line_end_of_another_kind_within_quotes_is_part_of_the_value(tmp_path: Path) -> None:
    assert problems_of(tmp_path, b'a,b\r\n"x\ny",1\r\n2,3\r\n') == [(2, None), (4, None)]


def test_old_macintosh_line_ends_are_read(tmp_path: Path) -> None:
    assert [r.values for r in records_of(tmp_path, b"a,b\r1,2\r3,4\r")] == [["1", "2"], ["3", "4"]]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'a,b\n1,2\n"x,3\n4,5\n', "a quotation mark opened in line 3 is never closed"),
        (b'a,b\n"x,3\n4,5\n"y",6\n', "opened in line 2 is still open in line 4"),
        (b'a,b\n"x"y,"3\n4,5\n"\n', "in line 2 text follows a closing quotation mark"),
        (b'a,b\n"' + b"x\n" * 70_000 + b'",1\n', "never closed?"),
    ],
)
def test_a_quotation_mark_that_swallows_lines_makes_a_file_unusable(
    tmp_path: Path, data: bytes, reason: str
) -> None:
    with pytest.raises(DataError) as error:
        records_of(tmp_path, data)
    assert reason in str(error.value)


def test_one_line_that_is_too_long_is_one_bad_record(tmp_path: Path) -> None:
    data = b"a,b\n" + b"x" * 1_000_000 + b",1\n2,3\n"
    assert problems_of(tmp_path, data) == [(2, "longer than 131,072 characters"), (3, None)]


def test_ragged_rows_are_set_aside_and_never_shifted(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"a,b,c\n1,2,3\n4,5\n6,7,8,9\n10,11,12,\n13,14,15\n")
    good = io.StringIO()
    lines, bad = csv_records.separate(records_of(tmp_path, path.read_bytes()), 3, [2, 0], good)
    assert good.getvalue() == '"3","1"\n"15","13"\n'
    assert list(lines) == [2, 6]
    assert [(record.line, record.problem) for record in bad] == [
        (3, "2 values, the header has 3 columns"),
        (4, "4 values, the header has 3 columns"),
        (5, "4 values, the header has 3 columns"),
    ]


def test_start_lines_are_those_of_the_records_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b'a,b\n"x\n\ny",1\n\n2,3\n4,5\n')
    assert csv_records.start_lines(records_of(tmp_path, path.read_bytes()), [1, 3]) == [2, 7]


values = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


@settings(deadline=None)
@given(rows=st.lists(st.tuples(values, values), max_size=8), end=st.sampled_from(["\n", "\r\n"]))
def test_what_the_csv_module_writes_is_read_back(
    rows: list[tuple[str, str]], end: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])
    found = records_of(tmp_path_factory.mktemp("t"), text.getvalue().encode())
    assert [tuple(record.values) for record in found] == rows
    assert not [record for record in found if record.problem]


@pytest.mark.parametrize("rows", ["A,1\rB,2\n", '"A\nB",1\rC,2\r'])
def test_lines_that_end_in_two_ways_are_said_and_the_header_is_not_blamed(
    tmp_path: Path, rows: str
) -> None:
    """Only a line feed somewhere behind tells that carriage returns end no lines."""
    path = tmp_path / "mixed.csv"
    path.write_bytes(f"name,value\r{rows}".encode())
    with pytest.raises(DataError, match="save it with one kind of line end") as caught:
        csv_records.column_names(path)
    assert "1 in LF, 0 in CR LF and" in str(caught.value)
    assert "header" not in str(caught.value)
