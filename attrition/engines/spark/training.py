"""Fits basis and regression to all rows on Spark: knots at quantiles, levels by frequency.

The rules are those of `transformers.knot_axis` and `transformers.level_axis`. Spark's `percentile`
is exact and interpolates like numpy's quantile, but gathers every distinct value on one worker: for
more than `QUANTILE_ROWS` rows it therefore gets a fixed sample of about as many, selected by a hash
of the row, whose quantiles are off by about a thousandth in rank. Levels are always counted over
all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
from pyspark import StorageLevel
from pyspark.ml.feature import VectorSlicer
from pyspark.ml.linalg import VectorUDT
from pyspark.ml.regression import GeneralizedLinearRegression
from pyspark.ml.stat import Summarizer
from pyspark.sql import Column, DataFrame, functions
from pyspark.sql.types import DoubleType, StructField, StructType
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from attrition.core.errors import PipelineError
from attrition.model.scorecard import Scorecard
from attrition.model.terms import KnotAxis, LevelAxis
from attrition.model.training import KNOTS, Columns, Floats, Labels, Selection, export, make_basis
from attrition.model.transformers import LARGEST_KNOT, MAXIMUM_LEVELS, spread_axis

QUANTILE_ROWS = 1_000_000
_HASHES = 2.0**53


def knot_axes(rows: DataFrame, total: int, keys: Sequence[str], count: int) -> list[KnotAxis]:
    """The axes of numeric columns.

    Args:
        rows: of clients.
        total: the number of rows.
        keys: the columns' names in `rows`; NULL is missing.
        count: at most this many knots on an axis.
    """
    if not keys:
        return []
    if total > QUANTILE_ROWS:
        hashed = functions.pmod(functions.xxhash64(*rows.columns), functions.lit(int(_HASHES)))
        rows = rows.where(hashed < _HASHES * QUANTILE_ROWS / total)
    bounded = rows.select(*(_bounded(functions.col(key)).alias(key) for key in keys))
    levels = np.linspace(0.0, 1.0, count).tolist()
    aggregates = {
        key: (
            _quantiles(functions.col(key), levels),
            functions.median(key),
            functions.approx_count_distinct(key),
        )
        for key in keys
    }
    results = _agg(bounded, aggregates)
    few = [key for key in keys if 0 < results[key][2] <= 2 * count]
    sets = _agg(bounded, {key: (functions.array_sort(functions.collect_set(key)),) for key in few})
    knots = {key: _first_knots(results[key][0], sets.get(key), count) for key in keys}
    tied = [
        key
        for key in keys
        if 0 < len(knots[key]) < count and not (key in sets and len(sets[key][0]) <= count)
    ]
    spare = _agg(bounded, {key: (_spare(functions.col(key), knots[key], count),) for key in tied})
    for key in tied:
        knots[key] = np.unique([*knots[key], *(spare[key][0] or [])]).tolist()
    return [
        spread_axis(knots[key], results[key][1]) if knots[key] else KnotAxis((0.0,), 0.0)
        for key in keys
    ]


def _bounded(column: Column) -> Column:
    largest = functions.lit(LARGEST_KNOT)
    within = functions.greatest(functions.least(column, largest), -largest)
    return functions.when(column.isNotNull(), within)  # least(NULL, x) is x


def _first_knots(
    quantiles: list[float] | None, distinct: tuple[list[float]] | None, count: int
) -> list[float]:
    if quantiles is None:
        return []
    if distinct is not None and len(distinct[0]) <= count:
        return distinct[0]
    knots: list[float] = np.unique(quantiles).tolist()
    return knots


def _spare(column: Column, knots: Sequence[float], count: int) -> Column:
    """As many quantiles of the values that are not knots as there are knots left."""
    levels = np.linspace(0.0, 1.0, count - len(knots) + 2)[1:-1].tolist()
    return _quantiles(functions.when(~column.isin(list(knots)), column), levels)


def _quantiles(column: Column, levels: Sequence[float]) -> Column:
    return functions.percentile(column, [float(level) for level in levels])


def _agg(rows: DataFrame, aggregates: dict[str, tuple[Column, ...]]) -> dict[str, Any]:
    """Compute aggregates of several columns in one pass: name -> values."""
    if not aggregates:
        return {}
    flat = [
        column.alias(f"{key}_{i}")
        for key, columns in aggregates.items()
        for i, column in enumerate(columns)
    ]
    values = iter(rows.agg(*flat).first())
    return {key: tuple(next(values) for _ in columns) for key, columns in aggregates.items()}


def level_axis(
    rows: DataFrame, key: str, minimum_rows: int, maximum_levels: int = MAXIMUM_LEVELS
) -> LevelAxis:
    """The axis of a categorical column; NULL is blank."""
    counts = rows.groupBy(functions.coalesce(key, functions.lit("")).alias("level")).count()
    frequent = counts.where(
        (functions.col("count") >= minimum_rows) | (functions.col("level") == "")
    )
    ranked = frequent.orderBy(functions.desc("count"), "level").limit(maximum_levels).collect()
    return LevelAxis(tuple(row["level"] for row in ranked))


WIDEST = 4096  # most columns that MLlib's regression accepts
_TOLERANCE = 1e-6  # relative change of the coefficients in the last step
_STEPS = 50
_WEIGHT_TOLERANCE = 1e-3  # relative error of the penalty; ten times as much would hardly matter


def fit_selected(
    rows: DataFrame,
    total: int,
    keys: Mapping[str, str],
    columns: Columns,
    *,
    selection: Selection,
    sample: tuple[pd.DataFrame, Labels],
) -> tuple[Pipeline, Scorecard]:
    """Fit the selected model to all rows, and export the scorecard.

    Args:
        rows: the training rows; `label` is 1 or 0.
        total: the number of rows.
        keys: name of a feature column -> its name in `rows`.
        columns: which are numeric, which categorical.
        selection: pairs, strength and threshold.
        sample: features and labels of some rows, with both labels.
    """
    basis = fit_basis(rows, total, keys, columns, selection=selection, sample=sample[0])
    expanded = expand(rows, basis, keys, columns).persist(StorageLevel.DISK_ONLY)
    means, deviations = _moments(expanded)
    regression = LogisticRegression(C=selection.strength, solver="newton-cholesky")
    matrix = basis.transform(sample[0][columns.all])
    probability = regression.fit(matrix, sample[1]).predict_proba(matrix)[:, 1]
    weight = float((probability * (1.0 - probability)).mean())
    coefficients, intercept, steps = _regress(
        expanded, total, selection.strength, weight, deviations
    )
    expanded.unpersist()
    regression.coef_, regression.intercept_ = coefficients[None, :], np.array([intercept])
    regression.n_iter_ = np.array([steps], dtype=np.int32)
    pipeline = Pipeline([("basis", basis), ("regression", regression)])
    return pipeline, export(pipeline, means, matrix, selection.threshold)


def fit_basis(
    rows: DataFrame,
    total: int,
    keys: Mapping[str, str],
    columns: Columns,
    *,
    selection: Selection,
    sample: pd.DataFrame,
) -> ColumnTransformer:
    """Fit the basis, with its axes from all rows."""
    basis = make_basis(columns, selection.pairs).fit(sample[columns.all])
    parts = basis.named_transformers_
    if columns.numeric:
        numeric = [keys[name] for name in columns.numeric]
        parts["numeric"].axes_ = knot_axes(rows, total, numeric, KNOTS)
    if columns.categorical:
        levels = parts["categorical"]
        names = [keys[name] for name in columns.categorical]
        levels.axes_ = [level_axis(rows, name, levels.minimum_rows) for name in names]
        levels.usual_levels_ = [level_axis(rows, name, 1, 1).levels[0] for name in names]
    if selection.pairs:
        grids = parts["pairs"]
        numeric = [name for name in grids.axes_ if name in columns.numeric]
        axes = knot_axes(rows, total, [keys[name] for name in numeric], grids.knots)
        by_name = dict(zip(numeric, axes, strict=True))
        grids.axes_ = {
            name: by_name.get(name) or level_axis(rows, keys[name], 1, grids.levels)
            for name in grids.axes_
        }
    # The positions of each part's columns follow from their number, which the axes have changed.
    start = 0
    for name, where in basis.output_indices_.items():
        width = 0 if where.start == where.stop else len(parts[name].get_feature_names_out())
        basis.output_indices_[name] = slice(start, start + width)
        start += width
    return basis


def expand(
    rows: DataFrame, basis: ColumnTransformer, keys: Mapping[str, str], columns: Columns
) -> DataFrame:
    """The rows in MLlib's form: `features`, a sparse vector, and `label`."""
    schema = StructType(
        [StructField("features", VectorUDT(), False), StructField("label", DoubleType(), False)]
    )
    selected = rows.select(*(keys[name] for name in columns.all), "label")
    return selected.mapInArrow(expander(basis, columns), schema)


