"""The report's first chapter: whom to call, in which order, and why."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from attrition.calls.words import profit_in_words
from attrition.core import formatting
from attrition.core.config import BY_PROFIT, BY_RISK, BY_VALUE
from attrition.model.terms import Floats
from attrition.monitoring import severity
from attrition.ranking import ranking
from attrition.ranking.client_pages import client_url, row_names
from attrition.ranking.outcomes import RankingRecord
from attrition.ranking.ranking import Ranking
from attrition.report.document import (
    PROFIT,
    Block,
    Call,
    Calls,
    Heading,
    Note,
    Section,
    Table,
    Text,
    table,
)
from attrition.report.inputs import ReportInputs

TOP = 10
_CAPTIONS = {
    BY_RISK: "The clients most likely to leave",
    BY_VALUE: "The clients with whom the most is at stake",
    BY_PROFIT: "The clients whom it pays most to call",
}
UPLIFT = (
    "The client most likely to leave is not always the one a call will keep: this list predicts "
    "who leaves, not whom a call would change. "
)
TO_LEARN_THAT = (
    "To learn that, call a random part of the clients "
    "at risk, leave the others alone, and compare how many of each stay."
)
LEARNING_THAT = (
    "To learn that, clients chosen by chance are held out: leave them alone, call the others, and "
    "compare how many of each stay."
)


def headline(inputs: ReportInputs) -> str:
    """Whom to call, in one sentence."""
    if inputs.model is None or inputs.model.release is None:
        return "There is no list of clients yet: no model is deployed."
    listed = inputs.listed
    if isinstance(inputs.ranking, str) or listed is None:
        return formatting.no_list(str(inputs.ranking))
    high, clients, ranked = listed.high, listed.clients, listed.ranked
    if ranked != formatting.OPEN_CLIENTS:
        decision = inputs.decision
        return f"{decision.no_open_clients if decision else formatting.NO_OPEN_CLIENTS}."
    if clients == 1:
        tier = inputs.ranking.tiers[0]
        return f"There is one client to rank, at {tier} risk of leaving."
    if alike := listed.one_risk_in_words:
        return f"{alike} {_call_first(inputs)}".strip()
    line = listed.earlier_line
    was = line.in_brief(listed.thresholds.high) if line else ""
    if not high:
        return f"None of {clients:,} {ranked} is at high risk of leaving{was}."
    verb = "is" if high == 1 else "are"
    text = f"{high:,} of {clients:,} {ranked} {verb} at high risk of leaving{was}."
    return f"{text} {_call_first(inputs)}".strip()


def _call_first(inputs: ReportInputs) -> str:
    """Whom to call first; "" where that is one client, or where no order can be relied on."""
    model, listed = inputs.model, inputs.listed
    assert model is not None
    assert listed is not None
    assert not isinstance(inputs.ranking, str)
    if listed.one_risk is not None and listed.rank_by == BY_RISK:
        return ""
    cross_validated = model.training.get("cross_validated") or {}
    if not severity.is_to_be_relied_on(inputs.decision_on_model, model.scores, cross_validated):
        return ""
    shown = len(inputs.ranking.first_to_call(TOP))
    shown = min(shown, inputs.config.calls_per_list or shown)
    if listed.profit and listed.rank_by == BY_PROFIT:
        shown = min(shown, listed.profit.plan.calls)
    numbers = "two three four five six seven eight nine ten".split()
    return f"Call these {numbers[shown - 2]} first." if shown > 1 else ""


def at_stake(inputs: ReportInputs) -> str:
    """What the clients at high risk are worth, and who has come to them or left, in a sentence."""
    listed = inputs.listed
    if listed is None:
        return ""
    parts = []
    if listed.value_at_risk is not None:
        stake = formatting.amount(listed.value_at_risk)
        parts.append(f"the value at risk among those at high risk is {stake}")
    if listed.came is not None and listed.left is not None:
        came = formatting.plural(listed.came, "client")
        since = f"since the list of {formatting.moment(listed.since)}, " if listed.since else ""
        parts.append(
            f"{since}{came} "
            f"{'has' if listed.came == 1 else 'have'} come to high risk, and {listed.left:,} "
            f"{'is' if listed.left == 1 else 'are'} no longer at high risk or no longer listed"
        )
    return formatting.sentence("; ".join(parts)) if parts else ""


def chapter(inputs: ReportInputs) -> Section:
    """The clients to call, by risk."""
    ranking, listed = inputs.ranking, inputs.listed
    if isinstance(ranking, str) or listed is None:
        text = Text(_no_list(inputs, str(ranking)))
        return Section("clients", "Whom to call", (text,))
    calls = _calls(ranking, listed, row_names(inputs.config, listed.ranked))
    common = (Text(listed.in_common),) if listed.in_common else ()
    if listed.ranked == formatting.OPEN_CLIENTS:
        end = _end_of_calls(ranking, listed, inputs.config.calls_per_list)
        nobody = (Text(_nobody(listed)), Text(calls.note))
        blocks: tuple[Block, ...] = (*common, calls, *end) if calls.calls else nobody
        return Section("clients", "Whom to call", blocks)
    about = (
        f"This is no list to call: it ranks the {listed.ranked}, whose outcome is known already."
    )
    return Section("clients", "No client to call", (Text(about), *common, calls))


def _nobody(listed: RankingRecord) -> str:
    """Why nobody may be called now."""
    return formatting.sentence(listed.resting_in_words or "every client is held out")


def _end_of_calls(
    clients: Ranking, listed: RankingRecord, calls_per_list: int | None
) -> Iterator[Text]:
    """Where the team's calls end; in a list by profit the chapter on that says so."""
    if calls_per_list is None or listed.rank_by == BY_PROFIT:
        return
    calls = f"Your team's {formatting.plural(calls_per_list, 'call')}"
    to_call = clients.callable_now
    if calls_per_list >= len(to_call):
        yield Text(f"{calls} can reach everybody who is to be called.")
        return
    last = int(to_call[calls_per_list - 1])
    risk = formatting.chance(float(clients.probabilities[last]))
    verb = "ends" if calls_per_list == 1 else "end"
    yield Text(f"{calls} {verb} at rank {last + 1:,}, at a risk of {risk}.")


