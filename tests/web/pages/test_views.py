"""The pages without a browser: what they say, names that stay text, colours that can be read."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from hypothesis import example, given
from hypothesis import strategies as st

from app import create_app
from attrition.core import atomic_files, releases
from attrition.core.labels import NO_LABELS, parse_labels
from attrition.model.explanations import with_years
from attrition.model.reasons import effects
from attrition.model.scorecard import Scorecard
from attrition.model.terms import CategoricalTerm, KnotAxis, LevelAxis, NumericTerm, PairTerm
from attrition.monitoring.findings import ColumnDrift
from attrition.ranking import client_pages, lookup_db, lookup_db_writer
from attrition.ranking.lookup_db import Question
from attrition.ranking.movement import MOVES
from attrition.ranking.ranking import GROUPS
from attrition.runs import history
from attrition.web import query_parameters
from attrition.web.pages import api_docs, charts, client_list, dashboard, standings, views
from attrition.web.pages import client as one_client
from attrition.web.pages.charts import Reading
from tests.conftest import REPOSITORY, Project
from tests.support.browsing import BROWSER, page_of
from tests.support.hostile import CLIENT_NAMES
from tests.support.records import decision_record, made
from tests.support.releases import NOW, deploy
from tests.support.servers import ask, gunicorn

FEATURES = {"lastmonth_activity": 0, "lastyear_activity": None, "number_of_employees": 9}


# The scores of a model where the test data cannot tell.
BLIND: dict[str, Any] = {
    **dict.fromkeys(("f1", "f1_interval", "roc_auc", "confusion")),
    "undefined": "one label only",
}


class Tags(HTMLParser):
    """Every tag of a page with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def named(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.found if tag == name]


def rank_names(project: Project, names: list[str], features: dict[str, Any] = FEATURES) -> None:
    """A book of these clients, at falling risk, every third one in each tier."""
    tiers = [lookup_db.TIERS[place % 3] for place in range(len(names))]
    rows = [
        (place + 1, name, tier, 0.9 - place / 1000, "-0.0120", "-3", None, None, None)
        for place, (name, tier) in enumerate(zip(names, tiers, strict=True))
    ]
    about = {
        "time": NOW,
        "release": releases.live_release_id(project.config.prod_deployment_path),
        "ranked": "open clients",
        "total": len(names),
        "tiers": {tier: tiers.count(tier) for tier in lookup_db.TIERS},
        "thresholds": {"high": 0.5, "medium": 0.25},
    }
    reasons = json.dumps(["it is <quiet>", "it is small"])
    of_block = json.dumps({name: [value] for name, value in features.items()})
    details = [(row[0], reasons, of_block) for row in rows]
    lookup_db_writer.write_book(project.config.client_book, about, rows, details)


# --- the overview -----------------------------------------------------------------------------


def test_the_overview_says_whom_to_call_how_the_model_is_and_what_was_decided(
    client: FlaskClient,
) -> None:
    html = client.get("/", headers=BROWSER).text
    assert "2 of 3 clients are at high risk" in html
    assert "of 30 leavers in the test data it found 22, with 10 false alarms" in html
    assert "it is quiet" in html
    assert "+10.0 pts, up 2" in html
    assert "Kept" in html
    assert "The candidate is not better &lt;b&gt;." in html  # escaped
    assert "Data drift in lastyear_activity." in html
    for link in ("/report", "/report.pdf", "/docs", "/openapi.json"):
        assert f'href="{link}"' in html


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        (
            {"f1": 0.41},
            "The model is at work, though its F1 on the test data is 0.41, under the 0.60",
        ),
        ({"f1": 0.5982}, "its F1 on the test data is 0.5982, under the 0.6000 asked for."),
        (
            BLIND,
            "nobody knows how good it is; its score on the test data is undefined: one label only.",
        ),
        (
            {**BLIND, "cross_validated": {"f1": 0.73, "f1_interval": [0.7, 0.76]}},
            "its F1 in cross-validation is 0.73; its score on the test data is undefined: one",
        ),
        (
            {**BLIND, "cross_validated": {"f1": 0.73, "f1_interval": [0.7, 0.76]}},
            "<dt>F1 in cross-validation</dt><dd>0.730 <small>0.700 to 0.760</small></dd>",
        ),
        (
            {**BLIND, "cross_validated": {"f1": 0.41, "f1_interval": [0.4, 0.5]}},
            "though its F1 in cross-validation is 0.41, under the 0.60 asked for; its",
        ),
        (
            {"cross_validated": {"f1": 0.41, "f1_interval": [0.4, 0.5]}},
            "<dt>F1 on the test data</dt><dd>0.700 <small>0.600 to 0.800</small></dd>",
        ),
    ],
)
def test_the_overview_does_not_hide_a_weak_or_unscored_model(
    project: Project, scores: dict[str, Any], words: str
) -> None:
    deploy(project, **scores)
    assert words in page_of(project)


