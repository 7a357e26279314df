"""The model fitted by Spark to all rows: the same basis, Spark MLlib's logistic regression.

Pairs, L2 strength and threshold are chosen on a sample by `model.select`, as on one machine. The
axes come from all rows (`sparkaxes`). The workers expand the rows with the very transformer that
goes into the pipeline, and MLlib finds the same optimum as scikit-learn does. What comes out is an
ordinary scikit-learn pipeline, with the attributes set that fitting it would have set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
from pyspark import StorageLevel
from pyspark.ml.feature import VectorSlicer
from pyspark.ml.linalg import VectorUDT
from pyspark.ml.regression import GeneralizedLinearRegression
from pyspark.ml.stat import Summarizer
from pyspark.sql import DataFrame, functions
from pyspark.sql.types import DoubleType, StructField, StructType
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from attrition.errors import PipelineError
from attrition.model import KNOTS, Columns, Floats, Labels, Selection, export, make_basis
from attrition.scorecard import Scorecard
from attrition.sparkaxes import knot_axes, level_axis

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
            family="binomial", featuresCol="kept", tol=_TOLERANCE, maxIter=_STEPS,
            regParam=1.0 / (strength * weight * total),
        ).fit(rows)  # fmt: skip
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
