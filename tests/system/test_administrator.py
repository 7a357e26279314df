"""What administrators do to a project, at random; tests/support/administration.py has the laws."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests.conftest import Suite
from tests.support.administered import ID, LABEL, Table, stored_rows
from tests.support.administration import (
    CLIENT_BOOK,
    CLIENT_RISK,
    CORE,
    CURRENT,
    FINAL,
    LEAVE_IT,
    LEDGER,
    LINK,
    MISSPELT,
    SOUND,
    Administration,
    administered_project,
)
from tests.support.script_runner import ScriptRunner
from tests.support.state_machines import run_machine

After = tuple[str, int]
# What follows a step: which script runs (none: more is done first), which advice is followed.
AFTER = st.tuples(
    st.sampled_from(["fullprocess", "ingestion", ""]), st.sampled_from([1, 0, 2, 3, LEAVE_IT])
)
NAMES = st.sampled_from(["a.csv", "b.csv", "c.csv", "d.csv.gz"])
OTHERS = st.sampled_from(["e.CSV", "e.csv.zip", "e.tsv", "e.txt", "e.xlsx"])
UNSOUND: tuple[dict[str, Any], ...] = (
    {"positive_label": "yes"},
    {"no_such_key": 1},
    {"drift_threshold": "high"},
    {"input_folder_path": "sourcdata"},
)
WAYS = st.sampled_from(["delete", "truncate", "empty", "older"])
NEWCOMER = b"Newcomer,1,2,3,0\n"
APPENDED = "a row at the end"


def _changed_digit(line: bytes, more: bytes) -> bytes:
    head, number, label = line.rsplit(b",", 2)
    last = b"8" if number.endswith(b"7") else b"7"
    return b",".join([head, number[:-1] + last + more, label])


EDITS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "a digit more": lambda lines: [lines[0], _changed_digit(lines[1], b"9"), *lines[2:]],
    "another digit": lambda lines: [lines[0], _changed_digit(lines[1], b""), *lines[2:]],
    "a row more": lambda lines: [*lines[:2], NEWCOMER, *lines[2:]],
    "a row less": lambda lines: [lines[0], *lines[2:]],
    "line ends of Windows": lambda lines: [line.replace(b"\n", b"\r\n") for line in lines],
    "no last line end": lambda lines: [*lines[:-1], lines[-1].rstrip(b"\n")],
    "a byte-order mark": lambda lines: [b"\xef\xbb\xbf" + lines[0], *lines[1:]],
    APPENDED: lambda lines: [*lines, NEWCOMER],  # it may as well be the tail of a killed run
}


class Administrator(Administration):
    """What somebody does."""

    @initialize(has_model=st.sampled_from([False, False, True]))
    def begin(self, has_model: bool) -> None:
        self.set_up(has_model)

    # To the source folder.

    @rule(name=NAMES, count=st.integers(1, 20), is_old=st.booleans(), after=AFTER)
    def put(self, name: str, count: int, is_old: bool, after: After) -> None:
        """A new source file, or another content under an old name."""
        self.place(name, Table(self.new_rows(count)), is_old=is_old)
        self.tick(after)

    @rule(name=NAMES, after=AFTER)
    def put_broken_rows(self, name: str, after: After) -> None:
        first, *rows = self.new_rows(3)
        self.place(name, Table(tuple(rows), broken=(first[ID],)), is_old=False)
        self.tick(after)

    @rule(after=AFTER)
    def put_large(self, after: After) -> None:
        self.place("large.csv", Table(self.new_rows(10), padding=110_000), is_old=True)
        self.tick(after)

    @rule(name=OTHERS, after=AFTER)
    def put_other(self, name: str, after: After) -> None:
        """A file that is not called like a batch, or nearly so."""
        self.place(name, Table(self.new_rows(3)), is_old=True)
        self.tick(after)

    @rule(cut=st.integers(1, 3), is_old=st.booleans(), after=AFTER)
    def put_cut(self, cut: int, is_old: bool, after: After) -> None:
        """An upload that broke off."""
        self.place("upload.csv", Table(self.new_rows(4), cut=cut), is_old=is_old)
        self.tick(after)

    @precondition(lambda self: "upload.csv" in self.sources)
    @rule(more=st.integers(0, 3), after=AFTER)
    def complete(self, more: int, after: After) -> None:
        """The same upload once more, whole."""
        rows = self.sources.pop("upload.csv").rows
        self.place("upload.csv", Table((*rows, *self.new_rows(more))), is_old=False)
        self.tick(after)

    @precondition(lambda self: self.sources)
    @rule(data=st.data(), after=AFTER)
    def append(self, data: st.DataObject, after: After) -> None:
        name = data.draw(st.sampled_from(sorted(self.sources)))
        table = self.sources[name]
        if not table.cut:
            rows = (*table.rows, *self.new_rows(2))
            self.place(name, Table(rows, table.broken, 0, table.padding), is_old=False)
            self.tick(after)

    @precondition(lambda self: self.sources)
    @rule(data=st.data(), after=AFTER)
    def rewrite_keeping_size_and_time(self, data: st.DataObject, after: After) -> None:
        """As `cp -p` and tar do; the last client is another one with a name as long."""
        name = data.draw(st.sampled_from(sorted(self.sources)))
        table, status = self.sources[name], self.source(name).stat()
        *rows, last = table.rows
        other = tuple(f"K{v[1:]}" if place == ID else v for place, v in enumerate(last))
        self.place(
            name, Table((*rows, other), table.broken, table.cut, table.padding), is_old=False
        )
        os.utime(self.source(name), ns=(status.st_atime_ns, status.st_mtime_ns))
        self.tick(after)

    @precondition(lambda self: self.sources)
    @rule(data=st.data(), new=NAMES, after=AFTER)
    def rename(self, data: st.DataObject, new: str, after: After) -> None:
        name = data.draw(st.sampled_from(sorted(self.sources)))
        if new not in self.sources and new.endswith(".gz") == name.endswith(".gz"):
            self.source(name).rename(self.source(new))
            self.sources[new] = self.sources.pop(name)
            self.learn_rows()
            self.tick(after)

    @precondition(lambda self: self.sources)
    @rule(data=st.data(), after=AFTER)
    def copy(self, data: st.DataObject, after: After) -> None:
        name = data.draw(st.sampled_from(sorted(self.sources)))
        shutil.copy(self.source(name), self.source(f"copy of {name}"))
        self.sources[f"copy of {name}"] = self.sources[name]
        self.learn_rows()
        self.tick(after)

    @precondition(lambda self: self.sources)
    @rule(data=st.data(), after=AFTER)
    def outcomes_arrive(self, data: st.DataObject, after: After) -> None:
        """What became of the open clients of a file."""
        table = self.sources[data.draw(st.sampled_from(sorted(self.sources)))]
        rows = tuple(("1", *row[1:]) for row in table.whole_rows if not row[LABEL])
        if rows:
            self.place("outcomes.csv", Table(rows), is_old=False)
            self.tick(after)

    @precondition(lambda self: self.sources)
    @rule(data=st.data(), after=AFTER)
    def delete(self, data: st.DataObject, after: After) -> None:
        self.remove_source(data.draw(st.sampled_from(sorted(self.sources))))
        self.tick(after)

    @precondition(lambda self: self.archive)
    @rule(data=st.data(), after=AFTER)
    def restore(self, data: st.DataObject, after: After) -> None:
        name, table = data.draw(st.sampled_from(self.archive))
        self.place(name, table, is_old=True)
        self.tick(after)

    # To what the pipeline wrote.

    @precondition(lambda self: not self.damage)
    @rule(name=st.sampled_from(CORE), how=WAYS, after=AFTER)
    def spoil_rows(self, name: str, how: str, after: After) -> None:
        self.spoil(name, how, after)

    @precondition(lambda self: not self.damage)
    @rule(data=st.data(), how=WAYS, after=AFTER)
    def spoil_output(self, data: st.DataObject, how: str, after: After) -> None:
        self.spoil(data.draw(st.sampled_from(self.outputs)), how, after)

    def spoil(self, name: str, how: str, after: After) -> None:
        if not (self.root / name).exists():
            return
        before = self.bytes_of(name)
        changed = {
            "truncate": before[: len(before) // 2],
            "empty": b"",
            "older": self.older.get(name, before),
        }
        content = None if name in (CURRENT, LINK) else changed.get(how)
        if content != before:
            self.spoil_file(name, content)
            self.tick(after)

    @precondition(lambda self: not self.damage and "numeric_columns" not in self.settings)
    @rule(how=st.sampled_from(sorted(EDITS)), after=AFTER)
    def edit(self, how: str, after: After) -> None:
        """Change finaldata.csv by hand."""
        before = self.bytes_of(FINAL)
        lines = before.splitlines(keepends=True)
        if len(lines) > 3 and before == self.kept[FINAL] and self.settings == self.sound:
            after_it = b"".join(EDITS[how](lines))
            self.spoil_file(FINAL, after_it)
            self.known.update(stored_rows(after_it))
            self.is_edited = how != APPENDED
            self.tick(after)

    # To the settings.

    @precondition(lambda self: not self.damage)
    @rule(changed=st.sampled_from(SOUND), after=AFTER)
    def change_settings(self, changed: dict[str, Any], after: After) -> None:
        self.configure(changed)
        self.tick(after)

    @precondition(lambda self: not self.damage)
    @rule(changed=st.sampled_from([*MISSPELT.values(), *UNSOUND]), after=AFTER)
    def misspell_settings(self, changed: dict[str, Any], after: After) -> None:
        self.configure(changed)
        self.tick(after)

    @precondition(lambda self: self.settings != self.sound)
    @rule(after=AFTER)
    def undo_settings(self, after: After) -> None:
        self.undo_settings_now()
        self.tick(after)

    # To the runs.

    @rule(after=AFTER)
    def just_run(self, after: After) -> None:
        self.tick(after)

    @precondition(lambda self: not self.damage)
    @rule(script=st.sampled_from(["fullprocess", "ingestion"]), kill_at=st.integers(1, 230))
    def kill(self, script: str, kill_at: int) -> None:
        self.run_once(script, kill_at=kill_at)
        self.tick(("fullprocess", 0))

    @precondition(lambda self: not self.damage)
    @rule(script=st.sampled_from(["fullprocess", "ingestion"]), most=st.integers(0, 30_000))
    def fill_the_disk(self, script: str, most: int) -> None:
        self.run_once(script, file_bytes=most)
        self.tick(("fullprocess", 0))

    @precondition(lambda self: not self.damage)
    @rule(after=AFTER)
    def roll_back(self, after: After) -> None:
        releases = self.root / "production_deployment" / "releases"
        if releases.is_dir() and len(list(releases.iterdir())) > 1:
            self.run_once("deployment", "--rollback")
            self.tick(after)


NEXT: After = ("fullprocess", 1)  # a whole run comes, and the first advice is followed
LATER: After = ("", 0)


def delete_a_source_and_the_ledger(who: Administrator) -> None:
    who.remove_source("base.csv")
    who.spoil(LEDGER, "delete", NEXT)


def edit_a_stored_row(who: Administrator) -> None:
    who.edit("a digit more", NEXT)


def raise_a_limit(who: Administrator) -> None:
    who.change_settings({"maximum_unpacked_megabytes": 1}, LATER)
    who.put_large(NEXT)
    who.change_settings({}, NEXT)


def overlook_a_misspelt_column(who: Administrator) -> None:
    who.misspell_settings(MISSPELT["corporaton"], ("fullprocess", LEAVE_IT))
    who.just_run(NEXT)


def delete_the_lists_of_clients(who: Administrator) -> None:
    who.spoil(CLIENT_RISK, "delete", NEXT)
    who.spoil(CLIENT_BOOK, "delete", NEXT)


# Each once lost rows or left a project stuck; whether it needs a model.
ONCE_FATAL: dict[Callable[[Administrator], None], bool] = {
    delete_a_source_and_the_ledger: False,
    edit_a_stored_row: False,
    raise_a_limit: False,
    overlook_a_misspelt_column: False,
    delete_the_lists_of_clients: True,
}


@pytest.fixture(scope="module")
def templates(runner: ScriptRunner, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Projects after a first run, without and with a model."""
    folder = tmp_path_factory.mktemp("administered")
    return {
        has_model: administered_project(folder / str(has_model), runner, has_model=has_model)
        for has_model in (False, True)
    }


def do(steps: Callable[[Administrator], None], *, has_model: bool) -> None:
    """Do fixed steps in a project of their own, under the same laws."""
    who = Administrator()
    who.set_up(has_model)
    try:
        steps(who)
    finally:
        who.teardown()


@pytest.mark.slow
def test_whatever_an_administrator_does_no_row_is_lost_and_every_advice_helps(
    runner: ScriptRunner, templates: dict[bool, Path], suite: Suite
) -> None:
    Administration.runner, Administration.templates = runner, templates
    for steps_once_fatal, has_model in ONCE_FATAL.items():
        do(steps_once_fatal, has_model=has_model)
    sequences, steps = (10, 10) if suite.is_complete else (4, 4)
    run_machine(Administrator, sequences=sequences, steps=steps)
    suite.tell(Administration.runs, "runs under an administrator")
    suite.tell(Administration.steps, "steps of an administrator")
    suite.tell(Administration.heeded, "messages' advice followed, each helped")
