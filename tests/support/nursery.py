"""A warm process that forks a child for each run of a script, and disturbs it as a test says.

The scripts' imports take seconds and a fork takes milliseconds, so a run can be killed at its 1st,
2nd, 3rd ... file operation in turn. An audit hook in the child notes what Python opens, lists,
renames, removes or makes below the project folder; before the operation in question the child
sends itself SIGKILL, so that no handler and no `finally` runs. Finer still, strace can be attached
to the child, to kill it at a system call of any thread or to let one fail.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TextIO
from zoneinfo import ZoneInfo

REPOSITORY = Path(__file__).resolve().parents[2]
STAGES = ("ingestion", "training", "scoring", "deployment", "reporting")
# The scripts, and what they import only when they need it.
WARM = (
    *STAGES,
    "fullprocess",
    "app",
    "apicalls",
    "seaborn",
    "matplotlib.pyplot",
    "attrition.web.live_model",
)
EVENTS = frozenset(
    "open os.rename os.remove os.rmdir os.mkdir os.symlink os.link os.truncate os.listdir "
    "os.scandir os.chmod os.utime sqlite3.connect".split()
)

HANGING_SECONDS = 200


@dataclass(frozen=True)
class Job:
    """One run of a script in a child of its own.

    Attributes:
        script: its name, without `.py`.
        config: path of config.json.
        kill_at: number of the file operation to be killed at; 0 lets it live.
        strace: what strace is to trace or do, such as `inject=fsync:signal=KILL:when=3`.
        file_bytes: no file may grow beyond this, as on a full disk; None: any may.
        clock_shift: seconds by which the run's clock is wrong.
        zone: the time zone of its clock, such as `Pacific/Kiritimati`; "": that of the tests.
        arguments: further ones of the script, such as `--rollback`.
    """

    script: str
    config: str
    kill_at: int = 0
    strace: tuple[str, ...] = ()
    file_bytes: int | None = None
    clock_shift: float = 0.0
    zone: str = ""
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        code: its exit code, -9 when it was killed.
        operations: what it did to files, such as `os.rename models/scores.json`.
        peak_bytes: the most memory it took.
        text: what it printed and logged.
        calls: what strace told.
    """

    code: int
    operations: list[str]
    peak_bytes: int
    text: str
    calls: str = ""

    @property
    def was_killed(self) -> bool:
        return self.code == -signal.SIGKILL

    @property
    def errors(self) -> list[str]:
        """The lines that tell an error."""
        return [line for line in self.text.splitlines() if line.startswith("error: ")]


