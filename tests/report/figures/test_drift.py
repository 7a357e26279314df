"""Drift, and its effect on the risk, as pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from attrition.core.labels import Label, Labels
from attrition.model.terms import Floats
from attrition.monitoring import drift as monitoring_drift
from attrition.monitoring.findings import Impact, Sample
from attrition.monitoring.impact import baseline, impact
from attrition.monitoring.reference import summarise
from attrition.report.figures import drift as drift_figures
from attrition.report.figures import style
from attrition.report.figures.style import Absent, Picture
from tests.support import hostile
from tests.support.figures import compared, inside, panels, points, sizes, table
from tests.support.releases import quiet_month_card


def filled(axes: Axes) -> dict[str, list[float]]:
    """Name -> PSI of the filled marks, which are drift."""
    names = [text.get_text() for text in axes.get_yticklabels()]
    found: dict[str, list[float]] = {}
    for line in axes.lines:
        if line.get_markerfacecolor() == style.ALARM:
            for x, y in points(line):
                found.setdefault(names[int(y)], []).append(x)
    return found


def test_what_drifted_is_filled_and_stands_at_its_psi() -> None:
    found = {
        Sample.TEST_DATA: compared(table(500)),
        Sample.NEW_ROWS: compared(table(500, moved=np.random.default_rng(2).normal(2, 1, 500))),
        Sample.OPEN_CLIENTS: compared(table(5)),
    }
    shown = drift_figures.drift(found)
    (axes,) = panels(shown)
    psi = next(c.psi for c in found[Sample.NEW_ROWS].columns if c.column == "moved")
    assert filled(axes) == {"moved": [psi]}
    assert axes.get_yticklabels()[0].get_text() == "moved"
    assert isinstance(shown, Picture)
    assert "Drifted columns: 1 in the new rows; moved moved farthest" in shown.alt
    assert f"{psi:.2f}" in shown.alt
    assert "Open clients: insufficient data (5 rows)." in shown.caption
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "test data (500 rows)",
        "new rows (500 rows)",
    ]


def test_three_samples_beside_long_names_are_named_whole() -> None:
    name = "durchschnittliche_anzahl_der_beschwerden_pro_quartal_im_jahr"
    found = {sample: compared(table(800)) for sample in (*Sample,)[:3]}
    shown = drift_figures.drift(found, Labels({"moved": Label(name)}))
    assert isinstance(shown, Picture)
    (axes,) = panels(shown)
    legend = axes.get_legend()
    assert legend is not None
    assert len(legend.get_texts()) == 3
    assert inside(shown.figure, legend)


def test_without_drift_or_data_that_is_said() -> None:
    calm = drift_figures.drift({Sample.TEST_DATA: compared(table(400))})
    assert isinstance(calm, Picture)
    assert calm.alt.startswith("No column drifted")
    few = drift_figures.drift({Sample.TEST_DATA: compared(table(5))})
    assert isinstance(few, Absent)
    assert few.reason == "test data: insufficient data (5 rows)."
    assert isinstance(drift_figures.drift({}), Absent)


def test_sixty_columns_are_cut_and_that_is_said() -> None:
    def wide(rows: int) -> pd.DataFrame:
        return pd.DataFrame(
            np.random.default_rng(rows).normal(0, 1, (rows, 60)),
            columns=[f"c{n}" for n in range(60)],
        )

    reference = summarise(wide(500), np.zeros(500))
    found = monitoring_drift.compare(reference, wide(500), np.zeros(500), 0.05, 30)
    shown = drift_figures.drift({Sample.NEW_ROWS: found})
    (axes,) = panels(shown)
    assert len(axes.get_yticks()) == drift_figures.MOST_COLUMNS
    assert isinstance(shown, Picture)
    assert "37 columns that moved less are left out" in shown.caption  # 60, and the predictions


def card_impact(activity: Floats) -> Impact:
    card = quiet_month_card()

    def columns(values: Floats) -> dict[str, Floats]:
        others = ("lastyear_activity", "number_of_employees")
        return {"lastmonth_activity": values} | {name: np.zeros(len(values)) for name in others}

    then, now = columns(np.linspace(0, 100, 200)), columns(activity)
    before = baseline(card, then, card.log_odds(then))
    return impact(card, now, card.log_odds(now), before, 200)


def test_the_shift_of_each_column_is_told_in_points_of_risk() -> None:
    found = card_impact(np.linspace(0, 60, 100))
    shown = drift_figures.impact(
        {Sample.NEW_ROWS: found, Sample.TEST_DATA: card_impact(np.linspace(0, 100, 50))}
    )
    first, second = panels(shown)
    assert found.terms[0].risk_without is not None
    effect = found.risk_now - found.terms[0].risk_without
    assert sizes(first.patches)[0][0] == pytest.approx(effect)
    assert [text.get_text() for text in first.texts][:2] == [
        "lastmonth_activity",
        f"{100 * effect:+.1f}",
    ]
    assert first.get_title("left") == (f"new rows: {found.risk_before:.1%} → {found.risk_now:.1%}")
    assert first.get_xlim() == second.get_xlim()
    assert isinstance(shown, Picture)
    assert f"by {100 * effect:+.1f} points" in shown.alt


def test_pairs_whose_names_are_cut_can_be_told_apart() -> None:
    found = card_impact(np.linspace(0, 60, 100))
    pairs = [
        ("orders last month", "number of employees"),
        ("orders last year", "number of employees"),
    ]
    terms = [replace(found.terms[0], columns=pair, term=" x ".join(pair)) for pair in pairs]
    samples = (Sample.TEST_DATA, Sample.NEW_ROWS, Sample.OPEN_CLIENTS)
    shown = drift_figures.impact(dict.fromkeys(samples, replace(found, terms=tuple(terms))))
    first, second = [text.get_text() for text in panels(shown)[0].texts][::2]
    assert "…" in first
    assert first != second
    assert "onth x " in first
    assert "year x " in second


def test_without_an_impact_there_is_no_picture() -> None:
    assert isinstance(drift_figures.impact({}), Absent)


@pytest.mark.slow
@pytest.mark.parametrize("name", hostile.LABELS, ids=ascii)
def test_hostile_names_of_columns(name: str) -> None:
    found, shift = compared(table(100)), card_impact(np.linspace(0, 60, 100))
    found = replace(found, columns=(replace(found.columns[0], column=name), *found.columns[1:]))
    shift = replace(shift, terms=(replace(shift.terms[0], term=name), *shift.terms[1:]))
    for picture in (
        drift_figures.drift({Sample.NEW_ROWS: found}),
        drift_figures.impact({Sample.NEW_ROWS: shift}),
    ):
        assert panels(picture)
        assert isinstance(picture, Picture)
        style.png(picture, 50)
        assert picture.alt.isprintable()
