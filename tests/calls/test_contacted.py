"""Which labelled rows are of contacted clients: the rule, and what reads it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

import training
from attrition.calls.contacted import contacted, read_contacted
from attrition.core import atomic_files
from attrition.core.errors import PipelineError
from attrition.core.run_warnings import Topic
from attrition.data.ledger import Commit, Ledger, read_ledger
from attrition.engines.context import gather_test_clients
from attrition.engines.selection import engine
from tests.conftest import HEADER, Project
from tests.support.contacts import act_on
from tests.support.records import texts

DAYS = ("2026-03-01", "2026-03-02", "2026-03-02", "2026-03-09")


def ledger_of(days: tuple[str, ...], rows: int = 10) -> Ledger:
    """A commit of so many rows on each day; a row has 100 bytes."""
    return Ledger(
        commits=tuple(
            Commit(str(k), 100 * rows * k, 100 * rows * (k + 1), rows, f"{day}T12:00:00Z", ())
            for k, day in enumerate(days)
        )
    )


def marked(day: str, start: int = 0, days: tuple[str, ...] = DAYS) -> list[int]:
    """Rows of a client with an action on a day, among 40 of hers, that count as contacted."""
    found = contacted([("Other", "2020-01-01"), ("Acme", day)], ledger_of(days), start)
    rows: NDArray[np.intp] = np.arange(40 - start // 100)
    ids = np.full(len(rows), "Acme", dtype=object)
    return [] if found is None else (np.flatnonzero(found.of(ids, rows)) + start // 100).tolist()


def test_a_row_is_contacted_if_it_came_on_the_day_of_the_first_action_or_later() -> None:
    assert marked("2026-02-01") == list(range(40))
    assert marked("2026-03-02") == list(range(10, 40))
    assert marked("2026-03-03") == list(range(30, 40))
    assert marked("2026-03-10") == []
    for day, start in itertools.product(("2026-02-01", "2026-03-02", "2026-03-03"), (1000, 3000)):
        assert marked(day, start) == [row for row in marked(day) if row >= start // 100]


def test_where_the_clock_was_put_back_rows_count_as_contacted_rather_than_not() -> None:
    assert marked("2026-03-05", days=("2026-03-01", "2026-03-06", "2026-03-02")) == [
        *range(10, 40),
    ]


def test_clients_without_an_action_are_never_contacted_and_no_action_is_no_contact() -> None:
    found = contacted([("Acme", "2026-03-01")], ledger_of(DAYS), 0)
    assert found is not None
    ids = np.array(["acme", "Acme ", "Acme", "A"], dtype=object)
    assert found.of(ids, np.arange(4)).tolist() == [False, False, True, False]
    assert contacted([], ledger_of(DAYS), 0) is None


def table(first: int, clients: int) -> str:
    """Of each three clients one leaves, of low activity; the others have more."""
    lines = [
        f"c{number},{number % 3 * 20 + number % 5},100,{number % 7},{int(number % 3 == 0)}"
        for number in range(first, first + clients)
    ]
    return "\n".join([HEADER, *lines, ""])


@pytest.fixture
def half_contacted(project: Project) -> Project:
    """300 rows of clients in two files; 30 clients of the second are called before it comes."""
    project.write("sourcedata/a.csv", table(0, 150))
    project.run("ingestion.py")
    project.write("sourcedata/b.csv", table(150, 150))
    act_on(project, [f"c{number}" for number in range(150, 180)])
    project.run("ingestion.py")
    return project


@pytest.mark.parametrize("test_share", [0.0, 0.3])
def test_rows_of_contacted_clients_are_marked_wherever_rows_are_read(
    half_contacted: Project, test_share: float
) -> None:
    project, called = half_contacted, {f"c{number}" for number in range(150, 180)}
    project.configure(test_share=test_share)
    config, ledger = project.config, read_ledger(project.config.ledger)
    reader = engine(config)
    for start in (0, ledger.commits[1].start):
        parts = [reader.labelled(ledger, start)[0]]
        if not start:
            parts.append(reader.held_out(ledger)[0])
        seen = set()
        for clients in parts:
            assert clients.contacted is not None
            assert set(clients.ids[clients.contacted]) == called & set(clients.ids)
            seen |= set(clients.ids)
        assert called <= seen or start
        assert len(parts[0].uncontacted) == len(parts[0]) - parts[0].count_contacted
    test = gather_test_clients(config, ledger)
    assert not called & set(test.clients.ids)
    learnt = training.train(config, ledger, test, None)
    assert not called & set(learnt.clients.ids)
    assert learnt.rows == len(learnt.clients) == len(learnt.unseen)
    assert learnt.rows + learnt.contacted + learnt.left_out == 300
    held_out = set(reader.held_out(ledger)[0].ids)
    assert set(learnt.today.ids) - set(learnt.clients.ids) == called - held_out


@pytest.mark.slow
def test_actions_that_touch_no_row_change_no_byte_of_a_model(project: Project) -> None:
    project.write("sourcedata/a.csv", table(0, 150))
    project.run("ingestion.py")
    project.run("training.py")
    names = ("trainedmodel.pkl", "scorecard.json", "training.json")
    before = [(project.root / "models" / name).read_bytes() for name in names]
    act_on(project, ["nobody of them"])
    project.run("ingestion.py")
    project.run("training.py")
    assert [(project.root / "models" / name).read_bytes() for name in names] == before


@pytest.mark.slow
def test_where_nearly_all_were_contacted_they_are_learnt_and_that_is_said(
    project: Project,
) -> None:
    act_on(project, [f"c{number}" for number in range(110)])
    project.write("sourcedata/a.csv", table(0, 150))
    project.run("ingestion.py")
    config, ledger = project.config, read_ledger(project.config.ledger)
    learnt = training.train(config, ledger, gather_test_clients(config, ledger), None)
    assert (learnt.rows, learnt.contacted, learnt.learns_contacted) == (150, 110, True)
    project.configure(minimum_training_rows=40)
    learnt = training.train(project.config, ledger, gather_test_clients(config, ledger), None)
    assert (learnt.rows, learnt.contacted, learnt.learns_contacted) == (40, 110, False)


@pytest.mark.slow
def test_what_is_set_aside_of_the_test_data_is_recorded_and_that_most_is(project: Project) -> None:
    """Of 300 rows 200 are of clients who were called before these came, 100 are not."""
    act_on(project, [f"c{number}" for number in range(200)])
    project.write("sourcedata/a.csv", table(0, 300))
    project.configure(test_share=0.2, minimum_scoring_rows=10)
    shown = " ".join(project.run("fullprocess.py").stdout.split())
    record = atomic_files.read_json(project.config.decision)
    of_test, to_learn = (record["contacted"][key] for key in ("test data", "rows to learn from"))
    assert of_test + to_learn == 200
    assert of_test > 20
    assert f"contacted: {of_test} of the test data and {to_learn} of the rows to learn" in shown
    (warning,) = [
        one["text"] for one in record["warnings"] if one["topic"] == Topic.FEW_ROWS_LEARNT
    ]
    assert warning.startswith("most rows are set aside")
    training = atomic_files.read_json(project.root / "models/training.json")
    assert f"learnt from {training['rows']} of {training['rows'] + to_learn};" in warning


@pytest.mark.slow
def test_where_contacted_clients_are_learnt_the_test_data_set_aside_are_recorded(
    project: Project,
) -> None:
    act_on(project, [f"c{number}" for number in range(200)])
    project.write("sourcedata/a.csv", table(0, 300))
    project.configure(test_share=0.2, minimum_scoring_rows=10, minimum_training_rows=150)
    project.run("fullprocess.py")
    record = atomic_files.read_json(project.config.decision)
    assert record["contacted"].keys() == {"test data"}
    assert any("clients who are called" in text for text in texts(record["warnings"]))


def test_actions_that_cannot_be_read_are_no_reason_to_learn_from_everybody(
    half_contacted: Project,
) -> None:
    config = half_contacted.config
    config.actions.write_bytes(b"no database at all" * 100)
    with pytest.raises(PipelineError, match=r"actions\.db: cannot be read .*; run ingestion\.py"):
        read_contacted(config, read_ledger(config.ledger))
