"""`--help` on a terminal of 80 columns, and whatever else a script says there."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from attrition.core.command_line import fitted_help
from tests.conftest import REPOSITORY, Project

SCRIPTS = sorted(
    path
    for path in REPOSITORY.glob("*.py")
    if path.name not in ("gunicorn.conf.py", "wsgi.py", "conftest.py")
)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
@pytest.mark.parametrize("width", [60, 80])
def test_no_line_of_the_help_is_wider_than_the_terminal(script: Path, width: int) -> None:
    """The docstring as `--help` shows it; every word of it is there."""
    text = "\n".join(script.read_text().split('"""')[1].splitlines()[1:])
    fitted = fitted_help(text, width)
    assert max(map(len, fitted.splitlines())) <= width
    assert fitted.split() == text.split()


def test_items_hang_and_commands_stand_above_their_text_where_there_is_no_room() -> None:
    text = (
        "    python a.py --b   one two three four five six\n"
        "    python a.py --a-long-option-indeed   one two\n\n"
        "Reads  this and that and more, much more than\n       a line holds.\nWrites nothing."
    )
    assert fitted_help(text, 40).splitlines() == [
        "    python a.py --b",
        "        one two three four five six",
        "    python a.py --a-long-option-indeed",
        "        one two",
        "",
        "Reads  this and that and more, much more",
        "       than a line holds.",
        "Writes nothing.",
    ]


def on_a_terminal(project: Project, *words: str, **environment: str) -> str:
    """What a script shows on a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [*project.command("ingestion.py"), *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "COLUMNS": "80", "TERM": "xterm-256color", **environment},
        )
        assert done.returncode == 1
        return os.read(ours, 100_000).decode().replace("\r\n", "\n")
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.skipif(sys.platform != "linux", reason="a pseudo-terminal as Linux has it")
def test_an_error_is_broken_at_the_terminals_width_and_has_no_colour(project: Project) -> None:
    names = ",".join(f"column_{number}" for number in range(40))
    table = project.write("table.csv", f"{names}\n{'1,' * 39}1\n")
    words = ("--suggest-config", str(table), "--target", "gone")
    shown = on_a_terminal(project, *words, NO_COLOR="1")
    assert "\x1b" not in shown
    lines = shown.splitlines()
    assert len(lines) > 3
    path = str(table)
    assert all(len(line) <= 80 or path in line for line in lines)
    assert " ".join(shown.split()).startswith(f"error: {path}: missing column 'gone'")
