"""Every run that was not idle, in `models/history.db` (SQLite), for trends and for questions later.

Beside the runs it remembers the last rankings of clients, until outcomes tell whether they helped.
The newest FULL_RUNS stay as they were recorded; of older ones the figures are kept that trends are
drawn from, and the oldest are forgotten, so that the file does not grow for ever.

Standard library only. The record of a run is a mapping with at least `time` (UTC, ISO 8601),
`verdict` and `reason`; the keys `release_before`, `release_after`, `new_rows`, `scores`, `drift`
and `timings` (stage -> seconds) have columns of their own, all others travel along as details.

The history informs and never decides, so it never stops a run: what cannot be recorded or read is
said in the log (`runs/history_store.py`), and a row that has changed since it was written is
left out.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from attrition.core import atomic_files
from attrition.runs import history_store

_PLAIN = ("run_id", "time", "verdict", "reason", "release_before", "release_after", "new_rows")
_JSON = ("scores", "drift")
_RUN = (*_PLAIN, *_JSON, "details")  # columns whose digest stands beside them
_RANKING = ("key", "time", "ranking")
_SOUND = "typeof(stage) = 'text' AND typeof(seconds) = 'real'"  # a timing has no digest
FULL_RUNS = 400
FAILED = "failed"  # the verdict of a run that did not come to one
# What is kept of an old run's scores,
_SCORE = ("f1", "f1_interval", "roc_auc", "base_rate", "rows")
_COLUMN = ("column", "verdict", "psi", "missing_now")  # of its columns
_DETAILS = ("finished_at", "warnings", "study", "effect")  # and of its details

logger = logging.getLogger(__name__)


def record_run(path: Path, record: Mapping[str, Any], keep: int | None = None) -> None:
    """Add a run to the history; a run already in it (by `run_id`) stays as it is.

    A damaged history is moved aside and a new one begun.

    Args:
        record: see the module. Without a `run_id` the record's content stands for it.
        keep: so many runs stay; None for all.
    """

    def add(connection: sqlite3.Connection) -> None:
        _add_run(connection, _row(record), dict(record.get("timings") or {}))
        _thin_runs(connection)
        if keep is not None:
            _forget_runs(connection, keep)

    history_store.write(path, add, "this run")


def record_ranking(
    path: Path,
    key: str,
    time: str,
    ranking: Mapping[str, Any],
    keep: int,
    *,
    risks: Mapping[str, float] = MappingProxyType({}),
) -> None:
    """Add a ranking of clients, and forget the oldest ones; one that stands there is left as it is.

    Args:
        key: names the ranking.
        time: when it was made, UTC, ISO 8601.
        ranking: plain values.
        keep: so many rankings stay.
        risks: client -> probability; remembered where it is another than in the ranking before.
    """

    def add(connection: sqlite3.Connection) -> None:
        row = _sealed({"key": key, "time": time, "ranking": _json(ranking)})
        done = _insert(connection, "rankings", "key", row)
        is_new, number = done.rowcount > 0, done.lastrowid
        _forget_rankings(connection, keep)
        if is_new and number is not None:
            _remember_risks(connection, number, risks)

    history_store.write(path, add, "this ranking")


def rankings(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The remembered rankings, newest first: time, and what was recorded."""

    def newest(reader: sqlite3.Connection) -> list[tuple[str, dict[str, Any]]]:
        rows = reader.execute("SELECT * FROM rankings ORDER BY number DESC")
        return [
            (row["time"], json.loads(row["ranking"])) for row in rows if _is_whole(row, _RANKING)
        ]

    return history_store.read(path, newest, [])


def high_risk(path: Path, ranked: str) -> list[dict[str, Any]]:
    """Of each remembered ranking of such clients, oldest first: `time`, and of its clients at high
    risk the number (`high`), the value at risk in sum (`value_at_risk`, None without values) and
    the least probability (`least`, None where it was not kept).
    """

    def counts(reader: sqlite3.Connection) -> list[dict[str, Any]]:
        rows = reader.execute(
            "SELECT time, json_extract(ranking, '$.high') AS high, "
            "json_extract(ranking, '$.value_at_risk') AS value_at_risk, "
            "json_extract(ranking, '$.least') AS least FROM rankings "
            "WHERE json_valid(ranking) AND json_extract(ranking, '$.ranked') = ? ORDER BY number",
            (ranked,),
        )
        return [dict(row) for row in rows if isinstance(row["high"], int)]

    return history_store.read(path, counts, [])


