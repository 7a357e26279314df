"""The time that records carry. No decision depends on it: decisions follow from content."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> str:
    """The current time, UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
