"""What columns are called: the setting `labels`, and what is refused of it."""

from __future__ import annotations

import csv
from dataclasses import replace
from typing import Any

import pytest

from attrition.core.config import Config
from attrition.core.errors import ConfigError
from attrition.core.labels import LONGEST_LABEL, LONGEST_UNIT, NO_LABELS, parse_labels
from attrition.model.explanations import Words
from attrition.model.reasons import Reason
from attrition.model.scorecard import Scorecard
from attrition.model.terms import CategoricalTerm, KnotAxis, LevelAxis, NumericTerm, PairTerm
from tests.conftest import Project

LABELS = parse_labels(
    {
        "complain": {"label": "complaints", "values": {"1": "has complained"}},
        "revenue": {"label": "yearly revenue", "unit": "EUR", "format": "thousands"},
        "discount": {"format": "percent"},
        "plan": {"label": "contract", "values": {" gold ": "has the dearest contract"}},
        "orders": "orders last month",
    }
)
RANGE = KnotAxis((0.0, 2000.0), 1000.0)
CARD = Scorecard(
    0.0,
    0.5,
    tuple(
        NumericTerm(name, RANGE, (-1.0, 1.0), 0.0, 0.0, 0.0)
        for name in ("complain", "revenue", "discount", "orders", "other")
    ),
    (CategoricalTerm("plan", LevelAxis(("gold", "basic")), (1.0, -1.0, 0.0), "basic", 0.0),),
    (PairTerm(("complain", "orders"), (RANGE, RANGE), ((0.0, 0.0), (0.0, 1.0)), 0.0),),
)


@pytest.mark.parametrize(
    ("columns", "values", "text"),
    [
        (("complain",), (1.0,), "has complained"),
        (("complain",), (1500.0,), "complaints is 1,500, above 1,000"),
        (("revenue",), (1800.4,), "yearly revenue is 1,800 EUR, above 1,000"),
        (("revenue",), (None,), "yearly revenue is missing"),
        (("discount",), (1500.0,), "discount is 150,000%, above 100,000%"),
        (("orders",), (1500.0,), "orders last month is 1,500, above 1,000"),
        (("other",), (1500.0,), "other is 1,500, above 1,000"),
        (("plan",), ("gold",), "has the dearest contract"),
        (("plan",), ("tin",), "contract is tin, a rare or new value"),
    ],
)
def test_a_reason_speaks_in_the_labels_of_its_columns(
    columns: tuple[str, ...], values: tuple[Any, ...], text: str
) -> None:
    reason = Reason(columns, values, 0.5)
    said = Words(CARD, LABELS).of(reason)
    assert said.removesuffix(": raises the risk") == text


@pytest.mark.parametrize("format", [{}, {"format": "plain"}])
def test_years_have_no_commas_in_the_plain_format(format: dict[str, str]) -> None:
    axis = KnotAxis((1999.0, 2010.0, 2015.0), 2010.0)
    term = NumericTerm("since", axis, (1.0, 0.0, 0.0), 0.0, 0.0, 0.0)
    labels = parse_labels({"since": {"label": "client since", **format}})
    said = Words(Scorecard(0.0, 0.5, (term,), (), ()), labels).of(Reason(("since",), (2001,), 0.5))
    assert said == "client since is 2001, below 2010: raises the risk"


@pytest.mark.parametrize(
    ("format", "years", "text"),
    [
        ("plain", False, "12.3M"),
        ("plain", True, "1999"),
        ("thousands", False, "12.3M"),
        ("percent", False, "30%"),
    ],
)
def test_a_number_on_an_axis_is_short_in_its_format(format: str, years: bool, text: str) -> None:
    labels = replace(
        parse_labels({"x": {"format": format}}), years=frozenset(["x"] if years else [])
    )
    number = 1999.0 if years else 0.3 if format == "percent" else 12_345_678.0
    assert labels.tick("x", number) == text


def test_a_pair_speaks_in_the_labels_of_both() -> None:
    words = Words(CARD, LABELS)
    assert words.of(Reason(("complain", "orders"), (1.0, 7.0), 0.5)) == (
        "has complained, with orders last month 7: raises the risk"
    )
    assert words.of(Reason(("orders", "complain"), (7.0, 1.0), 0.5)) == (
        "orders last month is 7, and has complained: raises the risk"
    )


