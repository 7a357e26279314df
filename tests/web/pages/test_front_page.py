"""The first screen: the state in a line, the list first, what there is to say below it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from attrition.calls.effect import KindOfAction
from attrition.core import atomic_files, clock, plain_values, releases
from attrition.ranking import lookup_db_writer
from tests.conftest import Project
from tests.support.browsing import page_of
from tests.support.effects import effect_of
from tests.support.records import decision_record
from tests.support.releases import NOW

DRIFT = {"text": "its log loss is 0.5 (0.3 expected)", "topic": "model drift"}
DATA = {"text": "tenure moves it by 0.5 log-odds", "topic": "data drift"}


def say(project: Project, *warnings: str | dict[str, str], verdict: str = "kept") -> str:
    """The front page after a run with these warnings."""
    record = decision_record(verdict=verdict, warnings=list(warnings))
    atomic_files.write_json(project.config.decision, record.to_json())
    return page_of(project)


def test_the_list_comes_before_everything_technical(ready: Project) -> None:
    html = say(ready, DRIFT, DATA)
    first = html.index("Quiet AG")
    main = html.index("<main")
    for word in ("F1", "log-odds", "log loss", "andidate"):
        assert word not in html[main:first], word
        assert word in html[first:] or word == "andidate"
    assert html.index("Clients have changed, and the model has not caught up") < first


def test_what_there_is_to_say_is_counted_above_the_list_and_linked_to(ready: Project) -> None:
    html = say(ready, DRIFT, "test data and new rows disagree", "no test data to judge by")
    above = html[: html.index("Whom to call first")]
    assert re.findall(r'<a href="#([\w-]+)">(\d [\w ]+)</a>', above) == [
        ("to-do", "1 to do"),
        ("good-to-know", "2 good to know"),
    ]
    for anchor in ("to-do", "good-to-know"):
        assert html.count(f'id="{anchor}"') == 1
    assert html.index('id="clients"') < html.index('id="to-do"') < html.index('id="good-to-know"')


def test_what_is_solved_asks_for_nothing(ready: Project) -> None:
    html = say(ready, DRIFT, verdict="deployed")
    assert "the ranking is reliable again" in html
    assert 'href="#solved">1 solved' in html
    assert 'id="to-do"' not in html
    assert 'class="attention"' not in html


def test_a_run_without_anything_to_say_has_no_list_of_it(ready: Project) -> None:
    html = say(ready)
    assert "severities" not in html
    assert "What the last run has to say" not in html


def test_columns_that_have_drifted_are_shown_and_the_others_on_demand(ready: Project) -> None:
    def table(*verdicts: str) -> str:
        columns = [
            {"column": f"c{n}", "psi": 0.004 + n, "verdict": verdict, "change": f"median {n}"}
            for n, verdict in enumerate(verdicts)
        ]
        drift = {"data": {"new rows": {"columns": columns}}}
        atomic_files.write_json(ready.config.decision, decision_record(drift=drift).to_json())
        return page_of(ready)

    html = table("no drift", "drift", "no drift")
    shown, others = html.split("The other 2 columns")
    assert re.findall(r'scope="row">(\w+)<', shown[shown.index("drift-title") :]) == ["c1"]
    assert re.findall(r'scope="row">(\w+)<', others) == ["c2", "c0"]
    assert "median 2" in others
    assert "median 0" not in others  # so small a shift is none that words could tell
    html = table("no drift", "no drift")
    assert "no drift has been found in any of the 2 columns." in html
    assert html.count('class="shifts"') == 1
    assert "The other" not in table("drift")


def test_a_study_of_calls_is_one_sentence_on_the_page(ready: Project) -> None:
    assert "Do calls help?" not in say(ready)
    record = decision_record(effect=plain_values.to_json(effect_of(310, 390)))
    atomic_files.write_json(ready.config.decision, record.to_json())
    html = page_of(ready)
    above = html[: html.index("Whom to call first")]
    assert '<p class="movement">Of 100 clients to call, calls so far have kept 8 (90%: ' in above
    (shown,) = re.findall(r"Do calls help\?</h2>\s*<p>(.*)</p>", html)
    assert shown.startswith(
        "Of 2,000 listed, 1,000 were held out: 31% of the called and 39% of the held out have "
        "left. At equal risk, calling saves 8 points (90%: 2 to 14, at whatever moment you look)."
    )


def rank(project: Project, contacted: Sequence[tuple[int, str]] = (), **more: Any) -> None:
    """Ada and Bob at high risk, Ada new there; Cyd and somebody who is gone were before."""
    names, values = ("Ada", "Bob", "Cyd", "Dan"), (50.0, 7000.0, 900.0, None)
    tiers = ("high", "high", "medium", "low")
    rows = [
        (place, name, tier, 0.9, "", "", value, value and 0.9 * value, value and place)
        for place, (name, tier, value) in enumerate(zip(names, tiers, values, strict=True), 1)
    ]
    about = {
        "time": NOW,
        "release": releases.live_release_id(project.config.prod_deployment_path),
        "ranked": "open clients",
        "total": 4,
        "tiers": {"high": 2, "medium": 1, "low": 1},
        "thresholds": {"high": 0.5, "medium": 0.25},
        "value_at_risk": {"high": 6345.0, "medium": 810.0, "low": 0.0},
        "moved": {"since": "2026-02-01T06:00:00+00:00", "came": 1, "left": 1, "gone": 1},
        **more,
    }
    details = [(row[0], "[]", "{}") for row in rows]
    moved = [("Ada", "came", 1), ("Cyd", "left", 3), ("Eve", "left", None)]
    book = project.config.client_book
    lookup_db_writer.write_book(book, about, rows, details, moved, contacted=contacted)
    project.configure(value_column="worth")


def listed(html: str) -> list[str]:
    return re.findall(r"<bdi>(\w+)</bdi></a>", html)


def test_the_page_hides_who_was_contacted_lately_and_says_how_many(ready: Project) -> None:
    today = clock.days_ago(0)
    rank(ready, [(1, today), (3, today)], rest_days=30)
    html = page_of(ready)
    assert listed(html) == ["Bob", "Dan"]
    assert "2 of 4 clients; 2 more were contacted lately and are hidden</p>" in html
    fieldset = html[html.index("Resting: contacted in the last 30 days") :]
    filters = re.findall(r'name="contacted" value="([^"]*)"( checked)?>.*<small>(\d)', fieldset)
    assert filters == [
        ("not lately", " checked", "2"),
        ("lately,not lately", "", "4"),
        ("lately", "", "2"),
    ]
    assert 'href="/clients?contacted=not+lately&amp;format=csv"' in html
    assert listed(page_of(ready, "/?contacted=lately")) == ["Ada", "Cyd"]
    everybody = page_of(ready, "/?contacted=lately,not+lately")
    assert listed(everybody) == ["Ada", "Bob", "Cyd", "Dan"]
    assert everybody.count("<small>contacted ") == 2
    (link,) = re.findall(r'href="([^"]*)"[^>]*id="everybody"', page_of(ready, "/?q=nobody"))
    assert listed(page_of(ready, link)) == ["Ada", "Bob", "Cyd", "Dan"]
    (came, _) = re.findall(r'<a href="(/\?moved=[^"]+)">', html)
    assert listed(page_of(ready, came.replace("&amp;", "&"))) == ["Ada"]
    rank(ready)
    assert "ontacted" not in page_of(ready)


def test_a_list_that_is_empty_as_all_were_contacted_says_so_and_shows_them(ready: Project) -> None:
    rank(ready, [(place, clock.days_ago(0)) for place in (1, 2, 3, 4)], rest_days=30)
    html = page_of(ready)
    assert listed(html) == []
    assert (
        "<p>All 4 who would stand here were contacted in the last 30 days, and the filter "
        "&ldquo;Hide resting&rdquo; is set. <a " in html
    )
    (link,) = re.findall(r'href="([^"]*)"[^>]*id="unhidden"', html)
    assert listed(page_of(ready, link)) == ["Ada", "Bob", "Cyd", "Dan"]
    assert "The one client who would stand here was contacted" in page_of(ready, "/?tier=low")
    assert "Try a shorter part of the name" in page_of(ready, "/?q=nobody")


def test_the_page_says_what_became_of_the_called_by_kind_of_action(ready: Project) -> None:
    effect = effect_of(310, 390)
    kinds = (KindOfAction("<call>", 1600, 0.31, 0.4), KindOfAction("visit", 20, 0.25, 0.5))
    record = decision_record(effect=plain_values.to_json(replace(effect, kinds=kinds)))
    atomic_files.write_json(ready.config.decision, record.to_json())
    html = page_of(ready)
    (table,) = re.findall(r'<table class="kinds">(.*?)</table>', html, re.DOTALL)
    cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", table)
    assert cells[4:] == ["&lt;call&gt;", "1,600", "31%", "40%", "visit", "20", "25%", "50%"]
    assert "which kind of action helps more" in html


def test_values_that_nobody_knows_have_no_sum(ready: Project) -> None:
    rank(ready, value_at_risk={"high": None, "medium": None, "low": None})
    assert "Value at risk: " not in page_of(ready).split("Whom to call first")[0]
    rank(ready, value_at_risk={"high": None, "medium": 810.0, "low": None})
    assert (
        "Value at risk: not known among clients at high risk, 810 among the clients with a known "
        "value." in page_of(ready)
    )


def test_value_and_movement_stand_above_the_list_and_lead_to_the_clients(ready: Project) -> None:
    rank(ready)
    html = page_of(ready)
    above = html[: html.index("Whom to call first")]
    said = re.sub(r"<[^>]+>", "", above)
    assert "Value at risk: 6,345 among clients at high risk, 7,155 among all clients." in said
    assert (
        "1 new at high risk, 1 no longer at high risk, 1 not listed any more since the list of "
        "1 February 2026, 06:00 UTC." in said
    )
    came, left = re.findall(r'<a href="(/\?moved=\w+)">', above)
    assert listed(page_of(ready, came)) == ["Ada"]
    assert listed(page_of(ready, left)) == ["Cyd"]


def test_the_list_is_narrowed_to_those_who_are_worth_a_call(ready: Project) -> None:
    rank(ready)
    html = page_of(ready, "/?least_value=900")
    assert listed(html) == ["Bob", "Cyd"]
    assert 'name="least_value" type="number" step="any" value="900"' in html
    assert '<details class="more" open>' in html  # a filter at work is not hidden
    assert '<details class="more">' in page_of(ready)
    assert listed(page_of(ready, "/?least_value=900&tier=high")) == ["Bob"]
    assert 'href="/clients?least_value=900&amp;format=csv"' in html


def test_without_values_and_an_earlier_list_there_is_no_such_line(ready: Project) -> None:
    html = page_of(ready)
    assert 'class="movement"' not in html
    assert "More filters" not in html
