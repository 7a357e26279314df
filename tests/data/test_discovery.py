"""The source folder against the ledger: what is new, what waits, what happened to known files."""

from __future__ import annotations

import os

import pytest

import ingestion
from attrition.data import discovery
from attrition.data.discovery import survey, without
from attrition.data.ledger import Ledger, read_ledger
from tests.conftest import HEADER, Project
from tests.support.ingested import counts, final, outputs, source


def test_each_new_content_is_found_once_in_the_order_of_names(project: Project) -> None:
    for name in ("c.csv", "a.csv"):
        source(project, name, "k,1,2,3,0")
    source(project, "b.csv", "l,1,2,3,0")
    found = survey(project.config.input_folder_path, Ledger(), 0)
    assert [item.batch.name for item in found.new] == ["a.csv", "b.csv"]
    assert sorted(found.sightings) == ["a.csv", "b.csv", "c.csv"]
    assert (found.waiting, found.refused, found.events) == ((), (), ())


def test_a_batch_that_is_put_off_waits_and_was_not_seen(project: Project) -> None:
    for name in ("a.csv", "b.csv"):
        source(project, name, f"{name},1,2,3,0")
    found = without(survey(project.config.input_folder_path, Ledger(), 0), {"a.csv"})
    assert [item.batch.name for item in found.new] == ["b.csv"]
    assert found.waiting == ("a.csv",)
    assert list(found.sightings) == ["b.csv"]


def test_content_counts_once_whatever_its_name(project: Project) -> None:
    path = source(project, "a.csv", "k,1,2,3,0", "l,1,2,3,")
    ingestion.run(project.config)
    before = outputs(project)
    path.rename(path.with_name("renamed.csv"))
    source(project, "copy.csv", "k,1,2,3,0", "l,1,2,3,")
    result = ingestion.run(project.config)
    assert (result.files, outputs(project)) == ((), before)
    ledger = read_ledger(project.config.ledger)
    told = {event.name: event.what for event in ledger.events}
    assert sorted(told) == ["copy.csv", "renamed.csv"]
    assert "renamed from a.csv" in told.values()


def test_a_changed_file_brings_its_new_rows_and_a_deleted_one_keeps_them(project: Project) -> None:
    path = source(project, "a.csv", "k,1,2,3,0")
    ingestion.run(project.config)
    source(project, "a.csv", "k,1,2,3,0", "l,1,2,3,1")
    assert counts(ingestion.run(project.config)) == [("a.csv", 2, 1, 1, 0, 0)]
    path.unlink()
    ingestion.run(project.config)
    assert final(project) == ["k,1,2,3,0", "l,1,2,3,1"]
    events = [(e.name, e.what) for e in read_ledger(project.config.ledger).events]
    assert events == [("a.csv", "changed"), ("a.csv", "deleted")]
    assert project.config.ingested_files.read_text() == "a.csv\n"


@pytest.mark.slow
def test_a_change_that_leaves_size_and_time_alone_is_seen_while_the_file_is_young(
    project: Project,
) -> None:
    path = source(project, "a.csv", "k,1,2,3,0")
    ingestion.run(project.config)
    stamp = path.stat()
    path.write_text(f"{HEADER}\nk,1,2,4,0\n")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert ingestion.run(project.config).new_rows == 1


@pytest.mark.slow
@pytest.mark.parametrize("way", ["size", "time", "inode", "size and time restored"])
def test_a_change_of_an_old_file_is_seen(
    project: Project, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(discovery, "RACY_NANOSECONDS", 0)  # no file counts as young
    path = source(project, "a.csv", "k,1,2,3,0")
    os.utime(path, (1, 1))
    before = path.stat()
    ingestion.run(project.config)
    changed = path if way != "inode" else path.with_name("upload.part")
    while changed is not path or path.stat().st_ctime_ns == before.st_ctime_ns:
        changed.write_text(f"{HEADER}\nk,1,2,{44 if way == 'size' else 4},0\n")
        os.utime(changed, (1, 2 if way == "time" else 1))
        changed.replace(path)
        changed = path
    after = path.stat()
    same = [n for n in ("st_size", "st_mtime", "st_ino") if getattr(before, n) == getattr(after, n)]
    assert len(same) == (3 if way == "size and time restored" else 2)
    assert ingestion.run(project.config).new_rows == 1


def test_a_file_with_another_mode_or_name_is_the_same_content(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "RACY_NANOSECONDS", 0)
    path = source(project, "a.csv", "k,1,2,3,0")
    ingestion.run(project.config)
    before, stamp = outputs(project), path.stat()
    while path.stat().st_ctime_ns == stamp.st_ctime_ns:
        path.chmod(0o600)
    assert discovery.survey(path.parent, read_ledger(project.config.ledger), 0).events == ()
    result = ingestion.run(project.config)
    assert (result.files, outputs(project)) == ((), before)


def test_a_file_that_is_being_written_waits(project: Project) -> None:
    with source(project, "a.csv", "k,1,2,3,0").open("a") as stream:
        stream.write("l,1,")
        stream.flush()
        result = ingestion.run(project.config)
        assert (result.waiting, result.files) == (("a.csv",), ())
        assert ingestion.pending(project.config).waiting == ("a.csv",)
        stream.write("2,3,1\n")
    assert ingestion.run(project.config).new_rows == 2


def test_after_a_change_of_settings_no_file_overtakes_one_that_is_being_written(
    project: Project,
) -> None:
    for name, activity in (("a.csv", 1), ("b.csv", 2), ("c.csv", 3)):
        source(project, name, f"k,{activity},2,3,0")
        ingestion.run(project.config)
    project.configure(numeric_columns=["lastmonth_activity"])
    with project.config.input_folder_path.joinpath("b.csv").open("a"):
        source(project, "d.csv", "k,4,2,3,0")
        for new_rows in (1, 0):
            result = ingestion.run(project.config)
            assert (result.waiting, result.new_rows) == (("b.csv",), new_rows)
    ingestion.run(project.config)
    assert final(project) == ["k,1,0", "k,2,0", "k,3,0", "k,4,0"]
    with source(project, "late.csv", "k,5,2,3,0").open("a"):
        source(project, "next.csv", "k,6,2,3,0")
        assert ingestion.run(project.config).new_rows == 1


def test_a_file_that_became_another_holds_nothing_back_for_long(project: Project) -> None:
    source(project, "a.csv", "k,1,2,3,0")
    ingestion.run(project.config)
    project.configure(numeric_columns=["lastmonth_activity"])
    source(project, "b.csv", "k,2,2,3,0")
    with project.config.input_folder_path.joinpath("a.csv").open("a") as stream:
        assert ingestion.run(project.config).new_rows == 0
        stream.write("l,1,2,3,0\n")
    assert ingestion.run(project.config).new_rows == 3
    with source(project, "c.csv", "m,1,2,3,0").open("a"):
        source(project, "d.csv", "n,1,2,3,0")
        assert ingestion.run(project.config).new_rows == 1
