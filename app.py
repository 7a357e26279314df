"""The HTTP interface: predictions, scores, statistics and diagnostics, and a page about the model.

    python app.py [--port 8000]   a look on one's own machine; `make serve` for more than a look

Reads  production_deployment/ (the live release), models/diagnostics.json, models/decision.json,
       and the CSV files in the data folders that a request names.
Writes nothing.
"""

from __future__ import annotations

import argparse
import hmac
import json
import os
from collections.abc import Sequence
from typing import Any

from flask import Flask, Response, abort, current_app, render_template, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge, Unauthorized

from attrition import access, cli, columns, files
from attrition.config import Config, load_config
from attrition.errors import DataError
from attrition.live import Document, LiveModel, Served

SERVICE = "client-attrition-risk"
MAXIMUM_BYTES = 16 * 2**20  # of a request's body, and of a data file it names
TOKEN_VARIABLE = "ATTRITION_API_TOKEN"  # noqa: S105 - the name of a variable, not a secret


class State:
    """What the routes of one application share."""

    def __init__(self, config: Config, token: str | None) -> None:
        self.config = config
        self.token = token
        self.model = LiveModel(config.prod_deployment_path)
        self.diagnostics = Document(config.diagnostics)
        self.decision = Document(config.decision)


def create_app(config: Config | None = None) -> Flask:
    """The WSGI application.

    Args:
        config: the settings; None reads `config.json` beside the scripts.

    Returns:
        The application; it asks for a token where `ATTRITION_API_TOKEN` is set or needed.
    """
    app = Flask(__name__)
    app.debug = False  # whatever FLASK_DEBUG says
    app.config["MAX_CONTENT_LENGTH"] = MAXIMUM_BYTES
    app.extensions[SERVICE] = State(config or load_config(), os.environ.get(TOKEN_VARIABLE))
    app.before_request(_guard)
    # Flask documents this as the way to wrap it.
    app.wsgi_app = access.secured(app.wsgi_app)  # type: ignore[method-assign,assignment]
    app.register_error_handler(HTTPException, _problem)
    for rule, view, method in (
        ("/prediction", prediction, "POST"),
        ("/scoring", scoring, "GET"),
        ("/summarystats", summarystats, "GET"),
        ("/diagnostics", diagnostics, "GET"),
        ("/health", health, "GET"),
        ("/", page, "GET"),
    ):
        app.add_url_rule(rule, view_func=view, methods=[method])
    return app


def prediction() -> Response:
    """POST /prediction: who is likely to leave, for records, a CSV table or a named data file."""
    served = _served()
    card = served.card
    table = _requested_columns(_state().config, card.numeric_columns, card.categorical_columns)
    probabilities = card.probabilities(table)
    return _json(
        {
            "predictions": (probabilities >= card.threshold).astype(int).tolist(),
            "probabilities": probabilities.tolist(),
            "threshold": card.threshold,
            "model_version": served.version,
        }
    )


def scoring() -> Response:
    """GET /scoring: how good the deployed model was on the test data when it was deployed."""
    served = _served()
    internal = ("f1", "test_files", "scorecard_sha256")
    scores = {key: value for key, value in served.scores.items() if key not in internal}
    return _json(
        {
            "f1_score": served.scores.get("f1"),
            **scores,
            "threshold": served.card.threshold,
            "model_version": served.version,
            "deployed_at": served.manifest.get("deployed_at"),
        }
    )


def summarystats() -> Response:
    """GET /summarystats: mean, median and standard deviation of each numeric column, in order."""
    by_column = _recorded_diagnostics()["summary_statistics"]
    names = ("mean", "median", "standard_deviation")
    flat = [column[name] for column in by_column.values() for name in names]
    return _json({"summary_statistics": flat, "by_column": by_column})


def diagnostics() -> Response:
    """GET /diagnostics: timings, missing data, outdated packages, drift and the last decision."""
    recorded = _recorded_diagnostics()
    decision = _state().decision.read() or {}
    # The diagnostics were recorded within the run that the decision is of: its timings are newer.
    times = {**recorded["execution_times"], **(decision.get("timings") or {})}
    return _json(
        {
            "execution_times": [times["ingestion"], times["training"]],
            "missing_data_percentages": list(recorded["missing_data_percentages"].values()),
            "outdated_packages": recorded["packages"]["outdated"],
            "packages": recorded["packages"],
            "missing_by_column": recorded["missing_data_percentages"],
            "time": recorded["time"],
            "drift": decision.get("drift"),
            "decision": _decision_of(decision),
        }
    )


def health() -> Response:
    """GET /health: the server is alive; with the version of the model it would answer with."""
    try:
        served = _state().model.resolve()
    except DataError:
        served = None
    version = served.version if served else None
    return _json({"status": "ok", "service": SERVICE, "model_version": version})


