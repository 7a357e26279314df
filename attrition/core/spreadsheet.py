"""Texts made safe for spreadsheets, which could take them for formulas, and back again.

A text that begins like a formula, or with an apostrophe, gets an apostrophe before it. So a text
that begins with an apostrophe has one too many; the rest is the original text.
"""

from __future__ import annotations

_FORMULA_STARTS = frozenset("=+-@\uff1d\uff0b\uff0d\uff20'")


def inert(text: str) -> str:
    """A text that no spreadsheet takes for a formula; `plain` gives it back."""
    if not text:
        return text
    first = text[0]
    if first.isalnum():  # the commonest case first: there may be millions
        return text
    # Some programs trim a text before they look for a formula.
    starts = not first.isprintable() or text.lstrip()[:1] in _FORMULA_STARTS
    return f"'{text}" if starts else text


def plain(text: str) -> str:
    """The text that `inert` was given."""
    return text.removeprefix("'")
