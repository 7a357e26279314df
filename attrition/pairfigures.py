"""What pairs of columns add to the risk beyond what each adds alone: a small map for each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba

from attrition.figures import (
    ACCENT,
    ALARM,
    INK,
    LINE,
    MINUS,
    PANEL,
    PANELS_ACROSS,
    SMALL,
    Absent,
    Picture,
    canvas,
    fitted,
    picture,
    short,
    style,
)
from attrition.phrases import line
from attrition.scorecard import Scorecard
from attrition.terms import Axis, Floats, KnotAxis, PairTerm, Weights

PAIRS = "pairmaps"
MOST_PAIRS, MOST_CELLS = 6, 6


@style()
def pair_maps(card: Scorecard, weights: Weights) -> Picture | Absent:
    """The pairs that count most, as small maps.

    Args:
        card: the model.
        weights: from `impact.term_weights`.
    """
    title = "Pairs of columns"
    if not card.pairs:
        return Absent(PAIRS, title, "No pair of columns earned a place in the model.")
    strongest = sorted(card.pairs, key=lambda term: -weights[term.columns])[:MOST_PAIRS]
    rows = -(-len(strongest) // PANELS_ACROSS)
    figure = canvas(2.15 * rows)
    panels = figure.subplots(rows, PANELS_ACROSS, squeeze=False).flat
    limit = max(float(np.abs(term.points).max()) for term in strongest) or 1.0
    for term, axes in zip(strongest, panels, strict=False):  # so that the others are left
        _draw_map(axes, term, limit)
    for axes in panels:
        axes.set_visible(False)
    left_out = len(card.pairs) - len(strongest)
    caption = (
        "Points (log-odds) that two columns add together, beyond what each adds alone: plus "
        "raises the risk, minus lowers it; between two values the points lie between."
    )
    if left_out:
        caption += f" {left_out} weaker pairs are left out."
    first, second = (line(column, 60) for column in strongest[0].columns)
    return picture(
        PAIRS,
        title,
        f"The strongest of {len(card.pairs)} pairs is {first} with {second}: it adds up to "
        f"{np.abs(strongest[0].points).max():.2f} to the log-odds.",
        caption,
        figure,
    )


def _draw_map(axes: Axes, term: PairTerm, limit: float) -> None:
    grid = np.asarray(term.points)
    down, across = (_cells(axis, np.abs(grid).max(axis=1 - side), limit)
                    for side, axis in enumerate(term.axes))  # fmt: skip
    grid = grid[np.ix_(down, across)]
    colors = [to_rgba(ALARM if cell > 0 else ACCENT, 0.7 * abs(cell) / limit) for cell in grid.flat]
    axes.pcolormesh(np.reshape(colors, (*grid.shape, 4)), edgecolors=LINE, linewidth=0.6)
    for (row, column), cell in np.ndenumerate(grid):
        if abs(cell) >= _visible(limit):
            axes.text(column + 0.5, row + 0.5, _cell(cell, limit), color=INK, ha="center",
                      va="center", fontsize=SMALL)  # fmt: skip
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    first, second = term.columns
    axes.set(xlabel=fitted(second, PANEL), ylabel=fitted(first, PANEL))
    axes.set_xticks(np.arange(len(across)) + 0.5, _names(term.axes[1], across))
    axes.set_yticks(np.arange(len(down)) + 0.5, _names(term.axes[0], down))


def _visible(limit: float) -> float:
    """Points smaller than that are rounded away: one digit where they are large, else two."""
    return 0.05 if limit >= 1 else 0.005


def _cell(points: float, limit: float) -> str:
    """A cell's points in at most four characters: +1.2, or +.12 where all are below one."""
    text = f"{points:+.1f}" if limit >= 1 else f"{points:+.2f}".replace("0.", ".")
    return text.replace("-", MINUS)


def _cells(axis: Axis, strength: Floats, limit: float) -> list[int]:
    """Positions of an axis to show: all knots; of the levels those with the largest points."""
    if isinstance(axis, KnotAxis):
        return list(range(len(axis)))
    strongest = np.argsort(-strength, kind="stable")[:MOST_CELLS]
    visible = [int(position) for position in strongest if strength[position] >= _visible(limit)]
    return sorted(visible) or [0]


def _names(axis: Axis, positions: Sequence[int]) -> list[str]:
    if isinstance(axis, KnotAxis):
        return [short(axis.knots[position]) for position in positions]
    room = min(0.8 * PANEL / len(positions), 40)
    return [fitted([*axis.levels, "others"][position], room) for position in positions]
