"""Client rows from a request read as ingestion reads them, and every fault is named."""

from __future__ import annotations

import csv
import gc
import io
import json
import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attrition.core.errors import DataError
from attrition.data import validation
from attrition.web import feature_parsing

NUMERIC, CATEGORICAL = ("age", "spend"), ("plan",)


def from_records(*records: object) -> dict[str, list[object]]:
    result = feature_parsing.columns_from_records(list(records), NUMERIC, CATEGORICAL)
    return {name: values.tolist() for name, values in result.items()}


def from_csv(text: str | bytes) -> dict[str, list[object]]:
    data = text if isinstance(text, bytes) else text.encode()
    result = feature_parsing.columns_from_csv(data, NUMERIC, CATEGORICAL)
    return {name: values.tolist() for name, values in result.items()}


def test_records_become_columns_in_any_order_and_extra_keys_are_ignored() -> None:
    found = from_records(
        {"plan": " pro ", "spend": 1.5, "age": 40, "name": "Ltd."},
        {"age": "41", "spend": " 2e1 ", "plan": 7},
    )
    assert found == {"age": [40.0, 41.0], "spend": [1.5, 20.0], "plan": ["pro", "7"]}


TEXTS = st.text(st.sampled_from('aN"\\\n\u00e9')) | st.sampled_from(
    ["NaN", '"NaN', "\\", "Infinity"]
)
JSON = st.recursive(
    st.none() | st.just(math.nan) | st.integers(-9, 9) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(JSON, st.booleans())
def test_for_mlflow_nan_means_null_and_a_text_stays_what_it_is(value: object, ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii)
    wanted = json.loads(text, parse_constant=lambda _: None)
    assert feature_parsing.decoded_mlflow_json(text.encode()) == wanted
    if json.loads(text, parse_constant=lambda _: "gap") == wanted:
        assert feature_parsing.decoded_json(text.encode()) == wanted
    else:
        with pytest.raises(DataError, match="the body holds NaN, which is not JSON: write null"):
            feature_parsing.decoded_json(text.encode())


@pytest.mark.parametrize(
    "text", ['"' * 51, '"\\', '"NaN', "xNaN", "NaNNaN", "-NaN", "[NaN", "1NaN"]
)
def test_what_is_no_json_is_none_for_mlflow_either(text: str) -> None:
    with pytest.raises(DataError):
        feature_parsing.decoded_mlflow_json(text.encode())


@pytest.mark.slow
def test_a_long_body_of_open_texts_is_refused_in_a_moment() -> None:
    for text in ('\\"' * 2**20, '"\\' * 2**20, '"' + "\\" * 2**20, '"a' * 2**20):
        with pytest.raises(DataError):
            feature_parsing.decoded_mlflow_json(f"NaN{text}".encode())


@pytest.mark.parametrize("end", ["]", ""])
def test_the_garbage_collector_rests_while_a_long_table_is_decoded(end: str) -> None:
    """It would hold up all threads, the longer the more rows there are."""
    collected: list[str] = []
    note = lambda phase, _about: collected.append(phase)  # noqa: E731 - removed by its identity
    gc.callbacks.append(note)
    try:
        with nullcontext() if end else pytest.raises(DataError):
            feature_parsing.decoded_json(b"[" + b"[]," * 20_000 + b"[]" + end.encode())
    finally:
        gc.callbacks.remove(note)
    assert len(collected) < 10
    assert gc.isenabled()


def test_long_bodies_are_searched_in_pieces() -> None:
    """A search of a whole body at once would hold up all threads."""
    text = '"NaN"' + " -" * 50_000 + "NaN"
    pieces = [match[0] for match in feature_parsing._PIECE.finditer(text.encode())]
    assert b"".join(pieces) == text.encode()
    assert max(map(len, pieces)) <= 20_000
    assert pieces[-2].endswith(b"NaN")


def test_null_and_blank_are_missing() -> None:
    found = from_records(
        {"age": None, "spend": "", "plan": None}, {"age": " ", "spend": 0, "plan": " "}
    )
    assert all(math.isnan(value) for value in found["age"])  # type: ignore[arg-type]
    assert math.isnan(found["spend"][0])  # type: ignore[arg-type]
    assert found["spend"][1] == 0.0
    assert found["plan"] == ["", ""]


@pytest.mark.parametrize(
    ("known", "value", "level"),
    [
        (["0", "1"], 1.0, "1"),  # what pandas makes of whole numbers beside a missing one
        (["0.0", "1.0"], 1, "1.0"),  # and of those that the model learnt from
        (["1", "1.0"], 1.0, "1.0"),
        (["1", "1.0"], 1, "1"),
        (["0"], -0.0, "0"),
        (["1"], 1.5, "1.5"),
        (["7"], "7.0", "7.0"),  # a text is what it is
        ([], 10**400, "1" + 400 * "0"),
    ],
)
def test_a_number_is_the_level_that_it_spells(known: list[str], value: object, level: str) -> None:
    table = feature_parsing.columns_from_records([{"plan": value}], [], ["plan"], {"plan": known})
    assert table["plan"].tolist() == [level]


GOOD = {"age": 1, "spend": 1, "plan": "a"}


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"spend": 1, "plan": "a"}, ["row 2", "'age'", "missing"]),
        ({**GOOD, "age": "old"}, ["row 2", "'age'", "number", '"old"']),
        ({**GOOD, "spend": "1_000"}, ["row 2", "'spend'", "number"]),
        ({**GOOD, "spend": "nan"}, ["row 2", "'spend'", "number"]),
        ({**GOOD, "spend": "\u0661"}, ["row 2", "'spend'", "number"]),
        ({**GOOD, "spend": 10**400}, ["row 2", "'spend'", "a huge number"]),
        ({**GOOD, "spend": True}, ["row 2", "'spend'", "true"]),
        ({**GOOD, "spend": [1]}, ["row 2", "'spend'", "a list"]),
        ({**GOOD, "plan": {}}, ["row 2", "'plan'", "an object"]),
        ({**GOOD, "plan": False}, ["row 2", "'plan'", "text", "false"]),
        ("a client", ["row 2", "object"]),
        (None, ["row 2", "object"]),
    ],
)
def test_a_fault_in_a_record_is_named_by_row_and_column(record: object, words: list[str]) -> None:
    with pytest.raises(DataError) as error:
        from_records(GOOD, record)
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize("records", [{}, None, "x", 3])
def test_records_are_a_list(records: object) -> None:
    with pytest.raises(DataError, match="list"):
        feature_parsing.columns_from_records(records, NUMERIC, CATEGORICAL)


