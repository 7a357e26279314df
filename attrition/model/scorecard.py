"""The scorecard: the whole model as knots and points that a person can read and recompute.

log-odds = intercept + the points of each column + the points of each pair of columns
probability = 1 / (1 + exp(-log-odds))

A numeric column's points are interpolated between its knots (outside them the ends hold), each
level of a categorical column has its points, a pair has a small grid. The scorecard equals the
scikit-learn pipeline it was exported from (tests prove it to 1e-9); serving takes JSON and numpy.

Reads scorecard.json.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from attrition.core.errors import DataError, unreadable
from attrition.model.terms import (
    Axis,
    CategoricalTerm,
    Floats,
    KnotAxis,
    LevelAxis,
    NumericTerm,
    PairTerm,
    Places,
    Record,
    Table,
    Term,
)

FORMAT = 1
HOW_TO_READ = (
    "log-odds of leaving = intercept + points of each column + points of each pair; probability = "
    "1 / (1 + exp(-log-odds)). Between two knots the points lie on a straight line, outside the "
    "knots the ends hold. A missing number has its own points; in a pair it counts as the usual "
    "value. A level that is not listed has the other points; in a pair, the last row or column. A "
    "pair holds only what neither of its columns says alone."
)
# Up to this many rows, plain numbers are faster than arrays: one request is one row.
FEW_ROWS = 8
PART_ROWS = 50_000  # of a table that are scored at a time


@dataclass(frozen=True)
class Scorecard:
    """The served model.

    Attributes:
        intercept: log-odds before any points.
        threshold: a probability of at least this predicts that the client leaves.
        numeric, categorical, pairs: the terms.
    """

    intercept: float
    threshold: float
    numeric: tuple[NumericTerm, ...]
    categorical: tuple[CategoricalTerm, ...]
    pairs: tuple[PairTerm, ...]

    @cached_property
    def all_terms(self) -> tuple[Term, ...]:
        """Every term: numeric columns, categorical columns, pairs."""
        return (*self.numeric, *self.categorical, *self.pairs)

    @cached_property
    def terms(self) -> tuple[str, ...]:
        """The terms' names: a column, or two joined by " x "."""
        return tuple(" x ".join(term.columns) for term in self.all_terms)

    @cached_property
    def numeric_columns(self) -> tuple[str, ...]:
        """The numeric columns it reads."""
        return tuple(term.column for term in self.numeric)

    @cached_property
    def categorical_columns(self) -> tuple[str, ...]:
        """The categorical columns it reads."""
        return tuple(term.column for term in self.categorical)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Every column it reads: numeric, then categorical."""
        return self.numeric_columns + self.categorical_columns

    @cached_property
    def levels(self) -> dict[str, tuple[str, ...]]:
        """Each categorical column's known levels."""
        return {term.column: term.axis.levels for term in self.categorical}

    @cached_property
    def average_log_odds(self) -> float:
        """Mean log-odds of the training rows, the reference of all contributions."""
        return self.intercept + sum(term.average_points for term in self.all_terms)

    def log_odds(self, table: Table) -> Floats:
        """Log-odds of leaving.

        Args:
            table: a dict of sequences or a DataFrame, with the clients' values for each column of
                the scorecard: numbers with NaN for missing, or text with "" for blank.

        Returns:
            Array of shape (n_clients,).
        """
        rows = self._count(table)
        if rows <= FEW_ROWS:
            return np.array([self._record_log_odds(record) for record in self.records(table)])
        total = np.empty(rows)
        for start in range(0, rows, PART_ROWS):
            part = slice(start, start + PART_ROWS)
            columns = {name: np.asarray(table[name])[part] for name in self.columns}
            total[part] = sum(self._points(columns), self.intercept)
        return total

    def probabilities(self, table: Table) -> Floats:
        """Probability of leaving, fraction 0-1, array of shape (n_clients,); see `log_odds`."""
        return logistic(self.log_odds(table))

    def contributions(self, table: Table) -> Floats:
        """What each term adds to the log-odds, compared with its mean over all clients.

        Args:
            table: as for `log_odds`.

        Returns:
            Array of shape (n_clients, n_terms), columns in the order of `terms`; a row's sum plus
            `average_log_odds` is the client's log-odds.
        """
        result = np.empty((self._count(table), len(self.all_terms)))
        for position, points in enumerate(self._points(table)):
            result[:, position] = points - self.all_terms[position].average_points
        return result

    def _points(self, table: Table) -> Iterator[Floats]:
        """The points of each term, array of shape (n_clients,)."""
        places = places_in(table)
        for term in self.all_terms:
            if isinstance(term, PairTerm):
                yield term.of_places(*map(places, term.columns, term.axes))
            else:
                yield term.of_column(table)

    def _record_log_odds(self, record: Record) -> float:
        return self.intercept + sum(term.of_record(record) for term in self.all_terms)

    def _count(self, table: Table) -> int:
        return len(table[self.columns[0]])

    def records(self, table: Table) -> list[Record]:
        """The clients one by one, as plain Python values."""
        values = [np.asarray(table[name]).tolist() for name in self.columns]
        return [dict(zip(self.columns, row, strict=True)) for row in zip(*values, strict=True)]

    def to_json(self) -> dict[str, Any]:
        """The scorecard as plain values for JSON; `scorecard_from_json` reads them back."""
        return {
            "format": FORMAT,
            "how_to_read": HOW_TO_READ,
            "intercept": self.intercept,
            "average_log_odds": self.average_log_odds,
            "threshold": self.threshold,
            "numeric": {term.column: _numeric_json(term) for term in self.numeric},
            "categorical": {term.column: _categorical_json(term) for term in self.categorical},
            "pairs": [_pair_json(term) for term in self.pairs],
        }


