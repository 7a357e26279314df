"""The look-up database of the ranked clients, `models/clients.db` (SQLite), new with every ranking.

`clientrisk.csv` is for people, this database (the book) is for the API: it finds a page, a tier, or
a client by its name or a part of it in milliseconds, however long the list is. It is built beside
the old one and replaces it in one step; readers continue with the one they opened.

Standard library only. The search for a part of a name ignores case (by `str.casefold`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from attrition.core import atomic_files
from attrition.core.errors import DataError, PipelineError
from attrition.ranking.ranking import Ranking, Tiers

TIERS = ("high", "medium", "low")
# The API's name of an order -> SQLite's ORDER BY. Places follow the falling probability, value
# ranks the falling value at risk; a client without a value comes last.
SORTS = {
    "place": "place",
    "-place": "place DESC",
    "client": "folded, place",
    "-client": "folded DESC, place DESC",
    "probability": "place DESC",
    "-probability": "place",
    "value_at_risk": "value_rank DESC NULLS LAST, place",
    "-value_at_risk": "value_rank NULLS LAST, place",
}
_COLUMNS = (
    "place, client, tier, probability, probability_change, rank_change, value, value_at_risk, "
    "value_rank"
)
# An address takes up to 12 bytes a character: no name of so many is too long for one.
_SHORT_NAME = 300
_ABOUT = {"time", "release", "ranked", "total", "tiers", "thresholds"}
_SCHEMA = (
    "CREATE TABLE about (about TEXT NOT NULL)",  # one row, JSON
    """CREATE TABLE clients (
        place INTEGER PRIMARY KEY,
        client TEXT NOT NULL,
        folded TEXT NOT NULL,
        tier TEXT NOT NULL,
        probability REAL NOT NULL,
        probability_change TEXT NOT NULL,
        rank_change TEXT NOT NULL,
        value REAL,
        value_at_risk REAL,
        value_rank INTEGER
    )""",
    # A separate table: the texts are long and would slow down a search.
    "CREATE TABLE details (place INTEGER PRIMARY KEY, reasons TEXT NOT NULL, features TEXT)",
)
_INDEXES = (
    "CREATE INDEX clients_by_id ON clients (client)",
    "CREATE INDEX clients_by_name ON clients (folded, place, tier)",
    "CREATE INDEX clients_by_tier ON clients (tier, place)",
    "CREATE INDEX clients_by_value ON clients (value_rank, place, tier)",
)


@dataclass(frozen=True)
class Page:
    """Some of the clients that match a question, and the number of all.

    Attributes:
        about: of the ranking: `time`, `release`, `ranked` (which clients), `total`, `tiers`
            (tier -> number of clients), `thresholds` (tier -> probability).
        found: tier -> number of its clients whose name contains the question's part.
        matching: number of these clients in the question's tiers.
        clients: those on this page.
    """

    about: dict[str, Any]
    found: dict[str, int]
    matching: int
    clients: list[dict[str, Any]]


@dataclass(frozen=True)
class Question:
    """Which clients, in which order: `tiers` of `TIERS`, a part of the name, a key of `SORTS`."""

    tiers: frozenset[str] = frozenset(TIERS)
    part: str = ""
    sort: str = "place"


def write_book(
    path: Path,
    about: Mapping[str, Any],
    clients: Iterable[Sequence[Any]],
    details: Iterable[Sequence[Any]],
) -> None:
    """Replace the book, whole or not at all.

    Args:
        about: plain values; see `Page`.
        clients: rows of place, client, tier, probability, probability change, rank change, value,
            value at risk, value rank.
        details: rows of place, reasons (list of texts), features (column -> value).

    Raises:
        PipelineError: the book cannot be written; the old one stays.
    """
    try:
        with atomic_files.replacing(path) as temporary:
            temporary.unlink(missing_ok=True)
            with contextlib.closing(sqlite3.connect(temporary, isolation_level=None)) as connection:
                _fill(connection, about, clients, details)
    except sqlite3.Error as error:  # such as a full disk
        raise PipelineError(f"{path}: cannot be written ({error})") from None


def _fill(
    connection: sqlite3.Connection,
    about: Mapping[str, Any],
    clients: Iterable[Sequence[Any]],
    details: Iterable[Sequence[Any]],
) -> None:
    # Nobody reads it before it is complete and synced: no journal is needed.
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    for statement in _SCHEMA:
        connection.execute(statement)
    connection.execute("INSERT INTO about VALUES (?)", (json.dumps(about),))
    connection.executemany(
        "INSERT INTO clients VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ((position, client, client.casefold(), *rest) for position, client, *rest in clients),
    )
    connection.executemany("INSERT INTO details VALUES (?, ?, ?)", details)
    for statement in _INDEXES:
        connection.execute(statement)
    connection.execute("COMMIT")


class Book:
    """A book opened for reading; no file is written.

    Attributes:
        about: see `Page`.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.about = _about(connection)

    def page(self, question: Question, number: int, size: int) -> Page:
        """Page `number`, from 1 on, of the matching clients; an empty one after the last."""
        where, values = _condition(question)
        rows = self._connection.execute(
            f"{_select(where)} ORDER BY {SORTS[question.sort]} LIMIT ? OFFSET ?",
            (*values, size, (number - 1) * size),
        ).fetchall()
        if not question.part:
            tiers = dict(self.about["tiers"])
        elif number == 1 and len(rows) < size and question.tiers == set(TIERS):  # all of them
            tiers = Counter(row["tier"] for row in rows)
        else:
            tiers = self._count(question.part)
        tiers = {tier: tiers.get(tier, 0) for tier in TIERS}
        matching = sum(tiers[tier] for tier in question.tiers)
        return Page(self.about, tiers, matching, [self._client(row) for row in rows])

    def every(self, question: Question) -> Iterator[dict[str, Any]]:
        """All matching clients, one after the other, without keeping them in memory."""
        where, values = _condition(question)
        rows = self._connection.execute(f"{_select(where)} ORDER BY {SORTS[question.sort]}", values)
        return map(self._client, rows)

    def _count(self, part: str) -> dict[str, int]:
        """Tier -> number of its clients whose name contains a part."""
        where, values = _condition(Question(part=part))
        query = f"SELECT tier, count(*) AS clients FROM clients WHERE {where} GROUP BY tier"
        return {row["tier"]: row["clients"] for row in self._connection.execute(query, values)}

    def client(self, name: str) -> dict[str, Any] | None:
        """The first client of a name, with its `features`; None without one."""
        row = self._connection.execute(
            f"{_select('client = ?')} ORDER BY place LIMIT 1", (name,)
        ).fetchone()
        if row is None:
            return None
        (features,) = self._connection.execute(
            "SELECT features FROM details WHERE place = ?", (row["place"],)
        ).fetchone()
        return {**self._client(row), "features": json.loads(features)}

    def long_name(self, digest: str) -> str | None:
        """The name, too long for an address, that has this digest; None without one."""
        self._connection.create_function("digest", 1, name_digest, deterministic=True)
        row = self._connection.execute(
            "SELECT client FROM clients WHERE length(client) > ? AND digest(client) = ? LIMIT 1",
            (_SHORT_NAME, digest),
        ).fetchone()
        return None if row is None else str(row["client"])

    def _client(self, row: sqlite3.Row) -> dict[str, Any]:
        (reasons,) = self._connection.execute(
            "SELECT reasons FROM details WHERE place = ?", (row["place"],)
        ).fetchone()
        return {**dict(row), "reasons": json.loads(reasons)}