def test_columns_without_labels_keep_their_names() -> None:
    assert NO_LABELS.name("a\nb") == "a b"
    assert NO_LABELS.term(("a", "b")) == "a x b"
    assert LABELS.term(("orders", "b")) == "orders last month x b"


@pytest.mark.parametrize(
    "labels",
    [
        [],
        "orders",
        {"lastmonth_activity": 5},
        {"lastmonth_activity": None},
        {"lastmonth_activity": ""},
        {"lastmonth_activity": " "},
        {"lastmonth_activity": "a\nb"},
        {"lastmonth_activity": "a\u202eb"},
        {"lastmonth_activity": "x" * (LONGEST_LABEL + 1)},
        {"lastmonth_activity": "x" * 500},
        {"lastmonth_activity": {}},
        {"lastmonth_activity": {"lable": "orders"}},
        {"lastmonth_activity": {"label": "orders", "unit": "x" * (LONGEST_UNIT + 1)}},
        {"lastmonth_activity": {"label": "orders", "unit": 5}},
        {"lastmonth_activity": {"label": "orders", "format": "roman"}},
        {"lastmonth_activity": {"label": "orders", "format": ["plain"]}},
        {"lastmonth_activity": {"label": "orders", "values": ["yes"]}},
        {"lastmonth_activity": {"label": "orders", "values": {"1": ""}}},
    ],
)
def test_what_is_no_label_is_refused_by_name(project: Project, labels: Any) -> None:
    project.configure(labels=labels)
    with pytest.raises(ConfigError, match=r"config\.json: labels: expected .*for each column"):
        _ = project.config


def test_of_many_labels_the_bad_one_alone_is_shown(project: Project) -> None:
    project.configure(labels={"lastyear_activity": "orders", "number_of_employees": {"lable": "x"}})
    with pytest.raises(ConfigError) as refused:
        _ = project.config
    assert str(refused.value).endswith('found {"number_of_employees": {"lable": "x"}}')


def test_a_label_of_no_column_and_two_of_one_name_are_refused(project: Project) -> None:
    project.configure(labels={"lastmonth_actvity": "orders"})
    with pytest.raises(ConfigError, match=r"labels: .*'lastmonth_actvity'; did you mean 'lastmon"):
        _ = project.config
    project.configure(labels={"lastmonth_activity": "number_of_employees"})
    with pytest.raises(ConfigError, match="one name for each column, found twice: number_of_emp"):
        _ = project.config


def test_labels_change_nothing_that_decides_how_rows_are_read(project: Project) -> None:
    before = project.config.schema_digest
    project.configure(labels={"lastmonth_activity": "orders last month"})
    assert project.config.labels.name("lastmonth_activity") == "orders last month"
    assert project.config.schema_digest == before
    assert Config.labels is NO_LABELS


@pytest.mark.slow
def test_the_next_run_the_page_the_report_and_the_api_speak_in_labels(
    finished_copy: Project,
) -> None:
    """Marks in a label are shown as they are; fields and columns keep their names."""
    from app import create_app

    project = Project(finished_copy.root, reports=("html",))
    label = '<b>orders</b> "last" month'
    project.configure(labels={"lastmonth_activity": label})
    project.run("fullprocess.py")
    written = (project.root / "models/clientrisk.csv").read_text()
    with (project.root / "models/clientrisk.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert any(label in row["reason_1"] for row in rows)
    assert "lastmonth_activity" not in written
    report = (project.root / "models/report.html").read_text()
    shown = "&lt;b&gt;orders&lt;/b&gt; &#34;last&#34; month"
    assert shown in report
    assert "<b>orders" not in report
    assert "lastmonth_activity" not in report
    server = create_app(project.config).test_client()
    client = next(row["client"] for row in rows if label in row["reason_1"])
    page = server.get(f"/clients/{client}", headers={"Accept": "text/html"}).text
    assert shown in page
    assert "<b>orders" not in page
    assert page.count("lastmonth_activity") == 1  # the name of the form's field, which it sends
    answer = server.get(f"/clients/{client}").get_json()
    assert "lastmonth_activity" in answer["features"]
    assert label in answer["reasons"][0]
    posted = server.post("/prediction?reasons=1", json={"records": [answer["features"]]})
    assert label in posted.get_json()["reasons"][0][0]
