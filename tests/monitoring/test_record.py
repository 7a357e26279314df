"""The decision record reads back the same, and damage in it harms nobody who shows it."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import datetime
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, cast, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attrition.core import atomic_files, plain_values
from attrition.core.config import Config
from attrition.core.errors import DataError
from attrition.core.labels import NO_LABELS
from attrition.data.ledger import Ledger
from attrition.monitoring import alerts, severity
from attrition.monitoring.findings import Sample, Suspicion
from attrition.monitoring.record import DecisionRecord, last_decision, recorded_runs
from attrition.report import build, chapter_model
from attrition.report.diagnostics_text import describe_decision
from attrition.report.figures import catalogue
from attrition.report.inputs import ReportInputs
from attrition.report.run_summary import runs_table, summary
from attrition.runs import history
from attrition.web import records as web_records
from attrition.web.pages import dashboard
from attrition.web.state import public_decision
from tests.conftest import Project
from tests.support.effects import effect_of
from tests.support.records import decision_json, decision_record
from tests.support.releases import NOW

SCORE = {
    "rows": 900,
    "positives": 200,
    "f1": 0.7,
    "f1_interval": [0.65, 0.75],
    "precision": 0.6,
    "recall": 0.8,
    "base_rate": 0.2,
    "standard_errors": {"roc_auc": None},
    "confusion": {"tn": 1, "fp": 2, "fn": 3, "tp": 4},
}
MOVED = {"column": "tenure", "verdict": "drift", "psi": 0.4, "changed": ["missingness"]}
COMPARED = {
    "verdict": "drift",
    "rows": 90,
    "columns": [MOVED, {"column": "plan", "verdict": "no drift", "change": "calm"}],
    "predictions": {"column": "predictions", "verdict": "drift", "psi": 0.2},
}
TERM = {"term": "tenure", "columns": ["tenure"], "change": 0.5, "risk_without": 0.2}
COUNTS = {"clients": 10, "known": 8, "left": 2, "share_left": 0.25}
FULL = decision_json(
    run_id=NOW,
    inputs="digest",
    release_before="000001-a",
    release_after="000002-b",
    warnings=[{"text": "look", "topic": "model drift"}],
    suspicious={"columns": {"refund": 0.99}, "model_auc": 0.9},
    training={"kind": "new rows", "reason": "1 row came"},
    new_rows=12,
    ingestion={
        "files": [{"name": "a.csv", "status": "ingested", "kept": 3, "limits": {"a": 1}}],
        "refused": [{"name": "b", "reason": "a link"}],
        "waiting": ["c.csv"],
    },
    scores={"test data": SCORE, "new rows": SCORE},
    drift={
        "performance": {"test data": {"verdict": "drift", "reason": "fell", "now": 0.5}},
        "measures": {
            "test data": {
                "roc_auc": {"measure": "roc_auc", "now": 0.8, "standard_error": 0.1},
                "calibration_gap": {"measure": "calibration_gap", "now": 0.0},
            },
            "new rows": None,
        },
        "expected_scores": {"open clients": {"rows": 9, "f1": 0.5, "f1_interval": [0.1, 0.9]}},
        "data": {"test data": COMPARED, "new rows": COMPARED},
        "impact": {
            "new rows": {
                "rows": 90,
                "terms": [TERM],
                "risk_before": 0.2,
                "risk_now": 0.3,
                "moved_clients": 4.5,
            }
        },
    },
    segments={
        "rows": 900,
        "looked_at": 120,
        "level": 0.05,
        "log_loss": 0.4,
        "weak": [
            {
                "conditions": ["plan gold", "tenure from 3 to 12"],
                "rows": 90,
                "log_loss": 0.7,
                "difference": 0.3,
                "interval": [0.1, 0.5],
                "left": 0.5,
                "left_interval": [0.4, 0.6],
                "predicted": 0.2,
            }
        ],
    },
    sampled={"comparison": 7},
    champion_cross_validated=SCORE,
    candidate_score=SCORE,
    cross_validated=SCORE,
    evidence={"test": {"rows": 9, "difference": 0.1, "difference_interval": [0.0, 0.2]}},
    ranking={
        "ranked": "open clients",
        "clients": 9,
        "outcomes": [{"time": NOW, "top": {"10": COUNTS, "50": COUNTS}, "all": COUNTS}],
    },
    study={"share": 0.2, "salt_digest": "5a17", "since": NOW},
    effect=plain_values.to_json(effect_of(36, 40, 100)),
    timings={"ingestion": 1.5},
    finished_at=NOW,
)


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Any values of a type hint of the record."""
    arguments = get_args(hint)
    kind = get_origin(hint) or hint
    if kind is UnionType:
        return st.none() | values_of(next(one for one in arguments if one is not NoneType))
    if kind is tuple:
        if arguments[-1] is Ellipsis:
            return st.lists(values_of(arguments[0]), max_size=2).map(tuple)
        return st.tuples(*map(values_of, arguments))
    if kind is Mapping:
        return st.dictionaries(*map(values_of, arguments), max_size=2)
    if is_dataclass(kind):
        make, hints = cast("type[Any]", kind), get_type_hints(kind)
        return st.builds(make, **{one.name: values_of(hints[one.name]) for one in fields(kind)})
    if kind is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    return st.text(max_size=4) if kind is str else st.from_type(kind)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(values_of(DecisionRecord), st.datetimes(datetime(1900, 1, 1)))
