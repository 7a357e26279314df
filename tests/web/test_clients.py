"""The ranked clients over HTTP: pages, one client, CSV, and what happens without a ranking."""

from __future__ import annotations

import csv
import io
import sqlite3
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

import ingestion
from app import create_app
from attrition.core import clock, formatting
from attrition.ranking import lookup_db_writer
from attrition.web.pages import client as one_client
from attrition.web.pages import views
from tests.conftest import Project
from tests.support.answers import problem, strict_json
from tests.support.releases import NOW, deploy
from tests.support.serving_projects import rank

BROWSER = {"Accept": "text/html"}


def names(client: FlaskClient, query: str) -> list[str]:
    found = strict_json(client.get(f"/clients?{query}"))
    return [item["client"] for item in found["clients"]]


def test_the_list_has_the_shape_that_the_page_reads(client: FlaskClient) -> None:
    answer = strict_json(client.get("/clients?per_page=1"))
    assert list(answer) == [
        "time",
        "release",
        "ranked",
        "total",
        "tiers",
        "matching",
        "page",
        "per_page",
        "clients",
    ]
    assert (answer["time"], answer["ranked"], answer["total"]) == (NOW, "open clients", 3)
    assert (answer["matching"], answer["page"], answer["per_page"]) == (3, 1, 1)
    assert answer["clients"] == [
        {
            "place": 1,
            "client": "Quiet AG",
            "probability": 0.8808,
            "tier": "high",
            "reasons": ["it is quiet"],
            "probability_change": 0.1,
            "rank_change": 2,
            "value": 10.0,
            "value_at_risk": 8.81,
            "value_rank": 2,
            "is_new": False,
        }
    ]


def test_changes_are_numbers_and_null_where_there_is_nothing_to_compare_with(
    client: FlaskClient,
) -> None:
    keys = ("probability_change", "rank_change", "is_new")
    clients = strict_json(client.get("/clients"))["clients"]
    assert [[found[key] for key in keys] for found in clients] == [
        [0.1, 2, False],
        [None, None, True],
        [None, None, False],
    ]
    for found in clients:
        one = strict_json(client.get("/clients/" + quote(found["client"], safe="")))
        assert [one[key] for key in keys] == [found[key] for key in keys]
        assert not any(isinstance(one[key], str) for key in keys)


def test_profit_is_served_described_and_sorted_by_only_where_costs_are_set(
    ready: Project,
) -> None:
    def described(client: FlaskClient) -> tuple[bool, bool]:
        document = strict_json(client.get("/openapi.json"))
        parameters = document["paths"]["/clients"]["get"]["parameters"]
        sorts = next(each for each in parameters if each["name"] == "sort")["schema"]["enum"]
        properties = document["components"]["schemas"]["RankedClient"]["properties"]
        return "profit" in properties, {"profit", "-profit"} <= set(sorts)

    before = create_app(ready.config).test_client()
    assert described(before) == (False, False)
    assert "profit" not in before.get("/clients").text + before.get("/clients?format=csv").text
    assert "rofit" not in before.get("/clients", headers={"Accept": "text/html"}).text
    assert problem(before.get("/clients?sort=profit"), 400).startswith("sort")
    ready.configure(value_column="lastyear_activity", contact_cost=5, success_rate=0.3)
    live = strict_json(before.get("/clients"))["release"]
    rank(ready, live, has_profit=True, rank_by="profit", calls_per_list=1)
    # A server that was started before the costs were set needs no restart.
    assert names(before, "sort=profit") == ["Busy", "Quiet AG", "=Öl/Gas & Co"]
    assert described(before) == (True, True)
    client = create_app(ready.config).test_client()
    clients = strict_json(client.get("/clients"))["clients"]
    assert [each["profit"] for each in clients] == [40.0, None, -7.5]
    assert names(client, "sort=profit") == ["Busy", "Quiet AG", "=Öl/Gas & Co"]
    csv_head, first, *_ = client.get("/clients?format=csv").text.splitlines()
    assert csv_head.endswith(",profit")
    assert first.endswith(",40.0")
    page = client.get("/clients", headers={"Accept": "text/html"}).text
    assert '<td role="cell" class="number profit">40</td>' in page
    assert "No usable value is known, so nobody can say whether a call pays." in page
    assert "A call to these costs more than it is expected to keep." in page


