"""The pages as a browser asks for them, without one."""

from __future__ import annotations

from app import create_app
from tests.conftest import Project

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def page_of(project: Project, path: str = "/") -> str:
    """The HTML of a page."""
    return create_app(project.config).test_client().get(path, headers=BROWSER).text
