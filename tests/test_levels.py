"""The house: what stands at the top, and imports that only ever point downward."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import attrition
from tests.conftest import REPOSITORY

STAGE_LEVEL = 13


def read_levels() -> dict[str, int]:
    """Module -> level, from the table in the package's docstring."""
    levels = {}
    for line in (attrition.__doc__ or "").splitlines():
        number, *names = line.split() or [""]
        if number.isdigit():
            is_script = int(number) >= STAGE_LEVEL
            levels |= {name if is_script else f"attrition.{name}": int(number) for name in names}
    return levels


LEVELS = read_levels()
STAGES = [name for name, level in LEVELS.items() if level == STAGE_LEVEL]
# gunicorn.conf.py is settings, which gunicorn runs and nobody can import.
MODULES = [
    path
    for path in sorted([*REPOSITORY.glob("*.py"), *REPOSITORY.glob("attrition/[a-z]*.py")])
    if path.name != "gunicorn.conf.py"
]


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)


def imported(path: Path) -> set[str]:
    """Our own modules that a file imports, at the top or within a function."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: a relative import"
            names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names & LEVELS.keys()


def test_every_module_has_a_level_and_no_level_is_left_over() -> None:
    assert len(LEVELS) > 30
    assert {module_name(path) for path in MODULES} == LEVELS.keys()


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_point_downward(path: Path) -> None:
    name = module_name(path)
    for other in imported(path):
        assert LEVELS[other] < LEVELS[name], f"{name} imports {other}: sideways or upward"


def test_stages_import_nothing_of_ours_but_the_package() -> None:
    for stage in STAGES:
        assert all(name.startswith("attrition.") for name in imported(REPOSITORY / f"{stage}.py"))


def test_the_house_stands_as_designed() -> None:
    expected = (
        "config.json requirements.txt setup_cron.sh cronjob.txt ingestion.py training.py "
        "scoring.py deployment.py diagnostics.py reporting.py apicalls.py fullprocess.py app.py "
        "wsgi.py sourcedata ingesteddata models production_deployment testdata attrition README.md "
        "CHANGELOG.md LICENSE Makefile pyproject.toml requirements-dev.txt tests benchmarks "
        "templates static .ci/run"
    )
    missing = [name for name in expected.split() if not (REPOSITORY / name).exists()]
    assert not missing


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_importing_a_module_does_nothing_but_define(path: Path) -> None:
    """At the top of a module: docstring, imports, names, functions, classes; wsgi makes its app."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Expr):
            assert isinstance(node.value, ast.Constant), f"{path.name}:{node.lineno}"
        elif isinstance(node, ast.If):
            test = ast.unparse(node.test)
            is_harmless = test == "TYPE_CHECKING" or test.startswith("__name__ == '__main__'")
            assert is_harmless, f"{path.name}:{node.lineno}"
        else:
            allowed = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef
            assert isinstance(node, allowed | ast.Assign | ast.AnnAssign | ast.Delete)


def test_python_is_one_the_project_supports() -> None:
    assert sys.version_info >= (3, 11)
