"""The report's second chapter: what was decided, how the model fares, what moved in the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrition import phrases
from attrition.blocks import (
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
from attrition.material import Material
from attrition.performance import ASSUMPTION, Z95
from attrition.phrases import decimal, percent, signed
from attrition.summary import drift_word, impact_sentence, list_helped, live_f1

COLUMNS_SHOWN = 12  # of one sample
RUNS_SHOWN = 8
LISTS_SHOWN = 6
DECIDED = {
    "deployed": "The last run deployed a new model",
    "kept": "The last run kept the model",
    "not enough evidence": "The last run left things as they are, for lack of evidence",
    "failed": "The last run failed",
}
_PLOTS_OF_DRIFT = ("drift", "impact")
_PARTS = (("test", "test data"), ("unseen", "new rows"), ("pooled", "both together"))


def decided(decision: Mapping[str, Any]) -> str:
    """What the last run decided and why, in one sentence."""
    if not decision:
        return "No run is recorded yet."
    verdict = str(decision["verdict"])
    words = DECIDED.get(verdict, f"The last run ended: {phrases.line(verdict)}")
    return phrases.sentence(f"{words}: {phrases.line(decision['reason'], 600)}")


def chapter(material: Material) -> Section:
    """What changed since the model was trained, and since the runs before."""
    blocks = [
        *_decision(material),
        *_performance(material.decision.get("drift") or {}, material.decision.get("scores") or {}),
        *_data(material),
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
    if (decision.get("training") or {}).get("reason"):
        yield Text(
            phrases.sentence(f"on training: {phrases.line(decision['training']['reason'], 300)}")
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
            rows.append((name, f"{part['rows']:,}", *[phrases.NOT_KNOWN] * 4))
            continue
        rows.append((
            name,
            f"{part['rows']:,}",
            decimal(part["champion_f1"]),
            decimal(part["challenger_f1"]),
            f"{signed(part['difference'])} ({_signed_interval(part['difference_interval'])})",
            percent(part["confidence"], 1),
        ))  # fmt: skip
    return table(
        "The deployed model against the candidate, on the same rows",
        [("Rows from", LEFT), ("Rows", RIGHT), ("F1, deployed", RIGHT), ("F1, candidate", RIGHT),
         ("Difference (95% interval)", RIGHT), ("Better in", RIGHT)],
        rows,
        f"Better in: the share of bootstrap resamples in which the candidate wins; "
        f"{percent(asked)} are asked of both together. About the new rows it answers out of fold.",
    )  # fmt: skip


def _signed_interval(interval: Sequence[float] | None) -> str:
    if interval is None:
        return phrases.NOT_KNOWN
    return f"{signed(interval[0])} to {signed(interval[1])}"


def _performance(drift: Mapping[str, Any], scores: Mapping[str, Any]) -> Iterator[Block]:
    yield Heading("Is the model still as good?")
    found = drift.get("performance") or {}
    if not found:
        yield Text("There is nothing to compare yet: this needs a model that was deployed before.")
        return
    for sample, finding in found.items():
        name = phrases.line(sample)
        yield Text(f"On the {name}: {phrases.sentence(finding['reason'])}")
    measures, expected = drift.get("measures") or {}, drift.get("expected_scores") or {}
    samples = list(dict.fromkeys([*found, *expected]))
    yield table(
        "The model that was deployed when the run began, against its own deployment",
        [("On the", LEFT), ("F1 then", RIGHT), ("F1 now (95% interval)", RIGHT), ("Verdict", LEFT),
         ("AUC then", RIGHT), ("AUC now", RIGHT), ("Warns too often by", RIGHT),
         ("F1, estimate", RIGHT)],
        [
            (
                phrases.line(sample),
                decimal((found.get(sample) or {}).get("at_deployment")),
                _f1(scores.get(sample)),
                str((found.get(sample) or {}).get("verdict", "outcome not known")),
                *_measures(measures.get(sample) or {}),
                decimal((expected.get(sample) or {}).get("f1")),
            )
            for sample in samples
        ],
        "Warns too often by: the mean predicted risk less the share that left, in percentage "
        "points; ± is half a 95% interval. The estimate comes from the probabilities alone, where "
        f"no outcome is known: {ASSUMPTION}.",
    )  # fmt: skip


def _f1(score: Mapping[str, Any] | None) -> str:
    if not score or score.get("f1") is None:
        return phrases.NOT_KNOWN
    return f"{decimal(score['f1'])} ({phrases.between(score['f1_interval'])})"


def _measures(measures: Mapping[str, Any]) -> tuple[str, str, str]:
    """AUC then and now, and the calibration gap now."""
    auc, gap = measures.get("roc_auc") or {}, measures.get("calibration_gap") or {}
    return (
        decimal(auc.get("at_deployment")),
        decimal(auc.get("now")) + _reach(auc.get("standard_error")),
        phrases.NOT_KNOWN if gap.get("now") is None
        else signed(100 * gap["now"], 1) + _reach(gap.get("standard_error"), 100, 1),
    )  # fmt: skip


def _reach(error: float | None, factor: float = 1, digits: int = 3) -> str:
    return "" if error is None else f" ± {Z95 * factor * error:.{digits}f}"


def _data(material: Material) -> Iterator[Block]:
    yield Heading("Has the data moved?")
    drift = material.decision.get("drift") or {}
    data = drift.get("data") or {}
    if not data:
        yield Text("There is nothing to compare yet: the rows are those the model was trained on.")
        return
    for sample, found in data.items():
        yield Text(_drift_sentence(sample, found))
        impact = impact_sentence(drift, sample)
        if found["verdict"] == "drift" and impact is not None:
            yield Text(phrases.sentence(impact))
    for sample, found in data.items():
        if found["verdict"] == "drift":
            yield _columns(sample, found, (drift.get("impact") or {}).get(sample))
    for name in _PLOTS_OF_DRIFT:
        if isinstance(plot := material.plots.get(name), Plot):
            yield plot


def _drift_sentence(sample: str, found: Mapping[str, Any]) -> str:
    compared = f"{found['rows']:,} rows against {found['reference_rows']:,} trained on"
    if found["verdict"] == "insufficient data":
        return f"{phrases.sentence(sample)[:-1]}: too few rows to tell ({compared})."
    columns = found["columns"]
    moved = [column for column in columns if column["verdict"] == "drift"]
    parts = (
        f"{len(moved):,} of {phrases.plural(len(columns), 'column')} drifted"
        if moved
        else (f"no drift in {phrases.plural(len(columns), 'column')}")
    )
    predicted = found["predictions"]["verdict"] == "drift"
    tail = (
        ", and so did the predictions"
        if predicted and moved
        else (", but the predictions drifted" if predicted else "")
    )
    return f"{phrases.sentence(sample)[:-1]}: {parts}{tail} ({compared})."


def _columns(sample: str, found: Mapping[str, Any], impact: Mapping[str, Any] | None) -> Table:
    """What drifted first, then by PSI; the predictions always."""
    judged = sorted(
        found["columns"], key=lambda one: (one["verdict"] != "drift", -(one["psi"] or 0.0))
    )
    shown = [*judged[:COLUMNS_SHOWN], found["predictions"]]
    changes = {term["term"]: term["change"] for term in (impact or {}).get("terms", [])}
    rows = [
        (
            phrases.line(one["column"], 40) + (" (log-odds)" if one is shown[-1] else ""),
            one["verdict"],
            phrases.line(one.get("change") or phrases.NOT_KNOWN, 90),
            decimal(one.get("psi"), 2),
            _p(one.get("adjusted_p")),
            decimal(one.get("wasserstein"), 2),
            signed((impact or {}).get("log_odds_change"), 2) if one is shown[-1]
            else signed(changes.get(one["column"]), 2),
        )
        for one in shown
    ]  # fmt: skip
    more = (
        left_out(len(judged), COLUMNS_SHOWN, "columns", "decision.json")
        if (len(judged) > COLUMNS_SHOWN)
        else ""
    )
    return table(
        f"Drift by column in the {phrases.line(sample)}",
        [("Column", LEFT), ("Verdict", LEFT), ("What changed most", LEFT), ("PSI", RIGHT),
         ("p, adjusted", RIGHT), ("Distance", RIGHT), ("Impact", RIGHT)],
        rows,
        "PSI: above 0.1 a shift worth the name, above 0.25 a large one. Distance: Wasserstein's, "
        "in standard deviations. Impact: how far the column's shift moves the mean log-odds of "
        f"leaving (pairs of columns have impacts of their own). {more}".strip(),
    )  # fmt: skip


def _p(p: float | None) -> str:
    if p is None:
        return phrases.NOT_KNOWN
    return "< 0.001" if p < 0.001 else decimal(p)


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
        [("List of", LEFT), ("Release", LEFT), *((f"Left, first {size}", RIGHT) for size in sizes),
         ("Left, all on it", RIGHT)],
        [
            (
                phrases.short_moment(one["time"]),
                phrases.line(one["release"])[:6],
                *(_left(one["top"].get(str(size))) for size in sizes),
                _left(one["all"]),
            )
            for one in outcomes[:LISTS_SHOWN]
        ],
        "Leavers among the clients whose outcome is known by now; of a long list, all on it are a "
        "sample. A call that kept a client makes the list look worse than it was.",
    )  # fmt: skip


def _left(found: Mapping[str, Any] | None) -> str:
    if not found or not found["known"]:
        return phrases.NOT_KNOWN
    return f"{percent(found['share_left'])} ({found['left']:,} of {found['known']:,})"


def _runs(material: Material) -> Iterator[Block]:
    yield Heading("The latest runs")
    runs = material.runs[:RUNS_SHOWN]
    if not runs:
        yield Text("No run is recorded yet.")
        return
    yield table(
        "Runs that were not idle, newest first",
        [("Time (UTC)", LEFT), ("Verdict", LEFT), ("F1", RIGHT), ("Drift", LEFT),
         ("New rows", RIGHT), ("Release", LEFT), ("Took", RIGHT)],
        [
            (
                phrases.short_moment(run["time"]),
                phrases.line(run["verdict"]),
                decimal(live_f1(run)),
                drift_word(run.get("drift") or {}),
                phrases.count(run.get("new_rows")),
                (run.get("release_after") or phrases.NOT_KNOWN).split("-")[0],
                phrases.seconds(sum((run.get("timings") or {}).values())),
            )
            for run in runs
        ],
        "F1 on the test data of the model that the run left in place.",
    )  # fmt: skip
    if isinstance(plot := material.plots.get("trends"), Plot):
        yield plot
