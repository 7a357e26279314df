"""The pages in a real Chromium, served by a real gunicorn: a client manager's way through them."""

from __future__ import annotations

import importlib.util
import itertools
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from attrition.core import atomic_files
from attrition.core.formatting import line
from attrition.model.scorecard import Scorecard
from attrition.model.terms import CategoricalTerm, KnotAxis, LevelAxis, NumericTerm
from attrition.ranking import client_pages, lookup_db_writer
from attrition.web.pages import client_list
from tests.conftest import Project
from tests.support.hostile import CLIENT_NAMES
from tests.support.releases import NOW, deploy
from tests.support.servers import ask, gunicorn

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("there is no Chromium: apt-get install chromium", allow_module_level=True)
playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
Browser, Page, expect = playwright_api.Browser, playwright_api.Page, playwright_api.expect

pytestmark = pytest.mark.slow
# No sandbox: it does not work for root, as which containers run; the pages are our own.
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# The names that a browser or a server could bend, or that would break a narrow screen.
ADDRESSES = [*CLIENT_NAMES[:1], "a/b", "/leading", "..", "%2F", "a?b#c&d=e+f", "two\nlines"]
ADDRESSES += CLIENT_NAMES[-1:]
PHONE = {"width": 360, "height": 740}
SECONDS = 10_000  # milliseconds, for everything that is waited for
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright_api.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def port(finished: Path) -> Iterator[int]:
    """A server of a project after its first run."""
    with gunicorn(Project(finished)) as port:
        yield port


@pytest.fixture
def serve() -> Iterator[Callable[..., int]]:
    """Starts servers of other projects; they stop after the pages that ask them are closed."""
    with ExitStack() as servers:
        yield lambda project, **variables: servers.enter_context(gunicorn(project, **variables))


@pytest.fixture
def open_page(browser: Any, port: int, serve: Callable[..., int]) -> Iterator[Open]:
    """Opens pages; nothing may be asked of elsewhere, refused by the policy, or go wrong."""
    complaints: list[str] = []

    def opened(path: str = "/", port: int = port, **options: Any) -> Any:
        context = browser.new_context(**options)
        contexts.enter_context(context)
        context.set_default_timeout(SECONDS)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on(
            "request",
            lambda request: (
                complaints.append(request.url)
                if not request.url.startswith(f"http://127.0.0.1:{port}/")
                else None
            ),
        )
        page.goto(f"http://127.0.0.1:{port}{path}")
        return page

    with ExitStack() as contexts:
        yield opened
    assert complaints == []


def names(page: Any) -> list[str]:
    return list(page.locator(".client bdi").all_inner_texts())


def choose(page: Any, tier: str) -> None:
    page.get_by_role("radio", name=re.compile(rf"^{tier} \d")).check()


def risks(page: Any) -> list[int]:
    return [int(text.rstrip("%")) for text in page.locator("td.risk").all_inner_texts()]


def first_client(port: int) -> dict[str, Any]:
    """All that the API knows of the client at the greatest risk."""
    (first,) = json.loads(ask(port, "/clients?per_page=1")[2])["clients"]
    found = json.loads(ask(port, str(client_pages.client_url(first["client"])))[2])
    return dict(found)


def predicted(port: int, record: dict[str, Any]) -> float:
    answer = json.loads(ask(port, "/prediction", {"records": [record]})[2])
    return float(answer["probabilities"][0])


# --- the journey ------------------------------------------------------------------------------


