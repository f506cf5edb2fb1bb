"""Whether values of a type can be saved as JSON and read back."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, TypeAdapter
from pydantic_core import from_json, to_json

if TYPE_CHECKING:
    from .values import ValueSchema

_NO_KEYS = frozenset({"tuple", "list", "set", "frozenset", "dict", "model", "dataclass"})
_OTHER_CODE = frozenset({"serialization", "metadata", "function"})


def saved_form(schema: ValueSchema[Any], value: Any) -> Any:
    """Return a value as JSON values, or raise an error; serialisers may be user code."""
    # `round_trip` leaves out computed fields, which validation would refuse.
    json_value = schema.adapter.dump_python(value, mode="json", round_trip=True, warnings=False)
    return from_json(to_json(json_value, inf_nan_mode="strings"))


def from_saved_form(schema: ValueSchema[Any], saved: Any) -> Any:
    """Return the value of a saved form, or raise `pydantic.ValidationError`."""
    return schema.validate_json(json.dumps(saved).encode())


def why_type_is_not_savable(schema: ValueSchema[Any]) -> str | None:
    """Return why some values of a type would be lost, or None if no reason is known."""
    if "writeOnly" in _json_schema_text(schema):
        return "its secret is written as asterisks"
    for part in _parts(schema.adapter.core_schema):
        found = part["type"]
        if found == "enum":
            reason = _lost_member(part["cls"])
            if reason:
                return reason
        elif found == "dict" and part.get("keys_schema", {}).get("type") in _NO_KEYS:
            return "JSON has only text as keys of an object"
        elif found in ("model", "dataclass", "typed-dict"):
            alias = _lost_alias(part)
            if alias:
                return alias
    return None


def _json_schema_text(schema: ValueSchema[Any]) -> str:
    try:
        return json.dumps(schema.adapter.json_schema())
    except Exception:  # noqa: BLE001 - code of a type; a type without a schema has its own error
        return ""


def _parts(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every schema in a schema of pydantic's core."""
    if isinstance(schema, Mapping):
        if isinstance(schema.get("type"), str):
            yield schema
        for name, member in schema.items():
            if name not in _OTHER_CODE:
                yield from _parts(member)
    elif isinstance(schema, (list, tuple)):
        for member in schema:
            yield from _parts(member)


def _lost_member(kind: type[enum.Enum]) -> str | None:
    adapter = TypeAdapter(kind)
    for member in kind:
        try:
            text = to_json(adapter.dump_python(member, mode="json"), inf_nan_mode="strings")
            if adapter.validate_json(text) is member:
                continue
        except Exception:  # noqa: BLE001, S110 - the answer is the same, and members are user code
            pass
        return f"{member} has the value {member.value!r}, which JSON does not give back"
    return None


def _lost_alias(part: Mapping[str, Any]) -> str | None:
    config = part.get("config") or part.get("schema", {}).get("config") or {}
    by_name = config.get("validate_by_name") or config.get("populate_by_name")
    if by_name or config.get("serialize_by_alias"):  # the default shows whether they agree
        return None
    # A dataclass has the names of its fields itself, and the fields in its inner schema.
    fields = part.get("schema", {}).get("fields") or part.get("fields") or {}
    named = fields.items() if isinstance(fields, Mapping) else _named(fields)
    for name, field in named:
        alias = field.get("validation_alias")
        if alias is not None and alias != name:
            return (
                f"field {name!r} is written by its name and read by its alias {alias!r}; set "
                "`validate_by_name=True` in the configuration of the model"
            )
    return None


def _named(fields: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for field in fields:
        if isinstance(field, Mapping):
            yield field.get("name", ""), field


def is_same(value: Any, other: Any) -> bool:
    """Return whether a value that was read back is the one that was saved.

    A list may come back for a tuple where the type is `Any`. NaN is the same as NaN.
    """
    if value is other:
        return True
    if isinstance(value, float) and isinstance(other, float):
        return value == other or (math.isnan(value) and math.isnan(other))
    for kinds, compare in _COMPARISONS:
        if isinstance(value, kinds) and isinstance(other, kinds):
            return compare(value, other)
    if type(value) is type(other) and _has_identity_only(type(value)):
        return is_same(getattr(value, "__dict__", {}), getattr(other, "__dict__", {}))
    try:
        return bool(value == other)
    except Exception:  # noqa: BLE001 - arrays compare by element, and `__eq__` is user code
        return type(value) is type(other)


def _has_identity_only(kind: type) -> bool:
    if issubclass(kind, enum.Enum):
        return False
    return (
        issubclass(kind, BaseModel)
        or dataclasses.is_dataclass(kind)
        or kind.__eq__ is object.__eq__
    )


def _same_items(value: Sequence[Any], other: Sequence[Any]) -> bool:
    return len(value) == len(other) and all(map(is_same, value, other))


def _same_members(value: Mapping[Any, Any], other: Mapping[Any, Any]) -> bool:
    return value.keys() == other.keys() and all(is_same(value[key], other[key]) for key in value)


_COMPARISONS: tuple[tuple[Any, Callable[[Any, Any], bool]], ...] = (
    ((str, bytes), lambda value, other: bool(value == other)),
    (Mapping, _same_members),
    ((list, tuple), _same_items),
    (AbstractSet, lambda value, other: bool(value == other)),
)
