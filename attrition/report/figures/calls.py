"""The figures of calls: what they are worth, and what they change as outcomes come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from attrition.calls.effect import Estimate
from attrition.calls.profit import ListProfit
from attrition.core.formatting import amount, between, count, decimal, percent, plural, short
from attrition.report.document import EFFECT, PROFIT
from attrition.report.figures.style import (
    ACCENT,
    ALARM,
    FACE,
    SOFT,
    Picture,
    canvas,
    moment,
    picture,
    style,
)


@style()
def profit(listed: ListProfit) -> Picture:
    """What so many calls are expected to earn: by profit, by risk, and at random."""
    plan, curve = listed.plan, listed.curve
    figure = canvas(3.4)
    axes = figure.subplots()
    axes.fill_between(curve.calls, curve.low, curve.high, color=ACCENT, alpha=0.14, linewidth=0)
    axes.plot(curve.calls, curve.expected, color=ACCENT, zorder=3, label="by profit")
    axes.plot(curve.calls, curve.by_risk, color=SOFT, linewidth=1.2, label="by risk")
    axes.axhline(0, color=SOFT, linewidth=0.8)
    if plan.calls:
        mean = (plan.expected - plan.gain_over_random) / plan.calls
        end = curve.calls[-1]
        axes.plot([0, end], [0, mean * end], "--", color=SOFT, linewidth=1.0, label="at random")
    _mark(axes, listed)
    figure.legend(loc="outside upper left", ncols=4)
    axes.set(xlabel="calls", ylabel="expected profit", xlim=(0, curve.calls[-1] or 1))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda number, _: short(number)))
    return picture(PROFIT, "What calls are worth", _alt(listed), _caption(listed), figure)


@style()
def effect(estimates: Sequence[tuple[str, Estimate]], level: float) -> Picture:
    """The share of clients that calling keeps, as it was known run by run.

    Args:
        estimates: time of each run, ISO 8601, oldest first, and what was known then.
        level: of the intervals, a fraction 0-1.
    """
    times = np.array([moment(time) for time, _ in estimates])
    saved = np.array([one.saved for _, one in estimates])
    low, high = np.array([one.interval for _, one in estimates]).T
    figure = canvas(2.8)
    axes = figure.subplots()
    axes.fill_between(times, low, high, color=ACCENT, alpha=0.14, linewidth=0)
    axes.vlines(times, low, high, color=ACCENT, linewidth=0.9, alpha=0.6)
    axes.plot(times, saved, "o-", color=ACCENT)
    axes.axhline(0, color=ALARM, linewidth=0.8)
    pad = np.timedelta64(3, "D")  # else a single run would have years on each side
    axes.set(ylabel="points saved", xlim=(times[0] - pad, times[-1] + pad))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.3g}"))
    last = estimates[-1][1]
    alt = (
        f"After {count(last.outcomes)} outcomes calling saves {decimal(100 * last.saved, 1)} "
        f"points ({percent(level)}: {between([100 * limit for limit in last.interval], 1)})."
    )
    caption = (
        f"Of 100 clients to call at equal risk, so many fewer leave because of it, as it was known "
        f"at each run. Band: where the truth is ({percent(level)}, over all looks together). Calls "
        "are shown to help once it is above zero."
    )
    return picture(EFFECT, "What calls change", alt, caption, figure)


def _mark(axes: Axes, listed: ListProfit) -> None:
    """A line where the team's calls end, and a dot where the plan does."""
    plan, capacity = listed.plan, listed.calls_per_list
    if capacity is not None and capacity <= listed.curve.calls[-1]:
        most = f"{plural(capacity, 'call')} can be made"
        axes.axvline(capacity, color=ALARM, linestyle=":", linewidth=1.2, label=most)
    axes.plot([plan.calls], [plan.expected], "o", color=ALARM, markeredgecolor=FACE, zorder=5)


def _alt(listed: ListProfit) -> str:
    plan = listed.plan
    low, high = (amount(round(limit)) for limit in plan.interval)
    return (
        f"{count(plan.calls)} calls are expected to earn {amount(round(plan.expected))} (90%: "
        f"{low} to {high}); calls pay up to number {count(plan.worth_calling)}."
    )


def _caption(listed: ListProfit) -> str:
    text = (
        "Called first are the clients whom it pays most to call, those at the highest risk, or "
        "any. Band: what 90% of lists called by profit earn. The dot: the calls to make"
    )
    if listed.calls_per_list is None or listed.calls_per_list > listed.curve.calls[-1]:
        return f"{text}; one more would not pay."
    return f"{text}; dotted: how many can be made."
