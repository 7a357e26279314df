"""Client rows as the other scripts read them."""

from __future__ import annotations

import gzip
from typing import Any

import numpy as np
import pytest

import ingestion
from attrition.core.errors import DataError
from attrition.data.clients import (
    Clients,
    final_clients,
    labelled_test_clients,
    open_clients,
    training_clients,
)
from attrition.data.ledger import read_ledger
from tests.conftest import HEADER, Project
from tests.support.client_tables import whole_table

SETTINGS: dict[str, Any] = {
    "id_column": "id",
    "numeric_columns": ["x"],
    "categorical_columns": ["c"],
    "target_column": "y",
    "value_column": "worth",
}


def plain(clients: Clients) -> list[tuple[Any, ...]]:
    """id, features, label and value of each client, NaN as None."""
    columns = [clients.ids, *(clients.features[name] for name in clients.features)]
    columns += [part for part in (clients.labels, clients.values) if part is not None]
    return [
        tuple(None if isinstance(v, float) and np.isnan(v) else v for v in row)
        for row in zip(*columns, strict=True)
    ]


@pytest.fixture
def ingested(project: Project) -> Project:
    """Two batches: k and l, then m; n is open."""
    project.configure(**SETTINGS)
    project.write("sourcedata/a.csv", 'id,x,c,worth,y\nk,1,"a\r\nb",10,1\nl,, ,,0\n')
    ingestion.run(project.config)
    project.write("sourcedata/b.csv", "id,x,c,worth,y\nNA,3,c,30,0\nn,4,d,,\n")
    ingestion.run(project.config)
    return project


def test_ingested_clients_are_read_back_as_they_were(ingested: Project) -> None:
    clients = final_clients(ingested.config)
    assert plain(clients) == [
        ("k", 1.0, "a\r\nb", 1, 10.0),
        ("l", None, "", 0, None),
        ("NA", 3.0, "c", 0, 30.0),
    ]
    assert clients.labels is not None
    assert clients.labels.dtype == np.int8
    assert clients.features["x"].dtype == np.float64
    assert clients.features["c"].dtype == object
    assert type(clients.ids[0]) is str
    assert len(clients) == 3


def test_a_range_of_bytes_is_a_range_of_rows(ingested: Project) -> None:
    first, second = read_ledger(ingested.config.ledger).commits
    assert [row[0] for row in plain(final_clients(ingested.config, second.start))] == ["NA"]
    assert [row[0] for row in plain(final_clients(ingested.config, 0, first.end))] == ["k", "l"]
    assert len(final_clients(ingested.config, second.end)) == 0
    with pytest.raises(DataError, match="were asked for"):
        final_clients(ingested.config, 0, second.end + 1)


def test_rows_that_a_run_in_progress_appends_are_not_seen(ingested: Project) -> None:
    end = read_ledger(ingested.config.ledger).committed_bytes
    with ingested.config.final_data.open("a") as stream:
        stream.write("half,")
    assert len(final_clients(ingested.config, 0, end)) == 3


def test_open_clients_have_no_labels(ingested: Project) -> None:
    clients = open_clients(ingested.config)
    assert clients.labels is None
    assert plain(clients) == [("n", 4.0, "d", None)]


def test_before_the_first_ingestion_there_are_no_clients(project: Project) -> None:
    assert len(final_clients(project.config)) == 0
    assert len(open_clients(project.config)) == 0
    assert len(labelled_test_clients(project.config).clients) == 0


def test_data_of_other_settings_are_refused_with_what_to_do(ingested: Project) -> None:
    ingested.configure(**{**SETTINGS, "value_column": None})
    with pytest.raises(DataError, match=r"expected the columns id,x,c,y, .*run ingestion\.py"):
        final_clients(ingested.config)


def test_damaged_data_are_refused_with_what_to_do(ingested: Project) -> None:
    with ingested.config.final_data.open("a") as stream:
        stream.write("half a row,12\n")
    with pytest.raises(DataError, match=r"damaged.*run ingestion\.py"):
        final_clients(ingested.config)


