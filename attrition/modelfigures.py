"""How well the model predicts: curves over all thresholds, calibration, the spread of the risk."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike

from attrition import evaluation
from attrition.figures import (
    ACCENT,
    ALARM,
    FACE,
    INK,
    SMALL,
    SOFT,
    Absent,
    Picture,
    canvas,
    picture,
    root_scale,
    short,
    style,
)

ROC, CALIBRATION, GAIN, SCORES = (
    "rocandprecisionrecall", "calibration", "gainandlift", "scoredistribution",
)  # fmt: skip
CHANCE: dict[str, Any] = {"color": SOFT, "linestyle": "--", "linewidth": 1.0}
QUARTERS = [0.0, 0.25, 0.5, 0.75, 1.0]
STRETCHED = [0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0]  # on a square-root axis
FIRST_CALLS = 0.1  # share of the clients for which the gain is told


@style()
def roc_and_precision_recall(
    labels: ArrayLike, probabilities: ArrayLike, threshold: float
) -> Picture | Absent:
    """How well the model ranks: ROC and precision-recall curves side by side.

    Args:
        labels: array of shape (n_rows,), 1 left, 0 stayed.
        probabilities: array of shape (n_rows,), of leaving, fractions 0-1.
        threshold: the model's, marked on both curves.
    """
    title = "ROC and precision-recall"
    if (reason := evaluation.cannot_be_judged(labels)) is not None:
        return Absent(ROC, title, f"{reason}.")
    rungs = evaluation.ladder(labels, probabilities)
    area, precision = evaluation.roc_area(rungs), evaluation.average_precision(rungs)
    figure = canvas(3.2)
    left, right = figure.subplots(1, 2)
    _curve(left, evaluation.roc(rungs))
    left.plot([0, 1], [0, 1], **CHANCE)
    left.set_title(f"ROC: area {area:.3f}")
    left.set(xlabel="of those who stayed, called", ylabel="of those who left, found")
    _curve(right, evaluation.precision_recall(rungs))
    right.axhline(rungs.base_rate, **CHANCE)
    right.set_title(f"Precision-recall: average {precision:.3f}")
    right.set(xlabel="of those who left, found (recall)", ylabel="of the alarms, right (precision)")
    _mark_threshold(left, right, rungs, threshold)
    for axes in (left, right):
        _share_axes(axes)
    return picture(
        ROC,
        title,
        f"The area under the ROC curve is {area:.3f}; the average precision is {precision:.3f}, "
        f"where chance would give {rungs.base_rate:.3f}.",
        f"{rungs.rows:,} labelled clients, of whom {rungs.leavers:,} left. The dot is the model's "
        f"threshold of {threshold:.2f}; dashed lines are what chance gives (right: the base rate, "
        f"{rungs.base_rate:.1%}).",
        figure,
    )


def _mark_threshold(roc: Axes, pr: Axes, rungs: evaluation.Ladder, threshold: float) -> None:
    rung = rungs.rung(threshold)
    alarms, found = (0.0, 0.0) if rung is None else (rungs.alarms[rung], rungs.found[rung])
    recall, stayed = found / rungs.leavers, rungs.rows - rungs.leavers
    _dot(roc, (alarms - found) / stayed, recall, f"threshold {threshold:.2f}")
    if alarms:
        _dot(pr, recall, found / alarms, f"threshold {threshold:.2f}")


def _dot(axes: Axes, x: float, y: float, text: str) -> None:
    """One marked point, its text where there is more room, on a ground of its own."""
    axes.plot([x], [y], "o", color=ALARM, markersize=7, markeredgecolor=FACE, zorder=5)
    side = -1 if x > 0.5 else 1
    axes.annotate(
        text, (x, y), (9 * side, -9 if y > 0.5 else 9), textcoords="offset points", color=INK,
        ha="left" if side > 0 else "right", va="center", fontsize=SMALL, zorder=6, in_layout=False,
        bbox={"facecolor": FACE, "alpha": 0.8, "edgecolor": "none", "pad": 1.5},
    )  # fmt: skip


def _curve(axes: Axes, curve: evaluation.Curve) -> None:
    axes.plot(curve.x, curve.y, color=ACCENT, zorder=3)


def _share_axes(axes: Axes) -> None:
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(QUARTERS)
        axis.set_major_formatter(PercentFormatter(1.0))


@style()
def calibration(labels: ArrayLike, probabilities: ArrayLike) -> Picture | Absent:
    """Whether probabilities can be taken at their word: predicted against observed shares."""
    title = "Calibration"
    if (reason := evaluation.cannot_be_judged(labels)) is not None:
        return Absent(CALIBRATION, title, f"{reason}.")
    bins = evaluation.calibration(labels, probabilities)
    chance = np.asarray(probabilities, dtype=np.float64)
    figure = canvas(3.9)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    upper.plot([0, 1], [0, 1], **CHANCE)
    upper.vlines(bins.predicted, bins.low, bins.high, color=ACCENT, linewidth=1.2)
    upper.plot(bins.predicted, bins.observed, "o", color=ACCENT, markeredgecolor=FACE, markersize=6,
               clip_on=False, zorder=5)  # fmt: skip
    upper.set_yscale(**root_scale())
    upper.set(ylabel="share who left", ylim=(0, 1.02), yticks=STRETCHED)
    upper.yaxis.set_major_formatter(PercentFormatter(1.0))
    lower.hist(chance, (np.linspace(0, 1, 51) ** 2).tolist(), color=SOFT, alpha=0.5)
    lower.set_xscale(**root_scale())
    lower.set(xlabel="predicted probability", ylabel="clients", xlim=(0, 1.02), xticks=STRETCHED)
    lower.xaxis.set_major_formatter(PercentFormatter(1.0))
    lower.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    lower.yaxis.set_major_formatter(FuncFormatter(lambda rows, _: short(rows)))
    mean, left = float(chance.mean()), float(np.asarray(labels, dtype=np.float64).mean())
    inside = int(np.sum((bins.low <= bins.predicted) & (bins.predicted <= bins.high)))
    sizes = sorted({int(bins.rows.min()), int(bins.rows.max())})
    return picture(
        CALIBRATION,
        title,
        f"The mean predicted probability is {mean:.1%}, and {left:.1%} left; in {inside} of "
        f"{len(bins.rows)} groups the prediction lies within the 95% interval of what happened.",
        f"Each dot is a group of {' to '.join(f'{size:,}' for size in sizes)} clients of similar "
        f"probability, with the 95% interval of the share who left. On the dashed line "
        f"predictions come true. Below: how many clients stand where. The axes are stretched "
        f"towards zero, where most clients are.",
        figure,
    )


@style()
def gain_and_lift(labels: ArrayLike, probabilities: ArrayLike) -> Picture | Absent:
    """What calling from the top of the list brings: leavers found, and lift over chance."""
    title = "Gain and lift"
    if (reason := evaluation.cannot_be_judged(labels)) is not None:
        return Absent(GAIN, title, f"{reason}.")
    rungs = evaluation.ladder(labels, probabilities)
    found = evaluation.gain_at(rungs, FIRST_CALLS)
    figure = canvas(3.2)
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], **CHANCE)
    left.plot([0, rungs.base_rate, 1], [0, 1, 1], color=SOFT, linestyle=":", linewidth=1.2)
    _curve(left, evaluation.gain(rungs))
    left.set(xlabel="of all clients, called", ylabel="of the leavers, found")
    left.set_title("Gain")
    _share_axes(left)
    _dot(left, FIRST_CALLS, found, f"{FIRST_CALLS:.0%} called: {found:.0%} found")
    _curve(right, evaluation.lift(rungs))
    right.axhline(1, **CHANCE)
    right.axhline(0, alpha=0)
    right.set(xlabel="of all clients, called", ylabel="leavers, times as many as by chance")
    right.set_title("Lift")
    right.set(xlim=(-0.02, 1.02), xticks=QUARTERS)
    right.xaxis.set_major_formatter(PercentFormatter(1.0))
    return picture(
        GAIN,
        title,
        f"Calling the first {FIRST_CALLS:.0%} of the clients finds {found:.0%} of the leavers, "
        f"{found / FIRST_CALLS:.1f} times as many as chance.",
        f"{rungs.rows:,} labelled clients in the order of their risk. Dashed: called in any order; "
        f"dotted: as if the leavers were known.",
        figure,
    )


@style()
def score_distribution(
    labels: ArrayLike, probabilities: ArrayLike, threshold: float
) -> Picture | Absent:
    """How the probabilities of those who left and of those who stayed are spread."""
    title = "Predicted risk of those who left and of those who stayed"
    if (reason := evaluation.cannot_be_judged(labels)) is not None:
        return Absent(SCORES, title, f"{reason}.")
    bars = evaluation.score_histogram(labels, probabilities)
    truth = np.asarray(labels).astype(bool)
    called = np.asarray(probabilities, dtype=np.float64) >= threshold
    figure = canvas(3.2)
    panels = figure.subplots(2, 1, sharex=True)
    for axes, mine, shares, color, what in (
        (panels[0], truth, bars.left, ALARM, "left"),
        (panels[1], ~truth, bars.stayed, ACCENT, "stayed"),
    ):
        axes.stairs(shares, bars.edges, color=color, fill=True, alpha=0.75)
        axes.axvline(threshold, color=INK, linestyle="--", linewidth=1)
        axes.set_title(
            f"{mine.sum():,} clients who {what}, {called[mine].mean():.0%} of them called"
        )
        axes.yaxis.set_major_locator(MaxNLocator(3))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set(xlim=(0, 1))
    panels[1].set(xlabel="predicted probability")
    panels[1].xaxis.set_major_formatter(PercentFormatter(1.0))
    return picture(
        SCORES,
        title,
        f"{called[truth].mean():.0%} of those who left and {called[~truth].mean():.0%} of those "
        f"who stayed stand at or above the threshold of {threshold:.2f}.",
        f"Bars are shares of each group's clients. Who stands right of the dashed line, the "
        f"threshold of {threshold:.2f}, is predicted to leave.",
        figure,
    )
