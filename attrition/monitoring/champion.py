"""Finds the deployed model for a run; a damaged live release is replaced by the last good one."""

from __future__ import annotations

import logging

from attrition.core import releases
from attrition.core.atomic_files import read_json_object
from attrition.core.config import Config
from attrition.core.errors import DataError
from attrition.core.releases import Release
from attrition.model.champion import Champion, champion_of

logger = logging.getLogger(__name__)


def find_champion(config: Config) -> Champion | None:
    """The deployed model; None before the first deployment, or when no good release is left."""
    release = _live_or_last_good(config)
    return None if release is None else champion_of(config, release)


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
    left = read_json_object(config.decision).get("release_after")
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
