"""The deployed model (the champion): its release, its scorecard, whether it fits the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from attrition.core import atomic_files, releases
from attrition.core.config import Config
from attrition.core.errors import DataError
from attrition.core.releases import Release
from attrition.model.compatibility import misfit
from attrition.model.scorecard import Scorecard, load_scorecard


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

    @property
    def learns_contacted(self) -> bool:
        """Whether it predicts what becomes of clients who are called, for it knew few others."""
        return bool(self.training.get("learns_contacted"))


def champion_of(config: Config, release: Release) -> Champion:
    """Load the model of a release whose digests were checked."""
    card = load_scorecard(release.folder / "scorecard.json")
    training = atomic_files.read_json(release.folder / "training.json")
    return Champion(
        release,
        card,
        training,
        misfit(config, card, training),
        has_learnt_test_rows=training["test_share"] < config.test_share,
    )


def live_champion(config: Config) -> Champion | None:
    """The live release's model, every digest checked; None before the first deployment.

    Raises:
        DataError: the live release is damaged.
    """
    release = releases.live_release(config.prod_deployment_path)
    return None if release is None else champion_of(config, release)


def fitting_champion(config: Config) -> Champion:
    """The live release's model, for clients of the settings' columns.

    Raises:
        DataError: none is deployed, it is damaged, or it has other columns or labels.
    """
    champion = live_champion(config)
    if champion is None:
        raise DataError("no model is deployed yet; run fullprocess.py")
    if champion.misfit is not None:
        raise DataError(
            f"the deployed model, {champion.release.id}, has other columns or labels than "
            f"{config.source}: {champion.misfit}; run fullprocess.py, which trains one for these "
            f"settings"
        )
    return champion