def places_in(table: Table) -> Callable[[str, Axis], Places]:
    """Finds the clients' places on an axis of a column, of each axis once."""

    @cache
    def places(column: str, axis: Axis) -> Places:
        return axis.places(table[column])

    return places


def logistic(log_odds: Floats) -> Floats:
    """Probabilities, fractions 0-1, of log-odds; no overflow, however large they are."""
    return np.array(0.5 + 0.5 * np.tanh(0.5 * log_odds))


def load_scorecard(path: Path) -> Scorecard:
    """Read a scorecard file.

    Raises:
        DataError: the file is missing or not a valid scorecard; says what is wrong.
    """
    try:
        return read_scorecard(path.read_bytes())
    except OSError as error:
        raise unreadable(f"{path}: cannot be read ({error.strerror})", error) from None
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def read_scorecard(content: bytes) -> Scorecard:
    """Make a scorecard of the content of its file.

    Raises:
        DataError: it is not a valid scorecard; says what is wrong.
    """
    try:
        return scorecard_from_json(json.loads(content))
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON ({error})") from None


def scorecard_from_json(raw: Any) -> Scorecard:
    """Make a scorecard of decoded JSON, with every shape and number checked.

    Raises:
        DataError: a value is missing, of a wrong shape, or not finite; names the part.
    """
    version = raw.get("format") if isinstance(raw, dict) else None
    if version != FORMAT:
        raise DataError(f"not a scorecard of format {FORMAT} (found format {version!r})")
    part = "top level"
    try:
        intercept, threshold = _number(raw["intercept"]), _number(raw["threshold"])
        if not 0.0 <= threshold <= 1.0:
            raise ValueError(f"threshold: expected a fraction 0-1, found {threshold}")
        axes: dict[str, KnotAxis | None] = {}
        numeric, categorical, pairs = [], [], []
        for column, item in raw["numeric"].items():
            part = f"numeric column {column!r}"
            numeric.append(_numeric_term(column, item))
            axes[column] = numeric[-1].axis
        for column, item in raw["categorical"].items():
            part = f"categorical column {column!r}"
            categorical.append(_categorical_term(column, item))
            axes[column] = None
        for position, item in enumerate(raw["pairs"]):
            part = f"pair {position + 1}"
            pairs.append(_pair_term(item, axes))
    except KeyError as error:
        raise DataError(f"damaged scorecard: {part}: {error} is missing") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise DataError(f"damaged scorecard: {part}: {error}") from None
    if not axes:
        raise DataError("damaged scorecard: it reads no column")
    return Scorecard(intercept, threshold, tuple(numeric), tuple(categorical), tuple(pairs))


def _numeric_json(term: NumericTerm) -> dict[str, Any]:
    return {
        "knots": list(term.axis.knots),
        "points": list(term.points),
        "standard_errors": list(term.errors),
        "missing_points": term.missing_points,
        "missing_share": term.missing_share,
        "usual_value": term.axis.usual_value,
        "average_points": term.average_points,
    }


def _numeric_term(column: str, item: Mapping[str, Any]) -> NumericTerm:
    return NumericTerm(
        column,
        KnotAxis(_numbers(item["knots"]), _number(item["usual_value"])),
        _numbers(item["points"]),
        _number(item["missing_points"]),
        _number(item["missing_share"]),
        _number(item["average_points"]),
        _numbers(item.get("standard_errors", [])),
    )


def _categorical_json(term: CategoricalTerm) -> dict[str, Any]:
    return {
        "points": dict(zip(term.axis.levels, term.points, strict=False)),
        "other_points": term.points[-1],
        "standard_errors": list(term.errors),
        "usual_value": term.usual_value,
        "average_points": term.average_points,
    }


def _categorical_term(column: str, item: Mapping[str, Any]) -> CategoricalTerm:
    points = dict(item["points"])
    return CategoricalTerm(
        column,
        LevelAxis(tuple(points)),
        (*_numbers(list(points.values())), _number(item["other_points"])),
        _text(item["usual_value"]),
        _number(item["average_points"]),
        _numbers(item.get("standard_errors", [])),
    )


def _pair_json(term: PairTerm) -> dict[str, Any]:
    axes = [
        {"knots": list(axis.knots)} if isinstance(axis, KnotAxis) else {"levels": list(axis.levels)}
        for axis in term.axes
    ]
    return {
        "columns": list(term.columns),
        "axes": axes,
        "points": [list(row) for row in term.points],
        "standard_errors": [list(row) for row in term.errors],
        "means": [list(each) for each in term.means],
        "average_points": term.average_points,
    }


def _pair_term(item: Mapping[str, Any], axes: Mapping[str, KnotAxis | None]) -> PairTerm:
    """Parse a pair; its columns' own axes say which are numeric and give their usual values."""
    first, second = item["columns"]
    raw_first, raw_second = item["axes"]
    return PairTerm(
        (_text(first), _text(second)),
        (_pair_axis(raw_first, axes[first]), _pair_axis(raw_second, axes[second])),
        tuple(_numbers(row) for row in item["points"]),
        _number(item["average_points"]),
        tuple(_numbers(row) for row in item.get("standard_errors", [])),
        tuple(_numbers(each) for each in item.get("means", [])),
    )


def _pair_axis(raw: Mapping[str, Any], own: KnotAxis | None) -> Axis:
    if own is None:
        return LevelAxis(tuple(_text(level) for level in raw["levels"]))
    return KnotAxis(_numbers(raw["knots"]), own.usual_value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"expected a finite number, found {value!r:.60}")
    return float(value)


def _numbers(values: Any) -> tuple[float, ...]:
    if not isinstance(values, list):
        raise ValueError(f"expected a list of numbers, found {values!r:.60}")
    return tuple(_number(value) for value in values)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected text, found {value!r:.60}")
    return value
