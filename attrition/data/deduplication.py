"""Compares new rows with earlier ones: marks duplicates and updates the open clients."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from attrition.data import maturity, storage, validation
from attrition.data.client_table import GOOD, KEPT, OPEN, ClientTable, Intake
from attrition.data.csv_scan import count_lines

# Hashes that are sorted at once (128 MB).
_HASHES_AT_ONCE = 16_000_000
# Up to this many new rows are compared with the committed ones as lines of text.
_FEW_ROWS = 200_000
# Whether labelled rows of an open client, all newer than its row, take it off the list.
_CLOSE = (
    f"bool_or(NOT is_duplicate) OR arg_max(label, rows.rowid) = {validation.POSITIVE} "
    f"OR coalesce(bool_or(early = {validation.POSITIVE}), false)"
)
_LEFT = f"problem IS NULL AND coalesce(label, early) = {validation.POSITIVE}"


def mark_duplicates(
    table: ClientTable, final_data: Path | None, final_rows: int, scratch: Path
) -> None:
    """Mark every labelled row that is in `finaldata.csv` or equal to an earlier row of the table.

    Args:
        table: the rows.
        final_data: the rows committed so far; None when there are none.
        final_rows: number of the committed rows.
        scratch: an existing folder.
    """
    run = table.connection.execute
    run("CREATE TEMP TABLE duplicates (r BIGINT)")
    _find_repeated(table)
    _apply(table)
    if final_data is not None:
        fresh = int(table.scalar(f"SELECT count(*) FROM rows WHERE {KEPT}"))
        is_few = fresh <= _FEW_ROWS and not table.segment_columns
        if is_few and count_lines(final_data) == final_rows + 1:
            _find_committed_lines(table, final_data, scratch)
        else:
            _find_committed(table, final_data)
        _apply(table)
    run("DROP TABLE duplicates")
    _note_segments(table)


def _note_segments(table: ClientTable) -> None:
    """Give rows the newest segments of their duplicates, which stay in the table `noted`."""
    segments = table.segment_columns
    if not segments:
        return
    columns = [*table.row_columns, "label"]
    newest = ", ".join(f"arg_max({key}, rowid) AS {key}" for key in segments)  # passes over blanks
    table.connection.execute(
        f"CREATE OR REPLACE TEMP TABLE noted AS SELECT {', '.join(columns)}, {newest} FROM rows "
        f"WHERE {GOOD} AND is_duplicate GROUP BY ALL "
        f"HAVING {' OR '.join(f'count({key}) > 0' for key in segments)}"
    )
    known = ", ".join(f"{key} = coalesce(noted.{key}, rows.{key})" for key in segments)
    table.connection.execute(
        f"UPDATE rows SET {known} FROM noted "
        f"WHERE NOT is_duplicate AND {same('rows', 'noted', columns)}"
    )


def _apply(table: ClientTable) -> None:
    # A mark in the table keeps the order of its rows, which a join does not guarantee.
    table.connection.execute("UPDATE rows SET is_duplicate = true WHERE rowid IN (FROM duplicates)")


def _find_repeated(table: ClientTable) -> None:
    """Find the rows that are equal to an earlier row of the table."""
    columns = ", ".join([*table.row_columns, "label"])
    run = table.connection.execute
    for repeated in _repeated_hashes(table, f"hash({columns})"):
        # Only the few rows with equal hashes are compared whole.
        table.connection.register("repeated", {"h": repeated})
        run(
            f"CREATE TEMP TABLE candidates AS SELECT rowid AS r, {columns} FROM rows "
            f"WHERE {GOOD} AND hash({columns}) IN (SELECT h FROM repeated)"
        )
        run(
            f"INSERT INTO duplicates SELECT r FROM candidates ANTI JOIN "
            f"(SELECT min(r) AS r FROM candidates GROUP BY {columns}) AS firsts USING (r)"
        )
        run("DROP TABLE candidates")
        table.connection.unregister("repeated")


def _find_committed(table: ClientTable, final_data: Path) -> None:
    """Find the rows that are already committed."""
    columns = [*table.row_columns, "label"]
    table.connection.execute(
        f"INSERT INTO duplicates SELECT DISTINCT r FROM "
        f"(SELECT rowid AS r, {', '.join(columns)} FROM rows WHERE {KEPT}) AS fresh "
        f"JOIN {storage.read_stored(table.config)} AS final ON {same('fresh', 'final', columns)}",
        [str(final_data)],
    )


def _find_committed_lines(table: ClientTable, final_data: Path, scratch: Path) -> None:
    """As `_find_committed` for few rows, four times as fast: equal rows are equal lines.

    Every committed row must be one line; a new row of several lines equals none of them.
    """
    part = scratch / "fresh.csv"
    storage.write_stored(table.connection, table.config, f"rows WHERE {KEPT}", part)
    with part.open("rb") as stream:
        lines = list(stream)
    part.unlink()
    with final_data.open("rb") as stream:
        committed = set(lines).intersection(stream)
    result = table.connection.execute(f"SELECT rowid FROM rows WHERE {KEPT} ORDER BY rowid")
    numbers = [row[0] for row in result.fetchall()]
    if len(numbers) != len(lines):
        _find_committed(table, final_data)
        return
    known = [row for row, line in zip(numbers, lines, strict=True) if line in committed]
    table.connection.execute("INSERT INTO duplicates SELECT unnest(?::BIGINT[])", [known])


def _repeated_hashes(table: ClientTable, row_hash: str) -> list[NDArray[np.uint64]]:
    """The hashes that several labelled rows share, in several arrays."""
    count = int(table.scalar(f"SELECT count(*) FROM rows WHERE {GOOD}"))
    parts = 1 + count // _HASHES_AT_ONCE
    result = []
    for part in range(parts):
        condition = f"AND {row_hash} % {parts} = {part}" if parts > 1 else ""
        query = f"SELECT {row_hash} AS h FROM rows WHERE {GOOD} {condition}"
        hashes = np.ma.getdata(table.connection.execute(query).fetchnumpy()["h"])
        hashes.sort()
        repeated = hashes[1:][hashes[1:] == hashes[:-1]]
        if len(repeated):
            result.append(repeated[np.append(True, repeated[1:] != repeated[:-1])])
    return result


def mark_known_open_clients(
    table: ClientTable,
    again: Sequence[tuple[int, int]],
    final_data: Path | None,
    previous: Path | None,
) -> None:
    """Mark the rows of open clients that are not new, among rows that have come before.

    The present list of open clients already includes these: a client who is not on it, but has a
    labelled row, was taken off when its outcome came.

    Args:
        table: the rows.
        again: first rowid, and that after the last, of rows that have come before.
        final_data: the rows committed so far; None when there are none.
        previous: the open clients so far; None when there are none.
    """
    known = [path for path in (final_data, previous) if path is not None]
    if not again or not known:
        return
    names = ", ".join(table.client_columns)
    sources = " UNION ALL ".join(
        f"SELECT {names} FROM {storage.read_stored(table.config)}" for _ in known
    )
    ranges = " OR ".join(f"rowid >= {start} AND rowid < {end}" for start, end in again)
    table.connection.execute(
        f"UPDATE rows SET is_duplicate = true WHERE rowid IN (SELECT r FROM "
        f"(SELECT rowid AS r, {names} FROM rows "
        f"WHERE {OPEN} AND ({ranges})) AS again "
        f"SEMI JOIN ({sources}) AS known ON {same('again', 'known', table.client_columns)})",
        [str(path) for path in known],
    )


def count_rows(table: ClientTable, intakes: Sequence[Intake], condition: str) -> list[int]:
    """Number of rows that fulfil an SQL condition in each file, in the order of taking in."""
    result = table.connection.execute(f"SELECT rowid AS r FROM rows WHERE {condition}")
    starts = [intake.start for intake in intakes]
    files = np.searchsorted(starts, result.fetchnumpy()["r"], side="right")
    # Before the first file's there may be rows that have come before.
    return [int(count) for count in np.bincount(files, minlength=len(starts) + 1)[1:]]


def mark_leavers(table: ClientTable, final_data: Path | None, unmatured: Path | None) -> None:
    """Mark rows of clients who left by another row, whatever the order of rows and files.

    So they do not come on the list of open clients: a row that is not mature and says "stayed", and
    one without an outcome that is not of a later date than that on which the client left.

    Args:
        table: the rows.
        final_data: the rows committed so far; None when there are none.
        unmatured: the rows that wait with their labels; None when there are none.
    """
    paths = [path for path in (final_data, unmatured) if path is not None]
    day = maturity.key(table.config)
    names = ", ".join(dict.fromkeys([*table.client_columns, day]))
    stored = f"{storage.read_stored(table.config)} WHERE label = {validation.POSITIVE}"
    sources = [f"rows WHERE {_LEFT}", *[stored] * len(paths)]
    leavers = " UNION ALL ".join(f"SELECT {names} FROM {source}" for source in sources)
    table.connection.execute(
        f"UPDATE rows SET is_duplicate = true WHERE rowid IN (SELECT r FROM "
        f"(SELECT rowid AS r, early, {names} FROM rows WHERE early = {validation.NEGATIVE} "
        f"OR ({OPEN} AND early IS NULL)) AS others "
        f"SEMI JOIN ({leavers}) AS leavers ON {same('others', 'leavers', table.client_columns)} "
        f"AND (early IS NOT NULL OR leavers.{day} >= others.{day}))",
        [str(path) for path in paths],
    )


def write_unmatured(table: ClientTable, previous: Path | None, path: Path) -> str | None:
    """Write the rows whose labels may not be used yet, with their labels, each once.

    A row that came as that of a client who stayed so far, and of one who left, is a leaver's.

    Args:
        table: the rows.
        previous: the rows that waited so far; None when there are none.
        path: gets the rows, without a header.

    Returns:
        The day on which the first of them matures; None when there are none.
    """
    columns, config = ", ".join(table.keys), table.config
    whole = ", ".join(table.row_columns)
    newest = "".join(f", arg_max({key}, r) AS {key}" for key in table.segment_columns)
    before = storage.read_stored(config) if previous else storage.no_rows(config)
    table.connection.execute(
        f"CREATE TEMP TABLE waiting AS SELECT {whole}{newest}, max(label) AS label FROM "
        f"(SELECT row_number() OVER () - 1e12::BIGINT AS r, * FROM {before} "
        f"WHERE NOT ({table.is_mature}) UNION ALL "
        f"SELECT rowid, {columns}, early FROM rows WHERE problem IS NULL AND early IS NOT NULL) "
        f"GROUP BY {whole} ORDER BY min(r)",
        [str(previous)] if previous else [],
    )
    storage.write_stored(table.connection, config, "waiting", path)
    next_day = table.first_maturing("waiting")
    table.connection.execute("DROP TABLE waiting")
    return next_day


def write_open_clients(
    table: ClientTable, previous: Path | None, unmatured: Path | None, path: Path
) -> int:
    """Write the newest row of each open client, without those whose outcome is now known.

    A client is taken off the list when a labelled row arrives later that is not a duplicate; a
    duplicate does so only if it is the client's last row and says that it left. (Every whole export
    repeats old rows that say that a client stayed.) Where rows have dates, none takes off a row of
    a later date, but for one that says that the client left and waits for its own outcome; one that
    is not mature takes off rows, too, if it says that the client left. So the order of arrival does
    not matter. A blank segment becomes that of the client's newest row that has one.

    Args:
        table: the rows, duplicates and leavers marked.
        previous: the open clients so far, which are older than all rows of the table.
        unmatured: the rows that waited so far with their labels; None when there are none.
        path: gets the rows, without a header.

    Returns:
        The number of open clients.
    """
    client = table.client_columns
    run = table.connection.execute
    opened, parameters = _opened(table, previous)
    run(f"CREATE TEMP TABLE opened AS FROM {opened}", parameters)
    _find_closed(table, unmatured)
    order = "r"
    if table.config.snapshot_column is not None:
        order = f"{{'day': {maturity.key(table.config)}, 'r': r}}"
    one = ", ".join(client)
    known = ", ".join(
        f"arg_max({key}, {order}) OVER (PARTITION BY {one}) AS {key}"
        for key in table.segment_columns
    )
    run(
        f"CREATE TEMP TABLE still_open AS SELECT *, NULL::TINYINT AS label FROM "
        f"(SELECT *{f' REPLACE ({known})' if known else ''} FROM opened) "
        f"WHERE r IN (SELECT arg_max(r, {order}) FROM opened GROUP BY {one}) "
        f"AND r NOT IN (FROM closed)"
    )
    storage.write_stored(table.connection, table.config, "still_open ORDER BY r", path)
    count = int(table.scalar("SELECT count(*) FROM still_open"))
    for name in ("opened", "closed", "still_open"):
        run(f"DROP TABLE {name}")
    return count


def _find_closed(table: ClientTable, unmatured: Path | None) -> None:
    """Fill the table `closed` with those of `opened` whose clients' outcomes are known now."""
    closing, parameters = GOOD, []
    if table.config.snapshot_column is not None:
        waiting = storage.no_rows(table.config)
        if unmatured:
            waiting, parameters = storage.read_stored(table.config), [str(unmatured)]
        stayed = (
            f"SELECT o.r FROM opened AS o SEMI JOIN {waiting} AS waiting "
            f"ON {same('o', 'waiting', table.row_columns)}"
        )
        day = maturity.key(table.config)
        closing = (
            f"problem IS NULL AND (label IS NOT NULL OR early = {validation.POSITIVE}) AND "
            f"(rows.{day} >= opened.{day} OR (coalesce(label, early) = {validation.POSITIVE} "
            f"AND opened.r IN ({stayed})))"
        )
    table.connection.execute(
        f"CREATE TEMP TABLE closed AS SELECT opened.r FROM opened JOIN rows "
        f"ON {same('opened', 'rows', table.client_columns)} AND rows.rowid > opened.r "
        f"WHERE {closing} GROUP BY opened.r HAVING {_CLOSE}",
        parameters,
    )


