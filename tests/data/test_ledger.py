"""The ledger: what is committed, what a model has seen, and that nonsense is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from attrition.core.errors import DataError
from attrition.data.ledger import (
    INGESTED,
    Commit,
    Event,
    Ledger,
    LedgerEntry,
    Sighting,
    next_commit_id,
    read_ledger,
    write_ledger,
)

FIRST = Commit("aaaa", start=0, end=100, rows=3, time="2026-01-01T00:00:00+00:00", files=("f1",))
SECOND = Commit("bbbb", start=100, end=180, rows=2, time="2026-01-02T00:00:00+00:00", files=("f2",))
ENTRY = LedgerEntry(
    name="jan.csv",
    sha256="f1",
    size=120,
    status=INGESTED,
    rows_read=7,
    kept=3,
    duplicate=1,
    open=1,
    quarantined=2,
    extra_columns=("note",),
    commit="aaaa",
    time="2026-01-01T00:00:00+00:00",
)
LEDGER = Ledger(
    schema="s",
    commits=(FIRST, SECOND),
    entries=(ENTRY, replace(ENTRY, name="feb.csv", sha256="f2")),
    sightings={"jan.csv": Sighting("f1", 120, 1, 2, 3, 4)},
    refused={"x.csv": "a folder"},
    events=(Event("2026-01-03T00:00:00+00:00", "deleted", "feb.csv", "f2"),),
    open_sha256="o",
    open_rows=1,
)


def test_a_ledger_reads_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    write_ledger(path, LEDGER)
    assert read_ledger(path) == LEDGER


def test_no_ledger_is_an_empty_one(tmp_path: Path) -> None:
    ledger = read_ledger(tmp_path / "ledger.json")
    assert ledger == Ledger()
    assert (ledger.committed_bytes, ledger.committed_rows, ledger.commit_id) == (0, 0, None)
    assert ledger.unseen_start(None) == 0


def test_the_newest_commit_names_the_training_set() -> None:
    assert (LEDGER.committed_bytes, LEDGER.committed_rows, LEDGER.commit_id) == (180, 5, "bbbb")


def test_a_model_has_seen_what_was_committed_when_it_was_trained() -> None:
    assert LEDGER.unseen_start("aaaa") == 100
    assert LEDGER.unseen_start("bbbb") == 180
    assert LEDGER.unseen_start("of another ledger") == 180, "which rows it saw, nobody can say"
    assert LEDGER.unseen_start(None) == 0, "no model has seen any"


def test_names_are_told_once_in_the_order_of_arrival() -> None:
    again = replace(ENTRY, sha256="f3")
    rejected = replace(ENTRY, name="bad.csv", sha256="f4", status="rejected")
    ledger = replace(LEDGER, entries=(*LEDGER.entries, again, rejected))
    assert ledger.ingested_names == ["jan.csv", "feb.csv"]


def test_a_commit_id_names_everything_before_it() -> None:
    identity = next_commit_id("aaaa", "s", ["f1", "f2"])
    assert identity == next_commit_id("aaaa", "s", ["f1", "f2"])
    others = {
        next_commit_id(None, "s", ["f1", "f2"]),
        next_commit_id("aaaa", "t", ["f1", "f2"]),
        next_commit_id("aaaa", "s", ["f2", "f1"]),
    }
    assert len(others | {identity}) == 4


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"schema": "s"}'])
def test_a_damaged_ledger_is_refused_with_what_to_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ledger.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"ledger\.json"):
        read_ledger(path)


def test_a_ledger_with_an_unknown_field_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    write_ledger(path, LEDGER)
    raw = json.loads(path.read_text())
    raw["commits"][0]["surprise"] = 1
    path.write_text(json.dumps(raw))
    with pytest.raises(DataError, match="sets it aside and makes a new one"):
        read_ledger(path)
