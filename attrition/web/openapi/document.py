"""The interface described: `GET /openapi.json` (OpenAPI 3.1), and `GET /docs` as a page.

The document names the columns of the model that is served, so its examples can be sent as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from flask import Blueprint, Response

from attrition.core.errors import DataError
from attrition.core.version import version
from attrition.ranking import client_pages, lookup_db
from attrition.web import data_files, responses
from attrition.web.live_model import Served
from attrition.web.openapi import schemas
from attrition.web.openapi.operations import paths
from attrition.web.pages import views
from attrition.web.state import State, state

_DESCRIPTION = (
    "Which clients will leave, in which order to call them, and why. A GET reads what the pipeline "
    "recorded and runs nothing. A server that has a token wants it with each request; one that has "
    "none answers its own machine alone. Errors are problem documents (RFC 9457)."
)

blueprint = Blueprint("openapi", __name__)


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """The OpenAPI document."""
    return responses.json_answer(document(state()))


@blueprint.get("/docs")
def docs() -> Response:
    """The same; for a browser as a page."""
    if responses.preferred(responses.JSON, responses.HTML) == responses.HTML:
        return views.docs_page(document(state()))
    return openapi()


def document(now: State) -> dict[str, Any]:
    """The OpenAPI document as plain values."""
    live = _live(now)
    if live is None:
        numeric, categorical = now.config.numeric_columns, now.config.categorical_columns
    else:
        numeric, categorical = live.card.numeric_columns, live.card.categorical_columns
    folders = [str(folder) for folder in data_files.data_folders(now.config)]
    ranked = _ranked(now)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Client attrition risk",
            "version": version(),
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths(ranked.client, ranked.sorts),
        "components": {
            "schemas": schemas.schemas(
                numeric,
                categorical,
                folders,
                has_profit=ranked.has_profit,
                has_segments=ranked.has_segments,
            ),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "The token."},
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "The token as password, whatever the user name.",
                },
            },
        },
        "security": [{}, {"bearer": []}, {"basic": []}],
        "tags": [{"name": name, "description": text} for name, text in schemas.TAGS.items()],
    }


@dataclass(frozen=True)
class _Ranked:
    """What the document says of the list.

    Attributes:
        client: one of the first whose name a path can hold; None without one.
        sorts: the orders that it can be asked for in.
        has_profit, has_segments: whether its clients have these.
    """

    client: str | None = None
    sorts: tuple[str, ...] = tuple(lookup_db.SORTS)
    has_profit: bool = False
    has_segments: bool = False


def _ranked(now: State) -> _Ranked:
    try:
        with lookup_db.opened(now.config.client_book) as book:
            clients = book.page(lookup_db.Question(), 1, 10).clients
            listed = _Ranked(None, tuple(book.sorts), book.has_profit, bool(book.segment_columns))
    except (DataError, FileNotFoundError):
        return _Ranked()
    names = (str(client["client"]) for client in clients)
    in_paths = (name for name in names if client_pages.client_url(name).startswith("/clients/"))
    return replace(listed, client=next(in_paths, None))


def _live(now: State) -> Served | None:
    try:
        return now.model.resolve()
    except DataError:
        return None
