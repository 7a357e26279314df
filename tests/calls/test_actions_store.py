"""Files of actions as their user meets them: taken in once, incrementally, with nothing lost."""

from __future__ import annotations

import csv
import gzip
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import ingestion
from attrition.calls import actions_store
from attrition.calls.client_actions import MOST_SHOWN, actions_of
from attrition.core import atomic_files, clock
from attrition.core.errors import PipelineError
from attrition.core.run_warnings import Topic
from attrition.data.ingestion_result import IngestionResult
from attrition.data.ledger import Ledger
from attrition.monitoring.challenge import Challenge
from attrition.monitoring.decisions import Verdict
from attrition.monitoring.examination import Examination
from attrition.monitoring.findings import RunVerdict, Suspicion, TrainingNeed
from attrition.monitoring.record import last_decision
from attrition.monitoring.run_record import Memory, decided
from tests.conftest import REPOSITORY, Project
from tests.support.ingested import source
from tests.support.records import made

HEADER = "client,date,action,cost,note"


def acted(project: Project, name: str, *rows: str, header: str = HEADER) -> Path:
    """A file of actions."""
    folder = project.config.root / "actions"
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return path


def kept(project: Project) -> list[tuple[object, ...]]:
    """All that the database has, read by SQLite alone."""
    with sqlite3.connect(project.config.actions) as connection:
        return connection.execute(
            "SELECT client, day, kind, cost, note FROM actions ORDER BY number"
        ).fetchall()


@pytest.fixture
def peopled(project: Project) -> Project:
    """A project with two clients, one labelled and one open."""
    source(project, "a.csv", "Acme,1,2,3,0", '"Müller, Söhne",1,2,3,')
    ingestion.run(project.config)
    return project


def test_without_a_folder_of_actions_nothing_is_written(peopled: Project) -> None:
    result = ingestion.run(peopled.config)
    assert (result.actions, result.waiting, result.notices) == ((), (), ())
    assert not peopled.config.actions.exists()
    assert not (peopled.config.root / "actions").exists()


def test_every_row_is_kept_known_or_in_quarantine_with_file_and_line(peopled: Project) -> None:
    late = (datetime.now(UTC) + timedelta(days=2)).date()
    acted(
        peopled,
        "may.csv",
        "Acme,2026-05-01,Call,12.5,angry",
        "Acme,2026-05-01,call,12.50,angry",
        '"Müller, Söhne",2026-05-02,visit,,',
        ",2026-05-01,call,,",
        "Acme,2026-02-30,call,,",
        f"Acme,{late},call,,",
        "Acme,2026-05-01,call,dear,",
    )
    result = ingestion.run(peopled.config)
    (entry,) = result.actions
    assert (entry.rows_read, entry.kept, entry.duplicate, entry.quarantined) == (7, 2, 1, 4)
    assert kept(peopled) == [
        ("Acme", "2026-05-01", "call", 12.5, "angry"),
        ("Müller, Söhne", "2026-05-02", "visit", None, ""),
    ]
    (path,) = peopled.config.quarantine.glob("actions-*")
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows == [
        ["file", "line", "column", "value", "reason"],
        ["may.csv", "5", "client", "", "blank"],
        ["may.csv", "6", "date", "2026-02-30", "not a day of the calendar"],
        ["may.csv", "7", "date", str(late), "in the future"],
        ["may.csv", "8", "cost", "dear", "not a number"],
    ]
    (notice,) = result.notices
    assert notice.startswith(
        f"actions/may.csv: 4 of 7 rows in quarantine; see quarantine/{path.name}"
    )
    ingestion.run(peopled.config)  # ingestion tidies its own quarantine, and leaves this
    assert path.exists()


