"""Drift by outcomes: each cause by its name, quiet streams left alone, alarms that end."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import f1_score

from attrition.model.metrics import Minimum, score
from attrition.monitoring.findings import DriftVerdict, Measure, PerformanceDrift
from attrition.monitoring.outcome_drift import (
    broken_promise,
    causes,
    drifted_rows,
    f1_at_share,
    looks,
    outcome_drift,
)
from attrition.monitoring.outcome_evidence import (
    OutcomeEvidence,
    OutcomeWatch,
    outcome_evidence,
)

MINIMUM = Minimum(30, 5)
Floats = NDArray[np.float64]


def risks(random: np.random.Generator, rows: int) -> Floats:
    """Log-odds of a model that tells clients apart well: AUC about .87."""
    return random.normal(-2.0, 1.8, rows)


def sigmoid(values: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-values)))


def batch(
    rows: int, seed: int, *, slope: float = 1.0, shift: float = 0.0, noise: float = 0.0
) -> OutcomeEvidence:
    """A batch whose outcomes follow other log-odds than the model's: slope, shift, noise."""
    random = np.random.default_rng(seed)
    told = risks(random, rows)
    true = shift + slope * told + random.normal(0.0, noise, rows) if noise else shift + slope * told
    return outcome_evidence(random.random(rows) < sigmoid(true), sigmoid(told))


REFERENCE = batch(3000, 1)


def judged(*batches: OutcomeEvidence, reference: OutcomeEvidence = REFERENCE) -> PerformanceDrift:
    watch = OutcomeWatch(tuple(one.expecting(reference) for one in batches))
    return outcome_drift(looks(watch), 0.05, MINIMUM)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shift": 0.9}, "the share of leavers has changed"),
        ({"shift": -1.2}, "the share of leavers has changed"),
        ({"slope": 0.2}, "the model ranks worse"),
        ({"slope": 0.2, "shift": -1.6}, "its probabilities are off"),
    ],
)
def test_each_cause_is_told_by_its_name(change: dict[str, float], words: str) -> None:
    found = judged(batch(1500, 7, **change))
    assert found.verdict == DriftVerdict.DRIFT
    assert words in found.reason
    assert words in causes(found.departures)


def test_a_share_of_leavers_that_comes_nearer_to_the_promise_is_no_drift() -> None:
    high = batch(3000, 1, shift=1.4)
    for shift in (1.4, 0.7, 0.0):
        assert judged(batch(1500, 7, shift=shift), reference=high).verdict == DriftVerdict.NO_DRIFT
    assert judged(batch(1500, 7, shift=3.0), reference=high).verdict == DriftVerdict.DRIFT


def test_a_share_of_leavers_that_changes_alone_is_not_called_a_worse_ranking() -> None:
    found = judged(batch(1500, 8, shift=0.9))
    assert causes(found.departures) == ["the share of leavers has changed"]
    assert re.search(r"on 1,500 rows .*\d\d\.\d% left \(\d\d\.\d% expected\)", found.reason)


def test_clients_who_are_harder_to_tell_apart_are_no_fault_of_the_model() -> None:
    random = np.random.default_rng(9)
    alike = random.normal(-1.5, 0.4, 2000)  # their AUC is .6, as the probabilities promise
    found = judged(outcome_evidence(random.random(2000) < sigmoid(alike), sigmoid(alike)))
    assert found.verdict == DriftVerdict.NO_DRIFT
    (auc,) = (one for one in found.departures if one.measure is Measure.AUC)
    assert auc.now < 0.7
    assert auc.promised == pytest.approx(auc.now, abs=0.05)


def test_batches_of_24_clients_are_judged_together() -> None:
    said = [
        judged(*(batch(24, 100 * seed + k, slope=0.0) for k in range(5))).has_drifted
        for seed in range(40)
    ]
    assert np.mean(said) > 0.8
    assert judged(batch(24, 1)).verdict == DriftVerdict.INSUFFICIENT
    assert judged(batch(24, 1)).reason == "too few labelled rows: 24, and at least 30 are needed"


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "batches"), [(24, 5), (24, 20), (100, 3), (500, 1), (3000, 1)])
def test_quiet_batches_are_called_drift_no_more_often_than_the_level_says(
    rows: int, batches: int
) -> None:
    runs = 400
    said = sum(
        judged(
            *(batch(rows, 10_000 + 50 * run + k) for k in range(batches)),
            reference=batch(2000, 500_000 + run),
        ).has_drifted
        for run in range(runs)
    )
    # 5 % of runs at most: more than this is seen in one of a thousand tries.
    assert said <= stats.binom.ppf(0.999, runs, 0.05)


def test_what_the_model_fell_short_of_when_it_was_fitted_is_no_drift_later() -> None:
    overconfident = batch(3000, 3, slope=0.6)
    assert judged(batch(1500, 4, slope=0.6)).has_drifted
    again = judged(batch(1500, 4, slope=0.6), reference=overconfident)
    assert again.verdict == DriftVerdict.NO_DRIFT


