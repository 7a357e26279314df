"""The report's second chapter: what a manager should know of the last run, in plain words."""

from __future__ import annotations

from collections.abc import Iterator

from attrition.calls.effect import BY_KIND, WHY_NOT_COMPARED
from attrition.core import formatting
from attrition.core.formatting import percent
from attrition.monitoring import severity
from attrition.monitoring.severity import Severity
from attrition.ranking.outcomes import OutcomeCounts
from attrition.report.chapter_clients import by_value, caveat, profit
from attrition.report.document import (
    EFFECT,
    Block,
    Heading,
    Messages,
    Section,
    Text,
    table,
)
from attrition.report.inputs import ReportInputs
from attrition.report.run_summary import list_helped

LISTS_SHOWN = 6


def chapter(inputs: ReportInputs) -> Section:
    """What the last run has to say, where the most is at stake, whether the lists helped."""
    blocks = [
        *_messages(inputs),
        *_study(inputs),
        *profit(inputs),
        *by_value(inputs),
        *_lists(inputs),
        *caveat(inputs),
    ]
    return Section("changes", "What changed", tuple(blocks))


def _messages(inputs: ReportInputs) -> Iterator[Block]:
    """Each message once, in plain words where it has some; the appendix has their figures."""
    messages = severity.messages(inputs.decision)
    if not messages:
        yield Text("Nothing calls for action.")
    for kind in Severity:
        texts = [one.plain or one.text for one in messages if one.severity is kind]
        if texts:
            shown = tuple(formatting.line(text, 600) for text in dict.fromkeys(texts))
            yield Messages(kind, shown)


def _study(inputs: ReportInputs) -> Iterator[Block]:
    """Whether calls help, where clients are held out: in words, over time, by kind of action."""
    decision = inputs.decision
    if decision is None or decision.study_in_words is None:
        return
    yield Heading("Do calls help?")
    yield Text(decision.study_in_words)
    yield from inputs.drawn(EFFECT)
    if decision.effect and decision.effect.kinds:
        yield table(
            BY_KIND,
            "lrrr",
            ("Action", "Clients", "Left", "Predicted to leave"),
            [
                (
                    formatting.line(one.kind, 40),
                    formatting.count(one.clients),
                    percent(one.share_left),
                    percent(one.mean_risk),
                )
                for one in decision.effect.kinds
            ],
            WHY_NOT_COMPARED,
        )


def _lists(inputs: ReportInputs) -> Iterator[Block]:
    yield Heading("Did the earlier lists help?")
    listed = inputs.listed
    if listed is None or not listed.outcomes:
        yield Text("No outcome of a client on an earlier list is known yet.")
        return
    if (helped := list_helped(listed)) is not None:
        yield Text(helped)
    outcomes = listed.outcomes[:LISTS_SHOWN]
    sizes = sorted({size for one in outcomes for size in one.top})[:3]
    yield table(
        "What became of the clients on earlier lists",
        f"ll{'r' * len(sizes)}r",
        ("List of", "Release", *(f"Left, first {size}" for size in sizes), "Left, all on it"),
        [
            (
                formatting.short_moment(one.time),
                formatting.line(one.release)[:6],
                *(_left(one.top.get(size)) for size in sizes),
                _left(one.all),
            )
            for one in outcomes
        ],
        "Leavers among the clients whose outcome is known by now; of a long list, all on it are a "
        "sample. Clients who had been contacted are not counted; a call that is not written down "
        "and kept a client makes the list look worse than it was.",
    )


def _left(counts: OutcomeCounts | None) -> str:
    if not counts or not counts.known:
        return formatting.NOT_KNOWN
    return f"{percent(counts.share_left)} ({counts.left:,} of {counts.known:,})"
