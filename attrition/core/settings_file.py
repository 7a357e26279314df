"""Writing `config.json`: all of the new file or none of it, and the old one is kept.

Standard library only.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attrition.core import atomic_files
from attrition.core.config import BY_PROFIT, FOLDER_KEYS
from attrition.core.config_parsing import parse_config, read_settings
from attrition.core.errors import ConfigError


@dataclass(frozen=True)
class Written:
    """The result of writing a settings file.

    Attributes:
        path: the file itself, links followed.
        is_new: whether its content changed.
        backup: where the old content is kept; None where there was none, or nothing changed.
        kept: keys whose values come from the old file.
        problem: why the old file could not be used; None: it could.
    """

    path: Path
    is_new: bool
    backup: Path | None
    kept: tuple[str, ...]
    problem: str | None


def replace_settings(path: Path, settings: Mapping[str, Any]) -> Written:
    """Replace settings of these keys in a file; its folders and other keys stay.

    The old file stays beside it as `config.json.bak`; an older one of that name is renamed
    to `.bak.1`, `.bak.2`, ... first.

    Args:
        path: the settings file, which may be missing; a link stays a link.
        settings: key -> value; its folders count only where the old file names none.

    Raises:
        ConfigError: the new settings would not be valid.
        OSError: the folder cannot be written to, or the disk is full; the old file is unchanged.
    """
    path = path.resolve()
    old, problem = _old_settings(path)
    folders = {key: old[key] for key in FOLDER_KEYS if key in old}
    others = {key: value for key, value in old.items() if key not in settings}
    new = _without_strange_columns({**settings, **folders, **others}, path)
    parse_config(new, path)
    text = atomic_files.json_text(new)
    kept = tuple(key for key in others if key in new) + tuple(
        key for key in folders if folders[key] != settings.get(key)
    )
    if path.exists() and path.read_bytes() == text.encode():
        return Written(path, False, None, kept, problem)
    backup = path.with_name(f"{path.name}.bak") if path.exists() else None
    for left in path.parent.glob(
        f"{atomic_files.TEMPORARY_PREFIX}*-{path.name}"
    ):  # by a killed run
        left.unlink()
    with atomic_files.replacing(path) as temporary:
        if backup is not None:
            # The old file may hold a secret address.
            temporary.touch(mode=0o600)
            shutil.copymode(path, temporary)
        temporary.write_text(text, encoding="utf-8")
        if backup is not None:
            _keep(path, backup)
    return Written(path, True, backup, kept, problem)


# What is only said of clients with a value.
_OF_VALUES = ("rank_by", "contact_cost", "offer_share", "offer_cost", "success_rate")


def _without_strange_columns(settings: dict[str, Any], path: Path) -> dict[str, Any]:
    """The settings without what they say of columns that they do not name: of an earlier table."""
    labels, levers = settings.pop("labels", {}), settings.pop("levers", [])
    monotone = settings.pop("monotone", {})
    if settings.get("value_column") is None:
        for key in _OF_VALUES:
            settings.pop(key, None)
        if settings.get("high_risk_threshold") == BY_PROFIT:
            del settings["high_risk_threshold"]
    config = parse_config(settings, path)
    kept = {
        "labels": {key: label for key, label in labels.items() if key in config.stored_columns},
        "levers": [column for column in levers if column in config.numeric_columns],
        "monotone": {key: way for key, way in monotone.items() if key in config.numeric_columns},
    }
    return {**settings, **{key: value for key, value in kept.items() if value}}


def _old_settings(path: Path) -> tuple[dict[str, Any], str | None]:
    """A file's settings, or none and the reason it cannot be used; a missing file has none."""
    if not path.exists():
        return {}, None
    try:
        old = read_settings(path)
        parse_config(old, path)
    except ConfigError as error:
        return {}, str(error)
    return old, None


def _keep(path: Path, backup: Path) -> None:
    """Give a file a second name, under which it stays when the first name is replaced."""
    if backup.exists():
        if backup.samefile(path):  # done by a killed run
            return
        number = 1
        while backup.with_name(f"{backup.name}.{number}").exists():
            number += 1
        backup.rename(backup.with_name(f"{backup.name}.{number}"))
    try:
        os.link(path, backup)
    except OSError:  # a file system without links
        shutil.copy2(path, backup)
