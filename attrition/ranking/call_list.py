"""The list of clients to call: made from the open clients, written, later compared with outcomes.

Reads the live release, ingesteddata/ (open clients, the ledger), models/history.db.
Writes models/clientrisk.csv, models/clients.db (the same for look-ups by the API), and the ranking
into models/history.db.
"""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attrition.calls.actions_store import actions_since
from attrition.calls.contacted import read_contacted
from attrition.calls.effect import Effect
from attrition.calls.holdout import is_held_out
from attrition.calls.profit import ListProfit
from attrition.calls.study import Study
from attrition.calls.words import contacted_in_words, profit_in_words
from attrition.core import atomic_files, clock, formatting, plain_values
from attrition.core.config import BY_RISK, Config
from attrition.core.errors import DataError, UnreadableError
from attrition.core.formatting import NO_OPEN_CLIENTS, OPEN_CLIENTS
from attrition.core.loading import uncollected
from attrition.core.run_warnings import RunWarning
from attrition.data import segment_change
from attrition.data.clients import Clients
from attrition.data.ledger import Ledger, read_ledger
from attrition.engines.selection import engine
from attrition.model.champion import Champion, live_champion
from attrition.model.explanations import RAISES
from attrition.model.scorecard import Scorecard
from attrition.ranking import csv_list, lookup_db, lookup_db_writer, pricing, ranking, segment_lists
from attrition.ranking.in_common import FIRST, in_common
from attrition.ranking.movement import (
    EarlierLine,
    HighRisk,
    Movement,
    earlier_line,
    moved_as_before,
    moved_since,
)
from attrition.ranking.outcomes import (
    CONTACTED,
    EarlierList,
    RankingRecord,
    Remembered,
    first_outcomes,
    precision_at_top,
    remember,
)
from attrition.ranking.ranking import Pricing, Ranking, Tiers
from attrition.ranking.study_of_calls import (
    StudySoFar,
    study_by_settings,
    study_so_far,
    with_listed,
)
from attrition.runs import history

STAYED = "clients of the newest batch who stayed"
REPORTED_OUTCOMES = 12  # old rankings whose outcomes a record holds
TOP = 10  # clients that are shown to a person
WIDTH = 80

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RankingResult:
    """The list that was written, and the outcomes of earlier ones.

    Attributes:
        release: the id of the model that ranked the clients.
        ranking: the clients in order.
        ranked: which clients these are.
        tiers: the thresholds used.
        outcomes: of earlier rankings, newest first.
        not_listed: number of clients of lower risk left off the list, which would grow too long.
        movement: who has come to high risk and who has left it; None without an earlier list.
        earlier_line: the line for high risk of the list with which this one is compared, or None.
        rank_by: what orders it.
        profit: what calling is worth; None without costs, or where nothing is known of it.
        no_profit: why there is none although costs are set.
        study: of calls, with the clients of this list; None where nobody is held out.
        in_common: what most of the first clients have in common, a sentence; None for nothing.
    """

    release: str
    ranking: Ranking
    ranked: str
    tiers: Tiers
    outcomes: tuple[EarlierList, ...]
    not_listed: int = 0
    movement: Movement | None = None
    earlier_line: EarlierLine | None = None
    rank_by: str = BY_RISK
    profit: ListProfit | None = None
    no_profit: str | None = None
    study: StudySoFar | None = None
    in_common: str | None = None

    def counts(self) -> RankingRecord:
        """What the decision record holds of it."""
        line = self.earlier_line
        return RankingRecord(
            release=self.release,
            ranked=self.ranked,
            clients=len(self.ranking),
            not_listed=self.not_listed,
            high=self.ranking.count(ranking.HIGH),
            medium=self.ranking.count(ranking.MEDIUM),
            low=self.ranking.count(ranking.LOW),
            thresholds=self.tiers,
            outcomes=self.outcomes,
            value_at_risk=self.ranking.value_at_risk(ranking.HIGH),
            came=None if self.movement is None else len(self.movement.came),
            left=None if self.movement is None else len(self.movement.left),
            since=None if self.movement is None else self.movement.since,
            earlier_line=line if line and line.before(self.tiers.high) else None,
            one_risk=self.ranking.one_risk,
            rank_by=self.rank_by,
            profit=self.profit,
            no_profit=self.no_profit,
            resting=self.ranking.resting,
            first_free=self.ranking.first_free,
            odd_values=self.ranking.odd_values,
            in_common=self.in_common,
        )


