"""The README tells the truth: its commands exist, its tables name what is there."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import fields

import pytest

from app import create_app
from attrition.core.config import Config, load_config
from tests.conftest import FOLDERS, REPOSITORY, Project, new_project
from tests.support.servers import gunicorn

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
SHELL = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL)).replace("\\\n", " ")
COMMANDS = [line.split("#")[0].strip() for line in SHELL.splitlines()]


def test_every_make_target_named_exists() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    named = set(re.findall(r"\bmake ([a-z-]+)\b", README))
    assert {"run", "test", "check", "serve", "quality", "bench"} <= named
    for target in named - {"sure"}:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


SCRIPT_COMMANDS = [command for command in COMMANDS if re.match(r"(\S*/)?python ", command)]


@pytest.mark.parametrize("command", SCRIPT_COMMANDS)
def test_every_python_command_knows_its_options(command: str) -> None:
    words = shlex.split(command.split(">", maxsplit=1)[0])[1:]
    script = words[:2] if words[0] == "-m" else words[:1]
    shown = subprocess.run(
        [sys.executable, *script, "--help"], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert shown.returncode == 0, shown.stderr
    for option in (word for word in words if word.startswith("--")):
        assert option in shown.stdout, option


def test_the_suggested_config_makes_a_project(project: Project) -> None:
    """The README's very command, in a copy of the scripts, onto the config.json beside them."""
    (command,) = (line for line in COMMANDS if "--suggest-config" in line)
    scripts = project.root / "scripts"
    scripts.mkdir()
    shutil.copy(REPOSITORY / "ingestion.py", scripts)
    shutil.copytree(REPOSITORY / "attrition", scripts / "attrition")
    shutil.copy(REPOSITORY / "config.json", scripts)
    for folder in FOLDERS.values():
        (scripts / folder).mkdir()
    shutil.copy(REPOSITORY / "sourcedata/dataset3.csv", scripts / "mytable.csv")
    command = command.replace("python ", f"{shlex.quote(sys.executable)} ", 1)
    command = command.replace("churned", "exited")
    subprocess.run(command, shell=True, cwd=scripts, check=True)
    config = load_config(scripts / "config.json")
    assert config.id_column == "corporation"
    assert config.numeric_columns == Config.numeric_columns
    assert (config.target_column, config.positive_label) == ("exited", "1")


def test_the_table_of_settings_names_every_key_and_no_other() -> None:
    keys = {field.name for field in fields(Config)} - {"source"}
    table = README[README.index("| key | default") : README.index("Files are UTF-8 CSV")]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row[1])}
    assert named == keys
    for row in rows:
        names, default = re.findall(r"`([a-z_]+)`", row[1]), row[2].strip()
        if len(names) == 1 and re.fullmatch(r"[\d.]+", default):
            assert float(default) == getattr(Config, names[0]), names[0]


def test_every_dependency_has_its_reason() -> None:
    lines = (REPOSITORY / "requirements.txt").read_text().splitlines()
    required = {re.split(r"[<>=]", line)[0] for line in lines if not line.startswith("#")}
    table = README[README.index("| package | why |") : README.index("`requirements.txt` gives")]
    named = {
        name.strip()
        for line in table.splitlines()[2:]
        if line.startswith("|")
        for name in line.split("|")[1].split(",")
    }
    assert named == required
    for line in lines:
        assert line.startswith("#") or re.fullmatch(r"[a-z0-9-]+>=[\d.]+,<[\d.]+", line), line


def test_the_table_of_routes_names_every_route_and_no_other(project: Project) -> None:
    rules = create_app(project.config).url_map.iter_rules()
    routes = {re.sub("<.*>", "<name>", rule.rule) for rule in rules if rule.endpoint != "static"}
    table = README[README.index("| route | answer |") : README.index("A GET reads what")]
    assert set(re.findall(r"`(?:GET|POST) (/[^`]*)`", table)) == routes - {"/"}


CURLS = re.findall(r"^curl (?:[^\n]*\\\n)*(?:[^'\n]|'[^']*')*$", README, re.MULTILINE)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The sample project after `make run`."""
    project = new_project(tmp_path_factory.mktemp("sample"))
    for folder in ("sourcedata", "testdata"):
        shutil.copytree(REPOSITORY / folder, project.root / folder, dirs_exist_ok=True)
    project.run("fullprocess.py")
    return project


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_curl_of_the_readme_gets_a_good_answer(sample: Project) -> None:
    assert len(CURLS) == README.count("\ncurl ") > 10
    with gunicorn(sample) as port:
        for command in CURLS:
            here = command.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
            done = subprocess.run(
                f"{here} --silent --fail-with-body",
                shell=True,
                text=True,
                capture_output=True,
                cwd=sample.root,
            )
            assert done.returncode == 0, (command, done.stdout)
            if "Accept: text/csv" in command or "format=csv" in command:
                assert len(done.stdout.splitlines()) > 5, command
            else:
                assert json.loads(done.stdout), command


def test_every_file_of_the_tree_is_there() -> None:
    tree = README[README.index("fullprocess.py      one run") : README.index("### One run")]
    for name in re.findall(r"^(?:[├└]─ )?([\w.]+(?:/|\.\w+))", tree, re.MULTILINE):
        assert (REPOSITORY / name).exists(), name
