"""The look-up database of the ranked clients, `models/clients.db` (SQLite), new with every ranking.

`clientrisk.csv` is for people, this database (the book) is for the API: it finds a page, a tier, or
a client by its name or a part of it in milliseconds, however long the list is. It is built beside
the old one and replaces it in one step; readers continue with the one they opened.

The search for a part of a name ignores case (by `str.casefold`) and Unicode forms (by NFKC).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from attrition.core import clock
from attrition.core.errors import DataError, UnreadableError
from attrition.ranking.movement import CAME, LEFT, HighRisk, Movement
from attrition.ranking.ranking import CALL, GROUPS, HIGH, HOLD_OUT, Previous
from attrition.runs.history_store import error_kind

TIERS = ("high", "medium", "low")
# Whether a client was contacted so lately that it is not to be called again yet (`rest_days`).
LATELY, NOT_LATELY = CONTACTS = "lately", "not lately"
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
# Where places do not follow the probability.
_SORTS_BY_PROBABILITY = {
    "probability": "probability, place DESC",
    "-probability": "probability DESC, place",
}
_SORTS_WITHOUT_VALUES = dict.fromkeys(("value_at_risk", "-value_at_risk"), "place")
# Where costs are set; without an index, which takes longer to make than all pages take to sort.
PROFIT_SORTS = {
    "profit": "profit NULLS LAST, place",
    "-profit": "profit DESC NULLS LAST, place",
}
_COLUMNS = (
    "place, client, tier, probability, probability_change, rank_change, value, value_at_risk, "
    "value_rank, profit"
)
# An address takes up to 12 bytes a character: no name of so many is too long for one.
_SHORT_NAME = 300
_ABOUT = {"time", "release", "ranked", "total", "tiers", "thresholds"}
SCHEMA = (
    "CREATE TABLE about (about TEXT NOT NULL)",  # one row, JSON
    """CREATE TABLE clients (
        folded TEXT NOT NULL,
        place INTEGER PRIMARY KEY,
        client TEXT NOT NULL,
        tier TEXT NOT NULL,
        probability REAL NOT NULL,
        probability_change TEXT NOT NULL,
        rank_change TEXT NOT NULL,
        value REAL,
        value_at_risk REAL,
        value_rank INTEGER,
        profit REAL
    )""",
    # A separate table: the texts are long and would slow down a search. Features stand where a
    # block of clients begins, as lists of all their values; without these and reasons no row is.
    "CREATE TABLE details (place INTEGER PRIMARY KEY, reasons TEXT NOT NULL, of_block TEXT)",
    # Clients who have come to high risk or left it; without a place: no longer on the list.
    "CREATE TABLE moved (client TEXT NOT NULL, move TEXT NOT NULL, place INTEGER)",
    # The text of each segment column, by the column's number in `about`.
    """CREATE TABLE segments (
        place INTEGER NOT NULL,
        number INTEGER NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (place, number)
    ) WITHOUT ROWID""",
)
# Who was contacted lately, by the date of the list; only where `rest_days` is set.
CONTACTED = "CREATE TABLE contacted (place INTEGER PRIMARY KEY, day TEXT NOT NULL)"
INDEXES = (
    "CREATE INDEX clients_by_name ON clients (folded, place, tier)",
    "CREATE INDEX clients_by_tier ON clients (tier, place)",
    "CREATE INDEX segments_by_text ON segments (number, text, place)",
)
BY_VALUE = "CREATE INDEX clients_by_value ON clients (value_rank, place, tier)"  # with values


@dataclass(frozen=True)
class Page:
    """Some of the clients that match a question, and the number of all.

    Attributes:
        about: of the ranking: `time`, `release`, `ranked` (which clients), `total`, `tiers`
            (tier -> number of clients), `thresholds` (tier -> probability); where clients are held
            out also `held_out` (tier -> number of these); with values `value_at_risk` (tier -> its
            sum, None where none is known); after another list `moved` (`since`, and the numbers
            `came`, `left` and `gone`); `earlier_line` where it is compared with another list
            (`movement.EarlierLine`); `one_risk` where all have the same (`Ranking.one_risk`);
            `rank_by` where it is not the risk; `order`, by what settings
            (`pricing.order_settings`); `has_profit` where costs are set; `calls_per_list` and
            `rest_days` where these are, `last_call` (the place where these calls end) where both
            are; `segments`, the segment columns, where there are some; `in_common`, a sentence on
            the first clients, where most of them are alike.
        found: tier -> number of its clients, in the question's groups, that match in all else.
        groups: group -> number of its clients, in the question's tiers, that match in all else;
            empty where nobody is held out.
        contacts: likewise, one of `CONTACTS` -> number; empty where nobody rests.
        matching: number of the clients that match.
        clients: those on this page.
    """

    about: dict[str, Any]
    found: dict[str, int]
    groups: dict[str, int]
    contacts: dict[str, int]
    matching: int
    clients: list[dict[str, Any]]


@dataclass(frozen=True)
class Question:
    """Which clients, in which order: `tiers` of `TIERS`, `groups` of `GROUPS` (where nobody is held
    out, all clients are to be called), `contacts` of `CONTACTS`, a part of the name, a key of
    `SORTS`.

    Attributes:
        moved: one of `movement.MOVES` (of those who left high risk, the ones still listed); "" for
            all clients.
        least_value: least value of a client; None for all, those without a value among them.
        segments: pairs of a segment column and a text that a client has there.
    """

    tiers: frozenset[str] = frozenset(TIERS)
    groups: frozenset[str] = frozenset(GROUPS)
    contacts: frozenset[str] = frozenset(CONTACTS)
    part: str = ""
    sort: str = "place"
    moved: str = ""
    least_value: float | None = None
    segments: tuple[tuple[str, str], ...] = ()

    @property
    def is_narrowed(self) -> bool:
        """Whether anything but tiers, groups and contacts is asked for."""
        return bool(self.part or self.moved or self.segments) or self.least_value is not None


def folded(name: str) -> str:
    """A name for comparison: in any Unicode form, without case.

    `casefold` makes two characters of a Turkish `İ`.
    """
    if name.isascii():
        return name.lower()
    plain = unicodedata.normalize("NFKC", name).casefold().replace("i\N{COMBINING DOT ABOVE}", "i")
    return unicodedata.normalize("NFKC", plain)


class Book:
    """A book opened for reading; no file is written.

    Attributes:
        about: see `Page`.
        to_call: how many clients are not held out: those of the first places.
        resting_since: who was contacted on this day or later rests today; "" without `rest_days`.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.about = _about(connection)
        self.to_call = self.about["total"] - sum(self.about.get("held_out", {}).values())
        rests = "rest_days" in self.about
        self.resting_since = clock.days_ago(self.about["rest_days"] - 1) if rests else ""

    def page(self, question: Question, number: int, size: int) -> Page:
        """Page `number`, from 1 on, of the matching clients; an empty one after the last."""
        query, values = self._query(question)
        rows = self._connection.execute(
            f"{query} LIMIT ? OFFSET ?", (*values, size, (number - 1) * size)
        ).fetchall()
        is_all = question.tiers == set(TIERS) and question.groups == set(GROUPS)
        is_all = is_all and question.contacts == set(CONTACTS)
        if not question.is_narrowed:
            held_out = Counter(self.about.get("held_out", {}))
            counts = {CALL: Counter(self.about["tiers"]) - held_out, HOLD_OUT: held_out}
        elif number == 1 and len(rows) < size and is_all:  # all of them
            counts = {group: Counter[str]() for group in GROUPS}
            for row in rows:
                counts[self._group(row)][row["tier"]] += 1
        else:
            counts = self._count(question, CONTACTS)
        by_contact = self._by_contact(question, counts)
        contacts = {
            contact: sum(some[group][tier] for group in question.groups for tier in question.tiers)
            for contact, some in by_contact.items()
        }
        if len(question.contacts) < len(CONTACTS):
            (contact,) = question.contacts
            counts = by_contact[contact]
        tiers = {tier: sum(counts[group][tier] for group in question.groups) for tier in TIERS}
        groups = {group: sum(counts[group][tier] for tier in question.tiers) for group in GROUPS}
        matching = sum(tiers[tier] for tier in question.tiers)
        clients = [self._client(row) for row in rows]
        return Page(
            self.about,
            tiers,
            groups if self._has_groups else {},
            contacts if self.resting_since else {},
            matching,
            clients,
        )

    def every(self, question: Question) -> Iterator[dict[str, Any]]:
        """All matching clients, one after the other, without keeping them in memory."""
        return map(self._client, self._connection.execute(*self._query(question)))

    @property
    def _has_groups(self) -> bool:
        return "held_out" in self.about

    @property
    def has_profit(self) -> bool:
        """Whether costs are set: clients then have a `profit`."""
        return bool(self.about.get("has_profit"))

    @property
    def segment_columns(self) -> list[str]:
        """The segment columns, by number."""
        return list(self.about.get("segments", ()))

    def segment_texts(self, column: str, most: int) -> list[tuple[str, int]]:
        """The texts of a segment column, each with its number of clients; at most so many."""
        return list(
            map(
                tuple,
                self._connection.execute(
                    "SELECT text, count(*) FROM segments WHERE number = ? "
                    "GROUP BY text ORDER BY text LIMIT ?",
                    (self.segment_columns.index(column), most),
                ),
            )
        )

    @property
    def sorts(self) -> dict[str, str]:
        """The orders that the list can be asked for in, each as SQLite's ORDER BY."""
        by_probability = _SORTS_BY_PROBABILITY if "rank_by" in self.about else {}
        by_value = {} if "value_at_risk" in self.about else _SORTS_WITHOUT_VALUES
        return SORTS | by_probability | by_value | (PROFIT_SORTS if self.has_profit else {})

    def _group(self, row: sqlite3.Row) -> str:
        return CALL if row["place"] <= self.to_call else HOLD_OUT

    def _query(self, question: Question) -> tuple[str, list[Any]]:
        """The clients in SQL, in every order those to call first; and the values bound in it."""
        where, values = self._condition(question)
        order = self.sorts[question.sort]
        if self._has_groups and order != "place" and question.groups == set(GROUPS):
            order = f"place > {self.to_call:d}, {order}"
        return f"{self._select(where)} ORDER BY {order}", values

    def _select(self, where: str) -> str:
        columns = _COLUMNS
        if self.resting_since:
            columns += (
                ", (SELECT day FROM contacted WHERE contacted.place = clients.place "
                f"AND day >= '{self.resting_since}') AS last_contact"
            )
        return f"SELECT {columns} FROM clients WHERE {where}"

    def _condition(self, question: Question) -> tuple[str, list[Any]]:
        """A condition in SQL, and the values bound in it."""
        where, values = _condition(question, self.to_call, self.segment_columns)
        if len(question.contacts) == len(CONTACTS):
            return where, values
        negation = "" if LATELY in question.contacts else "NOT "
        if not self.resting_since:
            return f"{where} AND {negation}0", values
        lately = "place IN (SELECT place FROM contacted WHERE day >= ?)"
        return f"{where} AND {negation}{lately}", [*values, self.resting_since]

    def _by_contact(
        self, question: Question, counts: Mapping[str, Counter[str]]
    ) -> dict[str, dict[str, Counter[str]]]:
        """These counts of all clients for each of `CONTACTS`; few were contacted lately."""
        nobody = {group: Counter[str]() for group in GROUPS}
        lately = self._count(question, (LATELY,)) if self.resting_since else nobody
        others = {group: counts[group] - lately[group] for group in GROUPS}
        return {LATELY: lately, NOT_LATELY: others}

    def _count(self, question: Question, contacts: Iterable[str]) -> dict[str, Counter[str]]:
        """Group -> tier -> number of such clients that match in all but tier and group."""
        counts = {group: Counter[str]() for group in GROUPS}
        narrowed = replace(
            question,
            tiers=frozenset(TIERS),
            groups=frozenset(GROUPS),
            contacts=frozenset(contacts),
        )
        where, values = self._condition(narrowed)
        query = (
            f"SELECT place > {self.to_call:d} AS is_held_out, tier, count(*) AS clients "
            f"FROM clients WHERE {where} GROUP BY is_held_out, tier"
        )
        for row in self._connection.execute(query, values):
            counts[GROUPS[row["is_held_out"]]][row["tier"]] = row["clients"]
        return counts

    def client(self, name: str) -> dict[str, Any] | None:
        """The first client of a name, with its `features`; None without one."""
        row = self._connection.execute(
            f"{self._select('folded = ? AND client = ?')} ORDER BY place LIMIT 1",
            (folded(name), name),
        ).fetchone()
        if row is None:
            return None
        first, features = self._connection.execute(
            "SELECT place, of_block FROM details WHERE place <= ? AND of_block IS NOT NULL "
            "ORDER BY place DESC",
            (row["place"],),
        ).fetchone()
        distance = row["place"] - first
        values = {name: _shown(column[distance]) for name, column in json.loads(features).items()}
        return {**self._client(row), "features": values}

    def previous(self, order: str) -> Previous:
        """The list as it is compared with the next one, which these settings order; see `Page`."""
        cursor = self._connection.cursor()
        cursor.row_factory = None  # of a million rows
        query = "SELECT client, probability, probability_change, rank_change FROM clients"
        cells = list(chain.from_iterable(cursor.execute(f"{query} ORDER BY place")))
        ids, probabilities, moved, climbed = (cells[column::4] for column in range(4))
        same_order = self.about.get("order") == order
        return Previous(ids, np.array(probabilities, float), moved, climbed, same_order)

    def high_risk(self) -> HighRisk:
        """Who is at high risk, and who moved there or away."""
        names = self._connection.execute("SELECT client FROM clients WHERE tier = ?", (HIGH,))
        clients = frozenset(name for (name,) in names)
        time, least = self.about["time"], self.about["thresholds"]["high"]
        line = self.about.get("earlier_line")
        earlier = (line["least"], line["time"]) if line else None
        if "moved" not in self.about:
            return HighRisk(time, clients, None, least, earlier)
        moves: dict[str, set[str]] = {CAME: set(), LEFT: set()}
        for client, move in self._connection.execute("SELECT client, move FROM moved"):
            moves[move].add(client)
        since = self.about["moved"]["since"]
        movement = Movement(since, frozenset(moves[CAME]), frozenset(moves[LEFT]))
        return HighRisk(time, clients, movement, least, earlier)

    def long_name(self, digest: str) -> str | None:
        """The name, too long for an address, that has this digest; None without one."""
        self._connection.create_function("digest", 1, name_digest, deterministic=True)
        # The length of a text ends at a NUL, that of bytes does not.
        row = self._connection.execute(
            "SELECT client FROM clients WHERE length(CAST(client AS BLOB)) > ? "
            "AND digest(client) = ? LIMIT 1",
            (_SHORT_NAME, digest),
        ).fetchone()
        return None if row is None else str(row["client"])

    def _client(self, row: sqlite3.Row) -> dict[str, Any]:
        reasons = self._connection.execute(
            "SELECT reasons FROM details WHERE place = ?", (row["place"],)
        ).fetchone()
        client = {**dict(row), "reasons": json.loads(*reasons) if reasons else []}
        if self._has_groups:
            client["group"] = self._group(row)
        if not self.has_profit:
            del client["profit"]
        if columns := self.segment_columns:
            texts = self._connection.execute(
                "SELECT text FROM segments WHERE place = ? ORDER BY number", (row["place"],)
            )
            client["segments"] = dict(zip(columns, (text for (text,) in texts), strict=True))
        return client


