"""What a study says, in a sentence or two for those who pay for the calls."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from attrition.calls.effect import (
    LEAST_OUTCOMES,
    PLANNED_CUT,
    Effect,
    Estimate,
    Verdict,
)
from attrition.calls.profit import ListProfit, SuccessRate
from attrition.core.formatting import amount, count, decimal, percent, plural, sentence

# So many times the known outcomes are not worth waiting for.
MOST_TIMES = 10
# A pace is known only after some days, and one of ten years is none.
LEAST_DAYS, MOST_WEEKS = 7, 520
NOTHING_EARNED = "No call is expected to earn what it costs."


def calls_in_brief(profit: ListProfit | None, effect: Effect | None, nobody: str = "") -> str:
    """What calling is expected to earn, and what it has kept so far; empty where neither is known.

    Args:
        profit: of the list; None where no costs are set.
        nobody: why nobody may be called now; "" where somebody may.
        effect: what the study says; None where there is none.
    """
    sentences = [sentence(nobody)] if nobody else []
    if profit is not None:
        sentences.append(f"{_worth(profit)}." if profit.plan.calls else NOTHING_EARNED)
    if effect is not None:
        sentences.append(_kept(effect))
    return " ".join(sentences)


def _kept(effect: Effect) -> str:
    """What calls so far have kept, in a sentence."""
    if effect.verdict is Verdict.BROKEN_SPLIT:
        return "What calls keep cannot be measured: the groups are not those that were drawn."
    if effect.estimate is None:
        more = effect.more_if_planned
        wait = f": it takes {_about(more)} more outcomes" if more else ""
        return f"What calls keep is not known yet{wait}."
    low, high = effect.estimate.interval
    saved, level = effect.estimate.saved, percent(effect.level)
    if effect.verdict is Verdict.NOT_SHOWN:
        return "It is not shown yet that calls keep clients."
    if effect.verdict is Verdict.CALLS_HARM:
        return (
            f"Of 100 clients to call, calls so far have made {_points(-saved)} leave ({level}: "
            f"{_points(-high)} to {_points(-low)})."
        )
    return (
        f"Of 100 clients to call, calls so far have kept {_points(saved)} ({level}: "
        f"{_points(low)} to {_points(high)})."
    )


def study_in_words(effect: Effect, now: str) -> str:
    """The same, how long it takes at the pace so far while nothing is shown, and what hides it.

    Args:
        now: until when outcomes have been counted, ISO 8601.
    """
    sentences = (effect_in_words(effect), _pace(effect, now), contacted_in_words(effect))
    return " ".join(filter(None, sentences))


def _pace(effect: Effect, now: str) -> str:
    known, more = effect.called.known + effect.held_out.known, effect.more_if_planned
    days = _days(effect.since or now, now)
    is_open = effect.verdict in {Verdict.TOO_FEW, Verdict.NOT_SHOWN}
    if not (is_open and more and known and days >= LEAST_DAYS):
        return ""
    weeks = math.ceil(more / known * days / 7)
    time = f"about {plural(weeks, 'week')}" if weeks <= MOST_WEEKS else "more than ten years"
    return f"At the pace so far that takes {time}."


def _days(since: str, now: str) -> int:
    """Whole days between two times; 0 where one cannot be read."""
    try:
        first, last = (datetime.fromisoformat(time).astimezone(UTC) for time in (since, now))
    except (ValueError, OverflowError):
        return 0
    return (last - first).days


def effect_in_words(effect: Effect) -> str:
    """Who was listed, what became of them, and what follows from it."""
    called, held_out = effect.called, effect.held_out
    listed = called.clients + held_out.clients
    verb = "was" if held_out.clients == 1 else "were"
    beginning = f"Of {count(listed)} listed, {count(held_out.clients)} {verb} held out"
    if effect.verdict is Verdict.BROKEN_SPLIT:
        return f"{beginning}. No verdict: {effect.reason}."
    if effect.estimate is None:
        return f"{beginning}; {_too_few(effect)}"
    shares = (
        f"{percent(called.share_left)} of the called and "
        f"{percent(held_out.share_left)} of the held out"
    )
    waiting = listed - effect.estimate.outcomes
    open_ones = f" ({plural(waiting, 'outcome')} not known yet)" if waiting else ""
    return f"{beginning}: {shares} have left{open_ones}. {_conclusion(effect, effect.estimate)}"


def contacted_in_words(effect: Effect) -> str:
    """What is lost where some of the held out were contacted, too; empty where none were."""
    number, held_out = effect.held_out_contacted, effect.held_out.clients
    if not number:
        return ""
    verb = "has" if number == 1 else "have"
    return (
        f"{count(number)} of the {count(held_out)} held out {verb} been contacted since listed, "
        f"which hides what calls change."
    )


def _too_few(effect: Effect) -> str:
    return (
        f"so far the outcomes of {count(effect.called.known)} called and "
        f"{count(effect.held_out.known)} held out are known, and a comparison needs "
        f"{LEAST_OUTCOMES} of each. {_planned(effect)}"
    ).rstrip()


def _planned(effect: Effect) -> str:
    """How many more outcomes the planned effect takes, where that is known."""
    if effect.more_if_planned is None:
        return ""
    more = _about(effect.more_if_planned)
    return (
        f"If calls keep {percent(PLANNED_CUT)} of those who would leave, {more} more "
        f"outcomes show it."
    )


def _conclusion(effect: Effect, result: Estimate) -> str:
    low, high = result.interval
    if effect.verdict is Verdict.CALLS_SAVE:
        return (
            f"At equal risk, calling saves {_points(result.saved)} points "
            f"({_between(low, high, effect.level)})."
        )
    if effect.verdict is Verdict.CALLS_HARM:
        return (
            f"At equal risk, calling makes {_points(-result.saved)} more in 100 leave "
            f"({_between(-high, -low, effect.level)}): stop, and look at how clients are called."
        )
    return (
        f"Whether calling helps is not shown yet: at equal risk it may save up to {_points(high)} "
        f"points or cost up to {_points(-low)} ({percent(effect.level)}, at whatever moment you "
        f"look). {_outlook(effect, result)}"
    )


def _outlook(effect: Effect, result: Estimate) -> str:
    if effect.more_if_planned:
        return _planned(effect)
    if effect.more_outcomes is None or effect.more_outcomes > MOST_TIMES * result.outcomes:
        return (
            f"The difference so far is so small that {MOST_TIMES} times as many outcomes would not "
            f"show it."
        )
    return f"If the difference stays, {_about(effect.more_outcomes)} more outcomes show it."


def _between(low: float, high: float, level: float) -> str:
    return f"{percent(level)}: {_points(low)} to {_points(high)}, at whatever moment you look"


def _about(outcomes: int) -> str:
    """A number of outcomes to wait for, of which no more than two digits mean anything."""
    return f"about {count(float(f'{outcomes:.2g}'))}"


def _points(fraction: float) -> str:
    """A fraction in points; with a decimal where it would round to 0."""
    return decimal(100 * fraction, 0 if abs(fraction) >= 0.0095 else 1)


def profit_in_words(profit: ListProfit) -> str:
    """What the calls that pay best are worth, where they end, and what that rests on."""
    plan = profit.plan
    sentences = [f"{_worth(profit)}; {_otherwise(profit)}." if plan.calls else NOTHING_EARNED]
    if plan.calls and plan.calls < plan.worth_calling:
        more = plan.worth_calling - plan.calls
        verb, which = ("is", "it") if more == 1 else ("are", "the next of them")
        sentences.append(
            f"That is all the team can make; {count(more)} more client{'s' * (more > 1)} {verb} "
            f"worth a call, {which} would earn {amount(round(plan.next_call or 0))}."
        )
    elif plan.calls and plan.next_call is not None:
        sentences.append("One more would cost more than it is expected to keep.")
    sentences.append(_rests_on(profit.success))
    if profit.without_value:
        verb = "has" if profit.without_value == 1 else "have"
        clients = plural(profit.without_value, "client")
        sentences.append(f"{clients} to call {verb} no value, so no profit is known.")
    return " ".join(sentences)


def _worth(profit: ListProfit) -> str:
    plan = profit.plan
    low, high = plan.interval
    calls = f"The {count(plan.calls)} calls that pay best are" if plan.calls > 1 else "One call is"
    return (
        f"{calls} expected to earn {amount(round(plan.expected))} (90%: {amount(round(low))} to "
        f"{amount(round(high))})"
    )


def _otherwise(profit: ListProfit) -> str:
    """What as many calls to other clients are worth."""
    plan, curve = profit.plan, profit.curve
    by_risk = curve.by_risk[curve.calls.index(plan.calls)]
    at_random = amount(round(plan.expected - plan.gain_over_random))
    if plan.calls == 1:
        return (
            f"one call to the client at the highest risk {amount(round(by_risk))}, to a client "
            f"drawn at random {at_random}"
        )
    return (
        f"as many calls to the clients at the highest risk {amount(round(by_risk))}, to clients "
        f"drawn at random {at_random}"
    )


def _rests_on(success: SuccessRate) -> str:
    mean = percent(success.mean)
    known = f"{percent(success.low)} to {percent(success.high)}"
    if success.is_measured:
        return f"By the hold-out, a call keeps {mean} ({known}) of those who would leave."
    if success.low == success.high:
        return f"It is assumed, not measured, that a call keeps {mean} of those who would leave."
    return (
        f"It is assumed, not measured, that a call keeps {mean} ({known}) of those who would leave."
    )
