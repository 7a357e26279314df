"""README and docs/ tell the truth: commands, links and files exist, tables are whole."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from app import create_app
from attrition.core.config import Config
from attrition.core.config_parsing import load_config
from attrition.core.engine_settings import SparkSettings
from attrition.data.synthetic import VALUE_COLUMN
from tests.conftest import FOLDERS, REPOSITORY, Project, new_project
from tests.support.browsing import page_of
from tests.support.servers import gunicorn

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
DOCUMENTS = {
    str(path.relative_to(REPOSITORY)): path.read_text(encoding="utf-8")
    for path in sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")])
    if path.name != "CHANGELOG.md"  # it tells of what was
}
MAKEFILE = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
SAMPLE_FILES = (*(f"sourcedata/dataset{n}.csv" for n in (3, 4, 5)), "testdata/testdata.csv")
SETTINGS, API, ARCHITECTURE = (
    DOCUMENTS[f"docs/{name}.md"] for name in "settings api architecture".split()
)
TEXT = "\n".join(DOCUMENTS.values())
SHELL = "\n".join(re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)).replace("\\\n", " ")
LINES = [line.split("#")[0].strip() for line in SHELL.splitlines()]
INLINE = [" ".join(code.split()) for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", TEXT)]
COMMANDS = sorted({*LINES, *INLINE})
# Files that a document names, but neither the repository nor a first run has.
ELSEWHERE = set(
    "mytable.csv mine/config.json FOLDER/config.json t.csv may.csv x.csv pip.py token.py "
    "that/config.json config.json.bak "
    "confusionmatrix2.png apireturns2.txt rollbacks.json cron.log.1 "
    "finaldata.set-aside-1.csv branch-North.csv".split()
)


def headings(text: str) -> set[str]:
    """The names by which links reach a document's headings, as public forges make them."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def links(text: str) -> list[str]:
    """What a document links to, pictures included, but for other sites."""
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_leads_somewhere(name: str) -> None:
    for link in links(DOCUMENTS[name]):
        target, _, heading = link.partition("#")
        path = (REPOSITORY / name).parent / target if target else REPOSITORY / name
        assert path.exists(), link
        if heading:
            assert heading in headings(path.read_text(encoding="utf-8")), link


def test_the_readme_is_short_and_leads_to_every_document() -> None:
    assert len(README.splitlines()) <= 150
    assert DOCUMENTS.keys() - {"README.md"} <= set(links(README))


def test_every_picture_is_small_and_has_words_for_who_does_not_see_it() -> None:
    pictures = [
        (words, (REPOSITORY / document).parent / path)
        for document, text in DOCUMENTS.items()
        for words, path in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", text)
    ]
    assert len(re.findall(r"!\[", README)) == 2
    for words, path in pictures:
        assert len(words) > 50
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size < 200_000
    in_use = {path.name for _, path in pictures}
    assert {path.name for path in (REPOSITORY / "docs/images").iterdir()} == in_use


def test_every_make_target_named_exists() -> None:
    calls = [line for line in COMMANDS if re.match(r"make [a-z-]", line)]
    named = {word for line in calls for word in line.split()[1:] if re.fullmatch(r"[a-z-]+", word)}
    assert {"run", "test", "check", "serve", "quality", "bench"} <= named
    for target in named:
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target


SCRIPT_COMMANDS = [command for command in COMMANDS if re.match(r"(\S*/)?python \S", command)]


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


def test_the_command_for_a_table_makes_a_project(tmp_path: Path) -> None:
    """The very command of README, on a table of the sample."""
    (command,) = (line for line in set(LINES) if "--new-project" in line)
    shutil.copy(REPOSITORY / "sourcedata/dataset3.csv", tmp_path / "mytable.csv")
    python, script, rest = command.split(maxsplit=2)
    assert python == ".venv/bin/python"
    words = [sys.executable, str(REPOSITORY / script), *shlex.split(rest)]
    words[words.index("churned")] = "exited"
    subprocess.run(words, cwd=tmp_path, check=True)
    config = load_config(tmp_path / "mine/config.json")
    assert config.id_column == "corporation"
    assert config.numeric_columns == (*Config.numeric_columns, VALUE_COLUMN)
    assert config.value_column == VALUE_COLUMN
    assert (config.target_column, config.positive_label) == ("exited", "1")


def test_the_table_of_settings_names_every_key_and_no_other() -> None:
    keys = {field.name for field in fields(Config)} - {"source"}
    table = SETTINGS[SETTINGS.index("| key | default") : SETTINGS.index("## Your own table")]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row[1])}
    assert named == keys
    for row in rows:
        names, default = re.findall(r"`([a-z_]+)`", row[1]), row[2].strip()
        if len(names) == 1 and re.fullmatch(r"[\d.]+", default):
            assert float(default) == getattr(Config, names[0]), names[0]


def test_the_table_of_the_engines_settings_names_every_key_and_no_other() -> None:
    keys = {field.name for field in fields(SparkSettings)} - {"master"} | {"spark"}
    assert set(re.findall(r"^\| `([a-z_]+)` \|", DOCUMENTS["docs/spark.md"], re.MULTILINE)) == keys


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
    table = API[API.index("| route | answer |") : API.index("A GET reads what")]
    assert set(re.findall(r"`(?:GET|POST) (/[^`]*)`", table)) == routes - {"/"}


