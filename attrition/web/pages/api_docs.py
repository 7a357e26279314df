"""The OpenAPI document as a page shows it: one entry for each operation, with a call to try.

Values in, values out: a template shows them as they are.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

_METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Parameter:
    """Something that may be asked: its name, where it stands, and what it means."""

    name: str
    place: str
    is_needed: bool
    kind: str
    meaning: str


@dataclass(frozen=True)
class Answer:
    """One of the answers: the status, what it means, and the kinds it comes in."""

    status: str
    meaning: str
    kinds: str


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    anchor: str
    method: str
    path: str
    summary: str
    description: str
    parameters: tuple[Parameter, ...]
    bodies: str
    answers: tuple[Answer, ...]
    call: str


def operations(document: Mapping[str, Any], host: str) -> dict[str, list[Operation]]:
    """The operations by subject (their first tag), in the document's order.

    Args:
        document: an OpenAPI 3.1 document.
        host: where the interface is, such as `http://127.0.0.1:8000`.
    """
    groups: dict[str, list[Operation]] = {}
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                parameters = [*item.get("parameters", ()), *item[method].get("parameters", ())]
                described = {**item[method], "parameters": parameters}
                operation = _operation(document, (method, host, path), described)
                subject = (described.get("tags") or [""])[0]
                groups.setdefault(subject, []).append(operation)
    return groups


def _operation(
    document: Mapping[str, Any], location: tuple[str, str, str], item: Mapping[str, Any]
) -> Operation:
    method, host, path = location
    contents = _resolved(document, item.get("requestBody", {})).get("content", {})
    anchor = f"{method}-{path.strip('/')}"
    parameters = [_resolved(document, parameter) for parameter in item["parameters"]]
    needed = {each["name"]: each.get("example") for each in parameters if each["in"] == "path"}
    answers = item.get("responses", {}).items()
    return Operation(
        anchor="".join(letter if letter.isalnum() else "-" for letter in anchor),
        method=method.upper(),
        path=path,
        summary=item.get("summary", ""),
        description=item.get("description", ""),
        parameters=tuple(_parameter(document, parameter) for parameter in parameters),
        bodies=", ".join(contents),
        answers=tuple(_answer(status, _resolved(document, answer)) for status, answer in answers),
        call=_call(method, f"{host}{_path(path, needed)}", _example(document, contents)),
    )


def _parameter(document: Mapping[str, Any], item: Mapping[str, Any]) -> Parameter:
    return Parameter(
        name=item["name"],
        place=item["in"],
        is_needed=item.get("required", False),
        kind=_kind(_resolved(document, item.get("schema", {}))),
        meaning=item.get("description", ""),
    )


def _answer(status: str, item: Mapping[str, Any]) -> Answer:
    return Answer(status, item.get("description", ""), ", ".join(item.get("content", {})))


def _kind(schema: Mapping[str, Any]) -> str:
    """A schema in a few words."""
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"] if value != "")
    kind = schema.get("type", "")
    if kind == "array":
        of_each = schema.get("items", {})
        return (
            f"some of {_kind(of_each)}"
            if "enum" in of_each
            else f"any number of {of_each['type']}s"
        )
    text = " or ".join(kind) if isinstance(kind, list) else str(kind)
    if "minimum" in schema and "maximum" in schema:
        text += f", {schema['minimum']:,} to {schema['maximum']:,}"
    return f"{text}, usually {json.dumps(schema['default'])}" if "default" in schema else text


def _example(document: Mapping[str, Any], contents: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first example of a body: its kind, and the text to send."""
    for kind, content in contents.items():
        schema = _resolved(document, content.get("schema", {}))
        named = [_resolved(document, each) for each in content.get("examples", {}).values()]
        values = [content.get("example"), *(each.get("value") for each in named)]
        values += [schema.get("example"), *schema.get("examples", [])]
        for value in values:
            if value is not None:
                return kind, value if isinstance(value, str) else json.dumps(value)
    return None


def _path(path: str, needed: Mapping[str, Any]) -> str:
    """A path with an example in place of each parameter that has one."""
    for name, example in needed.items():
        if example is not None:
            path = path.replace(f"{{{name}}}", quote(str(example), safe=""))
    return path


def _call(method: str, url: str, example: tuple[str, str] | None) -> str:
    """A command to try."""
    words = ["curl"] if method == "get" else ["curl", "-X", method.upper()]
    if example is None:
        return shlex.join([*words, url])
    kind, text = example
    return (
        f"{shlex.join([*words, url])} \\\n"
        f"     -H {shlex.quote(f'Content-Type: {kind}')} -d {shlex.quote(text)}"
    )


def _resolved(document: Mapping[str, Any], item: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a reference within the document stands for; anything else is itself."""
    while "$ref" in item:
        part_of_document: Any = document
        for part in item["$ref"].removeprefix("#/").split("/"):
            part_of_document = part_of_document[part.replace("~1", "/").replace("~0", "~")]
        item = part_of_document
    return item
