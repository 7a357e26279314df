"""Numbers, times and foreign texts as a report says them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attrition.core import formatting

MINUS = "\N{MINUS SIGN}"


@given(st.text(), st.integers(1, 90))
def test_a_foreign_text_is_one_short_harmless_line(text: str, limit: int) -> None:
    shown = formatting.line(text, max(limit, 9))
    assert shown
    assert shown.isprintable()
    assert len(shown) <= max(limit, 9)


def test_what_is_harmless_stays_as_it_is() -> None:
    assert formatting.line("Zwölf & <Söhne> {{7}}") == "Zwölf & <Söhne> {{7}}"
    assert formatting.line("a\u202eb\nc") == "a b c"
    assert formatting.line(" \x07 ") == "(blank)"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (formatting.percent(0.1234), "12%"),
        (formatting.percent(-0.005, 1), f"{MINUS}0.5%"),
        (formatting.percent(None), formatting.NOT_KNOWN),
        (formatting.chance(0.9996), ">99.9%"),
        (formatting.chance(0.9994), "99.9%"),
        (formatting.chance(0.0), "<0.1%"),
        (formatting.chance(0.0, 0), "<1%"),
        (formatting.chance(0.004, 0), "<1%"),
        (formatting.chance(0.006, 0), "1%"),
        (formatting.chance(0.994, 0), "99%"),
        (formatting.chance(1.0, 0), ">99%"),
        (formatting.signed(0.0004), "0.000"),
        (formatting.signed(-0.0004), "0.000"),
        (formatting.signed(-0.25, 2), f"{MINUS}0.25"),
        (formatting.signed(1.5, 1), "+1.5"),
        (formatting.amount(1234567.8), "1,234,568"),
        (formatting.amount(0.000012), f"1.20e{MINUS}05"),
        (formatting.amount(0), "0"),
        (formatting.seconds(0.3214), "0.32 s"),
        (formatting.seconds(41.4), "41 s"),
        (formatting.seconds(7200), "120 min"),
        (formatting.plural(1, "file"), "1 file"),
        (formatting.plural(2000, "file"), "2,000 files"),
        (formatting.listing(["a"]), "a"),
        (formatting.listing(["a", "b", "c"]), "a, b and c"),
        (formatting.sentence("it is so"), "It is so."),
        (formatting.sentence("is it?"), "Is it?"),
        (formatting.moment("2026-03-01T06:00:00+00:00"), "1 March 2026, 06:00 UTC"),
        (formatting.moment("yesterday"), "yesterday"),
        (formatting.ago("2026-03-01", "2026-03-03T01:00:00+00:00"), "2 days ago"),
        (formatting.ago("2026-03-01T06:00:00+00:00", "2026-03-01T06:00:59+00:00"), "just now"),
        (formatting.ago("2026-03-02", "2026-03-01"), "2 March 2026, 00:00 UTC"),
    ],
)
def test_how_things_are_said(found: str, expected: str) -> None:
    assert found == expected


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (999_999_999_999.0, "999,999,999,999"),
        (1e15, "1,000 trillion"),
        (-1.5e12, f"{MINUS}1.5 trillion"),
        (9.9999999e14, "1,000 trillion"),
        (1e21, "1.00e+21"),
    ],
)
def test_a_large_amount_is_in_trillions(money: float, text: str) -> None:
    assert formatting.amount(money) == text


def test_a_path_within_a_folder_is_relative_to_it_but_for_who_stands_in_another_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "/a/b/models/x.csv: (/a/b/y) /a/bc/z /other/a/b/w"
    monkeypatch.chdir(tmp_path)
    assert formatting.within(text, Path("/a/b")) == "models/x.csv: (y) /a/bc/z /other/a/b/w"
    project = tmp_path / "project"
    project.mkdir()
    (project / "config.json").write_text("{}")
    monkeypatch.chdir(project)
    assert formatting.within(text, Path("/a/b")) == text
    assert formatting.within(f"{project}/models/x.csv", project) == "models/x.csv"


def test_for_many_paragraphs_the_project_is_looked_up_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    looked_up: list[Path] = []

    def is_file(path: Path) -> bool:
        looked_up.append(path)
        return False

    monkeypatch.setattr(Path, "is_file", is_file)
    for number in range(20):
        formatting.within(f"/c/d/{number}", Path("/c/d"))
    assert looked_up == [tmp_path / "config.json"]


def test_a_long_name_keeps_both_its_ends() -> None:
    """Columns of one table often differ in their ends alone."""
    assert formatting.middle("tenure", 6) == "tenure"
    assert formatting.middle("minutes_by_day", 9) == "minu…_day"
    assert formatting.middle("minutes_by_day", 8) == "minu…day"
    names = [f"{kind}_{'measured_' * 8}{part}" for kind in "ab" for part in ("day", "night")]
    assert len({formatting.middle(name, 36) for name in names}) == 4
    assert all(len(formatting.middle(name, 36)) == 36 for name in names)


def test_a_sentence_begins_with_a_capital_or_with_a_name_as_it_is() -> None:
    texts = ("it is new", "odd2.csv: 3 rows", "rank_by: expected", "no. 3")
    assert [*map(formatting.sentence, texts)] == [
        *("It is new.", "odd2.csv: 3 rows.", "rank_by: expected."),
        "No. 3.",
    ]


def test_money_has_no_cents_and_a_column_of_years_no_comma() -> None:
    money = (0.0, 0.004, 12.6, 33_855_329.2, -7.5, None)
    assert [formatting.whole_amount(each) for each in money] == [
        *("0", "0", "13", "33,855,329", f"{formatting.amount(-8)}", formatting.NOT_KNOWN),
    ]
    incomes, years = (1_200.0, 2_033.0, 34_468.0), (1997.0, 2003.5, 2019.0)
    assert list(map(formatting.number_format(incomes), incomes)) == ["1,200", "2,033", "34,468"]
    assert list(map(formatting.number_format(years), (1997.0, 2018.6))) == ["1997", "2019"]
    assert not formatting.are_years(())
    assert not formatting.are_years((1950.37, 1999.2, 2004.0))  # amounts
    assert formatting.number_format(years)(7.25) == "7.25"  # their standard deviation


def test_a_probability_is_shown_as_the_list_has_it_however_many_decimals_are_known() -> None:
    assert formatting.chance(0.76504, 0) == formatting.chance(0.765, 0)
    assert formatting.chance(0.76506, 0) == "77%"
