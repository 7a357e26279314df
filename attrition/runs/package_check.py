"""Asks pip which packages named in requirements.txt have newer versions.

pip asks an index over the network, which may be slow: it runs in a child process beside the work,
at most once a day (for a run from a day after the installation on), and no run waits long for it.
It runs in a folder of its own and imports nothing from there, so a `pip.py` or `token.py` in the
folder that the script was started from is not run.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path

from attrition.core import atomic_files, clock, plain_values
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
JUST_INSTALLED = "installed within a day"

_PIP = tuple(
    "-P -m pip list --outdated --format json --disable-pip-version-check --no-input "
    "--retries 0 --timeout 5".split()
)
# pip continues without an index it cannot reach and says so only in its log; a 404 is an answer.
_NOT_FETCHED = re.compile(r"Could not fetch URL (?!.*\b404\b)")


@dataclass(frozen=True)
class Outdated:
    """A package of which there is a newer version."""

    name: str
    current_version: str
    latest_version: str


@dataclass(frozen=True)
class Packages:
    """The known newer versions.

    `outdated` is as known at `as_of`, the time of the last answer (None: there was none); `time` is
    the time of the last check.
    """

    state: str
    time: str | None = None
    as_of: str | None = None
    outdated: tuple[Outdated, ...] = ()

    def describe(self) -> str:
        """The state as a table for a terminal of 80 columns."""
        head = f"{'PACKAGES':<30}{'installed':>14}{'latest':>14}"
        lines = [
            f"{package.name[:29]:<30}{package.current_version:>14}{package.latest_version:>14}"
            for package in self.outdated
        ]
        if self.state != CHECKED:
            lines.append(f"not checked: {self.state}")
        elif not lines:
            lines.append("all up to date")
        return "\n".join([head, *lines])


@dataclass(frozen=True)
class PackageCheck:
    """A check that may still be running; `process` is None when no check is needed."""

    known: Packages
    process: subprocess.Popen[bytes] | None = None
    folder: Path | None = None
    clean_up: ExitStack = field(default_factory=ExitStack)  # removes the folder


@contextmanager
def checking(config: Config) -> Iterator[PackageCheck]:
    """Run pip beside the body of the `with`; pip ends with the body, even after an error."""
    check = start_check(config)
    try:
        yield check
    finally:
        finish_check(check, 0)


def checking_daily(config: Config) -> AbstractContextManager[PackageCheck]:
    """The same for a run, which does not ask at first of what was installed within a day."""
    is_known = stored(config).time is not None
    if config.package_check and not is_known and _is_fresh(installed_at()):
        return nullcontext(PackageCheck(Packages(JUST_INSTALLED)))
    return checking(config)


def installed_at() -> str:
    """When a package was last added to the environment, ISO 8601."""
    changed = Path(sysconfig.get_path("purelib")).stat().st_mtime
    return datetime.fromtimestamp(changed, UTC).isoformat()


def start_check(config: Config) -> PackageCheck:
    """Start pip in the background, unless the check is switched off or was done within a day.

    The caller must finish the check with `finish_check`; `checking` does both.
    """
    if not config.package_check:
        return PackageCheck(Packages(SWITCHED_OFF))
    known = stored(config)
    if known.time is not None and _is_fresh(known.time):
        return PackageCheck(known)
    clean_up = ExitStack()
    folder = clean_up.enter_context(scratch_folder(PACKAGES))
    installed = _normalised(one.metadata["Name"] for one in metadata.distributions())
    others = installed - required_names(REQUIREMENTS.read_text(encoding="utf-8"))
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
    """Wait at most so many seconds for the result of a check, then stop pip.

    A second call returns what was known before the check.
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


def outdated_packages(answer: str) -> tuple[Outdated, ...]:
    """Parse the output of `pip list --outdated --format json`."""
    return tuple(
        Outdated(one["name"], one["version"], one["latest_version"]) for one in json.loads(answer)
    )


def stored(config: Config) -> Packages:
    """The last result that `store` saved."""
    try:
        return plain_values.from_json(Packages, atomic_files.read_json(config.packages))
    except DataError:
        return Packages("never asked")


def store(config: Config, packages: Packages) -> None:
    """Save a result for a day, unless it is already saved or there was no check."""
    if packages.time is not None and packages != stored(config):
        atomic_files.write_json(config.packages, plain_values.to_json(packages))


def required_names(requirements: str) -> set[str]:
    """The normalised names (PEP 503) of the packages in the text of a requirements file."""
    lines = (line.split("#")[0].strip() for line in requirements.splitlines())
    matches = (re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line) for line in lines)
    return _normalised(match.group() for match in matches if match)


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