def _opened(table: ClientTable, previous: Path | None) -> tuple[str, list[str]]:
    """The rows of open clients so far and of the table, as SQL and its parameters.

    Their column `r` is in the order of arrival; a row of the table has its rowid.
    """
    columns = ", ".join(table.keys)
    before = storage.read_stored(table.config) if previous else storage.no_rows(table.config)
    return (
        f"(SELECT row_number() OVER () - 1e12::BIGINT AS r, {columns} FROM {before} "
        f"UNION ALL SELECT rowid, {columns} FROM rows WHERE {OPEN} AND NOT is_duplicate "
        f"AND early IS DISTINCT FROM {validation.POSITIVE})"
    ), [str(previous)] if previous else []


def replaced_open_rows(
    table: ClientTable, previous: Path | None, rows: Sequence[int], scratch: Path
) -> dict[int, str]:
    """The older rows of open clients that some rows replace on the list, or take off it.

    Args:
        table: the rows, duplicates marked.
        previous: the open clients so far; None when there are none.
        rows: rowids of the rows that may replace one.
        scratch: an existing folder.

    Returns:
        Rowid -> the older row as in `openclients.csv`, its line end included.
    """
    client = table.client_columns
    run = table.connection.execute
    run(
        f"CREATE TEMP TABLE newer AS SELECT rowid AS r, {', '.join(client)} FROM rows "
        f"WHERE problem IS NULL AND rowid IN (SELECT unnest(?::BIGINT[]))",
        [list(rows)],
    )
    opened, parameters = _opened(table, previous)
    run(
        f"CREATE TEMP TABLE older AS FROM {opened} AS opened "
        f"SEMI JOIN newer ON {same('opened', 'newer', client)}",
        parameters,
    )
    pairs = run(
        f"WITH pairs AS (SELECT newer.r AS n, max(older.r) AS o FROM newer JOIN older "
        f"ON {same('newer', 'older', client)} AND older.r < newer.r GROUP BY newer.r) "
        f"SELECT n, o FROM pairs WHERE n NOT IN (SELECT n FROM pairs JOIN older ON older.r = o "
        f"JOIN rows ON {same('older', 'rows', client)} AND rows.rowid > o AND rows.rowid < n "
        f"WHERE {GOOD} GROUP BY n HAVING {_CLOSE})"
    ).fetchall()
    part, lines = scratch / "replaced.csv", {}
    for newer, older in sorted(pairs):
        row = f"(SELECT *, NULL::TINYINT AS label FROM older WHERE r = {older})"
        storage.write_stored(table.connection, table.config, row, part)
        lines[int(newer)] = part.read_bytes().decode()
        part.unlink()
    run("DROP TABLE newer")
    run("DROP TABLE older")
    return lines


def same(one: str, other: str, columns: Sequence[str]) -> str:
    """SQL for whether two rows are equal in some columns; blanks are equal."""
    return " AND ".join(f"{one}.{c} IS NOT DISTINCT FROM {other}.{c}" for c in columns)
