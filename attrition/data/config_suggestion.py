"""Settings for a user's table, guessed from all of its rows.

- The id is the column named like a client's id (`customerID`, `account_number`); a column that may
  only count the rows comes after others; else it is a text that differs in every row. Without an
  id, each row is a client.
- A column is numeric when its values are numbers, categorical otherwise. Numbers in a column named
  like a code or an id are not amounts: they are categorical, too.
- The positive label is the one that means leaving, or "yes" in a column that is not about staying,
  else the rarer one; the output always says which, and why. Rare third labels, and rare texts among
  numbers, count as damage: ingestion sets such rows aside.
- Columns left out, and listed: those with only one value, dates and times (a model would learn the
  calendar), counters, ids, names, texts that few rows share, and columns that leak the label.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from attrition.core.config import STANDARD_FOLDERS, Config
from attrition.core.errors import DataError
from attrition.core.labels import value_key
from attrition.data import column_names, csv_records, source_files, validation
from attrition.data.client_table import read_good, session, unpacked
from attrition.data.column_choice import (
    Choice,
    Column,
    choose_columns,
    is_numeric,
    reason_to_leave_out,
)
from attrition.data.csv_scan import scan_file
from attrition.data.label_choice import choose_labels, explain_labels

_LINES_SHOWN = 5
# As people write amounts: with thousands, in thousands or millions, with a currency or a percent
# sign, in parentheses if negative. Several groups of digits after points alone, as in 10.100.200,
# are rather a version or an address.
_MONEY = "(?:[€$£¥]|EUR|USD|GBP|CHF)"
_BLANK = "[ \u00a0\u202f]"
_POINTS = "[0-9]{1,3}(?:[.][0-9]{3})+"
_DIGITS = (
    f"(?:[0-9]+(?:,[0-9]{{3}})*(?:[.,][0-9]+)?|{_POINTS},[0-9]+|"
    f"[0-9]{{1,3}}(?:(?:{_BLANK}|['\u2019])[0-9]{{3}})+(?:[.,][0-9]+)?)(?:{_BLANK}?(?:[kKM]|bn))?"
)
_WRITTEN_AMOUNT = validation.literal(
    f"[(]?(?:(?:{_MONEY}{_BLANK}?)?[-+]?{_DIGITS}(?:{_BLANK}?(?:%|{_MONEY}))?|"
    f"{_MONEY}{_BLANK}?[-+]?{_POINTS}|[-+]?{_POINTS}{_BLANK}?(?:%|{_MONEY}))[)]?"
)


@dataclass(frozen=True)
class Table:
    """A table as texts in a database, and the lines of its rows.

    Attributes:
        connection: holds the table `texts` with columns `c0`, `c1`, ..., NULL for blank.
        names: of its columns.
        lines: the line each row starts in.
        unreadable: the lines in which unusable records start.
    """

    connection: duckdb.DuckDBPyConnection
    names: tuple[str, ...]
    lines: array[int]
    unreadable: list[int]

    def where(self, condition: str) -> list[int]:
        """The lines of the rows for which an SQL condition is true."""
        query = f"SELECT rowid FROM texts WHERE {condition} ORDER BY rowid"
        return [self.lines[row] for (row,) in self.connection.execute(query).fetchall()]


def suggest_settings(
    config: Config, path: Path, target: str, positive: str | None = None
) -> Choice:
    """Guess all settings for a table, as in config.json.

    Args:
        config: says how much memory and disk the work may take.
        path: the table, `.csv` or `.csv.gz`.
        target: name of the column of labels.
        positive: the label that means leaving; None where it is to be guessed.

    Raises:
        DataError: the table cannot be read, has no such column, the column has not two labels or
            not this one, or no column is left to learn from.
    """
    try:
        batch = source_files.find_batch(path)
        with (
            session(config, batch.unpacked_size) as (connection, folder),
            unpacked(config, batch, folder) as plain,
        ):
            table = _load(connection, plain, target, folder)
            return _suggest(table, target, positive)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def in_lines(lines: Sequence[int]) -> str:
    """A text about some rows: how many, and the first lines."""
    shown = ", ".join(map(str, lines[:_LINES_SHOWN]))
    if len(lines) == 1:
        return f"1 row (line {shown})"
    more = ", ..." if len(lines) > _LINES_SHOWN else ""
    return f"{len(lines):,} rows (lines {shown}{more})"


def _suggest(table: Table, target: str, given: str | None) -> Choice:
    columns = {position: _column(table, position) for position in range(len(table.names))}
    label = table.names.index(target)
    del columns[label]
    labels, lines = _labels(table, label)
    positive, negative = choose_labels(labels, target, lines, given)
    keys = {value_key(positive): 1, value_key(negative): 0}
    known = {text: keys[value_key(text)] for text in labels if value_key(text) in keys}
    rows = len(table.lines)
    candidates = {
        position: column
        for position, column in columns.items()
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
    outcome, doubts = _outcome(labels, positive, negative, target, given is not None)
    damage = _damage(table, columns, label, known, choice)
    return replace(
        choice,
        settings=settings,
        chosen={**choice.chosen, target: ("target_column", outcome)},
        notes=(*doubts, *damage, *choice.notes),
    )


def _outcome(
    labels: Mapping[str, int], positive: str, negative: str, target: str, is_given: bool
) -> tuple[str, list[str]]:
    """A text about the label taken for leavers (rows, reason), and doubts about it if guessed."""
    keys = value_key(positive), value_key(negative)
    left, stayed = (sum(n for text, n in labels.items() if value_key(text) == key) for key in keys)
    why = "as you say" if is_given else explain_labels(positive, negative, target)
    share = left / (left + stayed)
    outcome = (
        f"{positive!r} means left, in {left:,} of {left + stayed:,} labelled rows, {share:.1%}; "
        f"{negative!r} means stayed; {why or 'it is the rarer one'}"
    )
    exchange = "if not, exchange positive_label and negative_label in config.json"
    doubts = []
    if why is None:
        doubts.append(f"it is unclear whether {positive!r} means that a client left: {exchange}")
    elif share > 0.5 and not is_given:
        doubts.append(f"{share:.0%} are taken for leavers; is {positive!r} their label? {exchange}")
    return outcome, doubts


def _why_revealing(name: str, target: str, power: Mapping[str, float]) -> str | None:
    """Why a column probably leaks the label; None if nothing suggests it."""
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
    """The rows of this table that ingestion will set aside, with their lines."""
    texts = ", ".join(validation.literal(text) for text in known)
    target = table.names[label]
    problems = {f"another label in {target} than the two": f"c{label} NOT IN ({texts})"}
    for position, column in columns.items():
        if column.name == choice.settings["id_column"]:
            problems[f"no {column.name}"] = f"c{position} IS NULL"
        if column.name in choice.settings["numeric_columns"]:
            number = validation.number(f"c{position}")
            problems[f"no number in {column.name}"] = (
                f"c{position} IS NOT NULL AND {number} IS NULL"
            )
    bad_lines = {"no sound rows of this header": table.unreadable}
    bad_lines |= {what: table.where(condition) for what, condition in problems.items()}
    return [
        f"{what}: {in_lines(lines)}; ingestion will set aside such rows"
        for what, lines in bad_lines.items()
        if lines
    ]


def _load(connection: duckdb.DuckDBPyConnection, path: Path, target: str, scratch: Path) -> Table:
    """Read all usable rows of a table as trimmed text, NULL for blank."""
    scan = scan_file(path)
    names = csv_records.read_header(path, scan).names
    csv_records.check_header(names, [target], ())
    good = scratch / "good.csv"
    with good.open("w", encoding="utf-8", newline="") as stream:
        records = csv_records.read_records(path, scan)
        lines, bad = csv_records.separate(records, len(names), range(len(names)), stream)
    columns = [f"c{i}" for i in range(len(names))]
    texts = ", ".join(f"{validation.category(column)} AS {column}" for column in columns)
    source = read_good(len(names))
    connection.execute(f"CREATE TABLE texts AS SELECT {texts} FROM {source}", [str(good)])
    return Table(connection, names, lines, [record.line for record in bad])


def _column(table: Table, position: int) -> Column:
    column = f"c{position}"
    number = validation.number(column)
    is_amount = f"{number} IS NULL AND regexp_full_match({column}, {_WRITTEN_AMOUNT})"
    digits = f"split_part(ltrim({column}, '+'), '.', 1)"  # as programs write them: 233.0
    is_digits = f"coalesce(bool_and(regexp_full_match({column}, '[+]?[0-9]+([.]0+)?')), false)"
    counts = table.connection.execute(
        f"SELECT count({column}), count(DISTINCT {column}), count({number}), "
        f"count(CASE WHEN {number} IS NULL THEN try_cast({column} AS TIMESTAMP) END), "
        f"coalesce(bool_or({number} <> trunc({number})), false), "
        f"coalesce(min({number}), 0), coalesce(max({number}), 0), "
        f"CASE WHEN {is_digits} AND min(len({digits})) = max(len({digits})) "
        f"THEN max(len({digits})) ELSE 0 END, "
        f"coalesce(bool_or(regexp_full_match({column}, '0[0-9]+')), false), "
        f"count_if({is_amount}), min(CASE WHEN {is_amount} THEN {column} END) FROM texts"
    ).fetchall()[0]
    return Column(table.names[position], *counts)


def _labels(table: Table, label: int) -> tuple[dict[str, int], dict[str, int]]:
    """Label -> number of rows, and label -> line of the first one."""
    counts = table.connection.execute(
        f"SELECT c{label}, count(*), min(rowid) FROM texts WHERE c{label} IS NOT NULL GROUP BY 1"
    ).fetchall()
    labels = {text: rows for text, rows, _ in counts}
    return labels, {text: table.lines[first] for text, _, first in counts}


def _power(
    table: Table, columns: Mapping[int, Column], label: int, known: Mapping[str, int]
) -> dict[str, float]:
    """The columns that alone predict the label suspiciously well, with their AUC."""
    # Imported here: ingestion itself must not pay for importing pandas.
    from attrition.data.leakage import MOST_ROWS, suspicious_columns

    cases = " ".join(
        f"WHEN {validation.literal(text)} THEN {value}" for text, value in known.items()
    )
    values = [
        validation.number(f"c{position}") if is_numeric(column) else f"c{position}"
        for position, column in columns.items()
    ]
    # At most MOST_ROWS rows of each label, evenly spread.
    number = "row_number() OVER (PARTITION BY label ORDER BY place)"
    rows = "count(*) OVER (PARTITION BY label)"
    rows_shown = table.connection.execute(
        f"SELECT {', '.join(['label', *values])} FROM "
        f"(SELECT *, rowid AS place, CASE c{label} {cases} END AS label FROM texts) "
        f"WHERE label IS NOT NULL "
        f"QUALIFY {number} * {MOST_ROWS} // {rows} > ({number} - 1) * {MOST_ROWS} // {rows} "
        f"ORDER BY place"
    ).df()
    features = rows_shown.iloc[:, 1:].set_axis([column.name for column in columns.values()], axis=1)
    return suspicious_columns(features, rows_shown.iloc[:, 0])
