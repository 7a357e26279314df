"""Rows that are nearly another's: found, kept together, and never learnt and judged by at once."""

from __future__ import annotations

import csv
import io
import json
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest

from attrition.data import near_copies as room
from attrition.data.clients import Clients, TrainingClients
from attrition.data.near_copies import CopiedRows, as_one_client, near_copies, without_copies
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
    clients, _ = doubled(7)
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
    assert " ".join(said.split()).count("copies of test rows and are not learnt") == 1
    scores = json.loads((project.root / "models/scores.json").read_text())
    low, high = scores["roc_auc_interval"]
    assert low < 0.5 < high
    assert record["rows"] > COUNT  # most clients have no row among the test data


def test_a_table_that_stands_below_itself_is_found_however_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clients, owners = doubled(9)
    order = np.argsort(owners.to_numpy(), kind="stable")
    below = np.concatenate([order[::2], order[1::2]])
    assert clients.labels is not None
    table = Clients(clients.ids, clients.features.iloc[below], clients.labels[below], None)
    monkeypatch.setattr(room, "LOOKED_AT", 500)
    assert near_copies(table).shape[1] == COUNT


@pytest.mark.parametrize("times", [1, 5, 20, 100])
def test_leavers_who_were_copied_often_are_found(times: int) -> None:
    """As where a table was balanced by drawing its leavers again."""
    rng = np.random.default_rng(14)
    values = rng.normal(size=(COUNT, 6)).round(2)
    labels = (np.arange(COUNT) < 30).astype(np.int8)
    rows = np.concatenate([np.arange(COUNT), np.tile(np.arange(30), times)])
    ids = np.array([f"F{number}" for number in range(len(rows))], dtype=object)
    clients = Clients(ids, pd.DataFrame(values[rows]), labels[rows], None)
    assert len(set(as_one_client(ids, near_copies(clients)))) == COUNT


def test_without_ids_a_row_of_the_same_number_in_the_test_data_is_another() -> None:
    clients, owners = doubled(10)
    order = np.argsort(owners.to_numpy(), kind="stable")
    assert clients.labels is not None
    halves = [
        Clients(
            np.array([f"row {number}" for number in range(1, COUNT + 1)], dtype=object),
            clients.features.iloc[rows],
            clients.labels[rows],
            None,
        )
        for rows in (order[::2], order[1::2])
    ]
    rows = TrainingClients(halves[0], np.ones(COUNT, dtype=bool), 0)
    left, copied = without_copies(rows, halves[1], have_ids=False)
    assert (len(left.clients), len(left.unseen)) == (0, 0)
    assert copied is not None
    assert copied.left_out == COUNT
    same, copied = without_copies(rows, halves[1], have_ids=True)
    assert (len(same.clients), copied) == (COUNT, None)


def test_copies_among_the_test_rows_alone_change_nothing() -> None:
    clients, _ = doubled(11)
    others = np.random.default_rng(12).normal(size=(300, COLUMNS))
    features = pd.DataFrame(others, columns=list(clients.features))
    ids = np.array([f"D{number}" for number in range(300)], dtype=object)
    training = Clients(ids, features, np.tile([0, 1], 150).astype(np.int8), None)
    rows = TrainingClients(training, np.ones(300, dtype=bool), 0)
    assert without_copies(rows, clients, have_ids=True) == (rows, None)


@pytest.mark.parametrize(
    ("copied", "said"),
    [
        (
            CopiedRows(2, 0, 0),
            "2 training rows are copies of other clients' rows, the same in every column: each "
            "counts as one client with its copies",
        ),
        (CopiedRows(0, 1, 3), "1 training row is a copy of test rows and is not learnt"),
        (CopiedRows(0, 2, 3), "2 training rows are copies of test rows and are not learnt"),
    ],
)
def test_what_became_of_copies_is_said_in_words(copied: CopiedRows, said: str) -> None:
    assert str(copied) == said


@pytest.mark.parametrize("values", [2, 50])
def test_wide_tables_are_looked_at_within_seconds(values: int) -> None:
    rng = np.random.default_rng(13)
    features = pd.DataFrame(rng.integers(0, values, (10_000, 200)).astype(float))
    ids = np.array([f"E{number}" for number in range(10_000)], dtype=object)
    labels = rng.integers(0, 2, 10_000).astype(np.int8)
    begin = time.process_time()
    assert not near_copies(Clients(ids, features, labels, None)).size
    assert time.process_time() - begin < 3.0  # about 0.2


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
