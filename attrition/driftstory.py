"""Of the report's second chapter: is the model still as good, and have the data moved?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from attrition import phrases
from attrition.blocks import LEFT, RIGHT, Block, Heading, Plot, Table, Text, left_out, table
from attrition.material import Material
from attrition.performance import ASSUMPTION, Z95
from attrition.phrases import decimal, signed
from attrition.summary import impact_sentence

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
        name = phrases.line(sample)
        yield Text(f"On the {name}: {phrases.sentence(finding['reason'])}")
    measures, expected = drift.get("measures") or {}, drift.get("expected_scores") or {}
    told = [sample for sample, score in expected.items() if score["f1"] is not None]
    samples = list(dict.fromkeys([*found, *told]))
    yield table(
        "The model that was deployed when the run began, against its own deployment",
        [("On the", LEFT), ("F1 then (95% interval)", RIGHT), ("F1 now (95% interval)", RIGHT),
         ("Verdict", LEFT), ("F1, estimate", RIGHT)],
        [
            (
                phrases.line(sample),
                _f1_then(found.get(sample) or {}),
                _f1_now(scores.get(sample) or {}),
                str((found.get(sample) or {}).get("verdict", "outcome not known")),
                decimal((expected.get(sample) or {}).get("f1")),
            )
            for sample in samples
        ],
        f"The last column, from the probabilities alone, is {ASSUMPTION}.",
    )  # fmt: skip
    yield from _measures(measures)


def _measures(measures: Mapping[str, Any]) -> Iterator[Block]:
    """AUC and calibration then and now."""
    samples = [sample for sample, found in measures.items() if found]
    if not samples:
        return
    yield table(
        "How it ranks, and whether its probabilities can be believed",
        [("On the", LEFT), ("AUC then", RIGHT), ("AUC now", RIGHT),
         ("Warned too often by, then", RIGHT), ("Warns too often by, now", RIGHT)],
        [
            (phrases.line(sample), *_then_and_now(measures[sample].get("roc_auc") or {}, decimal),
             *_then_and_now(measures[sample].get("calibration_gap") or {}, _points))
            for sample in samples
        ],
        "AUC: how often a leaver has the higher risk of two clients. Warns too often by: the mean "
        "predicted risk less the share that left, in percentage points. ± is half a 95% interval.",
    )  # fmt: skip


def _f1_then(finding: Mapping[str, Any]) -> str:
    return _between(finding.get("at_deployment"), finding.get("interval_at_deployment"))


def _f1_now(score: Mapping[str, Any]) -> str:
    return _between(score.get("f1"), score.get("f1_interval"))


def _between(value: float | None, interval: Sequence[float] | None) -> str:
    """A value with its interval, as far as they are known."""
    told = decimal(value)
    return told if value is None or interval is None else f"{told} ({phrases.between(interval)})"


def _then_and_now(measure: Mapping[str, Any], told: Callable[[float | None], str]) -> Iterator[str]:
    """A measure at deployment and today, each with half its 95 % interval."""
    for value, error in (("at_deployment", "error_at_deployment"), ("now", "standard_error")):
        reach = measure.get(error)
        half = "" if reach is None else f" ± {told(Z95 * reach).lstrip('+')}"
        yield told(measure.get(value)) + half


def _points(fraction: float | None) -> str:
    return phrases.NOT_KNOWN if fraction is None else signed(100 * fraction, 1)


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
            yield Text(phrases.sentence(impact))
    for sample, found in samples.items():
        if found["verdict"] == "drift":
            yield _columns(sample, found, (drift.get("impact") or {}).get(sample))
    for name in _PLOTS_OF_DRIFT:
        if isinstance(plot := material.plots.get(name), Plot):
            yield plot


def _drift_sentence(sample: str, found: Mapping[str, Any]) -> str:
    compared = f"{found['rows']:,} rows against {found['reference_rows']:,} trained on"
    if found["verdict"] == "insufficient data":
        return phrases.sentence(f"{sample}: too few rows to tell ({compared})")
    columns = phrases.plural(len(found["columns"]), "column")
    moved = sum(column["verdict"] == "drift" for column in found["columns"])
    parts = f"{moved:,} of {columns} drifted" if moved else f"no drift in {columns}"
    if found["predictions"]["verdict"] == "drift":
        parts += ", and so did the predictions" if moved else ", but the predictions drifted"
    return phrases.sentence(f"{sample}: {parts} ({compared})")


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
