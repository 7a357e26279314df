"""The report's second chapter: what was decided, how the model fares, what moved in the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrition import driftstory, phrases
from attrition.blocks import (
    LEFT,
    RIGHT,
    Block,
    Heading,
    Plot,
    Section,
    Table,
    Text,
    table,
)
from attrition.material import Material
from attrition.phrases import decimal, percent, signed
from attrition.summary import (
    drift_word,
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
    words = DECIDED.get(verdict, f"The last run ended: {phrases.line(verdict)}")
    return phrases.sentence(f"{words}: {phrases.line(decision['reason'], 600)}")


def chapter(material: Material) -> Section:
    """What changed since the model was trained, and since the runs before."""
    blocks = [
        *_decision(material),
        *driftstory.performance(material.decision),
        *driftstory.data(material),
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
        yield Text(phrases.sentence(f"{found} to train: {phrases.line(training['reason'], 300)}"))
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
                drift_word(run.get("drift") or {}).replace("-", phrases.NOT_KNOWN),
                phrases.count(run.get("new_rows")),
                (run.get("release_after") or phrases.NOT_KNOWN).split("-")[0],
                phrases.seconds(seconds_taken(run)),
            )
            for run in runs
        ],
        "F1 on the test data of the model that the run left in place. How long a run took is known "
        "when it is over, and so to the next report.",
    )  # fmt: skip
    if isinstance(plot := material.plots.get("trends"), Plot):
        yield plot