def expander(
    basis: ColumnTransformer, columns: Columns
) -> Callable[[Iterable[pyarrow.RecordBatch]], Iterator[pyarrow.RecordBatch]]:
    """The function of a worker: expands rows (features, then label) to the basis' columns."""

    def expand_rows(batches: Iterable[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
        for rows in batches:
            matrix = basis.transform(_features(rows, columns)).tocsr()
            matrix.sort_indices()
            label = rows.column(rows.num_columns - 1).cast(pyarrow.float64())
            yield pyarrow.RecordBatch.from_arrays(
                [_vectors(matrix), label], names=["features", "label"]
            )

    return expand_rows


def _features(rows: pyarrow.RecordBatch, columns: Columns) -> pd.DataFrame:
    features: dict[str, Any] = {}
    for position, name in enumerate(columns.all):
        values = rows.column(position)
        if name in columns.numeric:
            features[name] = values.fill_null(np.nan).to_numpy(zero_copy_only=False)
        else:
            features[name] = pd.Series(values.fill_null("").to_pylist(), dtype=object)
    return pd.DataFrame(features)


def _vectors(matrix: Any) -> pyarrow.Array:
    """Sparse rows in the layout of MLlib's vectors: kind 0, size, indices, values."""
    count, size = matrix.shape
    starts = pyarrow.array(matrix.indptr, pyarrow.int32())
    indices = pyarrow.array(matrix.indices, pyarrow.int32())
    return pyarrow.StructArray.from_arrays(
        [
            pyarrow.array(np.zeros(count, dtype=np.int8)),
            pyarrow.array(np.full(count, size, dtype=np.int32)),
            pyarrow.ListArray.from_arrays(starts, indices),
            pyarrow.ListArray.from_arrays(starts, pyarrow.array(matrix.data, pyarrow.float64())),
        ],
        names=["type", "size", "indices", "values"],
    )


def _regress(
    expanded: DataFrame, total: int, strength: float, weight: float, deviations: Floats
) -> tuple[Floats, float, int]:
    """Find the optimum of scikit-learn's logistic regression with MLlib.

    MLlib's `LogisticRegression` uses gradients only and, with hats beside their line, is far from
    the optimum after a thousand steps. Its generalised linear regression takes Newton steps, like
    scikit-learn's solver, and needs fewer than ten. It divides the sum of squares by the sum of the
    weights p (1 - p), so the penalty must be divided by that, too: its value at the optimum is
    estimated from the sample, and checked afterwards.

    Args:
        expanded: the rows.
        total: the number of rows.
        strength: scikit-learn's C.
        weight: first estimate of the mean of p (1 - p).
        deviations: standard deviations of the columns.

    Returns:
        Coefficients, intercept and number of steps.

    Raises:
        PipelineError: there are more columns than MLlib accepts.
    """
    # A constant column is left out: scikit-learn's penalty keeps its coefficient at 0.
    kept = np.flatnonzero(deviations > 0.0)
    if len(kept) > WIDEST:
        raise PipelineError(
            f"the model would have {len(kept):,} columns, and Spark's regression takes up to "
            f"{WIDEST:,}; leave out categorical columns of many levels (setting "
            f'categorical_columns), or learn on one machine ("engine": "local")'
        )
    slicer = VectorSlicer(inputCol="features", outputCol="kept", indices=kept.tolist())
    rows = slicer.transform(expanded).select("kept", "label")
    steps, coefficients = 0, np.zeros(len(deviations))
    while True:
        model = GeneralizedLinearRegression(
            family="binomial",
            featuresCol="kept",
            tol=_TOLERANCE,
            maxIter=_STEPS,
            regParam=1.0 / (strength * weight * total),
        ).fit(rows)
        steps += int(model.summary.numIterations)
        p = functions.col("prediction")
        actual = model.transform(rows).agg(functions.avg(p * (1 - p))).first()[0]
        if abs(actual / weight - 1.0) < _WEIGHT_TOLERANCE:
            coefficients[kept] = model.coefficients.toArray()
            return coefficients, float(model.intercept), steps
        weight = actual


def _moments(expanded: DataFrame) -> tuple[Floats, Floats]:
    """Means and standard deviations of the basis' columns."""
    summary = Summarizer.metrics("mean", "std").summary(expanded["features"]).alias("moments")
    moments = expanded.select(summary).first()["moments"]
    return moments["mean"].toArray(), moments["std"].toArray()