def test_the_overview_names_the_clients_of_whom_the_live_model_knows_less(
    project: Project,
) -> None:
    weak = {
        "conditions": ["plan <gold>", "tenure from 3 to 12"],
        "rows": 1350,
        "log_loss": 0.79,
        "interval": [0.29, 0.56],
        "left": 0.32,
        "left_interval": [0.29, 0.34],
        "predicted": 0.17,
    }
    segments = {"rows": 6500, "log_loss": 0.51, "weak": [weak]}
    live = deploy(project)
    said = (
        "plan &lt;gold&gt; and tenure from 3 to 12 (1,350 rows): 32% left, 17% predicted; "
        "log loss 0.79, over all rows 0.51."
    )
    for release, is_said in ((live, True), ("000009-other", False)):
        parts = {"release_after": release, "timings": {"check": 1.0}, "segments": segments}
        record = decision_record(**parts)
        atomic_files.write_json(project.config.decision, record.to_json())
        assert (said in page_of(project)) == is_said


def test_before_the_first_deployment_the_pages_say_what_to_do(project: Project) -> None:
    html = page_of(project)
    assert "No model is deployed yet" in html
    assert "fullprocess.py" in html
    answer = create_app(project.config).test_client().get("/clients/Acme", headers=BROWSER)
    assert answer.status_code == 503
    assert "No clients are ranked yet; run fullprocess.py, or reporting.py." in answer.text


def test_a_damaged_ranking_or_model_is_said(ready: Project) -> None:
    ready.config.client_book.write_bytes(b"not a database, whatever the name says" * 50)
    html = page_of(ready)
    assert "The ranking is damaged" in html
    assert "python reporting.py" in html
    assert "The model is at work" in html
    for card in ready.config.prod_deployment_path.glob("releases/*/scorecard.json"):
        card.write_text("{}")
    assert "python deployment.py --rollback" in page_of(ready)


def test_a_run_that_failed_is_said_before_the_list_until_one_comes_to_a_verdict(
    ready: Project,
) -> None:
    """The list and the scores beneath are those of the run before, and look as sound as ever."""
    failed = {"time": "2026-03-02T06:00:00+00:00", "verdict": "failed", "reason": "no 'revenue'"}
    record = {"run_id": "a", "scores": {}, "drift": {}, "timings": {}, **failed}
    history.record_run(ready.config.history, record, 100)
    html = page_of(ready)
    said = "The run of 2026-03-02 06:00 failed; what stands here is from before it: no &#39;revenue"
    assert html.index("The last run failed") < html.index("Whom to call first")
    assert html.index(">Do something<") < html.index(said) < html.index(">Good to know<")
    assert "Data drift in lastyear_activity." in html
    sound = {**record, "run_id": "b", "time": "2026-03-02T06:03:00+00:00", "verdict": "kept"}
    history.record_run(ready.config.history, sound, 100)
    assert "what stands here is from before it" not in page_of(ready)
    assert "The last run failed" not in page_of(ready)


def test_one_more_reason_is_read_aloud_as_one(ready: Project) -> None:
    rank_names(ready, ["Acme"])  # of two reasons
    assert '1 more<span class="hidden"> reason for' in page_of(ready)


def test_value_is_shown_where_a_column_holds_it(ready: Project) -> None:
    assert "Value at risk" not in page_of(ready)
    ready.configure(value_column="worth")
    html = page_of(ready)
    assert "Value at risk" in html
    assert ">119<" in html


# --- the list by plain links and forms --------------------------------------------------------


def names_on(html: str) -> list[str]:
    return re.findall(r"<bdi>(client \d+)</bdi></a>", html)


@pytest.fixture
def many(ready: Project) -> Project:
    rank_names(ready, [f"client {number:03}" for number in range(60)])
    return ready


@pytest.mark.slow
def test_the_list_is_searched_filtered_sorted_and_paged_without_a_script(many: Project) -> None:
    first = page_of(many)
    assert names_on(first) == [f"client {number:03}" for number in range(25)]
    assert "60 clients, page 1 of 3" in first
    assert 'href="/?page=2"' in first
    assert names_on(page_of(many, "/?page=3")) == [f"client {n:03}" for n in range(50, 60)]
    assert names_on(page_of(many, "/?q=T+01&tier=high,medium,low&sort=-client")) == [
        f"client {n:03}" for n in range(19, 9, -1)
    ]
    medium = page_of(many, "/?tier=medium")
    assert names_on(medium) == [f"client {n:03}" for n in range(1, 60, 3)]
    assert "20 of 60 clients" in medium
    assert names_on(page_of(many, "/clients?tier=medium")) == names_on(medium)


def tier_counts(html: str) -> list[str]:
    return re.findall(r"<small>([\d,]+)</small></span></label>", html)


@pytest.mark.slow
def test_with_a_search_the_tiers_count_what_it_leaves(many: Project) -> None:
    assert tier_counts(page_of(many)) == ["60", "20", "40", "20", "20"]
    # Of the ten clients 010 to 019: 012, 015, 018 are at high risk, 010, 013, 016, 019 at medium.
    for query in ("q=T+01", "q=T+01&tier=low", "q=T+01&tier=high", "q=T+01&page=2"):
        assert tier_counts(page_of(many, f"/?{query}")) == ["10", "3", "7", "4", "3"], query
    assert "3 of 60 clients" in page_of(many, "/?q=T+01&tier=low")
    assert tier_counts(page_of(many, "/?q=client&tier=low")) == ["60", "20", "40", "20", "20"]
    assert tier_counts(page_of(many, "/?q=nobody")) == ["0"] * 5


