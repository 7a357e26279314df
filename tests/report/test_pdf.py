"""The document's layout: no page a third empty, nothing torn, every picture in its section."""

from __future__ import annotations

import io
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typst
from fontTools.ttLib import TTFont
from pypdf import PdfReader

from attrition.model.metrics import Minimum, score
from attrition.report import pdf
from attrition.report.document import (
    Beside,
    Block,
    Call,
    Calls,
    Heading,
    Plot,
    Section,
    Story,
    Text,
    table,
)
from attrition.report.figures import model_quality, style
from attrition.report.figures.style import Picture
from attrition.report.fonts import font_folder
from tests.support.figures import sketch

HEIGHT, FOOTER = 842, 50  # points
LEAST_LETTERS = 6  # likewise

Page = list[tuple[float, str]]  # its texts above the footer, with their heights


@cache
def pictures() -> dict[str, list[str]]:
    """One picture, one of three rows of panels, and a confusion matrix."""
    (row,) = style.svg_documents(sketch())
    matrix = model_quality.confusion(
        score([0, 1] * 30, [0.1, 0.9] * 30, 0.5, Minimum(30, 5), 1), "A title"
    )
    assert isinstance(matrix, Picture)
    return {"sketch": [row], "panels": [row] * 3, "matrix": style.svg_documents(matrix)}


def plot(name: str, title: str) -> Plot:
    return Plot(name, title, "A line that rises and falls.", "A caption.")


def pages(*blocks: Block) -> list[Page]:
    """The texts of a document of a manager's chapter and of an appendix."""
    return [_texts(page) for page in document(*blocks).pages]


def document(*blocks: Block) -> PdfReader:
    sections = (
        Section("first", "First", blocks),
        Section("last", "Last", (Text("end of all"),), begins_appendix=True),
    )
    story = Story("Title", "edition", "2026-03-01T06:00:00+00:00", "Headline.", (), sections)
    return PdfReader(io.BytesIO(pdf.render(story, pictures())))


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
    plots = [plot("sketch", "A sketch")] * 6
    texts = [Text(f"text {number}") for number in range(20)]
    made = pages(*plots, *texts)
    assert filled(made[-1]) > 2 / 3
    monkeypatch.setattr(pdf, "LAYOUTS", (("1", "1"),))
    as_they_are = pages(*plots, *texts)
    assert filled(as_they_are[-1]) < 1 / 3


def test_no_page_is_left_a_quarter_empty_by_a_table_that_would_just_not_fit() -> None:
    rows = [[f"row {number}"] for number in range(14)]
    blocks: list[Block] = [
        *[Text(f"text {number}") for number in range(34)],
        table("A table", "l", ["Row"], rows),
        *[Text(f"text {number}") for number in range(30)],
    ]
    assert min(map(filled, pages(*blocks)[:-1])) > 0.9


@pytest.mark.parametrize("layout", pdf.LAYOUTS)
def test_every_picture_stands_in_its_section_in_the_order_of_the_story(
    monkeypatch: pytest.MonkeyPatch, layout: tuple[str, str]
) -> None:
    """No picture floats behind the heading that follows, and no text before that of its own."""
    blocks: list[Block] = []
    for place in range(10):
        blocks += [Heading(f"heading {place}"), Text(f"text {place}")]
        blocks += [plot(name, f"{name} {place}") for name in ("sketch", "panels")[: place % 3]]
    monkeypatch.setattr(pdf, "LAYOUTS", (layout,))
    titles = r"(?:heading|text|sketch|panels) \d"
    in_reading_order = [text for page in pages(*blocks) for _, text in sorted(page, reverse=True)]
    expected = [getattr(block, "title", getattr(block, "text", "")) for block in blocks]
    assert re.findall(titles, "\n".join(in_reading_order)) == expected


def test_a_picture_of_many_panels_goes_on_row_by_row_and_no_row_stands_without_its_title() -> None:
    made = pages(*[Text(f"text {number}") for number in range(20)], plot("panels", "Panels"))
    told = ["".join(text for _, text in page) for page in made]
    assert [page.count("atitle") for page in told] == [2, 1]
    assert "Panels" in told[0]
    assert "A caption." in told[1]


@pytest.mark.parametrize("lines", range(32, 38))
def test_no_row_of_panels_shrinks_to_fit_the_end_of_a_page(
    monkeypatch: pytest.MonkeyPatch, lines: int
) -> None:
    monkeypatch.setattr(pdf, "LAYOUTS", (("0.98", "1"),))
    plots = plot("panels", "Panels")
    assert letter_sizes(*[Text("text")] * lines, plots) == letter_sizes(Text("text"), plots)


def letter_sizes(*blocks: Block) -> set[float]:
    """The sizes of all letters of a document, in points."""
    sizes: set[float] = set()

    def visit(text: str, place: list[float], of_text: list[float], _: object, size: float) -> None:
        sizes.update([round(abs(size * of_text[3] * place[3]), 2)] if text.strip() else [])

    for page in document(*blocks).pages:
        page.extract_text(visitor_text=visit)
    return sizes


def test_a_page_is_filled_by_space_above_its_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks: list[Block] = []
    for number in range(3):
        blocks += [Heading(f"heading {number}"), table("A table", "l", ["Row"], [["row"]] * 5)]
    blocks += [plot("sketch", f"sketch {number}") for number in range(4)]
    monkeypatch.setattr(pdf, "LAYOUTS", (("0.98", "1"),))
    first, last = pages(*blocks)
    monkeypatch.setattr(pdf, "MOST_ADDED", 0.0)
    first_as_it_comes, last_as_it_comes = pages(*blocks)
    assert filled(first_as_it_comes) < 0.8
    assert filled(first) > 0.9
    assert filled(last) == pytest.approx(filled(last_as_it_comes))