def test_a_manager_finds_whom_to_call_and_tries_what_would_help(open_page: Open, port: int) -> None:
    page = open_page()
    assert "clients are at high risk of leaving" in page.locator("h1").inner_text()
    assert len(names(page)) == 25
    assert risks(page) == sorted(risks(page), reverse=True)
    assert all(page.locator("td.why").all_inner_texts()[:10])
    page.evaluate("window.neverLeft = true")

    choose(page, "High")
    page.wait_for_url("**/?tier=high")
    assert set(page.locator("td.in-tier").all_inner_texts()) == {"high"}

    page.get_by_label("Find a client").press_sequentially("ag")
    page.wait_for_url("**/?q=ag&tier=high")
    assert names(page)
    assert all("ag" in name.lower() for name in names(page))
    found = json.loads(ask(port, "/clients?q=ag&per_page=1")[2])["matching"]
    expect(page.locator("#asked small").first).to_have_text(f"{found:,}")
    page.get_by_label("Find a client").fill("")
    choose(page, "All")
    page.wait_for_url(f"http://127.0.0.1:{port}/")

    page.get_by_role("button", name="Client").click()
    page.wait_for_url("**/?sort=client")
    by_name = names(page)
    assert by_name == sorted(by_name, key=str.casefold)
    assert page.get_by_role("columnheader", name="Client").get_attribute("aria-sort") == "ascending"
    page.get_by_role("link", name="Next page").click()
    page.wait_for_url("**/?sort=client&page=2")
    assert names(page)[0].casefold() >= by_name[-1].casefold()
    assert page.evaluate("window.neverLeft") is True

    second_page = names(page)
    page.locator(".client a").nth(3).click()
    expect(page.locator("h1")).to_have_text(second_page[3])
    page.locator("#what-if").get_by_label("lastmonth_activity").fill("1")
    expect(page.locator("#outcome")).to_contain_text("than the client's")
    page.go_back()
    expect(page.locator("h1")).to_contain_text("at high risk")
    assert names(page) == second_page


def test_what_if_says_what_the_api_says(open_page: Open, port: int) -> None:
    client = first_client(port)
    page = open_page(client_pages.client_url(client["client"]))
    outcome, busy = page.locator("#outcome"), {**client["features"], "lastmonth_activity": 500}
    field = page.locator("#what-if").get_by_label("lastmonth_activity")

    field.fill("500")
    expect(outcome).to_contain_text(f"{100 * predicted(port, busy):.0f}%, ")
    lower = 100 * (predicted(port, client["features"]) - predicted(port, busy))
    expect(outcome).to_contain_text(f"{lower:.1f} points lower than the client's")
    expect(page.locator(".field.changed label")).to_have_text("lastmonth_activity")

    field.fill("")
    unknown = {**client["features"], "lastmonth_activity": None}
    expect(outcome).to_contain_text(f"{100 * predicted(port, unknown):.0f}%, ")

    field.press("e")
    expect(outcome).to_contain_text("lastmonth_activity is not a number.")

    page.get_by_role("button", name="Back to the client's own values").click()
    expect(outcome).to_contain_text("with the client's own values.")
    expect(outcome).to_contain_text(f"{100 * client['probability']:.0f}%, {client['tier']}")
    assert field.input_value() == f"{client['features']['lastmonth_activity']:.15g}"
    assert outcome.get_attribute("role") == "status"


def test_further_reasons_stand_below_the_first_at_any_width(open_page: Open) -> None:
    """Beside it they would stand in one row, and below it, further in, in the next."""
    page = open_page("/?tier=high")
    for width in (PHONE["width"], 800, 1100, 1280):
        page.set_viewport_size({**PHONE, "width": width})
        first, more = (
            page.locator("td.why:has(details)").first,
            page.locator("td.why details").first,
        )
        cell, box = first.bounding_box(), more.bounding_box()
        padding = first.evaluate("cell => parseFloat(getComputedStyle(cell).paddingLeft)")
        assert box["x"] == pytest.approx(cell["x"] + padding, abs=1)
        assert box["y"] > cell["y"] + 15


def test_on_a_phone_the_first_client_is_on_the_first_screen(
    open_page: Open, serve: Callable[..., int], finished_copy: Project
) -> None:
    """Whatever there is to say about the run, and with every filter that there may be."""
    finished_copy.configure(value_column="number_of_employees")
    finished_copy.run("reporting.py")
    record = atomic_files.read_json(finished_copy.config.decision)
    topics = ("model drift", "data drift", "notice")
    record |= {"warnings": [{"text": f"it says {topic}", "topic": topic} for topic in topics]}
    atomic_files.write_json(finished_copy.config.decision, record)
    phone = {"width": 390, "height": 844}
    page = open_page("/", serve(finished_copy), viewport=phone)
    assert page.locator(".severities li").count() == 2
    expect(page.locator(".clients tbody tr").first).to_be_in_viewport(ratio=1)


