"""Unions in data schemas: branches that share a value are merged.

A value is valid against `oneOf` if it fits exactly one branch, so `1` must not fit an integer and a
number. A branch that is part of another is left out. Of others that overlap, the later one has a
`not` for what the earlier one accepts, so that all of them together accept exactly the union.
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
_ANNOTATIONS = frozenset(
    {"@type", "title", "titles", "description", "descriptions", "default", "unit"}
    | {"readOnly", "writeOnly", "contentEncoding", "contentMediaType"}
)
# Not decided here whether a value fits them.
_UNDECIDED = frozenset({"format", "not", "multipleOf", "properties", "items", "required"})


def one_of(branches: Iterable[Schema]) -> Schema:
    """Return the schema of the union: a `oneOf`, or its only branch."""
    disjoint: list[Schema] = []
    for branch in _flat(branches):
        if _kinds(branch) is None:
            return {}  # a branch that accepts everything
        _add(disjoint, branch)
    if len(disjoint) == 1:
        return disjoint[0]
    kinds = {json.dumps(branch.get("type")) for branch in disjoint}
    # Some clients read the type only.
    shared = {"type": disjoint[0]["type"]} if len(kinds) == 1 and "type" in disjoint[0] else {}
    return shared | {"oneOf": disjoint}


def _flat(branches: Iterable[Schema]) -> Iterable[Schema]:
    for branch in branches:
        yield from _flat(branch["oneOf"]) if "oneOf" in branch else (branch,)


def _add(disjoint: list[Schema], branch: Schema) -> None:
    overlapping: list[Schema] = []
    for index, other in enumerate(disjoint):
        if _disjoint(other, branch) and not _are_enumerations(other, branch):
            continue
        merged = _merged(other, branch)
        if merged is not None:
            # The merged branch is wider and may overlap with the others.
            del disjoint[index]
            for part in merged:
                _add(disjoint, part)
            return
        overlapping.append(other)
    if overlapping:
        others = overlapping[0] if len(overlapping) == 1 else {"oneOf": overlapping}
        branch = {**branch, "not": others}
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


def _merged(one: Schema, two: Schema) -> list[Schema] | None:
    """Return the branches that accept what one of these accepts; None if they have no such form."""
    if _is_same(one, two):
        return [one]
    values, other_values = _values(one), _values(two)
    if values is not None and other_values is not None:
        return [_enumeration(values + other_values, _agreed(one, two))]
    if values is not None:
        return _with_values(two, values)
    if other_values is not None:
        return _with_values(one, other_values)
    if _includes(one, two):
        return [one]
    return [two] if _includes(two, one) else None


def _agreed(one: Schema, two: Schema) -> Schema:
    return {key: one[key] for key in one if key in two and _is_same(one[key], two[key])}


def _enumeration(values: Sequence[Any], members: Schema) -> Schema:
    distinct = {_identity(value): value for value in values}
    kept = {key: member for key, member in members.items() if key not in ("const", "oneOf")}
    return kept | {"enum": list(distinct.values())}


def _with_values(schema: Schema, values: Sequence[Any]) -> list[Schema] | None:
    """Leave out the values that the schema accepts; those of other types remain."""
    (kind,) = _kinds(schema) or ("",)
    same_kind = [value for value in values if _kind(value) == kind]
    others = [value for value in values if _kind(value) != kind]
    if schema.keys() & _UNDECIDED or not all(_accepts(schema, value) for value in same_kind):
        return None
    return [schema, *([_enumeration(others, {})] if others else [])]


def _includes_all(wide: Schema, narrow: Schema) -> bool:
    """Return whether each branch of one schema is surely part of a branch of the other."""
    if _is_same(wide, narrow) or not wide:
        return True
    if not all("type" in branch for branch in (*_flat([wide]), *_flat([narrow]))):
        return False
    return all(
        any(_includes(other, branch) for other in _flat([wide])) for branch in _flat([narrow])
    )


def _includes(wide: Schema, narrow: Schema) -> bool:
    """Return whether the wide schema surely accepts all that the narrow one accepts."""
    if wide["type"] != narrow["type"] and (wide["type"], narrow["type"]) != ("number", "integer"):
        return False
    assertions = wide.keys() - _ANNOTATIONS - {"type"}
    return assertions <= narrow.keys() and all(
        _is_wider(key, wide[key], narrow[key]) for key in assertions
    )


def _is_wider(key: str, wide: Any, narrow: Any) -> bool:
    """Return whether a member of a schema surely accepts what its narrower form accepts."""
    if key in _LOWER:
        return bool(wide <= narrow)
    if key in _UPPER:
        return bool(wide >= narrow)
    if key in ("items", "additionalProperties") and isinstance(wide, dict):
        return isinstance(narrow, dict) and _includes_all(wide, narrow)
    return _is_same(wide, narrow)


def _is_same(one: Any, two: Any) -> bool:
    return _identity(one) == _identity(two)


def _identity(value: Any) -> str:
    """Return the identity of a JSON value: in Python `1`, `1.0` and `True` are equal."""
    return json.dumps(value, sort_keys=True, default=repr)
