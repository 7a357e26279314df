"""What one run leaves to the next: evidence until a change is answered, looks until a claim."""

from __future__ import annotations

from dataclasses import replace

import pytest

from attrition.model.comparison import Comparison
from attrition.monitoring import run_record
from attrition.monitoring.challenge import Challenge
from attrition.monitoring.decisions import Verdict
from attrition.monitoring.examination import Examination, SampleFindings
from attrition.monitoring.findings import (
    Drift,
    DriftVerdict,
    Evidence,
    ExpectedScore,
    Looks,
    PerformanceDrift,
    RunVerdict,
    Sample,
    Suspicion,
)
from attrition.monitoring.outcome_evidence import OutcomeEvidence, OutcomeWatch
from attrition.monitoring.record import DecisionRecord
from attrition.monitoring.run_record import Memory, left_to_next, remembered
from tests.conftest import Project

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
    return left_to_next(exam(drift), Memory(looks=Looks(3)), challenge, "c")


def test_evidence_stays_over_a_redeployment_until_a_change_is_answered() -> None:
    assert left().watch == OutcomeWatch((BATCH,), "c")
    assert left(drift=DriftVerdict.DRIFT).watch == OutcomeWatch((), "c")
    assert left(RunVerdict.KEPT, DriftVerdict.DRIFT).watch == OutcomeWatch((BATCH,), "b")
    assert left(evidence=None).watch == OutcomeWatch((), "c")


@pytest.mark.parametrize(("claims_better", "looks"), [(None, 4), (False, 4), (True, 0)])
def test_looks_are_counted_since_the_last_claim(claims_better: bool | None, looks: int) -> None:
    evidence = Evidence(TIE, None, TIE, look=4, claims_better=claims_better)
    for verdict in (RunVerdict.DEPLOYED, RunVerdict.KEPT):
        assert left(verdict, evidence=evidence).looks.count == looks
    assert left(RunVerdict.KEPT, evidence=None).looks.count == 3


def test_the_same_comparison_made_again_is_no_further_look() -> None:
    other = replace(TIE, rows=101)
    first = Evidence(TIE, TIE, TIE, look=4, needed_confidence=0.9, claims_better=True)
    looks = Looks(3).with_comparison(first)
    assert looks.number_of(Evidence(TIE, TIE, TIE)) == 4
    assert looks.number_of(Evidence(other, TIE, other)) == 1, "other test data, after a claim"
    assert looks.with_comparison(None) == looks
    kept = looks.with_comparison(replace(first, look=5, claims_better=False))
    assert kept.number_of(Evidence(TIE, None, TIE)) == 6


def test_looks_outlive_another_release_and_what_outcomes_said_does_not(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence = Evidence(TIE, None, TIE, look=2)
    last = DecisionRecord(
        time="2026-01-01T00:00:00+00:00",
        verdict=RunVerdict.KEPT,
        reason="",
        release_after="000001-a",
        watch=OutcomeWatch((BATCH,), "b"),
        looks=2,
        evidence=evidence,
    )
    monkeypatch.setattr(run_record, "last_decision", lambda _config: last)
    same, other = (remembered(project.config, name) for name in ("000001-a", "000002-b"))
    assert (same.watch, same.looks) == (last.watch, Looks(2, evidence))
    assert (other.watch, other.looks) == (OutcomeWatch(), Looks(2, evidence))
