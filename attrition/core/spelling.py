"""A word with a slip of the pen, and the known one that was probably meant.

Standard library only: the settings are read with its help.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_LEAST_LIKENESS = 0.7  # of difflib's ratio, 1 for equal words


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like this one, whatever its case, hyphens and blanks; None: none is."""
    # Imported for a mistake alone: a run that is idle pays for every import.
    import difflib

    plain = {_plain(name): name for name in known}
    found = difflib.get_close_matches(_plain(word), plain, n=1, cutoff=_LEAST_LIKENESS)
    return plain[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word; empty where no known one is like it."""
    meant = closest(word, known)
    return "" if meant is None else f"; did you mean {meant!r}?"


def _plain(word: str) -> str:
    return re.sub(r"[-_\s]+", "", word).casefold()
