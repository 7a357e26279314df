"""The pages: what a template shows, made of what the routes answer."""

from __future__ import annotations

from typing import Any

from flask import Response, render_template

from attrition.errors import DataError
from attrition.serving import public_decision, state


def overview_page() -> Response:
    """The state of the model on one page."""
    now = state()
    damaged = False
    try:
        live = now.model.resolve()
    except DataError:
        live, damaged = None, True
    html = render_template(
        "index.html",
        served=live,
        damaged=damaged,
        scores=live.scores if live else {},
        decision=public_decision(now.decision.read()),
        diagnostics=now.diagnostics.read(),
        degraded_below=now.config.model_score_threshold,
    )
    return Response(html, content_type="text/html; charset=utf-8")


def client_page(client: dict[str, Any]) -> Response:
    """All about one client: what `GET /clients/<id>` answers, as a page."""
    html = render_template("client.html", client=client)
    return Response(html, content_type="text/html; charset=utf-8")


def docs_page(document: dict[str, Any]) -> Response:
    """The OpenAPI document as a page."""
    return Response(render_template("docs.html", api=document),
                    content_type="text/html; charset=utf-8")  # fmt: skip
