"""The runs over time: score, share who left, missing data, drift, seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from attrition.core.formatting import line
from attrition.model.metrics import Score
from attrition.model.terms import Floats
from attrition.monitoring.findings import DriftVerdict, RunVerdict, Sample
from attrition.monitoring.record import DecisionRecord
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
    moment,
    picture,
    style,
)

TRENDS = "trends"
SHORTEST, MOST_STAGES, MOST_DATES = 3, 3, 6
DATES = (
    (np.timedelta64(300, "D"), "%B %Y"),
    (np.timedelta64(5, "D"), "%-d %B"),
    (np.timedelta64(1, "h"), "%-d %B, %H:%M"),
    (np.timedelta64(0, "s"), "%H:%M:%S"),
)  # the shortest time that axes span, and how their dates are written
COLORS = (ACCENT, ALARM, SOFT, INK)
DASHES = ("-", "--", ":", "-.")  # one a series

Measure = Callable[[DecisionRecord, Sample], float | None]
Series = dict[str, Floats]
Times = NDArray[np.datetime64]


@style()
def trends(runs: Sequence[DecisionRecord], threshold: float, left_out: int = 0) -> Picture | Absent:
    """The runs over time: F1, base rate, missing data, drift, seconds.

    Args:
        runs: oldest first.
        threshold: `model_score_threshold`, an F1.
        left_out: number of older runs.
    """
    title = "Runs over time"
    if len(runs) < SHORTEST:
        return Absent(TRENDS, title, "It takes three runs to show how they change.")
    times = np.array([moment(run.time) for run in runs])
    figure = canvas(5.6)
    panels = figure.subplots(5, 1, height_ratios=[2.2, 1, 1, 1, 1.4])
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
    return picture(TRENDS, title, _trends_in_words(runs, threshold), caption, figure, by_row=True)


def _draw_scores(
    axes: Axes, runs: Sequence[DecisionRecord], times: Times, threshold: float
) -> None:
    axes.axhline(threshold, color=INK, linestyle="--", linewidth=1)
    series = _by_sample(runs, _f1)
    _draw_series(axes, times, series, f"F1 of the deployed model (dashed: {threshold:g})")
    ends = [threshold]
    for name, color in zip(series, COLORS, strict=False):
        bounds = np.array([_interval(run, Sample(name)) for run in runs])
        axes.vlines(times, bounds[:, 0], bounds[:, 1], color=color, linewidth=0.9, alpha=0.6)
        ends += bounds[~np.isnan(bounds)].tolist()
    axes.set_ylim(max(min(ends) - 0.1, 0.0), min(max(ends) + 0.05, 1.02))


def _draw_series(axes: Axes, times: Times, series: Series, title: str) -> None:
    looks = zip(series.items(), DASHES, COLORS, MARKERS, strict=False)
    for (name, values), dashes, color, marker in looks:
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


def _by_sample(runs: Sequence[DecisionRecord], measure: Measure) -> Series:
    """Sample -> its measure in each run, NaN where there is none; one without any is absent."""
    series = {
        sample: np.array([measure(run, sample) for run in runs], dtype=float) for sample in Sample
    }
    return {name: values for name, values in series.items() if not np.isnan(values).all()}


def _score(run: DecisionRecord, sample: Sample) -> Score | None:
    """The deployed model's score at the end of a run: on test data, a new model's own."""
    return run.live_score if sample is Sample.TEST_DATA else run.scores.get(sample)


def _f1(run: DecisionRecord, sample: Sample) -> float | None:
    score = _score(run, sample)
    return score.f1 if score else None


def _interval(run: DecisionRecord, sample: Sample) -> tuple[float, float]:
    score = _score(run, sample)
    return (score.f1_interval if score else None) or (np.nan, np.nan)


def _base_rate(run: DecisionRecord, sample: Sample) -> float | None:
    score = _score(run, sample)
    return score.base_rate if score else None


def _missing_share(run: DecisionRecord, sample: Sample) -> float | None:
    drift = run.drift.data.get(sample)
    if not drift or not drift.rows or not drift.columns:
        return None
    return float(np.mean([column.missing_now for column in drift.columns]))


def _drifted_columns(run: DecisionRecord, sample: Sample) -> float | None:
    drift = run.drift.data.get(sample)
    if not drift or drift.verdict is DriftVerdict.INSUFFICIENT:
        return None
    return float(sum(column.has_drifted for column in drift.columns))


def _seconds(runs: Sequence[DecisionRecord]) -> Series:
    """Seconds of the whole run, and of the longest stages; what nobody knows is absent."""
    stages = {stage for run in runs for stage in run.timings}
    by_stage = {
        stage: np.array([run.timings.get(stage, np.nan) for run in runs], dtype=float)
        for stage in sorted(stages)
    }
    longest = sorted(by_stage, key=lambda stage: -float(np.nanmedian(by_stage[stage])))
    total = np.array([run.seconds or np.nan for run in runs], dtype=float)
    series = {"whole run": total} | {stage: by_stage[stage] for stage in longest[:MOST_STAGES]}
    return {name: values for name, values in series.items() if not np.isnan(values).all()}


def _time_axis(panels: Sequence[Axes], times: Times, runs: Sequence[DecisionRecord]) -> None:
    first, last = times.min(), times.max()
    pad = (last - first) / 30 if last > first else np.timedelta64(1, "h")
    deployed, failed = (
        times[[run.verdict is verdict for run in runs]]
        for verdict in (RunVerdict.DEPLOYED, RunVerdict.FAILED)
    )
    text = next(text for least, text in DATES if last - first >= least)
    for axes in panels:
        for time in deployed:
            axes.axvline(time, color=SOFT, linestyle=":", linewidth=0.8)
        axes.set_xlim(first - pad, last + pad)
        dates = AutoDateLocator(minticks=2, maxticks=MOST_DATES)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(dates)
        axes.xaxis.set_major_formatter(
            FuncFormatter(lambda day, _: format(datetime.fromtimestamp(86_400 * day, UTC), text))
        )
    bottom = panels[0].get_xaxis_transform()
    panels[0].plot(deployed, np.full(len(deployed), 0.05), "^", color=INK, transform=bottom)
    panels[0].plot(failed, np.full(len(failed), 0.05), "x", color=ALARM, transform=bottom)


def _trends_in_words(runs: Sequence[DecisionRecord], threshold: float) -> str:
    deployed = sum(run.verdict is RunVerdict.DEPLOYED for run in runs)
    failed = sum(run.verdict is RunVerdict.FAILED for run in runs)
    text = f"{len(runs):,} runs, {deployed} with a deployment, {failed} failed"
    known = [f1 for run in runs if (f1 := _f1(run, Sample.TEST_DATA)) is not None]
    if not known:
        return f"{text}; no F1 on test data is known."
    side = "below" if known[-1] < threshold else "at or above"
    return f"{text}; the last F1 on test data is {known[-1]:.3f}, {side} {threshold:g}."
