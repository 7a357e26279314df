"""Figures of model quality: confusion matrix, curves, calibration, distribution of the scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike, NDArray

from attrition.core.formatting import short
from attrition.model import curves
from attrition.model.metrics import Score
from attrition.report.figures.style import (
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
    style,
)

CONFUSION = "confusionmatrix"
LETTERS = 10.0  # points in the matrix, which the PDF sets smaller than the other pictures


@style()
def confusion(score: Score, title: str) -> Picture | Absent:
    """The confusion matrix: counts, and shares of each row.

    Args:
        score: of a model on labelled clients.
        title: which model it is.
    """
    if score.confusion is None or score.f1_interval is None:
        return Absent(CONFUSION, "Confusion matrix", f"{score.undefined}.")
    counts = score.confusion
    table = np.array([[counts["tn"], counts["fp"]], [counts["fn"], counts["tp"]]])
    return picture(
        CONFUSION,
        "Confusion matrix",
        f"Of {table[1].sum():,} clients who left, the model found {table[1, 1]:,} and missed "
        f"{table[1, 0]:,}; of {table[0].sum():,} who stayed, {table[0, 1]:,} got a false alarm. "
        f"F1 is {score.f1:.3f}.",
        "Rows: what happened. Columns: what the model predicted. Shares are those of each row.",
        _confusion_figure(score, table, title),
    )


def _confusion_figure(score: Score, table: NDArray[np.int64], title: str) -> Figure:
    import seaborn

    shares = row_shares(table)
    figure = Figure(figsize=(4.4, 3.9), layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06))
    axes = figure.subplots()
    # Tints by opacity: on a dark page they become darker.
    tints = LinearSegmentedColormap.from_list("", [to_rgba(ACCENT, 0.07), to_rgba(ACCENT, 1.0)])
    seaborn.heatmap(
        shares, ax=axes, cmap=tints, vmin=0, vmax=1, cbar=False, linewidths=3, linecolor=FACE
    )
    axes.grid(visible=False)
    _write_cells(axes, table, shares)
    _label_axes(axes, table)
    _write_title(axes, score, title)
    return figure


def row_shares(table: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each count as a fraction of its row's sum; 0 in an empty row."""
    totals = np.maximum(table.sum(axis=1, keepdims=True), 1)
    shares: NDArray[np.float64] = table / totals
    return shares


