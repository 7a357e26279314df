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
from attrition.model.metrics import Minimum
from attrition.monitoring.outcome_evidence import (
    OutcomeEvidence,
    OutcomeWatch,
    Tally,
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
    assert found.rows == 400
    assert found.leavers.came == pytest.approx(labels.sum())
    assert found.leavers.promised == pytest.approx(risk.sum())
    assert found.loss.came / 400 == pytest.approx(log_loss(labels, risk))
    assert found.wins.came / found.pairs == pytest.approx(roc_auc_score(labels, risk))


def test_the_auc_is_that_of_a_second_library_where_another_share_left_than_promised() -> None:
    _, risk = drawn(400, 1)
    labels = np.random.default_rng(5).random(400) < risk**3
    found = outcome_evidence(labels, risk)
    assert found.leavers.came < 0.7 * found.leavers.promised
    assert found.wins.came / found.pairs == pytest.approx(roc_auc_score(labels, risk))


def test_the_promised_auc_is_a_count_over_all_pairs() -> None:
    _, risk = drawn(60, 2)
    pairs = wins = 0.0
    for i in range(60):
        for j in range(60):
            if i != j:
                chance = risk[i] * (1 - risk[j])
                pairs += chance
                wins += chance * ((risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j]))
    found = outcome_evidence(np.arange(60) < 10, risk)
    assert found.pairs == 10 * 50
    assert found.wins.promised / found.pairs == pytest.approx(wins / pairs)


def measures(one: OutcomeEvidence) -> tuple[Tally, Tally, Tally]:
    return one.leavers, one.loss, one.wins


@pytest.mark.slow
def test_while_the_promise_holds_departures_have_mean_nought_and_the_variance_told() -> None:
    _, risk = drawn(150, 3)
    random = np.random.default_rng(4)
    draws = [outcome_evidence(random.random(150) < risk, risk) for _ in range(4000)]
    tallies = np.array(
        [[(one.departure, one.larger_variance) for one in measures(draw)] for draw in draws]
    )
    told = tallies[:, :, 1].mean(axis=0)
    assert (abs(tallies[:, :, 0].mean(axis=0)) < 4 * np.sqrt(told / len(draws))).all()
    least = tallies[:, :, 1].min(axis=0)  # above it, where outcomes vary more than promised
    assert tallies[:, :2, 0].var(axis=0) == pytest.approx(least[:2], rel=0.1)
    assert (tallies[:, :, 0].var(axis=0) <= 1.05 * told).all()
    covariance = np.cov(tallies[:, 0, 0], tallies[:, 1, 0])[0, 1]
    assert abs(covariance) == pytest.approx(
        min(abs(one.larger_covariance) for one in draws), rel=0.15
    )


def test_rows_of_one_client_that_are_alike_tell_less() -> None:
    labels, risk = drawn(300, 6)
    alike = np.repeat(labels, 4), np.repeat(risk, 4)
    four = outcome_evidence(*alike)
    known = outcome_evidence(*alike, np.repeat(np.arange(300), 4))
    assert (four.clients, known.clients, known.rows) == (1200, 300, 1200)
    for blind, knowing in zip(measures(four), measures(known), strict=True):
        assert knowing.departure == blind.departure
        assert knowing.larger_variance == pytest.approx(4 * blind.larger_variance)
    few = outcome_evidence(alike[0][:80], alike[1][:80], np.repeat(np.arange(20), 4))
    assert few.undefined(Minimum(30, 1)) == (
        "too few clients: the 80 labelled rows are of 20 clients, and at least 30 are needed"
    )


def test_what_is_usual_is_the_reference_of_the_model_that_predicted_the_batch() -> None:
    first, second = outcome_evidence(*drawn(500, 7)), outcome_evidence(*drawn(80, 8))
    rows = outcome_evidence(*drawn(200, 9)).expecting(first)
    total = rows + outcome_evidence(*drawn(40, 10)).expecting(second)
    usual = first.loss.departure / 500 * 200 + second.loss.departure / 80 * 40
    assert total.loss.usual == pytest.approx(usual)
    error = (
        np.sqrt(first.loss.larger_variance) * 200 / 500
        + np.sqrt(second.loss.larger_variance) * 40 / 80
    )
    assert total.loss.usual_error == pytest.approx(error)
    by_pair = first.wins.departure / first.pairs
    assert rows.wins.usual / rows.pairs == pytest.approx(by_pair)
    assert rows.leavers.change == pytest.approx(rows.leavers.departure - rows.leavers.usual)


def test_batches_of_different_models_add_up() -> None:
    parts = [outcome_evidence(*drawn(rows, rows)) for rows in (24, 50, 7)]
    total = reduce(add, parts, OutcomeEvidence())
    assert total.rows == 81
    assert total.pairs == sum(part.pairs for part in parts)
    chances = [part.covariance for part in parts]
    assert total.covariance == pytest.approx(sum(chances))
    assert total.wins.promised == pytest.approx(sum(part.wins.promised for part in parts))
    for of_kind in ("variance", "observed"):
        of_parts = [getattr(part.loss, of_kind) for part in parts]
        assert getattr(total.loss, of_kind) == pytest.approx(sum(of_parts))


def test_outcomes_vary_more_than_promised_only_where_all_rows_together_do() -> None:
    calm, wild = outcome_evidence([0] * 10, [0.1] * 10), outcome_evidence([1], [0.1])
    assert calm.leavers.larger_variance == pytest.approx(10 * 0.1 * 0.9)
    assert wild.leavers.larger_variance == pytest.approx(0.9**2)
    assert (calm + wild).leavers.larger_variance == pytest.approx(11 * 0.1 * 0.9)


@pytest.mark.parametrize(
    ("labels", "risk"),
    [([], []), ([1], [0.3]), ([0, 0], [0.2, 0.2]), ([1, 0], [0.0, 1.0]), ([1, 1], [1.0, 1.0])],
)
def test_few_rows_and_certain_predictions_give_finite_sums(
    labels: list[int], risk: list[float]
) -> None:
    found = outcome_evidence(labels, risk)
    assert np.isfinite([list(asdict(one).values()) for one in measures(found)]).all()
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
    assert watch.with_batch(OutcomeEvidence(), "commit 61").batches == watch.batches
