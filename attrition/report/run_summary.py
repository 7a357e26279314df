"""What a run did, for a person: a few lines of plain words from a decision record, or one line."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from attrition.calls.words import profit_in_words
from attrition.core.formatting import (
    NO_OPEN_CLIENTS,
    OPEN_CLIENTS,
    TERMINAL_WIDTH,
    day,
    listing,
    no_list,
    paragraph,
    plural,
    sentence,
    within,
)
from attrition.core.labels import NO_LABELS, Labels
from attrition.data.ingestion_result import IngestionResult, actions_text
from attrition.data.ledger import INGESTED, REJECTED
from attrition.model.metrics import Score, score_to_judge_by
from attrition.monitoring.findings import DriftVerdict, RunVerdict, Sample
from attrition.monitoring.record import DecisionRecord, DriftRecord
from attrition.ranking.outcomes import EarlierList, OutcomeCounts, RankingRecord

WIDTH = TERMINAL_WIDTH


def summary(record: DecisionRecord, labels: Labels, folder: Path) -> str:
    """A run in a few lines of at most 80 columns.

    Args:
        labels: what columns are called.
        folder: the project's, to which paths within it are relative.
    """
    return "\n".join(
        paragraph(label, within(text, folder)) for label, text in _paragraphs(record, labels)
    )


def runs_table(records: Sequence[DecisionRecord], folder: Path) -> str:
    """Runs as a table of at most 80 columns; the line below a failed run gives the reason.

    Args:
        records: decision records, in the order in which they are shown.
        folder: as for `summary`.
    """
    head = (
        f"{'TIME (UTC)':<16}  {'VERDICT':<19} {'F1':>5} DRIFT {'NEW ROWS':>9}  RELEASE {'TOOK':>9}"
    )
    return "\n".join([head, *(line for record in records for line in _run_lines(record, folder))])


def _run_lines(record: DecisionRecord, folder: Path) -> Iterator[str]:
    f1, new_rows, seconds = live_f1(record), record.new_rows, record.seconds
    release = (record.release_after or "-").split("-")[0] or "-"
    yield (
        f"{record.time[:16].replace('T', ' '):<16}  {record.verdict:<19} "
        f"{'-' if f1 is None else f'{f1:.3f}':>5} {drift_word(record.drift):<5} "
        f"{'-' if new_rows is None else f'{new_rows:,}':>9}  {release[:7]:<7} "
        f"{'-' if seconds is None else f'{seconds:,.1f} s':>9}"
    )
    if record.verdict is RunVerdict.FAILED:
        margin = " " * 18
        yield from textwrap.wrap(
            within(record.reason, folder),
            WIDTH,
            initial_indent=margin,
            subsequent_indent=margin,
            max_lines=3,
            placeholder=" …",
            break_on_hyphens=False,
        )


def live_f1(record: DecisionRecord) -> float | None:
    """F1 on the test data of the model that a run left in place; None when it has no score."""
    return record.live_score.f1 if record.live_score else None


def drift_word(drift: DriftRecord) -> str:
    """Whether a run found drift: "yes", "no", or "-" where nothing could be judged."""
    if drift.has_drifted:
        return "yes"
    return "no" if DriftVerdict.NO_DRIFT in drift.verdicts else "-"


def _paragraphs(record: DecisionRecord, labels: Labels) -> Iterator[tuple[str, str]]:
    ranking, no_ranking = record.ranking, record.no_ranking or ""
    if no_ranking.startswith(NO_OPEN_CLIENTS) or (ranking and ranking.ranked != OPEN_CLIENTS):
        yield "Attention", f"{record.no_open_clients}."
    yield "Verdict", f"{record.verdict.upper()}: {record.reason}."
    if record.proposal:
        yield "Proposal", sentence(record.proposal.notice)
    if record.approved_by:
        yield "New data", "what has come since the proposal is for the next run."
    elif record.ingestion:
        yield "New data", _new_data(record.ingestion)
    for sample, score in record.scores.items():
        known = record.champion_cross_validated if sample is Sample.TEST_DATA else None
        name = f"release {(record.release_before or '')[:6]}"
        yield f"On {sample}", f"{name} has {_scores(score, known)}"
    if record.candidate_score:
        scores = _scores(record.candidate_score, record.cross_validated)
        yield "Candidate", f"on the test data it has {scores}"
    if (rows := set_aside(record.contacted)) is not None:
        yield "Set aside", rows
    yield "Drift", _drift(record.drift)
    if ranking:
        yield "Clients", _clients(ranking)
    elif no_ranking:
        yield "Clients", no_list(no_ranking)
    if record.study_in_words is not None:
        yield "Calls", record.study_in_words
    impact = _impact(record.drift, labels)
    if impact:
        yield "Impact", impact
    odd = [str(ranking.odd_values)] if ranking and ranking.odd_values else []
    for warning in (*odd, *(one.text for one in record.warnings)):
        yield "Attention", warning if warning.endswith("?") else f"{warning}."
    yield "Live model", _live(record)
    yield "Took", ", ".join(f"{stage} {s:.1f} s" for stage, s in record.timings.items())


def _new_data(ingestion: IngestionResult) -> str:
    files = [entry for entry in ingestion.files if entry.status == INGESTED]
    rejected = [entry.name for entry in ingestion.files if entry.status != INGESTED]
    parts = []
    if files:
        said = [
            plural(count, noun) + rest
            for key, (noun, rest) in _ROWS.items()
            if (count := sum(getattr(entry, key) for entry in files))
        ]
        parts.append(f"{plural(len(files), 'file')}: {', '.join(said) or 'no rows'}.")
    if matured := ingestion.new_rows - sum(entry.kept for entry in files):
        parts.append(f"{plural(matured, 'labelled row')} of earlier files, due now.")
    if rejected:
        parts.append(
            f"{plural(len(rejected), 'file')} rejected: {', '.join(rejected)} "
            f"(ledger.json tells the reasons)."
        )
    if ingestion.refused:
        names = ", ".join(refusal.name for refusal in ingestion.refused)
        parts.append(f"Not read: {names} (ledger.json tells the reasons).")
    if ingestion.waiting:
        waiting = plural(len(ingestion.waiting), "file")
        parts.append(f"{waiting} still being written, left for the next run.")
    parts += [  # among what needs attention stands why one is rejected
        f"{entry.name}: {REJECTED if entry.status == REJECTED else actions_text(entry)}."
        for entry in ingestion.actions
    ]
    return " ".join(parts) or "nothing."


# Of the labelled rows some may be test data, so not all of them are to learn from.
_ROWS = {
    "kept": ("labelled row", ""),
    "duplicate": ("duplicate", " dropped"),
    "open": ("row", " of open clients"),
    "quarantined": ("row", " in quarantine"),
}


def _score(score: Score) -> str:
    if score.f1 is None or score.f1_interval is None:
        return f"no score: {score.undefined}."
    low, high = score.f1_interval
    text = f"F1 {score.f1:.3f} ({low:.3f} to {high:.3f}) on {score.rows:,} rows"
    if score.recall is None or score.precision is None:
        return f"{text}."
    return (
        f"{text}; found {score.recall:.0%} of the leavers, {score.precision:.0%} of its alarms "
        f"were right."
    )


def _scores(test: Score, cross_validated: Score | None) -> str:
    """A model's score on the test data, and cross-validated where these cannot tell."""
    shown, _ = score_to_judge_by(test, cross_validated)
    text = _score(test)
    return text if shown is test else f"{text} Cross-validated, it has {_score(shown)}"


