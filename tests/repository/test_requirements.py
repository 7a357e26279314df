"""The lock holds what the requirements ask for, each with its digest, and names no host."""

from __future__ import annotations

import re

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import REPOSITORY

LOCK = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")
ENTRIES = re.findall(
    r"^(\S+)==(\S+) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", LOCK, re.M
)


def test_the_lock_has_versions_and_digests_and_nothing_else() -> None:
    lines = sum(1 + hashes.count("\n") for _, _, hashes in ENTRIES)
    comments = [line for line in LOCK.splitlines() if line.startswith("#")]
    assert lines + len(comments) == len(LOCK.splitlines())
    assert len(comments) == 2


def test_the_lock_has_every_requirement_in_a_version_that_is_allowed() -> None:
    locked = {canonicalize_name(name): version for name, version, _ in ENTRIES}
    for file in ("requirements.txt", "requirements-dev.txt"):
        for line in (REPOSITORY / file).read_text().splitlines():
            if not line.startswith(("#", "-r")):
                required = Requirement(line)
                assert locked[canonicalize_name(required.name)] in required.specifier, line