def test_a_list_by_risk_says_where_the_teams_calls_end(ready: Project) -> None:
    client = create_app(ready.config).test_client()
    live = strict_json(client.get("/clients"))["release"]
    rank(ready, live, calls_per_list=2)
    page = client.get("/clients", headers=BROWSER).text
    before, after = page.split("Beyond your team&#39;s 2 calls.")
    assert "Öl/Gas" in before
    assert "Busy" not in before
    assert "Busy" in after
    for order in ("client", "-place"):
        page = client.get(f"/clients?sort={order}", headers=BROWSER).text
        assert "your team" not in page
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(views, "PER_PAGE", 1)
        later = client.get("/clients?page=3", headers=BROWSER).text
    assert "Beyond your team&#39;s 2 calls." in later  # true on every page from there on


def test_clients_are_filtered_by_segment_on_the_page_and_in_json_and_csv(ready: Project) -> None:
    client = create_app(ready.config).test_client()
    live = strict_json(client.get("/clients"))["release"]
    rank(ready, live, segments=["branch"])
    assert names(client, "segment=branch%3DNorth%2FWest") == ["Quiet AG", "Busy"]
    assert names(client, "segment=branch%3DNorth%2FWest&tier=low&segment=") == ["Busy"]
    assert names(client, "segment=branch%3D") == ["=Öl/Gas & Co"]
    assert names(client, "segment=branch%3DNorth") == names(client, "segment=branch%3Dx") == []
    for wrong in ("segment=North", "segment=region%3Dx", "segment=branch%3D&segment=branch%3D"):
        assert problem(client.get(f"/clients?{wrong}"), 400).endswith("the columns are: branch")
    one = strict_json(client.get("/clients/Busy"))
    assert one["segments"] == {"branch": "North/West"}
    answer = client.get("/clients?format=csv").text
    in_csv = [row["segment_branch"] for row in csv.DictReader(io.StringIO(answer))]
    assert in_csv == ["North/West", "", "North/West"]
    page = client.get("/clients?segment=branch%3D&sort=client", headers=BROWSER).text
    assert '<option value="branch=" selected>(blank) (1)</option>' in page
    assert '<option value="branch=North/West">North/West (2)</option>' in page
    assert 'href="/clients?segment=branch%3D&amp;sort=client&amp;format=csv"' in page
    assert "branch: North/West" in client.get("/clients/Busy", headers=BROWSER).text
    document = strict_json(client.get("/openapi.json"))
    assert "segments" in document["components"]["schemas"]["RankedClient"]["properties"]


def test_a_segment_column_with_very_many_texts_is_no_filter_of_the_page(ready: Project) -> None:
    count = 501
    about = {
        "time": NOW,
        "release": "000001-a",
        "ranked": "open clients",
        "total": count,
        "tiers": {"high": count, "medium": 0, "low": 0},
        "thresholds": {"high": 0.5, "medium": 0.25},
        "segments": ["manager"],
    }
    rows = [(n, f"c{n}", "high", 0.9, "", "", None, None, None) for n in range(1, count + 1)]
    details = [(row[0], "[]", "{}") for row in rows]
    segments = [(row[0], 0, f"m{row[0]}") for row in rows]
    lookup_db_writer.write_book(ready.config.client_book, about, rows, details, segments=segments)
    client = create_app(ready.config).test_client()
    page = client.get("/clients", headers=BROWSER).text
    assert "manager: too many to choose from" in page
    assert names(client, "segment=manager%3Dm7") == ["c7"]


def test_it_is_paged_filtered_searched_and_sorted(ready: Project) -> None:
    at_risk = {"high": 8.81, "medium": None, "low": 119.2}
    rank(ready, "000001-a", value_at_risk=at_risk)
    client = create_app(ready.config).test_client()
    assert names(client, "per_page=2&page=2") == ["Busy"]
    assert names(client, "per_page=2&page=3") == []
    assert names(client, "tier=high") == ["Quiet AG", "=Öl/Gas & Co"]
    assert names(client, "tier=medium,low") == ["Busy"]
    assert names(client, "q=ÖL") == names(client, "q=+ÖL/gas+%26+co+") == ["=Öl/Gas & Co"]
    assert names(client, "sort=-value_at_risk") == ["Busy", "Quiet AG", "=Öl/Gas & Co"]


