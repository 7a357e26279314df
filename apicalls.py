"""Call the API's four routes and save the answers in a readable form.

    python apicalls.py   ask the server at `api_url`; without one, ask the application right here

Reads  testdata/ (predictions are for its first CSV file; without one, for some of the labelled
       rows held out or ingested last), and the files the server reads.
Writes models/apireturns.txt. When a run replaces the deployed model, this holds the old model's
       answers, and models/apireturns2.txt the new model's for the same rows.
"""

from __future__ import annotations

import argparse
import http.client
import json
import logging
import os
import pkgutil
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrition.core import atomic_files, releases
from attrition.core.config import Config
from attrition.core.errors import PipelineError
from attrition.core.formatting import line
from attrition.runs import cli
from attrition.web import data_files

SECOND = "apireturns2.txt"
ROUTES = ("/prediction", "/scoring", "/summarystats", "/diagnostics")
# Named as for a WSGI server and loaded late: this script may not import the application.
APPLICATION = "app:create_app"
TIMEOUT_SECONDS = 30.0
RECORDS = 100  # predictions to ask for where there is no file

# (route, body as JSON or None) -> the decoded answer; raises CallError.
Ask = Callable[[str, dict[str, Any] | None], Any]
Answers = dict[str, Any]
logger = logging.getLogger(__name__)


class CallError(Exception):
    """A call without a good answer; the message says why."""


def record_current(config: Config) -> Answers:
    """Save the live model's answers in `apireturns.txt`; remove those in `apireturns2.txt`."""
    answers = collect(config)
    write(config.api_returns, answers)
    (config.output_model_path / SECOND).unlink(missing_ok=True)
    return answers


def record_redeployed(config: Config) -> Answers:
    """Save the answers of a model that has just gone live in `apireturns2.txt`.

    `record_current` saved its predecessor's before it went live.
    """
    answers = collect(config)
    write(config.output_model_path / SECOND, answers)
    return answers


def collect(config: Config) -> Answers:
    """Call the four routes of the server at `api_url`, if it serves this project's live model,
    else of the application in this process.

    Returns:
        route -> its answer, or `{"error": why}` for a call that failed.
    """
    ask = _server(config) or _in_process(config)
    answers: Answers = {}
    for route in ROUTES:
        try:
            body = _clients_to_predict(config) if route == "/prediction" else None
            answers[route] = ask(route, body)
        except CallError as error:
            answers[route] = {"error": str(error)}
            logger.warning("the call of %s failed: %s", route, error)
    return answers


def failed(answers: Answers) -> bool:
    """Whether any of the calls failed."""
    return any("error" in answer for answer in answers.values())


def write(path: Path, answers: Answers) -> None:
    """Write answers as JSON, one key for each route, every field of an answer on its own line."""
    routes = []
    for route, answer in answers.items():
        fields = [f"    {json.dumps(key)}: {_line(value)}" for key, value in answer.items()]
        routes.append(f"  {json.dumps(route)}: {{\n" + ",\n".join(fields) + "\n  }")
    atomic_files.write_text(path, "{\n" + ",\n".join(routes) + "\n}\n")


def _line(value: Any) -> str:
    return json.dumps(atomic_files.strict(value), ensure_ascii=False, allow_nan=False)


def _clients_to_predict(config: Config) -> dict[str, Any]:
    """The body of a prediction request: the first test file, or some labelled clients."""
    name = _test_file(config)
    return {"records": _some_records(config)} if name is None else {"filepath": name}


def _some_records(config: Config) -> list[dict[str, Any]]:
    """Some clients of the test data or, without any, of the newest labelled rows."""
    from attrition.data.ledger import read_ledger
    from attrition.engines.context import gather_test_clients
    from attrition.engines.selection import engine

    try:
        ledger = read_ledger(config.ledger)
        clients = gather_test_clients(config, ledger).clients
        if not len(clients) and ledger.commits:
            clients, _ = engine(config).labelled(ledger, ledger.commits[-1].start)
    except PipelineError as error:
        raise CallError(f"there is no CSV file among the test data, and {error}") from None
    if not len(clients):
        raise CallError("there is no CSV file among the test data, and no labelled row")
    some = clients.features.iloc[:RECORDS].astype(object)
    rows = some.where(some.notna() & (some != ""), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def _test_file(config: Config) -> str | None:
    """The API's name of the test file to predict for; None without one."""
    for path in sorted(config.test_data_path.glob("*.csv")):
        name = data_files.public_name(config, path)
        if name is not None and path.is_file() and not path.name.startswith("."):
            return name
    return None


def _server(config: Config) -> Ask | None:
    """A function that asks the server at `api_url`; None unless it serves the live model."""

    def ask(route: str, body: dict[str, Any] | None) -> Any:
        return _request(config.api_url.rstrip("/") + route, body)

    try:
        health = ask("/health", None)
    except CallError as error:
        logger.info("%s: %s; asked the application itself", config.api_url, line(error))
        return None
    live = releases.live_release_id(config.prod_deployment_path)
    if health.get("model_version") != live:
        logger.info(
            "the server at %s serves another model: asking the application here", config.api_url
        )
        return None
    logger.info("asking the server at %s", config.api_url)
    return ask


def _request(url: str, body: dict[str, Any] | None) -> dict[str, Any]:
    if urlsplit(url).scheme not in ("http", "https"):
        raise CallError("api_url is no http or https address")
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **_authorization()}
    request = urllib.request.Request(url, data, headers)  # noqa: S310 - the scheme is checked above
    # Without the environment's proxies: the server is on this machine, or reached directly.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with _opened(opener, request) as response:
            return _decoded(response.status, response.read())
    # The other side may not speak HTTP, or may hang up halfway.
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise CallError(f"no answer: {getattr(reason, 'strerror', None) or reason}") from None


def _authorization() -> dict[str, str]:
    """The header with the token, if one is configured."""
    token = os.environ.get("ATTRITION_API_TOKEN", "").strip()
    # Headers are sent in Latin-1; the server expects the bytes of UTF-8.
    return {"Authorization": f"Bearer {token.encode().decode('latin-1')}"} if token else {}


def _opened(opener: urllib.request.OpenerDirector, request: urllib.request.Request) -> Any:
    """The answer, whatever its status."""
    try:
        return opener.open(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as answer:
        return answer


def _in_process(config: Config) -> Ask:
    client = pkgutil.resolve_name(APPLICATION)(config).test_client()

    def ask(route: str, body: dict[str, Any] | None) -> Any:
        method = "GET" if body is None else "POST"
        response = client.open(route, method=method, json=body, headers=_authorization())
        return _decoded(response.status_code, response.data)

    return ask


def _decoded(status: int, data: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise CallError(f"status {status}, and no JSON object")
    if status != 200:
        raise CallError(f"status {status}: {answer.get('detail')}")
    return answer


def _call(config: Config, _arguments: argparse.Namespace) -> int:
    answers = record_current(config)
    path = config.api_returns
    print(path)
    if failed(answers):
        raise PipelineError(f"{path}: not every call succeeded; it holds the reasons")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Call the four routes."""
    return cli.run_alone(cli.parser(__doc__), argv, _call)


if __name__ == "__main__":
    raise SystemExit(main())
