"""The book of ranked clients: pages, orders, parts of names; made anew while others read."""

from __future__ import annotations

import hashlib
import sqlite3
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from attrition.core import clock
from attrition.core.errors import DataError
from attrition.ranking import lookup_db
from attrition.ranking.lookup_db import Page, Question, opened
from attrition.ranking.lookup_db_writer import write_book

ABOUT = {
    "time": "2026-03-01T06:00:00+00:00",
    "release": "000001-a",
    "ranked": "open clients",
    "total": 5,
    "tiers": {"high": 2, "medium": 1, "low": 2},
    "thresholds": {"high": 0.5, "medium": 0.25},
    "value_at_risk": {"high": 9.0, "medium": 400.0, "low": 20.0},
}
# Place, client, tier, probability, changes, value, value at risk, value rank.
ROWS: list[tuple[Any, ...]] = [
    (1, "Öl & Gas", "high", 0.9, "0.1000", "2", 10.0, 9.0, 3),
    (2, "acme", "high", 0.8, "new", "new", None, None, None),
    (3, "Zebra", "medium", 0.4, "", "", 1000.0, 400.0, 1),
    (4, "Bolt 100%", "low", 0.2, "", "", 100.0, 20.0, 2),
    (5, "'; DROP TABLE clients --", "low", 0.1, "", "", 0.0, 0.0, 4),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "clients.db"
    write(path)
    return path


def write(path: Path, rows: list[tuple[Any, ...]] = ROWS) -> None:
    details = [(row[0], '["because"]', '{"size": [%d]}' % row[0]) for row in rows]  # noqa: UP031
    tiers = {tier: sum(row[2] == tier for row in rows) for tier in lookup_db.TIERS}
    write_book(path, {**ABOUT, "total": len(rows), "tiers": tiers}, rows, details)


def asked(path: Path, number: int = 1, size: int = 10, **question: Any) -> Page:
    with opened(path) as book:
        return book.page(Question(**question), number, size)


def places(page: Page) -> list[int]:
    return [client["place"] for client in page.clients]


def test_a_page_holds_its_clients_and_counts_all_that_match(path: Path) -> None:
    page = asked(path, number=2, size=2)
    assert places(page) == [3, 4]
    assert page.matching == 5
    assert page.about == ABOUT
    assert page.clients[0] == {
        "place": 3,
        "client": "Zebra",
        "tier": "medium",
        "probability": 0.4,
        "probability_change": "",
        "rank_change": "",
        "value": 1000.0,
        "value_at_risk": 400.0,
        "value_rank": 1,
        "reasons": ["because"],
    }
    assert places(asked(path, number=4, size=2)) == []


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("place", [1, 2, 3, 4, 5]),
        ("-place", [5, 4, 3, 2, 1]),
        ("probability", [5, 4, 3, 2, 1]),
        ("-probability", [1, 2, 3, 4, 5]),
        ("client", [5, 2, 4, 3, 1]),  # whatever the case
        ("-client", [1, 3, 4, 2, 5]),
        ("value_at_risk", [5, 1, 4, 3, 2]),  # who has no value comes last, up and down
        ("-value_at_risk", [3, 4, 1, 5, 2]),
    ],
)
def test_every_order_can_be_asked_for(path: Path, sort: str, order: list[int]) -> None:
    assert places(asked(path, sort=sort)) == order
    assert set(order) == {1, 2, 3, 4, 5}
    assert sort in lookup_db.SORTS


@pytest.fixture
def rested(tmp_path: Path) -> Path:
    """Clients 1, 3 and 5 were contacted; 4 and 5 are held out."""
    path = tmp_path / "rested.db"
    about = {**ABOUT, "rest_days": 30, "held_out": {"high": 0, "medium": 0, "low": 2}}
    contacted = [(1, "2026-03-01"), (3, "2026-02-20"), (5, "2026-02-28")]
    write_book(path, about, ROWS, [(n, "[]", "{}") for n in range(1, 6)], contacted=contacted)
    return path


def on(monkeypatch: pytest.MonkeyPatch, day: str) -> None:
    monkeypatch.setattr(
        clock, "days_ago", lambda n: (date.fromisoformat(day) - timedelta(n)).isoformat()
    )


