"""What the scripts share: exit codes, messages, the lock, the log file and the deadline."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from attrition.core.command_line import Parser
from attrition.core.errors import AlreadyRunning, ConfigError, DataError
from attrition.runs import cli
from tests.conftest import REPOSITORY, Project

SCRIPT = """
import sys, time
sys.path.insert(0, {repository!r})
from attrition.runs import cli as cli
from attrition.core.config import Config
from attrition.core.errors import DataError, PipelineError

def body(config, arguments):
    {body}

parser = cli.parser("A script.")
raise SystemExit(cli.{runner}(parser, None, body))
"""


def run(project: Project, body: str, runner: str = "run_alone") -> subprocess.CompletedProcess[str]:
    script = project.write(
        "script.py", SCRIPT.format(repository=str(REPOSITORY), body=body, runner=runner)
    )
    command = project.command(script)
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ("return 0", 0, ""),
        ("raise DataError('a.csv: line 3')", 1, "error: a.csv: line 3\n"),
        ("open('/nowhere/a.csv')", 1, "error: /nowhere/a.csv: No such file or directory\n"),
        ("raise OSError(28, 'No space left on device', 'x')", 1, "error: x: No space left"),
        ("raise KeyboardInterrupt", 130, "error: interrupted"),
        ("cli.parser('').parse_args(['--nonsense'])", 2, "unknown option '--nonsense'\nusage: "),
    ],
)
def test_an_expected_error_is_one_line_and_an_exit_code(
    project: Project, body: str, code: int, message: str
) -> None:
    result = run(project, body)
    assert (result.returncode, result.stdout) == (code, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_a_bug_shows_its_traceback_and_exits_with_3(project: Project) -> None:
    result = run(project, "raise ZeroDivisionError('oops')")
    assert result.returncode == 3
    assert "Traceback" in result.stderr
    assert "ZeroDivisionError: oops" in result.stderr


@pytest.mark.slow
def test_a_reader_of_the_output_that_leaves_is_no_error(project: Project) -> None:
    script = project.write(
        "script.py",
        SCRIPT.format(
            repository=str(REPOSITORY), runner="run", body="print('x\\n' * 1_000_000); return 0"
        ),
    )
    command = f"'{sys.executable}' '{script}' --config '{project.config_path}' | head -n 1"
    result = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert result.stdout == "x\n"
    assert result.stderr == ""


@pytest.mark.slow
def test_a_writer_says_so_when_another_run_holds_the_lock(project: Project) -> None:
    script = project.write(
        "holder.py",
        SCRIPT.format(
            repository=str(REPOSITORY),
            runner="run_alone",
            body="print('held', flush=True); sys.stdin.read(); return 0",
        ),
    )
    command = project.command(script)
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        holder.stdout.readline()
        second = run(project, "return 0")
        reader = run(project, "return 0", "run")
        holder.stdin.close()
    assert second.returncode == 75
    assert "another run is at work" in second.stderr
    assert reader.returncode == 0
    assert run(project, "return 0").returncode == 0


@pytest.mark.slow
def test_a_writer_sweeps_up_after_a_killed_one(project: Project) -> None:
    left = project.write("models/.tmp-123-scores.json", "{")
    run(project, "return 0")
    assert not left.exists()


LOGGING = "import logging; cli.log_to_file(config.log); logging.info('a line'); return 0"


@pytest.mark.slow
def test_the_log_file_gets_times_in_utc_and_the_terminal_the_plain_line(project: Project) -> None:
    result = run(project, LOGGING)
    assert result.stderr == "a line\n"
    logged = (project.root / "cron.log").read_text()
    assert logged.endswith("Z a line\n")
    assert len(logged) == len("2026-01-01T00:00:00Z a line\n")


@pytest.mark.slow
def test_under_cron_no_line_stands_in_the_log_twice(project: Project) -> None:
    script = project.write(
        "script.py", SCRIPT.format(repository=str(REPOSITORY), runner="run_alone", body=LOGGING)
    )
    log = project.root / "cron.log"
    with log.open("a") as stream:
        command = project.command(script)
        subprocess.run(command, stdout=stream, stderr=stream, check=True, timeout=60)
    assert len(log.read_text().splitlines()) == 1


@pytest.mark.slow
def test_the_log_is_rotated_and_the_oldest_goes(project: Project) -> None:
    log = project.root / "cron.log"
    for number in range(6):
        log.write_text(f"{number}" * 1_000_001)
        run(project, LOGGING)
    kept = {path.name: path.read_text()[:1] for path in project.root.glob("cron.log*")}
    assert kept == {"cron.log": "2", "cron.log.1": "5", "cron.log.2": "4", "cron.log.3": "3"}


@pytest.mark.slow
def test_a_run_beyond_its_deadline_is_ended_and_says_so(project: Project) -> None:
    result = run(project, "\n    with cli.deadline(0.2): time.sleep(50)")
    assert result.returncode == 1
    assert "took longer than" in result.stderr


@pytest.mark.slow
def test_a_run_beyond_its_deadline_is_told_before_it_ends_whatever_the_teller_does(
    project: Project,
) -> None:
    tell = "lambda words: print(words, flush=True) or 1 / 0"
    result = run(project, f"\n    with cli.deadline(0.2, {tell}): time.sleep(50)")
    assert result.returncode == 1
    assert "took longer than" in result.stdout


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (DataError("a file is bad"), ["a file is bad"]),
        (OSError(28, "No space left", "/data/x"), ["/data/x: No space left"]),
        (KeyError("Acme"), ["a bug in the pipeline (KeyError); see cron.log"]),
        (ConfigError("a key is wrong"), []),
        (AlreadyRunning("busy"), []),
        (KeyboardInterrupt(), []),
    ],
)
def test_a_failure_is_told_in_words_and_goes_on(error: BaseException, words: list[str]) -> None:
    told: list[str] = []
    with pytest.raises(type(error)), cli.on_failure(told.append):
        raise error
    assert told == words


@pytest.mark.slow
def test_a_run_that_leaves_this_interpreter_no_turn_is_ended_by_the_kernel(
    project: Project,
) -> None:
    """A regular expression holds the interpreter to itself, here for years."""
    slow = "__import__('re').match('(a+)+$', 'a' * 60 + 'b')"
    body = f"\n    cli._GRACE_SECONDS = 1\n    with cli.deadline(0.2): {slow}"
    assert run(project, body).returncode == -signal.SIGALRM


@pytest.mark.slow
def test_a_run_within_its_deadline_is_left_alone(project: Project) -> None:
    body = "\n    with cli.deadline(0.2): pass\n    time.sleep(0.5)\n    return 0"
    assert run(project, body).returncode == 0


@pytest.mark.parametrize(
    ("script", "word", "meant"),
    [
        ("ingestion.py", "--sugest-config", "--suggest-config"),
        ("training.py", "--conifg", "--config"),
        ("scoring.py", "--deploid", "--deployed"),
        ("deployment.py", "--rolback=000001", "--rollback"),
        ("deployment.py", "list", "--list"),
        ("diagnostics.py", "--Predict", "--predict"),
        ("reporting.py", "-config", "--config"),
        ("apicalls.py", "--confg", "--config"),
        ("fullprocess.py", "--dryrun", "--dry-run"),
        ("app.py", "--prot", "--port"),
    ],
)
def test_a_misspelt_option_is_answered_first_with_the_one_that_was_meant(
    project: Project, script: str, word: str, meant: str
) -> None:
    result = project.run(script, word, "x", check=False)
    assert (result.returncode, result.stdout) == (2, "")
    kind = "option" if word.startswith("-") else "argument"
    first = result.stderr.splitlines()[0]
    written = word.partition("=")[0]
    assert first == f"{script}: error: unknown {kind} {written!r}; did you mean {meant!r}?"


def test_options_may_be_shortened_and_what_stands_behind_two_hyphens_is_none() -> None:
    parser = Parser()
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("names", nargs="*")
    assert parser.parse_args(["--dry"]).dry_run
    assert parser.parse_args(["--", "--list"]).names == ["--list"]


SCRIPTS = [pytest.param("scoring.py", marks=pytest.mark.slow), "deployment.py", "fullprocess.py"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_explains_itself(script: str, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, REPOSITORY / script, "--help"], capture_output=True, text=True, cwd="/"
    )
    assert result.returncode == 0
    assert "--config PATH" in result.stdout
    assert f"python {script}" in result.stdout
    wrong = subprocess.run(
        [sys.executable, REPOSITORY / script, "--nonsense"], capture_output=True, text=True
    )
    assert wrong.returncode == 2
