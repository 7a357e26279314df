"""What was decided, what the data look like, how long the stages take, what is outdated.

    python diagnostics.py                  print it as tables
    python diagnostics.py --json           print it as JSON
    python diagnostics.py --history [N]    the recorded runs, newest first; --json: all about them
    python diagnostics.py --predict FILE   what the deployed model says of a table, as CSV or JSON
    python diagnostics.py --measure        time a fresh ingestion and training elsewhere

Reads  ingesteddata/finaldata.csv and ledger.json, models/decision.json and history.db,
requirements.txt, the live release.
Writes nothing by hand; within fullprocess.py models/diagnostics.json and models/packages.json.
"""

from __future__ import annotations

if __name__ == "__main__":
    from attrition.core import environment

    environment.require_packages()

import argparse
import logging
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from attrition.core import atomic_files, clock, plain_values, releases
from attrition.core.config import Config
from attrition.core.errors import DataError
from attrition.core.labels import Labels
from attrition.core.scratch import scratch_folder
from attrition.data.discovery import all_rejected
from attrition.data.ledger import read_ledger
from attrition.data.profile import DataProfile, missing_changes
from attrition.engines.context import RunContext
from attrition.engines.predictions import Predictions, predict
from attrition.engines.selection import engine
from attrition.model.champion import fitting_champion, live_champion
from attrition.monitoring.record import DecisionRecord, last_decision, read_record
from attrition.report.diagnostics_text import describe_data, describe_decision, describe_timings
from attrition.report.run_summary import runs_table
from attrition.runs import cli, history, history_store, package_check, stage_timing
from attrition.runs.package_check import PackageCheck, Packages

# Every stage of a run: the measured ones first, the others in the order in which they come.
STAGES = (
    *stage_timing.STAGES,
    "check",
    "scoring",
    "comparison",
    "outgoing answers",
    "deployment",
    "reporting",
    "answers",
)
RUNS_SHOWN = 20
# The pipeline has better things to do than to wait for a package index; a person asked for it.
PIPELINE_WAIT_SECONDS = 5.0
PERSON_WAIT_SECONDS = 60.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DiagnosticsResult:
    """The profile of the data, the newest seconds of each stage, the state of the packages."""

    time: str
    profile: DataProfile
    missing: dict[str, dict[str, float | None]]  # as `missing_changes` gives it
    timings: dict[str, float]
    packages: Packages

    def to_json(self) -> dict[str, Any]:
        """The result as plain values for JSON, as `models/diagnostics.json` holds it."""
        return {
            "time": self.time,
            **asdict(self.profile),
            "missing_data_changes": self.missing,
            "execution_times": in_order(self.timings),
            "packages": plain_values.to_json(self.packages),
        }


def run(
    context: RunContext, timings: Mapping[str, float], check: PackageCheck
) -> DiagnosticsResult:
    """Diagnose and write `diagnostics.json`; as a part of the pipeline, under its lock.

    Args:
        timings: seconds of the stages of this run, which the history does not know yet.
        check: of `package_check.checking`, begun early so that there is nothing to wait for.

    Returns:
        The result; with no ingested rows its statistics are empty.
    """
    config, champion = context.config, context.champion
    profile = engine(config).profile(context.ledger)
    state = package_check.finish_check(check, PIPELINE_WAIT_SECONDS if profile.rows else 0)
    package_check.store(config, state)
    seconds = {**history.latest_timings(config.history), **timings}
    missing = missing_changes(profile, champion.training["reference"] if champion else None)
    result = DiagnosticsResult(clock.now(), profile, missing, seconds, state)
    atomic_files.write_json(config.diagnostics, result.to_json())
    return result


def look(config: Config) -> DiagnosticsResult:
    """Diagnose for a person and write nothing.

    Raises:
        DataError: nothing is ingested yet.
    """
    ledger = read_ledger(config.ledger)
    with package_check.checking(config) as check:
        profile = engine(config).profile(ledger)
        if not profile.rows:
            raise DataError(
                all_rejected(config, ledger)
                or f"{config.final_data}: nothing is ingested yet; put CSV files with client rows "
                f"into {config.input_folder_path} and run fullprocess.py"
            )
        state = package_check.finish_check(check, PERSON_WAIT_SECONDS)
    seconds = history.latest_timings(config.history)
    missing = missing_changes(profile, _training_reference(config))
    return DiagnosticsResult(clock.now(), profile, missing, seconds, state)


