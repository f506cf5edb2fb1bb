"""Properties of a type, read from pydantic's compiled schema.

An unknown kind of schema is assumed to run user code, to be mutable and to contain floats.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from typing import Any

_EXACT = frozenset({"none", "bool", "int", "str", "literal", "enum"})
_SCALARS = _EXACT | {"float"}
_FIXED_CONTAINERS = frozenset({"tuple", "frozenset", "nullable", "union"})
_CONTAINERS = _FIXED_CONTAINERS | {"list", "set", "dict"}

_WITHOUT_FLOATS = (
    _EXACT
    | _CONTAINERS
    | {"bytes", "date", "time", "datetime", "timedelta", "decimal", "uuid", "url"}
    | {"model", "model-fields", "model-field", "dataclass", "dataclass-args", "dataclass-field"}
    | {"typed-dict", "typed-dict-field", "tagged-union", "definitions", "definition-ref", "default"}
    | {"function-before", "function-after", "function-wrap"}
)

Schema = Mapping[str, Any]


def is_plain(schema: Schema) -> bool:
    """Return whether the type consists of builtin types only, so that no user code can run."""
    return _all_of(schema, _SCALARS | _CONTAINERS)


def is_immutable(schema: Schema) -> bool:
    """Return whether the type is plain and a value cannot change in place."""
    return _all_of(schema, _SCALARS | _FIXED_CONTAINERS)


def may_hold_floats(schema: Schema) -> bool:
    """Return whether a value may contain NaN or an infinity."""
    return not _all_of(schema, _WITHOUT_FLOATS)


def _all_of(schema: Schema, kinds: frozenset[str]) -> bool:
    return (
        schema.get("type") in kinds
        # A serialiser, or a config that accepts undeclared members, may produce anything.
        and "serialization" not in schema
        and not schema.get("computed_fields")
        and not _is_open(schema)
        and _has_builtin_members(schema)
        and all(_all_of(child, kinds) for child in _children(schema))
    )


def _is_open(schema: Schema) -> bool:
    config = schema.get("config") or {}
    return (
        "allow" in (schema.get("extra_behavior"), config.get("extra_fields_behavior"))
        or "polymorphic_serialization" in config
        or "serialize_as_any" in config
    )


def _has_builtin_members(schema: Schema) -> bool:
    """Return whether the members of a Literal or Enum are builtin and found without user code."""
    if schema["type"] == "enum":
        members = schema["members"]
        return not _has_own_missing(schema["cls"]) and all(_is_exact(member) for member in members)
    if schema["type"] == "literal":
        return all(_is_exact(value) for value in schema["expected"])
    return True


def _has_own_missing(kind: type[enum.Enum]) -> bool:
    """Return whether user code (`_missing_`) may choose the member for a value."""
    definer = next(base for base in kind.__mro__ if "_missing_" in vars(base))
    return definer.__module__ != enum.__name__


def _is_exact(value: Any) -> bool:
    if isinstance(value, enum.Enum):
        value = value.value
    return value is None or type(value) in (bool, int, str)


def _children(schema: Schema) -> Iterator[Schema]:
    for name in ("schema", "keys_schema", "values_schema", "extras_schema"):
        if isinstance(schema.get(name), dict):
            yield schema[name]
    for name in ("items_schema", "definitions", "choices", "fields"):
        yield from _members(schema.get(name))


def _members(children: Any) -> Iterator[Schema]:
    if isinstance(children, dict) and isinstance(children.get("type"), str):
        yield children
    elif isinstance(children, dict):
        yield from children.values()
    else:
        for child in children or ():
            # A choice of a union may be a pair of schema and label.
            yield child[0] if isinstance(child, tuple) else child
