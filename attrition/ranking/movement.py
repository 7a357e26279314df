"""Who has come to high risk since the last list that was another, and who has left it.

Values in, values out. A list made again, or by other settings alone (`Ranking.is_again`), is
compared with the list that the one before it was compared with.
"""

from __future__ import annotations

from dataclasses import dataclass

from attrition.ranking.ranking import HIGH, Ranking

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
class HighRisk:
    """The clients at high risk of a list, its time, and what it said of those who moved."""

    time: str
    clients: frozenset[str]
    movement: Movement | None


def moved_since(last: HighRisk, ranking: Ranking) -> Movement:
    """The movement of a list that is another than the last one."""
    return _moved(last.time, last.clients, ranking)


def moved_as_before(last: HighRisk, ranking: Ranking) -> Movement | None:
    """The movement of a list that is the last one made again, since the list before these."""
    if (before := last.movement) is None:
        return None
    return _moved(before.since, (last.clients - before.came) | before.left, ranking)


def _moved(since: str, before: frozenset[str], ranking: Ranking) -> Movement:
    now = frozenset(ranking.ids[ranking.tiers == HIGH].tolist())
    return Movement(since, now - before, before - now)
