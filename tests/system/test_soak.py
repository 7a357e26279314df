"""Many runs under random events, against a simple model of what must stand in the folders.

Hypothesis chooses the events: batches that come, change, go, or are broken; a changed world; kills,
a full disk, two runs. The model is a list of rows and a few counts. Nothing may be lost, nothing
counted twice, and no reader may ever find anything but a whole release: the API is asked all the
time.
"""

from __future__ import annotations

import csv
import itertools
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from app import create_app
from attrition.core import atomic_files
from attrition.core import releases as core_releases
from attrition.data.ledger import read_ledger
from attrition.runs import history, lock
from tests.conftest import HEADER, Project, Suite, book
from tests.support.answers import strict_json
from tests.support.script_runner import Ended, Job, ScriptRunner
from tests.support.state_machines import run_machine
from tests.support.sweeping import live_release

VERDICTS = {"deployed", "kept", "not enough evidence", "failed"}
KEEP = 3  # releases
MOST_MEMORY = 700_000_000  # bytes, of one run
# A kill at an operation, or a disk on which no file may grow beyond so many bytes.
TROUBLES = st.one_of(
    st.just({}),
    st.builds(lambda at: {"kill_at": at}, st.integers(1, 230)),
    st.builds(lambda most: {"file_bytes": most}, st.integers(0, 60_000)),
)
CLIENT = {"lastmonth_activity": 12, "lastyear_activity": 340, "number_of_employees": 25}
LATIN_1 = f"{HEADER}\nM\u00fcller,1,2,3,0\n".encode("latin-1")


class Soak(RuleBasedStateMachine):
    """A project, what is done to it, and what must have become of it."""

    runner: ScriptRunner
    template: Path
    runs = kills = failures = comparisons = requests = 0

    @initialize(kill_at=st.integers(10, 100), file_bytes=st.integers(0, 4_000))
    def begin(self, kill_at: int, file_bytes: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="soak-", dir=self.template.parent))
        self.root = self.folder / "project"
        shutil.copytree(self.template, self.root, symlinks=True)
        self.project = Project(self.root)
        self.project.configure(releases_to_keep=KEEP)
        self.numbers = itertools.count(10)
        self.rows: set[str] = set()  # labelled rows that were ever in a sound batch
        self.broken = 0  # rows that must be in quarantine
        self.rejected: set[bytes] = set()  # contents that are no batch
        self.present: list[str] = []
        for path in (self.root / "sourcedata").iterdir():
            self._expect(path.read_text())
        self.reader = Reader(self.project)
        # Whatever is drawn later: one run at least is killed, and one finds the disk full.
        self.a_batch_arrives(40, 3.0, {"kill_at": kill_at})
        self.a_batch_arrives(40, 0.0, {"file_bytes": file_bytes})

    def teardown(self) -> None:
        if hasattr(self, "reader"):
            Soak.requests += self.reader.leave()
            self._compare()
            shutil.rmtree(self.folder)

    # What happens to the source folder.

    def _expect(self, text: str) -> None:
        rows = (line for line in text.splitlines()[1:] if line[-1] in "01")
        self.rows.update(canonical(row) for row in rows)

    def _write(self, name: str, text: str, trouble: dict[str, int], bad: str = "") -> None:
        """A batch comes; the run that finds it may be disturbed, the one after it is not.

        `bad` are rows at its end that must go to quarantine.
        """
        self.project.write(f"sourcedata/{name}", text + bad)
        if trouble:
            self._run(**trouble)
        self._run_well()
        self._expect(text)

    @rule(rows=st.integers(5, 60), drift=st.sampled_from([0.0, 0.0, 3.0]), trouble=TROUBLES)
    def a_batch_arrives(self, rows: int, drift: float, trouble: dict[str, int]) -> None:
        number = next(self.numbers)
        self.present.append(f"{number}.csv")
        self._write(self.present[-1], book(rows, number, drift=drift), trouble)

    @rule(data=st.data(), trouble=TROUBLES)
    def a_batch_changes(self, data: st.DataObject, trouble: dict[str, int]) -> None:
        if self.present:
            name = data.draw(st.sampled_from(self.present))
            self._write(name, book(20, next(self.numbers)), trouble)

    @rule(data=st.data())
    def a_batch_goes(self, data: st.DataObject) -> None:
        if self.present:
            name = data.draw(st.sampled_from(self.present))
            self.present.remove(name)
            (self.root / "sourcedata" / name).unlink()

    @rule(data=st.data())
    def a_batch_is_copied(self, data: st.DataObject) -> None:
        if self.present:
            name = data.draw(st.sampled_from(self.present))
            shutil.copy(self.root / "sourcedata" / name, self.root / "sourcedata" / f"c{name}")

    @rule(trouble=TROUBLES)
    def a_batch_with_bad_rows_arrives(self, trouble: dict[str, int]) -> None:
        number = next(self.numbers)
        bad = f"b{number},many,2,3,0\nc{number},1,2,3,0,9\n"
        self.broken += 2
        self._write(f"{number}.csv", f"{HEADER}\na{number},1,2,3,0\n", trouble, bad)

    @rule()
    def a_file_that_is_no_batch_arrives(self) -> None:
        content = LATIN_1 + f"{next(self.numbers)},1,2,3,0\n".encode()
        (self.root / "sourcedata" / f"bad{next(self.numbers)}.csv").write_bytes(content)
        self.rejected.add(content)

    # What happens to the runs.

    def _run(self, **disturbance: int) -> Ended:
        Soak.runs += 1
        config = str(self.project.config_path)
        ended = self.runner.run(Job("fullprocess", config, **disturbance))  # type: ignore[arg-type]
        assert ended.code in (0, 1, -9), ended.text
        Soak.kills += ended.was_killed
        Soak.failures += ended.code == 1
        assert "Traceback" not in ended.text
        assert ended.peak_bytes < MOST_MEMORY
        self.reader.is_content()
        return ended

    def _run_well(self) -> None:
        assert self._run().code == 0

    @rule()
    def an_undisturbed_run(self) -> None:
        self._run_well()

    @rule(trouble=TROUBLES)
    def a_disturbed_run(self, trouble: dict[str, int]) -> None:
        self._run(**trouble)

    @rule()
    def a_second_run_while_one_holds_the_lock(self) -> None:
        with lock.run_lock(self.project.config.lock):
            config = str(self.project.config_path)
            assert self.runner.run(Job("fullprocess", config)).code == 75

    # What must be true, whatever happened.

    @invariant()
    def readers_find_a_whole_release(self) -> None:
        if not hasattr(self, "root"):
            return
        live = live_release(self.root)
        releases = core_releases.releases(self.project.config.prod_deployment_path)
        assert live is None or live in {path.name for path in releases}

    @rule()
    def everything_is_as_the_model_says(self) -> None:
        self._compare()

    def _compare(self) -> None:
        self._run_well()
        Soak.comparisons += 1
        config = self.project.config
        ledger = read_ledger(config.ledger)
        with config.final_data.open(encoding="utf-8", newline="") as stream:
            stored = [",".join(row) for row in csv.reader(stream)][1:]
        assert len(stored) == len(set(stored)) == ledger.committed_rows
        assert {canonical(row) for row in stored} == self.rows
        assert config.final_data.stat().st_size == ledger.committed_bytes
        assert sum(entry.quarantined for entry in ledger.entries) == self.broken
        assert sum(entry.status == "rejected" for entry in ledger.entries) == len(self.rejected)
        for entry in ledger.entries:
            parts = entry.kept + entry.duplicate + entry.open + entry.quarantined
            assert entry.rows_read == parts
        decided = atomic_files.read_json(config.decision)
        assert decided["verdict"] in VERDICTS
        assert {run["verdict"] for run in history.runs(config.history)} <= VERDICTS
        self._count_files()

    def _count_files(self) -> None:
        config = self.project.config
        assert len(core_releases.releases(config.prod_deployment_path)) <= KEEP + 1
        names = [path.name for path in self.root.rglob("*")]
        assert not [name for name in names if name.startswith(atomic_files.TEMPORARY_PREFIX)]
        assert len(list(config.output_model_path.iterdir())) < 30
        assert len(list(config.prod_deployment_path.iterdir())) < 12
        assert len(list(config.output_folder_path.iterdir())) < 10
        assert len(list(config.quarantine.glob("*"))) <= len(read_ledger(config.ledger).entries)


