"""The house: what stands at the top, and imports that go one way only."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

# Each room may import from those that stand before it, and no other; see attrition/__init__.py.
MAY_IMPORT = {
    "core": "",
    "runs": "core",
    "data": "core",
    "model": "core",
    "calls": "core data model",
    "engines": "core runs data model calls",
    "monitoring": "core runs data model engines calls ranking",
    "ranking": "core runs data model engines calls",
    "report": "core runs data model engines calls monitoring ranking",
    "web": "core runs data model engines calls monitoring ranking",
}
STAGES = "ingestion training scoring deployment diagnostics reporting apicalls".split()
# gunicorn.conf.py is settings, which gunicorn runs and nobody can import.
SCRIPTS = sorted(set(REPOSITORY.glob("*.py")) - {REPOSITORY / "gunicorn.conf.py"})
MODULES = sorted(REPOSITORY.glob("attrition/**/*.py"))
TESTS = sorted(REPOSITORY.glob("tests/**/*.py"))


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)


NAMES = {module_name(path) for path in (*SCRIPTS, *MODULES, *TESTS)}


def imported(path: Path) -> set[str]:
    """Our own modules that a file imports, at the top or within a function."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: a relative import"
            names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names & NAMES


def test_the_rooms_are_those_of_the_table_and_no_module_stands_beside_them() -> None:
    rooms = {path.name for path in (REPOSITORY / "attrition").iterdir() if path.is_dir()}
    assert rooms - {"__pycache__"} == MAY_IMPORT.keys()
    assert [path.name for path in (REPOSITORY / "attrition").glob("*.py")] == ["__init__.py"]
    assert len(MODULES) > 100


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_a_room_imports_only_what_the_table_allows(path: Path) -> None:
    room = module_name(path).split(".")[1]
    for other in imported(path):
        assert other.startswith("attrition."), f"{path}: the package imports a script, {other}"
        target = other.split(".")[1]
        assert target in {room, *MAY_IMPORT.get(room, "").split()}, f"{path} imports {other}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    arrows = {module_name(path): imported(path) for path in (*MODULES, *SCRIPTS)}
    finished: set[str] = set()

    def follow(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way, name))
        if name not in finished:
            for other in sorted(arrows[name]):
                follow(other, (*way, name))
            finished.add(name)

    for name in sorted(arrows):
        follow(name, ())


def test_stages_import_nothing_of_ours_but_the_package() -> None:
    for stage in STAGES:
        assert all(name.startswith("attrition.") for name in imported(REPOSITORY / f"{stage}.py"))


def test_what_tests_share_stands_in_no_test_module() -> None:
    test_modules = {module_name(path) for path in TESTS if path.name.startswith("test_")}
    for path in TESTS:
        assert not imported(path) & test_modules, path


def test_the_house_stands_as_designed() -> None:
    expected = (
        "config.json requirements.txt setup_cron.sh cronjob.txt ingestion.py training.py "
        "scoring.py deployment.py diagnostics.py reporting.py apicalls.py fullprocess.py app.py "
        "wsgi.py sourcedata ingesteddata models production_deployment testdata attrition README.md "
        "CONTRIBUTING.md SECURITY.md docs CHANGELOG.md LICENSE Makefile pyproject.toml "
        "requirements-dev.txt requirements.lock tests benchmarks templates static .ci/run"
    )
    missing = [name for name in expected.split() if not (REPOSITORY / name).exists()]
    assert not missing


@pytest.mark.parametrize("path", [*SCRIPTS, *MODULES], ids=module_name)
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


LONGEST_FUNCTION = 60  # lines, with its head and docstring


def test_no_function_is_long() -> None:
    long = [
        f"{path.relative_to(REPOSITORY)}: {node.name}"
        for path in (*SCRIPTS, *MODULES, *TESTS)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
    ]
    assert not long
