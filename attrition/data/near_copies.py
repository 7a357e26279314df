"""Rows that are nearly the same as another client's: one client under two ids, or altered copies.

Whoever knows one of them knows the other. Where they lie on both sides of a test, it measures
memory: a table in which nearly every row has such a copy showed an F1 of .87, and of .67 with its
copies kept together. So copies count as one client in the folds, and those of test rows are not
learnt.

Two rows are alike where they differ in at most one of SHARE columns and agree on so rare values
that two of independent columns would not by chance (the weights of Fellegi and Sunter 1969). As
columns depend on each other, some clients are alike all the same; so rows alike are taken for
copies only where nearly all of them leave, or stay, together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from attrition.core.formatting import plural
from attrition.data.clients import Clients, TrainingClients, joined

Positions = NDArray[np.intp]

SHARE = 6  # of so many columns one may differ
MOST_DIFFERING = 5  # columns in which two may differ, however many there are
SURPLUS = 10  # bits beyond those that single one pair out of all
NEIGHBOURS = 50  # most rows that have the same values in some columns, if these are to tell
TOGETHER = 0.9  # of pairs alike in which one has the rarer label, the share in which both do
LEAST_PAIRS = 20  # of these
LOOKED_AT = 20_000  # rows that tell whether there are copies at all
NO_PAIRS: Positions = np.empty((2, 0), dtype=np.intp)


@dataclass(frozen=True)
class CopiedRows:
    """What became of the training rows that have copies.

    Attributes:
        together: number of those that count as one client with their copies.
        left_out: number of the others: not learnt, since they are copies of test rows.
        differing: copies differ in at most so many columns.
    """

    together: int
    left_out: int
    differing: int

    def __str__(self) -> str:
        same = f"all columns but {self.differing} at most" if self.differing else "every column"
        told = []
        if self.together:
            told.append(
                f"{self.together:,} training rows are copies of other clients' rows, the same in "
                f"{same}: each counts as one client with its copies"
            )
        if self.left_out:
            is_one = self.left_out == 1
            told.append(
                f"{plural(self.left_out, 'training row')} {'is a copy' if is_one else 'are copies'}"
                f" of test rows and {'is' if is_one else 'are'} not learnt"
            )
        return "; ".join(told)


def without_copies(
    rows: TrainingClients, test: Clients, *, have_ids: bool
) -> tuple[TrainingClients, CopiedRows | None]:
    """The rows to learn: without copies of test rows, other copies with the id of one client.

    Args:
        rows: all that could be learnt.
        test: the clients of the test data.
        have_ids: whether equal ids of both name one client; else they only number the rows.

    Returns:
        The rows, and what was found; None where no row to learn is a copy.
    """
    training, count = rows.clients, len(rows.clients)
    if not have_ids:
        test = replace(test, ids=np.array([f"test {name}" for name in test.ids], dtype=object))
    pairs = near_copies(joined(training, test))
    groups = _connected(pairs, count + len(test))
    in_test = groups[pairs[:, (pairs >= count).any(axis=0)].ravel()]
    stays = ~np.isin(groups[:count], in_test)
    kept = pairs[:, (pairs < count).all(axis=0)]
    kept = kept[:, stays[kept[0]]]
    if not kept.size and stays.all():
        return rows, None
    clients = replace(training, ids=as_one_client(training.ids, kept)).select(stays)
    differing = _most_differing(training.features.shape[1])
    copied = CopiedRows(len(np.unique(kept)), count - len(clients), differing)
    return TrainingClients(clients, rows.unseen[stays], rows.left_out), copied


def near_copies(clients: Clients) -> Positions:
    """Pairs of rows of different clients that are copies, array of shape (2, n_pairs)."""
    drawn = np.random.default_rng(0).permutation(len(clients))[:LOOKED_AT]
    rows = np.sort(drawn).astype(np.intp)
    pairs = _alike(clients, rows)
    if not _leave_together(clients, pairs):
        return NO_PAIRS
    return pairs if len(rows) == len(clients) else _alike(clients, np.arange(len(clients)))


def as_one_client(ids: NDArray[np.object_], pairs: Positions) -> NDArray[np.object_]:
    """The rows' ids, array of shape (n_rows,), where copies and their clients' rows have one."""
    rows = len(ids)
    own = np.stack([np.arange(rows), rows + pd.factorize(ids)[0]])
    groups = _connected(np.hstack([pairs, own]), 2 * rows)[:rows]
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    one: NDArray[np.object_] = ids[first][group]
    return one


def _leave_together(clients: Clients, pairs: Positions) -> bool:
    """Whether of pairs alike nearly all that could have two labels have one.

    Those are the pairs with a row of the rarer label, rarer when all that are alike count once.
    """
    assert clients.labels is not None, "copies leave or stay together"
    once = np.unique(_connected(pairs, len(clients)), return_index=True)[1]
    rarer = clients.labels[pairs] == (clients.labels[once].mean() < 0.5)
    count = int(rarer.any(axis=0).sum())
    return count >= LEAST_PAIRS and int(rarer.all(axis=0).sum()) >= TOGETHER * count


def _alike(clients: Clients, rows: Positions) -> Positions:
    """Pairs of some rows that are alike, of different clients, array of shape (2, n_pairs)."""
    pairs = rows[np.unique(np.sort(_alike_rows(clients.features.iloc[rows]), axis=0), axis=1)]
    different: Positions = pairs[:, clients.ids[pairs[0]] != clients.ids[pairs[1]]]
    return different


def _alike_rows(features: pd.DataFrame) -> Positions:
    """Pairs of rows that are alike, some more than once, array of shape (2, n_pairs).

    Rows that differ in k columns agree wholly in one of k + 1 parts of the columns: only rows that
    agree in a part are compared. Equal rows count once, so that copies do not make their own values
    frequent.
    """
    columns = features.shape[1]
    every = np.column_stack(
        [pd.factorize(features[column], use_na_sentinel=False)[0] for column in features]
    ).astype(np.int32)
    kinds = _kinds(every)
    first = np.unique(kinds, return_index=True)[1]  # of each kind
    codes, rows = every[first], len(first)
    weights = np.column_stack([np.log2(rows / np.bincount(each))[each] for each in codes.T])
    allowed, needed = _most_differing(columns), 2 * np.log2(rows) + SURPLUS
    equal = np.stack([first[kinds], np.arange(len(kinds))])
    is_again = (equal[0] != equal[1]) & (weights.sum(axis=1) >= needed)[kinds]
    found = [equal[:, is_again]]
    telling = np.argsort(-weights.mean(axis=0), kind="stable")
    for part in range(allowed + 1):
        for pair in _agreeing(codes[:, telling[part :: allowed + 1]]):
            agree = codes[pair[0]] == codes[pair[1]]
            is_rare = np.where(agree, weights[pair[0]], 0.0).sum(axis=1) >= needed
            found.append(first[pair[:, is_rare & (agree.sum(axis=1) >= columns - allowed)]])
    return np.hstack(found)


def _agreeing(codes: NDArray[np.int32]) -> Iterator[Positions]:
    """Pairs of rows that agree in all columns, where at most NEIGHBOURS rows do."""
    kinds = _kinds(codes)
    order = np.argsort(kinds, kind="stable")
    order = order[np.bincount(kinds)[kinds[order]] <= NEIGHBOURS]
    kinds = kinds[order]
    for distance in range(1, NEIGHBOURS):
        agree = kinds[distance:] == kinds[:-distance]
        if not agree.any():
            return
        yield np.stack([order[:-distance][agree], order[distance:][agree]])


def _kinds(codes: NDArray[np.int32]) -> Positions:
    """Array of shape (n_rows,): rows that agree in all columns have the same number."""
    table = pd.DataFrame(codes)
    return np.asarray(table.groupby(list(table), sort=False).ngroup(), dtype=np.intp)


def _most_differing(columns: int) -> int:
    return min(columns // SHARE, MOST_DIFFERING)


def _connected(pairs: Positions, count: int) -> Positions:
    """Which of so many things are connected by pairs, array of shape (count,)."""
    graph = coo_array((np.ones(pairs.shape[1], dtype=bool), tuple(pairs)), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.intp)
