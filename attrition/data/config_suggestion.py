"""Settings for somebody's table, guessed from all of its rows.

- The id is the column whose name is that of a client's id (`customerID`, `account_number`), before
  one that may only count the rows; else a text that is different in every row. Without one a client
  is its row.
- A column is numeric when its values are numbers, categorical otherwise. Numbers that are called a
  code or an id are names, not amounts: categorical too.
- Of the two labels that one is positive which speaks of leaving, or says yes in a column that does
  not speak of staying, else the rarer one; which one, and why, is always told. Third labels, and
  texts among numbers, are damage where they are rare: ingestion sets such rows aside.
- Left out, and told: columns with one value only, dates and times (a model would learn the
  calendar), counters, ids, names, texts that few rows share, and what reveals the label.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from attrition.core.config import STANDARD_FOLDERS, Config, label_key
from attrition.core.errors import DataError
from attrition.core.scratch import scratch_folder
from attrition.data import column_names, csv_records, source_files, validation
from attrition.data.client_table import connect, read_good, unpacked
from attrition.data.column_choice import (
    Choice,
    Column,
    choose_columns,
    is_numeric,
    reason_to_leave_out,
)
from attrition.data.csv_scan import take_census
from attrition.data.label_choice import choose_labels, explain_labels

_LINES_SHOWN = 5


@dataclass(frozen=True)
class Table:
    """A table as texts in a database, and where its rows stand.

    Attributes:
        connection: has it as `texts`, with columns `c0`, `c1`, ..., NULL for blank.
        names: of its columns.
        lines: the line each row starts in.
        unreadable: the lines in which records start that are no rows.
    """

    connection: duckdb.DuckDBPyConnection
    names: tuple[str, ...]
    lines: array[int]
    unreadable: list[int]

    def where(self, condition: str) -> list[int]:
        """The lines of the rows of which something is true."""
        query = f"SELECT rowid FROM texts WHERE {condition} ORDER BY rowid"
        return [self.lines[row] for (row,) in self.connection.execute(query).fetchall()]


def suggest_settings(config: Config, path: Path, target: str) -> Choice:
    """Guess settings for a table: all that config.json needs, in the form of a `Choice`.

    Args:
        config: says how much memory and disk the work may take.
        path: the table, `.csv` or `.csv.gz`.
        target: name of the column of labels.

    Raises:
        DataError: the table cannot be read, has no such column, that has not two labels, or no
            column is left to learn from.
    """
    try:
        batch = source_files.find_batch(path)
        with (
            scratch_folder() as folder,
            unpacked(config, batch, folder) as plain,
            connect(config, folder, batch.unpacked_size) as connection,
        ):
            table = _load(connection, plain, target, folder)
            return _suggest(table, target)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def in_lines(lines: Sequence[int]) -> str:
    """Some rows in words: how many, and the first lines."""
    shown = ", ".join(map(str, lines[:_LINES_SHOWN]))
    if len(lines) == 1:
        return f"1 row (line {shown})"
    more = ", ..." if len(lines) > _LINES_SHOWN else ""
    return f"{len(lines):,} rows (lines {shown}{more})"


def _suggest(table: Table, target: str) -> Choice:
    columns = {place: _look_at(table, place) for place in range(len(table.names))}
    label = table.names.index(target)
    del columns[label]
    labels, lines = _labels(table, label)
    positive, negative = choose_labels(labels, target, lines)
    keys = {label_key(positive): 1, label_key(negative): 0}
    known = {text: keys[label_key(text)] for text in labels if label_key(text) in keys}
    rows = len(table.lines)
    candidates = {
        place: column
        for place, column in columns.items()
        if reason_to_leave_out(column, rows) is None and table.names.count(column.name) == 1
    }
    power = _power(table, candidates, label, known)
    choice = choose_columns(
        list(columns.values()),
        rows,
        {c.name: _why_revealing(c.name, target, power) for c in candidates.values()},
    )
    if not choice.settings["numeric_columns"] + choice.settings["categorical_columns"]:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in choice.left_out.items())
        raise DataError(f"no column is left that a model could learn from ({reasons})")
    settings = {
        **STANDARD_FOLDERS,
        **choice.settings,
        "target_column": target,
        "positive_label": positive,
        "negative_label": negative,
    }
    outcome, doubts = _outcome(labels, positive, negative, target)
    damage = _damage(table, columns, label, known, choice)
    return Choice(
        settings,
        {**choice.chosen, target: ("target_column", outcome)},
        choice.left_out,
        (*doubts, *damage, *choice.notes),
    )


def _outcome(
    labels: Mapping[str, int], positive: str, negative: str, target: str
) -> tuple[str, list[str]]:
    """Which label is taken for that of leavers, with its rows and the reason; and doubts."""
    keys = label_key(positive), label_key(negative)
    left, stayed = (sum(n for text, n in labels.items() if label_key(text) == key) for key in keys)
    why = explain_labels(positive, negative, target)
    share = left / (left + stayed)
    outcome = (
        f"{positive!r} means left, in {left:,} of {left + stayed:,} labelled rows, {share:.1%}; "
        f"{negative!r} means stayed; {why or 'it is the rarer one'}"
    )
    exchange = "if not, exchange positive_label and negative_label in config.json"
    doubts = []
    if why is None:
        doubts.append(f"nothing tells whether {positive!r} means that a client left: {exchange}")
    elif share > 0.5:
        doubts.append(f"{share:.0%} are taken for leavers; is {positive!r} their label? {exchange}")
    return outcome, doubts


def _why_revealing(name: str, target: str, power: Mapping[str, float]) -> str | None:
    """Why a column is probably the label in disguise; None: nothing speaks for it."""
    if name in power:
        return (
            f"alone it nearly decides {target!r} (AUC {power[name]:.3f}): is it known before a "
            f"client leaves?"
        )
    if column_names.carries(name, target):
        return f"its name has that of {target!r} in it: is it known before a client leaves?"
    return None


def _damage(
    table: Table,
    columns: Mapping[int, Column],
    label: int,
    known: Mapping[str, int],
    choice: Choice,
) -> list[str]:
    """What ingestion will set aside of this table, and where it stands."""
    texts = ", ".join(validation.literal(text) for text in known)
    target = table.names[label]
    problems = {f"another label in {target} than the two": f"c{label} NOT IN ({texts})"}
    for place, column in columns.items():
        if column.name == choice.settings["id_column"]:
            problems[f"no {column.name}"] = f"c{place} IS NULL"
        if column.name in choice.settings["numeric_columns"]:
            number = validation.number(f"c{place}")
            problems[f"no number in {column.name}"] = f"c{place} IS NOT NULL AND {number} IS NULL"
    found = {"no sound rows of this header": table.unreadable}
    found |= {what: table.where(condition) for what, condition in problems.items()}
    return [
        f"{what}: {in_lines(lines)}; ingestion will set aside such rows"
        for what, lines in found.items()
        if lines
    ]


def _load(connection: duckdb.DuckDBPyConnection, path: Path, target: str, scratch: Path) -> Table:
    """Read all sound rows of a table as trimmed text, NULL for blank."""
    with path.open("rb") as stream:
        census = take_census(stream)
    names = csv_records.read_header(path, census).names
    csv_records.check_header(names, [target], ())
    good = scratch / "good.csv"
    with good.open("w", encoding="utf-8", newline="") as stream:
        records = csv_records.read_records(path, census)
        lines, bad = csv_records.separate(records, len(names), range(len(names)), stream)
    columns = [f"c{i}" for i in range(len(names))]
    texts = ", ".join(f"{validation.category(column)} AS {column}" for column in columns)
    source = read_good(columns)
    connection.execute(f"CREATE TABLE texts AS SELECT {texts} FROM {source}", [str(good)])
    return Table(connection, names, lines, [record.line for record in bad])


def _look_at(table: Table, place: int) -> Column:
    column = f"c{place}"
    number = validation.number(column)
    digits = f"ltrim({column}, '+')"
    is_digits = f"coalesce(bool_and(regexp_full_match({column}, '[+]?[0-9]+')), false)"
    found = table.connection.execute(
        f"SELECT count({column}), count(DISTINCT {column}), count({number}), "
        f"count(CASE WHEN {number} IS NULL THEN try_cast({column} AS TIMESTAMP) END), "
        f"coalesce(bool_or({number} <> trunc({number})), false), "
        f"coalesce(min({number}), 0), coalesce(max({number}), 0), "
        f"CASE WHEN {is_digits} AND min(len({digits})) = max(len({digits})) "
        f"THEN max(len({digits})) ELSE 0 END, "
        f"coalesce(bool_or(regexp_full_match({column}, '0[0-9]+')), false) FROM texts"
    ).fetchall()[0]
    return Column(table.names[place], *found)


def _labels(table: Table, place: int) -> tuple[dict[str, int], dict[str, int]]:
    """How many rows have each label, and the line of the first one."""
    found = table.connection.execute(
        f"SELECT c{place}, count(*), min(rowid) FROM texts WHERE c{place} IS NOT NULL GROUP BY 1"
    ).fetchall()
    labels = {text: rows for text, rows, _ in found}
    return labels, {text: table.lines[first] for text, _, first in found}


def _power(
    table: Table, columns: Mapping[int, Column], label: int, known: Mapping[str, int]
) -> dict[str, float]:
    """The columns that alone tell the label better than honest ones do, and how well (AUC)."""
    # Imported here: ingestion itself must not pay for pandas.
    from attrition.data.leakage import MOST_ROWS, suspicious_columns

    cases = " ".join(
        f"WHEN {validation.literal(text)} THEN {value}" for text, value in known.items()
    )
    values = [
        validation.number(f"c{place}") if is_numeric(column) else f"c{place}"
        for place, column in columns.items()
    ]
    # Of each label at most so many rows, evenly spread.
    number = "row_number() OVER (PARTITION BY label ORDER BY place)"
    rows = "count(*) OVER (PARTITION BY label)"
    found = table.connection.execute(
        f"SELECT {', '.join(['label', *values])} FROM "
        f"(SELECT *, rowid AS place, CASE c{label} {cases} END AS label FROM texts) "
        f"WHERE label IS NOT NULL "
        f"QUALIFY {number} * {MOST_ROWS} // {rows} > ({number} - 1) * {MOST_ROWS} // {rows} "
        f"ORDER BY place"
    ).df()
    features = found.iloc[:, 1:].set_axis([column.name for column in columns.values()], axis=1)
    return suspicious_columns(features, found.iloc[:, 0])
