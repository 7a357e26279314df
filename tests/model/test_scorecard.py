"""The scorecard: read, computed by hand, written and read back, refused when damaged."""

from __future__ import annotations

import copy
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from attrition.core import atomic_files
from attrition.core.errors import DataError
from attrition.model import scorecard
from attrition.model.scorecard import (
    FEW_ROWS,
    Scorecard,
    load_scorecard,
    scorecard_from_json,
)
from attrition.model.terms import KnotAxis, NumericTerm, PairTerm, Places
from tests.conftest import REPOSITORY
from tests.support.scorecards import CARD, CLIENTS, card


def table(repeat: int = 1) -> dict[str, Any]:
    return {
        "tenure": np.array([client[0] for client in CLIENTS] * repeat),
        "contract": np.array([client[1] for client in CLIENTS] * repeat, dtype=object),
    }


EXPECTED = np.array([[client[2], client[3], client[4]] for client in CLIENTS])
MANY = FEW_ROWS + 1  # times six clients: surely not served one by one


@pytest.mark.parametrize("repeat", [1, MANY])
def test_log_odds_are_intercept_and_points_added_up(repeat: int) -> None:
    expected = np.tile(-1.0 + EXPECTED.sum(axis=1), repeat)
    assert card().log_odds(table(repeat)) == pytest.approx(expected, abs=1e-15)


def test_one_client_gets_the_same_numbers_as_many() -> None:
    together = card().log_odds(table(MANY))[: len(CLIENTS)]
    for number, (tenure, contract, *_) in enumerate(CLIENTS):
        alone = card().log_odds({"tenure": [tenure], "contract": [contract]})
        assert alone == pytest.approx([together[number]], abs=1e-15)


def test_probabilities_follow_the_logistic_curve_even_far_out() -> None:
    expected = 1 / (1 + np.exp(1.0 - EXPECTED.sum(axis=1)))
    assert card().probabilities(table()) == pytest.approx(expected, abs=1e-15)
    far = {**CARD, "intercept": 1e6}
    assert scorecard_from_json(far).probabilities(table()).tolist() == [1.0] * len(CLIENTS)


@pytest.mark.parametrize("repeat", [1, MANY])
def test_a_data_frame_serves_as_well_as_a_dict(repeat: int) -> None:
    frame = pd.DataFrame(table(repeat))
    assert np.array_equal(card().log_odds(frame), card().log_odds(table(repeat)))


def test_no_clients_give_no_numbers() -> None:
    nobody: dict[str, list[Any]] = {"tenure": [], "contract": []}
    assert card().probabilities(nobody).shape == (0,)
    assert card().contributions(nobody).shape == (0, 3)


def test_contributions_are_measured_from_the_average_client() -> None:
    contributions = card().contributions(table())
    assert contributions == pytest.approx(EXPECTED - [0.5, 0.0, 0.25], abs=1e-15)
    assert card().average_log_odds == -1.0 + 0.5 + 0.0 + 0.25
    total = card().average_log_odds + contributions.sum(axis=1)
    assert total == pytest.approx(card().log_odds(table()), abs=1e-15)


def test_json_round_trip_is_exact_and_readable(tmp_path: Path) -> None:
    path = tmp_path / "scorecard.json"
    atomic_files.write_json(path, card().to_json())
    assert load_scorecard(path) == card()
    written = json.loads(path.read_text())
    assert written["average_log_odds"] == -0.25
    assert "intercept" in written["how_to_read"]
    of_terms = [*written["numeric"].values(), *written["categorical"].values(), *written["pairs"]]
    assert all(term.pop("standard_errors") == [] for term in of_terms)  # none are known
    assert written["pairs"][0].pop("means") == []
    assert {key: written[key] for key in CARD} == CARD


