"""The short way past Flask: the same answer as the long one, or none of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask, request_started
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given, settings
from werkzeug.test import TestResponse

from app import create_app
from attrition.core.config import Config
from tests.conftest import Project
from tests.support.answers import BUSY, LEAVES, QUIET, problem, strict_json
from tests.support.hostile import BODIES
from tests.support.releases import deploy
from tests.support.serving_projects import serve_ready

# Says what every client says that says nothing; it is only written in another way.
LONG_WAY = {"Accept": "application/json, */*;q=0.1"}
SOUND = {"records": [QUIET, BUSY]}


class Door:
    """An application, and how many requests came as far as Flask."""

    def __init__(self, config: Config) -> None:
        self.app: Flask = create_app(config)
        self.client: FlaskClient = self.app.test_client()
        self.seen = 0
        request_started.connect(self._count, self.app)

    def _count(self, _app: Flask, **_details: object) -> None:
        self.seen += 1

    def ask(self, body: Any, **how: Any) -> tuple[TestResponse, bool]:
        """The answer to a POST /prediction, and whether it came by the long way."""
        before = self.seen
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        asked: dict[str, Any] = {"data": data, "content_type": "application/json"} | how
        return self.client.post("/prediction", **asked), self.seen > before


@pytest.fixture
def door(ready: Project) -> Door:
    return Door(ready.config)


def same(one: TestResponse, other: TestResponse) -> bool:
    return (one.status, sorted(one.headers), one.data) == (
        other.status,
        sorted(other.headers),
        other.data,
    )


@pytest.mark.parametrize(
    "body",
    [
        SOUND,
        {"records": []},
        {"records": [QUIET | {"extra": [1]}], "why": "others are ignored"},
        {"records": [dict.fromkeys(QUIET), dict.fromkeys(QUIET, "7")]},
        b'\n{"records": [] }\n',
    ],
)
def test_what_is_sound_is_answered_at_the_door(door: Door, body: Any) -> None:
    short, came_in = door.ask(body)
    long, came_that_way = door.ask(body, headers=LONG_WAY)
    assert (came_in, came_that_way) == (False, True)
    assert short.status_code == 200
    assert same(short, long)
    strict_json(short)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b"[" * 5000,
        {"records": 7},
        {"records": [7]},
        {"records": [{}]},
        {"records": [QUIET], "filepath": "x.csv"},
        {"filepath": "../x.csv"},
        {"records": [QUIET | {"lastmonth_activity": "many"}]},
        {"records": [QUIET | {"lastmonth_activity": float("nan")}]},
        {"records": [QUIET] * 2000},
    ],
)
def test_what_is_wrong_or_long_is_answered_inside(door: Door, body: Any) -> None:
    short, came_in = door.ask(body)
    assert came_in
    assert same(short, door.ask(body, headers=LONG_WAY)[0])


@pytest.mark.parametrize(
    "how",
    [
        {"query_string": "reasons=1"},
        {"content_type": "application/json; charset=utf-8"},
        {"headers": {"Accept": "text/csv"}},
        {"headers": {"Content-Encoding": "identity"}},
        {"headers": {"Accept": "text/html"}},
    ],
)
def test_what_is_unusual_is_answered_inside(door: Door, how: Any) -> None:
    answer, came_in = door.ask(SOUND, **how)
    assert came_in
    assert answer.status_code == 200
    assert ("reasons" in answer.text) == ("query_string" in how)


def test_other_methods_and_paths_are_answered_inside(door: Door) -> None:
    sound = {"data": json.dumps(SOUND), "content_type": "application/json"}
    problem(door.client.put("/prediction", **sound), 405)
    problem(door.client.post("/prediction/", **sound), 404)
    assert door.seen == 2


def test_any_body_gets_the_same_answer_by_both_ways(door: Door) -> None:
    @settings(
        max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(BODIES)
    @example({"records": [QUIET | {"lastmonth_activity": 10**400}]})
    def ask(body: Any) -> None:
        assert same(door.ask(body)[0], door.ask(body, headers=LONG_WAY)[0])

    ask()


@pytest.mark.parametrize("length", ["", "-1", "x", "\u0663", "1" * 5000])
def test_a_length_that_is_none_goes_inside(door: Door, length: str) -> None:
    _, came_in = door.ask(SOUND, environ_overrides={"CONTENT_LENGTH": length})
    assert came_in


def test_a_body_that_ends_early_is_no_prediction(door: Door) -> None:
    whole = json.dumps({"records": [QUIET]})
    longer = {"CONTENT_LENGTH": str(len(whole) + 1)}
    answer, came_in = door.ask(whole.encode(), environ_overrides=longer)
    assert came_in
    assert "ends before" in problem(answer, 400)


def test_a_stranger_needs_the_token_here_too(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_ready(project)
    stranger = {"environ_base": {"REMOTE_ADDR": "192.0.2.7"}}
    problem(Door(project.config).ask(SOUND, **stranger)[0], 403)
    monkeypatch.setenv("ATTRITION_API_TOKEN", "right")
    door = Door(project.config)
    problem(door.ask(SOUND, **stranger)[0], 401)
    wrong = {"Authorization": "Bearer wrong"}
    problem(door.ask(SOUND, headers=wrong, **stranger)[0], 401)
    right = {"Authorization": "Bearer right"}
    answer, came_in = door.ask(SOUND, headers=right, **stranger)
    assert answer.status_code == 200
    assert not came_in


def test_before_the_first_deployment_the_answer_says_what_to_do(project: Project) -> None:
    answer, came_in = Door(project.config).ask(SOUND)
    assert came_in
    assert "run fullprocess.py" in problem(answer, 503)


def test_a_new_release_is_followed(door: Door, project: Project) -> None:
    before = strict_json(door.ask(SOUND)[0])
    assert before["probabilities"][0] == pytest.approx(LEAVES)
    version = deploy(project, intercept=1.0)
    after, came_in = door.ask(SOUND)
    assert not came_in
    assert strict_json(after)["model_version"] == version != before["model_version"]


def test_both_ways_are_counted_alike(door: Door) -> None:
    def counted() -> dict[str, float]:
        lines = door.client.get("/metrics").text.splitlines()
        found = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in found}

    names = [
        'attrition_requests_total{method="POST",route="/prediction",status="200"}',
        'attrition_request_duration_seconds_count{route="/prediction"}',
        "attrition_predictions_total",
    ]
    counts = []
    for headers in ({}, LONG_WAY, {}):
        before = counted()
        door.ask(SOUND, headers=headers)
        after = counted()
        counts.append([after[name] - before.get(name, 0) for name in names])
    assert counts == [[1, 1, 2]] * 3
