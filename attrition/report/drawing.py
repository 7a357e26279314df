"""Draws pictures beside the work: in a process of its own, which meanwhile loads what it needs.

    with beside() as drawing:
        drawing.ask("matrix", "catalogue:matrix", score, title)
        ...                        # anything else
        drawing.results()["matrix"]

The process gets calls of functions and gives back their results, pickled, through pipes that nobody
else can reach; all processors draw. It holds neither the lock nor a file of the project. The end of
the `with` kills it and its children; where the run was killed they end once their calls are done.
"""

from __future__ import annotations

import os
import pickle
import pkgutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import IO, Any

from attrition.core.errors import PipelineError
from attrition.core.paths import PROJECT

FIGURES = "attrition.report.figures"


def ended(code: int | None) -> PipelineError:
    """The error of a process that ended before its time.

    Args:
        code: its exit code; below 0 the number of the signal that ended it.
    """
    how = f" with exit code {code}."
    if code is not None and code < 0:
        how = " killed; was the memory full?" if code == -signal.SIGKILL else f" by signal {-code}."
    return PipelineError(
        f"a process that draws the pictures of the report ended before its time,{how} "
        "The next run tries again"
    )


class Drawing:
    """Draws in this process, at once."""

    def __init__(self) -> None:
        self._results: dict[str, Any] = {}

    def ask(self, key: str, function: str, *arguments: Any) -> None:
        """Have something drawn.

        Args:
            key: under which `results` holds it.
            function: a module of the figures and a function in it, such as "catalogue:matrix".
            arguments: of the function.
        """
        self._results[key] = pkgutil.resolve_name(f"{FIGURES}.{function}")(*arguments)

    def results(self) -> dict[str, Any]:
        """What was drawn, by key; the end of the drawing."""
        return self._results


class DrawingBeside(Drawing):
    """Draws in a process of its own."""

    def __init__(
        self, process: subprocess.Popen[bytes], requests: IO[bytes], answers: IO[bytes]
    ) -> None:
        super().__init__()
        self.process, self._requests, self._answers = process, requests, answers

    def ask(self, key: str, function: str, *arguments: Any) -> None:
        """The same, without waiting for the result.

        What is longer than a pipe takes, 64 kB, waits until the process has loaded its libraries.
        """
        with suppress(BrokenPipeError):  # an end before its time: `results` tells of it
            pickle.dump((key, f"{FIGURES}.{function}", arguments), self._requests)
            self._requests.flush()

    def results(self) -> dict[str, Any]:
        """The same, after waiting for it.

        Raises:
            PipelineError: the process, or a child of it, ended before its time.
            Exception: what a function has raised.
        """
        with suppress(BrokenPipeError):
            self._requests.close()
        try:
            drawn = pickle.load(self._answers)  # noqa: S301 - from a process of our own
        except (EOFError, pickle.UnpicklingError):
            raise ended(self.process.wait()) from None
        if isinstance(drawn, Exception):
            raise drawn
        self._results = drawn
        return self._results


def beside() -> AbstractContextManager[Drawing]:
    """Draw beside the body of the `with`; what is not done by its end is given up.

    Where the library that draws is loaded already, a second process would save nothing.
    """
    return nullcontext(Drawing()) if "matplotlib" in sys.modules else process_of_its_own()


@contextmanager
def process_of_its_own() -> Iterator[DrawingBeside]:
    """The same, by a second process in any case."""
    process = subprocess.Popen(  # noqa: S603 - our own module, of our own interpreter
        [sys.executable, "-m", f"{FIGURES}.beside"],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # it forks
        process_group=0,  # an interrupt is for the run, which then ends it and its children
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield DrawingBeside(process, process.stdin, process.stdout)
    finally:
        with suppress(ProcessLookupError, PermissionError):  # all have ended; macOS: not allowed
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(BrokenPipeError):
                pipe.close()
