"""Weak segments: a planted one is named, a model that is right is not blamed, and it is fast."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from attrition.core import atomic_files
from attrition.data.ledger import read_ledger
from attrition.engines.context import gather_test_clients, read_context
from attrition.model.champion import live_champion
from attrition.monitoring.examination import examine
from attrition.monitoring.findings import SegmentSearch
from attrition.monitoring.outcome_evidence import OutcomeWatch
from attrition.monitoring.segments import LEVEL, _chance_sum, _tails, weak_segments
from tests.conftest import HEADER, Project

Flags = NDArray[np.bool_]


def clients(rows: int, seed: int, columns: int = 3) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """Features and true risks, which numbers, a category, and their meeting make."""
    random = np.random.default_rng(seed)
    features = pd.DataFrame({f"x{n}": random.normal(size=rows) for n in range(columns)})
    features["spend"] = random.lognormal(2.0, 1.5, rows).round()
    features.loc[random.random(rows) < 0.1, "spend"] = np.nan
    features["plan"] = random.choice(list("abcdefghij"), rows).astype(object)
    features["region"] = random.choice(["", "north", "south"], rows, p=[0.1, 0.6, 0.3]).astype(
        object
    )
    meeting = features["x1"] * (features["plan"] < "d")
    log_odds = features["x0"] + meeting - (features["region"] == "north") - 1.5
    return features, 1 / (1 + np.exp(-log_odds.to_numpy()))


def outcomes(risks: NDArray[np.float64], seed: int) -> Flags:
    return np.random.default_rng(seed + 1000).random(len(risks)) < risks


def search(features: pd.DataFrame, left: Flags, risks: NDArray[np.float64]) -> SegmentSearch:
    return weak_segments(features, left, risks, 50)


@pytest.mark.slow
def test_a_model_that_is_right_everywhere_is_blamed_in_at_most_the_level_of_runs() -> None:
    """Though its log loss differs by segment: clients of middling risk always cost more."""
    runs = 60
    blamed = 0
    for seed in range(runs):
        features, risks = clients(2000, seed)
        blamed += bool(search(features, outcomes(risks, seed), risks).weak)
    assert blamed <= binom.ppf(0.99, runs, LEVEL)


def test_a_model_that_is_wrong_alike_everywhere_is_weak_nowhere() -> None:
    """Twice as sure as it may be, and of too few leavers: the average is bad, no segment worse."""
    blamed = 0
    for seed in range(20):
        features, risks = clients(3000, seed)
        log_odds = np.log(risks / (1 - risks))
        claimed = 1 / (1 + np.exp(-2.0 * log_odds + 1.0))
        blamed += bool(search(features, outcomes(risks, seed), claimed).weak)
    assert blamed <= binom.ppf(0.99, 20, LEVEL)


PLANTED: dict[str, tuple[Callable[[pd.DataFrame], Any], set[str]]] = {
    "level": (lambda table: table["plan"] == "c", {"plan c"}),
    "missing": (lambda table: table["spend"].isna(), {"spend missing"}),
    "blank": (lambda table: table["region"] == "", {"region missing"}),
    "pair": (
        lambda table: (table["region"] == "south") & (table["x2"] > 0.25),
        {"region south", "x2 from"},
    ),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_segment_whose_labels_are_random_is_named_alone(kind: str) -> None:
    chosen, names = PLANTED[kind]
    for seed in range(3):
        features, risks = clients(5000, seed)
        left, inside = outcomes(risks, seed), chosen(features).to_numpy()
        left[inside] = np.random.default_rng(seed).random(inside.sum()) < 0.5
        weak = search(features, left, risks).weak
        assert weak
        for segment in weak:  # x2 comes in ranges: two of them may be named
            assert all(any(part.startswith(name) for name in names) for part in segment.conditions)
        assert weak[0].adjusted_p < LEVEL
        assert weak[0].interval[0] > 0.0
        assert weak[0].left_interval[0] < weak[0].left < weak[0].left_interval[1]
        assert weak[0].left > weak[0].predicted


def test_too_many_alarms_in_a_segment_are_a_weakness_though_its_log_loss_is_low() -> None:
    features, risks = clients(5000, 1)
    inside = (features["plan"] == "e").to_numpy()
    left = outcomes(np.where(inside, risks / 3, risks), 1)
    (weak,) = search(features, left, risks).weak
    assert weak.conditions == ("plan e",)
    assert weak.rows == inside.sum()
    assert weak.left == pytest.approx(left[inside].mean())
    assert weak.predicted == pytest.approx(risks[inside].mean())
    assert weak.left < weak.predicted / 2


def test_the_interval_leaves_out_0_just_where_the_test_is_significant() -> None:
    """Many are nearly sure to stay: a few surprises are much, and spread the segment's losses."""
    named = 0
    for seed in range(15):
        features, risks = clients(4000, seed)
        risks = risks**2
        inside = (features["plan"] == "c").to_numpy()
        shuffled = risks.copy()
        shuffled[inside] = np.random.default_rng(seed).permutation(risks[inside])
        for weak in search(features, outcomes(shuffled, seed), risks).weak:
            if weak.left_interval[0] < weak.expected_left < weak.left_interval[1]:
                named += 1  # for its loss, as so many left as were expected
                assert weak.interval[0] > 0.0
                assert weak.interval[0] < weak.difference < weak.interval[1]
    assert named >= 5


