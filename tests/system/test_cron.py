"""setup_cron.sh, run for real against a `crontab` command that keeps its table in a file."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

CRONTAB = """#!/bin/sh
table="$(dirname "$0")/table"
case "$1" in
-l) if [ -f "$table.denied" ]; then echo "you are not allowed" >&2; exit 1; fi
    if [ -f "$table" ]; then cat "$table"; else echo "no crontab for $USER" >&2; exit 1; fi ;;
-)  cat > "$table" ;;
esac
"""


class Cron:
    """A copy of the script in a folder of its own, and a crontab to go with it."""

    def __init__(self, root: Path, folder: str) -> None:
        self.folder = root / folder
        self.folder.mkdir()
        for name in ("setup_cron.sh", "cronjob.txt"):
            shutil.copy(REPOSITORY / name, self.folder)
        self.tools = root / "tools"
        self.tools.mkdir(exist_ok=True)
        crontab = self.tools / "crontab"
        crontab.write_text(CRONTAB)
        crontab.chmod(0o755)
        self.python = self.folder / ".venv" / "bin" / "python"
        self.python.parent.mkdir(parents=True)
        self.python.write_text('#!/bin/sh\npwd > here\necho "ran $1"\n')
        self.python.chmod(0o755)

    def setup(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.folder / "setup_cron.sh", *arguments],
            cwd="/",
            env={"PATH": f"{self.tools}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
        )

    @property
    def table(self) -> str:
        path = self.tools / "table"
        return path.read_text() if path.exists() else ""

    @table.setter
    def table(self, text: str) -> None:
        (self.tools / "table").write_text(text)


@pytest.fixture
def cron(tmp_path: Path) -> Cron:
    return Cron(tmp_path, "pipeline")


def test_three_set_ups_leave_one_entry_and_other_peoples_entries(cron: Cron) -> None:
    cron.table = "# mine\n0 5 * * * backup\n"
    for _ in range(3):
        assert cron.setup().returncode == 0
    lines = cron.table.splitlines()
    assert lines[:2] == ["# mine", "0 5 * * * backup"]
    assert len(lines) == 3
    assert lines[2].startswith("*/3 * * * * umask g-w,o=; cd ")


@pytest.mark.parametrize(
    "folder",
    ["plain", "with space", "100%", "it's", 'a"b$HOME', "back\\slash", "@PYTHON@", "@FOLDER@&"],
)
def test_the_entry_runs_in_its_folder_under_crons_bare_environment(
    tmp_path: Path, folder: str
) -> None:
    cron = Cron(tmp_path, folder)
    assert cron.setup().returncode == 0
    command = cron.table.rstrip("\n").split(" ", 5)[5]
    # What cron does with a command: an escaped % is a %, a bare one would end it.
    assert "%" not in command.replace("\\%", "")
    subprocess.run(["/bin/sh", "-c", command.replace("\\%", "%")], env={}, cwd="/", check=True)
    assert (cron.folder / "cron.log").read_text() == "ran fullprocess.py\n"
    assert (cron.folder / "here").read_text() == f"{cron.folder}\n"
    assert (cron.folder / "cron.log").stat().st_mode & 0o027 == 0
    assert cron.setup("--status").stdout.startswith("installed")
    assert cron.setup("--remove").returncode == 0
    assert "fullprocess" not in cron.table


def test_an_installation_beside_a_folder_of_a_longer_name_keeps_both(tmp_path: Path) -> None:
    short, long = Cron(tmp_path, "a"), Cron(tmp_path, "aa")
    long.setup()
    short.setup()
    assert len(short.table.splitlines()) == 2
    short.setup("--remove")
    assert str(long.folder) in long.table
    assert len(long.table.splitlines()) == 1


def test_remove_and_status_without_an_entry_say_so(cron: Cron) -> None:
    assert "not installed" in cron.setup("--status").stdout
    assert "nothing to remove" in cron.setup("--remove").stdout


def test_a_crontab_that_cannot_be_read_is_not_overwritten(cron: Cron) -> None:
    cron.table = "0 5 * * * backup\n"
    (cron.tools / "table.denied").touch()
    result = cron.setup()
    assert result.returncode == 1
    assert "not allowed" in result.stderr
    assert cron.table == "0 5 * * * backup\n"


def test_a_missing_interpreter_or_a_wrong_option_installs_nothing(cron: Cron) -> None:
    wrong = cron.setup("--stauts")
    assert wrong.returncode == 2
    assert "unknown option '--stauts'; did you mean --status" in wrong.stderr
    cron.python.unlink()
    result = cron.setup()
    assert result.returncode == 1
    assert "make -C" in result.stderr
    assert cron.table == ""
