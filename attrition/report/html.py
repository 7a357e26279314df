"""The report as one HTML page that needs nothing else: no network, no script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from attrition.core.paths import PROJECT
from attrition.report.document import Story

TEMPLATES = Path(PROJECT) / "templates"
STATIC = TEMPLATES.parent / "static"


def render(story: Story, pictures: Mapping[str, str]) -> str:
    """Make the page.

    Args:
        story: the report.
        pictures: name -> SVG element, for each picture that the story names.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader([TEMPLATES, STATIC]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Only our own pictures stand there unescaped; every other text is escaped by the template.
    trusted = {name: Markup(code) for name, code in pictures.items()}  # noqa: S704
    page = environment.get_template("report.html")
    return page.render(story=asdict(story), pictures=trusted)
