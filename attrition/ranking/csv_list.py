"""The ranked client list as a file for spreadsheets: `models/clientrisk.csv`.

UTF-8 CSV with commas, quoted by RFC 4180; if it holds text other than ASCII, the file begins with
a byte order mark, without which Excel would garble it (`utf-8-sig` reads both).

No text in it can act as a formula; `spreadsheet.plain` returns the original text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from attrition.core import atomic_files
from attrition.core.formatting import DECIMALS, plain_number
from attrition.core.spreadsheet import inert
from attrition.model.terms import Floats
from attrition.ranking.ranking import CALL, HOLD_OUT, REASONS, SEGMENT, Ranking

_TO_QUOTE = re.compile('[",\r\n]')


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


def _columns(ranking: Ranking) -> Iterator[tuple[str, Iterable[str]]]:
    """The list's columns: name, and texts for the file."""
    yield "rank", map(str, range(1, len(ranking) + 1))
    yield "client", map(_field, ranking.ids.tolist())
    yield "probability", _repeated(ranking.probabilities.tolist(), f".{DECIMALS}f")
    yield "tier", ranking.tiers.tolist()
    if ranking.held_out is not None:
        yield "group", [CALL] * ranking.to_call + [HOLD_OUT] * ranking.held_out
    blanks = [""] * (len(ranking) - len(ranking.reasons))
    for i in range(REASONS):
        reasons = [_field(texts[i]) if i < len(texts) else "" for texts in ranking.reasons]
        yield f"reason_{i + 1}", reasons + blanks
    yield "probability_change", ranking.probability_changes
    yield "rank_change", ranking.rank_changes
    if ranking.values is not None:
        assert ranking.values_at_risk is not None
        assert ranking.value_ranks is not None
        yield "value", map(_amount, ranking.values.tolist())
        yield "value_at_risk", _cents(ranking.values_at_risk)
        yield "value_rank", [str(rank or "") for rank in ranking.value_ranks.tolist()]
    if ranking.profits is not None:
        yield "profit", _cents(ranking.profits)
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


def _cents(amounts: Floats) -> list[str]:
    """Amounts with two decimals, blank for NaN."""
    return ["" if math.isnan(amount) else f"{amount:.2f}" for amount in amounts.tolist()]


def _amount(value: float) -> str:
    """A number in its shortest form, blank for NaN."""
    return "" if math.isnan(value) else plain_number(value)
