"""The benchmarks' arithmetic, and that their sides do what they say."""

from __future__ import annotations

import csv
import io
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks import curves, measuring, page, serving
from benchmarks.measuring import at_least, at_most


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def test_a_bar_is_met_on_its_own_side() -> None:
    assert at_least("x", "", "", 3.0, 3).met
    assert not at_least("x", "", "", 2.99, 3).met
    assert at_most("x", "", "", 5.0, 5).met
    assert not at_most("x", "", "", 5.01, 5).met


def test_mlflow_is_measured_or_said_to_be_missing() -> None:
    has_mlflow = find_spec("mlflow") is not None
    assert has_mlflow == serving.HAS_MLFLOW
    assert ("not installed here" in serving.READ) != has_mlflow


def test_the_exponent_of_a_power_law_is_its_power() -> None:
    curve = {10_000: 99.0, 100_000: 2.0, 1_000_000: 2.0 * 10**0.5, 10_000_000: 20.0}
    assert curves.exponent(curve, 100_000) == pytest.approx(0.5)
    assert curves.exponent({10_000: 1.0, 100_000: 2.0}, 100_000) is None


def test_a_table_is_markdown_with_columns_of_equal_width() -> None:
    text = measuring.as_markdown([at_least("ingestion", "1 s", "10 s", 10.0, 3)])
    lines = text.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[2].split("|")[1:-1] == [
        " ingestion ",
        " 1 s  ",
        " 10 s          ",
        " 10.00 ",
        " at least 3 x ",
        " yes ",
    ]


def test_the_batches_hold_as_many_rows_as_asked_and_no_client_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "_GENERATED", 100)
    project = measuring.make_project(tmp_path / "project")
    measuring.write_batches(project, 500, 2)
    tables = [rows_of(path) for path in sorted((project / "sourcedata").iterdir())]
    assert [len(table) for table in tables] == [250, 250]
    names = [{row["corporation"] for row in table} for table in tables]
    assert names[0].isdisjoint(names[1])
    assert 200 < len(names[0]) < 250  # some clients stand there twice


def test_both_sides_of_a_comparison_ingest_the_same_clients(tmp_path: Path) -> None:
    ours = measuring.make_project(tmp_path / "ours")
    measuring.write_batches(ours, 400, 2)
    measuring.stage("ingestion.py", ours)
    theirs = measuring.make_project(tmp_path / "theirs")
    measuring.write_batches(theirs, 400, 2)
    measuring.naive("ingest", theirs)

    def clients(path: Path) -> set[str]:
        return {row["corporation"] for row in rows_of(path)}

    labelled = clients(ours / "ingesteddata/finaldata.csv")
    waiting = clients(ours / "ingesteddata/openclients.csv")
    assert labelled | waiting == clients(theirs / "ingesteddata/finaldata.csv")
    assert len(waiting) > 5


def test_a_section_of_the_page_takes_the_place_of_its_elder_and_leaves_the_others(
    tmp_path: Path,
) -> None:
    path, order = tmp_path / "results.md", ["first", "second"]
    page.write_section(path, "second", "| 2 |", order)
    page.write_section(path, "first", "| 1 |", order)
    page.write_section(path, "second", "| new |", order)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# Measured\n")
    assert text.index("## first\n") < text.index("| 1 |") < text.index("## second\n")
    assert text.endswith("\n\n| new |\n")
    assert "| 2 |" not in text
