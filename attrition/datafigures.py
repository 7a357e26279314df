"""What changed: drift by column, what it does to the risk, and the runs over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrition.figures import ACCENT, Absent, Picture, canvas, shown, style

DRIFT, IMPACT, TRENDS = "drift", "impact", "trends"


@style()
def drift(data_drift: Mapping[str, Mapping[str, Any]]) -> Picture | Absent:
    """How far each column has moved in each sample.

    Args:
        data_drift: sample -> its comparison, `drift.data` of a decision record.
    """
    if not data_drift:
        return Absent(DRIFT, "Data drift", "There is nothing to compare yet.")
    figure = canvas(3)
    axes = figure.subplots()
    for found in data_drift.values():
        names = [shown(column["column"], 30) for column in found["columns"]]
        axes.plot([column["psi"] or 0 for column in found["columns"]], names, "o", color=ACCENT)
    return Picture(DRIFT, "Data drift", "Drift by column.", "PSI by column.", figure)


@style()
def impact(impacts: Mapping[str, Mapping[str, Any]]) -> Picture | Absent:
    """What the shift in each column does to the mean predicted risk.

    Args:
        impacts: sample -> its impact, `drift.impact` of a decision record.
    """
    if not impacts:
        return Absent(IMPACT, "What the shifts do", "There is nothing to compare yet.")
    figure = canvas(3)
    axes = figure.subplots()
    for found in impacts.values():
        names = [shown(term["term"], 30) for term in found["terms"][:5]]
        axes.barh(names, [term["change"] for term in found["terms"][:5]], color=ACCENT)
    return Picture(IMPACT, "What the shifts do", "Impact.", "Impact by column.", figure)


@style()
def trends(runs: Sequence[Mapping[str, Any]], threshold: float) -> Picture | Absent:
    """The runs over time: score, base rate, missing data, drift, seconds.

    Args:
        runs: records of `history.runs`, oldest first.
        threshold: `model_score_threshold`, an F1.
    """
    if not runs:
        return Absent(TRENDS, "Over time", "No run is recorded yet.")
    figure = canvas(3)
    axes = figure.subplots()
    axes.plot([sum(run["timings"].values()) for run in runs], "o-", color=ACCENT)
    axes.axhline(threshold)
    return Picture(TRENDS, "Over time", "Trends.", "Runs over time.", figure)
