"""Ingestion as its user meets it: files in sourcedata/, and what stands in ingesteddata/ then."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ingestion
from attrition import merging
from attrition.errors import PipelineError
from attrition.ledger import read_ledger
from tests.conftest import HEADER, REPOSITORY, Project


def source(project: Project, name: str, *rows: str, header: str = HEADER) -> Path:
    return project.write(f"sourcedata/{name}", "".join(f"{row}\n" for row in (header, *rows)))


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()[1:]


def final(project: Project) -> list[str]:
    return lines_of(project.config.final_data)


def open_list(project: Project) -> list[str]:
    return lines_of(project.config.open_clients)


def quarantined(project: Project) -> list[list[str]]:
    """file, line, column, value, reason of every quarantined row."""
    folder = project.config.quarantine
    paths = sorted(folder.iterdir(), key=lambda path: path.name[13:]) if folder.is_dir() else []
    texts = [io.StringIO(path.read_bytes().decode(), newline="") for path in paths]
    return [row for text in texts for row in list(csv.reader(text))[1:]]


def outputs(project: Project) -> dict[str, bytes]:
    """Everything ingestion wrote but the ledger, which tells times."""
    folder = project.config.output_folder_path
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("ledger.json", ".gitkeep")
    }


def counts(result: ingestion.IngestionResult) -> list[tuple[str, int, int, int, int, int]]:
    return [(e.name, e.rows_read, e.kept, e.duplicate, e.open, e.quarantined) for e in result.files]


def test_rows_are_checked_deduplicated_and_written_in_one_form(project: Project) -> None:
    source(project, "b.csv", "007,1.0,2,,1.0", "Smith, 1e3,5,1,0", "NA,7,8,9,", "x,1e309,1,1,0")
    source(project, "a.csv", "null,1,2,3,0", "null,1,2,3,0", "007,1,2.00, ,1")
    result = ingestion.run(project.config)
    assert final(project) == ["null,1,2,3,0", "007,1,2,,1", "Smith,1000,5,1,0"]
    assert open_list(project) == ["NA,7,8,9,"]
    assert quarantined(project) == [
        ["b.csv", "5", "lastmonth_activity", "1e309", "not a finite number"]
    ]
    assert counts(result) == [("a.csv", 3, 2, 1, 0, 0), ("b.csv", 4, 1, 1, 1, 1)]
    assert (result.new_rows, result.open_clients, result.start) == (3, 1, 0)
    assert result.end == project.config.final_data.stat().st_size
    assert project.config.ingested_files.read_text() == "a.csv\nb.csv\n"


def test_a_second_run_changes_nothing(project: Project) -> None:
    source(project, "a.csv", "k,1,2,3,0", "l,1,2,3,")
    first = ingestion.run(project.config)
    before = outputs(project)
    second = ingestion.run(project.config)
    assert outputs(project) == before
    assert second.files == ()
    assert second.new_rows == 0
    assert second.commit == first.commit is not None


@pytest.mark.parametrize("few_rows", [0, 1000], ids=["joined", "line by line"])
def test_rows_that_are_committed_already_are_duplicates(
    project: Project, monkeypatch: pytest.MonkeyPatch, few_rows: int
) -> None:
    monkeypatch.setattr(merging, "_FEW_ROWS", few_rows)
    source(project, "a.csv", "k,1,2,,0", '"two, ""q""",1,2,3,0', "m,1,2,3,1")
    first = ingestion.run(project.config)
    source(project, "b.csv", "k,1.0,2,,0", '"two, ""q""",1,2,3,0', "m,1,2,3,0", '"\nl",1,2,3,1')
    second = ingestion.run(project.config)
    assert counts(second) == [("b.csv", 4, 2, 2, 0, 0)]
    source(project, "c.csv", '"\nl",1,2,3,1', "k,1,2,,0", "l,1,2,3,1")
    third = ingestion.run(project.config)
    assert counts(third) == [("c.csv", 3, 1, 2, 0, 0)]
    assert first.end == second.start
    assert len({first.commit, second.commit, third.commit}) == 3


def test_a_line_within_a_row_of_several_lines_is_no_row(project: Project) -> None:
    source(project, "a.csv", '"x\nk,1,2,3,0\ny",1,2,3,0')
    ingestion.run(project.config)
    source(project, "b.csv", "k,1,2,3,0")
    assert ingestion.run(project.config).new_rows == 1