def rank(config: Config) -> RankingResult | str:
    """Rank by the live model what is ingested; see `rank_clients`."""
    return rank_clients(config, read_ledger(config.ledger), live_champion(config))


@uncollected()
def rank_clients(config: Config, ledger: Ledger, champion: Champion | None) -> RankingResult | str:
    """Rank the open clients by the deployed model; without any, the clients of the newest batch who
    stayed. Clients who have left are not ranked.

    Returns:
        What was written; or a text that says why there is no list. An older one is then removed.
    """
    if champion is None:
        return give_up(config, "no model is deployed")
    if champion.misfit is not None:
        return give_up(config, champion.misfit)
    card, release = champion.card, champion.release
    clients, ranked, total = _clients_to_rank(config, ledger, card)
    is_open = ranked == OPEN_CLIENTS  # nobody calls clients of a known outcome
    if not len(clients):
        everybody_left = f"{NO_OPEN_CLIENTS}; of the newest batch all have left"
        return give_up(config, "there are no clients" if is_open else everybody_left)
    study = study_so_far(config, ledger)
    priced = pricing.pricing(config, study.effect if study else None) if is_open else None
    tiers, result = _in_order(config, card, clients, priced, is_open=is_open)
    study = with_listed(config, ledger, study, result)
    rank_by = pricing.order(config, priced, result.values_at_risk)
    order = pricing.order_settings(config, rank_by, held_out=result.held_out is not None)
    result, movement, line = _compared(config, result, ranked, order, tiers)
    about: dict[str, Any] = {"time": clock.now(), "release": release.id, "ranked": ranked}
    about["order"] = order
    about |= {"earlier_line": asdict(line)} if line else {}
    about |= _calls_in_list(config, result, rank_by, is_open=is_open)
    about |= _in_common(config, card, clients, result, is_open=is_open)
    profit = result.profit(priced) if isinstance(priced, Pricing) else priced
    written = RankingResult(
        release=release.id,
        ranking=result,
        ranked=ranked,
        tiers=tiers,
        outcomes=(),
        not_listed=total - len(clients),
        movement=movement,
        earlier_line=line,
        rank_by=rank_by,
        profit=profit if isinstance(profit, ListProfit) else None,
        no_profit=profit if isinstance(profit, str) else None,
        study=study,
        in_common=about.get("in_common"),
    )
    _write(config, ledger, clients, written, about)
    if config.id_column is None:
        return written
    kept = remember(result, release.id, ledger.commit_id, ranked, tiers.high)
    risks = result.risks(config.clients_with_reasons)
    history.record_ranking(
        config.history, kept.key, about["time"], asdict(kept), config.rankings_to_keep, risks=risks
    )
    return replace(written, outcomes=earlier_outcomes(config, ledger))


def _write(
    config: Config, ledger: Ledger, clients: Clients, listed: RankingResult, about: dict[str, Any]
) -> None:
    """Write the lists, then the look-up database."""
    result = listed.ranking
    csv_list.write_list(config.client_risk, result)
    awaited = segment_change.awaited(config, ledger)
    segment_lists.write_segments(config.segment_lists, result, config.labels, awaited)
    lookup_db_writer.write_ranking(
        config.client_book,
        result,
        clients.columns,
        listed.tiers,
        about,
        movement=listed.movement,
    )


