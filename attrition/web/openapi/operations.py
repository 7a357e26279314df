"""The routes as the OpenAPI document describes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from attrition.ranking import lookup_db
from attrition.ranking.movement import MOVES
from attrition.ranking.ranking import GROUPS
from attrition.web import responses
from attrition.web.openapi.schemas import ref

Described = dict[str, Any]

_CSV_BODY = {"type": "string", "description": "CSV with a header, UTF-8"}
_PROBLEMS = {
    400: "a parameter or the body is not as described",
    401: "the token is missing or wrong",
    403: "requests from elsewhere, or from pages of other sites, are not allowed",
    404: "there is no such thing",
    405: "this route does not know that method",
    408: "the body did not come in time",
    413: "too large",
    415: "of a kind that is not understood",
    503: "not there yet; the detail says what to do",
}


def paths(client: str | None, sorts: Sequence[str]) -> Described:
    """Path -> method -> operation.

    Args:
        client: one on the list, for an example.
        sorts: the orders that the list can be asked for in.
    """
    operations = {
        **_predictions(),
        **_clients(client, sorts),
        **_records(),
        **_service(),
        **_mlflow(),
    }
    for path, item in operations.items():
        for method, operation in item.items():
            operation["operationId"] = re.sub(r"\W+", "_", f"{method} {path}").strip("_")
    return operations


def _predictions() -> Described:
    body = {
        responses.JSON: {"schema": ref("PredictionRequest")},
        responses.CSV: {"schema": _CSV_BODY},
    }
    operation = _operation(
        "predictions",
        "Who is likely to leave",
        {responses.JSON: {"schema": ref("Predictions")}, responses.CSV: {"schema": _CSV_BODY}},
        problems=(400, 404, 408, 413, 415, 503),
        parameters=[
            _query(
                "reasons",
                {"type": "integer", "minimum": 0, "maximum": 20, "default": 0},
                "so many reasons for each client, in words: values that raise its risk above its "
                "mean over all clients' values of that column, all else being equal",
            ),
            _query(
                "contributions",
                {"type": "boolean", "default": False},
                "what each term adds to each client's log-odds, too",
            ),
        ],
    )
    return {"/prediction": {"post": {**operation, "requestBody": _required(body)}}}


def _list_parameters(sorts: Sequence[str]) -> list[Described]:
    """What a request can ask for of the list."""
    return [
        _query("page", {"type": "integer", "minimum": 1, "maximum": 10**7, "default": 1}),
        _query(
            "per_page",
            {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50},
            "CSV without `page` and `per_page` holds all that match",
        ),
        _some_of("tier", lookup_db.TIERS, "one or more tiers, with commas between"),
        _some_of("group", GROUPS, "those to call, those held out; with a comma between"),
        _some_of(
            "contacted",
            lookup_db.CONTACTS,
            "whether a client to call was contacted in the last `rest_days`, so that it rests; all "
            "where left out, on a page those who do not",
        ),
        _query(
            "segment",
            {"type": "array", "items": {"type": "string"}},
            "a segment column, =, and the clients' text there, such as branch=North (nothing "
            "after = for a blank); again for each further column",
        ),
        _query("q", {"type": "string"}, "a part of the client's name, whatever the case"),
        _query(
            "moved",
            {"type": "string", "enum": ["", *MOVES]},
            "who has come to high risk since the last list of other clients or risks, or left it",
        ),
        _query("least_value", {"type": "number"}, "least value of a client, in the value column"),
        _query(
            "sort",
            {"type": "string", "enum": list(sorts), "default": "place"},
            "with a minus: the largest first; held-out clients come after all others",
        ),
        _query(
            "format",
            {"type": "string", "enum": ["json", "csv"]},
            "instead of the Accept header",
        ),
        _query(
            "client",
            {"type": "string"},
            "all about this one instead, whose name a path cannot hold, such as ..",
        ),
        _query(
            "client_sha256",
            {"type": "string"},
            "likewise, where the name is too long for an address: the SHA-256 of its UTF-8",
        ),
    ]


def _clients(client: str | None, sorts: Sequence[str]) -> Described:
    page = _operation(
        "clients",
        "A page of the ranked clients",
        {
            responses.JSON: {"schema": {"anyOf": [ref("ClientPage"), ref("OneClient")]}},
            responses.CSV: {"schema": _CSV_BODY},
            responses.HTML: _PAGE,
        },
        problems=(400, 404, 503),
        parameters=_list_parameters(sorts),
    )
    name = {
        "name": "client",
        "in": "path",
        "required": True,
        "schema": {"type": "string"},
        "description": "the client's whole name; one that a path cannot hold, such as .., "
        "may stand in a query: /clients?client=..",
        **({} if client is None else {"example": client}),
    }
    one = _operation(
        "clients",
        "All about one client: risk, reasons, points, history of the risk",
        {responses.JSON: {"schema": ref("OneClient")}, responses.HTML: _PAGE},
        problems=(404, 503),
        parameters=[name],
    )
    return {"/clients": {"get": page}, "/clients/{client}": {"get": one}}


def _records() -> Described:
    def record(summary: str, schema: str, problems: tuple[int, ...] = (503,)) -> Described:
        content = {responses.JSON: {"schema": ref(schema)}}
        return {"get": _operation("records", summary, content, problems)}

    runs = record("The last runs, newest first, with the numbers of the trends", "Runs", (400, 503))
    runs["get"]["parameters"] = [
        _query("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 30})
    ]
    report = _operation(
        "records",
        "The last report, as a page or as PDF",
        {responses.HTML: _PAGE, responses.PDF: _PAGE},
        (503,),
    )
    pdf = _operation("records", "The last report as PDF", {responses.PDF: _PAGE}, (503,))
    return {
        "/scoring": record("How good the deployed model is", "Scoring"),
        "/summarystats": record("Mean, median, deviation of each column", "SummaryStatistics"),
        "/diagnostics": record("Timings, missing data, packages, drift, decision", "Diagnostics"),
        "/model": record("The live model, its scorecard, and the releases", "Model"),
        "/history": runs,
        "/report": {"get": report},
        "/report.pdf": {"get": pdf},
    }


def _service() -> Described:
    def operation(summary: str, content: Described, problems: tuple[int, ...] = ()) -> Described:
        return {"get": _operation("service", summary, content, problems)}

    return {
        "/": operation(
            "The page; for programs what is here",
            {responses.JSON: {"schema": ref("Home")}, responses.HTML: _PAGE},
        ),
        "/health": operation("The server is alive", {responses.JSON: {"schema": ref("Health")}}),
        "/ready": operation(
            "A verified release is loaded", {responses.JSON: {"schema": ref("Ready")}}, (503,)
        ),
        "/metrics": operation("Numbers for Prometheus", {"text/plain": _PAGE}),
        "/openapi.json": operation("This document", {responses.JSON: {"schema": ref("OpenApi")}}),
        "/docs": operation(
            "This document as a page",
            {responses.HTML: _PAGE, responses.JSON: {"schema": ref("OpenApi")}},
        ),
    }


def _mlflow() -> Described:
    body = {responses.JSON: {"schema": ref("Invocation")}, responses.CSV: {"schema": _CSV_BODY}}
    invocations = _operation(
        "mlflow",
        "Predictions, asked for as MLflow's scoring protocol has it",
        {responses.JSON: {"schema": ref("MlflowPredictions")}},
        problems=(400, 408, 413, 415, 503),
    )
    ping = _operation("mlflow", "Predictions can be asked for", {responses.JSON: {}}, (503,))
    version = _operation("mlflow", "The version of this service", {"text/plain": _PAGE})
    return {
        "/invocations": {"post": {**invocations, "requestBody": _required(body)}},
        "/ping": {"get": ping},
        "/version": {"get": version},
    }


_PAGE: Described = {"schema": {"type": "string"}}


def _operation(
    tag: str,
    summary: str,
    content: Described,
    problems: tuple[int, ...] = (),
    parameters: list[Described] | None = None,
) -> Described:
    """One operation; every route may ask for the token, and refuse a method."""
    answers: Described = {"200": {"description": summary, "content": content}}
    for status in sorted({*problems, 401, 403, 405}):
        answers[str(status)] = {
            "description": _PROBLEMS[status],
            "content": {
                "application/problem+json": {"schema": ref("Problem")},
                responses.HTML: _PAGE,
            },
        }
    described: Described = {"tags": [tag], "summary": summary, "responses": answers}
    if parameters:
        described["parameters"] = parameters
    return described


def _query(name: str, schema: Described, text: str = "") -> Described:
    described: Described = {"name": name, "in": "query", "schema": schema}
    return {**described, "description": text} if text else described


def _some_of(name: str, names: Iterable[str], text: str) -> Described:
    items = {"type": "string", "enum": list(names)}
    return {
        **_query(name, {"type": "array", "minItems": 1, "items": items}, text),
        "explode": False,
    }


def _required(content: Described) -> Described:
    return {"required": True, "content": content}
