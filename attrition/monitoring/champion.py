"""The deployed model (the champion): its release, its scorecard, does it fit the settings."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from attrition.core import atomic_files, releases
from attrition.core.config import Config
from attrition.core.errors import DataError
from attrition.core.releases import Release
from attrition.model.compatibility import misfit
from attrition.model.scorecard import Scorecard, load_scorecard
from attrition.monitoring.record import last_decision

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Champion:
    """The deployed model: its release, its scorecard and the record of its training.

    `misfit` says why it cannot be asked about today's clients: config.json now names other columns
    or labels. None when it can.
    `has_learnt_test_rows` when `test_share` was smaller: what it says of the rows held out now is
    no evidence.
    """

    release: Release
    card: Scorecard
    training: dict[str, Any]
    misfit: str | None
    has_learnt_test_rows: bool = False

    @property
    def fits(self) -> bool:
        """Whether it can be asked about today's clients."""
        return self.misfit is None


def find_champion(config: Config) -> Champion | None:
    """The deployed model; None before the first deployment, or when no good release is left."""
    release = _live_or_last_good(config)
    if release is None:
        return None
    card = load_scorecard(release.folder / "scorecard.json")
    training = atomic_files.read_json(release.folder / "training.json")
    return Champion(
        release,
        card,
        training,
        misfit(config, card, training),
        has_learnt_test_rows=training.get("test_share", 0.0) < config.test_share,
    )


def _live_or_last_good(config: Config) -> Release | None:
    """The live release; if it is damaged, or none is live, the last good one takes its place.

    That is the one which the last run left, if it is good, else the newest.
    """
    deployment = config.prod_deployment_path
    folders = releases.releases(deployment)[::-1]
    try:
        release = releases.live_release(deployment)
        if release is not None:
            releases.make_live(deployment, release.folder)  # links a killed deployment still owes
            return release
        if not folders:
            return None
        logger.warning("%s: no release is live, though there are some", deployment)
    except DataError as error:
        logger.warning("%s", error)
    last = last_decision(config)
    left = last.release_after if last else None
    for folder in sorted(folders, key=lambda folder: folder.name != left):
        try:
            release = releases.open_release(folder)
        except DataError:
            continue
        releases.make_live(deployment, folder)
        logger.warning("the last good release, %s, is live instead", release.id)
        return release
    logger.warning("no good release is left: the next model is deployed as if it were the first")
    return None
