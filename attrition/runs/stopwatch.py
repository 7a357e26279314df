"""How long the stages of a run take."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from attrition.core import progress

logger = logging.getLogger(__name__)


class Stopwatch:
    """Seconds that each stage of a run took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage, show it at work, and log when it is done."""
        start = time.perf_counter()
        with progress.step(name):
            yield
        self.seconds[name] = round(time.perf_counter() - start, 3)
        logger.info("%s: %.2f s", name, self.seconds[name])

    def forget(self, name: str) -> None:
        """Leave out a stage that had nothing to do: its time would say nothing."""
        del self.seconds[name]
