"""Columns whose direction is asked for: the whole model obeys, and it costs little where true."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from attrition.model.basis import Columns
from attrition.model.scorecard import Scorecard, logistic
from attrition.model.selection import choose
from attrition.model.training import fit_selected

NAN = float("nan")


def clients(rows: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    y = random.normal(size=rows)
    y[::9] = NAN
    plan = random.choice(["a", "b", "c"], rows).astype(object)
    return pd.DataFrame({"x": random.normal(size=rows), "y": y, "plan": plan})


def fitted(features: pd.DataFrame, labels: NDArray[np.int8], monotone: dict[str, int]) -> Scorecard:
    columns = Columns(("x", "y"), ("plan",), monotone)
    selection, sample = choose(features, labels, columns, 7)
    return fit_selected(features, labels, columns, selection, sample)[1]


def drawn(log_odds: NDArray[np.float64]) -> NDArray[np.int8]:
    chances = logistic(log_odds)
    return (np.random.default_rng(3).random(len(chances)) < chances).astype(np.int8)


@pytest.mark.slow
@pytest.mark.parametrize("direction", [-1, 1])
def test_no_client_s_risk_moves_against_the_direction_asked_for(direction: int) -> None:
    """Whatever the other columns are, beyond the ends too, though the truth turns and has pairs."""
    seen = clients(1500, 1)
    x, y = seen["x"].to_numpy(), seen["y"].fillna(0.0).to_numpy()
    labels = drawn(2.0 * np.sin(2.0 * x) + x * y + x * (seen["plan"] == "a").to_numpy() - 0.5)
    card = fitted(seen, labels, {"x": direction})
    assert any("x" in term.columns for term in card.pairs)
    grid = np.concatenate([[-1e300, -50.0], np.linspace(-4.0, 4.0, 201), [50.0, 1e300]])
    risen = 0.0
    for plan in ("a", "b", "c", "", "never seen"):
        for other in (NAN, -1e9, -2.0, -0.3, 0.0, 0.4, 1.7, 1e9):
            asked = pd.DataFrame({"x": grid, "y": other, "plan": plan})
            steps = np.diff(card.log_odds(asked)) * direction
            assert steps.min() >= -1e-9
            risen = max(risen, float(steps.sum()))
    assert risen > 0.1
    free = fitted(seen, labels, {})
    plain = pd.DataFrame({"x": grid, "y": 0.0, "plan": "b"})
    assert (np.diff(free.log_odds(plain)) * direction).min() < -1e-3


@pytest.mark.slow
def test_a_direction_that_is_true_costs_next_to_nothing() -> None:
    def risk(features: pd.DataFrame) -> NDArray[np.float64]:
        curve = -1.5 * np.tanh(features["x"].to_numpy())
        return np.asarray(curve + 0.5 * features["y"].fillna(0.0).to_numpy() - 0.7)

    seen, others = clients(1500, 1), clients(5000, 2)
    labels, chances = drawn(risk(seen)), logistic(risk(others))
    losses = []
    for monotone in ({"x": -1}, {}):
        p = fitted(seen, labels, monotone).probabilities(others)
        losses.append(-float((chances * np.log(p) + (1.0 - chances) * np.log1p(-p)).mean()))
    assert losses[0] < losses[1] + 0.003
