"""What the data look like, what is missing in them, how long the stages take, what is outdated.

    python diagnostics.py                  print it as tables
    python diagnostics.py --json           print it as JSON
    python diagnostics.py --history [N]    the recorded runs, newest first; --json: all about them
    python diagnostics.py --predict FILE   what the deployed model says of a table, as CSV
    python diagnostics.py --measure        time a fresh ingestion and training elsewhere

Reads  ingesteddata/finaldata.csv and ledger.json, models/history.db, requirements.txt, the live
release.
Writes nothing by hand; within fullprocess.py models/diagnostics.json and models/packages.json.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import logging
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from attrition import cli, clock, files, history, packages
from attrition.champion import label_settings
from attrition.clients import Rejection, read_table
from attrition.config import FOLDER_KEYS, Config
from attrition.errors import DataError, PipelineError
from attrition.packages import PackageCheck, Packages
from attrition.profile import DataProfile, missing_changes, profile_data
from attrition.scorecard import load_scorecard
from attrition.scratch import scratch_folder
from attrition.summary import runs_table

MEASURED_STAGES = ("ingestion", "training")
# Every stage of a run: the measured ones first, the others in the order in which they come.
STAGES = (*MEASURED_STAGES, "check", "scoring", "comparison", "outgoing answers", "deployment",
          "reporting", "answers")  # fmt: skip
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
            "packages": self.packages.to_json(),
        }


def run(
    config: Config,
    timings: Mapping[str, float] | None = None,
    check: PackageCheck | None = None,
) -> DiagnosticsResult:
    """Diagnose and write `diagnostics.json`; as a part of the pipeline, under its lock.

    Args:
        config: the settings.
        timings: seconds of the stages of this run, which the history does not know yet.
        check: of `packages.checking`, begun early so that there is nothing to wait for; None
            begins one now.

    Returns:
        The result; with no ingested rows its statistics are empty.
    """
    with nullcontext(check) if check else packages.checking(config) as asked:
        profile = profile_data(config)
        state = packages.finish_check(asked, PIPELINE_WAIT_SECONDS if profile.rows else 0)
    packages.store(config, state)
    seconds = {**history.latest_timings(config.history), **(timings or {})}
    missing = missing_changes(profile, _training_reference(config))
    result = DiagnosticsResult(clock.now(), profile, missing, seconds, state)
    files.write_json(config.diagnostics, result.to_json())
    return result


def look(config: Config) -> DiagnosticsResult:
    """Diagnose for a person and write nothing.

    Raises:
        DataError: nothing is ingested yet.
    """
    with packages.checking(config) as asked:
        profile = profile_data(config)
        if not profile.rows:
            raise DataError(
                f"{config.final_data}: nothing is ingested yet; put CSV files with client rows "
                f"into {config.input_folder_path} and run fullprocess.py"
            )
        state = packages.finish_check(asked, PERSON_WAIT_SECONDS)
    missing, seconds = _training_reference(config), history.latest_timings(config.history)
    return DiagnosticsResult(
        clock.now(), profile, missing_changes(profile, missing), seconds, state
    )


def _training_reference(config: Config) -> dict[str, Any] | None:
    """Summary of the rows the deployed model was trained on; None when there is none to read."""
    try:
        release = files.live_release(config.prod_deployment_path)
        training = files.read_json(release.folder / "training.json") if release else {}
    except DataError as error:
        logger.warning("%s", error)
        return None
    reference: dict[str, Any] | None = training.get("reference")
    return reference


def in_order(timings: Mapping[str, float]) -> dict[str, float | None]:
    """The stages in the order of `STAGES`, unknown ones behind; a measured one is never left out.

    Args:
        timings: stage -> seconds.
    """
    known = [stage for stage in STAGES if stage in timings or stage in MEASURED_STAGES]
    return {stage: timings.get(stage) for stage in [*known, *sorted(timings.keys() - {*STAGES})]}


def predict(config: Config, path: Path) -> tuple[list[tuple[str, float, str]], list[Rejection]]:
    """What the deployed model says of the clients in a table.

    Args:
        config: the settings.
        path: a `.csv` or `.csv.gz` file; only the features must be in it.

    Returns:
        Id, probability of leaving and predicted label of each client in the order of the file,
        and the rows that were not accepted.

    Raises:
        DataError: no model is deployed, it has other columns or labels than the settings, or
            the file is of no use.
    """
    release = files.live_release(config.prod_deployment_path)
    if release is None:
        raise DataError("no model is deployed yet; run fullprocess.py")
    card = load_scorecard(release.folder / "scorecard.json")
    label = files.read_json(release.folder / "training.json").get("label", label_settings(config))
    fits = {*card.numeric_columns} <= {*config.numeric_columns}
    fits &= {*card.categorical_columns} <= {*config.categorical_columns}
    if not fits or label != label_settings(config):
        raise DataError(
            f"the deployed model, {release.id}, has other columns or labels than {config.source}; "
            f"run fullprocess.py, which trains one for these settings"
        )
    clients, rejected = read_table(config, path)
    chances = card.probabilities(clients.columns)
    labels = (config.negative_label, config.positive_label)
    predictions = [
        (str(client), float(chance), labels[bool(chance >= card.threshold)])
        for client, chance in zip(clients.ids, chances, strict=True)
    ]
    return predictions, list(rejected)


def measure(config: Config) -> dict[str, float]:
    """Time a fresh ingestion and training as processes of their own, start-up included.

    Everything they write goes to a temporary folder; the folders of the settings stay untouched.

    Returns:
        stage -> seconds.

    Raises:
        PipelineError: a stage failed; with what it said.
    """
    seconds = {}
    with scratch_folder() as folder:
        settings = _temporary_settings(config, folder)
        for stage in MEASURED_STAGES:
            script = Path(__file__).resolve().with_name(f"{stage}.py")
            start = time.perf_counter()
            done = subprocess.run(  # noqa: S603 - our own script, under our own interpreter
                [sys.executable, str(script), "--config", str(settings)],
                capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
            )  # fmt: skip
            seconds[stage] = round(time.perf_counter() - start, 3)
            if done.returncode:
                said = done.stderr.strip().splitlines()[-1:] or ["no word"]
                raise PipelineError(f"{stage} failed while being measured: {said[0]}")
    return seconds


def _temporary_settings(config: Config, folder: Path) -> Path:
    """The same settings, reading the same inputs and writing into the folder."""
    raw = json.loads(config.source.read_text(encoding="utf-8-sig"))
    for key in FOLDER_KEYS:
        if key in ("input_folder_path", "test_data_path"):
            raw[key] = str(getattr(config, key))
        else:
            raw[key] = key
            (folder / key).mkdir()
    path = folder / "config.json"
    path.write_text(json.dumps(raw), encoding="utf-8")
    return path


def describe(result: DiagnosticsResult) -> str:
    """The result as tables for a terminal of 80 columns."""
    return "\n\n".join([_describe_data(result.profile), *_describe_columns(result.profile),
                        *_describe_missing(result.missing), *_describe_batches(result.profile),
                        _describe_timings(result.timings), result.packages.describe()])  # fmt: skip


def _describe_data(profile: DataProfile) -> str:
    lines = [f"{'labelled rows':<30}{profile.rows:>14,}"]
    if profile.base_rate is not None:
        lines.append(f"{'share that left':<30}{profile.base_rate:>14.1%}")
    if profile.clients is not None:
        lines.append(f"{'clients':<30}{profile.clients:>14,}")
        lines.append(f"{'clients with several rows':<30}{profile.repeated_clients:>14,}")
    lines.append(f"{'under both labels at once':<30}{profile.conflicting_clients:>14,}")
    return "\n".join(["DATA", *lines])


def _describe_columns(profile: DataProfile) -> list[str]:
    tables = []
    missing = profile.missing_data_percentages
    if profile.summary_statistics:
        names = ("mean", "median", "std dev", "5 %", "95 %")
        keys = ("mean", "median", "standard_deviation", "quantile_05", "quantile_95")
        head = f"{'NUMBERS':<24}" + "".join(f"{name:>9}" for name in names) + f"{'missing':>9}"
        lines = [head] + [
            f"{_clip(column, 23):<24}"
            + "".join(f"{_number(values[key]):>9}" for key in keys)
            + _percentage(missing[column])
            for column, values in profile.summary_statistics.items()
        ]
        tables.append("\n".join(lines))
    if profile.categories:
        lines = [f"{'CATEGORIES':<24}{'levels':>7}{'missing':>9}  most frequent"]
        for column, counts in profile.categories.items():
            top = ", ".join(
                f"{_clip(level, 12)} {count / profile.rows:.0%}"
                for level, count in list(counts["levels"].items())[:3]
            )
            lines.append(
                f"{_clip(column, 23):<24}{counts['distinct']:>7,}{_percentage(missing[column])}"
                f"  {_clip(top, 37)}"
            )
        tables.append("\n".join(lines))
    return tables


def _percentage(value: float | None, width: int = 9) -> str:
    return f"{'-' if value is None else f'{value:.1f}%':>{width}}"


def _describe_missing(missing: Mapping[str, Mapping[str, float | None]]) -> list[str]:
    """A table where anything is missing at all, and else no table."""
    keys = ("training_rows", "all_rows", "newest_batch")
    if not any(shares[key] for shares in missing.values() for key in keys):
        return []
    lines = [f"{'MISSING':<24}{'trained on':>12}{'all rows':>12}{'newest batch':>14}{'change':>14}"]
    for column, shares in missing.items():
        if not any(shares[key] for key in keys):
            continue
        change = shares["change"]
        lines.append(
            f"{_clip(column, 23):<24}{_percentage(shares['training_rows'], 12)}"
            f"{_percentage(shares['all_rows'], 12)}{_percentage(shares['newest_batch'], 14)}"
            f"{'-' if change is None else f'{change:+.1f} points':>14}"
        )
    return ["\n".join(lines)]


def _describe_batches(profile: DataProfile) -> list[str]:
    if not profile.batches:
        return []
    lines = [f"{'BATCHES':<24}{'labelled rows':>15}{'share that left':>18}"] + [
        f"{batch.time[:16].replace('T', ' '):<24}{batch.rows:>15,}"
        f"{'-' if batch.base_rate is None else f'{batch.base_rate:.1%}':>18}"
        for batch in reversed(profile.batches)
    ]
    return ["\n".join(lines)]


def _describe_timings(timings: Mapping[str, float]) -> str:
    lines = [
        f"{stage:<30}" + (f"{'never':>14}" if seconds is None else f"{seconds:>12.2f} s")
        for stage, seconds in in_order(timings).items()
    ]
    return "\n".join(["SECONDS, WHEN LAST RUN", *lines])


def _number(value: float | None) -> str:
    """A number in at most eight characters."""
    if value is None:
        return "-"
    if value != 0 and not 1e-3 <= abs(value) < 1e7:
        return f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _clip(text: str, width: int) -> str:
    printable = "".join(c if c.isprintable() else "?" for c in text)
    return printable if len(printable) <= width else printable[: width - 1] + "…"


def _diagnose(config: Config, arguments: argparse.Namespace) -> int:
    if arguments.measure:
        return _show_measure(measure(config), arguments)
    if arguments.history is not None:
        return _show_history(config, arguments)
    if arguments.predict is not None:
        return _show_predictions(config, arguments.predict)
    result = look(config)
    print(files.json_text(result.to_json()).rstrip() if arguments.json else describe(result))
    if files.live_release_id(config.prod_deployment_path) is None:
        raise DataError("no model is deployed yet; run fullprocess.py")
    return 0


def _show_measure(seconds: Mapping[str, float], arguments: argparse.Namespace) -> int:
    if arguments.json:
        print(files.json_text(dict(seconds)).rstrip())
    else:
        print("\n".join(f"{stage:<30}{value:>12.2f} s" for stage, value in seconds.items()))
    return 0


def _show_history(config: Config, arguments: argparse.Namespace) -> int:
    """Without a number: the newest runs as a table, all of them as JSON."""
    asked = arguments.history or (None if arguments.json else RUNS_SHOWN)
    records = history.runs(config.history, limit=asked)
    if not records and config.history.exists():
        raise DataError(
            f"{config.history}: no run can be read from it; "
            f"a damaged history is moved aside by the next run that is not idle"
        )
    if arguments.json:
        print(files.json_text(records).rstrip())
    else:
        print(runs_table(records) if records else "No run is recorded yet; run fullprocess.py.")
    return 0


def _show_predictions(config: Config, path: Path) -> int:
    predictions, rejected = predict(config, path)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("id", "probability", "prediction"))
    writer.writerows(predictions)
    for row in rejected:
        place = f", line {row.line}" if row.line else ""
        column = f"{row.column}: " if row.column else ""
        logger.warning("%s%s: rejected; %s%s", path, place, column, row.reason)
    return 0


def _count(text: str) -> int:
    """A number of runs."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def main(argv: Sequence[str] | None = None) -> int:
    """Print the diagnostics, or with an option the history, predictions or fresh timings."""
    parser = cli.parser(__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--history", nargs="?", const=0, type=_count, metavar="N",
        help=f"print the newest N runs (default: {RUNS_SHOWN}; with --json all)",
    )  # fmt: skip
    what.add_argument(
        "--predict", type=Path, metavar="FILE", help="print predictions for a .csv or .csv.gz file"
    )
    what.add_argument("--measure", action="store_true", help="time a fresh ingestion and training")
    return cli.run(parser, argv, _diagnose)


if __name__ == "__main__":
    raise SystemExit(main())
