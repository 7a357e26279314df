"""The runs over time: score, share who left, missing data, drift, seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from attrition.core.formatting import line
from attrition.model.terms import Floats
from attrition.monitoring.alerts import TEST_DATA
from attrition.monitoring.drift import DRIFT as DRIFTED
from attrition.monitoring.drift import INSUFFICIENT
from attrition.report.figures.style import (
    ACCENT,
    ALARM,
    INK,
    MARKERS,
    SMALL,
    SOFT,
    Absent,
    Picture,
    canvas,
    picture,
    style,
)
from attrition.report.run_summary import seconds_taken

TRENDS = "trends"
SHORTEST, MOST_RUNS, MOST_STAGES = 2, 60, 3
COLORS = (ACCENT, ALARM, SOFT, INK)
DASHES = ("-", "--", ":", "-.")  # one per series

Record = Mapping[str, Any]
Measure = Callable[[Record, str], float | None]
Series = dict[str, Floats]
Times = NDArray[np.datetime64]


@style()
def trends(runs: Sequence[Record], threshold: float) -> Picture | Absent:
    """The runs over time: F1, base rate, missing data, drift, seconds.

    Args:
        runs: records of `history.runs`, oldest first; the newest `MOST_RUNS` are drawn.
        threshold: `model_score_threshold`, an F1.
    """
    title = "Runs over time"
    if len(runs) < SHORTEST:
        return Absent(TRENDS, title, "It takes two runs to show how they change.")
    left_out, runs = max(len(runs) - MOST_RUNS, 0), runs[-MOST_RUNS:]
    times = np.array([_time(run) for run in runs])
    figure = canvas(6.6)
    panels = figure.subplots(5, 1, sharex=True, height_ratios=[2.2, 1, 1, 1, 1.4])
    _draw_scores(panels[0], runs, times, threshold)
    _draw_series(panels[1], times, _by_sample(runs, _base_rate), "Share who left")
    _draw_series(panels[2], times, _by_sample(runs, _missing_share), "Missing values, mean share")
    _draw_series(panels[3], times, _by_sample(runs, _drifted_columns), "Drifted columns")
    _draw_series(panels[4], times, _seconds(runs), "Seconds")
    for axes in panels[1:3]:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.3g}%"))
    panels[3].yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10], integer=True))
    _time_axis(panels, times, runs)
    caption = (
        "Each mark is a run that was not idle. Triangles and dotted lines: a model was deployed; "
        "crosses: the run failed. Thin bars: 95% intervals. A gap: it could not be measured."
    )
    if left_out:
        caption += f" {left_out:,} older runs are left out."
    return picture(TRENDS, title, _trends_in_words(runs, threshold), caption, figure)


def _time(run: Record) -> np.datetime64:
    """When a run began, in UTC."""
    time = datetime.fromisoformat(run["time"])
    return np.datetime64(time.astimezone(UTC).replace(tzinfo=None), "ms")


def _draw_scores(axes: Axes, runs: Sequence[Record], times: Times, threshold: float) -> None:
    axes.axhline(threshold, color=INK, linestyle="--", linewidth=1)
    series = _by_sample(runs, _f1)
    _draw_series(axes, times, series, f"F1 of the deployed model (dashed: {threshold:g})")
    ends = [threshold]
    for name, color in zip(series, COLORS, strict=False):
        bounds = np.array([_interval(run, name) for run in runs])
        axes.vlines(times, bounds[:, 0], bounds[:, 1], color=color, linewidth=0.9, alpha=0.6)
        ends += bounds[~np.isnan(bounds)].tolist()
    axes.set_ylim(max(min(ends) - 0.1, 0.0), min(max(ends) + 0.05, 1.02))


def _draw_series(axes: Axes, times: Times, series: Series, title: str) -> None:
    styles = zip(series.items(), DASHES, COLORS, MARKERS, strict=False)
    for (name, values), dashes, color, marker in styles:
        axes.plot(
            times,
            values,
            dashes,
            color=color,
            marker=marker,
            markersize=4,
            linewidth=1.3,
            label=line(name, 24),
        )
    axes.set_title(title)
    axes.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    largest = max((float(np.nanmax(values)) for values in series.values()), default=0.0)
    axes.set_ylim(0, 1.15 * largest or 1.0)
    if not series:
        axes.text(
            0.01,
            0.5,
            "nothing is known yet",
            transform=axes.transAxes,
            va="center",
            color=SOFT,
            fontsize=SMALL,
        )
    else:
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1, 1),
            ncols=len(series),
            borderaxespad=0.1,
            columnspacing=1.2,
            handlelength=2.4,
        )


def _by_sample(runs: Sequence[Record], measure: Measure) -> Series:
    """Sample -> its measure in each run, NaN if unknown; samples without any are left out."""
    samples = dict.fromkeys(
        name
        for run in runs
        for part in (run["scores"], run["drift"]["data"])
        for name in part or ()
    )
    series = {
        name: np.array([measure(run, name) for run in runs], dtype=float)
        for name in (TEST_DATA, *(name for name in samples if name != TEST_DATA))
    }
    return {name: values for name, values in series.items() if not np.isnan(values).all()}


def _score(run: Record, sample: str) -> Record:
    """The deployed model's score at the end of a run; on test data that of a new model."""
    if sample == TEST_DATA and run["verdict"] == "deployed" and run.get("candidate_score"):
        return dict(run["candidate_score"])
    return (run["scores"] or {}).get(sample) or {}