def test_clients_of_no_row_are_kept_named_in_one_file_and_count_when_they_come(
    peopled: Project,
) -> None:
    acted(
        peopled,
        "may.csv",
        "Late,2026-05-01,call,,",
        "Acme,2026-05-01,call,,",
        "Late,2026-05-02,visit,,",
        "acme,2026-05-01,call,,",
    )
    (notice,) = ingestion.run(peopled.config).notices
    assert "2 clients of it in no row so far (1 written almost as a known one: is it" in notice
    assert re.search(r" \(\d+ \w+ \d{4}, \d\d:\d\d UTC\)$", notice)
    assert "Late" not in notice  # logs and alerts hold no clients' names
    (path,) = peopled.config.quarantine.glob("actions-*")
    rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
    assert [row[3] for row in rows] == ["Late", "acme"]
    assert [row[4].partition("; is it ")[2] for row in rows] == ["", "Acme?"]
    source(peopled, "b.csv", "Late,1,2,3,")
    ingestion.run(peopled.config)
    assert [done["action"] for done in actions_of(peopled.config.actions, "Late")] == [
        "visit",
        "call",
    ]


@pytest.mark.parametrize("name", ["MÜLLER, söhne", "Mu\u0308ller, Söhne", " Müller,\u00a0 Söhne"])
def test_a_client_whose_name_is_written_almost_alike_is_named(peopled: Project, name: str) -> None:
    acted(peopled, "may.csv", f'"{name}",2026-05-01,call,,')
    ingestion.run(peopled.config)
    (path,) = peopled.config.quarantine.glob("actions-*")
    with path.open(encoding="utf-8", newline="") as stream:
        (row,) = list(csv.reader(stream))[1:]
    assert row[3] == name
    assert row[4].endswith("the actions are kept; is it Müller, Söhne?")


def test_several_actions_of_a_client_on_a_day_are_told_with_the_file_that_brings_them(
    peopled: Project,
) -> None:
    told = "actions/{}: 1 client with several actions on one day"
    acted(peopled, "a.csv", "Acme,2026-05-01,call,,", "Acme,2026-05-02,call,,")
    assert "several" not in peopled.run("ingestion.py").stderr
    acted(peopled, "b.csv", "Acme,2026-05-01,offer,,", "Acme,2026-05-01,visit,,")
    assert told.format("b.csv") in peopled.run("ingestion.py").stderr
    acted(peopled, "c.csv", "Acme,2026-05-03,offer,,")
    assert "several" not in peopled.run("ingestion.py").stderr


def test_a_file_is_named_with_its_folder_and_each_thing_is_told_once(peopled: Project) -> None:
    path = acted(peopled, "a.csv", "Acme,2026-05-01,call,,")
    acted(peopled, "b.csv", "Acme,2026-05-01", header="client,day")
    lines = peopled.run("ingestion.py").stderr.splitlines()
    assert [line.partition("actions/a.csv: ")[2] for line in lines if "a.csv" in line] == [
        "1 new action, 0 known"
    ]
    (told,) = [line for line in lines if "b.csv" in line]
    assert "actions/b.csv: rejected: missing columns 'date', 'action'" in told
    path.rename(path.with_name("c.csv"))
    told = peopled.run("ingestion.py").stderr
    assert "actions/c.csv: renamed from a.csv" in told


def finish(project: Project, result: IngestionResult) -> list[str]:
    """What is odd about the actions, against the last run; and note that this one has finished."""
    last, empty = last_decision(project.config), made(TrainingNeed)
    record = decided(
        project.config,
        result,
        Examination(),
        empty,
        challenge=Challenge(Verdict(RunVerdict.KEPT, ""), Suspicion()),
        memory=Memory(),
        ledger=Ledger(),
        started=last.time if last else clock.now(),
    )
    atomic_files.write_json(project.config.decision, record.to_json())
    about = [warning for warning in record.warnings if "action" in warning.text]
    assert {warning.topic for warning in about} <= {Topic.LOST_ACTIONS}
    return [warning.text for warning in about]


