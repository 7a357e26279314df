"""A project that somebody administers: what must have become of it, whatever was done to it.

Three laws, asked after each step:

1. No row that was committed is lost, doubled or changed without being named.
2. When a cause is gone the next run works, and the one after it rests.
3. Every message says what to do, and that helps.
"""

from __future__ import annotations

import gzip
import itertools
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from app import create_app
from attrition.runs import idle
from tests.conftest import Project, new_project
from tests.support.administered import (
    ID,
    LABEL,
    NUMERIC,
    Advice,
    Row,
    Table,
    advice,
    client_rows,
    doubled,
    projected,
    stored_rows,
)
from tests.support.script_runner import Ended, Job, ScriptRunner

LEAVE_IT = 4  # follow no advice yet
MANY = 10_000  # rows, more than there are: no model is trained
HOUR = 3600
SUFFIXES = (".csv", ".csv.gz")  # in any case; whatever else lies in the source folder is named
CORE = FINAL, LEDGER, OPEN = (
    "ingesteddata/finaldata.csv",
    "ingesteddata/ledger.json",
    "ingesteddata/openclients.csv",
)
QUARANTINE = "ingesteddata/quarantine"  # whoever has dealt with a file in it may delete it for good
CLIENT_RISK, CLIENT_BOOK = "models/clientrisk.csv", "models/clients.db"
CURRENT, LINK = "production_deployment/current", "production_deployment/scorecard.json"
OUTPUTS = (
    "ingesteddata/ingestedfiles.txt",
    CLIENT_RISK,
    CLIENT_BOOK,
    "models/alerts.json",
    "models/apireturns.txt",
    "models/confusionmatrix.png",
    "models/decision.json",
    "models/diagnostics.json",
    "models/history.db",
    "models/latestscore.txt",
    "models/report.html",
    "models/scorecard.json",
    "models/scores.json",
    "models/trainedmodel.pkl",
    "models/training.json",
    "cron.log",
    CURRENT,
    LINK,
    f"{CURRENT}/scorecard.json",
    f"{CURRENT}/manifest.json",
)
SOUND: tuple[dict[str, Any], ...] = (
    {},
    {"releases_to_keep": 2},
    {"drift_threshold": 0.2},
    {"numeric_columns": NUMERIC[:2]},
    {"maximum_unpacked_megabytes": 1},
    {"reports": ["html"], "alert_command": ["true"]},
)
MISSPELT: dict[str, dict[str, Any]] = {
    "lastmonth_activty": {"numeric_columns": ["lastmonth_activty", *NUMERIC[1:]]},
    "corporaton": {"id_column": "corporaton"},
    "exitted": {"target_column": "exitted"},
}
ROUTES = ("/clients", "/diagnostics", "/summarystats", "/scoring", "/model", "/ready")


def first_sources() -> dict[str, Table]:
    """What the projects begin with."""
    bad = Table(client_rows(90, 3), broken=("Broken",))
    return {"base.csv": Table(client_rows(0, 90)), "bad.csv": bad}


def administered_project(root: Path, runner: ScriptRunner, *, has_model: bool) -> Path:
    """The folder of a project after its first run."""
    project = new_project(root)
    project.configure(**({} if has_model else {"minimum_training_rows": MANY}))
    for name, table in first_sources().items():
        (root / "sourcedata" / name).write_bytes(table.content)
    test = Table(tuple(row for row in client_rows(50_000, 60) if row[LABEL]))
    (root / "testdata/test.csv").write_bytes(test.content)
    ended = runner.run(Job("fullprocess", str(project.config_path)))
    assert ended.code == 0, ended.text
    return root