def risks_of(path: Path, client: str) -> list[dict[str, Any]]:
    """A client's risk where it changed, oldest first: `time`, `probability` and `release`."""

    def changes(reader: sqlite3.Connection) -> list[dict[str, Any]]:
        rows = reader.execute(
            "SELECT rankings.*, risks.probability FROM risks "
            "JOIN clients ON clients.number = risks.client "
            "JOIN rankings ON rankings.number = risks.ranking "
            "WHERE clients.client = ? AND typeof(risks.probability) = 'real' "
            "ORDER BY rankings.number",
            (client,),
        )
        return [
            {
                "time": row["time"],
                "probability": row["probability"],
                "release": json.loads(row["ranking"]).get("release"),
            }
            for row in rows
            if _is_whole(row, _RANKING)
        ]

    return history_store.read(path, changes, [])


def runs(path: Path, limit: int | None = None) -> list[dict[str, Any]]:
    """The recorded runs, newest first, each as it was recorded plus its `run_id`.

    Args:
        path: the database; absent or unreadable means no runs (the latter is said in the log).
        limit: at most so many; None for all.
    """

    def newest(reader: sqlite3.Connection) -> list[dict[str, Any]]:
        rows = reader.execute(
            "SELECT * FROM runs ORDER BY number DESC LIMIT ?", (-1 if limit is None else limit,)
        ).fetchall()
        return [
            _restored(row, _timings(reader, row["number"])) for row in rows if _is_whole(row, _RUN)
        ]

    return history_store.read(path, newest, [])


def has_run(path: Path, run_id: str, release: str | None = None) -> bool:
    """Whether a run is recorded, or a later one that left the release in place which it deployed.

    Of a history that cannot be read, nothing more is asked for.

    For who holds the run lock: what a run that failed wrote by halves is taken back.
    """
    if not path.exists():
        return False

    def find(reader: sqlite3.Connection) -> bool:
        row = reader.execute(
            "SELECT 1 FROM runs WHERE run_id = ? OR (release_after = ? AND verdict <> ?)",
            (run_id, release, FAILED),
        )
        return row.fetchone() is not None

    return history_store.read(path, find, True, mode="rw")


def latest_timings(path: Path) -> dict[str, float]:
    """Seconds of each stage, each from the newest run in which that stage did its work."""

    def newest_each(reader: sqlite3.Connection) -> dict[str, float]:
        # SQLite takes a bare column from the row in which max() was found.
        rows = reader.execute(
            f"SELECT stage, seconds, max(number) FROM timings WHERE {_SOUND} "
            "GROUP BY stage ORDER BY stage"
        )
        return {row["stage"]: row["seconds"] for row in rows}

    return history_store.read(path, newest_each, {})


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a record; strict JSON, so that nan reads back as None everywhere."""
    row = {key: record.get(key) for key in _PLAIN}
    row |= {key: record[key] for key in ("time", "verdict", "reason")}
    row["run_id"] = record.get("run_id") or hashlib.sha256(_json(record).encode()).hexdigest()
    row |= {key: _json(record.get(key)) for key in _JSON}
    known = (*_PLAIN, *_JSON, "timings")
    row["details"] = _json({key: value for key, value in record.items() if key not in known})
    return _sealed(row)


def _json(value: Any, default: Callable[[Any], str] | None = None) -> str:
    plain = atomic_files.strict(value)
    return json.dumps(plain, ensure_ascii=False, sort_keys=True, default=default)


def _sealed(row: dict[str, Any]) -> dict[str, Any]:
    """A row with the digest of its content; repr: of a damaged row, a text may come as bytes."""
    return {**row, "digest": hashlib.sha256(_json(row, default=repr).encode()).hexdigest()}


def _is_whole(row: sqlite3.Row, columns: Sequence[str]) -> bool:
    """Whether a row is as it was written, as far as its digest can tell; if not, that is said."""
    content = {column: row[column] for column in columns}
    if _sealed(content)["digest"] == row["digest"]:
        return True
    logger.warning("the history's record of %s is damaged, and left out", row["time"])
    return False


def _add_run(
    connection: sqlite3.Connection, row: Mapping[str, Any], timings: Mapping[str, float]
) -> None:
    done = _insert(connection, "runs", "run_id", row)
    if done.rowcount:
        connection.executemany(
            "INSERT INTO timings VALUES (?, ?, ?)",
            [(done.lastrowid, stage, seconds) for stage, seconds in timings.items()],
        )


def _thin_runs(connection: sqlite3.Connection) -> None:
    """Leave of runs that are not among the newest what trends are drawn from."""
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    rows = cursor.execute(
        "SELECT * FROM runs WHERE is_thin = 0 AND number <= "
        "(SELECT number FROM runs ORDER BY number DESC LIMIT 1 OFFSET ?)",
        (FULL_RUNS,),
    ).fetchall()
    for row in rows:
        content = {column: row[column] for column in _RUN}
        is_sound = _sealed(content)["digest"] == row["digest"]
        content = _thinned(content) if is_sound else {}  # a damaged one stays, and is left out
        changed = ", ".join(f"{column} = :{column}" for column in ("is_thin", *content))
        connection.execute(
            f"UPDATE runs SET {changed} WHERE number = :number",
            {**content, "is_thin": 1, "number": row["number"]},
        )


def _thinned(row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a run, its figures alone left in them."""
    scores, drift, details = (json.loads(row[key]) or {} for key in (*_JSON, "details"))
    data = {
        sample: {
            **_only(finding, ("verdict", "rows")),
            "columns": [_only(column, _COLUMN) for column in finding.get("columns") or ()],
            "predictions": _only(finding.get("predictions"), _COLUMN),
        }
        for sample, finding in (drift.get("data") or {}).items()
    }
    performance = {
        sample: _only(finding, ("verdict", "fall"))
        for sample, finding in (drift.get("performance") or {}).items()
    }
    kept = _only(details, _DETAILS)
    if details.get("candidate_score"):
        kept["candidate_score"] = _only(details["candidate_score"], _SCORE)
    return _sealed(
        {
            **row,
            "scores": _json({sample: _only(finding, _SCORE) for sample, finding in scores.items()}),
            "drift": _json({"performance": performance, "data": data}),
            "details": _json(kept),
        }
    )


