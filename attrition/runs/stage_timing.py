"""Times a fresh ingestion and training as separate processes, without changing their outputs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from attrition.core.config import FOLDER_KEYS, Config
from attrition.core.errors import PipelineError
from attrition.core.paths import PROJECT
from attrition.core.scratch import scratch_folder

STAGES = ("ingestion", "training")
SCRIPTS = Path(PROJECT)


def measure(config: Config) -> dict[str, float]:
    """Time a fresh ingestion and training as separate processes, start-up included.

    They write to a temporary folder; the folders of the settings are not changed.

    Returns:
        stage -> seconds.

    Raises:
        PipelineError: a stage failed; the message ends with its last line.
    """
    seconds = {}
    with scratch_folder() as folder:
        settings = _temporary_settings(config, folder)
        for stage in STAGES:
            script = SCRIPTS / f"{stage}.py"
            start = time.perf_counter()
            done = subprocess.run(  # noqa: S603 - our own script, under our own interpreter
                [sys.executable, str(script), "--config", str(settings)],
                cwd=folder,
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                check=False,
            )
            seconds[stage] = round(time.perf_counter() - start, 3)
            if done.returncode:
                (last_line,) = done.stderr.strip().splitlines()[-1:] or ["no message"]
                raise PipelineError(f"{stage} failed while being measured: {last_line}")
    return seconds


def _temporary_settings(config: Config, folder: Path) -> Path:
    """Write settings with the same inputs and with outputs in the folder; return their path."""
    raw = json.loads(config.source.read_text(encoding="utf-8-sig"))
    for key in FOLDER_KEYS:
        if key in ("input_folder_path", "test_data_path"):
            raw[key] = str(getattr(config, key))
        else:
            raw[key] = key
            (folder / key).mkdir()
    if isinstance(raw.get("engine"), dict):
        raw["engine"].pop("data", None)  # the master data set is an output, too
    path = folder / "config.json"
    path.write_text(json.dumps(raw), encoding="utf-8")
    return path
