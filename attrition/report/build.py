"""The report in plain values and finished sentences: first whom to call, last the engineering."""

from __future__ import annotations

from attrition.core import formatting
from attrition.report import chapter_changes, chapter_clients, chapter_data, chapter_model
from attrition.report.document import Story
from attrition.report.inputs import ReportInputs

TITLE = "Client attrition risk"


def build_report(inputs: ReportInputs) -> Story:
    """Build the whole report, in the order in which readers need it."""
    lead = (chapter_changes.decided(inputs.decision), chapter_model.trust(inputs))
    return Story(
        title=TITLE,
        edition=_edition(inputs),
        time=inputs.time,
        headline=chapter_clients.headline(inputs),
        lead=tuple(text for text in lead if text),
        attention=_attention(inputs),
        sections=(
            chapter_clients.chapter(inputs),
            chapter_changes.chapter(inputs),
            chapter_model.chapter(inputs),
            chapter_data.chapter(inputs),
        ),
    )


def _edition(inputs: ReportInputs) -> str:
    model = inputs.model
    if model is None:
        name = "no model yet"
    else:
        name = "candidate, not deployed" if model.release is None else f"release {model.release}"
    return f"{formatting.moment(inputs.time)} · {name}"


def _attention(inputs: ReportInputs) -> tuple[str, ...]:
    return tuple(
        formatting.sentence(formatting.line(warning, 600))
        for warning in (inputs.decision.warnings if inputs.decision else ())
    )
