"""What the pipeline recorded, over HTTP: the model, the runs, the report."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from app import create_app
from attrition.core import atomic_files, releases
from attrition.runs import history
from attrition.web.records import linked
from tests.conftest import Project
from tests.support.answers import problem, strict_json
from tests.support.outcome import stamped_tree
from tests.support.records import decision_record, half_written
from tests.support.releases import NOW, deploy
from tests.support.serving_projects import DECISION, DIAGNOSTICS


def test_the_model_tells_its_scorecard_and_the_releases_newest_first(
    client: FlaskClient, project: Project
) -> None:
    version = deploy(project, intercept=1.0)
    answer = strict_json(client.get("/model"))
    assert answer["model_version"] == version
    assert answer["deployed_at"] == NOW
    assert answer["scorecard"]["intercept"] == 1.0
    assert answer["scorecard"]["numeric"]["lastmonth_activity"]["points"] == [2.0, -2.0]
    assert answer["scoring"]["f1_score"] == 0.7
    assert [found["live"] for found in answer["releases"]] == [True, False]
    assert answer["releases"][0]["release"] == version
    assert "sha256" not in str(answer)


def test_a_damaged_old_release_stands_in_the_list_by_its_name(
    client: FlaskClient, project: Project
) -> None:
    old = releases.live_release_id(project.config.prod_deployment_path)
    deploy(project, intercept=1.0)
    (project.config.prod_deployment_path / f"releases/{old}/manifest.json").write_text("[")
    last = strict_json(client.get("/model"))["releases"][-1]
    assert last == {
        "release": old,
        "live": False,
        "deployed_at": None,
        "f1_score": None,
        "replaces": None,
    }


def test_where_the_test_data_cannot_tell_scoring_has_the_cross_validated_score(
    client: FlaskClient, project: Project
) -> None:
    known = {"f1": 0.73, "f1_interval": [0.7, 0.76], "roc_auc": 0.9, "rows": 942}
    deploy(project, cross_validated=known | {"recall": 0.7}, f1=None, undefined="one label only")
    answer = strict_json(client.get("/scoring"))
    assert (answer["f1_score"], answer["undefined"]) == (None, "one label only")
    assert answer["cross_validated"] == known
    assert strict_json(client.get("/model"))["scoring"] == answer


def a_run(time: str) -> dict[str, Any]:
    score = {"f1": 0.7, "f1_interval": [0.6, 0.8], "roc_auc": 0.9, "rows": 100, "confusion": {}}
    parts = {
        **DECISION,
        "run_id": time,
        "time": time,
        "new_rows": 12,
        "inputs": "a digest",
        "scores": {"test data": score},
        "candidate_score": score,
        "drift": {
            "performance": {"new rows": {"verdict": "drift"}},
            "data": {
                "new rows": {"verdict": "no drift"},
                "test data": {"verdict": "insufficient data"},
            },
        },
    }
    return decision_record(**parts).to_json()


def test_the_history_tells_the_last_runs_with_the_numbers_of_the_trends(
    client: FlaskClient, project: Project
) -> None:
    for month in (4, 5, 6):
        history.record_run(project.config.history, a_run(f"2026-0{month}-01T00:00:00+00:00"))
    runs = strict_json(client.get("/history?limit=2"))["runs"]
    assert [run["time"][:7] for run in runs] == ["2026-06", "2026-05"]
    expected = {"f1": 0.7, "f1_interval": [0.6, 0.8], "roc_auc": 0.9, "rows": 100}
    assert runs[0]["scores"] == {"test data": expected}
    assert runs[0]["candidate_score"] == expected
    assert runs[0]["drift"] == {"checks": 3, "drift": 1}
    assert runs[0]["timings"] == {"ingestion": 1.5, "training": 2.5}
    assert (runs[0]["verdict"], runs[0]["new_rows"]) == ("kept", 12)
    assert "secret-client-list" not in str(runs)
    assert len(strict_json(client.get("/history"))["runs"]) == 4


@pytest.mark.parametrize("limit", ["0", "1001", "x", "-1", ""])
def test_a_wrong_limit_is_said(client: FlaskClient, limit: str) -> None:
    assert "limit" in problem(client.get(f"/history?limit={limit}"), 400)


def test_without_a_history_there_are_no_runs(project: Project) -> None:
    client = create_app(project.config).test_client()
    assert strict_json(client.get("/history")) == {"runs": []}


def test_a_history_that_cannot_be_read_is_said(client: FlaskClient, project: Project) -> None:
    path = project.config.history
    history.record_run(path, a_run("2026-04-01T00:00:00+00:00"))
    half_written(path, path.with_name("copy.db"))
    for end in ("", "-journal"):
        path.with_name(f"copy.db{end}").replace(f"{path}{end}")
    assert "a run was ended while it recorded" in problem(client.get("/history"), 503)
    done = project.run("diagnostics.py", "--history", check=False)
    assert "a run was ended while it recorded" in done.stderr
    assert "damaged" not in done.stderr
    Path(f"{path}-journal").unlink()
    path.write_bytes(b"no database" * 100)
    assert "it is damaged" in problem(client.get("/history"), 503)


@pytest.mark.parametrize(
    ("route", "accept", "kind"),
    [
        ("/report", "*/*", "text/html"),
        ("/report", "text/html", "text/html"),
        ("/report", "application/pdf", "application/pdf"),
        ("/report", "application/pdf;q=0.5, text/html", "text/html"),
        ("/report.pdf", "*/*", "application/pdf"),
    ],
)
def test_the_report_comes_as_a_page_and_as_pdf(
    client: FlaskClient, project: Project, route: str, accept: str, kind: str
) -> None:
    response = client.get(route, headers={"Accept": accept})
    assert (response.status_code, response.mimetype) == (200, kind)
    path = project.config.report if kind == "text/html" else project.config.report_pdf
    assert response.data == path.read_bytes()


@pytest.mark.parametrize("route", ["/report", "/report.pdf"])
def test_the_report_comes_with_its_length_as_it_was_when_asked_for(
    client: FlaskClient, project: Project, route: str
) -> None:
    """So that whoever fetches it can tell a whole one from one that broke off."""
    path = project.config.report_pdf if route.endswith("pdf") else project.config.report
    content = path.read_bytes()
    answer = client.get(route)
    path.unlink()
    assert answer.headers["Content-Length"] == str(len(content))
    assert answer.data == content


def test_the_report_may_style_itself_and_nothing_else(client: FlaskClient) -> None:
    policies = client.get("/report").headers.getlist("Content-Security-Policy")
    assert len(policies) == 1
    assert "default-src 'none'" in policies[0]
    assert "style-src 'unsafe-inline'" in policies[0]
    assert "script-src" not in policies[0]


@pytest.mark.parametrize("route", ["/report", "/report.pdf"])
def test_before_the_first_report_the_answer_says_what_to_do(
    client: FlaskClient, project: Project, route: str
) -> None:
    project.config.report.unlink()
    project.config.report_pdf.unlink()
    said = problem(client.get(route), 503)
    assert said.startswith("there is no report in this form yet: the next run writes it")
    assert "reporting.py" in said


def test_prepared_answers_follow_what_is_recorded(client: FlaskClient, project: Project) -> None:
    first = client.get("/summarystats").data
    assert client.get("/summarystats").data == first
    column = {"mean": 1.0, "median": 2.0, "standard_deviation": 3.0}
    atomic_files.write_json(
        project.config.diagnostics, {**DIAGNOSTICS, "summary_statistics": {"x": column}}
    )
    assert strict_json(client.get("/summarystats"))["summary_statistics"] == [1, 2, 3]
    before = strict_json(client.get("/scoring"))
    deploy(project, intercept=4.0, f1=0.9)
    after = strict_json(client.get("/scoring"))
    assert (before["f1_score"], after["f1_score"]) == (0.7, 0.9)


@pytest.mark.parametrize(
    "key", ["summary_statistics", "missing_data_percentages", "packages", "execution_times", "time"]
)
@pytest.mark.parametrize("change", ["gone", "null"])
def test_records_of_another_version_are_said(
    client: FlaskClient, project: Project, key: str, change: str
) -> None:
    """As after an update, until the next run; what the records still tell is told."""
    record = {**DIAGNOSTICS, key: None}
    if change == "gone":
        del record[key]
    atomic_files.write_json(project.config.diagnostics, record)
    routes = ("/summarystats", "/diagnostics", "/", "/scoring", "/ready")
    statuses = {route: client.get(route).status_code for route in routes}
    told = {route for route, status in statuses.items() if status == 503}
    assert set(statuses.values()) <= {200, 503}
    if change == "gone":
        route = "/summarystats" if key == "summary_statistics" else "/diagnostics"
        assert told == {route}
        assert "of another version" in problem(client.get(route), 503)
    page = client.get("/", headers={"Accept": "text/html"})
    assert page.status_code == 200


def test_while_the_first_run_is_at_work_what_is_not_known_is_null_and_that_is_said(
    client: FlaskClient, project: Project
) -> None:
    """A model is live before anything is recorded of the data."""
    project.config.diagnostics.unlink()
    statistics = strict_json(client.get("/summarystats"))
    assert (statistics["summary_statistics"], statistics["by_column"]) == (None, None)
    assert "first run is not finished" in statistics["detail"]
    shown = strict_json(client.get("/diagnostics"))
    assert shown["decision"]["verdict"] == "kept"
    assert shown["execution_times"] == [1.5, 2.5]
    project.config.decision.unlink()
    shown = strict_json(client.get("/diagnostics"))
    assert shown["execution_times"] == [None, None]
    assert shown["missing_data_percentages"] is None
    assert "first run is not finished" in shown["detail"]
    atomic_files.write_json(project.config.diagnostics, DIAGNOSTICS)
    assert strict_json(client.get("/summarystats"))["summary_statistics"][0] == 50.5
    assert "detail" not in strict_json(client.get("/diagnostics"))


@pytest.mark.slow
def test_a_model_deployed_by_hand_answers_before_the_first_run(small_stages: Project) -> None:
    client = create_app(small_stages.config).test_client()
    assert strict_json(client.get("/summarystats"))["summary_statistics"] is None
    shown = strict_json(client.get("/diagnostics"))
    assert "by hand" in shown["decision"]["reason"]
    assert shown["drift"] is None
    told = strict_json(client.get("/model"))
    assert told["decision"]["release_after"] == told["model_version"]


@pytest.fixture
def small_stages(small: Path, tmp_path: Path) -> Project:
    """A project of which the stages up to the deployment were run by hand."""
    shutil.copytree(small, tmp_path / "stages")
    project = Project(tmp_path / "stages")
    for script in ("ingestion.py", "training.py", "scoring.py", "deployment.py"):
        project.run(script)
    return project


GETS = (
    "/",
    "/clients",
    "/clients/Busy",
    "/scoring",
    "/summarystats",
    "/diagnostics",
    "/model",
    "/history",
    "/report",
    "/report.pdf",
    "/health",
    "/ready",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/ping",
    "/version",
    "/nowhere",
)


@pytest.mark.parametrize("accept", ["*/*", "text/html"])
def test_no_get_writes_anything(client: FlaskClient, project: Project, accept: str) -> None:
    before = stamped_tree(project.root)
    for route in GETS:
        for method in ("GET", "HEAD", "OPTIONS"):
            with client.open(route, method=method, headers={"Accept": accept}) as response:
                expected = 404 if route == "/nowhere" else 200
                assert response.status_code == expected, (method, route, response.data)
                if method == "HEAD":
                    assert response.data == b""
    assert stamped_tree(project.root) == before


def test_the_names_in_the_report_lead_to_the_clients_where_it_is_served(project: Project) -> None:
    deploy(project)
    file = project.config.report
    file.write_text('<p><a data-href="/">All</a> <a data-href="/clients/A">A</a> data-href="x"</p>')
    served = create_app(project.config).test_client().get("/report")
    assert " ".join(served.text.split()) == (
        '<p><a href="/">All</a> <a href="/clients/A">A</a> data-href="x"</p>'
    )
    assert len(served.data) == file.stat().st_size == int(served.headers["Content-Length"])


def test_a_link_is_made_wherever_the_pieces_of_a_report_end() -> None:
    text = b'<b>a</b><a data-href="/x"><a data-href="/y">'
    whole = b"".join(linked([text]))
    assert whole.count(b' href="') == 2
    for cut in range(len(text)):
        assert b"".join(linked([text[:cut], text[cut:]])) == whole
        assert b"".join(linked(text[i : i + 1] for i in range(len(text)))) == whole
