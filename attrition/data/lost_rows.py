"""The files whose rows were not taken in, until that is mended: which, how many rows, and why."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path

from attrition.core.config import Config
from attrition.core.formatting import line, plural
from attrition.core.labels import Labels
from attrition.data import recovery
from attrition.data.csv_records import FOUND
from attrition.data.discovery import some
from attrition.data.ledger import INGESTED, REJECTED, Ledger, LedgerEntry

DAYS_TOLD = 14  # who looks once a week sees it
LEAST_SHARE = 0.1  # of a file's rows in quarantine; fewer are usual
_FILES_TOLD = 5  # the others are counted
_ROWS_READ = 100_000  # of a file in quarantine


@dataclass(frozen=True)
class LostRows:
    """What is to be said of a file; `is_most` where it lost half of its rows, or all."""

    text: str
    is_most: bool


def lost_rows(config: Config, ledger: Ledger) -> list[LostRows]:
    """What is to be said of the files that lost rows, the newest first.

    A file is told of until another of the same name has come, its file in quarantine has been
    deleted (a rejected one: itself), or a good one has come `DAYS_TOLD` days after it or later.
    """
    present = {sighting.sha256 for sighting in ledger.sightings.values()}
    told = [entry for entry in reversed(ledger.entries) if _loses(entry)]
    told = [entry for entry in told if entry.status != REJECTED or entry.sha256 in present]
    told = [entry for entry in told if not _is_over(config, entry, ledger.entries)]
    alike: dict[tuple[str, ...], list[LedgerEntry]] = {}
    for entry in told:
        alike.setdefault(_likeness(entry), []).append(entry)
    groups = list(alike.values())
    texts = [LostRows(_text(config, group), _is_most(group[0])) for group in groups[:_FILES_TOLD]]
    if more := [entry for group in groups[_FILES_TOLD:] for entry in group]:
        text = f"{plural(len(more), 'more file')} lost rows; ledger.json names them"
        texts.append(LostRows(text, any(map(_is_most, more))))
    return texts


def _loses(entry: LedgerEntry) -> bool:
    is_many = 0 < entry.quarantined >= LEAST_SHARE * entry.rows_read
    return entry.status == REJECTED or (entry.status == INGESTED and is_many)


def _is_most(entry: LedgerEntry) -> bool:
    return entry.status == REJECTED or 2 * entry.quarantined >= entry.rows_read


def _is_over(config: Config, entry: LedgerEntry, entries: Sequence[LedgerEntry]) -> bool:
    """Whether a person or a later file has answered for a file (a bad copy tells of itself)."""
    if entry.quarantined and not recovery.quarantine_path(config, entry).exists():
        return True
    later = entries[entries.index(entry) + 1 :]
    came = datetime.fromisoformat(entry.time)
    return any(
        other.name == entry.name
        or (
            other.status == INGESTED
            and other.rows_read > 0
            and not _loses(other)
            and (datetime.fromisoformat(other.time) - came).days >= DAYS_TOLD
        )
        for other in later
    )


def _likeness(entry: LedgerEntry) -> tuple[str, ...]:
    """Equal for files that a run rejected for one reason, as after a change of columns."""
    return (entry.time, _reason(entry)) if entry.status == REJECTED else (entry.sha256,)


def _reason(entry: LedgerEntry) -> str:
    return str(entry.reason).partition(FOUND)[0]


def _text(config: Config, alike: Sequence[LedgerEntry]) -> str:
    entry = alike[0]
    folder, rows = config.input_folder_path.name, recovery.quarantine_path(config, entry)
    if entry.status == REJECTED:
        were, files = ("was", "file") if len(alike) == 1 else ("were", "files")
        return (
            f"{some([line(item.name) for item in alike])} {were} not taken in: "
            f"{line(_reason(entry), 200)}; put the mended {files} into {folder}/ under the same "
            f"name{'s' * (len(alike) > 1)}"
        )
    return (
        f"{entry.quarantined:,} of {plural(entry.rows_read, 'row')} of {line(entry.name)} were not "
        f"taken in{_commonest(rows, config.labels)}; put the corrected ones into {folder}/ under "
        f"the same name, or under any and delete {rows.parent.name}/{line(rows.name)}, which has "
        f"each row's reason"
    )


def _commonest(path: Path, labels: Labels) -> str:
    """The reason that most rows in quarantine have, without their values; "" if it is not known."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = islice(csv.DictReader(stream), _ROWS_READ)
            reasons = Counter((row["column"], row["reason"]) for row in rows)
    except (OSError, ValueError, KeyError, csv.Error):
        return ""
    if not reasons:
        return ""
    (column, reason), _ = reasons.most_common(1)[0]
    where = f"{labels.name(column)}: " if column else ""
    return f", most often because of {where}{line(reason, 200)}"
