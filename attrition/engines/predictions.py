"""Predictions for a table of any size: DuckDB reads, checks and writes it.

The scorecard itself scores it, some rows at a time: the same arithmetic as in the API, to the last
bit, and several times as fast as in SQL where curves have many knots.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import duckdb
import pandas as pd

from attrition.core.config import Config
from attrition.data import storage, validation
from attrition.data.client_table import ClientTable
from attrition.data.clients import Rejection, read_table
from attrition.model.scorecard import Scorecard

_VECTORS = 50  # of 2,048 rows each: what is scored at a time
_ROW = "'row ' || row_number() OVER ()"


class Prediction(NamedTuple):
    """A client's id, probability of leaving (fraction 0-1), and predicted label."""

    id: str
    probability: float
    prediction: str


@dataclass(frozen=True)
class Predictions:
    """Predictions in the order of the file, in a database, and the rows that were not accepted."""

    rejected: tuple[Rejection, ...]
    _connection: duckdb.DuckDBPyConnection
    _query: str

    def rows(self) -> list[Prediction]:
        """All of them, in memory."""
        return list(map(Prediction._make, self._connection.execute(self._query).fetchall()))

    def write_csv(self, path: Path) -> None:
        """Write a CSV file with a header."""
        self._connection.execute(
            f"COPY ({self._query}) TO {validation.literal(str(path))} (FORMAT csv, HEADER true)"
        )


@contextlib.contextmanager
def predict(config: Config, card: Scorecard, path: Path) -> Iterator[Predictions]:
    """Predict for the clients in a table.

    Args:
        path: a `.csv` or `.csv.gz` file; only the features must be in it.

    Raises:
        DataError: the file is of no use.
    """
    with read_table(config, path) as (table, rejected):
        _score(table, card)
        # Without an id column a client is called by its row.
        name = storage.key_of(table.config).get(table.config.id_column or "", _ROW)
        leaves, stays = map(validation.literal, (config.positive_label, config.negative_label))
        query = (
            f"SELECT {name} AS id, probability, "
            f"CASE WHEN leaves THEN {leaves} ELSE {stays} END AS prediction "
            f"FROM (FROM rows WHERE problem IS NULL) POSITIONAL JOIN scores"
        )
        yield Predictions(rejected, table.connection, query)


def _score(table: ClientTable, card: Scorecard) -> None:
    """Score the accepted rows into the table `scores`, in their order."""
    keys = storage.key_of(table.config)
    columns = [f"coalesce({keys[name]}, 'nan') AS {keys[name]}" for name in card.numeric_columns]
    columns += [f"coalesce({keys[name]}, '') AS {keys[name]}" for name in card.categorical_columns]
    table.connection.execute("CREATE TABLE scores (probability DOUBLE, leaves BOOLEAN)")
    with table.connection.cursor() as reader:
        reader.execute(f"SELECT {', '.join(columns)} FROM rows WHERE problem IS NULL")
        while len(rows := reader.fetch_df_chunk(_VECTORS)):
            features = {name: rows[key].to_numpy() for name, key in keys.items() if key in rows}
            probabilities = card.probabilities(features)
            leaves = probabilities >= card.threshold
            table.connection.append(
                "scores", pd.DataFrame({"probability": probabilities, "leaves": leaves})
            )
