"""Times a fresh ingestion and training, as processes of their own, and touches nothing of them."""

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
    """Time a fresh ingestion and training as processes of their own, start-up included.

    Everything they write goes to a temporary folder; the folders of the settings stay untouched.

    Returns:
        stage -> seconds.

    Raises:
        PipelineError: a stage failed; with what it said.
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
                said = done.stderr.strip().splitlines()[-1:] or ["no word"]
                raise PipelineError(f"{stage} failed while being measured: {said[0]}")
    return seconds


def _temporary_settings(config: Config, folder: Path) -> Path:
    """The same settings, reading the same inputs and writing into the folder."""
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
