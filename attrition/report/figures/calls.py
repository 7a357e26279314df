"""The figure of what calls are worth: profit against the number of calls."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from attrition.calls.profit import ListProfit
from attrition.core.formatting import amount, count, short
from attrition.report.figures.style import (
    ACCENT,
    ALARM,
    FACE,
    INK,
    SMALL,
    SOFT,
    Picture,
    canvas,
    picture,
    style,
)

PROFIT = "profitofcalls"


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
    figure.legend(loc="outside upper left", ncols=3)
    _mark(axes, listed)
    axes.set(xlabel="calls", ylabel="expected profit", xlim=(0, curve.calls[-1] or 1))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda number, _: short(number)))
    return picture(PROFIT, "What calls are worth", _alt(listed), _caption(listed), figure)


def _mark(axes: Axes, listed: ListProfit) -> None:
    """A line where the team's calls end, and a dot where the plan does."""
    plan, capacity = listed.plan, listed.calls_per_list
    if capacity is not None and capacity <= listed.curve.calls[-1]:
        axes.axvline(capacity, color=ALARM, linestyle=":", linewidth=1.2)
        axes.annotate(
            f"{count(capacity)} calls can be made",
            (capacity, 0.02),
            (5, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            color=INK,
            fontsize=SMALL,
            in_layout=False,
        )
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
    if listed.calls_per_list is None:
        return f"{text}; one more would not pay."
    return f"{text}; dotted: how many can be made."
