"""A report read back: the page as a tree of elements, the document as text."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from pypdf import PdfReader

VOID = {"meta", "link", "br", "img", "hr", "input", "wbr"}


@dataclass
class Element:
    """An element with what stands in it, in order."""

    tag: str
    attributes: dict[str, str]
    inside: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text in it, white space made single."""
        parts = (one if isinstance(one, str) else one.text for one in self.inside)
        return " ".join(" ".join(parts).split())

    def all(self, *tags: str) -> list[Element]:
        """Every element of these tags below it, in document order; of no tags: every one."""
        found = []
        for one in self.inside:
            if isinstance(one, Element):
                if not tags or one.tag in tags:
                    found.append(one)
                found += one.all(*tags)
        return found


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].inside.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].inside.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> within <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].inside.append(data)


def page(path: Path) -> Element:
    """Parse a page; every element must be closed in its place."""
    builder = _Builder()
    builder.feed(path.read_text(encoding="utf-8"))
    builder.close()
    assert len(builder.open) == 1
    return builder.open[0]


def tables(root: Element) -> dict[str, list[list[str]]]:
    """Caption -> rows of texts, the header row first."""
    return {
        table.all("caption")[0].text: [
            [cell.text for cell in row.all("th", "td")] for row in table.all("tr")
        ]
        for table in root.all("table")
    }


def document(path: Path) -> PdfReader:
    """Open a PDF."""
    return PdfReader(io.BytesIO(path.read_bytes()))


def document_text(path: Path) -> str:
    """All of a PDF's text, white space made single."""
    return " ".join(" ".join(page.extract_text() for page in document(path).pages).split())
