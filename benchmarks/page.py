"""The page of results: a section for each subject, each with its date and machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measuring import machine

ABOUT = """# Measured

Written by `make bench`. Compare ratios, not seconds: both sides of a line were run in turn on the
same machine, whole processes where users start processes; medians of several runs, but for the
50,000,000 rows, the curves over rows and the two engines, which run once. The naive way stands in
`benchmarks/naive.py` and `benchmarks/naive_server.py`; judge whether it is fair."""


def write_section(path: Path, heading: str, text: str, order: Sequence[str]) -> None:
    """Put a section into the page in place of its elder, and leave the others as they are.

    Args:
        path: the page; need not exist.
        heading: of the section, one of `order`.
        text: its Markdown, without headings.
        order: all headings, in their order.
    """
    sections = _sections(path.read_text(encoding="utf-8") if path.exists() else "")
    sections[heading] = f"{datetime.now(UTC):%Y-%m-%d}. {machine()}\n\n{text}"
    parts = [f"## {name}\n\n{sections[name]}" for name in order if name in sections]
    path.write_text("\n\n".join([ABOUT, *parts]) + "\n", encoding="utf-8")


def _sections(page: str) -> dict[str, str]:
    """Heading -> text."""
    _, *parts = re.split(r"^## (.+)$", page, flags=re.MULTILINE)
    return {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}
