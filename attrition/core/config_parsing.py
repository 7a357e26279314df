"""Reads `config.json`, checks each value's form, and makes the frozen `Config` of it.

Standard library only: the idle check of fullprocess.py also reads the settings.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from attrition.core.config import (
    BY_PROFIT,
    DECREASING,
    DEFAULT_CONFIG_PATH,
    DIRECTIONS,
    FOLDER_KEYS,
    INCREASING,
    MEASURED,
    PROMOTIONS,
    RANK_BY,
    Config,
)
from attrition.core.config_checks import check_config
from attrition.core.engine_settings import parse_engine
from attrition.core.errors import ConfigError
from attrition.core.labels import LabelError, parse_labels
from attrition.core.spelling import did_you_mean

LARGEST_WHOLE = 2**31 - 1  # what a seed of numpy and an integer of a database hold


def load_config(path: Path | None = None) -> Config:
    """Read and check the settings file.

    Args:
        path: the file; None means `config.json` beside the scripts, whatever the current directory.

    Returns:
        The settings; every folder is absolute and exists.

    Raises:
        ConfigError: the file is missing or no JSON object, a key is unknown, missing or of a wrong
            type or range, columns contradict each other, or a folder does not exist.
    """
    source = (path or DEFAULT_CONFIG_PATH).absolute()
    config = parse_config(read_settings(source), source)
    folders = [getattr(config, key) for key in FOLDER_KEYS]
    for key, folder in zip(FOLDER_KEYS, folders, strict=True):
        if not folder.is_dir():
            others = {path for path in folder.parent.glob("*") if path.is_dir()} - {*folders}
            hint = did_you_mean(folder.name, sorted(path.name for path in others))
            advice = hint or f"; create it with: mkdir -p '{folder}'"
            raise ConfigError(
                f"{source}: {key}: expected an existing folder, found nothing at {folder}{advice}"
            )
    if config.actions_folder.exists() and not config.actions_folder.is_dir():
        raise ConfigError(
            f"{source}: actions_folder_path: expected a folder or nothing at "
            f"{config.actions_folder}, found a file"
        )
    return config


def read_settings(source: Path) -> dict[str, Any]:
    """Decode a settings file without checking its content.

    Raises:
        ConfigError: the file is missing or no JSON object.
    """
    try:
        text = source.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{source}: no such settings file; name one with --config PATH") from None
    except IsADirectoryError:
        raise ConfigError(
            f"{source}: a folder; name the settings file in it: "
            f"--config {source / DEFAULT_CONFIG_PATH.name}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source}: cannot be read as UTF-8 text ({error})") from None
    try:
        raw = json.loads(text, object_pairs_hook=_refuse_doubled_keys)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{source}: not valid JSON ({error})") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{source}: expected a JSON object, found {_describe(raw)}")
    return raw


def parse_config(raw: dict[str, Any], source: Path) -> Config:
    """Check settings and make a `Config` of them; touches no file.

    Args:
        raw: the decoded JSON object.
        source: absolute path of the settings file; relative folders are relative to its folder.

    Raises:
        ConfigError: as `load_config`, except for folders that do not exist.
    """
    known = {field.name: field for field in fields(Config) if field.name != "source"}
    for key in raw:
        if key not in known:
            hint = did_you_mean(key, known) or f"; known keys: {', '.join(known)}"
            raise ConfigError(f"{source}: unknown key {key!r}{hint}")
    for key in FOLDER_KEYS:
        if key not in raw:
            raise ConfigError(f"{source}: {key}: missing; expected the path of a folder")
    values: dict[str, Any] = {}
    for key, value in raw.items():
        try:
            values[key] = _convert(key, str(known[key].type), value, source.parent)
        except ValueError as error:
            wrong = error.label if isinstance(error, LabelError) else _without_secret(key, value)
            raise ConfigError(
                f"{source}: {key}: expected {error}, found {_describe(wrong)}"
            ) from None
    config = Config(**values, source=source)
    check_config(config)
    return config


def _convert(key: str, kind: str, value: Any, root: Path) -> Any:
    """Convert a value to its field's type; a ValueError's text says what was expected."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("characters that a file can hold, no half of one") from None
    if value is None and kind in ("Path | None", "int | None"):
        return None
    if kind.startswith("Path"):
        if not isinstance(value, str) or not value or "\0" in value:
            raise ValueError("the path of a folder as text")
        return (root / value).resolve()
    if kind == "tuple[str, ...]":
        return _convert_names(key, value)
    if key == "engine":
        return parse_engine(value, root)
    if key in _OWN_FORMS:
        return _OWN_FORMS[key](value)
    if kind == "bool":
        if not isinstance(value, bool):
            raise ValueError("true or false")
        return value
    if kind.startswith("int"):
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if not is_whole or not 1 <= value <= LARGEST_WHOLE:
            at_most = f" and at most {LARGEST_WHOLE}" if is_whole and value > 1 else ""
            raise ValueError(f"a whole number of at least 1{at_most}{' or null' * (kind != 'int')}")
        return value
    if kind.startswith("float"):
        return _convert_fraction(key, kind, value)
    return _convert_text(key, kind, value)


