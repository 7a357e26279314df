"""What changed: drift by column, and what it does to the risk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from attrition.core import formatting
from attrition.core.formatting import line, listing
from attrition.core.labels import NO_LABELS, Labels
from attrition.monitoring.findings import PSI_FLOOR, Drift, DriftVerdict, Impact, Sample
from attrition.report.figures.style import (
    ALARM,
    FACE,
    INK,
    MARKERS,
    POINTS,
    SOFT,
    Absent,
    Picture,
    canvas,
    diverging_bars,
    fitted,
    picture,
    root_scale,
    root_ticks,
    signed,
    signed_ticks,
    style,
)

DRIFT, IMPACT = "drift", "impact"
MOST_COLUMNS = 24
PSI_TICKS = (0.0, 0.01, 0.03, PSI_FLOOR, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
Shifts = Mapping[tuple[str, ...], float]
_NOTHING_YET = "There is nothing to compare yet: no model was deployed when the run began."


@style()
def drift(data_drift: Mapping[Sample, Drift], labels: Labels = NO_LABELS) -> Picture | Absent:
    """How far each column, and the predictions, moved in each sample since training.

    Args:
        data_drift: sample -> its comparison, `drift.data` of a decision record.
    """
    title = "Data drift by column"
    if not data_drift:
        return Absent(DRIFT, title, _NOTHING_YET)
    judged = {
        name: finding
        for name, finding in data_drift.items()
        if finding.verdict is not DriftVerdict.INSUFFICIENT
    }
    silent = [
        f"{name}: {finding.verdict} ({finding.rows:,} rows)"
        for name, finding in data_drift.items()
        if name not in judged
    ]
    if not judged:
        return Absent(DRIFT, title, f"{'; '.join(silent)}.")
    largest = _largest_psi(judged)
    columns = sorted(largest, key=lambda name: -largest[name])
    kept = columns[:MOST_COLUMNS]
    figure = canvas(0.75 + 0.19 * max(len(kept), 3))
    axes = figure.subplots()
    axes.axvline(PSI_FLOOR, color=INK, linestyle="--", linewidth=1)
    for marker, (name, finding) in zip(MARKERS, judged.items(), strict=False):
        _draw_sample(axes, finding, kept, marker, f"{name} ({finding.rows:,} rows)")
    axes.set_yticks(range(len(kept)), [fitted(labels.name(name), POINTS / 3) for name in kept])
    axes.set(ylim=(len(kept) - 0.4, -0.6), xlabel="population stability index (PSI)")
    _psi_axis(axes, max(largest.values()))
    axes.legend(
        loc="lower right",  # at the left there is room beside the axes, for long names
        bbox_to_anchor=(1, 1),
        ncols=len(judged),
        borderaxespad=0.2,
        handletextpad=0.2,
        columnspacing=1.2,
    )
    caption = (
        f"Distance from the training rows. A filled mark is drift: beyond chance, and at least "
        f"{PSI_FLOOR:g} (dashed) or a changed share of missing values."
    )
    if len(columns) > len(kept):
        caption += f" {len(columns) - len(kept)} columns that moved less are left out."
    return picture(
        DRIFT,
        title,
        _drift_in_words(judged, largest, labels),
        " ".join([caption, *map(formatting.sentence, silent)]),
        figure,
    )


def _largest_psi(judged: Mapping[Sample, Drift]) -> dict[str, float]:
    """Column -> its largest PSI over the samples."""
    largest: dict[str, float] = {}
    for finding in judged.values():
        for result in finding.judged:
            name, psi = result.column, max(result.psi or 0.0, 0.0)
            largest[name] = max(largest.get(name, 0.0), psi)
    return largest


def _draw_sample(
    axes: Axes, finding: Drift, columns: Sequence[str], marker: str, label: str
) -> None:
    results = {result.column: result for result in finding.judged}
    look: dict[str, Any] = {"marker": marker, "linestyle": "none", "markersize": 6.5}
    axes.plot([], [], label=label, color=SOFT, markerfacecolor=FACE, **look)
    for has_drifted, color, face in ((False, SOFT, FACE), (True, ALARM, ALARM)):
        rows = [
            row
            for row, name in enumerate(columns)
            if name in results and results[name].has_drifted == has_drifted
        ]
        values = [max(results[columns[row]].psi or 0.0, 0.0) for row in rows]
        look |= {"markerfacecolor": face, "markeredgecolor": FACE if has_drifted else color}
        axes.plot(values, rows, zorder=3 + has_drifted, **look)


def _psi_axis(axes: Axes, largest: float) -> None:
    end = max(1.15 * largest, 2 * PSI_FLOOR)
    ticks = root_ticks(PSI_TICKS, end)
    axes.set_xscale(**root_scale())
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xlim(0, end)
    axes.spines["left"].set_visible(False)


def _drift_in_words(
    judged: Mapping[Sample, Drift], largest: Mapping[str, float], labels: Labels
) -> str:
    most = max(largest, key=lambda name: largest[name])
    farthest = f"{labels.name(most, 60)} moved farthest, by a PSI of {largest[most]:.2f}"
    parts = [
        f"{len(finding.drifted)} in the {name}"
        for name, finding in judged.items()
        if finding.drifted
    ]
    if not parts:
        return f"No column drifted; {farthest}."
    return f"Drifted columns: {listing(parts)}; {farthest}."


@style()
def impact(impacts: Mapping[Sample, Impact], labels: Labels = NO_LABELS) -> Picture | Absent:
    """What the strongest shifts do to the mean predicted risk of each sample.

    Args:
        impacts: sample -> its impact, `drift.impact` of a decision record.
    """
    title = "What the shifts do to the predicted risk"
    if not impacts:
        return Absent(IMPACT, title, _NOTHING_YET)
    shifts = {name: _risk_shifts(finding) for name, finding in impacts.items()}
    figure = canvas(0.75 + 0.28 * max(3, *map(len, shifts.values())))
    values = [shift for finding in shifts.values() for shift in finding.values()]
    limit = 1.1 * max([abs(value) for value in values] + [0.01])
    panels = figure.subplots(1, len(impacts), squeeze=False)[0]
    for axes, (name, finding) in zip(panels, impacts.items(), strict=True):
        _draw_shifts(axes, shifts[name], limit, labels, len(impacts))
        moved = f"{finding.risk_before:.1%} \N{RIGHTWARDS ARROW} {finding.risk_now:.1%}"
        axes.set_title(f"{name}: {moved}")
        axes.set_xlabel("percentage points")
    return picture(
        IMPACT,
        title,
        _impact_in_words(impacts, shifts, labels),
        "Percentage points by which the shift in a column, or in a pair, moves the mean predicted "
        "risk: today's, less what it would be without that shift. Right of zero the risk is "
        "lifted. Above each panel: the mean at training, and today.",
        figure,
    )


def _risk_shifts(finding: Impact) -> Shifts:
    """Columns of a term -> change of the mean predicted risk, a fraction, largest first."""
    shifts = {
        term.columns: finding.risk_now - term.risk_without
        for term in finding.terms
        if term.risk_without is not None
    }
    return dict(sorted(shifts.items(), key=lambda item: -abs(item[1])))


def _draw_shifts(axes: Axes, shifts: Shifts, limit: float, labels: Labels, panels: int) -> None:
    room = POINTS / panels - 50
    bars = [
        (_fitted_term(columns, labels, room), value, formatting.signed(100 * value, 1))
        for columns, value in shifts.items()
    ]
    diverging_bars(axes, bars, limit, max(len(shifts), 3))
    axes.set_xticks(signed_ticks(limit))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: signed(round(100 * share, 6))))


def _fitted_term(columns: Sequence[str], labels: Labels, room: float) -> str:
    """A term's name; where that is too long, each column's is shortened, so that none is lost."""
    whole = labels.term(columns)
    if fitted(whole, room) == whole:
        return whole
    return " x ".join(fitted(labels.name(column), room / len(columns) - 5) for column in columns)


def _impact_in_words(
    impacts: Mapping[Sample, Impact], shifts: Mapping[Sample, Shifts], labels: Labels
) -> str:
    parts = []
    for name, finding in impacts.items():
        if not shifts[name]:
            continue
        columns, value = next(iter(shifts[name].items()))
        term = line(labels.term(columns), 60)
        parts.append(
            f"in the {name}, {term} moves the mean predicted risk most, by "
            f"{100 * value:+.1f} points to {finding.risk_now:.1%}"
        )
    return f"{'; '.join(parts) or 'No shift was measured'}.".replace("in", "In", 1)