def profit(inputs: ReportInputs) -> Iterator[Block]:
    """Whether calling pays, where costs are set."""
    listed = inputs.listed
    if listed and listed.no_profit:
        yield Note("Does calling pay?", formatting.sentence(listed.no_profit))
    if listed and listed.profit:
        yield Heading("Does calling pay?")
        yield Text(profit_in_words(listed.profit))
        yield from inputs.drawn(PROFIT)


def caveat(inputs: ReportInputs) -> Iterator[Note]:
    """What a list of whom to call does not say; nothing where it is none."""
    listed = inputs.listed
    if listed is not None and listed.ranked != formatting.OPEN_CLIENTS:
        return
    is_learning = inputs.config.holdout_share > 0
    text = UPLIFT + (LEARNING_THAT if is_learning else TO_LEARN_THAT)
    yield Note("What this list is not.", text)


def _no_list(inputs: ReportInputs, reason: str) -> str:
    if inputs.model is None or inputs.model.release is None:
        return (
            "As soon as a model is deployed, the clients whose outcome is open are ranked here. "
            "It takes labelled client rows in the source folder."
        )
    return formatting.no_list(reason)


def _calls(clients: Ranking, listed: RankingRecord, names: str) -> Calls:
    """The first clients; `names` says what they are called by, where that is not their id."""
    thresholds = listed.thresholds
    with_values = clients.values_at_risk is not None
    calls = tuple(_call(clients, position) for position in clients.first_to_call(TOP))
    resting = listed.resting_in_words if calls else ""
    counted = ", ".join(f"{clients.count(t):,} {t}" for t in (ranking.HIGH, ranking.MEDIUM))
    is_by_name = listed.one_risk is not None and listed.rank_by == BY_RISK
    return Calls(
        caption="The first clients by name" if is_by_name else _CAPTIONS[listed.rank_by],
        calls=calls,
        with_changes=any(call.change for call in calls),
        with_values=with_values,
        with_profit=clients.profits is not None,
        note=f"High risk: from {formatting.percent(thresholds.high)} on; "
        f"medium: from {formatting.percent(thresholds.medium)}. "
        f"Of {len(clients):,} clients, {counted}, {clients.count(ranking.LOW):,} low. "
        f"{_held_out(clients)}{formatting.sentence(resting) + ' ' if resting else ''}"
        f"The whole list, in order, is clientrisk.csv. {names}{' ' if names else ''}"
        "A reason is a value that raises the client's risk above its mean over all clients' values "
        "of that column, all else being equal; strongly: it doubles the odds of leaving, or more.",
    )


