"""A reader of CSV texts written from RFC 4180 alone: the tests' second and stricter oracle.

Python's csv takes `blue"one` for a value; the grammar of the standard (section 2) has no such one:

    record = field *(COMMA field)
    field = (escaped / non-escaped)
    escaped = DQUOTE *(TEXTDATA / COMMA / CR / LF / 2DQUOTE) DQUOTE
    non-escaped = *TEXTDATA        ; TEXTDATA has no DQUOTE, COMMA, CR, LF

LF alone ends a line here, too, and a blank line is no record.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

START, PLAIN, ESCAPED, CLOSED, JUNK = "start", "plain", "escaped", "closed", "junk"


@dataclass
class Record:
    """One record: the line it starts in, its values, and what the grammar does not allow in it.

    Attributes:
        has_stray_quote: inside a value that does not begin with one.
        has_junk: behind a quotation mark that closes.
        has_line_end: within quotation marks.
        is_open: the text ends within quotation marks.
    """

    line: int
    values: list[str] = field(default_factory=list)
    has_stray_quote: bool = False
    has_junk: bool = False
    has_line_end: bool = False
    is_open: bool = False

    @property
    def is_sound(self) -> bool:
        return not (self.has_stray_quote or self.has_junk or self.is_open)

    @property
    def end_is_unknown(self) -> bool:
        """Whether nobody can tell where it ends: its quotation marks are wrong over many lines."""
        return self.is_open or (self.has_junk and self.has_line_end)


def records(text: str) -> list[Record]:
    """All records of a text, also the broken ones, which end where their line does."""
    found: list[Record] = []
    line, record, value, state = 1, Record(1), "", START
    for token in [*re.findall(r"\r\n|[\s\S]", text), *([] if text.endswith("\n") else ["\n"])]:
        if state == ESCAPED and token != '"':
            value += token
            record.has_line_end |= token in ("\n", "\r\n")
        elif state == ESCAPED:
            state = CLOSED
        elif token == '"' and state in (START, CLOSED):
            value += '"' if state == CLOSED else ""
            state = ESCAPED
        elif token in (",", "\n", "\r\n"):
            record.values.append(value)
            if token != ",":
                if record.values != [""] or state != START:
                    found.append(record)
                record = Record(line + 1)
            value, state = "", START
        else:
            record.has_junk |= state == CLOSED
            record.has_stray_quote |= state != CLOSED and token == '"'
            value += token
            state = JUNK if state in (CLOSED, JUNK) else PLAIN
        line += token in ("\n", "\r\n")
    if state == ESCAPED:
        record.is_open = True
        found.append(record)
    return found
