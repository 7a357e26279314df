"""The time that records carry. No decision depends on it: decisions follow from content."""

from __future__ import annotations

from datetime import UTC, datetime


def now(timespec: str = "seconds") -> str:
    """The current time, UTC, ISO 8601, to the second or as `datetime.isoformat` names it."""
    return datetime.now(UTC).isoformat(timespec=timespec)
