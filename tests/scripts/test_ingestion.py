"""Ingestion as its user meets it: files in sourcedata/, and what stands in ingesteddata/ then."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ingestion
from attrition.data import client_table
from attrition.data.ingestion_result import Pending
from attrition.data.ledger import read_ledger
from attrition.monitoring import alerts
from attrition.report.prospect import describe_prospect
from tests.conftest import HEADER, REPOSITORY, Project
from tests.support.ingested import counts, final, open_list, outputs, quarantined, source


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_before_a_run_it_is_said_which_files_lack_a_column(project: Project, name: str) -> None:
    text = f"{HEADER}\n{'k,1,2,3,0' * 9}\n" * 2000
    packed = gzip.compress(text.encode()) if name.endswith(".gz") else text.encode()
    (project.config.input_folder_path / name).write_bytes(packed)
    (project.config.input_folder_path / "broken.csv.gz").write_bytes(b"no archive")
    found = ingestion.pending(project.config)
    assert (found.new, found.rejected) == ((name, "broken.csv.gz"), ())
    project.configure(numeric_columns=["lastmonth_actvity"])
    found = ingestion.pending(project.config)
    assert found.new == ("broken.csv.gz",)
    acted = Pending((), (), (), (), ("actions/may.csv",))
    assert describe_prospect(project.config, acted) == [
        "New files a run would ingest: actions/may.csv.",
        "No model is deployed, and there are no rows to train one on.",
    ]
    assert describe_prospect(project.config, found)[1] == (
        f"A run would reject {name}: missing column 'lastmonth_actvity' (did you mean "
        "'lastmonth_activity'?); expected 'corporation', 'lastmonth_actvity', 'exited'."
    )


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


def test_what_is_called_otherwise_is_read_or_named_as_not_read_once(project: Project) -> None:
    folder = project.root / "sourcedata"
    source(project, "C.CSV", "k,1,2,3,0")
    packed = gzip.compress(f"{HEADER}\nl,1,2,3,1\n".encode())
    (folder / "d.csv.GZ").write_bytes(packed)
    unread = ["t.tsv", "w.txt", "x.csv.zip", "testdata/exam.xlsx"]
    for name in ["t.tsv", "w.txt", "x.csv.zip", "../testdata/exam.xlsx"]:
        (folder / name).write_bytes(packed)
    for name in (".hidden.txt", "u.csv.part", "u.tmp", "u.crdownload"):
        (folder / name).write_bytes(packed)
    dry = project.run("fullprocess.py", "--dry-run").stdout
    first = project.run("fullprocess.py")
    assert final(project) == ["k,1,2,3,0", "l,1,2,3,1"]
    for name in unread:
        assert f"Not read: {name}: its name does not end in .csv or .csv.gz" in dry
        assert first.stderr.count(f"{name}: not read: its name does not end in") == 1
    assert f"Not read: {', '.join(unread)}" in " ".join(first.stdout.split())
    source(project, "e.csv", "m,1,2,3,0")
    second = project.run("fullprocess.py")
    assert not [name for name in (*unread, "hidden", "u.") if name in second.stdout + second.stderr]
    assert "Not read: w.txt" in project.run("fullprocess.py", "--dry-run").stdout


def test_packed_files_are_read_and_bounded(project: Project) -> None:
    data = f"{HEADER}\nk,1,2,3,0\n".encode()
    folder = project.root / "sourcedata"
    (folder / "a.csv.gz").write_bytes(gzip.compress(data))
    (folder / "b.csv.gz").write_bytes(gzip.compress(data + b"l,1,2,3,0\n" * 200_000))
    project.configure(maximum_unpacked_megabytes=1)
    result = ingestion.run(project.config)
    assert final(project) == ["k,1,2,3,0"]
    assert "larger than 1 MB when unpacked" in str(result.files[1].reason)


def test_a_small_packed_file_that_grows_without_bounds_holds_up_no_other(project: Project) -> None:
    with gzip.open(project.root / "sourcedata/a.csv.gz", "wb") as stream:
        stream.write(HEADER.encode() + b"\n" + b"k,1,2,3,0\n" * 12_000_000)
    source(project, "b.csv", "l,1,2,3,0")
    bomb, good = ingestion.run(project.config).files
    assert "more than 100 times its size when unpacked" in str(bomb.reason)
    assert (good.kept, final(project)) == (1, ["l,1,2,3,0"])
    assert ingestion.run(project.config).files == (), "not looked into again"


@pytest.mark.parametrize("damage", ["", 'x"x,1,2,3,0\n'])
def test_a_file_that_takes_too_long_is_rejected_and_holds_up_no_other(
    project: Project, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    """Read by DuckDB, or taken apart by us; how long is too long depends on the file."""
    rows = "".join(f"c{i},{i},2,3,0\n" for i in range(400_000))
    project.write("sourcedata/a.csv", f"{HEADER}\n{damage}{rows}")
    source(project, "b.csv", "l,1,2,3,0")
    seconds = iter([0.05])
    timer = threading.Timer
    monkeypatch.setattr(threading, "Timer", lambda s, end: timer(next(seconds, s), end))
    slow, good = ingestion.run(project.config).files
    assert "more than 1800 seconds, a quarter of a run's time" in str(slow.reason)
    assert (good.kept, final(project)) == (1, ["l,1,2,3,0"])
    assert ingestion.run(project.config).files == ()


def test_a_file_that_changes_while_it_is_read_waits_for_the_next_run(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = source(project, "a.csv", "k,1,2,3,0")
    source(project, "b.csv", "l,1,2,3,0")
    add = client_table.ClientTable.add

    def change_then_add(table: Any, file: Path, number: int) -> Any:
        taken = add(table, file, number)
        if file == path:
            source(project, "a.csv", "k,1,2,3,0", "m,1,2,3,0")
        return taken

    monkeypatch.setattr(client_table.ClientTable, "add", change_then_add)
    result = ingestion.run(project.config)
    assert (counts(result), result.waiting) == ([("b.csv", 1, 1, 0, 0, 0)], ("a.csv",))
    monkeypatch.undo()
    ingestion.run(project.config)
    assert final(project) == ["l,1,2,3,0", "k,1,2,3,0", "m,1,2,3,0"]


def test_pending_tells_what_a_run_would_take_in_and_writes_nothing(project: Project) -> None:
    source(project, "a.csv", "k,1,2,3,0")
    (project.root / "sourcedata/b.csv").mkdir()
    found = ingestion.pending(project.config)
    assert found.new == ("a.csv",)
    assert [item.name for item in found.refused] == ["b.csv"]
    assert outputs(project) == {}
    assert not project.config.ledger.exists()


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
    assert "1 row added to the training set; 0 open clients" in result.stdout
    assert "still being written" in result.stdout
    assert "Secret" not in result.stderr
    assert "1e309" not in result.stderr
    assert "headless.csv: rejected: missing columns" in result.stderr
    again = project.run("ingestion.py").stdout
    assert again.startswith("file "), "w.csv is finished by now, but holds no row"
    assert project.run("ingestion.py").stdout.startswith("nothing new\n")


def test_the_script_suggests_settings_that_ingestion_can_use(project: Project) -> None:
    table = project.write(
        "table.csv",
        "Client Id,spend,plan,when,left?\n"
        + "".join(
            f"c{i},{i / 2},{'ab'[i % 2]},2026-01-0{1 + i % 9},{'yes' if i % 5 else 'no'}\n"
            for i in range(60)
        ),
    )
    result = project.run("ingestion.py", "--suggest-config", str(table), "--target", "left?")
    suggested = json.loads(result.stdout)
    assert suggested["id_column"] == "Client Id"
    assert "left out: when (dates or times)" in result.stderr
    project.configure(**suggested)
    table.rename(project.root / "sourcedata/table.csv")
    assert ingestion.run(project.config).new_rows == 60


def suggested(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = project.write(
        "table.csv",
        "Client Id,spend,plan,churned\n"
        + "".join(f"c{i},{i / 2},{'ab'[i % 2]},{'yes' if i % 5 else 'no'}\n" for i in range(60)),
    )
    words = ("--suggest-config", str(path), "--target", "churned", *arguments)
    return project.run("ingestion.py", *words, check=False)


def test_a_suggestion_says_why_each_column_was_chosen(project: Project) -> None:
    assert suggested(project).stderr.splitlines() == [
        "id_column: Client Id (its name is that of a client's id; 60 different ones in 60 rows)",
        "value_column and numeric: spend (its name says what a client is worth; "
        "60 different numbers)",
        "categorical: plan (2 different texts)",
        "target_column: churned ('yes' means left, in 48 of 60 labelled rows, 80.0%; 'no' means "
        "stayed; 'yes' says yes)",
        "note: 80% are taken for leavers; is 'yes' their label? if not, exchange positive_label "
        "and negative_label in config.json",
    ]


def test_suggested_settings_are_written_beside_the_old_ones(project: Project) -> None:
    project.configure(drift_threshold=0.1, id_column="corporation")
    old = project.config_path.read_text()
    done = suggested(project, "--write")
    assert (done.returncode, done.stdout) == (0, "")
    config = project.config
    assert (config.id_column, config.target_column, config.drift_threshold) == (
        "Client Id",
        "churned",
        0.1,
    )
    assert (project.root / "config.json.bak").read_text() == old
    said = done.stderr.splitlines()
    assert said[-2] == "kept as they were: package_check, reports, drift_threshold"
    assert said[-1] == f"written: {project.config_path}; the old one is config.json.bak"
    again = suggested(project, "--write").stderr.splitlines()
    assert again[-1] == f"{project.config_path} says so already; nothing was written"
    assert (project.root / "config.json.bak").read_text() == old


def test_a_suggestion_that_fails_leaves_the_settings_as_they_are(project: Project) -> None:
    before = project.config_path.read_bytes()
    table = project.write("table.csv", "plan,left,x\na,1,2\nb,0,2\n")
    words = ("--suggest-config", str(table), "--target", "lft", "--write")
    done = project.run("ingestion.py", *words, check=False)
    assert done.returncode == 1
    assert "did you mean 'left'?" in done.stderr
    assert project.config_path.read_bytes() == before
    assert not (project.root / "config.json.bak").exists()


def test_write_belongs_to_a_suggestion(project: Project) -> None:
    done = project.run("ingestion.py", "--write", check=False)
    assert done.returncode == 2
    assert "--write writes what --suggest-config" in done.stderr


def test_suggest_config_and_target_belong_together(project: Project) -> None:
    for arguments in (("--target", "x"), ("--suggest-config", "x.csv")):
        result = project.run("ingestion.py", *arguments, check=False)
        assert result.returncode == 2
        assert "belong together" in result.stderr


def test_a_suggestion_is_refused_in_one_line_that_says_why(project: Project) -> None:
    table = project.write("table.csv", "plan,left,x\na,1,2\nb,0,2\n")
    hint = "expected the path of a .csv or .csv.gz file"
    for path, target, reason in (
        (table, "gone", "missing column 'gone'; expected 'gone'; found 'plan', 'left', 'x'"),
        (
            table,
            "x",
            "column 'x': expected two different labels, found 1 ('2' in 2 rows from line 2 on); a "
            "model needs clients who left and clients who stayed",
        ),
        (table.with_name("no.csv"), "left", f"no such file; {hint}"),
        (Path("/no/such.csv"), "left", f"no such file; {hint}"),
        (project.config_path, "left", f"not called like a table; {hint}"),
    ):
        result = project.run(
            "ingestion.py", "--suggest-config", str(path), "--target", target, check=False
        )
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr == f"error: {path}: {reason}\n"


def test_a_run_pays_for_no_library_of_tables_and_models(project: Project) -> None:
    """Their imports take longer than ten thousand new rows."""
    project.write("sourcedata/a.csv", HEADER + "\nAcme,1,2,3,0\nBolt,1,2,3,1\n")
    code = (
        "import sys, ingestion\n"
        "assert ingestion.main(['--config', sys.argv[1]]) == 0\n"
        "print(*{'pandas', 'sklearn', 'scipy', 'matplotlib', 'flask'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, project.config_path],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == ""


def test_a_file_rejected_for_a_limit_is_read_when_the_limit_is_raised(project: Project) -> None:
    project.configure(maximum_unpacked_megabytes=1)
    rows = [f"client {number},1,2,3,0" for number in range(60_000)]
    packed = gzip.compress("\n".join([HEADER, *rows]).encode())
    (project.root / "sourcedata/a.csv.gz").write_bytes(packed)
    source(project, "b.csv", "k,1,2,3,0", header="no table")
    shown = project.run("ingestion.py").stderr
    assert "larger than 1 MB when unpacked (setting maximum_unpacked_megabytes)" in shown
    assert "all 2 files were rejected" in project.run("ingestion.py").stderr
    project.configure(maximum_unpacked_megabytes=2)
    assert ingestion.pending(project.config).new == ("a.csv.gz",)
    project.run("ingestion.py")
    assert len(final(project)) == 60_000
    statuses = [(e.name, e.status) for e in read_ledger(project.config.ledger).entries]
    assert statuses == [("a.csv.gz", "read again"), ("b.csv", "rejected"), ("a.csv.gz", "ingested")]
    assert project.run("ingestion.py").stdout.startswith("nothing new")
    assert len(alerts.troubled_files(read_ledger(project.config.ledger))) == 1


def test_when_all_files_are_rejected_every_run_names_the_cause_until_it_is_mended(
    finished_copy: Project,
) -> None:
    project = finished_copy
    rows = project.config.final_data.read_bytes()
    columns = list(project.config.numeric_columns)
    project.configure(numeric_columns=[*columns[:-1], "number_of_employes"])
    source(project, "other.csv", "k,1,2,3,0")
    for _ in range(2):
        failed = project.run("fullprocess.py", check=False)
        assert failed.returncode == 1
        assert "all 2 files were rejected" in failed.stderr
        assert "missing column 'number_of_employes'" in failed.stderr
        assert "expected the columns" not in failed.stderr
    shown = project.run("ingestion.py").stderr
    assert "all 2 files were rejected: january.csv, other.csv: missing column" in shown
    assert "all 2 files were rejected" in project.run("diagnostics.py", check=False).stderr
    project.configure()
    project.run("fullprocess.py")
    assert project.config.final_data.read_bytes() == rows + b"k,1,2,3,0\n"
    assert "idle" in project.run("fullprocess.py").stderr
