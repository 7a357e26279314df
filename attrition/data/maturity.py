"""When a label may be used: from `outcome_days` after the row's date on (`snapshot_column`).

A client who leaves is known at once, one who stays only then: learning labels as they come would
make leavers too frequent. Until then a row's label reads as unknown, so that the row is that of an
open client, and the row with its label waits in `unmatured.csv`. Then it joins `finaldata.csv` as
if it had just come.
"""

from __future__ import annotations

from datetime import date, timedelta

from attrition.core.config import Config
from attrition.data import storage

END_OF_TIME = "9999-12-30"  # by which every row is mature


def last_mature(config: Config, today: str) -> str:
    """The newest date of rows whose outcome is due on a day; both as in `2026-01-31`."""
    assert config.outcome_days is not None
    return (date.fromisoformat(today) - timedelta(days=config.outcome_days)).isoformat()


def maturing_day(config: Config, snapshot: str) -> str:
    """The first day on which the label of a row of some date may be used."""
    assert config.outcome_days is not None
    try:
        return (date.fromisoformat(snapshot) + timedelta(days=config.outcome_days)).isoformat()
    except OverflowError:
        return date.max.isoformat()


def latest_date(today: str) -> str:
    """The latest date that a row may have: where the day begins first it is tomorrow already."""
    return (date.fromisoformat(today) + timedelta(days=1)).isoformat()


def key(config: Config) -> str:
    """SQL name of the stored column with the row's date."""
    assert config.snapshot_column is not None
    return storage.key_of(config)[config.snapshot_column]
