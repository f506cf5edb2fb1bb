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

# Enumerations that say no more than this about their values become one.
_UNDESCRIBED = frozenset({"type", "const", "enum", "default"})
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
        if not _disjoint(other, branch) or _both_list_values(other, branch):
            # What was merged is wider, and may now overlap with others.
            del apart[index]
            for part in _merged(other, branch):
                _add(apart, part)
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


def _both_list_values(one: Schema, two: Schema) -> bool:
    bare = not (one.keys() | two.keys()) - _UNDESCRIBED
    return (
        bare
        and _values(one) is not None
        and _values(two) is not None
        and (one.get("type") == two.get("type"))
    )


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
    return _out_of_bounds(one, two) or _out_of_bounds(two, one) or _different_objects(one, two)


def _out_of_bounds(one: Schema, two: Schema) -> bool:
    """Say whether the least of one is more than the most of the other."""
    bounds = zip(_LOWER, _UPPER, strict=True)
    return any(low in one and high in two and one[low] > two[high] for low, high in bounds)


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
        return True  # Written for another engine; to merge is the safe answer.


def _within(schema: Schema, value: float) -> bool:
    return (
        (schema.get("type") != "integer" or value == int(value))
        and schema.get("minimum", value) <= value <= schema.get("maximum", value)
        and not value <= schema.get("exclusiveMinimum", value - 1)
        and not value >= schema.get("exclusiveMaximum", value + 1)
    )


def _merged(one: Schema, two: Schema) -> list[Schema]:
    """Return what takes the place of two branches: one, unless values of another type are left."""
    if _key(one) == _key(two):
        return [one]
    values, other_values = _values(one), _values(two)
    if values is not None and other_values is not None:
        return [_enumeration(values + other_values, _agreed(one, two))]
    if values is not None:
        return _with_values(two, values)
    if other_values is not None:
        return _with_values(one, other_values)
    merged = _loosened(one, two)
    if merged["type"] == "array":
        merged |= _items(one, two)
    if merged["type"] == "object":
        merged.pop("required", None)
        merged |= _members(one, two)
    return [merged]


def _agreed(one: Schema, two: Schema) -> Schema:
    return {key: one[key] for key in one if key in two and _key(one[key]) == _key(two[key])}


def _enumeration(values: Sequence[Any], said: Schema) -> Schema:
    distinct = {_key(value): value for value in values}
    return {key: said[key] for key in said if key != "const"} | {"enum": list(distinct.values())}


def _with_values(schema: Schema, values: Sequence[Any]) -> list[Schema]:
    """Widen a schema so that it takes the values of its type; the others stay a list of values."""
    (kind,) = _kinds(schema) or ("",)
    taken = [value for value in values if _kind(value) == kind]
    left = [value for value in values if _kind(value) != kind]
    if all(_accepts(schema, value) for value in taken):
        # What else was said of its text need not hold for the values.
        wide = {key: item for key, item in schema.items() if key not in ("format", "pattern")}
    else:
        wide = {"type": kind}
    return [wide, *([_enumeration(left, {})] if left else [])]


def _loosened(one: Schema, two: Schema) -> Schema:
    """Keep what both say, and of two bounds the wider."""
    kinds = {one["type"], two["type"]}
    merged = _agreed(one, two)
    merged["type"] = kinds.pop() if len(kinds) == 1 else "number"
    for bounds, wider in ((_LOWER, min), (_UPPER, max)):
        merged |= {
            name: wider(one[name], two[name]) for name in bounds if name in one and name in two
        }
    return merged


def _items(one: Schema, two: Schema) -> Schema:
    mine, theirs = one.get("items"), two.get("items")
    if isinstance(mine, dict) and isinstance(theirs, dict):
        return {"items": _either(mine, theirs)}
    return {}


def _members(one: Schema, two: Schema) -> Schema:
    mine, theirs = one.get("properties", {}), two.get("properties", {})
    merged: Schema = {}
    if mine or theirs:
        merged["properties"] = {
            name: _either(mine.get(name, theirs.get(name)), theirs.get(name, mine.get(name)))
            for name in {**mine, **theirs}
        }
    required = set(two.get("required", ()))
    both = [name for name in one.get("required", ()) if name in required]
    return merged | ({"required": both} if both else {})


def _either(one: Schema, two: Schema) -> Schema:
    return one if _key(one) == _key(two) else one_of((one, two))


def _key(value: Any) -> str:
    """Return what makes a JSON value itself: to Python, `1`, `1.0` and `True` are equal."""
    return json.dumps(value, sort_keys=True, default=repr)
