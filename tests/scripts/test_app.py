"""The API and the page: right answers, calm errors, nothing written, nothing heavy loaded."""

from __future__ import annotations

import gzip
import http.client
import json
import math
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from app import create_app
from attrition.core import atomic_files
from tests.conftest import REPOSITORY, Project
from tests.support.answers import BUSY, LEAVES, QUIET, problem, strict_json
from tests.support.outcome import stamped_tree
from tests.support.releases import NOW, damage, deploy, live_id
from tests.support.serving_projects import DECISION, DIAGNOSTICS, TABLE, write_records

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def served(project: Project) -> Project:
    """A project with a deployed model, and what a run records."""
    deploy(project)
    write_records(project)
    return project


@pytest.fixture
def client(served: Project) -> FlaskClient:
    return create_app(served.config).test_client()


# --- predictions ------------------------------------------------------------------------------


def test_records_get_predictions_computed_by_hand(client: FlaskClient, served: Project) -> None:
    response = client.post("/prediction", json={"records": [QUIET, BUSY]})
    assert response.status_code == 200
    answer = strict_json(response)
    assert answer["predictions"] == [1, 0]
    assert answer["probabilities"] == pytest.approx([LEAVES, 1 - LEAVES])
    assert answer["threshold"] == 0.5
    assert answer["model_version"] == live_id(served)
    assert response.mimetype == "application/json"


def test_a_csv_body_and_a_named_file_get_the_same_predictions(
    client: FlaskClient, served: Project
) -> None:
    served.write("testdata/testdata.csv", TABLE)
    named = client.post("/prediction", json={"filepath": "testdata/testdata.csv"})
    sent = client.post("/prediction", data=TABLE, content_type="text/csv; charset=utf-8")
    assert strict_json(named)["predictions"] == [1, 0, 1]
    assert strict_json(named) == strict_json(sent)


def test_many_rows_get_the_same_answers_as_one(client: FlaskClient) -> None:
    records = [{**QUIET, "lastmonth_activity": i} for i in range(50)]
    many = strict_json(client.post("/prediction", json={"records": records}))
    for record, probability in zip(records, many["probabilities"], strict=True):
        one = strict_json(client.post("/prediction", json={"records": [record]}))
        assert one["probabilities"] == pytest.approx([probability], abs=1e-12)


def test_no_records_get_no_predictions(client: FlaskClient) -> None:
    answer = strict_json(client.post("/prediction", json={"records": []}))
    assert answer["predictions"] == answer["probabilities"] == []


@pytest.mark.parametrize(
    ("body", "kind", "status", "words"),
    [
        (b"", "application/json", 400, "JSON"),
        (b"{", "application/json", 400, "JSON"),
        (b"[" * 100_000, "application/json", 400, "deep"),
        (b'{"records": [NaN]}', "application/json", 400, "NaN, which is not JSON: write null"),
        (b'{"records": [{"lastmonth_activity": Infinity}]}', "application/json", 400, "Infinity"),
        (b'{"records": [{"x": "NaN", "y": -Infinity}]}', "application/json", 400, "-Infinity"),
        (b'{"records": ["NaN", Nan]}', "application/json", 400, "not valid JSON"),
        (b'{"records": [{"lastmonth_activity": 1e999}]}', "application/json", 400, "JSON"),
        (b'{"records": ' + b"9" * 5000 + b"}", "application/json", 400, "JSON"),
        (b"\xff\xfe{}", "application/json", 400, "JSON"),
        (b"[]", "application/json", 400, "filepath"),
        (b"{}", "application/json", 400, "records"),
        (b'{"records": [], "filepath": "x"}', "application/json", 400, "either"),
        (b'{"records": 5}', "application/json", 400, "list"),
        (b'{"records": [5]}', "application/json", 400, "row 1"),
        (b'{"records": [{}]}', "application/json", 400, "lastmonth_activity"),
        (b'{"filepath": 5}', "application/json", 400, "filepath"),
        (b'{"filepath": "\\ud800.csv"}', "application/json", 400, "JSON"),
        (b"x", "text/csv", 400, "missing"),
        (b"", "text/csv", 400, "empty"),
        (b"{}", "text/plain", 415, "text/csv"),
        (b"{}", None, 415, "application/json"),
        (b"a=1", "application/x-www-form-urlencoded", 415, "application/json"),
        (b"{}", "application/json; charset=latin-1", 415, "UTF-8"),
        (b"x", "text/csv; charset=utf-16", 415, "UTF-8"),
    ],
)
def test_a_wrong_body_is_a_problem_said_in_words(
    client: FlaskClient, body: bytes, kind: str | None, status: int, words: str
) -> None:
    response = client.post("/prediction", data=body, content_type=kind)
    assert words in problem(response, status)


