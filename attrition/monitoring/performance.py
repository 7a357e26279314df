"""What else there is to know of a model's performance beside the verdict on its drift.

How well it ranks (AUC) and how far its probabilities can be believed (calibration), today against
at deployment; and, where the outcome is not known yet, what F1 to expect. All of this is reported;
what decides on drift is in `outcome_drift.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import hypot, sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from attrition.model.metrics import Score
from attrition.model.uncertainty import Z95
from attrition.monitoring.findings import ExpectedScore, MeasureChange

MEASURES = ("roc_auc", "calibration_gap", "calibration_error")


def measure_changes(
    at_deployment: Mapping[str, Any], now: Score
) -> dict[str, MeasureChange] | None:
    """Compare today's AUC and calibration with those at deployment.

    Args:
        at_deployment: a score as its `to_json` gave it.
        now: today's score.

    Returns:
        Measure -> its change; None when today's score is undefined.
    """
    today, errors = _measures(now.to_json()), now.standard_errors
    if now.undefined or errors is None:
        return None
    then, then_errors = _measures(at_deployment), at_deployment["standard_errors"] or {}
    changes = {
        name: _change(name, then[name], then_errors.get(name), today[name], errors[name])
        for name in MEASURES
    }
    before = at_deployment.get("roc_auc_interval")
    changes["roc_auc"] = replace(
        changes["roc_auc"],
        interval=now.roc_auc_interval,
        interval_at_deployment=tuple(before) if before else None,
    )
    return changes


def _measures(score: Mapping[str, Any]) -> dict[str, Any]:
    gap = None if score["f1"] is None else score["mean_probability"] - score["base_rate"]
    return {**score, "calibration_gap": gap}


def _change(
    measure: str, then: float | None, then_error: float | None, now: float, error: float | None
) -> MeasureChange:
    change = None if then is None else now - then
    both = error is not None and then_error is not None
    change_error = hypot(error or 0.0, then_error or 0.0) if both else None
    return MeasureChange(measure, then, now, error, change, change_error, then_error)


def expected_score(probabilities: ArrayLike, threshold: float, minimum_rows: int) -> ExpectedScore:
    """Estimate the F1 of predictions whose outcomes are not known, from the probabilities alone.

    Among the clients predicted to leave the probabilities sum to the expected true positives,
    among the others to the expected false negatives; F1 follows (confidence-based performance
    estimation, CBPE). Its interval is the delta method's, each outcome a toss by its probability.

    Args:
        probabilities: array of shape (n_rows,), calibrated, fractions 0-1.
        threshold: a probability of at least this predicts that the client leaves.
        minimum_rows: with fewer rows there is no estimate.
    """
    probability = np.asarray(probabilities, dtype=np.float64)
    rows = len(probability)
    if rows < minimum_rows:
        return ExpectedScore(
            rows, undefined=f"too few rows: {rows}, and at least {minimum_rows} are needed"
        )
    called = probability >= threshold
    alarms, hits = int(called.sum()), float(probability[called].sum())
    missed = float(probability[~called].sum())
    total = alarms + hits + missed  # 2 tp + fp + fn = (tp + fp) + (tp + fn)
    f1 = 2 * hits / total if total else 0.0
    slopes = np.array([2 * (alarms + missed), -2 * hits]) / total**2 if total else np.zeros(2)
    tosses = probability * (1 - probability)
    spread = sqrt(slopes**2 @ np.array([tosses[called].sum(), tosses[~called].sum()]))
    return ExpectedScore(
        rows=rows,
        f1=f1,
        f1_interval=(max(f1 - Z95 * spread, 0.0), min(f1 + Z95 * spread, 1.0)),
        positives=hits + missed,
        confusion={
            "tn": rows - alarms - missed,
            "fp": alarms - hits,
            "fn": missed,
            "tp": hits,
        },
    )
