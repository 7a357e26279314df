"""Has anything changed since the last finished run? Checked every three minutes, so it is cheap.

One digest covers names, sizes and times of change of everything a run depends on. Equal digests
mean that a run would do what the last one did, so it is skipped. If a digest differs although no
content has changed, the run finds that out by content and just takes longer.

Importing this costs next to nothing: no pathlib, typing or logging. The record of the last
finished run lists the files to check, so that `rests` needs no parsed settings either.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sys
import time

from attrition.core import permissions
from attrition.core.paths import PACKAGE, PROJECT

TYPE_CHECKING = False  # as in `typing`, without the cost of importing it
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from attrition.core.config import Config


STATE = "idle_state"  # key of the decision record: the run that wrote it has finished
WAKE_DAY = "wake_day"  # key of that state: on this day a run is due
FAILED_RUN = "failed run"  # in alerts.json: the condition that a run which works ends
MESSAGE = "idle: nothing has changed since the last finished run"
LARGEST_LOG = 1_000_000  # bytes; a run that logs rotates a larger log
# A file changed this recently may change again and keep its time of change, so the next change
# would go unseen. Most file systems have time stamps finer than 0.1 s, some of whole seconds.
_FINE_STAMP_SECONDS = 0.1
_COARSE_STAMP_SECONDS = 2.5
_ATTEMPTS = 3


class Inputs:
    """The state of the inputs at one moment.

    Attributes:
        digest: of names, sizes and times of change.
        settled: False when files keep changing, so that another change may go unseen.
    """

    __slots__ = ("digest", "settled")

    def __init__(self, digest: str, settled: bool) -> None:
        self.digest = digest
        self.settled = settled


def observe_inputs(config: Config) -> Inputs:
    """Take the state of source files, test data, settings and installed software.

    If a file has changed a moment ago, wait that long and take the state again.
    """
    watched, root = _watched(config), str(config.root)
    for _ in range(_ATTEMPTS):
        listing = _listing(watched, root)
        fresh = _freshness(listing, time.time_ns())
        if not fresh:
            break
        time.sleep(fresh)
    return Inputs(_inputs_digest(listing), settled=not fresh)


def is_idle(config: Config, inputs: Inputs) -> bool:
    """Whether nothing has changed since the last finished run."""
    try:
        record = _read_json(str(config.decision))
    except (OSError, ValueError, RecursionError):
        return False
    state = record.get(STATE) if isinstance(record, dict) else None
    if not isinstance(state, dict) or _is_due(state):
        return False
    return state == finished_state(config, inputs, state.get(WAKE_DAY))


def finished_state(config: Config, inputs: Inputs, wake_day: str | None = None) -> dict[str, Any]:
    """The state that a run with these inputs keeps in its decision record, for the next check.

    Args:
        wake_day: on which a run is due even if nothing changes, such as `2026-01-31`.
    """
    state = _state(_watched(config), str(config.root), inputs.digest)
    return state if wake_day is None else {**state, WAKE_DAY: wake_day}


def _is_due(state: dict[str, Any]) -> bool:
    """Whether the day has come (UTC) on which labels that waited may be used, or clients called."""
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time()))
    return WAKE_DAY in state and bool(state[WAKE_DAY] <= day)


def rests(arguments: Sequence[str]) -> bool:
    """The whole idle check, before any slow import.

    Args:
        arguments: those of the process.

    Returns:
        True: nothing has changed and the log says so; there is nothing else to do. False: a whole
        run is needed, which may come to the same result, or report an error.
    """
    permissions.keep_private()
    source = _settings_file(arguments)
    try:
        return source is not None and _rests(source)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False  # a whole run reports the error better


def _settings_file(arguments: Sequence[str]) -> str | None:
    """The settings file of a plain scheduled run; None when there are other arguments."""
    if not arguments:
        return os.path.join(PROJECT, "config.json")
    plain = len(arguments) == 2 and arguments[0] == "--config"
    return os.path.abspath(arguments[1]) if plain else None


def _rests(source: str) -> bool:
    root, settings = os.path.dirname(source), _read_json(source)
    models = os.path.join(root, settings["output_model_path"])
    has_channel = settings.get("alert_webhook") or settings.get("alert_command")
    if has_channel and _owes_alert(f"{models}/alerts.json"):
        return False
    with open(f"{models}/.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        state = _read_json(f"{models}/decision.json")[STATE]
        if _is_due(state):
            return False
        state.pop(WAKE_DAY, None)
        listing = _listing(state["watched"], root)
        if _freshness(listing, time.time_ns()):
            return False
        if state != _state(state["watched"], root, _inputs_digest(listing)):
            return False
        return _log(f"{root}/cron.log")


def _owes_alert(path: str) -> bool:
    """Whether an alert could not be delivered, or a failure that was told has to be ended."""
    if not os.path.exists(path):
        return False
    return any(
        addressee["failed_at"] is not None or FAILED_RUN in addressee["conditions"]
        for addressee in _read_json(path).values()
    )


def _log(log: str) -> bool:
    """Add a line to the log and stderr; False, and no line, when the log is to be rotated."""
    line = time.strftime(f"%Y-%m-%dT%H:%M:%SZ {MESSAGE}\n", time.gmtime())
    with open(log, "a", encoding="utf-8") as stream:
        status = os.fstat(stream.fileno())
        if status.st_size >= LARGEST_LOG:
            return False
        stream.write(line)
    # Under cron stderr is appended to the same file.
    if not os.path.samestat(status, os.fstat(2)):
        sys.stderr.write(f"{MESSAGE}\n")
    return True


def _watched(config: Config) -> dict[str, Any]:
    """The paths to check, relative to the folder of the settings."""
    from attrition.core.releases import LINKED_FILES, MANIFEST, RELEASE_FILES

    live = config.prod_deployment_path / "current"
    outputs = [config.ledger, config.actions, config.final_data, config.open_clients]
    if config.snapshot_column is not None:
        outputs.append(config.unmatured)
    if config.segment_columns:
        outputs.append(config.segment_lists)
    outputs += [live / name for name in (*RELEASE_FILES, MANIFEST)]  # damage wakes it up, too
    models = config.output_model_path
    outputs += [
        config.client_risk,
        config.client_book,
        config.report,
        config.report_pdf,
        config.confusion_matrix,
        config.packages,
        config.ingested_files,
    ]
    outputs += [models / name for name in RELEASE_FILES if name != config.ingested_files.name]
    outputs += [config.prod_deployment_path / name for name in LINKED_FILES]
    # Users may rewrite these at any time, and an idle run may deliver an alert.
    rewritten = [config.api_returns, config.diagnostics, config.alerts]
    return {
        "folders": [
            _relative(path, config) for path in (config.input_folder_path, config.test_data_path)
        ],
        "actions": _relative(config.actions_folder, config),
        "study": config.study_folder and _relative(config.study_folder, config),
        "settings": _relative(config.source, config),
        "outputs": [_relative(path, config) for path in outputs],
        "rewritten": [_relative(path, config) for path in rewritten],
        "history": _relative(config.history, config),
        "live": _relative(live, config),
    }


def _relative(path: os.PathLike[str], config: Config) -> str:
    return os.path.relpath(path, config.root)


def _state(watched: dict[str, Any], root: str, inputs: str) -> dict[str, Any]:
    return {"watched": watched, "inputs": inputs, "outputs": _outputs_digest(watched, root)}


def _listing(watched: dict[str, Any], root: str) -> list[list[Any]]:
    """The stamps of the input files and of the settings."""
    stamps = [stamp for name in watched["folders"] for stamp in _stamps_within(f"{root}/{name}")]
    actions = f"{root}/{watched['actions']}"  # a folder that may be missing
    if os.path.isdir(actions):
        stamps += _stamps_within(actions)
    return [*stamps, *_stamps([f"{root}/{watched['settings']}"])]


def _inputs_digest(listing: list[list[Any]]) -> str:
    return _digest([*listing, *_stamps(_scripts()), *_installed_packages()])


def _outputs_digest(watched: dict[str, Any], root: str) -> str:
    """Digest of the outputs of earlier runs: deleting or replacing one causes a new run."""
    try:
        live = os.readlink(f"{root}/{watched['live']}")
    except OSError:
        live = None
    ends = [_end(f"{root}/{path}", 2) for path in watched["rewritten"]]
    history = bool(_end(f"{root}/{watched['history']}", 1))
    stamps = _stamps(f"{root}/{path}" for path in watched["outputs"])
    if watched["study"] and os.path.isdir(study := f"{root}/{watched['study']}"):
        stamps += _stamps_within(study)
    return _digest([*stamps, live, ends, history])


def _end(path: str, count: int) -> str:
    """The last bytes of a file in hexadecimal; "" where it is missing or empty.

    A file that may be rewritten ends as before, unless it was cut.
    """
    try:
        with open(path, "rb") as stream:
            stream.seek(-count, os.SEEK_END)
            return stream.read().hex()
    except OSError:
        return ""


def _scripts() -> list[str]:
    top = [f"{PROJECT}/{name}" for name in os.listdir(PROJECT)]
    nested = [f"{folder}/{name}" for folder, _, names in os.walk(PACKAGE) for name in names]
    return sorted(path for path in (*top, *nested) if path.endswith(".py"))


def _installed_packages() -> list[str]:
    """Names such as `numpy-2.4.6.dist-info`, which pip creates for each installed package."""
    folders = [path for path in sys.path if path.endswith("site-packages") and os.path.isdir(path)]
    return sorted(
        name for folder in folders for name in os.listdir(folder) if name.endswith(".dist-info")
    )


def _stamps(paths: Iterable[str]) -> list[list[Any]]:
    stamps = []
    for path in paths:
        name = path.rpartition("/")[2]
        try:
            stamps.append(_stamp(name, os.lstat(path)))
        except (FileNotFoundError, NotADirectoryError):
            stamps.append([name, -1, -1, -1, -1])
    return stamps


def _stamps_within(folder: str) -> list[list[Any]]:
    """The stamps of all that is in a folder."""
    with os.scandir(folder) as entries:
        return sorted(_stamp(entry.name, entry.stat(follow_symlinks=False)) for entry in entries)


def _stamp(name: str, status: os.stat_result) -> list[Any]:
    return [name, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _freshness(listing: Iterable[Sequence[Any]], now: int) -> float:
    """Seconds until every stamp is old enough to rely on; 0 when all are."""
    waits = [0.0]
    for _, _, modified, changed, _ in listing:
        coarse = max(modified, changed) % 1_000_000_000 == 0
        window = _COARSE_STAMP_SECONDS if coarse else _FINE_STAMP_SECONDS
        # A stamp in the near future (the clock was set back) is as unreliable.
        if abs(now - changed) < window * 1e9:
            waits.append(window)
    return max(waits)


def _read_json(path: str) -> Any:
    with open(path, encoding="utf-8-sig") as stream:
        return json.load(stream)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
