"""Writes the look-up database of the ranked clients, `models/clients.db`; lookup_db.py reads it."""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import chain, count, repeat
from pathlib import Path
from typing import Any

from attrition.core import atomic_files
from attrition.core.errors import PipelineError
from attrition.ranking.lookup_db import CONTACTED, INDEXES, SCHEMA, TIERS, folded
from attrition.ranking.movement import CAME, LEFT, Movement
from attrition.ranking.ranking import Ranking, Tiers


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
        clients: rows of place, client, tier, probability, probability change, rank change, value,
            value at risk, value rank; with `has_profit` in `about` also profit.
        details: rows of place, reasons (list of texts), features (column -> value).
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
    profit = ", NULL" if not about.get("has_profit") else ", ?"
    connection.executemany(
        f"INSERT INTO clients VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?{profit})",
        ((position, client, folded(client), *rest) for position, client, *rest in clients),
    )
    for table, rows in more.items():
        connection.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", rows)
    for statement in INDEXES:
        connection.execute(statement)


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
    blanks = [None] * len(ranking)
    ranks = blanks if ranking.value_ranks is None else ranking.value_ranks.tolist()
    more = [] if ranking.profits is None else [_known(ranking.profits.tolist())]
    return zip(
        range(1, len(ranking) + 1),
        ranking.ids.tolist(),
        ranking.tiers.tolist(),
        ranking.probabilities.tolist(),
        ranking.probability_changes,
        ranking.rank_changes,
        blanks if ranking.values is None else _known(ranking.values.tolist()),
        blanks if ranking.values_at_risk is None else _known(ranking.values_at_risk.tolist()),
        (rank or None for rank in ranks),
        *more,
        strict=True,
    )


def _details(ranking: Ranking, features: Mapping[str, Any]) -> Iterator[tuple[int, str, str]]:
    """Place, reasons and features of each client; the last two as JSON."""
    columns = [_texts(features[name][ranking.rows].tolist()) for name in features]
    # One format string for all: there may be millions of clients.
    form = ", ".join(json.dumps(name).replace("%", "%%") + ": %s" for name in features)
    reasons = chain(map(json.dumps, ranking.reasons), repeat("[]"))
    of_features = map(f"{{{form}}}".__mod__, zip(*columns, strict=True))
    return zip(count(1), reasons, of_features, strict=False)


def _texts(values: Sequence[Any]) -> list[str]:
    """Numbers or texts as JSON, equal ones converted once; a missing number is null."""
    texts = {value: _json(value) for value in set(values)}
    return [texts[value] for value in values]


def _json(value: Any) -> str:
    if isinstance(value, float):
        if math.isnan(value):
            return "null"
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return json.dumps(value)


def _known(values: Iterable[float]) -> Iterator[float | None]:
    return (None if math.isnan(value) else value for value in values)
