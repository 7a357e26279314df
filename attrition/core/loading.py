"""Loads what a run needs, by name: late, and in less time."""

from __future__ import annotations

import gc
import pkgutil
from typing import Any


def load(name: str) -> Any:
    """What a name like "module:function" stands for, with all that it imports.

    Meanwhile no garbage is collected, and later none is looked for in what was loaded: hundreds of
    thousands of objects, which stay. That is a tenth of the processor time of a run.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return pkgutil.resolve_name(name)
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
