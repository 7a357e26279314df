"""Who may ask: with a token who brings it, by a name that is trusted; without one this machine."""

from __future__ import annotations

import base64
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from types import SimpleNamespace

import pytest
from flask.testing import FlaskClient

from app import create_app
from attrition.web import security
from tests.conftest import Project
from tests.support.releases import deploy

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
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {TOKEN}x",
        f"Token {TOKEN}",
        TOKEN,
        basic(TOKEN),
        basic(f"{TOKEN}:"),
        basic("anybody:wrong"),
        "Basic",
        "Basic !!!",
        "Basic é",
        "Bearer \xff",
        "Basic " + "=" * 9,
    ],
)
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
    [
        ("risk.example", 200),
        ("RISK.example:8443", 200),
        ("evil.example", 400),
        ("", 400),
        ("risk.example.evil.example", 400),
        ("localhost", 400),
    ],
)
def test_strangers_reach_it_by_trusted_names_alone(
    client: FlaskClient, host: str, expected: int
) -> None:
    assert status(client, f"Bearer {TOKEN}", host) == expected


def test_this_machine_needs_the_token_too_and_no_trusted_name(client: FlaskClient) -> None:
    assert client.get("/scoring").status_code == 401
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert client.get("/scoring", headers=headers).status_code == 200


def test_a_machine_that_the_settings_trust_needs_none(
    project: Project, client: FlaskClient
) -> None:
    project.configure(trust_this_machine=True)
    trusting = create_app(project.config).test_client()
    assert trusting.get("/scoring").status_code == 200
    assert trusting.get("/scoring", environ_base=STRANGER).status_code == 401


# --- what counts as this machine --------------------------------------------------------------

THIS_MACHINE = {"REMOTE_ADDR": "127.0.0.1", "REQUEST_METHOD": "GET"}


def test_without_any_name_it_is_this_machine_unless_a_proxy_passed_it_on() -> None:
    """As in HTTP/1.0; a browser, which a rebound name could deceive, always sends one."""
    nameless = {name: value for name, value in THIS_MACHINE.items() if name != "HTTP_HOST"}
    assert security.is_local(nameless)
    assert not security.is_local({**nameless, "REMOTE_ADDR": "192.0.2.7"})
    assert not security.is_local({**nameless, "HTTP_VIA": "1.0 proxy"})


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:8000", "127.0.0.1:1", "[::1]", "[::1]:65535"]
)
def test_its_names_count(host: str) -> None:
    assert security.is_local({**THIS_MACHINE, "HTTP_HOST": host})


@pytest.mark.parametrize(
    "host",
    [
        "",
        "[::1].evil",
        "[::1]evil",
        "[::1",
        "::1",
        "localhost:evil.example",
        "localhost:-1",
        "localhost:+1",
        "localhost: 1",
        "localhost:",
        "localhost:65536",
        "localhost:\u0661",
        "localhost:80:80",
        "localhost.evil.example",
        "evil.example:localhost",
        "localhost\n",
        "localhost,evil.example",
        "a@localhost",
        "127.0.0.1.evil.example",
        "[127.0.0.1]",
    ],
)
def test_what_only_looks_like_them_does_not(host: str) -> None:
    assert not security.is_local({**THIS_MACHINE, "HTTP_HOST": host})


# --- pages of other sites ---------------------------------------------------------------------

BY_A_LINK = {
    "Sec-Fetch-Site": "cross-site",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 200),
        (BY_A_LINK, 200),
        (BY_A_LINK | {"Sec-Fetch-Dest": "iframe"}, 403),
        (BY_A_LINK | {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, 403),
        (BY_A_LINK | {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        (BY_A_LINK | {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, 200),
        (BY_A_LINK | {"Sec-Fetch-Site": "none"}, 200),
    ],
)
def test_they_may_link_to_a_page_and_nothing_else(
    client: FlaskClient, headers: dict[str, str], expected: int
) -> None:
    """With the token, too: a browser sends it along once it has been told."""
    known = headers | {"Authorization": f"Bearer {TOKEN}"}
    assert client.get("/scoring", headers=known).status_code == expected
    if expected == 403:
        assert client.get("/scoring", headers=headers).status_code == 403


def test_a_form_of_another_site_is_refused(client: FlaskClient) -> None:
    headers = BY_A_LINK | {"Authorization": f"Bearer {TOKEN}"}
    answer = client.post("/prediction", headers=headers, json={"records": []})
    assert answer.status_code == 403


# --- who tries tokens -------------------------------------------------------------------------


def test_who_tries_tokens_waits_and_stands_in_the_log(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [1000.0]
    waits: list[float] = []
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=waits.append)
    monkeypatch.setattr(security, "time", clock)

    def try_again(seconds: float, times: int = 1, authorization: str = "Bearer guess") -> None:
        for _ in range(times):
            now[0] += seconds
            assert status(client, authorization) == 401

    try_again(0)
    assert waits == []  # a slip of the pen
    try_again(2, times=3)
    assert waits == []
    try_again(0.1, times=5)
    assert waits == [0.2] * 5
    try_again(0.1, authorization="")  # a browser that has not been asked yet
    assert len(waits) == 5
    assert len(caplog.records) == 1
    try_again(60)
    assert [record.getMessage() for record in caplog.records] == [
        "requests with a wrong token: 1, the last one from 192.0.2.7",
        "requests with a wrong token: 9, the last one from 192.0.2.7",
    ]
    assert "guess" not in caplog.text


def test_a_few_connections_try_no_more_tokens_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once, most = 0, 0

    def wait(_seconds: float) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        pause.wait(0.02)
        at_once -= 1

    pause = threading.Event()
    # Threads of others may sleep, too.
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=wait)
    monkeypatch.setattr(security, "time", clock)
    tokens = security.WrongTokens()
    environ = {"HTTP_AUTHORIZATION": "Bearer guess"}
    threads = [threading.Thread(target=tokens.refused, args=(environ,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == 1


def test_where_too_many_wait_another_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each would hold a connection, for longer than a request may take."""
    waits: list[float] = []
    waited = threading.Event()

    def wait(seconds: float) -> None:
        waits.append(seconds)
        waited.wait(20)

    clock = SimpleNamespace(monotonic=lambda: 1000.0, sleep=wait)
    monkeypatch.setattr(security, "time", clock)
    monkeypatch.setattr(security, "_MOST_WAITING", 3)
    tokens = security.WrongTokens()
    environ = {"HTTP_AUTHORIZATION": "Bearer guess"}
    tokens.refused(environ)  # the first does not wait
    with ThreadPoolExecutor(5) as threads:
        requests = [threads.submit(tokens.refused, environ) for _ in range(5)]
        try:
            answered = as_completed(requests)
            next(answered), next(answered)
            assert sum(request.done() for request in requests) == 2
        finally:
            waited.set()
    assert len(waits) == 3
    tokens.refused(environ)
    assert len(waits) == 4