def _write_cells(axes: Axes, table: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    meanings = (("stayed, no alarm", "stayed, false alarm"), ("left, missed", "left, found"))
    for row, column in np.ndindex(2, 2):
        color = FACE if shares[row, column] > 0.55 else INK
        whose = ("who stayed", "who left")[row]
        for dy, text, font in (
            (-0.28, meanings[row][column], {}),
            (-0.04, f"{table[row, column]:,}", {"fontsize": 24, "fontweight": "bold"}),
            (0.26, f"{shares[row, column]:.1%} of those\n{whose}", {}),
        ):
            look: dict[str, Any] = {"fontsize": LETTERS, "color": color} | font
            axes.text(column + 0.5, row + 0.5 + dy, text, ha="center", va="center", **look)


def _label_axes(axes: Axes, table: NDArray[np.int64]) -> None:
    stayed, left = table.sum(axis=1)
    will_stay, will_leave = table.sum(axis=0)
    axes.xaxis.tick_top()
    columns = [f"predicted to stay\n{will_stay:,}", f"predicted to leave\n{will_leave:,}"]
    axes.set_xticks([0.5, 1.5], columns)
    axes.set_yticks([0.5, 1.5], [f"stayed\n{stayed:,}", f"left\n{left:,}"], rotation=0, va="center")
    axes.tick_params(length=0, labelsize=LETTERS, labelcolor=INK, pad=6)


def _write_title(axes: Any, score: Score, title: str) -> None:
    assert score.f1_interval is not None
    low, high = score.f1_interval
    known = f"F1 {score.f1:.3f} (95% interval {low:.3f} to {high:.3f})\non {score.rows:,} test rows"
    for height, text, font in (
        (72, title, {"fontsize": 13, "fontweight": "bold", "color": INK}),
        (42, known, {"fontsize": LETTERS, "color": SOFT}),
    ):
        axes.annotate(text, (0, 1), (0, height), "axes fraction", "offset points", **font)


ROC, CALIBRATION, GAIN, SCORES = (
    "rocandprecisionrecall",
    "calibration",
    "gainandlift",
    "scoredistribution",
)
CHANCE: dict[str, Any] = {"color": SOFT, "linestyle": "--", "linewidth": 1.0}
QUARTERS = [0.0, 0.25, 0.5, 0.75, 1.0]
STRETCHED = [0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0]  # on a square-root axis
FIRST_CALLS = 0.1  # share of the clients for which the gain is stated
FEWEST_CALLS = 0.01  # likewise, from which on precision and lift are drawn


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
    if (reason := curves.no_curve_reason(labels)) is not None:
        return Absent(ROC, title, f"{reason}.")
    counts = curves.count_at_thresholds(labels, probabilities)
    area, precision = curves.roc_area(counts), curves.average_precision(counts)
    figure = canvas(3.2)
    left, right = figure.subplots(1, 2)
    _curve(left, curves.roc(counts))
    left.plot([0, 1], [0, 1], **CHANCE)
    left.set_title(f"ROC: area {area:.3f}")
    left.set(xlabel="of those who stayed, called", ylabel="of those who left, found")
    _curve(right, curves.precision_recall(counts.from_share(FEWEST_CALLS)))
    right.axhline(counts.base_rate, **CHANCE)
    right.set_title(f"Precision-recall: average {precision:.3f}")
    right.set(xlabel="of those who left, found (recall)", ylabel="of the alarms, right (precision)")
    _mark_threshold(left, right, counts, threshold)
    for axes in (left, right):
        _share_axes(axes)
    return picture(
        ROC,
        title,
        f"The area under the ROC curve is {area:.3f}; the average precision is {precision:.3f}, "
        f"where chance would give {counts.base_rate:.3f}.",
        f"{counts.rows:,} labelled rows, of which {counts.leavers:,} left. The dot is the "
        f"model's threshold of {threshold:.2f}; dashed lines are what chance gives (right: the "
        f"base rate, {counts.base_rate:.1%}). Precision is drawn from the first "
        f"{FEWEST_CALLS:.0%} of the clients on.",
        figure,
    )


def _mark_threshold(roc: Axes, pr: Axes, counts: curves.ThresholdCounts, threshold: float) -> None:
    index = counts.position(threshold)
    alarms, hits = (0.0, 0.0) if index is None else (counts.alarms[index], counts.hits[index])
    recall, stayed = hits / counts.leavers, counts.rows - counts.leavers
    _dot(roc, (alarms - hits) / stayed, recall, f"threshold {threshold:.2f}")
    if alarms:
        _dot(pr, recall, hits / alarms, f"threshold {threshold:.2f}")


def _dot(axes: Axes, x: float, y: float, text: str) -> None:
    """Mark a point; its text is on the side with more room, with a background."""
    axes.plot([x], [y], "o", color=ALARM, markersize=7, markeredgecolor=FACE, zorder=5)
    side = -1 if x > 0.5 else 1
    axes.annotate(
        text,
        (x, y),
        (9 * side, -9 if y > 0.5 else 9),
        textcoords="offset points",
        color=INK,
        ha="left" if side > 0 else "right",
        va="center",
        fontsize=SMALL,
        zorder=6,
        in_layout=False,
        bbox={"facecolor": FACE, "alpha": 0.8, "edgecolor": "none", "pad": 1.5},
    )


def _curve(axes: Axes, curve: curves.Curve) -> None:
    axes.plot(curve.x, curve.y, color=ACCENT, zorder=3)


def _share_axes(axes: Axes) -> None:
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(QUARTERS)
        axis.set_major_formatter(PercentFormatter(1.0))


@style()
def calibration(labels: ArrayLike, probabilities: ArrayLike) -> Picture | Absent:
    """Whether probabilities are reliable: predicted against observed shares."""
    title = "Calibration"
    if (reason := curves.no_curve_reason(labels)) is not None:
        return Absent(CALIBRATION, title, f"{reason}.")
    bins = curves.calibration(labels, probabilities)
    probability = np.asarray(probabilities, dtype=np.float64)
    figure = canvas(3.4)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    upper.plot([0, 1], [0, 1], **CHANCE)
    upper.vlines(bins.predicted, bins.low, bins.high, color=ACCENT, linewidth=1.2)
    upper.plot(
        bins.predicted,
        bins.observed,
        "o",
        color=ACCENT,
        markeredgecolor=FACE,
        markersize=6,
        clip_on=False,
        zorder=5,
    )
    upper.set_yscale(**root_scale())
    upper.set(ylabel="share who left", ylim=(0, 1.02), yticks=STRETCHED)
    upper.yaxis.set_major_formatter(PercentFormatter(1.0))
    lower.hist(probability, (np.linspace(0, 1, 51) ** 2).tolist(), color=SOFT, alpha=0.5)
    lower.set_xscale(**root_scale())
    lower.set(xlabel="predicted probability", ylabel="clients", xlim=(0, 1.02), xticks=STRETCHED)
    lower.xaxis.set_major_formatter(PercentFormatter(1.0))
    lower.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    lower.yaxis.set_major_formatter(FuncFormatter(lambda rows, _: short(rows)))
    mean, left = float(probability.mean()), float(np.asarray(labels, dtype=np.float64).mean())
    inside = int(np.sum((bins.low <= bins.predicted) & (bins.predicted <= bins.high)))
    sizes = sorted({int(bins.rows.min()), int(bins.rows.max())})
    return picture(
        CALIBRATION,
        title,
        f"The mean predicted probability is {mean:.1%}, and {left:.1%} left; in {inside} of "
        f"{len(bins.rows)} groups the prediction lies within the 95% interval of what happened.",
        f"Each dot is a group of {' to '.join(f'{size:,}' for size in sizes)} rows of similar "
        f"probability, with the 95% interval of the share who left. On the dashed line "
        f"predictions come true. Below: how many rows stand where. The axes are stretched "
        f"towards zero, where most rows are.",
        figure,
    )


@style()
def gain_and_lift(labels: ArrayLike, probabilities: ArrayLike) -> Picture | Absent:
    """The benefit of calling from the top of the list: leavers found, and lift over chance."""
    title = "Gain and lift"
    if (reason := curves.no_curve_reason(labels)) is not None:
        return Absent(GAIN, title, f"{reason}.")
    counts = curves.count_at_thresholds(labels, probabilities)
    gain = curves.gain_at(counts, FIRST_CALLS)
    figure = canvas(3.2)
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], **CHANCE)
    left.plot([0, counts.base_rate, 1], [0, 1, 1], color=SOFT, linestyle=":", linewidth=1.2)
    _curve(left, curves.gain(counts))
    left.set(xlabel="of all clients, called", ylabel="of the leavers, found")
    left.set_title("Gain")
    _share_axes(left)
    _dot(left, FIRST_CALLS, gain, f"{FIRST_CALLS:.0%} called: {gain:.0%} found")
    _curve(right, curves.lift(counts.from_share(FEWEST_CALLS)))
    right.axhline(1, **CHANCE)
    right.axhline(0, alpha=0)
    right.set(xlabel="of all clients, called", ylabel="leavers, times as many as by chance")
    right.set_title("Lift")
    right.set(xlim=(-0.02, 1.02), xticks=QUARTERS)
    right.xaxis.set_major_formatter(PercentFormatter(1.0))
    return picture(
        GAIN,
        title,
        f"Calling the first {FIRST_CALLS:.0%} of the clients finds {gain:.0%} of the leavers, "
        f"{gain / FIRST_CALLS:.1f} times as many as chance.",
        f"{counts.rows:,} labelled rows in the order of their risk. Dashed: called in any "
        f"order; dotted: as if the leavers were known. Lift is drawn from the first "
        f"{FEWEST_CALLS:.0%} of the clients on.",
        figure,
    )


@style()
def score_distribution(
    labels: ArrayLike, probabilities: ArrayLike, threshold: float
) -> Picture | Absent:
    """The distribution of the probabilities of those who left and of those who stayed."""
    title = "Predicted risk of those who left and of those who stayed"
    if (reason := curves.no_curve_reason(labels)) is not None:
        return Absent(SCORES, title, f"{reason}.")
    bars = curves.score_histogram(labels, probabilities)
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