def test_chance_reaches_its_sum_with_the_probability_asked_for() -> None:
    random = np.random.default_rng(4)
    counts, chances = np.array([300, 80, 20]), np.array([0.01, 0.1, 0.4])
    weights = np.array([4.6, 2.2, -0.4])
    reached = _chance_sum(counts, chances, weights, 0.01)
    surprises = random.binomial(counts, chances, (400_000, 3)) - counts * chances
    assert float((surprises @ weights >= reached).mean()) == pytest.approx(0.01, rel=0.1)


def test_a_difference_that_does_not_matter_is_not_named_however_sure() -> None:
    features, risks = clients(150_000, 1)
    inside = (features["plan"] == "e").to_numpy()
    left = outcomes(np.where(inside, risks * 1.08, risks), 1)
    assert search(features, left, risks).weak == ()


@pytest.mark.parametrize("rows", [0, 1, 60, 100, 101])
def test_few_rows_one_label_and_columns_without_segments_name_nothing(rows: int) -> None:
    features, risks = clients(rows, 1)
    for left in (np.zeros(rows, bool), np.ones(rows, bool), outcomes(risks, 1)):
        assert search(features, left, risks).weak == ()
    constant = pd.DataFrame({"x": np.ones(rows)})
    assert search(constant, outcomes(risks, 1), risks).looked_at == 0


def test_probabilities_of_zero_and_one_and_equal_ones_are_no_trouble() -> None:
    features, risks = clients(2000, 2)
    left = outcomes(risks, 2)
    sure = np.where(risks > 0.5, 1.0, 0.0)
    for claimed in (sure, np.full(2000, 0.2), left.astype(float)):
        found = search(features, left, claimed)
        assert np.isfinite([value for weak in found.weak for value in weak.interval]).all()


def test_the_same_rows_in_another_order_name_the_same_segments() -> None:
    features, risks = clients(4000, 3)
    left = outcomes(risks, 3)
    left[features["plan"] == "c"] = False
    mixed = np.random.default_rng(1).permutation(4000)
    one = search(features, left, risks)
    other = search(features.iloc[mixed].reset_index(drop=True), left[mixed], risks[mixed])
    assert [weak.conditions for weak in one.weak] == [weak.conditions for weak in other.weak]
    assert one.looked_at == other.looked_at


@pytest.mark.parametrize(("rows", "chance", "hits"), [(60, 0.02, 6), (400, 0.1, 65), (80, 0.5, 60)])
def test_tails_of_few_leavers_are_those_of_the_binomial_distribution(
    rows: int, chance: float, hits: int
) -> None:
    sums = np.array([hits - rows * chance])
    (tail,) = _tails(np.array([[rows]]), np.array([chance]), np.ones((1, 1)), sums, True)
    assert tail == pytest.approx(binom.sf(hits - 1, rows, chance), rel=0.02)


@pytest.mark.slow
def test_a_million_rows_take_a_second_or_two() -> None:
    features, risks = clients(1_000_000, 1, columns=17)
    left = outcomes(risks, 1)
    start = time.process_time()
    assert search(features, left, risks).weak == ()
    assert time.process_time() - start < 5.0


@pytest.mark.slow
def test_a_run_looks_where_its_live_model_is_weak_on_rows_that_it_has_not_learnt(
    finished_copy: Project,
) -> None:
    """A model just deployed: the test data, and its own rows out of fold. A deployed one: both."""
    before = atomic_files.read_json(finished_copy.config.decision)["segments"]
    ledger = read_ledger(finished_copy.config.ledger)
    test = gather_test_clients(finished_copy.config, ledger)
    training_rows = atomic_files.read_json(finished_copy.config.output_model_path / "training.json")
    assert before["rows"] == len(test.clients) + training_rows["rows"]
    assert before["weak"] == []
    new = [f"new {n},{n % 90},{n % 400},{n % 700},1" for n in range(400)]  # be they ever so active
    finished_copy.write("sourcedata/odd.csv", "\n".join([HEADER, *new, ""]))
    champion = live_champion(finished_copy.config)
    finished_copy.run("ingestion.py")
    exam = examine(read_context(finished_copy.config, champion), OutcomeWatch())
    assert exam.segments is not None
    assert len(test.clients) < exam.segments.rows <= len(test.clients) + 400
    assert exam.segments.weak
