"""A candidate waits for a person, with its evidence: approved it is deployed, rejected not."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app import create_app
from attrition.core import atomic_files
from attrition.core.labels import NO_LABELS
from attrition.core.run_warnings import RunWarning
from attrition.data.ledger import Ledger
from attrition.monitoring import alerts, proposals
from attrition.monitoring.alerts import AlertState
from attrition.monitoring.challenge import Challenge
from attrition.monitoring.decisions import Verdict
from attrition.monitoring.findings import RunVerdict, Suspicion
from attrition.monitoring.record import DecisionRecord, Proposal
from attrition.report import chapter_changes
from attrition.report.diagnostics_text import describe_decision
from attrition.report.inputs import ReportInputs
from attrition.report.run_summary import summary
from attrition.runs import history, idle
from tests.conftest import Project, Suite, book
from tests.support.outcome import tree
from tests.support.records import decision_record, made, texts
from tests.support.releases import live_id
from tests.support.script_runner import Job, ScriptRunner

SINCE = "2026-03-01T06:00:00+00:00"
EARLIER = Proposal(since=SINCE, candidate="a" * 64, commit="c1")
PROPOSAL = replace(EARLIER, since="2026-03-02T06:00:00+00:00", looks=0)
WAITS = "candidate waits for approval since"


def record(verdict: str = "proposed", proposal: Proposal | None = PROPOSAL) -> DecisionRecord:
    return replace(
        decision_record(verdict=verdict, reason="it is no worse", release_after="000001-a"),
        proposal=proposal,
    )


def test_the_same_candidate_waits_on_and_another_one_takes_its_place() -> None:
    same = proposals.succeeding(record(), EARLIER)
    assert same.proposal == replace(PROPOSAL, since=SINCE)
    assert same.warnings == ()
    newer = record(proposal=replace(PROPOSAL, candidate="b" * 64))
    after = proposals.succeeding(newer, EARLIER)
    assert after.proposal == newer.proposal
    text = "the candidate that had waited since 1 March 2026, 06:00 UTC gave way to a newer one"
    assert after.warnings == (RunWarning(text),)


def test_a_candidate_that_the_data_no_longer_speak_for_is_withdrawn_and_that_is_said() -> None:
    after = proposals.succeeding(record("kept", None), EARLIER)
    assert after.proposal is None
    assert "is withdrawn: see the verdict" in after.warnings[0].text
    deployed = record("deployed", None)
    assert proposals.succeeding(deployed, EARLIER) == deployed
    assert proposals.succeeding(deployed, None) == deployed


def test_an_approved_record_is_that_of_the_deployed_candidate(
    make_project: Callable[[str], Project],
) -> None:
    noted = made(Proposal, since=SINCE, candidate="a", commit="c", looks=3)
    gave_way = proposals.succeeding(record(), replace(EARLIER, candidate="b" * 64))
    before = replace(gave_way, looks=7, finished_at=SINCE)
    config = make_project("empty").config
    after = proposals.approved(config, before, noted, "Anna")
    assert (after.verdict, after.approved_by, after.proposal) == ("deployed", "Anna", None)
    assert after.reason == "approved by Anna: it is no worse"
    assert (after.looks, after.watch, after.segments) == (3, noted.watch, noted.segments)
    assert (after.release_before, after.release_after) == ("000001-a", None)
    assert after.run_id != before.run_id
    assert (len(before.warnings), after.warnings) == (1, ())  # nothing has given way to it
    assert DecisionRecord.from_json(after.to_json()) == after
    held_out = replace(config, holdout_share=0.2, holdout_salt="spring")
    studied = proposals.approved(held_out, before, noted, "Anna")
    assert studied.study is not None
    assert (studied.study.share, studied.study.since) == (0.2, studied.time)
    (begins,) = studied.warnings
    assert begins.text == "a study of calls begins, 20% of the open clients are held out"


def test_a_proposed_record_names_what_is_suspicious_of_the_live_model() -> None:
    def champion(columns: dict[str, float]) -> Any:
        training = {"suspicious_columns": columns, "cross_validated": {"roc_auc": 0.7}}
        return SimpleNamespace(training=training)

    candidate = Challenge(Verdict(RunVerdict.DEPLOYED, "it is no worse"), Suspicion({"a": 0.99}))
    for columns in ({}, {"b": 0.98}):
        proposed = proposals.as_proposed(champion(columns), candidate)
        assert proposed.verdict.verdict is RunVerdict.PROPOSED
        assert proposed.suspicious.columns == columns
    live = champion({})
    live.training["suspicious_together"] = {"columns": ["a", "b"], "roc_auc": 0.99}
    assert proposals.as_proposed(live, candidate).suspicious.named == ("a", "b")


def test_terminal_and_report_say_that_a_candidate_waits(
    make_project: Callable[[str], Project],
) -> None:
    inputs = ReportInputs(
        config=make_project("empty").config,
        time=SINCE,
        decision=record(),
        model=None,
        ranking="no model is deployed",
        listed=None,
        diagnostics={},
        runs=[],
        ledger=Ledger(),
        plots={},
    )
    report = str(chapter_changes.chapter(inputs))
    for text in (
        summary(record(), NO_LABELS, Path("/")),
        "\n".join(describe_decision(record(), SINCE, NO_LABELS, Path("/"))),
        report,
    ):
        assert f"A {WAITS} 2 March 2026" in " ".join(text.split())


def test_a_candidate_that_waits_is_told_once_and_its_end_with_what_became_of_it() -> None:
    conditions = alerts.conditions(record(), 0.6)
    message, known = alerts.news(AlertState(), conditions, None, "proposed: it is no worse")
    assert message is not None
    assert WAITS in message
    assert "proposed: it is no worse" in message
    assert "deployment.py --approve" in message
    renewed = alerts.conditions(proposals.succeeding(record(), EARLIER), 0.6)
    assert alerts.news(known, renewed, None, "proposed: it is no worse")[0] is None
    newer = alerts.conditions(record(proposal=replace(PROPOSAL, candidate="b" * 64)), 0.6)
    assert alerts.news(known, newer, None, None)[0] is not None
    assert alerts.news(known, [], None, "deployed: approved by Anna")[0] == (
        "no candidate waits for approval any more (deployed: approved by Anna)"
    )


@pytest.fixture(scope="module")
def waiting(drifted: Path, runner: ScriptRunner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project after a run that proposed a candidate; tests take a copy."""
    root = tmp_path_factory.mktemp("waiting") / "project"
    shutil.copytree(drifted, root, symlinks=True)
    Project(root).configure(promotion="propose", alert_command=["tee", "-a", "alerts.txt"])
    ended = runner.run(Job("fullprocess", str(root / "config.json")))
    assert ended.code == 0, ended.text
    (root / "shown.txt").write_text(ended.text)
    return root


