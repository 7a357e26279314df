"""Alive and ready are two things; a damaged release is said."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from app import create_app
from tests.conftest import REPOSITORY, Project
from tests.support.answers import problem, strict_json
from tests.support.releases import damage, deploy, live_id


@pytest.fixture
def client(project: Project) -> FlaskClient:
    return create_app(project.config).test_client()


def test_alive_before_the_first_model_ready_after_it(client: FlaskClient, project: Project) -> None:
    assert strict_json(client.get("/health"))["model_version"] is None
    assert "fullprocess.py" in problem(client.get("/ready"), 503)
    version = deploy(project)
    ready = strict_json(client.get("/ready"))
    assert ready == {
        "status": "ready",
        "model_version": version,
        "damaged_release": None,
        "detail": None,
    }
    assert strict_json(client.get("/health"))["model_version"] == version


def test_a_damaged_release_is_said_while_the_last_good_one_serves(
    client: FlaskClient, project: Project
) -> None:
    good = deploy(project)
    client.get("/ready")
    bad = deploy(project, intercept=1.0)
    damage(project.root / "production_deployment/releases" / bad, "scorecard.json")
    ready = strict_json(client.get("/ready"))
    assert (ready["status"], ready["model_version"]) == ("degraded", good)
    assert ready["damaged_release"] == bad
    assert "--rollback" in ready["detail"]
    assert "attrition_release_damaged 1.0" in client.get("/metrics").text
    third = deploy(project, intercept=2.0)
    assert strict_json(client.get("/ready"))["model_version"] == third
    assert strict_json(client.get("/ready"))["damaged_release"] is None
    assert "attrition_release_damaged 0.0" in client.get("/metrics").text


def test_a_server_that_begins_at_a_damaged_release_serves_the_one_before(project: Project) -> None:
    """All workers answer alike, whether they were there before or not."""
    good = deploy(project)
    bad = deploy(project, intercept=1.0)
    damage(project.root / "production_deployment/releases" / bad, "scorecard.json")
    client = create_app(project.config).test_client()
    ready = strict_json(client.get("/ready"))
    assert (ready["model_version"], ready["damaged_release"]) == (good, bad)


def test_a_damaged_ranking_is_said_while_predictions_go_on(
    client: FlaskClient, project: Project
) -> None:
    deploy(project)
    project.config.client_book.write_bytes(b"not a book")
    ready = strict_json(client.get("/ready"))
    assert (ready["status"], ready["damaged_release"]) == ("degraded", None)
    assert "python reporting.py" in ready["detail"]
    assert str(project.root) not in ready["detail"]


def test_with_no_sound_release_it_is_not_ready(client: FlaskClient, project: Project) -> None:
    version = deploy(project)
    damage(project.root / "production_deployment/releases" / version, "scorecard.json")
    assert "--rollback" in problem(client.get("/ready"), 503)
    assert "attrition_model_loaded 0.0" in client.get("/metrics").text
    assert live_id(project) == version


def test_the_version_is_that_of_the_project(client: FlaskClient) -> None:
    (expected,) = re.findall(
        r'^version = "(.*)"$', (REPOSITORY / "pyproject.toml").read_text(), re.M
    )
    assert client.get("/version").text == expected
    assert client.get("/openapi.json").json["info"]["version"] == expected  # type: ignore[index]
    assert client.get("/", headers={"Accept": "application/json"}).json["version"] == expected  # type: ignore[index]
