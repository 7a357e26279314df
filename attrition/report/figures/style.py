"""Pictures for the reports: a common style, and rendering for a page, a PDF or a file.

A figure is drawn once in the project's colours and rendered as

- PNG, for a file of its own;
- SVG in an HTML page: with the page's font, and its CSS variables as colours, so that it follows
  the page's dark mode;
- SVG in the PDF: the same with its own colours, and with letters as outlines where they are rare.

Equal pictures give equal bytes. Nothing here keeps state: no pyplot, no figure that outlives its
picture. Texts are never interpreted as formulas, whatever a column's name is.
"""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from math import floor, log10, sqrt
from typing import Any
from unicodedata import east_asian_width

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Bbox

from attrition.core.formatting import middle
from attrition.report.document import COLOURS
from attrition.report.fonts import FONT, fonts_with, lacking

INK, SOFT, LINE, ACCENT, ALARM, FACE = COLOURS.values()
MINUS = "\N{MINUS SIGN}"
WIDTH = 170 / 25.4  # inches: the text width of the PDF
POINTS = 72 * WIDTH
PANELS_ACROSS = 3  # side by side
PANEL = POINTS / PANELS_ACROSS - 24  # their width without the axis, in points
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
    "date.converter": "concise",
}
MARKERS = ("o", "s", "^", "D")  # one per sample
CLOSE_TICKS = 0.06  # share of an axis within which a second tick's label has no room
_LONGEST = 200  # letters of a name that are considered
# Latin, Greek and Cyrillic letters and common signs: each is a glyph of the font by itself.
_PLAIN = re.compile(
    r"[\n -~\xa0-\xac\xae-\u02e9\u0384-\u038a\u038c\u038e-\u03a1\u03a3-\u0482\u048a-\u0523"
    r"\u1e00-\u1efb\u2010-\u2027\u2030-\u205e\u20a0-\u20b5\u20bd\u2190-\u22ff]*"
)


@dataclass(frozen=True)
class Picture:
    """A figure and its texts.

    Attributes:
        name: letters only, a name for files and anchors.
        title: a short heading.
        alt: its content in a sentence with the key figure, for people who cannot see it.
        caption: how to read it.
        figure: in the project's colours.
        by_row: whether it is panels in rows, between which a page of the PDF may end.
    """

    name: str
    title: str
    alt: str
    caption: str
    figure: Figure
    by_row: bool = False

    @cached_property
    def code(self) -> str:
        """The figure as an SVG document with its texts as texts: page and PDF are made of it."""
        return _svg(self, "none")


@dataclass(frozen=True)
class Absent:
    """A picture that cannot be drawn, and why, in one sentence."""

    name: str
    title: str
    reason: str


@contextmanager
def style() -> Iterator[None]:
    """Apply the style to drawing and rendering within.

    A letter missing from all fonts becomes a box without a warning; a page's own font may have it.
    """
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
        yield


def canvas(height: float) -> Figure:
    """An empty figure as wide as the PDF's text; the height is in inches."""
    layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06, wspace=0.04)
    return Figure(figsize=(WIDTH, height), layout=layout)


def picture(
    name: str, title: str, alt: str, caption: str, figure: Figure, *, by_row: bool = False
) -> Picture:
    """A picture with a fixed layout, so that all renderings are equal, and faster.

    The layout is by FONT alone, the same everywhere; letters that it lacks are then drawn in the
    machine's fonts.
    """
    layout = figure.get_layout_engine()
    assert layout is not None
    layout.execute(figure)
    figure.set_layout_engine(None)  # "none" leaves one for which each rendering draws twice
    texts = figure.findobj(Text)
    if others := fonts_with(lacking("".join(text.get_text() for text in texts))):
        for text in texts:
            text.set_fontfamily([FONT, *others])
    return Picture(name, title, alt, caption, figure, by_row)


def fitted(text: str, points: float, size: float = SMALL) -> str:
    """A foreign text on one line, shortened in its middle to fit a width.

    Args:
        text: a column's or a level's name.
        points: the available width.
        size: of the letters, in points; those larger than SMALL are bold.
    """
    font = FontProperties(family=FONT, size=size, weight="bold" if size > SMALL else "normal")
    whole = candidate = middle(text, _LONGEST)
    while (excess := _width(candidate, font) / points) > 1 and len(candidate) > 3:
        most = min(int(len(candidate) / excess), len(candidate) - 1)
        candidate = middle(whole, max(most, 3))
    return candidate


def fitted_lines(text: str, points: float) -> str:
    """A foreign text of small letters shortened to a width, on two lines where one would cut it."""
    whole = middle(text, _LONGEST)
    joints = [joint.end() for joint in re.finditer(r"[ _/-]", whole)]
    if not joints or fitted(whole, points) == whole:
        return fitted(whole, points)
    joint = min(joints, key=lambda at: abs(2 * at - len(whole)))
    return "\n".join(fitted(part, points) for part in (whole[:joint].rstrip(), whole[joint:]))


def _width(text: str, font: FontProperties) -> float:
    drawn = "".join("\N{EM DASH}" if east_asian_width(c) in "WF" else c for c in text)  # as wide
    width: float = text_to_path.get_text_width_height_descent(drawn, font, False)[0]
    return width


def moment(time: str) -> np.datetime64:
    """A time on an axis, in UTC; as records have it, ISO 8601."""
    return np.datetime64(datetime.fromisoformat(time).astimezone(UTC).replace(tzinfo=None), "ms")


