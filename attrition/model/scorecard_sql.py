"""The scorecard in SQL: it scores clients in the database where they are, exact to 1e-9.

A column's curve is written out as the straight lines that it consists of, a level with its points.
A pair's grid is a list; where a client is on its two axes is worked out in a step before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from attrition.core.errors import DataError
from attrition.model.scorecard import Scorecard
from attrition.model.terms import Axis, CategoricalTerm, KnotAxis, NumericTerm, PairTerm, Term


@dataclass(frozen=True)
class Dialect:
    """What one database writes otherwise than another.

    Attributes:
        double, text: names of the types.
        item: one number of a list: {numbers} with commas between them, {position} from 1 on.
        quote: around a name, doubled within one.
        escapes: whether a backslash in a text escapes what follows.
        ignores_case: whether names that differ in case alone are the same.
        least: numbers nearer to 0 count as 0, since the database refuses a product that would be;
            "" where it does not.
    """

    double: str
    text: str
    item: str
    quote: str = '"'
    escapes: bool = False
    ignores_case: bool = False
    least: str = ""

    def name(self, text: str) -> str:
        """The name of a column."""
        return self.quote + text.replace(self.quote, 2 * self.quote) + self.quote

    def string(self, text: str) -> str:
        """A text."""
        if self.escapes:
            return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
        return "'" + text.replace("'", "''") + "'"


DUCKDB = Dialect("DOUBLE", "VARCHAR", "([{numbers}])[{position}]", ignores_case=True)
POSTGRES = Dialect(
    "DOUBLE PRECISION",
    "TEXT",
    "(CAST(ARRAY[{numbers}] AS DOUBLE PRECISION[]))[{position}]",
    least="1e-150",
)
SPARK = Dialect(
    "DOUBLE",
    "STRING",
    "element_at(array({numbers}), {position})",
    quote="`",
    escapes=True,
    ignores_case=True,
)
DIALECTS = {"duckdb": DUCKDB, "postgres": POSTGRES, "spark": SPARK}


@dataclass(frozen=True)
class Expressions:
    """A scorecard as SQL expressions, to be worked out one after the other.

    Attributes:
        places: of the clients on the axes of the pairs, by the name to give each of them.
        terms: what is to be added up for the log-odds: the intercept, then each term's points.
    """

    places: Mapping[str, str]
    terms: Sequence[str]

    @property
    def log_odds(self) -> str:
        """The log-odds of leaving."""
        return " + ".join(self.terms)


def probability(log_odds: str) -> str:
    """The probability of leaving, fraction 0-1; no overflow, however large the log-odds are."""
    return f"0.5e0 + 0.5e0 * tanh(0.5e0 * {log_odds})"


def expressions(
    card: Scorecard, dialect: Dialect, columns: Mapping[str, str], place: str = "place_"
) -> Expressions:
    """Write a scorecard as SQL expressions.

    Args:
        card: the scorecard.
        dialect: of the database.
        columns: a column of the scorecard -> its SQL: a double, NULL where missing, or a text, NULL
            or empty where blank.
        place: begins the names of the places.
    """
    names: dict[tuple[str, Axis], str] = {}
    places: dict[str, str] = {}
    for pair in card.pairs:
        for column, axis in zip(pair.columns, pair.axes, strict=True):
            if (column, axis) not in names:
                name = names[column, axis] = f"{place}{len(names)}"
                places[name] = _place(columns[column], axis, dialect)

    def points(term: Term) -> str:
        if isinstance(term, PairTerm):
            first, second = (
                names[column, axis] for column, axis in zip(term.columns, term.axes, strict=True)
            )
            return _pair_points(first, second, term, dialect)
        if isinstance(term, CategoricalTerm):
            return _by_level(columns[term.column], term.axis.levels, term.points, dialect)
        return _number_points(columns[term.column], term)

    return Expressions(places, [_number(card.intercept), *map(points, card.all_terms)])


def select(
    card: Scorecard, dialect: Dialect, table: str, id_column: str | None, labels: tuple[str, str]
) -> str:
    """Write a scorecard as one SELECT: each client's id, probability of leaving, and prediction.

    Args:
        card: the scorecard.
        dialect: of the database.
        table: where the clients are, as the database names it; copied as it is.
        id_column: of that table; None gives the columns that the scorecard reads.
        labels: the prediction for who stays, and for who leaves.

    Raises:
        DataError: the database cannot tell two of the columns apart.
    """
    used = card.columns
    _refuse_alike([*used, *([id_column] if id_column else [])], dialect)
    own = "score"  # begins names that no column of the table has
    while any(column.lower().startswith(own) for column in [*used, id_column or ""]):
        own += "_"
    values = {column: f"{own}_value_{position}" for position, column in enumerate(used)}
    written = expressions(card, dialect, values, f"{own}_place_")
    kept = ", ".join(map(dialect.name, [id_column] if id_column else used))
    read = [
        f"{_as_double(dialect.name(column), dialect)} AS {value}"
        if column in card.numeric_columns
        else f"{_as_text(dialect.name(column), dialect)} AS {value}"
        for column, value in values.items()
    ]
    places = [f"{place} AS {name}" for name, place in written.places.items()]
    titled = zip(written.terms, ("intercept", *card.terms), strict=True)
    log_odds = "".join(f"\n  -- {_on_one_line(title)}\n  + {term}" for term, title in titled)
    stays, leaves = map(dialect.string, labels)
    return f"""\
