"""The report as a PDF of a few pages, set by Typst.

The story goes to the template as JSON: whatever a client is called is a text there and never
markup. Fonts are Typst's own and those that come with matplotlib, and the time in the file is that
of the story: equal stories give equal bytes anywhere. Only for letters that these fonts lack, such
as Chinese ones, the machine's are looked at; a letter that no font has becomes a box.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from attrition.core.paths import PROJECT
from attrition.report.document import COLOURS, Story
from attrition.report.fonts import font_folder, lacking

TEMPLATE = Path(PROJECT) / "templates" / "report.typ"
# Width of a picture, a share of the text's, by which letters of 8.2 pt stay above 6; and the space
# between rows and between blocks, times the usual: tried one after the other ...
LAYOUTS = (
    ("0.78", "0.95"),
    ("0.94", "0.75"),
    ("0.82", "0.85"),
    ("0.78", "1.25"),
    ("0.9", "1.35"),
    ("0.74", "1.05"),
    ("0.9", "0.85"),
    ("0.86", "1.35"),
    ("0.82", "0.75"),
)
EMPTY = 0.24  # ... until no page has an empty stretch longer than this share of its height, ...
TORN = 0.25  # ... as which a table counts that has less than LEAST_PART before it goes on, or that
LEAST_PART = 0.1  # ... takes more than two pages.
MOST_ADDED, ROUNDING = 0.05, 0.01  # space above a block that fills its page, shares of its height
MARGINS = 23 / 297, 1 - 17 / 297  # where a page begins and ends, as the template has it
ACCESSIBLE: Final = "ua-1"  # PDF/UA: tagged, with a title, a language and a text for every picture


class Edge(NamedTuple):
    """Where a block begins or ends.

    Attributes:
        block: its kind and number, such as "table 3.2"; of one beside others, "beside 3.2.1".
        is_begin: whether it begins there.
        page: from 1 on.
        height: on the page, 0 for the top and 1 for the bottom.
    """

    block: str
    is_begin: bool
    page: int
    height: float


def render(story: Story, pictures: Mapping[str, Sequence[str]]) -> bytes:
    """Make the PDF.

    Args:
        story: the report; its time becomes the document's.
        pictures: name -> SVG documents, one below the other.
    """
    import typst

    data = {"story": asdict(story), "pictures": dict(pictures), "colours": COLOURS}
    report = json.dumps(data, ensure_ascii=False)
    options: dict[str, Any] = {
        "root": TEMPLATE.parent,
        "font_paths": [font_folder()],
        "ignore_system_fonts": not lacking(json.dumps(data["story"], ensure_ascii=False)),
    }

    def compiler(**inputs: str) -> Any:
        return typst.Compiler(TEMPLATE, **options, sys_inputs={"report": report, **inputs})

    flaws: dict[float, Any] = {}
    for width, air in LAYOUTS:
        added = spaces(_edges(compiler(width=width, air=air, spaces="{}")))
        filled = compiler(width=width, air=air, spaces=json.dumps(added))
        flaws.setdefault(largest_flaw(_edges(filled)), filled)
        if min(flaws) <= EMPTY:
            break
    made: bytes = flaws[min(flaws)].compile(
        pdf_standards=[ACCESSIBLE],
        timestamp=int(datetime.fromisoformat(story.time).timestamp()),
        format="pdf",
    )
    return made


def _edges(compiler: Any) -> list[Edge]:
    """Where the blocks of a layout begin and end, by its `typst.Compiler`."""
    found = compiler.query("<edges>", field="value", one=True)
    return [Edge(*edge) for edge in json.loads(found)]


def spaces(edges: Iterable[Edge]) -> dict[str, float]:
    """Block -> space to add above it, so that its page is filled, a share of the page's height.

    Args:
        edges: as for `largest_flaw`, from the first block to the last.
    """
    pages: dict[int, list[Edge]] = {}
    for edge in edges:
        pages.setdefault(edge.page, []).append(edge)
    added: dict[str, float] = {}
    for page in sorted(pages)[:-1]:
        begun = [
            edge.block
            for before, edge in pairwise(pages[page])
            if edge.is_begin and not edge.block.startswith("text") and edge.block.count(".") < 2
            if not before.block.startswith(("title", "heading"))
        ]
        lowest = max(pages[page], key=lambda edge: edge.height)
        if begun and not lowest.is_begin:
            space = (MARGINS[1] - lowest.height - ROUNDING) / len(begun)
            added |= dict.fromkeys(begun, max(min(space, MOST_ADDED), 0.0))
    return added


def largest_flaw(edges: Iterable[Edge]) -> float:
    """The longest stretch of any page on which nothing stands, a share of the page's height; a
    table torn badly counts as `TORN`.

    Args:
        edges: of each block two.
    """
    top, bottom = MARGINS
    begins, ends = dict[str, tuple[int, float]](), dict[str, tuple[int, float]]()
    for block, is_begin, page, height in edges:
        # The head of a table begins again on each of its pages.
        (begins if is_begin else ends).setdefault(block, (page, height))
    largest, taken = 0.0, dict[int, list[tuple[float, float]]]()
    for block, (first, begin) in begins.items():
        last, end = ends[block]
        is_torn = last > first and min(bottom - begin, end - top) < LEAST_PART
        if last - first > 1 or (is_torn and block.startswith(("table", "calls"))):
            largest = TORN
        for page in range(first, last + 1):
            part = (begin if page == first else top, end if page == last else bottom)
            taken.setdefault(page, []).append(part)
    for parts in taken.values():
        reached = top
        for begin, end in [*sorted(parts), (bottom, bottom)]:
            largest, reached = max(largest, begin - reached), max(reached, end)
    return largest