@pytest.mark.parametrize(
    "query",
    [
        "page=0",
        "page=x",
        "page=10000001",
        "per_page=0",
        "per_page=1001",
        "tier=huge",
        "tier=",
        "tier=high,",
        "sort=name",
        "sort=place;--",
        "format=xml",
        "q=a&q=b",
        "page=1&page=2",
    ],
)
def test_a_wrong_parameter_is_named(client: FlaskClient, query: str) -> None:
    assert problem(client.get(f"/clients?{query}"), 400).startswith(query.partition("=")[0])


def test_a_misspelt_parameter_gives_nobody_instead_of_all(client: FlaskClient) -> None:
    said = problem(client.get("/clients?teir=high"), 400)
    assert said == "teir: no such parameter; did you mean 'tier'?"


@pytest.mark.parametrize(("query", "headers"), [("format=csv", {}), ("", {"Accept": "text/csv"})])
def test_as_csv_no_name_can_act_as_a_formula(
    client: FlaskClient, query: str, headers: dict[str, str]
) -> None:
    response = client.get(f"/clients?{query}", headers=headers)
    assert response.mimetype == "text/csv"
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert [row["client"] for row in rows] == ["Quiet AG", "'=Öl/Gas & Co", "Busy"]
    assert (rows[1]["value"], rows[0]["reasons"]) == ("", "it is quiet")
    changes = [(row["probability_change"], row["rank_change"]) for row in rows]
    assert changes == [("0.1000", "2"), ("new", "new"), ("", "")]
    assert "is_new" not in rows[0]


def test_one_client_has_features_points_and_the_history_of_its_risk(client: FlaskClient) -> None:
    answer = strict_json(client.get("/clients/Quiet%20AG"))
    assert answer["place"] == 1
    assert answer["features"] == {
        "lastmonth_activity": 0,
        "lastyear_activity": 1,
        "number_of_employees": 9,
    }
    assert answer["release"] == answer["live_release"]
    first = answer["contributions"][0]
    assert (first["term"], first["values"], first["points"]) == ("lastmonth_activity", [0], 2.0)
    assert (answer["log_odds"], answer["average_log_odds"], answer["threshold"]) == (2.0, 0.0, 0.5)
    history = [(found["time"], found["probability"]) for found in answer["history"]]
    assert history == [("2026-02-01", 0.7808), (NOW, 0.8808)]
    assert {found["release"] for found in answer["history"]} == {answer["release"]}


def test_what_was_done_with_a_client_is_shown_latest_first_and_inert(
    client: FlaskClient, project: Project
) -> None:
    assert strict_json(client.get("/clients/Quiet%20AG"))["actions"] == []
    assert "What was done" not in client.get("/clients/Quiet AG", headers=BROWSER).text
    folder = project.root / "actions"
    folder.mkdir()
    (folder / "a.csv").write_text(
        "client,date,action,cost,note\n"
        "Quiet AG,2026-05-01,call,12.5,<script>alert(1)</script>\n"
        "Busy,2026-05-02,call,,\n"
        "Quiet AG,2026-05-03,visit,,\n"
        "Quiet AG,2026-05-03,offer,1000,\n"
    )
    ingestion.run(project.config)
    assert strict_json(client.get("/clients/Quiet%20AG"))["actions"] == [
        {"date": "2026-05-03", "action": "offer", "cost": 1000.0, "note": ""},
        {"date": "2026-05-03", "action": "visit", "cost": None, "note": ""},
        {
            "date": "2026-05-01",
            "action": "call",
            "cost": 12.5,
            "note": "<script>alert(1)</script>",
        },
    ]
    page = client.get("/clients/Quiet AG", headers=BROWSER).text
    assert "<p>Last contact on 3 May 2026.</p>" in page
    assert page.index("offer</td>") < page.index("visit</td>") < page.index("call</td>")
    assert "&lt;script&gt;alert(1)" in page
    project.config.actions.write_bytes(b"x" * 5000)
    assert strict_json(client.get("/clients/Quiet%20AG"))["actions"] == []