def test_actions_that_are_gone_and_another_projects_database_are_told(
    peopled: Project, make_project: Callable[[str], Project]
) -> None:
    config, path = peopled.config, acted(peopled, "a.csv", "Acme,2026-05-01,call,,")
    acted(peopled, "b.csv", "Acme,2026-05-02,visit,,")
    assert finish(peopled, ingestion.run(config)) == []
    own = config.actions.read_bytes()
    config.actions.unlink()
    assert finish(peopled, ingestion.run(config)) == []  # made anew of the files, none is gone
    config.actions.unlink()
    path.unlink()
    (text,) = finish(peopled, ingestion.run(config))
    assert text.startswith(
        "actions are gone: 1 action with clients known, 2 at the last run; restore"
    )
    assert finish(peopled, ingestion.run(config)) == []
    other = make_project("other")
    source(other, "a.csv", "Zeta,1,2,3,0")
    acted(other, "z.csv", "Zeta,2026-05-01,call,,", "Zeta,2026-05-02,call,,")
    ingestion.run(other.config)
    config.actions.write_bytes(other.config.actions.read_bytes())
    for _ in range(2):
        (text,) = finish(peopled, ingestion.run(config))
        assert text.startswith("actions.db is not the database of actions that the last run wrote")
    config.actions.write_bytes(own)
    assert finish(peopled, ingestion.run(config)) == []  # back, and nothing is lost
    config.actions_folder.rename(config.root / "elsewhere")
    config.actions.unlink()
    (text,) = finish(peopled, ingestion.run(config))
    assert text.startswith("actions are gone: 0 actions with clients known, 2 at the")


