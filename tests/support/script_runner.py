"""Runs the project's scripts in children forked from a process that has imported the libraries.

A child runs the script's file from its first line, as its user does, with arguments, environment
and output of its own. Only what it would import, which takes longer than most runs, is loaded
already. What a start of Python is about is tested with a start of Python.

A run can be killed at its 1st, 2nd, 3rd ... file operation: an audit hook in the child notes what
Python opens, lists, renames, removes or makes below the project folder, and before the operation
in question the child sends itself SIGKILL, so that no handler and no `finally` runs. Finer still,
strace can be attached to the child, to kill it at a system call of any thread or to let one fail.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import resource
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TextIO
from zoneinfo import ZoneInfo

from tests.support.outcome import raw_state
from tests.support.remembering import remember

REPOSITORY = Path(__file__).resolve().parents[2]
STAGES = ("ingestion", "training", "scoring", "deployment", "reporting")
# The scripts, and what they import only when they need it.
PRELOADED = (
    *STAGES,
    *("fullprocess", "app", "apicalls", "attrition.web.live_model", "attrition.model.training"),
    *("duckdb", "pandas", "scipy.stats", "typst", "attrition.report.figures.catalogue"),
    *("sklearn.linear_model", "sklearn.model_selection", "sklearn.pipeline"),
    *("flask.testing", "gunicorn.util", "narwhals._pandas_like.namespace"),
    *("matplotlib.pyplot", "matplotlib.backends.backend_svg", "matplotlib.backends.backend_agg"),
)
EVENTS = frozenset(
    "open os.rename os.remove os.rmdir os.mkdir os.symlink os.link os.truncate os.listdir "
    "os.scandir os.chmod os.utime sqlite3.connect".split()
)
ENVIRONMENT = {"COLUMNS": "80", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
LONGEST_SECONDS = 300
NOTES = ("calls", "operations", "states")  # files in which a run's are noted
REMEMBERED = "remembered"  # the folder of what earlier runs computed, if a run may look there


@dataclass(frozen=True)
class Job:
    """One run of a script in a child of its own, in the root folder.

    Attributes:
        script: its name, without `.py`.
        config: path of config.json.
        arguments: further ones, such as `--rollback`.
        kill_at: number of the file operation to be killed at; 0 lets it live.
        strace: what strace is to trace or do, such as `inject=fsync:signal=KILL:when=3`.
        file_bytes: no file may grow beyond this, as on a full disk; None: any may.
        clock_shift: seconds by which the run's clock is wrong.
        zone: the time zone of its clock, such as `Pacific/Kiritimati`; "": that of the tests.
        notes_states: whether the project's files before each file operation are noted.
    """

    script: str
    config: str
    arguments: Sequence[str] = ()
    kill_at: int = 0
    strace: Sequence[str] = ()
    file_bytes: int | None = None
    clock_shift: float = 0.0
    zone: str = ""
    notes_states: bool = False


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        code: its exit code, -9 when it was killed.
        stdout, stderr: what it printed, and what it logged.
        peak_bytes: the most memory it took.
        operations: what it did to files, such as `os.rename models/scores.json`.
        states: a digest of the project's files before each operation, if they were to be noted.
        calls: what strace wrote.
    """

    code: int
    stdout: str
    stderr: str
    peak_bytes: int
    operations: list[str]
    states: list[str]
    calls: str

    @property
    def text(self) -> str:
        return self.stdout + self.stderr

    @property
    def was_killed(self) -> bool:
        return self.code == -signal.SIGKILL

    @property
    def errors(self) -> list[str]:
        """The lines that tell an error."""
        return [line for line in self.text.splitlines() if line.startswith("error: ")]