# Numbers other than a fraction between 0 and 1: whether one is allowed, and what is expected.
_NUMBERS: dict[str, tuple[Callable[[float], bool], str]] = {
    "test_share": (lambda value: 0 <= value < 0.5, "a fraction of at least 0 and below 0.5"),
    "promotion_margin": (lambda value: 0 <= value < 1, "a number of at least 0 and below 1"),
    "holdout_share": (
        lambda value: 0 <= value <= 0.5,
        "a fraction from 0 (nobody is held out) to 0.5",
    ),
    "contact_cost": (lambda value: value >= 0, "a number of at least 0 or null"),
    "offer_share": (lambda value: 0 <= value < 1, "a fraction of at least 0 and below 1"),
    "offer_cost": (lambda value: value >= 0, "a number of at least 0"),
}


def _convert_fraction(key: str, kind: str, value: Any) -> float | str | None:
    if value is None and "None" in kind:
        return None
    if value == BY_PROFIT and "str" in kind:
        return BY_PROFIT
    usual = "a fraction between 0 and 1" + " or null" * ("None" in kind)
    usual += f', or "{BY_PROFIT}"' * ("str" in kind)
    is_allowed, expected = _NUMBERS.get(key, (lambda number: 0 < number < 1, usual))
    if not _is_number(value) or not is_allowed(value):
        raise ValueError(expected)
    return float(value)


def _convert_success_rate(value: Any) -> float | tuple[float, float] | str | None:
    if value is None or value == MEASURED:
        return None if value is None else MEASURED
    if _is_number(value) and 0 < value <= 1:
        return float(value)
    if isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)):
        low, high = map(float, value)
        if 0 < low < high < 1:
            return low, high
    raise ValueError(f'a fraction above 0, a range of two such as [0.1, 0.3], "{MEASURED}" or null')


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) <= sys.float_info.max


def _convert_names(key: str, value: Any) -> tuple[str, ...]:
    expected = 'a list of "html" and "pdf"' if key == "reports" else "a list of names"
    if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
        raise ValueError(expected)
    if key == "reports" and not {"html", "pdf"}.issuperset(value):
        raise ValueError(expected)
    return tuple(value)


def _convert_text(key: str, kind: str, value: Any) -> str | None:
    if value is None and kind == "str | None":
        return None
    if key in ("positive_label", "negative_label") and isinstance(value, int | float):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if not isinstance(value, str) or not value.strip():
        raise ValueError("text" + (" or null" if kind == "str | None" else ""))
    if key == "promotion" and value not in PROMOTIONS:
        raise ValueError('"automatic" or "propose"')
    if key == "rank_by" and value not in RANK_BY:
        raise ValueError('"risk", "value at risk" or "profit"')
    if key == "memory_limit" and not _is_memory_size(value):
        raise ValueError('a size such as "3GB"')
    if key == "alert_webhook" and not _is_web_address(value):
        raise ValueError("an http or https address without user and password, or null")
    return value


def _convert_command(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    is_command = isinstance(value, list) and all(
        isinstance(word, str) and "\0" not in word for word in value
    )
    if not is_command or not value or not value[0].strip():
        raise ValueError("a command as a list of words, or null")
    return tuple(value)


def _convert_monotone(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(word in DIRECTIONS for word in value.values()):
        raise ValueError(f'an object: for each column "{INCREASING}" or "{DECREASING}"')
    return dict(value)


# Settings that have a form of their own.
_OWN_FORMS: dict[str, Callable[[Any], Any]] = {
    "alert_command": _convert_command,
    "labels": parse_labels,
    "monotone": _convert_monotone,
    "success_rate": _convert_success_rate,
}


def _is_web_address(text: str) -> bool:
    """Whether a text is an http or https address with a host and valid characters only.

    User and password are not allowed: Python would take them for part of the host.
    """
    match = re.fullmatch(r"https?://(?:[^/?#@:\[\]]+|\[[^\]]+\])(?::\d+)?(?:[/?#].*)?", text)
    return match is not None and text.isascii() and text.isprintable() and " " not in text


def _is_memory_size(text: str) -> bool:
    number, unit = text[:-2].strip(), text[-2:]
    return unit in ("MB", "GB") and number.isascii() and number.isdigit() and int(number) > 0


def _refuse_doubled_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"the key {key!r} occurs twice")
    return dict(pairs)


def _without_secret(key: str, value: Any) -> Any:
    """A value that may be shown: a webhook's address is often a secret."""
    return f"{value[:8]}..." if key == "alert_webhook" and isinstance(value, str) else value


def _describe(value: Any) -> str:
    """A value as JSON text of at most 60 characters."""
    text = json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace").decode()
    return text if len(text) <= 60 else text[:57] + "..."
