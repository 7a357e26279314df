"""Errors as problem documents (RFC 9457), for a browser as a page; they never tell a path.

{"type": "about:blank", "title": "Not Found", "status": 404, "detail": "what to do"}
"""

from __future__ import annotations

from http import HTTPStatus

from flask import Response, render_template, request
from werkzeug.exceptions import HTTPException

from attrition import replies

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
    told = error.get_response().headers
    for name in _HEADERS:
        for value in told.getlist(name):
            answer.headers.add(name, value)
    return answer


def _document(problem: dict[str, object], status: int) -> Response:
    if replies.preferred(PROBLEM_JSON, replies.JSON, replies.HTML) == replies.HTML:
        page = render_template("problem.html", problem=problem)
        return Response(page, status, content_type=f"{replies.HTML}; charset=utf-8")
    if request.path == "/invocations":  # what speaks MLflow's protocol looks for these
        problem |= {"error_code": "BAD_REQUEST", "message": problem["detail"]}
    return Response(replies.json_bytes(problem), status, content_type=PROBLEM_JSON)
