"""The pages: for each route that a browser may ask, its view and its template.

The views themselves (`dashboard`, `client_list`, `client`, `api_docs`) are values in, values out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flask import Response, render_template, request
from markupsafe import Markup, escape
from werkzeug.exceptions import ServiceUnavailable

from attrition.calls.effect import BY_KIND, WHY_NOT_COMPARED
from attrition.core import formatting
from attrition.model.explanations import with_years
from attrition.model.scorecard import Scorecard
from attrition.ranking.client_pages import row_names
from attrition.ranking.lookup_db import NOT_LATELY
from attrition.ranking.ranking import HOLD_OUT
from attrition.runs import history
from attrition.web import query_parameters
from attrition.web.live_model import Served
from attrition.web.pages import api_docs, charts, client_list
from attrition.web.pages import client as one_client
from attrition.web.pages.client_list import Listing
from attrition.web.pages.standings import standings
from attrition.web.state import question as question_to
from attrition.web.state import ranking, served, state

if TYPE_CHECKING:
    from attrition.monitoring.record import DecisionRecord

PER_PAGE = 25
# Within a word: after an underscore, and before a capital. Such words are columns' names.
_JOINTS = re.compile(r"(?<=_)(?=[^_])|(?<=[a-z])(?=[A-Z])")


def breakable(text: str) -> Markup:
    """A text whose names stay whole, or where a line is too narrow for one, break at its joints."""
    words = (_JOINTS.sub("<wbr>", word) for word in str(escape(text)).split(" "))
    spans = (f'<span class="whole">{word}</span>' if "<wbr>" in word else word for word in words)
    return Markup(" ".join(spans))  # noqa: S704 - escaped before


# What the templates say numbers, times and names with.
FILTERS = {
    "breakable": breakable,
    "count": formatting.count,
    "day": formatting.day,
    "decimal": formatting.decimal,
    "line": formatting.line,
    "moment": formatting.moment,
    "percent": formatting.percent,
    "plural": formatting.plural,
    "sentence": formatting.sentence,
}


def overview_page() -> Response:
    """What a client manager opens: whom to call, and how far the list can be trusted."""
    from attrition.monitoring import severity  # heavy, and not needed to start
    from attrition.monitoring.record import recorded_runs
    from attrition.web.pages import dashboard

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
        calls=decision.calls_in_brief if decision else None,
        headline=client_list.headline(listing.about) if listing else "",
        movement=client_list.movement(listing.about) if listing else [],
        value_at_risk=client_list.value_at_risk(listing.about) if listing else "",
        weeks=dashboard.weeks(history.high_risk(now.config.history, formatting.OPEN_CLIENTS)),
        profit=dashboard.profit(decision.ranking if decision else None),
        study=decision.study_in_words if decision else None,
        by_kind=BY_KIND,
        why_not_compared=WHY_NOT_COMPARED,
        kinds=decision.effect.kinds if decision and decision.effect else (),
        messages=severity.messages(decision, runs),
        state_line=live and _state_line(live, decision, runs),
        trends=dashboard.trends(runs, diagnostics.get("batches") or ()),
        compared=compared,
        shifts=dashboard.shifts(columns, now.config.labels),
        decisions=dashboard.decisions(runs or [decision] if decision else []),
        diagnostics=diagnostics,
    )


def _state_line(
    live: Served, decision: DecisionRecord | None, runs: Sequence[DecisionRecord]
) -> str:
    """How far the list can be relied on; a record of another model says nothing of this one."""
    from attrition.monitoring import severity  # heavy, and not needed to start

    if severity.has_failed(runs):
        return "The last run failed; this list is from the run before it."
    is_its = decision is not None and decision.release_after in (None, live.version)
    return severity.state_line(
        decision if is_its else None, live.scores, live.cross_validated, live.card.threshold
    )


def clients_page() -> Response:
    """The list alone; the script of the overview asks for it, too."""
    listing, no_ranking = _listing()
    return _page("clients.html", listing=listing, no_ranking=no_ranking)


def client_page(
    client: Mapping[str, Any], about: Mapping[str, Any], card: Scorecard | None
) -> Response:
    """All about one client.

    Args:
        client: what `GET /clients/<id>` answers.
        about: the ranking; see `lookup_db.Page`.
        card: the scorecard that ranked the client, None where it is gone.
    """
    explained: dict[str, Any] = {}
    if card is not None and client["contributions"] is not None:
        labels = with_years(card, state().config.labels)
        order = one_client.columns_by_points(card, client["contributions"])
        explained = {
            "drivers": one_client.drivers(client["contributions"], labels),
            "standings": standings(card, client["features"], order, labels),
        }
        explained["fields"], explained["fixed"] = one_client.fields(
            card, client["features"], order, state().config.levers, labels
        )
    return _page(
        "client.html",
        client=client,
        row=client_list.row(client),
        row_names=row_names(state().config, client["ranked"]),
        segments=client_list.segments_in_words(client, state().config.labels),
        thresholds=about["thresholds"],
        risk_history=one_client.risk_history(client["history"], client),
        risk_so_far=one_client.risk_so_far(client, about),
        actions=one_client.actions(client["actions"]),
        contact=one_client.last_contact(
            client["actions"], None if client.get("group") == HOLD_OUT else state().config.rest_days
        ),
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
    decision = state().decision.read()
    view["nobody"] = decision.no_open_clients if decision else formatting.NO_OPEN_CLIENTS
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
    number, labels = query_parameters.page_number(), state().config.labels
    try:
        with ranking() as book:
            question = question_to(book)
            if book.resting_since and not query_parameters.given("contacted"):
                question = replace(question, contacts=frozenset({NOT_LATELY}))
            page = book.page(question, number, PER_PAGE)
            segments = client_list.segment_filters(book, question, labels)
    except ServiceUnavailable as trouble:
        return None, trouble.description
    has_values = state().config.value_column is not None
    listing = client_list.listing(
        page, question, number, PER_PAGE, has_values=has_values, segments=segments
    )
    names = row_names(state().config, page.about["ranked"])
    return replace(listing, row_names=names), None