class Nursery:
    """The warm process, as a test sees it."""

    def __init__(self, scratch: Path, prefix: Sequence[str] = ()) -> None:
        """Start it.

        Args:
            scratch: an empty folder of its own.
            prefix: a command that starts the command that follows it, such as `unshare -rm`.
        """
        self._scratch = scratch
        (scratch / "tmp").mkdir()
        unmeasured = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
        single = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS")}
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "tests.support.nursery", scratch],
            cwd=REPOSITORY,
            env=unmeasured | single | {"TMPDIR": str(scratch / "tmp"), "COLUMNS": "80"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "warm\n", f"not started: {prefix}"

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.communicate()

    @property
    def files(self) -> Path:
        """The root folder as the process sees it: it may live in a mount namespace of its own."""
        return Path(f"/proc/{self._process.pid}/root")

    @property
    def temporary(self) -> Path:
        """The runs' folder of temporary files."""
        return self._scratch / "tmp"

    def run(self, job: Job) -> Ended:
        """Run a script to its end, or to where it is killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(job)) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        operations = self._read("operations").splitlines()
        return Ended(**answer, operations=operations, calls=self._read("calls"))

    def _read(self, name: str) -> str:
        path = self._scratch / name
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def serve(requests: TextIO, answers: TextIO, scratch: Path) -> None:
    """Fork a child for each line of `requests`, and answer how it ended."""
    for module in WARM:
        importlib.import_module(module)
    print("warm", file=answers, flush=True)
    for line in requests:
        for name in ("calls", "operations"):
            (scratch / name).unlink(missing_ok=True)
        reader, writer = os.pipe()  # a file would be subject to the limits the run is under
        child = os.fork()
        if child == 0:
            live(Job(**json.loads(line)), scratch, writer)
        os.close(writer)
        # A run that hangs is a failure and not the end of the tests.
        signal.signal(signal.SIGALRM, partial(end, child))
        signal.alarm(HANGING_SECONDS)
        with os.fdopen(reader, encoding="utf-8", errors="replace") as stream:
            text = stream.read()
        _, status, usage = os.wait4(child, 0)
        signal.alarm(0)
        with contextlib.suppress(ChildProcessError):
            os.wait()  # strace's helper, if there was one
        code, peak_bytes = os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024
        ended = {"code": code, "peak_bytes": peak_bytes, "text": text}
        print(json.dumps(ended), file=answers, flush=True)


def end(child: int, _number: int, _frame: object) -> None:
    """End a child that hangs."""
    os.kill(child, signal.SIGABRT)


def live(job: Job, scratch: Path, output: int) -> NoReturn:
    """Be the child: one run, and then no more."""
    code = 99
    try:
        for number in (1, 2):
            os.dup2(output, number)
        main = importlib.import_module(job.script).main
        disturb(job, scratch)
        code = main(["--config", job.config, *job.arguments])
        sys.stdout.flush()
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        os._exit(code)


def disturb(job: Job, scratch: Path) -> None:
    """Arm what shall disturb the run."""
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
        count_operations(f"{Path(job.config).parent}/", job.kill_at, scratch / "operations")


def count_operations(project: str, kill_at: int, path: Path) -> None:
    """Note each file operation below the project folder, and die before one of them."""
    count = 0
    notes = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event not in EVENTS:
            return
        named = [os.fsdecode(a) for a in arguments if isinstance(a, str | bytes | Path)]
        ours = [name.removeprefix(project) for name in named if name.startswith(project)]
        if ours:
            count += 1
            os.write(notes, f"{event} {ours[-1]}\n".encode(errors="backslashreplace"))
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def attach_strace(expressions: Sequence[str], path: Path) -> None:
    """Have strace follow this process and its threads, and wait until it does."""
    command = ["strace", "-f", "-y", "-qq", "-s", "0", "-o", str(path), "-p", str(os.getpid())]
    for expression in expressions:
        command += ["-e", expression]
    quiet = subprocess.DEVNULL
    subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet)
    until = time.monotonic() + 20
    while "TracerPid:\t0\n" in Path("/proc/self/status").read_text():
        assert time.monotonic() < until, "strace could not be attached"
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
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return right.now(tz) + by

    for module in list(sys.modules.values()):
        path = Path(getattr(module, "__file__", None) or "/")
        if REPOSITORY in path.parents and getattr(module, "datetime", None) is right:
            vars(module)["datetime"] = Shifted
    time.time = lambda: now() + by.total_seconds()
    time.time_ns = lambda: now_ns() + int(by.total_seconds() * 1e9)


def may_run(*command: str) -> bool:
    """Whether a program is there and may do what it is asked for."""
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def has_strace() -> bool:
    """Whether strace is there and may follow a process."""
    if shutil.which("strace") is None:
        return False
    with subprocess.Popen(["sleep", "60"]) as target:
        try:
            probe = subprocess.Popen(
                ["strace", "-qq", "-o", "/dev/null", "-p", str(target.pid)],
                stderr=subprocess.DEVNULL,
            )
            until = time.monotonic() + 5
            status = Path(f"/proc/{target.pid}/status")
            while "TracerPid:\t0\n" in status.read_text():
                if probe.poll() is not None or time.monotonic() > until:
                    return False
                time.sleep(0.01)
        finally:
            target.kill()
        probe.wait()
    return True


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout, Path(sys.argv[1]))