def test_a_compressed_body_is_refused(client: FlaskClient) -> None:
    response = client.post(
        "/prediction",
        data=gzip.compress(b"{}"),
        headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
    )
    assert "compressed" in problem(response, 415)
    for codings, status in (("gzip, chunked", 415), ("chunked", 400)):
        headers = {"Content-Type": "application/json", "Transfer-Encoding": codings}
        response = client.post("/prediction", data=b"{}", headers=headers)
        assert ("compressed" in problem(response, status)) == (status == 415)


def test_a_body_or_a_file_that_is_too_large_is_refused(
    client: FlaskClient, served: Project
) -> None:
    size = 16 * 2**20 + 1
    response = client.post("/prediction", data=b"x" * size, content_type="text/csv")
    assert problem(response, 413) == "the body is larger than 16,777,216 bytes"
    with (served.root / "testdata/large.csv").open("wb") as stream:
        stream.truncate(size)
    problem(client.post("/prediction", json={"filepath": "testdata/large.csv"}), 413)
    rows = "lastmonth_activity,lastyear_activity,number_of_employees\n" + "0,1,9\n" * 200_001
    assert "200,000 rows" in problem(
        client.post("/prediction", data=rows, content_type="text/csv"), 413
    )


@pytest.mark.parametrize(
    "name",
    [
        "../secret.csv",
        "/etc/passwd",
        "/dev/zero",
        "file:///etc/passwd",
        "http://x/y.csv",
        "testdata/link.csv",
        "testdata/gone.csv",
        "testdata/../secret.csv",
        "testdata/\0.csv",
    ],
)
def test_a_file_outside_the_data_folders_is_refused_and_no_path_echoed(
    client: FlaskClient, served: Project, name: str
) -> None:
    served.write("secret.csv", TABLE)
    (served.root / "testdata/link.csv").symlink_to(served.root / "secret.csv")
    response = client.post("/prediction", json={"filepath": name})
    assert response.status_code in (400, 404)
    detail = problem(response, response.status_code)
    assert str(served.root) not in detail
    assert name.strip("./") not in detail


# --- what the pipeline recorded ---------------------------------------------------------------


def test_scoring_is_that_of_the_served_release(client: FlaskClient, served: Project) -> None:
    answer = strict_json(client.get("/scoring"))
    assert answer["f1_score"] == 0.7
    assert answer["f1_interval"] == [0.6, 0.8]
    assert answer["deployed_at"] == NOW
    assert answer["model_version"] == live_id(served)


def test_summarystats_lists_mean_median_and_deviation_of_each_column_in_order(
    client: FlaskClient,
) -> None:
    answer = strict_json(client.get("/summarystats"))
    assert answer["summary_statistics"] == [50.5, 40.0, 12.0, 1234.5, None, None]
    assert answer["by_column"] == DIAGNOSTICS["summary_statistics"]


def test_diagnostics_hold_timings_missing_data_packages_drift_and_decision(
    client: FlaskClient,
) -> None:
    answer = strict_json(client.get("/diagnostics"))
    assert answer["execution_times"] == [1.5, 2.5]  # those of the last decision are newer
    assert answer["missing_data_percentages"] == [1.5, 100.0]
    assert answer["outdated_packages"] == DIAGNOSTICS["packages"]["outdated"]
    assert answer["drift"] == DECISION["drift"]
    assert answer["decision"]["reason"] == DECISION["reason"]
    assert "secret-client-list" not in json.dumps(answer)


