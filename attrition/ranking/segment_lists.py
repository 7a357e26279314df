"""The list of each segment, such as a branch: `models/segments/branch-Nord.csv`.

A segment is a text of a segment column. Its file holds its clients' lines of `clientrisk.csv`,
ranks included.
"""

from __future__ import annotations

import hashlib
import logging
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path

from attrition.core import atomic_files
from attrition.core.formatting import plural
from attrition.core.labels import Labels
from attrition.ranking.csv_list import lines_of, write_lines
from attrition.ranking.ranking import BLANK, MOST_SEGMENTS, Ranking

# File systems allow 255 bytes; a temporary file's name is longer.
_LONGEST_COLUMN, _LONGEST_TEXT = 60, 120
_REPLACED = re.compile(r"[^\w .-]+")
_LIKE_A_DIGEST = re.compile("-[0-9a-f]{12}$", re.IGNORECASE)

logger = logging.getLogger(__name__)


def write_segments(
    folder: Path, ranking: Ranking, labels: Labels, awaited: Collection[str] = ()
) -> None:
    """Remove the lists of other segments, and replace each segment's, whole or not at all.

    Of a column with more than `MOST_SEGMENTS` segments none is written, and a warning says so; as
    does one where all are blank and that is not awaited: its name may be misspelt.
    """
    positions: dict[tuple[str, str], list[int]] = {}
    for column, texts in ranking.segments.items():
        of_column: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for position, text in enumerate(texts.tolist()):
            of_column[column, text].append(position)
        if of_column.keys() == {(column, "")} and column not in awaited:
            logger.warning("segment_columns: no client has a %r; is that a file's column?", column)
        if len(of_column) > MOST_SEGMENTS:
            logger.warning(
                "%s: no lists by %s: it has %s, and at most %d get a list each; name a column "
                "with fewer in segment_columns",
                folder,
                labels.name(column),
                plural(len(of_column), "segment"),
                MOST_SEGMENTS,
            )
        else:
            positions |= of_column
    names = file_names(positions)
    # First, since where names differ in nothing but case a file system may see one file.
    remove_segments(folder, keep=names.values())
    if positions:
        folder.mkdir(exist_ok=True)
        header, lines = lines_of(ranking)
        for segment, rows in positions.items():
            write_lines(folder / names[segment], header, (lines[row] for row in rows))


def remove_segments(folder: Path, keep: Iterable[str] = ()) -> None:
    """Remove the lists but for some, and what killed runs have left of others."""
    kept = set(keep)
    for path in folder.glob("*.csv") if folder.is_dir() else ():
        if path.name not in kept:
            atomic_files.remove_tree(path)


def file_names(segments: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """A safe name for each segment, a pair of column and text, none equal to another's up to case.

    A digest follows where a name does not hold the whole text, or would be another's, too.
    """
    readable = {
        (column, text): f"{_readable(column, _LONGEST_COLUMN)}-"
        f"{_readable(text, _LONGEST_TEXT) if text else BLANK}"
        for column, text in segments
    }
    counts = Counter(map(_folded, readable.values()))
    names = {}
    for (column, text), name in readable.items():
        is_whole = name == f"{column}-{text or BLANK}" and not _LIKE_A_DIGEST.search(name)
        if counts[_folded(name)] > 1 or not is_whole:
            digest = hashlib.sha256(f"{column}={text}".encode()).hexdigest()
            names[column, text] = f"{name}-{digest[:12]}.csv"
        else:
            names[column, text] = f"{name}.csv"
    return names


def _readable(text: str, most_bytes: int) -> str:
    """A text as a part of a file's name: other signs than letters and digits become `_`."""
    plain = _REPLACED.sub("_", unicodedata.normalize("NFC", text)).strip(" .")
    return plain.encode()[:most_bytes].decode(errors="ignore")


def _folded(name: str) -> str:
    """A name as file systems compare it that know no case."""
    return unicodedata.normalize("NFKC", name).casefold()