def test_a_content_counts_once_and_an_unchanged_file_is_not_opened_again(
    peopled: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = acted(peopled, "may.csv", "Acme,2026-05-01,call,,")
    assert ingestion.run(peopled.config).actions[0].kept == 1
    stamp = path.stat().st_mtime_ns - 10**10
    os.utime(path, ns=(stamp, stamp))
    path.with_name("copy.csv").write_bytes(path.read_bytes())
    path.with_name("packed.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    result = ingestion.run(peopled.config)
    assert [(entry.name, entry.kept, entry.duplicate) for entry in result.actions] == [
        ("actions/packed.csv.gz", 0, 1)  # another content, with the same row
    ]
    acted(peopled, "may.csv", "Acme,2026-05-01,call,,", "Acme,2026-05-03,call,,")
    assert [entry.kept for entry in ingestion.run(peopled.config).actions] == [1]
    assert len(kept(peopled)) == 2
    for each in path.parent.iterdir():
        each.unlink()
    assert ingestion.run(peopled.config).actions == ()
    assert len(kept(peopled)) == 2  # what was done stays done


@pytest.mark.slow
def test_a_file_that_cannot_be_used_is_rejected_and_the_others_are_read(peopled: Project) -> None:
    acted(peopled, "a.csv", "Acme,2026-05-01", header="client,day")
    acted(peopled, "b.csv", "Acme,2026-05-01,call,,")
    folder = peopled.config.root / "actions"
    (folder / "c.csv").symlink_to("b.csv")
    os.mkfifo(folder / "d.csv")
    (folder / "e.csv").write_bytes(b"\xff\xfe\x00c")
    result = ingestion.run(peopled.config)
    assert [(entry.name, entry.status) for entry in result.actions] == [
        ("actions/a.csv", "rejected"),
        ("actions/b.csv", "ingested"),
        ("actions/e.csv", "rejected"),
    ]
    assert [item.name for item in result.refused] == ["actions/c.csv", "actions/d.csv"]
    assert [text.split(";")[0] for text in result.notices if "a.csv" in text] == [
        "actions/a.csv: rejected: missing columns 'date', 'action'"
    ]
    assert "Acme" not in " ".join(result.notices)
    assert len(kept(peopled)) == 1


@pytest.mark.parametrize("loss", ["missing", "damaged", "older"])
def test_a_lost_database_is_made_anew_of_the_files(peopled: Project, loss: str) -> None:
    acted(peopled, "a.csv", "Acme,2026-05-01,call,,")
    ingestion.run(peopled.config)
    backup = peopled.config.actions.read_bytes()
    acted(peopled, "b.csv", "Acme,2026-05-02,visit,3,")
    ingestion.run(peopled.config)
    before = sorted(kept(peopled), key=repr)
    if loss == "missing":
        peopled.config.actions.unlink()
    else:
        peopled.config.actions.write_bytes(backup if loss == "older" else b"x" * 9000)
    result = ingestion.run(peopled.config)
    assert sorted(kept(peopled), key=repr) == before
    assert ("actions.db was damaged" in " ".join(result.notices)) == (loss == "damaged")
    assert len(list(peopled.config.output_folder_path.glob("actions.set-aside*"))) == (
        loss == "damaged"
    )


def test_a_damaged_database_without_its_files_is_set_aside_once(peopled: Project) -> None:
    peopled.config.actions.write_bytes(b"x" * 9000)
    for _ in range(2):
        (notice,) = ingestion.run(peopled.config).notices
        assert "actions.db was damaged" in notice
    assert len(list(peopled.config.output_folder_path.glob("actions.set-aside*"))) == 1


def test_without_news_the_database_is_not_written(peopled: Project) -> None:
    peopled.config.actions_folder.mkdir()
    ingestion.run(peopled.config)
    before = peopled.config.actions.stat().st_mtime_ns
    ingestion.run(peopled.config)
    assert peopled.config.actions.stat().st_mtime_ns == before


_KILLED = """
import os, signal, sqlite3, sys
from pathlib import Path
from attrition.core.config_parsing import load_config
import ingestion
count, at = 0, int(sys.argv[2])
def watch(statement):
    global count
    count += 1
    if count == at:
        os.kill(os.getpid(), signal.SIGKILL)
connect = sqlite3.connect
def watched(*arguments, **more):
    connection = connect(*arguments, **more)
    connection.set_trace_callback(watch)
    return connection
sqlite3.connect = watched
ingestion.run(load_config(Path(sys.argv[1])))
"""


@pytest.mark.parametrize("statement", [4, 8, 10])
def test_a_run_killed_in_the_database_leaves_all_or_nothing(
    peopled: Project, statement: int
) -> None:
    acted(peopled, "a.csv", *[f"Acme,2026-05-{day:02},call,{day},x" for day in range(1, 29)])
    command = [sys.executable, "-c", _KILLED, str(peopled.config_path), str(statement)]
    ended = subprocess.run(command, cwd=REPOSITORY, check=False)
    assert ended.returncode == -signal.SIGKILL
    ingestion.run(peopled.config)
    assert [row[3] for row in kept(peopled)] == [float(day) for day in range(1, 29)]
    assert ingestion.run(peopled.config).actions == ()


def test_a_database_that_cannot_be_written_is_an_error_that_names_it(
    peopled: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    acted(peopled, "a.csv", "Acme,2026-05-01,call,,")
    monkeypatch.setattr(actions_store, "_TABLES", ("CREATE nonsense",))
    with pytest.raises(PipelineError, match=r"actions\.db: cannot be written"):
        ingestion.run(peopled.config)


def test_a_client_without_an_id_has_no_actions(peopled: Project) -> None:
    acted(peopled, "a.csv", "Acme,2026-05-01,call,,")
    peopled.configure(id_column=None)
    assert ingestion.run(peopled.config).actions == ()


def test_the_newest_actions_come_first_and_a_client_with_very_many_shows_the_last(
    peopled: Project,
) -> None:
    rows = [f"Acme,2026-01-{1 + i % 28:02},call,{i},x" for i in range(3 * MOST_SHOWN)]
    acted(peopled, "a.csv", *rows)
    ingestion.run(peopled.config)
    shown = actions_of(peopled.config.actions, "Acme")
    assert len(shown) == MOST_SHOWN
    assert [done["date"] for done in shown] == sorted(
        (row.split(",")[1] for row in rows), reverse=True
    )[:MOST_SHOWN]
    assert actions_of(peopled.config.actions, "' OR 1=1 --") == []
    assert actions_of(peopled.config.root / "missing.db", "Acme") == []
