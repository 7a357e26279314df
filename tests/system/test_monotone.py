"""The setting `monotone`: what is asked of the risk holds for every client, and its price is told.

The risk of the clients here rises with `calls` and falls with `tenure`, but bends back at the end
of both, so that a model of which nothing is asked breaks either direction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from app import create_app
from attrition.core import releases
from attrition.model.scorecard import Scorecard, load_scorecard
from tests.conftest import Project, new_project

NUMERIC = ("tenure", "calls", "spend")
ASKED = {"tenure": "decreasing", "calls": "increasing"}
SIGNS = {"tenure": -1.0, "calls": 1.0}
HTML = {"Accept": "text/html"}
SETTINGS: dict[str, Any] = {
    "id_column": "client",
    "numeric_columns": NUMERIC,
    "categorical_columns": ["region"],
    "target_column": "left",
    "test_share": 0.2,
    "model_score_threshold": 0.3,
}


def clients(rows: int = 1_500) -> pd.DataFrame:
    """Clients whose risk is no monotone function of tenure and calls."""
    random = np.random.default_rng(3)
    tenure, calls, spend = random.uniform(0, 10, (3, rows)).round(1)
    region = random.choice(["north", "south"], rows)
    turn = np.where(tenure > 7, -0.5, -0.3 * tenure) + np.where(calls > 8, 2.0, 0.5 * calls)
    log_odds = turn + 0.3 * (region == "north") * (spend - 5) - 1.5
    left = (random.random(rows) < 1 / (1 + np.exp(-log_odds))).astype(int)
    table = {"client": [f"c{number}" for number in range(rows)], "tenure": tenure, "calls": calls}
    frame = pd.DataFrame({**table, "spend": spend, "region": region, "left": left})
    frame.loc[::17, "calls"] = np.nan
    frame.loc[::10, "left"] = np.nan
    return frame.astype({"left": "Int8"})


def features_of(project: Project) -> pd.DataFrame:
    frame = pd.read_csv(project.root / "sourcedata/clients.csv")
    return frame[[*NUMERIC, "region"]]


def card_of(project: Project) -> Scorecard:
    return load_scorecard(project.root / "production_deployment/current/scorecard.json")


def record(project: Project, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((project.root / name).read_text())
    return content


def worst_step(card: Scorecard, features: pd.DataFrame, column: str) -> float:
    """The largest step of the log-odds in the wrong direction, over all clients and a fine grid."""
    grid = np.linspace(-5, 15, 101)
    odds = np.array([card.log_odds(features.assign(**{column: value})) for value in grid])
    return float(np.max(-SIGNS[column] * np.diff(odds, axis=0)))


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a model of which nothing is asked."""
    project = new_project(tmp_path_factory.mktemp("monotone") / "free", ("html",))
    project.configure(**SETTINGS)
    clients().to_csv(project.root / "sourcedata/clients.csv", index=False)
    project.run("fullprocess.py")
    return project


@pytest.fixture(scope="module")
def first(free: Project) -> Mapping[str, Any]:
    """What the first run left: the model's worst steps, its training record, its release."""
    return {
        "steps": {name: worst_step(card_of(free), features_of(free), name) for name in ASKED},
        "training": record(free, "models/training.json"),
        "release": releases.live_release_id(free.root / "production_deployment"),
        "report": (free.root / "models/report.html").read_text(),
    }


@pytest.fixture(scope="module")
def asked(free: Project, first: Mapping[str, Any]) -> Project:
    """The same project after a run with the setting."""
    free.configure(**SETTINGS, monotone=ASKED)
    free.run("fullprocess.py")
    return free


def test_without_the_setting_the_model_follows_the_clients_both_ways(
    first: Mapping[str, Any],
) -> None:
    assert min(first["steps"].values()) > 0.01
    assert first["training"]["monotone"] == first["training"]["monotone_cost"] == {}
    assert "As asked in config.json" not in first["report"]