def test_no_records_are_no_clients() -> None:
    assert from_records() == {"age": [], "spend": [], "plan": []}


def test_a_csv_table_reads_like_records() -> None:
    found = from_csv('\ufeffplan,name, age ,spend\r\n"a,b","x\ny",40,\r\n\r\npro,z, 41 ,2.5\r\n')
    assert found["plan"] == ["a,b", "pro"]
    assert found["age"] == [40.0, 41.0]
    assert math.isnan(found["spend"][0])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["empty"]),
        ("age,plan\n1,a\n", ["'spend'", "missing"]),
        ("age;spend;plan\n1;1;a\n", ["'age'", "missing"]),
        ("age,spend,plan,age\n1,1,a,2\n", ["'age'", "2 times"]),
        ("age,spend,plan\n1,1,a\n1,1\n", ["line 3", "3 values", "found 2"]),
        ("age,spend,plan\n1,1,a,9\n", ["line 2", "found 4"]),
        ('age,spend,plan\n1,1,"a\n', ["not valid CSV"]),
        ('age,spend,plan\n1,1,"a"b\n', ["line 2", "not valid CSV"]),
        ('age,spend,plan\n1,1,a\n1,1,a"b"\n', ["line 3", "a quotation mark inside"]),
        ("age,spend,plan\n1,1,a\n1,x,a\n", ["line 3", "'spend'", '"x"']),
        ('age,spend,plan\n1,1,"a\nb"\n\n1,x,a\n', ["line 5", "'spend'", '"x"']),
        ("age,spend,plan\n1,1_0,a\n", ["line 2", "'spend'"]),
        ("age,spend,plan\n1,inf,a\n", ["line 2", "'spend'"]),
        ("age,spend,plan\n1,\u0661,a\n", ["line 2", "'spend'"]),
        ("age,spend,plan\n1,1,\0\n", ["NUL"]),
        (b"age,spend,plan\n1,1,\xe9\n", ["UTF-8"]),
        ("age,spend,plan\n1,1," + "a" * 200_000, ["line 2", "not valid CSV"]),
    ],
)
def test_a_fault_in_a_csv_table_is_named(text: str | bytes, words: list[str]) -> None:
    with pytest.raises(DataError) as error:
        from_csv(text)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_header_of_millions_of_columns_is_refused_before_they_are_read() -> None:
    start = time.process_time()
    with pytest.raises(
        DataError, match="the header has 16,777,217 columns; expected at most 10,000"
    ):
        from_csv("," * 2**24)
    assert time.process_time() - start < 1  # read, they take several seconds
    with pytest.raises(DataError, match="the header has 10,001 columns"):
        from_csv('"age\n"' + "," * 10_000)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.floats().map(repr),
        st.from_regex(r"\s?[+-]?[0-9]{1,3}([._,]?[0-9]{0,3})([eE][+-]?[0-9]{1,3})?\s?"),
        st.text(alphabet="0123456789.eE+-_ xnaif\u00a0\u0661", max_size=6),
    )
)
def test_a_text_is_the_same_number_here_and_in_ingestion(text: str) -> None:
    query = (
        f"SELECT {validation.number('t')}, {validation.is_blank('t')} FROM (SELECT ?::VARCHAR AS t)"
    )
    number, is_blank = duckdb.execute(query, [text]).fetchone()  # type: ignore[misc]
    table = io.StringIO()
    csv.writer(table).writerows([("x",), (text,), ("1",)])
    ways: tuple[Callable[[], Mapping[str, Any]], ...] = (
        lambda: feature_parsing.columns_from_records([{"x": text}], ["x"], []),
        lambda: feature_parsing.columns_from_csv(table.getvalue().encode(), ["x"], []),
    )
    for read in ways:
        if number is None and not is_blank:
            with pytest.raises(DataError):
                read()
        else:
            assert read()["x"][0] == pytest.approx(number or 0.0, nan_ok=True) or is_blank


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
            st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=5),
        ),
        max_size=5,
    )
)
def test_csv_and_json_say_the_same(rows: list[tuple[float | None, str]]) -> None:
    table = io.StringIO()
    csv.writer(table).writerows([("x", "plan"), *rows])
    records = json.loads(json.dumps([{"x": x, "plan": plan} for x, plan in rows]))
    one = feature_parsing.columns_from_csv(table.getvalue().encode(), ["x"], ["plan"])
    other = feature_parsing.columns_from_records(records, ["x"], ["plan"])
    np.testing.assert_array_equal(one["x"], other["x"])
    assert one["plan"].tolist() == other["plan"].tolist()


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"",
        b"\xff",
        '"\u20ac"'.encode("utf-16"),
        b"[NaN]",
        b"[-Infinity]",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 5000,
    ],
)
def test_json_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match="JSON"):
        feature_parsing.decoded_json(data)


@pytest.mark.parametrize("text", ["[1e999]", "[-1e999]", "9" * 400])
def test_a_number_too_large_for_json_is_named_as_that(text: str) -> None:
    with pytest.raises(DataError, match="a number too large; expected finite numbers"):
        feature_parsing.decoded_json(text.encode())
