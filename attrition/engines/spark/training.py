"""The axes of the model's basis from all rows on Spark: knots at quantiles, levels by frequency.

The rules are those of `transformers.knot_axis` and `transformers.level_axis`. Spark's
`percentile` is exact and interpolates as numpy's quantile does, but keeps every distinct value in
one place: of more than `QUANTILE_ROWS` rows a fixed sample of about as many (a hash of the row
picks it) is asked, whose quantiles are off by a rank of some thousandth. Levels are always
counted over all rows.
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
        total: how many there are.
        keys: the columns' names in `rows`; NULL is missing.
        count: at most this many knots on an axis.
    """
    if not keys:
        return []
    if total > QUANTILE_ROWS:
        place = functions.pmod(functions.xxhash64(*rows.columns), functions.lit(int(_HASHES)))
        rows = rows.where(place < _HASHES * QUANTILE_ROWS / total)
    bounded = rows.select(*(_bounded(functions.col(key)).alias(key) for key in keys))
    levels = np.linspace(0.0, 1.0, count).tolist()
    asked = {
        key: (
            _quantiles(functions.col(key), levels),
            functions.median(key),
            functions.approx_count_distinct(key),
        )
        for key in keys
    }
    found = _ask(bounded, asked)
    few = [key for key in keys if 0 < found[key][2] <= 2 * count]
    sets = _ask(bounded, {key: (functions.array_sort(functions.collect_set(key)),) for key in few})
    knots = {key: _first_knots(found[key][0], sets.get(key), count) for key in keys}
    tied = [
        key
        for key in keys
        if 0 < len(knots[key]) < count and not (key in sets and len(sets[key][0]) <= count)
    ]
    spare = _ask(bounded, {key: (_spare(functions.col(key), knots[key], count),) for key in tied})
    for key in tied:
        knots[key] = np.unique([*knots[key], *(spare[key][0] or [])]).tolist()
    return [
        spread_axis(knots[key], found[key][1]) if knots[key] else KnotAxis((0.0,), 0.0)
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
    """Quantiles of the values that are no knots, as many as there are knots to spare."""
    levels = np.linspace(0.0, 1.0, count - len(knots) + 2)[1:-1].tolist()
    return _quantiles(functions.when(~column.isin(list(knots)), column), levels)


def _quantiles(column: Column, levels: Sequence[float]) -> Column:
    return functions.percentile(column, [float(level) for level in levels])


def _ask(rows: DataFrame, asked: dict[str, tuple[Column, ...]]) -> dict[str, Any]:
    """Aggregates of several columns in one pass: name -> its answers."""
    if not asked:
        return {}
    flat = [
        column.alias(f"{key}_{i}")
        for key, columns in asked.items()
        for i, column in enumerate(columns)
    ]
    answers = iter(rows.agg(*flat).first())
    return {key: tuple(next(answers) for _ in columns) for key, columns in asked.items()}


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


WIDEST = 4096  # columns that MLlib's regression takes
_TOLERANCE = 1e-6  # relative change of the coefficients in the last step
_STEPS = 50
_WEIGHT_TOLERANCE = 1e-3  # by which the penalty may be off; one of the tenfold would hardly be seen


def fit_selected(
    rows: DataFrame,
    total: int,
    keys: Mapping[str, str],
    columns: Columns,
    *,
    selection: Selection,
    sample: tuple[pd.DataFrame, Labels],
) -> tuple[Pipeline, Scorecard]:
    """Fit the selected model to all rows, and read the scorecard off it.

    Args:
        rows: the training rows; `label` is 1 or 0.
        total: how many there are.
        keys: name of a feature column -> its name in `rows`.
        columns: which are numeric, which categorical.
        selection: pairs, strength and threshold.
        sample: features and labels of some rows, with both labels.
    """
    basis = fit_basis(rows, total, keys, columns, selection=selection, sample=sample[0])
    expanded = expand(rows, basis, keys, columns).persist(StorageLevel.DISK_ONLY)
    means, deviations = _moments(expanded)
    regression = LogisticRegression(C=selection.strength, solver="newton-cholesky")
    some = basis.transform(sample[0][columns.all])
    chance = regression.fit(some, sample[1]).predict_proba(some)[:, 1]
    weight = float((chance * (1.0 - chance)).mean())
    coefficients, intercept, steps = _regress(
        expanded, total, selection.strength, weight, deviations
    )
    expanded.unpersist()
    regression.coef_, regression.intercept_ = coefficients[None, :], np.array([intercept])
    regression.n_iter_ = np.array([steps], dtype=np.int32)
    pipeline = Pipeline([("basis", basis), ("regression", regression)])
    return pipeline, export(pipeline, means, selection.threshold)


def fit_basis(
    rows: DataFrame,
    total: int,
    keys: Mapping[str, str],
    columns: Columns,
    *,
    selection: Selection,
    sample: pd.DataFrame,
) -> ColumnTransformer:
    """The basis with its axes from all rows."""
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
        found = dict(zip(numeric, axes, strict=True))
        grids.axes_ = {
            name: found.get(name) or level_axis(rows, keys[name], 1, grids.levels)
            for name in grids.axes_
        }
    # Where each part's columns stand follows from their number, which has changed with the axes.
    start = 0
    for name, where in basis.output_indices_.items():
        width = 0 if where.start == where.stop else len(parts[name].get_feature_names_out())
        basis.output_indices_[name] = slice(start, start + width)
        start += width
    return basis


def expand(
    rows: DataFrame, basis: ColumnTransformer, keys: Mapping[str, str], columns: Columns
) -> DataFrame:
    """The rows as MLlib wants them: `features`, a sparse vector, and `label`."""
    schema = StructType(
        [StructField("features", VectorUDT(), False), StructField("label", DoubleType(), False)]
    )
    asked = rows.select(*(keys[name] for name in columns.all), "label")
    return asked.mapInArrow(expander(basis, columns), schema)


def expander(
    basis: ColumnTransformer, columns: Columns
) -> Callable[[Iterable[pyarrow.RecordBatch]], Iterator[pyarrow.RecordBatch]]:
    """What a worker does: the basis' columns for some rows, the features first, the label last."""

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
    """Sparse rows as MLlib's vectors are laid out: kind 0, size, indices, values."""
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
    """The optimum of scikit-learn's logistic regression, by MLlib's.

    MLlib's `LogisticRegression` climbs by gradients alone, and on hats beside their line is far
    from the top after a thousand steps. Its generalised linear regression takes Newton's steps, as
    scikit-learn's solver does, and needs less than ten. It divides the sum of squares by the sum of
    the weights p (1 - p), so the penalty has to be divided by that, too: what it is at the optimum
    is known well from the sample, and looked at again afterwards.

    Args:
        expanded: the rows.
        total: how many there are.
        strength: scikit-learn's C.
        weight: mean of p (1 - p), as known so far.
        deviations: of the columns.

    Returns:
        Coefficients, intercept and number of steps.

    Raises:
        PipelineError: there are more columns than MLlib takes.
    """
    # A column that never changes says nothing: scikit-learn's penalty leaves it at 0.
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
        chance = functions.col("prediction")
        found = model.transform(rows).agg(functions.avg(chance * (1 - chance))).first()[0]
        if abs(found / weight - 1.0) < _WEIGHT_TOLERANCE:
            coefficients[kept] = model.coefficients.toArray()
            return coefficients, float(model.intercept), steps
        weight = found


def _moments(expanded: DataFrame) -> tuple[Floats, Floats]:
    """Means and standard deviations of the basis' columns."""
    asked = Summarizer.metrics("mean", "std").summary(expanded["features"]).alias("found")
    found = expanded.select(asked).first()["found"]
    return found["mean"].toArray(), found["std"].toArray()
