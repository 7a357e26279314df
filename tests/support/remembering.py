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
    ("attrition.model.selection", "select"),
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
        called = Noting(function.__qualname__, origins, named)
        path = folder / called.digest
        content = path.read_bytes() if path.exists() else b""
        if not content:
            content = called.pack(function(*arguments, **named))
            if adds:
                written = path.with_suffix(f".{os.getpid()}")
                written.write_bytes(content)
                written.rename(path)
        result = called.unpack(content)  # also the first time: equal runs get equal objects
        results[id(result)] = result, path
        return result

    return wrapper


class Noting:
    """A function's call, and results of it in which a text of its arguments is that very object.

    A model's pickled bytes tell whether two equal texts in it are one object.

    Attributes:
        digest: of equal calls the same, also where one holds an object twice and the other copies.
    """

    def __init__(self, *call: Any) -> None:
        self._texts: dict[str, str] = {}
        self.digest = hashlib.sha256(self._dumped(call, self._note, is_flat=True)).hexdigest()

    def pack(self, result: Any) -> bytes:
        return self._dumped(result, self._name, is_flat=False)

    def unpack(self, content: bytes) -> Any:
        unpickler = pickle.Unpickler(io.BytesIO(content))
        unpickler.persistent_load = self._texts.__getitem__  # type: ignore[method-assign]
        return unpickler.load()

    def _note(self, value: Any) -> None:
        if type(value) is str:
            self._texts[value] = value

    def _name(self, value: Any) -> str | None:
        return value if type(value) is str and value in self._texts else None

    @staticmethod
    def _dumped(value: Any, seen: Callable[[Any], Any], *, is_flat: bool) -> bytes:
        stream = io.BytesIO()
        pickler = pickle.Pickler(stream)
        pickler.fast = is_flat  # an object that is there twice is written twice
        pickler.persistent_id = seen  # type: ignore[method-assign]
        pickler.dump(value)
        return stream.getvalue()
