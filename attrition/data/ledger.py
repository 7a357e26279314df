"""The ledger of ingestion, `ingesteddata/ledger.json`: the files taken in, and what became of them.

Rows reach `finaldata.csv` in commits. A commit counts once the ledger names it: the file is then as
long as the ledger says, and its bytes have the digests in the ledger. Before a run writes, it sets
`writing` in the ledger: only then do rows after the committed ones come from a killed run. On Spark
a commit is a folder of Parquet files, which also counts once the ledger names it; bytes of
`finaldata.csv` in this module then mean rows of the master data set.

A commit's id is a digest of the previous id, the settings that decide how rows are read, and the
digests of the files taken in. Like the ids of git's commits, it identifies the content of
`finaldata.csv` at that length, independent of the time.

Standard library only: the idle check of fullprocess.py may read it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from attrition.core import atomic_files
from attrition.core.errors import DataError

INGESTED, REJECTED = "ingested", "rejected"
MATURED = "matured by "  # begins what stands before a commit's files where older rows have matured
READ_AGAIN = "read again"  # rejected for a limit that has since been raised; see `reopened`


@dataclass(frozen=True)
class Commit:
    """Rows that reached `finaldata.csv` together: bytes from `start` up to `end`.

    `files` are the digests of the files they came from; none: the rows were in `finaldata.csv`
    when the ledger was rebuilt. Where rows of earlier files have matured, the first one says by
    which day. `sha256` is the digest of the bytes; "" on Spark. `former_ids` are the ids that stood
    for the rows up to `end` before other settings had every file read again.
    """

    id: str
    start: int
    end: int
    rows: int
    time: str
    files: tuple[str, ...]
    sha256: str = ""
    former_ids: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """Its id, and those before."""
        return self.id, *self.former_ids

    def with_ids(self, ids: Iterable[str]) -> Commit:
        """This commit with more ids of before, each once."""
        former = dict.fromkeys((*self.former_ids, *ids))
        return replace(self, former_ids=tuple(name for name in former if name != self.id))


@dataclass(frozen=True)
class Cut:
    """The last row of a file that ends without a line end: the upload may have been cut off.

    Attributes:
        size: of the unpacked content, in bytes.
        sha256: digest of the unpacked content.
        row: what became of the row: `kept`, `duplicate`, `open` or `quarantined`.
    """

    size: int
    sha256: str
    row: str


@dataclass(frozen=True, kw_only=True)
class LedgerEntry:
    """What became of one content: rows_read = kept + duplicate + open + quarantined.

    `name` is the file's name, `left` how many of the kept rows say so (None: not counted), `commit`
    the id of the commit with its rows (None: no row was new), `limits` the settings that it was
    rejected for, with their values then, `cut` a last row that may have to be taken back.
    """

    name: str
    sha256: str
    size: int
    status: str
    reason: str | None = None
    rows_read: int = 0
    kept: int = 0
    left: int | None = None
    duplicate: int = 0
    open: int = 0
    quarantined: int = 0
    extra_columns: tuple[str, ...] = ()
    commit: str | None = None
    time: str
    limits: Mapping[str, int] = field(default_factory=dict)
    cut: Cut | None = None


@dataclass(frozen=True)
class Sighting:
    """A file of the source folder at the time its content was last hashed."""

    sha256: str
    size: int
    mtime_ns: int
    inode: int
    seen_ns: int
    ctime_ns: int


@dataclass(frozen=True)
class Event:
    """Something that happened to a file that had been ingested or refused."""

    time: str
    what: str
    name: str
    sha256: str


@dataclass(frozen=True)
class Notice:
    """Something about the ingested rows that should be reported once."""

    time: str
    text: str


@dataclass(frozen=True)
class Unmatured:
    """The rows in `unmatured.csv`: digest of the file, and the day on which the first matures."""

    sha256: str
    next_day: str


@dataclass(frozen=True)
class Ledger:
    """All that ingestion knows about earlier runs.

    Attributes:
        schema: digest of the settings the rows were read with; "" for an empty ledger.
        commits: oldest first.
        entries: one for each content, in the order of arrival.
        sightings: name in the source folder -> digest and stamp when last hashed.
        refused: name in the source folder -> why it is no batch (a link, a folder, another
            suffix, ...); of the test data with the folder before it.
        events: renames, copies, changes and disappearances of files, oldest first.
        open_sha256: digest of the `openclients.csv` that belongs to this ledger; "" for none.
        open_rows: number of clients in it.
        store: where the rows are; "" for `finaldata.csv`, the address of the folder on Spark.
        writing: whether a run was about to add rows, so that some may be uncommitted.
        stamp: size, times of change and inode of `finaldata.csv` when it was last checked to hold
            the committed rows; None without a check.
        earlier_end: end of the rows that a model may have been trained on whose commit is not in
            this ledger, which was rebuilt after the training.
        open_of_no_file: whether `openclients.csv` may hold clients that are in no source file,
            since somebody added them or the ledger was rebuilt.
        earlier_names: files that were ingested before the ledger was rebuilt, and not since.
        arrivals: digests of the contents that are to be read again after a change of settings, in
            the order in which they came; the newest row of a client stays the newest.
        former: the commits before that change which none of today's stands for yet, oldest first;
            of their files some are still to be read.
        emptied: the commits before that change of which, and before which, no row is left, oldest
            first: what came after them is every row.
        notices: what happened to the ledger and to its files, oldest first.
        replaced: digest of a file whose last row may be cut -> the row of an open client, as in
            `openclients.csv`, that was replaced by this last row.
        unmatured: the rows whose labels may not be used yet; None for none.
    """

    schema: str = ""
    commits: tuple[Commit, ...] = ()
    entries: tuple[LedgerEntry, ...] = ()
    sightings: Mapping[str, Sighting] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    open_sha256: str = ""
    open_rows: int = 0
    store: str = ""
    writing: bool = False
    stamp: tuple[int, ...] | None = None
    earlier_end: int = 0
    open_of_no_file: bool = False
    earlier_names: tuple[str, ...] = ()
    arrivals: tuple[str, ...] = ()
    former: tuple[Commit, ...] = ()
    emptied: tuple[Commit, ...] = ()
    notices: tuple[Notice, ...] = ()
    replaced: Mapping[str, str] = field(default_factory=dict)
    unmatured: Unmatured | None = None

    @property
    def committed_bytes(self) -> int:
        """Length of `finaldata.csv`."""
        return self.commits[-1].end if self.commits else 0

    @property
    def committed_rows(self) -> int:
        """Rows in `finaldata.csv`."""
        return sum(commit.rows for commit in self.commits)

    @property
    def commit_id(self) -> str | None:
        """Identifies the content of `finaldata.csv`; None while it has no rows."""
        return self.commits[-1].id if self.commits else None

    @property
    def ingested_names(self) -> list[str]:
        """The names of the ingested files, each once, in the order of arrival."""
        names = (entry.name for entry in self.entries if entry.status == INGESTED)
        return list(dict.fromkeys([*self.earlier_names, *names]))

    def has_matured(self, today: str) -> bool:
        """Whether rows wait whose labels may be used by now."""
        return self.unmatured is not None and self.unmatured.next_day <= today

    def entry(self, sha256: str) -> LedgerEntry | None:
        """What became of a content; None if it is new."""
        return next((entry for entry in self.entries if entry.sha256 == sha256), None)

    @property
    def known(self) -> set[str]:
        """Digests of the contents that need not be read."""
        return {entry.sha256 for entry in self.entries if entry.status != READ_AGAIN}

    def reopened(self, settings: object) -> Ledger:
        """This ledger, with files rejected for a limit that has since been raised as unknown.

        Args:
            settings: an object with the limits as attributes.
        """
        entries = tuple(
            replace(entry, status=READ_AGAIN)
            if entry.status == REJECTED
            and any(getattr(settings, name, 0) > limit for name, limit in entry.limits.items())
            else entry
            for entry in self.entries
        )
        known = replace(self, entries=entries).known
        sightings = {name: item for name, item in self.sightings.items() if item.sha256 in known}
        return (
            self if entries == self.entries else replace(self, entries=entries, sightings=sightings)
        )

    def unseen_start(self, commit_id: str | None) -> int:
        """First byte of `finaldata.csv` that a model trained at a commit has certainly not seen.

        Without a model (None) every row is unseen. For a commit that is not in this ledger, only
        rows that came after the ledger was rebuilt count as unseen; if it was not, none do.
        """
        if commit_id is None:
            return 0
        end = self.end_of(commit_id)
        return (self.earlier_end or self.committed_bytes) if end is None else end

    def end_of(self, commit_id: str | None) -> int | None:
        """Where the rows of a commit end; None where no commit has or had that id."""
        number = self.number_of(commit_id)
        return self.commits[number - 1].end if number else number

    def number_of(self, commit_id: str | None) -> int | None:
        """How many commits there are up to one; None where no commit has or had that id."""
        for number, commit in enumerate(self.commits, start=1):
            if commit_id in commit.ids:
                return number
        return 0 if any(commit_id in commit.ids for commit in self.emptied) else None

    def rows_since(self, commit_id: str | None) -> int:
        """Labelled rows that came after a commit, as `unseen_start` counts."""
        start = self.unseen_start(commit_id)
        return sum(commit.rows for commit in self.commits if commit.start >= start)

    def rows_before(self, start: int) -> int:
        """Labelled rows that stand before a position."""
        return sum(commit.rows for commit in self.commits if commit.start < start)

    def fits(self, schema: str, store: str) -> bool:
        """Whether the rows were read with these settings, and are stored where these say."""
        return self.schema in ("", schema) and (not self.schema or self.store == store)

    def with_commit(self, commit: Commit) -> Ledger:
        """This ledger with one more commit."""
        return replace(self, commits=(*self.commits, commit))

    def standing_for(self, former: Commit) -> Ledger:
        """This ledger, one of its commits in the place of one before a change of settings.

        That is the last with rows of the former one's files; where none has any, that in the place
        of the one before. Where the former one names no files, it is the newest. Unchanged while a
        file of the former one is still to be read.
        """
        files = set(former.files)
        if files & set(self.arrivals) or not (files or self.commits):
            return self
        commits = list(self.commits)
        with_rows = [n for n, c in enumerate(commits) if not files or files & set(c.files)]
        numbers = with_rows or [n for n, c in enumerate(commits) if c.former_ids]
        ledger = replace(self, former=tuple(commit for commit in self.former if commit != former))
        if not numbers:
            return replace(ledger, emptied=(*self.emptied, former))
        commits[numbers[-1]] = commits[numbers[-1]].with_ids(former.ids)
        earlier_end = self.earlier_end if files else self.committed_bytes
        return replace(ledger, commits=tuple(commits), earlier_end=earlier_end)

    def with_notice(self, time: str, text: str) -> Ledger:
        """This ledger with one more notice."""
        return replace(self, notices=(*self.notices, Notice(time, text)))


def next_commit_id(previous: str | None, schema: str, contents: Iterable[str]) -> str:
    """The id of a commit: 16 hexadecimal digits that identify all content up to it."""
    digest = hashlib.sha256("\n".join([previous or "", schema, *contents]).encode())
    return digest.hexdigest()[:16]


def read_ledger(path: Path) -> Ledger:
    """Read the ledger; an empty one if there is no file.

    Raises:
        DataError: the file is damaged.
    """
    if not path.exists():
        return Ledger()
    raw = atomic_files.read_json(path)
    try:
        return parse_ledger(raw)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise DataError(
            f"{path}: not a ledger of this pipeline; restore it, or run ingestion.py, which sets "
            f"it aside and makes a new one of the rows that are there"
        ) from None


def parse_ledger(raw: Any) -> Ledger:
    """The ledger of the plain values that `ledger_json` made; for others one of the errors
    KeyError, TypeError, AttributeError, ValueError.
    """
    return Ledger(
        schema=str(raw["schema"]),
        commits=tuple(_commit(item) for item in raw["commits"]),
        entries=tuple(_entry(item) for item in raw["files"]),
        sightings={name: Sighting(**item) for name, item in raw["sightings"].items()},
        refused={str(name): str(reason) for name, reason in raw["refused"].items()},
        events=tuple(Event(**item) for item in raw["events"]),
        open_sha256=str(raw["open_clients"]["sha256"]),
        open_rows=int(raw["open_clients"]["rows"]),
        store=str(raw["store"]),
        writing=bool(raw["writing"]),
        stamp=tuple(map(int, raw["stamp"])) if raw["stamp"] else None,
        earlier_end=int(raw["earlier_end"]),
        open_of_no_file=bool(raw["open_of_no_file"]),
        earlier_names=tuple(map(str, raw["earlier_names"])),
        arrivals=tuple(map(str, raw["arrivals"])),
        former=tuple(_commit(item) for item in raw.get("former", ())),
        emptied=tuple(_commit(item) for item in raw.get("emptied", ())),
        notices=tuple(Notice(**item) for item in raw["notices"]),
        replaced={str(digest): str(row) for digest, row in raw["replaced"].items()},
        unmatured=Unmatured(**raw["unmatured"]) if "unmatured" in raw else None,
    )


def write_ledger(path: Path, ledger: Ledger) -> None:
    """Replace the ledger, whole or not at all: this step commits."""
    atomic_files.write_json(path, ledger_json(ledger))


def ledger_json(ledger: Ledger) -> dict[str, Any]:
    """The ledger as plain values for its file."""
    return {
        "schema": ledger.schema,
        "store": ledger.store,
        "committed_bytes": ledger.committed_bytes,
        "committed_rows": ledger.committed_rows,
        "writing": ledger.writing,
        "stamp": ledger.stamp,
        "earlier_end": ledger.earlier_end,
        "open_of_no_file": ledger.open_of_no_file,
        "earlier_names": ledger.earlier_names,
        "arrivals": ledger.arrivals,
        "former": [asdict(commit) for commit in ledger.former],
        "emptied": [asdict(commit) for commit in ledger.emptied],
        "notices": [asdict(notice) for notice in ledger.notices],
        "replaced": dict(sorted(ledger.replaced.items())),
        "open_clients": {"rows": ledger.open_rows, "sha256": ledger.open_sha256},
        "commits": [asdict(commit) for commit in ledger.commits],
        "files": [asdict(entry) for entry in ledger.entries],
        "sightings": {name: asdict(item) for name, item in sorted(ledger.sightings.items())},
        "refused": dict(sorted(ledger.refused.items())),
        "events": [asdict(event) for event in ledger.events],
        **({"unmatured": asdict(ledger.unmatured)} if ledger.unmatured else {}),
    }


def _commit(item: dict[str, Any]) -> Commit:
    tuples = {name: tuple(item.get(name, ())) for name in ("files", "former_ids")}
    return Commit(**{**item, **tuples})


def _entry(item: dict[str, Any]) -> LedgerEntry:
    cut = Cut(**item["cut"]) if item["cut"] else None
    return LedgerEntry(**{**item, "extra_columns": tuple(item["extra_columns"]), "cut": cut})