def test_records_that_change_are_read_again(client: FlaskClient, served: Project) -> None:
    client.get("/diagnostics")
    path = served.root / "models/decision.json"
    atomic_files.write_json(path, {**DECISION, "verdict": "deployed"})
    assert strict_json(client.get("/diagnostics"))["decision"]["verdict"] == "deployed"
    path.write_text("{ half")
    assert strict_json(client.get("/diagnostics"))["decision"]["verdict"] == "deployed"
    path.unlink()
    assert strict_json(client.get("/diagnostics"))["decision"] is None


def test_numbers_that_json_cannot_say_become_null(project: Project) -> None:
    deploy(project)
    record = {
        **DIAGNOSTICS,
        "summary_statistics": {
            "x": {"mean": math.nan, "median": math.inf, "standard_deviation": 1.0}
        },
    }
    (project.root / "models/diagnostics.json").write_text(json.dumps(record))
    client = create_app(project.config).test_client()
    assert strict_json(client.get("/summarystats"))["summary_statistics"] == [None, None, 1.0]


ROUTES = [
    ("POST", "/prediction"),
    ("GET", "/scoring"),
    ("GET", "/summarystats"),
    ("GET", "/diagnostics"),
]


@pytest.mark.parametrize(("method", "route"), ROUTES)
def test_before_the_first_deployment_the_answer_says_what_to_do(
    project: Project, method: str, route: str
) -> None:
    client = create_app(project.config).test_client()
    body = {"json": {"records": [QUIET]}} if method == "POST" else {}
    detail = problem(client.open(route, method=method, **body), 503)  # type: ignore[arg-type]
    assert "fullprocess.py" in detail
    assert client.get("/health").status_code == 200
    assert "No model is deployed yet" in client.get("/", headers=BROWSER).text


# --- one model at a time ----------------------------------------------------------------------


def test_a_new_release_serves_without_a_restart(client: FlaskClient, served: Project) -> None:
    old = strict_json(client.post("/prediction", json={"records": [QUIET]}))
    version = deploy(served, intercept=-5.0, f1=0.9)
    new = strict_json(client.post("/prediction", json={"records": [QUIET]}))
    assert new["model_version"] == version != old["model_version"]
    assert new["probabilities"] == pytest.approx([1 / (1 + math.exp(3))])
    assert strict_json(client.get("/scoring"))["f1_score"] == 0.9