def test_clients_with_two_labels_for_the_same_features_are_both_kept(project: Project) -> None:
    source(project, "a.csv", "k,1,2,3,0", "k,1,2,3,1")
    assert ingestion.run(project.config).new_rows == 2


def test_an_open_client_is_listed_once_with_the_newest_row(project: Project) -> None:
    source(project, "a.csv", "k,1,1,1,", "l,2,2,2,", "k,3,3,3,")
    ingestion.run(project.config)
    assert open_list(project) == ["l,2,2,2,", "k,3,3,3,"]
    source(project, "b.csv", "l,4,4,4,")
    ingestion.run(project.config)
    assert open_list(project) == ["k,3,3,3,", "l,4,4,4,"]


def test_an_open_client_leaves_the_list_when_its_outcome_arrives_later(project: Project) -> None:
    source(project, "a.csv", "k,1,1,1,", "l,2,2,2,0", "l,3,3,3,", "m,1,1,1,", "m,1,1,1,1")
    ingestion.run(project.config)
    assert open_list(project) == ["k,1,1,1,", "l,3,3,3,"], "m's outcome came after its open row"
    source(project, "b.csv", "l,2,2,2,0", "k,5,5,5,1")
    ingestion.run(project.config)
    assert open_list(project) == ["l,3,3,3,"], "l's outcome is an old one, known before"


def test_without_an_id_an_open_client_is_its_row(project: Project) -> None:
    project.configure(id_column=None, numeric_columns=["x"], target_column="y")
    source(project, "a.csv", "1,", "2,", "1,", ",", header="x,y")
    result = ingestion.run(project.config)
    assert open_list(project) == ["2,", "1,"]
    assert counts(result) == [("a.csv", 4, 0, 0, 3, 1)]
    source(project, "b.csv", "2,1", header="x,y")
    ingestion.run(project.config)
    assert open_list(project) == ["1,"]


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


def test_a_change_that_leaves_size_and_time_alone_is_seen_while_the_file_is_young(
    project: Project,
) -> None:
    path = source(project, "a.csv", "k,1,2,3,0")
    ingestion.run(project.config)
    stamp = path.stat()
    path.write_text(f"{HEADER}\nk,1,2,4,0\n")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert ingestion.run(project.config).new_rows == 1


def test_a_bad_file_is_told_once_and_stops_no_other(project: Project) -> None:
    source(project, "a.csv", "k;1;2;3;0", header=HEADER.replace(",", ";"))
    source(project, "b.csv", "k,1,2,3,0")
    source(project, "c.csv")
    project.write("sourcedata/d.csv", "")
    (project.root / "sourcedata/e.csv").mkdir()
    (project.root / "sourcedata/f.csv.gz").write_bytes(b"no gzip")
    project.write("sourcedata/g.csv.part", "half a file")
    result = ingestion.run(project.config)
    assert {e.name: e.reason.split(";")[0] for e in result.files if e.reason} == {
        "a.csv": "missing columns 'corporation', 'lastmonth_activity', 'lastyear_activity', "
        "'number_of_employees', 'exited'",
        "c.csv": "a header and no rows",
        "d.csv": "the file is empty",
        "f.csv.gz": "not a sound gzip file (Not a gzipped file (b'no'))",
    }
    assert [(item.name, item.reason.split(";")[0]) for item in result.refused] == [
        ("e.csv", "a folder")
    ]
    assert final(project) == ["k,1,2,3,0"]
    assert ingestion.run(project.config).files == ()


def test_packed_files_are_read_and_bounded(project: Project) -> None:
    data = f"{HEADER}\nk,1,2,3,0\n".encode()
    folder = project.root / "sourcedata"
    (folder / "a.csv.gz").write_bytes(gzip.compress(data))
    (folder / "b.csv.gz").write_bytes(gzip.compress(data + b"l,1,2,3,0\n" * 200_000))
    project.configure(maximum_unpacked_megabytes=1)
    result = ingestion.run(project.config)
    assert final(project) == ["k,1,2,3,0"]
    assert "larger than 1 MB when unpacked" in str(result.files[1].reason)


def test_a_file_that_is_being_written_waits(project: Project) -> None:
    with source(project, "a.csv", "k,1,2,3,0").open("a") as stream:
        stream.write("l,1,")
        stream.flush()
        result = ingestion.run(project.config)
        assert (result.waiting, result.files) == (("a.csv",), ())
        assert ingestion.pending(project.config).waiting == ("a.csv",)
        stream.write("2,3,1\n")
    assert ingestion.run(project.config).new_rows == 2


