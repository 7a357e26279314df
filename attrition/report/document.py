"""What a report is made of, in plain values: both its forms, HTML and PDF, render the same ones.

Every text in them is finished: templates lay out, and decide nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

PROFIT, EFFECT = "profitofcalls", "effectofcalls"  # names of pictures
COLOURS = {
    "ink": "#1d2327",
    "soft": "#5a646b",
    "line": "#dedbd3",
    "accent": "#1f5f74",
    "alarm": "#c05621",
    "face": "#ffffff",
}


@dataclass(frozen=True)
class Heading:
    """The begin of a part of a section."""

    text: str
    kind: Literal["heading"] = "heading"


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: Literal["text"] = "text"


@dataclass(frozen=True)
class Note:
    """A paragraph that must not be overlooked."""

    title: str
    text: str
    kind: Literal["note"] = "note"


@dataclass(frozen=True)
class Fact:
    """One number, what it is, and a remark on it ("" for none)."""

    label: str
    value: str
    remark: str = ""


@dataclass(frozen=True)
class Facts:
    """A few numbers side by side."""

    facts: tuple[Fact, ...]
    kind: Literal["facts"] = "facts"


@dataclass(frozen=True)
class Table:
    """A table; its first column names the rows.

    Attributes:
        caption: what it shows.
        head: names of the columns.
        aligned: "left" or "right" for each column.
        rows: texts, as many as there are columns.
        note: how to read it, and what was left out; "" for nothing.
    """

    caption: str
    head: tuple[str, ...]
    aligned: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    kind: Literal["table"] = "table"


@dataclass(frozen=True)
class Plot:
    """A picture, by the name under which the renderers find it."""

    name: str
    title: str
    alt: str
    caption: str
    kind: Literal["plot"] = "plot"


@dataclass(frozen=True)
class Pictures:
    """Pictures as they were drawn, by name.

    Attributes:
        texts: what a chapter needs of each; or why there is no picture.
        pages: SVG elements for a page; {} where no page is asked for.
        documents: SVG documents for a PDF, which may part between them; {} where none is asked for.
    """

    texts: dict[str, Plot | str]
    pages: dict[str, str]
    documents: dict[str, list[str]]

    def __or__(self, more: Pictures) -> Pictures:
        """These and more."""
        return Pictures(
            self.texts | more.texts, self.pages | more.pages, self.documents | more.documents
        )


@dataclass(frozen=True)
class Call:
    """One client to call; `change`, `at_risk` and `profit` are empty where nothing is known."""

    rank: str
    client: str
    risk: str
    share: float  # the risk, a fraction 0-1
    tier: str
    reasons: tuple[str, ...]
    change: tuple[str, ...]
    at_risk: str
    profit: str
    url: str  # of its page, where the report is served


@dataclass(frozen=True)
class Calls:
    """The clients to call first."""

    caption: str
    calls: tuple[Call, ...]
    with_changes: bool
    with_values: bool
    with_profit: bool
    note: str
    kind: Literal["calls"] = "calls"


@dataclass(frozen=True)
class Messages:
    """What a run has to say: `severity` says what it asks of the reader."""

    severity: str
    texts: tuple[str, ...]
    kind: Literal["messages"] = "messages"


@dataclass(frozen=True)
class Beside:
    """Narrow blocks side by side, where there is room."""

    blocks: tuple[Table | Plot, ...]
    kind: Literal["beside"] = "beside"


Block = Heading | Text | Note | Facts | Table | Plot | Calls | Messages | Beside


@dataclass(frozen=True)
class Section:
    """A chapter: `name` is its anchor; the first one of the appendix says so."""

    name: str
    title: str
    blocks: tuple[Block, ...]
    begins_appendix: bool = False


@dataclass(frozen=True)
class Story:
    """The whole report.

    Attributes:
        title: of the document.
        edition: which model and which time it speaks of.
        time: the same time, ISO 8601.
        headline: the verdict on the clients, in one sentence.
        lead: how far the list can be relied on, and what is at stake.
        sections: the chapters, in their order.
    """

    title: str
    edition: str
    time: str
    headline: str
    lead: tuple[str, ...]
    sections: tuple[Section, ...]


def table(
    caption: str,
    sides: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    note: str = "",
) -> Table:
    """A table; of `sides` each letter aligns a column, "l" to the left, "r" to the right."""
    aligned = tuple({"l": "left", "r": "right"}[side] for side, _ in zip(sides, head, strict=True))
    return Table(caption, tuple(head), aligned, tuple(tuple(row) for row in rows), note)


def left_out(total: int, shown: int, what: str, where: str) -> str:
    """A note that a table is not complete; "" if it is."""
    more = total - shown
    if more <= 0:
        return ""
    return f"{more:,} more {what} {'stands' if more == 1 else 'stand'} in {where}."
