"""Predictions for a table that is scored in parts: those of the scorecard, row by row."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from attrition.engines import predictions
from attrition.engines.predictions import predict
from tests.conftest import Project
from tests.support.scorecards import CARD, card

COUNT = 10_000
SETTINGS: dict[str, Any] = {
    "id_column": "who",
    "numeric_columns": ["tenure"],
    "categorical_columns": ["contract"],
    "target_column": "gone",
    "positive_label": "it's gone",
    "negative_label": "here, still",
}


def record(number: int) -> tuple[str, float | None, str]:
    """A client's name, tenure and contract; none of them repeats in the same order."""
    tenure = None if number % 8 == 1 else number % 37 / 2
    return f'no. {number}, "x"', tenure, ["monthly", "yearly", "", "other"][number % 4]


def write_table(path: Path) -> None:
    """All clients; every hundredth row has a number that is none."""
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("contract", "who", "tenure"))
        for number in range(COUNT):
            name, tenure, contract = record(number)
            bad = number % 100 == 99
            text = "?" if bad else "" if tenure is None else tenure
            writer.writerow((f" {contract}", name, text))


@pytest.mark.slow
@pytest.mark.parametrize("id_column", ["who", None])
def test_parts_are_put_together_in_the_order_of_the_file(
    project: Project, monkeypatch: pytest.MonkeyPatch, id_column: str | None
) -> None:
    monkeypatch.setattr(predictions, "_VECTORS", 1)
    project.configure(**SETTINGS | {"id_column": id_column})
    write_table(project.root / "table.csv")
    with predict(project.config, card(), project.root / "table.csv") as predicted:
        rows = predicted.rows()
        predicted.write_csv(project.root / "predictions.csv")
    assert [one.line for one in predicted.rejected] == [*range(101, COUNT + 2, 100)]
    accepted = [record(number) for number in range(COUNT) if number % 100 != 99]
    chances = [
        float(card().probabilities({"tenure": [tenure], "contract": [contract]})[0])
        for _, tenure, contract in accepted
    ]
    names = [
        name if id_column else f"row {row}" for row, (name, _, _) in enumerate(accepted, start=1)
    ]
    assert [row.id for row in rows] == names
    assert [row.probability for row in rows] == pytest.approx(chances, abs=1e-12)
    assert [row.prediction for row in rows] == [
        SETTINGS["positive_label" if chance >= CARD["threshold"] else "negative_label"]
        for chance in chances
    ]
    with (project.root / "predictions.csv").open(encoding="utf-8", newline="") as stream:
        written = list(csv.reader(stream))
    assert written[0] == ["id", "probability", "prediction"]
    assert [(name, float(chance), label) for name, chance, label in written[1:]] == rows


def test_of_a_table_without_a_good_row_the_header_is_written(project: Project) -> None:
    project.configure(**SETTINGS)
    path = project.write("table.csv", "who,contract,tenure\nAlder,monthly,?\n")
    with predict(project.config, card(), path) as predicted:
        predicted.write_csv(project.root / "predictions.csv")
    assert len(predicted.rejected) == 1
    assert (project.root / "predictions.csv").read_text() == "id,probability,prediction\n"
