"""A ranking as it stands in the book: the same clients as in the list, with their features."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from attrition.ranking import call_list, lookup_db
from attrition.ranking.lookup_db import Question, name_digest, opened
from attrition.ranking.lookup_db_writer import write_book, write_ranking
from attrition.ranking.ranking import Ranking, Tiers
from attrition.runs import history
from tests.conftest import HEADER, Project
from tests.support.releases import deploy

TIERS = Tiers(0.5, 0.25)
ABOUT = {"time": "now", "release": "000001-a", "ranked": "open clients"}


def test_each_client_keeps_its_own_features_values_and_reasons(tmp_path: Path) -> None:
    ranking = Ranking(
        ids=np.array(["second", "first", "third"], dtype=object),
        probabilities=np.array([0.9, 0.3, 0.1]),
        tiers=np.array(["high", "medium", "low"], dtype=object),
        reasons=[["why"]],
        values=np.array([5.0, math.nan, 7.0]),
        values_at_risk=np.array([4.5, math.nan, 0.7]),
        value_ranks=np.array([1, 0, 2]),
        probability_changes=["new", "0.1", ""],
        rank_changes=["new", "1", ""],
        rows=np.array([1, 0, 2]),
    )
    features = {
        'a "100%" column': np.array([1.5, 2.0, math.nan]),
        "kind": np.array(['x"y', "", "Ö"], dtype=object),
    }
    path = tmp_path / "clients.db"
    write_ranking(path, ranking, features, TIERS, ABOUT)
    with opened(path) as book:
        found = [book.client(name) for name in ("second", "first", "third")]
        about = book.about
    assert about == {
        **ABOUT,
        "total": 3,
        "tiers": {"high": 1, "medium": 1, "low": 1},
        "thresholds": {"high": 0.5, "medium": 0.25},
        "value_at_risk": {"high": 4.5, "medium": None, "low": 0.7},
    }
    assert [client and client["features"] for client in found] == [
        {'a "100%" column': 2, "kind": ""},
        {'a "100%" column': 1.5, "kind": 'x"y'},
        {'a "100%" column': None, "kind": "Ö"},
    ]
    assert [client and client["reasons"] for client in found] == [["why"], [], []]
    assert [client and client["value"] for client in found] == [5.0, None, 7.0]
    assert [client and client["value_rank"] for client in found] == [1, None, 2]


def test_on_a_long_list_without_values_each_has_its_own_features(tmp_path: Path) -> None:
    count, with_reasons = 250, 120
    places = range(1, count + 1)
    ranking = Ranking(
        ids=np.array([f"c{place}" for place in places], dtype=object),
        probabilities=np.linspace(0.9, 0.1, count),
        tiers=np.array(["high"] * count, dtype=object),
        reasons=[[f"of {place}"] for place in places[:with_reasons]],
        values=None,
        values_at_risk=None,
        value_ranks=None,
        probability_changes=[""] * count,
        rank_changes=[""] * count,
        rows=np.arange(count)[::-1],
    )
    path = tmp_path / "clients.db"
    write_ranking(path, ranking, {"size": np.arange(count, 0.0, -1.0)}, TIERS, ABOUT)
    with opened(path) as book:
        for place in places:
            client = book.client(f"c{place}")
            assert client is not None
            reasons = [f"of {place}"] if place <= with_reasons else []
            assert (client["features"], client["reasons"]) == ({"size": place}, reasons)
        page = book.page(Question(sort="-value_at_risk"), 3, 100)
    assert [client["place"] for client in page.clients] == list(places[200:])


@pytest.mark.parametrize("name", ["é" * 400, "a\0" + "é" * 400, "\0" * 400])
def test_a_long_name_is_found_by_its_digest_whatever_it_holds(tmp_path: Path, name: str) -> None:
    path = tmp_path / "clients.db"
    about = {**ABOUT, "total": 1, "tiers": dict.fromkeys(lookup_db.TIERS, 0), "thresholds": {}}
    write_book(path, about, [(1, name, "high", 0.9, "", "", None, None, None)], [])
    with opened(path) as book:
        assert book.long_name(name_digest(name)) == name


def rows(*clients: tuple[str, str]) -> str:
    return "\n".join([HEADER, *(f"{name},{activity},10,1," for name, activity in clients), ""])


@pytest.fixture
def listed(project: Project) -> Project:
    """A project with a deployed model and three open clients."""
    deploy(project)
    project.write("sourcedata/open.csv", rows(("Busy", "100"), ("Quiet", "0"), ("Absent", "")))
    project.run("ingestion.py")
    return project


def test_the_stage_writes_book_and_list_alike(listed: Project) -> None:
    call_list.rank(listed.config)
    with opened(listed.config.client_book) as book:
        page = book.page(Question(), 1, 10)
        quiet = book.client("Quiet")
    assert [(c["client"], c["probability"]) for c in page.clients] == [
        ("Quiet", 0.8808),
        ("Absent", 0.7311),
        ("Busy", 0.1192),
    ]
    assert quiet is not None
    assert quiet["features"] == {
        "lastmonth_activity": 0,
        "lastyear_activity": 10,
        "number_of_employees": 1,
    }


def test_where_there_is_no_list_there_is_no_book(listed: Project) -> None:
    call_list.rank(listed.config)
    listed.config.open_clients.write_text("")
    (listed.config.prod_deployment_path / "current").unlink()
    assert call_list.rank(listed.config) == "no model is deployed"
    assert not listed.config.client_book.exists()


def test_without_an_id_column_the_rows_stand_in_the_book(project: Project) -> None:
    project.configure(id_column=None)
    deploy(project)
    project.write("sourcedata/open.csv", rows(("Busy", "100"), ("Quiet", "0")))
    project.run("ingestion.py")
    call_list.rank(project.config)
    with opened(project.config.client_book) as book:
        page = book.page(Question(), 1, 10)
    assert [client["client"] for client in page.clients] == ["row 2", "row 1"]
    assert history.risks_of(project.config.history, "row 1") == []  # not who it is


@pytest.mark.slow
def test_a_risk_that_changes_is_remembered_and_one_that_does_not_is_not_repeated(
    listed: Project,
) -> None:
    config = listed.config
    call_list.rank(config)
    call_list.rank(config)
    assert [found["probability"] for found in history.risks_of(config.history, "Busy")] == [0.1192]
    listed.write("sourcedata/later.csv", rows(("Busy", "0"), ("Fresh", "75")))
    listed.run("ingestion.py")
    call_list.rank(config)
    risks = {
        name: [found["probability"] for found in history.risks_of(config.history, name)]
        for name in ("Busy", "Quiet", "Fresh", "Nobody")
    }
    assert risks == {"Busy": [0.1192, 0.8808], "Quiet": [0.8808], "Fresh": [0.2689], "Nobody": []}
    version = deploy(listed, intercept=-1.0)
    call_list.rank(config)
    newest = history.risks_of(config.history, "Quiet")[-1]
    assert newest["release"] == version
    assert newest["probability"] == pytest.approx(1 / (1 + math.e**-1), abs=1e-4)


def test_only_the_first_clients_have_a_history(listed: Project) -> None:
    listed.configure(clients_with_reasons=1)
    call_list.rank(listed.config)
    path = listed.config.history
    assert len(history.risks_of(path, "Quiet")) == 1
    assert history.risks_of(path, "Busy") == []
