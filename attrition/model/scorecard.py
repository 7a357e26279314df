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
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

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
# A term is no reason for a client's risk if it raises the odds by less than this, or, beside a
# stronger term, neither doubles them nor has this share of the points of the strongest.
LEAST_POINTS = math.log(1.05)
STRONG_POINTS = math.log(2.0)
LEAST_SHARE = 0.25
FIRST_SHARE = 1 / 3  # of the strongest's points, for what may come first on a list
LISTED_TOGETHER = 25  # clients in a row whose first reasons should differ


class Reason(NamedTuple):
    """One reason for a client's risk: a term that raises it above the average client's."""

    term: str
    columns: tuple[str, ...]
    values: tuple[Any, ...]  # the client's, one per column; None where missing
    points: float  # log-odds above the average client's


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
            return np.array([self._record_log_odds(record) for record in self._records(table)])
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
        """What each term adds to the log-odds, compared with the average client.

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

    def reasons(
        self, table: Table, count: int, groups: NDArray[Any] | None = None
    ) -> list[list[Reason]]:
        """Why each client's risk is above the average client's.

        Args:
            table: as for `log_odds`.
            count: at most this many reasons for a client.
            groups: array of shape (n_clients,), the clients that each is listed with. Then its
                strongest reason and those that set it apart from them are chosen, whose points the
                fewest of them reach: what all have tells none from another. The first is that of
                them which the clients just above say least; see `_least_said_first`.

        Returns:
            For each client its reasons, strongest first without `groups`; only terms that raise the
            risk by `LEAST_POINTS` or more, and by `STRONG_POINTS` or by `LEAST_SHARE` of the points
            of the strongest.
        """
        points = self.contributions(table)
        preference = points if groups is None else -_reached_by(points, groups)
        chosen = _chosen(points, preference, count)
        found = [
            [self._reason(record, position, float(own[position])) for position in positions]
            for record, positions, own in zip(self._records(table), chosen, points, strict=True)
        ]
        return found if groups is None else _least_said_first(found)

    def explanations(self, table: Table) -> list[list[Reason]]:
        """What every term adds to or takes from each client's log-odds, the strongest first.

        Args:
            table: as for `log_odds`.

        Returns:
            For each client one item per term; their points and `average_log_odds` add up to the
            client's log-odds.
        """
        contributions = self.contributions(table)
        strongest = np.argsort(-np.abs(contributions), axis=1, kind="stable")
        return [
            [self._reason(record, position, float(points[position])) for position in positions]
            for record, positions, points in zip(
                self._records(table), strongest, contributions, strict=True
            )
        ]

    def _reason(self, record: Record, position: int, points: float) -> Reason:
        columns = self.all_terms[position].columns
        values = (record[column] for column in columns)
        shown = tuple(
            None if isinstance(value, float) and math.isnan(value) else value for value in values
        )
        return Reason(self.terms[position], columns, shown, points)

    def _points(self, table: Table) -> Iterator[Floats]:
        """The points of each term, array of shape (n_clients,); places are found once an axis."""

        @cache
        def places(column: str, axis: Axis) -> Places:
            return axis.places(table[column])

        for term in self.all_terms:
            if isinstance(term, PairTerm):
                yield term.of_places(*map(places, term.columns, term.axes))
            else:
                yield term.of_column(table)

    def _record_log_odds(self, record: Record) -> float:
        return self.intercept + sum(term.of_record(record) for term in self.all_terms)

    def _count(self, table: Table) -> int:
        return len(table[self.columns[0]])

    def _records(self, table: Table) -> list[Record]:
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


def _reached_by(points: Floats, groups: NDArray[Any]) -> NDArray[np.intp]:
    """How many of each client's group have such points of a term, or more; 0 for no reason."""
    counts = np.zeros(points.shape, dtype=np.intp)
    for group in set(groups.tolist()):
        members = groups == group
        for term, of_term in enumerate(points.T):
            raised = np.flatnonzero(members & (of_term >= LEAST_POINTS))
            lifts = np.round(of_term[raised], 9)  # equal ones are equal to the last digit
            counts[raised, term] = len(lifts) - np.searchsorted(np.sort(lifts), lifts)
    return counts


def _chosen(points: Floats, preference: NDArray[Any], count: int) -> list[list[int]]:
    """For each client the positions of the terms that are its reasons, the preferred ones first.

    Args:
        points: above the average client's; array of shape (n_clients, n_terms).
        preference: of the same shape; among equal ones the stronger term is preferred.
        count: at most this many for a client; the strongest is always one of them.
    """
    lifts = np.maximum(points, 0.0)
    is_strongest = np.arange(points.shape[1]) == lifts.argmax(axis=1)[:, np.newaxis]
    enough = np.clip(LEAST_SHARE * lifts.max(axis=1, keepdims=True), LEAST_POINTS, STRONG_POINTS)
    is_reason = lifts >= enough
    wanted = np.where(is_reason, preference, -np.inf)
    first = np.where(is_strongest & is_reason, np.inf, wanted)
    chosen = np.lexsort((-lifts, -first), axis=1)[:, :count]
    lifts, wanted = (np.take_along_axis(array, chosen, axis=1) for array in (lifts, wanted))
    chosen = np.take_along_axis(chosen, np.lexsort((-lifts, -wanted), axis=1), axis=1)
    return [
        [position for position in positions if of_client[position]]
        for positions, of_client in zip(chosen.tolist(), is_reason.tolist(), strict=True)
    ]


def _least_said_first(listed: list[list[Reason]]) -> list[list[Reason]]:
    """The reasons of clients in the order of their list, so that not all begin with the same one.

    First comes what fewest of the clients just above begin with, of equal ones what came first; it
    doubles the odds, or has `FIRST_SHARE` of the points of the client's strongest reason.
    """
    above: deque[Reason] = deque(maxlen=LISTED_TOGETHER - 1)
    said = Counter[Reason]()
    result = []
    for reasons in listed:
        most = max((reason.points for reason in reasons), default=0.0)
        fair = [one for one in reasons if one.points >= min(FIRST_SHARE * most, STRONG_POINTS)]
        begin = [min(fair, key=said.__getitem__)] if fair else []
        result.append([*begin, *(reason for reason in reasons if reason not in begin)])
        if begin and len(above) == above.maxlen:
            said[above[0]] -= 1
        above.extend(begin)
        said.update(begin)
    return result


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