def test_the_form_says_what_was_asked_for(many: Project) -> None:
    tags = Tags(page_of(many, "/?q=client&tier=low&sort=-client"))
    assert {
        "q": next(i["value"] for i in tags.named("input") if i["name"] == "q"),
        "sort": next(b["value"] for b in tags.named("button") if b["id"] == "show"),
        "tier": next(i["value"] for i in tags.named("input") if "checked" in i),
    } == {"q": "client", "sort": "-client", "tier": "low"}
    assert orders(tags) == ["descending", "none"]
    by_risk = Tags(page_of(many, "/?sort=-probability"))
    assert orders(by_risk) == ["none", "descending"]
    assert next(b["value"] for b in by_risk.named("button") if b["id"] == "sort-risk") == "-place"


def orders(tags: Tags) -> list[str | None]:
    return [th["aria-sort"] for th in tags.named("th") if "aria-sort" in th]


def test_a_page_that_is_not_there_is_an_empty_one_with_a_way_back(many: Project) -> None:
    html = page_of(many, "/?page=99")
    assert names_on(html) == []
    assert 'href="/?page=3"' in html
    assert "No client matches." in page_of(many, "/?q=nobody")


@pytest.mark.parametrize(
    "query",
    ["tier=top", "sort=height", "page=0", "page=x", "q=a&q=b", "moved=up", "least_value=nan"],
)
def test_a_wrong_question_is_an_error_page(client: FlaskClient, query: str) -> None:
    answer = client.get(f"/?{query}", headers=BROWSER)
    assert answer.status_code == 400
    assert answer.mimetype == "text/html"
    name = query.partition("=")[0]
    assert f"{name if '_' in name else name.capitalize()}: expected" in answer.text


@pytest.mark.slow
@given(
    st.builds(
        Question,
        tiers=st.frozensets(st.sampled_from(lookup_db.TIERS), min_size=1),
        groups=st.frozensets(st.sampled_from(GROUPS), min_size=1),
        contacts=st.frozensets(st.sampled_from(lookup_db.CONTACTS), min_size=1),
        part=st.text(),
        sort=st.sampled_from(sorted(lookup_db.SORTS)),
        moved=st.sampled_from(("", *MOVES)),
        least_value=st.none() | st.floats(-1e300, 1e300),
        segments=st.dictionaries(st.sampled_from(("branch", "ö &")), st.text()).map(
            lambda chosen: tuple(chosen.items())
        ),
    ),
    st.integers(1, 99),
)
def test_an_address_asks_for_what_it_was_made_of(question: Question, number: int) -> None:
    address = client_list.address(question, number)
    with create_empty_app().test_request_context(f"/{address}"):
        # Blanks around a search are none of it.
        asked = query_parameters.question(segment_columns=("branch", "ö &"))
        assert asked == replace(question, part=question.part.strip())
        assert query_parameters.page_number() == number


def create_empty_app() -> Flask:
    app = Flask(__name__)
    app.add_url_rule("/clients", "list")
    app.add_url_rule("/clients/<path:client>", "client")
    return app


# --- names are text ---------------------------------------------------------------------------


@given(st.text(min_size=1))
@example("..")
@example("/a")
@example("a/./b")
@example("\n")
@example("%2e")
def test_every_name_comes_back_from_its_address(name: str) -> None:
    address = client_pages.client_url(name)
    tidied = urlsplit(urljoin("http://localhost/somewhere/else", address))
    with create_empty_app().test_request_context(f"{tidied.path}?{tidied.query}"):
        assert request.url_rule is not None
        found = (request.view_args or {}).get("client") or request.args["client"]
    assert found == name


@pytest.mark.slow
def test_hostile_names_are_text_and_each_has_its_page(ready: Project) -> None:
    rank_names(ready, CLIENT_NAMES)
    browser = create_app(ready.config).test_client()
    html = browser.get("/", headers=BROWSER).text
    links = [str(a["href"]) for a in Tags(html).named("a") if "/clients" in str(a.get("href"))]
    links = [link for link in links if "format=csv" not in link]
    assert len(links) == len(CLIENT_NAMES)
    for link, name in zip(links, CLIENT_NAMES, strict=True):
        answer = browser.get(urljoin("http://localhost/", link), headers=BROWSER)
        assert answer.status_code == 200, name
        shown = re.search(r"<h1><bdi>(.*?)</bdi></h1>", answer.text, re.DOTALL)
        assert shown, name
        assert "\n" not in shown[1]
        only_ours(answer.text)
        same = browser.get(urljoin("http://localhost/", link))
        assert same.get_json()["client"] == name
    only_ours(html)


@pytest.mark.slow
def test_a_name_too_long_for_an_address_has_a_link_that_works(ready: Project) -> None:
    """A server takes request lines of some 4,000 bytes."""
    names = ["a" * 3_900, "a" * 5_000, "a" * 5_001, "ä" * 650, "ä" * 700, "😀" * 334, "\n" * 1_400]
    rank_names(ready, names)
    browser = create_app(ready.config).test_client()
    links = [a["href"] for a in Tags(page_of(ready)).named("a") if "client" in str(a.get("href"))]
    addresses = [str(link) for link in links if "csv" not in str(link)]
    assert len(addresses) == len(names)
    assert sum("client_sha256=" in address for address in addresses) == 5
    for name, address in zip(names, addresses, strict=True):
        assert len(address) <= client_pages.LONGEST_ADDRESS
        assert browser.get(address).get_json()["client"] == name
        assert browser.get(address, headers=BROWSER).status_code == 200
    for digest in ("", "0" * 64, lookup_db.name_digest("short"), "ä"):
        assert browser.get(f"/clients?client_sha256={digest}").status_code == 404


