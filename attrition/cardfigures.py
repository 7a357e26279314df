"""What the model has learnt: a risk curve for each column, a small map for each pair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from attrition.figures import ACCENT, Absent, Picture, canvas, shown, style
from attrition.scorecard import Scorecard

CURVES, PAIRS = "riskcurves", "pairmaps"


@style()
def risk_curves(card: Scorecard, reference: Mapping[str, Any]) -> Picture | Absent:
    """Points over the values of each column, the most important columns first.

    Args:
        card: the model.
        reference: summary of its training rows, `reference` in training.json.
    """
    terms = card.numeric[:18]
    if not terms:
        return Absent(CURVES, "Risk curves", "The model reads no number.")
    figure = canvas(1.5 * (len(terms) + 2) // 3)
    for axes, term in zip(
        figure.subplots((len(terms) + 2) // 3, 3, squeeze=False).flat, terms, strict=False
    ):
        axes.plot(term.axis.knots, np.array(term.points) - term.average_points, color=ACCENT)
        axes.set_title(shown(term.column, 30))
    return Picture(CURVES, "Risk curves", "Risk curves.", "Points over values.", figure)


@style()
def pair_maps(card: Scorecard) -> Picture | Absent:
    """What the strongest pairs of columns add beyond what each adds alone."""
    if not card.pairs:
        return Absent(PAIRS, "Pairs of columns", "No pair of columns earned a place in the model.")
    figure = canvas(2.5)
    axes = figure.subplots()
    axes.imshow(card.pairs[0].points)
    return Picture(PAIRS, "Pairs of columns", "Pairs.", "Points of pairs.", figure)
