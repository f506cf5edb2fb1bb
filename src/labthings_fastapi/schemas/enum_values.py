"""Members of an Enum whose values JSON does not have, such as tuples: found by what was written."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import TypeAdapter, WrapValidator
from pydantic_core import SchemaValidator, core_schema, to_json, to_jsonable_python

_ALIKE = (bool, int, float, str, type(None))


def with_enum_values(schema: Any) -> Any:
    """Return a core schema that also reads the JSON form of each member of an Enum.

    The same object is returned if there is nothing to do. Models and dataclasses have compiled
    validators of their own, and remain as they are.
    """
    if not isinstance(schema, Mapping):
        return schema
    kind = schema.get("type")
    if kind in ("model", "dataclass"):
        return schema
    if kind == "enum" and not all(isinstance(each.value, _ALIKE) for each in schema["members"]):
        return core_schema.no_info_before_validator_function(_finder(schema["cls"]), schema)
    changed = {name: _changed(member) for name, member in schema.items()}
    if all(changed[name] is member for name, member in schema.items()):
        return schema
    return changed


def reading_json_values(hint: Any) -> Any:
    """Return a type hint that reads such members too, for a member of a model that we make."""
    if not _has_unlike_members(hint):
        return hint
    validator = SchemaValidator(with_enum_values(TypeAdapter(hint).core_schema))
    return Annotated[hint, WrapValidator(lambda value, _: validator.validate_python(value))]


def _has_unlike_members(hint: Any) -> bool:
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return not all(isinstance(each.value, _ALIKE) for each in hint)
    return any(map(_has_unlike_members, get_args(hint)))


def _changed(member: Any) -> Any:
    if isinstance(member, list | tuple):
        items = [_changed(item) for item in member]
        if all(new is old for new, old in zip(items, member, strict=True)):
            return member
        return type(member)(items)
    return with_enum_values(member)


def _finder(kind: type[enum.Enum]) -> Any:
    members = {_text(each.value): each for each in kind}

    def find(value: Any) -> Any:
        if not isinstance(value, list | dict | str):
            return value
        try:
            return members.get(to_json(value), value)
        except ValueError:
            return value

    return find


def _text(value: Any) -> bytes:
    try:
        return to_json(to_jsonable_python(value))
    except ValueError:
        return b""