def only_ours(html: str) -> None:
    """No tag, attribute or direction that a name could have brought along."""
    tags = Tags(html)
    scripts = tags.named("script")
    assert [script["src"] for script in scripts] == ["/static/page.js"] * len(scripts)
    assert not tags.named("img")
    for _, attributes in tags.found:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in html
    assert "49" not in re.findall(r"<bdi>(.*?)</bdi>", html)


@pytest.mark.parametrize("path", ["/", "/clients", "/clients/Busy", "/docs", "/nowhere"])
def test_a_page_has_nothing_inline_nothing_from_elsewhere_and_one_heading(
    client: FlaskClient, path: str
) -> None:
    html = client.get(path, headers=BROWSER).text
    only_ours(html)
    tags = Tags(html)
    for attributes in [a for _, a in tags.found]:
        for name in ("src", "href", "action"):
            assert not str(attributes.get(name, "")).startswith(("http:", "https:", "//"))
    assert len(tags.named("h1")) == len(tags.named("main")) == 1
    ids = [a["id"] for _, a in tags.found if "id" in a]
    assert len(ids) == len(set(ids))


# --- one client -------------------------------------------------------------------------------


def test_a_client_page_says_risk_reasons_points_and_history(client: FlaskClient) -> None:
    html = client.get("/clients/Quiet%20AG", headers=BROWSER).text
    assert "<strong>88%</strong>" in html
    assert "rank 1 of 3 open clients; +10.0 pts, up 2 since the last list" in html
    assert "it is quiet" in html
    assert ">+2.00</td>" in html  # its points for a month without activity, by hand
    assert "78% on 1 February 2026, then 1 change; 88% since 1 March 2026." in html
    assert 'data-high="0.5"' in html


def test_a_client_like_the_average_one_is_said_to_be(ready: Project) -> None:
    rank_names(ready, ["Acme"], {**FEATURES, "lastmonth_activity": 50, "lastyear_activity": 1})
    html = page_of(ready, "/clients/Acme")
    assert "this client is like the average one" in html
    assert "is gone" not in html


def test_a_client_whose_model_is_gone_is_shown_without_its_points(ready: Project) -> None:
    rank_names(ready, ["Acme"])
    with lookup_db.opened(ready.config.client_book) as book:
        about = {**book.about, "release": "000009-gone"}
    lookup_db_writer.write_book(
        ready.config.client_book,
        about,
        [(1, "Acme", "high", 0.9, "", "", None, None, None)],
        [(1, "[]", "{}")],
    )
    html = page_of(ready, "/clients/Acme")
    assert "000009-gone</code>, is gone" in html
    assert "what-if" not in html


def test_only_what_a_team_can_change_is_tried_out(ready: Project) -> None:
    rank_names(ready, ["Acme"])
    ready.configure(levers=["lastmonth_activity"])
    tags = Tags(page_of(ready, "/clients/Acme"))
    inputs = {i["name"]: i["type"] for i in tags.named("input") if "data-kind" in i}
    assert inputs == {
        "lastmonth_activity": "number",
        "lastyear_activity": "hidden",  # the model needs them, too
        "number_of_employees": "hidden",
    }
    assert [label["for"] for label in tags.named("label")] == ["field-1"]


def test_plain_words_come_first_and_points_on_demand(client: FlaskClient) -> None:
    html = client.get("/clients/Quiet%20AG", headers=BROWSER).text
    points = html.index('<details class="points">')
    assert html.index("it is quiet") < html.index("Where this client stands") < points
    assert points < html.index(">+2.00</td>")
    assert '<a href="/">All clients</a>' in html


def test_the_risk_over_time_has_all_its_points_up_to_now() -> None:
    readings = [("2026-02-01", 0.5), ("2026-02-11", 0.75)]
    history = [{"time": f"{day}T06:00:00+00:00", "probability": p} for day, p in readings]
    now = {"time": "2026-03-03T06:00:00+00:00", "probability": 0.75}
    assert one_client.risk_history(history[:1], now) is None
    drawn = one_client.risk_history(history, now)
    assert drawn is not None
    chart, text, points = drawn
    assert points == [("11 February 2026", "75.0%"), ("1 February 2026", "50.0%")]
    assert text == "50% on 1 February 2026, then 1 change; 75% since 11 February 2026."
    first, second = (dot.x for dot in chart.dots)  # a list made anew is no reading
    end = charts.WIDTH - charts.RIGHT
    assert end - second == pytest.approx(2 * (second - first), abs=0.2)
    assert chart.line.endswith(f"L{end:g} {chart.dots[1].y:g}")
    assert chart.last == "3 March 2026"


def test_a_client_of_whom_no_risk_is_kept_is_not_said_to_have_had_the_same() -> None:
    """Beyond the first clients of a list, or without an id, no earlier risk is kept."""
    client = {"probability": 0.25, "history": [], "probability_change": "0.0100"}
    said = "Today 25%; no earlier risk of this client is kept."
    assert one_client.risk_so_far(client, {}) == said


CARD = Scorecard(
    0.0,
    0.5,
    (NumericTerm("age", KnotAxis((0.0, 10.0, 100.0), 10.0), (1.0, 0.0, -3.0), 0.4, 0.1, 0.0),),
    (
        CategoricalTerm(
            "region",
            LevelAxis(("north", "south", standings.OTHER)),
            (0.5, -0.5, 0.0, 2.0),
            "north",
            0.0,
        ),
    ),
    (
        PairTerm(
            ("age", "region"),
            (KnotAxis((0.0, 100.0), 10.0), LevelAxis(("north",))),
            ((0.0, 0.0), (1.0, 0.0)),
            0.0,
        ),
    ),
)


