"""The interface described: `GET /openapi.json` (OpenAPI 3.1), and `GET /docs` as a page."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from attrition import pages, replies
from attrition.serving import SERVICE, VERSION

blueprint = Blueprint("openapi", __name__)


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """The OpenAPI document."""
    return replies.json_answer(document())


@blueprint.get("/docs")
def docs() -> Response:
    """The same as a page; as JSON for who prefers that."""
    if replies.preferred(replies.HTML, replies.JSON) == replies.JSON:
        return openapi()
    return pages.docs_page(document())


def document() -> dict[str, Any]:
    """The OpenAPI document as plain values."""
    return {
        "openapi": "3.1.0",
        "info": {"title": SERVICE, "version": VERSION},
        "paths": {},
    }