def _drift(drift: DriftRecord) -> str:
    verdicts = drift.verdicts
    if not verdicts:
        return "nothing to compare yet."
    drifted = verdicts.count(DriftVerdict.DRIFT)
    unsure = verdicts.count(DriftVerdict.INSUFFICIENT)
    parts = [f"{len(verdicts)} checks", f"drift in {drifted}" if drifted else "no drift"]
    if unsure:
        parts.append(f"too little data in {unsure}")
    return ", ".join(parts) + "."


def _clients(ranking: RankingRecord) -> str:
    """How many clients are at risk, in numbers only: under cron this stands in the log."""
    verb = "" if ranking.ranked == OPEN_CLIENTS else " are"  # or it reads "who stayed at high risk"
    text = (
        f"{ranking.high:,} of {ranking.clients:,} {ranking.ranked}{verb} at high risk, "
        f"{ranking.medium:,} at medium (models/clientrisk.csv)."
    )
    if ranking.one_risk_in_words:
        text = f"{ranking.one_risk_in_words} The list is models/clientrisk.csv."
    profit = profit_in_words(ranking.profit) if ranking.profit else None
    no_profit = sentence(ranking.no_profit) if ranking.no_profit else None
    resting = sentence(ranking.resting_in_words) if ranking.resting_in_words else None
    crowd = sentence(ranking.crowd_in_words) if ranking.crowd_in_words else None
    parts = (text, crowd, ranking.line_in_words, resting, profit, no_profit, list_helped(ranking))
    return " ".join(filter(None, dict.fromkeys(parts)))  # who rests may be why there is no profit