def _training_reference(config: Config) -> dict[str, Any] | None:
    """Summary of the rows the deployed model was trained on; None when there is none to read."""
    try:
        champion = live_champion(config)
    except DataError as error:
        logger.warning("%s", error)
        return None
    return champion.training["reference"] if champion else None


def in_order(timings: Mapping[str, float]) -> dict[str, float | None]:
    """The stages in the order of `STAGES`, unknown ones behind; a measured one is never left out.

    Args:
        timings: stage -> seconds.
    """
    known = [stage for stage in STAGES if stage in timings or stage in stage_timing.STAGES]
    return {stage: timings.get(stage) for stage in [*known, *sorted(timings.keys() - {*STAGES})]}


def describe(
    result: DiagnosticsResult,
    decision: DecisionRecord | None,
    now: str,
    labels: Labels,
    folder: Path,
) -> str:
    """The result, and what the last run decided, as tables for a terminal of 80 columns.

    Args:
        now: the time, UTC, ISO 8601.
        labels: what the columns are called.
        folder: the project's, to which paths within it are relative.
    """
    parts = [
        *describe_decision(decision, now, labels, folder),
        *describe_data(result.profile, result.missing, labels),
        describe_timings(in_order(result.timings)),
        result.packages.describe(),
    ]
    return "\n\n".join(parts)


def _diagnose(config: Config, arguments: argparse.Namespace) -> int:
    if arguments.measure:
        return _show_measure(stage_timing.measure(config), arguments)
    if arguments.history is not None:
        return _show_history(config, arguments)
    if arguments.predict is not None:
        return _show_predictions(config, arguments)
    result = look(config)
    if arguments.json:
        print(atomic_files.json_text(result.to_json()).rstrip())
    else:
        print(describe(result, last_decision(config), clock.now(), config.labels, config.root))
    if releases.live_release_id(config.prod_deployment_path) is None:
        raise DataError("no model is deployed yet; run fullprocess.py")
    return 0


def _show_measure(seconds: Mapping[str, float], arguments: argparse.Namespace) -> int:
    if arguments.json:
        print(atomic_files.json_text(dict(seconds)).rstrip())
    else:
        print("\n".join(f"{stage:<30}{value:>12.2f} s" for stage, value in seconds.items()))
    return 0


def _show_history(config: Config, arguments: argparse.Namespace) -> int:
    """Without a number: the newest runs as a table, all of them as JSON."""
    limit = arguments.history or (None if arguments.json else RUNS_SHOWN)
    records = history.runs(config.history, limit=limit)
    if not records and config.history.exists():
        fault = history_store.fault(config.history) or history_store.DAMAGED
        raise DataError(f"{config.history}: no run can be read from it: {fault}")
    if arguments.json:
        print(atomic_files.json_text(records).rstrip())
    else:
        runs = list(filter(None, (read_record(record, config.history) for record in records)))
        if records and not runs:
            raise DataError(f"{config.history}: no run in it is of this form")
        print(
            runs_table(runs, config.root) if runs else "No run is recorded yet; run fullprocess.py."
        )
    return 0


def _show_predictions(config: Config, arguments: argparse.Namespace) -> int:
    with predict(config, fitting_champion(config).card, arguments.predict) as predictions:
        if arguments.json:
            rows = [row._asdict() for row in predictions.rows()]
            print(atomic_files.json_text(rows).rstrip())
        else:
            _print_csv(predictions)
    for row in predictions.rejected:
        line = f", line {row.line}" if row.line else ""
        column = f"{row.column}: " if row.column else ""
        logger.warning("%s%s: rejected; %s%s", arguments.predict, line, column, row.reason)
    return 0


def _print_csv(predictions: Predictions) -> None:
    """Print all of them, or on an error nothing."""
    with scratch_folder() as folder:
        path = folder / "predictions.csv"
        predictions.write_csv(path)
        with path.open("rb") as stream:
            shutil.copyfileobj(stream, sys.stdout.buffer)


def _count(text: str) -> int:
    """A number of runs."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"expected a number of runs, 1 or more, found {text!r}")
    return int(text)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the diagnostics, or with an option the history, predictions or fresh timings."""
    parser = cli.parser(__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--history",
        nargs="?",
        const=0,
        type=_count,
        metavar="N",
        help=f"print the newest N runs (default: {RUNS_SHOWN}; with --json all)",
    )
    what.add_argument(
        "--predict", type=Path, metavar="FILE", help="print predictions for a .csv or .csv.gz file"
    )
    what.add_argument("--measure", action="store_true", help="time a fresh ingestion and training")
    return cli.run(parser, argv, _diagnose)


if __name__ == "__main__":
    raise SystemExit(main())
