"""Finds new ids that are known ones written in another way, as `123.0` for 123.

Whoever writes an id in another way makes a new client of one that is known already: one who has
left is on the list again, and calls go to a client twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attrition.data import storage
from attrition.data.client_table import ClientTable, Intake

# SQL for a text without what people and programs change when they write a name or a number down.
FOLDED = r"regexp_replace(lower(nfc_normalize({})), '[\s\p{{Z}}]+|\.0+$', '', 'g')"
WRITTEN_ALMOST = "written almost as a known one"


def ids_written_anew(
    table: ClientTable, intakes: Sequence[Intake], paths: Sequence[Path]
) -> list[tuple[int, int]]:
    """How many new ids each file brings, and how many of them are known ones written otherwise.

    Args:
        table: the rows.
        intakes: what was taken in, in its order.
        paths: the committed rows, those that wait, and the open clients, where there are any.
    """
    if not intakes or table.config.id_column is None or len(intakes) + len(paths) < 2:
        return [(0, 0)] * len(intakes)
    key = storage.key_of(table.config)[table.config.id_column]
    starts = [intake.start for intake in intakes]
    table.connection.execute(
        f"CREATE TEMP TABLE came AS SELECT id, {FOLDED.format('id')} AS form, file FROM "
        f"(SELECT {key} AS id, min(rowid) AS r FROM rows "
        f"WHERE problem IS NULL AND {key} IS NOT NULL GROUP BY {key}) "
        f"ASOF JOIN (SELECT DISTINCT unnest(?::BIGINT[]) AS file) AS files ON r >= file",
        [starts],
    )
    stored = storage.read_stored(table.config)
    stored = f"SELECT {key} AS id, {FOLDED.format(key)}, -1 FROM {stored}"
    known = " UNION ALL ".join(["SELECT id, form, file FROM came", *[stored] * len(paths)])
    counts = table.connection.execute(
        f"WITH known(id, form, file) AS ({known}), judged AS (SELECT came.file, "
        f"coalesce(bool_or(known.id = came.id), false) AS is_known, count(known.id) > 0 AS is_like "
        f"FROM came LEFT JOIN known ON known.form = came.form AND known.file < came.file "
        f"GROUP BY came.id, came.file) "
        f"SELECT file, count(*), count_if(is_like) FROM judged WHERE NOT is_known GROUP BY file",
        [str(path) for path in paths],
    ).fetchall()
    table.connection.execute("DROP TABLE came")
    by_start = {start: (new, like) for start, new, like in counts}
    # Of files that begin with one row, the last has it: the others have none.
    return [by_start.pop(start, (0, 0)) for start in reversed(starts)][::-1]


def text_of_ids(name: str, new: int, like: int) -> str:
    """A sentence about a file whose ids are written in another way; no id stands in it.

    Args:
        name: of the file.
        new, like: numbers of its new ids, and of those that are almost known ones.
    """
    are, counts = ("is", "counts") if like == 1 else ("are", "count")
    return (
        f"{name}: {like:,} of its {new:,} new ids {are} {WRITTEN_ALMOST}, but for case, spaces or "
        f"an ending .0 (pandas makes 123.0 of 123 unless it reads ids as text), and {counts} as "
        f"new: if these are known clients, write their ids as before and send the file again; "
        f"docs/operations.md, Edits and restoring, tells how to take the wrong rows out"
    )
