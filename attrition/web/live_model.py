"""What the server shows: the live model, verified once for each release, and the run's records.

Each request resolves the live release once and gets one `Served`, so an answer never mixes two
models. A release that turns out damaged is said in the log, and the last good one goes on serving.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrition.core import releases
from attrition.core.errors import DataError
from attrition.core.labels import NO_LABELS, Labels
from attrition.model import monotone
from attrition.model.explanations import Words
from attrition.model.reasons import effects
from attrition.model.scorecard import Scorecard, read_scorecard
from attrition.model.terms import Table

if TYPE_CHECKING:  # of fifty classes; a server that starts needs none of them
    from attrition.monitoring.record import DecisionRecord

_RETRY_SECONDS = 5.0  # a damaged release is not verified again at every request

T = TypeVar("T")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Served:
    """One verified release: its scorecard, the scores it was deployed with, its manifest.

    `scores` are those on the test data; `cross_validated` is {} where none was recorded.
    `labels` are what the columns are called in reasons. `directions` says what was asked of the
    risk, and what that costs.
    """

    version: str
    card: Scorecard
    scores: dict[str, Any]
    cross_validated: dict[str, Any]
    manifest: dict[str, Any]
    labels: Labels = NO_LABELS
    directions: str = ""

    @cached_property
    def decision(self) -> DecisionRecord | None:
        """Why it was deployed; None where nothing readable says so."""
        from attrition.monitoring.record import read_record

        decision = self.manifest.get("decision")
        if not isinstance(decision, dict):
            return None
        # Deployed by hand there was no run, which would have had a time; and what a release is
        # called is known only after its manifest.
        plain = {
            "time": self.manifest.get("deployed_at"),
            **decision,
            "release_after": self.version,
        }
        return read_record(plain, Path(self.version))

    @cached_property
    def words(self) -> Words:
        """Tells its reasons."""
        return Words(self.card, self.labels)

    def explained(self, table: Table) -> dict[str, Any]:
        """What each term adds to each client's log-odds, the strongest first, as the API tells it.

        Args:
            table: as the scorecard takes it.
        """
        return {
            "contributions": [
                [effect._asdict() for effect in each] for each in effects(self.card, table)
            ],
            "log_odds": self.card.log_odds(table).tolist(),
            "average_log_odds": self.card.average_log_odds,
        }


def open_served(deployment: Path, version: str, labels: Labels = NO_LABELS) -> Served:
    """Load one release, every digest checked.

    Raises:
        DataError: it is gone or damaged.
    """
    release = releases.open_release(deployment / "releases" / version)
    card = read_scorecard(release.content("scorecard.json"))
    scores = dict(json.loads(release.content("scores.json")))
    training = dict(json.loads(release.content("training.json")))
    cross_validated = dict(training.get("cross_validated") or {})
    asked = monotone.sentence(training, labels)
    return Served(release.id, card, scores, cross_validated, release.manifest, labels, asked)


class LiveModel:
    """The live release of a deployment folder, loaded when it changes.

    Attributes:
        damaged: the live release, where it turned out damaged; an older one may be served.
    """

    def __init__(self, deployment: Path, labels: Labels = NO_LABELS) -> None:
        self._labels = labels
        self.damaged: str | None = None
        self._deployment = deployment
        self._served: Served | None = None
        self._other: Served | None = None  # the one that made the ranking, where it is not live
        self._retry_at = 0.0

    def resolve(self) -> Served | None:
        """The model to answer this request with; None before the first deployment.

        Raises:
            DataError: the live release is damaged and there is no sound one before it.
        """
        version = releases.live_release_id(self._deployment)
        served = self._served
        if version is None:
            return served
        if served is not None and served.version == version:
            self.damaged = None
            return served
        if version == self.damaged and time.monotonic() < self._retry_at and served is not None:
            return served
        try:
            self._served = self._load()
            self.damaged = None
            logger.info("serving release %s", self._served.version)
        except DataError as error:
            self.damaged = releases.live_release_id(self._deployment)
            self._retry_at = time.monotonic() + _RETRY_SECONDS
            self._served = served or self._older()
            if self._served is None:
                raise
            logger.error("%s; %s goes on serving", error, self._served.version)
        return self._served

    def release(self, version: str) -> Served:
        """One release by its name: the live one, or one before it that made what is still shown.

        Raises:
            DataError: it is gone or damaged.
        """
        live = self.resolve()
        if live is not None and live.version == version:
            return live
        if self._other is None or self._other.version != version:
            self._other = open_served(self._deployment, version, self._labels)
        return self._other

    def _load(self) -> Served:
        """Load the live release; when it was replaced meanwhile, its successor."""
        while True:
            version = releases.live_release_id(self._deployment)
            if version is None:
                raise DataError(f"{self._deployment}: the live release has vanished")
            try:
                return open_served(self._deployment, version, self._labels)
            except DataError:
                if releases.live_release_id(self._deployment) == version:
                    raise

    def _older(self) -> Served | None:
        """The newest sound release of those before the live one, for a server that has just begun.

        Those after it were rolled back.
        """
        live = releases.live_release_id(self._deployment) or ""
        for folder in reversed(releases.releases(self._deployment)):
            if folder.name < live:
                with contextlib.suppress(DataError):
                    return open_served(self._deployment, folder.name, self._labels)
        return None


class Document(Generic[T]):
    """A JSON file that the pipeline replaces now and then; read again when it has changed.

    Args:
        parse: makes of the JSON what is asked for; may raise a DataError, ValueError or TypeError.
    """

    def __init__(self, path: Path, parse: Callable[[Any], T]) -> None:
        self._path = path
        self._parse = parse
        self._stamp: tuple[int, int, int] | None = None
        self._value: T | None = None

    def read(self) -> T | None:
        """Its content, None when it is not there yet; the last good one when it is unreadable."""
        try:
            status = self._path.stat()
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                content = self._path.read_bytes()
                self._stamp = stamp  # what cannot be understood is said once
                self._value = self._parse(json.loads(content))
        except FileNotFoundError:
            self._stamp = self._value = None
        except (DataError, OSError, ValueError, TypeError) as error:
            logger.error("%s: not readable (%s)", self._path, error)
        return self._value
