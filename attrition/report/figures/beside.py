"""The process that draws beside a run (`report/drawing.py`): calls come in, results go out.

    python -m attrition.report.figures.beside

Reads  pickled calls, (key, function, arguments), from the standard input, to its end.
Writes the pickled results by key to the standard output; or what a function has raised.

Each call is worked on by a child of its own, so that all processors draw. This process has one
thread and loaded libraries, so a child costs next to nothing; without it a child ends by itself.
"""

from __future__ import annotations

import multiprocessing
import pickle
import pkgutil
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import IO, Any

from attrition.core.errors import PipelineError
from attrition.core.loading import load
from attrition.report.drawing import ENDED


def main() -> int:
    """Answer the calls; what these need is loaded before the first one comes."""
    load("attrition.report.figures.catalogue")
    at_work = start_all(sys.stdin.buffer)
    with suppress(BrokenPipeError):  # nobody waits any more
        sys.stdout.buffer.write(pickle.dumps(gathered(at_work)))
        sys.stdout.buffer.flush()
    return 0


def start_all(requests: IO[bytes]) -> dict[str, Connection]:
    """Start a child for each call as it comes; key -> where its result will be."""
    forks = multiprocessing.get_context("fork")
    at_work = {}
    with suppress(EOFError):
        while True:
            key, function, arguments = pickle.load(requests)  # noqa: S301 - from the run itself
            at_work[key], outlet = forks.Pipe(duplex=False)
            forks.Process(target=_answer, args=(outlet, function, arguments), daemon=True).start()
            outlet.close()
    return at_work


def _answer(outlet: Connection, function: str, arguments: tuple[Any, ...]) -> None:
    """Be the child: send what the function returns, or what it raises."""
    try:
        result = pkgutil.resolve_name(function)(*arguments)
    except Exception as error:  # noqa: BLE001 - the run tells it
        error.add_note(traceback.format_exc())
        result = error
    with suppress(BrokenPipeError):
        outlet.send(result)


def gathered(at_work: Mapping[str, Connection]) -> dict[str, Any] | Exception:
    """The results by key, or the first failure."""
    results = {}
    for key, inlet in at_work.items():
        try:
            result = inlet.recv()
        except EOFError:
            result = PipelineError(ENDED)
        if isinstance(result, Exception):
            return result
        results[key] = result
    return results


if __name__ == "__main__":
    raise SystemExit(main())
