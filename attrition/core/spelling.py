"""Suggestions for misspelt words: the known word that was probably meant.

Standard library only: reading the settings needs it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_LEAST_LIKENESS = 0.7  # of difflib's ratio, 1 for equal words


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like this one, ignoring case, hyphens and blanks; None without one."""
    # Imported only after a mistake: an idle run pays for every import.
    import difflib

    plain = {_plain(name): name for name in known}
    matches = difflib.get_close_matches(_plain(word), plain, n=1, cutoff=_LEAST_LIKENESS)
    return plain[matches[0]] if matches else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word; empty where no known word is similar."""
    meant = closest(word, known)
    return "" if meant is None else f"; did you mean {meant!r}?"


def _plain(word: str) -> str:
    return re.sub(r"[-_\s]+", "", word).casefold()