def test_test_clients_are_checked_unique_and_labelled(project: Project) -> None:
    project.configure(**SETTINGS)
    project.write("testdata/b.csv", "id,x,c,worth,y\nk,1,a,10,1\nl,2,b,,0\nm,3,c,,\no,1e309,,,1\n")
    (project.root / "testdata/a.csv.gz").write_bytes(
        gzip.compress(b"y,worth,c,x,id\n1.0,10.0, a,1.0,k\n")
    )
    project.write("testdata/c.csv", "nothing\n")
    (project.root / "testdata/d.csv").mkdir()
    found = labelled_test_clients(project.config)
    assert plain(found.clients) == [("k", 1.0, "a", 1, 10.0), ("l", 2.0, "b", 0, None)]
    assert found.files == ("a.csv.gz", "b.csv")
    assert (found.blank_labels, found.duplicates) == (1, 1)
    assert [(r.file, r.line, r.column, r.reason.split(";")[0]) for r in found.rejected] == [
        ("d.csv", None, "", "a folder"),
        ("c.csv", None, "", "missing columns 'id', 'x', 'c', 'worth', 'y'"),
        ("b.csv", 5, "x", "not a finite number"),
    ]


@pytest.mark.slow
def test_training_leaves_out_rows_that_stand_in_the_test_data(ingested: Project) -> None:
    """The whole row counts, the value column apart: not another label, not another feature."""
    ingested.write("testdata/t.csv", "id,x,c,worth,y\nl,,,99,0\nk,2,a,10,1\nNA,3,c,30,1\n")
    ledger = read_ledger(ingested.config.ledger)
    test = labelled_test_clients(ingested.config)
    start = ledger.unseen_start(ledger.commits[0].id)
    found = training_clients(ingested.config, ledger.committed_bytes, test, start)
    assert [row[0] for row in plain(found.clients)] == ["k", "NA"]
    assert found.left_out == 1
    assert found.unseen.tolist() == [False, True]
    everything = training_clients(ingested.config, ledger.committed_bytes, test)
    assert everything.unseen.all()
    nothing = training_clients(
        ingested.config, ledger.committed_bytes, test, ledger.committed_bytes
    )
    assert not nothing.unseen.any()


@pytest.mark.slow
def test_without_an_id_a_client_is_called_by_its_row(project: Project) -> None:
    project.configure(id_column=None, numeric_columns=["x"], target_column="y")
    project.write("sourcedata/a.csv", "x,y\n1,0\n2,1\n2,0\n")
    ingestion.run(project.config)
    assert plain(final_clients(project.config)) == [
        ("row 1", 1.0, 0),
        ("row 2", 2.0, 1),
        ("row 3", 2.0, 0),
    ]
    project.write("testdata/t.csv", "x,y\n2,1\n")
    test = labelled_test_clients(project.config)
    size = project.config.final_data.stat().st_size
    assert training_clients(project.config, size, test).left_out == 1


def test_any_table_with_the_features_can_be_read(project: Project) -> None:
    project.configure(**SETTINGS)
    path = project.write("table.csv", "c,x\na,1\nb,one\n")
    clients, rejected = whole_table(project.config, path)
    assert plain(clients) == [("row 1", 1.0, "a", None)]
    assert [(r.line, r.column, r.value) for r in rejected] == [(3, "x", "one")]
    path = project.write("table.csv", "id,c,x,y,worth\nk,a,1,1,5\nl,b,2,0,6\n")
    clients, _ = whole_table(project.config, path)
    assert plain(clients) == [("k", 1.0, "a", 5.0), ("l", 2.0, "b", 6.0)]
    path = project.write("table.csv", "id,c,x,y\nk,a,1,1\nl,b,2,\nm,a,1,perhaps\n")
    clients, rejected = whole_table(project.config, path)
    assert plain(clients) == [("k", 1.0, "a", None), ("l", 2.0, "b", None)]
    assert [(r.line, r.column, r.value) for r in rejected] == [(4, "y", "perhaps")]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("t.csv", "a,b\n1,2\n", "missing columns"),
        ("t.txt", "", "expected the path of a .csv"),
        ("t.csv", "", "empty"),
    ],
)
def test_an_unusable_table_is_named_with_the_reason(
    project: Project, name: str, text: str, reason: str
) -> None:
    path = project.write(name, text)
    with pytest.raises(DataError, match=rf"{name}: .*{reason}"):
        whole_table(project.config, path)


def test_names_of_missing_values_stay_text(project: Project) -> None:
    names = ["NA", "null", "NULL", "None", "nan", "007", "1e5", "#N/A", "true"]
    rows = "".join(f"{name},1,2,3,0\n" for name in names)
    project.write("sourcedata/a.csv", f"{HEADER}\n{rows}")
    ingestion.run(project.config)
    assert final_clients(project.config).ids.tolist() == names
