"""Rendering: bytes that repeat, colours and fonts that are the page's, names that cannot hurt."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import pytest
from fontTools.ttLib import TTFont
from matplotlib import font_manager
from matplotlib.font_manager import fontManager

from attrition.core import formatting
from attrition.core.formatting import line
from attrition.report import fonts, pdf
from attrition.report.document import Plot, Section, Story
from attrition.report.figures import style
from attrition.report.fonts import FONT
from tests.conftest import REPOSITORY
from tests.support import hostile
from tests.support.figures import sketch

COMMON = ("ffi \u017d\u0142 \u0416 \u03bb \u20ac \u2212", "x" * 20)
# Set by Typst, most of them would make a PDF that it refuses.
RARE = ("हिन्दी", "ไทยน้ำ", "e\u0301", "\U0001f600", "中文")


@pytest.mark.slow
def test_equal_pictures_give_equal_bytes_in_whatever_order_they_are_rendered() -> None:
    first, second = sketch(), sketch()
    svg, png, outlines = (style.svg(first), style.png(first, 100), style.svg_documents(first))
    assert style.svg_documents(second) == outlines
    assert style.png(second, 100) == png
    assert style.svg(second) == svg == style.svg(first)


@pytest.mark.slow
def test_the_layout_is_settled_before_the_first_rendering() -> None:
    picture = sketch()
    (axes,) = picture.figure.axes
    before = axes.get_position().bounds
    axes.set_ylabel("one\ntwo\nthree")
    style.svg(picture)
    assert axes.get_position().bounds == before


@pytest.mark.slow
def test_bytes_do_not_depend_on_the_process() -> None:
    code = (
        "import hashlib; from attrition.report.figures import style; "
        "from tests.support.figures import sketch; "
        "p = sketch(); print(hashlib.sha256(style.svg(p).encode() + style.png(p, 90)"
        " + style.svg_documents(p)[0].encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True, text=True
        ).stdout
        for _ in range(2)
    }
    assert len(digests) == 1


@pytest.mark.slow
def test_the_svg_is_the_pages_own() -> None:
    code = style.svg(sketch())
    root = ET.fromstring(code)
    assert root.attrib["role"] == "img"
    assert "width" not in root.attrib
    name = "{http://www.w3.org/2000/svg}"
    assert root.findtext(f"{name}title") == "A <title>"
    assert root.findtext(f"{name}desc") == 'It "shows" 0.5 & more'
    labelled = root.attrib["aria-labelledby"].split()
    assert labelled == [root[0].attrib["id"], root[1].attrib["id"]]
    assert not re.search(r"#[0-9a-fA-F]{6}\b", code)  # no colour but the page's
    assert {"var(--accent)", "var(--alarm)", "var(--line)"} <= set(re.findall(r"var\(.*?\)", code))
    for absent in ("DejaVu", "font-family", "<metadata", "<style", "<?xml", "<!", "Date", "http:"):
        assert absent not in re.sub(r"^<svg[^>]*>", "", code)
    assert ">a title<" in code  # text, not outlines


@pytest.mark.slow
def test_several_pictures_in_one_page_share_no_id() -> None:
    pages = [style.svg(sketch(name)) for name in ("one", "two")]
    ids = [set(re.findall(r' id="([^"]+)"', page)) for page in pages]
    assert not ids[0] & ids[1]
    for page, known in zip(pages, ids, strict=True):
        assert set(re.findall(r'(?:url\(|href=")#([\w-]+)', page)) <= known


@pytest.mark.slow
def test_the_pdf_gets_the_texts_as_texts_where_the_font_has_their_letters() -> None:
    (code,) = style.svg_documents(sketch())
    assert ">a title<" in code
    assert FONT in code
    assert style.ACCENT in code
    assert "dc:date" not in code


@pytest.mark.parametrize("text", [*hostile.LABELS, *COMMON, *RARE], ids=ascii)
def test_any_letters_can_stand_in_a_picture_of_the_pdf(text: str) -> None:
    """A PDF that can be read aloud must know the text of every glyph."""
    picture = sketch(text=text)
    (code,) = style.svg_documents(picture)
    if text in COMMON + RARE:
        assert ("<text" in code) == (text in COMMON)
    plot = Plot(picture.name, picture.title, picture.alt, picture.caption)
    story = Story("T", "E", "2026-03-01T06:00:00+00:00", "H", (), (Section("s", "S", (plot,)),))
    assert pdf.render(story, {picture.name: [code]}).startswith(b"%PDF")


@pytest.mark.slow
@pytest.mark.parametrize("text", hostile.LABELS, ids=ascii)
def test_hostile_names_are_drawn_as_they_stand_and_warn_of_nothing(text: str) -> None:
    picture = sketch(text=text)
    style.png(picture, 50)
    style.svg_documents(picture)
    svg = style.svg(picture)
    texts = [
        element.text for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    ]
    assert line(text, 60) in texts


def test_letters_the_font_lacks_stay_letters_in_the_page() -> None:
    picture = sketch(text="中文")
    before = style.svg(picture)
    style.png(picture, 50)
    assert "中文" in before
    assert style.svg(picture) == before


@pytest.fixture
def han(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The machine has got a font whose H is called 青 and A 株."""
    font = TTFont(fonts.font_folder() / "DejaVuSans.ttf")
    for part in font["cmap"].tables:
        part.cmap = {0x9752: "H", 0x682A: "A"}
    for text in font["name"].names:
        text.string = "Of Han"
    font.save(tmp_path / "han.ttf")
    monkeypatch.setattr(fontManager, "ttflist", [*fontManager.ttflist])
    (tmp_path / "damaged.ttf").write_bytes(b"\0" * 99)
    paths = [str(path) for path in tmp_path.glob("*.ttf")]
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: paths)
    fonts.fonts_with.cache_clear()
    yield
    fonts.fonts_with.cache_clear()