def test_on_a_phone_reasons_have_the_row_and_long_names_break_between_their_words(
    open_page: Open, serve: Callable[..., int], project: Project
) -> None:
    version = deploy(project)
    features = {"lastmonth_activity": 0, "lastyear_activity": None, "number_of_employees": 9}
    fits, longer = "calls_to_the_customer_service", "average_number_of_open_complaints_by_the_month"
    reason = f"{fits} is 4, with {longer} 2: raises the risk"
    write_book(project, ["Acme"], features, version, [reason])
    page = open_page("/", serve(project), viewport=PHONE)
    row, why = page.locator(".clients tbody tr").bounding_box(), page.locator("td.why")
    assert why.inner_text() == reason
    box = why.bounding_box()
    assert box["x"] + box["width"] == pytest.approx(row["x"] + row["width"], abs=1)
    lines = page.evaluate(
        """() => [...document.querySelectorAll(".why .whole")].map((name) => {
          const [range, tops, ends] = [document.createRange(), [], []];
          for (const text of [...name.childNodes].filter((node) => node.data)) {
            range.selectNodeContents(text);
            if (range.getClientRects().length !== 1) return "broken within a word";
            tops.push(range.getBoundingClientRect().top);
          }
          return new Set(tops).size;
        })"""
    )
    assert lines == [1, 2]
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_the_report_keeps_its_names_and_pictures_readable_at_any_width(
    browser: Any, finished_copy: Project
) -> None:
    """However long a reason's first word is; on a phone wide pictures move in their frame."""
    told = Project(finished_copy.root, reports=("html",))
    told.configure(labels={"lastmonth_activity": {"label": "calls_" * 9 + "count"}})
    told.run("reporting.py")
    for width, least in ((1280, 140), (390, 140)):
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.goto(told.config.report.as_uri())
        names = page.locator(".calls tbody .client")
        assert min(one.bounding_box()["width"] for one in names.all()) >= least
        pictures = page.locator(".picture svg:not([aria-labelledby^=confusionmatrix])")
        assert pictures.count() > 3
        assert min(one.bounding_box()["width"] for one in pictures.all()) >= 600
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.close()


def test_on_a_phone_the_what_if_is_one_touch_away(open_page: Open, port: int) -> None:
    page = open_page(client_pages.client_url(first_client(port)["client"]), viewport=PHONE)
    link = page.get_by_role("link", name="What if a value were another?")
    expect(link).to_be_in_viewport(ratio=1)
    link.click()
    expect(page.locator("#what-if").get_by_label("lastmonth_activity")).to_be_in_viewport()
    tops = [page.locator(f"#{name}-title").bounding_box()["y"] for name in ("what-if", "standings")]
    assert tops == sorted(tops)


def test_the_list_is_downloaded_whole(open_page: Open, port: int) -> None:
    page = open_page("/?tier=low")
    with page.expect_download() as started:
        page.get_by_role("link", name=re.compile("^All .* as CSV$")).click()
    lines = Path(started.value.path()).read_text().splitlines()
    low = json.loads(ask(port, "/clients?per_page=1")[2])["tiers"]["low"]
    assert len(lines) == low + 1 > 26
    assert all(",low," in line for line in lines[1:])


def test_what_if_takes_known_levels_other_ones_and_none(
    open_page: Open, serve: Callable[..., int], project: Project
) -> None:
    number = NumericTerm("size", KnotAxis((0.0, 10.0), 5.0), (0.0, 1.0), 0.5, 0.1, 0.0)
    flag = NumericTerm("complain", KnotAxis((0.0, 1.0), 0.0), (0.0, 2.0), 1.0, 0.1, 0.0)
    place = CategoricalTerm("place", LevelAxis(("north", "")), (-2.0, 2.0, 4.0), "north", 0.0)
    version = deploy(project, card=Scorecard(0.0, 0.5, (number, flag), (place,), ()))
    write_book(project, ["Acme"], {"size": 0, "complain": 0, "place": "north"}, version)
    project.configure(
        numeric_columns=["size", "complain"],
        categorical_columns=["place"],
        levers=["place", "complain"],
    )
    page = open_page("/clients/Acme", serve(project))
    for column, choice, words in (
        ("place", "another value", "98%, high"),
        ("place", "missing", "88%, high"),
        ("place", "north", "12%, low"),
        ("complain", "1", "50%, high"),
        ("complain", "missing", "27%, medium"),
    ):
        page.locator("#what-if").get_by_label(column).select_option(choice)
        expect(page.locator("#outcome strong")).to_have_text(words)


