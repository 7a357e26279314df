"""What a model depends on beside its rows: how it is made, and with which libraries."""

from __future__ import annotations

import platform
from importlib.metadata import version

from attrition.model.training import RECIPE

LIBRARIES = ("numpy", "scipy", "pandas", "scikit-learn", "duckdb")


def versions() -> dict[str, str]:
    """The recipe (`pipeline`), Python and the libraries, each with its version."""
    own = {"pipeline": str(RECIPE), "python": platform.python_version()}
    return own | {library: version(library) for library in LIBRARIES}
