"""Rows that are nearly another's: found, kept together, and never learnt and judged by at once."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from attrition.data import near_copies as room
from attrition.data.clients import Clients
from attrition.data.near_copies import as_one_client, near_copies
from tests.conftest import REPOSITORY, Project

ECOMMERCE = REPOSITORY.parent / "shared/data/ecommerce_churn/ecommerce_churn.csv"
COLUMNS, DIFFERING = 12, 2
COUNT = 500


def doubled(seed: int, spread: int = 12) -> tuple[Clients, pd.Series[Any]]:
    """Clients whose columns say nothing of their outcome, each twice, one or two values altered.

    Returns:
        The rows, shuffled, under an id of their own; and the number of the client of each.
    """
    rng = np.random.default_rng(seed)
    values = rng.integers(0, spread, (COUNT, COLUMNS))
    altered = values.copy()
    for row in altered:
        row[rng.choice(COLUMNS, rng.integers(1, DIFFERING + 1), replace=False)] = spread + 1
    order = rng.permutation(2 * COUNT)
    table = np.concatenate([values, altered])[order]
    labels = np.tile(rng.random(COUNT) < 0.3, 2)[order].astype(np.int8)
    ids = np.array([f"C{number}" for number in range(2 * COUNT)], dtype=object)
    features = pd.DataFrame(table, columns=[f"c{i}" for i in range(COLUMNS)]).astype(float)
    return Clients(ids, features, labels, None), pd.Series(order % COUNT)


def test_every_copy_is_found_and_nothing_else() -> None:
    clients, owners = doubled(1)
    first, second = near_copies(clients)
    assert len(first) == COUNT
    assert (owners[first].to_numpy() == owners[second].to_numpy()).all()
    one = pd.Series(as_one_client(clients.ids, near_copies(clients)))
    assert one.groupby(owners).nunique().eq(1).all()
    assert one.nunique() == COUNT


def test_rows_alike_that_leave_and_stay_by_themselves_are_no_copies() -> None:
    clients, _ = doubled(2)
    by_chance = np.random.default_rng(3).permutation(np.asarray(clients.labels))
    assert not near_copies(Clients(clients.ids, clients.features, by_chance, None)).size


def test_rows_that_are_alike_since_columns_have_few_values_are_no_copies() -> None:
    """Of twelve columns of two values each many rows are equal by chance."""
    clients, _ = doubled(4, spread=2)
    assert not near_copies(clients).size


def test_rows_of_one_client_are_not_copies_of_each_other() -> None:
    clients, owners = doubled(5)
    ids = owners.astype(str).to_numpy(dtype=object)
    assert not near_copies(Clients(ids, clients.features, clients.labels, None)).size


def test_all_rows_of_clients_who_have_copies_become_one_client() -> None:
    ids = np.array(["A", "B", "A", "C", "D", "C"], dtype=object)
    one = as_one_client(ids, np.array([[0], [3]]))
    assert one.tolist() == ["A", "B", "A", "A", "D", "A"]


def test_of_many_rows_some_tell_whether_all_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    clients, _ = doubled(6)
    monkeypatch.setattr(room, "LOOKED_AT", 600)
    assert near_copies(clients).shape[1] == COUNT
    monkeypatch.setattr(room, "LOOKED_AT", 10)
    assert not near_copies(clients).size


def test_what_is_known_from_a_copy_is_neither_learnt_nor_praised(project: Project) -> None:
    """Where a coin decides who leaves, no model is better than chance, whatever it remembers."""
    clients, owners = doubled(7)
    names = list(clients.features)
    lines = io.StringIO()
    writer = csv.writer(lines)
    writer.writerow(["id", *names, "left"])
    assert clients.labels is not None
    for row in zip(clients.ids, clients.features.to_numpy(), clients.labels, strict=True):
        writer.writerow([row[0], *row[1], row[2]])
    project.configure(
        id_column="id",
        numeric_columns=names,
        categorical_columns=[],
        target_column="left",
        test_share=0.25,
    )
    project.write("sourcedata/clients.csv", lines.getvalue())
    said = project.run("fullprocess.py").stdout
    record = json.loads((project.root / "models/training.json").read_text())
    low, high = record["cross_validated"]["roc_auc_interval"]
    assert low < 0.55 < high < 0.65  # the penalty is the best of many, by these rows
    copied = record["copied"]
    assert copied["differing"] == DIFFERING
    assert record["rows"] + record["left_out_test_rows"] + copied["left_out"] == 2 * COUNT
    assert " ".join(said.split()).count("copies of test rows and not learnt") == 1
    scores = json.loads((project.root / "models/scores.json").read_text())
    low, high = scores["roc_auc_interval"]
    assert low < 0.5 < high
    assert record["rows"] > COUNT  # most clients have no row among the test data
    assert owners.nunique() == COUNT


@pytest.mark.skipif(not ECOMMERCE.exists(), reason="needs ../shared/data")
def test_the_shop_s_copies_are_those_that_comparing_all_rows_finds() -> None:
    table = pd.read_csv(ECOMMERCE)
    features = table.drop(columns=["CustomerID", "Churn"])
    labels = table["Churn"].to_numpy(dtype=np.int8)
    clients = Clients(
        table["CustomerID"].astype(str).to_numpy(dtype=object), features, labels, None
    )
    found = set(map(tuple, near_copies(clients).T.tolist()))
    codes = np.column_stack([pd.factorize(features[name])[0] for name in features])
    some = np.random.default_rng(8).choice(len(codes), 400, replace=False)
    alike = {
        tuple(sorted((int(row), int(other))))
        for row in some
        for other in np.flatnonzero((codes != codes[row]).sum(axis=1) <= 3)
        if other != row
    }
    assert len(alike) > 300
    assert len(alike - found) <= 0.02 * len(alike)  # a few agree on frequent values only
    assert {pair for pair in found if set(pair) & set(some.tolist())} <= alike
