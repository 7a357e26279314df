"""Plain tables are read in bulk, and exactly as Python's csv module and float() read them."""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from attrition.core.errors import DataError
from attrition.web.feature_parsing import columns_from_csv
from attrition.web.plain_csv import plain_table

# A column is read as letters before the ends of its values: the header may be shorter than that.
HEADERS = ["a,b", "a,a_longer_name"]


def read(*texts: str, header: str = HEADERS[1]) -> list[float] | None:
    """The numbers of a column of these texts."""
    table = plain_table("\n".join([header, *(f"{text},x" for text in texts), ""]).encode())
    assert table is not None
    found = table.numbers(0)
    return None if found is None else found.tolist()


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "7",
        "-3",
        "007",
        "12.5",
        ".5",
        "5.",
        "-.25",
        "0.1",
        "123456789012345",
        "0.00000000000001",
        "-99999999.9999999",
        "3.14159265358979",
        "4.35",
        "1.005",
    ],
)
@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("other", ["22", "22.75"])
def test_a_plain_number_is_the_float_that_python_reads(text: str, header: str, other: str) -> None:
    found = read(text, "1", other, header=header)
    assert found == [float(text), 1.0, float(other)]
    assert math.copysign(1, found[0]) == math.copysign(1, float(text))


@pytest.mark.parametrize("digits", range(1, 17))
def test_numbers_of_any_length_are_read_beside_shorter_ones(digits: int) -> None:
    text = "9876543210123456"[:digits]
    found = read("", text, "0", "12345678", "00000009")
    if digits > 15:
        assert found is None
    else:
        assert found is not None
        assert found[1:] == [int(text), 0, 12345678, 9]


@pytest.mark.parametrize("header", HEADERS)
def test_a_blank_is_missing(header: str) -> None:
    found = read("", "5", "", header=header)
    assert found is not None
    assert [math.isnan(value) for value in found] == [True, False, True]


@pytest.mark.parametrize(
    "text",
    [
        "1e5",
        "nan",
        "inf",
        "-",
        ".",
        "-.",
        "--1",
        "+1",
        " 1",
        "1 ",
        "1_0",
        "1.2.3",
        "1-2",
        "0x1",
        "1234567890123456",
        "12345678901234567890",
        "/",
        ":",
    ],
)
@pytest.mark.parametrize("header", HEADERS)
def test_what_is_more_than_digits_is_left_to_the_other_way(text: str, header: str) -> None:
    assert read("1", text, header=header) is None
    assert read(text, "1", header=header) is None


def test_no_letter_but_a_digit_passes_for_one_wherever_it_stands() -> None:
    """Every printable letter at every place among eight."""
    for code in range(ord(" "), 127):
        for place in range(8):
            text = f"{'1' * place}{chr(code)}{'1' * (7 - place)}"
            if chr(code) in ',"':
                continue
            found = read("1", text)
            is_number = chr(code).isdigit() or chr(code) == "." or (chr(code) == "-" and not place)
            assert (found == [1, float(text)]) if is_number else found is None, text


@pytest.mark.parametrize(
    "text",
    [
        'a,b\n"1",2\n',
        "a,b\n1,2\n3\n",
        "a,b\n1,2,3\n",
        "a,b\n1\n2\n3\n4\n",
        "a,b\r1,2\r",
        "a,b",
        "",
        "a,b\n1,\x002\n",
        "a,b\n1,\t2\n",
        "a,b\n\n1,2\n",
        "a\n1\n\n2\n",
        "a,b\n1,2\n3,4,5\n6\n",
        "a,b,c\n1,2\n3,4,5,6\n",
    ],
)
def test_a_table_that_is_not_plain_is_left_to_the_other_way(text: str) -> None:
    assert plain_table(text.encode()) is None


def test_line_ends_of_windows_a_byte_order_mark_and_no_last_line_end_are_plain() -> None:
    table = plain_table(b"\xef\xbb\xbfa,b\r\n1,x\r\n2,\xc3\xb6")
    assert table is not None
    assert table.header == ["a", "b"]
    found = table.numbers(0)
    assert found is not None
    assert found.tolist() == [1, 2]
    assert table.texts(1) == ["x", "ö"]


CELL = st.one_of(
    st.text("0123456789.-", max_size=18),
    st.integers(0, 10**9).map(str),
    st.text('0123456789.-+eE _"\r\n\tnaif\xe9,', max_size=6),
    st.decimals(-(10**9), 10**9, places=4).map(str),
    st.floats().map(repr),
)


def expected(texts: list[str]) -> list[float] | None:
    """Row by row, with the csv module; None for a table that is refused."""
    rows = list(csv.reader(io.StringIO("\n".join(["a,b", *texts, ""]), newline=""), strict=True))
    values = [row[0].strip() for row in rows[1:] if row]
    numbers = [float(text) if text else math.nan for text in values]
    if any(len(row) != 2 for row in rows if row) or any(map(math.isinf, numbers)):
        return None
    return numbers


@given(st.lists(CELL, max_size=6), st.sampled_from(HEADERS))
@example(["1", ""], HEADERS[0])
@example(["-0", "0"], HEADERS[1])
def test_both_ways_read_the_same_to_the_bit(cells: list[str], header: str) -> None:
    texts = [f"{cell},x" for cell in cells]
    data = "\n".join([header, *texts, ""]).encode()
    try:
        wanted = expected(texts)
    except (ValueError, csv.Error):
        wanted = None
    try:
        found = columns_from_csv(data, ["a"], [])["a"]
    except DataError:
        return  # stricter than float(), on purpose
    assert wanted is not None
    assert np.array_equal(found, np.array(wanted), equal_nan=True)
    assert np.array_equal(np.signbit(found), np.signbit(np.array(wanted)))
