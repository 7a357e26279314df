"""Whether this Python can run the scripts: the packages of requirements.txt, and its version.

Standard library only, of any Python 3: a script looks here before it imports anything else.
"""

from __future__ import annotations

import os
import shlex
import sys
from importlib.util import find_spec

from attrition.core.paths import PROJECT

OLDEST = (3, 11)
# As they are imported, the least common first.
PACKAGES = (
    "duckdb typst orjson gevent gunicorn prometheus_client seaborn matplotlib flask jinja2 sklearn "
    "scipy threadpoolctl pandas numpy rich"
).split()


def require_packages() -> None:
    """End the process (exit code 2) with advice if this Python lacks a package or is too old."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing or sys.version_info < OLDEST:
        print(_advice(missing), file=sys.stderr)
        raise SystemExit(2)
    sys.excepthook = _tell  # what is raised later, once the packages are there, has a handler


def _tell(kind, error, trace):  # type: ignore[no-untyped-def]  # of any Python 3
    """Print one line, no trace, where packages cannot be loaded, as for want of memory."""
    is_ours = str(getattr(error, "name", "")).startswith("attrition")
    if issubclass(kind, KeyboardInterrupt):  # or by OpenBLAS, which says above that it has no room
        print("error: interrupted while packages were being loaded", file=sys.stderr)
    elif is_ours or not issubclass(kind, (ImportError, MemoryError)):
        sys.__excepthook__(kind, error, trace)
    else:
        print(
            f"error: a package cannot be loaded ({str(error) or 'out of memory'}); allow this "
            f"process more memory (ulimit -v), or build its environment anew: make install",
            file=sys.stderr,
        )


def _advice(missing: list[str]) -> str:
    """What is wrong with this Python, and the command that works instead."""
    problem = f"it is older than {'.'.join(map(str, OLDEST))}"
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        problem = f"it lacks {missing[0]}{more}"
    is_here = os.path.realpath(os.curdir) == os.path.realpath(PROJECT)
    python = os.path.join("" if is_here else PROJECT, ".venv", "bin", "python")
    make = "make" if is_here else f"make -C {shlex.quote(PROJECT)}"
    lines = [f"error: this Python cannot run the pipeline: {problem}", f"  {sys.executable}"]
    if not os.path.exists(os.path.join(PROJECT, ".venv", "bin", "python")):
        lines += [
            "Build the project's own environment (once, about a minute):",
            f"  {make} install",
        ]
    return "\n".join([*lines, "Then use that:", f"  {shlex.join([python, *sys.argv])}"])
