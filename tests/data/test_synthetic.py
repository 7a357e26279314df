"""The made-up book of business: repeatable, believable, and drifting when asked."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from attrition.data.synthetic import COLUMNS, client_rows, corporation_name, csv_text, main
from tests.conftest import REPOSITORY

SAMPLES = {
    "sourcedata/dataset3.csv": "--clients 5000 --seed 3",
    "sourcedata/dataset4.csv": "--clients 5000 --seed 4 --first-client 5000",
    "testdata/testdata.csv": "--clients 2000 --seed 5 --first-client 10000 --open-share 0",
}


@pytest.mark.slow
@pytest.mark.parametrize("path", SAMPLES)
def test_the_sample_data_are_what_the_generator_makes(path: str, tmp_path: Path) -> None:
    output = tmp_path / "made.csv"
    assert main([*SAMPLES[path].split(), "--output", str(output)]) == 0
    assert output.read_bytes() == (REPOSITORY / path).read_bytes()


def test_equal_seeds_give_equal_rows_and_others_do_not() -> None:
    assert client_rows(100, seed=1) == client_rows(100, seed=1)
    assert client_rows(100, seed=1) != client_rows(100, seed=2)


def test_every_client_has_a_name_of_its_own() -> None:
    assert len({corporation_name(number) for number in range(200_000)}) == 200_000


def test_the_rows_hold_blanks_duplicates_and_open_clients() -> None:
    rows = client_rows(5000, seed=1, open_share=0.06)
    assert len(rows) == 5050
    assert len({tuple(row) for row in rows}) == 5000
    blank = np.array([[cell == "" for cell in row] for row in rows]).mean(axis=0)
    assert blank[0] == 0
    assert blank[1:4] == pytest.approx(0.015, abs=0.006)
    assert blank[4] == pytest.approx(0.06, abs=0.015)


def labelled(drift: float) -> tuple[np.ndarray, np.ndarray]:
    rows = [row for row in client_rows(20_000, seed=1, drift=drift) if "" not in row]
    numbers = np.array([row[1:] for row in rows], dtype=float)
    return numbers[:, :3], numbers[:, 3]


def test_activity_and_size_are_heavy_tailed_and_the_risk_bends() -> None:
    features, exited = labelled(0)
    for column in features.T:
        assert column.mean() > 1.3 * np.median(column)
    assert 0.1 < exited.mean() < 0.3
    edges = np.quantile(features[:, 0], np.linspace(0, 1, 6))
    fifth = np.digitize(features[:, 0], edges[1:-1])
    risk = np.array([exited[fifth == k].mean() for k in range(5)])
    assert risk[0] > 0.4
    assert (np.diff(risk) < 0.02).all()
    # It falls steeply where a month is quiet and hardly at all where it is busy.
    assert risk[0] - risk[1] > 3 * (risk[3] - risk[4])


def test_drift_moves_the_features_and_what_they_mean() -> None:
    before, left_before = labelled(0)
    after, left_after = labelled(1)
    assert np.median(after[:, 1]) < 0.75 * np.median(before[:, 1])
    quiet = 20
    risk_before = left_before[before[:, 0] < quiet].mean()
    risk_after = left_after[after[:, 0] < quiet].mean()
    assert risk_before > risk_after + 0.1


def test_the_text_is_csv_with_the_columns_in_order() -> None:
    rows = client_rows(50, seed=1)
    lines = list(csv.reader(csv_text(rows).splitlines()))
    assert tuple(lines[0]) == COLUMNS
    assert lines[1:] == rows


def test_a_misspelt_option_is_answered_before_one_that_is_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--ouput", "x.csv"])
    assert ended.value.code == 2
    first = capsys.readouterr().err.splitlines()[0]
    assert first.endswith(": error: unknown option '--ouput'; did you mean '--output'?")