@pytest.fixture
def project(waiting: Path, tmp_path: Path) -> Project:
    """A copy of it that rests."""
    root = tmp_path / "project"
    shutil.copytree(waiting, root, symlinks=True)
    copy = Project(root)
    copy.let_rest()
    return copy


def decision(project: Project) -> dict[str, Any]:
    return dict(atomic_files.read_json(project.config.decision))


def runs(project: Project) -> list[tuple[str, str]]:
    """Verdict and reason of the runs in the history, newest first."""
    return [(run["verdict"], run["reason"]) for run in history.runs(project.config.history)]


def rests(project: Project) -> bool:
    return idle.rests(["--config", str(project.config_path)])


def refused(project: Project, *arguments: str, code: int = 1) -> str:
    """What a refused decision says; it changes nothing."""
    before = tree(project.root)
    ended = project.run("deployment.py", *arguments, check=False)
    assert ended.returncode == code
    assert tree(project.root) == before
    return " ".join(ended.stderr.split())


@pytest.mark.slow
def test_a_proposed_candidate_waits_and_everybody_is_told(project: Project) -> None:
    """The first model is deployed without asking; the second one waits."""
    assert str(live_id(project)).startswith("000001-")
    record = decision(project)
    assert (record["verdict"], record["release_after"]) == ("proposed", live_id(project))
    shown = " ".join((project.root / "shown.txt").read_text().split())
    assert "PROPOSED: the candidate is" in shown
    assert f"A {WAITS}" in shown
    assert (project.root / "alerts.txt").read_text().count(WAITS) == 1
    dry = " ".join(project.run("fullprocess.py", "--dry-run").stdout.split())
    assert f"A {WAITS}" in dry
    browser = create_app(project.config).test_client()
    page = browser.get("/", headers={"Accept": "text/html"}).text
    assert f"A {WAITS}" in page
    assert "python deployment.py --approve" in page
    answered = browser.get("/diagnostics").get_json()["proposal"]
    assert answered == {
        "since": record["proposal"]["since"],
        "evidence": record["reason"],
        "approve": "python deployment.py --approve",
        "reject": "python deployment.py --reject",
    }
    assert rests(project)