def test_every_record_reads_back_the_same(record: DecisionRecord, time: datetime) -> None:
    record = replace(
        record,
        time=time.isoformat(),
        finished_at=time.isoformat(),
        timings={"check": 1.0},
        suspicious=record.suspicious if record.suspicious.columns else Suspicion(),
    )
    text = atomic_files.json_text(record.to_json())
    assert DecisionRecord.from_json(json.loads(text)) == record


def test_the_whole_record_has_the_keys_of_today() -> None:
    record = DecisionRecord.from_json(FULL)
    assert DecisionRecord.from_json(json.loads(atomic_files.json_text(record.to_json()))) == record
    assert (
        list(record.to_json())
        == (
            "run_id time inputs release_before verdict reason warnings suspicious training "
            "new_rows ingestion scores drift segments sampled champion_cross_validated "
            "candidate_score cross_validated evidence proposal approved_by watch looks ranking "
            "no_ranking study effect release_after timings finished_at"
        ).split()
    )
    assert list(record.to_json()["drift"]) == (
        "performance measures expected_scores data impact".split()
    )
    begun = decision_record(run_id="a").to_json()
    assert begun["suspicious"] == {}
    assert not begun.keys() & {"study", "effect", "no_effect"}
    assert not begun.keys() & {"ranking", "release_after", "timings", "finished_at"}


def paths(plain: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the values of a JSON stand."""
    items = plain.items() if isinstance(plain, dict) else enumerate(plain)
    for key, value in items:
        yield (*before, key)
        if isinstance(value, dict | list):
            yield from paths(value, (*before, key))


JUNK: list[Any] = [
    None,
    True,
    5,
    -1,
    0.5,
    float("nan"),
    float("inf"),
    10**400,
    "junk",
    "",
    [],
    [[]],
    {},
]
DAMAGES = [pytest.param(path, id=".".join(map(str, path))) for path in paths(FULL)]


def show(record: DecisionRecord, config: Config) -> None:
    """On the terminal, in the report, on the page, in the API and in an alert."""
    assert summary(record, NO_LABELS, Path("/"))
    assert runs_table([record], Path("/"))
    assert list(describe_decision(record, NOW, NO_LABELS, Path("/")))
    inputs = ReportInputs(
        config=config,
        time=NOW,
        decision=record,
        model=None,
        ranking="no model is deployed",
        listed=record.ranking,
        diagnostics={},
        runs=[record],
        ledger=Ledger(),
        plots={},
    )
    assert build.build_report(inputs).sections
    warnings = len(severity.messages(record)) - (record.proposal is not None)
    assert warnings == len(record.warnings)
    alerts.conditions(record, 0.6)
    json.dumps([web_records.run_of(record), public_decision(record)])
    dashboard.trends([record, record], [])
    dashboard.shifts(dashboard.newest_comparison(record)[1])
    severity.messages(record, [record])
    severity.state_line(record, {"f1": 0.7}, {}, 0.6)
    dashboard.decisions([record])
    dashboard.outcome_sentence(record.ranking)
    weak = len(record.segments.weak) if record.segments else 0
    assert len(dashboard.weak_segments(record, record.release_after)) == weak
    assert len(list(chapter_model.weak_segments(record, record.release_after))) == 2 * bool(weak)


@pytest.mark.parametrize("path", DAMAGES)
def test_a_damaged_value_is_refused_or_shown_without_an_error(
    path: tuple[Any, ...], project: Project
) -> None:
    config, plain = project.config, copy.deepcopy(FULL)
    inner: Any = plain
    for key in path[:-1]:
        inner = inner[key]
    for junk in JUNK:
        inner[path[-1]] = junk
        try:
            record = DecisionRecord.from_json(plain)
        except DataError:
            continue
        show(record, config)


def with_numbers(plain: Any, number: float) -> Any:
    """The same JSON, all its numbers being this one."""
    if isinstance(plain, dict):
        return {key: with_numbers(value, number) for key, value in plain.items()}
    if isinstance(plain, list):
        return [with_numbers(value, number) for value in plain]
    return type(plain)(number) if type(plain) in {int, float} else plain


@pytest.mark.slow
@pytest.mark.parametrize("number", [-1.0, 0.0, 0.5, 7.0, 1e6])
def test_whatever_the_numbers_are_they_are_drawn(number: float) -> None:
    record = DecisionRecord.from_json(with_numbers(FULL, number))
    assert len(catalogue.change_pictures(record.drift)) == 2


def test_what_is_no_record_is_said_and_left_out(
    project: Project, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert last_decision(project.config) is None
    assert not caplog.records
    for content in ('{"verdict": 7}', '{"time": "noon", "verdict": "kept", "reason": "no"}', "{"):
        project.config.decision.write_text(content)
        with caplog.at_level(logging.WARNING):
            assert last_decision(project.config) is None
        assert str(project.config.decision) in caplog.messages[-1]
    path = tmp_path / "history.db"
    for verdict in ("kept", "unheard of", "failed"):
        history.record_run(path, decision_json(run_id=verdict) | {"verdict": verdict})
    assert [run.verdict for run in recorded_runs(path)] == ["failed", "kept"]


def test_a_thinned_run_of_the_history_is_a_record(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "FULL_RUNS", 1)
    path = tmp_path / "history.db"
    for number in range(2):
        history.record_run(path, {**FULL, "run_id": str(number)})
    oldest = recorded_runs(path)[-1]
    assert (oldest.training, oldest.ranking, oldest.ingestion) == (None, None, None)
    assert oldest.drift.data[Sample.NEW_ROWS].columns[0].psi == 0.4
    assert oldest.finished_at == NOW
    show(oldest, project.config)
