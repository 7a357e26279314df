"""The list as a file: inert in spreadsheets, and whole CSV."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attrition.core.spreadsheet import inert, plain
from attrition.ranking import csv_list
from attrition.ranking.csv_list import write_list
from attrition.ranking.ranking import Ranking

HOSTILE = [
    "=cmd()|' /C calc'!A0",
    "+1",
    "-1",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "\nx",
    " =1",
    "\u200b=1",
    "\uff1d1",
    "'=1",
    "''",
    'a"b',
    "a,b",
    "a\nb",
    "a\r\nb",
    "NA",
    "007",
    "Müller",
]


def listed(ids: list[str], values: list[float] | None = None) -> Ranking:
    count = len(ids)
    given_values = None if values is None else np.array(values)
    return Ranking(
        ids=np.array(ids, dtype=object),
        probabilities=np.linspace(0.9, 0.1, count).round(4),
        tiers=np.array(["high"] * count, dtype=object),
        reasons=[["=x is 1", "y, z"]],
        values=given_values,
        values_at_risk=None if given_values is None else given_values / 2,
        value_ranks=None if given_values is None else np.arange(count),
        probability_changes=["-0.0100"] * count,
        rank_changes=["new"] * count,
    )


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.reader(stream, strict=True))


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_begins_a_formula_and_each_can_be_had_back(text: str) -> None:
    shown = inert(text)
    assert shown.strip(" \u200b")[0] not in "=+-@\t\r\n\uff1d"
    assert plain(shown) == text


@given(st.text())
def test_any_text_is_inert_and_comes_back(text: str) -> None:
    assert plain(inert(text)) == text
    assert inert(text)[:1] not in set("=+-@\t\r\n")


def test_a_usual_name_stays_as_it_is() -> None:
    for name in ("Acme Ltd", "007", "NA", "(old) Acme", "& Sons", "Ärzte"):
        assert inert(name) == name


@pytest.mark.slow
def test_the_list_is_written_column_by_column(tmp_path: Path) -> None:
    path = tmp_path / "clientrisk.csv"
    write_list(path, listed(["a", "b", "c"], [1000.0, 0.1, math.nan]))
    assert path.read_text() == (
        "rank,client,probability,tier,reason_1,reason_2,reason_3,probability_change,rank_change,"
        "value,value_at_risk,value_rank\n"
        '1,a,0.9000,high,\'=x is 1,"y, z",,-0.0100,new,1000,500.00,\n'
        "2,b,0.5000,high,,,,-0.0100,new,0.1,0.05,1\n"
        "3,c,0.1000,high,,,,-0.0100,new,,,2\n"
    )


def test_clients_held_out_begin_anew_with_the_likeliest_leaver(tmp_path: Path) -> None:
    path = tmp_path / "clientrisk.csv"
    probabilities = np.array([0.8, 0.3, 0.9, 0.3])
    write_list(path, replace(listed(list("abcd")), probabilities=probabilities, held_out=2))
    assert [row[4] for row in rows(path)] == ["group", "call", "call", "hold out", "hold out"]
    assert [float(row[2]) for row in rows(path)[1:]] == probabilities.tolist()


def test_a_list_by_profit_has_a_last_column_for_it(tmp_path: Path) -> None:
    path = tmp_path / "clientrisk.csv"
    by_profit = replace(
        listed(["a", "b", "c"], [10.0, 900.0, math.nan]),
        probabilities=np.array([0.3, 0.4, 0.9]),
        values_at_risk=np.array([3.0, 360.0, math.nan]),
        profits=np.array([7.125, -0.004, math.nan]),
    )
    write_list(path, by_profit)
    assert [row[-1] for row in rows(path)] == ["profit", "7.12", "-0.00", ""]


def test_hostile_names_make_no_other_cells_and_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "clientrisk.csv"
    write_list(path, listed(HOSTILE))
    found = rows(path)
    assert len(found) == len(HOSTILE) + 1
    assert {len(row) for row in found} == {9}
    assert [plain(row[1]) for row in found[1:]] == HOSTILE


@given(st.lists(st.text(), min_size=1, max_size=5, unique=True))
def test_another_program_reads_the_cells_that_were_meant(names: list[str]) -> None:
    stream = io.StringIO(",".join(["1", *map(csv_list._field, names)]) + "\n", newline="")
    assert [plain(cell) for cell in next(csv.reader(stream, strict=True))][1:] == names


def test_a_byte_order_mark_stands_only_where_a_text_is_not_ascii(tmp_path: Path) -> None:
    path = tmp_path / "clientrisk.csv"
    write_list(path, listed(["Mueller"]))
    assert path.read_bytes().startswith(b"rank,")
    write_list(path, listed(["Müller"]))
    assert path.read_bytes().startswith(b"\xef\xbb\xbfrank,")
