"""The report's appendix begins: what was decided, how the model fares, what moved in the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from attrition.core import formatting
from attrition.core.formatting import decimal, percent, signed
from attrition.core.labels import Labels
from attrition.model.comparison import Comparison
from attrition.model.uncertainty import Z95
from attrition.monitoring.findings import (
    ASSUMPTION,
    Drift,
    DriftVerdict,
    Evidence,
    Impact,
    Measure,
    MeasureChange,
    PerformanceDrift,
    RunVerdict,
    Sample,
    TrainingKind,
)
from attrition.monitoring.record import DecisionRecord, DriftRecord
from attrition.report.document import (
    Block,
    Heading,
    Section,
    Table,
    Text,
    left_out,
    table,
)
from attrition.report.inputs import ReportInputs
from attrition.report.run_summary import drift_word, impact_sentence, live_f1, set_aside

RUNS_SHOWN = 8
DECIDED = {
    RunVerdict.DEPLOYED: "The last run deployed a new model",
    RunVerdict.KEPT: "The last run kept the model",
    RunVerdict.PROPOSED: "The last run proposed a new model",
    RunVerdict.NOT_ENOUGH_EVIDENCE: "The last run left things as they are, for lack of evidence",
    RunVerdict.FAILED: "The last run failed",
}


def decided(decision: DecisionRecord | None) -> str:
    """What the last run decided and why, in one sentence."""
    if decision is None:
        return "No run is recorded yet."
    return formatting.sentence(
        f"{DECIDED[decision.verdict]}: {formatting.line(decision.reason, 600)}"
    )


def chapter(inputs: ReportInputs) -> Section:
    """What changed since the model was trained, and since the runs before."""
    decision, compared = inputs.decision, list[Block]()
    if decision is not None:
        compared = [*_performance(decision), *_data(inputs, decision.drift)]
    nothing = Text("There is nothing to compare yet: this needs a model that was deployed before.")
    blocks = [*_decision(inputs), *(compared or [nothing]), *_runs(inputs)]
    return Section("decision", "How it was decided", tuple(blocks), begins_appendix=True)


def _decision(inputs: ReportInputs) -> Iterator[Block]:
    decision = inputs.decision
    yield Heading("What was decided")
    yield Text(decided(decision))
    if decision is None:
        return
    if decision.proposal:
        yield Text(formatting.sentence(decision.proposal.notice))
    before, need = decision.release_before, decision.training
    if before and need and need.reason not in decision.reason:
        lead = "No reason" if need.kind is TrainingKind.NOTHING else "The reason"
        yield Text(formatting.sentence(f"{lead} to train: {formatting.line(need.reason, 300)}"))
    after = decision.release_after
    if before and after and before != after:
        yield Text(f"Release {after} took the place of release {before}.")
    if decision.evidence:
        yield _evidence(decision.evidence, inputs.config.promotion_confidence)


def _evidence(evidence: Evidence, confidence: float) -> Table:
    parts = {
        "test data": evidence.test,
        "new rows": evidence.unseen,
        "both together": evidence.pooled,
    }
    note = (
        "The log loss decides; F1 is for people. About the new rows the candidate answers out of "
        "fold."
    )
    if evidence.needed_confidence is not None:
        note += (
            f" It is called better where its log loss is lower with a confidence of "
            f"{percent(evidence.needed_confidence, 1)}: this is comparison {evidence.look} since "
            f"one last was, and {percent(confidence)} hold for all of them together."
        )
    return table(
        "The deployed model against the candidate, on the same rows",
        "lrlrrr",
        ("Rows from", "Rows", "Measure", "Deployed", "Candidate", "Better by (95% interval)"),
        [row for name, part in parts.items() if part for row in _comparison(name, part)],
        note,
    )


def _comparison(name: str, part: Comparison) -> Iterator[tuple[str, ...]]:
    """The rows of the table about the same clients: log loss, and F1."""
    rows = f"{part.rows:,}"
    if part.undefined:
        yield (name, rows, *[formatting.NOT_KNOWN] * 4)
        return
    before, after = decimal(part.champion_log_loss), decimal(part.challenger_log_loss)
    yield (name, rows, "log loss", before, after, _signed(part.gain, part.gain_interval))
    before, after = decimal(part.champion_f1), decimal(part.challenger_f1)
    yield (name, rows, "F1", before, after, _signed(part.difference, part.difference_interval))


def _signed(value: float | None, interval: Sequence[float] | None) -> str:
    """A difference with its interval, as far as it is known."""
    ends = f" ({signed(interval[0])} to {signed(interval[1])})" if interval else ""
    return f"{signed(value)}{ends}"


def _runs(inputs: ReportInputs) -> Iterator[Block]:
    yield Heading("The latest runs")
    runs = inputs.runs[:RUNS_SHOWN]
    if not runs:
        yield Text("No run is recorded yet.")
        return
    yield table(
        "Runs that were not idle, newest first",
        "llrlrlr",
        ("Time (UTC)", "Verdict", "F1", "Drift", "New rows", "Release", "Took"),
        [
            (
                formatting.short_moment(run.time),
                run.verdict,
                decimal(live_f1(run)),
                drift_word(run.drift).replace("-", formatting.NOT_KNOWN),
                formatting.count(run.new_rows),
                (run.release_after or formatting.NOT_KNOWN).split("-")[0],
                formatting.seconds(run.seconds),
            )
            for run in runs
        ],
        "F1 on the test data of the model that the run left in place. How long a run took is known "
        "when it is over, and so to the next report.",
    )
    yield from inputs.drawn("trends")


COLUMNS_SHOWN = 12  # of one sample
ABOUT_DRIFT = (
    "PSI: above 0.1 a shift worth the name, above 0.25 a large one. Distance: Wasserstein's, in "
    "standard deviations. Impact: how far the column's shift moves the mean log-odds of leaving "
    "(pairs of columns have impacts of their own)."
)


def _performance(decision: DecisionRecord) -> Iterator[Block]:
    """F1, AUC and calibration now, against those at deployment."""
    drift = decision.drift
    if not drift.performance:
        return
    yield Heading("Is the model still as good?")
    for sample, finding in drift.performance.items():
        yield Text(formatting.sentence(f"on the {sample}: {finding.reason}"))
    if (rows := set_aside(decision.contacted)) is not None:
        yield Text(f"Neither judged by nor learnt from are {rows}")
    yield from _departures(drift.performance)
    estimates = {name: score.believable_f1 for name, score in drift.expected_scores.items()}
    known = [name for name, f1 in estimates.items() if f1 is not None]
    yield table(
        "The model that was deployed when the run began, against its own deployment",
        "lrrlr",
        ("On the", "F1 then (95% interval)", "F1 now (95% interval)", "Verdict", "F1, estimate"),
        [
            (sample, *_f1_then_and_now(decision, sample), decimal(estimates.get(sample)))
            for sample in dict.fromkeys([*drift.performance, *known])
        ],
        f"F1 then: on the test data of that time; beside new rows, in cross-validation on the rows "
        f"trained on. F1 is for people; the verdict is reached by the outcomes against the "
        f"probabilities. The last column, from the probabilities alone, is {ASSUMPTION}; it is "
        f"left out where the model has drifted, or where others left than its probabilities said.",
    )
    yield from _measures({name: measures for name, measures in drift.measures.items() if measures})


def _departures(by_sample: Mapping[Sample, PerformanceDrift]) -> Iterator[Block]:
    """What outcomes were compared with what the probabilities promised."""
    departures = [
        (sample, one) for sample, finding in by_sample.items() for one in finding.departures
    ]
    if not departures:
        return
    yield table(
        "Outcomes against what the probabilities let expect",
        "llrrrr",
        ("On the", "Measure", "Rows", "Expected", "Came", "Chance"),
        [
            (
                sample,
                f"{one.measure}{' *' if one.is_drift else ''}",
                f"{one.rows:,}",
                _of_measure(one.measure, one.promised),
                _of_measure(one.measure, one.now),
                formatting.NOT_KNOWN if one.p >= 1 else percent(one.p, 1),
            )
            for sample, one in departures
        ],
        "Expected: what follows from the probabilities, corrected by what the model reached when "
        "it was fitted. Chance: of so large a difference if nothing has changed, for all that was "
        "looked at together. *: drift.",
    )


def _of_measure(measure: Measure, value: float) -> str:
    return percent(value, 1) if measure is Measure.LEAVERS else decimal(value)


def _measures(by_sample: Mapping[Sample, Mapping[str, MeasureChange]]) -> Iterator[Block]:
    """AUC and calibration then and now."""
    if not by_sample:
        return
    yield table(
        "How it ranks, and whether its probabilities can be believed",
        "lrrrr",
        ("On the", "AUC then", "AUC now", "Warned too often by, then", "Warns too often by, now"),
        [
            (
                sample,
                *_then_and_now(measures.get("roc_auc"), decimal),
                *_then_and_now(measures.get("calibration_gap"), _points),
            )
            for sample, measures in by_sample.items()
        ],
        "AUC: how often a leaver has the higher risk of two clients. Warns too often by: the mean "
        "predicted risk less the share that left, in percentage points. "
        "In brackets: 95% interval; ± is half of one.",
    )


def _f1_then_and_now(decision: DecisionRecord, sample: Sample) -> tuple[str, str, str]:
    """F1 at deployment and today, each with its interval, and the verdict on the two."""
    finding, score = decision.drift.performance.get(sample), decision.scores.get(sample)
    return (
        _between(finding.at_deployment, finding.interval_at_deployment)
        if finding
        else formatting.NOT_KNOWN,
        _between(score.f1, score.f1_interval) if score else formatting.NOT_KNOWN,
        finding.verdict if finding else "outcome not known",
    )


def _between(value: float | None, interval: Sequence[float] | None) -> str:
    """A value with its interval, as far as they are known."""
    text = decimal(value)
    return text if value is None or interval is None else f"{text} ({formatting.between(interval)})"


def _then_and_now(
    measure: MeasureChange | None, shown: Callable[[float | None], str]
) -> tuple[str, str]:
    """A measure at deployment and today, each with its 95 % interval, or with half of it."""
    if measure is None:
        return shown(None), shown(None)
    then = _spread(measure.interval_at_deployment, measure.error_at_deployment, shown)
    now = _spread(measure.interval, measure.standard_error, shown)
    return shown(measure.at_deployment) + then, shown(measure.now) + now


def _spread(
    interval: Sequence[float] | None, error: float | None, shown: Callable[[float | None], str]
) -> str:
    if interval is not None:
        return f" ({formatting.between(interval)})"
    return "" if error is None else f" ± {shown(Z95 * error).lstrip('+')}"


def _points(fraction: float | None) -> str:
    return formatting.NOT_KNOWN if fraction is None else signed(100 * fraction, 1)


def _data(inputs: ReportInputs, drift: DriftRecord) -> Iterator[Block]:
    """Drift by column, and what it does to the risk."""
    if not drift.data:
        return
    yield Heading("Has the data moved?")
    for sample, finding in drift.data.items():
        yield Text(_drift_sentence(sample, finding))
        impact = impact_sentence(drift, sample, inputs.config.labels)
        if finding.has_drifted and impact is not None:
            yield Text(formatting.sentence(impact))
    drifted = [sample for sample, finding in drift.data.items() if finding.has_drifted]
    for sample in drifted:
        note = ABOUT_DRIFT if sample is drifted[-1] else ""
        of_sample = drift.data[sample], drift.impact.get(sample)
        yield _columns(sample, *of_sample, inputs.config.labels, note)
    yield from inputs.drawn("drift", *["impact"] * bool(drifted))


def _drift_sentence(sample: Sample, finding: Drift) -> str:
    compared = f"{finding.rows:,} rows against {finding.reference_rows:,} trained on"
    if finding.verdict is DriftVerdict.INSUFFICIENT:
        return formatting.sentence(f"{sample}: too few rows to tell ({compared})")
    columns = formatting.plural(len(finding.columns), "column")
    moved = sum(column.has_drifted for column in finding.columns)
    parts = f"{moved:,} of {columns} drifted" if moved else f"no drift in {columns}"
    if finding.predictions.has_drifted:
        parts += ", and so did the predictions" if moved else ", but the predictions drifted"
    return formatting.sentence(f"{sample}: {parts} ({compared})")


def _columns(
    sample: Sample, finding: Drift, impact: Impact | None, labels: Labels, note: str
) -> Table:
    """The columns that drifted, by PSI, and the predictions."""
    moved = [one for one in finding.columns if one.has_drifted]
    moved.sort(key=lambda one: -(one.psi or 0.0))
    shown = [*moved[:COLUMNS_SHOWN], finding.predictions]
    changes = {term.term: term.change for term in (impact.terms if impact else ())}
    rows = [
        (
            labels.name(one.column, 36) + (" (log-odds)" if one is shown[-1] else ""),
            one.verdict,
            formatting.line(one.change or formatting.NOT_KNOWN, 90),
            decimal(one.psi, 2),
            _p(one.adjusted_p),
            decimal(one.wasserstein, 2),
            signed(impact.log_odds_change if impact else None, 2)
            if one is shown[-1]
            else signed(changes.get(one.column), 2),
        )
        for one in shown
    ]
    more = left_out(len(moved), COLUMNS_SHOWN, "columns", "decision.json")
    return table(
        f"Drift by column in the {sample}",
        "lllrrrr",
        ("Column", "Verdict", "What changed most", "PSI", "p, adjusted", "Distance", "Impact"),
        rows,
        f"{note} {more}".strip(),
    )


def _p(p: float | None) -> str:
    if p is None:
        return formatting.NOT_KNOWN
    return "< 0.001" if p < 0.001 else decimal(p)