def page() -> Response:
    """GET /: the state of the model on one page."""
    state = _state()
    damaged = False
    try:
        served = state.model.resolve()
    except DataError:
        served, damaged = None, True
    html = render_template(
        "index.html",
        served=served,
        damaged=damaged,
        scores=served.scores if served else {},
        decision=_decision_of(state.decision.read() or {}),
        diagnostics=state.diagnostics.read(),
        degraded_below=state.config.model_score_threshold,
    )
    return Response(html, mimetype="text/html")


def _state() -> State:
    state: State = current_app.extensions[SERVICE]
    return state


def _served() -> Served:
    """The model for this request, resolved once."""
    try:
        served = _state().model.resolve()
    except DataError:
        abort(503, "the deployed model is damaged; run deployment.py --rollback or fullprocess.py")
    if served is None:
        abort(503, "no model is deployed yet; run fullprocess.py first")
    return served


def _recorded_diagnostics() -> dict[str, Any]:
    recorded = _state().diagnostics.read()
    if recorded is None:
        abort(503, "nothing is recorded yet; run fullprocess.py first")
    return recorded


def _decision_of(decision: dict[str, Any]) -> dict[str, Any] | None:
    """What the public may know of the last decision; None before the first."""
    keys = ("time", "verdict", "reason", "warnings", "release_before", "release_after")
    return {key: decision.get(key) for key in keys} if decision else None


def _requested_columns(
    config: Config, numeric: Sequence[str], categorical: Sequence[str]
) -> columns.Columns:
    """The client rows of a prediction request; every fault in them ends the request."""
    _check_encoding()
    kind = request.mimetype
    try:
        if kind == "application/json":
            body = columns.decoded_json(request.get_data(cache=False))
            if not isinstance(body, dict) or len(body.keys() & {"filepath", "records"}) != 1:
                raise DataError('expected an object with either "filepath" or "records"')
            if "records" in body:
                return columns.columns_from_records(body["records"], numeric, categorical)
            data = _named_file(config, body["filepath"])
        elif kind == "text/csv":
            data = request.get_data(cache=False)
        else:
            abort(415, "expected a body of type application/json or text/csv")
        return columns.columns_from_csv(data, numeric, categorical)
    except DataError as error:
        abort(400, str(error))


def _check_encoding() -> None:
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8", "us-ascii"):
        abort(415, "expected a body in UTF-8")
    if request.environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        abort(415, "expected a body that is not compressed")


def _named_file(config: Config, name: Any) -> bytes:
    if not isinstance(name, str):
        raise DataError("filepath: expected text")
    try:
        return columns.read_data_file(config, name, MAXIMUM_BYTES)
    except FileNotFoundError:
        abort(404, "filepath: there is no such file in the data folders")
    except OverflowError:
        raise RequestEntityTooLarge(f"the file is larger than {MAXIMUM_BYTES:,} bytes") from None


def _guard() -> None:
    """Let this machine in; anybody else needs the token."""
    if access.is_local(request.environ):
        return
    token = _state().token
    if not token:
        abort(403, f"set {TOKEN_VARIABLE} on the server to allow requests from elsewhere")
    given = request.headers.get("Authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        challenge = WWWAuthenticate("bearer", {"realm": SERVICE})
        raise Unauthorized("expected the header Authorization: Bearer TOKEN", None, challenge)


def _problem(error: HTTPException) -> Response | HTTPException:
    """An error as a problem document (RFC 9457)."""
    status = error.code or 500
    if status < 400:
        return error
    response = error.get_response()
    problem = {
        "type": "about:blank",
        "title": error.name,
        "status": status,
        "detail": error.description,
    }
    answer = _json(problem, status)
    answer.headers["Content-Type"] = "application/problem+json"
    for name in ("Allow", "WWW-Authenticate", "Retry-After"):
        if name in response.headers:
            answer.headers[name] = response.headers[name]
    return answer


def _json(value: Any, status: int = 200) -> Response:
    """Strict JSON: numbers that are not finite become null."""
    try:
        text = json.dumps(value, allow_nan=False)
    except ValueError:
        text = json.dumps(files.strict(value), allow_nan=False)
    return Response(text, status, content_type="application/json")


def _serve(config: Config, arguments: argparse.Namespace) -> int:
    create_app(config).run("127.0.0.1", arguments.port, debug=False, load_dotenv=False)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Serve on this machine, for a look."""
    parser = cli.parser(__doc__)
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (default: 8000)")
    return cli.run(parser, argv, _serve)


if __name__ == "__main__":
    raise SystemExit(main())
