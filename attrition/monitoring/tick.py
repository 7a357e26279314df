"""One tick of cron, around the run itself: lock, log, idle check, deadline, a failure's record.

Light to import: a tick that finds another run at work, or owes no more than an alert, ends without
the libraries of a run. These are imported last, so that a broken one is a failure that is recorded
and told like any other.
"""

from __future__ import annotations

import argparse
import logging
import textwrap
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from attrition.core import clock, releases
from attrition.core.config import Config
from attrition.core.formatting import within
from attrition.core.loading import load
from attrition.monitoring import alert_delivery
from attrition.monitoring.alerts import failure_kind
from attrition.runs import cli, history, idle
from attrition.runs.stopwatch import Stopwatch

# Named as a WSGI server names its application, and loaded as late: the script stands above this.
RUN, PROSPECT = "fullprocess:run", "fullprocess:prospect"
DRAWING = "attrition.report.drawing:beside"

logger = logging.getLogger(__name__)


def main(
    argv: Sequence[str] | None, docstring: str | None, show: Callable[[str], None] = print
) -> int:
    """Do one run, or with --dry-run only say what it would do.

    Args:
        argv: the arguments, None for those of the process.
        docstring: of the script, for --help.
        show: gets what a person reads.

    Returns:
        The exit code.
    """
    parser = cli.parser(docstring)
    parser.add_argument(
        "--dry-run", action="store_true", help="say what a run would do, change nothing"
    )
    if parser.parse_args(argv).dry_run:
        return cli.run(parser, argv, partial(_dry_run, show))
    return cli.run_alone(parser, argv, partial(_run, show))


def _run(show: Callable[[str], None], config: Config, _arguments: argparse.Namespace) -> int:
    cli.log_to_file(config.log)
    watch = Stopwatch()
    report_failure = partial(record_failure, config, clock.now("milliseconds"), watch.seconds)
    with cli.on_failure(report_failure):
        inputs = idle.observe_inputs(config)
        if idle.is_idle(config, inputs):
            logger.info("%s", idle.MESSAGE)
            alert_delivery.catch_up(config)
            return 0
        deadline = cli.deadline(60 * config.run_deadline_minutes, report_failure)
        # What draws gets ready while the libraries of the run are loaded.
        with deadline, load(DRAWING)() as drawing:
            summary = load(RUN)(config, inputs, watch, drawing)
    show(summary)
    return 0


def _dry_run(show: Callable[[str], None], config: Config, _arguments: argparse.Namespace) -> int:
    """Say what a run would do now; nothing is written, and no lock is taken."""
    for sentence in load(PROSPECT)(config):
        show(
            textwrap.fill(
                within(sentence, config.root), 80, subsequent_indent="  ", break_on_hyphens=False
            )
        )
    return 0


def record_failure(
    config: Config, started: str, seconds: Mapping[str, float], message: str
) -> None:
    """Record a run that failed, and alert; a failure that repeats itself is recorded once.

    Args:
        started: when the run began (UTC, ISO 8601).
        seconds: of each stage that it finished.
        message: what happened.
    """
    live = releases.live_release_id(config.prod_deployment_path)
    last = history.runs(config.history, limit=1)
    is_known = bool(last) and last[0]["verdict"] == history.FAILED
    if not is_known or failure_kind(last[0]["reason"]) != failure_kind(message):
        record: dict[str, Any] = {
            "run_id": started,
            "time": started,
            "verdict": history.FAILED,
            "reason": message,
            "warnings": [],
            "release_before": live,
            "release_after": live,
            "scores": {},
            "drift": {"performance": {}, "data": {}},
            "timings": dict(seconds),
        }
        history.record_run(config.history, record, config.runs_to_keep)
    alert_delivery.tell_failure(config, message)