def test_a_file_that_changes_while_it_is_read_waits_for_the_next_run(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = source(project, "a.csv", "k,1,2,3,0")
    source(project, "b.csv", "l,1,2,3,0")
    add = ingestion.ClientTable.add

    def change_then_add(table: Any, file: Path, number: int) -> Any:
        taken = add(table, file, number)
        if file == path:
            source(project, "a.csv", "k,1,2,3,0", "m,1,2,3,0")
        return taken

    monkeypatch.setattr(ingestion.ClientTable, "add", change_then_add)
    result = ingestion.run(project.config)
    assert (counts(result), result.waiting) == ([("b.csv", 1, 1, 0, 0, 0)], ("a.csv",))
    monkeypatch.undo()
    ingestion.run(project.config)
    assert final(project) == ["l,1,2,3,0", "k,1,2,3,0", "m,1,2,3,0"]


def test_odd_names_of_columns_and_files_are_harmless(project: Project) -> None:
    odd = ["Call  Failure", 'say "so"', "semi;colon'", "comma, too", "Größe"]
    project.configure(
        id_column="it's", numeric_columns=odd[:3], categorical_columns=odd[3:], target_column="Y?"
    )
    header = 'it\'s,Call  Failure,"say ""so""",semi;colon\',"comma, too",Größe,Y?'
    source(project, "a*[1]?'b';--.csv", "k,1,2,3,x,'y',1", header=header)
    source(project, "a1b.csv", 'l,1,2,3,x,"=cmd()|\'",0', header=header)
    ingestion.run(project.config)
    assert project.config.final_data.read_text().splitlines() == [
        header, "k,1,2,3,x,'y',1", "l,1,2,3,x,=cmd()|',0"
    ]  # fmt: skip
    source(project, "c.csv", "k,1,2,3,x,'y',1", header=header)
    assert ingestion.run(project.config).new_rows == 0


def test_label_words_are_those_of_the_settings(project: Project) -> None:
    project.configure(positive_label="Yes", negative_label="No, stays")
    source(project, "a.csv", "k,1,2,3, Yes ", 'l,1,2,3,"No, stays"', "m,1,2,3,yes")
    ingestion.run(project.config)
    assert final(project) == ["k,1,2,3,Yes", 'l,1,2,3,"No, stays"']
    assert [row[1:] for row in quarantined(project)] == [
        ["4", "exited", "yes", "neither 'Yes' nor 'No, stays'"]
    ]
    source(project, "b.csv", 'l,1,2,3,"No, stays"')
    assert ingestion.run(project.config).new_rows == 0


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
    with pytest.raises(PipelineError, match=r"a\.csv left .*sourcedata"):
        ingestion.run(project.config)


def test_pending_tells_what_a_run_would_take_in_and_writes_nothing(project: Project) -> None:
    source(project, "a.csv", "k,1,2,3,0")
    (project.root / "sourcedata/b.csv").mkdir()
    found = ingestion.pending(project.config)
    assert found.new == ("a.csv",)
    assert [item.name for item in found.refused] == ["b.csv"]
    assert outputs(project) == {}
    assert not project.config.ledger.exists()


# What a run that was killed leaves behind, and what the next one makes of it.


def test_an_uncommitted_tail_is_cut_off(project: Project) -> None:
    source(project, "a.csv", "k,1,2,3,0")
    ingestion.run(project.config)
    before = outputs(project)
    with project.config.final_data.open("a") as stream:
        stream.write("half a r")
    ingestion.run(project.config)
    assert outputs(project) == before


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


STEPS = (
    "merging.mark_duplicates",
    "stored.write_stored",
    "stored.append",
    "merging.write_open_clients",
    "files.replacing",
    "write_ledger",
    "_settle_open_clients",
    "files.write_text",
)
KILLER = """
import os, sys
from pathlib import Path
import ingestion
from attrition.config import load_config
name, calls, before = sys.argv[2], int(sys.argv[3]), sys.argv[4] == "before"
*path, last = name.split(".")
owner = getattr(ingestion, path[0]) if path else ingestion
real, count = getattr(owner, last), 0
def killed(*arguments):
    global count
    count += 1
    if count == calls and before:
        os._exit(9)
    result = real(*arguments)
    if count == calls:
        os._exit(9)
    return result
setattr(owner, last, killed)
ingestion.run(load_config(Path(sys.argv[1])))
"""


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
        command = [sys.executable, "-c", KILLER, killed.config_path, step, str(calls), moment]
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
        ends.append(subprocess.run(command, env=environment, check=False).returncode)
    assert 9 in ends, "the step was never reached"
    ingestion.run(killed.config)
    assert outputs(killed) == outputs(undisturbed)
    assert (
        read_ledger(killed.config.ledger).commits[-1].id
        == read_ledger(undisturbed.config.ledger).commits[-1].id
    )


texts = st.sampled_from(["k", "NA", "007", " m", 'q"', "a,b", "two\nlines", "x\r", "", "\u00e9"])
numbers = st.sampled_from(["1", "1.0", "-0", "2.5", " ", "1e309", "abc", "1e3"])
rows = st.lists(
    st.tuples(texts, numbers, st.sampled_from(["1", "0", "1.0", " ", "maybe"])), max_size=12
)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(batches=st.lists(rows, min_size=1, max_size=3))
def test_whatever_arrives_counts_add_up_and_rows_are_unique(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[str, str, str]]]
) -> None:
    """One by one or together, the training set is the same; nothing is lost, nothing twice."""
    one_by_one, together = (Project(tmp_path_factory.mktemp(name)) for name in ("one", "all"))
    for project in (one_by_one, together):
        for folder in ("sourcedata", "ingesteddata", "testdata", "models", "production_deployment"):
            (project.root / folder).mkdir()
        project.configure(id_column="i", numeric_columns=["x"], target_column="y")
    results = []
    for number, batch in enumerate(batches):
        for project in (one_by_one, together):
            with (project.root / f"sourcedata/{number}.csv").open("w", newline="") as stream:
                csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([("i", "x", "y"), *batch])
        results.append(ingestion.run(one_by_one.config))
    results.append(ingestion.run(together.config))
    for entry in (entry for result in results for entry in result.files):
        if entry.status == "ingested":
            assert entry.rows_read == len(batches[int(entry.name[0])])
            parts = entry.kept + entry.duplicate + entry.open + entry.quarantined
            assert entry.rows_read == parts
    for path in ("finaldata.csv", "openclients.csv"):
        assert outputs(one_by_one).get(path) == outputs(together).get(path)
    if together.config.final_data.exists():
        with together.config.final_data.open(newline="") as stream:
            table = [tuple(row) for row in csv.reader(stream)]
        assert len(set(table)) == len(table)


