"""Which of the labels of somebody's table says that a client left."""

from __future__ import annotations

from collections.abc import Mapping

from attrition.core.config import label_key
from attrition.core.errors import DataError

_YES = {"yes", "y", "true", "t", "1", "1.0", "churned", "left", "exited", "lost"}
# Third labels are damage only where even the rarer of the two has so many times their rows.
_CLEARLY_MORE = 10
_LABELS_SHOWN = 5


def is_rare(few: int, all_of_them: int) -> bool:
    """Whether so few are likely to be damage: less than one in a hundred."""
    return 100 * few < all_of_them


def choose_labels(
    labels: Mapping[str, int], target: str, lines: Mapping[str, int] | None = None
) -> tuple[str, str]:
    """Tell the positive label from the negative one; others may be there if they are rare.

    Args:
        labels: label as it is spelt -> number of rows.
        target: name of their column.
        lines: label -> line of the first of them, for the error.

    Raises:
        DataError: there are not two.
    """
    spellings: dict[str, dict[str, int]] = {}
    for text, rows in labels.items():
        spellings.setdefault(label_key(text), {})[text.strip()] = rows
    counted = [
        (max(texts, key=lambda text: (texts[text], text)), sum(texts.values()))
        for texts in spellings.values()
    ]
    counted.sort(key=lambda item: -item[1])
    others = sum(rows for _, rows in counted[2:])
    is_damage = is_rare(others, sum(rows for _, rows in counted)) and all(
        _CLEARLY_MORE * others <= rows for _, rows in counted[:2]
    )
    if len(counted) < 2 or not is_damage:
        raise DataError(
            f"column {target!r}: expected two different labels, found {len(spellings)}"
            f"{_shown(labels, lines or {})}"
        )
    # Yes before no, then the rarer one, then by the alphabet so that a tie is decided, too.
    both = sorted(counted[:2], key=lambda item: (item[0].lower() not in _YES, item[1], item[0]))
    return both[0][0], both[1][0]


def _shown(labels: Mapping[str, int], lines: Mapping[str, int]) -> str:
    """The most frequent labels: how many rows have each, and where the first one is."""
    ordered = sorted(labels, key=lambda text: (-labels[text], text))
    parts = [
        f"{text!r} in {labels[text]:,} row{'s' * (labels[text] > 1)}"
        + (f" from line {lines[text]} on" if text in lines else "")
        for text in ordered[:_LABELS_SHOWN]
    ]
    more = ["..."] if len(ordered) > _LABELS_SHOWN else []
    return f" ({'; '.join(parts + more)})" if parts else ""
