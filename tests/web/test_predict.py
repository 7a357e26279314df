"""Predictions in every form that is asked for: reasons, points, CSV, and MLflow's protocol."""

from __future__ import annotations

import csv
import io
import json
import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from flask import Response
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app import create_app
from attrition.model.scorecard import Scorecard
from attrition.model.terms import CategoricalTerm, LevelAxis
from attrition.web import feature_parsing, predict, threads
from tests.conftest import Project
from tests.support.answers import BUSY, LEAVES, QUIET, problem, strict_json
from tests.support.releases import deploy
from tests.support.servers import ask, gunicorn
from tests.support.serving_projects import FEATURES, TABLE


def test_reasons_come_in_words_strongest_first(client: FlaskClient) -> None:
    body = {"records": [QUIET, BUSY]}
    answer = strict_json(client.post("/prediction?reasons=2", json=body))
    assert answer["reasons"] == [
        ["lastmonth_activity is 0, below 50: raises the risk strongly"],
        [],
    ]
    assert "contributions" not in answer
    assert "reasons" not in strict_json(client.post("/prediction", json=body))


@pytest.mark.parametrize("headers", [{}, {"Accept": "application/json, */*;q=0.1"}])
def test_a_whole_number_is_the_level_of_that_name_in_any_form(
    project: Project, headers: dict[str, str]
) -> None:
    """JSON has one number 1 and Python two: a client's 1.0 is the level "1", not an unknown one."""
    plan = CategoricalTerm("plan", LevelAxis(("0", "1")), (-1.0, 3.0, 0.0), "0", 0.0)
    deploy(project, card=Scorecard(0.0, 0.5, (), (plan,), ()))
    client = create_app(project.config).test_client()
    for value in (1, 1.0, "1"):
        body: Any = {"records": [{"plan": value}]}
        answer = strict_json(client.post("/prediction", json=body, headers=headers))
        assert answer["probabilities"] == pytest.approx([1 / (1 + math.exp(-3))])
    split = {"dataframe_split": {"columns": ["plan"], "data": [[1.0], [0.0], [None]]}}
    assert strict_json(client.post("/invocations", json=split))["predictions"] == [1, 0, 1]


def test_contributions_add_up_to_the_log_odds(client: FlaskClient) -> None:
    """What a what-if needs: the points of every term, and what they are measured from."""
    answer = strict_json(
        client.post("/prediction?contributions=true", json={"records": [QUIET, BUSY]})
    )
    assert answer["average_log_odds"] == 0.0
    assert answer["log_odds"] == pytest.approx([2.0, -2.0])
    for points, log_odds in zip(answer["contributions"], answer["log_odds"], strict=True):
        assert [item["points"] for item in points] == pytest.approx([log_odds, 0, 0])
        assert points[0]["term"] == "lastmonth_activity"
        assert points[0]["columns"] == ["lastmonth_activity"]
    assert answer["contributions"][0][0]["values"] == [0]


@pytest.mark.parametrize(
    "query",
    [
        "reasons=-1",
        "reasons=21",
        "reasons=x",
        "reasons=",
        "reasons=1&reasons=2",
        "reasons=1.0",
        "contributions=1",
        "contributions=",
        "reasons=%D9%A1",
    ],
)
def test_a_wrong_parameter_is_named(client: FlaskClient, query: str) -> None:
    detail = problem(client.post(f"/prediction?{query}", json={"records": [QUIET]}), 400)
    assert detail.startswith(query.partition("=")[0])


def test_csv_is_answered_to_who_accepts_that(client: FlaskClient, project: Project) -> None:
    response = client.post(
        "/prediction?reasons=2", data=TABLE, content_type="text/csv", headers={"Accept": "text/csv"}
    )
    assert response.content_type == "text/csv; charset=utf-8"
    assert response.headers["Model-Version"].startswith("000001-")
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert [row["prediction"] for row in rows] == ["1", "0", "1"]
    assert float(rows[0]["probability"]) == pytest.approx(LEAVES)
    assert rows[0]["reason_1"] == "lastmonth_activity is 0, below 50: raises the risk strongly"
    assert rows[1]["reason_1"] == rows[0]["reason_2"] == ""
    both = client.post(
        "/prediction", json={"records": [QUIET]}, headers={"Accept": "application/json, text/csv"}
    )
    assert both.mimetype == "application/json"


