"""Unions in data schemas: branches that share a value are merged.

A value is valid against `oneOf` if it fits exactly one branch, so `1` must not fit an integer and a
number. Branches that cannot be distinguished become the narrowest schema that includes all of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

Schema = dict[str, Any]

# Enumerations with no other members than these become one.
_ENUMERATION = frozenset({"type", "const", "enum", "default"})
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")


def one_of(branches: Iterable[Schema]) -> Schema:
    """Return the schema of the union: a `oneOf`, or its only branch."""
    disjoint: list[Schema] = []
    for branch in _flat(branches):
        if _kinds(branch) is None:
            return {}  # a branch that accepts everything
        _add(disjoint, branch)
    return disjoint[0] if len(disjoint) == 1 else {"oneOf": disjoint}


def _flat(branches: Iterable[Schema]) -> Iterable[Schema]:
    for branch in branches:
        yield from _flat(branch["oneOf"]) if "oneOf" in branch else (branch,)


def _add(disjoint: list[Schema], branch: Schema) -> None:
    for index, other in enumerate(disjoint):
        if not _disjoint(other, branch) or _are_enumerations(other, branch):
            # The merged branch is wider and may overlap with the others.
            del disjoint[index]
            for part in _merged(other, branch):
                _add(disjoint, part)
            return
    disjoint.append(branch)


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


def _are_enumerations(one: Schema, two: Schema) -> bool:
    bare = not (one.keys() | two.keys()) - _ENUMERATION
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
        return {_identity(value) for value in values}.isdisjoint(map(_identity, other_values))
    if values is not None:
        return not any(_accepts(two, value) for value in values)
    if other_values is not None:
        return not any(_accepts(one, value) for value in other_values)
    return _out_of_bounds(one, two) or _out_of_bounds(two, one) or _different_objects(one, two)


def _out_of_bounds(one: Schema, two: Schema) -> bool:
    """Return whether a lower bound of one is above the upper bound of the other."""
    bounds = zip(_LOWER, _UPPER, strict=True)
    return any(low in one and high in two and one[low] > two[high] for low, high in bounds)


def _different_objects(one: Schema, two: Schema) -> bool:
    """Return whether a required member distinguishes the objects."""
    properties, other_properties = one.get("properties", {}), two.get("properties", {})
    required, other_required = set(one.get("required", ())), set(two.get("required", ()))
    return (
        any(
            _disjoint(properties.get(name, {}), other_properties.get(name, {}))
            for name in required & other_required
        )
        or (two.get("additionalProperties") is False and bool(required - set(other_properties)))
        or (one.get("additionalProperties") is False and bool(other_required - set(properties)))
    )


def _accepts(schema: Schema, value: Any) -> bool:
    """Return whether a scalar fits a schema with a type; the format is ignored."""
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
        return True  # a pattern of another regex dialect: merging is always correct


def _within(schema: Schema, value: float) -> bool:
    return (
        (schema.get("type") != "integer" or value == int(value))
        and schema.get("minimum", value) <= value <= schema.get("maximum", value)
        and not value <= schema.get("exclusiveMinimum", value - 1)
        and not value >= schema.get("exclusiveMaximum", value + 1)
    )


def _merged(one: Schema, two: Schema) -> list[Schema]:
    """Return the branches that replace these: usually a single branch."""
    if _is_same(one, two):
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
    return {key: one[key] for key in one if key in two and _is_same(one[key], two[key])}


def _enumeration(values: Sequence[Any], members: Schema) -> Schema:
    distinct = {_identity(value): value for value in values}
    kept = {key: member for key, member in members.items() if key != "const"}
    return kept | {"enum": list(distinct.values())}


def _with_values(schema: Schema, values: Sequence[Any]) -> list[Schema]:
    """Widen a schema to include the values of its type; other values remain an enumeration."""
    (kind,) = _kinds(schema) or ("",)
    same_kind = [value for value in values if _kind(value) == kind]
    others = [value for value in values if _kind(value) != kind]
    if all(_accepts(schema, value) for value in same_kind):
        # The values need not have this format or match this pattern.
        wide = {key: item for key, item in schema.items() if key not in ("format", "pattern")}
    else:
        wide = {"type": kind}
    return [wide, *([_enumeration(others, {})] if others else [])]


def _loosened(one: Schema, two: Schema) -> Schema:
    """Return the members that both have, and the wider of the bounds."""
    kinds = {one["type"], two["type"]}
    merged = _agreed(one, two)
    merged["type"] = kinds.pop() if len(kinds) == 1 else "number"
    for bounds, wider in ((_LOWER, min), (_UPPER, max)):
        merged |= {
            name: wider(one[name], two[name]) for name in bounds if name in one and name in two
        }
    return merged


def _items(one: Schema, two: Schema) -> Schema:
    items, other_items = one.get("items"), two.get("items")
    if isinstance(items, dict) and isinstance(other_items, dict):
        return {"items": _either(items, other_items)}
    return {}


def _members(one: Schema, two: Schema) -> Schema:
    properties, other_properties = one.get("properties", {}), two.get("properties", {})
    merged: Schema = {}
    if properties or other_properties:
        merged["properties"] = {**properties, **other_properties}
        for name in properties.keys() & other_properties.keys():
            merged["properties"][name] = _either(properties[name], other_properties[name])
    required = set(two.get("required", ()))
    both = [name for name in one.get("required", ()) if name in required]
    return merged | ({"required": both} if both else {})


def _either(one: Schema, two: Schema) -> Schema:
    return one if _is_same(one, two) else one_of((one, two))


def _is_same(one: Any, two: Any) -> bool:
    return _identity(one) == _identity(two)


def _identity(value: Any) -> str:
    """Return the identity of a JSON value: in Python `1`, `1.0` and `True` are equal."""
    return json.dumps(value, sort_keys=True, default=repr)
