"""Pictures for the reports: one quiet style, and their bytes for a page, for a PDF, for a file.

A figure is drawn once in the house's colours and rendered as

- PNG, for a file of its own;
- SVG to stand in an HTML page: the page's font, and its CSS variables as colours, so that it
  follows the page into the dark;
- SVG with letters as outlines, for the PDF.

Equal pictures give equal bytes. Nothing here keeps state: no pyplot, no figure that outlives its
picture. Texts are never taken for formulas, whatever a column is called.
"""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text

INK, SOFT, LINE, ACCENT, ALARM, FACE = (
    "#1d2327", "#5a646b", "#dedbd3", "#1f5f74", "#c05621", "#ffffff",
)  # fmt: skip
CSS_VARIABLES = {
    INK: "--ink", SOFT: "--soft", LINE: "--line",
    ACCENT: "--accent", ALARM: "--alarm", FACE: "--face",
}  # fmt: skip
MINUS = "\N{MINUS SIGN}"
FONT = "DejaVu Sans"  # comes with matplotlib, so it looks the same everywhere
WIDTH = 170 / 25.4  # inches: the text width of the PDF
TEXT, SMALL = 9.0, 8.2  # points
STYLE: dict[Any, Any] = {
    "font.family": [FONT],
    "font.size": TEXT,
    "text.color": INK,
    "text.parse_math": False,
    "axes.titlesize": TEXT,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.labelsize": SMALL,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": SOFT,
    "axes.linewidth": 0.6,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "legend.frameon": False,
    "legend.fontsize": SMALL,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.6,
    "lines.markersize": 5.0,
    "figure.facecolor": "none",
    "svg.hashsalt": "",
    "path.simplify": True,
}
_REPLACEMENT, _BOX = "\N{REPLACEMENT CHARACTER}", "\N{WHITE SQUARE}"


@dataclass(frozen=True)
class Picture:
    """A figure and what is said of it.

    Attributes:
        name: letters only, a name for files and anchors.
        title: a short heading.
        alt: what it shows, in a sentence with the key figure, for who cannot see it.
        caption: how to read it.
        figure: in the house's colours.
    """

    name: str
    title: str
    alt: str
    caption: str
    figure: Figure


@dataclass(frozen=True)
class Absent:
    """A picture that cannot be drawn, and why, in one sentence."""

    name: str
    title: str
    reason: str


@contextmanager
def style() -> Iterator[None]:
    """The house's style, for what draws or renders within."""
    with matplotlib.rc_context(STYLE):
        yield


def canvas(height: float) -> Figure:
    """An empty figure as wide as the PDF's text; the height is in inches."""
    return Figure(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06))


def shown(text: str, limit: int) -> str:
    """A column's or a level's name as it is shown: printable, in one line, not too long."""
    clean = "".join(letter if letter.isprintable() else _REPLACEMENT for letter in text).strip()
    if not clean:
        return "(blank)"
    return clean if len(clean) <= limit else f"{clean[: limit - 1]}…"


def short(number: float) -> str:
    """A number in few characters, for an axis: 0.03, 7.5, 250, 12k, 3.4M."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size <= abs(number) < 1e15:
            return f"{number / (1e3 if unit == 'k' else size):.3g}{unit}".replace("-", MINUS)
    rounded = f"{number:.0f}" if 100 <= abs(number) < 1e4 else f"{number:.3g}"
    return rounded.replace("-", MINUS)


def listed(names: Sequence[str]) -> str:
    """Names as a sentence says them: "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def png(picture: Picture, dots_per_inch: int) -> bytes:
    """The picture as PNG, on white."""
    stream = io.BytesIO()
    with style(), _drawable_texts(picture.figure):
        picture.figure.savefig(stream, format="png", dpi=dots_per_inch, facecolor=FACE)
    return stream.getvalue()


def svg(picture: Picture) -> str:
    """The picture as an SVG element that belongs to the HTML page it stands in.

    Its text is the page's text: it takes the page's font, can be searched and selected. Its
    colours are the page's variables --ink, --soft, --line, --accent, --alarm and --face. Its ids
    begin with hashes of its name, so several pictures may stand in one page.
    """
    with warnings.catch_warnings():
        # The page's font draws the letters, not the one that measures them here.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
        code = _svg(picture, "none")
    code = code[code.index("<svg") :]
    code = re.sub(
        r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", code, flags=re.S
    )
    code = _without_idle_ids(code)
    code = re.sub(r"font: ((?:bold |\d+ )?)([\d.]+)px [^;\"]*", _font, code)
    for color, variable in CSS_VARIABLES.items():
        code = code.replace(color, f"var({variable})")
    code = re.sub(r">\s+<", "><", code)
    return re.sub(r"<svg[^>]*>", lambda tag: _opening(tag.group(), picture), code, count=1)


def svg_outlines(picture: Picture) -> bytes:
    """The picture as an SVG document with letters as outlines, on transparent ground."""
    with _drawable_texts(picture.figure):
        return _svg(picture, "path").encode()


def _svg(picture: Picture, font_type: str) -> str:
    stream = io.StringIO()
    own: dict[Any, Any] = {"svg.fonttype": font_type, "svg.hashsalt": picture.name}
    with style(), matplotlib.rc_context(own):
        picture.figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    return stream.getvalue()


def _font(found: re.Match[str]) -> str:
    weight = f"font-weight: {found[1].strip()}; " if found[1] else ""
    return f"{weight}font-size: {found[2]}px"


def _without_idle_ids(code: str) -> str:
    """Leave out the ids that nothing refers to; they repeat from picture to picture."""
    used = set(re.findall(r"#([\w-]+)", code))
    return re.sub(r' id="([^"]*)"', lambda id: id.group() if id[1] in used else "", code)


def _opening(tag: str, picture: Picture) -> str:
    box = re.search(r'viewBox="[^"]*"', tag)
    assert box is not None
    name = picture.name
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'{box.group()} role="img" aria-labelledby="{name}-title {name}-desc" class="figure" '
        f'stroke-linejoin="round" stroke-linecap="butt">'
        f'<title id="{name}-title">{html.escape(picture.title)}</title>'
        f'<desc id="{name}-desc">{html.escape(picture.alt)}</desc>'
    )


@contextmanager
def _drawable_texts(figure: Figure) -> Iterator[None]:
    """While rendering, let a box stand for each letter that the font lacks."""
    texts = [found for found in figure.findobj(Text) if isinstance(found, Text)]
    before = [text.get_text() for text in texts]
    for text, content in zip(texts, before, strict=True):
        if not _glyphs().issuperset(content):
            known = (letter if letter in _glyphs() else _BOX for letter in content)
            text.set_text("".join(known))
    try:
        yield
    finally:
        for text, content in zip(texts, before, strict=True):
            text.set_text(content)


@cache
def _glyphs() -> frozenset[str]:
    font = font_manager.get_font(font_manager.findfont(FONT))
    return frozenset(map(chr, font.get_charmap())) | {"\n"}
