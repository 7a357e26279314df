"""The parser of a script's arguments: it prints the mistake first, then the usage.

What a script's docstring says below its first line is shown by `--help`, as wide as the terminal.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import NoReturn

from attrition.core.spelling import did_you_mean

_ITEM = re.compile(r"(Reads|Writes) +")
_COMMAND = re.compile(r" +\S.*?\S  +")
_WIDEST = 100
_LEAST_FOR_TEXT = 30  # columns; else the text about a command stands below it


def fitted_help(text: str, width: int | None = None) -> str:
    """The part of a docstring below its first line, for a terminal of so many columns.

    Lines of a paragraph are joined and broken anew, the indented ones of commands each by itself.
    """
    width = min(width or shutil.get_terminal_size().columns, _WIDEST)
    blocks = text.strip("\n").split("\n\n")
    return "\n\n".join("\n".join(_fitted_block(block, width)) for block in blocks)


def _fitted_block(block: str, width: int) -> list[str]:
    lines = block.rstrip().split("\n")
    if max(map(len, lines)) <= width:
        return lines
    if lines[0].startswith(" "):
        return [part for line in lines for part in _fitted_command(line, width)]
    starts = [n for n, line in enumerate(lines) if n == 0 or _ITEM.match(line)]
    fitted = []
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        item = _ITEM.match(lines[start])
        text = " ".join(" ".join(lines[start:end]).split())
        indent = " " * len(item[0]) if item else ""
        text = text if item is None else item[0] + text[len(item[1]) + 1 :]
        fitted += textwrap.wrap(text, width, subsequent_indent=indent, break_on_hyphens=False)
    return fitted


def _fitted_command(line: str, width: int) -> list[str]:
    """A command and the text about it: beside it, or below where there is no room."""
    if len(line) <= width:
        return [line]
    command = _COMMAND.match(line)
    start = command.end() if command else len(line) - len(line.lstrip())
    if command and width - start < _LEAST_FOR_TEXT:
        return [command[0].rstrip(), *textwrap.wrap(line[start:], width, initial_indent=" " * 8)]
    shown = textwrap.wrap(line[start:], width - start, break_on_hyphens=False)
    return [line[:start] + shown[0], *(" " * start + more for more in shown[1:])]


class Parser(argparse.ArgumentParser):
    """An argument parser that suggests the option that was probably meant by an unknown one."""

    # No caller passes a namespace.
    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None
    ) -> argparse.Namespace:
        """Parse as argparse does; report unknown options before any other mistake."""
        words = list(sys.argv[1:] if args is None else args)
        for word in words[: words.index("--")] if "--" in words else words:
            option = word.partition("=")[0]
            if option.startswith("--") and " " not in option and not self._knows(option):
                self._refuse(option)
        arguments, unknown = self.parse_known_args(words)
        if unknown:
            self._refuse(unknown[0])
        return arguments

    def error(self, message: str) -> NoReturn:
        """Print what is wrong, then the usage, and exit with 2."""
        self.exit(2, f"{self.prog}: error: {message}\n{self.format_usage()}")

    def _knows(self, option: str) -> bool:
        """Whether a word is an option or the beginning of one, which argparse also accepts."""
        return any(known.startswith(option) for known in self._option_string_actions)

    def _refuse(self, word: str) -> NoReturn:
        kind = "option" if word.startswith("-") else "argument"
        self.error(f"unknown {kind} {word!r}{did_you_mean(word, self._option_string_actions)}")