@pytest.mark.parametrize("name", ["scorecard.json", "scores.json", "trainedmodel.pkl"])
def test_a_damaged_release_is_not_served_the_last_good_one_is(
    client: FlaskClient, served: Project, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    old = strict_json(client.get("/scoring"))
    version = deploy(served, intercept=1.0)
    damage(served.root / "production_deployment/releases" / version, name)
    for _ in range(3):
        assert strict_json(client.get("/scoring")) == old
    assert caplog.text.count("goes on serving") == 1  # not verified again at every request
    third = deploy(served, intercept=2.0)
    assert strict_json(client.get("/scoring"))["model_version"] == third


def test_a_release_damaged_from_the_start_is_a_503_that_names_no_path(served: Project) -> None:
    damage(served.root / "production_deployment/current", "scorecard.json")
    client = create_app(served.config).test_client()
    for method, route in ROUTES[:2]:
        detail = problem(client.open(route, method=method), 503)
        assert "--rollback" in detail
        assert str(served.root) not in detail
    assert strict_json(client.get("/health"))["model_version"] is None
    assert "damaged" in client.get("/", headers=BROWSER).text


def test_what_was_served_goes_on_when_the_deployment_folder_vanishes(
    client: FlaskClient, served: Project
) -> None:
    before = strict_json(client.get("/scoring"))
    shutil.rmtree(served.root / "production_deployment")
    assert strict_json(client.get("/scoring")) == before


# --- who may ask ------------------------------------------------------------------------------

STRANGER = {"REMOTE_ADDR": "192.0.2.7"}


def test_strangers_are_refused_where_no_token_is_configured(client: FlaskClient) -> None:
    detail = problem(client.get("/scoring", environ_base=STRANGER), 403)
    assert "ATTRITION_API_TOKEN" in detail
    headers = {"Authorization": "Bearer "}
    problem(client.get("/scoring", environ_base=STRANGER, headers=headers), 403)


@pytest.mark.parametrize("token", [" s3cret\n", "s3cret\r\n"])
def test_blanks_around_the_token_are_none_of_it(
    served: Project, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    """A line end that a file of secrets brings along cannot stand in a header."""
    monkeypatch.setenv("ATTRITION_API_TOKEN", token)
    client = create_app(served.config).test_client()
    assert client.get("/scoring", headers={"Authorization": "Bearer s3cret"}).status_code == 200
    assert client.get("/scoring", headers={"Authorization": "Bearer "}).status_code == 401
    monkeypatch.setenv(
        "ATTRITION_API_TOKEN", " \n"
    )  # nothing but blanks is no token, nor a password
    client = create_app(served.config).test_client()
    blank = {"Authorization": "Basic OiAK"}
    problem(client.get("/scoring", environ_base=STRANGER, headers=blank), 403)


@pytest.mark.parametrize("given", [None, "Bearer wrong", "Bearer s3cret ", "s3cret", "Bearer é"])
def test_strangers_need_the_right_token(
    served: Project, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    monkeypatch.setenv("ATTRITION_API_TOKEN", "s3cret")
    client = create_app(served.config).test_client()
    headers = {"Authorization": given} if given else {}
    response = client.get("/scoring", environ_base=STRANGER, headers=headers)
    problem(response, 401)
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    right = {"Authorization": "Bearer s3cret"}
    assert client.get("/scoring", environ_base=STRANGER, headers=right).status_code == 200
    assert client.get("/scoring").status_code == 401  # this machine needs it, too
    assert client.get("/scoring", headers=right).status_code == 200


def test_the_page_that_asks_for_the_token_has_its_styles(
    served: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATTRITION_API_TOKEN", "s3cret")
    client = create_app(served.config).test_client()
    page = client.get("/", headers={"Accept": "text/html"})
    assert page.status_code == 401
    styles = re.findall(r'href="(/static/[^"]+)"', page.text)
    assert len(styles) == 3
    for style in styles:
        with client.get(style, environ_base=STRANGER) as response:
            assert response.status_code == 200
        of_another_site = client.get(style, headers={"Sec-Fetch-Site": "cross-site"})
        assert of_another_site.status_code == 403


@pytest.mark.parametrize(
    ("address", "headers", "allowed"),
    [
        ("127.0.0.1", {}, True),
        ("127.8.8.8", {"Host": "127.0.0.1:8000"}, True),
        ("::1", {"Host": "[::1]:8000"}, True),
        ("::ffff:127.0.0.1", {"Host": "LOCALHOST"}, True),
        ("::ffff:192.0.2.7", {}, False),
        ("", {}, False),
        ("no address", {}, False),
        ("127.0.0.1", {"X-Forwarded-For": "192.0.2.7"}, False),
        ("127.0.0.1", {"Forwarded": "for=192.0.2.7"}, False),
        ("127.0.0.1", {"Via": "1.1 proxy"}, False),
        ("127.0.0.1", {"X-Real-IP": "192.0.2.7"}, False),
        ("127.0.0.1", {"X-Forwarded-Host": "localhost"}, False),
        ("127.0.0.1", {"X-Forwarded-Proto": "https"}, False),
        ("127.0.0.1", {"Host": "rebound.example"}, False),
        ("127.0.0.1", {"Host": "rebound.example:8000"}, False),
    ],
)
def test_only_this_machine_is_loopback(
    client: FlaskClient, address: str, headers: dict[str, str], allowed: bool
) -> None:
    response = client.get("/health", environ_base={"REMOTE_ADDR": address}, headers=headers)
    assert response.status_code == (200 if allowed else 403)


@pytest.mark.parametrize(
    ("method", "route", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/docs", 200),
        ("GET", "/health", 200),
        ("GET", "/nowhere", 404),
        ("GET", "/prediction", 405),
        ("DELETE", "/scoring", 405),
        ("GET", "/static/page.css", 200),
    ],
)
def test_every_answer_carries_the_security_headers(
    client: FlaskClient, method: str, route: str, status: int
) -> None:
    response = client.open(route, method=method, buffered=True)
    assert response.status_code == status
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in response.headers.getlist("Cache-Control")
    is_page = response.mimetype == "text/html"
    assert response.headers.get("X-Frame-Options") == ("DENY" if is_page else None)
    assert response.headers.get("Referrer-Policy") == ("no-referrer" if is_page else None)
    if status >= 400:
        problem(response, status)
    if status == 405:
        assert response.headers["Allow"]


def test_a_bug_is_a_500_without_a_word_about_it(served: Project) -> None:
    """Also where FLASK_DEBUG is set: debug mode cannot be switched on by accident."""
    code = (
        "import os; os.environ['FLASK_DEBUG'] = '1'\n"
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; from app import create_app\n"
        "from attrition.core.config_parsing import load_config\n"
        "app = create_app(load_config(Path(sys.argv[2])))\n"
        "def bug(): raise RuntimeError('a secret')\n"
        "app.add_url_rule('/bug', view_func=bug)\n"
        "response = app.test_client().get('/bug')\n"
        "print(app.debug, response.status_code, response.mimetype, response.text)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, REPOSITORY, served.config_path],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    assert done.stdout.startswith("False 500 application/problem+json")
    assert "a secret" not in done.stdout
    assert "a secret" in done.stderr  # the log knows


# --- the process ------------------------------------------------------------------------------


def test_get_requests_write_nothing(client: FlaskClient, served: Project) -> None:
    client.get("/", headers=BROWSER)
    before = stamped_tree(served.root)
    for route in ("/", "/scoring", "/summarystats", "/diagnostics", "/health", "/nowhere"):
        client.get(route)
        client.head(route)
    client.post("/prediction", json={"records": [QUIET]})
    assert stamped_tree(served.root) == before


def test_serving_loads_no_heavy_library_and_no_pickle(served: Project) -> None:
    """The release's pickle aborts the process that loads it; this one lives."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from wsgi import app\n"
        "client = app.test_client()\n"
        "for route in ('/', '/scoring', '/summarystats', '/diagnostics', '/health'):\n"
        "    assert client.get(route).status_code == 200, route\n"
        f"answer = client.post('/prediction', json={{'records': [{QUIET}]}})\n"
        "assert answer.status_code == 200, answer.text\n"
        "heavy = 'pandas sklearn matplotlib duckdb seaborn scipy joblib'.split()\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    environment = os.environ | {"ATTRITION_CONFIG": str(served.config_path)}
    done = subprocess.run(
        [sys.executable, "-c", code, REPOSITORY],
        capture_output=True,
        text=True,
        cwd="/",
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.fixture
def address(served: Project) -> Iterator[tuple[str, int]]:
    """A real server of the application on a port of its own."""
    server = make_server("127.0.0.1", 0, create_app(served.config), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield "127.0.0.1", server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def call(address: tuple[str, int], send: Callable[[http.client.HTTPConnection], None]) -> int:
    connection = http.client.HTTPConnection(*address, timeout=30)
    try:
        send(connection)
        return connection.getresponse().status
    finally:
        connection.close()


def test_over_a_real_socket_a_body_without_a_length_is_read_or_refused(
    address: tuple[str, int],
) -> None:
    """Also by the server that `python app.py` is."""
    records = json.dumps({"records": [QUIET]}).encode()

    def chunked(body: bytes) -> Callable[[http.client.HTTPConnection], None]:
        headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
        return lambda connection: connection.request(
            "POST", "/prediction", iter([body]), headers, encode_chunked=True
        )

    assert call(address, chunked(records)) == 200
    assert call(address, chunked(records.ljust(16 * 2**20))) == 200
    assert call(address, chunked(records.ljust(16 * 2**20 + 1))) == 413


def test_app_py_serves_on_this_machine_alone(served: Project) -> None:
    process = subprocess.Popen(
        [*served.command("app.py"), "--port", "0"],
        cwd="/",
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "Running on" in line)
        port = int(line.rsplit(":", 1)[1])
        status = call(("127.0.0.1", port), lambda c: c.request("GET", "/health"))
        assert status == 200
        assert "http://127.0.0.1:" in line
    finally:
        process.terminate()
        process.wait(10)
        assert process.stderr is not None
        process.stderr.close()
