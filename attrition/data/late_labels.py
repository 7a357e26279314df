"""Finds files whose leavers became known before their stayers: many left, many are still open.

Who leaves is known on that day, who stays only when the time is over. If a file is sent in between,
most of its known outcomes are leavers, and a model that learns them predicts too high a risk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrition.core.repeated_tests import spent_at
from attrition.data.ledger import INGESTED, LedgerEntry

# From a third of the rows on, open ones can make the share of leavers half as high again as it is.
MANY_OPEN = 1 / 3
LEAST_RISE = 0.05  # of the share of leavers
LEAST_KNOWN, LEAST_BEFORE = 5, 30  # rows with an outcome: of the file, of all files before
# Of ever naming a file of a stream of which no share of leavers rises.
FALSE_ALARM = 0.05


def late_labels(entries: Sequence[LedgerEntry], has_outcome_days: bool) -> Mapping[str, str]:
    """The files in which far more clients left than in all files before, while many are open.

    Shares are compared by Fisher's exact test, one-sided, which no small file misleads. Each file
    that is tested spends a part of FALSE_ALARM (`spent_at`).

    Args:
        entries: of the ledger, oldest first.
        has_outcome_days: whether the settings say when an outcome is known.

    Returns:
        Digest of the file -> what is odd about it, and what to do.
    """
    texts = {}
    rows = leavers = tests = 0
    for entry in entries:
        if entry.status != INGESTED or entry.left is None:
            continue
        is_tested = (
            entry.open >= MANY_OPEN * (entry.open + entry.kept)
            and entry.kept >= LEAST_KNOWN
            and rows >= LEAST_BEFORE
        )
        if is_tested:
            tests += 1
            level = FALSE_ALARM * spent_at(tests)
            rise = entry.left / entry.kept - leavers / rows
            if rise > LEAST_RISE and _chance(entry.left, entry.kept, leavers, rows) < level:
                texts[entry.sha256] = _text(entry, entry.left, leavers / rows, has_outcome_days)
        rows, leavers = rows + entry.kept, leavers + entry.left
    return texts


def _chance(left: int, kept: int, leavers: int, rows: int) -> float:
    """Probability that so many of a file's rows left, or more, if any rows might have been its own.

    Args:
        left, kept: leavers and rows of the file.
        leavers, rows: those of the files before.
    """
    from scipy.stats import hypergeom  # slow to import, and few files are looked at

    return float(hypergeom.sf(left - 1, kept + rows, left + leavers, kept))


def _text(entry: LedgerEntry, left: int, before: float, has_outcome_days: bool) -> str:
    setting = "set snapshot_column and outcome_days"
    if has_outcome_days:
        setting = "see whether outcome_days is long enough"
    return (
        f"{entry.name}: {left:,} of its {entry.kept:,} new rows with a known outcome left "
        f"({left / entry.kept:.0%}; {before:.0%} in the files before), and {entry.open:,} rows are "
        f"still open; if leavers become known before stayers, the model learns too high a risk: "
        f"send such files when all outcomes are known, or {setting} in config.json"
    )
