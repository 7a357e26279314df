"""A fixed share of the ingested rows is test data: never learnt, always the same, counted once."""

from __future__ import annotations

import csv
import hashlib
import random
from collections.abc import Callable
from typing import Any

import pytest

import ingestion
from attrition.core import atomic_files
from attrition.core.config import Config
from attrition.data.clients import (
    TestClients,
    clients_not_held_out,
    held_out_clients,
    labelled_test_clients,
    training_clients,
)
from attrition.data.ledger import read_ledger
from attrition.engines.context import gather_test_clients
from tests.conftest import Project, book

SCRIPT = "fullprocess.py"


def clients_to_test_on(config: Config) -> TestClients:
    return gather_test_clients(config, read_ledger(config.ledger))


def is_chosen(text: str, share: float) -> bool:
    """The rule in Python: the digest's first 32 bits as a fraction."""
    return int(hashlib.md5(text.encode()).hexdigest()[:8], 16) < round(share * 2**32)


def decision(project: Project) -> dict[str, Any]:
    return dict(atomic_files.read_json(project.root / "models/decision.json"))


def training(project: Project) -> dict[str, Any]:
    return dict(atomic_files.read_json(project.root / "models/training.json"))


def ingested_ids(project: Project) -> list[str]:
    with project.config.final_data.open(encoding="utf-8", newline="") as stream:
        return [row["corporation"] for row in csv.DictReader(stream)]


@pytest.mark.slow
def test_a_share_of_the_clients_is_never_learnt_and_every_stage_sees_it(project: Project) -> None:
    project.configure(test_share=0.25)
    project.write("sourcedata/january.csv", book(1500, 1))
    project.run(SCRIPT)
    ids = ingested_ids(project)
    held_out = [name for name in ids if is_chosen(name, 0.25)]
    assert len(held_out) == pytest.approx(len(ids) / 4, rel=0.15)
    assert clients_to_test_on(project.config).clients.ids.tolist() == held_out
    learnt = training(project)
    assert (learnt["rows"], learnt["left_out_test_rows"], learnt["test_share"]) == (
        len(ids) - len(held_out),
        len(held_out),
        0.25,
    )
    scores = atomic_files.read_json(project.root / "models/scores.json")
    assert scores["rows"] == scores["test_rows_held_out"] == len(held_out)
    assert float((project.root / "models/latestscore.txt").read_text()) == scores["f1"] > 0.5
    assert "its F1 on the test data is" in decision(project)["reason"]
    assert (project.root / "models/confusionmatrix.png").stat().st_size > 0
    answers = atomic_files.read_json(project.root / "models/apireturns.txt")
    assert len(answers["/prediction"]["predictions"]) == 100
    first = decision(project)["release_after"]

    # Old test rows stay, new ones join; none of them is among the rows new to both models.
    project.write("sourcedata/february.csv", book(1500, 4, drift=1.0))
    project.run(SCRIPT)
    record, everybody = decision(project), ingested_ids(project)
    tested = [name for name in everybody if is_chosen(name, 0.25)]
    assert tested[: len(held_out)] == held_out
    evidence = record["evidence"]
    new = len(everybody) - len(ids)
    assert evidence["test"]["rows"] == record["scores"]["test data"]["rows"] == len(tested)
    unseen = new - (len(tested) - len(held_out))
    assert evidence["unseen"]["rows"] == record["scores"]["new rows"]["rows"] == unseen
    assert evidence["pooled"]["rows"] == len(tested) + unseen
    assert training(project)["rows"] == len(everybody) - len(tested)
    assert set(record["drift"]["data"]) >= {"test data", "new rows"}
    assert record["verdict"] == "deployed"
    before, after = (
        atomic_files.read_json(project.root / "models" / name)["/prediction"]
        for name in ("apireturns.txt", "apireturns2.txt")
    )
    assert (before["model_version"], after["model_version"]) == (first, record["release_after"])
    assert len(after["predictions"]) == 100
    assert (project.root / "models/confusionmatrix2.png").stat().st_size > 0
    assert "idle: nothing" in project.run(SCRIPT).stderr


@pytest.mark.slow
def test_a_share_that_grows_is_not_judged_by_a_model_that_has_learnt_it(project: Project) -> None:
    project.write("sourcedata/january.csv", book(1500, 1))
    project.write("testdata/testdata.csv", book(300, 2, open_share=0.0))
    project.run(SCRIPT)
    first = decision(project)["release_after"]
    project.configure(test_share=0.2)
    project.run(SCRIPT)
    record, held_out = decision(project), sum(is_chosen(n, 0.2) for n in ingested_ids(project))
    assert record["training"]["kind"] == "new test rows"
    assert "test_share 0.2, it was 0" in record["reason"]
    assert record["evidence"] is None
    assert record["scores"]["test data"]["rows"] == 300  # of the file alone
    assert record["candidate_score"]["rows"] == 300 + held_out
    assert record["verdict"] == "deployed"
    assert record["release_after"] != first
    assert "idle: nothing" in project.run(SCRIPT).stderr
    # A smaller share: the model of the larger one has learnt none of it.
    project.configure(test_share=0.1)
    project.run(SCRIPT)
    assert decision(project)["training"]["kind"] == "new rows"
    assert decision(project)["evidence"]["unseen"] is None