def list_helped(ranking: RankingRecord) -> str | None:
    """What came of the newest old list whose top is known well enough; None without such a list."""
    for earlier in ranking.outcomes:  # newest first
        top = next(iter(earlier.top.values()), None)
        if top and 2 * (top.known + top.contacted) >= top.clients:
            return _helped(earlier, top)
    return None


def _helped(earlier: EarlierList, top: OutcomeCounts) -> str:
    overall = earlier.all
    first = f"Of the first {top.clients} on the list of {day(earlier.time)}, "
    outcomes = plural(top.contacted, "known outcome")
    verb = "is" if top.contacted == 1 else "are"
    not_counted = f"{outcomes} of clients who had been contacted {verb} not counted"
    if top.share_left is None:
        return f"{first}{not_counted}: whether they were at risk is not known."
    rate = "" if overall.share_left is None else f" ({overall.share_left:.0%})"
    return (
        f"{first}{top.left} of {top.known} known outcomes are leavers ({top.share_left:.0%}); of "
        f"all clients on it, {overall.left:,} of {overall.known:,}{rate}"
        f"{f'; {not_counted}' if top.contacted else ''}."
    )


def set_aside(contacted: Mapping[str, int]) -> str | None:
    """How many rows nothing is judged by and learnt from, since a call may have changed outcomes.

    Args:
        contacted: as the decision record has it.
    """
    if not contacted:
        return None
    rows = listing([f"{n:,} of the {where}" for where, n in contacted.items()])
    return f"rows of clients who had been contacted: {rows}."


def _impact(drift: DriftRecord, labels: Labels) -> str | None:
    """Of what drifted, the shift that moves the log-odds most; None without drift or its impact."""
    impacts = [
        (abs(impact.terms[0].change), sample)
        for sample, impact in drift.impact.items()
        if sample in drift.data and drift.data[sample].has_drifted and impact.terms
    ]
    return impact_sentence(drift, max(impacts)[1], labels) if impacts else None


def impact_sentence(drift: DriftRecord, sample: Sample, labels: Labels = NO_LABELS) -> str | None:
    """What the strongest shift in a sample, and all together, do to the risk; None if not known."""
    impact, data = drift.impact.get(sample), drift.data.get(sample)
    term = impact.terms[0] if impact and impact.terms else None
    if impact is None or term is None or term.risk_without is None:
        return None
    changes = {one.column: one.change for one in data.columns} if data else {}
    words = "; ".join(change for name in term.columns if (change := changes.get(name)))
    name = labels.term(term.columns)
    shown = f"{name} ({words})" if words else name
    verb = "lifts" if term.change > 0 else "lowers"
    then, now = _shares(term.risk_without, impact.risk_now)
    text = f"in the {sample}, {shown} {verb} the mean predicted risk from {then} to {now}. "
    moved = round(impact.moved_clients)
    before, now = _shares(impact.risk_before, impact.risk_now)
    return (
        f"{text}With every shift: {now}, at training {before}; of {impact.rows:,} clients "
        f"{abs(moved):,} {'fewer' if moved < 0 else 'more'} count as leavers."
    )


def _shares(first: float, second: float) -> tuple[str, str]:
    """Two shares in whole percent, or with a decimal where those would look alike."""
    digits = 0 if f"{first:.0%}" != f"{second:.0%}" else 1
    return f"{first:.{digits}%}", f"{second:.{digits}%}"


def _live(record: DecisionRecord) -> str:
    live, before = record.release_after, record.release_before
    if live is None:
        return "none yet."
    return f"{live} (before: {before})." if before and before != live else f"{live}."
