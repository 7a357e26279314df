"""What the first clients of a list have in common: said where it stands out, and nowhere else."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app import create_app
from attrition.core import atomic_files
from attrition.core.labels import NO_LABELS, Labels, parse_labels
from attrition.model.scorecard import Scorecard
from attrition.model.terms import CategoricalTerm, KnotAxis, LevelAxis, NumericTerm
from attrition.ranking import in_common, ranking
from attrition.ranking.in_common import FIRST, Fact, most_telling
from tests.conftest import HEADER, Project
from tests.support.answers import strict_json
from tests.support.browsing import BROWSER
from tests.support.pages import document_text, page
from tests.support.rankings import TIERS
from tests.support.records import decision_json
from tests.support.releases import deploy

FLAG = KnotAxis((0.0, 1.0), 0.0)
YEARS = KnotAxis((1950.0, 2000.0), 1970.0)


def number(column: str, axis: KnotAxis, *points: float, missing: float = 0.0) -> NumericTerm:
    return NumericTerm(column, axis, points, missing, 0.0, 0.0)


# Below 20 months, a monthly contract, a complaint and a birth after 1975 raise the risk, and so
# does an income that nobody knows.
CARD = Scorecard(
    -3.0,
    0.5,
    (
        number("tenure", KnotAxis((0.0, 40.0), 30.0), 2.0, -2.0),
        number("complain", FLAG, -1.0, 1.0),
        number("born", YEARS, -1.0, 1.0),
        number("income", KnotAxis((0.0, 10.0), 5.0), 0.0, 0.0, missing=1.0),
    ),
    (CategoricalTerm("contract", LevelAxis(("yearly", "monthly")), (-1.0, 1.0, 0.0), "yearly", 0),),
    (),
)
DULL = {"tenure": 30.0, "complain": 0.0, "born": 1960.0, "income": 5.0, "contract": "yearly"}


def said(
    *kinds: tuple[int, dict[str, Any]], number: int = FIRST, labels: Labels = NO_LABELS
) -> str | None:
    """The sentence on a list of so many clients of each kind; in whatever order they come in."""
    clients = [DULL | kind for count, kind in kinds for _ in range(count)]
    texts = set()
    for seed in range(2):
        random.Random(seed).shuffle(clients)
        table = {column: np.array([one[column] for one in clients]) for column in DULL}
        table["contract"] = table["contract"].astype(object)
        ids = np.array([f"{n:05}" for n in range(len(clients))], dtype=object)
        listed = ranking.rank(CARD, ids, table, values=None, tiers=TIERS, with_reasons=0)
        texts.add(in_common.in_common(CARD, table, listed, number, labels))
    (text,) = texts
    return text


def test_a_level_and_a_range_are_said_with_their_shares() -> None:
    monthly: dict[str, Any] = {"contract": "monthly"}
    kinds = [(24, monthly | {"tenure": 1.0}), (16, monthly), (20, {"tenure": 15.0}), (40, {})]
    assert said(*kinds) == (
        "All of the first 25 clients have contract monthly (40% of all 100 listed), and 24 "
        "have tenure below 20 (44%)."
    )


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ({"complain": 1.0}, "have complain 1"),
        ({"born": 1990.0}, "have born above 1975"),
        ({"income": np.nan}, "have income missing"),
        ({"contract": "monthly"}, "have contract monthly"),
        ({"tenure": 19.0}, "have tenure below 20"),
    ],
)
def test_every_kind_of_column_has_its_words(kind: dict[str, Any], text: str) -> None:
    assert said((25, kind), (975, {})) == (
        f"All of the first 25 clients {text} (2% of all 1,000 listed)."
    )


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("has complained", "have complained"),
        ("is angry", "are angry"),
        ("Beschwerde", "have complaints \N{LEFT DOUBLE QUOTATION MARK}Beschwerde”"),
    ],
)
def test_labels_say_it_in_their_words(phrase: str, text: str) -> None:
    labels = parse_labels(
        {
            "complain": {"label": "complaints", "values": {"1": phrase}},
            "tenure": {"label": "time as client", "unit": "months"},
        }
    )
    found = said((30, {"complain": 1.0}), (170, {}), labels=labels)
    assert found == f"All of the first 25 clients {text} (15% of all 200 listed)."
    found = said((30, {"tenure": 0.0}), (170, {}), labels=labels)
    assert found is not None
    assert "have time as client below 20 months (15%" in found


@pytest.mark.parametrize(
    ("first", "every", "is_telling"),
    [(15, 40, True), (14, 14, False), (15, 41, False), (25, 80, True), (25, 81, False)],
)
def test_three_fifths_have_it_and_of_all_clients_fewer_by_a_fifth(
    first: int, every: int, *, is_telling: bool
) -> None:
    fact = Fact("x", 1.0, (None, None), np.arange(25) < first, np.arange(100) < every)
    assert most_telling([fact]) == ([fact] if is_telling else [])


def test_nothing_is_said_where_nothing_stands_out() -> None:
    assert said((200, {"contract": "monthly"})) is None  # all are alike, and not the first alone
    assert said((200, {})) is None
    assert said((9, {"contract": "monthly"}), (100, {}), number=9) is None  # too few
    assert said((10, {"contract": "monthly"}), (90, {}), number=10) is not None
    assert said((5, {"contract": "monthly"}), (4, {})) is None  # a list of nine


def test_a_value_that_is_no_reason_is_not_said() -> None:
    """All of the first ones have an income of 1, and few others; but it changes no risk."""
    found = said((25, {"complain": 1.0, "income": 1.0}), (100, {}))
    assert found == "All of the first 25 clients have complain 1 (20% of all 125 listed)."


def test_what_says_the_same_again_is_left_out() -> None:
    kinds = [(25, {"complain": 1.0, "contract": "monthly"}), (100, {})]
    assert str(said(*kinds)).count("have") == 1
    more = said(*kinds, (20, {"complain": 1.0}), (20, {"contract": "monthly"}))
    assert more == (
        "All of the first 25 clients have complain 1 (27% of all 165 listed), and all have "
        "contract monthly (27%)."
    )


def test_of_a_long_list_a_sample_stands_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = [(300, {"complain": 1.0}), (2700, {})]
    exact = said(*kinds)
    monkeypatch.setattr(in_common, "SAMPLE", 100)
    assert said(*kinds) == exact
    assert exact == "All of the first 25 clients have complain 1 (10% of all 3,000 listed)."
    rare = said((25, {"complain": 1.0}), (9975, {}))  # of whom the sample has one
    assert rare == "All of the first 25 clients have complain 1 (1% of all 10,000 listed)."


def test_who_is_held_out_or_rests_is_not_among_the_first() -> None:
    """Their complaint is then no reason of anybody who may be called."""
    complain = np.repeat([1.0, 0.0], 50)
    table: dict[str, Any] = {column: np.full(100, value) for column, value in DULL.items()}
    table |= {"complain": complain, "contract": np.full(100, "yearly", dtype=object)}
    ids = np.array([f"{n:03}" for n in range(100)], dtype=object)
    settings: dict[str, Any] = {"values": None, "tiers": TIERS, "with_reasons": 0}
    listed = ranking.rank(CARD, ids, table, **settings)
    assert in_common.in_common(CARD, table, listed, FIRST, NO_LABELS) is not None
    resting = replace(listed, last_contacts=["2026-01-31"] * 50 + [""] * 50)
    held_out = ranking.rank(CARD, ids, table, **settings, held_out=complain == 1.0)
    for some in (resting, held_out):
        assert in_common.in_common(CARD, table, some, FIRST, NO_LABELS) is None


SENTENCE = "All of the first 25 clients have lastmonth_activity below 50 (40% of all 75 listed)."


@pytest.mark.parametrize(("quiet", "text"), [(30, SENTENCE), (0, None)])
def test_list_page_report_terminal_and_api_say_it(
    project: Project, quiet: int, text: str | None
) -> None:
    """Through scripts, files and HTTP; where there is nothing to say, no place has the key."""
    deploy(project)
    project.configure(reports=["html", "pdf"])
    rows = [f"client {n},{0 if n < quiet else 100},10,1," for n in range(75)]
    project.write("sourcedata/open.csv", "\n".join([HEADER, *rows, ""]))
    project.run("ingestion.py")
    atomic_files.write_json(project.config.decision, decision_json())
    printed = " ".join(project.run("reporting.py", check=False).stdout.split())
    record = atomic_files.read_json_object(project.config.decision)["ranking"]
    client = create_app(project.config).test_client()
    for answer in (record, strict_json(client.get("/clients"))):
        assert answer.get("in_common", "no key") == (text or "no key")
    places = [
        printed,
        page(project.config.report).text,
        document_text(project.config.report_pdf),
        client.get("/", headers=BROWSER).text,
        client.get("/clients", headers=BROWSER).text,
    ]
    assert [(text or "first 25 clients") in place for place in places] == [text is not None] * 5
