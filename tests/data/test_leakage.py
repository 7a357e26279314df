"""Each column alone against the target: the answer in disguise is named, honest columns are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from attrition.data.leakage import is_suspicious, single_column_power, suspicious_columns
from tests.conftest import REPOSITORY

DATA = REPOSITORY.parent / "shared" / "data"
TABLES = {
    "telco_ibm/telco.csv": ("Churn", "Yes"),
    "churn_mlc5000/mlc_churn.csv": ("churn", "yes"),
    "iranian_churn/Customer_Churn.csv": ("Churn", "1"),
    "online_retail_rfm/rfm_snapshots.csv": ("churned", "1"),
    "bank_churn_10k/bank_churn_10k.csv": ("Exited", "1"),
    "ecommerce_churn/ecommerce_churn.csv": ("Churn", "1"),
}


def disguised(labels: np.ndarray) -> pd.DataFrame:
    """Columns that are the labels in disguise."""
    rng = np.random.default_rng(3)
    rows = len(labels)
    noisy = np.where(rng.random(rows) < 0.02, 1 - labels, labels)
    return pd.DataFrame(
        {
            "copy": labels,
            "noisy copy": noisy,
            "noisy text": np.where(noisy == 1, "gone", "here"),
            "another model's score": np.where(labels == 1, 1, -1) + rng.normal(size=rows) / 3,
            "turned round": np.where(labels == 1, -1, 1) + rng.normal(size=rows) / 3,
            "only leavers have one": np.where(labels == 1, rng.random(rows), np.nan),
            "only leavers' text": [f"reason {n}" if gone else "" for n, gone in enumerate(labels)],
            "in the middle": np.where(labels == 1, rng.random(rows), 3 * rng.choice([-1, 1], rows)),
        }
    )


def honest(labels: np.ndarray) -> pd.DataFrame:
    """Columns that tell nothing, little or much, as columns do."""
    rng = np.random.default_rng(4)
    rows = len(labels)
    return pd.DataFrame(
        {
            "strong": 1.5 * labels + rng.normal(size=rows),  # AUC .86
            "noise": rng.normal(size=rows),
            "all alike": np.zeros(rows),
            "blank": np.full(rows, np.nan),
            "names": [f"client {number}" for number in range(rows)],
            "few of each": [f"agent {number}" for number in rng.integers(0, rows // 2, rows)],
        }
    )


@pytest.mark.parametrize("share", [0.5, 0.2, 0.03])
def test_the_answer_in_disguise_is_beyond_belief_and_honest_columns_are_not(share: float) -> None:
    labels = (np.random.default_rng(5).random(8000) < share).astype(int)
    table = pd.concat([disguised(labels), honest(labels)], axis=1)
    assert set(suspicious_columns(table, labels)) == set(disguised(labels).columns)
    power = single_column_power(table, labels)
    assert power["copy"] == power["only leavers have one"] == 1.0
    assert power["noisy copy"] == pytest.approx(0.98, abs=0.015)
    assert power["strong"] == pytest.approx(0.85, abs=0.03)
    assert power["all alike"] == power["blank"] == power["names"] == 0.5
    assert power["few of each"] == pytest.approx(0.5, abs=0.06)


def test_on_thirty_rows_nothing_is_beyond_belief() -> None:
    labels = np.tile([0, 1], 15)
    assert not suspicious_columns(disguised(labels), labels)
    assert not any(is_suspicious(1.0, rarer) for rarer in range(1, 35))
    assert is_suspicious(1.0, 35)
    assert is_suspicious(0.98, 80)
    assert not is_suspicious(0.98, 40)
    assert not is_suspicious(0.93, 1_000_000)


def test_with_one_label_alone_there_is_no_power() -> None:
    for labels in ([1, 1, 1], [0, 0, 1]):
        assert single_column_power(pd.DataFrame({"a": labels}), labels) == {"a": 0.5}


def test_many_rows_are_looked_at_in_part_and_the_same_is_said() -> None:
    labels = (np.arange(200_000) % 40 == 0).astype(int)
    assert set(suspicious_columns(disguised(labels), labels)) == set(disguised(labels).columns)


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the real tables are not there: {DATA}")
@pytest.mark.parametrize("name", TABLES)
def test_of_a_real_table_only_the_answer_in_disguise_is_named(name: str) -> None:
    target, positive = TABLES[name]
    table = pd.read_csv(Path(DATA / name))
    labels = (table.pop(target).astype(str) == positive).to_numpy().astype(int)
    assert max(single_column_power(table, labels).values()) < 0.85
    with_answers = pd.concat([table, disguised(labels)], axis=1)
    assert set(suspicious_columns(with_answers, labels)) == set(disguised(labels).columns)
