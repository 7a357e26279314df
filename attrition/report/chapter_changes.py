"""The report's second chapter: what was decided, how the model fares, what moved in the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from attrition.core import formatting
from attrition.core.formatting import decimal, percent, signed
from attrition.model.metrics import Z95
from attrition.monitoring.performance import ASSUMPTION
from attrition.report.document import (
    LEFT,
    RIGHT,
    Block,
    Heading,
    Plot,
    Section,
    Table,
    Text,
    left_out,
    table,
)
from attrition.report.inputs import Material
from attrition.report.run_summary import (
    drift_word,
    impact_sentence,
    list_helped,
    live_f1,
    seconds_taken,
)

RUNS_SHOWN = 8
LISTS_SHOWN = 6
DECIDED = {
    "deployed": "The last run deployed a new model",
    "kept": "The last run kept the model",
    "not enough evidence": "The last run left things as they are, for lack of evidence",
    "failed": "The last run failed",
}
_PARTS = (("test", "test data"), ("unseen", "new rows"), ("pooled", "both together"))


def decided(decision: Mapping[str, Any]) -> str:
    """What the last run decided and why, in one sentence."""
    if not decision:
        return "No run is recorded yet."
    verdict = str(decision["verdict"])
    words = DECIDED.get(verdict, f"The last run ended: {formatting.line(verdict)}")
    return formatting.sentence(f"{words}: {formatting.line(decision['reason'], 600)}")


def chapter(material: Material) -> Section:
    """What changed since the model was trained, and since the runs before."""
    blocks = [
        *_decision(material),
        *performance(material.decision),
        *data(material),
        *_lists(material),
        *_runs(material),
    ]
    return Section("changes", "What changed", tuple(blocks))


def _decision(material: Material) -> Iterator[Block]:
    decision = material.decision
    yield Heading("What was decided")
    yield Text(decided(decision))
    if not decision:
        return
    training = decision.get("training") or {}
    if training.get("reason", decision["reason"]) != decision["reason"]:
        found = "No reason" if training["kind"] == "nothing" else "The reason"
        yield Text(
            formatting.sentence(f"{found} to train: {formatting.line(training['reason'], 300)}")
        )
    before, after = decision.get("release_before"), decision.get("release_after")
    if before and after and before != after:
        yield Text(f"Release {after} took the place of release {before}.")
    if decision.get("evidence"):
        yield _evidence(decision["evidence"], material.config.promotion_confidence)


def _evidence(evidence: Mapping[str, Any], asked: float) -> Table:
    rows = []
    for key, name in _PARTS:
        part = evidence.get(key)
        if not part:
            continue
        if part.get("undefined"):
            rows.append((name, f"{part['rows']:,}", *[formatting.NOT_KNOWN] * 4))
            continue
        rows.append(
            (
                name,
                f"{part['rows']:,}",
                decimal(part["champion_f1"]),
                decimal(part["challenger_f1"]),
                f"{signed(part['difference'])} ({_signed_interval(part['difference_interval'])})",
                percent(part["confidence"], 1),
            )
        )
    return table(
        "The deployed model against the candidate, on the same rows",
        [
            ("Rows from", LEFT),
            ("Rows", RIGHT),
            ("F1, deployed", RIGHT),
            ("F1, candidate", RIGHT),
            ("Difference (95% interval)", RIGHT),
            ("Better in", RIGHT),
        ],
        rows,
        f"Better in: the share of bootstrap resamples in which the candidate wins; "
        f"{percent(asked)} are asked of both together. About the new rows it answers out of fold.",
    )


def _signed_interval(interval: Sequence[float] | None) -> str:
    if interval is None:
        return formatting.NOT_KNOWN
    return f"{signed(interval[0])} to {signed(interval[1])}"


def _lists(material: Material) -> Iterator[Block]:
    yield Heading("Did the earlier lists help?")
    outcomes = (material.listed or {}).get("outcomes") or []
    if not outcomes:
        yield Text("No outcome of a client on an earlier list is known yet.")
        return
    if (helped := list_helped(material.listed)) is not None:
        yield Text(helped)
    sizes = sorted({int(size) for one in outcomes[:LISTS_SHOWN] for size in one["top"]})[:3]
    yield table(
        "What became of the clients on earlier lists",
        [
            ("List of", LEFT),
            ("Release", LEFT),
            *((f"Left, first {size}", RIGHT) for size in sizes),
            ("Left, all on it", RIGHT),
        ],
        [
            (
                formatting.short_moment(one["time"]),
                formatting.line(one["release"])[:6],
                *(_left(one["top"].get(str(size))) for size in sizes),
                _left(one["all"]),
            )
            for one in outcomes[:LISTS_SHOWN]
        ],
        "Leavers among the clients whose outcome is known by now; of a long list, all on it are a "
        "sample. A call that kept a client makes the list look worse than it was.",
    )


def _left(found: Mapping[str, Any] | None) -> str:
    if not found or not found["known"]:
        return formatting.NOT_KNOWN
    return f"{percent(found['share_left'])} ({found['left']:,} of {found['known']:,})"


def _runs(material: Material) -> Iterator[Block]:
    yield Heading("The latest runs")
    runs = material.runs[:RUNS_SHOWN]
    if not runs:
        yield Text("No run is recorded yet.")
        return
    yield table(
        "Runs that were not idle, newest first",
        [
            ("Time (UTC)", LEFT),
            ("Verdict", LEFT),
            ("F1", RIGHT),
            ("Drift", LEFT),
            ("New rows", RIGHT),
            ("Release", LEFT),
            ("Took", RIGHT),
        ],
        [
            (
                formatting.short_moment(run["time"]),
                formatting.line(run["verdict"]),
                decimal(live_f1(run)),
                drift_word(run.get("drift") or {}).replace("-", formatting.NOT_KNOWN),
                formatting.count(run.get("new_rows")),
                (run.get("release_after") or formatting.NOT_KNOWN).split("-")[0],
                formatting.seconds(seconds_taken(run)),
            )
            for run in runs
        ],
        "F1 on the test data of the model that the run left in place. How long a run took is known "
        "when it is over, and so to the next report.",
    )
    if isinstance(plot := material.plots.get("trends"), Plot):
        yield plot


COLUMNS_SHOWN = 12  # of one sample
_PLOTS_OF_DRIFT = ("drift", "impact")


def performance(decision: Mapping[str, Any]) -> Iterator[Block]:
    """F1, AUC and calibration now, against those at deployment."""
    drift, scores = decision.get("drift") or {}, decision.get("scores") or {}
    yield Heading("Is the model still as good?")
    found = drift.get("performance") or {}
    if not found:
        yield Text("There is nothing to compare yet: this needs a model that was deployed before.")
        return
    for sample, finding in found.items():
        name = formatting.line(sample)
        yield Text(f"On the {name}: {formatting.sentence(finding['reason'])}")
    measures, expected = drift.get("measures") or {}, drift.get("expected_scores") or {}
    told = [sample for sample, score in expected.items() if score["f1"] is not None]
    samples = list(dict.fromkeys([*found, *told]))
    yield table(
        "The model that was deployed when the run began, against its own deployment",
        [
            ("On the", LEFT),
            ("F1 then (95% interval)", RIGHT),
            ("F1 now (95% interval)", RIGHT),
            ("Verdict", LEFT),
            ("F1, estimate", RIGHT),
        ],
        [
            (
                formatting.line(sample),
                _f1_then(found.get(sample) or {}),
                _f1_now(scores.get(sample) or {}),
                str((found.get(sample) or {}).get("verdict", "outcome not known")),
                decimal((expected.get(sample) or {}).get("f1")),
            )
            for sample in samples
        ],
        f"The last column, from the probabilities alone, is {ASSUMPTION}.",
    )
    yield from _measures(measures)


def _measures(measures: Mapping[str, Any]) -> Iterator[Block]:
    """AUC and calibration then and now."""
    samples = [sample for sample, found in measures.items() if found]
    if not samples:
        return
    yield table(
        "How it ranks, and whether its probabilities can be believed",
        [
            ("On the", LEFT),
            ("AUC then", RIGHT),
            ("AUC now", RIGHT),
            ("Warned too often by, then", RIGHT),
            ("Warns too often by, now", RIGHT),
        ],
        [
            (
                formatting.line(sample),
                *_then_and_now(measures[sample].get("roc_auc") or {}, decimal),
                *_then_and_now(measures[sample].get("calibration_gap") or {}, _points),
            )
            for sample in samples
        ],
        "AUC: how often a leaver has the higher risk of two clients. Warns too often by: the mean "
        "predicted risk less the share that left, in percentage points. ± is half a 95% interval.",
    )


def _f1_then(finding: Mapping[str, Any]) -> str:
    return _between(finding.get("at_deployment"), finding.get("interval_at_deployment"))


def _f1_now(score: Mapping[str, Any]) -> str:
    return _between(score.get("f1"), score.get("f1_interval"))


def _between(value: float | None, interval: Sequence[float] | None) -> str:
    """A value with its interval, as far as they are known."""
    told = decimal(value)
    return told if value is None or interval is None else f"{told} ({formatting.between(interval)})"


def _then_and_now(measure: Mapping[str, Any], told: Callable[[float | None], str]) -> Iterator[str]:
    """A measure at deployment and today, each with half its 95 % interval."""
    for value, error in (("at_deployment", "error_at_deployment"), ("now", "standard_error")):
        reach = measure.get(error)
        half = "" if reach is None else f" ± {told(Z95 * reach).lstrip('+')}"
        yield told(measure.get(value)) + half


def _points(fraction: float | None) -> str:
    return formatting.NOT_KNOWN if fraction is None else signed(100 * fraction, 1)


def data(material: Material) -> Iterator[Block]:
    """Drift by column, and what it does to the risk."""
    yield Heading("Has the data moved?")
    drift = material.decision.get("drift") or {}
    samples = drift.get("data") or {}
    if not samples:
        yield Text("There is nothing to compare yet: the rows are those the model was trained on.")
        return
    for sample, found in samples.items():
        yield Text(_drift_sentence(sample, found))
        impact = impact_sentence(drift, sample)
        if found["verdict"] == "drift" and impact is not None:
            yield Text(formatting.sentence(impact))
    for sample, found in samples.items():
        if found["verdict"] == "drift":
            yield _columns(sample, found, (drift.get("impact") or {}).get(sample))
    for name in _PLOTS_OF_DRIFT:
        if isinstance(plot := material.plots.get(name), Plot):
            yield plot


def _drift_sentence(sample: str, found: Mapping[str, Any]) -> str:
    compared = f"{found['rows']:,} rows against {found['reference_rows']:,} trained on"
    if found["verdict"] == "insufficient data":
        return formatting.sentence(f"{sample}: too few rows to tell ({compared})")
    columns = formatting.plural(len(found["columns"]), "column")
    moved = sum(column["verdict"] == "drift" for column in found["columns"])
    parts = f"{moved:,} of {columns} drifted" if moved else f"no drift in {columns}"
    if found["predictions"]["verdict"] == "drift":
        parts += ", and so did the predictions" if moved else ", but the predictions drifted"
    return formatting.sentence(f"{sample}: {parts} ({compared})")


def _columns(sample: str, found: Mapping[str, Any], impact: Mapping[str, Any] | None) -> Table:
    """What drifted first, then by PSI; the predictions always."""
    judged = sorted(
        found["columns"], key=lambda one: (one["verdict"] != "drift", -(one["psi"] or 0.0))
    )
    shown = [*judged[:COLUMNS_SHOWN], found["predictions"]]
    changes = {term["term"]: term["change"] for term in (impact or {}).get("terms", [])}
    rows = [
        (
            formatting.line(one["column"], 40) + (" (log-odds)" if one is shown[-1] else ""),
            one["verdict"],
            formatting.line(one.get("change") or formatting.NOT_KNOWN, 90),
            decimal(one.get("psi"), 2),
            _p(one.get("adjusted_p")),
            decimal(one.get("wasserstein"), 2),
            signed((impact or {}).get("log_odds_change"), 2)
            if one is shown[-1]
            else signed(changes.get(one["column"]), 2),
        )
        for one in shown
    ]
    more = (
        left_out(len(judged), COLUMNS_SHOWN, "columns", "decision.json")
        if (len(judged) > COLUMNS_SHOWN)
        else ""
    )
    return table(
        f"Drift by column in the {formatting.line(sample)}",
        [
            ("Column", LEFT),
            ("Verdict", LEFT),
            ("What changed most", LEFT),
            ("PSI", RIGHT),
            ("p, adjusted", RIGHT),
            ("Distance", RIGHT),
            ("Impact", RIGHT),
        ],
        rows,
        "PSI: above 0.1 a shift worth the name, above 0.25 a large one. Distance: Wasserstein's, "
        "in standard deviations. Impact: how far the column's shift moves the mean log-odds of "
        f"leaving (pairs of columns have impacts of their own). {more}".strip(),
    )


def _p(p: float | None) -> str:
    if p is None:
        return formatting.NOT_KNOWN
    return "< 0.001" if p < 0.001 else decimal(p)