def test_space_is_added_above_headings_tables_and_pictures_of_all_pages_but_the_last() -> None:
    top, bottom = pdf.MARGINS
    names = ["title 0", "text 0.0", "table 0.1", "heading 0.2", "text 0.3", "beside 0.4"]
    heights = [top, 0.1, 0.2, 0.5, 0.6, 0.7]
    found = [
        pdf.Edge(name, is_begin, 1, height + 0.05 * (not is_begin))
        for name, height in zip(names, heights, strict=True)
        for is_begin in (True, False)
    ]
    found += [pdf.Edge("beside 0.4.1", True, 1, 0.7), pdf.Edge("beside 0.4.1", False, 1, 0.85)]
    last = [pdf.Edge("plot 1.0", is_begin, 2, 0.3) for is_begin in (True, False)]
    last += [pdf.Edge("plot 1.1", is_begin, 2, 0.4) for is_begin in (True, False)]
    space = (bottom - 0.85 - pdf.ROUNDING) / 3
    expected = {name: pytest.approx(space) for name in ("table 0.1", "heading 0.2", "beside 0.4")}
    assert 0 < space < pdf.MOST_ADDED
    assert pdf.spaces(found + last) == expected


@pytest.mark.parametrize("layout", pdf.LAYOUTS)
def test_letters_in_pictures_are_legible(
    monkeypatch: pytest.MonkeyPatch, layout: tuple[str, str]
) -> None:
    monkeypatch.setattr(pdf, "LAYOUTS", (layout,))
    beside = Beside((table("A table", "l", ["Row"], [["row"]]), plot("matrix", "Matrix")))
    assert min(letter_sizes(plot("sketch", "A sketch"), beside)) > LEAST_LETTERS


def edges(*blocks: tuple[int, float, int, float]) -> list[pdf.Edge]:
    """Of blocks, each from a page and height to another, what the template says."""
    found = []
    for number, (first, top, last, bottom) in enumerate(blocks):
        found.append(pdf.Edge(f"table 0.{number}", True, first, top))
        found.append(pdf.Edge(f"table 0.{number}", False, last, bottom))
    return found


def test_the_flaw_of_a_layout_is_its_longest_empty_stretch_or_a_badly_torn_table() -> None:
    top, bottom = pdf.MARGINS
    full = (1, top, 1, bottom)
    assert pdf.largest_flaw(edges(full)) == 0.0
    at_the_end = pdf.largest_flaw(edges((1, top, 1, 0.5), (2, top, 2, 0.9)))
    assert at_the_end == pytest.approx(bottom - 0.5)
    above_a_picture = pdf.largest_flaw(edges((1, 0.7, 1, bottom), (1, top, 1, 0.4)))
    assert above_a_picture == pytest.approx(0.3)
    side_by_side = pdf.largest_flaw(edges((1, top, 1, 0.3), (1, top, 1, 0.9)))
    assert side_by_side == pytest.approx(bottom - 0.9)
    assert pdf.largest_flaw(edges((1, top, 1, 0.7), (1, 0.7, 2, bottom))) == 0.0
    one_row_at_the_bottom = edges((1, top, 1, 0.9), (1, 0.9, 2, bottom))
    behind_pictures = edges((1, top, 1, 0.7), (1, 0.7, 3, bottom), (2, top, 2, bottom))
    assert pdf.largest_flaw(one_row_at_the_bottom) == pdf.TORN
    assert pdf.largest_flaw(behind_pictures) == pdf.TORN


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


@pytest.mark.parametrize(
    ("name", "from_machine"),
    [
        ("Łódź Größe Ωμέγα Жук ★", False),
        *(
            (name, True)
            for name in ("株式会社 青", "한국", "บริษัท", "ﾄﾖﾀ", "ⲁⲃ", "\U00010330", "⭐")
        ),
    ],
)
def test_a_name_in_any_script_makes_a_document_with_the_machines_fonts_where_they_are_needed(
    monkeypatch: pytest.MonkeyPatch, name: str, from_machine: bool
) -> None:
    compiler, asked = typst.Compiler, set()

    def noted(*arguments: Any, **options: Any) -> Any:
        asked.add(not options["ignore_system_fonts"])
        return compiler(*arguments, **options)

    monkeypatch.setattr(typst, "Compiler", noted)
    texts = "".join(text for page in pages(Text(name)) for _, text in page)
    assert asked == {from_machine}
    assert from_machine or name in texts


def test_a_font_that_has_the_letters_is_taken_before_the_boxes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The font is one of matplotlib's, whose H is called 青 and A 株."""
    font = TTFont(font_folder() / "DejaVuSans.ttf")
    for part in font["cmap"].tables:
        part.cmap = {0x9752: "H", 0x682A: "A"}
    for text in font["name"].names:
        text.string = "Of Han"
    font.save(tmp_path / "han.ttf")
    compiler = typst.Compiler

    def with_font(*arguments: Any, **options: Any) -> Any:
        options["font_paths"] = [*options["font_paths"], tmp_path]
        return compiler(*arguments, **options)

    assert "青株" not in str(pages(Text("青株")))
    monkeypatch.setattr(typst, "Compiler", with_font)
    assert "青株" in str(pages(Text("青株")))
