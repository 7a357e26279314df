"""Progress of long work on a terminal: which stage is running, and for how long.

    with progress.step("ingestion", total=3) as advance:
        advance()   # one of three is done

Under cron, in a pipe and on a dumb terminal nothing is written and nothing imported.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress


_display: ContextVar[Progress | None] = ContextVar("_display", default=None)


@contextmanager
def step(name: str, total: int | None = None) -> Iterator[Callable[[], None]]:
    """Show a piece of work while it runs; a nested one is shown below the outer one.

    Args:
        name: the work, in a word or two.
        total: number of its parts, None if not known.

    Yields:
        A function to call when a part is done.
    """
    if not _is_watched():
        yield _nothing
        return
    with _shown() as display:
        task = display.add_task(name, total=total, parts=_parts(0, total))

        def advance() -> None:
            display.advance(task)
            done = int(display.tasks[display.task_ids.index(task)].completed)
            display.update(task, parts=_parts(done, total))

        try:
            yield advance
        finally:
            display.remove_task(task)
            display.refresh()


def _nothing() -> None:
    pass


def _parts(done: int, total: int | None) -> str:
    return "" if total is None else f", {done} of {total}"


def _is_watched() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")


@contextmanager
def _shown() -> Iterator[Progress]:
    """The display of the enclosing step, or a new one, removed when this step ends."""
    if (outer := _display.get()) is not None:
        yield outer
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    terminal = sys.stderr
    display = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}  {task.elapsed:.0f} s{task.fields[parts]}", markup=False),
        console=Console(stderr=True, highlight=False),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # else stdout is a result, in a file or a pipe
    )
    with display:
        token = _display.set(display)
        _lead_log(terminal, sys.stderr)
        try:
            yield display
        finally:
            _lead_log(sys.stderr, terminal)
            _display.reset(token)


def _lead_log(stream: TextIO, into: TextIO) -> None:
    """Send log lines through the display, which prints them above itself."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is stream:
            handler.setStream(into)
