"""Long work, apart from the thread that answers.

A worker of gevent has all its connections in one thread: what computes there for long makes each of
them wait. Other servers have a thread or a process for each request.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from werkzeug.exceptions import HTTPException

from attrition.core.errors import DataError

Result = TypeVar("Result")


def apart(work: Callable[[], Result]) -> Result:
    """The result of work that only computes, from a thread of its own where gevent serves.

    Raises:
        DataError, HTTPException: as the work does.
    """
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("threading"):
        return work()
    result = _threads().submit(_outcome, work).result()
    if isinstance(result, DataError | HTTPException):
        raise result
    return result  # type: ignore[no-any-return]


def _outcome(work: Callable[[], Any]) -> Any:
    """What work gives, or raises: gevent would print the latter."""
    try:
        return work()
    except (DataError, HTTPException) as error:
        return error


@functools.cache
def _threads() -> Any:
    """One thread: more of them would get in each other's way."""
    from gevent.threadpool import ThreadPoolExecutor

    return ThreadPoolExecutor(1)
