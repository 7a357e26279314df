"""Scores against scikit-learn, hand-computed numbers and a plain row bootstrap."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from attrition.model.comparison import Predictions, compare
from attrition.model.metrics import (
    Minimum,
    Score,
    calibration_error,
    f1_of,
    score,
    score_to_judge_by,
)
from tests.support.scored_rows import ANY, says, table


def test_metrics_equal_scikit_learns() -> None:
    labels, probabilities = table(500)
    found = score(labels, probabilities, 0.4, ANY, seed=1)
    predicted = probabilities >= 0.4
    assert found.f1 == pytest.approx(metrics.f1_score(labels, predicted))
    assert found.precision == pytest.approx(metrics.precision_score(labels, predicted))
    assert found.recall == pytest.approx(metrics.recall_score(labels, predicted))
    assert found.roc_auc == pytest.approx(metrics.roc_auc_score(labels, probabilities))
    assert found.log_loss == pytest.approx(metrics.log_loss(labels, probabilities))
    assert found.brier_score == pytest.approx(np.mean((labels - probabilities) ** 2))
    matrix = metrics.confusion_matrix(labels, predicted).ravel().tolist()
    assert list((found.confusion or {}).values()) == matrix


def test_a_hand_computed_score() -> None:
    # threshold .5: one hit, one miss, one false alarm, one true "stays": F1 = 2 / (2 + 1 + 1).
    found = score([1, 1, 0, 0], [0.9, 0.1, 0.5, 0.2], 0.5, ANY, seed=1)
    assert found.confusion == {"tn": 1, "fp": 1, "fn": 1, "tp": 1}
    assert (found.f1, found.precision, found.recall) == (0.5, 0.5, 0.5)
    assert (found.rows, found.positives, found.base_rate) == (4, 2, 0.5)


def test_f1_is_zero_where_nothing_is_positive() -> None:
    assert f1_of([0, 0], [0, 0], [0, 3]).tolist() == [0.0, 1.0]


def test_the_interval_is_that_of_a_bootstrap_of_rows() -> None:
    labels, probabilities = table(400)
    found = score(labels, probabilities, 0.5, ANY, seed=1).f1_interval
    assert found is not None
    random = np.random.default_rng(2)
    resampled = []
    for _ in range(4000):
        rows = random.integers(0, 400, 400)
        truth, guess = labels[rows], probabilities[rows] >= 0.5
        resampled.append(2 * (truth & guess).sum() / (truth.sum() + guess.sum()))
    assert found == pytest.approx(tuple(np.quantile(resampled, [0.025, 0.975])), abs=0.006)


@pytest.mark.slow
def test_the_interval_holds_the_true_score_about_95_times_in_100() -> None:
    truth, chances = table(200_000, seed=9)
    true_f1 = metrics.f1_score(truth, chances >= 0.5)
    held = 0
    for repetition in range(400):
        labels, probabilities = table(300, seed=1000 + repetition)
        low, high = score(labels, probabilities, 0.5, ANY, seed=1).f1_interval or (1, 0)
        held += low <= true_f1 <= high
    assert 0.91 <= held / 400 <= 0.98


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ([], "too few labelled rows: 0, and at least 4"),
        ([1, 0, 1], "too few labelled rows: 3"),
        ([1, 1, 1, 1], "all 4 rows have the same label"),
        ([0, 0, 0, 0, 0], "all 5 rows have the same label"),
        ([0, 0, 0, 0, 1], "only 1 row of the rarer label, and at least 2"),
    ],
)
def test_an_undefined_score_says_why_and_gives_no_number(labels: list[int], reason: str) -> None:
    few = Minimum(4, 2)
    found = score(labels, [0.5] * len(labels), 0.5, few, seed=1)
    nobody = says([0] * len(labels))
    compared = compare(labels, nobody, nobody, few, seed=1)
    assert reason in str(found.undefined)
    assert reason in str(compared.undefined)
    assert found.f1 is None
    assert compared.confidence is None


def test_calibration_error_by_hand() -> None:
    # Two rows a bin: |0.1 - 0| and |0.9 - 0.5|, each half of the rows, in ten bins of one row each
    # the distances are .1, .1, .9, .1.
    labels = np.array([0, 0, 0, 1], dtype=np.int8)
    assert calibration_error(labels, np.array([0.1, 0.1, 0.9, 0.9])) == pytest.approx(0.3)
    many = np.tile(labels, 10)
    assert calibration_error(many, np.tile([0.1, 0.1, 0.9, 0.9], 10)) == pytest.approx(0.25)


def test_equal_seeds_give_equal_intervals() -> None:
    labels, probabilities = table(100)
    assert score(labels, probabilities, 0.5, ANY, 3) == score(labels, probabilities, 0.5, ANY, 3)


# Where clients repeat


def repeated(times: int, rows: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same rows several times: labels, probabilities and whose they are."""
    labels, probabilities = table(rows)
    names = np.array([f"client {number}" for number in range(rows)], dtype=object)
    return np.tile(labels, times), np.tile(probabilities, times), np.tile(names, times)


