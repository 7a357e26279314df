"""The inputs of a report: records of the runs, the model, the ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from attrition.calls.effect import Estimate
from attrition.core.atomic_files import read_json_object
from attrition.core.config import Config
from attrition.data.ledger import Ledger
from attrition.model.champion import Champion
from attrition.model.metrics import Score
from attrition.model.scorecard import Scorecard, load_scorecard
from attrition.model.terms import Floats
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


class Skill(NamedTuple):
    """How good the model is on labelled clients, and what shows it.

    Attributes:
        score: of the model.
        labels: of shape (n_clients,), 1 left, 0 stayed.
        probabilities: array of shape (n_clients,), fractions 0-1.
    """

    score: Score
    labels: Sequence[int]
    probabilities: Floats


@dataclass(frozen=True)
class RunsToDraw:
    """What the pictures of the runs are drawn from.

    Attributes:
        decision: the decision record; None where no run is known.
        runs: the newest ones, newest first, the one of `decision` among them.
        left_out: number of older runs.
        effects: as `known_effects` gives them.
        listed: the counts of the ranking; None without one.
        threshold: `model_score_threshold`, an F1.
    """

    decision: DecisionRecord | None
    runs: Sequence[DecisionRecord]
    left_out: int
    effects: Sequence[tuple[str, Estimate]]
    listed: RankingRecord | None
    threshold: float


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

    @property
    def decision_on_model(self) -> DecisionRecord | None:
        """The decision record, unless it speaks of another model."""
        decision, model = self.decision, self.model
        if decision is None or model is None:
            return decision
        return decision if decision.release_after in (None, model.release) else None

    def drawn(self, *names: str) -> list[Plot]:
        """Those of these pictures that could be drawn."""
        return [plot for name in names if isinstance(plot := self.plots.get(name), Plot)]


RUNS_READ = 400  # enough for a study of calls; one run with 60 columns is some 200 kB
RUNS_DRAWN = 60  # over time


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


def runs_to_draw(
    decision: DecisionRecord | None,
    runs: Sequence[DecisionRecord],
    listed: RankingRecord | None,
    threshold: float,
) -> RunsToDraw:
    """The inputs of the pictures of the runs; `runs` are all that were read, newest first."""
    return RunsToDraw(
        decision,
        runs[:RUNS_DRAWN],
        max(len(runs) - RUNS_DRAWN, 0),
        known_effects(decision, runs),
        listed,
        threshold,
    )


def known_effects(
    decision: DecisionRecord | None, runs: Sequence[DecisionRecord]
) -> list[tuple[str, Estimate]]:
    """What calls change, run by run of the present study: time, and what was known; oldest first.

    Args:
        decision: the decision record; None where no run is known.
        runs: newest first.

    Returns:
        The last one is that of the decision; [] where it has no estimate.
    """
    if decision is None or decision.effect is None or decision.effect.estimate is None:
        return []
    earlier = [
        (run.time, run.effect.estimate)
        for run in reversed(runs)
        if run.run_id != decision.run_id
        and run.effect
        and run.effect.estimate
        and (run.study and decision.study and run.study.is_same(decision.study))
    ]
    return [*earlier, (decision.time, decision.effect.estimate)]