CURLS = re.findall(r"^curl (?:[^\n]*\\\n)*(?:[^'\n]|'[^']*')*$", API, re.MULTILINE)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The sample project after `make run`: a run, calls by its list, and a run."""
    project = new_project(tmp_path_factory.mktemp("sample"))
    for path in SAMPLE_FILES:
        shutil.copy(REPOSITORY / path, project.root / path)
    (project.root / "actions").mkdir()
    project.configure(**json.loads((REPOSITORY / "config.json").read_text()))
    project.run("fullprocess.py")
    (calls,) = re.findall(r"-m (attrition\.data\.synthetic .*?[^\\])\n", MAKEFILE, re.DOTALL)
    module, *arguments = calls.replace("\\\n", " ").split()
    subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=project.root,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        check=True,
    )
    project.write("last.txt", project.run("fullprocess.py").stdout)
    return project


def test_the_first_make_run_ends_as_the_readme_says(sample: Project) -> None:
    """But for dates."""
    (shown,) = re.findall(r"```\n(Clients .*?)```", README, re.DOTALL)
    texts = (shown, (sample.root / "last.txt").read_text())
    shown, last = (re.sub(r"\d{4}-\d\d-\d\d", "2026-01-31", text) for text in texts)
    assert shown in last


def test_the_sample_shows_whom_to_call_what_that_earns_and_what_calls_have_kept(
    sample: Project,
) -> None:
    """On the first screen of the page, the report's likewise: `tests/report`, `tests/web/pages`."""
    decision = json.loads(sample.config.decision.read_text())
    assert decision["effect"]["verdict"] == "calls save"
    low, high = decision["effect"]["estimate"]["interval"]
    # 4 in 5 of those to be called are reached, 3 in 10 of the leavers among them are kept.
    assert low < 0.8 * 0.3 * decision["effect"]["held_out"]["share_left"] < high
    above = page_of(sample).partition("Whom to call first")[0]
    assert re.search(r"The \d+ calls that pay best are expected to earn [\d,]+ \(90%: ", above)
    assert re.search(r"Of 100 clients to call, calls so far have kept \d+ \(90%: ", above)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_makes_calls_up_after_the_first_run_of_the_sample_alone(tmp_path: Path) -> None:
    def scripts(*words: str) -> list[str]:
        """What `make run` would run, in a folder with or without the sample."""
        command = ["make", "--no-print-directory", "--dry-run", "--assume-old=.venv/.runtime"]
        done = subprocess.run(
            [*command, f"--file={REPOSITORY / 'Makefile'}", "run", *words],
            cwd=tmp_path,
            env={name: text for name, text in os.environ.items() if not name.startswith("MAKE")},
            capture_output=True,
            text=True,
            check=True,
        )
        return re.findall(r"fullprocess\.py|attrition\.data\.synthetic", done.stdout)

    for path in (".venv/.runtime", ".venv/bin/python"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    run, calls = "fullprocess.py", "attrition.data.synthetic"
    assert scripts() == [run]  # the sample has been replaced by one's own files
    for path in SAMPLE_FILES:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    assert scripts() == [run, calls, run]
    assert scripts("PROJECT=mine") == [run]
    (tmp_path / "models").mkdir()
    (tmp_path / "models/decision.json").touch()  # the first run failed after it had decided
    assert scripts() == [run, calls, run]
    (tmp_path / "sourcedata/outcomes.csv").touch()
    assert scripts() == [run]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_curl_command_gets_a_good_answer(sample: Project) -> None:
    assert len(CURLS) == TEXT.count("\ncurl ") > 10
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
    tree = ARCHITECTURE[ARCHITECTURE.index("fullprocess.py      one run") :].split("```")[0]
    names = re.findall(r"^(?:[├└]─ )?([\w.]+(?:/|\.\w+))", tree, re.MULTILINE)
    assert len(names) > 10
    for name in names:
        assert (REPOSITORY / name).exists(), name


def test_the_table_of_rooms_names_every_room_and_what_is_in_it() -> None:
    rows = re.findall(r"^\| `(\w+)/` \|[^|]*\|([^|]*)\|$", ARCHITECTURE, re.MULTILINE)
    rooms = {path.parent.name for path in REPOSITORY.glob("attrition/*/__init__.py")}
    assert {room for room, _ in rows} == rooms
    for room, files in rows:
        for name in re.findall(r"`([\w.]+/?)`", files):
            assert (REPOSITORY / "attrition" / room / name).exists(), f"{room}/{name}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_named_is_in_the_repository_or_made_by_a_run(name: str, sample: Project) -> None:
    config = sample.config
    declared = [
        getattr(config, key) for key, kind in vars(Config).items() if hasattr(kind, "__get__")
    ]
    written = {path for path in declared if isinstance(path, Path)}  # not all of them by every run
    folders = [REPOSITORY, REPOSITORY / "attrition", sample.root]
    folders += [sample.root / folder for folder in FOLDERS.values()]
    folders += REPOSITORY.glob("attrition/*/") if name == "docs/architecture.md" else []
    ending = r"py|md|json|csv|db|html|pdf|png|txt|toml|sh|pkl|yml|lock|log|log\.1"
    for file in re.findall(rf"`([\w./-]+\.(?:{ending}))`", DOCUMENTS[name]):
        places = {folder / file for folder in folders}
        is_there = places & written or any(place.exists() for place in places)
        assert is_there or ELSEWHERE & {file, Path(file).name}, file


def test_cron_is_set_up_with_options_that_there_are() -> None:
    script = (REPOSITORY / "setup_cron.sh").read_text()
    options = {word for line in LINES if "setup_cron.sh" in line for word in line.split()[1:]}
    assert options == {"--status", "--remove"}
    assert all(f"\n{option})" in script for option in options)
