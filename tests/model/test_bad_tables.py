"""Tables of every odd kind: a finite, calm model that says the same in both its forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from attrition.model.metrics import Minimum
from attrition.model.scorecard import logistic
from attrition.model.training import FittedModel, fit

NAN = float("nan")
ROWS = 400
CALM = 12.0  # log-odds: a probability of 1 in 160,000


def labels_of(x: NDArray[np.float64], seed: int = 5) -> NDArray[np.int8]:
    chances = logistic(x - 1.0)
    return (np.random.default_rng(seed).random(len(x)) < chances).astype(np.int8)


def table(rows: int = ROWS) -> pd.DataFrame:
    random = np.random.default_rng(1)
    plan = random.choice(["basic", "gold"], rows).astype(object)
    return pd.DataFrame({"x": random.normal(size=rows), "plan": plan})


def calmly_fitted(features: pd.DataFrame, labels: NDArray[np.int8]) -> FittedModel:
    """The model, once all is checked that holds for any table."""
    numeric = [str(name) for name in features if pd.api.types.is_numeric_dtype(features[name])]
    categorical = [str(name) for name in features if name not in numeric]
    least = Minimum(rows=20, rarer_label=2)
    model = fit(features, labels, numeric=numeric, categorical=categorical, minimum=least, seed=7)
    card = model.scorecard
    assert 0.0 < card.threshold < 1.0
    assert np.all(np.isfinite(model.selection.probabilities))
    odd: dict[str, list[Any]] = {name: [NAN, -1e300, 1e300, 0.0] for name in numeric}
    odd |= {name: ["", "never seen", "basic", "None"] for name in categorical}
    for asked in (features, pd.DataFrame(odd)):
        log_odds = card.log_odds(asked)
        assert np.all(np.isfinite(log_odds))
        assert np.abs(log_odds).max() < CALM
        expected = model.pipeline.predict_proba(asked)[:, 1]
        assert np.abs(logistic(log_odds) - expected).max() < 1e-9
    for term in card.all_terms:
        assert np.all(np.isfinite(term.points))
        assert np.all(np.isfinite(term.errors))
    return model


def moved_by(model: FittedModel, column: str, values: list[Any]) -> float:
    """By how much the log-odds of any client depend on the values of a column."""
    clients = table()
    for name in model.columns.all:
        if name not in clients:
            clients[name] = 0.0 if name in model.columns.numeric else ""
    answers = [model.scorecard.log_odds(clients.assign(**{column: value})) for value in values]
    return float(np.ptp(answers, axis=0).max())


NORMAL = np.random.default_rng(2).normal(size=ROWS)
ODD_COLUMNS = {
    "constant": np.full(ROWS, 7.0),
    "nearly constant": np.where(np.arange(ROWS) == 3, 1.0, 0.0),
    "all missing": np.full(ROWS, NAN),
    "half missing": np.where(np.arange(ROWS) % 2, NAN, NORMAL),
    "one value": np.where(np.arange(ROWS) == 3, 5.0, NAN),
    "huge": NORMAL * 1e300,
    "with outliers": np.where(np.arange(ROWS) % 50 == 0, 1e300, NORMAL),
    "tiny": NORMAL * 1e-300,
    "tiny around one": 1.0 + NORMAL * 1e-15,
    "blank": np.full(ROWS, "", dtype=object),
    "one level": np.full(ROWS, "same", dtype=object),
    "all levels differ": np.array([f"client {row}" for row in range(ROWS)], dtype=object),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ODD_COLUMNS)
def test_an_odd_column_beside_a_good_one_does_no_harm(kind: str) -> None:
    clients = table()
    labels = labels_of(1.5 * clients["x"].to_numpy())
    model = calmly_fitted(clients.assign(odd=ODD_COLUMNS[kind]), labels)
    assert moved_by(model, "x", [-1.5, 1.5]) > 1.5
    if kind in ("constant", "all missing"):
        assert moved_by(model, "odd", [-1e9, 0.0, 7.0, 1e9]) == 0.0
    if kind in ("blank", "one level"):
        assert moved_by(model, "odd", ["", "same", "other"]) < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["constant", "all missing", "blank", "one level"])
def test_a_table_of_nothing_but_an_empty_column_predicts_the_share_of_leavers(kind: str) -> None:
    labels = labels_of(NORMAL)
    odd = pd.DataFrame({"odd": ODD_COLUMNS[kind]})
    model = calmly_fitted(odd, labels)
    assert model.scorecard.probabilities(odd) == pytest.approx(labels.mean())
    assert not model.scorecard.pairs


@pytest.mark.slow
def test_a_column_of_a_thousand_levels() -> None:
    random = np.random.default_rng(3)
    clients = table(5000)
    city = random.integers(0, 1000, 5000)
    labels = labels_of(clients["x"].to_numpy() + np.where(city < 300, 1.0, 0.0))
    clients["city"] = np.array([f"city {number}" for number in city], dtype=object)
    calmly_fitted(clients, labels)


@pytest.mark.slow
def test_sixty_rows() -> None:
    clients = table(60)
    calmly_fitted(clients, labels_of(clients["x"].to_numpy()))


@pytest.mark.slow
def test_two_equal_columns_say_what_one_of_them_does() -> None:
    clients = table()
    labels = labels_of(1.5 * clients["x"].to_numpy())
    alone = calmly_fitted(clients, labels)
    both = calmly_fitted(clients.assign(again=clients["x"]), labels)
    one = alone.scorecard.probabilities(clients)
    two = both.scorecard.probabilities(clients.assign(again=clients["x"]))
    assert np.abs(one - two).mean() < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("direction", [1.0, -1.0])
@pytest.mark.parametrize("as_text", [False, True])
def test_a_column_that_tells_the_labels_apart(direction: float, as_text: bool) -> None:
    clients = table()
    labels = labels_of(1.5 * clients["x"].to_numpy())
    column = direction * labels
    clients["leak"] = column.astype(str).astype(object) if as_text else column
    model = calmly_fitted(clients, labels)
    probabilities = model.scorecard.probabilities(clients)
    assert np.all((probabilities > 0.5) == (labels == 1))
    assert np.all(np.abs(probabilities - labels) < 0.1)


@pytest.mark.slow
def test_ten_leavers_of_five_thousand() -> None:
    clients = table(5000)
    labels = np.zeros(5000, dtype=np.int8)
    labels[np.argsort(-clients["x"].to_numpy() - NORMAL[0])[::7][:10]] = 1
    model = calmly_fitted(clients, labels)
    probabilities = model.scorecard.probabilities(clients)
    assert probabilities.mean() == pytest.approx(0.002, rel=0.05)
    assert probabilities.max() < 0.5


@pytest.mark.slow
def test_columns_that_say_nothing_change_next_to_nothing() -> None:
    random = np.random.default_rng(6)
    clients = pd.DataFrame(random.normal(size=(3000, 8)), columns=[f"c{one}" for one in range(8)])
    labels = (random.random(3000) < 0.2).astype(np.int8)
    model = calmly_fitted(clients, labels)
    probabilities = model.scorecard.probabilities(clients)
    assert probabilities.mean() == pytest.approx(labels.mean(), abs=1e-3)
    assert np.ptp(np.quantile(probabilities, [0.01, 0.99])) < 0.1
    assert probabilities.max() < 0.4


@pytest.mark.slow
def test_two_hundred_columns() -> None:
    random = np.random.default_rng(1)
    clients = pd.DataFrame(
        random.normal(size=(2000, 200)), columns=[f"c{one}" for one in range(200)]
    )
    log_odds = clients["c0"] + clients["c1"] * clients["c2"]
    model = calmly_fitted(clients, labels_of(log_odds.to_numpy()))
    assert ("c1", "c2") in [term.columns for term in model.scorecard.pairs]


@pytest.mark.slow
@pytest.mark.parametrize("rows", [100, 300])
def test_few_rows_of_columns_that_say_nothing(rows: int) -> None:
    """Cross-validation is taken in by one table or the other of so few rows, never by most."""
    spreads = []
    for seed in range(9):
        random = np.random.default_rng(seed)
        clients = pd.DataFrame(random.normal(size=(rows, 8)), columns=[*"abcdefgh"])
        labels = (random.random(rows) < 0.25).astype(np.int8)
        probabilities = calmly_fitted(clients, labels).scorecard.probabilities(clients)
        spreads.append(float(np.ptp(probabilities)))
    assert sum(spread < 0.2 for spread in spreads) > 5
