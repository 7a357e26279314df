"""The made-up book of business: repeatable, believable, and drifting when asked."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from attrition.calls.actions import check_actions
from attrition.core import clock
from attrition.data.csv_records import read_header, read_records
from attrition.data.csv_scan import scan_file
from attrition.data.synthetic import (
    COLUMNS,
    after_calls,
    client_rows,
    corporation_name,
    csv_text,
    main,
    with_values,
)
from tests.conftest import REPOSITORY

SAMPLES = {
    "sourcedata/dataset3.csv": "--clients 5000 --seed 3",
    "sourcedata/dataset4.csv": "--clients 5000 --seed 4 --first-client 5000",
    "sourcedata/dataset5.csv": "--clients 2500 --seed 16 --first-client 12000 --open-share 1",
    "testdata/testdata.csv": "--clients 2000 --seed 5 --first-client 10000 --open-share 0",
}


@pytest.mark.slow
@pytest.mark.parametrize("path", SAMPLES)
def test_the_sample_data_are_what_the_generator_makes(path: str, tmp_path: Path) -> None:
    output = tmp_path / "made.csv"
    assert main([*SAMPLES[path].split(), "--value", "--output", str(output)]) == 0
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


def test_a_value_is_added_and_changes_no_other_column(tmp_path: Path) -> None:
    rows = client_rows(2000, seed=1)
    valued = with_values(rows, seed=1)
    assert [[*row[:-2], row[-1]] for row in valued] == rows
    assert with_values(rows, seed=1) == valued
    known = [float(row[-2]) for row in valued if row[-2]]
    assert 1 - len(known) / len(rows) == pytest.approx(0.01, abs=0.006)
    assert np.mean(known) > 1.3 * np.median(known)
    by_client: dict[str, set[str]] = {}
    for row in valued:
        by_client.setdefault(row[0], set()).add(row[-2])
    assert {len(values) for values in by_client.values()} == {1}
    assert main(["--clients", "20", "--value", "--output", str(tmp_path / "a.csv")]) == 0
    head = (tmp_path / "a.csv").read_text().partition("\n")[0]
    assert head == f"{','.join(COLUMNS[:-1])},yearly_revenue,exited"


def test_calls_keep_a_share_of_those_who_would_leave_and_change_nobody_else() -> None:
    rows = client_rows(4000, seed=1)
    called = {row[0] for row in rows[::2]}
    after = after_calls(rows, called, effect=0.3, seed=7)
    changed = [(before, row) for before, row in zip(rows, after, strict=True) if before != row]
    assert all(before[0] in called and before[-1] == "1" for before, _ in changed)
    assert all(row == [*before[:-1], "0"] for before, row in changed)
    left = sum(row[-1] == "1" for row in rows if row[0] in called)
    assert len(changed) / left == pytest.approx(0.3, abs=0.06)
    kept = {row[0] for _, row in changed}
    assert after_calls(rows, called, effect=0.3, seed=7) == after
    assert after_calls(rows, called, effect=0.3, seed=8) != after
    # Whom else one calls, in which order, does not matter; a larger effect keeps them, too.
    all_called = after_calls(rows[::-1], {row[0] for row in rows}, effect=0.3, seed=7)
    stayed = {row[0] for row in all_called if row[-1] == "0"}
    assert kept <= stayed
    more = after_calls(rows, called, effect=0.6, seed=7)
    assert kept < {row[0] for before, row in zip(rows, more, strict=True) if before != row}
    assert after_calls(rows, called, effect=0.0, seed=7) == rows
    assert not any(r[-1] == "1" for r in after_calls(rows, called, effect=1, seed=7)[::2])


def test_a_worked_list_has_calls_and_outcomes_of_its_open_clients(tmp_path: Path) -> None:
    arguments = ["--clients", "3000", "--seed", "1", "--open-share", "0.5"]
    opened = {row[0] for row in client_rows(3000, seed=1, open_share=0.5) if not row[-1]}
    uncalled = {row[0]: row[-1] for row in client_rows(3000, seed=1, open_share=0)}
    names = sorted(opened)
    groups = {name: "hold out" if number % 3 == 0 else "call" for number, name in enumerate(names)}
    lines = [f"{name},high,{group}" for name, group in groups.items()]
    (tmp_path / "list.csv").write_text("\n".join(["client,tier,group", *lines, ""]))
    files = ["--list", "list.csv", "--actions", "calls.csv", "--output", "outcomes.csv"]
    paths = [word if word.startswith("--") else str(tmp_path / word) for word in files]
    assert main([*arguments, *paths, "--calls", "0.4"]) == 0
    path = tmp_path / "calls.csv"
    scan = scan_file(path)
    records = read_records(path, scan)
    today = date.fromisoformat(clock.today())
    calls = check_actions(read_header(path, scan).names, records, today)
    assert (calls.rejected, calls.duplicates) == ((), 0)
    called = {action.client for action in calls.accepted}
    assert called <= {name for name, group in groups.items() if group == "call"}
    with (tmp_path / "outcomes.csv").open(newline="") as stream:
        after = {row["corporation"]: row["exited"] for row in csv.DictReader(stream)}
    assert after.keys() == opened
    changed = {name for name in opened if after[name] != uncalled[name]}
    assert changed <= called
    left = {name for name in called if uncalled[name] == "1"}
    assert len(changed) / len(left) == pytest.approx(0.4, abs=0.1)


def test_an_effect_that_is_no_share_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    files = ["--list", "list.csv", "--actions", "calls.csv", "--output", "outcomes.csv"]
    with pytest.raises(SystemExit) as ended:
        main([*files, "--calls", "30"])
    assert ended.value.code == 2
    assert "--calls: expected a share from 0 to 1, found 30.0" in capsys.readouterr().err


def test_a_misspelt_option_is_answered_before_one_that_is_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--ouput", "x.csv"])
    assert ended.value.code == 2
    first = capsys.readouterr().err.splitlines()[0]
    assert first.endswith(": error: unknown option '--ouput'; did you mean '--output'?")
