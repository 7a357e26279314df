"""The scorecard as a Spark column: log-odds of every row of a table, without Python on workers.

They equal `Scorecard.log_odds` (a test proves it to 1e-9).
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame, functions

from attrition.model.scorecard import Scorecard
from attrition.model.scorecard_sql import SPARK, expressions, probability

LOG_ODDS, PROBABILITY = "log_odds", "probability"


def scored(rows: DataFrame, card: Scorecard, keys: Mapping[str, str]) -> DataFrame:
    """Add the columns `log_odds` and `probability` to rows.

    Args:
        rows: of clients; NULL is missing.
        keys: name of a feature column -> its name in `rows`.
    """
    written = expressions(card, SPARK, {column: SPARK.name(key) for column, key in keys.items()})
    places = {name: functions.expr(place) for name, place in written.places.items()}
    wide = rows.withColumns(places).withColumn(LOG_ODDS, functions.expr(written.log_odds))
    return wide.drop(*places).withColumn(PROBABILITY, functions.expr(probability(LOG_ODDS)))