def signed(number: float) -> str:
    """Points on an axis: +1.5, 0."""
    return f"{number:+g}".replace("-", MINUS) if number else "0"


def root_ticks(steps: Sequence[float], end: float) -> list[float]:
    """Those of these rising values, from 0 on, whose labels have room on a square-root axis."""
    kept = [steps[0]]
    for step in steps[1:]:
        if step <= end and sqrt(step) - sqrt(kept[-1]) >= CLOSE_TICKS * sqrt(end):
            kept.append(step)
    return kept


def root_scale() -> dict[str, Any]:
    """Arguments of `set_xscale` for a square-root axis, which spreads small values."""
    return {"value": "function", "functions": (_root, np.square)}


def _root(values: Any) -> Any:
    return np.sqrt(np.maximum(values, 0.0))


def diverging_bars(
    axes: Axes, bars: Sequence[tuple[str, float, str]], limit: float, rows: int
) -> None:
    """Draw a list of names, with remarks on the right, and below each a bar from zero.

    Args:
        axes: to draw in; the first bar is at the top.
        bars: name, length (positive ones raise the risk), and remark of each.
        limit: end of the axis on both sides.
        rows: number of bars there is room for.
    """
    for row, (name, value, remark) in enumerate(bars):
        axes.barh(row + 0.27, value, height=0.26, color=ALARM if value > 0 else ACCENT)
        axes.plot([0, 0], [row + 0.12, row + 0.42], color=SOFT, linewidth=0.8)
        for text, x, side, color in ((name, 0, "left", INK), (remark, 1, "right", SOFT)):
            axes.text(
                x,
                row - 0.24,
                text,
                transform=axes.get_yaxis_transform(),
                ha=side,
                va="center",
                color=color,
                fontsize=SMALL,
                in_layout=False,
            )
    axes.grid(visible=False)
    axes.set(xlim=(-limit, limit), ylim=(rows - 0.4, -0.6), yticks=[])
    axes.spines["left"].set_visible(False)


def signed_ticks(limit: float) -> list[float]:
    """Zero, and a round number within the limit on both sides of it."""
    unit = 10.0 ** floor(log10(limit))
    step = unit * max(round_one for round_one in (1, 2, 5) if round_one * unit <= limit)
    return [-step, 0.0, step]


def png(picture: Picture, dots_per_inch: int) -> bytes:
    """The picture as PNG, on white."""
    stream = io.BytesIO()
    with style():
        picture.figure.savefig(stream, format="png", dpi=dots_per_inch, facecolor=FACE)
    return stream.getvalue()


def svg(picture: Picture) -> str:
    """The picture as an SVG element for an HTML page.

    Its text has the page's font and can be searched and selected. Its colours are the page's
    variables --ink, --soft, --line, --accent, --alarm and --face. Its ids begin with hashes of its
    name, so that one page may hold several pictures.
    """
    code = picture.code
    code = code[code.index("<svg") :]
    code = re.sub(
        r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", code, flags=re.S
    )
    code = _without_idle_ids(code)
    code = re.sub(r"font-family: [^;\"]*; ?", "", code)
    for name, color in COLOURS.items():
        code = code.replace(color, f"var(--{name})")
    code = re.sub(r">\s+<", "><", code)
    return re.sub(r"<svg[^>]*>", lambda tag: _opening(tag.group(), picture), code, count=1)


def svg_documents(picture: Picture) -> list[str]:
    """The picture as SVG documents for the PDF, on transparent background: one, or one of each row.

    Its texts are texts, in the font of matplotlib. Where that has no letters for one, or joins
    them, all letters are outlines: set by Typst it would be a PDF that cannot be read aloud.
    """
    font_type = "none" if _PLAIN.fullmatch(picture.code) else "path"
    if not picture.by_row:
        return [picture.code if font_type == "none" else _svg(picture, font_type)]
    rows: dict[int, list[Axes]] = {}
    for axes in picture.figure.axes:
        spec = axes.get_subplotspec()
        if axes.get_visible() and spec is not None:
            rows.setdefault(spec.rowspan.start, []).append(axes)
    return [_svg_of(picture, font_type, row) for row in rows.values()]


def _svg_of(picture: Picture, font_type: str, panels: Sequence[Axes]) -> str:
    """Some panels of a picture, as wide as the whole."""
    others = [axes for axes in picture.figure.axes if axes.get_visible() and axes not in panels]
    with style():
        boxes = [box for axes in panels if (box := axes.get_tightbbox()) is not None]
    inch = picture.figure.dpi
    low, high = min(box.y0 for box in boxes) / inch, max(box.y1 for box in boxes) / inch
    for axes in others:
        axes.set_visible(False)
    try:
        return _svg(picture, font_type, Bbox.from_extents(0, low, WIDTH, high))
    finally:
        for axes in others:
            axes.set_visible(True)


def _svg(picture: Picture, font_type: str, part: Bbox | None = None) -> str:
    stream = io.StringIO()
    own: dict[Any, Any] = {"svg.fonttype": font_type, "svg.hashsalt": picture.name}
    with style(), matplotlib.rc_context(own):
        picture.figure.savefig(
            stream, format="svg", transparent=True, metadata={"Date": None}, bbox_inches=part
        )
    return stream.getvalue()


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
