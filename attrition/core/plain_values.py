"""Frozen dataclasses as plain values for JSON, and back: what is read is checked by its type hints.

An unknown key is ignored; one that is missing, or null, takes its default where it has one. What
is of another type than the hint says is refused, as a number that is not finite is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from attrition.core.errors import DataError

T = TypeVar("T")
Reader = Callable[[Any], Any]


def to_json(value: Any) -> Any:
    """The same in dicts, lists, texts and numbers; the keys of a dataclass in its fields' order."""
    if is_dataclass(value):
        return {item.name: to_json(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value.value if isinstance(value, Enum) else value


def from_json(kind: type[T], value: Any) -> T:
    """What `to_json` wrote of a dataclass of this kind.

    Raises:
        DataError: a value is missing, or of another type.
    """
    try:
        return cast(T, _reader(cast(Hashable, kind))(value))
    except ValueError as error:
        raise DataError(str(error)) from None


@cache
def _reader(kind: Any) -> Reader:
    """Reads a value of one type hint."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is UnionType:
        (inner,) = (argument for argument in arguments if argument is not NoneType)
        read = _reader(inner)
        return lambda value: None if value is None else read(value)
    if origin is tuple:
        return _list_reader(arguments)
    if origin in {dict, Mapping}:
        return _mapping_reader(*arguments)
    if is_dataclass(kind):
        return _object_reader(kind)
    if issubclass(kind, Enum):
        return lambda value: kind(_checked(str, value))
    return lambda value: _checked(kind, value)


def _checked(kind: Any, value: Any) -> Any:
    """A text, a number, a truth value; a whole number may stand for a fraction."""
    if type(value) is int:
        number = float(value)  # an overflow, too, is a number that nobody can show
        value = number if kind is float else value
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise ValueError(f"expected {kind.__name__}, found {str(value)[:60]!r}")
    return value


def _list_reader(kinds: tuple[Any, ...]) -> Reader:
    """Reads `tuple[X, ...]`, or a tuple of so many values."""
    if kinds[-1] is Ellipsis:
        read = _reader(kinds[0])
        return lambda value: tuple([read(item) for item in _checked(list, value)])
    readers = [_reader(kind) for kind in kinds]
    return lambda value: tuple(
        [read(item) for read, item in zip(readers, _checked(list, value), strict=True)]
    )


def _mapping_reader(key_kind: Any, kind: Any) -> Reader:
    """Reads a JSON object whose keys are data: texts, numbers or members of an enum."""
    read = _reader(kind)

    def read_all(value: Any) -> dict[Any, Any]:
        return {key_kind(key): read(item) for key, item in _checked(dict, value).items()}

    return read_all


def _object_reader(kind: Any) -> Reader:
    """Reads a dataclass; an error names the field."""
    hints = get_type_hints(kind)
    readers = {item.name: _reader(hints[item.name]) for item in fields(kind)}
    required = {
        item.name
        for item in fields(kind)
        if item.default is MISSING and item.default_factory is MISSING
    }

    def read(value: Any) -> Any:
        given, values = _checked(dict, value), {}
        for name, read_field in readers.items():
            item = given.get(name)
            if item is None and name not in required:
                continue
            try:
                values[name] = read_field(item)
            except (ValueError, OverflowError) as error:
                raise ValueError(f"{name}: {error}") from None
        return kind(**values)

    return read
