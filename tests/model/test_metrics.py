"""Scores against scikit-learn, hand-computed numbers and a plain row bootstrap."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from numpy.typing import ArrayLike
from scipy import stats
from sklearn import metrics

from attrition.model.metrics import (
    Z95,
    Minimum,
    Predictions,
    Score,
    auc_interval,
    auc_standard_error,
    calibration_error,
    compare,
    f1_of,
    score,
    score_to_judge_by,
)

ANY = Minimum(1, 1)


def table(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    probabilities = random.random(rows)
    return (random.random(rows) < probabilities).astype(int), probabilities


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


def says(guess: ArrayLike) -> Predictions:
    """A model that gives .9 to those whom it predicts to leave, and .1 to the others."""
    return Predictions(0.1 + 0.8 * np.asarray(guess), 0.5)


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


def test_equal_seeds_give_equal_intervals() -> None:
    labels, probabilities = table(100)
    assert score(labels, probabilities, 0.5, ANY, 3) == score(labels, probabilities, 0.5, ANY, 3)


# The interval of AUC


def test_an_end_of_the_interval_is_as_many_of_its_own_standard_errors_away() -> None:
    for end in auc_interval(0.8, None, 10, 40):
        spread = 1 + (50 / 2 - 1) * ((1 - end) / (2 - end) + end / (1 + end))
        assert abs(0.8 - end) == pytest.approx(Z95 * np.sqrt(end * (1 - end) * spread / 400))


def test_the_interval_is_wider_where_the_standard_error_is_and_never_leaves_0_to_1() -> None:
    narrow, wide = auc_interval(0.8, 0.01, 10, 40), auc_interval(0.8, 0.15, 10, 40)
    assert narrow == auc_interval(0.8, None, 10, 40)
    assert wide[0] < narrow[0] < 0.8 < narrow[1] < wide[1] < 1
    low, high = auc_interval(1.0, 0.0, 5, 45)
    assert high == 1
    assert 0.5 < low < 0.9, "five leavers on top of the list prove no perfect model"
    assert auc_interval(0.0, 0.0, 5, 45) == pytest.approx((0.0, 1 - low))


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "leavers"), [(50, 8), (100, 20), (1000, 100)])
@pytest.mark.parametrize("area", [0.8, 0.95])
def test_the_interval_of_auc_holds_the_true_one_about_95_times_in_100(
    rows: int, leavers: int, area: float
) -> None:
    """Two normal distributions, shifted so far that the true area is known."""
    random = np.random.default_rng(5)
    labels = (np.arange(rows) < leavers).astype(int)
    shift = np.sqrt(2) * NormalDist().inv_cdf(area)
    held = 0
    for _ in range(300):
        drawn = random.normal(size=rows) + shift * labels
        measured = metrics.roc_auc_score(labels, drawn)
        error = auc_standard_error(labels, drawn)
        low, high = auc_interval(measured, error, leavers, rows - leavers)
        held += low <= area <= high
    assert 0.93 <= held / 300 <= 0.995


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
