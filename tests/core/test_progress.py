"""The progress display: for a person at a terminal, and for nobody else."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import FORMS, REPOSITORY, Project, book

SCRIPT = """
import logging, sys, time
sys.path.insert(0, {repository!r})
from attrition.runs import cli as cli; from attrition.core import progress as progress

def body(arguments):
    with progress.step("outer work"):
        with progress.step("files", total=3) as advance:
            for number in range(3):
                logging.getLogger("x").info("line %d of the log [bold] is whole", number)
                advance()
                time.sleep(0.3)
        logging.getLogger("x").info("no files are left")
        time.sleep(0.3)
    logging.getLogger("x").info("the work is done")
    print("the result")
    print("rich" in sys.modules)
    return 0

raise SystemExit(cli.run_without_settings(cli.parser("A script."), None, body))
"""
LOG = [f"line {number} of the log [bold] is whole" for number in range(3)]


def at_terminal(command: list[str], term: str = "xterm") -> tuple[int, str, str]:
    """Run a command whose stderr is a terminal and whose stdout is a pipe.

    Returns:
        Its exit code, what it wrote to stdout, and what the terminal got.
    """
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        env=os.environ | {"TERM": term, "COLUMNS": "80"},
    ) as process:
        os.close(theirs)
        shown = b""
        while chunk := read(ours):
            shown += chunk
        assert process.stdout is not None
        result = process.stdout.read()
    os.close(ours)
    return process.returncode, result, shown.decode()


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux says so when the last writer has left
        return b""


def visible(shown: str) -> list[str]:
    """The lines that came to the terminal, without what steers it."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    return [line.strip() for line in re.split(r"[\r\n]+", plain) if line.strip()]


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(repository=str(REPOSITORY)))
    return path


@pytest.mark.slow
def test_at_a_terminal_the_steps_are_shown_and_log_lines_stay_whole(script: Path) -> None:
    code, result, shown = at_terminal([sys.executable, str(script)])
    lines = visible(shown)
    assert (code, result) == (0, "the result\nTrue\n")
    assert any(re.search(r"outer work +0 s$", line) for line in lines)
    assert any(re.search(r"files +\d s, [12] of 3$", line) for line in lines)
    assert [line for line in lines if line in LOG] == LOG
    after = lines[lines.index("no files are left") :]
    assert any("outer work" in line for line in after)
    assert not any("of 3" in line for line in after)
    assert lines[-1] == "the work is done"
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")  # the cursor is back


@pytest.mark.slow
def test_in_a_pipe_and_on_a_dumb_terminal_there_is_only_the_log(script: Path) -> None:
    piped = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert piped.stdout == "the result\nFalse\n"
    assert piped.stderr.splitlines() == [*LOG, "no files are left", "the work is done"]
    _, result, shown = at_terminal([sys.executable, str(script)], term="dumb")
    assert result == "the result\nFalse\n"
    assert shown.splitlines() == [*LOG, "no files are left", "the work is done"]


@pytest.mark.slow
def test_the_scripts_show_their_stages_and_an_idle_run_nothing(project: Project) -> None:
    project.configure(reports=FORMS)
    project.write("sourcedata/january.csv", book(600, 1))
    project.write("testdata/testdata.csv", book(300, 2, open_share=0.0))
    command = project.command("ingestion.py")
    code, result, shown = at_terminal(command)
    assert code == 0
    assert "january.csv" in result  # though it is printed while the display is up
    assert any(re.search(r"ingestion +0 s$", line) for line in visible(shown))
    assert any(re.search(r"files +0 s, [01] of 1$", line) for line in visible(shown))
    command = project.command("fullprocess.py")
    code, result, shown = at_terminal(command)
    assert code == 0, shown
    assert result.startswith("Verdict ")
    assert any(re.search(r"training +\d+ s$", line) for line in visible(shown))
    assert any(re.search(r"pictures +\d+ s$", line) for line in visible(shown))
    assert any(re.match(r"training: \d+\.\d\d s$", line) for line in visible(shown))
    idle = [command[0], "-X", "importtime", *command[1:]]
    _, _, shown = at_terminal(idle)
    assert "idle: nothing has changed" in shown
    assert "\x1b" not in shown
    assert "rich" not in {line.rpartition("|")[2].strip() for line in shown.splitlines()}


@pytest.mark.slow
def test_an_error_leaves_the_terminal_as_it_was(project: Project) -> None:
    command = project.command("training.py")
    code, _, shown = at_terminal(command)
    assert code == 1
    assert visible(shown)[-1].startswith("error: no labelled client rows")
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
