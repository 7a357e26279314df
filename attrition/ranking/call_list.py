"""The list of whom to call: made from the open clients, written, and later judged by outcomes.

Reads the live release, ingesteddata/ (open clients, the ledger), models/history.db.
Writes models/clientrisk.csv, models/clients.db (the same for the API to look up), and the ranking
into models/history.db.
"""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from attrition.core import atomic_files, clock, formatting, plain_values, releases
from attrition.core.config import Config
from attrition.core.errors import DataError
from attrition.core.formatting import NO_OPEN_CLIENTS, OPEN_CLIENTS
from attrition.data.clients import Clients
from attrition.data.ledger import Ledger, read_ledger
from attrition.engines.selection import engine
from attrition.model.compatibility import misfit
from attrition.model.scorecard import Scorecard, load_scorecard
from attrition.ranking import csv_list, lookup_db, ranking
from attrition.ranking.outcomes import (
    EarlierList,
    RankingRecord,
    Remembered,
    first_outcomes,
    precision_at_top,
    remember,
)
from attrition.ranking.ranking import Ranking, Tiers
from attrition.runs import history

STAYED = "clients of the newest batch who stayed"
TOLD_OUTCOMES = 12  # old rankings whose outcomes a record tells
TOP = 10  # clients that are shown to a person
WIDTH = 80

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RankingResult:
    """The list that was written, and what became of the clients of earlier ones.

    Attributes:
        release: by whose model the clients are ranked.
        ranking: the clients in order.
        ranked: which clients these are.
        tiers: the thresholds used.
        outcomes: of earlier rankings, newest first.
        not_listed: clients of lower risk that are not on the list, since it would grow too long.
    """

    release: str
    ranking: Ranking
    ranked: str
    tiers: Tiers
    outcomes: tuple[EarlierList, ...]
    not_listed: int = 0

    def counts(self) -> RankingRecord:
        """What the decision record holds of it."""
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
        )


def rank(config: Config) -> RankingResult | str:
    """Rank the open clients by the live model; where none is open, those of the newest batch who
    stayed. Nobody who has left is ranked.

    Returns:
        What was written; or in words why no list could be made. Then no older list is kept.
    """
    path = config.client_risk
    release = releases.live_release(config.prod_deployment_path)
    if release is None:
        return give_up(config, "no model is deployed")
    card = load_scorecard(release.folder / "scorecard.json")
    training = atomic_files.read_json(release.folder / "training.json")
    if (reason := misfit(config, card, training)) is not None:
        return give_up(config, reason)
    ledger = read_ledger(config.ledger)
    clients, ranked, total = _clients_to_rank(config, ledger, card)
    if not len(clients):
        return give_up(
            config,
            "there are no clients"
            if ranked == OPEN_CLIENTS
            else f"{NO_OPEN_CLIENTS}; of the newest batch all have left",
        )
    tiers = ranking.choose_tiers(
        config.high_risk_threshold, config.medium_risk_threshold, card.threshold
    )
    found = ranking.rank(
        card,
        clients.ids,
        clients.columns,
        values=clients.values,
        tiers=tiers,
        with_reasons=config.clients_with_reasons,
    )
    found = ranking.with_changes(found, _last_list(path) if config.id_column else None)
    csv_list.write_list(path, found)
    about = {"time": clock.now(), "release": release.id, "ranked": ranked}
    lookup_db.write_ranking(config.client_book, found, clients.columns, tiers, about)
    if config.id_column is None:
        return RankingResult(release.id, found, ranked, tiers, (), total - len(clients))
    kept = remember(found, release.id, ledger.commit_id)
    risks = found.risks(config.clients_with_reasons)
    history.record_ranking(
        config.history, kept.key, about["time"], asdict(kept), config.rankings_to_keep, risks=risks
    )
    outcomes = earlier_outcomes(config, ledger)
    return RankingResult(release.id, found, ranked, tiers, outcomes, total - len(clients))


def recorded(listed: RankingResult | str) -> tuple[RankingRecord | None, str | None]:
    """What `rank` gave, as the decision record holds it: the ranking, or why there is none."""
    return (None, listed) if isinstance(listed, str) else (listed.counts(), None)