@pytest.mark.slow
def test_an_approved_candidate_is_deployed_and_reported_with_the_name(project: Project) -> None:
    before, browser = live_id(project), create_app(project.config).test_client()
    name = "Anna\x1b[31m <b>\u202eX</b>"
    shown = project.run("deployment.py", "--approve", "--by", name).stdout
    assert "approved by Anna [31m <b> X</b>." in shown
    assert live_id(project) != before
    assert browser.get("/health").get_json()["model_version"] == live_id(project)
    manifest = atomic_files.read_json(project.root / "production_deployment/manifest.json")
    assert manifest["decision"]["approved_by"] == "Anna [31m <b> X</b>"
    assert refused(project, "--approve") == "error: no candidate waits for approval"
    assert not rests(project)
    shown = " ".join(project.run("fullprocess.py").stdout.split())
    assert "New data what has come since the proposal is for the next run." in shown
    record = decision(project)
    assert (record["verdict"], record["release_before"]) == ("deployed", before)
    assert (record["release_after"], record["looks"]) == (live_id(project), 0)
    (newest, reason), (proposed, _), *_ = runs(project)
    assert (newest, proposed) == ("deployed", "proposed")
    assert reason.startswith("approved by Anna [31m <b> X</b>: the candidate")
    page = browser.get("/", headers={"Accept": "text/html"}).text
    assert "Approved by Anna [31m &lt;b&gt; X&lt;/b&gt;" in page
    assert WAITS not in page
    assert browser.get("/diagnostics").get_json()["proposal"] is None
    project.run("fullprocess.py")  # a copy has other inodes, which are looked at once
    assert runs(project)[0][0] == "kept"
    assert rests(project)


@pytest.mark.slow
def test_a_rejected_candidate_is_not_proposed_again_and_the_next_run_names_who(
    project: Project,
) -> None:
    before = live_id(project)
    shown = project.run("deployment.py", "--reject", "--by", "Bert").stdout
    assert f"The candidate is rejected by Bert; {before} stays live." in shown
    assert not rests(project)
    assert "no candidate waits" in refused(project, "--approve")
    dry = " ".join(project.run("fullprocess.py", "--dry-run").stdout.split())
    assert "train no candidate: the candidate was rejected by Bert and no labelled rows" in dry
    page = create_app(project.config).test_client().get("/", headers={"Accept": "text/html"}).text
    assert "has been approved or refused since" in page
    project.run("fullprocess.py")
    assert live_id(project) == before
    (verdict, reason), *_ = runs(project)
    assert verdict == "kept"
    assert "the candidate was rejected by Bert and no labelled rows came since" in reason
    assert rests(project)


@pytest.mark.slow
def test_newer_rows_bring_a_newer_proposal_and_known_ones_leave_it_as_it_was(
    project: Project,
) -> None:
    first = decision(project)["proposal"]
    known = (project.root / "sourcedata/february.csv").read_text()
    project.write("sourcedata/again.csv", known + "\n")
    project.run("fullprocess.py")
    again = decision(project)["proposal"]
    assert (again["since"], again["candidate"]) == (first["since"], first["candidate"])
    project.write("sourcedata/march.csv", book(300, 6, drift=2.5))
    project.run("fullprocess.py")
    newer = decision(project)
    assert newer["proposal"]["candidate"] != first["candidate"]
    assert any("gave way to a newer one" in text for text in texts(newer["warnings"]))
    assert (project.root / "alerts.txt").read_text().count(WAITS) == 2


