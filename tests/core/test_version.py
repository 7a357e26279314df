"""The version stands in one place."""

from __future__ import annotations

import re

from attrition.core.version import version
from tests.conftest import REPOSITORY


def test_the_version_is_that_of_the_project_file_and_stands_nowhere_else() -> None:
    text = (REPOSITORY / "pyproject.toml").read_text()
    assert re.findall(r'^version = "(.*)"$', text, re.MULTILINE) == [version()]
    assert re.fullmatch(r"\d+\.\d+\.\d+", version())
    for path in (*REPOSITORY.glob("*.py"), *REPOSITORY.glob("attrition/**/*.py")):
        assert f'VERSION = "{version()}"' not in path.read_text(), path