def test_who_was_contacted_lately_is_left_out_where_that_is_asked_for(
    client: FlaskClient, project: Project
) -> None:
    assert "last_contact" not in client.get("/clients").text
    release = strict_json(client.get("/clients"))["release"]
    day = clock.days_ago(2)
    rank(project, release, contacted=[(1, day)], rest_days=3)
    answer = strict_json(client.get("/clients"))
    assert [item["last_contact"] for item in answer["clients"]] == [day, None, None]
    assert names(client, "contacted=not+lately") == ["=Öl/Gas & Co", "Busy"]
    assert names(client, "contacted=lately") == ["Quiet AG"]
    assert problem(client.get("/clients?contacted=never"), 400).startswith("contacted")
    rows = list(csv.DictReader(io.StringIO(client.get("/clients?format=csv").text)))
    assert [row["last_contact"] for row in rows] == [day, "", ""]
    assert strict_json(client.get("/clients/Quiet%20AG"))["last_contact"] == day


def test_the_page_of_a_client_says_when_the_last_contact_was() -> None:
    done = [{"date": clock.days_ago(n), "action": "call", "cost": None, "note": ""} for n in (2, 9)]
    last, again = (formatting.day(clock.days_ago(n)) for n in (2, -1))
    assert one_client.last_contact([], 3) == ""
    assert one_client.last_contact(done, None) == f"Last contact on {last}."
    assert one_client.last_contact(done, 2) == f"Last contact on {last}."
    assert one_client.last_contact(done, 3) == (
        f"Last contact on {last}; to be called again from {again} on."
    )


def test_clients_held_out_are_shown_apart_with_the_reason(
    client: FlaskClient, project: Project
) -> None:
    why = "Held out: not to be called, so that what calls change can be measured."
    assert why not in client.get("/clients", headers=BROWSER).text
    assert "group" not in strict_json(client.get("/clients/Busy"))
    release = strict_json(client.get("/clients"))["release"]
    rank(project, release, held_out={"high": 1, "medium": 0, "low": 1})
    answer = strict_json(client.get("/clients"))
    assert [item["group"] for item in answer["clients"]] == ["call", "hold out", "hold out"]
    assert answer["held_out"] == {"high": 1, "medium": 0, "low": 1}
    assert names(client, "sort=-place") == ["Quiet AG", "Busy", "=Öl/Gas & Co"]
    assert names(client, "group=call") == ["Quiet AG"]
    assert names(client, "group=hold out&tier=low") == ["Busy"]
    lines = client.get("/clients?format=csv&group=hold+out").text.splitlines()
    assert [line.rpartition(",")[2] for line in lines] == ["group", "hold out", "hold out"]
    assert client.get("/clients?group=none").status_code == 400
    page = client.get("/clients", headers=BROWSER).text
    assert page.index("Quiet AG") < page.index(why) < page.index("Gas &amp; Co")
    assert page.count(why) == 1
    assert "To call <small>1</small>" in page
    assert "Held out <small>2</small>" in page
    assert why not in client.get("/clients?group=call", headers=BROWSER).text
    assert why in client.get("/clients/Busy", headers=BROWSER).text
    assert why not in client.get("/clients/Quiet AG", headers=BROWSER).text
    assert strict_json(client.get("/clients/Busy"))["group"] == "hold out"


def test_a_name_with_a_slash_and_a_missing_value_is_found(client: FlaskClient) -> None:
    answer = strict_json(client.get("/clients/" + quote("=Öl/Gas & Co", safe="")))
    assert answer["features"]["lastyear_activity"] is None
    assert answer["value"] is None
    assert answer["history"] == []


def test_a_stranger_is_a_404_that_does_not_echo_its_name(client: FlaskClient) -> None:
    assert "Nobody" not in problem(client.get("/clients/Nobody"), 404)


