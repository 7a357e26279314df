"""What changed: drift by column, what it does to the risk, and the runs over time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from attrition.alerting import TEST_DATA
from attrition.drift import DRIFT as DRIFTED
from attrition.drift import INSUFFICIENT, PSI_FLOOR
from attrition.figures import (
    ACCENT,
    ALARM,
    FACE,
    INK,
    POINTS,
    SMALL,
    SOFT,
    Absent,
    Picture,
    canvas,
    diverging_bars,
    fitted,
    listed,
    picture,
    root_scale,
    root_ticks,
    shown,
    signed,
    signed_ticks,
    style,
)
from attrition.terms import Floats

DRIFT, IMPACT, TRENDS = "drift", "impact", "trends"
NEW_ROWS = "new rows"
MOST_COLUMNS, MOST_RUNS, MOST_STAGES = 24, 60, 3
PSI_TICKS = (0.0, 0.01, 0.03, PSI_FLOOR, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
MARKERS = ("o", "s", "^", "D")  # one a sample
COLORS = (ACCENT, ALARM, SOFT, INK)
LINES = ("-", "--", ":", "-.")  # one a series
_NOTHING_YET = "There is nothing to compare yet: no model was deployed when the run began."

Record = Mapping[str, Any]


@style()
def drift(data_drift: Mapping[str, Record]) -> Picture | Absent:
    """How far each column, and the predictions, moved in each sample since training.

    Args:
        data_drift: sample -> its comparison, `drift.data` of a decision record.
    """
    title = "Data drift by column"
    if not data_drift:
        return Absent(DRIFT, title, _NOTHING_YET)
    judged = {name: found for name, found in data_drift.items() if _is_judged(found)}
    silent = [
        f"{shown(name, 40)}: {INSUFFICIENT} ({found['rows']:,} rows)"
        for name, found in data_drift.items()
        if name not in judged
    ]
    if not judged:
        return Absent(DRIFT, title, f"{'; '.join(silent)}.")
    largest = _largest_psi(judged)
    columns = sorted(largest, key=lambda name: -largest[name])
    kept = columns[:MOST_COLUMNS]
    figure = canvas(0.75 + 0.19 * max(len(kept), 3))
    axes = figure.subplots()
    axes.axvline(PSI_FLOOR, color=INK, linestyle="--", linewidth=1)
    for marker, (name, found) in zip(MARKERS, judged.items(), strict=False):
        _draw_sample(axes, found, kept, marker, f"{shown(name, 40)} ({found['rows']:,} rows)")
    axes.set_yticks(range(len(kept)), [fitted(name, POINTS / 3) for name in kept])
    axes.set(ylim=(len(kept) - 0.4, -0.6), xlabel="population stability index (PSI)")
    _psi_axis(axes, max(largest.values()))
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(judged), borderaxespad=0.2,
                handletextpad=0.2, columnspacing=1.2)  # fmt: skip
    caption = (
        f"Distance from the training rows. A filled mark is drift: beyond chance, and at least "
        f"{PSI_FLOOR:g} (dashed) or a changed share of missing values."
    )
    if len(columns) > len(kept):
        caption += f" {len(columns) - len(kept)} columns that moved less are left out."
    return picture(
        DRIFT, title, _drift_in_words(judged, largest), " ".join([caption, *_ended(silent)]), figure
    )


def _is_judged(found: Record) -> bool:
    return bool(found["verdict"] != INSUFFICIENT)


def _ended(sentences: Sequence[str]) -> list[str]:
    return [f"{sentence[0].upper()}{sentence[1:]}." for sentence in sentences]


def _results(found: Record) -> list[Record]:
    return [*found["columns"], found["predictions"]]


def _largest_psi(judged: Mapping[str, Record]) -> dict[str, float]:
    """Column -> its largest PSI over the samples."""
    largest: dict[str, float] = {}
    for found in judged.values():
        for result in _results(found):
            name, psi = result["column"], max(result["psi"] or 0.0, 0.0)
            largest[name] = max(largest.get(name, 0.0), psi)
    return largest


def _draw_sample(
    axes: Axes, found: Record, columns: Sequence[str], marker: str, label: str
) -> None:
    results = {result["column"]: result for result in _results(found)}
    look: dict[str, Any] = {"marker": marker, "linestyle": "none", "markersize": 6.5}
    axes.plot([], [], label=label, color=SOFT, markerfacecolor=FACE, **look)
    for has_drifted, color, face in ((False, SOFT, FACE), (True, ALARM, ALARM)):
        rows = [
            row
            for row, name in enumerate(columns)
            if name in results and (results[name]["verdict"] == DRIFTED) == has_drifted
        ]
        values = [max(results[columns[row]]["psi"] or 0.0, 0.0) for row in rows]
        look |= {"markerfacecolor": face, "markeredgecolor": FACE if has_drifted else color}
        axes.plot(values, rows, zorder=3 + has_drifted, **look)


def _psi_axis(axes: Axes, largest: float) -> None:
    end = max(1.15 * largest, 2 * PSI_FLOOR)
    ticks = root_ticks(PSI_TICKS, end)
    axes.set_xscale(**root_scale())
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xlim(0, end)
    axes.spines["left"].set_visible(False)


def _drift_in_words(judged: Mapping[str, Record], largest: Mapping[str, float]) -> str:
    drifted = {name: [r["column"] for r in _results(found) if r["verdict"] == DRIFTED]
               for name, found in judged.items()}  # fmt: skip
    most = max(largest, key=lambda name: largest[name])
    farthest = f"{shown(most, 60)} moved farthest, by a PSI of {largest[most]:.2f}"
    told = [f"{len(columns)} in the {shown(name, 40)}" for name, columns in drifted.items()
            if columns]  # fmt: skip
    if not told:
        return f"No column drifted; {farthest}."
    return f"Drifted columns: {listed(told)}; {farthest}."


@style()
def impact(impacts: Mapping[str, Record]) -> Picture | Absent:
    """What the strongest shifts do to the mean predicted risk of each sample.

    Args:
        impacts: sample -> its impact, `drift.impact` of a decision record.
    """
    title = "What the shifts do to the predicted risk"
    if not impacts:
        return Absent(IMPACT, title, _NOTHING_YET)
    shifts = {name: _risk_shifts(found) for name, found in impacts.items()}
    figure = canvas(0.75 + 0.28 * max(3, *map(len, shifts.values())))
    values = [shift for found in shifts.values() for shift in found.values()]
    limit = 1.1 * max([abs(value) for value in values] + [0.01])
    panels = figure.subplots(1, len(impacts), squeeze=False)[0]
    for axes, (name, found) in zip(panels, impacts.items(), strict=True):
        _draw_shifts(axes, shifts[name], limit, len(impacts))
        before, now = found["risk_before"], found["risk_now"]
        then = "" if before is None else f"{before:.1%} \N{RIGHTWARDS ARROW} "
        axes.set_title(f"{shown(name, 24)}: {then}{now:.1%}")
        axes.set_xlabel("percentage points")
    return picture(
        IMPACT,
        title,
        _impact_in_words(impacts, shifts),
        "Percentage points by which the shift in a column, or in a pair, moves the mean predicted "
        "risk: today's, less what it would be without that shift. Right of zero the risk is "
        "lifted. Above each panel: the mean at training, and today.",
        figure,
    )


def _risk_shifts(found: Record) -> dict[str, float]:
    """Term -> change of the mean predicted risk, a fraction, largest first."""
    shifts = {
        term["term"]: found["risk_now"] - term["risk_without"]
        for term in found["terms"]
        if term["risk_without"] is not None
    }
    return dict(sorted(shifts.items(), key=lambda item: -abs(item[1])))


def _draw_shifts(axes: Axes, shifts: Mapping[str, float], limit: float, panels: int) -> None:
    room = POINTS / panels - 50
    bars = [
        (fitted(name, room), value, signed(round(100 * value, 1))) for name, value in shifts.items()
    ]
    diverging_bars(axes, bars, limit, max(len(shifts), 3))
    axes.set_xticks(signed_ticks(limit))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: signed(round(100 * share, 6))))


def _impact_in_words(
    impacts: Mapping[str, Record], shifts: Mapping[str, Mapping[str, float]]
) -> str:
    told = []
    for name, found in impacts.items():
        if not shifts[name]:
            continue
        term, value = next(iter(shifts[name].items()))
        told.append(
            f"in the {shown(name, 40)}, {shown(term, 60)} moves the mean predicted risk most, by "
            f"{100 * value:+.1f} points to {found['risk_now']:.1%}"
        )
    return f"{'; '.join(told) or 'No shift was measured'}.".replace("in", "In", 1)


@style()
def trends(runs: Sequence[Record], threshold: float) -> Picture | Absent:
    """The runs over time: F1, base rate, missing data, drift, seconds.

    Args:
        runs: records of `history.runs`, oldest first; the newest `MOST_RUNS` are drawn.
        threshold: `model_score_threshold`, an F1.
    """
    title = "Runs over time"
    if not runs:
        return Absent(TRENDS, title, "No run is recorded yet.")
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


Measure = Callable[[Record, str], float | None]
Series = dict[str, Floats]
Times = NDArray[np.datetime64]


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
    looks = zip(series.items(), LINES, COLORS, MARKERS, strict=False)
    for (name, values), line, color, marker in looks:
        axes.plot(times, values, line, color=color, marker=marker, markersize=4, linewidth=1.3,
                  label=shown(name, 24))  # fmt: skip
    axes.set_title(title)
    axes.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    largest = max((float(np.nanmax(values)) for values in series.values()), default=0.0)
    axes.set_ylim(0, 1.15 * largest or 1.0)
    if not series:
        axes.text(0.01, 0.5, "nothing is known yet", transform=axes.transAxes, va="center",
                  color=SOFT, fontsize=SMALL)  # fmt: skip
    else:
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(series),
                    borderaxespad=0.1, columnspacing=1.2, handlelength=2.4)  # fmt: skip


def _by_sample(runs: Sequence[Record], measure: Measure) -> Series:
    """Sample -> its measure in each run, NaN where there is none; one without any is absent."""
    samples = dict.fromkeys(
        name
        for run in runs
        for part in (run["scores"], run["drift"]["data"])
        for name in part or ()
    )
    found = {name: np.array([measure(run, name) for run in runs], dtype=float)
             for name in (TEST_DATA, *(name for name in samples if name != TEST_DATA))}  # fmt: skip
    return {name: values for name, values in found.items() if not np.isnan(values).all()}


def _score(run: Record, sample: str) -> Record:
    """The deployed model's score at the end of a run: on test data, a new model's own."""
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
    columns = ((run["drift"]["data"] or {}).get(sample) or {}).get("columns") or []
    return float(np.mean([column["missing_now"] for column in columns])) if columns else None


def _drifted_columns(run: Record, sample: str) -> float | None:
    found = (run["drift"]["data"] or {}).get(sample)
    if not found or not _is_judged(found):
        return None
    return float(sum(result["verdict"] == DRIFTED for result in _results(found)))


def _seconds(runs: Sequence[Record]) -> Series:
    """Seconds of the whole run, and of the stages that take longest."""
    stages = {stage for run in runs for stage in run["timings"]}
    by_stage = {
        stage: np.array([run["timings"].get(stage, np.nan) for run in runs], dtype=float)
        for stage in sorted(stages)
    }
    longest = sorted(by_stage, key=lambda stage: -float(np.nanmedian(by_stage[stage])))
    total = np.array([sum(run["timings"].values()) or np.nan for run in runs], dtype=float)
    if not by_stage:
        return {}
    return {"whole run": total} | {stage: by_stage[stage] for stage in longest[:MOST_STAGES]}


def _time_axis(panels: Sequence[Axes], times: Times, runs: Sequence[Record]) -> None:
    first, last = times.min(), times.max()
    pad = (last - first) / 30 if last > first else np.timedelta64(1, "h")
    deployed, failed = (times[[run["verdict"] == verdict for run in runs]]
                        for verdict in ("deployed", "failed"))  # fmt: skip
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
    runs_told = f"{len(runs):,} run{'s' if len(runs) > 1 else ''}"
    told = f"{runs_told}, {deployed} with a deployment, {failed} failed"
    known = [f1 for run in runs if (f1 := _f1(run, TEST_DATA)) is not None]
    if not known:
        return f"{told}; no F1 on test data is known."
    side = "below" if known[-1] < threshold else "at or above"
    return f"{told}; the last F1 on test data is {known[-1]:.3f}, {side} {threshold:g}."
