"""The ranked clients: `GET /clients`, a page of them, and `GET /clients/<id>`, all about one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Blueprint, Response, abort

from attrition import (
    clientbook,
    clientquery,
    columns,
    files,
    history,
    pages,
    parameters,
    replies,
)
from attrition.clientbook import Book, Page
from attrition.errors import DataError
from attrition.live import Served, open_served
from attrition.serving import state

MOST_PER_PAGE, PER_PAGE = 1_000, 50
_KINDS = {"json": replies.JSON, "csv": replies.CSV}
_COLUMNS = ("place", "client", "probability", "tier", "reasons", "probability_change",
            "rank_change", "value", "value_at_risk", "value_rank")  # fmt: skip
_ABOUT = ("time", "release", "ranked", "total")

blueprint = Blueprint("clients", __name__)


@blueprint.get("/clients")
def client_list() -> Response:
    """A page of the ranked clients; with `client=` all about that one."""
    name = parameters.one("client")
    if name is not None:  # one whose name cannot be in a path, such as ".."
        return one_client(name)
    kind = _KINDS.get(parameters.choice("format", "", _KINDS))
    kind = kind or replies.preferred(replies.JSON, replies.CSV, replies.HTML)
    if kind == replies.HTML:
        return pages.clients_page()
    question, number = clientquery.question(), clientquery.page_number()
    size = parameters.whole_number("per_page", PER_PAGE, 1, MOST_PER_PAGE)
    with _book() as book:
        page = book.page(question, number, size)
    return _csv(page) if kind == replies.CSV else replies.json_answer(_json(page, number, size))


@blueprint.get("/clients/<path:client>")
def one_client(client: str) -> Response:
    """All about one client; for a browser as a page."""
    with _book() as book:
        about, found = book.about, book.client(client)
    if found is None:
        abort(404, "there is no such client in the ranking")
    answer = {
        **{key: about[key] for key in _ABOUT},
        "live_release": files.live_release_id(state().config.prod_deployment_path),
        **{key: found[key] for key in (*_COLUMNS, "features")},
        **_explained(about["release"], found["features"]),
        "history": history.risks_of(state().config.history, client),
    }
    if replies.preferred(replies.JSON, replies.HTML) == replies.HTML:
        return pages.client_page(answer, about["thresholds"])
    return replies.json_answer(answer)


@contextmanager
def _book() -> Iterator[Book]:
    """The ranking as it is now; without one the request ends here."""
    try:
        with clientbook.opened(state().config.client_book) as book:
            yield book
    except FileNotFoundError:
        abort(503, pages.NO_RANKING)
    except DataError:
        abort(503, "the ranking is damaged; write it anew with: python reporting.py")


def _json(page: Page, number: int, size: int) -> dict[str, Any]:
    return {
        **{key: page.about[key] for key in (*_ABOUT, "tiers")},
        "matching": page.matching,
        "page": number,
        "per_page": size,
        "clients": [{key: client[key] for key in _COLUMNS} for client in page.clients],
    }


def _csv(page: Page) -> Response:
    """As JSON has it, the reasons joined to one text."""
    rows = (
        ["; ".join(client[key]) if key == "reasons" else client[key] for key in _COLUMNS]
        for client in page.clients
    )
    return replies.csv_answer(_COLUMNS, rows)


def _release(version: str) -> Served:
    """A release; the live one is loaded already."""
    live = state().model.resolve()
    if live is not None and live.version == version:
        return live
    return open_served(state().config.prod_deployment_path, version)


def _explained(release: str, features: dict[str, Any]) -> dict[str, Any]:
    """The points behind a client's risk, by the model that ranked it; nulls where that is gone."""
    try:
        ranked_by = _release(release)
        card = ranked_by.card
        table = columns.columns_from_records(
            [features], card.numeric_columns, card.categorical_columns
        )
    except DataError:
        return dict.fromkeys(("contributions", "log_odds", "average_log_odds", "threshold"))
    told = ranked_by.explained(table)
    first = {key: told[key][0] for key in ("contributions", "log_odds")}
    return {**told, **first, "threshold": card.threshold}
