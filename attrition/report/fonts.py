"""Which letters the font of pictures has, and which fonts have the others.

A report looks the same everywhere, for its font comes with matplotlib. Only for letters that this
lacks, such as Chinese ones, the machine's fonts are looked at.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path

FONT = "DejaVu Sans"
_FILE = "DejaVuSans.ttf"
_BOXES = "Last Resort"  # comes with matplotlib, too, and has a box for every letter there is
_SURE = frozenset((*range(0x250), *range(0x2010, 0x2028), 0x2212))  # FONT has them: Latin, signs
_NO_FONT = (OSError, RuntimeError, ValueError)  # it is gone, or damaged


def font_folder() -> Path:
    """Where matplotlib keeps the fonts that come with it."""
    package = find_spec("matplotlib")
    assert package is not None
    assert package.submodule_search_locations is not None
    return Path(package.submodule_search_locations[0], "mpl-data", "fonts", "ttf")


def lacking(text: str) -> frozenset[str]:
    """The letters of a text that FONT has not; without others matplotlib is not loaded."""
    unsure = {letter for letter in text if ord(letter) not in _SURE}
    return frozenset(
        letter for letter in unsure if letter.isprintable() and ord(letter) not in _own()
    )


@cache
def _own() -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(str(font_folder() / _FILE)).get_charmap())


@cache
def fonts_with(letters: frozenset[str]) -> tuple[str, ...]:
    """Names of the machine's fonts that together have as many of these letters as any has."""
    if not letters:
        return ()
    from matplotlib import font_manager
    from matplotlib.font_manager import fontManager

    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # that none is bold
    known = {entry.fname for entry in fontManager.ttflist}  # when matplotlib first looked
    for path in sorted(set(font_manager.findSystemFonts()) - known):
        with suppress(*_NO_FONT):
            fontManager.addfont(path)
    names, left = list[str](), set(letters)
    for entry in fontManager.ttflist:
        if not left or entry.name.startswith(_BOXES):
            continue
        with suppress(*_NO_FONT):
            font = font_manager.get_font(entry.fname)
            if had := {letter for letter in left if font.get_char_index(ord(letter))}:
                names.append(entry.name)
                left -= had
    return tuple(names)
