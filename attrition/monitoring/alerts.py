"""Which conditions to report, and which of them are new, as a text to send.

A condition is open as long as the runs find it (drift, a degraded model, a run that fails); it is
reported when it appears or changes in kind, and its end once. A troubled file (rejected, or with
rows in quarantine) is reported once. The texts hold names of files and columns, and counts, no
values of clients.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from attrition.core.formatting import CANDIDATE_WAITS, between, decimal, listing, plural
from attrition.core.labels import NO_LABELS, Labels
from attrition.core.run_warnings import Topic
from attrition.data.ledger import REJECTED, Ledger
from attrition.runs.idle import FAILED_RUN

if TYPE_CHECKING:  # heavy modules: an idle run must not pay for them
    from attrition.model.metrics import Score
    from attrition.monitoring.findings import ColumnDrift, Impact, Suspicion
    from attrition.monitoring.record import DecisionRecord, DriftRecord

FILES_NAMED = 10  # in one message; the others are counted
MESSAGES_KEPT = 20  # for an addressee who cannot be reached
CALLS_SAVE = "calls keep clients"  # the one condition that is good news
LONGEST = 4000  # characters: what chat tools take, and far below what an environment holds


@dataclass(frozen=True)
class Condition:
    """What is wrong. Another `kind` of the same `key` is news, another `text` is not."""

    key: str
    kind: str
    text: str
    topic: Topic = Topic.NOTICE


@dataclass(frozen=True)
class AlertState:
    """What one addressee was sent, and what is still to be sent.

    Attributes:
        conditions: key -> kind of every open condition.
        files: of every troubled file, as `troubled_files` names it.
        unsent: messages that could not be delivered yet, oldest first.
    """

    conditions: Mapping[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    unsent: tuple[str, ...] = ()


def findings(
    score: Score | None,
    cross_validated: Score | None,
    drift: DriftRecord,
    suspicious: Suspicion,
    degraded_below: float,
    *,
    labels: Labels = NO_LABELS,
) -> list[Condition]:
    """Conditions from the examination of a model.

    Args:
        score: on the test data; None when there is none.
        cross_validated: by which it is judged where the test data cannot tell.
        drift: what was found about it.
        suspicious: columns that tell the answer beyond belief.
        degraded_below: F1 under which a model is degraded, a fraction 0-1.
        labels: what the columns are called.
    """
    conditions = [_suspicion(suspicious)] if suspicious.named else []
    if score:
        conditions += _degraded(score, cross_validated, degraded_below)
    for sample, performance in drift.performance.items():
        if performance.has_drifted:
            key = f"model drift on the {sample}"
            conditions.append(
                Condition(key, "drift", f"{key}: {performance.reason}", Topic.MODEL_DRIFT)
            )
    for sample, data in drift.data.items():
        if data.has_drifted:
            names = ", ".join(column.column for column in data.drifted)
            key = f"data drift in the {sample}"
            shown = ", ".join(_drifted(column, labels) for column in data.drifted)
            strongest = _strongest(drift.impact.get(sample), labels)
            conditions.append(Condition(key, names, f"{key}: {shown}{strongest}", Topic.DATA_DRIFT))
    conditions += [
        _moved_risk(sample, impact, labels)
        for sample, impact in drift.impact.items()
        if impact.moves_risk and f"data drift in the {sample}" not in {c.key for c in conditions}
    ]
    return conditions


def _degraded(
    score: Score, cross_validated: Score | None, degraded_below: float
) -> list[Condition]:
    """Whether a model is degraded, by which score."""
    # It brings numpy, which an idle run must not pay for.
    from attrition.model.metrics import (
        despite_f1,
        doubt_of_ranking,
        is_like_chance,
        score_to_judge_by,
    )

    shown, where = score_to_judge_by(score, cross_validated)
    if doubt := doubt_of_ranking(shown, "the deployed model"):
        kind = "like chance" if is_like_chance(shown) else "unproven"
        auc = f"{shown.roc_auc:.3f} ({between(shown.roc_auc_interval)})"
        text = f"{doubt}: its AUC {where} is {auc}"
        return [Condition("degraded model", kind, text, Topic.DEGRADED_MODEL)]
    if shown.f1 is None or shown.f1 >= degraded_below:
        return []
    topic, what = Topic.DEGRADED_MODEL, "the deployed model is degraded: its"
    if despite := despite_f1(shown):
        topic, what = Topic.LOW_F1, "the deployed model's"
    text = f"{what} F1 {where}, {shown.f1:.3f}, is under {degraded_below:g}{despite}"
    return [Condition("degraded model", "degraded", text, topic)]


def _moved_risk(sample: str, impact: Impact, labels: Labels) -> Condition:
    """A shift that is no drift of any column by itself, but moves the mean risk."""
    key = f"moved risk in the {sample}"
    text = (
        f"{key}: the predicted risk is {impact.risk_now:.1%} on average, among the training rows "
        f"it was {impact.risk_before:.1%}, though no column drifts by itself"
        f"{_strongest(impact, labels)}"
    )
    kind = "up" if impact.risk_now > impact.risk_before else "down"
    return Condition(key, kind, text, Topic.MOVED_RISK)


def _suspicion(suspicious: Suspicion) -> Condition:
    """Columns that may be the answer in disguise."""
    columns, model_auc, together = suspicious.columns, suspicious.model_auc, suspicious.together
    names = suspicious.named
    if columns or together is None:
        shown = listing([f"{name} (AUC {power:.3f})" for name, power in columns.items()])
        alone = "alone tells" if len(names) == 1 else "each alone tell"
        model = "" if model_auc is None else f"; the whole model reaches {model_auc:.3f}"
        what = f"{shown} {alone} who left{model}"
    else:
        what = (
            f"the model tells who left nearly without error (AUC {decimal(model_auc)} on rows that "
            f"it had not learnt); with {listing(names)} alone it reaches {together.roc_auc:.3f}"
        )
    is_filled = "Is it filled in" if len(names) == 1 else "Are they filled in"
    text = (
        f"too good to be true: {what}. {is_filled} only once a client has left? Then take "
        f"{'it' if len(names) == 1 else 'them'} out of config.json"
    )
    return Condition("too good to be true", ", ".join(names), text, Topic.TOO_GOOD)


def _drifted(column: ColumnDrift, labels: Labels) -> str:
    """A drifted column; where values went missing, or came back, that is said."""
    name = labels.name(column.column)
    return f"{name} ({column.change})" if column.missingness_changed else name


def _strongest(impact: Impact | None, labels: Labels) -> str:
    """The term whose shift moves the risk most, as the end of a sentence."""
    if not impact or not impact.terms or impact.terms[0].change == 0:
        return ""
    term = impact.terms[0]
    verb = "lifts" if term.change > 0 else "lowers"
    name = labels.term(term.columns)
    return f"; {name} {verb} the predicted risk most, by {abs(term.change):.2f} log-odds"


def conditions(
    record: DecisionRecord, degraded_below: float, labels: Labels = NO_LABELS
) -> list[Condition]:
    """What a finished run found that a person should know.

    A model deployed by it is judged by its own score. Each candidate that waits is told of once.
    """
    scores = record.live_score, record.live_cross_validated
    wrong = findings(*scores, record.drift, record.suspicious, degraded_below, labels=labels)
    wrong += [
        Condition(topic, topic, f"{topic}: {warning.text}", topic)
        for warning in record.warnings
        if (topic := warning.topic) is Topic.SETTING_NOT_OBEYED
    ]
    wrong += _study(record)
    if record.proposal is None:
        return wrong
    waits = Condition(CANDIDATE_WAITS, record.proposal.candidate[:16], record.proposal.notice)
    return [*wrong, waits]


def _study(record: DecisionRecord) -> list[Condition]:
    """What the study of calls has shown, or that it cannot show anything."""
    # It brings numpy, which an idle run must not pay for.
    from attrition.calls.effect import Verdict
    from attrition.calls.words import contacted_in_words

    keys = {
        Verdict.CALLS_SAVE: CALLS_SAVE,
        Verdict.CALLS_HARM: "calls make clients leave",
        Verdict.BROKEN_SPLIT: "the study of calls is broken",
    }
    key = keys.get(record.effect.verdict) if record.effect else None
    if record.no_effect is not None:
        key = "the study of calls measures nothing"
    found = [Condition(key, key, f"{key}: {record.study_in_words}")] if key else []
    if record.effect and record.effect.held_out_contacted:
        key = "held-out clients are contacted"
        found.append(Condition(key, key, f"{key}: {contacted_in_words(record.effect)}"))
    return found


def failure(message: str) -> Condition:
    """A failed run; the same message with other numbers is no news."""
    return Condition(FAILED_RUN, failure_kind(message), f"the run failed: {message}")


def failure_kind(message: str) -> str:
    """A message without its numbers."""
    return re.sub(r"\d+", "#", message)


def still_open(known: AlertState) -> list[Condition]:
    """The conditions reported before, without a failed run."""
    return [
        Condition(key, kind, key) for key, kind in known.conditions.items() if key != FAILED_RUN
    ]


def troubled_files(ledger: Ledger) -> dict[str, str]:
    """What ingestion could not, or not wholly, take in: its identity -> a line about it."""
    lines = {}
    for entry in ledger.entries:
        name = f"file {entry.name}"
        if entry.status == REJECTED:
            lines[entry.sha256[:16]] = f"{name}: rejected; ledger.json tells the reason"
        elif entry.quarantined:
            count = f"{entry.quarantined:,} of {entry.rows_read:,} rows"
            lines[f"{entry.sha256[:16]} {entry.quarantined}"] = f"{name}: {count} in quarantine"
    for notice in ledger.notices:
        lines[f"notice {notice.time} {notice.text}"[:80]] = notice.text
    for refused in ledger.refused:
        lines[f"refused {refused}"] = f"{refused}: not read; ledger.json tells the reason"
    return {printable(key): printable(line) for key, line in lines.items()}


def troubled_actions(ledger: Ledger, folder: str) -> dict[str, str]:
    """Likewise of the files of actions: what their ledger notices, and what is not read there."""
    lines = {f"actions {notice.time} {notice.text}"[:80]: notice.text for notice in ledger.notices}
    for name, reason in ledger.refused.items():
        lines[f"actions refused {name}"] = f"{folder}/{name}: not read: {reason}"
    return {printable(key): printable(line) for key, line in lines.items()}


def news(
    known: AlertState,
    conditions: Sequence[Condition],
    files: Mapping[str, str] | None,
    outcome: str | None,
) -> tuple[str | None, AlertState]:
    """The message that is due to an addressee, given what was reported before.

    Args:
        known: what was reported to the addressee before.
        conditions: those that are open now.
        files: from `troubled_files`; None when the ledger could not be read.
        outcome: what the run decided; said beside new conditions.

    Returns:
        The message, None when there is no news, and what is reported once it is sent.
    """
    appeared = [c for c in conditions if known.conditions.get(c.key) != c.kind]
    new_files = [line for key, line in (files or {}).items() if key not in known.files]
    unchanged = [c.key for c in conditions if c not in appeared]
    lines = [f"- {c.text}" for c in appeared] + [f"- {line}" for line in _shortened(new_files)]
    if appeared and outcome:
        lines.append(f"- {outcome}")
    if appeared and unchanged:
        lines.append(f"- as before: {'; '.join(unchanged)}")
    if (ended := _ended(known, conditions, outcome)) is not None:
        lines.append(f"- {ended}" if lines else ended)
    after = replace(
        known,
        conditions={c.key: c.kind for c in conditions},
        files=known.files if files is None else tuple(files),
    )
    return printable("\n".join(lines)) or None, after


def _ended(known: AlertState, conditions: Sequence[Condition], outcome: str | None) -> str | None:
    """A line if all conditions ended, or if runs no longer fail; None otherwise."""
    known = replace(
        known, conditions={k: v for k, v in known.conditions.items() if k != CALLS_SAVE}
    )
    conditions = [c for c in conditions if c.key != CALLS_SAVE]
    over = [key for key in known.conditions if key not in {c.key for c in conditions}]
    if list(known.conditions) == over == [CANDIDATE_WAITS] and not conditions:
        return f"no candidate waits for approval any more{f' ({outcome})' if outcome else ''}"
    if over and not conditions:
        return f"all is well again (it was: {'; '.join(known.conditions)})"
    if FAILED_RUN in over:
        return f"the runs work again; open: {'; '.join(c.key for c in conditions)}"
    return None


def _shortened(lines: Sequence[str]) -> list[str]:
    more = len(lines) - FILES_NAMED
    return [*lines[:FILES_NAMED], *([f"and {plural(more, 'file')} more"] if more > 0 else [])]


def with_unsent(known: AlertState, message: str | None) -> tuple[str, ...]:
    """All messages that are due, oldest first; at most the last MESSAGES_KEPT."""
    return (*known.unsent, *([message] if message else []))[-MESSAGES_KEPT:]


def text_of(messages: Iterable[str], title: str) -> str:
    """Messages as one text to send; the newest is said in full.

    Args:
        messages: oldest first.
        title: whose pipeline speaks.
    """
    newest, *earlier = reversed(list(messages))
    body = f"\n{newest}" if newest.startswith("- ") else f" {newest}"
    text = f"{printable(title)}:{body}"
    if earlier:
        text += "\nNot delivered before, oldest first:\n" + "\n".join(reversed(earlier))
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def printable(text: str) -> str:
    """The text without what no screen shows; a file may be called anything."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
