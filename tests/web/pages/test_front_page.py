"""The first screen: the state in a line, the list first, what there is to say below it."""

from __future__ import annotations

import re

from attrition.core import atomic_files
from tests.conftest import Project
from tests.support.browsing import page_of
from tests.support.records import decision_record

DRIFT = "model drift on the new rows: log loss 0.5 (0.3 expected)"


def say(project: Project, *warnings: str, verdict: str = "kept") -> str:
    """The front page after a run with these warnings."""
    record = decision_record(verdict=verdict, warnings=list(warnings))
    atomic_files.write_json(project.config.decision, record.to_json())
    return page_of(project)


def test_the_list_comes_before_everything_technical(ready: Project) -> None:
    html = say(ready, DRIFT, "data drift in the new rows: tenure moves it by 0.5 log-odds")
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