def name_digest(name: str) -> str:
    """SHA-256 of a client's name in UTF-8, hexadecimal; stands for one too long for an address."""
    return hashlib.sha256(name.encode()).hexdigest()


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Book]:
    """Open the present book.

    Raises:
        FileNotFoundError: there is no book.
        DataError: the book is damaged.
    """
    if not path.exists():
        raise FileNotFoundError(path)
    # The file is only replaced, never changed: no locks, no journal are needed.
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            yield Book(connection)
    except (sqlite3.Error, ValueError, TypeError) as error:
        raise DataError(f"{path}: not the book that the pipeline wrote ({error})") from None


def _about(connection: sqlite3.Connection) -> dict[str, Any]:
    """The book's `about`; a ValueError if another version wrote the book."""
    written = {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master")}
    (text,) = connection.execute("SELECT about FROM about").fetchone()
    about = dict(json.loads(text))
    is_whole = about.keys() >= _ABOUT and about["tiers"].keys() >= set(TIERS)
    if not is_whole or not written >= set(_SCHEMA):
        raise ValueError("another version of the pipeline wrote it")
    return about


def _select(where: str) -> str:
    return f"SELECT {_COLUMNS} FROM clients WHERE {where}"


def _condition(question: Question) -> tuple[str, list[Any]]:
    """A condition in SQL, and the values bound in it."""
    parts, values = ["1"], list[Any]()
    if len(question.tiers) < len(TIERS):
        parts.append(f"tier IN ({', '.join('?' * len(question.tiers))})")
        values += sorted(question.tiers)
    if question.part:
        parts.append("instr(folded, ?)")
        values.append(question.part.casefold())
    return " AND ".join(parts), values


NO_REASONS = "[]"


def write_ranking(
    path: Path,
    ranking: Ranking,
    features: Mapping[str, Any],
    tiers: Tiers,
    about: Mapping[str, Any],
) -> None:
    """Replace the book by a ranking.

    Args:
        path: the book.
        ranking: the clients in order.
        features: column -> value of each client, in the order of the table that was ranked.
        tiers: the thresholds used.
        about: `time`, `release` and `ranked` (which clients these are).
    """
    whole = {
        **about,
        "total": len(ranking),
        "tiers": {tier: ranking.count(tier) for tier in TIERS},
        "thresholds": asdict(tiers),
    }
    write_book(path, whole, _clients(ranking), _details(ranking, features))


def _clients(ranking: Ranking) -> Iterator[tuple[Any, ...]]:
    count = len(ranking)
    blanks = [None] * count
    ranks = blanks if ranking.value_ranks is None else ranking.value_ranks.tolist()
    return zip(
        range(1, count + 1),
        ranking.ids.tolist(),
        ranking.tiers.tolist(),
        ranking.probabilities.tolist(),
        ranking.probability_changes,
        ranking.rank_changes,
        blanks if ranking.values is None else _known(ranking.values.tolist()),
        blanks if ranking.values_at_risk is None else _known(ranking.values_at_risk.tolist()),
        (rank or None for rank in ranks),
        strict=True,
    )


def _details(ranking: Ranking, features: Mapping[str, Any]) -> Iterator[tuple[int, str, str]]:
    """Place, reasons and features of each client; the last two as JSON."""
    columns = [features[name][ranking.rows].tolist() for name in features]
    # One format string for all: there may be millions of clients.
    form = ", ".join(json.dumps(name).replace("%", "%%") + ": %s" for name in features)
    texts = [json.dumps(reasons) for reasons in ranking.reasons]
    for position, values in enumerate(zip(*map(_texts, columns), strict=True)):
        reasons = texts[position] if position < len(texts) else NO_REASONS
        yield position + 1, reasons, "{" + form % values + "}"


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
