"""The report as a PDF of a few pages, set by Typst.

The story goes to the template as JSON: whatever a client is called is a text there and never
markup. Fonts are Typst's own and those that come with matplotlib, none of the machine's, and the
time in the file is that of the story: equal stories give equal bytes anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from attrition.core.paths import PROJECT
from attrition.report.document import COLOURS, Story

TEMPLATE = Path(PROJECT) / "templates" / "report.typ"
ZOOMS = ("1", "0.94", "1.06", "1.12", "0.88", "1.18")  # of the pictures, until the last page is ...
FULL = 0.65  # ... not a third empty; a share of the page's height
ACCESSIBLE: Final = "ua-1"  # PDF/UA: tagged, with a title, a language and a text for every picture


def render(story: Story, pictures: Mapping[str, str]) -> bytes:
    """Make the PDF.

    Args:
        story: the report; its time becomes the document's.
        pictures: name -> SVG document.
    """
    import typst

    data = {"story": asdict(story), "pictures": dict(pictures), "colours": COLOURS}
    inputs = {"report": json.dumps(data)}
    options: dict[str, Any] = {
        "root": TEMPLATE.parent,
        "font_paths": [font_folder()],
        "ignore_system_fonts": True,
        "sys_inputs": inputs,
    }
    filled: dict[str, float] = {}
    for zoom in ZOOMS:
        inputs["zoom"] = zoom
        filled[zoom] = float(typst.query(TEMPLATE, "<end>", field="value", one=True, **options))
        if filled[zoom] >= FULL:
            break
    inputs["zoom"] = max(filled, key=lambda zoom: filled[zoom])
    made: bytes = typst.compile(
        TEMPLATE,
        **options,
        pdf_standards=[ACCESSIBLE],
        timestamp=int(datetime.fromisoformat(story.time).timestamp()),
        format="pdf",
    )
    return made


def font_folder() -> Path:
    """Where matplotlib keeps the fonts that come with it."""
    package = find_spec("matplotlib")
    assert package is not None
    assert package.submodule_search_locations is not None
    return Path(package.submodule_search_locations[0], "mpl-data", "fonts", "ttf")
