"""Which of the two labels of a table means that a client left."""

from __future__ import annotations

from collections.abc import Mapping

from attrition.core.errors import DataError
from attrition.core.labels import value_key
from attrition.data.column_names import words

_YES = {"yes", "y", "true", "t", "1", "1.0", "ja", "oui", "si"}
# Words for leaving and for staying, in a label or in the name of the column.
_LEFT = set(
    "left leave leaves leaver churn churned churner exited lost attrited attrition closed inactive "
    "cancelled canceled cancellation terminated ended gone departed lapsed quit".split()
)
_STAYED = set(
    "stayed stay stays stayer staying remained remains retained retention retain kept active "
    "existing current loyal renewed renewal renews running survived".split()
)
_CLIENTS = {"client", "customer", "member", "subscriber", "user", "employee"}
_NEGATIONS = {"not", "no", "non", "never"}
# Third labels are damage only if even the rarer of the two has so many times their rows.
_CLEARLY_MORE = 10
_LABELS_SHOWN = 5


def is_rare(few: int, all_of_them: int) -> bool:
    """Whether so few rows are probably damage: less than one in a hundred."""
    return 100 * few < all_of_them


def choose_labels(
    labels: Mapping[str, int],
    target: str,
    lines: Mapping[str, int] | None = None,
    positive: str | None = None,
) -> tuple[str, str]:
    """Choose the positive and the negative label; rare third labels are ignored.

    Args:
        labels: label as spelt -> number of rows.
        target: name of their column.
        lines: label -> its first line, for the error.
        positive: the label that means leaving; None where it is to be guessed.

    Raises:
        DataError: there are not two labels, or `positive` is none of them.
    """
    spellings: dict[str, dict[str, int]] = {}
    for text, rows in labels.items():
        spellings.setdefault(value_key(text), {})[text.strip()] = rows
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
        todo = (
            "a model needs clients who left and clients who stayed"
            if len(counted) < 2
            else "correct the labels, and leave those blank that say neither left nor stayed"
        )
        raise DataError(
            f"column {target!r}: expected two different labels, found {len(spellings)}"
            f"{_shown(labels, lines or {})}; {todo}"
        )
    if positive is not None:
        both = sorted(counted[:2], key=lambda item: value_key(item[0]) != value_key(positive))
        if value_key(both[0][0]) != value_key(positive):
            raise DataError(
                f"column {target!r}: {positive!r} is not one of its two labels"
                f"{_shown(labels, lines or {})}"
            )
        return both[0][0], both[1][0]
    # The label that means leaving first, else the rarer one; the alphabet decides a tie.
    both = sorted(counted[:2], key=lambda item: (-_leaving(item[0], target)[0], item[1], item[0]))
    return both[0][0], both[1][0]


def explain_labels(positive: str, negative: str, target: str) -> str | None:
    """Why the positive label is taken for leaving; None if only because it is the rarer one."""
    (left, why), (stayed, why_not) = (_leaving(label, target) for label in (positive, negative))
    if left == stayed:
        return None
    return why or why_not


def _leaving(label: str, target: str) -> tuple[int, str]:
    """How surely a label means that a client left, from -2 to 2, and the reason."""
    sense = _sense(label)
    if sense:
        return 2 * sense, f"the labels speak of {'leaving' if sense > 0 else 'staying'}"
    if label.lower() not in _YES:
        return 0, ""
    if _sense(target) < 0:
        return -1, "the column's name speaks of staying"
    return 1, f"{label!r} says yes"


def _sense(text: str) -> int:
    """Whether a text is about leaving (1), staying (-1), or neither (0)."""
    parts = set(words(text))
    is_client = parts & _CLIENTS and parts & {"is", "still"}
    sense = 1 if parts & _LEFT else -1 if parts & _STAYED or is_client else 0
    return -sense if parts & _NEGATIONS else sense


def _shown(labels: Mapping[str, int], lines: Mapping[str, int]) -> str:
    """A text with the most frequent labels, their numbers of rows and their first lines."""
    ordered = sorted(labels, key=lambda text: (-labels[text], text))
    parts = [
        f"{text!r} in {labels[text]:,} row{'s' * (labels[text] > 1)}"
        + (f" from line {lines[text]} on" if text in lines else "")
        for text in ordered[:_LABELS_SHOWN]
    ]
    more = ["..."] if len(ordered) > _LABELS_SHOWN else []
    return f" ({'; '.join(parts + more)})" if parts else ""
