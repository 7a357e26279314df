"""What outcomes say of earlier predictions: against other libraries, hand counts and simulation."""

from __future__ import annotations

from dataclasses import asdict
from functools import reduce
from operator import add

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import log_loss, roc_auc_score

from attrition.core import plain_values
from attrition.monitoring.outcome_evidence import (
    OutcomeEvidence,
    OutcomeWatch,
    outcome_evidence,
)

Floats = NDArray[np.float64]


def drawn(rows: int, seed: int) -> tuple[NDArray[np.int8], Floats]:
    """Outcomes that come as promised, some probabilities equal."""
    random = np.random.default_rng(seed)
    risk = np.round(random.beta(0.6, 2.0, rows), 2).clip(0.01, 0.99)
    return (random.random(rows) < risk).astype(np.int8), risk


def test_the_sums_are_those_of_a_second_library() -> None:
    labels, risk = drawn(400, 1)
    found = outcome_evidence(labels, risk)
    assert (found.rows, found.leavers) == (400, labels.sum())
    assert found.expected_leavers == pytest.approx(risk.sum())
    came = (found.promised_loss + found.excess_loss) / 400
    assert came == pytest.approx(log_loss(labels, risk))
    stayed = 400 - found.leavers
    won = found.promised_wins / found.pairs * found.leavers * stayed - found.missing_wins
    assert won / (found.leavers * stayed) == pytest.approx(roc_auc_score(labels, risk))


def test_the_promised_auc_is_a_count_over_all_pairs() -> None:
    _, risk = drawn(60, 2)
    pairs = wins = 0.0
    for i in range(60):
        for j in range(60):
            if i != j:
                chance = risk[i] * (1 - risk[j])
                pairs += chance
                wins += chance * ((risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j]))
    found = outcome_evidence(np.zeros(60), risk)
    assert found.pairs == pytest.approx(pairs)
    assert found.promised_wins == pytest.approx(wins)


def test_while_the_promise_holds_departures_have_mean_nought_and_the_variance_told() -> None:
    _, risk = drawn(150, 3)
    random = np.random.default_rng(4)
    draws = [outcome_evidence(random.random(150) < risk, risk) for _ in range(4000)]
    one = draws[0]
    for name, variance in (
        ("leavers", one.leavers_variance),
        ("excess_loss", one.loss_variance),
        ("missing_wins", one.wins_variance),
    ):
        values = np.array([getattr(draw, name) for draw in draws], dtype=np.float64)
        values -= one.expected_leavers if name == "leavers" else 0.0
        assert abs(values.mean()) < 4 * np.sqrt(variance / len(draws)), name
        assert values.var() == pytest.approx(variance, rel=0.1), name
    leavers = np.array([draw.leavers for draw in draws], dtype=np.float64)
    losses = np.array([draw.excess_loss for draw in draws])
    assert np.cov(leavers, losses)[0, 1] == pytest.approx(one.covariance, rel=0.15)


def test_batches_of_different_models_add_up() -> None:
    parts = [outcome_evidence(*drawn(rows, rows)) for rows in (24, 50, 7)]
    total = reduce(add, parts, OutcomeEvidence())
    for name, value in asdict(total).items():
        assert value == pytest.approx(sum(getattr(part, name) for part in parts)), name


@pytest.mark.parametrize(
    ("labels", "risk"),
    [([], []), ([1], [0.3]), ([0, 0], [0.2, 0.2]), ([1, 0], [0.0, 1.0]), ([1, 1], [1.0, 1.0])],
)
def test_few_rows_and_certain_predictions_give_finite_sums(
    labels: list[int], risk: list[float]
) -> None:
    found = outcome_evidence(labels, risk)
    assert np.isfinite(list(asdict(found).values())).all()
    assert plain_values.from_json(OutcomeEvidence, plain_values.to_json(found)) == found


def test_a_watch_keeps_the_newest_batches_as_far_as_they_are_looked_at() -> None:
    watch = OutcomeWatch()
    for number in range(60):
        watch = watch.with_batch(outcome_evidence(*drawn(24, number)), f"commit {number}")
    assert sum(batch.rows for batch in watch.batches) == 24 * 42  # the first 42 reach 1,000
    assert [batch.rows for batch in watch.newest(100)] == [24] * 5
    assert watch.newest(10_000) == watch.batches
    assert watch.commit == "commit 59"
    large = watch.with_batch(outcome_evidence(*drawn(5000, 1)), "commit 60")
    assert [batch.rows for batch in large.batches] == [5000]
    assert plain_values.from_json(OutcomeWatch, plain_values.to_json(watch)) == watch
