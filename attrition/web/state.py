"""What the routes of one application share: the settings, the live model, the run's records."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flask import abort, current_app

from attrition.core import formatting
from attrition.core.config import Config
from attrition.core.errors import DataError
from attrition.ranking import lookup_db
from attrition.ranking.lookup_db import Book, Question
from attrition.web import query_parameters
from attrition.web.live_model import Document, LiveModel, Served

if TYPE_CHECKING:
    from attrition.monitoring.record import DecisionRecord

SERVICE = "client-attrition-risk"
NOTHING_DEPLOYED = (
    "no model is deployed yet: put labelled client rows into the input folder, and run "
    "fullprocess.py"
)
DAMAGED = (
    "the deployed model is damaged; go back to the release before it "
    "with: python deployment.py --rollback"
)
NOT_YET_RECORDED = (
    "a model is live, but the data are not described yet: the first run is not finished; "
    "where none is at work run fullprocess.py"
)
RECORDED_OTHERWISE = "what is recorded is of another version; run fullprocess.py, or diagnostics.py"
NO_RANKING = "no clients are ranked yet; run fullprocess.py, or reporting.py"
RANKING_DAMAGED = (
    "the ranking is damaged, or of another version; write it anew with: python reporting.py"
)

logger = logging.getLogger(__name__)


class State:
    """What one application knows; no file is read before a request asks for it."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.model = LiveModel(config.prod_deployment_path, config.labels)
        self.diagnostics: Document[dict[str, Any]] = Document(config.diagnostics, dict)
        self.decision = Document(config.decision, _decision)
        self.prepared: dict[str, tuple[tuple[Any, ...], bytes]] = {}


def _decision(plain: dict[str, Any]) -> DecisionRecord:
    from attrition.monitoring.record import DecisionRecord  # heavy, and not needed to start

    return DecisionRecord.from_json(plain)


def state() -> State:
    """That of the application that answers this request."""
    service: State = current_app.extensions[SERVICE]
    return service


def served() -> Served:
    """The model for this request, resolved once; without one the request ends here."""
    try:
        live = state().model.resolve()
    except DataError:
        abort(503, DAMAGED)
    if live is None:
        decision = state().decision.read()
        why = decision.no_model if decision else None
        abort(503, f"no model is deployed yet: {why}" if why else NOTHING_DEPLOYED)
    return live


def question(book: Book) -> Question:
    """What the request asks of a list; status 400 where it cannot answer that."""
    return query_parameters.question(sorts=book.sorts, segment_columns=book.segment_columns)


@contextmanager
def ranking() -> Iterator[Book]:
    """The ranked clients as they are now; without a sound list the request ends here."""
    try:
        with lookup_db.opened(state().config.client_book) as book:
            yield book
    except FileNotFoundError:
        decision = state().decision.read()
        reason = decision.no_ranking if decision else None
        abort(503, NO_RANKING if reason is None else formatting.no_list(reason))
    except DataError as error:
        logger.warning("%s", error)
        abort(503, RANKING_DAMAGED)


def recorded_diagnostics() -> dict[str, Any] | None:
    """What the pipeline last found; None while a model is live whose first run is not finished.

    Where no model is live either the request ends here.
    """
    recorded = state().diagnostics.read()
    if recorded is None:
        served()
    return recorded


def public_decision(decision: DecisionRecord | None) -> dict[str, Any] | None:
    """What the public may know of a run's decision; None before the first."""
    keys = ("time", "verdict", "reason", "release_before", "release_after")
    if decision is None:
        return None
    public = {key: getattr(decision, key) for key in keys}
    return {**public, "warnings": [warning.text for warning in decision.warnings]}
