"""Texts that no spreadsheet takes for a formula, and back again.

A text that begins like a formula, or with an apostrophe, gets an apostrophe before it. So whatever
begins with an apostrophe has one too many, and the rest is the text as it stood.
"""

from __future__ import annotations

_FORMULA_STARTS = frozenset("=+-@\uff1d\uff0b\uff0d\uff20'")


def inert(text: str) -> str:
    """A text that no spreadsheet takes for a formula; `plain` gives it back."""
    if not text:
        return text
    first = text[0]
    if first.isalnum():  # the most usual case first: there may be millions
        return text
    # Some programs trim before they look.
    starts = not first.isprintable() or text.lstrip()[:1] in _FORMULA_STARTS
    return f"'{text}" if starts else text


def plain(text: str) -> str:
    """The text that `inert` was given."""
    return text.removeprefix("'")
