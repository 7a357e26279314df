"""What the page at / tells of the model: its state in a sentence, trends, drift, decisions.

Values in, values out: a template shows them as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

from attrition.calls.words import profit_in_words
from attrition.core.formatting import (
    between,
    count,
    day,
    decimal,
    line,
    percent,
    sentence,
    short,
    short_moment,
)
from attrition.core.labels import NO_LABELS, Labels
from attrition.model.metrics import is_unproven, score_to_judge_by
from attrition.monitoring.findings import ColumnDrift, RunVerdict, Sample
from attrition.monitoring.record import DecisionRecord
from attrition.ranking.outcomes import RankingRecord
from attrition.web.pages.charts import Chart, Reading, Say, profit_curve, staircase, trend

DECISIONS = 5
RUNS = 30
# By the usual reading a PSI from here on is a large shift: a bar of full length.
_SMALL_SHIFT = 0.01  # PSI; what has moved less has not changed in a way that words could tell
_LARGE_SHIFT = 0.25


@dataclass(frozen=True)
class Trend:
    """A chart with its title, what it says in words, and what its marks mean."""

    title: str
    chart: Chart
    text: str
    legend: str


@dataclass(frozen=True)
class Shift:
    """How far one column has moved; `share` is the length of its bar, a fraction 0-1."""

    column: str
    psi: str
    share: float
    has_drifted: bool
    verdict: str
    change: str


@dataclass(frozen=True)
class Decision:
    """One run in words."""

    time: str
    when: str
    verdict: str
    reason: str
    warnings: tuple[str, ...]


def state_sentence(
    scores: Mapping[str, Any], cross_validated: Mapping[str, Any], degraded_below: float
) -> str:
    """How the live model is, in one sentence.

    Args:
        scores: those on the test data that it was deployed with.
        cross_validated: likewise, on the rows it learnt from; told where those are undefined.
        degraded_below: an F1 under this is lower than the settings ask for.
    """
    score, where = score_to_judge_by(scores, cross_validated)
    f1, confusion, rest = score.get("f1"), scores.get("confusion"), ""
    if scores.get("f1") is None:
        reason = scores.get("undefined") or "it was not measured"
        rest = f"; its score on the test data is undefined: {reason.rstrip('.')}"
    if f1 is None:
        return f"The model is at work; nobody knows how good it is{rest}."
    if is_unproven(score):
        auc = f"{decimal(score['roc_auc'], 2)} ({between(score['roc_auc_interval'], 2)})"
        return f"It is not shown that the model ranks reliably: its AUC {where} is {auc}{rest}."
    if f1 < degraded_below:
        digits = 2 if decimal(f1, 2) != decimal(degraded_below, 2) else 4
        return (
            f"The model is at work, though its F1 {where} is {decimal(f1, digits)}, under the "
            f"{decimal(degraded_below, digits)} asked for{rest}."
        )
    if rest or not confusion:
        return f"The model is at work: its F1 {where} is {decimal(f1, 2)}{rest}."
    return (
        f"The model is at work: of {count(scores['positives'])} leavers in the test data "
        f"it found {count(confusion['tp'])}, with {count(confusion['fp'])} false alarms among "
        "those who stayed."
    )


def trends(runs: Sequence[DecisionRecord], batches: Sequence[Mapping[str, Any]]) -> list[Trend]:
    """Charts of what there are at least two readings of.

    Args:
        runs: the records of the last runs, newest first.
        batches: of the ingested rows, oldest first: `time`, `rows` and `base_rate`.
    """
    oldest_first = list(reversed(runs))
    drawn = [
        _trend(
            "F1 on the test data",
            "band: 95% interval; full dot: a new model",
            list(_f1_readings(oldest_first)),
            _two_decimals,
        ),
        _trend(
            "Clients who left",
            "of each batch of new rows",
            list(_base_rates(batches)),
            percent,
            (0.0,),
        ),
        _trend(
            "Largest shift of a column",
            "population stability index; full dot: drift",
            list(_shifts(oldest_first)),
            _two_decimals,
            (0.0, _LARGE_SHIFT),
        ),
    ]
    return [chart for chart in drawn if chart]


def weeks(readings: Sequence[Mapping[str, Any]]) -> list[Trend]:
    """The clients at high risk by week, and the value at risk among them where it is known.

    Args:
        readings: of each list, oldest first: `time`, `high`, `value_at_risk` and `least`, the
            risk from which on it is high (None where that is not known).
    """
    last_of_week = {_monday(reading["time"]): reading for reading in readings}
    drawn = [
        _by_week("Clients at high risk", last_of_week, "high", count),
        _by_week("Value at risk among them", last_of_week, "value_at_risk", short),
    ]
    return [chart for chart in drawn if chart]


def _monday(time: str) -> date:
    """The first day of a moment's week, UTC."""
    moment = datetime.fromisoformat(time).astimezone(UTC).date()
    return moment - timedelta(days=moment.weekday())


