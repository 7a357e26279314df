"""Has anything changed since the last finished run? Asked every three minutes, so it must be cheap.

Standard library only: names, sizes and times of change of everything a run depends on, in one
digest. Equal digests mean that a run would do what the last one did, so it need not be done.
Should a digest ever differ for nothing, the run decides by content and just takes longer.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from attrition import files
from attrition.config import Config
from attrition.errors import DataError

STATE = "idle_state"  # key of the decision record: the run that wrote it has finished
# A file changed this shortly ago may change again without another time of change: its next
# change would go unseen. Most file systems stamp finer than 0.1 s, some in whole seconds.
_FINE_STAMP_SECONDS = 0.1
_COARSE_STAMP_SECONDS = 2.5
_LOOKS = 3

Stamp = tuple[str, int, int, int, int]


@dataclass(frozen=True)
class Inputs:
    """What stood in the input folders at one moment.

    `settled` is False when files go on changing, so that another change may go unseen.
    """

    digest: str
    settled: bool


def observe_inputs(config: Config) -> Inputs:
    """Look at the source files, the test data, the settings and the installed software.

    Should a file have changed a moment ago, the moment is waited out, and everything looked at
    again.
    """
    for _ in range(_LOOKS):
        listing = [
            *_folder_stamps(config.input_folder_path),
            *_folder_stamps(config.test_data_path),
            *_stamps([config.source]),
        ]
        fresh = _freshness(listing, time.time_ns())
        if not fresh:
            break
        time.sleep(fresh)
    digest = _digest([*listing, *_stamps(_scripts()), *_installed_packages()])
    return Inputs(digest, settled=not fresh)


def is_idle(config: Config, inputs: Inputs) -> bool:
    """Whether nothing has changed since the last finished run."""
    try:
        record = files.read_json(config.decision)
    except DataError:
        return False
    state = record.get(STATE) if isinstance(record, dict) else None
    return state is not None and state == finished_state(config, inputs)


def finished_state(config: Config, inputs: Inputs) -> dict[str, str]:
    """What the decision record of a run that began with these inputs keeps, for `is_idle`."""
    return {"inputs": inputs.digest, "outputs": _outputs_digest(config)}


def _outputs_digest(config: Config) -> str:
    """What earlier runs left; whoever deletes or replaces one of these wakes the pipeline up."""
    outputs = [config.ledger, config.final_data, config.open_clients]
    live = config.prod_deployment_path / "current"
    outputs += [live / name for name in (*files.RELEASE_FILES, files.MANIFEST)]
    return _digest([*_stamps(outputs), files.live_release_id(config.prod_deployment_path)])


def _scripts() -> list[Path]:
    folder = Path(__file__).resolve().parent.parent
    return [*sorted(folder.glob("*.py")), *sorted(folder.glob("attrition/*.py"))]


def _installed_packages() -> list[str]:
    """Names such as `numpy-2.4.6.dist-info`: what pip leaves beside each installed package."""
    folders = [Path(path) for path in sys.path if path.endswith("site-packages")]
    return sorted(
        found.name for folder in folders if folder.is_dir() for found in folder.glob("*.dist-info")
    )


def _folder_stamps(folder: Path) -> list[Stamp]:
    with os.scandir(folder) as entries:
        return sorted(_stamp(entry.name, entry.stat(follow_symlinks=False)) for entry in entries)


def _stamps(paths: Iterable[Path]) -> list[Stamp]:
    stamps = []
    for path in paths:
        try:
            stamps.append(_stamp(path.name, path.lstat()))
        except FileNotFoundError:
            stamps.append((path.name, -1, -1, -1, -1))
    return stamps


def _stamp(name: str, status: os.stat_result) -> Stamp:
    return (name, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _freshness(listing: Iterable[Stamp], now: int) -> float:
    """Seconds until every stamp is old enough to be relied on; 0 when all are."""
    waits = [0.0]
    for _, _, modified, changed, _ in listing:
        coarse = max(modified, changed) % 1_000_000_000 == 0
        window = _COARSE_STAMP_SECONDS if coarse else _FINE_STAMP_SECONDS
        # A stamp from the near future (a clock set back) is as little to be relied on.
        if abs(now - changed) < window * 1e9:
            waits.append(window)
    return max(waits)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
