"""What is new in the source folder, by content: the folder compared with the ledger.

Standard library only. Nothing is written.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from attrition.core import clock
from attrition.core.config import Config
from attrition.core.errors import DataError
from attrition.data import source_files
from attrition.data.csv_records import FOUND
from attrition.data.ledger import READ_AGAIN, REJECTED, Event, Ledger, Sighting
from attrition.data.source_files import Batch, Refusal, Stamp

# A file that changed within this time before its check may change again and keep its time of
# change: its content is checked again (git calls that "racily clean").
RACY_NANOSECONDS = 2_000_000_000


@dataclass(frozen=True)
class NewBatch:
    """A batch whose content the ledger does not know."""

    batch: Batch
    sha256: str


@dataclass(frozen=True)
class Survey:
    """The source folder, compared with the ledger.

    Attributes:
        new: batches to take in: those read before in the order in which they came then, then the
            others in the order of their names.
        waiting: names of batches that are still being written.
        refused: entries named like a batch that are none, and those with another name.
        sightings: name -> digest and stamp, for every batch whose content is known or new.
        events: renames, copies, changes and deletions of files the ledger knows.
        held_back: names of batches to be read again only after one that is waiting.
    """

    new: tuple[NewBatch, ...]
    waiting: tuple[str, ...]
    refused: tuple[Refusal, ...]
    sightings: Mapping[str, Sighting]
    events: tuple[Event, ...]
    held_back: tuple[str, ...] = ()


def survey(folder: Path, ledger: Ledger, settle_seconds: int) -> Survey:
    """List a source folder, and hash the files that may have changed since the last run."""
    seen_ns = time.time_ns()
    batches, refused = source_files.list_batches(folder)
    refused += source_files.list_unread(folder)
    changed = [batch for batch in batches if not _is_as_seen(batch, ledger.sightings)]
    waiting = source_files.still_written(changed, settle_seconds)
    digests: dict[str, str] = {}
    for batch in changed:
        if batch.name in waiting:
            continue
        try:
            digests[batch.name] = _digest(batch)
        except DataError as error:
            refused.append(Refusal(batch.name, str(error)))
        if not source_files.is_unchanged(batch):
            digests.pop(batch.name, None)
            waiting.add(batch.name)
    new = _new(changed, digests, ledger)
    held_back = _held_back(new, waiting, digests, ledger)
    seen = {
        batch.name: Sighting(digests[batch.name], seen_ns=seen_ns, **asdict(batch.stamp))
        for batch in changed
        if batch.name in digests and digests[batch.name] not in held_back
    }
    present = {batch.name for batch in batches}
    kept = {name: old for name, old in ledger.sightings.items() if name in present}
    return Survey(
        new=tuple(item for item in new if item.sha256 not in held_back),
        waiting=tuple(sorted(waiting)),
        refused=tuple(refused),
        sightings={**kept, **seen},
        events=tuple(_events(ledger, present, digests)),
        held_back=tuple(item.batch.name for item in new if item.sha256 in held_back),
    )


def without(survey: Survey, names: set[str]) -> Survey:
    """A survey in which some batches are waiting, since they changed while they were read."""
    return replace(
        survey,
        new=tuple(item for item in survey.new if item.batch.name not in names),
        waiting=tuple(sorted({*survey.waiting, *names})),
        sightings={name: s for name, s in survey.sightings.items() if name not in names},
    )


def all_rejected(config: Config, ledger: Ledger) -> str | None:
    """A text that says why every present file is rejected; None unless all are."""
    present = {sighting.sha256 for sighting in ledger.sightings.values()}
    entries = [e for e in ledger.entries if e.sha256 in present and e.status != READ_AGAIN]
    if not entries or ledger.commits or ledger.open_rows:
        return None
    if any(entry.status != REJECTED for entry in entries):
        return None
    names: dict[str, list[str]] = {}
    for entry in entries:
        names.setdefault(str(entry.reason).partition(FOUND)[0], []).append(entry.name)
    reasons = "; ".join(f"{some(files)}: {reason}" for reason, files in names.items())
    which = "the only file was" if len(entries) == 1 else f"all {len(entries):,} files were"
    return (
        f"{config.input_folder_path}: {which} rejected: {reasons}; "
        f"correct the files, or the columns in {config.source}"
    )


def some(names: Sequence[str], most: int = 5) -> str:
    """A text with the first few names and the number of the others."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _is_as_seen(batch: Batch, sightings: Mapping[str, Sighting]) -> bool:
    old = sightings.get(batch.name)
    return (
        old is not None
        and batch.stamp == Stamp(old.size, old.mtime_ns, old.ctime_ns, old.inode)
        and all(
            abs(old.seen_ns - time_ns) > RACY_NANOSECONDS
            for time_ns in (old.mtime_ns, old.ctime_ns)
        )
    )


def _digest(batch: Batch) -> str:
    with source_files.open_batch(batch) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _new(changed: list[Batch], digests: dict[str, str], ledger: Ledger) -> list[NewBatch]:
    """The batches with unknown content, one for each content, in the order to take them in."""
    known = ledger.known
    new = []
    for batch in changed:
        sha256 = digests.get(batch.name)
        if sha256 is not None and sha256 not in known:
            known.add(sha256)
            new.append(NewBatch(batch, sha256))
    contents = {digest: at for at, digest in enumerate(ledger.arrivals)}
    names = {name: at for at, name in enumerate(ledger.earlier_names)}
    return sorted(
        new,
        key=lambda item: (
            contents.get(item.sha256, len(contents)),
            names.get(item.batch.name, len(names)),
        ),
    )


def _held_back(
    new: list[NewBatch], waiting: set[str], digests: dict[str, str], ledger: Ledger
) -> set[str]:
    """Digests of contents that came after one to be read again that a waiting file may hold.

    Read before it, they would no longer be the newer ones.
    """
    missing = set(ledger.arrivals) - set(digests.values())
    if not missing or waiting <= ledger.sightings.keys():
        return set()
    first = min(map(ledger.arrivals.index, missing))
    return {item.sha256 for item in new} - set(ledger.arrivals[:first])


def _events(ledger: Ledger, present: set[str], digests: dict[str, str]) -> list[Event]:
    """What happened to known files: a known content under a new name, a new content, a loss."""
    now = clock.now()
    gone = {name: old.sha256 for name, old in ledger.sightings.items() if name not in present}
    known = ledger.known
    events = []
    renamed = set()
    for name, sha256 in sorted(digests.items()):
        old = ledger.sightings.get(name)
        if old is not None and old.sha256 == sha256:
            continue
        if old is not None:
            events.append(Event(now, "changed", name, sha256))
        elif sha256 in known:
            former = next((n for n, s in gone.items() if s == sha256 and n not in renamed), None)
            other = next((n for n, s in ledger.sightings.items() if s.sha256 == sha256), None)
            if former is not None:
                renamed.add(former)
                events.append(Event(now, f"renamed from {former}", name, sha256))
            else:
                what = "came back" if other is None else f"copied from {other}"
                events.append(Event(now, what, name, sha256))
    events += [
        Event(now, "deleted", name, sha256)
        for name, sha256 in sorted(gone.items())
        if name not in renamed
    ]
    return events
