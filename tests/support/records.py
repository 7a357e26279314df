"""Decision records for tests, of which only what matters is written down; half a history."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from attrition.core import plain_values
from attrition.monitoring.record import DecisionRecord
from tests.support.releases import NOW

T = TypeVar("T")


def decision_record(**parts: Any) -> DecisionRecord:
    """A run that kept its model, but for these parts of its JSON."""
    return DecisionRecord.from_json(decision_json(**parts))


def decision_json(**parts: Any) -> dict[str, Any]:
    """The same as plain values."""
    plain = {"time": NOW, "verdict": "kept", "reason": "no", **parts}
    told = plain.get("warnings", [])
    plain["warnings"] = [{"text": one} if isinstance(one, str) else one for one in told]
    return dict(_filled(DecisionRecord, plain))


def texts(warnings: list[dict[str, str]]) -> list[str]:
    """What the warnings of a record's JSON say."""
    return [warning["text"] for warning in warnings]


def made(kind: type[T], **parts: Any) -> T:
    """A value of a record, but for these parts of its JSON zero or empty."""
    return plain_values.from_json(kind, _filled(kind, parts))


def _filled(hint: Any, plain: Any) -> Any:
    """Plain values with a zero for whatever they lack and must have."""
    arguments = get_args(hint)
    if plain is None:
        return None
    if get_origin(hint) is UnionType:
        return _filled(next(kind for kind in arguments if kind is not NoneType), plain)
    if get_origin(hint) is tuple and arguments[-1] is Ellipsis:
        return [_filled(arguments[0], item) for item in plain]
    if get_origin(hint) is Mapping:
        return {key: _filled(arguments[1], item) for key, item in plain.items()}
    if not is_dataclass(hint):
        return plain
    hints, filled = get_type_hints(hint), dict(plain)
    for item in fields(hint):
        if item.name in plain:
            filled[item.name] = _filled(hints[item.name], plain[item.name])
        elif item.default is MISSING and item.default_factory is MISSING:
            filled[item.name] = _zero(hints[item.name])
    return filled


def _zero(hint: Any) -> Any:
    kind = get_origin(hint) or hint
    if kind is UnionType:
        return None
    if is_dataclass(kind):
        return _filled(kind, {})
    if issubclass(kind, Enum):
        return next(iter(kind)).value
    return [] if kind is tuple else {} if kind is Mapping else kind()


def half_written(path: Path, copy: Path) -> None:
    """Copy a history amid a large transaction, its journal beside it: so a full disk leaves it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA cache_size = 1")  # so that pages go to the file before the end
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE runs SET run_id = 'nobody' WHERE number = 1")
        writer.execute("CREATE TABLE ballast (filling BLOB)")
        for _ in range(500):
            writer.execute("INSERT INTO ballast VALUES (zeroblob(4000))")
        for end in ("", "-journal"):
            Path(f"{copy}{end}").write_bytes(Path(f"{path}{end}").read_bytes())
