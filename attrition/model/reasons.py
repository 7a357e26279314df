"""Why each client's risk is what it is: the columns that raise it, and what every term adds.

What a column does for a client stands in its curve and in its pairs, and a pair may take back what
the curve gives. So a column is a reason by both together: by how much its value sets the client's
log-odds above their mean over the values of all clients, the other columns being as they are.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attrition.model.scorecard import Scorecard, places_in
from attrition.model.terms import Floats, KnotAxis, Table

# A column is no reason for a client's risk if it raises the odds by less than this, or, beside a
# stronger one, neither doubles them nor has this share of the points of the strongest.
LEAST_POINTS = math.log(1.05)
STRONG_POINTS = math.log(2.0)
LEAST_SHARE = 0.25
FIRST_SHARE = 1 / 3  # of the strongest's points, for what may come first on a list
OWN_SHARE = 0.5  # of a column's points, by which they are its own and not a pair's
LISTED_TOGETHER = 25  # clients in a row whose first reasons should differ


class Reason(NamedTuple):
    """What raises a client's risk above its mean over all values of a column.

    Attributes:
        columns: a column, or two: then the second is what the first raises the risk with.
        values: the client's, one per column; None where missing.
        points: log-odds above their mean over all values of the first column.
    """

    columns: tuple[str, ...]
    values: tuple[Any, ...]
    points: float


class Effect(NamedTuple):
    """What one term of the scorecard adds to a client's log-odds or takes from it.

    Attributes:
        term: its name: a column, or two joined by " x ".
        columns: those of the term.
        values: the client's, one per column; None where missing.
        points: log-odds above the term's mean over all clients.
    """

    term: str
    columns: tuple[str, ...]
    values: tuple[Any, ...]
    points: float


def reasons_of(
    card: Scorecard, table: Table, count: int, groups: NDArray[Any] | None = None
) -> list[list[Reason]]:
    """Why each client's risk is above what it would be on average.

    Args:
        card: the model.
        table: as for `Scorecard.log_odds`.
        count: at most this many reasons for a client.
        groups: array of shape (n_clients,), the clients that each is listed with. Then its
            strongest reason and those that set it apart from them are chosen, whose points the
            fewest of them reach: what all have tells none from another. The first is that of them
            which the clients just above say least; see `_least_said_first`.

    Returns:
        For each client its reasons, strongest first without `groups`; only columns that raise the
        risk by `LEAST_POINTS` or more, and by `STRONG_POINTS` or by `LEAST_SHARE` of the points of
        the strongest.
    """
    points, partners = _of_columns(card, table)
    preference = points if groups is None else -_reached_by(points, groups)
    chosen = _chosen(points, preference, count)
    values = [_shown(table[column]) for column in card.columns]
    found = []
    of_clients = zip(chosen, partners.tolist(), points.tolist(), strict=True)
    for row, (positions, with_it, reached) in enumerate(of_clients):
        of_client = []
        for position in positions:
            both = dict.fromkeys((position, with_it[position]))
            columns = tuple([card.columns[one] for one in both])
            own = tuple([values[one][row] for one in both])
            of_client.append(Reason(columns, own, reached[position]))
        found.append(of_client)
    return found if groups is None else _least_said_first(found)


def raised_by(card: Scorecard, table: Table) -> NDArray[np.bool_]:
    """Which columns are reasons for each client's risk, be they ever so many, and not by a pair.

    Args:
        card: the model.
        table: as for `Scorecard.log_odds`.

    Returns:
        Array of shape (n_clients, n_columns).
    """
    points, partners = _of_columns(card, table)
    is_own: NDArray[np.bool_] = partners == np.arange(len(card.columns))
    return is_own & _are_reasons(points)


def effects(card: Scorecard, table: Table) -> list[list[Effect]]:
    """What every term adds to or takes from each client's log-odds, the strongest first.

    Args:
        card: the model.
        table: as for `Scorecard.log_odds`.

    Returns:
        For each client one item per term; their points and `average_log_odds` add up to the
        client's log-odds.
    """
    contributions = card.contributions(table)
    strongest = np.argsort(-np.abs(contributions), axis=1, kind="stable")
    columns = [term.columns for term in card.all_terms]
    values = {column: _shown(table[column]) for column in card.columns}
    return [
        [
            Effect(
                card.terms[position],
                columns[position],
                tuple(values[column][row] for column in columns[position]),
                float(points[position]),
            )
            for position in positions
        ]
        for row, (positions, points) in enumerate(zip(strongest, contributions, strict=True))
    ]


def _shown(values: Any) -> list[Any]:
    """A column's values as plain ones, None where missing."""
    plain = np.asarray(values).tolist()
    return [None if isinstance(one, float) and math.isnan(one) else one for one in plain]


