"""Unions in data schemas: branches that a value could satisfy twice become one.

A consumer that validates takes `oneOf` at its word, so `1` must not be both an integer and a
number. What cannot be told apart is merged into the narrowest single schema that holds for both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

Schema = dict[str, Any]

_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")


def one_of(branches: Iterable[Schema]) -> Schema:
    """Return a schema that any of the branches satisfies: a `oneOf`, or the only one left."""
    apart: list[Schema] = []
    for branch in _flat(branches):
        if _kinds(branch) is None:
            return {}  # One branch takes anything, and so does the union.
        _add(apart, branch)
    return apart[0] if len(apart) == 1 else {"oneOf": apart}


def _flat(branches: Iterable[Schema]) -> Iterable[Schema]:
    for branch in branches:
        yield from _flat(branch["oneOf"]) if "oneOf" in branch else (branch,)


def _add(apart: list[Schema], branch: Schema) -> None:
    for index, other in enumerate(apart):
        if not _disjoint(other, branch):
            # What was merged is wider, and may now overlap with others.
            del apart[index]
            _add(apart, _merged(other, branch))
            return
    apart.append(branch)


def _kinds(schema: Schema) -> frozenset[str] | None:
    """Return the JSON types of a schema's values (an integer is a number), None for any."""
    values = _values(schema)
    if values is not None:
        return frozenset(_kind(value) for value in values)
    if "oneOf" in schema:
        kinds = [_kinds(branch) for branch in schema["oneOf"]]
        return None if None in kinds else frozenset().union(*(kind for kind in kinds if kind))
    kind = schema.get("type")
    return None if kind is None else frozenset({"number" if kind == "integer" else kind})


def _values(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    return list(schema["enum"]) if "enum" in schema else None


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    for kind, python_type in (("boolean", bool), ("string", str), ("array", list)):
        if isinstance(value, python_type):
            return kind
    return "object" if isinstance(value, dict) else "number"


def _disjoint(one: Schema, two: Schema) -> bool:
    kinds, others = _kinds(one), _kinds(two)
    if kinds is None or others is None:
        return False
    if kinds.isdisjoint(others):
        return True
    values, other_values = _values(one), _values(two)
    if values is not None and other_values is not None:
        return {_key(value) for value in values}.isdisjoint(map(_key, other_values))
    if values is not None:
        return not any(_accepts(two, value) for value in values)
    if other_values is not None:
        return not any(_accepts(one, value) for value in other_values)
    return kinds == others == {"object"} and _different_objects(one, two)


def _different_objects(one: Schema, two: Schema) -> bool:
    """Say whether a member that must be there tells two kinds of object apart."""
    mine, theirs = one.get("properties", {}), two.get("properties", {})
    required, other_required = set(one.get("required", ())), set(two.get("required", ()))
    return (
        any(
            _disjoint(mine.get(name, {}), theirs.get(name, {}))
            for name in required & other_required
        )
        or (two.get("additionalProperties") is False and bool(required - set(theirs)))
        or (one.get("additionalProperties") is False and bool(other_required - set(mine)))
    )


def _accepts(schema: Schema, value: Any) -> bool:
    """Say whether a scalar satisfies a schema of one type; a format is only a hint."""
    kind = schema.get("type")
    if _kind(value) != ("number" if kind == "integer" else kind):
        return False
    if isinstance(value, str):
        length = len(value)
        return schema.get("minLength", 0) <= length <= schema.get("maxLength", length) and _matches(
            schema.get("pattern"), value
        )
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _within(schema, value)
    return True


def _matches(pattern: str | None, value: str) -> bool:
    try:
        return pattern is None or re.search(pattern, value) is not None
    except re.error:
        return True  # Written for another engine; merging is the safe answer.


def _within(schema: Schema, value: float) -> bool:
    return (
        (schema.get("type") != "integer" or value == int(value))
        and schema.get("minimum", value) <= value <= schema.get("maximum", value)
        and not value <= schema.get("exclusiveMinimum", value - 1)
        and not value >= schema.get("exclusiveMaximum", value + 1)
    )


def _merged(one: Schema, two: Schema) -> Schema:
    if _key(one) == _key(two):
        return one
    values, other_values = _values(one), _values(two)
    if values is not None and other_values is not None:
        return _enumeration([*values, *other_values], one, two)
    if values is not None:
        return _with_values(two, values)
    if other_values is not None:
        return _with_values(one, other_values)
    merged = _loosened(one, two)
    if merged["type"] == "array":
        merged |= _items(one, two)
    if merged["type"] == "object":
        merged |= _members(one, two)
    return merged


def _enumeration(values: Sequence[Any], one: Schema, two: Schema) -> Schema:
    distinct = {_key(value): value for value in values}
    kinds = {one.get("type"), two.get("type")}
    merged = {
        key: one[key] for key in one if key not in ("const", "enum") and one[key] == two.get(key)
    }
    merged["enum"] = list(distinct.values())
    if len(kinds) == 1 and None not in kinds:
        merged["type"] = kinds.pop()
    return merged


def _with_values(schema: Schema, values: Sequence[Any]) -> Schema:
    """Widen a schema so that it takes these values as well, most of which it takes already."""
    if all(_accepts(schema, value) for value in values):
        return {key: item for key, item in schema.items() if key != "format"}
    kinds = {_kind(value) for value in values} | {
        "number" if schema["type"] == "integer" else schema["type"]
    }
    return one_of({"type": kind} for kind in sorted(kinds))


def _loosened(one: Schema, two: Schema) -> Schema:
    """Keep what both say, and of two bounds the wider."""
    kinds = {one["type"], two["type"]}
    merged = {key: one[key] for key in one if key in two and _key(one[key]) == _key(two[key])}
    merged["type"] = kinds.pop() if len(kinds) == 1 else "number"
    for bounds, wider in ((_LOWER, min), (_UPPER, max)):
        merged |= {
            name: wider(one[name], two[name]) for name in bounds if name in one and name in two
        }
    return merged


def _items(one: Schema, two: Schema) -> Schema:
    mine, theirs = one.get("items"), two.get("items")
    if isinstance(mine, dict) and isinstance(theirs, dict):
        return {"items": one_of((mine, theirs))}
    return {}


def _members(one: Schema, two: Schema) -> Schema:
    mine, theirs = one.get("properties", {}), two.get("properties", {})
    merged: Schema = {}
    if mine or theirs:
        merged["properties"] = {
            name: one_of(side[name] for side in (mine, theirs) if name in side)
            for name in {**mine, **theirs}
        }
    required = set(two.get("required", ()))
    merged["required"] = [name for name in one.get("required", ()) if name in required]
    return merged


def _key(value: Any) -> str:
    """Return what makes a JSON value itself: to Python, `1`, `1.0` and `True` are equal."""
    return json.dumps(value, sort_keys=True, default=repr)
