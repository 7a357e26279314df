"""The rules of a client row, asked of DuckDB and compared with Python's own conversions."""

from __future__ import annotations

import math
import sys
from typing import Any

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from attrition.core.config import Config
from attrition.core.labels import value_key
from attrition.data import validation
from tests.conftest import new_project

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
numbers_as_text = st.one_of(
    texts,
    st.text("0123456789.eE+-_ ", max_size=8),
    st.floats(allow_nan=True, allow_infinity=True).map(repr),
    st.integers().map(str),
)


@pytest.fixture(scope="module")
def database() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def ask(database: duckdb.DuckDBPyConnection, expression: str, value: Any) -> Any:
    kind = "DOUBLE" if isinstance(value, float) else "VARCHAR"
    query = f"SELECT {expression} FROM (SELECT ?::{kind} AS x)"
    return database.execute(query, [value]).fetchall()[0][0]


def test_white_space_is_what_python_calls_so() -> None:
    everything = map(chr, range(sys.maxunicode + 1))
    assert set(validation.WHITE_SPACE) == {
        character for character in everything if character.isspace()
    }


@settings(deadline=None)
@given(text=texts)
@example(" ")
@example("  ")
@example("\u00a0")
@example("\u3000\t")
@example("\x7f")
def test_blank_and_trimmed_are_as_in_python(database: duckdb.DuckDBPyConnection, text: str) -> None:
    assert ask(database, validation.is_blank("x"), text) == (not text.strip())
    assert ask(database, validation.category("x"), text) == (text.strip() or None)


def test_null_is_blank(database: duckdb.DuckDBPyConnection) -> None:
    assert ask(database, validation.is_blank("x"), None) is True


@settings(deadline=None)
@given(text=numbers_as_text)
@example("1e309")
@example("-inf")
@example("nan")
@example("1_000")
@example("\u0661")
@example(" 1 ")
@example("\u00a01\u3000")
@example("-0")
@example("+-5")
@example("1e-400")
@example("1\x1c")
@example("0x10")
@example("1d")
@example(".")
def test_a_number_is_what_python_reads_as_a_finite_one_but_for_underscores_and_foreign_digits(
    database: duckdb.DuckDBPyConnection, text: str
) -> None:
    expected = None
    if "_" not in text and text.strip().isascii():
        try:
            expected = float(text.strip())  # of ASCII's separators float() alone trims none
        except ValueError:
            pass
        else:
            expected = expected + 0.0 if math.isfinite(expected) else None
    assert ask(database, validation.number("x"), text) == expected


@settings(deadline=None)
@given(number=st.floats(allow_nan=False, allow_infinity=False))
@example(1234.0)
@example(1e15)
@example(9007199254740993.0)
@example(1e16)
@example(5e-324)
def test_a_number_is_written_short_and_reads_as_itself(
    database: duckdb.DuckDBPyConnection, number: float
) -> None:
    text = ask(database, validation.number_text("x"), number)
    assert float(text) == number
    assert len(text) <= len(repr(number)) + 1
    assert not (abs(number) < 1e15 and text.endswith(".0"))


LABEL_PAIRS = [("1", "0"), ("Yes", "No"), ("1.0", "-1"), ("10", "ten"), ("left", "stayed's")]


@settings(deadline=None)
@given(pair=st.sampled_from(LABEL_PAIRS), data=st.data())
def test_labels_compare_as_the_settings_do(
    database: duckdb.DuckDBPyConnection,
    configs: dict[tuple[str, str], Config],
    pair: tuple[str, str],
    data: st.DataObject,
) -> None:
    near = [*pair, "1", "1.0", " 1", "1e0", "0", "-0", "0.0", "-1.0", "10.0", "yes", "Yes ", "No\n"]
    text = data.draw(st.one_of(st.sampled_from(near), numbers_as_text))
    expected: int | None = validation.NEITHER
    if not text.strip():
        expected = None
    elif "_" not in text and text.strip().isascii():
        for label, code in zip(pair, (validation.POSITIVE, validation.NEGATIVE), strict=True):
            if value_key(text) == value_key(label):
                expected = code
    assert ask(database, validation.label("x", configs[pair]), text) == expected


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Config]:
    made = {}
    for number, pair in enumerate(LABEL_PAIRS):
        project = new_project(tmp_path_factory.mktemp(f"labels{number}"))
        project.configure(positive_label=pair[0], negative_label=pair[1])
        made[pair] = project.config
    return made


@pytest.mark.parametrize("text", ["plain", "it's", 'say "so"', "two  spaces", "semi;colon --"])
def test_texts_are_quoted_for_sql(database: duckdb.DuckDBPyConnection, text: str) -> None:
    assert database.execute(f"SELECT {validation.literal(text)}").fetchall() == [(text,)]
