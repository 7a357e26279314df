"""Put a ranking into the book that the API looks clients up in: `models/clients.db`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from attrition import clientbook
from attrition.ranking import Ranking, Tiers

NO_REASONS = "[]"


def write_ranking(
    path: Path,
    ranking: Ranking,
    features: Mapping[str, Any],
    tiers: Tiers,
    about: Mapping[str, Any],
) -> None:
    """Replace the book by a ranking.

    Args:
        path: the book.
        ranking: the clients in order.
        features: column -> value of each client, in the order of the table that was ranked.
        tiers: the thresholds used.
        about: `time`, `release` and `ranked` (which clients these are).
    """
    whole = {
        **about,
        "total": len(ranking),
        "tiers": {tier: ranking.count(tier) for tier in clientbook.TIERS},
        "thresholds": asdict(tiers),
    }
    clientbook.write_book(path, whole, _clients(ranking), _details(ranking, features))


def _clients(ranking: Ranking) -> Iterator[tuple[Any, ...]]:
    count = len(ranking)
    blanks = [None] * count
    ranks = blanks if ranking.value_ranks is None else ranking.value_ranks.tolist()
    return zip(
        range(1, count + 1),
        ranking.ids.tolist(),
        ranking.tiers.tolist(),
        ranking.probabilities.tolist(),
        ranking.probability_changes,
        ranking.rank_changes,
        blanks if ranking.values is None else _known(ranking.values.tolist()),
        blanks if ranking.values_at_risk is None else _known(ranking.values_at_risk.tolist()),
        (rank or None for rank in ranks),
        strict=True,
    )


def _details(ranking: Ranking, features: Mapping[str, Any]) -> Iterator[tuple[int, str, str]]:
    """Place, reasons and features of each client; the last two as JSON."""
    columns = [features[name][ranking.rows].tolist() for name in features]
    # One text with holes for the values: there may be millions of clients.
    form = ", ".join(json.dumps(name).replace("%", "%%") + ": %s" for name in features)
    told = [json.dumps(reasons) for reasons in ranking.reasons]
    for place, values in enumerate(zip(*map(_texts, columns), strict=True)):
        reasons = told[place] if place < len(told) else NO_REASONS
        yield place + 1, reasons, "{" + form % values + "}"


def _texts(values: Sequence[Any]) -> list[str]:
    """Numbers or texts as JSON, equal ones made once; a missing number is null."""
    made = {value: _json(value) for value in set(values)}
    return [made[value] for value in values]


def _json(value: Any) -> str:
    if isinstance(value, float):
        if math.isnan(value):
            return "null"
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return json.dumps(value)


def _known(values: Iterable[float]) -> Iterator[float | None]:
    return (None if math.isnan(value) else value for value in values)