def explained(features: dict[str, Any]) -> list[dict[str, Any]]:
    table = {column: [value] for column, value in features.items()}
    return [effect._asdict() for effect in effects(CARD, table)[0]]


def test_drivers_stand_by_strength_and_point_up_or_down() -> None:
    drivers = one_client.drivers(explained({"age": 55.0, "region": "north"}))
    assert [(d.name, d.value, d.points, d.raises) for d in drivers] == [
        ("age", "55", "\N{MINUS SIGN}1.50", False),
        ("age with region", "55, north", "+0.55", True),
        ("region", "north", "+0.50", True),
    ]
    assert (drivers[0].bar.start, drivers[0].bar.width) == (0.0, 50.0)
    assert (drivers[2].bar.start, round(drivers[2].bar.width, 1)) == (50.0, 16.7)


def test_a_column_of_no_and_yes_has_two_bars_in_words_and_no_curve() -> None:
    term = NumericTerm("complain", KnotAxis((0.0, 1.0), 0.0), (-1.0, 1.0), 0.0, 0.0, 0.0)
    model = Scorecard(0.0, 0.5, (term,), (), ())
    labels = parse_labels({"complain": {"values": {"0": "no complaint", "1": "complained"}}})
    (standing,) = standings.standings(model, {"complain": 1.0}, ["complain"], labels)
    assert standing.chart is None
    assert [(one.name, one.risk, one.width, one.is_own) for one in standing.levels] == [
        ("complained", "73%", 73.1, True),
        ("no complaint", "27%", 26.9, False),
    ]
    for between in (0.5, None):  # its place is at no bar
        (standing,) = standings.standings(model, {"complain": between}, ["complain"])
        assert standing.chart
    ((field,), _) = one_client.fields(model, {"complain": 1.0}, ["complain"], labels=labels)
    assert (field.kind, field.hint) == ("number", "")
    assert [(o.value, o.text, o.is_chosen) for o in field.options] == [
        ("0", "no complaint", False),
        ("1", "complained", True),
        ("", one_client.MISSING, False),
    ]
    ((field,), _) = one_client.fields(model, {"complain": 0.5}, ["complain"])
    assert [o.value for o in field.options if o.is_chosen] == ["0.5"]


def test_of_many_levels_the_most_telling_are_named_and_the_others_counted() -> None:
    levels = tuple(f"level {number}" for number in range(9))
    points = (*(0.25 * number for number in range(9)), 0.0)
    term = CategoricalTerm("region", LevelAxis(levels), points, "level 4", 1.0)
    model = Scorecard(-1.0, 0.5, (), (term,), ())
    (standing,) = standings.standings(model, {"region": "level 4"}, ["region"])
    shown = [one.name[-1] for one in standing.levels]
    assert shown == ["8", "7", "4", "2", "1", "0"]  # its own, and the farthest from it
    assert [one.name for one in standing.levels if one.is_own] == ["level 4"]
    # By hand: 1 / (1 + exp(1 - 0.75)) and 1 / (1 + exp(1 - 1.5)).
    assert standing.remark == "3 more values: 44% to 62%"


def test_a_year_has_no_comma_on_a_clients_page() -> None:
    term = NumericTerm("since", KnotAxis((1990.0, 2019.0), 2000.0), (-1.0, 1.0), 0.0, 0.0, 0.0)
    model = Scorecard(0.0, 0.5, (term,), (), ())
    labels = with_years(model, NO_LABELS)
    (standing,) = standings.standings(model, {"since": 2019.0}, ["since"], labels)
    assert standing.value == "2019"
    assert across(standing) == ["1990", "1995", "2000", "2005", "2010", "2015"]
    ((field,), _) = one_client.fields(model, {"since": 2019.0}, ["since"], labels=labels)
    assert field.hint == "usually 2000"


def across(standing: standings.Standing) -> list[str]:
    """What is written below a curve."""
    assert standing.chart
    return [tick.text for tick in standing.chart.across]


def test_where_most_clients_would_crowd_the_axis_is_stretched_and_the_page_says_so(
    ready: Project,
) -> None:
    knots = (0.0, 1.0, 2.0, 3.0, 4.0, 1000.0)
    term = NumericTerm("spend", KnotAxis(knots, 2.0), (0.0, 1.0, 2.0, 3.0, 4.0, 5.0), 0.0, 0.0, 0.0)
    model = Scorecard(-2.0, 0.5, (term,), (), ())
    (standing,) = standings.standings(model, {"spend": 502.0}, ["spend"])
    assert standing.remark == "Axis stretched, not to scale"
    assert across(standing) == ["0", "2", "3", "1,000"]
    assert standing.chart
    room = charts.WIDTH - charts.LEFT - charts.RIGHT
    assert standing.chart.dots[0].x == pytest.approx(charts.LEFT + 0.9 * room, abs=0.1)
    deploy(ready, card=model)
    rank_names(ready, ["Acme"], {"spend": 502.0})
    ready.configure(numeric_columns=["spend"])
    assert "Axis stretched, not to scale" in page_of(ready, "/clients/Acme")


