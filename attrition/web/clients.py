"""The ranked clients: `GET /clients`, a page of them, and `GET /clients/<id>`, all about one."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

from flask import Blueprint, Response, abort

from attrition.calls.client_actions import actions_of
from attrition.core import releases
from attrition.core.errors import DataError
from attrition.ranking.lookup_db import Page
from attrition.ranking.ranking import NEW, SEGMENT
from attrition.runs import history
from attrition.web import feature_parsing, query_parameters, responses
from attrition.web.live_model import Served
from attrition.web.pages import views
from attrition.web.state import question, ranking, state

MOST_PER_PAGE, PER_PAGE = 1_000, 50
_KINDS = {"json": responses.JSON, "csv": responses.CSV}
_COLUMNS = (
    "place",
    "client",
    "probability",
    "tier",
    "reasons",
    "probability_change",
    "rank_change",
    "value",
    "value_at_risk",
    "value_rank",
)
# Only where costs are set, clients are held out, or rest after a contact; see docs/effect.md.
_MORE = {"profit": "has_profit", "group": "held_out", "last_contact": "rest_days"}
PARAMETERS = (
    *("page", "per_page", "tier", "group", "contacted", "segment", "q", "moved", "least_value"),
    *("sort", "format", "client", "client_sha256"),
)
_NO_SUCH_CLIENT = "there is no such client in the ranking"
_ABOUT = ("time", "release", "ranked", "total")
_ABOUT_LIST = (*_ABOUT, "tiers", "held_out", "in_common")  # the last two only where there are some

blueprint = Blueprint("clients", __name__)


@blueprint.get("/clients")
def client_list() -> Response:
    """A page of the ranked clients; with `client=` or `client_sha256=` all about that one."""
    query_parameters.refuse_others(PARAMETERS)
    name = query_parameters.one("client")
    if name is not None:  # one whose name cannot be in a path, such as ".."
        return one_client(name)
    digest = query_parameters.one("client_sha256")
    if digest is not None:
        with ranking() as book:
            name = book.long_name(digest)
        return one_client(name) if name is not None else abort(404, _NO_SUCH_CLIENT)
    kind = _KINDS.get(query_parameters.choice("format", "", _KINDS))
    kind = kind or responses.preferred(responses.JSON, responses.CSV, responses.HTML)
    if kind == responses.HTML:
        return views.clients_page()
    number = query_parameters.page_number()
    size = query_parameters.whole_number("per_page", PER_PAGE, 1, MOST_PER_PAGE)
    if kind == responses.CSV and not query_parameters.given("page", "per_page"):
        return _whole_list()
    with ranking() as book:
        page = book.page(question(book), number, size)
    if kind == responses.CSV:
        return _csv(page.clients, page.about)
    return responses.json_answer(_json(page, number, size))


@blueprint.get("/clients/<path:client>")
def one_client(client: str) -> Response:
    """All about one client; for a browser as a page."""
    with ranking() as book:
        about, row = book.about, book.client(client)
    if row is None:
        abort(404, _NO_SUCH_CLIENT)
    ranked_by = _release(about["release"])
    answer = {
        **{key: about[key] for key in _ABOUT},
        "live_release": releases.live_release_id(state().config.prod_deployment_path),
        **{key: row[key] for key in (*_COLUMNS, *_MORE, "segments", "features") if key in row},
        **_explained(ranked_by, row["features"]),
        "history": history.risks_of(state().config.history, client),
        "actions": actions_of(state().config.actions, client),
    }
    if responses.preferred(responses.JSON, responses.HTML) == responses.HTML:
        card = None if ranked_by is None else ranked_by.card
        return views.client_page(answer, about, card)
    return responses.json_answer(answer | _changes(answer))


def _changes(client: dict[str, Any]) -> dict[str, Any]:
    """What changed since the last list, as numbers; null where there is nothing to compare with."""
    moved, climbed = client["probability_change"], client["rank_change"]
    is_new = moved == NEW
    known = moved != "" and not is_new
    return {
        "probability_change": float(moved) if known else None,
        "rank_change": int(climbed) if known and climbed else None,
        "is_new": is_new,
    }


def _whole_list() -> Response:
    """All clients asked for, in CSV, read while they are sent."""
    with ExitStack() as stack:
        book = stack.enter_context(ranking())
        answer = _csv(book.every(question(book)), book.about)
        answer.call_on_close(stack.pop_all().close)
    return answer


def _json(page: Page, number: int, size: int) -> dict[str, Any]:
    return {
        **{key: page.about[key] for key in _ABOUT_LIST if key in page.about},
        "matching": page.matching,
        "page": number,
        "per_page": size,
        "clients": [
            {key: client[key] for key in (*_COLUMNS, *_MORE, "segments") if key in client}
            | _changes(client)
            for client in page.clients
        ],
    }


def _csv(clients: Iterable[dict[str, Any]], about: dict[str, Any]) -> Response:
    """As `clientrisk.csv` has them: changes as text, the reasons joined to one."""
    columns = (*_COLUMNS, *(name for name, key in _MORE.items() if key in about))
    segments = about.get("segments", ())
    rows = (
        [
            *("; ".join(client[key]) if key == "reasons" else client[key] for key in columns),
            *(client["segments"][name] for name in segments),
        ]
        for client in clients
    )
    return responses.csv_answer((*columns, *(SEGMENT + name for name in segments)), rows)


def _release(version: str) -> Served | None:
    """The release that made the ranking; None where it is gone."""
    try:
        return state().model.release(version)
    except DataError:
        return None


def _explained(ranked_by: Served | None, features: dict[str, Any]) -> dict[str, Any]:
    """The points behind a client's risk, by the model that ranked it; nulls where that is gone."""
    nothing = dict.fromkeys(("contributions", "log_odds", "average_log_odds", "threshold"))
    if ranked_by is None:
        return nothing
    card = ranked_by.card
    try:
        table = feature_parsing.columns_from_records(
            [features], card.numeric_columns, card.categorical_columns
        )
    except DataError:
        return nothing
    explained = ranked_by.explained(table)
    first = {key: explained[key][0] for key in ("contributions", "log_odds")}
    return {**explained, **first, "threshold": card.threshold}
