"""The history keeps every run once, survives kills and damage, and never stops a run."""

from __future__ import annotations

import json
import logging
import math
import random
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from attrition.monitoring.record import DecisionRecord, recorded_runs
from attrition.report.run_summary import runs_table
from attrition.runs import history, history_store
from attrition.web import records
from attrition.web.pages import dashboard
from tests.support.records import decision_json, half_written

ROOT = Path(__file__).resolve().parents[2]


def record(run_id: str = "run 1", **changes: Any) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "time": "2026-03-01T06:00:00+00:00",
        "verdict": "kept",
        "reason": "the candidate is not better",
        "release_before": "000001-aaaaaaaaaaaa",
        "release_after": "000001-aaaaaaaaaaaa",
        "new_rows": 12,
        "scores": {"test data": {"rows": 90, "f1": 0.61, "f1_interval": [0.55, 0.66]}},
        "drift": {"data": {"test data": {"verdict": "no drift"}}},
        "timings": {"ingestion": 0.5, "training": 1.25},
        "warnings": ["the test data are old"],
        **changes,
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


def test_a_run_comes_back_as_it_was_recorded(path: Path) -> None:
    history.record_run(path, record())
    assert history.runs(path) == [record()]


def test_the_same_run_is_stored_once(path: Path) -> None:
    history.record_run(path, record())
    history.record_run(path, record())
    history.record_run(path, record(reason="said otherwise"))
    assert history.runs(path) == [record()]


def test_without_an_id_the_content_tells_runs_apart(path: Path) -> None:
    plain = {"time": "2026-03-01T06:00:00+00:00", "verdict": "kept", "reason": "no"}
    history.record_run(path, plain)
    history.record_run(path, plain)
    history.record_run(path, {**plain, "new_rows": 3})
    assert [run["new_rows"] for run in history.runs(path)] == [3, None]


def test_runs_are_newest_first_in_the_order_of_recording_even_after_a_clock_jump(
    path: Path,
) -> None:
    for run_id, time in [("a", "2026-03-02"), ("b", "2026-03-03"), ("c", "1999-01-01")]:
        history.record_run(path, record(run_id, time=time))
    assert [run["run_id"] for run in history.runs(path)] == ["c", "b", "a"]
    assert [run["run_id"] for run in history.runs(path, limit=2)] == ["c", "b"]


def test_each_stage_shows_its_newest_timing(path: Path) -> None:
    assert history.latest_timings(path) == {}
    history.record_run(path, record("a", timings={"ingestion": 1.0, "training": 2.0}))
    history.record_run(path, record("b", timings={"ingestion": 3.0}))
    history.record_run(path, record("c", timings=None))
    assert history.latest_timings(path) == {"ingestion": 3.0, "training": 2.0}


def test_numbers_that_json_cannot_say_become_none(path: Path) -> None:
    history.record_run(path, record(scores={"f1": math.nan}, spread=math.inf))
    (run,) = history.runs(path)
    assert run["scores"] == {"f1": None}
    assert run["spread"] is None


def test_reading_an_absent_history_gives_nothing_and_makes_no_file(path: Path) -> None:
    assert history.runs(path) == []
    assert list(path.parent.iterdir()) == []


