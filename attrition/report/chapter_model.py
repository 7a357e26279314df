"""The report's third chapter: which model is at work, how good it is, what it has learnt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrition.core import formatting
from attrition.core.formatting import decimal, number_format, percent, signed
from attrition.core.labels import Labels
from attrition.data.near_copies import CopiedRows
from attrition.model import monotone, unused
from attrition.model.scorecard import Scorecard
from attrition.model.terms import Axis, CategoricalTerm, KnotAxis, NumericTerm, Term
from attrition.model.uncertainty import Z95
from attrition.monitoring import severity
from attrition.monitoring.impact import strongest, term_weights
from attrition.monitoring.record import DecisionRecord
from attrition.report.document import (
    Beside,
    Block,
    Heading,
    Plot,
    Section,
    Table,
    Text,
    left_out,
    table,
)
from attrition.report.inputs import Model, ReportInputs

TERMS_SHOWN = 12
_PLOTS_OF_SKILL = (
    "rocandprecisionrecall",
    "calibration",
    "gainandlift",
    "scoredistribution",
)
_PLOTS_OF_CARD = ("riskcurves", "pairmaps")


def trust(inputs: ReportInputs) -> str:
    """How far the list can be relied on, in one plain sentence."""
    model = inputs.model
    if (model is None or model.release is None) and inputs.decision and inputs.decision.no_model:
        return formatting.sentence(inputs.decision.no_model)
    if model is None or not model.scores:
        return ""
    if model.release is None:
        return "The model below is a candidate; nothing is ranked by it."
    cross_validated = model.training.get("cross_validated") or {}
    return severity.state_line(
        inputs.decision_on_model, model.scores, cross_validated, model.card.threshold
    )


def chapter(inputs: ReportInputs) -> Section:
    """The model in numbers and pictures."""
    model = inputs.model
    if model is None:
        text = "There is none yet. It takes labelled rows of both kinds; run fullprocess.py."
        return Section("model", "The model", (Text(text),))
    blocks = [
        *_identity(model),
        *_skill(model, inputs.plots.get("confusionmatrix")),
        *weak_segments(inputs.decision, model.release),
        *_plots(inputs, _PLOTS_OF_SKILL),
        Heading("What it has learnt"),
        *_card(model, inputs.config.labels),
        *_plots(inputs, _PLOTS_OF_CARD),
    ]
    return Section("model", "The model", tuple(blocks))


def _plots(inputs: ReportInputs, names: tuple[str, ...]) -> Iterator[Block]:
    for name in names:
        plot = inputs.plots.get(name)
        if isinstance(plot, Plot):
            yield plot
        elif plot:
            yield Text(plot)


def _identity(model: Model) -> Iterator[Block]:
    training = model.training
    deployed = model.manifest.get("deployed_at")
    name = f"Release {model.release}" if model.release else "A candidate that is not deployed"
    when = f", deployed on {formatting.moment(deployed)}" if deployed else ""
    settings = training.get("settings") or {}
    card = model.card
    parts = [
        _used(card, terms, of)
        for terms, of in ((card.numeric, "numbers"), (card.categorical, "categories"))
        if terms
    ]
    if card.pairs:
        parts.append(f"{formatting.plural(len(card.pairs), 'pair')} of columns")
    yield Text(
        f"{name}{when}: a logistic regression that reads like a scorecard, with "
        f"{formatting.listing(parts)}"
        + (f", penalty {settings['penalty']:g}." if "penalty" in settings else ".")
    )
    rate = (training.get("cross_validated") or {}).get("base_rate")
    left = "" if rate is None else f", of which {percent(rate, 1)} left"
    rows = f"Trained on {training['rows']:,} client rows{left}. " if "rows" in training else ""
    yield Text(f"{rows}Threshold {decimal(card.threshold, 2)}: the risk that raises an alarm.")


def _used(card: Scorecard, terms: Sequence[NumericTerm | CategoricalTerm], of: str) -> str:
    """How many columns of a kind have a say: "4 columns of numbers", "1 of 3 columns of ..."."""
    used, offered = sum(unused.is_used(card, term) for term in terms), len(terms)
    some = "" if used == offered else f"{used:,} of "
    return f"{some}{formatting.plural(offered, 'column')} of {of}"


_METRICS = (
    ("f1", "F1 (95% interval)", None),
    ("precision", "Precision: alarms that are right", None),
    ("recall", "Recall: leavers who are found", None),
    ("roc_auc", "AUC: a leaver stands above one who stays", "roc_auc"),
    ("average_precision", "Average precision", None),
    ("log_loss", "Log loss, nats per client", None),
    ("brier_score", "Brier score", None),
    ("calibration_error", "Calibration error", "calibration_error"),
    ("base_rate", "Share who left", None),
    ("mean_probability", "Mean predicted risk", None),
)


def _skill(model: Model, confusion: Plot | str | None) -> Iterator[Block]:
    yield Heading("How good it is")
    test, cross_validated = model.scores, model.training.get("cross_validated") or {}
    if test.get("f1") is None:
        reason = test.get("undefined") or "it was not scored"
        yield Text(f"Its score on the test data is undefined: {formatting.sentence(reason)}")
    if test.get("f1") is None and cross_validated.get("f1") is None:
        return
    rows = [
        (name, _metric(test, key, error), _metric(cross_validated, key, error))
        for key, name, error in _METRICS
    ]
    head = (
        "Measure",
        f"Test data, {formatting.count(test.get('rows'))} rows",
        f"Cross-validated, {formatting.count(cross_validated.get('rows'))} rows",
    )
    note = (
        "In brackets: 95% interval; ± is half of one. Lower is better for log loss, Brier score "
        "and calibration."
    )
    if known := model.training.get("known_test_rows"):
        note += (
            f" {formatting.plural(known, 'test row')} of clients of whom the model has learnt "
            f"other rows; in cross-validation every client is new."
        )
    if copied := model.training.get("copied"):
        note += f" {formatting.sentence(str(CopiedRows(**copied)))}"
    scores = table("The model's score when it was made", "lrr", head, rows, note)
    yield Beside((scores, confusion)) if isinstance(confusion, Plot) else scores


def weak_segments(decision: DecisionRecord | None, release: str | None) -> Iterator[Block]:
    """The clients of whom a model knows less than of others; nothing where there are none.

    Args:
        decision: the decision record.
        release: the model's; a record that speaks of another one says nothing of it.
    """
    search = decision.segments if decision and decision.release_after == release else None
    if search is None or not search.weak:
        return
    yield Text("For some clients it is clearly worse than for the rest: believe their risks less.")
    rows = [
        (
            " and ".join(formatting.middle(part) for part in weak.conditions),
            f"{weak.rows:,}",
            decimal(weak.log_loss, 2),
            f"{signed(weak.difference, 2)} ({formatting.between(weak.interval, 2)})",
            f"{percent(weak.left)} ({percent(weak.left_interval[0])} to "
            f"{percent(weak.left_interval[1])})",
            percent(weak.predicted),
        )
        for weak in search.weak
    ]
    yield table(
        "Where the model is weak",
        "lrrrrr",
        ("Clients", "Rows", "Log loss", "Beyond expectation", "Left", "Predicted"),
        rows,
        f"Of {search.looked_at:,} segments of one column or two, on {search.rows:,} rows that the "
        "model had not learnt. Beyond expectation: log loss above what its own probabilities let "
        f"expect, against all other rows (over all rows it is {decimal(search.log_loss, 2)}); 95% "
        "for all segments together. Named is where it is too high, or where clearly more or fewer "
        "left than predicted. A model that is right everywhere is blamed in at most "
        f"{percent(search.level)} of runs.",
    )


def _metric(score: Mapping[str, Any], key: str, error: str | None) -> str:
    text = decimal(score.get(key))
    if interval := score.get(f"{key}_interval"):
        return f"{text} ({formatting.between(interval)})"
    spread = (score.get("standard_errors") or {}).get(error) if error else None
    return text if spread is None else f"{text} ± {Z95 * spread:.3f}"


def _card(model: Model, labels: Labels) -> Iterator[Block]:
    if asked := monotone.sentence(model.training, labels):
        yield Text(asked)
    if missed := unused.sentence(model.card, model.training, labels):
        yield Text(missed)
    weights = term_weights(model.card, model.training.get("predicted"))
    terms = model.card.all_terms
    rows = []
    counting = strongest(terms, weights)
    for term in counting[:TERMS_SHOWN]:
        high, low = _extremes(term)
        name = " and ".join(labels.name(column, 36) for column in term.columns)
        rows.append((name, decimal(weights[term.columns], 2), high, low))
    more = left_out(len(counting), len(rows), "columns and pairs", "scorecard.json")
    yield _card_table(rows, more)


def _card_table(rows: Sequence[tuple[str, ...]], more: str) -> Table:
    return table(
        "The columns that count most",
        "lrll",
        ("Column", "Weight", "Risk is highest at", "Risk is lowest at"),
        rows,
        "Weight: how far the column moves a client's log-odds of leaving from the average, on "
        f"average. In brackets: points above the average; +0.7 doubles the odds. {more}".strip(),
    )


def _extremes(term: Term) -> tuple[str, str]:
    """Where the risk is highest and where it is lowest."""
    effects = sorted(_effects(term), key=lambda point: point[0])
    (low, low_name), (high, high_name) = effects[0], effects[-1]
    if high == low:
        return "the same everywhere", ""
    return f"{high_name} ({signed(high, 2)})", f"{low_name} ({signed(low, 2)})"


def _effects(term: Term) -> list[tuple[float, str]]:
    """Each value of a term in words, with its points above the term's average."""
    average = term.average_points
    if isinstance(term, NumericTerm):
        effects = list(zip(term.points, _axis_names(term.axis), strict=True))
        if term.missing_share:
            effects.append((term.missing_points, "missing"))
    elif isinstance(term, CategoricalTerm):
        effects = list(zip(term.points, _axis_names(term.axis), strict=True))
    else:
        names = [_axis_names(axis) for axis in term.axes]
        effects = [
            (points, f"{names[0][i]}, {names[1][j]}")
            for i, row in enumerate(term.points)
            for j, points in enumerate(row)
        ]
    return [(points - average, name) for points, name in effects]


def _axis_names(axis: Axis) -> list[str]:
    if isinstance(axis, KnotAxis):
        return list(map(number_format(axis.knots), axis.knots))
    return [*(f"“{formatting.line(level, 24)}”" for level in axis.levels), "all others"]
