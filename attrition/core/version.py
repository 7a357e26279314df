"""The project's version, which is stated in `pyproject.toml` and nowhere else.

The scripts run in place and are not installed as a package, so no package metadata has it.
"""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path

from attrition.core.paths import PROJECT


@functools.cache
def version() -> str:
    """The version from `[project]` in `pyproject.toml`, such as "1.0.0"."""
    text = (Path(PROJECT) / "pyproject.toml").read_text(encoding="utf-8")
    return str(tomllib.loads(text)["project"]["version"])
