"""The ranked client list as a file that people open in a spreadsheet: `models/clientrisk.csv`.

UTF-8 CSV with commas, quoted as RFC 4180 has it; where a text is not ASCII the file begins with a
byte order mark, without which Excel would garble it (`utf-8-sig` reads both).

No text in it can act as a formula: one that begins like a formula, or with an apostrophe, gets an
apostrophe before it. So whatever begins with an apostrophe has one too many, and the rest is the
text as it stood: `plain` gives it back.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from attrition import files
from attrition.errors import DataError
from attrition.ranking import REASONS, Previous, Ranking

_FORMULA_STARTS = frozenset("=+-@\uff1d\uff0b\uff0d\uff20'")
_CLIENT, _PROBABILITY = "client", "probability"
_PROBABILITY_CHANGE, _RANK_CHANGE = "probability_change", "rank_change"


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


def write_list(path: Path, ranking: Ranking) -> None:
    """Replace the list, whole or not at all."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    columns = dict(_columns(ranking))
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    text = stream.getvalue()
    with files.replacing(path) as temporary:
        temporary.write_text(
            text, encoding="utf-8" if text.isascii() else "utf-8-sig", newline="\n"
        )


def read_list(path: Path) -> Previous | None:
    """The last list; None when there is none.

    Raises:
        DataError: it is not as `write_list` wrote it (somebody has edited it, or damaged it).
    """
    ids: list[str] = []
    chances: list[float] = []
    chance_changes: list[str] = []
    rank_changes: list[str] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = next(reader)
            names = (_CLIENT, _PROBABILITY, _PROBABILITY_CHANGE, _RANK_CHANGE)
            client, chance, chance_change, rank_change = (header.index(name) for name in names)
            for row in reader:
                ids.append(plain(row[client]))
                chances.append(float(row[chance]))
                chance_changes.append(row[chance_change])
                rank_changes.append(row[rank_change])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, IndexError, StopIteration, csv.Error):
        # What it was that could not be read may be a client's: it has no place in a log.
        raise DataError(f"{path}: not the list that the pipeline wrote") from None
    probabilities = np.array(chances)
    if len(set(ids)) < len(ids) or not (np.diff(probabilities) <= 0).all():
        raise DataError(f"{path}: not the list that the pipeline wrote (edited, or sorted anew)")
    return Previous(ids, probabilities, chance_changes, rank_changes)


def _columns(ranking: Ranking) -> Iterator[tuple[str, Iterable[object]]]:
    """The list's columns: name and texts."""
    yield "rank", range(1, len(ranking) + 1)
    yield _CLIENT, map(inert, ranking.ids.tolist())
    yield _PROBABILITY, (f"{chance:.4f}" for chance in ranking.probabilities.tolist())
    yield "tier", ranking.tiers.tolist()
    untold = [""] * (len(ranking) - len(ranking.reasons))
    for place in range(REASONS):
        told = [inert(texts[place]) if place < len(texts) else "" for texts in ranking.reasons]
        yield f"reason_{place + 1}", told + untold
    yield _PROBABILITY_CHANGE, ranking.probability_changes
    yield _RANK_CHANGE, ranking.rank_changes
    if ranking.values is not None:
        assert ranking.values_at_risk is not None
        assert ranking.value_ranks is not None
        yield "value", _amounts(ranking.values.tolist(), "r")
        yield "value_at_risk", _amounts(ranking.values_at_risk.tolist(), ".2f")
        yield "value_rank", (place or "" for place in ranking.value_ranks.tolist())


def _amounts(values: Sequence[float], form: str) -> Iterator[str]:
    """Numbers as text, blank for NaN; with "r" in their shortest form."""
    for value in values:
        if math.isnan(value):
            yield ""
        elif form == "r":
            yield f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else repr(value)
        else:
            yield f"{value:{form}}"
