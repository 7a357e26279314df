"""Figures of the scorecard: a risk curve for each numeric column, bars for levels, pair maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FuncFormatter, MaxNLocator
from numpy.typing import ArrayLike

from attrition.core.formatting import plural
from attrition.core.labels import NO_LABELS, Labels
from attrition.model.scorecard import Scorecard
from attrition.model.terms import (
    NO_LEVEL,
    Axis,
    CategoricalTerm,
    Floats,
    KnotAxis,
    LevelAxis,
    NumericTerm,
    PairTerm,
    Weights,
    drawn_positions,
    is_crowded,
)
from attrition.model.uncertainty import Z95
from attrition.monitoring.impact import strongest
from attrition.monitoring.reference import CUTS
from attrition.report.figures.style import (
    ACCENT,
    ALARM,
    FACE,
    INK,
    LINE,
    MINUS,
    PANEL,
    PANELS_ACROSS,
    SMALL,
    SOFT,
    TEXT,
    Absent,
    Picture,
    canvas,
    diverging_bars,
    fitted,
    fitted_lines,
    picture,
    signed,
    signed_ticks,
    style,
)

CURVES = "riskcurves"
MOST_COLUMNS, MOST_LEVELS = 15, 5
MOST_DOTS = 16  # knots that are drawn as dots; more would be a string of beads
DENSITY = 0.16  # share of a panel's height for the density
_BARS = 28
_HUGE = 1e300  # beyond it the search for round values overflows
NO_REFERENCE: Mapping[str, Any] = {"numeric": {}, "categorical": {}}

ColumnTerm = NumericTerm | CategoricalTerm


@style()
def risk_curves(
    card: Scorecard,
    weights: Weights,
    reference: Mapping[str, Any],
    labels: Labels = NO_LABELS,
) -> Picture:
    """Points over the values of each column, the columns with the largest weights first.

    Args:
        weights: from `impact.term_weights`.
        reference: summary of its training rows, `reference` in training.json.
    """
    columns: list[ColumnTerm] = [*card.numeric, *card.categorical]
    counting = strongest(columns, weights)
    terms = counting[:MOST_COLUMNS]
    limit = 1.1 * max(_reach(term) for term in terms)
    figure, panels = _panels(len(terms), 1.75)
    for term, axes in zip(terms, panels, strict=True):
        if isinstance(term, NumericTerm):
            _draw_curve(axes, term, reference, limit, labels)
        else:
            _draw_levels(axes, term, reference, limit)
        _head(axes, term, weights[term.columns], labels)
    first = labels.name(terms[0].column, 60)
    return picture(
        CURVES,
        "Risk curves",
        f"Of {len(columns)} columns, {first} counts most: it moves a client's log-odds "
        f"by {weights[terms[0].columns]:.2f} from the average, on average.",
        _caption([weights[term.columns] for term in counting[MOST_COLUMNS:]]),
        figure,
        by_row=True,
    )


def _panels(count: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels in rows; the height of a row is in inches."""
    rows = -(-count // PANELS_ACROSS)
    figure = canvas(height * rows)
    panels = list(figure.subplots(rows, PANELS_ACROSS, squeeze=False).flat)
    for axes in panels[count:]:
        axes.set_visible(False)
    return figure, panels[:count]


def _caption(left_out: Sequence[float]) -> str:
    """How to read the curves; `left_out` are the weights of the others that count."""
    caption = (
        "Points (log-odds) over values, against their mean over all clients: above zero the risk "
        "is higher, and +0.7 doubles the odds. Dots are knots, where a curve bends; where most of "
        "them crowd together, they stand at even distances. The band is 1.96 standard errors to "
        "either side. Grey bars, and shares beside levels, show where the clients are; a diamond "
        "marks the points of a missing value. All panels have one scale; the columns that count "
        "most come first (weight: how far the column moves a client's points from the average, on "
        "average)."
    )
    if left_out:
        more = plural(len(left_out), "more column")
        caption += f" Left out: {more} of a weight of at most {max(left_out):.2f}."
    return caption


def _values_and_rows(term: NumericTerm, reference: Mapping[str, Any]) -> tuple[Floats, Floats]:
    """Values that represent slices of the training rows, and the shares of these slices."""
    slices = reference["numeric"].get(term.column, {}).get("slices")
    if slices is None:  # no number at all: knots are also quantiles
        return np.asarray(term.axis.knots), np.full(len(term.axis), 1 / len(term.axis))
    return np.asarray(slices, dtype=np.float64), np.diff(CUTS)


def _level_counts(column: str, axis: LevelAxis, reference: Mapping[str, Any]) -> dict[str, int]:
    """Training rows by level: the frequent ones by name, the rest as the pool (`NO_LEVEL`)."""
    summary = reference["categorical"].get(column)
    if summary is None:
        return dict.fromkeys(axis.levels, 1)
    counts = {**summary["levels"], "": summary["blank"], NO_LEVEL: summary["rest"]}
    return {level: rows for level, rows in counts.items() if rows}


def _reach(term: ColumnTerm) -> float:
    """The largest distance from the average points in a panel."""
    points = [*term.points]
    if isinstance(term, NumericTerm) and term.missing_share:
        points.append(term.missing_points)
    return max(float(np.abs(np.array(points) - term.average_points).max()), 0.1)


def _head(axes: Axes, term: ColumnTerm, weight: float, labels: Labels) -> None:
    axes.set_title(fitted(labels.name(term.column), PANEL, TEXT), pad=15)
    about = f"weight {weight:.2f}"
    if isinstance(term, NumericTerm) and term.missing_share:
        about += f", missing {_percent(term.missing_share)}"
    axes.annotate(
        about, (0, 1), (0, 4), "axes fraction", "offset points", color=SOFT, fontsize=SMALL
    )


def _percent(share: float) -> str:
    return "<1%" if 0 < share < 0.01 else f"{share:.0%}"


def _draw_curve(
    axes: Axes, term: NumericTerm, reference: Mapping[str, Any], limit: float, labels: Labels
) -> None:
    knots, points = np.array(term.axis.knots), np.array(term.points) - term.average_points
    positions = drawn_positions(knots)
    axes.axhline(0, color=SOFT, linewidth=0.8)
    if term.axis.is_flag:  # nothing lies between no and yes
        axes.vlines(positions, 0, points, color=ACCENT, linewidth=6, zorder=3)
    else:
        along = [-0.06, *positions, 1.06]
        axes.plot(along, _to_the_edges(points), color=ACCENT, zorder=3)
        if term.errors:
            reach = Z95 * np.array(term.errors)
            below, above = (
                _to_the_edges(np.clip(points + way * reach, -limit, limit)) for way in (-1, 1)
            )
            axes.fill_between(along, below, above, color=ACCENT, alpha=0.16, linewidth=0, zorder=2)
    if len(knots) <= MOST_DOTS:
        axes.plot(positions, points, "o", color=ACCENT, markersize=3.2, zorder=4)
    _draw_density(axes, term, reference, positions)
    if term.missing_share:
        axes.plot(
            [1.06],
            [term.missing_points - term.average_points],
            "D",
            color=ALARM,
            markersize=5,
            markeredgecolor=FACE,
            zorder=5,
            clip_on=False,
        )
    axes.set(xlim=(-0.06, 1.06), ylim=(-limit - 2 * limit * DENSITY, limit))
    axes.grid(visible=False, axis="x")
    axes.set_yticks(signed_ticks(limit))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda points, _: signed(points)))
    ticks = knots if term.axis.is_flag else _ticks(knots, positions)
    axes.set_xticks(np.interp(ticks, knots, positions) if len(knots) > 1 else positions)
    texts = [labels.phrase(term.column, tick) or labels.tick(term.column, tick) for tick in ticks]
    names = [fitted(text, 0.43 * PANEL) for text in texts]
    axes.xaxis.set_major_formatter(FixedFormatter(names))
    if term.axis.is_flag:  # words are written inwards
        low, high = axes.get_xticklabels()
        low.set_horizontalalignment("left")
        high.set_horizontalalignment("right")


