"""The parser of a script's arguments: what is wrong comes first, the usage after it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from attrition.core.spelling import did_you_mean


class Parser(argparse.ArgumentParser):
    """An argument parser that says of an unknown option which one was probably meant."""

    # Nobody hands in a namespace, of whose type typeshed's other forms speak.
    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: None = None
    ) -> argparse.Namespace:
        """Parse as argparse does; unknown options are refused before any other mistake."""
        words = list(sys.argv[1:] if args is None else args)
        for word in words[: words.index("--")] if "--" in words else words:
            option = word.partition("=")[0]
            if option.startswith("--") and " " not in option and not self._knows(option):
                self._refuse(option)
        arguments, unknown = self.parse_known_args(words, namespace)
        if unknown:
            self._refuse(unknown[0])
        return arguments

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, then how the script is called, and exit with 2."""
        self.exit(2, f"{self.prog}: error: {message}\n{self.format_usage()}")

    def _knows(self, option: str) -> bool:
        """Whether it is an option or the beginning of one, which argparse accepts, too."""
        return any(known.startswith(option) for known in self._option_string_actions)

    def _refuse(self, word: str) -> NoReturn:
        kind = "option" if word.startswith("-") else "argument"
        self.error(f"unknown {kind} {word!r}{did_you_mean(word, self._option_string_actions)}")
