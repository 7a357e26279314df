"""Sums over the training rows on Spark, with which the model is fitted to all of them.

Each worker adds up its own rows with the code of one machine; the driver adds up the partitions, in
their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
from pyspark.sql import DataFrame

from attrition.model.basis import Columns, Floats, Labels
from attrition.model.training import PartSums


@dataclass(frozen=True)
class RowsOnSpark:
    """Training rows on Spark: the features in the order of `columns`, then the label.

    Attributes:
        frame: the rows; NULL is missing, the label 1 or 0.
        count: their number.
        columns: the features' names and kinds.
    """

    frame: DataFrame
    count: int
    columns: Columns

    def total(self, of_part: PartSums) -> Floats:
        columns = self.columns

        def totals(batches: Iterable[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
            total = sum(of_part(_features(rows, columns), _labels(rows)) for rows in batches)
            if np.ndim(total):  # an empty partition's is 0
                yield pyarrow.RecordBatch.from_arrays([pyarrow.array([total])], ["sums"])

        table = self.frame.mapInArrow(totals, "sums array<double>").toArrow()
        return reduce(add, (sums.values.to_numpy() for sums in table["sums"]))


def _features(rows: pyarrow.RecordBatch, columns: Columns) -> pd.DataFrame:
    features: dict[str, Any] = {}
    for position, name in enumerate(columns.all):
        values = rows.column(position)
        if name in columns.numeric:
            features[name] = values.fill_null(np.nan).to_numpy(zero_copy_only=False)
        else:
            features[name] = pd.Series(values.fill_null("").to_pylist(), dtype=object)
    return pd.DataFrame(features)


def _labels(rows: pyarrow.RecordBatch) -> Labels:
    return np.asarray(rows.column(rows.num_columns - 1), dtype=np.int8)