def test_a_client_stands_on_the_curve_where_its_value_is() -> None:
    (age, region) = standings.standings(CARD, {"age": 55.0, "region": "south"}, ["age", "region"])
    assert age.chart
    line = [tuple(map(float, point.split())) for point in age.chart.line[1:].split("L")]
    (dot,) = age.chart.dots
    # 55 is halfway from the second of three knots, 10, to the last, 100; the axis is to scale.
    assert (dot.x, dot.y) == pytest.approx(line[6], abs=0.1)
    room = charts.WIDTH - charts.LEFT - charts.RIGHT
    assert dot.x == pytest.approx(charts.LEFT + 0.55 * room, abs=0.1)
    assert line[4][0] == pytest.approx(charts.LEFT + 0.1 * room, abs=0.1)
    assert (len(line), across(age)) == (9, ["0", "20", "40", "60", "80", "100"])
    assert not age.remark
    # By hand: 1 / (1 + exp(2)) with the client's values; -0.5 - 3 and 1 - 0.5 at the ends.
    assert (
        "age is 55, and the risk 12%; with other values of it, all else being equal, " in age.text
    )
    assert age.text.endswith("the risk goes from 3% to 62%.")
    assert [(one.name, one.risk) for one in region.levels if one.is_own] == [("south", "12%")]
    assert age.chart.ticks[0].text == "0%"


def test_a_missing_value_stands_nowhere_on_the_curve() -> None:
    (age,) = standings.standings(CARD, {"age": None, "region": "south"}, ["age"])
    assert age.chart
    assert age.chart.dots == ()
    # By hand: 0.4 - 0.5, and the usual value in the pair, which says nothing of the south.
    assert age.remark == "A missing value is not on the curve: 48%"


@pytest.mark.parametrize(
    ("flat", "named"),
    [(["level"], "level"), ([*"abcdefgh"], "a, b, c, d, e, f and 2 more columns")],
)
def test_a_column_that_makes_hardly_any_difference_is_named_without_a_picture(
    ready: Project, flat: list[str], named: str
) -> None:
    terms = [
        NumericTerm(name, KnotAxis((0.0, 9.0), 2.0), points, 0.0, 0.0, 0.0)
        for name, points in (("steep", (0.0, 2.0)), *((name, (0.0, 0.01)) for name in flat))
    ]
    deploy(ready, card=Scorecard(0.0, 0.5, tuple(terms), (), ()))
    ready.configure(numeric_columns=["steep", *flat])
    rank_names(ready, ["Acme"], dict.fromkeys(["steep", *flat], 1.0))
    page = page_of(ready, "/clients/Acme")
    standing = page[page.index("Where this client stands") : page.index("The points behind it")]
    assert re.findall(r"<figcaption><strong>(\w+)<", standing) == ["steep"]
    assert f"Other values of {named} make hardly any difference here." in standing


def test_of_many_points_the_weakest_are_one_row_and_all_add_up() -> None:
    contributions = [
        {"columns": [f"c{n}"], "values": [1.0], "points": (-1) ** n * 0.5**n} for n in range(20)
    ]
    weak = [{**one, "points": 0.2 - number / 100} for number, one in enumerate(contributions)]
    drivers = one_client.drivers(weak)
    assert [driver.name for driver in drivers[:2]] == ["c0", "c1"]
    assert (len(drivers), drivers[-1].name, drivers[-1].points) == (
        16,
        "5 more columns and pairs",
        "+0.15",  # 0.05 to 0.01
    )
    # Of falling ones eight can be seen with two decimals.
    assert len(one_client.drivers(contributions)) == 8


def test_a_form_hints_in_the_form_that_its_field_takes() -> None:
    labels = parse_labels({"age": {"label": "share", "format": "percent"}})
    features = {"age": 55.0, "region": "south"}
    (age,), _ = one_client.fields(CARD, features, ["age", "region"], labels=labels)
    assert (age.value, age.hint) == ("55", "usually 10")
    (standing,) = standings.standings(CARD, features, ["age"], labels)
    assert across(standing) == ["0%", "2,000%", "4,000%", "6,000%", "8,000%", "10k%"]


def test_a_form_offers_known_values_other_ones_and_none() -> None:
    features = {"age": None, "region": "a place nobody knew"}
    order = one_client.columns_by_points(CARD, explained({"age": float("nan"), "region": "x"}))
    assert order == ["region", "age"]
    (region, age), fixed = one_client.fields(CARD, features, order, ["age", "region"])
    assert fixed == []
    assert one_client.fields(CARD, features, order) == ([age], [region])  # numbers are usual levers
    assert (age.value, age.hint, age.options) == ("", "usually 10", ())
    assert [(o.value, o.is_chosen) for o in region.options] == [
        ("north", False),
        ("south", False),
        (standings.OTHER, False),
        ("a place nobody knew", True),
        (f"{standings.OTHER}…", False),
        ("", False),
    ]
    other = next(o.value for o in region.options if o.value.endswith("…"))
    assert CARD.log_odds({"age": [0.0], "region": [other]}) == pytest.approx([3.0])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Contract is Two year", "Contract is Two year"),
        ("n_orders is 1", '<span class="whole">n_<wbr>orders</span> is 1'),
        ("dayCharge of <b>", '<span class="whole">day<wbr>Charge</span> of &lt;b&gt;'),
        ("__a &amp_x", ""),
    ],
)
def test_names_break_at_their_joints_and_stay_text(text: str, shown: str) -> None:
    broken = str(views.breakable(text))
    assert html.unescape(re.sub(r"<wbr>|<span class=\"whole\">|</span>", "", broken)) == text
    if shown:
        assert broken == shown


