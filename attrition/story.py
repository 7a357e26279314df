"""The report in plain values and finished sentences: first whom to call, last the engineering."""

from __future__ import annotations

from attrition import changestory, clientstory, datastory, modelstory, phrases
from attrition.blocks import Story
from attrition.material import Material

TITLE = "Client attrition risk"


def tell(material: Material) -> Story:
    """Tell everything there is to tell, in the order in which readers need it."""
    lead = (changestory.decided(material.decision), modelstory.trust(material))
    return Story(
        title=TITLE,
        edition=_edition(material),
        time=material.time,
        headline=clientstory.headline(material),
        lead=tuple(text for text in lead if text),
        attention=_attention(material),
        sections=(
            clientstory.chapter(material),
            changestory.chapter(material),
            modelstory.chapter(material),
            datastory.chapter(material),
        ),
    )


def _edition(material: Material) -> str:
    model = material.model
    if model is None:
        name = "no model yet"
    else:
        name = "candidate, not deployed" if model.release is None else f"release {model.release}"
    return f"{phrases.moment(material.time)} · {name}"


def _attention(material: Material) -> tuple[str, ...]:
    return tuple(
        phrases.sentence(phrases.line(warning, 600))
        for warning in material.decision.get("warnings") or []
    )
