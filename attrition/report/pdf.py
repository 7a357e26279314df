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
from math import inf
from pathlib import Path
from typing import Any, Final

from attrition.core.paths import PROJECT
from attrition.report.document import COLOURS, Story
from attrition.report.fonts import font_folder, lacking

TEMPLATE = Path(PROJECT) / "templates" / "report.typ"
# Width of a picture, a share of the text's, by which letters of 8.2 pt stay above 6; and the space
# between rows and between blocks, times the usual: tried one after the other ...
LAYOUTS = (
    ("0.82", "0.95"),
    ("0.78", "1.35"),
    ("0.78", "1.15"),
    ("0.98", "0.75"),
    ("0.98", "0.95"),
    ("0.74", "1.05"),
    ("0.74", "1.25"),
    ("0.74", "1.15"),
    ("0.9", "1.05"),
    ("0.86", "1.25"),
)
EMPTY = 0.2  # ... until no page has an empty stretch longer than this share of its height, ...
TORN = 0.25  # ... as which a table counts that has less than LEAST_PART before it goes on, or that
LEAST_PART = 0.1  # ... takes more than two pages.
MARGINS = 23 / 297, 1 - 17 / 297  # where a page begins and ends, as the template has it
ACCESSIBLE: Final = "ua-1"  # PDF/UA: tagged, with a title, a language and a text for every picture


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
    least, best = inf, None
    for width, air in LAYOUTS:
        inputs = {"report": report, "width": width, "air": air}
        compiler = typst.Compiler(TEMPLATE, **options, sys_inputs=inputs)
        edges = compiler.query("<edges>", field="value", one=True)
        if (flaw := largest_flaw(json.loads(edges))) < least:
            least, best = flaw, compiler
        if flaw <= EMPTY:
            break
    assert best is not None
    made = best.compile(
        pdf_standards=[ACCESSIBLE],
        timestamp=int(datetime.fromisoformat(story.time).timestamp()),
        format="pdf",
    )
    assert isinstance(made, bytes)
    return made


def largest_flaw(edges: Iterable[tuple[str, bool, int, float]]) -> float:
    """The longest stretch of any page on which nothing stands, a share of the page's height; a
    table torn badly counts as `TORN`.

    Args:
        edges: of each block two, as the template has them: its number, whether it begins there, the
            page, and the height on it, 0 for the top and 1 for the bottom.
    """
    top, bottom = MARGINS
    begins, ends = dict[str, tuple[int, float]](), dict[str, tuple[int, float]]()
    for number, is_begin, page, height in edges:
        (begins if is_begin else ends)[number] = (page, height)
    largest, taken = 0.0, dict[int, list[tuple[float, float]]]()
    for number, (first, begin) in begins.items():
        last, end = ends[number]
        if last - first > 1 or (last > first and bottom - begin < LEAST_PART):
            largest = TORN
        for page in range(first, last + 1):
            part = (begin if page == first else top, end if page == last else bottom)
            taken.setdefault(page, []).append(part)
    for parts in taken.values():
        reached = top
        for begin, end in [*sorted(parts), (bottom, bottom)]:
            largest, reached = max(largest, begin - reached), max(reached, end)
    return largest
