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
from attrition.core.formatting import DECIMALS, plain_number
from attrition.core.spreadsheet import inert, plain
from attrition.data.storage import READ_OWN_OPTIONS
from attrition.ranking.ranking import CALL, HOLD_OUT, REASONS, SEGMENT, Previous, Ranking

_TO_QUOTE = re.compile('[",\r\n]')
_CLIENT, _PROBABILITY, _GROUP = "client", "probability", "group"
_PROBABILITY_CHANGE, _RANK_CHANGE = "probability_change", "rank_change"
_VALUE_AT_RISK, _PROFIT = "value_at_risk", "profit"
# What a list may be in the falling order of.
_ORDERS = (_PROBABILITY, _VALUE_AT_RISK, _PROFIT)


def write_list(path: Path, ranking: Ranking) -> None:
    """Replace the list, whole or not at all."""
    write_lines(path, *lines_of(ranking))


def lines_of(ranking: Ranking) -> tuple[str, list[str]]:
    """The list's header, and a line for each client."""
    columns = dict(_columns(ranking))
    return ",".join(columns), list(map(",".join, zip(*columns.values(), strict=True)))


def write_lines(path: Path, header: str, lines: Iterable[str]) -> None:
    """Replace a file by lines of the list, whole or not at all."""
    text = "\n".join([header, *lines, ""])
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
    is_ordered = any(_falls(columns[name], groups) for name in _ORDERS if name in columns)
    if len(set(ids)) < len(ids) or not is_ordered:
        raise DataError(f"{path}: not the list that the pipeline wrote (edited, or sorted anew)")
    changes = (columns[name].tolist() for name in (_PROBABILITY_CHANGE, _RANK_CHANGE))
    return Previous(ids, probabilities, *changes)


def _falls(amounts: NDArray[np.float64], groups: NDArray[Any]) -> bool:
    """Whether amounts never rise within a group, to call first; unknown ones come last."""
    falls = np.isnan(amounts[1:]) | (amounts[:-1] >= amounts[1:])
    in_order = (groups[:-1] == groups[1:]) & falls
    return bool((in_order | ((groups[:-1] == CALL) & (groups[1:] == HOLD_OUT))).all())


def _compared_columns(path: Path) -> dict[str, NDArray[Any]]:
    """The columns to compare with the next list; DuckDB reads a million rows in a second."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        header = next(csv.reader(stream, strict=True))
    kinds = {name: "DOUBLE" if name in _ORDERS else "VARCHAR" for name in header}
    texts = [_CLIENT, _PROBABILITY_CHANGE, _RANK_CHANGE]
    if len(kinds) < len(header) or not {*texts, _PROBABILITY} <= kinds.keys():
        raise ValueError("other columns")
    texts += [_GROUP] * (_GROUP in kinds)
    selected = [f'coalesce("{name}", \'\') AS "{name}"' for name in texts]
    selected += [f"coalesce({name}, 'nan') AS {name}" for name in _ORDERS[1:] if name in kinds]
    with duckdb.connect() as database:
        columns = database.execute(
            f"SELECT {', '.join(selected)}, {_PROBABILITY} "
            f"FROM read_csv($path, columns=$kinds, header=true, {READ_OWN_OPTIONS})",
            {"path": str(path), "kinds": kinds},
        ).fetchnumpy()
    probabilities = columns[_PROBABILITY]
    if np.ma.is_masked(probabilities) or np.isnan(probabilities).any():
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
        yield _VALUE_AT_RISK, map(_cents, ranking.values_at_risk.tolist())
        yield "value_rank", (str(rank or "") for rank in ranking.value_ranks.tolist())
    if ranking.profits is not None:
        yield _PROFIT, map(_cents, ranking.profits.tolist())
    if ranking.last_contacts is not None:
        yield "last_contact", ranking.last_contacts
    for name, texts in ranking.segments.items():
        yield _field(SEGMENT + name), map(_field, texts.tolist())


def _field(text: str) -> str:
    """A client's or a column's text for the file: inert, and quoted if necessary."""
    text = inert(text)
    return '"' + text.replace('"', '""') + '"' if _TO_QUOTE.search(text) else text


def _repeated(values: Sequence[float], form: str) -> list[str]:
    """Numbers as text; equal ones are formatted once."""
    texts = {value: f"{value:{form}}" for value in set(values)}
    return [texts[value] for value in values]


def _cents(amount: float) -> str:
    """An amount with two decimals, blank for NaN."""
    return "" if math.isnan(amount) else f"{amount:.2f}"


def _amount(value: float) -> str:
    """A number in its shortest form, blank for NaN."""
    return "" if math.isnan(value) else plain_number(value)
