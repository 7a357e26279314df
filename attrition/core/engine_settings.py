"""The setting `engine`: whether the stages run on this machine or on Apache Spark, and how.

Standard library only: the idle check of fullprocess.py also reads the settings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attrition.core.spelling import did_you_mean

LOCAL = "local"
_MASTER = re.compile(
    r"local(\[(\*|\d+)(,\d+)?\])?|local-cluster\[\d+,\d+,\d+\]|spark://[^\s/]+:\d+(,[^\s/]+:\d+)*"
    r"|yarn|k8s://\S+"
)
_KEYS = ("spark", "data", "memory", "python", "patience_seconds", "conf")


@dataclass(frozen=True)
class SparkSettings:
    """How to reach Spark, and where the master data set is stored.

    Attributes:
        master: `spark://host:7077`, `local[2]`, `local-cluster[2,1,1024]`, `yarn`, `k8s://...`.
        data: address of the folder of Parquet files in Spark's notation (`hdfs://`, `s3a://`,
            `file:///`); None: `spark/` in the folder of ingested data.
        memory: of the driver and of each executor in Spark's notation (`4g`); None: its default.
        python: the interpreter on the workers; None: the path of the one that runs the script.
        conf: further settings of Spark, by name.
        patience_seconds: longest wait for the master to accept an application, and again for its
            workers to offer a core.
    """

    master: str
    data: str | None = None
    memory: str | None = None
    python: str | None = None
    conf: tuple[tuple[str, str], ...] = ()
    patience_seconds: float = 60


def parse_engine(value: Any, root: Path) -> SparkSettings | None:
    """Parse the setting; None means this machine.

    Args:
        value: the decoded JSON value.
        root: folder that a relative `data` is relative to.

    Raises:
        ValueError: the setting is wrong; the message says what was expected.
    """
    if value == LOCAL:
        return None
    if not isinstance(value, dict) or "spark" not in value:
        raise ValueError('"local", or an object such as {"spark": "spark://host:7077"}')
    if unknown := sorted(map(str, value.keys() - set(_KEYS))):
        hint = did_you_mean(unknown[0], _KEYS).removeprefix("; ")
        raise ValueError(
            f"of the keys {', '.join(_KEYS)} only, but not {', '.join(unknown)}"
            + (f" ({hint})" if hint else "")
        )
    master, memory = value["spark"], value.get("memory")
    if not isinstance(master, str) or not _MASTER.fullmatch(master):
        raise ValueError('a master under "spark", such as "spark://host:7077" or "local[2]"')
    if memory is not None and not (isinstance(memory, str) and re.fullmatch(r"\d+[mg]", memory)):
        raise ValueError('a size such as "4g" under "memory"')
    python, conf = _text(value, "python"), _conf(value.get("conf", {}))
    return SparkSettings(master, _data(value, root), memory, python, conf, _patience(value))


def _data(value: dict[str, Any], root: Path) -> str | None:
    data = _text(value, "data")
    if data is None or re.match(r"[a-z][a-z0-9+.-]*:", data):
        return data
    return file_address(root / data)


def file_address(path: Path) -> str:
    """A folder's address for Hadoop: blanks and other characters are not escaped."""
    return f"file://{path.resolve()}"


def _text(value: dict[str, Any], key: str) -> str | None:
    text = value.get(key)
    if text is None or (isinstance(text, str) and text.strip()):
        return text
    raise ValueError(f'text under "{key}"')


def _patience(value: dict[str, Any]) -> float:
    seconds = value.get("patience_seconds", SparkSettings.patience_seconds)
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, int | float)
        or not 1 <= seconds <= 3600
    ):
        raise ValueError('seconds from 1 to 3600 under "patience_seconds"')
    return float(seconds)


def _conf(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict) or not all(
        name.startswith("spark.") and isinstance(text, str) for name, text in value.items()
    ):
        raise ValueError('texts by names that begin with "spark." under "conf"')
    return tuple(sorted(value.items()))
