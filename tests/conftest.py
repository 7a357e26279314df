"""What several test files share: an empty project in a temporary folder, and the scripts."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from attrition.core import atomic_files
from attrition.core.config import STANDARD_FOLDERS, Config
from attrition.core.config_parsing import load_config
from attrition.data.synthetic import client_rows, csv_text
from attrition.runs import idle
from tests.support.script_runner import Job, ScriptRunner, shared_runner, unmeasured
from tests.support.sweeping import Undisturbed, undisturbed

if TYPE_CHECKING:
    from flask.testing import FlaskClient

REPOSITORY = Path(__file__).resolve().parent.parent
# Test files of which one worker runs all: they share Java machines, a browser.
TOGETHER = {
    "tests/engines/spark/": "spark",
    "tests/system/test_sparkcluster": "spark",
    "tests/system/test_browser": "browser",
}
FOLDERS = STANDARD_FOLDERS
FORMS = ("html", "pdf")  # of the report
HEADER = "corporation,lastmonth_activity,lastyear_activity,number_of_employees,exited"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--complete", action="store_true", help="do the long sweeps whole, not sampled"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Hypothesis tries fewer examples where the long sweeps are sampled; no token is needed."""
    settings.register_profile("sampled", max_examples=30)
    settings.load_profile("default" if config.getoption("complete") else "sampled")
    os.environ.pop("ATTRITION_API_TOKEN", None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests that share a costly beginning stay together; any other goes to the next free worker.

    The mark xdist_group would say so, too, but is passed over from pytest 9.2 on (pytest-xdist's
    issue 1386).
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return next((TOGETHER[start] for start in TOGETHER if nodeid.startswith(start)), nodeid)

    return Scheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None]:
    """Imports and tests stay until the end: no search for garbage among them, a quarter faster."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long ones first, longest in tests/system: a worker would be left alone with the last."""

    def rank(item: pytest.Item) -> tuple[bool, bool]:
        is_quick = item.get_closest_marker("slow") is None
        return is_quick, not item.nodeid.startswith("tests/system/")

    items.sort(key=rank)
    if not config.getoption("complete"):
        left_out = pytest.mark.skip(reason="in the complete run alone (make test-all)")
        for item in items:
            if item.get_closest_marker("complete"):
                item.add_marker(left_out)


@dataclass(frozen=True)
class Suite:
    """How much of the long sweeps is to be done, and what they came to.

    Attributes:
        is_complete: whether they are done whole (make test-all) or sampled (make test).
        record: keeps a figure for the end of the run, also from another worker.
    """

    is_complete: bool
    record: Callable[[str, object], None]

    def tell(self, count: int, what: str) -> None:
        """Have a figure added up with those of the same name, and printed at the end."""
        self.record("figure", (what, count))


