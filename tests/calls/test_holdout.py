"""A client is held out by the hash of its id: recomputable by anyone, in the share asked for."""

from __future__ import annotations

import re
import subprocess
import sys
from fractions import Fraction
from hashlib import sha256

import numpy as np
import pytest

from attrition.calls.holdout import is_held_out
from tests.conftest import REPOSITORY

IDS = [f"client {number}" for number in range(5000)]


def test_other_programs_hold_out_the_same_clients() -> None:
    ids = ["Acme Ltd", "Müller & Söhne", "株式会社", "007", " a ", 'O\'Neill, "Inc"', *IDS[:30]]
    expected = []
    for name in ids:
        program = subprocess.run(["sha256sum"], input=f"may{name}".encode(), capture_output=True)
        expected.append(int(program.stdout[:16], 16) / 2**64 < 0.3)
    assert is_held_out(ids, 0.3, "may").tolist() == expected
    assert 0 < sum(expected) < len(ids)


@pytest.mark.parametrize("share", [0.0, 1e-9, 0.1, 0.2, 0.25, 0.5, 0.999])
def test_the_first_eight_bytes_are_compared_with_the_exact_share(share: float) -> None:
    fractions = [
        Fraction(int.from_bytes(sha256(("s" + name).encode()).digest()[:8], "big"), 2**64)
        for name in IDS
    ]
    expected = [fraction < Fraction(share) for fraction in fractions]
    assert is_held_out(IDS, share, "s").tolist() == expected


def test_so_many_are_held_out_as_asked_and_a_larger_share_keeps_those_of_a_smaller() -> None:
    before = np.zeros(len(IDS), dtype=bool)
    for share in (0.05, 0.1, 0.2, 0.5):
        now = is_held_out(IDS, share, "spring")
        assert now.mean() == pytest.approx(share, abs=4 * (share / len(IDS)) ** 0.5)
        assert (now | ~before).all()
        before = now


def test_another_salt_draws_an_independent_group() -> None:
    spring, autumn = (is_held_out(IDS, 0.2, salt) for salt in ("spring", "autumn"))
    assert (spring & autumn).mean() == pytest.approx(0.04, abs=0.012)


def test_the_lines_of_the_documents_check_a_client() -> None:
    text = (REPOSITORY / "docs/effect.md").read_text(encoding="utf-8")
    for language, command in (("python", [sys.executable, "-c"]), ("sh", ["sh", "-c"])):
        blocks = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
        (lines,) = [block for block in blocks if "sha256" in block]
        for name in ("Acme Ltd", "Bolt", "Crest", "Drop", "Echo", "Fine", "Gull", "Hill"):
            code = lines.replace("Acme Ltd", name)
            shown = subprocess.run([*command, code], capture_output=True, text=True).stdout.strip()
            is_said = shown == "True" if language == "python" else shown < "3333333333333400"
            assert is_held_out([name], 0.2, "calls 2026").tolist() == [is_said], (name, shown)


def test_nobody_is_held_out_of_no_clients_and_a_wrong_share_is_refused() -> None:
    assert is_held_out([], 0.2, "s").tolist() == []
    for share in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match="share: expected a fraction"):
            is_held_out(["a"], share, "s")
