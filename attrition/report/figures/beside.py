"""The process that draws beside a run (`report/drawing.py`): calls come in, results go out.

    python -m attrition.report.figures.beside

Reads  pickled calls, (key, function, arguments), from the standard input, to its end.
Writes the pickled results by key to the standard output; or what a function has raised.

Each call is worked on by a child of its own, so that all processors draw. This process has one
thread and loaded libraries, so a child costs next to nothing. A child holds no pipe but the one for
its result: without this process it ends when it sends that, and nobody takes it for this process.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import pkgutil
import sys
import traceback
from collections.abc import Iterable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import IO, Any

from attrition.core.loading import load
from attrition.report.drawing import ended

AtWork = tuple[BaseProcess, Connection]  # a child, and where its result will be


def main() -> int:
    """Answer the calls; what these need is loaded before the first one comes."""
    load("attrition.report.figures.catalogue")
    load("seaborn")
    at_work = start_all(sys.stdin.buffer)
    with suppress(BrokenPipeError):  # nobody waits any more
        sys.stdout.buffer.write(pickle.dumps(gathered(at_work)))
        sys.stdout.buffer.flush()
    return 0


def start_all(requests: IO[bytes]) -> dict[str, AtWork]:
    """Start a child for each call as it comes; by key."""
    forks = multiprocessing.get_context("fork")
    at_work: dict[str, AtWork] = {}
    with suppress(EOFError, pickle.UnpicklingError):  # the latter where the run was killed
        while True:
            key, function, arguments = pickle.load(requests)  # noqa: S301 - from the run itself
            inlet, outlet = forks.Pipe(duplex=False)
            inlets = [inlet, *(earlier for _, earlier in at_work.values())]
            call = (inlets, outlet, function, arguments)
            child = forks.Process(target=_answer, args=call, daemon=True)
            child.start()
            outlet.close()
            at_work[key] = child, inlet
    return at_work


def _answer(
    inlets: Iterable[Connection], outlet: Connection, function: str, arguments: tuple[Any, ...]
) -> None:
    """Be the child: leave the parent's pipes, send what the function returns or what it raises."""
    for inlet in inlets:
        inlet.close()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):  # the pipes from and to the run
        os.dup2(nothing, stream)
    try:
        result = pkgutil.resolve_name(function)(*arguments)
    except Exception as error:  # noqa: BLE001 - the run tells it
        error.add_note(traceback.format_exc())
        result = error
    with suppress(BrokenPipeError):
        outlet.send(result)


def gathered(at_work: Mapping[str, AtWork]) -> dict[str, Any] | Exception:
    """The results by key, or the first failure."""
    results = {}
    for key, (child, inlet) in at_work.items():
        try:
            result = inlet.recv()
        except (EOFError, OSError):  # the latter amid a result
            child.join()
            result = ended(child.exitcode)
        if isinstance(result, Exception):
            return result
        results[key] = result
    return results


if __name__ == "__main__":
    raise SystemExit(main())