@pytest.fixture
def suite(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Suite:
    """How much to do, and where to tell what it came to."""
    return Suite(bool(request.config.getoption("complete")), record_property)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that stand in docs/reliability.md."""
    figures: Counter[str] = Counter()
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == "figure":
                figures[value[0]] += value[1]
    if figures:
        terminalreporter.section("figures")
    for what, count in sorted(figures.items()):
        terminalreporter.write_line(f"{count:>8,}  {what}")


@dataclass(frozen=True)
class Project:
    """A project folder of its own: the five folders and a config.json.

    No index is asked, and no report is drawn unless `reports` names its forms: drawing takes most
    of a small run's time.
    """

    root: Path
    reports: tuple[str, ...] = ()

    @property
    def config_path(self) -> Path:
        return self.root / "config.json"

    @property
    def config(self) -> Config:
        return load_config(self.config_path)

    def configure(self, **settings: Any) -> None:
        """Write config.json with these settings beside the folders; others keep their defaults."""
        quiet: dict[str, Any] = {"package_check": False, "reports": self.reports}
        self.config_path.write_text(json.dumps({**FOLDERS, **quiet, **settings}))

    def write(self, path: str, text: str) -> Path:
        """Write a text file below the project folder."""
        target = self.root / path
        target.write_text(text, encoding="utf-8")
        return target

    def let_rest(self) -> None:
        """Note that the last run left what is there now."""
        config = self.config
        state = idle.finished_state(config, idle.observe_inputs(config))
        decided = atomic_files.read_json(config.decision)
        atomic_files.write_json(config.decision, {**decided, idle.STATE: state})
        assert idle.rests(["--config", str(self.config_path)])

    def command(self, script: str | Path) -> list[str]:
        """What starts a script on this project in a Python of its own."""
        return [sys.executable, str(REPOSITORY / script), "--config", str(self.config_path)]

    def run(
        self, script: str, *arguments: str, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a stage script on this project as its user would, from another folder."""
        job = Job(script.removesuffix(".py"), str(self.config_path), arguments)
        ended = shared_runner().run(job)
        assert not check or ended.code == 0, ended.text
        return subprocess.CompletedProcess(script, ended.code, ended.stdout, ended.stderr)


@pytest.fixture
def make_project(tmp_path: Path) -> Callable[[str], Project]:
    """Make empty projects side by side, each under a name of its own."""

    return lambda name: new_project(tmp_path / name)


def new_project(root: Path, reports: tuple[str, ...] = ()) -> Project:
    """An empty project with the default settings; which forms of the report it shall have."""
    project = Project(root, reports)
    for folder in FOLDERS.values():
        (root / folder).mkdir(parents=True)
    project.configure()
    return project


@pytest.fixture
def project(make_project: Callable[[str], Project]) -> Project:
    """An empty project with the default settings."""
    return make_project("project")


@pytest.fixture
def ready(project: Project) -> Project:
    """A project in which every route of the API has an answer."""
    from tests.support.serving_projects import serve_ready

    serve_ready(project)
    return project


@pytest.fixture
def client(ready: Project) -> FlaskClient:
    """Asks the API of that project."""
    from app import create_app

    return create_app(ready.config).test_client()


def book(clients: int, seed: int, **settings: Any) -> str:
    """Made-up client rows as CSV text; other seeds give other clients."""
    return csv_text(client_rows(clients, seed=seed, first_client=seed * 10_000, **settings))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project after its first run; tests that change it take a copy."""
    project = new_project(tmp_path_factory.mktemp("finished") / "project")
    project.write("sourcedata/january.csv", book(2500, 1))
    project.write("testdata/testdata.csv", book(1000, 2, open_share=0.0))
    project.write("first.txt", project.run("fullprocess.py").stdout)
    return project.root


@pytest.fixture
def finished_copy(finished: Path, tmp_path: Path) -> Project:
    """A copy of the finished project for one test."""
    root = tmp_path / "finished"
    shutil.copytree(finished, root, symlinks=True)
    return Project(root)


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptRunner]:
    """Runs the scripts in forked children, fast, and disturbs them as it is told."""
    with ScriptRunner(tmp_path_factory.mktemp("runner"), unmeasured()) as runner:
        yield runner


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project with few rows that has never run; tests take a copy."""
    project = new_project(tmp_path_factory.mktemp("small") / "project")
    project.write("sourcedata/january.csv", book(300, 1))
    project.write("testdata/testdata.csv", book(300, 2, open_share=0.0))
    return project.root


@pytest.fixture(scope="session")
def drifted(small: Path, runner: ScriptRunner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after its first run, with a new batch in which the world has changed."""
    root = tmp_path_factory.mktemp("drifted") / "project"
    shutil.copytree(small, root)
    ended = runner.run(Job("fullprocess", str(root / "config.json")))
    assert ended.code == 0, ended.text
    Project(root).write("sourcedata/february.csv", book(300, 4, drift=2.5))
    return root


@pytest.fixture(scope="session")
def redeploying(
    drifted: Path, runner: ScriptRunner, tmp_path_factory: pytest.TempPathFactory
) -> Undisturbed:
    """A run that finds drift and replaces the deployed model."""
    folder = tmp_path_factory.mktemp("redeploying") / "project"
    run = undisturbed(runner, "fullprocess", drifted, folder)
    assert len(run.releases) == 2, "the run did not redeploy"
    return run