def test_where_no_client_repeats_nothing_changes() -> None:
    labels, probabilities, clients = repeated(1)
    asked = labels, probabilities, 0.4, ANY, 1
    assert score(*asked, clients=clients) == score(*asked)
    models = labels, Predictions(probabilities, 0.5), says(probabilities >= 0.4), ANY
    assert compare(*models, seed=1, clients=clients) == compare(*models, seed=1)


def test_rows_of_the_same_clients_again_make_nothing_surer() -> None:
    def spreads(found: Score) -> list[float | None]:
        low, high = found.f1_interval or (1, 0)
        least, most = found.roc_auc_interval or (1, 0)
        return [high - low, most - least, *(found.standard_errors or {}).values()]

    labels, probabilities, clients = repeated(4)
    once = spreads(score(labels[:400], probabilities[:400], 0.5, ANY, 1))
    again = spreads(score(labels, probabilities, 0.5, ANY, 1, clients=clients))
    assert again == pytest.approx(once, rel=0.05)
    by_rows = spreads(score(labels, probabilities, 0.5, ANY, 1))
    assert by_rows == pytest.approx([(value or 0) / 2 for value in once], rel=0.15)
    one, other = probabilities >= 0.5, probabilities >= 0.4
    compared = compare(labels, says(one), says(other), ANY, seed=1, clients=clients)
    first = compare(labels[:400], says(one[:400]), says(other[:400]), ANY, seed=1)
    assert compared.difference == pytest.approx(first.difference)
    assert compared.difference_interval == pytest.approx(first.difference_interval, abs=0.005)
    assert compared.confidence == pytest.approx(first.confidence, abs=0.03)


def test_the_interval_is_that_of_a_bootstrap_of_clients() -> None:
    """Clients of one to nine rows, of which one says much about the others."""
    random = np.random.default_rng(4)
    clients = np.repeat(np.arange(80), random.integers(1, 10, 80))
    right = random.random(80)[clients] < 0.7
    labels = (random.random(80) < 0.4)[clients].astype(int)
    guess = np.where(right, labels, 1 - labels)
    found = score(labels, guess * 1.0, 0.5, ANY, 1, clients=clients.astype(str)).f1_interval
    resampled = []
    for _ in range(4000):
        drawn = np.bincount(random.integers(0, 80, 80), minlength=80)[clients]
        hits = drawn @ (labels & guess)
        resampled.append(2 * hits / (drawn @ labels + drawn @ guess))
    assert found == pytest.approx(tuple(np.quantile(resampled, [0.025, 0.975])), abs=0.012)


def test_many_rows_of_few_clients_are_too_few() -> None:
    labels, probabilities, _ = repeated(1)
    few = np.arange(400) % 29
    reason = "too few clients: the 400 labelled rows are of 29 clients, and at least 30 are needed"
    assert score(labels, probabilities, 0.5, Minimum(30, 5), 1, clients=few).undefined == reason
    model = says(labels)
    compared = compare(labels, model, model, Minimum(30, 5), seed=1, clients=few)
    assert compared.undefined == reason
    assert score(labels, probabilities, 0.5, Minimum(29, 5), 1, clients=few).undefined is None


def test_rows_of_too_few_clients_who_left_are_too_few() -> None:
    labels = np.r_[np.ones(6, dtype=int), np.zeros(94, dtype=int)]
    clients = np.r_[np.zeros(6), 1 + np.arange(94) % 45].astype(int)
    found = score(labels, labels * 0.9, 0.5, Minimum(30, 5), 1, clients=clients)
    assert found.undefined == (
        "the rows of the rarer label are of 1 clients, and at least 5 are needed"
    )
    assert score(labels, labels * 0.9, 0.5, Minimum(30, 1), 1, clients=clients).undefined is None


@pytest.mark.parametrize("plain", [False, True])
def test_a_model_is_judged_in_cross_validation_where_the_test_data_cannot_tell(plain: bool) -> None:
    known, blind = Score(100, f1=0.7), Score(3, undefined="too few")

    def judged(test: Score, crossed: Score | None) -> tuple[float | None, str]:
        if not plain:
            chosen, where = score_to_judge_by(test, crossed)
            return chosen.f1, where
        kept = crossed.to_json() if crossed else None
        values, where = score_to_judge_by(test.to_json(), kept)
        return values["f1"], where

    assert judged(known, Score(9, f1=0.1)) == (0.7, "on the test data")
    assert judged(blind, known) == (0.7, "in cross-validation")
    assert judged(blind, blind) == judged(blind, None) == (None, "on the test data")
