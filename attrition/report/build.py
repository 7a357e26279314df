"""The report in plain values and finished sentences: first whom to call, last the engineering."""

from __future__ import annotations

from attrition.core import formatting
from attrition.report import chapter_changes, chapter_clients, chapter_data, chapter_model
from attrition.report.document import Story
from attrition.report.inputs import Material

TITLE = "Client attrition risk"


def tell(material: Material) -> Story:
    """Build the whole report, in the order in which readers need it."""
    lead = (chapter_changes.decided(material.decision), chapter_model.trust(material))
    return Story(
        title=TITLE,
        edition=_edition(material),
        time=material.time,
        headline=chapter_clients.headline(material),
        lead=tuple(text for text in lead if text),
        attention=_attention(material),
        sections=(
            chapter_clients.chapter(material),
            chapter_changes.chapter(material),
            chapter_model.chapter(material),
            chapter_data.chapter(material),
        ),
    )


def _edition(material: Material) -> str:
    model = material.model
    if model is None:
        name = "no model yet"
    else:
        name = "candidate, not deployed" if model.release is None else f"release {model.release}"
    return f"{formatting.moment(material.time)} · {name}"


def _attention(material: Material) -> tuple[str, ...]:
    return tuple(
        formatting.sentence(formatting.line(warning, 600))
        for warning in (material.decision.warnings if material.decision else ())
    )
