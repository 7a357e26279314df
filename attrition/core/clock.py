"""The time that records carry, and the day by which outcomes are due (`outcome_days`).

No other decision depends on it: decisions follow from content.
"""

from __future__ import annotations

from datetime import UTC, datetime


def now(timespec: str = "seconds") -> str:
    """The current time, UTC, ISO 8601, to the second or as `datetime.isoformat` names it."""
    return datetime.now(UTC).isoformat(timespec=timespec)


def today() -> str:
    """The present day, UTC, such as `2026-01-31`."""
    return now()[:10]
