"""What a run computes without touching a file, taken from an earlier run that computed the same.

A sweep runs the same script on the same rows hundreds of times; what it is about are the files.
That equal rows give equal bytes in any process is tested where no result is remembered:
tests/scripts/test_training.py, tests/report/figures/test_style.py; and tests/system/test_running.py
compares the whole of such a run with that of a process that remembers nothing.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Where the pipeline calls it, and its name.
PURE = (
    ("attrition.model.training", "select"),
    ("attrition.report.figures.model_quality", "confusion"),
    ("attrition.report.figures.style", "png"),
)


def remember(folder: Path, *, adds: bool) -> None:
    """Let this process take what it would compute from a folder.

    Args:
        adds: whether what is not there is added, which writes a file.
    """
    results: dict[int, tuple[Any, Path]] = {}
    for module_name, name in PURE:
        module = importlib.import_module(module_name)
        setattr(module, name, remembered(getattr(module, name), folder, results, adds=adds))


def remembered(
    function: Callable[..., Any], folder: Path, results: dict[int, tuple[Any, Path]], *, adds: bool
) -> Callable[..., Any]:
    """The same function, which keeps its results by its arguments.

    Args:
        results: by their id, results of such functions and where they are kept. As an argument
            such a result counts as what it was made from: equal figures differ when pickled.
    """

    @functools.wraps(function)
    def wrapper(*arguments: Any, **named: Any) -> Any:
        origins = [results.get(id(argument), (None, argument))[1] for argument in arguments]
        path = folder / digest((function.__qualname__, origins, named))
        content = path.read_bytes() if path.exists() else b""
        if not content:
            content = pickle.dumps(function(*arguments, **named))
            if adds:
                written = path.with_suffix(f".{os.getpid()}")
                written.write_bytes(content)
                written.rename(path)
        result = pickle.loads(content)  # also the first time: equal runs get equal objects
        results[id(result)] = result, path
        return result

    return wrapper


def digest(value: Any) -> str:
    """Of equal values the same, also where one holds an object twice and the other two copies."""
    stream = io.BytesIO()
    pickler = pickle.Pickler(stream)
    pickler.fast = True
    pickler.dump(value)
    return hashlib.sha256(stream.getvalue()).hexdigest()