class ScriptRunner:
    """The process that has imported the libraries, as a test sees it."""

    def __init__(
        self,
        scratch: Path,
        environment: Mapping[str, str],
        prefix: Sequence[str] = (),
        *,
        remembers: bool = True,
    ) -> None:
        """Start it.

        Args:
            scratch: an empty folder of its own.
            environment: of the process; a run has the environment of the test that asks for it.
            prefix: a command that starts the command that follows it, such as `unshare -rm`.
            remembers: whether a run may take models and pictures from an earlier one on equal rows.
        """
        self.temporary = scratch / "tmp"  # the runs' folder of temporary files
        self.temporary.mkdir()
        if remembers:
            (scratch / REMEMBERED).mkdir()
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "tests.support.script_runner", scratch],
            cwd=REPOSITORY,
            env={**environment, **ENVIRONMENT},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout
        assert self._answers.readline() == "ready\n", f"not started: {prefix}"

    def __enter__(self) -> ScriptRunner:
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.communicate()

    @property
    def files(self) -> Path:
        """The root folder as the process sees it: it may live in a mount namespace of its own."""
        return Path(f"/proc/{self._process.pid}/root")

    def run(self, job: Job) -> Ended:
        """Run a script to its end, or to where it is killed."""
        environment = os.environ | ENVIRONMENT | {"TMPDIR": str(self.temporary)}
        print(json.dumps([asdict(job), environment]), file=self._requests, flush=True)
        return Ended(**json.loads(self._answers.readline()))


