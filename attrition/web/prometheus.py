"""Numbers for Prometheus: `GET /metrics`, right under several gunicorn workers.

What a worker counts goes through the official client library, which in its multi-process mode
(`PROMETHEUS_MULTIPROC_DIR`, set by gunicorn.conf.py) adds up the workers. What comes from files
(release, score, age of the last run) is read at each scrape, so that every worker says the same.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, request
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from attrition.core.errors import DataError
from attrition.web.state import State, state

PREFIX = "attrition"
BEGAN = "attrition.began"  # in a request's environ: when it came, by time.perf_counter
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

registry = CollectorRegistry()
_requests = Counter(
    f"{PREFIX}_requests", "Requests answered", ("method", "route", "status"), registry=registry
)
_seconds = Histogram(
    f"{PREFIX}_request_duration_seconds",
    "Time taken to answer",
    ("route",),
    buckets=_BUCKETS,
    registry=registry,
)
_predicted = Counter(f"{PREFIX}_predictions", "Clients predicted for", registry=registry)

blueprint = Blueprint("metrics", __name__)


@blueprint.get("/metrics")
def metrics() -> Response:
    """The numbers in Prometheus' text format."""
    collected = registry
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        collected = CollectorRegistry()
        MultiProcessCollector(collected)  # type: ignore[no-untyped-call]
    file_metrics = CollectorRegistry()
    file_metrics.register(_Files(state()))
    text = generate_latest(collected) + generate_latest(file_metrics)
    return Response(text, content_type=CONTENT_TYPE_LATEST)


def count_request(response: Response) -> Response:
    """Count a request that is answered, by its route: a path could hold a client's name."""
    environ = request.environ
    rule = request.url_rule
    count(
        environ["REQUEST_METHOD"],
        rule.rule if rule else "none",
        response.status_code,
        time.perf_counter() - environ[BEGAN],
    )
    return response


def count(method: str, route: str, status: int, seconds: float) -> None:
    """Count a request by what it asked for, how it was answered, and how long that took."""
    counter, watch = _meters(method, route, status)
    counter.inc()
    watch.observe(seconds)


@functools.lru_cache(maxsize=1024)
def _meters(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """What counts such a request; strangers cannot make up labels."""
    known = method if method in _METHODS else "other"
    return _requests.labels(known, route, status), _seconds.labels(route)


def count_predictions(clients: int) -> None:
    """Count the clients that a request got predictions for."""
    _predicted.inc(clients)


class _Files(Collector):
    """What the files say at the moment of a scrape."""

    def __init__(self, served: State) -> None:
        self._state = served

    def collect(self) -> Iterable[Metric]:
        """The release that is served, its score, and the last run."""
        try:
            live = self._state.model.resolve()
        except DataError:
            live = None
        yield _gauge("model_loaded", "1 if a verified release is served", int(live is not None))
        yield _gauge(
            "release_damaged",
            "1 if the live release is damaged",
            int(self._state.model.damaged is not None),
        )
        if live is not None:
            info = InfoMetricFamily(f"{PREFIX}_model", "The release that is served")
            info.add_metric([], {"version": live.version})
            yield info
            if live.scores.get("f1") is not None:
                yield _gauge("model_f1_score", "F1 at deployment", live.scores["f1"])
        yield from self._last_run()

    def _last_run(self) -> Iterable[Metric]:
        decision = self._state.decision.read()
        if decision and decision.finished_at is not None:
            then = datetime.fromisoformat(decision.finished_at).timestamp()
            yield _gauge(
                "last_run_timestamp_seconds", "When the last run that was not idle ended", then
            )
            yield _gauge("last_run_age_seconds", "Seconds since then", max(0, time.time() - then))


def _gauge(name: str, text: str, value: Any) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, float(value))