def _shown(value: Any) -> Any:
    """A feature's value; a whole number without a point."""
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    return int(value) if is_whole else value


def name_digest(name: str) -> str:
    """SHA-256 of a client's name in UTF-8, hexadecimal; stands for one too long for an address."""
    return hashlib.sha256(name.encode()).hexdigest()


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Book]:
    """Open the present book.

    Raises:
        FileNotFoundError: there is no book.
        UnreadableError: the disk fails; a later attempt may succeed.
        DataError: the book is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(path)
    # The file is only replaced, never changed: no locks, no journal are needed.
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            yield Book(connection)
    except (sqlite3.Error, ValueError, TypeError, LookupError) as error:
        if error_kind(error) in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
            raise UnreadableError(f"{path}: cannot be read ({error})") from None
        raise DataError(f"{path}: not the book that the pipeline wrote ({error})") from None


def _about(connection: sqlite3.Connection) -> dict[str, Any]:
    """The book's `about`; a ValueError if another version wrote the book."""
    written = {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master")}
    (text,) = connection.execute("SELECT about FROM about").fetchone()
    about = dict(json.loads(text))
    is_whole = about.keys() >= _ABOUT and about["tiers"].keys() >= set(TIERS)
    if not is_whole or not written >= set(SCHEMA):
        raise ValueError("another version of the pipeline wrote it")
    return about


def _condition(
    question: Question, to_call: int, segment_columns: Sequence[str]
) -> tuple[str, list[Any]]:
    """A condition in SQL, where so many clients are to be called, and the values bound in it."""
    parts, values = ["1"], list[Any]()
    if len(question.tiers) < len(TIERS):
        parts.append(f"tier IN ({', '.join('?' * len(question.tiers))})")
        values += sorted(question.tiers)
    if len(question.groups) < len(GROUPS):
        parts.append("place <= ?" if CALL in question.groups else "place > ?")
        values.append(to_call)
    if question.part:
        parts.append("instr(folded, ?)")
        values.append(folded(question.part))
    if question.moved:
        parts.append("place IN (SELECT place FROM moved WHERE move = ?)")
        values.append(question.moved)
    if question.least_value is not None:
        parts.append("value >= ? AND value_rank")  # one that counts
        values.append(question.least_value)
    for column, text in question.segments:
        parts.append("place IN (SELECT place FROM segments WHERE number = ? AND text = ?)")
        values += [segment_columns.index(column) if column in segment_columns else -1, text]
    return " AND ".join(parts), values
