"""Who is in the study of calls, and which label is whose outcome, in real runs of the stages."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import apicalls
import fullprocess
import ingestion
from attrition.calls.contacted import read_contacted
from attrition.calls.effect import Effect, Verdict
from attrition.calls.study import Study
from attrition.core import atomic_files
from attrition.core.plain_values import to_json
from attrition.data import ingest, recovery
from attrition.data.ledger import read_ledger, write_ledger
from attrition.monitoring import alerts
from attrition.ranking import call_list, csv_list
from attrition.ranking.call_list import RankingResult
from attrition.ranking.study_of_calls import study_by_settings, study_so_far
from attrition.runs import history, idle
from tests.conftest import HEADER, Project
from tests.support.effects import ranked_effect
from tests.support.killing import killed_at
from tests.support.records import decision_json, decision_record
from tests.support.releases import deploy

pytestmark = pytest.mark.slow

# Log-odds 2 - 0.04 x lastmonth_activity: 0 gives 0.8808, 50 gives 0.5 (high from here on), 75 less.
# By the salt "spring", of a share of a half, Absent and Middling are held out.
STUDY = {"holdout_share": 0.5, "holdout_salt": "spring"}


def take_in(project: Project, name: str, *rows: tuple[str, str, str]) -> None:
    lines = [f"{client},{activity},10,1,{label}" for client, activity, label in rows]
    project.write(f"sourcedata/{name}", "\n".join([HEADER, *lines, ""]))
    project.run("ingestion.py")


def act(project: Project, name: str, *rows: tuple[str, str, str]) -> None:
    folder = project.root / "actions"
    folder.mkdir(exist_ok=True)
    lines = [",".join(row) for row in rows]
    (folder / name).write_text("\n".join(["client,date,action", *lines, ""]))
    project.run("ingestion.py")


def sizes(effect: Effect) -> list[tuple[int, int, float | None]]:
    return [
        (group.clients, group.known, group.share_left) for group in (effect.called, effect.held_out)
    ]


def files(project: Project) -> list[Path]:
    return sorted(project.config.enrolled.rglob("*.csv"))


@pytest.fixture
def studied(project: Project) -> Project:
    """A list has been made: Quiet (to be called), Absent and Middling (held out) are enrolled."""
    deploy(project)
    project.configure(**STUDY)
    # An old label of a client is no outcome of the list.
    take_in(project, "old.csv", ("Absent", "3", "0"))
    take_in(project, "open.csv", ("=Quiet()", "0", ""), ("Absent", "1", ""), ("Calm", "75", ""))
    take_in(project, "more.csv", ("Middling", "50", ""))
    assert sizes(ranked_effect(project)) == [(1, 0, None), (2, 0, None)]
    return project


def test_who_is_first_listed_at_high_risk_is_enrolled_with_the_risk_and_group_of_then(
    studied: Project,
) -> None:
    (path,) = files(studied)
    with path.open(encoding="utf-8", newline="") as stream:
        assert list(csv.reader(stream)) == [
            ["client", "risk", "group"],
            ["=Quiet()", "0.8808", "call"],
            ["Absent", "0.8765", "hold out"],  # 1 / (1 + exp(.04 - 2))
            ["Middling", "0.5", "hold out"],
        ]
    take_in(studied, "later.csv", ("=Quiet()", "20", ""), ("Calm", "10", ""))
    assert sizes(ranked_effect(studied)) == [(2, 0, None), (2, 0, None)]
    assert sizes(ranked_effect(studied)) == [(2, 0, None), (2, 0, None)]
    first, second = files(studied)
    assert first == path
    assert [line.split(",")[0] for line in second.read_text().splitlines()] == [
        '"client"',
        '"Calm"',
    ]


def test_the_first_label_after_the_list_is_the_outcome_and_actions_count_from_its_day(
    studied: Project,
) -> None:
    act(
        studied,
        "may.csv",
        ("=Quiet()", "2001-05-04", "letter"),  # long before the list
        ("Nobody", "2030-01-01", "call"),
    )
    take_in(studied, "came.csv", ("=Quiet()", "2", "1"), ("Absent", "2", "1"), ("Calm", "9", "1"))
    take_in(studied, "again.csv", ("Absent", "4", "0"), ("Fresh", "0", ""))
    effect = ranked_effect(studied)
    assert effect.verdict is Verdict.TOO_FEW
    # Fresh is held out, too; Calm, whose risk was low as long as it was open, is not in the study.
    assert sizes(effect) == [(1, 1, 1.0), (3, 1, 1.0)]
    assert effect.called.share_contacted == 0
    day = files(studied)[0].name[7:17]
    act(studied, "june.csv", ("=Quiet()", day, "offer"), ("Middling", day, "call"))
    effect = ranked_effect(studied)
    assert (effect.called.share_contacted, effect.held_out.share_contacted) == (1, 0)


def test_held_out_clients_who_are_called_are_counted_and_told_and_earlier_actions_are_no_part(
    studied: Project, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    today = files(studied)[0].name[7:17]
    act(studied, "old.csv", ("Absent", "2001-05-04", "call"), ("Calm", "2001-05-04", "call"))
    assert ranked_effect(studied).held_out_contacted == 0
    assert "1 client contacted before being listed; those actions are none of the" in caplog.text
    assert "which hides" not in caplog.text
    act(studied, "may.csv", ("=Quiet()", today, "call"), ("Absent", today, "call"))
    effect = ranked_effect(studied)
    assert effect.held_out_contacted == 1  # though no outcome is known
    words = "1 of the 2 held out has been contacted since listed, which hides what calls change."
    assert f"the study of calls: {words}" in caplog.text
    record = decision_record(effect=to_json(effect))
    assert record.study_in_words is not None
    assert words in record.study_in_words
    told = {condition.key: condition.text for condition in alerts.conditions(record, 0.0)}
    assert told["held-out clients are contacted"].endswith(words)


def test_of_two_actions_a_day_the_first_counts_and_what_cannot_be_an_action_counts_nowhere(
    studied: Project,
) -> None:
    today = files(studied)[0].name[7:17]
    act(
        studied,
        "may.csv",
        ("=Quiet()", today, "letter"),
        ("=Quiet()", today, "call"),
        ("Absent", "2026-02-30", "call"),
        ("Absent", "2999-01-01", "call"),
        ("=Quiet() of old", today, "call"),
    )
    take_in(studied, "came.csv", ("=Quiet()", "2", "1"), ("Absent", "2", "0"))
    study = study_so_far(studied.config, read_ledger(studied.config.ledger))
    assert study is not None
    assert study.actions == {"=Quiet()": "letter"}
    assert study.outcomes == {"=Quiet()": 1, "Absent": 0}
    (quarantine,) = studied.config.quarantine.glob("actions-*")
    shown = quarantine.read_text()
    assert all(value in shown for value in ("2026-02-30", "2999-01-01", "=Quiet() of old"))


def test_after_the_ledger_was_made_anew_only_later_labels_are_outcomes_and_the_log_says_so(
    studied: Project, caplog: pytest.LogCaptureFixture
) -> None:
    take_in(studied, "came.csv", ("=Quiet()", "2", "1"))
    assert sizes(ranked_effect(studied)) == [(1, 1, 1.0), (2, 0, None)]
    assert "made anew" not in caplog.text
    studied.config.ledger.unlink()
    told = studied.run("ingestion.py").stderr
    assert "every row counts as one of today: a study of calls loses the outcomes it has" in told
    assert sizes(ranked_effect(studied)) == [(1, 0, None), (2, 0, None)]
    assert "the ledger has been made anew since 3 clients enrolled" in caplog.text
    take_in(studied, "later.csv", ("Absent", "2", "1"))
    assert sizes(ranked_effect(studied)) == [(1, 0, None), (2, 1, 1.0)]
    studied.configure(**STUDY, **OTHER_COLUMNS[0])
    told = studied.run("ingestion.py").stderr
    assert "a study of calls loses the outcomes it has so far" in told
    assert "are kept in finaldata." in told
    assert outcomes(studied) == {}
    take_in(studied, "last.csv", ("Middling", "2", "0"))
    assert outcomes(studied) == {"Middling": 0}


OTHER_COLUMNS: list[dict[str, Any]] = [
    {"numeric_columns": ["lastmonth_activity"], "value_column": "lastyear_activity"},
    {"numeric_columns": ["lastmonth_activity", "lastyear_activity"]},
]


def outcomes(project: Project) -> dict[str, int]:
    study = study_so_far(project.config, read_ledger(project.config.ledger))
    assert study is not None
    return study.outcomes


@pytest.mark.parametrize("columns", OTHER_COLUMNS)
def test_a_change_of_columns_costs_a_study_nothing_and_later_outcomes_count(
    studied: Project, columns: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    take_in(studied, "came.csv", ("=Quiet()", "2", "1"))
    ranked_effect(studied)
    before = read_ledger(studied.config.ledger)
    studied.configure(**STUDY, **columns)
    foretold = " ".join(studied.run("fullprocess.py", "--dry-run").stdout.split())
    assert "a study of calls loses no outcome by that, except those in files that" in foretold
    studied.configure(**STUDY, **columns, id_column="exited", target_column="corporation")
    foretold = " ".join(studied.run("fullprocess.py", "--dry-run").stdout.split())
    assert "a study of calls and actions no longer find them (unless only" in foretold
    studied.configure(**STUDY, **columns)
    take_in(studied, "with_it.csv", ("Absent", "2", "0"))
    assert outcomes(studied) == {"=Quiet()": 1, "Absent": 0}
    after = read_ledger(studied.config.ledger)
    parts = [[(commit.rows, commit.files) for commit in one.commits] for one in (before, after)]
    assert parts[1][:-1] == parts[0]
    studied.configure(**STUDY)
    take_in(studied, "back.csv", ("Middling", "50", "1"))
    assert outcomes(studied) == {"=Quiet()": 1, "Absent": 0, "Middling": 1}
    back = read_ledger(studied.config.ledger)
    assert back.commits[0].id == before.commits[0].id, "what it was once"
    assert all(len(set(commit.ids)) == len(commit.ids) for commit in back.commits)
    # The first list, too, knows what became of its clients.
    earlier = call_list.earlier_outcomes(studied.config, read_ledger(studied.config.ledger))
    assert (earlier[-1].all.known, earlier[-1].all.left) == (3, 2)
    assert "made anew" not in caplog.text
    studied.configure(**STUDY, id_column="exited", target_column="corporation")
    studied.run("ingestion.py")
    (notice,) = read_ledger(studied.config.ledger).notices
    assert "clients under new ids are new clients" in notice.text


@pytest.mark.parametrize(
    ("with_it", "left"),
    [
        ({"came", "late"}, {"=Quiet()": 1, "Fresh": 0}),  # the first commit is gone
        ({"early", "late"}, {"Fresh": 0}),  # and a later one, in which Quiet had left
        ({"late"}, {"Fresh": 0}),
    ],
)
def test_files_that_lack_a_new_column_take_no_outcomes_but_their_own_with_them(
    studied: Project, with_it: set[str], left: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    rows = {
        "early": ["Settled,50,10,1,0"],
        "came": ["=Quiet(),2,10,1,1", "Fresh,0,10,1,"],
        "late": ["Fresh,2,10,1,0"],
    }
    for name, lines in rows.items():
        ranked_effect(studied)  # Fresh is enrolled before the last one
        table = [f"{line},7" for line in (HEADER, *lines)] if name in with_it else [HEADER, *lines]
        text = "\n".join([*table, ""]).replace("exited,7", "exited,tenure")
        studied.write(f"sourcedata/{name}.csv", text)
        studied.run("ingestion.py")
    before = read_ledger(studied.config.ledger)
    studied.configure(**STUDY, numeric_columns=["tenure"])
    studied.run("ingestion.py")
    assert outcomes(studied) == left
    earlier = call_list.earlier_outcomes(studied.config, read_ledger(studied.config.ledger))
    assert [one.all.known for one in (earlier[0], earlier[-1])] == [1, 1]
    studied.configure(**STUDY)
    studied.run("ingestion.py")
    assert outcomes(studied) == {"=Quiet()": 1, "Fresh": 0}
    back = read_ledger(studied.config.ledger)
    assert [back.commits[0].id, back.commits[0].time] == [
        before.commits[0].id,
        before.commits[0].time,
    ]
    assert "made anew" not in caplog.text


def test_a_file_mended_since_does_not_hold_up_what_came_with_it(studied: Project) -> None:
    studied.write("sourcedata/bad.csv", f"{HEADER}\nFresh,many,10,1,0\n")
    take_in(studied, "good.csv", ("=Quiet()", "2", "1"), ("Fresh", "0", ""))
    ranked_effect(studied)
    take_in(studied, "bad.csv", ("Fresh", "2", "0"))
    studied.configure(**STUDY, **OTHER_COLUMNS[0])
    studied.run("ingestion.py")
    assert outcomes(studied) == {"=Quiet()": 1, "Fresh": 0}


@pytest.mark.parametrize(("owner", "name"), [(ingest, "_with_open_clients"), (recovery, "settle")])
def test_a_run_killed_as_it_reads_other_columns_leaves_the_next_all_that_a_study_has(
    studied: Project, owner: Any, name: str
) -> None:
    take_in(studied, "came.csv", ("=Quiet()", "2", "1"))
    studied.configure(**STUDY, **OTHER_COLUMNS[0])
    with killed_at(owner, name):
        ingestion.run(studied.config)
    studied.configure(**STUDY, **OTHER_COLUMNS[1])
    take_in(studied, "later.csv", ("Absent", "2", "0"))
    assert outcomes(studied) == {"=Quiet()": 1, "Absent": 0}


def test_rows_that_are_read_again_count_as_of_the_day_on_which_they_came(studied: Project) -> None:
    """Who had been contacted by the day of a row is known by the day of its commit."""
    path = studied.config.ledger
    ledger = read_ledger(path)
    first = replace(ledger.commits[0], time=MAY)
    write_ledger(path, replace(ledger, commits=(first, *ledger.commits[1:])))
    take_in(studied, "came.csv", ("Absent", "2", "0"))
    act(studied, "may.csv", ("Absent", "2026-05-02", "call"))
    studied.configure(**STUDY, **OTHER_COLUMNS[0])
    studied.run("ingestion.py")
    contacted = read_contacted(studied.config, read_ledger(path))
    assert contacted is not None
    absent = np.array(["Absent", "Absent"], dtype=object)
    assert contacted.of(absent, np.array([0, 1])).tolist() == [False, True]


def test_a_client_under_another_name_is_another_client_and_the_old_one_stays_enrolled(
    studied: Project,
) -> None:
    take_in(studied, "renamed.csv", ("Quiet Ltd", "0", ""))
    take_in(studied, "came.csv", ("Quiet Ltd", "1", "1"))
    effect = ranked_effect(studied)
    assert sum(group[0] for group in sizes(effect)) == 3  # its outcome came before it was listed
    assert sum(group[1] for group in sizes(effect)) == 0


def test_a_run_killed_before_its_list_enrols_nobody_twice(
    studied: Project,
) -> None:
    take_in(studied, "later.csv", ("Calm", "10", ""), ("Fresh", "0", ""))
    with killed_at(csv_list, "write_list"):
        call_list.rank(studied.config)
    written = [path.read_bytes() for path in files(studied)]
    assert len(written) == 2
    assert sum(group[0] for group in sizes(ranked_effect(studied))) == 5
    assert [path.read_bytes() for path in files(studied)] == written


def test_another_salt_is_another_study_and_the_old_one_goes_on_where_it_was(
    studied: Project,
) -> None:
    before = files(studied)
    studied.configure(holdout_share=0.5, holdout_salt="autumn")
    assert sum(group[0] for group in sizes(ranked_effect(studied))) == 3
    assert len(files(studied)) == 2
    studied.configure(**STUDY)
    assert sizes(ranked_effect(studied)) == [(1, 0, None), (2, 0, None)]
    assert set(before) < set(files(studied))


MAY, JUNE = "2026-05-01T06:00:00.000+00:00", "2026-06-01T06:00:00.000+00:00"


def test_a_study_whose_share_and_salt_come_back_goes_on(project: Project) -> None:
    spring, june = (
        Study(share, sha256(salt).hexdigest(), day)
        for share, salt, day in ((0.2, b"spring", MAY), (0.3, b"june", JUNE))
    )
    for number, study in enumerate((None, "junk", to_json(spring), to_json(june), None)):
        run = decision_json(run_id=str(number), time=MAY) | {"study": study}
        history.record_run(project.config.history, run, 100)
    project.configure(holdout_share=0.2, holdout_salt="spring")
    ended = "; the one since 2026-06-01 (30%) is kept in the history"
    for last, rest in ((june, ended), (None, "")):
        goes_on, notice = study_by_settings(project.config, last, JUNE)
        assert goes_on == spring
        assert notice == (
            f"the study of calls since 2026-05-01 goes on, 20% of the open clients are held out"
            f"{rest}"
        )
    project.configure(holdout_share=0.2, holdout_salt="autumn")
    _, notice = study_by_settings(project.config, june, JUNE)
    assert notice == f"a new study of calls begins, 20% of the open clients are held out{ended}"


def test_where_an_enrolment_has_changed_nothing_is_measured_and_the_list_goes_on(
    studied: Project,
) -> None:
    (path,) = files(studied)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"hold out", b"call", 1))
    take_in(studied, "later.csv", ("Calm", "10", ""))
    result = call_list.rank(studied.config)
    assert isinstance(result, RankingResult)
    assert "Calm" in studied.config.client_risk.read_text()
    atomic_files.write_json(studied.config.decision, decision_json())
    call_list.record_anew(studied.config, result)
    record = atomic_files.read_json(studied.config.decision)
    assert "has changed since it was written; restore it" in record["no_effect"]
    assert "effect" not in record
    assert files(studied) == [path]
    path.write_bytes(content)
    assert sizes(ranked_effect(studied)) == [(2, 0, None), (2, 0, None)]
    call_list.record_anew(studied.config, "there are no clients")
    record = atomic_files.read_json(studied.config.decision)
    assert record["effect"]["verdict"] == "too few outcomes"
    assert "no_effect" not in record


def test_a_restored_file_wakes_the_pipeline_which_measures_again(finished_copy: Project) -> None:
    """By real runs: none is idle that has something to tell, and all others are."""
    finished_copy.configure(**STUDY)

    def told() -> str:
        return " ".join(finished_copy.run("fullprocess.py").stdout.split())

    assert re.search(r"Calls Of [1-9][0-9]* listed", told())
    assert not told()  # idle
    (path,) = files(finished_copy)
    content = path.read_bytes()
    for damage in (lambda: path.write_bytes(content[:-9]), path.unlink):
        damage()
        assert "The study of calls measures nothing" in told()
        assert not told()
        path.write_bytes(content)
        assert re.search(r"Calls Of [1-9][0-9]* listed", told())
        assert not told()


def test_a_file_that_is_restored_while_a_run_is_at_work_is_seen_by_the_next(
    finished_copy: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished_copy.configure(**STUDY)
    finished_copy.run("fullprocess.py")
    (path,) = files(finished_copy)
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    record = apicalls.record_current

    def restore(*arguments: Any) -> Any:
        path.write_bytes(content)
        return record(*arguments)

    monkeypatch.setattr(apicalls, "record_current", restore)  # after the study was read
    arguments = ["--config", str(finished_copy.config_path)]
    assert fullprocess.main(arguments) == 0
    assert not idle.rests(arguments)
    monkeypatch.undo()
    assert "measures nothing" not in finished_copy.run("fullprocess.py").stdout
    assert idle.rests(arguments)


def test_a_study_whose_newest_files_are_gone_enrols_nobody_twice_until_they_are_restored(
    studied: Project,
) -> None:
    study, _ = study_by_settings(studied.config, None, MAY)
    assert study is not None
    take_in(studied, "later.csv", ("Calm", "10", ""))
    assert sum(group[0] for group in sizes(ranked_effect(studied))) == 4
    kept = to_json(replace(study, enrolled=4))
    atomic_files.write_json(studied.config.decision, decision_json() | {"study": kept})
    backup = {path: path.read_bytes() for path in files(studied)}
    for lost in (files(studied)[1:], files(studied)):
        for path in lost:
            path.unlink()
        result = call_list.rank(studied.config)
        _, fault = call_list.effect_of_calls(
            studied.config, read_ledger(studied.config.ledger), result
        )
        assert fault is not None
        assert (
            f"4 clients took part when it last ran, {4 - len(lost) - 2 * (len(lost) > 1)}" in fault
        )
        assert files(studied) == sorted(set(backup) - set(lost))
        for path, content in backup.items():
            path.write_bytes(content)
    assert sum(group[0] for group in sizes(ranked_effect(studied))) == 4
    for path in files(studied):
        path.unlink()
    studied.configure(holdout_share=0.5, holdout_salt="autumn")
    assert sum(group[0] for group in sizes(ranked_effect(studied))) == 4  # another study


def test_where_nobody_is_held_out_nobody_is_enrolled(
    make_project: Callable[[str], Project],
) -> None:
    project = make_project("project")
    deploy(project)
    take_in(project, "open.csv", ("=Quiet()", "0", ""))
    result = call_list.rank(project.config)
    assert isinstance(result, RankingResult)
    assert result.study is None
    assert not project.config.enrolled.exists()
