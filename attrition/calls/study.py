"""A study of calls: the time in which the same share and salt decide which clients are held out.

Light to import. The decision record of every run holds the study, so that the history has the old
ones, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Study:
    """One study.

    Attributes:
        share: of the open clients that are held out, a fraction 0-1.
        salt_digest: SHA-256 of the salt, hexadecimal.
        since: when the first run with this share and salt began, UTC, ISO 8601.
        enrolled: how many clients took part when the last run ended.
    """

    share: float
    salt_digest: str
    since: str
    enrolled: int = 0

    def is_same(self, other: Study) -> bool:
        """Whether the same clients are held out."""
        return (self.share, self.salt_digest) == (other.share, other.salt_digest)


def current_study(
    share: float,
    salt_digest: str,
    last: Study | None,
    started: str,
    earlier: Iterable[Study] = (),
) -> tuple[Study | None, str | None]:
    """The study by the settings, and a sentence where it is another one than in the last run.

    Args:
        share, salt_digest: by the settings; share 0 where nobody is held out.
        last: the study of the last run.
        started: when this run began, UTC, ISO 8601.
        earlier: the studies of all runs; one of this share and salt goes on.
    """
    old = f"the one since {last.since[:10]} ({_share(last)}) is kept in the history" if last else ""
    if not share:
        return None, f"the study of calls has ended, nobody is held out: {old}" if last else None
    new = Study(share, salt_digest, started)
    if last and last.is_same(new):
        return last, None
    for study in earlier:
        if study.is_same(new):
            what = f"the study of calls since {study.since[:10]} goes on"
            break
    else:
        study = new
        what = f"{'a new' if last else 'a'} study of calls begins"
    notice = f"{what}, {_share(study)} of the open clients are held out"
    return study, f"{notice}; {old}" if last else notice


def _share(study: Study) -> str:
    return f"{100 * study.share:.3g}%"
