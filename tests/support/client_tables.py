"""A whole table of clients in memory, as ingestion and predictions read it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from attrition.core.config import Config
from attrition.data.clients import Clients, Rejection, from_columns, read_table
from attrition.data.storage import key_of


def whole_table(config: Config, path: Path) -> tuple[Clients, tuple[Rejection, ...]]:
    """The accepted rows of a table, without labels, and those that were not accepted."""
    with read_table(config, path) as (table, rejected):
        rows = table.connection.execute("FROM rows WHERE problem IS NULL").fetchnumpy()
    columns = {
        name: np.ma.filled(rows[key], np.nan if rows[key].dtype == float else "")
        for name, key in key_of(table.config).items()
    }
    return from_columns(table.config, columns, None), rejected