def outlines(text: str, weight: str) -> set[str]:
    """The letters of a text in a picture of the PDF."""
    with style.style():
        figure = style.canvas(1)
        figure.subplots().set(xticks=[], yticks=[], xlabel=text)
        figure.axes[0].xaxis.label.set_fontweight(weight)
        picture = style.picture("name", "Title", "Alt", "Caption", figure)
        (code,) = style.svg_documents(picture)
    return set(re.findall(r'<path id="[^"]+-[0-9a-f]+" d="([^"]+)"', code))


def test_letters_the_font_lacks_are_drawn_in_the_machines(
    han: None, caplog: pytest.LogCaptureFixture
) -> None:
    """With the outlines of that font, and not as boxes; it need not have bold ones."""
    chinese = outlines("株青", "bold")
    assert len(chinese) == 2
    assert chinese <= outlines("AH\u0301", "normal")
    assert not caplog.records


def test_wide_letters_are_cut_to_the_width_that_they_have_in_their_font() -> None:
    assert len(style.fitted("株" * 40, 100)) == int(100 / style.SMALL)


def test_a_name_is_cut_to_the_width_there_is() -> None:
    assert style.fitted("short", 60) == "short"
    assert style.fitted("a\nb\x00c", 60) == "a b c"
    shortened = style.fitted("orders of the last month", 60)
    assert shortened.startswith("ord")
    assert shortened.endswith("nth")
    assert "…" in shortened
    wide, narrow = style.fitted("W" * 200, 60), style.fitted("i" * 200, 60)
    assert "…" in wide
    assert len(wide) < len(narrow) < 60


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("yes", "yes"),
        ("Month-to-month", "Month-\nto-month"),
        ("Mailed check", "Mailed\ncheck"),
        ("Monthtomonthly", "Mon…hly"),
    ],
)
def test_a_name_that_would_be_cut_stands_on_two_lines(text: str, shown: str) -> None:
    assert style.fitted_lines(text, 40) == shown


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (0.034567, "0.0346"),
        (7.5, "7.5"),
        (250.4, "250"),
        (9999, "9,999"),
        (12_000, "12k"),
        (3_400_000, "3.4M"),
        (-5, f"{style.MINUS}5"),
        (1e30, "1e+30"),
    ],
)
def test_numbers_are_short(number: float, text: str) -> None:
    assert formatting.short(number) == text


@pytest.mark.parametrize(("limit", "step"), [(1.1, 1), (5.4, 5), (0.3, 0.2), (1.0, 1), (99, 50)])
def test_ticks_to_both_sides_are_round_and_inside(limit: float, step: float) -> None:
    assert style.signed_ticks(limit) == pytest.approx([-step, 0, step])


def test_ticks_on_a_square_root_axis_keep_their_distance() -> None:
    assert style.root_ticks([0, 0.01, 0.1, 1, 1.01, 2, 50], 2) == [0, 0.01, 0.1, 1, 2]


def test_drawing_leaves_no_setting_behind() -> None:
    before = dict(matplotlib.rcParams)
    style.svg(sketch())
    assert dict(matplotlib.rcParams) == before
