"""The model's quality: the report's arithmetic, and the bars on the real tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import quality
from benchmarks.quality import Figures, Result, Table, make_table, missed_bars, read_tables

TABLE = Table("t", pd.DataFrame(), np.zeros(0, np.int8), [], [], np.zeros(0, np.intp), 0, 0)


def figures(auc: float, f1: float = 0.6, log_loss: float = 0.4) -> Figures:
    return Figures(auc, log_loss, f1, calibration=0.01, seconds=1.0)


def result(plain: float, ours: float, boosted: float, f1: float = 0.6) -> Result:
    return Result(
        TABLE,
        {
            "plain": figures(plain, f1=0.5),
            "ours": figures(ours, f1=f1),
            "EBM": figures(ours),
            "boosted": figures(boosted),
        },
    )


@pytest.mark.parametrize(
    ("areas", "closed"),
    [
        ((0.80, 0.87, 0.90), 0.7),
        ((0.80, 0.95, 0.90), 1.0),
        ((0.80, 0.75, 0.90), 0.0),
        ((0.85, 0.86, 0.84), 1.0),  # boosting is no better than plain: nothing left to close
        ((0.85, 0.84, 0.84), 0.0),
    ],
)
def test_the_gap_closed_is_the_way_gone_from_plain_to_boosted(
    areas: tuple[float, float, float], closed: float
) -> None:
    assert result(*areas).gap_closed == pytest.approx(closed)


def test_each_missed_bar_is_named() -> None:
    assert missed_bars([result(0.8, 0.895, 0.9)]) == []
    assert missed_bars([result(0.8, 0.86, 0.9)]) == [
        "mean share of the gap closed: 60% is under 90%"
    ]
    assert missed_bars([result(0.8, 0.895, 0.9, f1=0.57)]) == [
        "t: F1 0.5700 is 0.0300 under boosting's 0.6000 (bar: 0.02)"
    ]
    plain, boosted = figures(0.8), figures(0.9)
    models = {"plain": plain, "ours": figures(0.896), "EBM": figures(0.901), "boosted": boosted}
    assert missed_bars([Result(TABLE, models)]) == [
        "t: AUC 0.8960 is 0.0050 under EBM's 0.9010 (bar: 0.004)",
        "mean AUC: 0.8960 is under EBM's 0.9010",
    ]
    models |= {"ours": figures(0.91, log_loss=0.5)}
    assert missed_bars([Result(TABLE, models)]) == ["mean log loss: 0.5000 is over EBM's 0.4000"]
    assert len(missed_bars([result(0.8, 0.7, 0.9)])) == 2


def test_calibration_is_the_distance_of_predicted_from_observed_shares() -> None:
    labels = np.tile(np.array([0, 0, 0, 1], np.int8), 500)
    assert quality.figures(labels, np.full(2000, 0.35), 0.3, 1.0).calibration == pytest.approx(0.1)
    chances = np.where(labels == 1, 0.9, 0.2)  # .1 off on a quarter of the rows, .2 on the others
    assert quality.figures(labels, chances, 0.5, 1.0).calibration == pytest.approx(0.175)


def test_a_table_is_read_as_the_pipeline_would(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    manifest = {
        "name": "shop",
        "main": "shop.csv",
        "target": "left",
        "positive_label": "yes",
        "drop_for_model": ["id"],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "shop.csv").write_text("id,left,x,code\n1,yes,1.5,007\n1,yes,1.5,007\n2,no, ,b\n")
    (tmp_path / "no table").mkdir()
    (table,) = read_tables(tmp_path)
    assert (table.numeric, table.categorical, table.duplicates) == (["x"], ["code"], 1)
    assert table.labels.tolist() == [1, 0]
    assert table.features["code"].tolist() == ["007", "b"]
    assert table.features["x"].tolist() == pytest.approx([1.5, np.nan], nan_ok=True)


def test_a_column_of_numbers_and_words_is_a_category() -> None:
    raw = pd.DataFrame({"x": ["1", "n/a"], "y": ["1", "0"]})
    assert make_table("t", raw, "y", "1", []).categorical == ["x"]


@pytest.mark.slow
def test_without_the_real_tables_the_report_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality, "GENERATED_CLIENTS", 800)
    assert quality.main(["--data", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "no bar is checked" in printed
    assert "generated" in printed
    assert max(map(len, printed.splitlines())) <= 80


@pytest.mark.slow
@pytest.mark.complete
@pytest.mark.skipif(
    not quality.DATA.is_dir(), reason=f"the real tables are not there: {quality.DATA}"
)
def test_ours_beats_plain_regression_and_goes_most_of_the_way_to_boosting() -> None:
    """Without EBM, which takes an hour; `make quality` judges all of it."""
    closed = []
    for table in read_tables(quality.DATA):
        one = quality.evaluate(table, models=("plain", "ours", "boosted"))
        plain, ours = one.models["plain"], one.models["ours"]
        assert ours.auc >= plain.auc, table.name
        assert ours.f1 >= plain.f1, table.name
        closed.append(one.gap_closed)
    assert len(closed) >= 4
    assert np.mean(closed) >= 0.7