def _in_order(
    config: Config,
    card: Scorecard,
    clients: Clients,
    priced: Pricing | str | None,
    *,
    is_open: bool,
) -> tuple[Tiers, Ranking]:
    """The thresholds and the ranking by them."""
    values = None if clients.values is None else ranking.worth(clients.values)
    tiers = ranking.choose_tiers(
        pricing.high_threshold(config, priced, values),
        config.medium_risk_threshold,
        card.threshold,
    )
    share, salt = config.holdout_share, config.holdout_salt or ""
    is_study = bool(share) and is_open
    result = ranking.rank(
        card,
        clients.ids,
        clients.columns,
        values=clients.values,
        tiers=tiers,
        with_reasons=config.clients_with_reasons,
        held_out=is_held_out(clients.ids.tolist(), share, salt) if is_study else None,
        labels=config.labels,
        rank_by=pricing.order(config, priced, values),
        pricing=priced if isinstance(priced, Pricing) else None,
        segments=clients.segments,
    )
    return tiers, _with_rest(config, result) if is_open else result


def _compared(
    config: Config, result: Ranking, ranked: str, order: str, tiers: Tiers
) -> tuple[Ranking, Movement | None, EarlierLine | None]:
    """The ranking with its changes, who moved, and the line for high risk, since the last list that
    was another.

    One made again, or anew by other settings, is the last one: nobody's risk has changed.
    """
    last = None if config.id_column is None else _last_list(config, ranked, order)
    if last is None:
        return ranking.with_changes(result, None), None, None
    previous, high_risk = last
    result = ranking.with_changes(result, previous)
    moved = (moved_as_before if result.is_again else moved_since)(high_risk, result, tiers.high)
    by_settings = config.high_risk_threshold is not None
    line = earlier_line(high_risk, result, tiers.high, by_settings=by_settings)
    return result, moved, line


def _calls_in_list(
    config: Config, result: Ranking, rank_by: str, *, is_open: bool
) -> dict[str, Any]:
    """What `about` says of the calls that the list leads to; see `lookup_db.Page`."""
    about: dict[str, Any] = {} if rank_by == BY_RISK else {"rank_by": rank_by}
    if is_open and config.calls_per_list is not None:
        about["calls_per_list"] = config.calls_per_list
    if result.last_contacts is not None:
        about["rest_days"] = config.rest_days
        if "calls_per_list" in about:  # the place where these calls end
            called = result.first_to_call(most := about["calls_per_list"])
            about["last_call"] = called[-1] + 1 if len(called) == most else len(result)
    return about


def _in_common(
    config: Config, card: Scorecard, clients: Clients, result: Ranking, *, is_open: bool
) -> dict[str, str]:
    """What `about` says of the clients whom the team can call, or else of the first ones."""
    number = (config.calls_per_list if is_open else None) or FIRST
    text = in_common(card, clients.features, result, number, config.labels)
    return {} if text is None else {"in_common": text}


def recorded(listed: RankingResult | str) -> tuple[RankingRecord | None, str | None]:
    """The result of `rank` for the decision record: the ranking, or why there is none."""
    return (None, listed) if isinstance(listed, str) else (listed.counts(), None)


def effect_of_calls(
    config: Config, ledger: Ledger, listed: RankingResult | str
) -> tuple[Effect | None, str | None]:
    """What calls have changed, for the decision record; or why that is not measured.

    Args:
        listed: the result of `rank`.
    """
    study = study_so_far(config, ledger) if isinstance(listed, str) else listed.study
    effect = study.effect if study else None
    if effect and (text := contacted_in_words(effect)):
        logger.warning("the study of calls: %s", text)
    return effect, study.fault if study else None