COLUMNS = "x,y,c,gone"
NO_ID = {
    "id_column": None,
    "numeric_columns": ["x", "y"],
    "categorical_columns": ["c"],
    "target_column": "gone",
}


def lines(seed: int, count: int) -> list[str]:
    chance = random.Random(seed)
    made: set[str] = set()
    while len(made) < count:
        x = chance.choice(["", "0", str(chance.randint(-9, 9)), repr(chance.gauss(0, 1e6))])
        made.add(f"{x},{chance.gauss(0, 1):.6f},{chance.choice('ab')},{chance.choice('01')}")
    return sorted(made)


@pytest.mark.slow
def test_without_ids_the_whole_row_decides_wherever_and_whenever_it_comes(
    make_project: Callable[[str], Project],
) -> None:
    found = []
    rows = lines(1, 400)
    for name, parts in (("one", [rows]), ("two", [rows[::-1][:150], rows[::-1][150:]])):
        project = make_project(name)
        project.configure(test_share=0.3, **NO_ID)
        for number, part in enumerate(parts):
            project.write(f"sourcedata/{number}.csv", "\n".join([COLUMNS, *part]) + "\n")
            ingestion.run(project.config)
        size = read_ledger(project.config.ledger).committed_bytes
        held_out = held_out_clients(project.config, size)
        learnt = training_clients(
            project.config,
            size,
            clients_to_test_on(project.config),
        )
        assert len(held_out) + len(learnt.clients) == 400
        assert learnt.left_out == len(held_out)
        assert len(clients_not_held_out(project.config, 0, size)) == len(learnt.clients)
        frame = held_out.features.assign(gone=held_out.labels)
        found.append(sorted(map(repr, frame.itertuples(index=False))))
    assert found[0] == found[1]
    assert len(found[0]) == pytest.approx(120, abs=30)


def test_rows_held_out_are_not_learnt_even_where_the_test_data_are_those_of_the_folder_alone(
    project: Project,
) -> None:
    project.configure(test_share=0.3)
    project.write("sourcedata/a.csv", book(300, 1))
    ingestion.run(project.config)
    size = read_ledger(project.config.ledger).committed_bytes
    learnt = training_clients(project.config, size, labelled_test_clients(project.config))
    assert learnt.left_out == len(held_out_clients(project.config, size)) > 0


@pytest.mark.slow
def test_a_larger_share_keeps_the_rows_of_a_smaller_one(project: Project) -> None:
    project.write("sourcedata/a.csv", book(300, 1))
    ingestion.run(project.config)
    size = read_ledger(project.config.ledger).committed_bytes
    before: set[str] = set()
    for share in (0, 0.01, 0.1, 0.3, 0.49):
        project.configure(test_share=share)
        now = set(held_out_clients(project.config, size).ids.tolist())
        assert before <= now
        before = now
    assert len(before) > 100


def test_a_row_that_is_held_out_and_stands_in_a_test_file_counts_once(project: Project) -> None:
    text = book(300, 1, open_share=0.0)
    project.write("sourcedata/a.csv", text)
    project.write("testdata/t.csv", "\n".join(text.splitlines()[:101]) + "\n")
    project.configure(test_share=0.3)
    ingestion.run(project.config)
    held_out = sum(is_chosen(name, 0.3) for name in ingested_ids(project))
    files_alone, both = (
        labelled_test_clients(project.config),
        clients_to_test_on(project.config),
    )
    ids = both.clients.ids.tolist()
    doubled = sum(is_chosen(name, 0.3) for name in files_alone.clients.ids.tolist())
    assert len(ids) == len(files_alone.clients) + held_out - doubled
    assert both.held_out == held_out - doubled > 0
    assert both.of_folder.ids.tolist() == files_alone.clients.ids.tolist() == ids[:100]
    size = read_ledger(project.config.ledger).committed_bytes
    assert training_clients(project.config, size, both).left_out == len(ids)


def test_before_anything_is_ingested_there_is_nothing_to_hold_out(project: Project) -> None:
    project.configure(test_share=0.3)
    assert len(clients_to_test_on(project.config).clients) == 0