@pytest.mark.parametrize("column", ASKED)
def test_the_deployed_scorecard_obeys_for_every_client(asked: Project, column: str) -> None:
    card, features = card_of(asked), features_of(asked)
    assert worst_step(card, features, column) < 1e-9
    low, high = (card.log_odds(features.assign(**{column: value})) for value in (0, 10))
    assert np.all(SIGNS[column] * (high - low) >= -1e-9)
    assert np.abs(high - low).max() > 0.1  # it did not merely forget the column


@pytest.mark.parametrize("column", ASKED)
def test_the_command_and_the_server_obey_alike(asked: Project, column: str) -> None:
    grid, some = np.linspace(-5, 15, 21), features_of(asked).head(12)
    rows = some.loc[some.index.repeat(len(grid))].assign(**{column: np.tile(grid, len(some))})
    path = asked.root / "what-if.csv"
    rows.to_csv(path, index=False)
    printed = asked.run("diagnostics.py", "--predict", str(path), "--json").stdout
    records = json.loads(rows.to_json(orient="records"))
    client = create_app(asked.config).test_client()
    answer = client.post("/prediction", json={"records": records}).get_json()
    risks = np.array(answer["probabilities"])
    assert [row["probability"] for row in json.loads(printed)] == pytest.approx(risks)
    steps = SIGNS[column] * np.diff(risks.reshape(len(some), len(grid)), axis=1)
    assert steps.min() > -1e-9


def test_a_changed_setting_is_the_reason_of_a_training_and_its_model_is_deployed(
    asked: Project, first: Mapping[str, Any]
) -> None:
    decision = record(asked, "models/decision.json")
    assert decision["training"]["kind"] == "new directions"
    assert decision["training"]["reason"] == "the setting monotone in config.json has changed"
    assert decision["verdict"] == "deployed"
    assert decision["reason"].startswith("the setting monotone in config.json has changed; the")
    release = releases.live_release_id(asked.root / "production_deployment")
    assert release not in (None, first["release"])
    asked.configure(**SETTINGS, monotone=ASKED, drift_threshold=0.06)  # wakes the run up
    asked.run("fullprocess.py")
    assert record(asked, "models/decision.json")["training"]["kind"] == "nothing"


def test_the_price_is_the_difference_to_what_cross_validation_reached_without_it(
    asked: Project, first: Mapping[str, Any]
) -> None:
    training = record(asked, "models/training.json")
    before, now = first["training"]["cross_validated"], training["cross_validated"]
    assert training["monotone"] == ASKED
    cost = training["monotone_cost"]
    assert cost["log_loss"] == pytest.approx(now["log_loss"] - before["log_loss"], abs=1e-12)
    assert cost["roc_auc"] == pytest.approx(before["roc_auc"] - now["roc_auc"], abs=1e-12)
    assert cost["log_loss"] > 0.01  # of clients such as these
    figures = f"({now['log_loss']:.4f} instead of {before['log_loss']:.4f})"
    sentence = (
        "As asked in config.json, the risk never rises with tenure and never falls with calls, "
        "whatever else a client is; that costs"
    )
    page = create_app(asked.config).test_client().get("/", headers=HTML).text
    for text in ((asked.root / "models/report.html").read_text(), page):
        plain = " ".join(text.split())
        assert sentence in plain
        assert f"nats of log loss {figures}" in plain


def test_what_is_asked_against_the_clients_is_obeyed_too_and_its_price_is_told(
    asked: Project,
) -> None:
    """By comparison with the deployed model this candidate would be refused as clearly worse."""
    asked.configure(**SETTINGS, monotone={"calls": "decreasing"})
    asked.run("fullprocess.py")
    decision = record(asked, "models/decision.json")
    assert decision["verdict"] == "deployed"
    assert "monotone" in decision["reason"]
    assert record(asked, "models/training.json")["monotone_cost"]["log_loss"] > 0.02
    card, some = card_of(asked), features_of(asked).head(100)
    odds = [card.log_odds(some.assign(calls=calls)) for calls in np.linspace(-5, 15, 101)]
    assert np.diff(odds, axis=0).max() < 1e-9