def _to_the_edges(points: Floats) -> Floats:
    """Beyond its ends a curve is flat."""
    return np.concatenate([points[:1], points, points[-1:]])


def _ticks(knots: Floats, positions: Floats) -> Floats:
    """Values to label: round ones on an axis to scale, knots on any other."""
    can_be_round = len(knots) > 1 and np.abs(knots).max() < _HUGE
    if can_be_round and not is_crowded(knots):
        are_whole = bool(np.all(knots == np.round(knots)))
        steps = MaxNLocator(4, steps=[1, 2, 2.5, 5, 10], integer=are_whole)
        values: Floats = np.asarray(steps.tick_values(knots[0], knots[-1]))
        inside: Floats = values[(knots[0] <= values) & (values <= knots[-1])]
        return inside
    chosen = [0]
    for index in range(1, len(knots)):
        if positions[index] - positions[chosen[-1]] >= 0.24:
            chosen.append(index)
    return knots[chosen]


def _draw_density(
    axes: Axes, term: NumericTerm, reference: Mapping[str, Any], positions: Floats
) -> None:
    values, rows = _values_and_rows(term, reference)
    located = np.interp(values, term.axis.knots, positions)
    heights, edges = np.histogram(located, _BARS, (-0.06, 1.06), weights=rows)
    axes.stairs(
        DENSITY * heights / heights.max(),
        edges,
        fill=True,
        color=SOFT,
        alpha=0.45,
        transform=axes.get_xaxis_transform(),
    )


