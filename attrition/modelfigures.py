"""How well the model predicts: confusion matrix, curves over all thresholds, calibration."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike, NDArray

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
    style,
)
from attrition.scores import Score

ROC, CALIBRATION, GAIN, SCORES, CONFUSION = (
    "rocandprecisionrecall", "calibration", "gainandlift", "scoredistribution", "confusionmatrix",
)  # fmt: skip


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
    return Picture(
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
    figure = Figure(figsize=(6.4, 5.8), layout=ConstrainedLayoutEngine(w_pad=0.2, h_pad=0.2))
    axes = figure.subplots()
    # Tints by opacity: on a dark page they shade towards the dark.
    tints = LinearSegmentedColormap.from_list("", [to_rgba(ACCENT, 0.07), to_rgba(ACCENT, 1.0)])
    seaborn.heatmap(
        shares, ax=axes, cmap=tints, vmin=0, vmax=1, cbar=False, linewidths=3, linecolor=FACE
    )
    _write_cells(axes, table, shares)
    _label_axes(axes, table)
    _write_title(axes, score, title)
    return figure


def row_shares(table: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each count as a fraction of its row's sum; 0 in an empty row."""
    totals = np.maximum(table.sum(axis=1, keepdims=True), 1)
    shares: NDArray[np.float64] = table / totals
    return shares