@pytest.mark.slow
def test_what_may_not_be_approved_any_more_is_refused_in_words(project: Project) -> None:
    training = project.root / "models/training.json"
    good, settings = training.read_text(), project.config_path.read_text()
    training.write_text(json.dumps(json.loads(good) | {"rows": 7}))
    assert "not of the candidate that was proposed" in refused(project, "--approve")
    training.write_text(good)
    project.configure(promotion="propose", numeric_columns=["lastmonth_activity"])
    changed = "columns, labels, monotone or test_share have changed"
    assert changed in refused(project, "--approve")
    project.configure(promotion="propose", test_share=0.2)
    assert changed in refused(project, "--approve")
    project.configure(promotion="propose", monotone={"lastmonth_activity": "decreasing"})
    assert changed in refused(project, "--approve")
    project.config_path.write_text(settings)
    assert "expected a name" in refused(project, "--approve", "--by", " \x07", code=2)
    assert "--by goes with" in refused(project, "--by", "Anna", code=2)
    with project.config.lock.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another run is at work" in refused(project, "--approve", code=75)
    rollbacks = project.write("production_deployment/rollbacks.json", "{")
    assert "rollbacks.json: damaged" in refused(project, "--reject")
    rollbacks.unlink()
    project.run("deployment.py")  # by hand, as ever
    assert "no candidate waits" in refused(project, "--approve")


@pytest.mark.slow
def test_rows_that_no_candidate_shown_has_learnt_are_neither_approved_nor_rejected(
    project: Project,
) -> None:
    project.write("sourcedata/march.csv", book(300, 6, drift=2.5))
    project.run("ingestion.py")  # and so far a run comes that fails afterwards
    assert "rows have come in since the candidate was proposed" in refused(project, "--approve")
    project.run("deployment.py", "--reject")
    project.run("fullprocess.py")
    assert decision(project)["verdict"] == "proposed"


@pytest.mark.slow
def test_a_rollback_or_another_live_release_leaves_nothing_to_approve(project: Project) -> None:
    record = decision(project)
    project.run("deployment.py", "--rollback", str(live_id(project)))
    assert "no candidate waits" in refused(project, "--reject")
    atomic_files.write_json(project.config.decision, {**record, "release_after": "000000-x"})
    assert "was to replace release 000000-x, but 000001-" in refused(project, "--approve")


@pytest.mark.slow
@pytest.mark.parametrize("choice", ["--approve", "--reject"])
def test_a_decision_killed_at_any_operation_is_made_or_can_be_made_again(
    waiting: Path, runner: ScriptRunner, tmp_path: Path, suite: Suite, choice: str
) -> None:
    project = Project(tmp_path / "project")

    def decide(kill_at: int = 0) -> list[str]:
        shutil.rmtree(project.root, ignore_errors=True)
        shutil.copytree(waiting, project.root, symlinks=True)
        project.let_rest()
        by = (choice, "--by", "Anna")
        job = Job("deployment", str(project.config_path), by, kill_at=kill_at)
        return list(runner.run(job).operations)

    count = len(decide())
    after = live_id(project)
    numbers = range(1, count + 1, 3 if suite.is_complete else count // 6)
    for number in numbers:
        decide(number)
        rejection = project.root / "production_deployment/rollbacks.json"
        is_made = rejection.exists() if choice == "--reject" else live_id(project) == after
        if not is_made and decision(project)["proposal"] is not None:
            project.run("deployment.py", choice, "--by", "Anna")
            is_made = True
        assert not rests(project)  # the next run reports it, or proposes the candidate again
        assert live_id(project) == after or not is_made
        assert rejection.exists() or not is_made or choice == "--approve"
    suite.tell(len(numbers), "kills of deployment.py --approve or --reject")
