"""The inputs of a report: records of the runs, the model, the ranking."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attrition.core.atomic_files import read_json_object
from attrition.core.config import Config
from attrition.data.ledger import Ledger
from attrition.model.champion import Champion
from attrition.model.scorecard import Scorecard, load_scorecard
from attrition.monitoring.record import DecisionRecord, recorded_runs
from attrition.ranking.outcomes import RankingRecord
from attrition.ranking.ranking import Ranking
from attrition.report.document import Plot

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
class ReportInputs:
    """The inputs of a report; what is missing is None or empty.

    Attributes:
        config: the settings.
        time: of the run, or of the report where no run is known, UTC, ISO 8601.
        decision: the decision record; None where no run is known.
        model: None where there is none at all.
        ranking: the clients in order; or in words why none could be ranked.
        listed: the counts of that ranking and the outcomes of earlier ones.
        diagnostics: as `diagnostics.json` holds them.
        runs: the recorded runs, newest first, the one of `decision` among them.
        ledger: of ingestion.
        plots: name -> the picture, or why it could not be drawn.
    """

    config: Config
    time: str
    decision: DecisionRecord | None
    model: Model | None
    ranking: Ranking | str
    listed: RankingRecord | None
    diagnostics: Record
    runs: Sequence[DecisionRecord]
    ledger: Ledger
    plots: Mapping[str, Plot | str]


RUNS_READ = 400  # enough for trends; one run with 60 columns is some 200 kB

logger = logging.getLogger(__name__)


def deployed_model(champion: Champion) -> Model:
    """The deployed model with all that was recorded of it."""
    release = champion.release
    scores = read_json_object(release.folder / "scores.json")
    return Model(release.id, champion.card, release.manifest, champion.training, scores)


def candidate(config: Config) -> Model | None:
    """The model that was trained last and not deployed; None when there is none.

    Raises:
        DataError: its files are damaged.
    """
    folder = config.output_model_path
    if not (folder / "scorecard.json").exists():
        return None
    records = (read_json_object(folder / name) for name in ("training.json", "scores.json"))
    return Model(None, load_scorecard(folder / "scorecard.json"), {}, *records)


def latest_runs(config: Config, decision: DecisionRecord | None) -> list[DecisionRecord]:
    """The recorded runs, newest first; the run of the decision is among them once."""
    runs = recorded_runs(config.history, limit=RUNS_READ)
    if decision and decision.run_id and decision.run_id not in {run.run_id for run in runs}:
        runs.insert(0, decision)
    return runs
