"""What a killed run, or somebody else, leaves behind, and what the next run makes of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

import ingestion
from attrition.core.errors import PipelineError
from attrition.data.ledger import Ledger, read_ledger, write_ledger
from attrition.data.recovery import quarantine_path, repair
from tests.conftest import REPOSITORY, Project
from tests.support.ingested import final, outputs, quarantined, source


def test_an_uncommitted_tail_is_cut_off(project: Project) -> None:
    source(project, "a.csv", "k,1,2,3,0")
    ingestion.run(project.config)
    before, ledger = outputs(project), read_ledger(project.config.ledger)
    write_ledger(project.config.ledger, replace(ledger, writing=True))  # as a run that was killed
    with project.config.final_data.open("a") as stream:
        stream.write("half a r")
    ingestion.run(project.config)
    assert outputs(project) == before
    assert not read_ledger(project.config.ledger).writing


def test_lost_rows_are_an_error_that_says_what_to_do(project: Project) -> None:
    source(project, "a.csv", "k,1,2,3,0", "l,1,2,3,")
    ingestion.run(project.config)
    before = outputs(project)
    for path in (project.config.final_data, project.config.open_clients):
        path.write_text("")
        with pytest.raises(PipelineError, match=r"delete .*ledger\.json"):
            ingestion.run(project.config)
        project.config.ledger.unlink()
        ingestion.run(project.config)
        assert outputs(project) == before


def test_repairing_twice_or_a_new_folder_changes_nothing(project: Project) -> None:
    assert repair(project.config) == Ledger()
    source(project, "a.csv", "k,1,2,3,0", "l,1,2,3,", "m,x,2,3,1")
    ingestion.run(project.config)
    before = outputs(project)
    assert repair(project.config) == repair(project.config) == read_ledger(project.config.ledger)
    assert outputs(project) == before


def test_only_our_own_quarantine_files_are_cleared_away(project: Project) -> None:
    source(project, "a.csv", "k,1,2,3,0", "m,x,2,3,1")
    ingestion.run(project.config)
    left_over = project.config.quarantine / "0123456789ab-gone.csv.csv"
    notes = project.config.quarantine / "notes.txt"
    for path in (left_over, notes):
        path.write_text("")
    repair(project.config)
    (entry,) = read_ledger(project.config.ledger).entries
    expected = {notes, quarantine_path(project.config, entry)}
    assert set(project.config.quarantine.iterdir()) == expected


def test_what_somebody_has_cleared_out_of_the_quarantine_stays_out(project: Project) -> None:
    """It was dealt with; who wants it back has every file read again."""
    source(project, "a.csv", "k,1,2,3,0", "m,x,2,3,1")
    source(project, "b.csv", "l,1,2,3,0", "n,1,y,3,1")
    ingestion.run(project.config)
    before, ledger = outputs(project), read_ledger(project.config.ledger)
    gone, edited = (quarantine_path(project.config, entry) for entry in ledger.entries)
    gone.unlink()
    edited.write_text("done")
    ingestion.run(project.config)
    assert not gone.exists()
    assert edited.read_text() == "done"
    shutil.rmtree(project.config.quarantine)
    ingestion.run(project.config)
    assert not project.config.quarantine.exists()
    assert read_ledger(project.config.ledger).entries == ledger.entries  # which go on counting it
    project.config.ledger.unlink()
    ingestion.run(project.config)
    assert outputs(project) == before


def test_a_long_file_name_leaves_room_in_that_of_its_quarantine(project: Project) -> None:
    source(project, "a.csv", "k,1,2,3,0")
    ingestion.run(project.config)
    (entry,) = read_ledger(project.config.ledger).entries
    path = quarantine_path(project.config, replace(entry, name="\u20ac" * 83 + ".csv"))
    assert len(path.name.encode()) <= 255
    assert path.name == f"{entry.sha256[:12]}-{chr(0x20AC) * 66}.csv"


def test_another_schema_has_every_file_read_again(project: Project) -> None:
    path = source(project, "a.csv", "k,1,2,x,0", "l,1,2,3,1")
    ingestion.run(project.config)
    project.configure(numeric_columns=["lastmonth_activity"])
    assert ingestion.pending(project.config).new == ("a.csv",)
    result = ingestion.run(project.config)
    assert final(project) == ["k,1,0", "l,1,1"]
    assert (result.start, result.new_rows) == (0, 2)
    assert quarantined(project) == []
    path.unlink()
    project.configure()
    with pytest.raises(PipelineError, match=r"what came as a\.csv is no longer in .*sourcedata"):
        ingestion.run(project.config)


def test_what_stood_in_a_file_of_the_same_name_can_be_put_back_under_another(
    project: Project,
) -> None:
    path = source(project, "a.csv", "k,1,2,3,0")
    ingestion.run(project.config)
    first = path.read_bytes()
    source(project, "a.csv", "l,1,2,3,1")
    ingestion.run(project.config)
    project.configure(numeric_columns=["lastmonth_activity"])
    with pytest.raises(PipelineError, match=r"as a\.csv is no longer in .*: under another\)"):
        ingestion.run(project.config)
    path.with_name("b.csv").write_bytes(first)
    ingestion.run(project.config)
    assert sorted(final(project)) == ["k,1,0", "l,1,1"]


STEPS = (
    "attrition.data.deduplication.mark_duplicates",
    "attrition.data.storage.write_stored",
    "attrition.data.storage.append",
    "attrition.data.deduplication.write_open_clients",
    "attrition.core.atomic_files.replacing",
    "ingestion.write_ledger",
    "attrition.data.recovery._settle",
    "attrition.core.atomic_files.write_text",
)
KILLER = """
import importlib, os, sys
from pathlib import Path
import ingestion
from attrition.core.config_parsing import load_config
step, calls, before = sys.argv[2], int(sys.argv[3]), sys.argv[4] == "before"
module, _, name = step.rpartition(".")
owner = importlib.import_module(module)
real, count = getattr(owner, name), 0
def killed(*arguments):
    global count
    count += 1
    if count == calls and before:
        os._exit(9)
    result = real(*arguments)
    if count == calls:
        os._exit(9)
    return result
setattr(owner, name, killed)
ingestion.run(load_config(Path(sys.argv[1])))
"""


@pytest.mark.slow
@pytest.mark.complete
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_run_killed_at_any_step_is_made_good_by_the_next(
    make_project: Callable[[str], Project], step: str, moment: str
) -> None:
    killed, undisturbed = make_project("killed"), make_project("undisturbed")
    for project in (killed, undisturbed):
        source(project, "a.csv", "k,1,2,3,0", "l,1,2,3,", "m,1,2,x,1")
        ingestion.run(project.config)
        source(project, "b.csv", "l,1,2,3,1", "k,1,2,3,0", "n,1,2,3,", "o,?,2,3,1")
    ingestion.run(undisturbed.config)
    ends = []
    for calls in (1, 2, 3):
        command = [sys.executable, "-c", KILLER, str(killed.config_path), step, str(calls), moment]
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
        ends.append(subprocess.run(command, env=environment, check=False).returncode)
    assert 9 in ends, "the step was never reached"
    ingestion.run(killed.config)
    assert outputs(killed) == outputs(undisturbed)
    assert (
        read_ledger(killed.config.ledger).commits[-1].id
        == read_ledger(undisturbed.config.ledger).commits[-1].id
    )
