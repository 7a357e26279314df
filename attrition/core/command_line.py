"""The parser of a script's arguments: it prints the mistake first, then the usage."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from attrition.core.spelling import did_you_mean


class Parser(argparse.ArgumentParser):
    """An argument parser that suggests the option that was probably meant by an unknown one."""

    # No caller passes a namespace; typeshed's other overloads are about its type.
    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: None = None
    ) -> argparse.Namespace:
        """Parse as argparse does; report unknown options before any other mistake."""
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
        """Print what is wrong, then the usage, and exit with 2."""
        self.exit(2, f"{self.prog}: error: {message}\n{self.format_usage()}")

    def _knows(self, option: str) -> bool:
        """Whether a word is an option or the beginning of one, which argparse also accepts."""
        return any(known.startswith(option) for known in self._option_string_actions)

    def _refuse(self, word: str) -> NoReturn:
        kind = "option" if word.startswith("-") else "argument"
        self.error(f"unknown {kind} {word!r}{did_you_mean(word, self._option_string_actions)}")
