"""Drift: the test is right, quiet under noise, loud under a shift, and honest about few rows."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from attrition.core import plain_values
from attrition.core.errors import DataError
from attrition.monitoring import drift
from attrition.monitoring.findings import PREDICTIONS, ColumnDrift, Drift, DriftVerdict
from attrition.monitoring.reference import LEVELS, summarise
from attrition.monitoring.statistical_tests import holm, population_stability_index
from tests.support.known import known

LEVEL = 0.05


def names(result: Drift) -> tuple[str, ...]:
    """What drifted."""
    return tuple(one.column for one in result.drifted)


def book(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    """Clients whose activity has a spike at zero and some blanks; plans of unequal size."""
    activity = np.where(rng.random(rows) < 0.3, 0.0, rng.lognormal(3, 1, rows))
    activity[rng.random(rows) < 0.05] = np.nan
    plan = rng.choice(["basic", "plus", "pro", ""], rows, p=[0.6, 0.25, 0.1, 0.05])
    return pd.DataFrame(
        {
            "activity": activity,
            "employees": rng.integers(1, 500, rows).astype(float),
            "plan": plan.astype(object),
        }
    )


def log_odds(features: pd.DataFrame) -> np.ndarray:
    return 1.0 - 0.02 * features["activity"].fillna(20).to_numpy() + (features["plan"] == "pro")


def compare(before: pd.DataFrame, now: pd.DataFrame, minimum_rows: int = 30) -> Drift:
    reference = json.loads(json.dumps(summarise(before, log_odds(before))))
    return drift.compare(reference, now, log_odds(now), LEVEL, minimum_rows)


def column(result: Drift, name: str) -> ColumnDrift:
    return next(column for column in result.columns if column.column == name)


def plans(**counts: int) -> pd.DataFrame:
    """One categorical column with so many rows of each level; `blank` stands for ""."""
    rows = [level.replace("blank", "") for level, count in counts.items() for _ in range(count)]
    return pd.DataFrame({"plan": np.array(rows, dtype=object)})


def compare_plans(before: pd.DataFrame, now: pd.DataFrame) -> ColumnDrift:
    reference = summarise(before, np.zeros(len(before)))
    return drift.compare(reference, now, np.zeros(len(now)), LEVEL, 30).columns[0]


def test_the_statistic_is_scipys_contingency_chi_square() -> None:
    result = compare_plans(plans(a=500, b=300, c=150, blank=50), plans(a=90, b=70, c=30, blank=10))
    table = [[500, 300, 150, 50], [90, 70, 30, 10]]
    expected = stats.chi2_contingency(table, correction=False)
    assert result.test == "chi-square"
    assert result.statistic == pytest.approx(expected.statistic)
    assert result.degrees_of_freedom == expected.dof == 3
    assert result.p == pytest.approx(expected.pvalue)


def test_with_small_expected_counts_the_p_value_is_that_of_the_exact_test() -> None:
    """Six of 40 rows blank, where 2 of 1,000 were: a 2 x 2 table, so Fisher's test knows."""
    result = compare_plans(plans(a=998, blank=2), plans(a=34, blank=6))
    assert result.test == "chi-square, simulated"
    exact = stats.fisher_exact(np.array([[998, 2], [34, 6]])).pvalue
    assert result.p == pytest.approx(exact, abs=2e-4)
    mild = compare_plans(plans(a=98, blank=2), plans(a=48, blank=2))
    exact = stats.fisher_exact(np.array([[98, 2], [48, 2]])).pvalue
    assert mild.p == pytest.approx(exact, abs=0.02)


def test_psi_is_the_number_computed_by_hand() -> None:
    """Shares .5/.5 -> .8/.2: .3 ln 1.6 - .3 ln .4 = .3 ln 4 = .41589."""
    assert population_stability_index([50, 50], [80, 20]) == pytest.approx(0.3 * math.log(4))
    result = compare_plans(plans(a=50, b=50), plans(a=80, b=20))
    assert result.psi == pytest.approx(0.3 * math.log(4))


def test_psi_of_an_empty_bin_is_finite() -> None:
    assert 0 < population_stability_index([100, 0], [50, 50]) < 10


