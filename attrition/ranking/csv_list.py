"""The ranked client list as a file for spreadsheets: `models/clientrisk.csv`.

UTF-8 CSV with commas, quoted by RFC 4180; if it holds text other than ASCII, the file begins with
a byte order mark, without which Excel would garble it (`utf-8-sig` reads both).

No text in it can act as a formula; `spreadsheet.plain` returns the original text.
"""

from __future__ import annotations

import csv
import errno
import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from attrition.core import atomic_files
from attrition.core.errors import DataError
from attrition.core.spreadsheet import inert, plain
from attrition.data.storage import READ_OWN_OPTIONS
from attrition.ranking.ranking import CALL, DECIMALS, HOLD_OUT, REASONS, Previous, Ranking

_TO_QUOTE = re.compile('[",\r\n]')
_CLIENT, _PROBABILITY, _GROUP = "client", "probability", "group"
_PROBABILITY_CHANGE, _RANK_CHANGE = "probability_change", "rank_change"


def write_list(path: Path, ranking: Ranking) -> None:
    """Replace the list, whole or not at all."""
    columns = dict(_columns(ranking))
    lines = map(",".join, zip(*columns.values(), strict=True))
    text = "\n".join([",".join(columns), *lines, ""])
    with atomic_files.replacing(path) as temporary:
        temporary.write_text(
            text, encoding="utf-8" if text.isascii() else "utf-8-sig", newline="\n"
        )


def read_list(path: Path) -> Previous | None:
    """The last list; None when there is none.

    Raises:
        DataError: the list is not as `write_list` wrote it (edited or damaged).
        OSError: the disk fails; a later attempt may succeed.
    """
    try:
        columns = _compared_columns(path)
    except FileNotFoundError:
        return None
    except duckdb.IOException as error:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path)) from error
    except (PermissionError, IsADirectoryError, ValueError, StopIteration, csv.Error, duckdb.Error):
        # The unreadable text may be a client's, which logs must not hold.
        raise DataError(f"{path}: not the list that the pipeline wrote") from None
    ids = [plain(client) for client in columns[_CLIENT].tolist()]
    probabilities = columns[_PROBABILITY]
    groups = columns.get(_GROUP, np.full(len(ids), CALL))
    in_order = (groups[:-1] == groups[1:]) & (np.diff(probabilities) <= 0)
    in_order |= (groups[:-1] == CALL) & (groups[1:] == HOLD_OUT)
    if len(set(ids)) < len(ids) or not in_order.all():
        raise DataError(f"{path}: not the list that the pipeline wrote (edited, or sorted anew)")
    changes = (columns[name].tolist() for name in (_PROBABILITY_CHANGE, _RANK_CHANGE))
    return Previous(ids, probabilities, *changes)


def _compared_columns(path: Path) -> dict[str, NDArray[Any]]:
    """The columns to compare with the next list; DuckDB reads a million rows in a second."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        header = next(csv.reader(stream, strict=True))
    kinds = {name: "DOUBLE" if name == _PROBABILITY else "VARCHAR" for name in header}
    texts = [_CLIENT, _PROBABILITY_CHANGE, _RANK_CHANGE]
    if len(kinds) < len(header) or not {*texts, _PROBABILITY} <= kinds.keys():
        raise ValueError("other columns")
    texts += [_GROUP] * (_GROUP in kinds)
    selected = ", ".join(f'coalesce("{name}", \'\') AS "{name}"' for name in texts)
    with duckdb.connect() as database:
        columns = database.execute(
            f"SELECT {selected}, {_PROBABILITY} "
            f"FROM read_csv($path, columns=$kinds, header=true, {READ_OWN_OPTIONS})",
            {"path": str(path), "kinds": kinds},
        ).fetchnumpy()
    if np.ma.is_masked(columns[_PROBABILITY]):
        raise ValueError("a client without a probability")
    return {name: np.ma.getdata(values) for name, values in columns.items()}


def _columns(ranking: Ranking) -> Iterator[tuple[str, Iterable[str]]]:
    """The list's columns: name, and texts for the file."""
    yield "rank", map(str, range(1, len(ranking) + 1))
    yield _CLIENT, map(_field, ranking.ids.tolist())
    yield _PROBABILITY, _repeated(ranking.probabilities.tolist(), f".{DECIMALS}f")
    yield "tier", ranking.tiers.tolist()
    if ranking.held_out is not None:
        yield _GROUP, [CALL] * ranking.to_call + [HOLD_OUT] * ranking.held_out
    blanks = [""] * (len(ranking) - len(ranking.reasons))
    for i in range(REASONS):
        reasons = [_field(texts[i]) if i < len(texts) else "" for texts in ranking.reasons]
        yield f"reason_{i + 1}", reasons + blanks
    yield _PROBABILITY_CHANGE, ranking.probability_changes
    yield _RANK_CHANGE, ranking.rank_changes
    if ranking.values is not None:
        assert ranking.values_at_risk is not None
        assert ranking.value_ranks is not None
        yield "value", map(_amount, ranking.values.tolist())
        yield (
            "value_at_risk",
            (
                "" if math.isnan(value) else f"{value:.2f}"
                for value in ranking.values_at_risk.tolist()
            ),
        )
        yield "value_rank", (str(rank or "") for rank in ranking.value_ranks.tolist())


def _field(text: str) -> str:
    """A client's or a column's text for the file: inert, and quoted if necessary."""
    text = inert(text)
    return '"' + text.replace('"', '""') + '"' if _TO_QUOTE.search(text) else text


def _repeated(values: Sequence[float], form: str) -> list[str]:
    """Numbers as text; equal ones are formatted once."""
    texts = {value: f"{value:{form}}" for value in set(values)}
    return [texts[value] for value in values]


def _amount(value: float) -> str:
    """A number in its shortest form, blank for NaN."""
    if math.isnan(value):
        return ""
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else repr(value)