# --- charts -----------------------------------------------------------------------------------


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_ticks_are_few_and_embrace_the_range(low: float, span: float) -> None:
    ticks = charts.round_ticks(low, low + span)
    assert 2 <= len(ticks) <= 6
    width = ticks[1] - ticks[0]
    assert ticks[0] <= low + 1e-6 * width
    assert ticks[-1] >= low + span - 1e-6 * width


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40))
def test_a_trend_stays_within_its_frame_and_higher_is_up(values: list[float]) -> None:
    drawn = charts.trend([Reading(str(n), v) for n, v in enumerate(values)], str)
    for dot in drawn.dots:
        assert charts.LEFT <= dot.x <= charts.WIDTH - charts.RIGHT
        assert charts.TOP <= dot.y <= charts.HEIGHT - charts.BOTTOM
    for first, value in zip(drawn.dots, values, strict=True):
        for second, other in zip(drawn.dots, values, strict=True):
            assert value <= other or first.y <= second.y


def test_a_staircase_holds_each_value_until_the_next() -> None:
    drawn = charts.staircase([Reading("a", 0.0), Reading("b", 1.0)], [0.0, 9.0], str)
    right, top = charts.WIDTH - charts.RIGHT, charts.TOP
    floor = charts.HEIGHT - charts.BOTTOM
    assert drawn.line == f"M{charts.LEFT:g} {floor:g}L{right:g} {floor:g}L{right:g} {top:g}"


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["0", "12", "29", "40"], ["0", "12", "29", "40"]),
        (["-1.00e+300", "-1.5e+299", "6e+299", "1.00e+300"], ["-1.00e+300", "6e+299", "1.00e+300"]),
        (
            ["-1e+300", "a", "6", "b", "c", "5.58e+299", "d", "1.00e+300"],
            ["-1e+300", "6", "b", "c", "1.00e+300"],
        ),
    ],
)
def test_labels_below_a_curve_never_overlap(names: list[str], shown: list[str]) -> None:
    places = [place / (len(names) - 1) for place in range(len(names))]
    labels = list(zip(places, names, strict=True))
    drawn = charts.curve([(0, 0.1), (1, 0.2)], labels, (0, 0.1), (0, 1), str)
    assert [tick.text for tick in drawn.across] == shown


def test_trends_need_two_readings_and_mark_deployments_and_drift() -> None:
    score = {"f1": 0.7, "f1_interval": [0.6, 0.8]}
    drift = {"data": {"new rows": {"columns": [{"column": "a", "psi": 0.4, "verdict": "drift"}]}}}
    newest = decision_record(scores={"test data": score}, drift=drift)
    oldest = decision_record(verdict="deployed", candidate_score=score)
    assert dashboard.trends([newest], []) == []
    (f1,) = dashboard.trends([newest, oldest], [{"time": NOW, "base_rate": 0.2}])
    assert [dot.marked for dot in f1.chart.dots] == [True, False]
    assert f1.chart.band
    assert "From 0.70 (1 March 2026) to 0.70 (0.60 to 0.80)" in f1.text
    _, shift = dashboard.trends([newest, newest, oldest], [])
    assert [dot.marked for dot in shift.chart.dots] == [True, True]


def test_columns_are_told_by_how_far_they_moved() -> None:
    columns = [
        made(ColumnDrift, column="calm", psi=0.01, verdict="no drift"),
        made(ColumnDrift, column="<b>", psi=0.5, verdict="drift", change="median 1, was 2"),
        made(ColumnDrift, column="few", psi=None, verdict="insufficient data"),
    ]
    found = dashboard.shifts(columns)
    assert [(s.column, s.share, s.has_drifted) for s in found] == [
        ("<b>", 1.0, True),
        ("calm", 0.02, False),
        ("few", 0.0, False),
    ]
    calm = decision_record(drift={"data": {"test data": {"verdict": "no drift"}}})
    assert dashboard.newest_comparison(calm) == ("test data", ())


def test_the_weeks_show_the_last_list_of_each_and_need_two() -> None:
    """2026-03-02 is a Monday."""
    lists = [("2026-03-03", 5), ("2026-03-08", 7), ("2026-03-09", 4), ("2026-03-30", 9)]
    readings: list[dict[str, Any]] = [
        {"time": f"{day}T06:00:00+00:00", "high": n, "value_at_risk": None, "least": 0.3}
        for day, n in lists
    ]
    assert dashboard.weeks(readings[:2]) == []
    (clients,) = dashboard.weeks(readings)
    assert [dot.text for dot in clients.chart.dots] == [
        "2 March 2026: 7",
        "9 March 2026: 4",
        "30 March 2026: 9",
    ]
    first, second, third = (dot.x for dot in clients.chart.dots)
    assert third - second == pytest.approx(3 * (second - first), abs=0.2)  # the axis is time
    assert clients.text == "9 in the week of 30 March 2026, 7 in that of 2 March 2026."
    assert clients.legend == "at the end of each week"
    readings = [{**one, "value_at_risk": 1000.0 * one["high"]} for one in readings]
    readings[2]["least"] = readings[3]["least"] = 0.4
    assert dashboard.weeks(readings)[0].legend == (
        "at the end of each week; high risk begins at 40% since the week of 9 March 2026 "
        "(before: 30%)"
    )
    assert dashboard.weeks(readings)[1].chart.dots[0].text == "2 March 2026: 7,000"


