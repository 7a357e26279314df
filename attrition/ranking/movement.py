"""Who has come to high risk since the last list on which that differed, and who has left it.

Values in, values out. A list with the same clients at high risk keeps what the one before it said.
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


def moved_since(last: HighRisk | None, ranking: Ranking) -> Movement | None:
    """The movement of a new list against the last one; None without any."""
    if last is None:
        return None
    now = frozenset(ranking.ids[ranking.tiers == HIGH].tolist())
    if now == last.clients:
        return last.movement
    return Movement(last.time, now - last.clients, last.clients - now)
