"""The colours of the pages and of the report, by the formula of WCAG 2.2 (relative luminance)."""

from __future__ import annotations

import re

import pytest

from tests.conftest import REPOSITORY

CSS = (REPOSITORY / "static/colours.css").read_text()
LIGHT, DARK = (
    dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", part)) for part in CSS.split("@media")
)
TEXT, GRAPHICS = 4.5, 3.0  # success criteria 1.4.3 and 1.4.11, level AA
PAIRS = [
    *((ink, paper, TEXT) for ink in ("ink", "soft", "accent") for paper in ("paper", "card")),
    ("ink", "warn-paper", TEXT),
    ("warn", "warn-paper", TEXT),
    ("accent", "warn-paper", TEXT),
    ("paper", "accent", TEXT),  # a chosen filter
    ("accent", "paper", GRAPHICS),  # the outline of what has the focus
    *((mark, paper, GRAPHICS) for mark in ("alarm", "soft") for paper in ("paper", "card")),
]


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_the_formula_is_that_of_the_standard() -> None:
    """Black on white is 21:1 by definition; #777 on white is known to miss 4.5 by a hair."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_everything_that_is_read_stands_out_in_both_schemes(scheme: dict[str, str]) -> None:
    for ink, paper, least in PAIRS:
        ratio = contrast(scheme[ink], scheme[paper])
        assert ratio >= least, f"{ink} on {paper}: {ratio:.2f}"


def test_the_edge_of_a_control_stands_out_and_nothing_hides_the_focus() -> None:
    page = (REPOSITORY / "static/page.css").read_text()
    for text in (page, (REPOSITORY / "templates/report.css").read_text()):
        assert ":focus-visible { outline: 2px solid var(--accent)" in text
        # The main part is focused by the skip link alone, and is no control.
        hidden = re.findall(r"^(.*)\{[^}]*outline: *(?:none|0)\b", text, re.MULTILINE)
        assert {selector.strip() for selector in hidden} <= {"main"}
    edges = re.findall(r"--edge: (#[0-9a-f]{6});", page)
    assert len(edges) == 2
    for edge, scheme in zip(edges, (LIGHT, DARK), strict=True):
        assert contrast(edge, scheme["card"]) >= GRAPHICS
