"""What a release says its model reached when it was fitted, and what it may be compared with."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from attrition.core import atomic_files, plain_values
from attrition.core.config import Config
from attrition.model.champion import Champion
from attrition.monitoring.examination import doubt, reference
from attrition.monitoring.findings import Sample
from attrition.monitoring.outcome_evidence import OutcomeEvidence, OutcomeWatch, outcome_evidence

CONFIG = cast(Config, SimpleNamespace(minimum_scoring_rows=30, minimum_rarer_label_rows=5))

NOTHING = OutcomeEvidence()


def evidence(rows: int, left: int, risk: float = 0.25) -> OutcomeEvidence:
    return outcome_evidence(np.arange(rows) < left, np.full(rows, risk))


def champion(folder: Path, fitted: OutcomeEvidence | None, tested: OutcomeEvidence) -> Champion:
    def record(one: OutcomeEvidence | None) -> dict[str, Any]:
        return {"f1": 0.5} | ({"outcomes": plain_values.to_json(one)} if one else {})

    atomic_files.write_json(folder / "scores.json", record(tested if fitted else None))
    training, release = {"cross_validated": record(fitted)}, SimpleNamespace(folder=folder)
    return cast(Champion, SimpleNamespace(training=training, release=release))


def test_test_data_are_compared_with_those_of_the_deployment(tmp_path: Path) -> None:
    fitted, tested = evidence(400, 100), evidence(200, 60)
    live = champion(tmp_path, fitted, tested)
    assert reference(live, CONFIG, Sample.TEST_DATA) == tested
    assert reference(live, CONFIG) == fitted


def test_test_data_that_were_not_there_then_are_compared_with_the_training(tmp_path: Path) -> None:
    fitted = evidence(400, 100)
    for few in (evidence(20, 10), OutcomeEvidence()):
        assert reference(champion(tmp_path, fitted, few), CONFIG, Sample.TEST_DATA) == fitted


def test_an_older_release_says_nothing_of_what_its_probabilities_reached(tmp_path: Path) -> None:
    live = champion(tmp_path, None, OutcomeEvidence())
    assert reference(live, CONFIG) is reference(live, CONFIG, Sample.TEST_DATA) is None
    assert doubt(live, CONFIG, OutcomeWatch(), NOTHING) is None


def test_what_is_usually_off_is_doubted_too(tmp_path: Path) -> None:
    calibrated = champion(tmp_path, evidence(400, 100), OutcomeEvidence())
    assert doubt(calibrated, CONFIG, OutcomeWatch(), NOTHING) is None
    off = evidence(300, 120)
    words = "40.0% left on 300 rows, and the probabilities said 25.0%"
    assert (
        doubt(champion(tmp_path, off, OutcomeEvidence()), CONFIG, OutcomeWatch(), NOTHING) == words
    )
    assert doubt(calibrated, CONFIG, OutcomeWatch((off,)), NOTHING) == words
    assert doubt(calibrated, CONFIG, OutcomeWatch(), off) == words
