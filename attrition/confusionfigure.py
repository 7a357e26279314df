"""The confusion matrix as a picture: counts, and shares of those who stayed and who left."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from attrition.figures import ACCENT, FACE, INK, SOFT, Absent, Picture, picture, style
from attrition.scores import Score

CONFUSION = "confusionmatrix"


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
    figure = Figure(figsize=(6.4, 5.8), layout=ConstrainedLayoutEngine(w_pad=0.2, h_pad=0.2))
    axes = figure.subplots()
    # Tints by opacity: on a dark page they shade towards the dark.
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
        for shift, text, look in (
            (-0.2, meanings[row][column], {"fontsize": 12}),
            (0.0, f"{table[row, column]:,}", {"fontsize": 28, "fontweight": "bold"}),
            (0.2, f"{shares[row, column]:.1%} of those {whose}", {"fontsize": 11}),
        ):
            axes.text(column + 0.5, row + 0.5 + shift, text, color=color, ha="center", va="center",
                      **look)  # fmt: skip


def _label_axes(axes: Axes, table: NDArray[np.int64]) -> None:
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