def test_the_points_are_those_of_the_release_that_ranked_it(
    client: FlaskClient, project: Project
) -> None:
    """A client's place came from the old model; so do its points, until the next ranking."""
    old = strict_json(client.get("/clients/Quiet%20AG"))
    version = deploy(project, intercept=-3.0)
    answer = strict_json(client.get("/clients/Quiet%20AG"))
    assert (answer["release"], answer["live_release"]) == (old["release"], version)
    assert answer["log_odds"] == old["log_odds"]
    rank(project, version)
    assert strict_json(client.get("/clients/Quiet%20AG"))["log_odds"] == -1.0


def test_without_that_release_there_are_no_points(client: FlaskClient, project: Project) -> None:
    rank(project, "000009-gone")
    answer: dict[str, Any] = strict_json(client.get("/clients/Quiet%20AG"))
    keys = ("contributions", "log_odds", "average_log_odds", "threshold")
    assert [answer[key] for key in keys] == [None] * 4
    assert answer["release"] == "000009-gone"


@pytest.mark.parametrize("route", ["/clients", "/clients/Busy"])
def test_without_a_ranking_the_answer_says_what_to_do(
    client: FlaskClient, project: Project, route: str
) -> None:
    assert client.get(route).status_code == 200
    project.config.client_book.write_bytes(b"not a book")
    assert "python reporting.py" in problem(client.get(route), 503)
    project.config.client_book.unlink()
    detail = problem(client.get(route), 503)
    assert "fullprocess.py" in detail
    assert str(project.root) not in detail


BOOKS_OF_ANOTHER_VERSION = [
    "UPDATE about SET about = json_remove(about, '$.tiers')",
    "UPDATE about SET about = json_remove(about, '$.thresholds')",
    "UPDATE about SET about = json_remove(about, '$.tiers.medium')",
    "UPDATE about SET about = '[]'",
    "DELETE FROM about",
    "DROP TABLE about",
    "DROP TABLE clients",
    "DROP TABLE details",
    "ALTER TABLE clients RENAME COLUMN tier TO level",
    "ALTER TABLE clients RENAME COLUMN value_rank TO rank_by_value",
]


@pytest.mark.slow
@pytest.mark.parametrize("change", BOOKS_OF_ANOTHER_VERSION)
def test_a_ranking_of_another_version_is_said_everywhere(
    client: FlaskClient, project: Project, change: str
) -> None:
    """As after an update, until the next run ranks anew; the model goes on serving."""
    with sqlite3.connect(project.config.client_book) as book:
        book.execute(change)
    book.close()
    for route in ("/clients", "/clients?format=csv", "/clients?tier=high", "/clients/Busy"):
        assert "python reporting.py" in problem(client.get(route), 503), route
    page = client.get("/", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert "The ranking is damaged, or of another version" in page.text
    record = {"lastmonth_activity": 0, "lastyear_activity": 1, "number_of_employees": 9}
    assert client.post("/prediction", json={"records": [record]}).status_code == 200


@pytest.mark.slow
def test_csv_holds_all_that_match_unless_a_page_is_asked_for(
    client: FlaskClient, project: Project
) -> None:
    """A download has no end at a thousand; it is read while it is sent."""
    rank_many(project, 3000)
    response = client.get("/clients?format=csv&tier=high&q=client&sort=-place")
    chunks = list(response.iter_encoded())
    assert 1 < len(chunks) < 100
    rows = list(csv.DictReader(io.StringIO(b"".join(chunks).decode())))
    assert [int(row["place"]) for row in rows] == list(range(3000, 0, -1))
    assert rows[0]["reasons"] == "one; two"
    for query, count in (("page=3&per_page=1000", 1000), ("page=2", 50), ("per_page=7", 7)):
        answer = client.get(f"/clients?format=csv&{query}")
        assert len(answer.text.splitlines()) == count + 1


def rank_many(project: Project, count: int) -> None:
    """A book of so many clients, all alike."""
    about = {
        "time": NOW,
        "release": "000001-a",
        "ranked": "open clients",
        "total": count,
        "tiers": {"high": count, "medium": 0, "low": 0},
        "thresholds": {"high": 0.5, "medium": 0.25},
    }
    rows = [
        (place, f"client {place}", "high", 0.9, "", "", None, None, None)
        for place in range(1, count + 1)
    ]
    details = [(row[0], '["one", "two"]', "{}") for row in rows]
    lookup_db_writer.write_book(project.config.client_book, about, rows, details)