class Reader:
    """Asks the API while runs come and go, and remembers the first answer that did not fit."""

    def __init__(self, project: Project) -> None:
        self._client = create_app(project.config).test_client()
        self._answers: dict[str, tuple[Any, Any]] = {}
        self._requests = 0
        self._fault: BaseException | None = None
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._ask_on, daemon=True)
        self._thread.start()

    def is_content(self) -> None:
        """Fail with the first answer that did not fit."""
        if self._fault is not None:
            raise self._fault

    def leave(self) -> int:
        """Ask no more; how many requests there were."""
        self._leaving.set()
        self._thread.join()
        self.is_content()
        return self._requests

    def _ask_on(self) -> None:
        try:
            while not self._leaving.wait(0.2):
                self._ask()
        except BaseException as fault:  # noqa: BLE001 - it is raised where the test sees it
            self._fault = fault

    def _ask(self) -> None:
        """Equal releases give equal answers, and nothing else than an answer is ever given."""
        told = self._client.post("/prediction", json={"records": [CLIENT]})
        assert told.status_code == 200, told.text
        answer = strict_json(told)
        version = answer["model_version"]
        score = self._client.get("/scoring")
        assert score.status_code == 200, score.text
        scores = strict_json(score)
        if scores["model_version"] == version:
            served = (answer["probabilities"], scores["f1_score"])
            assert self._answers.setdefault(version, served) == served
        for route in ("/clients", "/diagnostics", "/model", "/ready"):
            assert self._client.get(route).status_code == 200, route
        self._requests += 6


def canonical(row: str) -> str:
    """A row with its numbers as numbers, so that two spellings of one row are one."""
    name, *values = row.rsplit(",", 4)
    return ",".join([name.strip('"'), *(repr(float(v)) if v.strip() else "" for v in values)])


@pytest.mark.slow
def test_whatever_happens_nothing_is_lost_and_nothing_mixed(
    drifted: Path, runner: ScriptRunner, suite: Suite
) -> None:
    Soak.runner, Soak.template = runner, drifted
    sequences, steps = (12, 40) if suite.is_complete else (3, 10)
    run_machine(Soak, sequences=sequences, steps=steps)
    suite.tell(Soak.runs, "runs of the soak")
    suite.tell(Soak.kills, "runs of the soak that were killed")
    suite.tell(Soak.failures, "runs of the soak for which the disk was too small")
    suite.tell(Soak.requests, "requests during the soak, each answered well")
    assert min(Soak.kills, Soak.failures) >= (8 if suite.is_complete else 2)
    assert Soak.comparisons >= (12 if suite.is_complete else 3)
    assert Soak.requests > Soak.runs
    assert Soak.runs > (300 if suite.is_complete else 10)
