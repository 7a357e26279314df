"""Which of the packages that requirements.txt names have newer versions; pip is asked.

pip asks an index over the network, which may take its time: the question runs in a child process
beside the work, at most once a day, and nobody waits long for the answer. It runs in a folder of
its own and imports nothing from there, so no file in the folder that somebody started us from, a
`pip.py` or `token.py`, is run.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

from attrition.core import atomic_files, clock
from attrition.core.config import Config
from attrition.core.errors import DataError
from attrition.core.paths import PROJECT
from attrition.core.scratch import PACKAGES, scratch_folder

REQUIREMENTS = Path(PROJECT) / "requirements.txt"
FRESH_FOR = timedelta(days=1)

CHECKED = "checked"
UNREACHABLE = "index unreachable"
UNANSWERED = "no answer in time"
SWITCHED_OFF = "switched off"

_OUTDATED = ("name", "current_version", "latest_version")
_PIP = tuple(
    "-P -m pip list --outdated --format json --disable-pip-version-check --no-input "
    "--retries 0 --timeout 5".split()
)
# pip goes on without an index it cannot reach, and tells its log alone; a 404 is an answer.
_NOT_FETCHED = re.compile(r"Could not fetch URL (?!.*\b404\b)")


@dataclass(frozen=True)
class Packages:
    """What is known about newer versions.

    `outdated` holds name, current_version and latest_version of each, as known at `as_of`, the
    time of the last answer (None: never had one); `time` is that of the last question.
    """

    state: str
    time: str | None = None
    as_of: str | None = None
    outdated: tuple[dict[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The state as plain values for JSON."""
        return {**asdict(self), "outdated": list(self.outdated)}

    def describe(self) -> str:
        """The state as a table for a terminal of 80 columns."""
        head = f"{'PACKAGES':<30}{'installed':>14}{'latest':>14}"
        lines = [
            f"{package['name'][:29]:<30}{package['current_version']:>14}"
            f"{package['latest_version']:>14}"
            for package in self.outdated
        ]
        if self.state != CHECKED:
            lines.append(f"not checked: {self.state}")
        elif not lines:
            lines.append("all up to date")
        return "\n".join([head, *lines])


@dataclass(frozen=True)
class PackageCheck:
    """A question that may still be under way; `process` is None when there is nothing to ask."""

    known: Packages
    process: subprocess.Popen[bytes] | None = None
    folder: Path | None = None
    clean_up: ExitStack = field(default_factory=ExitStack)  # removes the folder


@contextmanager
def checking(config: Config) -> Iterator[PackageCheck]:
    """Ask pip beside the body of the `with`, whatever happens in there; pip ends with it."""
    check = start_check(config)
    try:
        yield check
    finally:
        finish_check(check, 0)


def start_check(config: Config) -> PackageCheck:
    """Ask pip in the background, unless it is switched off or was asked within a day.

    Whoever starts a check finishes it, with `finish_check`; better take `checking`.
    """
    if not config.package_check:
        return PackageCheck(Packages(SWITCHED_OFF))
    known = stored(config)
    if known.time is not None and _is_fresh(known.time):
        return PackageCheck(known)
    clean_up = ExitStack()
    folder = clean_up.enter_context(scratch_folder(PACKAGES))
    others = _installed_names() - required_names(REQUIREMENTS.read_text(encoding="utf-8"))
    excludes = [part for name in sorted(others) for part in ("--exclude", name)]
    with (folder / "stdout").open("wb") as out:
        process = subprocess.Popen(  # noqa: S603 - pip of our own interpreter
            [sys.executable, *_PIP, "--log", str(folder / "log"), *excludes],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.DEVNULL,
        )
    return PackageCheck(known, process, folder, clean_up)


def finish_check(check: PackageCheck, seconds: float) -> Packages:
    """The answer of a check, waited for no longer than so many seconds; then pip is stopped.

    Once finished there is no second answer: what was known before is returned.
    """
    folder = check.folder
    if check.process is None or folder is None or not folder.exists():
        return check.known
    with check.clean_up:
        try:
            code = check.process.wait(seconds)
        except subprocess.TimeoutExpired:
            check.process.kill()
            check.process.wait()
            return _unanswered(check.known, UNANSWERED)
        log, answer = folder / "log", folder / "stdout"
        if code or not log.exists():
            return _unanswered(check.known, f"pip failed (exit code {code})")
        if _NOT_FETCHED.search(log.read_text(encoding="utf-8", errors="replace")):
            return _unanswered(check.known, UNREACHABLE)
        return Packages(
            CHECKED, clock.now(), clock.now(), outdated_packages(answer.read_text("utf-8"))
        )


def outdated_packages(answer: str) -> tuple[dict[str, str], ...]:
    """What `pip list --outdated --format json` answered, under this project's names."""
    keys = ("name", "version", "latest_version")
    return tuple(
        {ours: one[theirs] for ours, theirs in zip(_OUTDATED, keys, strict=True)}
        for one in json.loads(answer)
    )


def stored(config: Config) -> Packages:
    """The last answer, as `store` kept it."""
    try:
        raw = atomic_files.read_json(config.packages)
        outdated = tuple({key: str(one[key]) for key in _OUTDATED} for one in raw["outdated"])
        return Packages(str(raw["state"]), _text(raw["time"]), _text(raw["as_of"]), outdated)
    except (DataError, KeyError, TypeError):
        return Packages("never asked")


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def store(config: Config, packages: Packages) -> None:
    """Keep an answer for a day; one that is kept already, or none, is not written."""
    if packages.time is not None and packages != stored(config):
        atomic_files.write_json(config.packages, packages.to_json())


def required_names(requirements: str) -> set[str]:
    """The normalised names (PEP 503) of the packages that the text of a requirements file names."""
    lines = (line.split("#")[0].strip() for line in requirements.splitlines())
    found = (re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line) for line in lines)
    return _normalised(match.group() for match in found if match)


def _installed_names() -> set[str]:
    return _normalised(d.metadata["Name"] for d in metadata.distributions())


def _normalised(names: Iterable[str]) -> set[str]:
    return {re.sub(r"[-_.]+", "-", name).lower() for name in names if name}


def _unanswered(known: Packages, state: str) -> Packages:
    return Packages(state, clock.now(), known.as_of, known.outdated)


def _is_fresh(time: str) -> bool:
    try:
        age = datetime.now(UTC) - datetime.fromisoformat(time)
    except (ValueError, TypeError):
        return False
    return timedelta(0) <= age < FRESH_FOR