def _draw_levels(
    axes: Axes, term: CategoricalTerm, reference: Mapping[str, Any], limit: float
) -> None:
    bars = [
        (fitted(level, PANEL - 28), points, _percent(share))
        for level, points, share in _levels_to_show(term, reference)
    ]
    diverging_bars(axes, bars, limit, MOST_LEVELS)
    axes.set_xticks(signed_ticks(limit))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda points, _: signed(points)))


def _levels_to_show(
    term: CategoricalTerm, reference: Mapping[str, Any]
) -> list[tuple[str, float, float]]:
    """Name, points above the average and share of the largest levels; all others pooled.

    The levels of the highest risk come first.
    """
    counts = _level_counts(term.column, term.axis, reference)
    total = max(sum(counts.values()), 1)
    named = sorted((level for level in counts if level != NO_LEVEL), key=lambda name: -counts[name])
    kept = named if len(counts) <= MOST_LEVELS else named[: MOST_LEVELS - 1]
    points = {level: term.points[term.axis.place(level).lower] for level in counts}
    shown_levels = [(level, points[level], counts[level]) for level in kept]
    others = [level for level in counts if level not in kept]
    if others:
        rows = sum(counts[level] for level in others)
        mean = sum(counts[level] * points[level] for level in others) / rows
        shown_levels.append(("all others", mean, rows))
    shown_levels.sort(key=lambda level: -level[1])
    return [(name, mean - term.average_points, rows / total) for name, mean, rows in shown_levels]


PAIRS = "pairmaps"
MOST_PAIRS, MOST_CELLS, MOST_ACROSS = 6, 5, 3  # of levels, whose names stand side by side, fewer
SHADES = 6  # of each colour
FAINT = 30  # a map whose strongest points are this many times weaker than another's is left out
MOST_LABELS = 3  # of an axis of many cells
LEVEL, FIGURE = 46, 22  # points of width for a level's name, and for a cell's figure


@style()
def pair_maps(
    card: Scorecard, weights: Weights, reference: Mapping[str, Any], labels: Labels = NO_LABELS
) -> Picture | Absent:
    """The pairs with the largest weights, as small maps; arguments as for `risk_curves`."""
    title = "Pairs of columns"
    if not card.pairs:
        return Absent(PAIRS, title, "No pair of columns earned a place in the model.")
    terms = strongest(card.pairs, weights)[:MOST_PAIRS]
    limit = max(map(_largest, terms)) or 1.0
    terms = [term for term in terms if _largest(term) >= limit / FAINT] or terms[:1]
    figure, panels = _panels(len(terms), 2.15)
    for term, axes in zip(terms, panels, strict=True):
        _draw_map(axes, term, limit, reference, labels)
    left_out = len(card.pairs) - len(terms)
    caption = (
        "Points (log-odds) that two columns add together, beyond what each adds alone: plus "
        "raises the risk, minus lowers it; between two values the points lie between."
    )
    if not all(axes.texts for axes in panels):
        caption += (
            f" On maps without figures warm colours raise the risk and blue lowers it, by "
            f"{limit:.1f} points where they are strongest, by a quarter of that where half so."
        )
    if left_out:
        caption += f" Left out: {plural(left_out, 'weaker pair')}."
    first, second = (labels.name(column, 60) for column in terms[0].columns)
    return picture(
        PAIRS,
        title,
        f"The strongest of {len(card.pairs)} pairs is {first} with {second}: it adds up to "
        f"{_largest(terms[0]):.2f} to the log-odds.",
        caption,
        figure,
        by_row=True,
    )


def _largest(term: PairTerm) -> float:
    return float(np.abs(term.points).max())


