"""Values that a person typed, as what a data schema says they are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from labthings_fastapi.thing_description.units import unit_text, without_unit

Schema = Mapping[str, Any]

_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")
_NAMES = {
    "number": "a number",
    "integer": "a whole number",
    "string": "a text",
    "boolean": "true or false",
    "array": "a list, such as 1,2 or [1, 2]",
    "object": "a JSON object",
    "null": "null",
}
_SIGNS = (
    ("minimum", "≥"),
    ("exclusiveMinimum", ">"),
    ("maximum", "≤"),
    ("exclusiveMaximum", "<"),
)
_NOT_FINITE = {
    "nan": "NaN",
    "inf": "Infinity",
    "infinity": "Infinity",
    "-inf": "-Infinity",
    "-infinity": "-Infinity",
}


class ValueTextError(ValueError):
    """A text is no value of what it was given for; the message says what is expected."""


def value_of(text: str, schema: Any, name: str) -> Any:
    """Return the JSON value that a text stands for.

    "3" is a number where the schema says so, and stays a text where it says that. A number may be
    followed by the unit of the schema, as in "3 mm".

    Raises:
        ValueTextError: it is no such value.
    """
    found: Schema = schema if isinstance(schema, Mapping) else {}
    branches = list(_branches(found))
    for value in _candidates(text, found, branches, name):
        return value
    raise ValueTextError(f"{name}: {text!r} is not {expected(found)}.")


def expected(schema: Any) -> str:
    """Say which values a schema describes, with the unit and the limits."""
    found: Schema = schema if isinstance(schema, Mapping) else {}
    choices = enum_values(found)
    kinds = [branch.get("type") for branch in _branches(found) if "enum" not in branch]
    parts = [f"one of {', '.join(map(_shown, choices))}"] if choices else []
    parts += dict.fromkeys(_NAMES[kind] for kind in kinds if kind in _NAMES)
    text = " or ".join(parts) or "a JSON value"
    if unit := unit_text(found):
        text += f" in {unit}"
    limits = [f"{sign} {found[key]:g}" for key, sign in _SIGNS if _is_number(found.get(key))]
    return ", ".join((text, *limits))


def enum_values(schema: Any) -> list[Any]:
    """Return the values that a schema enumerates, without those that only stand for NaN."""
    found: Schema = schema if isinstance(schema, Mapping) else {}
    values = [each for branch in _branches(found) for each in branch.get("enum", ())]
    return [each for each in values if each not in ("NaN", "Infinity", "-Infinity")]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _branches(schema: Schema) -> Iterator[Schema]:
    inner = schema.get("oneOf") or schema.get("anyOf")
    if isinstance(inner, list) and inner:
        for each in inner:
            if isinstance(each, Mapping):
                yield from _branches(each)
    elif "const" in schema:
        yield {**schema, "enum": [schema["const"]]}
    else:
        yield schema


def _candidates(text: str, schema: Schema, branches: list[Schema], name: str) -> Iterator[Any]:
    for branch in branches:
        yield from _enumerated(text, branch)
    plain = [branch for branch in branches if "enum" not in branch]
    kinds = {branch.get("type") for branch in plain}
    numeric = kinds & {"number", "integer"}
    if "null" in kinds and text in ("null", "none", "None"):
        yield None
    if "boolean" in kinds:
        yield from _boolean(text)
    if numeric:
        yield from _number(text, schema, whole="number" not in kinds, name=name)
    for branch in plain:
        if branch.get("type") == "array":
            yield from _array(text, branch, name)
        elif branch.get("type") == "object":
            yield from _json(text, dict)
    if "string" in kinds:
        yield text
    if None in kinds:
        yield from _json(text, object)
        yield text


def _enumerated(text: str, branch: Schema) -> Iterator[Any]:
    lowered = _NOT_FINITE.get(text.lower())
    for value in branch.get("enum", ()):
        shown = value if isinstance(value, str) else json.dumps(value)
        if shown in (text, lowered):
            yield value


def _boolean(text: str) -> Iterator[bool]:
    if text.lower() in _TRUE:
        yield True
    elif text.lower() in _FALSE:
        yield False


def _number(text: str, schema: Schema, *, whole: bool, name: str) -> Iterator[int | float]:
    digits = without_unit(text, schema)
    try:
        value = json.loads(digits.removeprefix("+"))
    except ValueError:
        value = _pythons_number(digits)
    if not _is_number(value) or value != value or value in (float("inf"), float("-inf")):
        return
    if whole and value != int(value):
        raise ValueTextError(f"{name}: {text!r} is not {expected(schema)}.")
    yield int(value) if whole else value


def _pythons_number(text: str) -> float | None:
    if "_" in text:  # Python reads 1_0 as 10, nobody else does
        return None
    try:
        return float(text)  # .5 and 5. are no JSON
    except ValueError:
        return None


def _array(text: str, schema: Schema, name: str) -> Iterator[list[Any]]:
    if text.lstrip().startswith("["):
        yield from _json(text, list)
        return
    items = schema.get("items")
    parts = text.split(",") if text else []
    yield [
        value_of(
            part.strip(),
            (items[at] if at < len(items) else {}) if isinstance(items, list) else items,
            f"{name}[{at}]",
        )
        for at, part in enumerate(parts)
    ]


def _json(text: str, kind: type) -> Iterator[Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return
    if isinstance(value, kind):
        yield value
