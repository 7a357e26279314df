"""docs/reliability.md names a proof for every fault, and every proof is there."""

from __future__ import annotations

import ast
import re

import pytest

from tests.conftest import REPOSITORY

TEXT = (REPOSITORY / "docs/reliability.md").read_text(encoding="utf-8")
ROWS = [line for line in TEXT.splitlines() if re.match(r"\| \d", line)]
PROOF = re.compile(r"`((?:\w+/)+test_\w+)::(test_\w+)`")
NAMED = sorted(set(PROOF.findall(TEXT)))


def test_every_fault_has_a_row_and_every_row_a_proof() -> None:
    numbers = [int(n) for row in ROWS for n in row.split("|")[1].split(",")]
    assert len(numbers) == len(set(numbers))
    assert set(numbers) == set(range(1, 100))
    assert all(PROOF.search(row) for row in ROWS)


@pytest.mark.parametrize(("module", "name"), NAMED)
def test_the_named_test_exists(module: str, name: str) -> None:
    tree = ast.parse((REPOSITORY / "tests" / f"{module}.py").read_text(encoding="utf-8"))
    assert name in {item.name for item in tree.body if isinstance(item, ast.FunctionDef)}
