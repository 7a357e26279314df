"""Two models on the same rows, against scikit-learn, SciPy's paired test and a plain bootstrap."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from attrition.model.comparison import Predictions, compare
from attrition.model.metrics import Minimum, score
from attrition.model.uncertainty import Z95
from tests.support.scored_rows import ANY, says, table


def test_a_comparison_gives_both_scores_of_the_same_rows() -> None:
    labels = np.array([1] * 50 + [0] * 50)
    champion = np.array([1] * 25 + [0] * 75)
    challenger = np.array([1] * 40 + [0] * 60)
    found = compare(labels, says(champion), says(challenger), ANY, seed=1)
    assert found.champion_f1 is not None
    assert found.challenger_f1 is not None
    assert found.champion_f1 == pytest.approx(metrics.f1_score(labels, champion))
    assert found.challenger_f1 == pytest.approx(metrics.f1_score(labels, challenger))
    assert found.difference == pytest.approx(found.challenger_f1 - found.champion_f1)
    assert found.difference_interval is not None
    assert found.difference_interval[0] > 0
    before = metrics.log_loss(labels, says(champion).probabilities)
    assert found.champion_log_loss == pytest.approx(before)
    assert found.challenger_log_loss is not None
    assert found.gain == pytest.approx(before - found.challenger_log_loss)
    assert found.confidence is not None
    assert found.confidence > 0.999


def test_equal_predictions_are_never_better() -> None:
    labels, probabilities = table(200)
    model = Predictions(probabilities, 0.5)
    found = compare(labels, model, model, ANY, seed=1)
    assert (found.difference, found.gain, found.confidence) == (0.0, 0.0, 0.0)


def test_a_better_model_on_few_rows_is_not_sure_to_be_better() -> None:
    labels = np.array([1, 0] * 20)
    champion = labels.copy()
    champion[[0, 1, 2]] ^= 1
    challenger = labels.copy()
    challenger[[4, 5]] ^= 1
    found = compare(labels, says(champion), says(challenger), ANY, seed=1)
    assert found.difference is not None
    assert found.difference > 0
    assert found.confidence is not None
    assert 0.5 < found.confidence < 0.9


def test_pairing_sees_what_separate_intervals_cannot() -> None:
    """Two good models that differ in a few rows, all won by one of them: nearly certain."""
    labels = np.array([1, 0] * 500)
    champion = labels.copy()
    champion[:300] ^= 1
    challenger = labels.copy()
    challenger[:280] ^= 1
    found = compare(labels, says(champion), says(challenger), ANY, seed=1)
    assert (found.confidence or 0) > 0.99


def test_the_confidence_is_that_of_a_paired_test() -> None:
    labels, probabilities = table(300)
    noisy = np.clip(probabilities + np.random.default_rng(8).normal(0, 0.1, 300), 0.01, 0.99)
    found = compare(labels, Predictions(noisy, 0.5), Predictions(probabilities, 0.5), ANY, seed=1)
    before, after = (-np.log(np.where(labels == 1, p, 1 - p)) for p in (noisy, probabilities))
    test = stats.ttest_1samp(before - after, 0.0, alternative="greater")
    assert found.confidence == pytest.approx(1 - float(test.pvalue), abs=0.002)


@pytest.mark.slow
def test_the_confidence_is_right_as_often_as_it_says() -> None:
    surprised = 0
    for repetition in range(400):  # two models that err equally, each on its own rows
        random = np.random.default_rng(repetition)
        truth = (random.random(500) < 0.3).astype(int)
        one, other = (random.normal(truth - 1.0, 1.0, 500) for _ in range(2))
        first, second = (Predictions(1 / (1 + np.exp(-logit)), 0.5) for logit in (one, other))
        surprised += (compare(truth, first, second, ANY, seed=1).confidence or 0) >= 0.9
    assert 0.06 <= surprised / 400 <= 0.14


def test_a_single_row_that_was_thought_impossible_outweighs_no_other_hundred() -> None:
    labels, probabilities = table(300)
    bold = np.where(np.arange(300) == labels.argmax(), 1e-9, probabilities)
    found = compare(labels, Predictions(probabilities, 0.5), Predictions(bold, 0.5), ANY, seed=1)
    assert found.gain is not None
    assert -np.log(1000) / 300 < found.gain < 0
    truth = np.arange(100_000) < 50  # one in 2,000, and one model says so
    right, floor = (Predictions(np.full(100_000, p), 0.5) for p in (0.0005, 0.001))
    assert compare(truth, floor, right, ANY, seed=1).gain == 0
    exact = metrics.log_loss(truth, floor.probabilities)
    assert exact - metrics.log_loss(truth, right.probabilities) < 0.001


def test_rows_of_a_single_client_compare_nothing() -> None:
    labels, probabilities = table(200)
    model = Predictions(probabilities, 0.5)
    found = compare(labels, model, model, Minimum(1, 1), seed=1, clients=["one"] * 200)
    assert found.undefined == "all 200 labelled rows are of one client"


def test_a_comparison_says_how_well_the_challenger_ranks() -> None:
    labels, probabilities = table(300)
    model = Predictions(probabilities, 0.5)
    interval = compare(labels, model, model, ANY, seed=1).challenger_auc_interval
    assert interval == score(labels, probabilities, 0.5, ANY, 1).roc_auc_interval


def test_the_interval_of_the_gain_in_auc_is_that_of_a_bootstrap_of_pairs() -> None:
    labels, probabilities = table(400)
    random = np.random.default_rng(3)
    noisy = np.clip(probabilities + random.normal(0, 0.2, 400), 0, 1)
    models = Predictions(noisy, 0.5), Predictions(probabilities, 0.5)
    low, high = compare(labels, *models, ANY, seed=1).auc_gain_interval or (0.0, 0.0)

    def gain(rows: np.ndarray) -> float:
        before, after = (metrics.roc_auc_score(labels[rows], m.probabilities[rows]) for m in models)
        return float(after - before)

    assert (low + high) / 2 == pytest.approx(gain(np.arange(400)))
    drawn = [gain(random.integers(0, 400, 400)) for _ in range(100)]
    assert (high - low) / (2 * Z95) == pytest.approx(np.std(drawn), rel=0.2)
    assert compare(labels, models[0], models[0], ANY, seed=1).auc_gain_interval == (0, 0)