def _by_week(
    title: str, last_of_week: Mapping[date, Mapping[str, Any]], key: str, say: Say
) -> Trend | None:
    known = {monday: one[key] for monday, one in last_of_week.items() if one[key] is not None}
    if len(known) < 2:
        return None
    readings = [Reading(day(monday.isoformat()), float(value)) for monday, value in known.items()]
    days = [float(monday.toordinal()) for monday in known]
    first, last = readings[0], readings[-1]
    text = (
        f"{say(last.value)} in the week of {last.name}, {say(first.value)} in that of {first.name}."
    )
    return Trend(title, staircase(readings, days, say), text, _legend(last_of_week))


def _legend(last_of_week: Mapping[date, Mapping[str, Any]]) -> str:
    """What the readings of weeks are, and since when high risk has begun where it now does."""
    lines = [
        (monday, percent(one["least"])) for monday, one in last_of_week.items() if one["least"]
    ]
    for (_, before), (monday, now) in reversed(list(pairwise(lines))):
        if now != before:
            since = f"high risk begins at {now} since the week of {day(monday.isoformat())}"
            return f"at the end of each week; {since} (before: {before})"
    return "at the end of each week"


def _trend(
    title: str, legend: str, readings: list[Reading], say: Say, including: Sequence[float] = ()
) -> Trend | None:
    if len(readings) < 2:
        return None
    first, last = readings[0], readings[-1]
    sure = f" ({' to '.join(map(say, last.interval))})" if last.interval else ""
    lowest, highest = min(readings, key=_value), max(readings, key=_value)
    text = (
        f"From {say(first.value)} ({first.name}) to {say(last.value)}{sure} ({last.name}); "
        f"between {say(lowest.value)} and {say(highest.value)} in {len(readings)} readings."
    )
    return Trend(title, trend(readings, say, including), text, legend)


def _two_decimals(number: float) -> str:
    return decimal(number, 2)


def _value(reading: Reading) -> float:
    return reading.value


def _f1_readings(runs: Sequence[DecisionRecord]) -> Iterator[Reading]:
    """The F1 of the model that each run left at work."""
    for run in runs:
        score, is_new = run.live_score, run.verdict is RunVerdict.DEPLOYED
        if score and score.f1 is not None:
            yield Reading(day(run.time), score.f1, score.f1_interval, is_new)


def _base_rates(batches: Sequence[Mapping[str, Any]]) -> Iterator[Reading]:
    for batch in batches:
        if batch.get("base_rate") is not None:
            yield Reading(day(batch.get("time")), batch["base_rate"])


def _shifts(runs: Sequence[DecisionRecord]) -> Iterator[Reading]:
    for run in runs:
        _, columns = newest_comparison(run)
        sizes = [column.psi for column in columns if column.psi is not None]
        if sizes:
            has_drifted = any(column.has_drifted for column in columns)
            yield Reading(day(run.time), max(sizes), marked=has_drifted)


def newest_comparison(run: DecisionRecord | None) -> tuple[Sample, tuple[ColumnDrift, ...]]:
    """The columns of the newest rows that a run compared with the training rows.

    Returns:
        What the rows are (the new ones, or else the test data), and their columns.
    """
    data = run.drift.data if run else {}
    sample = Sample.NEW_ROWS if Sample.NEW_ROWS in data else Sample.TEST_DATA
    return sample, data[sample].columns if sample in data else ()