def test_who_was_contacted_lately_can_be_left_out_and_is_counted(
    rested: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(monkeypatch, "2026-03-01")
    hidden, only = frozenset({"not lately"}), frozenset({"lately"})
    page = asked(rested, contacts=hidden)
    assert (places(page), page.matching) == ([2, 4], 2)
    assert page.contacts == {"lately": 3, "not lately": 2}
    assert page.found == {"high": 1, "medium": 0, "low": 1}
    assert page.groups == {"call": 1, "hold out": 1}
    page = asked(rested, contacts=only, tiers=frozenset({"high", "low"}), size=1)
    assert (places(page), page.matching) == ([1], 2)
    assert page.found == {"high": 1, "medium": 1, "low": 1}
    assert page.groups == {"call": 1, "hold out": 1}
    page = asked(rested, contacts=hidden, part="a", groups=frozenset({"call"}))
    assert (places(page), page.contacts) == ([2], {"lately": 2, "not lately": 1})
    page = asked(rested)
    assert [client["last_contact"] for client in page.clients] == [
        "2026-03-01",
        None,
        "2026-02-20",
        None,
        "2026-02-28",
    ]
    assert (page.matching, page.contacts) == (5, {"lately": 3, "not lately": 2})


def test_a_rest_ends_by_the_day_on_which_one_looks(
    rested: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day, resting in (("2026-03-21", [1, 3, 5]), ("2026-03-22", [1, 5]), ("2026-04-01", [])):
        on(monkeypatch, day)
        assert places(asked(rested, contacts=frozenset({"lately"}))) == resting


def test_without_days_of_rest_nobody_was_contacted_lately(path: Path) -> None:
    assert places(asked(path, contacts=frozenset({"not lately"}))) == [1, 2, 3, 4, 5]
    page = asked(path, contacts=frozenset({"lately"}))
    assert (places(page), page.matching, page.contacts) == ([], 0, {})


def test_a_list_by_profit_is_sorted_by_risk_and_profit_as_well(path: Path) -> None:
    profits = [50.0, None, 30.0, 2.0, -1.0]
    chances = [0.4, 0.2, 0.9, 0.1, 0.8]
    rows = [
        (*row[:3], chance, *row[4:], profit)
        for row, chance, profit in zip(ROWS, chances, profits, strict=True)
    ]
    about = {**ABOUT, "rank_by": "profit", "has_profit": True}
    write_book(path, about, rows, [(n, "[]", "{}") for n in range(1, 6)])
    assert places(asked(path, sort="-probability")) == [3, 5, 1, 2, 4]
    assert places(asked(path, sort="probability")) == [4, 2, 1, 5, 3]
    assert places(asked(path, sort="-profit")) == [1, 3, 4, 5, 2]
    assert places(asked(path, sort="profit")) == [5, 4, 3, 1, 2]
    assert [client["profit"] for client in asked(path).clients] == profits


def test_tiers_and_parts_of_names_narrow_the_list_down(path: Path) -> None:
    assert places(asked(path, tiers=frozenset({"high"}))) == [1, 2]
    assert places(asked(path, tiers=frozenset({"high", "low"}))) == [1, 2, 4, 5]
    assert places(asked(path, part="A")) == [1, 2, 3, 5]
    assert places(asked(path, part="öL")) == [1]
    assert places(asked(path, part="%")) == [4]  # no wildcard
    assert places(asked(path, part="'; DROP")) == [5]
    narrowed = asked(path, size=1, part="a", tiers=frozenset({"high"}))
    assert (places(narrowed), narrowed.matching) == ([1], 2)
    assert asked(path, part="nobody").matching == 0
    assert asked(path, part="gasacme").matching == 0  # ends one name and begins the next
    assert asked(path, part="".join(row[1] for row in ROWS) + "more").matching == 0
    for number, size in ((1, 3), (2, 3), (3, 3), (1, 4), (2, 2), (9, 2)):
        page = asked(path, part="a", number=number, size=size)
        assert page.matching == 4, (number, size)


def test_a_least_value_leaves_those_who_are_worth_it(path: Path) -> None:
    assert places(asked(path, least_value=10.0)) == [1, 3, 4]
    assert places(asked(path, least_value=0.0)) == [1, 3, 4, 5]  # the value of 2 is not known
    narrowed = asked(path, size=1, least_value=10.0, tiers=frozenset({"high", "low"}))
    assert (places(narrowed), narrowed.matching) == ([1], 2)
    assert narrowed.found == {"high": 1, "medium": 1, "low": 1}


def test_a_part_of_a_name_is_found_in_whichever_unicode_form_it_is_typed(path: Path) -> None:
    composed, combined = "M\u00fcller", "Mu\u0308ller"
    row = (1, composed, "high", 0.9, "", "", None, None, None)
    for stored in (composed, combined):
        write(path, [(1, stored, *row[2:])])
        for typed in ("m\u00fcll", "mu\u0308ll", "\uff2d\u00fc"):  # the last M is a full-width one
            assert places(asked(path, part=typed)) == [1]


def test_a_part_of_a_name_is_found_whatever_its_case(tmp_path: Path) -> None:
    """U+0130 is the Turkish capital I with its dot, of which `casefold` makes two characters."""
    names = ["\u0130stanbul", "Istanbul Ltd", "M\u00fcller", "STRASSE 1"]
    book = tmp_path / "clients.db"
    write(book, [(n, name, "high", 0.9, "", "", None, None, None) for n, name in enumerate(names)])
    for part in ("istanbul", "\u0130STANBUL", "i\u0307stanbul"):
        assert places(asked(book, part=part)) == [0, 1], part
    assert places(asked(book, part="M\u00dcLLER")) == [2]
    assert places(asked(book, part="stra\u00dfe")) == [3]


def test_clients_held_out_stand_below_the_others_in_every_order(path: Path) -> None:
    tiers = {"high": 2, "medium": 1, "low": 2}
    held_out = {"high": 0, "medium": 0, "low": 2}
    write_book(path, {**ABOUT, "held_out": held_out}, ROWS, [(n, "[]", "{}") for n in range(1, 6)])
    for sort in lookup_db.SORTS:
        page = asked(path, sort=sort)
        assert [client["group"] for client in page.clients] == ["call"] * 3 + ["hold out"] * 2
        assert (page.found, page.groups) == (tiers, {"call": 3, "hold out": 2})
    assert places(asked(path, sort="-client")) == [1, 3, 2, 4, 5]
    apart = asked(path, groups=frozenset({"hold out"}), tiers=frozenset({"low"}), sort="-place")
    assert (places(apart), apart.matching, apart.found) == ([5, 4], 2, held_out)
    for size in (1, 10):
        some = asked(path, part="a", size=size, groups=frozenset({"call"}))
        assert (some.matching, some.groups) == (3, {"call": 3, "hold out": 1})
    assert asked(path, part="a").groups == {"call": 3, "hold out": 1}
    with opened(path) as book:
        found = book.client("Bolt 100%")
    assert found is not None
    assert found["group"] == "hold out"


def test_where_nobody_is_held_out_there_are_no_groups(path: Path) -> None:
    page = asked(path, groups=frozenset({"call"}))
    assert (page.matching, page.groups) == (5, {})
    assert "group" not in page.clients[0]
    assert asked(path, groups=frozenset({"hold out"})).matching == 0


def test_one_client_is_found_by_its_whole_name_alone(path: Path) -> None:
    with opened(path) as book:
        found = book.client("acme")
        assert found is not None
        assert (found["place"], found["features"], found["value"]) == (2, {"size": 2}, None)
        assert book.client("Acme") is None
        assert book.client("acm") is None


def test_who_reads_goes_on_with_the_book_that_was_opened(path: Path) -> None:
    with opened(path) as book:
        write(path, ROWS[:2])
        assert book.page(Question(), 1, 10).matching == 5
    assert asked(path).matching == 2


def test_reading_writes_nothing(path: Path) -> None:
    path.chmod(0o444)
    before = hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns
    asked(path)
    assert (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns) == before
    assert [found.name for found in path.parent.iterdir()] == ["clients.db"]


def test_a_book_is_written_whole_by_a_sqlite_that_takes_fewer_values_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before 3.32 a statement took 999 values."""

    class Old(sqlite3.Connection):
        def __init__(self, *parts: Any, **more: Any) -> None:
            super().__init__(*parts, **more)
            self.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 999)

    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Old))
    write(tmp_path / "clients.db", [(n, f"client {n}", *ROWS[3][2:]) for n in range(1, 400)])
    assert asked(tmp_path / "clients.db").matching == 399


def test_a_book_that_cannot_be_written_leaves_the_old_one(path: Path) -> None:
    def rows() -> Any:
        yield ROWS[0]
        raise RuntimeError("the power is out")

    with pytest.raises(RuntimeError):
        write_book(path, ABOUT, rows(), [])
    assert asked(path).matching == 5
    assert [found.name for found in path.parent.iterdir()] == ["clients.db"]


@pytest.mark.parametrize("other", ["of two\nLines", "\u0301after", "Ǆ İ ß", "\n"])
def test_a_name_is_found_whatever_names_stand_beside_it(path: Path, other: str) -> None:
    names = ["ACME", other, "É", "Last"]
    write(path, [(n, name, *ROWS[1][2:]) for n, name in enumerate(names, 1)])
    with opened(path) as book:
        for place, name in enumerate(names, 1):
            client = book.client(name)
            assert client is not None
            assert client["place"] == place
    assert places(asked(path, part="acme")) == [1]
    assert places(asked(path, part="é")) == [3]


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + b"\xff" * 2000])
def test_a_damaged_book_is_said(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(DataError, match="not the book"):
        asked(path)


def test_a_block_of_fewer_features_than_clients_is_damage(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("""UPDATE details SET of_block = '{"size": []}'""")
    connection.close()
    with pytest.raises(DataError, match="not the book"), opened(path) as book:
        book.client("Zebra")


def test_the_next_list_compares_with_all_of_its_clients_in_order(path: Path) -> None:
    with opened(path) as book:
        last = book.previous("by risk")
        assert list(last.ids) == [row[1] for row in ROWS]
        assert last.probabilities.tolist() == [0.9, 0.8, 0.4, 0.2, 0.1]
        assert list(last.probability_changes) == ["0.1000", "new", "", "", ""]
        assert list(last.rank_changes) == ["2", "new", "", "", ""]
        assert not last.same_order  # it is not known what ordered it


def test_no_book_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        asked(tmp_path / "clients.db")