def record_anew(config: Config, listed: RankingResult | str) -> None:
    """Put a list made after the last run, or the reason for none, into that run's record.

    A study of calls that begins or ends with the list does so then, and not with the next run.
    """
    if record := atomic_files.read_json_object(config.decision):
        ranking_record, reason = recorded(listed)
        plain = ranking_record.to_json() if ranking_record else None
        record |= {"ranking": plain, "no_ranking": reason}
        measured = effect_of_calls(config, read_ledger(config.ledger), listed)
        for key, value in zip(("effect", "no_effect"), measured, strict=True):
            record.pop(key, None)
            if value is not None:
                record[key] = plain_values.to_json(value)
        atomic_files.write_json(config.decision, _with_study(config, record))


def _with_study(config: Config, record: dict[str, Any]) -> dict[str, Any]:
    """The record with the study of today's settings; as it was where it holds none that reads."""
    known = record.get("study")
    try:
        last = plain_values.from_json(Study, known) if known is not None else None
        warnings = plain_values.from_json(tuple[RunWarning, ...], record.get("warnings", []))
    except DataError:
        return record
    study, notice = study_by_settings(config, last, clock.now("milliseconds"))
    if notice is None:
        return record
    told = plain_values.to_json([*warnings, RunWarning(notice)])
    return {**record, "study": plain_values.to_json(study), "warnings": told}


def give_up(config: Config, reason: str) -> str:
    """Remove an older list, which could be mistaken for a current one.

    Returns:
        The reason.
    """
    config.client_risk.unlink(missing_ok=True)
    config.client_book.unlink(missing_ok=True)
    segment_lists.remove_segments(config.segment_lists)
    logger.info("%s: not written: %s", config.client_risk, reason)
    return reason


def _clients_to_rank(config: Config, ledger: Ledger, card: Scorecard) -> tuple[Clients, str, int]:
    """The clients, each once; a text that says which clients they are; the number of all these."""
    source = engine(config)
    clients, total = source.riskiest_opened(ledger, card)
    if total or not ledger.commits:
        return clients, OPEN_CLIENTS, total
    clients, total = source.riskiest_stayed(ledger, card)
    return clients, STAYED, total


def _with_rest(config: Config, listed: Ranking) -> Ranking:
    """The ranking with who was contacted within `rest_days`; as it is where these are not set."""
    if config.rest_days is None:
        return listed
    first = clock.days_ago(config.rest_days - 1)
    days = {client: day for client, day, _ in actions_since(config.actions, first)}
    to_call = listed.ids[: listed.to_call].tolist()
    contacts = [days.get(client, "") for client in to_call] + [""] * (listed.held_out or 0)
    return replace(listed, last_contacts=contacts, rest_days=config.rest_days)


def _last_list(config: Config, ranked: str, order: str) -> tuple[ranking.Previous, HighRisk] | None:
    """The last list, for one of such clients in such an order; None where none compares with it."""
    try:
        with lookup_db.opened(config.client_book) as book:
            if book.about["ranked"] != ranked:
                return None
            return book.previous(order), book.high_risk()
    except FileNotFoundError:
        return None
    except UnreadableError:
        raise  # the next run may read it; without it, what changed would be lost for good
    except DataError as error:
        logger.warning("%s; the new list shows no changes", error)
        return None


def earlier_outcomes(config: Config, ledger: Ledger) -> tuple[EarlierList, ...]:
    """Outcomes of the clients of earlier rankings, from the labelled rows that came after each.

    Rankings made before the ledger was rebuilt are left out: it is unknown which rows came after.

    Returns:
        Newest first; rankings without a known outcome are left out.
    """
    remembered = [
        (time, kept, 0 if kept["commit"] is None else ledger.number_of(kept["commit"]))
        for time, kept in history.rankings(config.history)
    ]
    later = [
        (time, Remembered(**kept), number)
        for time, kept, number in remembered
        if number is not None and number < len(ledger.commits)
    ]
    if not later:
        return ()
    oldest = min(number for _, _, number in later)
    ids, labels, numbers = _labelled_since(config, ledger, oldest, [kept for _, kept, _ in later])
    rows = np.cumsum([0, *(commit.rows for commit in ledger.commits[oldest:])])
    results = []
    for time, kept, number in later:
        start = int(np.searchsorted(numbers, rows[number - oldest]))
        outcomes = first_outcomes(ids[start:], labels[start:])
        tops, overall = precision_at_top(kept, outcomes)
        if any(one.known or one.contacted for one in (overall, *tops.values())):
            results.append(EarlierList(time, kept.release, tops, overall))
    return tuple(results[:REPORTED_OUTCOMES])


