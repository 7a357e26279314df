"""Whether the list helped: the part of a ranking that is kept, and its clients' outcomes.

Values in, values out.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attrition.calls.profit import ListProfit
from attrition.core import plain_values
from attrition.core.config import BY_RISK
from attrition.core.formatting import chance, count
from attrition.ranking.movement import EarlierLine
from attrition.ranking.ranking import HIGH, OddValues, Ranking, Tiers, resting_in_words

TOP_SIZES = (10, 20, 50)
CONTACTED = -1  # in the place of a label that a call may have changed
# Most clients of an old ranking that are kept for the base rate; of more, a fixed sample.
_SAMPLE = 5000
_NEARLY_ALL = 0.9  # of the clients
_FEW = 10  # of fewer clients nothing is said


@dataclass(frozen=True)
class Remembered:
    """The part of a ranking that is kept until outcomes show whether it helped.

    Attributes:
        key: identifies this ranking: the same model, rows and clients give the same key.
        release: the model that made it.
        commit: the last commit then; outcomes are the labelled rows that came later.
        clients: number of ranked clients.
        top: ids of the first clients, in order, as if nobody were held out.
        sample: ids of all clients, or of a fixed sample, for the base rate.
        high: number of clients at high risk; None in an older history.
        value_at_risk: theirs in sum; None without values.
        least: the least probability of these, a fraction 0-1; None in an older history.
    """

    key: str
    release: str
    commit: str | None
    clients: int
    top: tuple[str, ...]
    sample: tuple[str, ...]
    high: int | None = None
    value_at_risk: float | None = None
    ranked: str | None = None
    least: float | None = None


def remember(
    ranking: Ranking, release: str, commit: str | None, ranked: str, least: float | None = None
) -> Remembered:
    """The part of a ranking that is kept, of bounded size; see `Remembered`."""
    ids = ranking.ids.tolist()
    first = ranking.ungrouped[: max(TOP_SIZES)]
    top = tuple(ranking.ids[first].tolist())
    chosen: Iterable[int] = range(len(ids))
    if len(ids) > _SAMPLE:
        # The checksum of an id is independent of its risk: the sample represents all clients.
        checksums = np.fromiter(map(zlib.crc32, map(str.encode, ids)), np.uint32, len(ids))
        # The ids decide among equal checksums, so the order of the rows does not matter.
        limit = np.partition(checksums, _SAMPLE - 1)[_SAMPLE - 1]
        candidates = np.flatnonzero(checksums <= limit).tolist()
        chosen = sorted(candidates, key=lambda i: (checksums[i], ids[i]))[:_SAMPLE]
    sample = tuple(sorted(ids[i] for i in chosen))
    high, at_risk = ranking.count(HIGH), ranking.value_at_risk(HIGH)
    content = repr((release, commit, len(ids), top, sample, high, at_risk, ranked))
    key = hashlib.sha256(content.encode()).hexdigest()[:16]
    return Remembered(key, release, commit, len(ids), top, sample, high, at_risk, ranked, least)


@dataclass(frozen=True)
class OutcomeCounts:
    """Among some ranked clients: how many outcomes are known, and how many of those left.

    `share_left` is the fraction 0-1 of the known ones that left; None when none is known.
    `contacted` counts the outcomes that are not among the known ones, since a call may have changed
    them.
    """

    clients: int
    known: int
    left: int
    share_left: float | None
    contacted: int = 0


@dataclass(frozen=True)
class EarlierList:
    """What became of the clients of an earlier ranking: of its first k for each k, and of all."""

    time: str
    release: str
    top: Mapping[int, OutcomeCounts]
    all: OutcomeCounts


@dataclass(frozen=True)
class RankingRecord:
    """A ranking in counts only, no client's name: these go into records and logs.

    Attributes:
        release: by whose model the clients are ranked.
        ranked: which clients these are.
        clients: how many; of them `high`, `medium` and `low` by tier.
        not_listed: clients of lower risk that are not on the list, since it would grow too long.
        thresholds: the tiers used.
        outcomes: of earlier rankings, newest first.
        value_at_risk: of the clients at high risk, in sum; None without values.
        came, left: how many have come to high risk and have left it since the last list that was
            another, which was made at `since` (None in an older record); None without one.
        earlier_line: the line for high risk of the list with which this one is compared; None
            where it is seen to be the same.
        one_risk: see `Ranking`.
        rank_by: what orders the list.
        profit: what calling is worth; None without costs, or where nothing is known of it.
        no_profit: why there is none although costs are set.
        resting: how many who are not held out were contacted so lately that they are not to be
            called again yet; None without `rest_days`.
        first_free: the day before which none of the clients to call may be called again, such as
            `2026-01-31`; None where one may be called now.
        odd_values: values that count as unknown; None where all are sound.
        in_common: what most of the first clients have in common, a sentence; None for nothing.
    """

    release: str
    ranked: str
    clients: int
    not_listed: int
    high: int
    medium: int
    low: int
    thresholds: Tiers
    outcomes: tuple[EarlierList, ...]
    value_at_risk: float | None = None
    came: int | None = None
    left: int | None = None
    since: str | None = None
    earlier_line: EarlierLine | None = None
    one_risk: float | None = None
    rank_by: str = BY_RISK
    profit: ListProfit | None = None
    no_profit: str | None = None
    resting: int | None = None
    first_free: str | None = None
    odd_values: OddValues | None = None
    in_common: str | None = None

    @property
    def one_risk_in_words(self) -> str:
        """That all clients have the same risk, and what orders them then; "" where they differ."""
        if self.one_risk is None:
            return ""
        order = "their value alone" if self.rank_by != BY_RISK else "nothing"
        return (
            f"All {count(self.clients)} {self.ranked} have the same risk of leaving, "
            f"{chance(self.one_risk)}: {order} says whom to call first."
        )

    @property
    def line_in_words(self) -> str:
        """That high risk begins elsewhere than on the list with which this one is compared; "" for
        no.
        """
        return self.earlier_line.in_words(self.thresholds.high) if self.earlier_line else ""

    @property
    def resting_in_words(self) -> str:
        """Who is not to be called again yet; "" without `rest_days`, or without anyone."""
        return resting_in_words(self.resting, self.first_free)

    @property
    def crowd_in_words(self) -> str:
        """That being at high risk tells hardly anybody apart; "" where it does."""
        clients = self.clients + self.not_listed
        if self.one_risk is not None or clients < _FEW or self.high < _NEARLY_ALL * clients:
            return ""
        return f"{'every' if self.high == clients else 'nearly every'} client is at high risk"

    def to_json(self) -> dict[str, Any]:
        """As plain values; no key for what there need not be where it is not there."""
        plain: dict[str, Any] = plain_values.to_json(self)
        usual: dict[str, Any] = {"rank_by": BY_RISK}
        may_lack = "since earlier_line one_risk profit no_profit resting first_free odd_values"
        usual |= dict.fromkeys((*may_lack.split(), "in_common"))
        return {key: value for key, value in plain.items() if (key, value) not in usual.items()}


def precision_at_top(
    old: Remembered, outcomes: Mapping[str, int]
) -> tuple[dict[int, OutcomeCounts], OutcomeCounts]:
    """The known share of leavers at the top of a list, and among all its clients.

    Args:
        old: an old ranking.
        outcomes: client -> 1 for left, 0 for stayed, or `CONTACTED`, for outcomes that came after
            the ranking.

    Returns:
        Top size k -> outcomes of the first k clients, for each k up to the ranking's length (for a
        ranking shorter than the smallest k: of all its clients); and outcomes of all its clients
        (the base rate; for a long ranking of a sample).
    """
    sizes = [k for k in TOP_SIZES if k <= len(old.top)] or [len(old.top)]
    return {k: _count(old.top[:k], outcomes) for k in sizes}, _count(old.sample, outcomes)


def _count(clients: Sequence[str], outcomes: Mapping[str, int]) -> OutcomeCounts:
    came = [outcomes[client] for client in clients if client in outcomes]
    labels = [label for label in came if label != CONTACTED]
    known, left = len(labels), sum(labels)
    share_left = left / known if known else None
    return OutcomeCounts(len(clients), known, left, share_left, len(came) - known)


def first_outcomes(ids: Iterable[str], labels: Iterable[int]) -> dict[str, int]:
    """Each client's first label in the order of arrival."""
    outcomes: dict[str, int] = {}
    for client, label in zip(ids, labels, strict=True):
        outcomes.setdefault(client, int(label))
    return outcomes