def shifts(columns: Sequence[ColumnDrift], labels: Labels = NO_LABELS) -> list[Shift]:
    """How far each column has moved: those that drifted, then the others; the farthest first."""
    farthest_first = sorted(columns, key=lambda each: (not each.has_drifted, -(each.psi or 0.0)))
    largest = max([_LARGE_SHIFT, *(column.psi or 0.0 for column in columns)])
    return [
        Shift(
            column=labels.name(column.column),
            psi=decimal(column.psi, 2),
            share=(column.psi or 0.0) / largest,
            has_drifted=column.has_drifted,
            verdict=column.verdict,
            change=(column.change or "") if (column.psi or 0.0) >= _SMALL_SHIFT else "",
        )
        for column in farthest_first
    ]


def weak_segments(decision: DecisionRecord | None, release: str | None) -> list[str]:
    """The kinds of clients of whom a model knows less than of others, each in a sentence.

    Args:
        decision: the record of the last run that came to a verdict.
        release: the live one; a record that speaks of another model says nothing of this one.
    """
    if decision is None or decision.segments is None or decision.release_after != release:
        return []
    return [
        f"{' and '.join(line(part, 60) for part in weak.conditions)} ({count(weak.rows)} rows): "
        f"{percent(weak.left)} left, {percent(weak.predicted)} predicted; log loss "
        f"{decimal(weak.log_loss, 2)}, over all rows {decimal(decision.segments.log_loss, 2)}."
        for weak in decision.segments.weak
    ]


def decisions(runs: Sequence[DecisionRecord]) -> list[Decision]:
    """The last runs in words, newest first."""
    return [
        Decision(
            time=run.time,
            when=short_moment(run.time),
            verdict=run.verdict,
            reason=sentence(run.reason),
            warnings=tuple(sentence(warning.text) for warning in run.warnings),
        )
        for run in runs[:DECISIONS]
    ]


def outcome_sentence(ranking: RankingRecord | None) -> str | None:
    """What became of the first clients of the last list of which outcomes are known."""
    for earlier in ranking.outcomes if ranking else ():
        top = earlier.top.get(50)
        if top and top.share_left is not None and earlier.all.share_left is not None:
            return (
                f"Of the first {count(top.clients)} clients on the list of "
                f"{day(earlier.time)}, the outcome of {count(top.known)} is known: "
                f"{percent(top.share_left)} left, of all clients on it "
                f"{percent(earlier.all.share_left)}."
            )
    return None


def profit(ranking: RankingRecord | None) -> tuple[str, Trend | None] | None:
    """What calling is worth: in words, and as a chart; None where no costs are set."""
    if ranking is None or not (ranking.profit or ranking.no_profit):
        return None
    listed = ranking.profit
    if listed is None:
        return sentence(ranking.no_profit or ""), None
    words = profit_in_words(listed)
    if len(listed.curve.calls) < 2:
        return words, None
    marks = {listed.plan.calls: "the calls to make"}
    if listed.calls_per_list is not None:
        marks.setdefault(listed.calls_per_list, "the calls that can be made")
    legend = "expected profit of so many calls; band: 90%; dot: the calls to make"
    drawn = profit_curve(listed.curve, marks, short)
    return words, Trend("What calls are worth", drawn, words, legend)


def facts(
    scores: Mapping[str, Any], cross_validated: Mapping[str, Any], manifest: Mapping[str, Any]
) -> list[tuple[str, str, str]]:
    """Numbers about the live model: label, number, remark; `state_sentence` says of which rows."""
    training = manifest.get("training") or {}
    shown, where = score_to_judge_by(scores, cross_validated)
    f1, interval = shown.get("f1"), shown.get("f1_interval")
    return [
        (
            f"F1 {where}",
            "undefined" if f1 is None else decimal(f1),
            between(interval) if interval else "",
        ),
        ("Ranking (AUC)", decimal(shown.get("roc_auc")), "leavers above stayers"),
        ("Test rows", count(scores.get("rows")), f"{count(scores.get('positives'))} left"),
        ("Trained on", count(training.get("rows")), "client rows"),
    ]
