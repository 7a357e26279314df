"""What `diagnostics.py` prints for a person: tables for a terminal of 80 columns."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrition.core import formatting
from attrition.core.formatting import line
from attrition.core.labels import Labels
from attrition.data.profile import DataProfile
from attrition.monitoring.findings import DriftVerdict
from attrition.monitoring.record import DecisionRecord, DriftRecord
from attrition.ranking.outcomes import OutcomeCounts, RankingRecord
from attrition.report.run_summary import WIDTH, impact_sentence, list_helped

DRIFTED_SHOWN = 10  # columns of one sample
VERDICTS = {
    DriftVerdict.DRIFT: "drift",
    DriftVerdict.NO_DRIFT: "no drift",
    DriftVerdict.INSUFFICIENT: "too few",
}


def describe_data(
    profile: DataProfile,
    missing: Mapping[str, Mapping[str, float | None]],
    labels: Labels,
) -> list[str]:
    """The ingested rows: counts, columns, missing data, batches.

    Args:
        missing: from `missing_changes`.
        labels: what the columns are called.
    """
    return [
        _describe_rows(profile),
        *_describe_columns(profile, labels),
        *_describe_missing(missing, labels),
        *_describe_batches(profile),
    ]


def describe_decision(
    decision: DecisionRecord | None, now: str, labels: Labels, folder: Path
) -> Iterator[str]:
    """What the last run decided, how the model fared, what drifted, whether old lists helped.

    Args:
        now: the time, UTC, ISO 8601.
        labels: what the columns are called.
        folder: the project's, to which paths within it are relative.
    """
    if decision is None:
        return

    def told(text: str) -> str:
        return line(formatting.within(text, folder), 600)

    verdict = f"{decision.verdict}, {formatting.ago(decision.time, now)}"
    yield "\n".join(
        [
            "LAST DECISION",
            *_wrapped(formatting.sentence(f"{verdict}: {told(decision.reason)}")),
            *(_wrapped(formatting.sentence(decision.proposal.notice)) if decision.proposal else ()),
            *(
                row
                for warning in decision.warnings
                for row in _wrapped(f"! {formatting.sentence(told(warning.text))}", "  ")
            ),
        ]
    )
    yield from _describe_performance(decision.drift)
    yield from _describe_drift(decision.drift, labels)
    if decision.ranking:
        yield from _describe_lists(decision.ranking)


def _describe_performance(drift: DriftRecord) -> Iterator[str]:
    if not drift.performance and not drift.expected_scores:
        return
    lines = [
        f"{'PERFORMANCE':<14}{'F1 then':>9}{'now':>7}{'estimate':>10}  {'AUC then':>8}"
        f"{'now':>7}  {'risk - left':>11}  verdict"
    ]
    for sample in dict.fromkeys([*drift.performance, *drift.expected_scores]):
        fall, expected = drift.performance.get(sample), drift.expected_scores.get(sample)
        measured = drift.measures.get(sample) or {}
        auc, gap = measured.get("roc_auc"), measured.get("calibration_gap")
        lines.append(
            f"{sample:<14}{_decimal(fall.at_deployment if fall else None):>9}"
            f"{_decimal(fall.now if fall else None):>7}"
            f"{_decimal(expected.believable_f1 if expected else None):>10}  "
            f"{_decimal(auc.at_deployment if auc else None):>8}"
            f"{_decimal(auc.now if auc else None):>7}  "
            f"{f'{100 * gap.now:+.1f} pts' if gap else '-':>11}  "
            f"{VERDICTS[fall.verdict] if fall else '-'}"
        )
    doubts = [one.disbelieved for one in drift.expected_scores.values() if one.disbelieved]
    if doubts:
        reason = f"estimates are not to be believed: {line(doubts[0], 400)}"
        lines += _wrapped(formatting.sentence(reason), "  ", "  ")
    yield "\n".join(lines)


def _describe_drift(drift: DriftRecord, labels: Labels) -> Iterator[str]:
    """The columns that drifted, with their effect sizes and what they do to the risk."""
    if not drift.data:
        return
    lines = [f"{'DRIFT':<24}{'PSI':>6}{'impact':>8}  what changed"]
    for sample, data in drift.data.items():
        moved, impact = data.drifted, drift.impact.get(sample)
        lines.append(f"{sample}: {data.verdict}, {formatting.plural(data.rows, 'row')}")
        changes = {term.term: f"{term.change:+.2f}" for term in (impact.terms if impact else ())}
        lines += [
            f"  {labels.name(one.column, 21):<22}{_decimal(one.psi, 2):>6}"
            f"{changes.get(one.column, '-'):>8}  {line(one.change or '-', 40)}"
            for one in moved[:DRIFTED_SHOWN]
        ]
        if len(moved) > DRIFTED_SHOWN:
            lines.append(f"  and {len(moved) - DRIFTED_SHOWN:,} more")
        if moved and (sentence := impact_sentence(drift, sample, labels)):
            lines += _wrapped(formatting.sentence(line(sentence, 400)), "  ", "  ")
    yield "\n".join(lines)


def _describe_lists(ranking: RankingRecord) -> Iterator[str]:
    if not ranking.outcomes:
        return
    lines = [f"{'OLD LISTS':<24}{'left, top of the list':>28}{'left, all on it':>28}"]
    for one in ranking.outcomes:
        size, top = next(iter(one.top.items()), (0, None))
        lines.append(
            f"{one.time[:16].replace('T', ' '):<24}{_left(top, f' of the first {size}'):>28}"
            f"{_left(one.all, ''):>28}"
        )
    if helped := list_helped(ranking):
        lines += _wrapped(helped)
    yield "\n".join(lines)


def _left(counts: OutcomeCounts | None, of: str) -> str:
    if counts is None or not counts.known:
        return "-"
    return f"{counts.left:,} of {counts.known:,} known{of}"


def _decimal(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _wrapped(text: str, indent: str = "", first: str = "") -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False
    )


def _describe_rows(profile: DataProfile) -> str:
    lines = [f"{'labelled rows':<30}{profile.rows:>14,}"]
    if profile.base_rate is not None:
        lines.append(f"{'share that left':<30}{profile.base_rate:>14.1%}")
    if profile.clients is not None:
        lines.append(f"{'clients':<30}{profile.clients:>14,}")
        lines.append(f"{'clients with several rows':<30}{profile.repeated_clients:>14,}")
    lines.append(f"{'under both labels at once':<30}{profile.conflicting_clients:>14,}")
    return "\n".join(["DATA", *lines])


def _describe_columns(profile: DataProfile, labels: Labels) -> list[str]:
    tables = []
    missing = profile.missing_data_percentages
    if profile.summary_statistics:
        names = ("mean", "median", "std dev", "5 %", "95 %")
        keys = ("mean", "median", "standard_deviation", "quantile_05", "quantile_95")
        head = f"{'NUMBERS':<24}" + "".join(f"{name:>9}" for name in names) + f"{'missing':>9}"
        lines = [head] + [
            f"{labels.name(column, 23):<24}"
            + "".join(f"{_number(values[key]):>9}" for key in keys)
            + _percentage(missing[column])
            for column, values in profile.summary_statistics.items()
        ]
        tables.append("\n".join(lines))
    if profile.categories:
        lines = [f"{'CATEGORIES':<24}{'levels':>7}{'missing':>9}  most frequent"]
        for column, counts in profile.categories.items():
            top = ", ".join(
                f"{line(level, 12)} {count / profile.rows:.0%}"
                for level, count in list(counts["levels"].items())[:3]
            )
            lines.append(
                f"{labels.name(column, 23):<24}{counts['distinct']:>7,}"
                f"{_percentage(missing[column])}  {line(top, 37)}"
            )
        tables.append("\n".join(lines))
    return tables


def _percentage(value: float | None, width: int = 9) -> str:
    return f"{'-' if value is None else f'{value:.1f}%':>{width}}"


def _describe_missing(
    missing: Mapping[str, Mapping[str, float | None]], labels: Labels
) -> list[str]:
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
            f"{labels.name(column, 23):<24}{_percentage(shares['training_rows'], 12)}"
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


def describe_timings(timings: Mapping[str, float | None]) -> str:
    """Seconds of each stage, in the given order; None for a stage that never ran."""
    lines = [
        f"{stage:<30}" + (f"{'never':>14}" if seconds is None else f"{seconds:>12.2f} s")
        for stage, seconds in timings.items()
    ]
    return "\n".join(["SECONDS, WHEN LAST RUN", *lines])


def _number(value: float | None) -> str:
    """A number in at most eight characters; one beyond all floats is not known."""
    if value is None or not math.isfinite(value):
        return "-"
    if value != 0 and not 1e-3 <= abs(value) < 1e7:
        text = f"{value:.1e}"
        return text if len(text) <= 8 else f"{value:.0e}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
