"""The shortest way to an answer: records as JSON to `POST /prediction`, past Flask in plain WSGI.

It is most of what a busy server is asked, and costs half as much this way. It answers what is
sound, and nothing else: whatever is unusual or wrong in a request goes on to the application with
its body, and is answered there, so that there is one place for every refusal. A test asks both ways
the same and compares their answers.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from werkzeug.exceptions import HTTPException

from attrition.core.errors import DataError
from attrition.web import feature_parsing, predict, prometheus, responses, security
from attrition.web.live_model import LiveModel

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


_ROUTE = "/prediction"
_MOST_DIGITS = 5  # of the length of a body; a longer one takes its time in any case
_ACCEPTED = ("*/*", responses.JSON)
_SENT_OTHERWISE = frozenset(("HTTP_CONTENT_ENCODING", "HTTP_TRANSFER_ENCODING"))


def with_shortcut(
    application: WSGIApplication, model: LiveModel, rules: security.Rules
) -> WSGIApplication:
    """The same application, with a shorter way for one kind of request.

    Args:
        application: answers everything else.
        model: the release it serves.
        rules: who is let in.
    """

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        began = time.perf_counter()
        if not _is_usual(environ) or security.refusal(environ, rules):
            return application(environ, start_response)
        length = int(environ["CONTENT_LENGTH"])
        body = environ["wsgi.input"].read(length)
        found = _prediction(model, body) if len(body) == length else None
        if found is None:
            environ["wsgi.input"] = io.BytesIO(body)
            return application(environ, start_response)
        headers = [("Content-Type", responses.JSON), ("Content-Length", str(len(found)))]
        start_response("200 OK", headers)
        prometheus.count("POST", _ROUTE, 200, time.perf_counter() - began)
        return (found,)

    return answer


def _is_usual(environ: WSGIEnvironment) -> bool:
    """Whether a request is of the one kind, as far as its headers tell."""
    length = environ.get("CONTENT_LENGTH", "")
    return (
        environ["PATH_INFO"] == _ROUTE
        and environ["REQUEST_METHOD"] == "POST"
        and not environ.get("QUERY_STRING")
        and environ.get("CONTENT_TYPE") == responses.JSON
        and environ.get("HTTP_ACCEPT", "*/*") in _ACCEPTED
        and length.isascii()
        and length.isdigit()
        and len(length) <= _MOST_DIGITS
        and _SENT_OTHERWISE.isdisjoint(environ)
    )


def _prediction(model: LiveModel, body: bytes) -> bytes | None:
    """The answer to a body of records; None where there is anything to say against it."""
    try:
        live = model.resolve()
        asked = feature_parsing.decoded_json(body)
        if live is None or not isinstance(asked, dict):
            return None
        if predict.FORMS & asked.keys() != {"records"}:
            return None
        names = live.card.numeric_columns, live.card.categorical_columns
        levels = live.card.levels
        table = feature_parsing.columns_from_records(asked["records"], *names, levels)
        return responses.json_bytes(predict.predictions(live, table))
    except (DataError, HTTPException, OSError):
        return None