def test_holm_is_the_textbook_example() -> None:
    """p .01 .04 .03 .005: times 4, 3, 2, 1 from the smallest, never falling."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@pytest.mark.slow
@pytest.mark.parametrize(("before_rows", "rows", "repetitions"), [(3000, 300, 500), (400, 60, 250)])
def test_false_alarms_are_as_rare_as_the_level_says(
    before_rows: int, rows: int, repetitions: int
) -> None:
    """Over many pairs of samples of one distribution the whole family errs in about 5 %."""
    rng = np.random.default_rng(7)
    by_p, single, alarms = 0, 0, 0
    for _ in range(repetitions):
        result = compare(book(rng, before_rows), book(rng, rows))
        rows_tested = (*result.columns, result.predictions)
        by_p += any(known(row.adjusted_p) <= LEVEL for row in rows_tested)
        single += known(column(result, "employees").p) <= LEVEL
        alarms += result.verdict == DriftVerdict.DRIFT
    print(
        f"{before_rows} -> {rows}: family {by_p / repetitions:.3f}, one column "
        f"{single / repetitions:.3f}, verdict {alarms / repetitions:.3f}"
    )
    margin = 3 * math.sqrt(LEVEL * (1 - LEVEL) / repetitions)
    assert LEVEL - margin <= single / repetitions <= LEVEL + margin
    assert 0.01 <= by_p / repetitions <= LEVEL + margin  # Holm: at most the level
    assert alarms <= by_p


def test_a_million_rows_do_not_turn_a_hairs_breadth_into_drift() -> None:
    rng = np.random.default_rng(3)
    before = pd.DataFrame({"activity": rng.normal(0, 1, 1_000_000)})
    now = pd.DataFrame({"activity": rng.normal(0.01, 1, 1_000_000)})
    reference = summarise(before, before["activity"])
    result = drift.compare(reference, now, now["activity"], LEVEL, 30)
    assert result.columns[0].adjusted_p is not None
    assert result.columns[0].adjusted_p < LEVEL  # the p-value alone would have cried
    assert result.verdict == DriftVerdict.NO_DRIFT


def shifted(now: pd.DataFrame) -> pd.DataFrame:
    return now.assign(employees=now["employees"] * 2)


def gone_missing(now: pd.DataFrame) -> pd.DataFrame:
    return now.assign(employees=now["employees"].where(np.arange(len(now)) % 12 > 0))


def new_level(now: pd.DataFrame) -> pd.DataFrame:
    return now.assign(plan=now["plan"].where(np.arange(len(now)) % 12 > 0, "gold"))


def no_spike(now: pd.DataFrame) -> pd.DataFrame:
    return now.assign(activity=now["activity"].where(now["activity"] != 0, -1.0))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (shifted, "employees"),
        (gone_missing, "employees"),
        (new_level, "plan"),
        (no_spike, "activity"),
    ],
)
def test_the_column_that_changed_is_named(change, name: str) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(11)
    before, now = book(rng, 5000), book(rng, 400)
    assert names(compare(before, now)) == ()
    result = compare(before, change(now))
    assert result.verdict == DriftVerdict.DRIFT
    assert [c.column for c in result.columns if c.verdict == DriftVerdict.DRIFT] == [name]
    assert names(result)[0] == name


def test_predictions_that_moved_are_drift_though_no_column_did() -> None:
    rng = np.random.default_rng(5)
    before, now = book(rng, 5000), book(rng, 500)
    reference = summarise(before, log_odds(before))
    result = drift.compare(reference, now, log_odds(now) + 2, LEVEL, 30)
    assert names(result) == (PREDICTIONS,)
    assert result.verdict == DriftVerdict.DRIFT


@pytest.mark.parametrize("rows", [0, 1, 29])
def test_few_rows_get_no_verdict(rows: int) -> None:
    rng = np.random.default_rng(5)
    result = compare(book(rng, 500), shifted(book(rng, rows)))
    assert result.verdict == DriftVerdict.INSUFFICIENT
    assert {c.verdict for c in result.columns} == {DriftVerdict.INSUFFICIENT}
    assert result.predictions.p is None
    assert result.rows == rows


def test_a_reference_of_few_rows_gives_no_verdict_either() -> None:
    rng = np.random.default_rng(5)
    assert compare(book(rng, 20), book(rng, 500)).verdict == DriftVerdict.INSUFFICIENT


def constant(value: float, rows: int = 200) -> pd.DataFrame:
    return pd.DataFrame({"employees": np.full(rows, value)})


@pytest.mark.parametrize(
    ("before", "now", "verdict"),
    [
        (5.0, 5.0, DriftVerdict.NO_DRIFT),
        (5.0, 4.9, DriftVerdict.DRIFT),
        (5.0, 5.1, DriftVerdict.DRIFT),
        (5.0, math.nan, DriftVerdict.DRIFT),
        (math.nan, math.nan, DriftVerdict.NO_DRIFT),
        (math.nan, 5.0, DriftVerdict.DRIFT),
    ],
)
def test_constant_and_all_missing_columns(before: float, now: float, verdict: str) -> None:
    reference = summarise(constant(before), np.zeros(200))
    result = drift.compare(reference, constant(now), np.zeros(200), LEVEL, 30)
    assert result.columns[0].verdict == verdict
    assert result.predictions.verdict == DriftVerdict.NO_DRIFT


def test_half_of_a_constant_column_changing_is_seen_against_a_large_reference() -> None:
    now = pd.DataFrame({"employees": np.r_[np.full(50, 5.0), np.full(50, 7.0)]})
    reference = summarise(constant(5.0, 10_000), np.zeros(10_000))
    assert names(drift.compare(reference, now, np.zeros(100), LEVEL, 30)) == ("employees",)


def test_an_absent_column_is_an_error_that_names_it() -> None:
    before = book(np.random.default_rng(1), 50)
    reference = summarise(before, log_odds(before))
    with pytest.raises(DataError, match="plan"):
        drift.compare(reference, before.drop(columns="plan"), log_odds(before), LEVEL, 30)


def test_more_levels_than_are_counted_one_by_one_are_pooled() -> None:
    names = [f"level{i:03}" for i in range(100)]
    before = pd.DataFrame({"plan": np.array(names * 10, dtype=object)})
    summary = summarise(before, np.zeros(1000))["categorical"]["plan"]
    assert list(summary["levels"]) == names[:LEVELS]
    assert summary["rest"] == 10 * (100 - LEVELS)


def test_the_order_of_rows_does_not_matter() -> None:
    rng = np.random.default_rng(2)
    before = book(rng, 300)
    mixed = before.sample(frac=1, random_state=1)
    assert summarise(before, log_odds(before)) == summarise(mixed, log_odds(mixed))


def test_the_result_is_plain_json() -> None:
    rng = np.random.default_rng(2)
    result = plain_values.to_json(compare(book(rng, 300), book(rng, 300)))
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert [c["column"] for c in result["columns"]] == ["activity", "employees", "plan"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(st.floats(-1e300, 1e300), st.sampled_from([0.0, 1.0, math.nan])),
        min_size=1,
        max_size=60,
    )
)
def test_every_reference_row_is_counted_once_and_a_sample_never_drifts_from_itself(
    values: list[float],
) -> None:
    table = pd.DataFrame({"x": np.array(values)})
    reference = summarise(table, np.zeros(len(values)))
    summary = reference["numeric"]["x"]
    assert sum(summary["counts"]) + summary["missing"] == len(values)
    assert len(summary["counts"]) == len(summary["edges"]) + 1
    result = drift.compare(reference, table, np.zeros(len(values)), LEVEL, 1)
    assert result.columns[0].psi == pytest.approx(0.0)
    assert result.verdict == DriftVerdict.NO_DRIFT


def test_psi_falls_into_the_part_of_missingness_and_the_part_of_the_values() -> None:
    """By hand: shares .6 .3 .1 -> .3 .3 .4 of a, b, blank; blank alone .9 .1 -> .6 .4."""
    result = compare_plans(plans(a=600, b=300, blank=100), plans(a=300, b=300, blank=400))
    assert result.psi == pytest.approx(-0.3 * math.log(0.5) + 0.3 * math.log(4))
    assert result.psi_missing == pytest.approx(-0.3 * math.log(0.6 / 0.9) + 0.3 * math.log(4))
    # Chain rule of relative entropy: P(present) times the divergence of a and b among the present.
    new, old = np.array([0.5, 0.5]), np.array([2 / 3, 1 / 3])
    values = 0.6 * stats.entropy(new, old) + 0.9 * stats.entropy(old, new)
    assert known(result.psi) - known(result.psi_missing) == pytest.approx(values)


@pytest.mark.parametrize(
    ("before", "now", "changed", "words"),
    [
        (
            plans(a=900, b=50, blank=50),
            plans(a=800, b=45, blank=155),
            ("missingness",),
            "missing in 16%, was 5.0%",
        ),
        (
            plans(a=900, blank=100),
            plans(a=970, blank=30),
            ("missingness",),
            "missing in 3.0%, was 10%",
        ),  # its PSI is .07, but seven points are news
        (
            plans(a=500, b=400, blank=100),
            plans(a=250, b=650, blank=100),
            ("values",),
            '"a" 28%, was 56%',
        ),
        (
            plans(a=500, b=500),
            plans(a=150, b=450, blank=400),
            ("values", "missingness"),
            'missing in 40%, was 0%; "a" 25%, was 50%',
        ),
        (plans(a=900, blank=100), plans(a=880, blank=120), (), '"a" 100%, was 100%'),
    ],
)
def test_missingness_is_told_from_values(
    before: pd.DataFrame, now: pd.DataFrame, changed: tuple[str, ...], words: str
) -> None:
    result = compare_plans(before, now)
    assert result.changed == changed
    assert result.verdict == (DriftVerdict.DRIFT if changed else DriftVerdict.NO_DRIFT)
    assert result.change == words


def test_an_alarm_names_the_column_that_went_missing() -> None:
    rng = np.random.default_rng(11)
    before, now = book(rng, 5000), book(rng, 400)
    result = compare(before, gone_missing(now))
    (column,) = (one for one in result.columns if one.verdict == DriftVerdict.DRIFT)
    assert (column.column, column.change) == ("employees", "missing in 8.5%, was 0%")
    assert column.changed == ("missingness",)


def test_numbers_are_told_by_their_medians() -> None:
    before = pd.DataFrame({"x": np.arange(2001.0)})
    now = pd.DataFrame({"x": np.arange(2001.0) + 1500})
    reference = summarise(before, np.zeros(2001))
    found = drift.compare(reference, now, np.zeros(2001), LEVEL, 30).columns[0]
    assert found.change == "median 2,500, was 1,000"


def wide(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    """Twenty unrelated columns."""
    return pd.DataFrame({f"x{i:02}": rng.normal(0, 1, rows) for i in range(20)})


@pytest.mark.slow
def test_false_alarms_stay_rare_with_many_columns() -> None:
    rng, repetitions = np.random.default_rng(8), 300
    by_p = alarms = 0
    for _ in range(repetitions):
        before, now = wide(rng, 2000), wide(rng, 200)
        reference = summarise(before, before["x00"])
        result = drift.compare(reference, now, now["x00"], LEVEL, 30)
        by_p += any(c.adjusted_p <= LEVEL for c in result.columns)  # type: ignore[operator]
        alarms += result.verdict == DriftVerdict.DRIFT
    print(
        f"20 columns, 2000 -> 200: family {by_p / repetitions:.3f}, "
        f"verdict {alarms / repetitions:.3f}"
    )
    assert alarms / repetitions <= LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / repetitions)


def a_hairs_breadth(now: pd.DataFrame) -> pd.DataFrame:
    return now.assign(employees=now["employees"] + 0.02 * 144)


def more_gold(now: pd.DataFrame) -> pd.DataFrame:
    return now.assign(plan=now["plan"].where(np.arange(len(now)) % 8 > 0, "gold"))


def half_a_deviation(now: pd.DataFrame) -> pd.DataFrame:
    return now.assign(employees=now["employees"] + 0.5 * 144)


@pytest.mark.parametrize(
    ("change", "name", "least", "most"),
    [
        (lambda now: now, "employees", 0.0, 0.05),
        (a_hairs_breadth, "employees", 0.0, 0.05),
        (half_a_deviation, "employees", 0.99, 1.0),
        (more_gold, "plan", 0.99, 1.0),
        (gone_missing, "employees", 0.95, 1.0),
    ],
    ids=["none", "small", "large", "in one category", "in missingness"],
)
def test_power(change, name: str, least: float, most: float) -> None:  # type: ignore[no-untyped-def]
    """How often a made-up shift is called drift; 5,000 rows against 500, 60 repetitions."""
    rng, repetitions = np.random.default_rng(21), 60
    hits = others = 0
    for _ in range(repetitions):
        before, now = book(rng, 5000), book(rng, 500)
        result = compare(before, change(now))
        hits += name in names(result)
        others += any(column != name for column in names(result))
    print(
        f"{change.__name__} of {name}: drift in {hits / repetitions:.2f}, "
        f"in other columns {others / repetitions:.2f}"
    )
    assert least <= hits / repetitions <= most
    assert others / repetitions <= 0.05


def test_the_chi_square_sees_what_the_effect_size_asks_for() -> None:
    """Why the binned test suffices for numbers: at the PSI floor its power is near one anyway."""
    rng = np.random.default_rng(5)
    before = pd.DataFrame({"x": rng.normal(0, 1, 5000)})
    reference = summarise(before, before["x"])
    binned = kolmogorov = 0
    for _ in range(200):
        now = rng.normal(0.33, 1, 300)  # a PSI of about 0.1
        found = drift.compare(reference, pd.DataFrame({"x": now}), now, LEVEL, 30)
        binned += known(found.columns[0].p) <= LEVEL
        kolmogorov += stats.ks_2samp(before["x"], now).pvalue <= LEVEL
    print(f"power at the floor: binned chi-square {binned / 200:.3f}, KS {kolmogorov / 200:.3f}")
    assert binned / 200 >= 0.95