def _held_out(clients: Ranking) -> str:
    """How many clients are held out, as a sentence and a blank; empty without any."""
    if not clients.held_out:
        return ""
    verb = "is" if clients.held_out == 1 else "are"
    return (
        f"{clients.held_out:,} of them {verb} held out: {ranking.WHY_HELD_OUT}; "
        f"clientrisk.csv has them below the others. "
    )


def _call(ranking: Ranking, position: int) -> Call:
    reasons = ranking.reasons[position] if position < len(ranking.reasons) else []
    return Call(
        rank=formatting.count(position + 1),
        client=formatting.middle(ranking.ids[position]),
        risk=formatting.chance(float(ranking.probabilities[position])),
        share=float(ranking.probabilities[position]),
        tier=str(ranking.tiers[position]),
        reasons=tuple(formatting.middle(reason, 200) for reason in reasons),
        change=_change(ranking, position),
        at_risk=_money_of(ranking.values_at_risk, position),
        profit=_money_of(ranking.profits, position),
        url=client_url(str(ranking.ids[position])),
    )


def _change(clients: Ranking, position: int) -> tuple[str, ...]:
    """Changes of rank and risk since the last list of other clients or risks; empty without."""
    risk = clients.probability_changes[position] if len(clients.probability_changes) else ""
    climbed = clients.rank_changes[position] if len(clients.rank_changes) else ""
    if not risk:
        return ()
    if risk == ranking.NEW:
        return ("new",)
    moved = formatting.signed(100 * float(risk), 1)
    risk = f"risk {'as before' if moved == '0.0' else f'{moved} pts'}"
    if not climbed:  # that list had another order
        return (risk,)
    ranks = int(climbed)
    return f"{'up' if ranks > 0 else 'down'} {abs(ranks):,}" if ranks else "same place", risk


def _money_of(amounts: Floats | None, position: int) -> str:
    return "" if amounts is None else _money(float(amounts[position]))


def _money(value: float) -> str:
    return formatting.whole_amount(None if np.isnan(value) else value)


def by_value(inputs: ReportInputs) -> Iterator[Table]:
    """The clients with the most value at risk; nothing without values."""
    ranking = inputs.ranking
    if isinstance(ranking, str) or ranking.values is None:
        return
    assert ranking.value_ranks is not None
    assert ranking.values_at_risk is not None
    ranks = ranking.value_ranks
    known = ranking.callable_now[ranks[ranking.callable_now] > 0]
    wanted = known[np.argsort(ranks[known])[:TOP]].tolist()
    rows = [
        (
            formatting.count(ranks[position]),
            formatting.middle(ranking.ids[position]),
            _money(float(ranking.values_at_risk[position])),
            _money(float(ranking.values[position])),
            formatting.chance(float(ranking.probabilities[position])),
            f"{position + 1:,}",
        )
        for position in wanted
    ]
    blank = int((ranks == 0).sum())
    note = "Value at risk is the probability of leaving times the value."
    if blank:
        note += f" {formatting.plural(blank, 'client')} without a value cannot stand here."
    column = inputs.config.labels.name(str(inputs.config.value_column), 36)
    rank_by = inputs.listed.rank_by if inputs.listed else BY_RISK
    if rank_by == BY_VALUE or not rows:
        return
    yield table(
        "By value at risk: where the most is at stake",
        "rlrrrr",
        ("Rank", "Client", "Value at risk", column, "Risk", f"Rank by {rank_by}"),
        rows,
        note,
    )
