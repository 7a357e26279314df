"""Calls to clients, written into the folder of actions of a project."""

from __future__ import annotations

from collections.abc import Iterable

from attrition.core import clock
from tests.conftest import Project


def act_on(project: Project, clients: Iterable[str], name: str = "calls.csv") -> None:
    """A file in which each of the clients was called today."""
    folder = project.root / "actions"
    folder.mkdir(exist_ok=True)
    lines = [f"{client},{clock.today()},call" for client in clients]
    (folder / name).write_text("\n".join(["client,date,action", *lines, ""]), encoding="utf-8")