def test_a_second_change_is_said_though_the_first_has_made_the_model_worse() -> None:
    """The model fitted to the first change is usually off, by what its reference says."""
    rows = [batch(100, 40 + k, slope=0.4) for k in range(3)]
    first = judged(*rows)
    assert first.has_drifted
    assert drifted_rows(first) in {100, 300}
    fitted = sum(rows[1:], rows[0])
    quiet = [judged(batch(100, 50 + k, slope=0.4), reference=fitted) for k in range(20)]
    assert sum(one.has_drifted for one in quiet) <= 2
    assert judged(*(batch(100, 60 + k, slope=-0.4) for k in range(3)), reference=fitted).has_drifted


def test_old_batches_are_not_held_against_the_reference_of_a_newer_model() -> None:
    """A project of 80 rows gets 400 and then 100 more, and is fitted anew each time."""
    said = 0
    for run in range(200):
        overconfident, better = batch(80, 7000 + run, slope=0.6), batch(480, 8000 + run, slope=0.95)
        watch = OutcomeWatch(
            (
                batch(400, 9000 + run, slope=0.6).expecting(overconfident),
                batch(100, 10_000 + run, slope=0.95).expecting(better),
            )
        )
        said += outcome_drift(looks(watch), 0.05, MINIMUM).has_drifted
    assert said <= stats.binom.ppf(0.999, 200, 0.05)


@pytest.mark.parametrize("repeats", [1, 4])
def test_quiet_rows_of_the_same_clients_are_no_drift(repeats: int) -> None:
    said = 0
    for run in range(200):
        random = np.random.default_rng([run, repeats])
        told = np.repeat(risks(random, 60), repeats)
        labels = np.repeat(random.random(60) < sigmoid(told[::repeats]), repeats)
        rows = outcome_evidence(labels, sigmoid(told), np.repeat(np.arange(60), repeats))
        said += outcome_drift([[rows.expecting(REFERENCE)]], 0.05, MINIMUM).has_drifted
    assert said <= stats.binom.ppf(0.999, 200, 0.05)


def leavers_of_200(left: int) -> OutcomeEvidence:
    return outcome_evidence(np.arange(200) < left, np.full(200, 0.2))


def test_equal_probabilities_are_judged_by_the_leavers_alone() -> None:
    def equal(left: int) -> PerformanceDrift:
        return outcome_drift([[leavers_of_200(left)]], 0.05, MINIMUM)

    assert not equal(42).has_drifted
    assert causes(equal(80).departures) == ["the share of leavers has changed"]


def test_that_three_measures_are_compared_makes_no_change_less_sure() -> None:
    found = outcome_drift([[leavers_of_200(54)]], 0.05, MINIMUM)
    deviations = 14 / np.sqrt(54 * 0.8**2 + 146 * 0.2**2)
    assert found.departures[0].p == pytest.approx(2 * stats.norm.sf(deviations))
    assert causes(found.departures) == ["the share of leavers has changed"]


def test_the_newest_rows_spend_twice_as_much_of_the_level_as_any_other_look() -> None:
    rows = leavers_of_200(54)
    (alone, *_), (newest, _, _, longer, *_) = (
        outcome_drift([[rows]] * looks, 0.05, MINIMUM).departures for looks in (1, 2)
    )
    assert newest.p == pytest.approx(alone.p * 3 / 2)
    assert longer.p == pytest.approx(alone.p * 3)


def test_a_promise_that_is_usually_broken_is_broken() -> None:
    reference = batch(1000, 14, shift=0.9)
    assert not judged(batch(500, 15, shift=0.9), reference=reference).has_drifted
    assert broken_promise(reference) is not None
    assert "and the probabilities said" in str(broken_promise(batch(500, 15, shift=0.9)))
    assert broken_promise(batch(3000, 16)) is None
    assert broken_promise(OutcomeEvidence()) is None


def test_to_come_nearer_to_the_promise_than_the_reference_was_is_no_drift() -> None:
    found = judged(batch(3000, 5), reference=batch(3000, 6, shift=0.9))
    assert found.verdict == DriftVerdict.NO_DRIFT


def test_a_change_under_the_threshold_is_no_drift_however_sure() -> None:
    found = judged(batch(60_000, 11, slope=0.85), reference=batch(60_000, 12))
    assert found.verdict == DriftVerdict.NO_DRIFT
    assert min(one.p for one in found.departures) < 0.001
    assert found.reason.endswith("nothing beyond 0.05")


def test_a_large_change_that_may_be_chance_is_called_so() -> None:
    found = judged(batch(40, 30, slope=0.7))
    assert found.verdict == DriftVerdict.INSUFFICIENT
    assert found.reason.endswith("that may be chance on so few rows")


def test_f1_at_another_share_of_leavers_is_that_of_a_sample_drawn_so() -> None:
    random = np.random.default_rng(31)
    told = risks(random, 60_000)
    labels = (random.random(60_000) < sigmoid(told)).astype(int)
    found = score(labels, sigmoid(told), 0.4, MINIMUM, 1)
    kept = (labels == 0) | (random.random(60_000) < 0.5)  # half of the leavers
    labels, calls = labels[kept], sigmoid(told[kept]) >= 0.4
    again = f1_at_share(found, labels.mean())
    assert again == pytest.approx(f1_score(labels, calls), abs=0.01)
    assert f1_at_share(score([1, 0], [0.5, 0.5], 0.4, MINIMUM, 1), 0.2) is None