def _write_cells(axes: Any, table: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    meanings = (("stayed, no alarm", "stayed, false alarm"), ("left, missed", "left, found"))
    for row, column in np.ndindex(2, 2):
        color = FACE if shares[row, column] > 0.55 else INK
        whose = ("who stayed", "who left")[row]
        for shift, text, look in (
            (-0.2, meanings[row][column], {"fontsize": 12}),
            (0.0, f"{table[row, column]:,}", {"fontsize": 28, "fontweight": "bold"}),
            (0.2, f"{shares[row, column]:.1%} of those {whose}", {"fontsize": 11}),
        ):
            axes.text(column + 0.5, row + 0.5 + shift, text, color=color, ha="center", va="center",
                      **look)  # fmt: skip


def _label_axes(axes: Any, table: NDArray[np.int64]) -> None:
    stayed, left = table.sum(axis=1)
    will_stay, will_leave = table.sum(axis=0)
    axes.xaxis.tick_top()
    columns = [f"predicted to stay\n{will_stay:,}", f"predicted to leave\n{will_leave:,}"]
    axes.set_xticks([0.5, 1.5], columns)
    axes.set_yticks([0.5, 1.5], [f"stayed\n{stayed:,}", f"left\n{left:,}"], rotation=0, va="center")
    axes.tick_params(length=0, labelsize=12, labelcolor=INK, pad=8)


def _write_title(axes: Any, score: Score, title: str) -> None:
    assert score.f1_interval is not None
    low, high = score.f1_interval
    known = f"F1 {score.f1:.3f} (95% interval {low:.3f} to {high:.3f}) on {score.rows:,} test rows"
    for height, text, look in (
        (78, title, {"fontsize": 15, "fontweight": "bold", "color": INK}),
        (58, known, {"fontsize": 11, "color": SOFT}),
    ):
        axes.annotate(text, (0, 1), (0, height), "axes fraction", "offset points", **look)


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
    figure = canvas(3.1)
    left, right = figure.subplots(1, 2)
    curve = evaluation.roc(rungs)
    left.plot(curve.x, curve.y, color=ACCENT, label="this model")
    left.plot([0, 1], [0, 1], color=SOFT, linestyle="--", linewidth=1, label="chance")
    left.set(xlabel="stayed, but called", ylabel="left, and found", title=f"ROC: area {area:.3f}")
    curve = evaluation.precision_recall(rungs)
    right.plot(curve.x, curve.y, color=ACCENT, label="this model")
    right.axhline(rungs.base_rate, color=SOFT, linestyle="--", linewidth=1)
    right.annotate(f"base rate {rungs.base_rate:.0%}", (1, rungs.base_rate), (0, 3),
                   textcoords="offset points", ha="right", color=SOFT, fontsize=SMALL)  # fmt: skip
    right.set(
        xlabel="left, and found (recall)", ylabel="alarms that are right (precision)",
        title=f"Precision-recall: mean {precision:.3f}",
    )  # fmt: skip
    _mark_threshold(left, right, rungs, threshold)
    for axes in (left, right):
        _shares(axes)
    return Picture(
        ROC,
        title,
        f"The area under the ROC curve is {area:.3f}; the average precision is {precision:.3f} "
        f"where chance would give {rungs.base_rate:.3f}.",
        f"On {rungs.rows:,} labelled clients, {rungs.leavers:,} of whom left. The dot is the "
        f"model's threshold of {threshold:.2f}; dashed lines are what chance would give.",
        figure,
    )


def _mark_threshold(roc: Any, pr: Any, rungs: evaluation.Ladder, threshold: float) -> None:
    rung = rungs.rung(threshold)
    alarms, found = (0.0, 0.0) if rung is None else (rungs.alarms[rung], rungs.found[rung])
    recall, stayed = found / rungs.leavers, rungs.rows - rungs.leavers
    look = {"color": ALARM, "marker": "o", "markersize": 7, "linestyle": "none"}
    roc.plot([(alarms - found) / stayed], [recall], **look)
    if alarms:
        pr.plot([recall], [found / alarms], **look)


def _shares(axes: Any) -> None:
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
        axis.set_ticks([0, 0.25, 0.5, 0.75, 1])


@style()
def calibration(labels: ArrayLike, probabilities: ArrayLike) -> Picture | Absent:
    """Whether probabilities can be taken at their word: predicted against observed shares."""
    title = "Calibration"
    if (reason := evaluation.cannot_be_judged(labels)) is not None:
        return Absent(CALIBRATION, title, f"{reason}.")
    bins = evaluation.calibration(labels, probabilities)
    figure = canvas(3.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    upper.plot([0, 1], [0, 1], color=SOFT, linestyle="--", linewidth=1)
    reach = np.array([bins.observed - bins.low, bins.high - bins.observed])
    upper.errorbar(bins.predicted, bins.observed, reach, color=ACCENT, marker="o", capsize=2)
    chance = np.asarray(probabilities, dtype=np.float64)
    lower.hist(chance, np.linspace(0, 1, 41), color=ACCENT, alpha=0.5)
    _shares(upper)
    upper.set(ylabel="share who left")
    lower.set(xlabel="predicted probability", ylabel="clients")
    truth = np.asarray(labels, dtype=np.float64)
    return Picture(
        CALIBRATION,
        title,
        f"The mean predicted probability is {chance.mean():.1%}; {truth.mean():.1%} left.",
        "Each dot is a group of clients of similar probability, with a 95% interval.",
        figure,
    )


@style()
def gain_and_lift(labels: ArrayLike, probabilities: ArrayLike) -> Picture | Absent:
    """What calling from the top of the list brings: leavers found, and lift over chance."""
    title = "Gain and lift"
    if (reason := evaluation.cannot_be_judged(labels)) is not None:
        return Absent(GAIN, title, f"{reason}.")
    rungs = evaluation.ladder(labels, probabilities)
    figure = canvas(3.1)
    left, right = figure.subplots(1, 2)
    curve, first = evaluation.gain(rungs), evaluation.gain_at(rungs, 0.1)
    left.plot(curve.x, curve.y, color=ACCENT)
    left.plot([0, 1], [0, 1], color=SOFT, linestyle="--", linewidth=1)
    left.set(xlabel="clients called", ylabel="leavers found", title="Gain")
    _shares(left)
    curve = evaluation.lift(rungs)
    right.plot(curve.x, curve.y, color=ACCENT)
    right.axhline(1, color=SOFT, linestyle="--", linewidth=1)
    right.set(xlabel="clients called", ylabel="times the base rate", title="Lift", ylim=(0, None))
    right.xaxis.set_major_formatter(PercentFormatter(1.0))
    return Picture(
        GAIN,
        title,
        f"Calling the first 10% of the clients finds {first:.0%} of the leavers, "
        f"{first / 0.1:.1f} times as many as chance.",
        "Clients in the order of their risk; dashed: in any order.",
        figure,
    )


@style()
def score_distribution(
    labels: ArrayLike, probabilities: ArrayLike, threshold: float
) -> Picture | Absent:
    """How the probabilities of those who left and of those who stayed are spread."""
    title = "Predicted risk of those who left and those who stayed"
    if (reason := evaluation.cannot_be_judged(labels)) is not None:
        return Absent(SCORES, title, f"{reason}.")
    bars = evaluation.score_histogram(labels, probabilities)
    truth = np.asarray(labels).astype(bool)
    called = np.asarray(probabilities, dtype=np.float64) >= threshold
    figure = canvas(2.8)
    axes = figure.subplots()
    axes.stairs(bars.stayed, bars.edges, color=ACCENT, fill=True, alpha=0.4, label="stayed")
    axes.stairs(bars.left, bars.edges, color=ALARM, linewidth=1.8, label="left")
    axes.axvline(threshold, color=INK, linestyle=":", linewidth=1.2)
    axes.legend()
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set(xlabel="predicted probability", ylabel="share of the class", xlim=(0, 1))
    return Picture(
        SCORES,
        title,
        f"{called[truth].mean():.0%} of those who left and {called[~truth].mean():.0%} of those "
        f"who stayed stand at or above the threshold of {threshold:.2f}.",
        "Shares of each class's clients; the dotted line is the threshold.",
        figure,
    )