class Administration(RuleBasedStateMachine):
    """A project, what was done to it, and the laws."""

    runner: ScriptRunner
    templates: dict[bool, Path]  # projects after a first run; whether they have a model
    runs = steps = heeded = 0

    def set_up(self, has_model: bool) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="admin-", dir=self.templates[False].parent))
        self.root = self.folder / "project"
        shutil.copytree(self.templates[has_model], self.root, symlinks=True)
        self.project = Project(self.root)
        self.project.let_rest()  # the copied files would be news to it
        self.base: dict[str, Any] = {} if has_model else {"minimum_training_rows": MANY}
        # As they are, as they were when a run worked, and the last ones that nobody misspelt.
        self.settings = self.worked = self.sound = self.base
        self.numbers = itertools.count(100, 40)  # of clients
        self.sources = first_sources()
        self.archive: list[tuple[str, Table]] = []  # what once lay in the source folder
        self.known: set[Row] = set()  # every row that ever stood in a source or accepted edit
        self.cut: set[Row] = set()  # rows of which an end is missing
        self.committed: set[Row] = set()
        self.edited_away: set[Row] = set()
        self.origins: dict[Row, set[str]] = {}  # names of the files a row stood in
        self.damage: dict[str, bytes | None] = {}  # what now stands in a damaged file
        self.whole: dict[str, bytes] = {}  # what stood there before
        self.is_edited = self.has_failed = False
        self.is_finished = True  # by a whole run, of which every advice was followed
        self.kept: dict[str, bytes] = {}  # what the last good run left, and one before it
        self.older: dict[str, bytes] = {}
        self.said: list[str] = []  # by runs since the last good one
        self.learn_rows()
        self._keep()
        self._compare_rows()

    def teardown(self) -> None:
        if hasattr(self, "root"):
            try:
                if not (self.has_failed or self.is_finished):
                    self.tick(("fullprocess", 0))
            finally:
                shutil.rmtree(self.folder)

    # What steps are made of.

    def source(self, name: str) -> Path:
        return self.root / "sourcedata" / name

    def new_rows(self, count: int) -> tuple[Row, ...]:
        return client_rows(next(self.numbers), count)

    def place(self, name: str, table: Table, *, is_old: bool) -> None:
        """Write a source file; another one of that name goes to the archive."""
        content = table.content
        if name.endswith(".gz"):
            content = gzip.compress(content, mtime=0)
        self.source(name).write_bytes(content)
        if is_old:
            os.utime(self.source(name), (time.time() - HOUR,) * 2)
        if name in self.sources:
            self.archive.append((name, self.sources[name]))
        self.sources[name] = table
        self.learn_rows()

    def learn_rows(self) -> None:
        for name, table in self.sources.items():
            self.cut.update(table.last_rows - {table.rows[-1]})
            for row in (*table.rows, *table.last_rows):
                self.known.add(row)
                self.origins.setdefault(row, set()).add(name)

    def configure(self, changed: dict[str, Any]) -> None:
        self._take(self.base | changed)

    def undo_settings_now(self) -> None:
        self._take(self.sound)

    def _take(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.project.configure(**settings)

    def bytes_of(self, name: str) -> bytes:
        path = self.root / name
        if path.is_symlink():
            return str(path.readlink()).encode()
        return path.read_bytes() if path.exists() else b""

    def spoil_file(self, name: str, content: bytes | None) -> None:
        """Delete a file, or put something else into it."""
        path = self.root / name
        self.whole[name], self.damage[name] = self.bytes_of(name), content
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)

    def run_once(self, script: str, *arguments: str, **disturbance: int) -> Ended:
        Administration.runs += 1
        job = Job(script, str(self.project.config_path), arguments=arguments, **disturbance)  # type: ignore[arg-type]
        ended = self.runner.run(job)
        self.said += ended.text.splitlines()
        if not disturbance:
            assert ended.code in (0, 1, 2), ended.text
            assert "Traceback" not in ended.text, ended.text
            assert (ended.code == 0) == (not ended.errors), ended.text
        return ended

    def remove_source(self, name: str) -> None:
        self.source(name).unlink()
        self.archive.append((name, self.sources.pop(name)))

    @property
    def outputs(self) -> list[str]:
        """What runs have left beside the rows, in a fixed order."""
        quarantined = sorted((self.root / QUARANTINE).glob("*"))
        names = (*OUTPUTS, *(f"{QUARANTINE}/{path.name}" for path in quarantined))
        return [name for name in names if (self.root / name).exists()]

    # The laws.

    def tick(self, after: tuple[str, int]) -> None:
        """Let a run come, do what its messages say until one works, and look at the rows.

        Args:
            after: the script, "" for none yet; which advice is followed, 0: what was done is
                undone, LEAVE_IT: none.
        """
        script, choice = after
        self.is_finished = script == "fullprocess" and choice != LEAVE_IT
        if script:
            Administration.steps += 1
            self.has_failed = True
            self._run_until_well(script, choice)
            self.has_failed = False

    def _run_until_well(self, script: str, choice: int) -> None:
        edited = self.damage.get(FINAL)
        ended = self.run_once(script)
        if self.is_edited:
            self._is_refused(ended, edited)
        for attempt in range(5):
            if ended.code == 0:
                break
            assert self._is_to_blame(), f"nothing is wrong, but:\n{ended.text}"
            if not (self.damage or self.archive):  # of which it may speak first
                self._is_cause_named(script, ended)
            options = self._fitting(advice(ended.errors))
            assert options, f"no advice that is understood: {ended.errors}"
            if choice == LEAVE_IT:
                return
            Administration.heeded += 1
            if choice == 0 and attempt == 0:
                done = "what was done is undone"
                self._undo()
            else:
                chosen = options[(choice + attempt) % len(options)]
                done = f"{chosen} was done"
                self._follow(chosen)
            again = self.run_once(script)
            assert again.errors != ended.errors, f"{done}, and still: {again.errors}"
            ended = again
        assert ended.code == 0, ended.text
        self._is_well(script, ended)

    @property
    def _is_sound(self) -> bool:
        return any(self.settings == self.base | changed for changed in SOUND)

    def _is_to_blame(self) -> bool:
        """Whether something was done that may keep a run from working."""
        return bool(self.damage) or not self._is_sound or self.settings != self.worked

    def _is_refused(self, ended: Ended, content: bytes | None) -> None:
        """A table that was changed by hand is left as it is."""
        found = self.bytes_of(FINAL)
        assert found == content, f"finaldata.csv was edited, and changed by the run:\n{ended.text}"
        assert ended.code == 1, f"finaldata.csv was edited, and nothing is said:\n{ended.text}"
        assert "ingestion.py --accept-edits" in ended.text, ended.text

    def _undo(self) -> None:
        if not self.damage and self.settings == self.sound:
            self._put_back()
        for name in list(self.damage):
            self._restore(name)
        self.undo_settings_now()

    def _put_back(self) -> None:
        """Let everything that ever lay in the source folder lie there again."""
        for number, (name, table) in enumerate(self.archive):
            if table not in self.sources.values():
                self.place(f"{number}-{name}", table, is_old=True)

    def _restore(self, name: str) -> None:
        path = self.root / name
        whole = self.whole[name] if name in self.damage else self.kept[name]
        path.unlink(missing_ok=True)
        if name in (CURRENT, LINK):
            path.symlink_to(whole.decode())
        else:
            path.write_bytes(whole)
        self.damage.pop(name, None)
        self.is_edited = self.is_edited and name != FINAL

    def _fitting(self, options: list[Advice]) -> list[Advice]:
        """Of several files that may have to be restored one knows which it was."""
        damaged = [
            option
            for option in options
            if option.do == "restore"
            and str(Path(option.what).relative_to(self.root)) in self.damage
        ]
        return [option for option in options if option.do != "restore" or not damaged] + damaged

    def _follow(self, chosen: Advice) -> None:
        """Do what a message says."""
        if chosen.do == "undo":
            self._take(self.sound if self.settings == self.worked else self.worked)
        elif chosen.do == "restore":
            self._restore(str(Path(chosen.what).relative_to(self.root)))
        elif chosen.do == "delete":
            Path(chosen.what).unlink()
            self.damage.pop(FINAL, None)  # without a ledger what stands there is taken
            self.is_edited = False
        elif chosen.do == "make":
            Path(chosen.what).mkdir(parents=True)
        elif chosen.do == "raise":
            self.configure({})
        elif chosen.do == "put back":
            self._put_back()
        else:
            script, *arguments = chosen.what.split()
            ended = self.run_once(script.removesuffix(".py"), *arguments)
            if ended.code:  # it says what to do instead
                others = [other for other in advice(ended.errors) if other != chosen]
                assert others, f"{chosen} was done, and no other advice given: {ended.errors}"
                self._follow(others[0])
            elif arguments == ["--accept-edits"]:
                self._accept()

    def _accept(self) -> None:
        """The edited table is the true one."""
        rows = set(stored_rows(self.bytes_of(FINAL)))
        labelled = {row for row in self.committed if row[LABEL]}
        self.edited_away |= labelled - rows
        self.committed = rows | (self.committed - labelled)
        self.is_edited = False
        self.damage.pop(FINAL, None)

    def _is_well(self, script: str, ended: Ended) -> None:
        """What a run that worked must have left."""
        self._compare_rows()
        self.worked = self.settings
        if self._is_sound:
            self.sound = self.settings
            self._is_everything_there(script, ended)
            if script == "fullprocess":
                self._rests()
                self._answers()
                self._keep()
        else:
            self._is_cause_named(script, ended)
        self.said.clear()

    def _is_cause_named(self, script: str, ended: Ended) -> None:
        """A misspelt column is named by every whole run, not by the first alone."""
        for column, changed in MISSPELT.items():
            if script == "fullprocess" and self.settings == self.base | changed:
                assert column in ended.text, f"not said why no file is read:\n{ended.text}"

    def _is_everything_there(self, script: str, ended: Ended) -> None:
        for name, content in list(self.damage.items()):
            if name.startswith(QUARANTINE):
                del self.damage[name]
            elif script == "fullprocess" or name.startswith("ingesteddata"):
                is_there = (self.root / name).is_symlink() or (self.root / name).exists()
                assert is_there, f"{name} was deleted, and is missing:\n{ended.text}"
                is_looked_into = name in CORE or content == b""
                is_mended = not is_looked_into or self.bytes_of(name) != content
                assert is_mended, f"{name} is still damaged:\n{ended.text}"
                del self.damage[name]

    def _rests(self) -> None:
        decided = json.loads((self.root / "models/decision.json").read_text())
        if not decided["ingestion"]["waiting"]:
            text = self.run_once("fullprocess").text
            assert idle.MESSAGE in text, f"nothing was done, yet it does not rest:\n{text}"

    def _answers(self) -> None:
        """A run has just been: the API answers, or says what else is to be done."""
        if (self.root / CURRENT).exists():
            client = create_app(self.project.config).test_client()
            for route in ROUTES:
                if client.get(route).status_code != 200:
                    text = client.get(route).text
                    for chosen in advice([text])[:1]:
                        self._follow(chosen)
                    assert client.get(route).status_code == 200, f"{route} after a run: {text}"

    def _keep(self) -> None:
        """Remember what a good run left."""
        for name in (*CORE, *OUTPUTS):
            content = self.bytes_of(name)
            if self.kept.get(name, content) != content:
                self.older[name] = self.kept[name]
            self.kept[name] = content

    # The first law.

    def _compare_rows(self) -> None:
        numeric = self.settings.get("numeric_columns", NUMERIC)
        labelled, opened = (stored_rows(self.bytes_of(name)) for name in (FINAL, OPEN))
        assert not doubled(labelled), f"doubled: {doubled(labelled)}"
        assert not doubled(opened), f"doubled: {doubled(opened)}"
        stored = {*labelled, *opened}
        if self._is_sound:
            never = stored - projected(self.known, numeric)
            assert not never, f"never put anywhere: {never}\n{self._story}"
            missing = projected(self._required(), numeric) - stored
            assert not missing, f"not taken in: {sorted(missing)[:3]}, ...\n{self._story}"
            left = self._left_of_a_cut_upload(numeric) & stored
            assert not left, f"left of a cut upload: {left}\n{self._story}"
        gone = [row for row in self.committed if not projected([row], numeric) & stored]
        for row in gone:
            story = f"{len(gone)} rows that were committed are gone, such as {row}\n{self._story}"
            assert row in self._closed or self._is_named(row), story
        if self._is_sound:
            read = {row for row in self.known if projected([row], numeric) & stored}
            self.committed = read - self.cut

    @property
    def _story(self) -> str:
        return "\n".join(self.said)

    @property
    def _closed(self) -> set[Row]:
        """Open clients of whom an outcome is known."""
        closed = {row[ID] for row in self.known if row[LABEL]}
        return {row for row in self.known if not row[LABEL] and row[ID] in closed}

    def _required(self) -> set[Row]:
        """The rows that a run must find in the source folder."""
        limit = self.settings.get("maximum_unpacked_megabytes", MANY)
        rows: set[Row] = set()
        for name, table in self.sources.items():
            if name.lower().endswith(SUFFIXES) and len(table.content) <= limit * 1_000_000:
                rows.update(table.whole_rows)
            else:
                records = [
                    self.bytes_of(LEDGER).decode(),
                    self.bytes_of("models/decision.json").decode(),
                ]
                is_named = any(name in text for text in (*self.said, *records))
                assert is_named, f"{name} is not read, and never mentioned\n{self._story}"
        return rows - self.edited_away - self._closed

    def _left_of_a_cut_upload(self, numeric: Any) -> set[Row]:
        """What must not stand there any more once the whole upload has come."""
        table = self.sources.get("upload.csv")
        if table is None or table.cut or NUMERIC[-1] not in numeric:
            return set()
        rows = {(*row[:-1], row[-1][:-missing]) for row in table.rows for missing in (1, 2)}
        return projected(rows, numeric)

    def _is_named(self, row: Row) -> bool:
        """Whether a warning or an error names the file a row came from or was lost from."""
        names = {*self.origins.get(row, ()), "finaldata" if row[LABEL] else "openclients"}
        lines = [line for line in self.said if line.startswith(("warning: ", "error: "))]
        lines += [path.name for path in (self.root / "ingesteddata/quarantine").glob("*")]
        decision = self.root / "models/decision.json"
        if decision.exists():
            lines += [one["text"] for one in json.loads(decision.read_text())["warnings"]]
        return any(name in line for name in names for line in lines)
