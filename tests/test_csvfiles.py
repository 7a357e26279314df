"""CSV files as bytes and text: what is refused whole, what is one record, where it stands."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attrition import csvfiles
from attrition.csvfiles import Record
from attrition.errors import DataError


def census_of(data: bytes) -> csvfiles.Census:
    return csvfiles.take_census(io.BytesIO(data))


def records_of(folder: Path, data: bytes) -> list[Record]:
    path = folder / "table.csv"
    path.write_bytes(data)
    return list(csvfiles.read_records(path, census_of(data)))


def problems_of(folder: Path, data: bytes) -> list[tuple[int, str | None]]:
    return [(record.line, record.problem) for record in records_of(folder, data)]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b" \r\n \n", "empty"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        ("a,b\n1,2\n".encode("utf-16-le"), "NUL byte in line 1; UTF-16"),
        (b"a,b\n1,2\n3,\x004\n", "NUL byte in line 3"),
        ("a,b\nJos\u00e9,2\n".encode("latin-1"), "byte 0xE9 in line 2 (Latin-1"),
        (b"a,b\n1,\xc3", "ends within a character"),
        (b"a,b\n1,\xc3\n3,4\n", "not UTF-8"),
        (b"a,b\n\xed\xa0\x80,2\n", "not UTF-8"),  # half of a surrogate pair
    ],
)
def test_a_file_that_is_no_utf8_text_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(DataError) as error:
        census_of(data)
    assert reason in str(error.value)


def test_a_census_counts_over_all_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    data = '\ufeffa,b\n"x, y",\u00e9\u20ac\n1, "2'.encode()
    whole = census_of(data)
    monkeypatch.setattr(csvfiles, "_CHUNK", 1)
    assert census_of(data) == whole
    assert (whole.newlines, whole.commas, whole.quotes, whole.lines) == (2, 4, 3, 3)
    assert whole.has_spaced_quotes
    assert not whole.ends_in_line_end


def test_a_bad_byte_is_named_with_its_line_in_a_later_chunk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(csvfiles, "_CHUNK", 4)
    with pytest.raises(DataError, match="byte 0xFF in line 4"):
        census_of(b"a,b\n1,2\n3,4\n5,\xff\n7,8\n")


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes('\ufeffid , "x,y" ,z  z\n'.encode())
    assert csvfiles.column_names(path) == ("id", '"x', 'y"', "z  z")


def test_a_header_may_be_quoted_and_span_lines(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b'\n"a\nb","c,d"\n1,2\n')
    header = csvfiles.read_header(path, census_of(path.read_bytes()))
    assert header == csvfiles.Header(("a\nb", "c,d"), line=2, last_line=3)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (["a"], "missing column 'b'; expected 'a', 'b', found 'a'"),
        (["x", "y"], "missing columns 'a', 'b'"),
        (["a;b"], "separated by semicolons"),
        (["a\tb"], "separated by tabs"),
        (["a|b"], "separated by vertical bars"),
        (["a", "b", "b"], "doubled column 'b'"),
    ],
)
def test_a_header_with_missing_or_doubled_columns_is_refused(found: list[str], reason: str) -> None:
    with pytest.raises(DataError) as error:
        csvfiles.check_header(found, ["a", "b"], [])
    assert reason in str(error.value)


def test_a_header_may_hold_more_columns_in_any_order_even_twice() -> None:
    csvfiles.check_header(["x", "b", "x", "a"], ["a", "b"], [])


def test_records_know_the_line_they_start_in(tmp_path: Path) -> None:
    data = b'a,b\n\n1,2\n"x\ny",3\n\n"p""q",4'
    assert [(r.line, r.values) for r in records_of(tmp_path, data)] == [
        (3, ["1", "2"]),
        (4, ["x\ny", "3"]),
        (7, ['p"q', "4"]),
    ]


def test_broken_rows_are_told_from_sound_ones(tmp_path: Path) -> None:
    data = b'a,b\n1,2\n"x"y,3\n4,5\r\nlone\rreturn,6\n7,8\n'
    assert problems_of(tmp_path, data) == [
        (2, None),
        (3, "text follows a closing quotation mark"),
        (4, "the line ends in CR LF, the header in LF"),
        (5, "a carriage return inside the row"),
        (6, None),
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
    lines, bad = csvfiles.separate(path, census_of(path.read_bytes()), 3, [2, 0], good)
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
    assert csvfiles.start_lines(path, census_of(path.read_bytes()), [1, 3]) == [2, 7]


def test_a_packed_file_is_unpacked_up_to_a_limit() -> None:
    data = b"x" * 3_000_000
    plain = io.BytesIO()
    csvfiles.unpack(io.BytesIO(gzip.compress(data)), plain, 3)
    assert plain.getvalue() == data
    with pytest.raises(DataError, match="larger than 2 MB when unpacked"):
        csvfiles.unpack(io.BytesIO(gzip.compress(data)), io.BytesIO(), 2)


@pytest.mark.parametrize(
    "damage", [lambda d: b"PK" + d, lambda d: d[:-9], lambda d: d[:-5] + b"x" * 5]
)
def test_a_damaged_packed_file_is_refused(damage: object) -> None:
    assert callable(damage)
    with pytest.raises(DataError, match="not a sound gzip file"):
        csvfiles.unpack(io.BytesIO(damage(gzip.compress(b"a,b\n1,2\n"))), io.BytesIO(), 1)


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
