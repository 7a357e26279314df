"""All that a report is told from, in one place: records of the runs, the model, the ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attrition.blocks import Plot
from attrition.config import Config
from attrition.ledger import Ledger
from attrition.ranking import Ranking
from attrition.scorecard import Scorecard

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Model:
    """The model that the report speaks of.

    Attributes:
        release: its name; None for a candidate that is not deployed.
        card: the model itself.
        manifest, training, scores: what was recorded of it; {} where nothing was.
    """

    release: str | None
    card: Scorecard
    manifest: Record
    training: Record
    scores: Record


@dataclass(frozen=True)
class Material:
    """What there is to tell; what is missing is None or empty.

    Attributes:
        config: the settings.
        time: of the run, or of the report where no run is known, UTC, ISO 8601.
        decision: the decision record.
        model: None where there is none at all.
        ranking: the clients in order; or in words why none could be ranked.
        listed: the counts of that ranking and the outcomes of earlier ones, as the record holds
            them.
        diagnostics: as `diagnostics.json` holds them.
        runs: the recorded runs, newest first, the one of `decision` among them.
        ledger: of ingestion.
        plots: name -> the picture, or why it could not be drawn.
    """

    config: Config
    time: str
    decision: Record
    model: Model | None
    ranking: Ranking | str
    listed: Record
    diagnostics: Record
    runs: Sequence[Record]
    ledger: Ledger
    plots: Mapping[str, Plot | str]