def test_the_list_works_without_a_script(open_page: Open) -> None:
    page = open_page(java_script_enabled=False)
    choose(page, "High")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**/?*tier=high*")
    assert set(page.locator("td.in-tier").all_inner_texts()) == {"high"}
    page.get_by_role("button", name="Client").click()
    page.wait_for_url("**/?*sort=client*")
    assert "tier=high" in page.url
    page.get_by_label("Find a client").fill("a")
    page.get_by_label("Find a client").press("Enter")
    page.wait_for_url("**/?*q=a&*")
    assert "sort=client" in page.url
    assert names(page) == sorted(names(page), key=str.casefold)
    page.goto(page.url.partition("?")[0])
    page.get_by_role("link", name="Next page").click()
    expect(page.locator("td.place").first).to_have_text("26")


def test_the_token_is_asked_for_once(
    open_page: Open, serve: Callable[..., int], finished: Path
) -> None:
    """A browser that has been asked sends it along with what the script asks, too."""
    port = serve(Project(finished), ATTRITION_API_TOKEN="open sesame")
    assert ask(port, "/")[0] == 401
    credentials = {"username": "me", "password": "open sesame"}
    page = open_page("/", port, http_credentials=credentials)
    choose(page, "Medium")
    page.wait_for_url("**/?tier=medium")
    assert set(page.locator("td.in-tier").all_inner_texts()) == {"medium"}


def test_names_are_text_in_every_address(
    open_page: Open, serve: Callable[..., int], project: Project
) -> None:
    version = deploy(project)
    features = {"lastmonth_activity": 0, "lastyear_activity": None, "number_of_employees": 9}
    write_book(project, ADDRESSES, features, version)
    page = open_page("/", serve(project), viewport=PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for place, name in enumerate(ADDRESSES):
        page.locator(".client a").nth(place).click()
        heading = line(name, client_list.LONGEST_NAME)
        expect(page.locator("h1")).to_have_text(heading)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        page.go_back()


# --- for everybody ----------------------------------------------------------------------------

CHECKS = """() => {
  const faults = [];
  const name = (element) => (element.getAttribute("aria-label") || element.innerText || "").trim()
    || [...(element.labels || [])].map((label) => label.innerText).join("").trim();
  const say = (what, element) => faults.push(`${what}: ${element.outerHTML.slice(0, 120)}`);
  for (const e of document.querySelectorAll("a, button, input, select, summary"))
    if (!e.closest("[hidden]") && !name(e)) say("no name", e);
  let last = 0;
  for (const e of document.querySelectorAll("h1, h2, h3, h4")) {
    const level = Number(e.tagName[1]);
    if (level > last + 1) say("a level of headings is left out", e);
    last = level;
  }
  for (const e of document.querySelectorAll("svg"))
    if (!e.hasAttribute("aria-hidden") && !e.querySelector(":scope > title")) say("no text", e);
  for (const e of document.querySelectorAll("[aria-labelledby], [aria-describedby]"))
    for (const id of [e.getAttribute("aria-labelledby"), e.getAttribute("aria-describedby")])
      if (id && !document.getElementById(id)) say("names what is not there", e);
  for (const e of document.querySelectorAll("table")) if (!e.caption) say("no caption", e);
  for (const e of document.querySelectorAll("th")) if (!e.scope) say("no scope", e);
  for (const landmark of ["h1", "main", "body > header", "body > footer"])
    if (document.querySelectorAll(landmark).length !== 1) faults.push(`not one ${landmark}`);
  if (!document.documentElement.lang || !document.title) faults.push("no language or title");
  const small = [...document.querySelectorAll("main :is(a, button, summary, select)")]
    .filter((e) => e.offsetParent && e.getBoundingClientRect().height < 16);
  for (const e of small) say("too small to touch", e);
  return faults;
}"""


AXE = """async () => {
  const found = await axe.run({resultTypes: ["violations"]});
  const say = (fault) => `${fault.id}: ${fault.help}: ${fault.nodes.map((n) => n.html).join()}`;
  return [found.violations.map((fault) => say(fault).slice(0, 400)),
          found.passes.map((rule) => rule.id)];
}"""


def test_every_page_is_named_ordered_and_fits_a_phone_by_day_and_night(
    open_page: Open, port: int
) -> None:
    client = client_pages.client_url(first_client(port)["client"])
    for path in ("/", "/clients?q=nobody", client, "/docs"):
        page = open_page(path, viewport=PHONE, color_scheme="light", reduced_motion="reduce")
        page.evaluate("for (const e of document.querySelectorAll('details')) e.open = true")
        assert page.evaluate(CHECKS) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path
        assert brightness(page) > 200
        page.emulate_media(color_scheme="dark")
        assert brightness(page) < 60


def axe_faults(page: Any) -> list[str]:
    """What axe-core finds wrong with a page, by day and night, on a desktop and a phone."""
    axe = importlib.util.find_spec("axe_playwright_python")
    if axe is None or axe.origin is None:
        pytest.skip("axe-core is not installed: pip install axe-playwright-python")
    page.evaluate("for (const e of document.querySelectorAll('details')) e.open = true")
    page.evaluate(Path(axe.origin).with_name("axe.min.js").read_text())
    faults: list[str] = []
    for theme, width in itertools.product(("light", "dark"), (1280, PHONE["width"])):
        page.emulate_media(color_scheme=theme)
        page.set_viewport_size({**PHONE, "width": width})
        found, passed = page.evaluate(AXE)
        assert "color-contrast" in passed
        faults += [f"{theme}, {width} pixels wide: {fault}" for fault in found]
    return faults


def test_axe_finds_no_fault_on_any_page_by_day_or_night(
    browser: Any, open_page: Open, serve: Callable[..., int], finished_copy: Project
) -> None:
    """axe-core knows some hundred faults for who sees little, uses no mouse, or hears a page."""
    told = Project(finished_copy.root, reports=("html",))
    told.configure()
    told.run("reporting.py")
    port = serve(told)
    client = client_pages.client_url(first_client(port)["client"])
    for path in ("/", "/?tier=high&sort=client", "/clients?q=nobody", client, "/docs"):
        page = open_page(path, port, reduced_motion="reduce")
        assert axe_faults(page) == [], path
    with browser.new_context(reduced_motion="reduce") as context:
        page = context.new_page()  # the file: where it is served its policy allows no script
        page.goto(told.config.report.as_uri())
        assert axe_faults(page) == []


def brightness(page: Any) -> float:
    """Of the paper, 0 to 255."""
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, re.findall(r"\d+", paper))) / 3


