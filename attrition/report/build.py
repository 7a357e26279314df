"""The report in plain values and finished sentences: first whom to call, last the engineering."""

from __future__ import annotations

from attrition.core import formatting
from attrition.report import (
    chapter_changes,
    chapter_clients,
    chapter_data,
    chapter_model,
    chapter_news,
)
from attrition.report.document import Story
from attrition.report.inputs import ReportInputs

TITLE = "Client attrition risk"


def build_report(inputs: ReportInputs) -> Story:
    """Build the whole report, in the order in which readers need it."""
    lead = (
        chapter_model.trust(inputs),
        inputs.decision.calls_in_brief if inputs.decision else None,
        chapter_clients.at_stake(inputs),
    )
    return Story(
        title=TITLE,
        edition=_edition(inputs),
        time=inputs.time,
        headline=chapter_clients.headline(inputs),
        lead=tuple(text for text in lead if text),
        sections=(
            chapter_clients.chapter(inputs),
            chapter_news.chapter(inputs),
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
