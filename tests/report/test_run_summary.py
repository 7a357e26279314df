"""A run in a few lines: plain words, 80 columns, nothing left out that somebody should hear."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from attrition.core.labels import NO_LABELS
from attrition.ranking.outcomes import RankingRecord
from attrition.report import chapter_clients, run_summary
from attrition.report.run_summary import runs_table
from tests.support.records import decision_record, made
from tests.support.releases import NOW

ENTRY = {
    "name": "a.csv",
    "status": "ingested",
    "kept": 1200,
    "duplicate": 3,
    "open": 40,
    "quarantined": 2,
}
RECORD: dict[str, Any] = {
    "verdict": "kept",
    "reason": "the candidate is not better: F1 0.700 against 0.710 on the same 900 rows",
    "warnings": [],
    "release_before": "000001-a",
    "release_after": "000001-a",
    "ingestion": {"files": [ENTRY], "refused": [], "waiting": []},
    "scores": {},
    "candidate_score": None,
    "drift": {"performance": {}, "data": {}},
    "timings": {"ingestion": 0.5, "check": 0.25},
}


def at_stake(listed: RankingRecord) -> str:
    inputs: Any = SimpleNamespace(listed=listed)
    return chapter_clients.at_stake(inputs)


def headline(auc_interval: list[float], *, suspicious: bool = False) -> str:
    """Of a list of three clients, two of them at high risk, by a model of such an AUC."""
    scores = {"f1": 0.7, "roc_auc": 0.6, "roc_auc_interval": auc_interval}
    columns = {"columns": {"refund": 0.99}} if suspicious else {}
    inputs: Any = SimpleNamespace(
        model=SimpleNamespace(release="000001-a", scores=scores, training={}),
        listed=made(RankingRecord, clients=3, high=2, ranked="open clients"),
        ranking=SimpleNamespace(first_to_call=lambda most: [0, 1, 2][:most]),
        config=SimpleNamespace(calls_per_list=None),
        decision_on_model=decision_record(suspicious=columns),
    )
    return chapter_clients.headline(inputs)


def test_whom_to_call_first_is_said_only_where_the_order_can_be_relied_on() -> None:
    said = "2 of 3 open clients are at high risk of leaving."
    assert headline([0.55, 0.65]) == f"{said} Call these three first."
    assert headline([0.48, 0.65]) == said
    assert headline([0.55, 0.65], suspicious=True) == said


def test_a_record_without_the_time_of_the_last_list_names_none() -> None:
    listed = made(RankingRecord, value_at_risk=None, came=2, left=1)
    moved = "2 clients have come to high risk, and 1 is no longer at high risk or no longer listed."
    assert at_stake(listed) == moved
    assert at_stake(replace(listed, since=NOW)).endswith(f"UTC, {moved}")


def summary(parts: dict[str, Any]) -> str:
    return run_summary.summary(decision_record(**parts), NO_LABELS, Path("/project"))


def test_a_run_is_told_in_80_columns() -> None:
    text = summary({**RECORD, "warnings": ["a word " * 40]})
    assert max(map(len, text.splitlines())) <= 80
    assert text.startswith("Verdict      KEPT: the candidate is not better")
    flat = " ".join(text.split())
    assert "1 file: 1,200 labelled rows, 3 duplicates dropped, 40 rows" in flat
    assert "40 rows of open clients, 2 rows in quarantine." in flat
    assert "Took         ingestion 0.5 s, check 0.2 s" in text


def test_one_of_a_kind_is_told_in_the_singular() -> None:
    entry = {**ENTRY, "kept": 1, "duplicate": 1, "open": 1, "quarantined": 1}
    ingestion = {"files": [entry], "refused": [], "waiting": []}
    text = " ".join(summary({**RECORD, "ingestion": ingestion}).split())
    told = "1 labelled row, 1 duplicate dropped, 1 row of open clients, 1 row in quarantine."
    assert f"1 file: {told}" in text


def test_rejected_refused_and_waiting_files_are_named() -> None:
    rejected = {**ENTRY, "name": "bad.csv", "status": "rejected"}
    ingestion = {
        "files": [rejected],
        "refused": [{"name": "pipe.csv", "reason": "a pipe"}],
        "waiting": ["upload.csv"],
    }
    text = " ".join(summary({**RECORD, "ingestion": ingestion}).split())
    assert "1 file rejected: bad.csv (ledger.json tells the reasons)." in text
    assert "pipe.csv" in text
    assert "1 file still being written" in text


def test_a_warning_that_asks_keeps_its_question_mark() -> None:
    text = summary({**RECORD, "warnings": ["is it so?", "it is so"]})
    assert "Attention    is it so?\nAttention    it is so.\n" in text


def test_nothing_new_and_no_model_are_said_calmly() -> None:
    empty: dict[str, list[Any]] = {"files": [], "refused": [], "waiting": []}
    text = summary({**RECORD, "ingestion": empty, "release_before": None, "release_after": None})
    assert "New data     nothing." in text
    assert "Live model   none yet." in text


def test_drift_is_counted_and_a_replaced_model_is_named() -> None:
    drift = {
        "performance": {"test data": {"verdict": "no drift"}},
        "data": {
            "new rows": {"verdict": "drift"},
            "open clients": {"verdict": "insufficient data"},
        },
    }
    text = summary({**RECORD, "drift": drift, "release_after": "000002-b"})
    assert "3 checks, drift in 1, too little data in 1." in text
    assert "000002-b (before: 000001-a)." in text


def test_scores_are_told_in_words_and_undefined_ones_with_their_reason() -> None:
    score = {
        "f1": 0.7,
        "f1_interval": [0.65, 0.75],
        "rows": 900,
        "recall": 0.8,
        "precision": 0.62,
        "undefined": None,
    }
    blind = {**score, "f1": None, "undefined": "too few labelled rows: 3"}
    text = summary({**RECORD, "scores": {"test data": score, "new rows": blind}})
    flat = " ".join(text.split())
    assert "F1 0.700 (0.650 to 0.750) on 900 rows; found 80% of the leavers" in flat
    assert "no score: too few labelled rows: 3." in flat
    text = summary({**RECORD, "candidate_score": blind, "cross_validated": score})
    assert (
        "Candidate on the test data it has no score: too few labelled rows: 3. Cross-validated, it "
        "has F1 0.700 (0.650 to 0.750) on 900 rows;" in " ".join(text.split())
    )
    scores = {"test data": blind, "new rows": blind}
    text = summary({**RECORD, "scores": scores, "champion_cross_validated": score})
    assert text.count("Cross-validated") == 1  # of the test data alone it stands in the place
    assert "has no score: too few labelled rows: 3. Cross-validated, it has F1" in " ".join(
        text.split()
    )


def test_clients_are_counted_and_an_older_list_is_judged_once_half_its_top_is_known() -> None:
    def outcome(time: str, known: int, left: int) -> dict[str, Any]:
        top = {"clients": 10, "known": known, "left": left, "share_left": left / known}
        everybody = {"clients": 900, "known": 300, "left": 36, "share_left": 0.12}
        return {"time": time, "top": {"10": top}, "all": everybody}

    ranking: dict[str, Any] = {
        "ranked": "open clients",
        "clients": 1200,
        "high": 80,
        "medium": 110,
        "outcomes": [],
    }
    text = " ".join(summary({**RECORD, "ranking": ranking}).split())
    assert "Clients 80 of 1,200 open clients at high risk, 110 at medium" in text
    assert "on the list of" not in text
    stayed = {**ranking, "ranked": "clients of the newest batch who stayed"}
    text = " ".join(summary({**RECORD, "ranking": stayed}).split())
    assert "80 of 1,200 clients of the newest batch who stayed are at high risk, 110 at" in text
    crowd = "Nearly every client is at high risk."
    for high, not_listed in ((1079, 0), (1080, 1)):  # the riskiest alone are listed
        fewer = {**ranking, "high": high, "not_listed": not_listed}
        assert crowd not in " ".join(summary({**RECORD, "ranking": fewer}).split())
    most = {**ranking, "high": 1080}
    assert crowd in " ".join(summary({**RECORD, "ranking": most}).split())
    outcomes = [
        outcome("2026-03-03T06", 4, 4),
        outcome("2026-03-02T06", 5, 3),
        outcome("2026-03-01T06", 10, 1),
    ]
    text = " ".join(summary({**RECORD, "ranking": {**ranking, "outcomes": outcomes}}).split())
    assert (
        "Of the first 10 on the list of 2 March 2026, 3 of 5 known outcomes are leavers (60%); "
        "of all clients on it, 36 of 300 (12%)." in text
    )


def test_outcomes_that_a_call_may_have_changed_are_said_not_to_count() -> None:
    def told(known: int, left: int, contacted: int) -> str:
        share = left / known if known else None
        top = {"clients": 10, "known": known, "left": left, "share_left": share}
        top["contacted"] = contacted
        overall = {"clients": 90, "known": 30, "left": 3, "share_left": 0.1}
        earlier = {"time": "2026-03-02T06", "top": {"10": top}, "all": overall}
        ranking = {"ranked": "open clients", "clients": 1200, "outcomes": [earlier]}
        return " ".join(summary({**RECORD, "ranking": ranking}).split())

    assert (
        "Of the first 10 on the list of 2 March 2026, 3 of 4 known outcomes are leavers (75%); of "
        "all clients on it, 3 of 30 (10%); 2 known outcomes of clients who had been "
        "contacted are not counted." in told(4, 3, 2)
    )
    assert (
        "Of the first 10 on the list of 2 March 2026, 7 known outcomes of clients who had been "
        "contacted are not counted: whether they were at risk is not known." in told(0, 0, 7)
    )
    assert "1 known outcome of clients who had been contacted is not counted." in told(4, 3, 1)
    assert "on the list of" not in told(2, 1, 2)


def test_rows_that_nothing_was_judged_by_are_counted() -> None:
    text = summary({**RECORD, "contacted": {"new rows": 1200, "rows to learn from": 3400}})
    assert (
        "Set aside rows of clients who had been contacted: 1,200 of the new rows and 3,400 of the "
        "rows to learn from." in " ".join(text.split())
    )
    assert "Set aside" not in summary(RECORD)


TERM = {
    "term": "lastmonth_activity",
    "columns": ["lastmonth_activity"],
    "change": 0.55,
    "risk_without": 0.19,
}
IMPACT: dict[str, Any] = {
    "rows": 1853,
    "terms": [TERM, {**TERM, "term": "b", "columns": ["b"], "change": 0.1}],
    "risk_before": 0.18,
    "risk_now": 0.26,
    "moved_clients": 228.9,
}
SHIFTED = {
    "verdict": "drift",
    "columns": [
        {"column": "lastmonth_activity", "verdict": "drift", "change": "median 25, was 42"}
    ],
}


def told(impact: dict[str, Any], data: dict[str, Any] = SHIFTED) -> str:
    drift = {"performance": {}, "data": {"new rows": data}, "impact": {"new rows": impact}}
    text = summary({**RECORD, "drift": drift})
    assert max(map(len, text.splitlines())) <= 80
    return " ".join(text.split())


def test_the_shift_that_moves_the_risk_most_is_told_in_plain_words() -> None:
    assert (
        "Impact in the new rows, lastmonth_activity (median 25, was 42) lifts the mean predicted "
        "risk from 19% to 26%. With every shift: 26%, at training 18%; of 1,853 clients 229 more "
        "count as leavers." in told(IMPACT)
    )


def test_a_shift_that_lowers_the_risk_and_small_changes() -> None:
    term = {**TERM, "change": -0.2, "risk_without": 0.262}
    text = told({**IMPACT, "terms": [term], "moved_clients": -12.2})
    assert "lowers the mean predicted risk from 26.2% to 26.0%" in text
    assert "12 fewer count as leavers" in text


def test_without_drift_no_impact_is_told() -> None:
    assert "Impact" not in told(IMPACT, {**SHIFTED, "verdict": "no drift"})


def test_the_table_of_runs_shows_the_score_of_the_model_that_stayed() -> None:
    run: dict[str, Any] = {
        "time": "2026-03-01T06:00:00.000+00:00",
        "verdict": "deployed",
        "reason": "better",
        "release_after": "000002-aaaaaaaaaaaa",
        "new_rows": 1_234_567,
        "scores": {"test data": {"f1": 0.5}},
        "candidate_score": {"f1": 0.7},
        "drift": {"performance": {}, "data": {"new rows": {"verdict": "drift"}}},
        "timings": {"ingestion": 100.25, "training": 4000.0},
        "finished_at": "2026-03-01T07:08:20+00:00",
    }
    kept = {**run, "verdict": "not enough evidence"}
    failed = {"time": "2026-03-02", "verdict": "failed", "reason": "no room " * 40}
    records = [decision_record(**parts) for parts in (run, kept, failed)]
    head, first, second, third, *why = runs_table(records, Path("/")).splitlines()
    assert first.split() == [
        "2026-03-01",
        "06:00",
        "deployed",
        "0.700",
        "yes",
        "1,234,567",
        "000002",
        "4,100.2",
        "s",
    ]
    assert second.split()[2:6] == ["not", "enough", "evidence", "0.500"]
    assert third.split() == ["2026-03-02", "failed", "-", "-", "-", "-", "0.0", "s"]
    assert len(why) == 3
    assert max(map(len, [head, first, second, third, *why])) <= 80


def test_paths_within_the_project_are_relative_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # no project of its own
    path = "ingesteddata/enrolled/a-folder-of-some-length/000001.json"
    inside, outside = f"/project/{path}", "/srv/project/other/list.csv"
    failed = decision_record(time=NOW, verdict="failed", reason=f"{inside}: damaged ({outside})")
    for folder in ("/project", "/project/ingesteddata"):
        shown = runs_table([failed], Path(folder))
        assert f"{inside.removeprefix(f'{folder}/')}: damaged" in " ".join(shown.split())
        assert outside in shown
    text = summary({**RECORD, "warnings": [f"{inside}: damaged"]})
    assert f"{path}: damaged." in " ".join(text.split())
    assert inside not in text


def test_the_summary_says_who_rests_and_what_became_of_actions_without_what_stands_in_them() -> (
    None
):
    ranking = {"ranked": "open clients", "clients": 9, "resting": 1, "high": 2}
    files = [
        {"name": "actions/a.csv", "status": "ingested", "kept": 3, "duplicate": 1}
        | {"quarantined": 2},
        {
            "name": "actions/b.csv",
            "status": "rejected",
            "reason": "missing column 'date'; found Acme",
        },
    ]
    record = decision_record(ranking=ranking, ingestion={"actions": files})
    text = " ".join(run_summary.summary(record, NO_LABELS, Path("/project")).split())
    assert "1 was contacted lately: not to be called again yet." in text
    assert (
        "actions/a.csv: 3 new actions, 1 known, 2 in quarantine. actions/b.csv: rejected." in text
    )
    assert "Acme" not in text
