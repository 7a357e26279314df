"""Who may ask: this machine; anybody else with the token, by a name that is trusted."""

from __future__ import annotations

import base64

import pytest
from flask.testing import FlaskClient

from app import create_app
from tests.conftest import Project
from tests.releases import deploy

STRANGER = {"REMOTE_ADDR": "192.0.2.7"}
TOKEN = "s3cret"


@pytest.fixture
def client(project: Project, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.setenv("ATTRITION_API_TOKEN", TOKEN)
    project.configure(trusted_hosts=["Risk.Example"])
    deploy(project)
    return create_app(project.config).test_client()


def status(client: FlaskClient, authorization: str = "", host: str = "risk.example") -> int:
    headers = {"Host": host} | ({"Authorization": authorization} if authorization else {})
    return client.get("/scoring", environ_base=STRANGER, headers=headers).status_code


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "given", [f"Bearer {TOKEN}", f"bearer {TOKEN}", basic(f"anybody:{TOKEN}"), basic(f":{TOKEN}")]
)
def test_the_token_opens_as_bearer_and_as_a_password(client: FlaskClient, given: str) -> None:
    assert status(client, given) == 200


@pytest.mark.parametrize(
    "given",
    ["", "Bearer", "Bearer ", "Bearer wrong", f"Bearer {TOKEN}x", f"Token {TOKEN}", TOKEN,
     basic(TOKEN), basic(f"{TOKEN}:"), basic("anybody:wrong"), "Basic", "Basic !!!", "Basic é",
     "Bearer \xff", "Basic " + "=" * 9],
)  # fmt: skip
def test_anything_else_does_not(client: FlaskClient, given: str) -> None:
    assert status(client, given) == 401


def test_a_browser_is_asked_for_a_password(client: FlaskClient) -> None:
    headers = {"Host": "risk.example", "Accept": "text/html"}
    response = client.get("/", environ_base=STRANGER, headers=headers)
    assert response.status_code == 401
    challenges = response.headers.getlist("WWW-Authenticate")
    assert [challenge.split()[0] for challenge in challenges] == ["Bearer", "Basic"]
    assert response.mimetype == "text/html"


@pytest.mark.parametrize(
    ("host", "expected"),
    [("risk.example", 200), ("RISK.example:8443", 200), ("evil.example", 400), ("", 400),
     ("risk.example.evil.example", 400), ("localhost", 400)],
)  # fmt: skip
def test_strangers_reach_it_by_trusted_names_alone(
    client: FlaskClient, host: str, expected: int
) -> None:
    assert status(client, f"Bearer {TOKEN}", host) == expected


def test_this_machine_needs_neither(client: FlaskClient) -> None:
    assert client.get("/scoring").status_code == 200
