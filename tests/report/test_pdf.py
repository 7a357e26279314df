"""The document's layout: no nearly empty last page, no client torn in two, nothing left alone."""

from __future__ import annotations

import io
from typing import Any

import pytest
from pypdf import PdfReader

from attrition.report import pdf
from attrition.report.document import Block, Call, Calls, Plot, Section, Story, Text
from attrition.report.figures import style
from tests.support.figures import sketch

HEIGHT, FOOTER = 842, 50  # points

Page = list[tuple[float, str]]  # its texts above the footer, with their heights


def pages(*blocks: Block) -> list[Page]:
    """A document of a manager's chapter and of an appendix."""
    sections = (
        Section("first", "First", blocks),
        Section("last", "Last", (Text("end of all"),), begins_appendix=True),
    )
    story = Story("Title", "edition", "2026-03-01T06:00:00+00:00", "Headline.", (), sections)
    made = pdf.render(story, {"sketch": style.svg_document(sketch())})
    return [_texts(page) for page in PdfReader(io.BytesIO(made)).pages]


def _texts(page: Any) -> Page:
    texts: Page = []

    def visit(text: str, place: list[float], of_text: list[float], *_: object) -> None:
        texts.append((of_text[5] * place[3] + place[5], text))

    page.extract_text(visitor_text=visit)
    return [(height, text) for height, text in texts if text.strip() and height > FOOTER]


def filled(page: Page) -> float:
    return 1 - min(height for height, _ in page) / HEIGHT


def test_a_last_page_that_would_be_nearly_empty_is_filled_by_smaller_or_larger_pictures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plots = [Plot("sketch", "A sketch", "A line that rises and falls.", "A caption.")] * 6
    texts = [Text(f"text {number}") for number in range(20)]
    made = pages(*plots, *texts)
    assert filled(made[-1]) > pdf.FULL
    monkeypatch.setattr(pdf, "ZOOMS", ("1",))
    as_they_are = pages(*plots, *texts)
    assert filled(as_they_are[-1]) < 1 / 3


def test_a_client_stands_on_one_page() -> None:
    reasons = tuple(f"reason {number} of 9" for number in range(1, 10))
    calls = tuple(
        Call(f"{rank}", f"client {rank}", "50%", 0.5, "high", reasons, (), "", "", "")
        for rank in range(1, 11)
    )
    made = pages(Calls("Calls", calls, False, False, False, "A note."))
    assert len(made) > 1
    for page in made:
        text = " ".join(text for _, text in page)
        assert text.count("reason 1 of 9") == text.count("reason 9 of 9")


@pytest.mark.parametrize("lines", range(38, 48))
def test_the_appendix_begins_where_its_first_chapter_does(lines: int) -> None:
    for page in pages(*[Text(f"text {number}") for number in range(lines)]):
        text = " ".join(text for _, text in page)
        assert ("Appendix" in text) == ("Last" in text)
