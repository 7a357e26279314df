"""Is the server alive, is it ready, what is it: /health, /ready, /ping, /version, and / itself."""

from __future__ import annotations

from flask import Blueprint, Response
from werkzeug.exceptions import ServiceUnavailable

from attrition.core.errors import DataError
from attrition.core.version import version
from attrition.web import responses
from attrition.web.pages import views
from attrition.web.state import DAMAGED, RANKING_DAMAGED, SERVICE, ranking, served, state

LINKS = {"description": "/openapi.json", "clients": "/clients", "model": "/model"}

blueprint = Blueprint("health", __name__)


@blueprint.get("/")
def home() -> Response:
    """For a browser the page about the model; else what is here."""
    if responses.preferred(responses.JSON, responses.HTML) == responses.HTML:
        return views.overview_page()
    return responses.json_answer({"service": SERVICE, "version": version(), "links": LINKS})


@blueprint.get("/health")
def health() -> Response:
    """The server is alive; with the version of the model it would answer with."""
    try:
        live = state().model.resolve()
    except DataError:
        live = None
    answer = {"status": "ok", "service": SERVICE, "model_version": live.version if live else None}
    return responses.json_answer(answer)


@blueprint.get("/ready")
def ready() -> Response:
    """A verified release is loaded; says what is damaged: a newer release, or the ranking."""
    live = served()
    troubles = _troubles()
    return responses.json_answer(
        {
            "status": "degraded" if troubles else "ready",
            "model_version": live.version,
            "damaged_release": state().model.damaged,
            "detail": "; ".join(troubles) or None,
        }
    )


def _troubles() -> list[str]:
    """What is damaged, and what to do; a ranking that is not there yet is not."""
    troubles = [DAMAGED] if state().model.damaged else []
    try:
        with ranking():
            pass
    except ServiceUnavailable as trouble:
        if trouble.description == RANKING_DAMAGED:
            troubles.append(str(trouble.description))
    return troubles


@blueprint.get("/ping")
def ping() -> Response:
    """As MLflow's scoring protocol has it: status 200 when predictions can be asked for."""
    served()
    return Response("\n", content_type=responses.JSON)


@blueprint.get("/version")
def service_version() -> Response:
    """The version of this service, as text."""
    return Response(version(), content_type="text/plain; charset=utf-8")
