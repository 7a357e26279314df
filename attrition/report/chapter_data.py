"""The report's last chapter: the data that came in, the machine that works on them."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrition.core import formatting
from attrition.core.formatting import NOT_KNOWN, number_format, percent
from attrition.core.labels import Labels
from attrition.data.ledger import REJECTED
from attrition.report.document import (
    Beside,
    Block,
    Fact,
    Facts,
    Heading,
    Section,
    Table,
    Text,
    left_out,
    table,
)
from attrition.report.inputs import ReportInputs

COLUMNS_SHOWN = 10
BATCHES_SHOWN = 12
FILES_SHOWN = 8
RUNS_COMPARED = 20
SETTINGS = (
    "drift_threshold",
    "model_score_threshold",
    "data_drift_threshold",
    "snapshot_column",
    "outcome_days",
    "promotion_confidence",
    "promotion_margin",
    "promotion",
    "high_risk_threshold",
    "medium_risk_threshold",
    "minimum_training_rows",
    "minimum_scoring_rows",
    "random_seed",
)
# Where the costs of calls are set.
PROFIT_SETTINGS = (
    "rank_by",
    "contact_cost",
    "offer_share",
    "offer_cost",
    "success_rate",
    "calls_per_list",
)


def chapter(inputs: ReportInputs) -> Section:
    """Rows and files, missing data, base rate, timings, packages, versions, settings."""
    blocks = [
        *_rows(inputs),
        *_files(inputs),
        *_columns(inputs.diagnostics, inputs.config.labels),
        *_missing(inputs.diagnostics, inputs.config.labels),
        *_machine(inputs),
        *_packages(inputs.diagnostics.get("packages") or {}),
        *_versions(inputs),
    ]
    return Section("data", "Data and engineering", tuple(blocks))


def _rows(inputs: ReportInputs) -> Iterator[Block]:
    diagnosed, ledger = inputs.diagnostics, inputs.ledger
    if not diagnosed.get("rows"):
        yield Text("No labelled client rows have been ingested yet.")
        return
    quarantined = sum(entry.quarantined for entry in ledger.entries)
    clients = diagnosed.get("clients")
    facts = [
        Fact(
            "Labelled rows",
            formatting.count(diagnosed["rows"]),
            "" if clients is None else f"of {formatting.plural(clients, 'client')}",
        ),
        Fact("Left", percent(diagnosed.get("base_rate"), 1), "of the labelled rows"),
        Fact(
            "Open clients",
            formatting.count(ledger.open_rows),
            "outcome not known yet"
            + (", or not to be used before its day" if ledger.unmatured else ""),
        ),
        Fact("In quarantine", formatting.count(quarantined), "rows that could not be read"),
    ]
    yield Facts(tuple(facts))
    if diagnosed.get("repeated_clients"):
        yield Text(
            f"{formatting.plural(diagnosed['repeated_clients'], 'client')} with several rows."
        )
    if conflicts := diagnosed.get("conflicting_clients"):
        what = "set" if clients is None else "client"
        yield Text(
            f"Conflicting labels: {formatting.plural(conflicts, what)} "
            f"{'of' if clients is None else 'with'} equal features under both labels at once. "
            f"Both rows are kept; no model can get both right."
        )


def _files(inputs: ReportInputs) -> Iterator[Block]:
    yield Heading("Files")
    entries = inputs.ledger.entries
    rejected = [entry for entry in entries if entry.status == REJECTED]
    good = len(entries) - len(rejected)
    decision = inputs.decision
    this_run = decision.ingestion.files if decision and decision.ingestion else ()
    yield Text(
        f"{formatting.plural(good, 'file')} ingested so far, {len(rejected):,} rejected; "
        f"{formatting.plural(len(this_run), 'file')} came with the last run."
    )
    troubled = [
        entry for entry in reversed(entries) if entry.status == REJECTED or entry.quarantined
    ]
    if not troubled:
        return
    more = left_out(len(troubled), FILES_SHOWN, "files", "ledger.json")
    yield table(
        "Files that could not, or not wholly, be read; the newest first",
        "llrrl",
        ("File", "Came (UTC)", "Rows", "In quarantine", "What became of it"),
        [
            (
                formatting.line(entry.name, 48),
                formatting.short_moment(entry.time),
                formatting.count(entry.rows_read),
                formatting.count(entry.quarantined),
                f"rejected: {formatting.line(entry.reason, 120)}"
                if entry.status == REJECTED
                else "ingested; quarantine/ tells the reasons",
            )
            for entry in troubled[:FILES_SHOWN]
        ],
        more,
    )


def _columns(diagnosed: Mapping[str, Any], labels: Labels) -> Iterator[Block]:
    if not diagnosed.get("rows"):
        return
    numbers, categories = (
        diagnosed.get("summary_statistics") or {},
        diagnosed.get("categories") or {},
    )
    if numbers:
        yield Heading("Columns")
        keys = ("median", "mean", "standard_deviation", "quantile_05", "quantile_95")
        yield table(
            "Numbers in the labelled rows",
            "lrrrrr",
            ("Column", "Median", "Mean", "Std. deviation", "5%", "95%"),
            [
                (labels.name(column, 36), *_numbers([values.get(key) for key in keys]))
                for column, values in list(numbers.items())[:COLUMNS_SHOWN]
            ],
            left_out(len(numbers), COLUMNS_SHOWN, "columns", "diagnostics.json"),
        )
    if categories:
        yield table(
            "Categories in the labelled rows",
            "lrl",
            ("Column", "Levels", "The most frequent"),
            [
                (
                    labels.name(column, 36),
                    formatting.count(counts["distinct"]),
                    _levels(counts["levels"], diagnosed["rows"]),
                )
                for column, counts in list(categories.items())[:COLUMNS_SHOWN]
            ],
            left_out(len(categories), COLUMNS_SHOWN, "columns", "diagnostics.json"),
        )


def _levels(levels: Mapping[str, int], rows: int) -> str:
    first = list(levels.items())[:3]
    return ", ".join(f"{formatting.line(level, 24)} {percent(n / rows)}" for level, n in first) or (
        "all missing"
    )


def _missing(diagnosed: Mapping[str, Any], labels: Labels) -> Iterator[Block]:
    """The columns in which anything is missing, those with the largest change first."""
    keys = ("training_rows", "all_rows", "newest_batch")
    missing = {
        column: shares
        for column, shares in (diagnosed.get("missing_data_changes") or {}).items()
        if any(shares[key] for key in keys)
    }
    if not missing:
        if diagnosed.get("rows"):
            yield Text("No value of any column is missing.")
        return
    columns = sorted(missing, key=lambda column: -abs(missing[column]["change"] or 0.0))
    yield table(
        "Missing values, in percent of the rows; the largest change first",
        "lrrrr",
        ("Column", "Trained on", "All rows", "Newest batch", "Change"),
        [
            (
                labels.name(column, 36),
                *(_percentage(missing[column][key]) for key in keys),
                formatting.points(missing[column]["change"]),
            )
            for column in columns[:COLUMNS_SHOWN]
        ],
        "Change: from the rows trained on to the newest batch, in percentage points. "
        + left_out(len(columns), COLUMNS_SHOWN, "columns", "diagnostics.json"),
    )


def _percentage(value: float | None) -> str:
    return percent(None if value is None else value / 100, 1)


def _machine(inputs: ReportInputs) -> Iterator[Block]:
    yield Heading("Batches, timings and settings")
    yield Beside((_batches(inputs.diagnostics), _timings(inputs), _settings(inputs)))


def _batches(diagnosed: Mapping[str, Any]) -> Table:
    batches = list(reversed(diagnosed.get("batches") or []))[:BATCHES_SHOWN]
    return table(
        "How many left, by batch",
        "lrr",
        ("Ingested (UTC)", "Rows", "Left"),
        [
            (
                formatting.short_moment(batch["time"]),
                formatting.count(batch["rows"]),
                percent(batch["base_rate"], 1),
            )
            for batch in batches
        ],
        f"Labelled rows; of many batches the newest {BATCHES_SHOWN}.",
    )


def _timings(inputs: ReportInputs) -> Table:
    decision = inputs.decision
    latest = inputs.diagnostics.get("execution_times") or {}
    stages = [stage for stage, taken in latest.items() if taken is not None]
    now, run_id = (decision.timings, decision.run_id) if decision else ({}, None)
    timed = [run.timings for run in inputs.runs if run.run_id != run_id][:RUNS_COMPARED]
    past = {stage: [one[stage] for one in timed if stage in one] for stage in stages}
    return table(
        "How long each stage took",
        "lrr",
        ("Stage", "Last run", "Median before"),
        [
            (
                formatting.line(stage),
                formatting.seconds(now.get(stage)),
                formatting.seconds(statistics.median(past[stage]) if past[stage] else None),
            )
            for stage in stages
        ],
        f"Before: of at most {RUNS_COMPARED} runs, those in which the stage had work to do.",
    )


def _packages(packages: Mapping[str, Any]) -> Iterator[Block]:
    yield Heading("Packages")
    state = str(packages.get("state", "never asked"))
    outdated = packages.get("outdated") or []
    if state != "checked":
        since = (
            f" What is known is of {formatting.moment(packages['as_of'])}."
            if (packages.get("as_of"))
            else ""
        )
        yield Text(f"Newer versions were not looked for: {formatting.line(state)}.{since}")
    elif not outdated:
        yield Text(
            f"Every package is up to date, as of {formatting.moment(packages.get('as_of'))}."
        )
    if outdated:
        yield table(
            "Packages with a newer version",
            "lrr",
            ("Package", "Installed", "Latest"),
            [
                (
                    formatting.line(one["name"]),
                    formatting.line(one["current_version"]),
                    formatting.line(one["latest_version"]),
                )
                for one in outdated
            ],
        )


def _versions(inputs: ReportInputs) -> Iterator[Block]:
    versions = (inputs.model.training.get("versions") or {}) if inputs.model else {}
    if versions:
        known = ", ".join(f"{name} {version}" for name, version in versions.items())
        yield Text(f"The model was trained under {formatting.line(known, 300)}.")


def _settings(inputs: ReportInputs) -> Table:
    config = inputs.config
    keys = (*SETTINGS, *["holdout_share"] * (config.holdout_share > 0), "rest_days")
    if config.levers:
        keys = (*keys, "levers")
    if config.monotone:
        keys = (*keys, "monotone")
    if config.contact_cost is not None:
        keys += PROFIT_SETTINGS
    known = [(key, getattr(config, key)) for key in keys]
    columns = formatting.plural(len(config.feature_columns), "column")
    return table(
        "Settings that decide",
        "lr",
        ("Setting", "Value"),
        [(key.replace("_", " "), _setting(value)) for key, value in known if value is not None],
        f"The model looks at {columns}. A risk threshold that is not set follows the model's own.",
    )


def _setting(value: Any) -> str:
    if isinstance(value, tuple):
        if all(isinstance(item, str) for item in value):
            return ", ".join(formatting.middle(item, 36) for item in value)
        return " to ".join(map(str, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{formatting.middle(key, 36)} {word}" for key, word in value.items())
    return str(value)


def _numbers(values: Sequence[float | None]) -> list[str]:
    """Median, mean, standard deviation and two quantiles of a column."""
    median, _, _, *ends = values
    text = number_format([number for number in (median, *ends) if number is not None])
    return [NOT_KNOWN if value is None else text(value) for value in values]
