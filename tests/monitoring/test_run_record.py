"""What one run leaves to the next: evidence until a change is answered, looks until a claim."""

from __future__ import annotations

import pytest

from attrition.model.metrics import Comparison
from attrition.monitoring.challenge import Challenge
from attrition.monitoring.decisions import Verdict
from attrition.monitoring.examination import Examination, SampleFindings
from attrition.monitoring.findings import (
    Drift,
    DriftVerdict,
    Evidence,
    ExpectedScore,
    PerformanceDrift,
    RunVerdict,
    Sample,
    Suspicion,
)
from attrition.monitoring.outcome_evidence import OutcomeEvidence, OutcomeWatch
from attrition.monitoring.run_record import Memory, left_to_next

BATCH = OutcomeEvidence(rows=100, clients=100)
TIE = Comparison(rows=100, positives=20)


def exam(verdict: DriftVerdict) -> Examination:
    new_rows = SampleFindings(
        ExpectedScore(100), Drift(verdict), None, None, performance=PerformanceDrift(verdict)
    )
    return Examination({Sample.NEW_ROWS: new_rows}, watch=OutcomeWatch((BATCH,), "b"))


def left(
    run_verdict: RunVerdict = RunVerdict.DEPLOYED,
    drift: DriftVerdict = DriftVerdict.NO_DRIFT,
    evidence: Evidence | None = Evidence(TIE, None, TIE, look=4),  # noqa: B008
) -> Memory:
    challenge = Challenge(Verdict(run_verdict, ""), Suspicion(), evidence=evidence)
    return left_to_next(exam(drift), Memory(looks=3), challenge, "c")


def test_evidence_stays_over_a_redeployment_until_a_change_is_answered() -> None:
    assert left().watch == OutcomeWatch((BATCH,), "c")
    assert left(drift=DriftVerdict.DRIFT).watch == OutcomeWatch((), "c")
    assert left(RunVerdict.KEPT, DriftVerdict.DRIFT).watch == OutcomeWatch((BATCH,), "b")
    assert left(evidence=None).watch == OutcomeWatch((), "c")


@pytest.mark.parametrize(("claims_better", "looks"), [(None, 4), (False, 4), (True, 0)])
def test_looks_are_counted_since_the_last_claim(claims_better: bool | None, looks: int) -> None:
    evidence = Evidence(TIE, None, TIE, look=4, claims_better=claims_better)
    for verdict in (RunVerdict.DEPLOYED, RunVerdict.KEPT):
        assert left(verdict, evidence=evidence).looks == looks
    assert left(RunVerdict.KEPT, evidence=None).looks == 3


def test_the_same_rows_compared_again_are_no_further_look() -> None:
    memory = Memory(OutcomeWatch((BATCH,), "b"), looks=3)
    assert memory.earlier_looks("c") == 3
    assert memory.earlier_looks("b") == 2
    assert Memory(OutcomeWatch((), "b")).earlier_looks("b") == 0