# --- the documentation and errors -------------------------------------------------------------


def test_the_documentation_tells_every_route_of_the_openapi_document(client: FlaskClient) -> None:
    html = client.get("/docs", headers=BROWSER).text
    document = client.get("/openapi.json").get_json()
    for path, item in document["paths"].items():
        for method in item:
            assert f"<span>{method.upper()}</span> {path}</code>" in html.replace(
                ' class="method"', ""
            )
    assert "MLflow" in html


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_call_of_the_documentation_works_as_it_stands(ready: Project) -> None:
    with gunicorn(ready) as port:
        page = ask(port, "/docs", Accept="text/html")[2].decode()
        calls = [html.unescape(call) for call in re.findall(r"<code>(curl .*?)</code>", page, re.S)]
        assert len(calls) == 19
        for call in calls:
            done = subprocess.run(
                f"{call} --silent --fail-with-body", shell=True, capture_output=True
            )
            assert done.returncode == 0, (call, done.stdout)


def test_references_and_examples_of_a_document_are_followed() -> None:
    document = {
        "paths": {
            "/do": {
                "parameters": [{"$ref": "#/components/parameters/size"}],
                "post": {
                    "requestBody": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/It"}}
                        }
                    },
                    "responses": {"200": {"description": "done"}},
                },
            }
        },
        "components": {
            "parameters": {
                "size": {
                    "name": "size",
                    "in": "query",
                    "schema": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
                }
            },
            "schemas": {"It": {"examples": [{"it's": 1}]}},
        },
    }
    ((operation,),) = api_docs.operations(document, "http://here").values()
    assert operation.parameters[0].kind == "integer, 1 to 9, usually 3"
    assert operation.answers[0].meaning == "done"
    command = operation.call.replace("curl", "printf '%s\n'", 1)
    said = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == [
        "-X",
        "POST",
        "http://here/do",
        "-H",
        "Content-Type: application/json",
        "-d",
        '{"it\'s": 1}',
    ]


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"enum": ["", "came", "left"]}, "came | left"),
        ({"type": "array", "items": {"enum": ["high", "low"]}}, "some of high | low"),
        ({"type": "array", "items": {"type": "string"}}, "any number of strings"),
    ],
)
def test_a_page_says_what_a_parameter_may_be(schema: dict[str, Any], kind: str) -> None:
    parameter = {"name": "q", "in": "query", "schema": schema}
    document = {"paths": {"/ask": {"get": {"parameters": [parameter]}}}}
    ((operation,),) = api_docs.operations(document, "http://here").values()
    assert operation.parameters[0].kind == kind


def test_errors_are_pages_for_a_browser(ready: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = create_app(ready.config).test_client().get("/clients/No%20One", headers=BROWSER)
    assert answer.status_code == 404
    assert "There is no such client in the ranking." in answer.text
    monkeypatch.setenv("ATTRITION_API_TOKEN", "secret")
    stranger = create_app(ready.config).test_client()
    refused = stranger.get("/", headers=BROWSER, environ_base={"REMOTE_ADDR": "192.0.2.7"})
    assert refused.status_code == 401
    assert "<h1>Unauthorized</h1>" in refused.text
    assert "A password is needed: the access token, with any user name" in refused.text
    assert "Quiet AG" not in refused.text


# --- what the pages are made of ---------------------------------------------------------------


@pytest.mark.slow
def test_pages_load_no_heavy_library(ready: Project) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from wsgi import app\n"
        "client = app.test_client()\n"
        "for route in ('/', '/clients', '/clients/Busy', '/docs'):\n"
        "    answer = client.get(route, headers={'Accept': 'text/html'})\n"
        "    assert answer.status_code == 200 and answer.mimetype == 'text/html', route\n"
        "heavy = 'pandas sklearn matplotlib duckdb seaborn scipy joblib'.split()\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, REPOSITORY],
        env={"ATTRITION_CONFIG": str(ready.config_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.stdout == "[]\n", result.stderr


def palettes() -> dict[str, dict[str, str]]:
    """Scheme -> name -> colour, as the style sheets have them."""
    light: dict[str, str] = {}
    dark: dict[str, str] = {}
    for name in ("colours.css", "page.css"):
        text = (REPOSITORY / "static" / name).read_text()
        before, _, after = text.partition("@media (prefers-color-scheme: dark)")
        light |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", before))
        dark |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", after))
    return {"light": light, "dark": {**light, **dark}}


def contrast(first: str, second: str) -> float:
    """The contrast of two colours by WCAG 2.2, 1 to 21."""

    def luminance(colour: str) -> float:
        channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_can_be_read(scheme: str) -> None:
    """WCAG AA: 4.5 for text, 3 for marks and the edges of what can be pressed."""
    colours = palettes()[scheme]
    texts = [(t, p) for t in ("ink", "soft", "accent") for p in ("paper", "card")]
    for text, paper in [*texts, ("warn", "warn-paper"), ("paper", "accent")]:
        assert contrast(colours[text], colours[paper]) >= 4.5, (text, paper)
    for mark in ("alarm", "accent", "edge", "soft"):
        assert contrast(colours[mark], colours["paper"]) >= 3, mark


def test_the_contrast_is_computed_as_defined() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