def _f1(run: Record, sample: str) -> float | None:
    f1: float | None = _score(run, sample).get("f1")
    return f1


def _interval(run: Record, sample: str) -> tuple[float, float]:
    low, high = _score(run, sample).get("f1_interval") or (np.nan, np.nan)
    return low, high


def _base_rate(run: Record, sample: str) -> float | None:
    share: float | None = _score(run, sample).get("base_rate")
    return share


def _missing_share(run: Record, sample: str) -> float | None:
    data = (run["drift"]["data"] or {}).get(sample)
    if not data or not data["rows"] or not data["columns"]:
        return None
    return float(np.mean([column["missing_now"] for column in data["columns"]]))


def _drifted_columns(run: Record, sample: str) -> float | None:
    data = (run["drift"]["data"] or {}).get(sample)
    if not data or data["verdict"] == INSUFFICIENT:
        return None
    return float(sum(column["verdict"] == DRIFTED for column in data["columns"]))


def _seconds(runs: Sequence[Record]) -> Series:
    """Seconds of the whole run and of the longest stages; series without any value are absent."""
    stages = {stage for run in runs for stage in run["timings"]}
    by_stage = {
        stage: np.array([run["timings"].get(stage, np.nan) for run in runs], dtype=float)
        for stage in sorted(stages)
    }
    longest = sorted(by_stage, key=lambda stage: -float(np.nanmedian(by_stage[stage])))
    total = np.array([seconds_taken(run) or np.nan for run in runs], dtype=float)
    series = {"whole run": total} | {stage: by_stage[stage] for stage in longest[:MOST_STAGES]}
    return {name: values for name, values in series.items() if not np.isnan(values).all()}


def _time_axis(panels: Sequence[Axes], times: Times, runs: Sequence[Record]) -> None:
    first, last = times.min(), times.max()
    pad = (last - first) / 30 if last > first else np.timedelta64(1, "h")
    deployed, failed = (
        times[[run["verdict"] == verdict for run in runs]] for verdict in ("deployed", "failed")
    )
    for axes in panels:
        for time in deployed:
            axes.axvline(time, color=SOFT, linestyle=":", linewidth=0.8)
    bottom = panels[0].get_xaxis_transform()
    panels[0].plot(deployed, np.full(len(deployed), 0.05), "^", color=INK, transform=bottom)
    panels[0].plot(failed, np.full(len(failed), 0.05), "x", color=ALARM, transform=bottom)
    panels[-1].set_xlim(first - pad, last + pad)


def _trends_in_words(runs: Sequence[Record], threshold: float) -> str:
    deployed = sum(run["verdict"] == "deployed" for run in runs)
    failed = sum(run["verdict"] == "failed" for run in runs)
    summary = f"{len(runs):,} runs, {deployed} with a deployment, {failed} failed"
    known = [f1 for run in runs if (f1 := _f1(run, TEST_DATA)) is not None]
    if not known:
        return f"{summary}; no F1 on test data is known."
    side = "below" if known[-1] < threshold else "at or above"
    return f"{summary}; the last F1 on test data is {known[-1]:.3f}, {side} {threshold:g}."
