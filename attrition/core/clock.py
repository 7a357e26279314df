"""The time that records carry, and the days by which outcomes are due (`outcome_days`) and a client
may be contacted again (`rest_days`).

No other decision depends on it: decisions follow from content.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def now(timespec: str = "seconds") -> str:
    """The current time, UTC, ISO 8601, to the second or as `datetime.isoformat` names it."""
    return datetime.now(UTC).isoformat(timespec=timespec)


def today() -> str:
    """The present day, UTC, such as `2026-01-31`."""
    return now()[:10]


def days_ago(number: int) -> str:
    """The day so many days before the present one."""
    return (datetime.now(UTC) - timedelta(days=number)).date().isoformat()