def test_a_formula_in_a_reason_is_inert(project: Project) -> None:
    """A column may be called anything; it stands first in its reason."""
    column = "=cmd()"
    project.configure(numeric_columns=[column])
    deploy(project)
    release = next((project.root / "production_deployment/releases").iterdir())
    text = (release / "scorecard.json").read_text().replace("lastmonth_activity", column)
    folder = project.root / "candidate"
    (folder / "scorecard.json").write_text(text)
    from attrition.core import releases

    releases.publish_release(
        project.root / "production_deployment",
        {name: folder / name for name in releases.RELEASE_FILES},
        {},
    )
    client = create_app(project.config).test_client()
    record = {**QUIET, column: 0}
    response = client.post(
        "/prediction?reasons=1", json={"records": [record]}, headers={"Accept": "text/csv"}
    )
    (row,) = csv.DictReader(io.StringIO(response.text))
    assert row["reason_1"].startswith("'=cmd() is 0")


def test_too_many_rows_are_refused(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "MAXIMUM_EXPLAINED_ROWS", 2)
    monkeypatch.setattr(predict, "MAXIMUM_ROWS", 3)
    records = [QUIET] * 3
    assert client.post("/prediction", json={"records": records}).status_code == 200
    for query in ("reasons=1", "contributions=true"):
        detail = problem(client.post(f"/prediction?{query}", json={"records": records}), 413)
        assert "at most 2 rows" in detail
    problem(client.post("/prediction", json={"records": [*records, BUSY]}), 413)