def test_the_keyboard_is_enough(open_page: Open) -> None:
    page = open_page()

    def focused(what: str) -> Any:
        return page.evaluate(f"document.activeElement.{what}")

    page.keyboard.press("Tab")
    assert focused("innerText") == "Skip to the content"
    assert page.locator(".skip").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert focused("id") == "q"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.type("a")
    page.wait_for_url("**/?q=a")
    assert focused("id") == "q"
    page.keyboard.press("Tab")
    assert focused("type") == "radio"
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**/?q=a&tier=high")
    page.keyboard.press("Tab")
    assert focused("id") == "sort-client"
    page.keyboard.press("Enter")
    page.wait_for_url("**&sort=client")
    expect(page.locator("#sort-client")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**&sort=-client")
    page.keyboard.press("Tab")
    assert focused("id") == "sort-risk"


def test_on_paper_the_list_stands_without_its_controls(open_page: Open) -> None:
    page = open_page()
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator("table.clients").is_visible()
    assert brightness(page) == 255
    for control in (".asked", ".pages", ".masthead nav"):
        assert not page.locator(control).first.is_visible()


def test_a_list_that_cannot_be_loaded_is_asked_for_as_a_page(open_page: Open) -> None:
    page = open_page()
    page.route("**/clients?*", lambda route: route.fulfill(status=200, body="what is this?"))
    choose(page, "High")
    page.wait_for_url("**/?tier=high")
    page.wait_for_load_state()
    assert set(page.locator("td.in-tier").all_inner_texts()) == {"high"}


def write_book(
    project: Project,
    clients: list[str],
    features: dict[str, Any],
    version: str,
    reasons: Sequence[str] = (),
) -> None:
    """A book of these clients, all alike; without other reasons each has one of its own."""
    about = {
        "time": NOW,
        "release": version,
        "ranked": "open clients",
        "total": len(clients),
        "tiers": {"high": len(clients), "medium": 0, "low": 0},
        "thresholds": {"high": 0.5, "medium": 0.25},
    }
    rows = [
        (place, name, "high", 0.9, "", "", None, None, None)
        for place, name in enumerate(clients, start=1)
    ]
    of_block = json.dumps({name: [value] for name, value in features.items()})
    details = [
        (row[0], json.dumps(list(reasons) or [f"it is {row[1]}"[:60]]), of_block) for row in rows
    ]
    atomic_files.write_json(project.config.decision, {})
    lookup_db_writer.write_book(project.config.client_book, about, rows, details)
