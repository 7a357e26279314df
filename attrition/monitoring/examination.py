"""The examination of the deployed model on today's rows: scores, drift, impact.

Every new labelled row first examines the deployed model; only then is it learnt from.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from attrition.core import atomic_files
from attrition.core.config import Config
from attrition.data.clients import Clients, TestClients
from attrition.data.ledger import Ledger
from attrition.engines.selection import engine
from attrition.model.metrics import Minimum, Score, score
from attrition.model.scorecard import Scorecard, logistic
from attrition.monitoring import alerts as alert_conditions
from attrition.monitoring.champion import Champion
from attrition.monitoring.decisions import PerformanceDrift, performance_drift
from attrition.monitoring.drift import Drift, compare
from attrition.monitoring.impact import Impact, impact
from attrition.monitoring.performance import ExpectedScore, expected_score, measure_changes

TEST_DATA, NEW_ROWS, OPEN_CLIENTS = alert_conditions.TEST_DATA, "new rows", "open clients"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Examination:
    """What a look at the deployed model found, by sample (test data, new rows, open clients).

    Attributes:
        scores: on labelled samples.
        performance: fall of F1 since deployment; the only judge of model drift.
        data: drift of the columns and of the predictions.
        impact: what the shifts do to the predicted risk; absent with too few rows.
        measures: AUC and calibration against those at deployment; None when undefined.
        expected: F1 estimated from the probabilities alone; beside a measured F1, it shows how far
            the estimate can be believed.
        sampled: number of all rows, where only a sample of them was looked at.
    """

    scores: dict[str, Score] = field(default_factory=dict)
    performance: dict[str, PerformanceDrift] = field(default_factory=dict)
    data: dict[str, Drift] = field(default_factory=dict)
    impact: dict[str, Impact] = field(default_factory=dict)
    measures: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    expected: dict[str, ExpectedScore] = field(default_factory=dict)
    sampled: dict[str, int] = field(default_factory=dict)

    @property
    def drift(self) -> bool:
        """Whether any of it is drift."""
        verdicts = [found.verdict for found in self.performance.values()]
        verdicts += [found.verdict for found in self.data.values()]
        return "drift" in verdicts

    def to_json(self) -> dict[str, Any]:
        """The findings as plain values for JSON."""
        return {
            "scores": {sample: found.to_json() for sample, found in self.scores.items()},
            "performance_drift": {
                name: found.to_json() for name, found in self.performance.items()
            },
            "data_drift": {name: found.to_json() for name, found in self.data.items()},
            "impact": {name: found.to_json() for name, found in self.impact.items()},
            "measures": self.measures,
            "expected_scores": {name: found.to_json() for name, found in self.expected.items()},
            "sampled": self.sampled,
        }


def minimum(config: Config) -> Minimum:
    """The fewest labelled rows a score or a verdict is given for."""
    return Minimum(config.minimum_scoring_rows, config.minimum_rarer_label_rows)


def score_clients(card: Scorecard, clients: Clients, config: Config) -> Score:
    """Score a model on labelled clients; undefined, with the reason, where they are too few."""
    return score(
        clients.labels if clients.labels is not None else [],
        card.probabilities(clients.columns),
        card.threshold,
        minimum(config),
        config.random_seed,
    )


def examine(config: Config, champion: Champion, ledger: Ledger, test: TestClients) -> Examination:
    """Score the deployed model on today's rows, and compare those with the rows it learnt from.

    Args:
        config: the settings.
        champion: the deployed model.
        ledger: what has been ingested.
        test: the labelled test data.

    Returns:
        Scores and performance drift on the test data and on the newest labelled rows it has not
        learnt; data drift of these and of the open clients, its impact, and the F1 to expect.
        Empty when it no longer fits the data.
    """
    if not champion.fits:
        return Examination()
    place = engine(config)
    labelled = {TEST_DATA: test.of_folder if champion.has_learnt_test_rows else test.clients}
    there = {TEST_DATA: len(labelled[TEST_DATA])}  # rows, of which an engine may give a sample
    start = newest_unseen_start(champion, ledger)
    if start < ledger.committed_bytes:
        labelled[NEW_ROWS], there[NEW_ROWS] = place.labelled(ledger, start)
    scores = {name: score_clients(champion.card, rows, config) for name, rows in labelled.items()}
    # Like is compared with like: the test data then and now, new rows and cross-validated old ones.
    before = {
        TEST_DATA: atomic_files.read_json(champion.release.folder / "scores.json"),
        NEW_ROWS: champion.training["cross_validated"],
    }
    performance = {
        name: replace(
            performance_drift(
                before[name]["f1"],
                found,
                config.drift_threshold,
                "cross-validated" if name == NEW_ROWS else "",
            ),
            interval_at_deployment=before[name].get("f1_interval"),
        )
        for name, found in scores.items()
    }
    opened, there[OPEN_CLIENTS] = place.opened(ledger)
    samples = labelled | {OPEN_CLIENTS: opened}
    log_odds = {name: champion.card.log_odds(rows.columns) for name, rows in samples.items()}
    minimum_rows = max(config.minimum_scoring_rows, 1)
    return Examination(
        scores=scores,
        performance=performance,
        data={
            name: compare(
                champion.training["reference"],
                rows.features,
                log_odds[name],
                config.data_drift_threshold,
                minimum_rows,
            )
            for name, rows in samples.items()
        },
        impact={
            name: impact(
                champion.card,
                rows.columns,
                log_odds[name],
                champion.training["predicted"],
                champion.training["rows"],
            )
            for name, rows in samples.items()
            if len(rows) >= minimum_rows
        },
        measures={name: measure_changes(before[name], found) for name, found in scores.items()},
        expected={
            name: expected_score(logistic(found), champion.card.threshold, minimum_rows)
            for name, found in log_odds.items()
        },
        sampled={name: there[name] for name, rows in samples.items() if len(rows) < there[name]},
    )


def newest_unseen_start(champion: Champion, ledger: Ledger) -> int:
    """Byte of finaldata.csv where the newest ingested rows begin that the champion has not learnt.

    It is the end of the file when the champion has learnt them all.
    """
    unseen = ledger.unseen_start(champion.training["commit"])
    return max([unseen, *(commit.start for commit in ledger.commits[-1:])])


def alerts(
    config: Config, exam: Examination, suspicious: Mapping[str, Any] | None = None
) -> list[str]:
    """What somebody should hear about, in plain sentences.

    Args:
        config: the settings.
        exam: says whether the deployed model is degraded, and what drifts.
        suspicious: columns that alone tell the answer beyond belief, as the decision record holds
            them.
    """
    look = exam.to_json()
    found = alert_conditions.findings(
        look["scores"],
        look["performance_drift"],
        look["data_drift"],
        config.model_score_threshold,
        look["impact"],
        suspicious=suspicious,
    )
    return [condition.text for condition in found]