def _with(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    raw = copy.deepcopy(CARD)
    change(raw)
    return raw


TENURE, CONTRACT = CARD["numeric"]["tenure"], CARD["categorical"]["contract"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format=2), "format 1 .found format 2"),
        (lambda c: c.pop("intercept"), "top level: 'intercept' is missing"),
        (lambda c: c.update(intercept=math.nan), "top level: expected a finite number, found nan"),
        (lambda c: c.update(intercept=True), "expected a finite number, found True"),
        (lambda c: c.update(threshold=1.5), "threshold: expected a fraction 0-1, found 1.5"),
        (lambda c: c.update(numeric=[]), "top level"),
        (lambda c: c.update(numeric={}, categorical={}, pairs=[]), "it reads no column"),
        (lambda c: c["numeric"]["tenure"].pop("knots"), "'tenure': 'knots' is missing"),
        (lambda c: c["numeric"]["tenure"].update(knots=[0, 30, 10]), "'tenure': knots must rise"),
        (lambda c: c["numeric"]["tenure"].update(knots=[0, 0, 10]), "'tenure': knots must rise"),
        (lambda c: c["numeric"]["tenure"].update(knots=[], points=[]), "knots must rise"),
        (lambda c: c["numeric"]["tenure"].update(points=[1.0]), "expected 3 points.*found 1"),
        (lambda c: c["numeric"]["tenure"].update(points="abc"), "expected a list of numbers"),
        (lambda c: c["numeric"]["tenure"].update(points=[1, None, 2]), "finite number, found None"),
        (lambda c: c["numeric"]["tenure"].update(missing_points="x"), "found 'x'"),
        (lambda c: c["numeric"].update(tenure=3), "numeric column 'tenure'"),
        (
            lambda c: c["categorical"]["contract"]["points"].update(yearly=math.inf),
            "categorical column 'contract': expected a finite number",
        ),
        (lambda c: c["categorical"]["contract"].pop("other_points"), "'other_points' is missing"),
        (lambda c: c["categorical"]["contract"].update(usual_value=7), "expected text, found 7"),
        (lambda c: c["pairs"][0].update(points=[[1.0, 0.0]]), "pair 1: expected 2 rows of points"),
        (lambda c: c["pairs"][0].update(points=[[1.0], [2.0]]), "pair 1: expected 2 points in a"),
        (lambda c: c["pairs"][0].update(columns=["tenure"]), "pair 1"),
        (lambda c: c["pairs"][0].update(columns=["tenure", "x"]), "pair 1: 'x' is missing"),
        (lambda c: c["pairs"][0]["axes"][1].update(levels=["a", "a"]), "levels must differ"),
        (lambda c: c["pairs"][0].update(axes=[{"levels": []}, {"knots": [1]}]), "is missing"),
    ],
)
def test_a_damaged_scorecard_is_refused_by_name(
    change: Callable[[dict[str, Any]], object], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        scorecard_from_json(_with(change))


@pytest.mark.parametrize("raw", [None, [], "card", 3, {}])
def test_json_that_is_no_scorecard_is_refused(raw: Any) -> None:
    with pytest.raises(DataError, match="not a scorecard"):
        scorecard_from_json(raw)


def test_every_cut_of_the_file_is_refused_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "scorecard.json"
    whole = json.dumps(CARD)
    for length in range(0, len(whole), 7):
        path.write_text(whole[:length])
        with pytest.raises(DataError, match=r"scorecard\.json: "):
            load_scorecard(path)


def test_a_file_that_is_not_there_or_hostile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json: cannot be read"):
        load_scorecard(tmp_path / "none.json")
    deep = tmp_path / "deep.json"
    deep.write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"deep\.json: not JSON"):
        load_scorecard(deep)
    binary = tmp_path / "binary.json"
    binary.write_bytes(b"\x80\x04\x95")
    with pytest.raises(DataError, match=r"binary\.json: not JSON"):
        load_scorecard(binary)


def test_importing_the_scorecard_takes_no_heavy_library() -> None:
    code = (
        "import sys, attrition.model.scorecard; "
        "print(*{'pandas', 'sklearn', 'scipy', 'duckdb', 'matplotlib'} & set(sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == ""


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(1).integers(0, 50, 500).astype(float),
        np.random.default_rng(2).uniform(0, 50, 500),
        np.random.default_rng(3).integers(-50, 50, 500).astype(float),
        np.random.default_rng(4).integers(0, 10**12, 500).astype(float),
        np.full(20, np.nan),
        np.array([0.0, -0.0, 20.0, 19.5, np.nan] * 4),
    ],
)
def test_points_are_read_off_alike_however_often_a_number_comes(values: np.ndarray) -> None:
    """Whole numbers that come again and again take a shorter way, to the same bits."""
    term = NumericTerm("x", KnotAxis((0.3, 7.0, 17.3, 40.1), 1.0), (0.1, -2.7, 3.3, 0.7), 9.0, 0, 0)
    wanted = np.interp(values, term.axis.knots, term.points)
    wanted[np.isnan(values)] = 9.0
    assert term.of_column({"x": values}).tolist() == wanted.tolist()


def test_places_are_found_once_for_all_pairs_of_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pair asks for a column's places as the others do; parts give each client the same bits."""
    axis, asked, places = KnotAxis((0.0, 1.0, 3.0), 1.0), list[int](), KnotAxis.places
    random = np.random.default_rng(5)
    pairs = tuple(
        PairTerm(columns, (axis, axis), tuple(map(tuple, random.normal(size=(3, 3)).tolist())), 0.0)
        for columns in (("a", "b"), ("b", "c"), ("a", "c"))
    )
    numeric = tuple(NumericTerm(name, axis, (0.0, 1.0, 2.0), 0.0, 0.0, 0.0) for name in "abc")
    card = Scorecard(0.0, 0.5, numeric, (), pairs)
    clients = {name: random.uniform(-1.0, 4.0, 100) for name in "abc"}
    wanted = card.log_odds(clients)
    monkeypatch.setattr(scorecard, "PART_ROWS", 30)

    def counted(axis: KnotAxis, values: np.ndarray) -> Places:
        asked.append(len(values))
        return places(axis, values)

    monkeypatch.setattr(KnotAxis, "places", counted)
    assert card.log_odds(clients).tolist() == wanted.tolist()
    assert asked == [30] * 9 + [10] * 3
    alone = [
        card.log_odds({name: values[[i]] for name, values in clients.items()})[0]
        for i in range(100)
    ]
    assert wanted == pytest.approx(alone, abs=1e-14)
