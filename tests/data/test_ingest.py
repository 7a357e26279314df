"""What is written before a commit, and that nothing of it counts until the ledger is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import ingestion
from attrition.core.errors import PipelineError
from attrition.data import deduplication, recovery
from attrition.data.ledger import Ledger, next_commit_id, read_ledger
from tests.conftest import Project
from tests.support.ingested import final, open_list, outputs, source


def test_a_commit_names_its_files_and_its_bytes(project: Project) -> None:
    source(project, "a.csv", "k,1,2,3,0")
    ingestion.run(project.config)
    source(project, "b.csv", "l,1,2,3,0", "m,1,2,3,1")
    source(project, "c.csv", "k,1.0,2,3,0")
    source(project, "d.csv", "no table", header="x")
    ingestion.run(project.config)
    ledger = read_ledger(project.config.ledger)
    first, second = ledger.commits
    assert (second.start, second.rows) == (first.end, 2)
    assert second.end == project.config.final_data.stat().st_size
    contents = [entry.sha256 for entry in ledger.entries if entry.name in ("b.csv", "c.csv")]
    assert list(second.files) == contents
    assert second.id == next_commit_id(first.id, project.config.schema_digest, contents)
    assert [(entry.name, entry.commit) for entry in ledger.entries] == [
        ("a.csv", first.id),
        ("b.csv", second.id),
        ("c.csv", None),
        ("d.csv", None),
    ]


def test_files_without_a_new_row_make_no_commit(project: Project) -> None:
    source(project, "a.csv", "l,1,2,3,")
    result = ingestion.run(project.config)
    assert (result.commit, result.open_clients, result.end) == (None, 1, 0)
    assert not project.config.final_data.exists()


def test_to_a_file_that_somebody_changes_during_the_run_nothing_is_added(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    source(project, "a.csv", "k,1,2,3,0")
    ingestion.run(project.config)
    path = project.config.final_data
    edited = path.read_bytes() + b"edited,1,2,3,0\n"
    source(project, "b.csv", "m,1,2,3,1")
    mark = deduplication.mark_duplicates

    def edit(*arguments: object) -> None:
        mark(*arguments)  # type: ignore[arg-type]
        path.write_bytes(edited)

    with monkeypatch.context() as patched:
        patched.setattr(deduplication, "mark_duplicates", edit)
        with pytest.raises(PipelineError, match="changed while rows were to be added"):
            ingestion.run(project.config)
    assert path.read_bytes() == edited


def test_until_the_ledger_is_written_nothing_counts(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    source(project, "a.csv", "k,1,2,3,0", "l,1,2,3,")
    ingestion.run(project.config)
    before, ledger = outputs(project), read_ledger(project.config.ledger)
    source(project, "b.csv", "m,1,2,3,1", "n,1,2,3,", "o,x,2,3,1")

    def fail(path: Path, ledger: Ledger) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(ingestion, "write_ledger", fail)
    with pytest.raises(OSError, match="no space"):
        ingestion.run(project.config)
    assert len(final(project)) == 2, "the new row stands behind the committed one"
    assert recovery.pending(project.config.open_clients).exists()
    assert open_list(project) == ["l,1,2,3,"]
    assert read_ledger(project.config.ledger) == replace(ledger, writing=True)
    recovery.repair(project.config)
    assert outputs(project) == before


def test_a_file_that_grows_brings_nobody_back_who_has_left_since(project: Project) -> None:
    path = source(project, "a.csv", "k,1,2,3,", "l,1,2,3,", "m,?,2,3,")
    source(project, "b.csv", "k,1,2,3,1")
    ingestion.run(project.config)
    assert open_list(project) == ["l,1,2,3,"]
    with path.open("a") as stream:
        stream.write("n,1,2,3,\n")
    ingestion.run(project.config)
    assert open_list(project) == ["l,1,2,3,", "n,1,2,3,"]
    with path.open("a") as stream:
        stream.write("k,9,2,3,\n")
    ingestion.run(project.config)
    assert open_list(project) == ["l,1,2,3,", "n,1,2,3,", "k,9,2,3,"], "won back: a new row"
    path.write_text(path.read_text().replace("l,1,2,3,", "l,5,2,3,"))
    ingestion.run(project.config)
    assert open_list(project)[-3:] == ["l,5,2,3,", "n,1,2,3,", "k,9,2,3,"], "another file"
