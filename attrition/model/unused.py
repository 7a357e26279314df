"""What a model does not use of the columns it was offered, and why: told by training and report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrition.core.formatting import listing
from attrition.core.labels import NO_LABELS, Labels
from attrition.model.scorecard import Scorecard
from attrition.model.terms import MOST_LEVELS, MOST_PAIRS, CategoricalTerm, NumericTerm

NAMED = 4  # columns of one reason


def phrases(card: Scorecard, copies: Mapping[str, str], labels: Labels = NO_LABELS) -> list[str]:
    """What is not used, such as "region and city (hardly a second value)"; nothing where all is.

    Args:
        copies: columns that say the same as another -> that one.
    """
    by_reason: dict[str, list[str]] = {}
    for column, reason in _unused(card):
        name = labels.name(column, 36)
        if (first := copies.get(column)) is None:
            by_reason.setdefault(reason, []).append(name)
        else:
            said = f"{name} as {labels.name(first, 36)}"
            by_reason.setdefault("each says the same", []).append(said)
    told = [f"{_named(names)} ({reason})" for reason, names in by_reason.items()]
    count = len(card.numeric) + len(card.categorical) - len(copies)
    if (pairs := count * (count - 1) // 2) > MOST_PAIRS:
        told.append(f"all but the {MOST_PAIRS} most promising of {pairs:,} pairs of columns")
    return told


def sentence(card: Scorecard, training: Mapping[str, Any], labels: Labels) -> str:
    """All of it in one sentence; "" where all is used.

    Args:
        training: the record of the model's training.
    """
    told = phrases(card, (training.get("settings") or {}).get("copies") or {}, labels)
    return f"Not used: {'; '.join(told)}." if told else ""


def is_used(card: Scorecard, term: NumericTerm | CategoricalTerm) -> bool:
    """Whether some client's risk depends on a column, alone or in a pair."""
    return any(_points(term)) or any(term.column in pair.columns for pair in card.pairs)


def _unused(card: Scorecard) -> Iterator[tuple[str, str]]:
    """Columns, or levels of them, on which no client's risk depends, each with why."""
    single: tuple[NumericTerm | CategoricalTerm, ...] = (*card.numeric, *card.categorical)
    for term in single:
        if not is_used(card, term):
            yield term.column, _reason(term)
        elif isinstance(term, CategoricalTerm) and len(term.axis.levels) >= MOST_LEVELS:
            yield term.column, f"values other than the {MOST_LEVELS} most frequent"


def _points(term: NumericTerm | CategoricalTerm) -> tuple[float, ...]:
    return (*term.points, term.missing_points) if isinstance(term, NumericTerm) else term.points


def _reason(term: NumericTerm | CategoricalTerm) -> str:
    if isinstance(term, NumericTerm):
        values, is_empty = len(term.axis), term.missing_share == 1.0
    else:
        values, is_empty = len(term.axis.levels), term.axis.levels == ("",)
    if is_empty:
        return "always empty"
    return {0: "no frequent value", 1: "hardly a second value"}.get(values, "nothing to add")


def _named(names: list[str]) -> str:
    more = len(names) - NAMED
    return listing([*names[:NAMED], *([f"{more:,} more"] if more > 0 else [])])