def _only(value: Any, keys: Sequence[str]) -> dict[str, Any]:
    """Some keys of a mapping, those that it has."""
    return {key: value[key] for key in keys if key in value} if isinstance(value, Mapping) else {}


def _forget_runs(connection: sqlite3.Connection, keep: int) -> None:
    """Forget the oldest runs."""
    newest = connection.execute(
        "SELECT number FROM runs ORDER BY number DESC LIMIT 1 OFFSET ?", (keep,)
    ).fetchone()
    for table in ("timings", "runs") if newest else ():
        connection.execute(f"DELETE FROM {table} WHERE number <= ?", newest)


def _insert(
    connection: sqlite3.Connection, table: str, key: str, row: Mapping[str, Any]
) -> sqlite3.Cursor:
    """Add a row, unless its key is already in the table."""
    marks = ", ".join(f":{column}" for column in row)
    return connection.execute(
        f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks}) ON CONFLICT ({key}) DO NOTHING",
        dict(row),
    )


def _forget_rankings(connection: sqlite3.Connection, keep: int) -> None:
    """Forget the oldest rankings, the risks told then, and clients of whom nothing is left."""
    done = connection.execute(
        "DELETE FROM rankings WHERE number NOT IN "
        "(SELECT number FROM rankings ORDER BY number DESC LIMIT ?)",
        (keep,),
    )
    if done.rowcount:
        connection.execute("DELETE FROM risks WHERE ranking < (SELECT min(number) FROM rankings)")
        connection.execute(
            "DELETE FROM clients WHERE NOT EXISTS "
            "(SELECT 1 FROM risks WHERE risks.client = clients.number)"
        )


def _remember_risks(
    connection: sqlite3.Connection, ranking: int, risks: Mapping[str, float]
) -> None:
    """Add the risks that are news."""
    known = {
        row[0]: row[1:]
        for row in connection.execute("SELECT client, number, probability FROM clients")
    }
    new = [(client, risk) for client, risk in risks.items() if client not in known]
    changed = [
        (risk, known[client][0])
        for client, risk in risks.items()
        if client in known and known[client][1] != risk
    ]
    connection.executemany("INSERT INTO clients (client, probability) VALUES (?, ?)", new)
    connection.executemany("UPDATE clients SET probability = ? WHERE number = ?", changed)
    last = max((number for number, _ in known.values()), default=0)
    connection.execute(
        "INSERT INTO risks SELECT number, ?, probability FROM clients WHERE number > ?",
        (ranking, last),
    )
    connection.executemany(
        "INSERT INTO risks VALUES (?, ?, ?)",
        [(number, ranking, risk) for risk, number in changed],
    )


def _timings(connection: sqlite3.Connection, number: int) -> dict[str, float]:
    rows = connection.execute(
        f"SELECT stage, seconds FROM timings WHERE number = ? AND {_SOUND} ORDER BY stage",
        (number,),
    )
    return {row["stage"]: row["seconds"] for row in rows}


def _restored(row: sqlite3.Row, timings: dict[str, float]) -> dict[str, Any]:
    record = {key: row[key] for key in _PLAIN}
    record |= {key: json.loads(row[key]) for key in _JSON}
    return {**record, "timings": timings, **json.loads(row["details"])}