def test_reading_changes_nothing_on_disk(path: Path) -> None:
    history.record_run(path, record())
    before = path.read_bytes(), path.stat().st_mtime_ns, sorted(path.parent.iterdir())
    history.runs(path)
    history.latest_timings(path)
    assert (path.read_bytes(), path.stat().st_mtime_ns, sorted(path.parent.iterdir())) == before


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["text", "torn", "flipped", "old rows"])
def test_a_damaged_history_is_moved_aside_and_the_run_recorded(
    path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(61):
        history.record_run(path, record(f"run {number}"))
    content = bytearray(path.read_bytes())
    if damage == "text":
        content = bytearray(b"this is not a database at all, but somebody's notes. " * 20)
    elif damage == "torn":
        content = content[: len(content) // 2]
    elif damage == "flipped":
        content[5000:9000] = b"\xff" * 4000
    else:  # a page that writing a new run would never touch
        start = content.index(b"run 0") // 4096 * 4096
        content[start : start + 4096] = b"\xff" * 4096
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        history.runs(path)  # as a run does before it is recorded
        history.record_run(path, record("after"))
    assert [run["run_id"] for run in history.runs(path)] == ["after"]
    assert path.with_name("history-corrupt-1.db").read_bytes() == content
    assert "history-corrupt-1.db" in caplog.text


@pytest.mark.slow
def test_no_changed_byte_stops_a_run_or_changes_what_is_read(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLite sees a damaged page, and no damaged letter; a run is read as it was, or not at all."""
    recorded = [record(f"run {number}", time=f"2026-03-0{number + 1}") for number in range(4)]
    for one in recorded:
        history.record_run(path, one)
    history.record_ranking(path, "a", "t1", {"top": ["Acme"]}, 9, risks={"Acme": 0.5})
    monkeypatch.setattr(history, "FULL_RUNS", 3)  # so that the next run thins one of them
    whole, missed = path.read_bytes(), 0
    rng = random.Random(6)
    written = [position for position, byte in enumerate(whole) if byte]
    for position in rng.choices(written, k=400):
        damaged = bytearray(whole)
        damaged[position] ^= rng.randrange(1, 256)
        path.write_bytes(damaged)
        runs = [{**run, "timings": record()["timings"]} for run in history.runs(path)]
        assert all(run in recorded for run in runs)
        assert history.rankings(path) in ([], [("t1", {"top": ["Acme"]})])
        missed += runs != recorded[::-1]
        runs_table(recorded_runs(path), path.parent)
        for stage, seconds in history.latest_timings(path).items():
            assert (type(stage), type(seconds)) == (str, float)
        history.risks_of(path, "Acme")
        caplog.clear()
        history.record_run(path, record("after"))
        is_recorded = "after" in [run["run_id"] for run in history.runs(path)]
        assert is_recorded or re.search("cannot be read|could not be recorded", caplog.text)
        history.record_ranking(path, "b", "t2", {"top": []}, 9, risks={"Acme": 0.6})
        path.with_name("history-corrupt-1.db").unlink(missing_ok=True)
        path.with_name("history-corrupt-2.db").unlink(missing_ok=True)
    assert missed > 100  # so that many bytes met a run


@pytest.mark.parametrize(
    ("damage", "remaining"),
    [
        ("UPDATE runs SET reason = CAST(reason AS BLOB) WHERE number = 1", ["run 1"]),
        ("UPDATE timings SET stage = CAST(stage AS BLOB)", ["run 1", "run 0"]),
        ("UPDATE sqlite_sequence SET seq = NULL", ["run 1", "run 0"]),
    ],
)
def test_a_value_of_another_type_is_left_out_and_stops_no_run(
    path: Path, monkeypatch: pytest.MonkeyPatch, damage: str, remaining: list[str]
) -> None:
    monkeypatch.setattr(history, "FULL_RUNS", 2)
    for number in range(2):
        history.record_run(path, record(f"run {number}"))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(damage)
    runs = history.runs(path)
    assert [run["run_id"] for run in runs] == remaining
    for timings in (history.latest_timings(path), *(run["timings"] for run in runs)):
        assert all(isinstance(stage, str) for stage in timings)
    history.record_run(path, record("after"))
    assert [run["run_id"] for run in history.runs(path)] == ["after", *remaining]


def test_damage_that_sqlite_cannot_name_in_utf8_is_damage(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    history.record_run(path, record())
    path.write_bytes(path.read_bytes().replace(b"tablerunsruns", b"table\xffunsruns"))
    assert history.runs(path) == []
    history.record_run(path, record("after"))
    assert [run["run_id"] for run in history.runs(path)] == ["after"]
    assert "history-corrupt-1.db" in caplog.text


def test_a_second_damaged_history_does_not_overwrite_the_first(path: Path) -> None:
    for text in ("first", "second"):
        path.write_text(f"{text}: no database" * 100)
        history.record_run(path, record(text))
    kept = sorted(file.name for file in path.parent.iterdir())
    assert kept == ["history-corrupt-1.db", "history-corrupt-2.db", "history.db"]


def test_whether_a_run_is_recorded_is_known_of_a_half_written_history_too(
    path: Path, tmp_path: Path
) -> None:
    assert not history.has_run(path, "run 1")
    assert not path.exists()
    history.record_run(path, record())
    copy = tmp_path / "copy.db"
    half_written(path, copy)
    assert history.runs(copy) == [], "a reader may not take back what was written by halves"
    assert history.has_run(copy, "run 1")
    assert not history.has_run(copy, "nobody")
    assert history.runs(copy) == [record()]


def test_reading_a_damaged_history_says_so_and_leaves_it(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text("no database" * 100)
    assert history.runs(path) == []
    assert history.latest_timings(path) == {}
    assert "cannot be read" in caplog.text
    assert path.read_text() == "no database" * 100


def test_a_history_of_another_version_is_moved_aside_and_the_run_recorded(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    history.record_run(path, record())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    assert history.runs(path) == []
    assert path.read_bytes() == before
    history.record_run(path, record("run 2"))
    assert "version 99" in caplog.text
    assert path.with_name("history-corrupt-1.db").read_bytes() == before
    assert [run["run_id"] for run in history.runs(path)] == ["run 2"]


def test_rankings_come_back_newest_first_each_once_and_only_so_many(path: Path) -> None:
    assert history.rankings(path) == []
    for key in ("a", "b", "a", "c"):
        history.record_ranking(path, key, f"time of {key}", {"top": [key]}, keep=2)
    expected = [("time of c", {"top": ["c"]}), ("time of b", {"top": ["b"]})]
    assert history.rankings(path) == expected
    history.record_ranking(path, "b", "later", {"top": ["other"]}, keep=2)
    assert history.rankings(path) == expected


def test_a_history_that_cannot_be_written_is_said_and_does_not_raise(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    history.record_run(path.parent / "gone" / path.name, record())
    assert "could not be recorded" in caplog.text


def test_a_history_locked_by_somebody_else_is_said_and_does_not_raise(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_store, "_BUSY_SECONDS", 0.05)
    history.record_run(path, record())
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        history.record_run(path, record("run 2"))
    assert "could not be recorded" in caplog.text
    assert len(history.runs(path)) == 1


KILLED = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE runs SET reason = hex(zeroblob(20000))")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_writer_killed_in_the_middle_leaves_no_half_run(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The killed writer had pages in the file already; the next writer rolls them back."""
    for number in range(30):
        history.record_run(path, record(f"run {number}"))
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.with_name("history.db-journal").exists()
    content = path.read_bytes()
    assert history.runs(path) == []  # a reader meanwhile neither crashes nor repairs
    assert "cannot be read" in caplog.text
    assert path.read_bytes() == content
    history.record_run(path, record("after"))
    runs = history.runs(path)
    assert len(runs) == 31
    assert {run["reason"] for run in runs} == {record()["reason"]}
    assert not path.with_name("history-corrupt-1.db").exists()


def test_the_module_needs_the_standard_library_alone() -> None:
    code = (
        "import sys; import attrition.runs.history; "
        "heavy = {'numpy', 'pandas', 'duckdb', 'sklearn'} & set(sys.modules); assert not heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def risks(path: Path, client: str) -> list[tuple[str, float]]:
    return [(found["time"], found["probability"]) for found in history.risks_of(path, client)]


def test_risks_are_kept_where_they_change_and_go_with_the_rankings_they_were_told_in(
    path: Path,
) -> None:
    assert history.risks_of(path, "Acme") == []
    told = [{"Acme": 0.5, "Bolt": 0.1}, {"Acme": 0.5, "Bolt": 0.2}, {"Acme": 0.5}, {"Acme": 0.6}]
    for number, found in enumerate(told[:2], start=1):
        history.record_ranking(path, f"{number}", f"t{number}", {"release": "r"}, 2, risks=found)
    assert risks(path, "Acme") == [("t1", 0.5)]
    assert risks(path, "Bolt") == [("t1", 0.1), ("t2", 0.2)]
    assert history.risks_of(path, "Bolt")[1]["release"] == "r"
    history.record_ranking(path, "2", "again", {}, 2, risks={"Acme": 0.9})  # a ranking known
    assert risks(path, "Acme") == [("t1", 0.5)]
    history.record_ranking(path, "3", "t3", {}, 2, risks=told[2])
    assert risks(path, "Acme") == [("t3", 0.5)]  # t1 is forgotten, the risk is not
    assert risks(path, "Bolt") == [("t2", 0.2)]
    history.record_ranking(path, "4", "t4", {}, 2, risks=told[3])
    assert risks(path, "Acme") == [("t3", 0.5), ("t4", 0.6)]
    assert risks(path, "Bolt") == []
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT client FROM clients").fetchall() == [("Acme",)]


@pytest.mark.slow
def test_damage_that_no_reader_has_met_is_found_within_twenty_runs(path: Path) -> None:
    for number in range(61):
        history.record_run(path, record(f"run {number}"))
    content = bytearray(path.read_bytes())
    start = content.index(b"run 0") // 4096 * 4096
    content[start : start + 4096] = b"\xff" * 4096
    path.write_bytes(content)
    for number in range(20):
        history.record_run(path, record(f"later {number}"))
    assert path.with_name("history-corrupt-1.db").exists()
    assert 1 <= len(history.runs(path)) <= 20


def detailed(run_id: str) -> dict[str, Any]:
    """A run as long as one of a wide table."""
    column = {"column": "tenure", "verdict": "drift", "psi": 0.4, "missing_now": 0.1}
    columns = [{**column, "change": "higher" * 100}] * 20
    finding = {"verdict": "drift", "rows": 90, "columns": columns, "predictions": column}
    score = {"f1": 0.6, "f1_interval": [0.5, 0.7], "rows": 90, "confusion": {"tp": 3}}
    parts = record(
        run_id,
        verdict="deployed",
        scores={"test data": score},
        drift={
            "performance": {"test data": {"verdict": "drift", "reason": "F1 fell"}},
            "data": {"test data": finding},
            "impact": {"test data": {"terms": [{}] * 99}},
        },
        candidate_score={**score, "f1": 0.8},
        finished_at="2026-03-01T06:01:00+00:00",
    )
    return decision_json(**parts)


@pytest.mark.slow
def test_of_old_runs_the_figures_stay_and_the_oldest_are_forgotten(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "FULL_RUNS", 3)
    whole = [detailed(f"run {number}") for number in range(9)]
    for one in whole:
        history.record_run(path, one, keep=7)
    found = history.runs(path)
    assert [run["run_id"] for run in found] == [f"run {number}" for number in range(8, 1, -1)]
    assert found[:3] == whole[:5:-1]
    thinned, before = recorded_runs(path), list(map(DecisionRecord.from_json, whole[:1:-1]))
    assert runs_table(thinned, path.parent) == runs_table(before, path.parent)
    assert [records.run_of(run) for run in thinned] == [records.run_of(run) for run in before]
    assert dashboard.trends(thinned, []) == dashboard.trends(before, [])
    assert all(len(json.dumps(run)) < len(json.dumps(whole[0])) / 4 for run in found[3:])
    assert history.latest_timings(path) == whole[0]["timings"]
    assert not history.has_run(path, "run 0")


@pytest.mark.slow
def test_the_history_of_many_runs_stays_small(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "FULL_RUNS", 3)
    sizes = []
    for number in range(40):
        history.record_run(path, detailed(f"run {number}"), keep=10)
        sizes.append(path.stat().st_size)
    assert sizes[-1] <= sizes[15]


@pytest.mark.slow
def test_a_damaged_run_is_left_out_when_it_is_thinned(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        history.record_run(path, detailed(f"run {number}"))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE runs SET drift = '[' WHERE run_id = 'run 0'")
    monkeypatch.setattr(history, "FULL_RUNS", 2)
    history.record_run(path, detailed("new"))
    found = history.runs(path)
    assert [run["run_id"] for run in found] == ["new", "run 3", "run 2", "run 1"]
    assert "impact" in found[1]["drift"]
    assert "impact" not in found[2]["drift"]
