"""Answers in the forms that the API speaks, and which of them a client prefers.

JSON is strict (RFC 8259): numbers that are not finite become null. CSV is inert in spreadsheets.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from flask import Response, request

from attrition.spreadsheet import inert

JSON, CSV, HTML, PDF = "application/json", "text/csv", "text/html", "application/pdf"


def preferred(*kinds: str) -> str:
    """The kind of answer this client likes best; the first one where it does not care."""
    if request.environ.get("HTTP_ACCEPT", "*/*") == "*/*":
        return kinds[0]
    return request.accept_mimetypes.best_match(kinds) or kinds[0]


def json_bytes(value: Any) -> bytes:
    """A value, or arrays of numpy within it, as strict JSON in UTF-8."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def json_answer(value: Any, status: int = 200) -> Response:
    """A value as an answer in JSON."""
    return Response(json_bytes(value), status, content_type=JSON)


def csv_answer(header: Sequence[str], rows: Iterable[Iterable[Any]]) -> Response:
    """A table as an answer in CSV; None is a blank, and no text can act as a formula."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow([inert(name) for name in header])
    for row in rows:
        writer.writerow([inert(value) if isinstance(value, str) else value for value in row])
    return Response(stream.getvalue().encode(), content_type=f"{CSV}; charset=utf-8")
