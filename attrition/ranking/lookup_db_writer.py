"""Writes the look-up database of the ranked clients, `models/clients.db`; lookup_db.py reads it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import chain, islice
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from attrition.core import atomic_files
from attrition.core.errors import PipelineError
from attrition.ranking.lookup_db import BY_VALUE, CONTACTED, INDEXES, SCHEMA, TIERS, folded
from attrition.ranking.movement import CAME, LEFT, Movement
from attrition.ranking.ranking import Ranking, Tiers

_BLOCK = 100  # clients whose features are one text
_CELLS = 30_000  # that a statement adds, without Python's lock, where SQLite takes so many


def write_ranking(
    path: Path,
    ranking: Ranking,
    features: Mapping[str, Any],
    tiers: Tiers,
    about: Mapping[str, Any],
    *,
    movement: Movement | None = None,
) -> None:
    """Replace the book by a ranking.

    Args:
        path: the book.
        ranking: the clients in order.
        features: column -> value of each client, in the order of the table that was ranked.
        tiers: the thresholds used.
        about: `time`, `release` and `ranked` (which clients these are).
        movement: who has come to high risk and who has left it; None without an earlier list.
    """
    whole = {
        **about,
        "total": len(ranking),
        "tiers": {tier: ranking.count(tier) for tier in TIERS},
        "thresholds": asdict(tiers),
    }
    if ranking.held_out is not None:
        held_out = ranking.tiers[ranking.to_call :]
        whole["held_out"] = {tier: int((held_out == tier).sum()) for tier in TIERS}
    if ranking.one_risk is not None:
        whole["one_risk"] = ranking.one_risk
    if ranking.values_at_risk is not None:
        whole["value_at_risk"] = {tier: ranking.value_at_risk(tier) for tier in TIERS}
    if ranking.profits is not None:
        whole["has_profit"] = True
    if ranking.segments:
        whole["segments"] = list(ranking.segments)
    moved = [] if movement is None else _moved(ranking, movement)
    if movement is not None:
        whole["moved"] = {"since": movement.since, **_counts(moved)}
    last_contacts = enumerate(ranking.last_contacts or (), start=1)
    contacted = ((place, day) for place, day in last_contacts if day)
    segments = _segments(ranking)
    clients, details = _clients(ranking), _details(ranking, features)
    write_book(path, whole, clients, details, moved, contacted=contacted, segments=segments)


def write_book(
    path: Path,
    about: Mapping[str, Any],
    clients: Iterable[Sequence[Any]],
    details: Iterable[Sequence[Any]],
    moved: Iterable[Sequence[Any]] = (),
    *,
    contacted: Iterable[Sequence[Any]] = (),
    segments: Iterable[Sequence[Any]] = (),
) -> None:
    """Replace the book, whole or not at all.

    Args:
        about: plain values; see `Page`.
        clients: rows of place, client, tier, probability, probability change, rank change, and as
            far as there are some value, value at risk, value rank, profit.
        details: rows of place, reasons (JSON: a list of texts), features (JSON: column -> values
            of the client and of those below it; None where those of one above include them).
        moved: rows of client, move, place (None: no longer listed).
        contacted: rows of place and day of the last contact; only with `rest_days` in `about`.
        segments: rows of place, number of the segment column in `about`, text.

    Raises:
        PipelineError: the book cannot be written; the old one stays.
    """
    try:
        with atomic_files.replacing(path) as temporary:
            temporary.unlink(missing_ok=True)
            with contextlib.closing(sqlite3.connect(temporary, isolation_level=None)) as connection:
                more = {"details": details, "moved": moved, "segments": segments}
                _fill(connection, about, clients, more)
                if "rest_days" in about:
                    connection.execute(CONTACTED)
                    connection.executemany("INSERT INTO contacted VALUES (?, ?)", contacted)
                connection.execute("COMMIT")
    except sqlite3.Error as error:  # such as a full disk
        raise PipelineError(f"{path}: cannot be written ({error})") from None


def _fill(
    connection: sqlite3.Connection,
    about: Mapping[str, Any],
    clients: Iterable[Sequence[Any]],
    more: Mapping[str, Iterable[Sequence[Any]]],
) -> None:
    # Nobody reads it before it is complete and synced: no journal is needed.
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    for statement in SCHEMA:
        connection.execute(statement)
    connection.execute("INSERT INTO about VALUES (?)", (json.dumps(about),))
    _insert(connection, "clients", 11, _with_folded(clients))
    for table, rows in more.items():
        _insert(connection, table, 3, rows)
    for statement in (*INDEXES, BY_VALUE) if "value_at_risk" in about else INDEXES:
        connection.execute(statement)


def _insert(
    connection: sqlite3.Connection, table: str, columns: int, rows: Iterable[Sequence[Any]]
) -> None:
    """Add rows to a table, many with each statement, which is quicker than one by one.

    Args:
        columns: of the table; the last ones are NULL where the rows have none.
    """
    cells = min(_CELLS, connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER))
    rows = iter(rows)
    while block := list(islice(rows, cells // columns)):
        marks = ["?"] * len(block[0]) + ["NULL"] * (columns - len(block[0]))
        many = ", ".join([f"({', '.join(marks)})"] * len(block))
        connection.execute(f"INSERT INTO {table} VALUES {many}", list(chain.from_iterable(block)))


def _with_folded(clients: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
    """The rows, each after its client's name for comparison; many names are compared as one."""
    rows = iter(clients)
    while block := list(islice(rows, _BLOCK)):
        names = [row[1] for row in block]
        together = folded("\n".join(names)).split("\n")
        if len(together) > len(names):  # a name has lines
            together = list(map(folded, names))
        yield from map(add, zip(together, strict=True), block)


