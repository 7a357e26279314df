"""What the server shows: the live model, verified once for each release, and the run's records.

Each request resolves the live release once and gets one `Served`, so an answer never mixes two
models. A release that turns out damaged is said in the log, and the last good one goes on serving.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attrition import files
from attrition.errors import DataError
from attrition.scorecard import Scorecard, load_scorecard

_RETRY_SECONDS = 5.0  # a damaged release is not verified again at every request

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Served:
    """One verified release: its scorecard, the scores it was deployed with, its manifest."""

    version: str
    card: Scorecard
    scores: dict[str, Any]
    manifest: dict[str, Any]


class LiveModel:
    """The live release of a deployment folder, loaded when it changes."""

    def __init__(self, deployment: Path) -> None:
        self._deployment = deployment
        self._served: Served | None = None
        self._failed: str | None = None
        self._retry_at = 0.0

    def resolve(self) -> Served | None:
        """The model to answer this request with; None before the first deployment.

        Raises:
            DataError: the live release is damaged and no earlier one is loaded.
        """
        served = self._served
        version = files.live_release_id(self._deployment)
        if version is None or (served is not None and served.version == version):
            return served
        if version == self._failed and time.monotonic() < self._retry_at and served is not None:
            return served
        try:
            self._served = self._load()
        except DataError as error:
            self._failed = version
            self._retry_at = time.monotonic() + _RETRY_SECONDS
            if served is None:
                raise
            logger.error("%s; %s goes on serving", error, served.version)
        return self._served

    def _load(self) -> Served:
        """Load the live release; when it was replaced meanwhile, its successor."""
        while True:
            version = files.live_release_id(self._deployment)
            try:
                release = files.live_release(self._deployment)
                if release is None:
                    raise DataError(f"{self._deployment}: the live release has vanished")
                card = load_scorecard(release.folder / "scorecard.json")
                scores = dict(files.read_json(release.folder / "scores.json"))
            except DataError:
                if files.live_release_id(self._deployment) == version:
                    raise
            else:
                logger.info("serving release %s", release.id)
                return Served(release.id, card, scores, release.manifest)


class Document:
    """A JSON object that the pipeline replaces now and then; read again when it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._value: dict[str, Any] | None = None

    def read(self) -> dict[str, Any] | None:
        """Its content, None when it is not there yet; the last good one when it is unreadable."""
        try:
            status = self._path.stat()
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                self._value = dict(json.loads(self._path.read_bytes()))
                self._stamp = stamp
        except FileNotFoundError:
            self._stamp = self._value = None
        except (OSError, ValueError, TypeError) as error:
            logger.error("%s: not readable (%s)", self._path, error)
        return self._value
