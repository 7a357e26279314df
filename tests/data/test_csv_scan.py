"""CSV files as bytes: what is refused whole, what is counted, what is unpacked."""

from __future__ import annotations

import gzip
import io

import pytest

from attrition.core.errors import DataError
from attrition.data import csv_scan


def census_of(data: bytes) -> csv_scan.CsvScan:
    return csv_scan.scan_csv(io.BytesIO(data))


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
    monkeypatch.setattr(csv_scan, "_CHUNK", 1)
    assert census_of(data) == whole
    assert (whole.newlines, whole.commas, whole.quotes, whole.lines) == (2, 4, 3, 3)
    assert whole.has_stray_quotes
    assert whole.has_one_line_end
    assert not whole.ends_in_line_end


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("data", "is_stray"),
    [
        (b'"a",""\r\n"b""","c,\n"', False),
        (b'a,""""\n""\n"', True),
        (b'a,b"c,d"\n', True),
        (b'a, "c"\n', True),
        (b'"a" ,c\n', True),
        (b'a,""c""\n', True),
    ],
)
def test_a_quotation_mark_that_the_standard_forbids_is_seen(
    monkeypatch: pytest.MonkeyPatch, chunk: int, data: bytes, is_stray: bool
) -> None:
    monkeypatch.setattr(csv_scan, "_CHUNK", chunk)
    assert census_of(data).has_stray_quotes == is_stray


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("data", "is_one"),
    [
        (b"a\r\n1\r\n\r\n", True),
        (b"a\r\n1", True),
        (b"a\n1\r\n", False),
        (b"a\r1\r\n", False),
        (b"a\r\n1\r", False),
        (b"a\r\n1\r2\n", False),
    ],
)
def test_line_ends_of_two_kinds_are_seen(
    monkeypatch: pytest.MonkeyPatch, chunk: int, data: bytes, is_one: bool
) -> None:
    monkeypatch.setattr(csv_scan, "_CHUNK", chunk)
    assert census_of(data).has_one_line_end == is_one


def test_a_bad_byte_is_named_with_its_line_in_a_later_chunk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(csv_scan, "_CHUNK", 4)
    with pytest.raises(DataError, match="byte 0xFF in line 4"):
        census_of(b"a,b\n1,2\n3,4\n5,\xff\n7,8\n")


def test_a_packed_file_is_unpacked_up_to_a_limit() -> None:
    data = b"x" * 3_000_000
    plain = io.BytesIO()
    csv_scan.unpack(io.BytesIO(gzip.compress(data)), plain, 3)
    assert plain.getvalue() == data
    with pytest.raises(DataError, match="larger than 2 MB when unpacked"):
        csv_scan.unpack(io.BytesIO(gzip.compress(data)), io.BytesIO(), 2)


def test_a_packed_file_may_not_grow_a_hundredfold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_scan, "UNPACKED_FREELY", 2_000_000)
    rows = b"".join(b"client %d,1,2,3,0\n" % i for i in range(300_000))
    plain = io.BytesIO()
    csv_scan.unpack(io.BytesIO(gzip.compress(rows)), plain, 1000)
    assert plain.getvalue() == rows
    for count, is_refused in ((100_000, False), (300_000, True)):
        packed = io.BytesIO(gzip.compress(b"k,1,2,3,0,gold\n" * count))
        if is_refused:
            with pytest.raises(DataError, match="more than 100 times its size when unpacked"):
                csv_scan.unpack(packed, io.BytesIO(), 1000)
        else:
            csv_scan.unpack(packed, io.BytesIO(), 1000)


@pytest.mark.parametrize(
    "damage", [lambda d: b"PK" + d, lambda d: d[:-9], lambda d: d[:-5] + b"x" * 5]
)
def test_a_damaged_packed_file_is_refused(damage: object) -> None:
    assert callable(damage)
    with pytest.raises(DataError, match="not a sound gzip file"):
        csv_scan.unpack(io.BytesIO(damage(gzip.compress(b"a,b\n1,2\n"))), io.BytesIO(), 1)