def record_anew(config: Config, listed: RankingResult | str) -> None:
    """Let the last run's record tell of a list made after it, or why there is none."""
    if record := atomic_files.read_json_object(config.decision):
        ranking_record, reason = recorded(listed)
        told = {"ranking": plain_values.to_json(ranking_record), "no_ranking": reason}
        atomic_files.write_json(config.decision, {**record, **told})


def give_up(config: Config, reason: str) -> str:
    """Keep no older list, which would be taken for today's.

    Returns:
        The reason.
    """
    config.client_risk.unlink(missing_ok=True)
    config.client_book.unlink(missing_ok=True)
    logger.info("%s: not written: %s", config.client_risk, reason)
    return reason


def _clients_to_rank(config: Config, ledger: Ledger, card: Scorecard) -> tuple[Clients, str, int]:
    """The clients, each once, in words which ones they are, and how many of these there are."""
    place = engine(config)
    clients, total = place.riskiest_opened(ledger, card)
    if total or not ledger.commits:
        return clients, OPEN_CLIENTS, total
    clients, total = place.riskiest_stayed(ledger, card)
    return clients, STAYED, total


def _last_list(path: Path) -> ranking.Previous | None:
    try:
        return csv_list.read_list(path)
    except DataError as error:
        logger.warning("%s; the new list tells no changes", error)
        return None


def earlier_outcomes(config: Config, ledger: Ledger) -> tuple[EarlierList, ...]:
    """What became of the clients of earlier rankings, by the labelled rows that came after each.

    A ranking made before the training set was made anew is passed over: what came after it can
    no longer be told.

    Returns:
        Newest first; rankings of which no outcome is known are not among them.
    """
    places = {commit.id: place for place, commit in enumerate(ledger.commits, start=1)}
    remembered = [
        (time, Remembered(**kept), 0 if kept["commit"] is None else places[kept["commit"]])
        for time, kept in history.rankings(config.history)
        if kept["commit"] is None or kept["commit"] in places
    ]
    later = [item for item in remembered if item[2] < len(ledger.commits)]
    if not later:
        return ()
    oldest = min(place for _, _, place in later)
    ids, labels, numbers = _labelled_since(config, ledger, oldest, [kept for _, kept, _ in later])
    rows = np.cumsum([0, *(commit.rows for commit in ledger.commits[oldest:])])
    found = []
    for time, kept, place in later:
        start = int(np.searchsorted(numbers, rows[place - oldest]))
        outcomes = first_outcomes(ids[start:], labels[start:])
        tops, everybody = precision_at_top(kept, outcomes)
        if everybody.known or any(top.known for top in tops.values()):
            found.append(EarlierList(time, kept.release, tops, everybody))
    return tuple(found[:TOLD_OUTCOMES])


def _labelled_since(
    config: Config, ledger: Ledger, commit: int, rankings: Sequence[Remembered]
) -> tuple[list[str], list[int], NDArray[np.intp]]:
    """Ids, labels and row numbers, from a commit on, of the rows that outcomes are read from."""
    wanted = {client for kept in rankings for client in (*kept.top, *kept.sample)}
    return engine(config).outcomes(ledger, ledger.commits[commit].start, wanted)


def top_table(result: RankingResult) -> str:
    """The first ten clients as a table of at most 80 columns."""
    found = result.ranking
    head = (
        f"{len(found):,} {result.ranked}: {found.count(ranking.HIGH):,} at high risk (from "
        f"{result.tiers.high:.0%} on), {found.count(ranking.MEDIUM):,} at medium"
    )
    lines = [] if result.ranked == OPEN_CLIENTS else [f"{NO_OPEN_CLIENTS}."]
    lines += textwrap.wrap(head, WIDTH)
    lines += ["", "rank   risk  tier    client, and the strongest reason"]
    for place in range(min(TOP, len(found))):
        risk = formatting.chance(float(found.probabilities[place]))
        about = f"{place + 1:4} {risk:>6}  {found.tiers[place]:6}  "
        room = WIDTH - len(about)
        lines.append(about + formatting.line(found.ids[place], room))
        if place < len(found.reasons):
            lines.append(" " * len(about) + formatting.line(found.reasons[place][0], room))
    return "\n".join(lines)
