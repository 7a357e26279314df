"""Hostile files: of each either the rows are exactly right, or they are aside with a reason.

`tests/corpus/` holds files of our own and `index.json`, checked by hand, with what must become of
each. The public corpora are looked for beside the repository, and skipped where they are not.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ingestion
from attrition.core.config import Config
from attrition.core.config_parsing import parse_config
from attrition.core.errors import DataError
from attrition.data.csv_records import column_names
from attrition.data.ledger import LedgerEntry
from tests.conftest import FOLDERS, REPOSITORY, Project, Suite
from tests.support.client_tables import whole_table
from tests.support.ingested import quarantined

CORPUS = Path(__file__).resolve().parents[1] / "corpus"
INDEX: dict[str, Any] = json.loads((CORPUS / "index.json").read_text(encoding="utf-8"))
PUBLIC = REPOSITORY.parent / "shared" / "data" / "messy"
SPECTRUM = sorted((PUBLIC / "csv-spectrum" / "csvs").glob("*.csv"))
MESSY = sorted(p for p in PUBLIC.rglob("*") if p.name.endswith((".csv", ".csv.gz", ".tsv")))
NONE = pytest.param(None, marks=pytest.mark.skip(reason=f"no {PUBLIC.name}/ beside the project"))


def adds_up(entry: LedgerEntry) -> bool:
    """No row is lost and none counted twice."""
    parts = entry.kept + entry.duplicate + entry.open + entry.quarantined
    return entry.rows_read == parts


def rows_of(path: Path) -> str:
    """The text after the header; "" without a file."""
    return path.read_bytes().decode().partition("\n")[2] if path.exists() else ""


def test_the_index_names_every_file_of_the_corpus() -> None:
    assert sorted(INDEX) == sorted(p.name for p in CORPUS.iterdir() if p.name != "index.json")


@pytest.mark.parametrize("name", INDEX)
def test_a_hostile_file_is_taken_in_exactly_or_set_aside_with_a_reason(
    project: Project, suite: Suite, name: str
) -> None:
    expected = INDEX[name]
    shutil.copy(CORPUS / name, project.root / "sourcedata")
    (entry,) = ingestion.run(project.config).files
    assert entry.reason == expected.get("rejected")
    assert adds_up(entry)
    assert entry.rows_read == expected.get("rows_read", 0)
    assert entry.duplicate == expected.get("duplicate", 0)
    assert rows_of(project.config.final_data) == expected.get("kept", "")
    assert rows_of(project.config.open_clients) == expected.get("open_clients", "")
    found = [[int(line), *rest] for _, line, *rest in quarantined(project)]
    assert found == expected.get("quarantined", [])
    suite.tell(1, "hostile files of our own")


def test_all_hostile_files_together_stop_no_sound_one(project: Project) -> None:
    for name in INDEX:
        shutil.copy(CORPUS / name, project.root / "sourcedata")
    result = ingestion.run(project.config)
    assert len(result.files) == len(INDEX)
    assert all(adds_up(entry) for entry in result.files)
    lines = {line for e in INDEX.values() for line in e.get("kept", "").splitlines()}
    assert set(rows_of(project.config.final_data).splitlines()) == lines
    rejected = {entry.name for entry in result.files if entry.reason}
    assert rejected == {name for name, e in INDEX.items() if "rejected" in e}


@pytest.mark.parametrize("path", SPECTRUM or [NONE], ids=lambda p: p.name if p else "none")
def test_csv_spectrum_is_read_as_its_answers_say(project: Project, path: Path) -> None:
    answers = json.loads((path.parent.parent / "json" / f"{path.stem}.json").read_text("utf-8"))
    header, rows = list(answers[0]), [[v.strip() for v in row.values()] for row in answers]
    project.configure(id_column=None, numeric_columns=[], categorical_columns=header)
    clients, rejected = whole_table(project.config, path)
    assert rejected == ()
    assert clients.features.astype(str).to_numpy().tolist() == rows


def sound_rows(data: bytes, width: int) -> list[list[str]] | None:
    """The rows a strict reader accepts, values trimmed; None where it loses its way."""
    try:
        records = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True))
    except (csv.Error, UnicodeDecodeError):
        return None
    return [[value.strip() for value in row] for row in records[1:] if len(row) == width]


@pytest.fixture
def config_for(tmp_path: Path) -> Callable[[Path], Config]:
    """Settings under which a file's columns are all plain text."""

    def make(path: Path) -> Config:
        names = [name for name in dict.fromkeys(column_names(path)) if name.strip()]
        columns = {"id_column": None, "numeric_columns": [], "categorical_columns": names}
        return parse_config({**FOLDERS, **columns}, tmp_path / "config.json")

    return make


@pytest.mark.parametrize("path", MESSY or [NONE], ids=lambda p: p.name if p else "none")
def test_a_messy_public_file_is_read_exactly_or_refused_with_a_reason(
    config_for: Callable[[Path], Config], tmp_path: Path, suite: Suite, path: Path
) -> None:
    """The other reader is Python's, in its strict mode, on files where it can find its way."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    plain = tmp_path / "table.csv"
    plain.write_bytes(data)
    try:
        config = config_for(plain)
        clients, rejected = whole_table(config, plain)
    except DataError:
        assert sound_rows(data, 1) is None, "refused, though the other reader finds its way"
        suite.tell(1, "messy public files refused")
        return
    assert all(rejection.line and rejection.reason for rejection in rejected)
    expected = sound_rows(data, len(column_names(plain)))
    if expected is not None and len(column_names(plain)) == len(config.categorical_columns):
        assert clients.features.to_numpy().tolist() == expected
        suite.tell(1, "messy public files read as by another reader")


@pytest.mark.parametrize("path", MESSY or [NONE], ids=lambda p: p.name if p else "none")
def test_no_messy_public_file_raises_and_its_rows_add_up(project: Project, path: Path) -> None:
    """Its last column is taken for the label: then most rows are rejected, one by one."""
    target = project.root / "sourcedata" / path.name.replace(".tsv", ".csv")
    shutil.copyfile(path, target)
    plain = project.root / "plain.csv"
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    plain.write_bytes(data)
    try:
        names = [n for n in dict.fromkeys(column_names(plain)) if n.strip()] or ["a"]
    except DataError:
        names = ["a"]
    project.configure(
        id_column=None,
        numeric_columns=names[1:-1],
        categorical_columns=["x", *names[:1]][-1:],
        target_column=names[-1] if len(names) > 1 else "y",
    )
    (entry,) = ingestion.run(project.config).files
    assert adds_up(entry)
    assert entry.rows_read or entry.reason
