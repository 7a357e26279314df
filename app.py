"""The HTTP interface: predictions, the ranked clients, what the pipeline recorded, and pages.

    python app.py [--port 8000]   a look on one's own machine; `make serve` for more than a look

Reads  production_deployment/ (the live release), what the pipeline recorded in models/, and the
       CSV files in the data folders that a request names.
Writes nothing.
"""

from __future__ import annotations

if __name__ == "__main__":
    from attrition.core import environment

    environment.require_packages()

import argparse
import os
import time
from collections.abc import Sequence
from functools import partial

from flask import Flask, request
from werkzeug.exceptions import HTTPException, Unauthorized

from attrition.core.config import Config
from attrition.core.config_parsing import load_config
from attrition.runs import cli
from attrition.web import (
    clients,
    health,
    predict,
    prometheus,
    records,
    responses,
    security,
)
from attrition.web.openapi import document
from attrition.web.pages import views
from attrition.web.state import SERVICE, State

BLUEPRINTS = (
    predict.blueprint,
    records.blueprint,
    clients.blueprint,
    health.blueprint,
    prometheus.blueprint,
    document.blueprint,
)


def create_app(config: Config | None = None) -> Flask:
    """The WSGI application.

    Args:
        config: the settings; None reads `config.json` beside the scripts.

    Returns:
        The application; it asks for the token in `ATTRITION_API_TOKEN`, where that is set.
    """
    app = Flask(__name__)
    app.debug = False  # whatever FLASK_DEBUG says
    config = config or load_config()
    app.config["MAX_CONTENT_LENGTH"] = predict.MAXIMUM_BYTES
    app.extensions[SERVICE] = State(config)
    app.jinja_env.filters.update(views.FILTERS)
    rules = security.Rules(
        os.environ.get(security.TOKEN_VARIABLE, "").strip(),
        frozenset(host.lower() for host in config.trusted_hosts),
        config.trust_this_machine,
    )
    app.before_request(partial(_enter, rules, security.WrongTokens()))
    app.after_request(prometheus.count_request)
    app.register_error_handler(HTTPException, responses.problem_answer)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    # Flask documents this as the way to wrap it.
    app.wsgi_app = security.secured(app.wsgi_app)  # type: ignore[method-assign,assignment]
    return app


def _enter(rules: security.Rules, wrong_tokens: security.WrongTokens) -> None:
    """Let in whom the rules let in; the request of anybody else ends here."""
    request.environ[prometheus.BEGAN] = time.perf_counter()
    refusal = security.refusal(request.environ, rules)
    if isinstance(refusal, Unauthorized):
        if request.endpoint == "static":  # the page that asks for the token needs its styles, too
            return
        wrong_tokens.refused(request.environ)
    if refusal is not None:
        raise refusal


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
