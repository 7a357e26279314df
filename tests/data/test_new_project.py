"""A project made for a newcomer's table: whole or not at all, and ready for its first run."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from attrition.core import environment
from attrition.core.config_parsing import load_config
from tests.conftest import FOLDERS, REPOSITORY, Project, book


def table_text(rows: int, leavers: int, rows_each: int = 1) -> str:
    """Made-up clients with `rows_each` rows each; the first `leavers` rows are of those who left.

    A lone row of an open client and one with a broken number stand at the end.
    """
    lines = ["Client Id,spend,orders,plan,churned"]
    lines += [
        f"c{i // rows_each},{i * 7919 % 997 / 2},{i * 104_729 % 61},{'abc'[i % 3]},"
        f"{'yes' if i < leavers else 'no'}"
        for i in range(rows)
    ]
    return "\n".join([*lines, "open,5.5,2,a,", "broken,5.5,many,a,no", ""])


def make(
    project: Project, *arguments: str, name: str = "mine", check: bool = True
) -> subprocess.CompletedProcess[str]:
    folder = str(project.root / name)
    return project.run("ingestion.py", "--new-project", folder, *arguments, check=check)


@pytest.fixture
def table(project: Project) -> Path:
    return project.write("table.csv", table_text(300, 30))


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_a_project_has_the_folders_the_settings_and_the_table_itself(
    project: Project, table: Path
) -> None:
    made = make(project, str(table), "--target", "churned")
    folder = project.root / "mine"
    assert everything(folder) == {*FOLDERS.values(), "config.json", "sourcedata/table.csv"}
    assert (folder / "sourcedata/table.csv").read_bytes() == table.read_bytes()
    config = load_config(folder / "config.json")
    assert (config.id_column, config.value_column) == ("Client Id", "spend")
    assert config.feature_columns == ("spend", "orders", "plan")
    assert (config.target_column, config.positive_label, config.negative_label) == (
        "churned",
        "yes",
        "no",
    )
    assert made.stderr == ""
    assert max(map(len, made.stdout.replace(str(project.root), "").splitlines())) <= 80
    words = " ".join(made.stdout.split())
    assert "'yes' means left, in 30 of 301 labelled rows" in words
    assert "300 labelled rows, 1 row of open clients, 1 row that ingestion will set aside" in words
    assert "spend: its name says what a client is worth" in words


def test_all_rows_of_a_client_are_held_out_or_none_and_as_many_leave_as_elsewhere(
    project: Project,
) -> None:
    """The held-out clients by the rule of the digest, in Python; the counts of the text by hand."""
    path = project.write("table.csv", table_text(1200, 300, rows_each=4))
    words = " ".join(make(project, str(path), "--target", "churned").stdout.split())
    share = json.loads((project.root / "mine/config.json").read_text())["test_share"]
    rows = defaultdict(list)
    with path.open(newline="") as stream:
        for row in csv.DictReader(stream):
            if row["churned"] and row["orders"] != "many":
                rows[row["Client Id"]].append(row["churned"] == "yes")
    held_out = [
        label
        for client, labels in rows.items()
        if int(hashlib.md5(client.encode()).hexdigest()[:8], 16) < round(share * 2**32)
        for label in labels
    ]
    assert 0.2 <= share <= 0.25
    every = sum(map(len, rows.values()))
    said = f"{len(held_out):,} of {every:,} rows are held out, always the same clients; of them "
    assert f"{said}{sum(held_out) / len(held_out):.1%} left" in words
    assert f"(test_share {share}) is that between 20% and 25%" in words
    assert abs(sum(held_out) / len(held_out) - 0.25) < 0.02
    assert make(project, str(path), "--target", "churned", name="again").returncode == 0
    assert json.loads((project.root / "again/config.json").read_text())["test_share"] == share


def test_of_few_rows_none_are_held_out(project: Project) -> None:
    path = project.write("table.csv", table_text(90, 12))
    made = make(project, str(path), "--target", "churned")
    assert "none: too few rows to hold some out" in " ".join(made.stdout.split())
    assert load_config(project.root / "mine/config.json").test_share == 0


@pytest.mark.slow
def test_the_first_run_of_the_project_deploys_a_model_and_ranks_the_open_clients(
    project: Project,
) -> None:
    packed = project.root / "clients of 2026.csv.gz"
    packed.write_bytes(gzip.compress(book(500, 3).encode()))
    make(project, str(packed), "--target", "exited", "--positive", "1")
    mine = Project(project.root / "mine")
    done = mine.run("fullprocess.py")
    assert done.stdout.startswith("Verdict      DEPLOYED")
    scores = json.loads((mine.root / "models/scores.json").read_text())
    with (mine.root / "ingesteddata/finaldata.csv").open() as final:
        labelled = sum(1 for _ in final) - 1
    assert 0.15 * labelled < scores["rows"] < 0.35 * labelled
    assert len((mine.root / "models/clientrisk.csv").read_text().splitlines()) > 20


def test_which_label_means_leaving_can_be_said(project: Project, table: Path) -> None:
    made = make(project, str(table), "--target", "churned", "--positive", "no")
    config = load_config(project.root / "mine/config.json")
    assert (config.positive_label, config.negative_label) == ("no", "yes")
    assert "'yes' means stayed; as you say" in " ".join(made.stdout.split())
    assert "is 'no' their label?" not in made.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--target", "churnd"), 1, "(did you mean 'churned'?); expected 'churnd'; found 'Client"),
        (
            ("--target", "churned", "--positive", "left"),
            1,
            "'left' is not one of its two labels ('no' in 271 rows from line 32 on; 'yes' in 30 "
            "rows from line 2 on)",
        ),
        (("--target", "plan"), 1, "column 'plan': expected two different labels, found 3"),
        ((), 2, "--new-project FOLDER FILE and --target COLUMN belong together"),
    ],
)
def test_a_mistake_is_answered_with_what_is_in_the_table_and_leaves_nothing(
    project: Project, table: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    before = everything(project.root)
    done = make(project, str(table), *arguments, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert everything(project.root) == before


def test_a_folder_with_files_in_it_is_refused_and_an_empty_one_is_taken(
    project: Project, table: Path
) -> None:
    (project.root / "mine").mkdir()
    assert make(project, str(table), "--target", "churned").returncode == 0
    before = everything(project.root)
    for name, message in (
        ("mine", "expected a new or an empty folder"),
        ("table.csv", "expected a new folder, found a file"),
        ("no/mine", "mkdir -p"),
    ):
        done = make(project, str(table), "--target", "churned", name=name, check=False)
        assert done.returncode == 1
        assert message in done.stderr
    assert everything(project.root) == before


def test_a_folder_within_another_projects_folders_is_refused(project: Project, table: Path) -> None:
    before = everything(project.root)
    for name in ("sourcedata/mine", "models/mine"):
        done = make(project, str(table), "--target", "churned", name=name, check=False)
        assert done.returncode == 1
        assert f"found it within {project.root / name.partition('/')[0]}, the " in done.stderr
    assert everything(project.root) == before


def test_duplicates_are_counted_among_the_labelled_rows_of_both_lines(
    project: Project, table: Path
) -> None:
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines, lines[1], ""]))
    made = " ".join(make(project, str(table), "--target", "churned").stdout.split())
    assert " of 302 labelled rows" in made
    assert "301 labelled rows, of which 1 duplicate is dropped" in made


def test_without_an_id_it_is_said_what_dropped_duplicates_do_to_the_share_of_leavers(
    project: Project, table: Path
) -> None:
    rows = ["spend,plan,churned", *["10,a,yes"] * 60]
    rows += [f"{n},{'ab'[n % 2]},{'no' if n % 10 else 'yes'}" for n in range(100, 300)]
    table.write_text("\n".join([*rows, ""]))
    made = " ".join(make(project, str(table), "--target", "churned").stdout.split())
    assert "260 labelled rows, of which 59 duplicates are dropped. Without an id" in made
    assert "of all rows 30.8% left, of those kept 10.4%." in made  # 80 of 260, 21 of 201


def test_a_folder_that_cannot_be_made_is_named_and_no_temporary_one(
    project: Project, table: Path
) -> None:
    done = make(project, str(table), "--target", "churned", name="/proc/mine", check=False)
    assert done.returncode == 1
    assert "error: /proc/mine: cannot be made (" in done.stderr
    assert ".tmp-" not in done.stderr


@pytest.mark.slow
def test_a_full_disk_leaves_nothing_and_what_a_killed_run_left_is_removed(
    project: Project, table: Path
) -> None:
    from tests.support.script_runner import Job, shared_runner

    before = everything(project.root)
    words = ("--new-project", str(project.root / "mine"), str(table), "--target", "churned")
    full = Job("ingestion", str(project.config_path), words, file_bytes=4000)
    ended = shared_runner().run(full)
    assert ended.code == 1, ended.text
    assert ".tmp-" not in ended.stderr
    assert everything(project.root) == before
    killed = Job("ingestion", str(project.config_path), words)
    operations = shared_runner().run(killed).operations
    shutil.rmtree(project.root / "mine")
    building = [n for n, what in enumerate(operations, start=1) if ".tmp-" in what]
    for kill_at in {building[1], building[len(building) // 2], building[-1], len(operations)}:
        ended = shared_runner().run(
            Job("ingestion", str(project.config_path), words, kill_at=kill_at)
        )
        assert ended.code == -9
        if (project.root / "mine").exists():  # it has its name: it is whole
            assert load_config(project.root / "mine/config.json").target_column == "churned"
            shutil.rmtree(project.root / "mine")
    assert make(project, str(table), "--target", "churned").returncode == 0
    assert not list(project.root.glob(".tmp-*"))


def test_the_next_command_runs_the_project(project: Project, table: Path) -> None:
    """What the last lines say, with a `make` that prints what it would do."""
    made = make(project, str(table), "--target", "churned", name="my clients")
    last = [line.split(maxsplit=1)[1] for line in made.stdout.splitlines()[-2:]]
    settings = project.root / "my clients/config.json"
    for command, script in zip(last, ("fullprocess.py", "gunicorn"), strict=True):
        words = shlex.split(command)
        assert words[:3] == ["make", "-C", str(REPOSITORY)]
        if shutil.which("make") is None:
            pytest.skip("make is not installed")
        shown = subprocess.run(
            [*words, "--dry-run", "--no-print-directory", "--assume-old=.venv/.runtime"],
            capture_output=True,
            text=True,
            env={**os.environ, "MAKEFLAGS": ""},
        )
        assert f'"{settings}"' in shown.stdout, shown.stderr
        assert script in shown.stdout


SCRIPTS = "ingestion training scoring deployment diagnostics reporting app fullprocess".split()


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_python_without_the_packages_is_told_how_to_start_a_script(
    project: Project, script: str
) -> None:
    """Isolated from site-packages, as the system's own Python is."""
    words = [sys.executable, "-S", str(REPOSITORY / f"{script}.py"), "--config", "some where.json"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=project.root)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert "this Python cannot run the pipeline: it lacks duckdb" in done.stderr
    python = REPOSITORY / ".venv/bin/python"
    assert shlex.split(done.stderr.splitlines()[-1]) == [str(python), *words[2:]]


@pytest.mark.parametrize(
    ("fault", "code", "told"),
    [
        ("ImportError('x.so: no room')", 1, "a package cannot be loaded (x.so: no room); allow"),
        ("MemoryError", 1, "a package cannot be loaded (out of memory); allow this process more"),
        ("KeyboardInterrupt", -signal.SIGINT, "interrupted while packages were being loaded"),
    ],
)
def test_a_package_that_cannot_be_loaded_is_told_in_one_line(
    project: Project, tmp_path: Path, fault: str, code: int, told: str
) -> None:
    """As under `ulimit -v`."""
    (tmp_path / "duckdb.py").write_text(f"raise {fault}\n")
    words = [sys.executable, str(REPOSITORY / "scoring.py")]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(words, capture_output=True, text=True, cwd=project.root, env=environment)
    assert (done.returncode, done.stdout) == (code, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {told}")


def test_every_package_that_is_required_is_looked_for() -> None:
    required = {
        line.split(">=")[0]
        for line in (REPOSITORY / "requirements.txt").read_text().splitlines()
        if not line.startswith("#")
    }
    names = {"scikit-learn": "sklearn", "prometheus-client": "prometheus_client"}
    assert {names.get(name, name) for name in required} == set(environment.PACKAGES)
