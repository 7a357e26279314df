"""The pages: for each route that a browser may ask, its view and its template.

The views themselves (`overview`, `clientlist`, `portrait`, `handbook`) are values in, values out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response, render_template, request
from werkzeug.exceptions import ServiceUnavailable

from attrition.core import formatting
from attrition.model.scorecard import Scorecard
from attrition.monitoring.record import recorded_runs
from attrition.web import query_parameters
from attrition.web.live_model import Served
from attrition.web.pages import api_docs, charts, client_list, dashboard
from attrition.web.pages import client as one_client
from attrition.web.pages.client_list import Listing
from attrition.web.state import ranking, served, state

PER_PAGE = 25
# What the templates say numbers, times and names with.
FILTERS = {
    "count": formatting.count,
    "decimal": formatting.decimal,
    "moment": formatting.moment,
    "percent": formatting.percent,
    "plural": formatting.plural,
    "sentence": formatting.sentence,
}


def overview_page() -> Response:
    """What a client manager opens: whom to call, and how far the list can be trusted."""
    now = state()
    live, trouble = _live()
    listing, no_ranking = _listing()
    decision = now.decision.read()
    runs = recorded_runs(now.config.history, dashboard.RUNS)
    diagnostics = now.diagnostics.read() or {}
    compared, columns = dashboard.newest_comparison(decision)
    return _page(
        "index.html",
        listing=listing,
        no_ranking=no_ranking,
        trouble=trouble,
        live=live,
        sentence_of_state=live
        and dashboard.state_sentence(
            live.scores, live.cross_validated, now.config.model_score_threshold
        ),
        facts=live and dashboard.facts(live.scores, live.cross_validated, live.manifest),
        weak_segments=live and dashboard.weak_segments(decision, live.version),
        outcome=dashboard.outcome_sentence(decision.ranking if decision else None),
        warnings=dashboard.attention(decision, runs),
        trends=dashboard.trends(runs, diagnostics.get("batches") or ()),
        compared=compared,
        shifts=dashboard.shifts(columns),
        decisions=dashboard.decisions(runs or [decision] if decision else []),
        diagnostics=diagnostics,
    )


def clients_page() -> Response:
    """The list alone; the script of the overview asks for it, too."""
    listing, no_ranking = _listing()
    return _page("clients.html", listing=listing, no_ranking=no_ranking)


def client_page(
    client: Mapping[str, Any], thresholds: Mapping[str, float], card: Scorecard | None
) -> Response:
    """All about one client.

    Args:
        client: what `GET /clients/<id>` answers.
        thresholds: of the ranking: the probabilities from which on a risk is high and medium.
        card: the scorecard that ranked the client, None where it is gone.
    """
    explained: dict[str, Any] = {}
    if card is not None and client["contributions"] is not None:
        order = one_client.columns_by_points(card, client["contributions"])
        explained = {
            "drivers": one_client.drivers(client["contributions"]),
            "standings": one_client.standings(card, client["features"], order),
            "fields": one_client.fields(card, client["features"], order),
        }
    return _page(
        "client.html",
        client=client,
        row=client_list.row(client),
        thresholds=thresholds,
        risk_history=one_client.risk_history(client["history"]),
        actions=one_client.actions(client["actions"]),
        **explained,
    )


def docs_page(document: Mapping[str, Any]) -> Response:
    """The OpenAPI document as a page."""
    return _page(
        "docs.html",
        api=document,
        subjects=api_docs.operations(document, request.host_url.rstrip("/")),
        tags={tag["name"]: tag.get("description", "") for tag in document.get("tags", ())},
    )


def _page(template: str, **view: Any) -> Response:
    view = {"charts": charts, "no_open_clients": formatting.NO_OPEN_CLIENTS, **view}
    html = render_template(template, **view)
    return Response(html, content_type="text/html; charset=utf-8")


def _live() -> tuple[Served | None, str | None]:
    """The live model; without one what is the matter, and what to do."""
    try:
        return served(), None
    except ServiceUnavailable as trouble:
        return None, trouble.description


def _listing() -> tuple[Listing | None, str | None]:
    """The page of the list that the request asks for; without one what is the matter."""
    question, number = query_parameters.question(), query_parameters.page_number()
    try:
        with ranking() as book:
            page = book.page(question, number, PER_PAGE)
    except ServiceUnavailable as trouble:
        return None, trouble.description
    has_values = state().config.value_column is not None
    return client_list.listing(page, question, number, PER_PAGE, has_values=has_values), None
