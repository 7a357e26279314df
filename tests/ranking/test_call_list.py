"""The list of whom to call: ranked, with reasons, changes and value; judged when outcomes come."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from unittest.mock import ANY

import pytest

from app import create_app
from attrition.calls.holdout import is_held_out
from attrition.core import atomic_files, clock
from attrition.core.formatting import day, moment
from attrition.ranking import call_list, lookup_db
from attrition.ranking.call_list import RankingResult
from attrition.ranking.outcomes import OutcomeCounts
from attrition.ranking.ranking import Tiers
from attrition.ranking.study_of_calls import StudySoFar
from attrition.runs import history, idle
from tests.conftest import FORMS, HEADER, Project
from tests.support.browsing import BROWSER, page_of
from tests.support.effects import effect_of
from tests.support.pages import Element, document_text, tables
from tests.support.pages import page as html
from tests.support.records import decision_record
from tests.support.releases import deploy, labelled_rows

# The card of these tests: log-odds 2 - 0.04 x lastmonth_activity, so 0 gives 0.8808, 50 gives 0.5,
# 75 gives 0.2689, 100 gives 0.1192; a missing month gives log-odds 1, 0.7311.
CLIENTS = [("Busy", "100"), ("=Quiet()", "0"), ("Middling", "50"), ("Absent", ""), ("Calm", "75")]


def source_rows(clients: list[tuple[str, str]], label: str = "") -> str:
    lines = [f"{name},{activity},10,1,{label}" for name, activity in clients]
    return "\n".join([HEADER, *lines, ""])


@pytest.fixture
def listed(project: Project) -> Project:
    """A project with a deployed model and the open clients above, ingested."""
    deploy(project)
    project.write("sourcedata/open.csv", source_rows(CLIENTS))
    project.run("ingestion.py")
    return project


@pytest.fixture
def fresh(project: Project) -> Project:
    """A project before its first run, with the open clients above and rows to learn from."""
    project = Project(project.root, FORMS)
    labelled = labelled_rows(stayed=(10, 60), left=(70, 8))
    project.write("testdata/testdata.csv", labelled)
    project.write("sourcedata/known.csv", labelled.replace("client ", "known "))
    project.write("sourcedata/open.csv", source_rows(CLIENTS))
    return project


def arrive(project: Project, *rows: tuple[str, str]) -> None:
    """A batch of such open clients is ingested and ranked; what else is in the folder, too."""
    if rows:
        project.write("sourcedata/arrived.csv", source_rows([*rows]))
    project.run("ingestion.py")
    call_list.rank(project.config)


def moved_of(project: Project) -> dict[str, Any]:
    """What the book says of who moved."""
    with lookup_db.opened(project.config.client_book) as book:
        return dict(book.about["moved"])


def table(project: Project) -> list[dict[str, str]]:
    path = project.root / "models/clientrisk.csv"
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_list_ranks_the_open_clients_with_tiers_and_reasons(listed: Project) -> None:
    result = call_list.rank(listed.config)
    assert isinstance(result, RankingResult)
    rows = table(listed)
    assert [(row["rank"], row["client"], row["probability"], row["tier"]) for row in rows] == [
        ("1", "'=Quiet()", "0.8808", "high"),
        ("2", "Absent", "0.7311", "high"),
        ("3", "Middling", "0.5000", "high"),  # the model's own threshold
        ("4", "Calm", "0.2689", "medium"),
        ("5", "Busy", "0.1192", "low"),
    ]
    assert [row["reason_1"] for row in rows[:3]] == [
        "lastmonth_activity is 0, below 50: raises the risk strongly",
        "lastmonth_activity is missing: raises the risk strongly",
        "no single value stands out as raising the risk",
    ]
    assert {row["rank_change"] for row in rows} == {""}
    assert "value" not in rows[0]
    told = result.counts()
    assert (told.ranked, told.clients) == ("open clients", 5)
    assert (told.high, told.medium, told.low) == (3, 1, 1)
    assert told.thresholds == Tiers(high=0.5, medium=0.25)
    assert "Quiet" not in str(told)


def test_ranking_twice_gives_the_same_bytes_and_a_new_batch_tells_the_changes(
    listed: Project,
) -> None:
    path = listed.root / "models/clientrisk.csv"
    call_list.rank(listed.config)
    first = path.read_bytes()
    call_list.rank(listed.config)
    assert path.read_bytes() == first
    listed.write("sourcedata/later.csv", source_rows([("Busy", "0"), ("Fresh", "75")]))
    listed.run("ingestion.py")
    call_list.rank(listed.config)
    second = path.read_bytes()
    changes = {r["client"]: (r["probability_change"], r["rank_change"]) for r in table(listed)}
    assert changes == {
        "'=Quiet()": ("0.0000", "0"),  # as likely as Busy now, and "=" comes before "B"
        "Absent": ("0.0000", "-1"),
        "Busy": ("0.7616", "3"),
        "Middling": ("0.0000", "-1"),
        "Calm": ("0.0000", "-1"),
        "Fresh": ("new", "new"),
    }
    call_list.rank(listed.config)
    assert path.read_bytes() == second


def test_the_book_says_who_came_to_high_risk_and_who_left_it(listed: Project) -> None:
    call_list.rank(listed.config)
    listed.write("sourcedata/later.csv", source_rows([("Busy", "0"), ("Middling", "90")]))
    left = source_rows([("=Quiet()", "0")], label="1")
    listed.write("sourcedata/left.csv", left)
    listed.run("ingestion.py")
    call_list.rank(listed.config)
    with lookup_db.opened(listed.config.client_book) as book:
        moved = book.about["moved"]
        clients = book.high_risk()
    assert (moved["came"], moved["left"], moved["gone"]) == (1, 1, 1)
    assert clients.movement
    assert clients.movement.came == {"Busy"}
    assert clients.movement.left == {"Middling", "=Quiet()"}
    counts = history.high_risk(listed.config.history, "open clients")
    assert [(one["high"], one["value_at_risk"]) for one in counts] == [(3, None), (2, None)]
    assert history.high_risk(listed.config.history, "clients of another kind") == []
    call_list.rank(replace(listed.config, high_risk_threshold=0.99, medium_risk_threshold=0.1))
    counts = history.high_risk(listed.config.history, "open clients")
    assert [one["high"] for one in counts] == [3, 2, 0]  # the same order, by other thresholds


def test_other_settings_alone_move_nobody_and_every_place_compares_with_the_same_list(
    listed: Project,
) -> None:
    listed.configure(value_column="lastyear_activity")
    call_list.rank(listed.config)
    with lookup_db.opened(listed.config.client_book) as book:
        first = book.about["time"]
    rows = source_rows([("Busy", "0"), ("Fresh", "70")]).replace("Fresh,70,10", "Fresh,70,9000")
    listed.write("sourcedata/later.csv", rows)
    listed.run("ingestion.py")
    call_list.rank(listed.config)
    changes = {row["client"]: row["probability_change"] for row in table(listed)}
    assert changes["Busy"] == "0.7616"
    # By value Fresh stands first, though nobody's risk has moved; then all are at high risk, of
    # whom only Busy and Fresh have come to it.
    for more in ({}, {"high_risk_threshold": 0.2, "medium_risk_threshold": 0.1}):
        listed.configure(value_column="lastyear_activity", rank_by="value at risk", **more)
        call_list.rank(listed.config)
        rows_now = table(listed)
        assert rows_now[0]["client"] == "Fresh"
        assert {row["client"]: row["probability_change"] for row in rows_now} == changes
        assert {row["rank_change"] for row in rows_now} == {"new", ""}
        client = create_app(listed.config).test_client()
        with lookup_db.opened(listed.config.client_book) as book:
            moved = book.about["moved"]
        assert moved["since"] == first
        came = client.get("/clients?moved=came").get_json()["clients"]
        assert len(came) == moved["came"] == (2 if more else 1)
        assert {"Busy": 0.7616}.items() <= {
            one["client"]: one["probability_change"] for one in came
        }.items()
        assert client.get("/clients/Busy").get_json()["rank_change"] is None
        page = client.get("/clients/Busy", headers=BROWSER).text
        assert "+76.2 pts since the last list" in page
        new = client.get("/clients/Fresh", headers=BROWSER).text
        assert ": this is the first list that the client is on." in new
    listed.write("sourcedata/latest.csv", source_rows([("Busy", "100")]))
    listed.run("ingestion.py")
    call_list.rank(listed.config)
    latest = {row["client"]: row for row in table(listed)}
    assert latest["Busy"]["probability_change"] == "-0.7616"
    assert latest["Fresh"]["rank_change"] == "0"  # both lists are by value


def reporting(project: Project) -> Project:
    """The project, which now writes the report for a browser."""
    project = Project(project.root, ("html",))
    project.configure()
    return project


def heads(project: Project) -> tuple[str, str]:
    """The headlines of the page and of the report, which is made anew."""
    project.run("reporting.py", check=False)  # 1, since it has no confusion matrix to draw
    (title,) = re.findall("<h1>(.*?)</h1>", page_of(project))
    return title, report(project).all("h1")[0].text


def report(project: Project) -> Element:
    return html(project.root / "models/report.html")


def test_another_line_for_high_risk_alone_moves_nobody_and_is_said_everywhere(
    listed: Project,
) -> None:
    listed = reporting(listed)
    atomic_files.write_json(listed.config.decision, decision_record().to_json())
    arrive(listed)
    with lookup_db.opened(listed.config.client_book) as book:
        first = book.about["time"]
    listed.configure(high_risk_threshold=0.8, medium_risk_threshold=0.1)
    told = "at high risk of leaving, which now begins at 80% (before: 50%)"
    assert heads(listed) == (
        f"1 of 5 clients is {told}",
        f"1 of 5 open clients is {told}. Call these five first.",
    )
    words = (
        f"High risk now begins at 80%, set in config.json; on the list of {moment(first)} it began "
        "at 50%, and from there on 3 clients would be at high risk today."
    )
    assert words in page_of(listed)
    assert words in report(listed).text
    result = call_list.rank(listed.config)
    assert isinstance(result, RankingResult)
    assert words in " ".join(call_list.top_table(result).split())
    assert result.movement is None
    # Busy alone has come to it; Absent and Middling, who are below the new line, have not left it.
    arrive(listed, ("Busy", "0"))
    assert moved_of(listed) == {"since": ANY, "came": 1, "left": 0, "gone": 0}
    assert "now begins" not in heads(listed)[0]  # on both lists it begins at 80%


def test_lists_of_different_lines_are_compared_by_todays(listed: Project) -> None:
    listed = reporting(listed)
    arrive(listed)
    listed.configure(high_risk_threshold=0.8, medium_risk_threshold=0.1)
    arrive(listed, ("Busy", "60"), ("Absent", "100"), ("Middling", "10"))
    # Middling rises to 83%; Absent falls from 73%, which is under 80%, too.
    moved = moved_of(listed)
    assert (moved["came"], moved["left"]) == (1, 0)
    assert heads(listed)[0].endswith("which now begins at 80% (before: 50%)")
    for least, came, left in ((0.3, 1, 1), (0.5, 0, 1), (0.8, 1, 0)):
        listed.configure(high_risk_threshold=least, medium_risk_threshold=0.1)
        arrive(listed)  # Busy has come to 40%, Absent has left for 12%
        moved = moved_of(listed)
        assert (moved["came"], moved["left"], moved["gone"]) == (came, left, 0), least
        told = f", which now begins at {least:.0%} (before: 50%)" if least != 0.5 else ""
        assert heads(listed)[0].endswith(f"at high risk of leaving{told}")


def test_where_all_clients_have_one_risk_nobody_is_said_to_come_first(project: Project) -> None:
    project = reporting(project)
    deploy(project)
    project.write("sourcedata/open.csv", source_rows([(name, "50") for name in "BCA"]))
    arrive(project)
    title, headline = heads(project)
    assert title == "All 3 clients have the same risk of leaving, 50.0%"
    assert headline == (
        "All 3 open clients have the same risk of leaving, 50.0%: nothing says whom to call first."
    )
    assert "Whom to call first" not in page_of(project)
    assert "most likely to leave" not in tables(report(project))
    result = call_list.rank(project.config)
    assert isinstance(result, RankingResult)
    assert headline in " ".join(call_list.top_table(result).split())
    project.configure(value_column="lastyear_activity", rank_by="value at risk")
    assert "value alone says whom to call first. Call these three first." in heads(project)[1]


def test_a_run_killed_between_list_and_book_loses_no_movement(listed: Project) -> None:
    for month in ("75", "0"):  # who comes to high risk, and then goes again and comes back
        listed.write(f"sourcedata/month{month}.csv", source_rows([("Busy", month)]))
        listed.run("ingestion.py")
        before = listed.config.client_book
        older = before.read_bytes() if before.exists() else b""
        call_list.rank(listed.config)
    with lookup_db.opened(listed.config.client_book) as book:
        moved = book.about["moved"]
    assert moved["came"] == 1
    listed.config.client_book.write_bytes(older)
    call_list.rank(listed.config)
    with lookup_db.opened(listed.config.client_book) as book:
        assert book.about["moved"] == moved


def test_thresholds_and_the_number_of_told_clients_are_settings(listed: Project) -> None:
    listed.configure(high_risk_threshold=0.8, medium_risk_threshold=0.6, clients_with_reasons=1)
    call_list.rank(listed.config)
    rows = table(listed)
    assert [row["tier"] for row in rows] == ["high", "medium", "low", "low", "low"]
    assert [bool(row["reason_1"]) for row in rows] == [True, False, False, False, False]


def test_clients_held_out_stand_below_the_others_with_a_group_of_their_own(
    listed: Project,
) -> None:
    path = listed.root / "models/clientrisk.csv"
    call_list.rank(listed.config)
    without = path.read_bytes()
    listed.configure(holdout_share=0.5, holdout_salt="spring")
    result = call_list.rank(listed.config)
    first = path.read_bytes()
    assert [(row["rank"], row["client"], row["group"]) for row in table(listed)] == [
        ("1", "'=Quiet()", "call"),
        ("2", "Calm", "call"),
        ("3", "Busy", "call"),
        ("4", "Absent", "hold out"),
        ("5", "Middling", "hold out"),
    ]
    assert isinstance(result, RankingResult)
    shown = " ".join(call_list.top_table(result).split())
    assert "2 below all others are held out: not to be called" in shown
    assert "Busy" in shown
    assert "Absent" not in shown
    call_list.rank(listed.config)
    assert path.read_bytes() == first  # read back, in its own order
    listed.configure(holdout_share=0, holdout_salt=None)
    call_list.rank(listed.config)
    call_list.rank(listed.config)
    assert path.read_bytes().splitlines()[0] == without.splitlines()[0]


def contact(project: Project, **days: int) -> None:
    """Clients are called so many days ago."""
    folder = project.root / "actions"
    folder.mkdir()
    lines = [f"{client},{clock.days_ago(number)},call" for client, number in days.items()]
    (folder / "calls.csv").write_text("\n".join(["client,date,action", *lines, ""]))
    project.run("ingestion.py")


def test_who_was_contacted_lately_keeps_its_rank_and_is_not_called(listed: Project) -> None:
    call_list.rank(listed.config)
    without = table(listed)
    contact(listed, Absent=0, Middling=29, Calm=30)
    listed.configure(rest_days=30)
    result = call_list.rank(listed.config)
    rows = table(listed)
    assert [row.pop("last_contact") for row in rows] == [
        "",
        clock.days_ago(0),
        clock.days_ago(29),
        "",  # Calm, thirty days ago
        "",
    ]
    assert rows == without
    assert isinstance(result, RankingResult)
    assert result.counts().resting == 2
    shown = " ".join(call_list.top_table(result).split())
    assert "2 were contacted lately: not to be called again yet" in shown
    assert "Calm" in shown
    assert "Absent" not in shown
    call_list.rank(listed.config)
    assert [row["rank_change"] for row in table(listed)] == [""] * 5  # the list reads itself back
    listed.configure(rest_days=None)
    result = call_list.rank(listed.config)
    assert table(listed) == without
    assert isinstance(result, RankingResult)
    assert "resting" not in result.counts().to_json()


def test_calls_to_those_who_rest_are_in_no_plan_and_use_up_no_call(listed: Project) -> None:
    listed.configure(**COSTS, rank_by="profit", calls_per_list=2)
    contact(listed, Absent=3)
    before = call_list.rank(listed.config)
    listed.configure(**COSTS, rank_by="profit", calls_per_list=2, rest_days=30)
    result = call_list.rank(listed.config)
    assert isinstance(before, RankingResult)
    assert isinstance(result, RankingResult)
    assert [row["client"] for row in table(listed)][:3] == ["'=Quiet()", "Absent", "Middling"]
    assert before.profit is not None
    assert result.profit is not None
    profits = [float(row["profit"]) for row in table(listed)]
    assert before.profit.plan.expected == pytest.approx(profits[0] + profits[1], abs=0.01)
    assert result.profit.plan.expected == pytest.approx(profits[0] + profits[2], abs=0.01)
    with lookup_db.opened(listed.config.client_book) as book:
        assert book.about["last_call"] == 3


@pytest.mark.slow
def test_while_all_rest_every_place_says_from_when_on_somebody_may_be_called(
    fresh: Project,
) -> None:
    contact(fresh, Busy=3, Middling=3, Absent=3, Calm=3)
    with (fresh.root / "actions/more.csv").open("w") as stream:
        stream.write(f"client,date,action\n=Quiet(),{clock.days_ago(9)},call\n")
    fresh.configure(**COSTS, rank_by="profit", calls_per_list=2, rest_days=30)
    shown = " ".join(fresh.run("fullprocess.py").stdout.split())
    first_free = (date.fromisoformat(clock.days_ago(9)) + timedelta(days=30)).isoformat()
    assert (
        atomic_files.read_json_object(fresh.config.decision)[idle.STATE][idle.WAKE_DAY]
        == first_free
    )
    free = day(first_free)
    sentence = f"obody may be called before {free}: all 5 clients to call were contacted lately"
    page = create_app(fresh.config).test_client().get("/", headers=BROWSER).text
    report = html(fresh.config.report)
    for text in (shown, page, report.text, document_text(fresh.root / "models/report.pdf")):
        assert sentence in text
        assert "No call is expected to earn" not in text
    assert shown.count(sentence) == 1
    assert "pay?." not in report.text
    table_heads = [one.text for one in report.all("caption")]
    assert not [text for text in table_heads if "whom it pays most to call" in text]
    assert not [text for text in table_heads if "By value at risk" in text]
    printed = fresh.run("reporting.py").stdout
    assert f"n{sentence}" in " ".join(printed.split())
    assert "client, and why" not in printed
    fresh.configure(**COSTS, rest_days=30)
    assert sentence in " ".join(fresh.run("reporting.py").stdout.split())


def test_a_client_who_is_held_out_does_not_rest(listed: Project) -> None:
    names = [name for name, _ in CLIENTS]
    salt = next(
        str(n) for n in range(99) if is_held_out(names, 0.5, str(n)).tolist() == [1, 0, 0, 0, 1]
    )
    contact(listed, Busy=1, Absent=1, Calm=1, Middling=1)
    with (listed.root / "actions/more.csv").open("w") as stream:
        stream.write(f"client,date,action\n=Quiet(),{clock.days_ago(9)},call\n")
    listed.run("ingestion.py")
    listed.configure(holdout_share=0.5, holdout_salt=salt, rest_days=30)
    result = call_list.rank(listed.config)
    assert isinstance(result, RankingResult)
    assert result.counts().resting == 3
    assert [bool(row["last_contact"]) for row in table(listed)] == [True] * 3 + [False] * 2
    client = create_app(listed.config).test_client()
    page = client.get("/clients", headers=BROWSER).text
    assert re.findall(r"<bdi>(\w+)</bdi></a>", page) == ["Calm", "Busy"]
    assert len(client.get("/clients?contacted=lately").get_json()["clients"]) == 3
    assert "to be called again" not in client.get("/clients/Busy", headers=BROWSER).text
    assert "to be called again" in client.get("/clients/Absent", headers=BROWSER).text


def worth(project: Project, *values: str) -> None:
    """The clients with these values, and with costs."""
    rows = [
        f"{name},{activity},{value},1,"
        for (name, activity), value in zip(CLIENTS, values, strict=True)
    ]
    project.write("sourcedata/open.csv", "\n".join([HEADER, *rows, ""]))
    project.configure(**COSTS, numeric_columns=["lastmonth_activity"], rank_by="profit")


@pytest.mark.slow
def test_where_no_client_has_a_value_no_profit_and_no_value_at_risk_is_told(
    fresh: Project,
) -> None:
    worth(fresh, "", "", "", "", "")
    shown = " ".join(fresh.run("fullprocess.py").stdout.split())
    page = create_app(fresh.config).test_client().get("/", headers=BROWSER).text
    report = html(fresh.config.report).text
    for text in (shown, page, report):
        assert "No profit is shown: none of the 5 clients who may be called has a value." in text
        assert "No call is expected to earn" not in text
        assert "alue at risk 0" not in text
    assert "the value at risk among those" not in report
    assert "The clients most likely to leave" in report


@pytest.mark.slow
def test_a_value_below_0_or_beyond_all_money_counts_as_unknown_and_is_named(
    fresh: Project,
) -> None:
    worth(fresh, "-50000", "1.7e308", "900", "", "800")
    shown = fresh.run("fullprocess.py").stdout
    warning = (
        "2 clients have a value below 0 or above 1,000 trillion, such as \N{MINUS SIGN}50,000 and "
        "1.70e+308: such values count as unknown."
    )
    page = create_app(fresh.config).test_client().get("/", headers=BROWSER).text
    for text in (" ".join(shown.split()), page, html(fresh.config.report).text):
        assert warning in text
        assert "inf" not in re.findall(r"\w+", text)
    assert max(map(len, shown.splitlines())) <= 80
    assert {row["client"]: (row["value"], row["profit"]) for row in table(fresh)}["Busy"] == (
        "-50000",
        "",
    )
    assert max(len(line) for line in fresh.config.client_risk.read_text().splitlines()) < 250
    answer = create_app(fresh.config).test_client().get("/clients?least_value=100").get_json()
    assert [each["client"] for each in answer["clients"]] == ["Middling", "Calm"]


def test_with_a_value_column_the_value_at_risk_is_told(listed: Project) -> None:
    listed.configure(value_column="lastyear_activity")
    listed.run("ingestion.py")
    call_list.rank(listed.config)
    rows = table(listed)
    assert [(row["value"], row["value_at_risk"], row["value_rank"]) for row in rows[:3]] == [
        ("10", "8.81", "1"),
        ("10", "7.31", "2"),
        ("10", "5.00", "3"),
    ]


COSTS = {
    "value_column": "lastyear_activity",
    "contact_cost": 1,
    "offer_share": 0.1,
    "success_rate": 0.5,
}


def test_with_costs_the_list_has_a_column_of_profit_and_else_not_a_byte_changes(
    listed: Project,
) -> None:
    path = listed.root / "models/clientrisk.csv"
    listed.configure(value_column="lastyear_activity")
    call_list.rank(listed.config)
    call_list.rank(listed.config)
    without = path.read_text()
    record = call_list.rank(listed.config)
    assert isinstance(record, RankingResult)
    assert not {"profit", "no_profit", "rank_by"} & record.counts().to_json().keys()
    listed.configure(**COSTS)
    result = call_list.rank(listed.config)
    lines = path.read_text().splitlines()
    assert [line.rpartition(",")[0] for line in lines] == without.splitlines()
    # The value is 10: .5 * .8808 * 9 - .1192 - 1
    assert lines[0].endswith(",value_rank,profit")
    assert float(lines[1].rpartition(",")[2]) == pytest.approx(2.8444, abs=0.005)
    assert isinstance(result, RankingResult)
    assert result.profit is not None
    assert (result.profit.plan.clients, result.profit.plan.worth_calling) == (5, 3)
    assert "The 3 calls that pay best are expected to earn" in " ".join(
        call_list.top_table(result).split()
    )
    listed.configure()
    listed.run("ingestion.py")
    call_list.rank(listed.config)
    assert "value" not in path.read_text().splitlines()[0]


def test_profit_order_and_sum_are_of_the_probability_as_it_is_not_as_it_is_shown(
    listed: Project,
) -> None:
    """Both are shown as .8320; by that, the second would come first."""
    large = {"Large": (10, 30_000_000), "Larger": (10.001, 30_000_100)}
    rows = [f"{name},{activity},{value},1," for name, (activity, value) in large.items()]
    listed.write("sourcedata/large.csv", "\n".join([HEADER, *rows, ""]))
    listed.configure(**COSTS, rank_by="profit", calls_per_list=2)
    listed.run("ingestion.py")
    result = call_list.rank(listed.config)
    expected = {}
    for name, (activity, value) in large.items():
        chance = 1 / (1 + math.exp(0.04 * activity - 2))
        expected[name] = 0.45 * chance * value - 0.1 * (1 - chance) * value - 1
    first = {row["client"]: float(row["profit"]) for row in table(listed)[:2]}
    assert list(first) == list(large)
    assert first == pytest.approx(expected, abs=0.1)
    assert isinstance(result, RankingResult)
    assert result.profit is not None
    assert result.profit.plan.expected == pytest.approx(sum(first.values()), abs=0.02)


def test_high_risk_begins_where_a_call_pays(listed: Project) -> None:
    listed.configure(**COSTS, high_risk_threshold="profit")
    result = call_list.rank(listed.config)
    assert isinstance(result, RankingResult)
    assert result.tiers.high == pytest.approx(2 / 5.5)  # (1 + 1) / (.5 * 9 + 1)
    listed.configure(**{**COSTS, "contact_cost": 1000}, high_risk_threshold="profit")
    result = call_list.rank(listed.config)
    assert isinstance(result, RankingResult)
    assert result.tiers.high == 0.5  # no call pays: the model's own
    assert "No call is expected to earn what it costs." in call_list.top_table(result)


def test_a_rate_to_be_measured_shows_a_profit_once_there_is_an_estimate(
    listed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = {"success_rate": "measured", "holdout_share": 0.2, "holdout_salt": "spring"}
    listed.configure(**{**COSTS, **study}, rank_by="profit")
    result = call_list.rank(listed.config)
    assert isinstance(result, RankingResult)
    assert (result.profit, result.rank_by) == (None, "value at risk")
    assert "the hold-out has measured nothing yet" in " ".join(call_list.top_table(result).split())
    assert "profit" not in table(listed)[0]
    monkeypatch.setattr(StudySoFar, "effect", effect_of(300, 400))
    result = call_list.rank(listed.config)
    assert isinstance(result, RankingResult)
    assert result.profit is not None
    assert result.profit.success.mean == pytest.approx(0.25)
    assert result.rank_by == "profit"
    assert "profit" in table(listed)[0]


def test_where_no_client_is_open_those_who_stayed_of_the_newest_batch_are_ranked(
    project: Project,
) -> None:
    deploy(project)
    project.write("sourcedata/january.csv", source_rows([("Old", "0")], "0"))
    project.run("ingestion.py")
    project.write("sourcedata/february1.csv", source_rows([*CLIENTS, ("Gone", "2")], "0"))
    project.write("sourcedata/february2.csv", source_rows([("Gone", "0"), ("Late", "1")], "1"))
    project.write("sourcedata/february3.csv", source_rows([("Busy", "0")], "0"))
    project.run("ingestion.py")
    result = call_list.rank(project.config)
    assert isinstance(result, RankingResult)
    assert result.ranked == "clients of the newest batch who stayed"
    assert result.counts().clients == 5
    clients = [row["client"] for row in table(project)]
    assert clients == ["'=Quiet()", "Busy", "Absent", "Middling", "Calm"]


@pytest.mark.slow
def test_nobody_who_has_left_is_on_a_list_where_all_outcomes_are_known(project: Project) -> None:
    """The first trial of most people: page, report and terminal say what is missing first."""
    first = "No open clients: leave the outcome blank for those whom you may still call"
    project.configure(reports=FORMS)
    deploy(project)
    project.write("testdata/testdata.csv", labelled_rows(stayed=(10, 60), left=(22, 8)))
    project.write("sourcedata/known.csv", labelled_rows(stayed=(3, 40), left=(30, 2)))
    project.run("ingestion.py")
    lines = project.run("reporting.py").stdout.splitlines()
    assert lines[:2] == [
        f"{first}.",
        "43 clients of the newest batch who stayed: 3 at high risk (from 50% on), 0 at",
    ]
    assert len(table(project)) == 43
    left = {f"client {number}" for number in range(44, 76)}
    assert not left.intersection(row["client"] for row in table(project))
    report = html(project.config.report)
    assert report.all("h1")[0].text == f"{first}."
    assert "Call these" not in report.text
    assert "it ranks the clients of the newest batch who stayed" in report.text
    assert first in document_text(project.config.report_pdf)
    browser = create_app(project.config).test_client()
    for path in ("/", "/clients"):
        page = browser.get(path, headers={"Accept": "text/html"}).text
        assert f"<h1>{first}</h1>" in page
        assert "Whom to call first" not in page
        assert "it ranks the clients of the newest batch who stayed, whose outcome is known" in page
    answer = browser.get("/clients?per_page=1000").get_json()
    assert answer["ranked"] == "clients of the newest batch who stayed"
    assert not left.intersection(client["client"] for client in answer["clients"])


@pytest.mark.slow
def test_where_all_have_left_there_is_no_list_and_what_is_missing_is_said(project: Project) -> None:
    deploy(project)
    project.write("testdata/testdata.csv", labelled_rows(stayed=(10, 60), left=(22, 8)))
    project.write("sourcedata/known.csv", source_rows(CLIENTS, "1"))
    project.run("ingestion.py")
    assert project.run("reporting.py").stdout.startswith(
        "No open clients: leave the outcome blank for those whom you may still call; "
        "of the newest batch all have left."
    )
    assert not project.config.client_risk.exists()
    assert not project.config.client_book.exists()


def test_without_an_id_column_a_row_that_left_is_not_on_the_list(project: Project) -> None:
    project.configure(id_column=None)
    deploy(project)
    project.write("sourcedata/1.csv", source_rows([("", "0"), ("", "1")], "1"))
    project.write("sourcedata/2.csv", source_rows([("", "2"), ("", "0")], "0"))
    project.run("ingestion.py")
    assert isinstance(call_list.rank(project.config), RankingResult)
    assert [row["client"] for row in table(project)] == ["row 4", "row 3"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"numeric_columns": ["lastmonth_activity"]}, "no longer names the columns"),
        (
            {
                "numeric_columns": ["lastyear_activity", "number_of_employees"],
                "categorical_columns": ["lastmonth_activity"],
            },
            "unlike the model: lastmonth_activity",
        ),
    ],
)
def test_a_model_that_does_not_fit_the_settings_makes_no_list(
    listed: Project, settings: dict[str, list[str]], reason: str
) -> None:
    call_list.rank(listed.config)
    listed.configure(**settings)
    listed.run("ingestion.py")
    listed.write("testdata/testdata.csv", labelled_rows(stayed=(10, 60), left=(22, 8)))
    shown = listed.run("reporting.py", check=False)
    assert shown.returncode == 1, shown.stderr  # the matrix is not drawn either
    assert shown.stdout.startswith("There is no list of clients to call: config.json ")
    assert reason in shown.stdout
    assert not listed.config.client_risk.exists()
    assert not listed.config.client_book.exists()


def test_segments_go_through_ingestion_into_the_list_the_files_and_the_book(
    listed: Project,
) -> None:
    listed.configure(segment_columns=["branch"])  # open.csv has none
    lines = source_rows([("Busy", "100"), ("Middling", "50"), ("Calm", "75")]).splitlines()
    branches = ["branch", " North ", "North", "=South"]
    rows = [f"{branch},{line}" for branch, line in zip(branches, lines, strict=True)]
    listed.write("sourcedata/with_branch.csv", "\n".join([*rows, ""]))
    listed.run("ingestion.py")
    call_list.rank(listed.config)
    of_client = {"Busy": "North", "'=Quiet()": "", "Middling": "North", "Absent": ""}
    assert {row["client"]: row["segment_branch"] for row in table(listed)} == {
        **of_client,
        "Calm": "'=South",
    }
    folder = listed.config.segment_lists
    with (folder / "branch-North.csv").open(newline="") as stream:
        assert [row["client"] for row in csv.DictReader(stream)] == ["Middling", "Busy"]
    assert len(list(folder.iterdir())) == 3
    with lookup_db.opened(listed.config.client_book) as book:
        page = book.page(lookup_db.Question(segments=(("branch", "North"),)), 1, 1)
        assert (page.matching, page.clients[0]["client"]) == (2, "Middling")
        assert page.clients[0]["segments"] == {"branch": "North"}
        assert book.segment_texts("branch", 2) == [("", 2), ("=South", 1)]
    call_list.give_up(listed.config, "a test")
    assert not list(folder.iterdir())


def test_one_client_is_a_list_of_one(project: Project) -> None:
    deploy(project)
    project.write("sourcedata/open.csv", source_rows([("Only", "0")]))
    project.run("ingestion.py")
    assert isinstance(call_list.rank(project.config), RankingResult)
    assert [row["rank"] for row in table(project)] == ["1"]


def test_without_an_id_column_rows_are_ranked_and_never_compared(listed: Project) -> None:
    listed.configure(id_column=None)
    listed.run("ingestion.py")
    for _ in range(2):
        call_list.rank(listed.config)
        rows = table(listed)
        assert [row["client"] for row in rows] == ["row 2", "row 4", "row 3", "row 5", "row 1"]
        assert {row["rank_change"] for row in rows} == {""}
    with listed.config.open_clients.open(newline="") as stream:
        assert list(csv.DictReader(stream))[1]["lastmonth_activity"] == "0"
    said = "row 7” is row 7 of ingesteddata/openclients.csv"
    client = create_app(listed.config).test_client()
    for path in ("/", "/clients/row%202"):
        assert said in client.get(path, headers=BROWSER).text


@pytest.mark.slow
def test_without_a_model_or_clients_no_older_list_is_kept(project: Project) -> None:
    path = project.root / "models/clientrisk.csv"
    path.write_text("old")
    assert call_list.rank(project.config) == "no model is deployed"
    assert not path.exists()
    deploy(project)
    path.write_text("old")
    assert call_list.rank(project.config) == "there are no clients"
    assert not path.exists()


def test_a_list_sorted_in_a_spreadsheet_loses_neither_changes_nor_who_moved(
    listed: Project,
) -> None:
    call_list.rank(listed.config)
    arrive(listed, ("Busy", "0"))
    path, moved = listed.config.client_risk, moved_of(listed)
    assert moved["came"] == 1
    written = path.read_bytes()
    header, *rows = written.splitlines(keepends=True)
    path.write_bytes(b"".join([header, *sorted(rows, key=lambda row: row.split(b",")[1])]))
    call_list.rank(listed.config)
    assert (path.read_bytes(), moved_of(listed)) == (written, moved)


def test_after_a_damaged_book_the_list_compares_with_none_and_says_so(
    listed: Project, caplog: pytest.LogCaptureFixture
) -> None:
    call_list.rank(listed.config)
    listed.config.client_book.write_bytes(b"damaged")
    arrive(listed, ("Busy", "0"))
    assert "not the book that the pipeline wrote" in caplog.text
    assert "; the new list shows no changes" in caplog.text
    rows = table(listed)
    assert {(row["probability_change"], row["rank_change"]) for row in rows} == {("", "")}


@pytest.mark.parametrize(
    ("before", "after", "is_ordered_anew"),
    [
        ({"rank_by": "profit"}, {"rank_by": "risk"}, True),
        ({"rank_by": "profit"}, {"contact_cost": 2}, True),
        ({"rank_by": "profit"}, {"success_rate": 0.25}, True),
        ({"rank_by": "profit"}, {"calls_per_list": 2}, False),
        ({"rank_by": "value at risk"}, {"value_column": "number_of_employees"}, True),
        ({"rank_by": "value at risk"}, {"contact_cost": 2}, False),
        ({}, {"value_column": "number_of_employees"}, False),
        ({"holdout_share": 0.5, "holdout_salt": "spring"}, {"holdout_share": 0.4}, True),
        ({"holdout_share": 0.5, "holdout_salt": "spring"}, {"holdout_salt": "autumn"}, True),
        ({}, {"high_risk_threshold": 0.6}, False),
    ],
)
def test_places_are_compared_unless_another_setting_orders_the_list(
    listed: Project, before: dict[str, Any], after: dict[str, Any], *, is_ordered_anew: bool
) -> None:
    listed.configure(**COSTS, **before)
    arrive(listed)
    listed.configure(**{**COSTS, **before, **after})
    arrive(listed, ("Busy", "80"))
    rows = {row["client"]: row for row in table(listed)}
    assert rows["Busy"]["probability_change"] == "0.1123"
    assert [row["rank_change"] == "" for row in rows.values()] == [is_ordered_anew] * 5


def test_another_value_alone_makes_another_list_where_values_order_it(listed: Project) -> None:
    listed.configure(value_column="lastyear_activity", rank_by="value at risk")
    arrive(listed)
    with lookup_db.opened(listed.config.client_book) as book:
        first = book.about["time"]
    listed.write("sourcedata/risen.csv", source_rows([("Calm", "75")]).replace(",10,", ",900,"))
    arrive(listed)
    rows = {row["client"]: row for row in table(listed)}
    assert {row["probability_change"] for row in rows.values()} == {"0.0000"}
    assert (rows["Calm"]["rank"], rows["Calm"]["rank_change"]) == ("1", "3")
    assert rows["Busy"]["rank_change"] == "0"
    assert moved_of(listed) == {"since": first, "came": 0, "left": 0, "gone": 0}


def test_a_client_who_is_back_is_not_on_its_first_list(
    listed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for hour, client in enumerate(["Other", "Fresh", "Fresh", "Fresh"], start=1):
        monkeypatch.setattr(clock, "now", lambda at=hour: f"2026-03-01T{at:02}:00:00Z")
        label = "1" if hour == 3 else ""
        row = source_rows([(client, "0")], label).replace(",10,1,", f",10,{hour},")
        listed.write(f"sourcedata/{hour}.csv", row)
        arrive(listed)
        if hour == 3:
            continue
        page = create_app(listed.config).test_client().get(f"/clients/{client}", headers=BROWSER)
        said = {
            1: "the same on each list that the client was on",
            2: "this is the first list that the client is on",
            4: "the client was not on the last list",
        }
        assert f"So far 88%: {said[hour]}." in page.text


@pytest.mark.slow
def test_when_outcomes_come_the_old_list_is_judged_by_them(listed: Project) -> None:
    first = call_list.rank(listed.config)
    assert isinstance(first, RankingResult)
    assert first.outcomes == ()
    left = source_rows([("=Quiet()", "0"), ("Absent", "")], "1")
    listed.write("sourcedata/outcomes1.csv", left)
    listed.write("sourcedata/outcomes2.csv", source_rows([("Busy", "100"), ("Unknown", "1")], "0"))
    listed.run("ingestion.py")
    for _ in range(2):  # again and again: the same
        second = call_list.rank(listed.config)
        assert isinstance(second, RankingResult)
        assert len(second.ranking) == 2
        (outcome,) = second.outcomes
        assert outcome.top == {5: OutcomeCounts(clients=5, known=3, left=2, share_left=2 / 3)}
        assert outcome.all == outcome.top[5]
    # A label that came before a ranking is no outcome of it.
    listed.write("sourcedata/outcomes3.csv", source_rows([("Calm", "75")], "1"))
    listed.run("ingestion.py")
    third = call_list.rank(listed.config)
    assert isinstance(third, RankingResult)
    tops = [next(iter(outcome.top.values())) for outcome in third.outcomes]
    assert [(top.known, top.left) for top in tops] == [(1, 1), (4, 3)]


@pytest.mark.slow
def test_each_list_is_judged_by_what_came_after_it_alone(listed: Project) -> None:
    """Absent left, came back, was ranked anew and stayed: each list has an outcome of its own."""
    call_list.rank(listed.config)
    batches = ([("Absent", "")], "1"), ([("Absent", "20")], ""), ([("Absent", "20")], "0")
    for number, (clients, label) in enumerate(batches):
        listed.write(f"sourcedata/batch{number}.csv", source_rows(clients, label))
        listed.run("ingestion.py")
        result = call_list.rank(listed.config)
    assert isinstance(result, RankingResult)
    known = [(outcome.all.known, outcome.all.left) for outcome in result.outcomes]
    assert known == [(1, 0), (1, 1)]


@pytest.mark.slow
def test_the_script_prints_the_first_ten_in_80_columns(listed: Project) -> None:
    names = [(f"\x1b[31m{'Long name ' * 12}{place}", str(place)) for place in range(20)]
    listed.write("sourcedata/more.csv", source_rows(names))
    listed.write("testdata/testdata.csv", labelled_rows(stayed=(10, 60), left=(22, 8)))
    listed.run("ingestion.py")
    result = listed.run("reporting.py")
    lines = result.stdout.splitlines()
    assert max(map(len, lines[:-2])) <= 80
    assert "\x1b" not in result.stdout
    assert lines[0] == "25 open clients: 23 at high risk (from 50% on), 1 at medium"
    assert sum(line.endswith(", below 50") for line in lines) == 10
    written = ("clientrisk.csv", "confusionmatrix.png")
    assert lines[-2:] == [f"models/{name}" for name in written]
    assert "Long" not in result.stderr
