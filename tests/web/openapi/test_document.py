"""The description of the interface is valid, complete and true; a fuzzer finds nothing else."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from flask import Flask
from openapi_spec_validator import OpenAPIV31SpecValidator

from app import create_app
from attrition.web.clients import PARAMETERS
from tests.conftest import REPOSITORY, Project, Suite
from tests.support.answers import strict_json
from tests.support.servers import gunicorn
from tests.support.serving_projects import serve_ready

TOKEN = "s3cret"


@pytest.fixture
def app(ready: Project) -> Flask:
    """The application of a project in which everything is there."""
    return create_app(ready.config)


def test_the_document_is_valid_openapi_3_1(app: Flask) -> None:
    document = strict_json(app.test_client().get("/openapi.json"))
    OpenAPIV31SpecValidator(document).validate()


def test_every_route_stands_in_the_document_and_no_other(app: Flask) -> None:
    document = app.test_client().get("/openapi.json").json
    assert document is not None
    described = {
        (path, method.upper()) for path, item in document["paths"].items() for method in item
    }
    routes = {
        (re.sub(r"<(?:path:)?(\w+)>", r"{\1}", rule.rule), method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.endpoint != "static"
    }
    assert described == routes


@pytest.mark.slow
def test_every_parameter_that_is_read_is_described_and_no_other(app: Flask) -> None:
    document = app.test_client().get("/openapi.json").json
    assert document is not None
    described = {
        parameter["name"]
        for item in document["paths"].values()
        for operation in item.values()
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "query"
    }
    assert described == parameters_read()


READERS = {"whole_number", "number", "yes_or_no", "choice", "choices", "given", "one", "several"}


def parameters_read() -> set[str]:
    """What the routes ask `query_parameters` for; nothing else may look at the query."""
    read: set[str] = set()
    for path in (REPOSITORY / "attrition").rglob("*.py"):
        text = path.read_text()
        assert path.name == "query_parameters.py" or "request.args" not in text, path
        is_home = path.name == "query_parameters.py"
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.Call):
                continue
            module, _, function = ast.unparse(node.func).rpartition(".")
            if function == "refuse_others":
                continue  # reads none; see the next test
            if module == "query_parameters" or (is_home and function in READERS):
                names = node.args if function == "given" else node.args[:1]
                constants = [name for name in names if isinstance(name, ast.Constant)]
                assert is_home or constants == names, ast.unparse(node)
                read.update(str(name.value) for name in constants)
    return read


def test_the_list_refuses_parameters_that_are_not_described(app: Flask) -> None:
    document = app.test_client().get("/openapi.json").json
    assert document is not None
    described = [one["name"] for one in document["paths"]["/clients"]["get"]["parameters"]]
    assert set(described) == set(PARAMETERS)


def test_the_examples_can_be_sent_as_they_are(app: Flask, project: Project) -> None:
    client = app.test_client()
    document = client.get("/openapi.json").json
    assert document is not None
    schemas = document["components"]["schemas"]
    (example,) = schemas["Client"]["examples"]
    assert {"records": [example]} in schemas["PredictionRequest"]["examples"]
    for path, name in (("/prediction", "PredictionRequest"), ("/invocations", "Invocation")):
        for body in schemas[name]["examples"]:
            assert client.post(path, json=body).status_code == 200, body


def test_before_the_first_model_the_columns_are_those_of_the_settings(project: Project) -> None:
    document = create_app(project.config).test_client().get("/openapi.json").json
    assert document is not None
    properties = document["components"]["schemas"]["Client"]["properties"]
    assert tuple(properties) == project.config.feature_columns


@pytest.mark.slow
def test_a_fuzzer_finds_no_answer_other_than_described(project: Project, suite: Suite) -> None:
    """Over HTTP, every check of the fuzzer; as a stranger, so that the token is needed, too."""
    serve_ready(project)
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        "--header",
        f"Authorization: Bearer {TOKEN}",
        "--header",
        "X-Forwarded-For: 192.0.2.7",
        "--checks",
        "all",
        "--phases",
        "examples,coverage,fuzzing",
        "--max-examples",
        "15",
        "--seed",
        "1",
        "--generation-database",
        "none",
        "--continue-on-failure",
        "--no-color",
        "--warnings",
        "off",
    ]
    with gunicorn(project, ATTRITION_API_TOKEN=TOKEN) as port:
        done = subprocess.run(
            [*command, f"http://127.0.0.1:{port}/openapi.json"],
            cwd=project.root,
            text=True,
            env=os.environ
            | {"SCHEMATHESIS_HOOKS": "tests.support.fuzzing_hooks", "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            timeout=300,
        )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    operations = re.search(r"Operations:\s+(\d+) selected / (\d+) total", done.stdout)
    assert operations, done.stdout
    assert int(operations[1]) == int(operations[2]) > 10
    told = re.search(r"([\d,]+) generated", done.stdout)
    assert told, done.stdout
    requests = int(told[1].replace(",", ""))
    assert requests > 300
    suite.tell(requests, "requests of a fuzzer, each answered as described")