@pytest.mark.parametrize("path", ["/prediction", "/invocations"])
def test_a_body_of_far_too_many_lists_is_refused_before_it_is_decoded(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """No other thread gets its turn while JSON is decoded."""
    monkeypatch.setattr(feature_parsing, "_loaded", lambda _body: pytest.fail("it was decoded"))
    keys = b"{" + b'"1":1,' * 100_000 + b'"1":1}'
    assert client.post(path, data=keys, content_type="application/json").status_code == 413
    for piece in (b"[],", b"{},", b"[" * 900 + b"]" * 900 + b","):
        rows = piece * (2 * predict.MAXIMUM_ROWS // max(piece.count(b"["), 1) + 1)
        body = b'{"records": [' + rows + b"[]]}"
        answer = client.post(path, data=body, content_type="application/json")
        assert answer.status_code == 413
        assert "expected at most 200,000 rows" in answer.get_json()["detail"]


def test_contributions_are_refused_as_csv(client: FlaskClient) -> None:
    body, accept = {"records": [QUIET]}, {"Accept": "text/csv"}
    answer = client.post("/prediction?contributions=true", json=body, headers=accept)
    assert "in JSON alone" in problem(answer, 400)


def test_of_a_faulty_file_no_value_is_shown(client: FlaskClient, project: Project) -> None:
    project.write("testdata/faulty.csv", f"{','.join(QUIET)}\n1,2,secret\n")
    answer = client.post("/prediction", json={"filepath": "testdata/faulty.csv"})
    assert problem(answer, 400).endswith("'number_of_employees': expected a number")


@pytest.mark.parametrize(
    ("key", "is_apart"),
    [("filepath", True), (r"\u0066ilepath", True), (r"file\u0070ath", True), ("records", False)],
)
def test_what_names_a_file_is_computed_apart_however_it_is_written(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, key: str, is_apart: bool
) -> None:
    """A long file computed beside the other requests of a worker would hold them up."""
    apart: list[object] = []

    def compute(work: Callable[[], object]) -> object:
        apart.append(work)
        return work()

    monkeypatch.setattr(threads, "apart", compute)
    body = f'{{"{key}": ["K\\u00f6ln"]}}'
    problem(client.post("/prediction", data=body, content_type="application/json"), 400)
    assert len(apart) == is_apart


# --- how many are held at once ----------------------------------------------------------------

BAD_TABLE = TABLE.replace("number_of_employees", "employees")


class Impatient(threading.Semaphore):
    """Where one would have to wait the time is over, as under gunicorn after its time limit."""

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        if not super().acquire(blocking=False):
            raise TimeoutError
        return True


@pytest.mark.parametrize("accepted", ["text/csv", "application/json"])
@pytest.mark.parametrize("path", ["/prediction", "/invocations"])
def test_a_long_answer_counts_until_it_is_sent(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, path: str, accepted: str
) -> None:
    monkeypatch.setattr(predict, "LONG_BYTES", 100)
    monkeypatch.setattr(predict, "_long_answers", Impatient(1))

    def post(body: str) -> TestResponse:
        headers = {"Accept": accepted}
        return client.post(path, data=body, content_type="text/csv", headers=headers)

    for _ in range(2):
        assert post(BAD_TABLE).status_code == 400
        being_read = post(TABLE)
        assert being_read.status_code == 200
        assert post(TABLE).status_code == 503
        assert post(TABLE.partition("Bolt")[0]).status_code == 200  # a short one
        being_read.close()


def test_a_long_answer_that_is_not_sent_no_longer_counts(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fails after the answer is made has another answer sent in its place."""

    def fail(_response: Response) -> Response:
        raise OSError("no space left for the counts")

    monkeypatch.setattr(predict, "LONG_BYTES", 100)
    monkeypatch.setattr(predict, "_long_answers", Impatient(1))
    hooks = {None: [fail]}
    with monkeypatch.context() as broken:
        broken.setattr(client.application, "after_request_funcs", hooks)
        broken.setitem(client.application.config, "PROPAGATE_EXCEPTIONS", False)
        assert client.post("/prediction", data=TABLE, content_type="text/csv").status_code == 500
    assert client.post("/prediction", data=TABLE, content_type="text/csv").status_code == 200


def test_a_data_file_counts_as_long(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "_long_answers", Impatient(0))
    problem(client.post("/prediction", json={"filepath": "testdata/x.csv"}), 503)


def test_a_large_body_that_waits_too_long_is_to_be_sent_again(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not late: 408 would say so."""
    monkeypatch.setattr(predict, "_LARGE_BYTES", 100)
    monkeypatch.setattr(predict, "_large_bodies", Impatient(1))
    for body, status in ((TABLE, 200), (BAD_TABLE, 400), (TABLE, 200)):
        assert client.post("/prediction", data=body, content_type="text/csv").status_code == status
    monkeypatch.setattr(predict, "_large_bodies", Impatient(0))
    assert "ask again" in problem(
        client.post("/prediction", data=TABLE, content_type="text/csv"), 503
    )


# --- MLflow's scoring protocol ----------------------------------------------------------------

NAMES, VALUES = list(QUIET), [list(QUIET.values()), list(BUSY.values())]


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": NAMES, "data": VALUES}},
        {
            "dataframe_split": {
                "index": [0, 1],
                "columns": NAMES[::-1],
                "data": [row[::-1] for row in VALUES],
            }
        },
        {"dataframe_split": {"columns": ["x", *NAMES], "data": [["a", *row] for row in VALUES]}},
        {"dataframe_records": [QUIET, {"extra": 1, **BUSY}]},
        {"instances": [QUIET, BUSY]},
        {"instances": VALUES},
        {"inputs": VALUES},
        {"inputs": [QUIET, BUSY]},
        {"inputs": dict(zip(NAMES, map(list, zip(*VALUES, strict=True)), strict=True))},
        {"inputs": VALUES, "params": {"anything": 1}},
    ],
)
def test_every_documented_form_gets_the_same_predictions(
    client: FlaskClient, body: dict[str, Any]
) -> None:
    for kind in ("application/json", "application/json; charset=utf-8"):
        response = client.post("/invocations", data=json.dumps(body), content_type=kind)
        assert response.status_code == 200, response.text
        assert strict_json(response) == {"predictions": [1, 0]}


@pytest.mark.parametrize("kind", ["text/csv", "text/csv; charset=utf-8"])
def test_csv_gets_them_too(client: FlaskClient, kind: str) -> None:
    response = client.post("/invocations", data=TABLE, content_type=kind)
    assert strict_json(response) == {"predictions": [1, 0, 1]}


@pytest.mark.slow
def test_a_missing_value_as_the_client_of_mlflow_writes_it(project: Project) -> None:
    """The bytes that its ScoringServerClient 3.17 sends for a table with gaps, over HTTP."""
    names, rows = ["segment", *NAMES], [["NaN", np.nan, 1, 9.0], [None, 100.0, 1, np.nan]]
    table = pd.DataFrame(rows, columns=names)
    body = json.dumps({"dataframe_split": table.to_dict(orient="split")}).encode()
    assert body == (
        b'{"dataframe_split": {"index": [0, 1], "columns": ["segment", "lastmonth_activity", '
        b'"lastyear_activity", "number_of_employees"], "data": [["NaN", NaN, 1, 9.0], '
        b"[NaN, 100.0, 1, NaN]]}}"
    )
    deploy(project)
    records = json.loads(table.to_json(orient="records"))
    assert records[0]["lastmonth_activity"] is None
    with gunicorn(project) as port:
        status, _, answer = ask(port, "/invocations", body)
        wanted = ask(port, "/invocations", {"dataframe_records": records})
    assert (status, answer) == (wanted[0], wanted[2]) == (200, b'{"predictions":[1,0]}')


@pytest.mark.parametrize("word", ["Infinity", "-Infinity"])
def test_an_infinite_number_is_none_and_is_named(client: FlaskClient, word: str) -> None:
    body = f'{{"instances": [[NaN, 1, {word}]]}}'
    answer = client.post("/invocations", data=body, content_type="application/json")
    assert answer.status_code == 400
    assert f"holds {word}, which is not JSON" in strict_json(answer)["message"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "exactly one of dataframe_split"),
        ([], "exactly one of"),
        ({"inputs": VALUES, "instances": VALUES}, "exactly one of"),
        ({"inputs": 5}, "list"),
        ({"inputs": [5]}, "row 1"),
        ({"inputs": [[1]]}, "row 1: expected 3 values"),
        ({"inputs": {}}, "lastmonth_activity"),
        ({"inputs": dict.fromkeys(NAMES, 1)}, "a list of values"),
        ({"inputs": {name: [1] * n for n, name in enumerate(NAMES)}}, "as many values"),
        ({"instances": [[1, 2, "x"]]}, "'number_of_employees'"),
        ({"dataframe_records": VALUES}, "row 1: expected an object"),
        ({"dataframe_records": [{}]}, "'lastmonth_activity' is missing"),
        ({"dataframe_split": []}, "columns and data"),
        ({"dataframe_split": {"columns": "x", "data": []}}, "columns: expected a list"),
        ({"dataframe_split": {"columns": ["a"], "data": []}}, "'lastmonth_activity' is missing"),
        ({"dataframe_split": {"columns": [*NAMES, NAMES[1]], "data": []}}, "more than once"),
    ],
)
def test_what_cannot_be_read_is_a_400_that_says_why(
    client: FlaskClient, body: Any, words: str
) -> None:
    response = client.post("/invocations", json=body)
    answer = strict_json(response)
    assert response.status_code == answer["status"] == 400
    assert words in answer["detail"]
    # What speaks MLflow's protocol looks here.
    assert (answer["error_code"], answer["message"]) == ("BAD_REQUEST", answer["detail"])


def test_ping_and_version_answer_as_mlflow_asks(client: FlaskClient) -> None:
    ping, version = client.get("/ping"), client.get("/version")
    assert (ping.status_code, ping.text) == (200, "\n")
    assert (version.status_code, version.mimetype) == (200, "text/plain")


def test_before_the_first_deployment_ping_says_not_yet(project: Project) -> None:
    problem(create_app(project.config).test_client().get("/ping"), 503)


def test_the_columns_of_the_tests_are_those_of_the_model() -> None:
    assert tuple(NAMES) == FEATURES
    assert math.isclose(LEAVES, 0.8808, abs_tol=1e-4)