def _labelled_since(
    config: Config, ledger: Ledger, commit: int, rankings: Sequence[Remembered]
) -> tuple[list[str], list[int], NDArray[np.intp]]:
    """Ids, labels and row numbers, from a commit on, of the labelled rows of ranked clients.

    In place of labels that a call may have changed stands `CONTACTED`.
    """
    wanted = {client for kept in rankings for client in (*kept.top, *kept.sample)}
    start = ledger.commits[commit].start
    ids, labels, numbers = engine(config).outcomes(ledger, start, wanted)
    acted_on = read_contacted(config, ledger, start)
    if acted_on is not None:
        is_contacted = acted_on.of(np.array(ids, dtype=object), numbers)
        labels = np.where(is_contacted, CONTACTED, labels).tolist()
    return ids, labels, numbers


def top_table(result: RankingResult) -> str:
    """The first ten clients to call as a table of at most 80 columns."""
    listed, counts = result.ranking, result.counts()
    head = (
        f"{len(listed):,} {result.ranked}: {listed.count(ranking.HIGH):,} at high risk (from "
        f"{result.tiers.high:.0%} on), {listed.count(ranking.MEDIUM):,} at medium"
    )
    lines = [] if result.ranked == OPEN_CLIENTS else [f"{NO_OPEN_CLIENTS}."]
    if listed.held_out:
        head += f"; {listed.held_out:,} below all others are held out: {ranking.WHY_HELD_OUT}"
    resting = counts.resting_in_words
    lines += _wrapped(f"{head}; {resting}" if resting else head)
    texts = [counts.one_risk_in_words, counts.line_in_words]
    texts += [profit_in_words(result.profit)] if result.profit else []
    if result.no_profit and result.no_profit != resting:
        texts.append(formatting.sentence(result.no_profit))
    if listed.odd_values:
        texts.append(formatting.sentence(str(listed.odd_values)))
    if result.in_common:
        texts.append(result.in_common)
    for text in filter(None, texts):
        lines += ["", *_wrapped(text)]
    return "\n".join([*lines, *_first_to_call(listed)])


def _first_to_call(listed: Ranking) -> list[str]:
    """The table itself; nothing where nobody may be called."""
    positions, profits = listed.first_to_call(TOP), listed.profits
    if not positions:
        return []
    amounts = (
        ["profit", *(_amount(float(profits[i])) for i in positions)] if profits is not None else []
    )
    width = max(8, *map(len, amounts)) if amounts else 0
    head = f" {amounts[0]:>{width}}" if amounts else ""
    lines = ["", f"rank   risk  tier  {head}  client, and why"]
    for number, position in enumerate(positions, 1):
        risk = formatting.chance(float(listed.probabilities[position]))
        amount = f" {amounts[number]:>{width}}" if amounts else ""
        about = f"{position + 1:>4,} {risk:>6}  {listed.tiers[position]:6}{amount}  "
        room = WIDTH - len(about)
        lines.append(about + formatting.line(listed.ids[position], room))
        if position < len(listed.reasons):
            what, *_ = listed.reasons[position][0].rsplit(RAISES, 1)
            lines.append(" " * len(about) + formatting.line(what, room))
    return lines


def _amount(profit: float) -> str:
    return formatting.amount(None if np.isnan(profit) else profit)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, break_on_hyphens=False)
