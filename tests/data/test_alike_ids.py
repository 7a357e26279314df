"""New ids that are known ones written in another way are a warning, which says how to mend it."""

from __future__ import annotations

import re

import pytest

from attrition.data.ledger import read_ledger
from attrition.data.ledger_rebuild import accept_edits
from attrition.monitoring import alerts
from tests.conftest import HEADER, Project


def batch(*rows: str) -> str:
    """Rows of `id label`."""
    pairs = (row.rsplit(" ", 1) for row in rows)
    return "\n".join([HEADER, *(f"{name},1,2,3,{label.strip('-')}" for name, label in pairs), ""])


def notices(project: Project) -> list[str]:
    project.run("ingestion.py")
    return [notice.text.partition(",")[0] for notice in read_ledger(project.config.ledger).notices]


KNOWN = batch("1 0", "2 1", "30 -", "Acme 0", "7.5 1")


@pytest.mark.parametrize("is_apart", [True, False])
def test_a_file_of_ids_that_are_almost_known_is_named_once_with_its_numbers(
    project: Project, is_apart: bool
) -> None:
    project.write("sourcedata/a.csv", KNOWN)
    if is_apart:
        assert notices(project) == []
    project.write("sourcedata/b.csv", batch("1.0 1", "2.00 -", "30.0 1", "ACME  0", "2 0", "3 0"))
    said = ["b.csv: 4 of its 5 new ids are written almost as a known one"]
    assert notices(project) == said
    (notice,) = read_ledger(project.config.ledger).notices
    assert notice.text in alerts.troubled_files(read_ledger(project.config.ledger)).values()
    # They are known now, and a file that is read again is not named again.
    project.write("sourcedata/c.csv", batch("1.0 1", "ACME  1", "4 0"))
    assert notices(project) == said
    project.configure(numeric_columns=["lastmonth_activity"])
    assert notices(project) == said


def test_ids_that_only_resemble_known_ones_are_not_named(project: Project) -> None:
    project.write("sourcedata/a.csv", KNOWN)
    project.write(
        "sourcedata/b.csv", batch("10 0", "1.01 1", "7 0", "7.50 1", "3 0", "Acm 1", "1 0")
    )
    assert notices(project) == []


def test_as_the_documents_say_the_wrong_rows_are_taken_out_and_the_file_sent_again(
    project: Project,
) -> None:
    project.write("sourcedata/a.csv", batch("1 -", "2 -", "3 -"))
    project.run("ingestion.py")
    path = project.write("sourcedata/b.csv", batch("1.0 1", "2.0 0", "3.0 -"))
    assert notices(project) == ["b.csv: 3 of its 3 new ids are written almost as a known one"]
    for stored in (project.config.final_data, project.config.open_clients):
        stored.write_text(re.sub(r"(?m)^\d\.0,.*\n", "", stored.read_text()))
    accept_edits(project.config)
    path.write_text(path.read_text().replace(".0", ""))
    project.run("ingestion.py")
    assert project.config.final_data.read_text().splitlines()[1:] == ["1,1,2,3,1", "2,1,2,3,0"]
    assert project.config.open_clients.read_text().splitlines()[1:] == ["3,1,2,3,"]
