"""Properties of a type, read from pydantic's compiled schema.

An unknown kind of schema is assumed to run user code, to be mutable and to contain floats.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from typing import Any

from .arrays import array_type_of

_EXACT = frozenset({"none", "bool", "int", "str", "literal", "enum"})
_SCALARS = _EXACT | {"float"}
_FIXED_CONTAINERS = frozenset({"tuple", "frozenset", "nullable", "union"})
_CONTAINERS = _FIXED_CONTAINERS | {"list", "set", "dict"}

_AS_PYDANTIC_WRITES = (
    _EXACT
    | _CONTAINERS
    | {"date", "time", "timedelta", "decimal", "uuid", "url"}
    | {"model", "model-fields", "model-field", "dataclass", "dataclass-args", "dataclass-field"}
    | {"typed-dict", "typed-dict-field", "tagged-union", "definitions", "definition-ref", "default"}
    | {"function-before", "function-after", "function-wrap"}
)

_READ_ALIKE = (
    _AS_PYDANTIC_WRITES
    | {"any", "float", "bytes", "datetime", "complex", "named-tuple", "chain", "custom-error"}
    | {"computed-field", "frozenset", "missing-sentinel"}
)
_TIME_OPTIONS = frozenset({"ser_json_temporal", "ser_json_timedelta"})

Schema = Mapping[str, Any]


def is_plain(schema: Schema) -> bool:
    """Return whether the type consists of builtin types only, so that no user code can run."""
    return _all_of(schema, _SCALARS | _CONTAINERS)


def is_immutable(schema: Schema) -> bool:
    """Return whether the type is plain and a value cannot change in place."""
    return _all_of(schema, _SCALARS | _FIXED_CONTAINERS)


def written_by_pydantic(schema: Schema) -> bool:
    """Return whether a value contains no floats, bytes and datetimes, which we write ourselves."""
    return _all_of(schema, _AS_PYDANTIC_WRITES)


def reads_builtins(schema: Schema) -> bool:
    """Return whether the type reads parsed JSON as it reads JSON itself."""
    return all(
        (part.get("type") in _READ_ALIKE and not part.get("strict") and not _is_strict(part))
        or array_type_of(part) is not None
        for part in _parts(schema)
    )


def needs_json_mode(schema: Schema) -> bool:
    """Return whether user code or a config says how a value is written in JSON, and only there."""
    return any(
        str((part.get("serialization") or {}).get("when_used", "")).startswith("json")
        or (part.get("config") or {}).keys() & _TIME_OPTIONS
        for part in _parts(schema)
        if array_type_of(part) is None  # we write arrays ourselves
    )


def keeps_naive_times(schema: Schema) -> bool:
    """Return whether the type promises a datetime without a time zone."""
    return any(part.get("tz_constraint") == "naive" for part in _parts(schema))


def without_json(schema: Schema) -> str | None:
    """Return what in the type is never JSON: a function or a class; None if there is nothing.

    Members of models and dataclasses are not looked at: they may be excluded from what is written.
    """
    kind = schema.get("type")
    if kind in _NEVER_JSON:
        return _NEVER_JSON[kind]
    if kind in ("model", "dataclass"):
        return None
    return next((found for child in _children(schema) if (found := without_json(child))), None)


_NEVER_JSON = {"callable": "a function", "is-subclass": "a class"}


def runs_validators(schema: Schema) -> bool:
    """Return whether functions take part in validating, which may change what was validated."""
    return any(
        str(part.get("type")).startswith("function-") and array_type_of(part) is None
        for part in _parts(schema)
    )


def has_arrays(schema: Schema) -> bool:
    """Return whether numpy arrays are in the values."""
    return any(array_type_of(part) is not None for part in _parts(schema))


def is_array(schema: Schema) -> bool:
    """Return whether the values are single arrays, or None."""
    while schema.get("type") in ("nullable", "default"):
        schema = schema["schema"]
    return array_type_of(schema) is not None


def patterns(schema: Schema) -> Iterator[str]:
    """Yield the regular expressions that texts must match."""
    for part in _parts(schema):
        if isinstance(part.get("pattern"), str):
            yield part["pattern"]


def has_split_aliases(schema: Schema) -> bool:
    """Return whether a member has another name when it is read than when it is written."""
    return any(
        isinstance(field, dict)
        and field.get("validation_alias", name) != field.get("serialization_alias", name)
        for part in _parts(schema)
        for name, field in _fields(part)
    )


def _fields(part: Schema) -> Iterator[tuple[str, Any]]:
    fields = part.get("fields")
    if isinstance(fields, dict):
        yield from fields.items()
    elif isinstance(fields, list):
        yield from ((field["name"], field) for field in fields if isinstance(field, dict))


def _is_strict(part: Schema) -> bool:
    return bool((part.get("config") or {}).get("strict"))


def _parts(schema: Schema) -> Iterator[Schema]:
    yield schema
    for child in _children(schema):
        yield from _parts(child)


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
    for name in ("items_schema", "definitions", "choices", "fields", "steps"):
        yield from _members(schema.get(name))


def _members(children: Any) -> Iterator[Schema]:
    if isinstance(children, dict) and isinstance(children.get("type"), str):
        yield children
    elif isinstance(children, dict):
        yield from children.values()
    else:
        for child in children or ():
            # A choice of a union may be a pair of schema and label; a dataclass lists names.
            if isinstance(child, tuple | dict):
                yield child[0] if isinstance(child, tuple) else child
