"""The deployed model is found, and examined also where it recorded less, or on few rows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from attrition.core import releases
from attrition.core.config import Config
from attrition.engines.context import read_context
from attrition.model.champion import Champion
from attrition.monitoring.alerts import findings
from attrition.monitoring.champion import find_champion
from attrition.monitoring.examination import Examination, examine
from attrition.monitoring.findings import Sample, Suspicion
from attrition.monitoring.outcome_evidence import OutcomeWatch
from tests.conftest import Project
from tests.support.releases import deploy


def champion_of(project: Project) -> Champion:
    champion = find_champion(project.config)
    assert champion is not None
    return champion


def exam_of(config: Config, champion: Champion) -> Examination:
    return examine(read_context(config, champion), OutcomeWatch())


@pytest.mark.slow
def test_with_few_rows_nothing_is_claimed(finished_copy: Project) -> None:
    config = replace(finished_copy.config, minimum_scoring_rows=10_000)
    exam = exam_of(config, champion_of(finished_copy))
    assert exam.drift.impact == {}
    assert {found.data.verdict for found in exam.samples.values()} == {"insufficient data"}
    assert all(found.expected.f1 is None for found in exam.samples.values())
    assert exam.drift.measures[Sample.TEST_DATA] is None
    scores = exam.scores[Sample.TEST_DATA], exam.cross_validated
    assert findings(*scores, exam.drift, Suspicion(), 0.6) == []
    (degraded,) = findings(*scores, exam.drift, Suspicion(), 0.999)  # by what is known
    crossed = champion_of(finished_copy).training["cross_validated"]
    assert f"F1 in cross-validation, {crossed['f1']:.3f}, is under 0.999" in degraded.text


def test_in_place_of_a_damaged_release_the_last_good_one_goes_live(project: Project) -> None:
    """Whether or not the run finds a better model afterwards."""
    deployment = project.config.prod_deployment_path
    good, bad = deploy(project), deploy(project, intercept=1.0)
    (deployment / "releases" / bad / "scorecard.json").write_bytes(b"")
    assert champion_of(project).release.id == good
    assert releases.live_release_id(deployment) == good