def _draw_map(
    axes: Axes, term: PairTerm, limit: float, reference: Mapping[str, Any], labels: Labels
) -> None:
    # The names of levels have room at the left.
    order = sorted((0, 1), key=lambda side: isinstance(term.axes[side], KnotAxis))
    (first, left), (second, below) = ((term.columns[side], term.axes[side]) for side in order)
    grid = np.transpose(term.points, order)
    seen = np.where(np.abs(grid) >= _visible(limit), np.abs(grid), 0.0)
    down, across = (
        _cells(axis, column, most, seen.max(axis=other), reference)
        for axis, column, most, other in (
            (left, first, MOST_CELLS, 1),
            (below, second, MOST_ACROSS, 0),
        )
    )
    grid = grid[np.ix_(down, across)]
    width = PANEL - LEVEL * isinstance(left, LevelAxis)
    if max(grid.shape) <= MOST_CELLS and len(across) <= width / FIGURE:
        _draw_cells(axes, grid, limit)
    elif isinstance(left, KnotAxis):
        _draw_shades(axes, np.arange(len(grid)) + 0.5, grid, limit)
    else:
        for row, cells in enumerate(grid):
            _draw_shades(axes, [row, row + 1], np.stack([cells, cells]), limit)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(fitted(labels.name(second), width))
    axes.set_ylabel(fitted(labels.name(first), 0.7 * PANEL))
    room = min(0.9 * width / len(across), LEVEL)
    axes.set_xticks(*_map_ticks(below, across, partial(labels.tick, second), room))
    axes.set_yticks(*_map_ticks(left, down, partial(labels.tick, first), LEVEL))


def _visible(limit: float) -> float:
    """The least points that do not round to zero: one decimal where points are large, else two."""
    return 0.05 if limit >= 1 else 0.005


def _cell(points: float, limit: float) -> str:
    """A cell's points in at most four characters: +1.2, or +.12 if all are below one."""
    text = f"{points:+.1f}" if limit >= 1 else f"{points:+.2f}".replace("0.", ".")
    return text.replace("-", MINUS)


def _cells(
    axis: Axis, column: str, most: int, strength: Floats, reference: Mapping[str, Any]
) -> list[int]:
    """Positions of an axis to show: all knots, or of the levels of clients the `most` strongest.

    Args:
        strength: of each position, 0 where nothing would be seen.
    """
    if isinstance(axis, KnotAxis):
        return list(range(len(axis)))
    known = {axis.place(level).lower for level in _level_counts(column, axis, reference)}
    strongest_ones = sorted(known, key=lambda position: -strength[position])[:most]
    visible = [position for position in strongest_ones if strength[position]]
    return sorted(visible) or [0]


def _draw_cells(axes: Axes, grid: Floats, limit: float) -> None:
    """Few cells, each with its points in figures."""
    axes.pcolormesh(_shades(grid, limit), edgecolors=LINE, linewidth=0.6)
    for (row, column), cell in np.ndenumerate(grid):
        if abs(cell) >= _visible(limit):
            axes.text(
                column + 0.5,
                row + 0.5,
                _cell(cell, limit),
                color=INK,
                ha="center",
                va="center",
                fontsize=SMALL,
            )


def _draw_shades(axes: Axes, down: ArrayLike, grid: Floats, limit: float) -> None:
    """Many knots, at least below: shades between them, as the points lie between.

    Args:
        down: where the rows of the grid stand.
    """
    edges = np.linspace(-1, 1, 2 * SHADES)
    edges *= limit * np.abs(edges)
    shades = _shades((edges[1:, None] + edges[:-1, None]) / 2, limit)[:, 0]
    axes.contourf(np.arange(grid.shape[1]) + 0.5, down, grid, levels=edges, colors=shades)


def _shades(grid: Floats, limit: float) -> Floats:
    """The colour of each cell, RGBA: warm where the risk is raised, blue where it is lowered.

    Its strength is the root of the points: one strong corner must not leave all else white.
    """
    strength = 0.7 * np.sqrt(np.abs(grid) / limit)
    colors = [
        to_rgba(ALARM if c > 0 else ACCENT, s)
        for c, s in zip(grid.flat, strength.flat, strict=True)
    ]
    return np.reshape(colors, (*grid.shape, 4))


def _map_ticks(
    axis: Axis, positions: Sequence[int], tick: Callable[[float], str], room: float
) -> tuple[Floats, list[str]]:
    """Where the labels of an axis stand and what they say; of many cells a few are labelled."""
    labelled = len(positions) if len(positions) <= MOST_CELLS else MOST_LABELS
    chosen = np.linspace(0, len(positions) - 1, labelled).round().astype(int)
    named = [positions[place] for place in chosen]
    if isinstance(axis, KnotAxis):
        return chosen + 0.5, [tick(axis.knots[position]) for position in named]
    levels = [*axis.levels, "others"]
    return chosen + 0.5, [fitted_lines(levels[position], room) for position in named]
