"""Requests that mean no good, or know no better: every answer is one that the API describes.

Random bytes, tables, JSON and headers; and sound tables spoiled in ways that must not matter.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from app import create_app
from tests.conftest import REPOSITORY, Project
from tests.support.answers import strict_json
from tests.support.hostile import BODIES, CELLS, NAMES
from tests.support.serving_projects import FEATURES, TABLE

POSTS = ("/prediction", "/invocations")
# One project and one application for all examples: no request changes them.
FUZZED = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def described(client: FlaskClient) -> dict[str, set[int]]:
    """Path -> the statuses that its POST, else its GET, may answer with."""
    paths = strict_json(client.get("/openapi.json"))["paths"]
    return {
        path: {int(status) for status in (item.get("post") or item["get"])["responses"]}
        for path, item in paths.items()
    }


def check(response: TestResponse, statuses: set[int]) -> Any:
    """An answer is good, or a problem document of the stable shape; it never tells of the inside.

    Returns:
        The answer, decoded.
    """
    assert response.status_code in statuses, (response.status_code, response.data[:500])
    answer = strict_json(response)
    if response.status_code == 200:
        return answer
    assert response.mimetype == "application/problem+json"
    assert answer.keys() - {"error_code", "message"} == {"type", "title", "status", "detail"}
    assert answer["status"] == response.status_code
    assert len(answer["detail"]) < 500
    inside = re.compile(r"Traceback|File \"|\.py\b.*line|site-packages|object at 0x")
    assert not inside.search(response.text)
    assert str(REPOSITORY) not in response.text
    return answer


# --- bodies -----------------------------------------------------------------------------------

TABLES = st.builds(
    lambda header, rows, end: end.join(",".join(row) for row in [header, *rows]),
    st.one_of(st.permutations([*FEATURES, "x"]), st.lists(NAMES, max_size=5)),
    st.lists(st.lists(CELLS, max_size=5), max_size=4),
    st.sampled_from(["\n", "\r\n", "\r", "\n\n"]),
)
ENCODED = st.one_of(
    st.binary(max_size=60),
    st.builds(
        str.encode,
        TABLES,
        st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
        st.just("surrogatepass"),
    ),
)


@pytest.mark.parametrize("path", POSTS)
def test_any_bytes_as_csv_get_an_answer_that_is_described(
    client: FlaskClient, described: dict[str, set[int]], path: str
) -> None:
    @FUZZED
    @given(ENCODED)
    @example(b"\xef\xbb\xbf")
    @example(b"\n" * 50)
    @example(b'"' * 51)
    @example(b"," * 5000 + b"\n")
    def ask(body: bytes) -> None:
        answer = check(client.post(path, data=body, content_type="text/csv"), described[path])
        assert len(answer.get("predictions", ())) <= body.count(b"\n") + body.count(b"\r")

    ask()


@pytest.mark.parametrize("path", POSTS)
def test_any_json_gets_an_answer_that_is_described(
    client: FlaskClient, described: dict[str, set[int]], path: str
) -> None:
    @FUZZED
    @given(BODIES)
    def ask(body: Any) -> None:
        text = json.dumps(body)  # NaN and Infinity among them, and halves of characters
        response = client.post(path, data=text, content_type="application/json")
        check(response, described[path])

    ask()


@pytest.mark.parametrize("depth", [10, 1000, 100_000, 1_000_000])
@pytest.mark.parametrize("form", ['{"records":%s}', '{"inputs":%s}', '{"filepath":%s}', "%s"])
def test_json_of_any_depth_gets_an_answer_that_is_described(
    client: FlaskClient, described: dict[str, set[int]], depth: int, form: str
) -> None:
    for begin, end in (("[", "]"), ('{"a":', "}")):
        nested = form % (begin * depth + "1" + end * depth)
        for path in POSTS:
            response = client.post(path, data=nested, content_type="application/json")
            status = check(response, described[path])["status"]
            assert status == (400 if depth <= 100_000 else 413)


TOKENS = st.one_of(
    st.sampled_from(
        [
            "application/json",
            "text/csv",
            "text/html",
            "*/*",
            "identity",
            "gzip",
            "text/csv;q=0",
            "application/json;q=nan",
            "bytes=0-1",
            "localhost",
            "text/csv; charset=",
            'text/csv; charset="',
            "Basic ====",
            "Bearer \xff",
        ]
    ),
    st.text(
        st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=20
    ),
)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "Accept",
            "Content-Type",
            "Content-Encoding",
            "Accept-Encoding",
            "Host",
            "Authorization",
            "X-Forwarded-For",
            "Range",
            "Cookie",
            "Expect",
            "Accept-CH",
            "If-None-Match",
            "If-Modified-Since",
            "X-HTTP-Method-Override",
        ]
    ),
    TOKENS,
    max_size=4,
)


def test_no_header_makes_another_answer_than_described(
    client: FlaskClient, described: dict[str, set[int]]
) -> None:
    """Those of `/prediction` and of `/clients`; what is no JSON is one of the other kinds."""

    @FUZZED
    @given(HEADERS)
    def ask(headers: dict[str, str]) -> None:
        for path, data in (("/prediction", TABLE), ("/clients", None)):
            method = "GET" if data is None else "POST"
            response = client.open(path, method=method, data=data, headers=headers)
            if "json" in str(response.mimetype):
                check(response, described[path] | {400})
            else:
                assert response.status_code in described[path] | {400}
                assert response.mimetype in ("text/csv", "text/html")

    ask()


PARAMETERS = [
    "page",
    "per_page",
    "tier",
    "q",
    "sort",
    "format",
    "client",
    "reasons",
    "contributions",
    "limit",
    "else",
]
ODD = [
    "1",
    "0",
    "-1",
    "high",
    "high,low",
    ",",
    "place",
    "csv",
    "true",
    "\u0661",
    "1" * 5000,
    "\0",
    "'",
    "%",
    "..",
    "Busy",
]
QUERIES = st.lists(
    st.tuples(st.sampled_from(PARAMETERS), st.sampled_from(ODD) | st.text(max_size=4)), max_size=4
)


@pytest.mark.parametrize("path", ["/clients", "/history", "/prediction", "/clients/Busy"])
def test_any_query_gets_an_answer_that_is_described(
    client: FlaskClient, described: dict[str, set[int]], path: str
) -> None:
    method = "POST" if path == "/prediction" else "GET"
    statuses = described.get(path) or described["/clients/{client}"]

    def ask(query: list[tuple[str, str]]) -> None:
        body: dict[str, Any] = {"json": {"records": []}} if method == "POST" else {}
        pairs = [(name, value.encode("utf-8", "replace")) for name, value in query]
        response = client.open(path, method=method, query_string=urlencode(pairs), **body)
        if response.mimetype == "text/csv":
            assert response.status_code == 200
        else:
            check(response, statuses)

    for name, value in itertools.product(PARAMETERS, ODD):
        ask([(name, value)])
    FUZZED(given(QUERIES)(ask))()


# --- what must not matter ---------------------------------------------------------------------

NUMBERS = st.one_of(st.none(), st.integers(-(10**6), 10**6), st.floats(-1e6, 1e6))


@st.composite
def spoiled(draw: st.DrawFn, rows: list[list[float | None]]) -> bytes:
    """The rows as CSV, in one of the many ways that say the same."""
    names = [*FEATURES, *draw(st.sets(st.sampled_from(["x", "\u00e9t\u00e9", "a b", "=1"])))]
    order = draw(st.permutations(names))
    extra = draw(st.sampled_from(["", "Acme", "a,b", 'say "no"', "two\nlines", "\u00d6l"]))
    table = io.StringIO(newline="")
    quoting: Any = draw(st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    writer = csv.writer(table, quoting=quoting, lineterminator=end)
    pad = draw(st.sampled_from(["", " "]))
    writer.writerow(order)
    for row in rows:
        cells = {
            name: "" if value is None else f"{pad}{value!r}{pad}"
            for name, value in zip(FEATURES, row, strict=True)
        }
        writer.writerow([cells.get(name, extra) for name in order])
    text = table.getvalue()
    text = text if draw(st.booleans()) else text.removesuffix(end)
    return text.encode(draw(st.sampled_from(["utf-8", "utf-8-sig"])))


@pytest.mark.parametrize("path", POSTS)
def test_order_extra_columns_quotes_and_line_ends_do_not_matter(
    client: FlaskClient, path: str
) -> None:
    """What a table says in any of these ways is what the same records say."""

    @FUZZED
    @given(st.data())
    def ask(data: st.DataObject) -> None:
        rows = data.draw(
            st.lists(st.lists(NUMBERS, min_size=3, max_size=3), min_size=1, max_size=12)
        )
        records = [dict(zip(FEATURES, row, strict=True)) for row in rows]
        form = "records" if path == "/prediction" else "dataframe_records"
        wanted = client.post(path, json={form: records})
        body = data.draw(spoiled(rows))
        found = client.post(path, data=body, content_type="text/csv")
        assert wanted.status_code == found.status_code == 200, found.text
        assert strict_json(found) == strict_json(wanted)

    ask()


# --- names of files ---------------------------------------------------------------------------


@pytest.fixture
def traps(project: Project) -> Iterator[Project]:
    """A project whose data folders hold what must not be read."""
    secret = project.write("secret.csv", TABLE)
    folder = project.root / "testdata"
    os.mkfifo(folder / "pipe.csv")
    (folder / "folder.csv").mkdir()
    (folder / "link.csv").symlink_to(secret)
    (folder / "linked").symlink_to(project.root / "models")
    (folder / "zero.csv").symlink_to("/dev/zero")
    (folder / "loop.csv").symlink_to("loop.csv")
    (folder / ".hidden.csv").write_text(TABLE)
    (folder / "notes.txt").write_text(TABLE)
    (project.root / "models" / "list.csv").write_text(TABLE)
    yield project


FILES = [
    "pipe.csv",
    "folder.csv",
    "link.csv",
    "linked/list.csv",
    "zero.csv",
    "loop.csv",
    ".hidden.csv",
    "notes.txt",
    "../secret.csv",
    "../testdata/testdata.csv",
    "./testdata.csv",
    "/testdata.csv",
    "testdata.csv/",
    "testdata.csv\0",
    "testdata.csv\n",
    "",
    ".",
    "..",
    "x" * 300 + ".csv",
    "testdata.csv/../../secret.csv",
    "%2e%2e/secret.csv",
    "..\\secret.csv",
    "\u2025/secret.csv",
]
ELSEWHERE = [
    "/dev/zero",
    "/dev/stdin",
    "/proc/self/environ",
    "/etc/passwd",
    "secret.csv",
    "models/list.csv",
    "file:///etc/passwd",
    "http://127.0.0.1/x.csv",
    "//etc/passwd",
    "~/x.csv",
    "$HOME/x.csv",
    "testdata",
    "testdata/",
    "sourcedata/../testdata/testdata.csv",
    "config.json",
]


@pytest.mark.parametrize("name", [*(f"testdata/{name}" for name in FILES), *ELSEWHERE])
def test_a_file_that_is_none_of_the_data_is_not_read_whatever_it_is_called(
    client: FlaskClient, traps: Project, name: str
) -> None:
    response = client.post("/prediction", json={"filepath": name})
    answer = check(response, {400, 404})
    for place in (traps.root, Path("/dev/zero"), Path("/etc/passwd")):
        assert str(place) not in answer["detail"]


def test_the_traps_are_beside_a_file_that_is_read(client: FlaskClient, traps: Project) -> None:
    """So the refusals above are not those of a broken folder."""
    response = client.post("/prediction", json={"filepath": "testdata/testdata.csv"})
    assert check(response, {200})["predictions"] == [1, 0, 1]


# --- before there is anything -----------------------------------------------------------------


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_in_an_empty_project_every_route_is_calm(project: Project, accept: str) -> None:
    app = create_app(project.config)
    client = app.test_client()
    paths = strict_json(client.get("/openapi.json"))["paths"]
    for path, item in paths.items():
        for method in item:
            response = client.open(
                path.replace("{client}", "Acme"),
                method=method.upper(),
                headers={"Accept": accept},
                json={"records": []} if method == "post" else None,
            )
            assert response.status_code in (200, 503), (path, response.text)
            if response.status_code == 503:
                assert re.search(r"fullprocess\.py|reporting\.py", response.text), path
