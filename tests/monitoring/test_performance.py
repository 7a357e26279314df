"""AUC and calibration against deployment, and the F1 to expect where outcomes are not known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics

from attrition.model.metrics import Minimum, Score, score
from attrition.model.uncertainty import auc_standard_error
from attrition.monitoring.performance import expected_score, measure_changes
from tests.support.known import known

ANY = Minimum(4, 2)


def sample(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels tossed by their probabilities: perfectly calibrated."""
    rng = np.random.default_rng(seed)
    chances = rng.beta(1, 3, rows)
    return (rng.random(rows) < chances).astype(int), chances


def scored(rows: int, seed: int) -> Score:
    return score(*sample(rows, seed), 0.4, ANY, seed=1)


def test_the_standard_error_of_auc_is_delongs_over_all_pairs() -> None:
    """The definition of 1988: every positive against every negative, ties half."""
    rng = np.random.default_rng(2)
    labels, chances = rng.integers(0, 2, 80), np.round(rng.random(80), 1)
    positive, negative = chances[labels == 1], chances[labels == 0]
    won = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    assert won.mean() == pytest.approx(metrics.roc_auc_score(labels, chances))
    variance = won.mean(axis=1).var(ddof=1) / len(positive)
    variance += won.mean(axis=0).var(ddof=1) / len(negative)
    assert auc_standard_error(labels, chances) == pytest.approx(np.sqrt(variance))
    assert auc_standard_error([1, 0, 0], [0.5, 0.1, 0.2]) is None


def error_of(found: Score, name: str) -> float:
    assert found.standard_errors is not None
    return known(found.standard_errors[name])


@pytest.mark.slow
def test_the_standard_errors_are_the_spread_over_many_samples() -> None:
    found = [scored(500, seed) for seed in range(300)]
    values = {
        "roc_auc": [known(one.roc_auc) for one in found],
        "calibration_gap": [known(one.mean_probability) - known(one.base_rate) for one in found],
    }
    for name, drawn in values.items():
        told = np.mean([error_of(one, name) for one in found])
        print(f"{name}: told {told:.4f}, found {np.std(drawn):.4f}")
        assert told == pytest.approx(np.std(drawn), rel=0.12)


@pytest.mark.slow
def test_the_standard_error_of_the_calibration_error_is_of_the_right_size() -> None:
    """Probabilities too high by a fifth, so that the error is no mere noise."""
    drawn, told = [], []
    for seed in range(200):
        labels, chances = sample(800, seed)
        found = score(labels, chances * 0.5 + 0.4, 0.4, ANY, seed=1)
        drawn.append(known(found.calibration_error))
        told.append(error_of(found, "calibration_error"))
    assert np.mean(told) == pytest.approx(np.std(drawn), rel=0.15)


def test_each_measure_stands_beside_its_value_at_deployment() -> None:
    then, now = scored(2000, 1), scored(600, 2)
    found = measure_changes(json.loads(json.dumps(then.to_json())), now)
    assert found is not None
    auc = found["roc_auc"]
    assert auc.at_deployment == then.roc_auc
    assert auc.change == pytest.approx(known(now.roc_auc) - known(then.roc_auc))
    errors = error_of(then, "roc_auc"), error_of(now, "roc_auc")
    assert auc.change_error == pytest.approx(np.hypot(*errors))
    assert auc.interval == now.roc_auc_interval
    assert auc.interval_at_deployment == then.roc_auc_interval
    labels, chances = sample(600, 2)
    assert found["calibration_gap"].now == pytest.approx(chances.mean() - labels.mean())


def test_an_undefined_score_has_no_measures() -> None:
    assert measure_changes(scored(100, 1).to_json(), Score(3, 1, "too few")) is None
    undefined = Score(3, 1, "too few").to_json()
    found = measure_changes(undefined, replace(scored(100, 1)))
    assert found is not None
    assert found["roc_auc"].change is None


def test_the_expected_f1_by_hand() -> None:
    """Alarms .9 .6, others .3 .1: tp 1.5, fp .5, fn .4, so 3 / 3.9; spread by the delta method."""
    found = expected_score([0.9, 0.6, 0.3, 0.1], 0.5, 1)
    assert found.f1 == pytest.approx(3 / 3.9)
    assert found.confusion == pytest.approx({"tn": 1.6, "fp": 0.5, "fn": 0.4, "tp": 1.5})
    assert found.is_estimate
    assert "as far as" in found.assumption


@pytest.mark.slow
@pytest.mark.parametrize("threshold", [0.2, 0.4, 0.7])
def test_the_expected_f1_is_the_mean_over_tossed_outcomes(threshold: float) -> None:
    rng, (_, chances) = np.random.default_rng(6), sample(1500, 3)
    found = expected_score(chances, threshold, 30)
    drawn = [metrics.f1_score(rng.random(1500) < chances, chances >= threshold) for _ in range(400)]
    assert found.f1 == pytest.approx(np.mean(drawn), abs=0.004)
    assert found.f1_interval is not None
    low, high = found.f1_interval
    held = np.mean([low <= f1 <= high for f1 in drawn])
    print(
        f"threshold {threshold}: expected {found.f1:.3f}, mean of the outcomes "
        f"{np.mean(drawn):.3f}, in the interval {held:.3f}"
    )
    assert 0.92 <= held <= 0.98


def test_few_rows_give_no_estimate_and_certain_ones_no_error() -> None:
    assert "too few rows: 3" in str(expected_score([0.1, 0.2, 0.3], 0.5, 30).undefined)
    nobody = expected_score(np.zeros(50), 0.5, 30)
    assert (nobody.f1, nobody.f1_interval) == (0.0, (0.0, 0.0))
    assert expected_score(np.ones(50), 0.5, 30).f1 == 1.0