def _segments(ranking: Ranking) -> Iterator[tuple[int, int, str]]:
    """Place, number of the segment column and text."""
    texts = [column.tolist() for column in ranking.segments.values()]
    for place, of_client in enumerate(zip(*texts, strict=True), 1):
        for number, text in enumerate(of_client):
            yield place, number, text


def _moved(ranking: Ranking, movement: Movement) -> list[tuple[str, str, int | None]]:
    """Client, move and place of all who moved; None for those no longer listed."""
    moves = dict.fromkeys(movement.came, CAME) | dict.fromkeys(movement.left, LEFT)
    places = {
        client: place for place, client in enumerate(ranking.ids.tolist(), 1) if client in moves
    }
    return [(client, move, places.get(client)) for client, move in sorted(moves.items())]


def _counts(moved: Iterable[tuple[str, str, int | None]]) -> dict[str, int]:
    """How many came, left and are still listed, and left and are gone."""
    counts = Counter(move if place else "gone" for _, move, place in moved)
    return {name: counts[name] for name in (CAME, LEFT, "gone")}


def _clients(ranking: Ranking) -> Iterator[tuple[Any, ...]]:
    values, at_risk, ranks = ranking.values, ranking.values_at_risk, ranking.value_ranks
    more = [values, at_risk, None if ranks is None else np.where(ranks > 0, ranks, np.nan)]
    return zip(
        range(1, len(ranking) + 1),
        ranking.ids.tolist(),
        ranking.tiers.tolist(),
        ranking.probabilities.tolist(),
        ranking.probability_changes,
        ranking.rank_changes,
        *(column.tolist() for column in (*more, ranking.profits) if column is not None),
        strict=True,
    )


def _details(ranking: Ranking, features: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Place, reasons as JSON, and at the first of each block the features of its clients."""
    columns = {name: np.asarray(features[name])[ranking.rows] for name in features}
    for start in range(0, len(ranking), _BLOCK):
        block = slice(start, start + _BLOCK)
        values = {name: column[block].tolist() for name, column in columns.items()}
        of_block: str | None = orjson.dumps(values).decode()
        for place, reasons in enumerate(ranking.reasons[block] or [[]], start + 1):
            yield place, orjson.dumps(reasons).decode(), of_block
            of_block = None