# The script.


def test_the_script_prints_a_table_and_names_no_client_in_its_log(project: Project) -> None:
    name = f"a_very_long_name_{'x' * 60}.csv"
    source(project, name, "Secret Ltd,1,2,3,0", "Secret,1e309,2,3,0")
    project.write("sourcedata/headless.csv", "Secret Ltd,1,2,3,0\n")
    with source(project, "w.csv").open("a"):
        result = project.run("ingestion.py")
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    assert "1 rows added to the training set; 0 open clients" in result.stdout
    assert "still being written" in result.stdout
    assert "Secret" not in result.stderr
    assert "1e309" not in result.stderr
    assert "headless.csv: rejected: missing columns" in result.stderr
    again = project.run("ingestion.py").stdout
    assert again.startswith("file "), "w.csv is finished by now, but holds no row"
    assert project.run("ingestion.py").stdout.startswith("nothing new\n")


def test_the_script_suggests_settings_that_ingestion_can_use(project: Project) -> None:
    table = project.write("table.csv", "Client Id,spend,plan,when,left?\n" + "".join(
        f"c{i},{i / 2},{'ab'[i % 2]},2026-01-0{1 + i % 9},{'yes' if i % 5 else 'no'}\n"
        for i in range(60)
    ))  # fmt: skip
    result = project.run("ingestion.py", "--suggest-config", str(table), "--target", "left?")
    suggested = json.loads(result.stdout)
    assert suggested["id_column"] == "Client Id"
    assert "left out: when (dates or times)" in result.stderr
    project.configure(**suggested)
    table.rename(project.root / "sourcedata/table.csv")
    assert ingestion.run(project.config).new_rows == 60


def test_suggest_config_and_target_belong_together(project: Project) -> None:
    assert project.run("ingestion.py", "--target", "x", check=False).returncode == 2
    result = project.run(
        "ingestion.py", "--suggest-config", "/no/such.csv", "--target", "x", check=False
    )
    assert (result.returncode, "no such table" in result.stderr) == (1, True)
