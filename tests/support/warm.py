"""Runs the project's scripts in children forked from a process that has imported the libraries.

A child runs the script's file from its first line, as its user does, with arguments, environment,
folder and output of its own. Only what it would import, which takes longer than most runs, is there
already. What a start of Python is about is tested with a start of Python.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn, TextIO

from tests.support.nursery import REPOSITORY, end

WARM = (
    "duckdb",
    "pandas",
    "sklearn.linear_model",
    "sklearn.model_selection",
    "sklearn.pipeline",
    "scipy.stats",
    "matplotlib.figure",
    "matplotlib.backends.backend_svg",
    "matplotlib.backends.backend_agg",
    "flask",
    "typst",
)
LONGEST_SECONDS = 300


class Warm:
    """The process that has imported them, as a test sees it."""

    def __init__(self) -> None:
        reader, writer = os.pipe()
        single = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.warm", str(writer)],
            cwd=REPOSITORY,
            env=os.environ | single,
            pass_fds=[writer],
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        os.close(writer)
        self._answers = os.fdopen(reader)
        atexit.register(self._end)

    def run(
        self, script: Path, arguments: Sequence[object], environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run a script to its end, in the root folder."""
        assert self._process.stdin is not None
        command = [str(script), *map(str, arguments)]
        with tempfile.TemporaryDirectory() as folder:
            places = [Path(folder) / name for name in ("out", "err")]
            job = [command, dict(environment), [str(place) for place in places]]
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
            code = int(self._answers.readline())
            said = [place.read_text(encoding="utf-8") for place in places]
        return subprocess.CompletedProcess(command, code, *said)

    def _end(self) -> None:
        self._process.communicate()


@functools.cache
def warm() -> Warm:
    """The one of this process, started when it is first needed."""
    return Warm()


def serve(requests: TextIO, answers: TextIO) -> None:
    """Fork a child for each line of `requests`, and answer how it ended."""
    for module in WARM:
        importlib.import_module(module)
    gc.freeze()  # else a child's first collection would copy every page
    for line in requests:
        child = os.fork()
        if child == 0:
            live(*json.loads(line))
        # A run that hangs is a failure and not the end of the tests.
        signal.signal(signal.SIGALRM, partial(end, child))
        signal.alarm(LONGEST_SECONDS)
        _, status = os.waitpid(child, 0)
        signal.alarm(0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


def live(command: list[str], environment: dict[str, str], places: list[str]) -> NoReturn:
    """Be the script; in the end take down what it has set up, and not all of the libraries."""
    for number, place in enumerate([os.devnull, *places]):
        opened = os.open(place, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir("/")
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    tempfile.tempdir = None
    sys.argv = command
    sys.path[0] = str(REPOSITORY)
    code = 1
    try:
        runpy.run_path(command[0], run_name="__main__")
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    except BaseException:  # noqa: BLE001 - as Python itself ends a script
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(sys.stdin, os.fdopen(int(sys.argv[1]), "w"))
    os._exit(0)
