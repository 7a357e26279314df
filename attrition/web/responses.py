"""Answers in the forms that the API speaks, and which of them a client prefers.

JSON is strict (RFC 8259): numbers that are not finite become null. CSV is inert in spreadsheets.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from itertools import chain
from typing import Any

import orjson
from flask import Response, render_template, request
from werkzeug.exceptions import HTTPException

from attrition.core.spreadsheet import inert

_CHUNK = 2**16  # characters of a CSV table that are sent at once
JSON, CSV, HTML, PDF = "application/json", "text/csv", "text/html", "application/pdf"


def preferred(*kinds: str) -> str:
    """The kind of answer this client likes best; the first one where it does not care."""
    if request.environ.get("HTTP_ACCEPT", "*/*") == "*/*":
        return kinds[0]
    return request.accept_mimetypes.best_match(kinds) or kinds[0]


def json_bytes(value: Any) -> bytes:
    """A value, or arrays of numpy within it, as strict JSON in UTF-8."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def json_answer(value: Any) -> Response:
    """A value as an answer in JSON."""
    return Response(json_bytes(value), content_type=JSON)


def csv_answer(header: Sequence[str], rows: Iterable[Iterable[Any]]) -> Response:
    """A table as an answer in CSV, sent while it is made: it may be long.

    None is a blank, and no text can act as a formula.
    """
    return Response(_csv_chunks(header, rows), content_type=f"{CSV}; charset=utf-8")


def _csv_chunks(header: Sequence[str], rows: Iterable[Iterable[Any]]) -> Iterator[bytes]:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\r\n")
    for row in chain([header], rows):
        writer.writerow([inert(value) if isinstance(value, str) else value for value in row])
        if stream.tell() >= _CHUNK:
            yield stream.getvalue().encode()
            stream.seek(0)
            stream.truncate()
            time.sleep(0)  # others get their turn in a worker that answers many at once
    yield stream.getvalue().encode()


PROBLEM_JSON = "application/problem+json"
# These say more than the document can, or are asked for by HTTP.
_HEADERS = ("Allow", "WWW-Authenticate", "Retry-After")


def problem_answer(error: HTTPException) -> Response | HTTPException:
    """The answer to a request that failed; a redirect passes as it is."""
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    if status < HTTPStatus.BAD_REQUEST:
        return error
    problem = {
        "type": "about:blank",
        "title": error.name,
        "status": int(status),
        "detail": error.description or HTTPStatus(status).description,
    }
    answer = _document(problem, int(status))
    headers = error.get_response().headers
    for name in _HEADERS:
        for value in headers.getlist(name):
            answer.headers.add(name, value)
    return answer


def _document(problem: dict[str, object], status: int) -> Response:
    if preferred(PROBLEM_JSON, JSON, HTML) == HTML:
        page = render_template("problem.html", problem=problem)
        return Response(page, status, content_type=f"{HTML}; charset=utf-8")
    if request.path == "/invocations":  # what speaks MLflow's protocol looks for these
        problem |= {"error_code": "BAD_REQUEST", "message": problem["detail"]}
    return Response(json_bytes(problem), status, content_type=PROBLEM_JSON)