def unmeasured() -> dict[str, str]:
    """The environment without what has coverage look on, which would be at work in a killed run."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COV")}


@functools.cache
def shared_runner() -> ScriptRunner:
    """The one for runs that are not disturbed, started when it is first needed."""
    closing = contextlib.ExitStack()
    atexit.register(closing.close)
    scratch = Path(closing.enter_context(tempfile.TemporaryDirectory()))
    return closing.enter_context(ScriptRunner(scratch, os.environ, remembers=False))


def serve(requests: TextIO, answers: TextIO, scratch: Path) -> None:
    """Fork a child for each line of `requests`, and answer how it ended."""
    for module in PRELOADED:
        importlib.import_module(module)
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module("pyarrow.pandas_compat")  # comes with Spark
    gc.freeze()  # else a child's first collection would copy every page
    os.chdir("/")
    print("ready", file=answers, flush=True)
    for line in requests:
        for name in NOTES:
            (scratch / name).write_bytes(b"")
        # Not files, which would be subject to the limits the run is under.
        readers, writers = zip(os.pipe(), os.pipe(), strict=True)
        child = os.fork()
        if child == 0:
            job, environment = json.loads(line)
            live(Job(**job), environment, scratch, writers)
        for writer in writers:
            os.close(writer)
        # A run that hangs is a failure and not the end of the tests.
        signal.signal(signal.SIGALRM, partial(end, child))
        signal.alarm(LONGEST_SECONDS)
        with ThreadPoolExecutor() as pool:
            stdout, stderr = pool.map(read_all, readers)
        _, status, usage = os.wait4(child, 0)
        signal.alarm(0)
        with contextlib.suppress(ChildProcessError):
            os.wait()  # strace's helper, if there was one
        calls, operations, states = (
            (scratch / name).read_text(encoding="utf-8", errors="replace") for name in NOTES
        )
        noted = operations.splitlines(), states.splitlines()
        code, peak_bytes = os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024
        ended = Ended(code, stdout, stderr, peak_bytes, *noted, calls)
        print(json.dumps(asdict(ended)), file=answers, flush=True)


def end(child: int, _number: int, _frame: object) -> None:
    """End a child that hangs."""
    os.kill(child, signal.SIGABRT)


def read_all(descriptor: int) -> str:
    """What comes out of a pipe until its end."""
    with os.fdopen(descriptor, encoding="utf-8", errors="replace") as stream:
        return stream.read()


def live(
    job: Job, environment: Mapping[str, str], scratch: Path, output: Sequence[int]
) -> NoReturn:
    """Be the script; in the end take down what it has set up, and not all of the libraries."""
    code = 1
    try:
        for number, descriptor in enumerate([os.open(os.devnull, os.O_RDONLY), *output]):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.environ.clear()
        os.environ.update(environment)
        time.tzset()
        tempfile.tempdir = None
        sys.argv = [str(REPOSITORY / f"{job.script}.py"), "--config", job.config, *job.arguments]
        disturb(job, scratch)
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    except BaseException:  # noqa: BLE001 - as Python itself ends a script
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def disturb(job: Job, scratch: Path) -> None:
    """Arm what shall disturb the run."""
    if (scratch / REMEMBERED).exists():
        remember(scratch / REMEMBERED, adds=not job.strace and job.file_bytes is None)
    if job.zone:
        set_zone(job.zone)
    if job.clock_shift:
        shift_clock(timedelta(seconds=job.clock_shift))
    if job.file_bytes is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write beyond it fails with EFBIG
        resource.setrlimit(resource.RLIMIT_FSIZE, (job.file_bytes, job.file_bytes))
    if job.strace:
        attach_strace(job.strace, scratch / "calls")
    elif job.file_bytes is None:
        states = scratch / "states" if job.notes_states else None
        count_operations(f"{Path(job.config).parent}/", job.kill_at, scratch / "operations", states)


def count_operations(project: str, kill_at: int, path: Path, states: Path | None = None) -> None:
    """Note each file operation below the project folder, and die before one of them.

    Args:
        project: the folder, with a slash at its end.
        kill_at: number of the operation to die before; 0: none.
        path: where the operations are noted.
        states: where to note a digest of the project's files before each of them.
    """
    count, is_noting = 0, False
    notes = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count, is_noting
        if event not in EVENTS or is_noting:
            return
        named = [os.fsdecode(a) for a in arguments if isinstance(a, str | bytes | Path)]
        ours = [name.removeprefix(project) for name in named if name.startswith(project)]
        if ours:
            count += 1
            os.write(notes, f"{event} {ours[-1]}\n".encode(errors="backslashreplace"))
            if states:
                is_noting = True  # reading them is no operation of the run
                with states.open("a") as stream:
                    stream.write(f"{raw_state(Path(project))}\n")
                is_noting = False
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def attach_strace(expressions: Sequence[str], path: Path) -> None:
    """Have strace follow this process and its threads, and wait until it does."""
    command = ["strace", "-f", "-y", "-qq", "-s", "0", "-o", str(path), "-p", str(os.getpid())]
    for expression in expressions:
        command += ["-e", expression]
    quiet = subprocess.DEVNULL
    strace = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet)
    while "TracerPid:\t0\n" in Path("/proc/self/status").read_text():
        assert strace.poll() is None, "strace could not be attached"
        time.sleep(0.005)


def set_zone(name: str) -> None:
    """Move the process to another time zone."""
    os.environ["TZ"] = name
    time.tzset()
    assert datetime.now().astimezone().utcoffset() == datetime.now(ZoneInfo(name)).utcoffset()


def shift_clock(by: timedelta) -> None:
    """Let the pipeline's clock be wrong; the stamps of files stay the kernel's."""

    right, now, now_ns = datetime, time.time, time.time_ns

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return right.now(tz) + by

    for module in list(sys.modules.values()):
        is_ours = REPOSITORY in Path(getattr(module, "__file__", None) or "/").parents
        if (is_ours or module.__name__ == "datetime") and vars(module).get("datetime") is right:
            vars(module)["datetime"] = Shifted
    time.time = lambda: now() + by.total_seconds()
    time.time_ns = lambda: now_ns() + int(by.total_seconds() * 1e9)


def may_run(*command: str) -> bool:
    """Whether a program is there and may do what it is asked for."""
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True).returncode == 0


@functools.cache
def has_strace() -> bool:
    """Whether strace is there and may follow a process."""
    attach = "from tests.support import script_runner; script_runner.attach_strace((), '/dev/null')"
    return may_run(sys.executable, "-c", attach)


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout, Path(sys.argv[1]))
    os._exit(0)