def _of_columns(card: Scorecard, table: Table) -> tuple[Floats, NDArray[np.intp]]:
    """By how much each column raises each client's log-odds above the mean over all its values.

    A missing number has none of the points of its pairs: there it counts as the usual value.

    Returns:
        Two arrays of shape (n_clients, n_columns): the points, and the column with which most of
        them are reached: itself, or its partner in the pair that adds most. Of two columns that
        have each other as partner the stronger has the pair; the other keeps what it does without.
    """
    columns, place_of = np.arange(len(card.columns)), places_in(table)
    places = {column: place for place, column in enumerate(card.columns)}
    contributions = card.contributions(table)
    own = contributions[:, columns]
    points, most = own.copy(), np.zeros_like(own)
    partners = np.broadcast_to(columns, own.shape).copy()
    for pair, of_pair in zip(card.pairs, contributions.T[len(columns) :], strict=True):
        for side, column in enumerate(pair.columns):
            place, partner = places[column], places[pair.columns[1 - side]]
            of_other = place_of(pair.columns[1 - side], pair.axes[1 - side])
            added = of_pair + pair.average_points - pair.mean_over(side, of_other)
            if isinstance(pair.axes[side], KnotAxis):
                added[np.isnan(np.asarray(table[column], dtype=np.float64))] = 0.0
            points[:, place] += added
            is_more = added > most[:, place]
            most[is_more, place], partners[is_more, place] = added[is_more], partner
    partners = np.where(own >= OWN_SHARE * points, columns, partners)
    of_partners = np.take_along_axis(points, partners, axis=1)
    is_mutual = (np.take_along_axis(partners, partners, axis=1) == columns) & (partners != columns)
    is_weaker = (points < of_partners) | ((points == of_partners) & (partners < columns))
    rest = points - most
    alone = np.where(own >= OWN_SHARE * rest, rest, 0.0)
    gives_way = is_mutual & is_weaker
    return np.where(gives_way, alone, points), np.where(gives_way, columns, partners)


def _reached_by(points: Floats, groups: NDArray[Any]) -> NDArray[np.intp]:
    """How many of each client's group have such points of a column, or more; 0 for no reason."""
    counts = np.zeros(points.shape, dtype=np.intp)
    for group in set(groups.tolist()):
        members = groups == group
        for column, of_column in enumerate(points.T):
            raised = np.flatnonzero(members & (of_column >= LEAST_POINTS))
            lifts = np.round(of_column[raised], 9)  # equal ones are equal to the last digit
            counts[raised, column] = len(lifts) - np.searchsorted(np.sort(lifts), lifts)
    return counts


def _are_reasons(points: Floats) -> NDArray[np.bool_]:
    """Whether a column's points, of shape (n_clients, n_columns), make it a client's reason."""
    most = points.max(axis=1, keepdims=True)
    return np.asarray(points >= np.clip(LEAST_SHARE * most, LEAST_POINTS, STRONG_POINTS))


def _chosen(points: Floats, preference: NDArray[Any], count: int) -> list[list[int]]:
    """For each client the positions of the columns that are its reasons, preferred ones first.

    Args:
        points: as of `_of_columns`; array of shape (n_clients, n_columns).
        preference: of the same shape; among equal ones the stronger column is preferred.
        count: at most this many for a client; the strongest is always one of them.
    """
    lifts = np.maximum(points, 0.0)
    is_strongest = np.arange(points.shape[1]) == lifts.argmax(axis=1)[:, np.newaxis]
    is_reason = _are_reasons(points)
    wanted = np.where(is_reason, preference, -np.inf)
    first = np.where(is_strongest & is_reason, np.inf, wanted)
    chosen = np.lexsort((-lifts, -first), axis=1)[:, :count]
    lifts, wanted = (np.take_along_axis(array, chosen, axis=1) for array in (lifts, wanted))
    chosen = np.take_along_axis(chosen, np.lexsort((-lifts, -wanted), axis=1), axis=1)
    return [
        [position for position in positions if of_client[position]]
        for positions, of_client in zip(chosen.tolist(), is_reason.tolist(), strict=True)
    ]


def _least_said_first(listed: list[list[Reason]]) -> list[list[Reason]]:
    """The reasons of clients in the order of their list, so that not all begin with the same one.

    First comes what fewest of the clients just above begin with, of equal ones what came first; it
    doubles the odds, or has `FIRST_SHARE` of the points of the client's strongest reason.
    """
    above: deque[tuple[Any, ...]] = deque(maxlen=LISTED_TOGETHER - 1)
    said = defaultdict[tuple[Any, ...], int](int)
    result = []
    for reasons in listed:
        ordered = _first_least(reasons, said) if len(reasons) > 1 else reasons
        for reason in ordered[:1]:
            if len(above) == above.maxlen:
                said[above[0]] -= 1
            above.append(reason[:2])
            said[reason[:2]] += 1
        result.append(ordered)
    return result


def _first_least(reasons: list[Reason], said: Mapping[tuple[Any, ...], int]) -> list[Reason]:
    """Some reasons, first one of weight that has been said least."""
    least = min(FIRST_SHARE * max(reason.points for reason in reasons), STRONG_POINTS)
    fair = [reason for reason in reasons if reason.points >= least]
    first = min(fair, key=lambda reason: said[reason[:2]])
    return [first, *(reason for reason in reasons if reason is not first)]
