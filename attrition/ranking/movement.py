"""Who has come to high risk since the last list that was another, and who has left it.

Values in, values out. A list made again, or by other settings alone (`Ranking.is_again`), is
compared with the list that the one before it was compared with. Where that one drew another line
for high risk, today's is drawn on both: what a line alone does moves nobody.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attrition.core.formatting import DECIMALS, moment, percent, plural
from attrition.ranking.ranking import HIGH, NEW, Ranking

CAME, LEFT = MOVES = "came", "left"


@dataclass(frozen=True)
class Movement:
    """Names of clients; `since` is the time of the list that they are compared with, UTC, ISO 8601.

    Attributes:
        came: those at high risk who were not, or were not listed.
        left: those who were at high risk and are listed in another tier, or not at all.
    """

    since: str
    came: frozenset[str]
    left: frozenset[str]


@dataclass(frozen=True)
class EarlierLine:
    """The line for high risk on the list with which one is compared.

    Attributes:
        least: the least probability, a fraction 0-1.
        time: of that list, UTC, ISO 8601.
        clients: how many of the new list it would have at high risk.
        by_settings: whether settings draw the new line, and not the model.
    """

    least: float
    time: str
    clients: int
    by_settings: bool

    def before(self, now: float) -> str:
        """Where the line was, if it is seen to be elsewhere now; else ""."""
        was = percent(self.least)
        return "" if was == percent(now) else was

    def in_brief(self, now: float) -> str:
        """The same as the end of a sentence about high risk; "" where it is seen to be the same."""
        was = self.before(now)
        return f", which now begins at {percent(now)} (before: {was})" if was else ""

    def in_words(self, now: float) -> str:
        """That the line is another now, in two sentences; "" where it is seen to be the same."""
        if not (was := self.before(now)):
            return ""
        now_at = f"{percent(now)}, set {'in config.json' if self.by_settings else 'by the model'}"
        return (
            f"High risk now begins at {now_at}; on the list of {moment(self.time)} "
            f"it began at {was}, and from there on {plural(self.clients, 'client')} would be at "
            "high risk today. Clients whose tier changed by that alone are not counted as moved."
        )


@dataclass(frozen=True)
class HighRisk:
    """The clients at high risk of a list, its time, and what it said of those who moved.

    Attributes:
        least: the least probability of these clients, a fraction 0-1.
        earlier: the line of the list with which this one is compared: its least probability and
            its time; None without one.
    """

    time: str
    clients: frozenset[str]
    movement: Movement | None
    least: float
    earlier: tuple[float, str] | None = None


def moved_since(last: HighRisk, ranking: Ranking, least: float) -> Movement:
    """The movement of a list that is another than the last one.

    Args:
        last: the last list.
        ranking: the list, with its changes since then.
        least: its least probability of a client at high risk, a fraction 0-1.
    """
    return _moved(last.time, _by_line(last.clients, last, ranking, least), ranking)


def moved_as_before(last: HighRisk, ranking: Ranking, least: float) -> Movement | None:
    """The movement of a list that is the last one made again, since the list before these; the
    arguments are those of `moved_since`, and the changes are since then, too.
    """
    if (movement := last.movement) is None:
        return None
    before = (last.clients - movement.came) | movement.left
    return _moved(movement.since, _by_line(before, last, ranking, least), ranking)


def earlier_line(
    last: HighRisk, ranking: Ranking, now: float, *, by_settings: bool
) -> EarlierLine | None:
    """The line of the list with which one is compared; None where there is no such list.

    Args:
        now: the line of the list.
        by_settings: see `EarlierLine`.
    """
    if ranking.is_again and last.earlier is None and last.least == now:
        return None  # the very first one, made again
    least, time = (ranking.is_again and last.earlier) or (last.least, last.time)
    clients = int((ranking.probabilities >= least).sum())
    return EarlierLine(least, time, clients, by_settings)


def _by_line(
    clients: frozenset[str], last: HighRisk, ranking: Ranking, least: float
) -> frozenset[str]:
    """The clients at high risk of an earlier list, had today's line been drawn there; of those who
    are not listed any more nobody knows, so they stay.
    """
    if least == last.least:
        return clients
    ids = ranking.ids.tolist()
    changes = [np.nan if change == NEW else float(change) for change in ranking.probability_changes]
    earlier = np.round(ranking.probabilities - changes, DECIMALS)
    # Rounded, a risk may seem to be beyond the line: whose is the same has not moved.
    was_high = np.where(np.equal(changes, 0), ranking.tiers == HIGH, earlier >= least)
    return frozenset(ranking.ids[was_high].tolist()) | clients.difference(ids)


def _moved(since: str, before: frozenset[str], ranking: Ranking) -> Movement:
    now = frozenset(ranking.ids[ranking.tiers == HIGH].tolist())
    return Movement(since, now - before, before - now)