WITH {own}_values AS (
  SELECT {_columns(kept, *read)}
  FROM {table}
), {own}_places AS (
  SELECT {_columns("*", *places)}
  FROM {own}_values
), {own}_probabilities AS (
  SELECT {kept}, {probability(f"({log_odds})")} AS {own}_probability
  FROM {own}_places
)
SELECT {kept}, {own}_probability AS probability,
  CASE WHEN {own}_probability >= {_number(card.threshold)} THEN {leaves} ELSE {stays} END
  AS prediction
FROM {own}_probabilities
"""


def _refuse_alike(columns: Sequence[str], dialect: Dialect) -> None:
    if not dialect.ignores_case:
        return
    first: dict[str, str] = {}
    for column in columns:
        if (other := first.setdefault(column.lower(), column)) != column:
            raise DataError(f"the columns {other!r} and {column!r} are one for this database")


def _as_double(name: str, dialect: Dialect) -> str:
    """A number of a table, NULL where it is missing."""
    number = f"NULLIF(CAST({name} AS {dialect.double}), CAST('NaN' AS {dialect.double}))"
    if not dialect.least:
        return number
    return f"CASE WHEN ABS({number}) < {dialect.least} THEN 0e0 ELSE {number} END"


def _as_text(name: str, dialect: Dialect) -> str:
    """A text of a table, without white space around it."""
    white_space = "".join(filter(str.isspace, map(chr, range(0x10000))))
    return f"TRIM(BOTH {dialect.string(white_space)} FROM CAST({name} AS {dialect.text}))"


def _columns(*columns: str) -> str:
    return ",\n    ".join(columns)


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def _number(value: float) -> str:
    """A double; with an exponent it is read as one, and not as a decimal of few digits."""
    text = repr(value)
    return text if "e" in text else f"{text}e0"


def _case(branches: Sequence[tuple[str, str]], otherwise: str) -> str:
    if not branches:
        return otherwise
    lines = [f"WHEN {condition} THEN {value}" for condition, value in branches]
    return "\n    ".join(["CASE", *lines, f"ELSE {otherwise} END"])


def _number_points(column: str, term: NumericTerm) -> str:
    missing = (f"{column} IS NULL", _number(term.missing_points))
    return _interpolated(column, term.axis.knots, term.points, missing)


def _place(column: str, axis: Axis, dialect: Dialect) -> str:
    """The place of a client on an axis: a position, with a fraction between two knots."""
    positions = [float(position) for position in range(len(axis))]
    if not isinstance(axis, KnotAxis):
        return _by_level(column, axis.levels, positions, dialect)
    usual = axis.place(axis.usual_value)
    return _interpolated(
        column, axis.knots, positions, (f"{column} IS NULL", _number(usual.lower + usual.share))
    )


def _interpolated(
    column: str, knots: Sequence[float], points: Sequence[float], missing: tuple[str, str]
) -> str:
    """Straight lines between knots; a value outside them counts as the end knot."""
    branches = [missing, (f"{column} <= {_number(knots[0])}", _number(points[0]))]
    for (start, low), (end, high) in pairwise(zip(knots, points, strict=True)):
        slope = (high - low) / (end - start)
        line = f"{_number(low)} + {_number(slope)} * ({column} - ({_number(start)}))"
        branches.append((f"{column} <= {_number(end)}", line))
    return _case(branches, _number(points[-1]))


def _by_level(column: str, levels: Sequence[str], points: Sequence[float], dialect: Dialect) -> str:
    """The points of each level; all other levels have the last points."""
    text = f"COALESCE({column}, '')"
    branches = [
        (f"{text} = {dialect.string(level)}", _number(value))
        for level, value in zip(levels, points, strict=False)
    ]
    return _case(branches, _number(points[-1]))


def _pair_points(first: str, second: str, term: PairTerm, dialect: Dialect) -> str:
    """Interpolate between the four nearest points of the grid, in both directions."""
    width = len(term.axes[1])
    numbers = ", ".join(_number(points) for row in term.points for points in row)

    def at(row: str, column: str) -> str:
        position = f"CAST({row} * {width} + {column} + 1 AS INTEGER)"
        return dialect.item.format(numbers=numbers, position=position)

    low, high, left, right = (
        f"{end}({place})" for place in (first, second) for end in ("FLOOR", "CEIL")
    )
    s, t = f"({first} - {low})", f"({second} - {left})"
    above = f"(1 - {t}) * {at(low, left)} + {t} * {at(low, right)}"
    below = f"(1 - {t}) * {at(high, left)} + {t} * {at(high, right)}"
    return f"(1 - {s}) * ({above})\n    + {s} * ({below})"
