"""What the routes of one application share: the settings, the live model, the run's records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import abort, current_app

from attrition.config import Config
from attrition.errors import DataError
from attrition.live import Document, LiveModel, Served

SERVICE = "client-attrition-risk"
VERSION = "0.1.0"
NOTHING_DEPLOYED = (
    "no model is deployed yet: put client rows into the input folder, "
    "labelled rows into the test data folder, and run fullprocess.py"
)
DAMAGED = (
    "the deployed model is damaged; go back to the release before it "
    "with: python deployment.py --rollback"
)
NOTHING_RECORDED = "nothing is recorded yet; run fullprocess.py first"


class State:
    """What one application knows; no file is read before a request asks for it."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.model = LiveModel(config.prod_deployment_path)
        self.diagnostics = Document(config.diagnostics)
        self.decision = Document(config.decision)
        self.prepared: dict[str, tuple[tuple[Any, ...], bytes]] = {}


def state() -> State:
    """That of the application that answers this request."""
    found: State = current_app.extensions[SERVICE]
    return found


def served() -> Served:
    """The model for this request, resolved once; without one the request ends here."""
    try:
        found = state().model.resolve()
    except DataError:
        abort(503, DAMAGED)
    return found or abort(503, NOTHING_DEPLOYED)


def recorded_diagnostics() -> dict[str, Any]:
    """What the pipeline last found; before that the request ends here."""
    return state().diagnostics.read() or abort(503, NOTHING_RECORDED)


def public_decision(decision: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the public may know of a run's decision; None before the first."""
    keys = ("time", "verdict", "reason", "warnings", "release_before", "release_after")
    return {key: decision.get(key) for key in keys} if decision else None
