"""What the data look like, what is missing in them, how long the stages take, what is outdated.

    python diagnostics.py             print it as tables
    python diagnostics.py --json      print it as JSON
    python diagnostics.py --measure   time a fresh ingestion and training, in a temporary folder

Reads  ingesteddata/finaldata.csv, models/history.db, requirements.txt.
Writes nothing by hand; within fullprocess.py models/diagnostics.json and models/packages.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrition import cli, files, history, packages
from attrition.config import FOLDER_KEYS, Config
from attrition.errors import DataError, PipelineError
from attrition.packages import PackageCheck, Packages
from attrition.profile import DataProfile, profile_data

MEASURED_STAGES = ("ingestion", "training")
# The pipeline has better things to do than to wait for a package index; a person asked for it.
PIPELINE_WAIT_SECONDS = 5.0
PERSON_WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class DiagnosticsResult:
    """The profile of the data, the newest seconds of each stage, the state of the packages."""

    time: str
    profile: DataProfile
    timings: dict[str, float]
    packages: Packages

    def to_json(self) -> dict[str, Any]:
        """The result as plain values for JSON, as `models/diagnostics.json` holds it."""
        times = {stage: self.timings.get(stage) for stage in MEASURED_STAGES}
        return {
            "time": self.time,
            **asdict(self.profile),
            "execution_times": {**times, **self.timings},
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
    result = DiagnosticsResult(_now(), profile, seconds, state)
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
    return DiagnosticsResult(_now(), profile, history.latest_timings(config.history), state)


def measure(config: Config) -> dict[str, float]:
    """Time a fresh ingestion and training as processes of their own, start-up included.

    Everything they write goes to a temporary folder; the folders of the settings stay untouched.

    Returns:
        stage -> seconds.

    Raises:
        PipelineError: a stage failed; with what it said.
    """
    seconds = {}
    with tempfile.TemporaryDirectory(prefix="attrition-measure-") as name:
        settings = _temporary_settings(config, Path(name))
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


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def describe(result: DiagnosticsResult) -> str:
    """The result as tables for a terminal of 80 columns."""
    return "\n\n".join([_describe_data(result.profile), *_describe_columns(result.profile),
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


def _percentage(value: float | None) -> str:
    return f"{'-' if value is None else f'{value:.1f}%':>9}"


def _describe_timings(timings: Mapping[str, float]) -> str:
    """Ingestion and training first, then the other stages."""
    stages = [*MEASURED_STAGES, *(stage for stage in timings if stage not in MEASURED_STAGES)]
    lines = [
        f"{stage:<30}" + (f"{timings[stage]:>12.2f} s" if stage in timings else f"{'never':>14}")
        for stage in stages
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


def main(argv: Sequence[str] | None = None) -> int:
    """Print the diagnostics, or with --measure time ingestion and training."""
    parser = cli.parser(__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument(
        "--measure", action="store_true", help="time a fresh ingestion and training"
    )
    return cli.run(parser, argv, _diagnose)


if __name__ == "__main__":
    raise SystemExit(main())
