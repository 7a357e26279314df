"""Who takes part in a study of calls: each client once, with its risk when first listed.

A study has a folder `ingesteddata/enrolled/<share>-<digest of the salt>/` with a CSV file for each
run that listed new clients at high risk, written whole or not at all and never changed. Its name
has all that its rows share: the number of the file, the day, the commit of the ingested rows then,
and the beginning of the file's own SHA-256. So a study goes on as its share and salt come back, and
a file that is lost or changed is noticed: nothing is then measured and nobody enrolled until it is
restored, for a client who is enrolled again, after the calls, would distort the comparison.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from attrition.core import atomic_files
from attrition.core.errors import DataError
from attrition.core.formatting import plural

COLUMNS = ("client", "risk", "group")
CALL, HOLD_OUT = "call", "hold out"
_NO_COMMIT = "none"
_DIGITS = 16  # of a digest
_NAME = re.compile(rf"\d{{6,}}-\d{{4}}-\d\d-\d\d-[^-]+-[0-9a-f]{{{_DIGITS}}}\.csv")


@dataclass(frozen=True)
class Enrolment:
    """The clients that one run enrolled.

    Attributes:
        day: of the run, UTC, as in `2026-01-31`.
        commit: the last commit of the ledger then; outcomes are the labelled rows that came later.
        clients: ids.
        risk: predicted probability of leaving, a fraction 0-1; array of shape (n_clients,).
        is_called: whether each is to be called; else it is held out.
    """

    day: str
    commit: str | None
    clients: tuple[str, ...]
    risk: NDArray[np.float64]
    is_called: NDArray[np.bool_]


def enrol(folder: Path, known: Sequence[Enrolment], listed: Enrolment) -> tuple[Enrolment, ...]:
    """Write down those of the listed clients who are not enrolled yet.

    Args:
        folder: of the study.
        known: all enrolments so far, as `read_enrolments` gives them.
        listed: clients at high risk.

    Returns:
        All enrolments now.
    """
    enrolled = {client for enrolment in known for client in enrolment.clients}
    is_new = np.array([client not in enrolled for client in listed.clients], dtype=np.bool_)
    if not is_new.any():
        return tuple(known)
    new = Enrolment(
        listed.day,
        listed.commit,
        tuple(listed.clients[row] for row in np.flatnonzero(is_new)),
        listed.risk[is_new],
        listed.is_called[is_new],
    )
    content = _csv(new)
    digest = hashlib.sha256(content).hexdigest()[:_DIGITS]
    folder.mkdir(parents=True, exist_ok=True)
    atomic_files.sweep_temporary_files([folder])
    name = f"{len(known) + 1:06}-{new.day}-{new.commit or _NO_COMMIT}-{digest}.csv"
    atomic_files.write_bytes(folder / name, content)
    return (*known, new)


def _csv(enrolment: Enrolment) -> bytes:
    stream = io.StringIO(newline="")
    # A name with a lone carriage return reads back only within quotes.
    writer = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(COLUMNS)
    groups = np.where(enrolment.is_called, CALL, HOLD_OUT).tolist()
    writer.writerows(zip(enrolment.clients, enrolment.risk.tolist(), groups, strict=True))
    return stream.getvalue().encode()


def read_enrolments(folder: Path) -> tuple[Enrolment, ...]:
    """All enrolments of a study, oldest first; () where it has none.

    Raises:
        DataError: a file is missing, has changed or is none of the study, or a client is in two.
    """
    paths = sorted(folder.glob("[0-9]*.csv"))
    for path in paths:
        if not _NAME.fullmatch(path.name):
            raise DataError(
                f"{path}: an extra file, such as a copy: the pipeline gives no such name; take it "
                f"away"
            )
    enrolments = tuple(_read(path, number) for number, path in enumerate(paths, start=1))
    clients = [client for enrolment in enrolments for client in enrolment.clients]
    if twice := len(clients) - len(set(clients)):
        raise DataError(
            f"{folder}: {plural(twice, 'client')} enrolled twice, by files of different backups; "
            f"restore all of it from one backup"
        )
    return enrolments


def _read(path: Path, number: int) -> Enrolment:
    """One enrolment, which must be the one of this number."""
    try:
        content = path.read_bytes()
        first, year, month, day, commit, digest = path.stem.split("-")
        if int(first) < number:
            raise DataError(
                f"{path.parent}: there are two files {first}, of different backups; restore all of "
                f"it from one backup"
            )
        if int(first) != number:
            raise DataError(f"{path.parent}: file {number:06} is missing; restore it from a backup")
        if hashlib.sha256(content).hexdigest()[:_DIGITS] != digest:
            raise DataError(f"{path}: has changed since it was written; restore it from a backup")
        header, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
        clients, risks, groups = zip(*rows, strict=True)
        if tuple(header) != COLUMNS:
            raise DataError(f"{path}: expected the columns {', '.join(COLUMNS)}")
        return Enrolment(
            f"{year}-{month}-{day}",
            None if commit == _NO_COMMIT else commit,
            clients,
            np.array(risks, dtype=np.float64),
            np.array(groups, dtype=np.str_) == CALL,
        )
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: not readable ({error}); restore it from a backup") from None
