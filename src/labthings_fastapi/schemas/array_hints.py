"""numpy's class of arrays in type hints, in a form that pydantic takes.

pydantic knows no numpy. It would take the class in a dataclass only as any class, and forget the
dtype. Pure functions, which do not import numpy: a hint that names it has done so.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping
from types import GenericAlias, UnionType
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter
from pydantic_core import CoreSchema

from .arrays import ArrayType, is_array_hint

# A type checker does not accept `Union[...]` of values.
_UNION: Any = Union


class _Compiled:
    """An annotation with the core schema of a type, for types that pydantic refuses."""

    def __init__(self, schema: CoreSchema) -> None:
        self._schema = schema

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> CoreSchema:
        return self._schema


def for_pydantic(hint: Any, config: ConfigDict) -> Any:
    """Return a hint that pydantic takes, for one that may name arrays; without any, the same.

    Raises:
        Exception: pydantic refuses another part of the type.
    """
    if sys.modules.get("numpy") is None:
        return hint
    known = _with_array_types(hint)
    seen: list[Any] = []
    if not _holds_bare_arrays(known, seen):
        return known
    for each in seen:
        if dataclasses.is_dataclass(each):
            for field in _hints_of(each).values():
                if not is_array_hint(field):
                    _check(field, config)
    # A config for the type itself would be refused, and one for a list of it is not.
    in_list = TypeAdapter(list[known], config={**config, "arbitrary_types_allowed": True})  # type: ignore[valid-type]
    schema: Any = with_array_types(in_list.core_schema)
    if schema["type"] == "definitions":
        schema = {**schema, "schema": schema["schema"]["items_schema"]}
    else:
        schema = schema["items_schema"]
    return Annotated[known, _Compiled(schema)]


def names_arrays(hint: Any) -> bool:
    """Whether a hint names numpy's class of arrays, alone or within another type."""
    return is_array_hint(hint) or any(map(names_arrays, get_args(hint)))


def _check(hint: Any, config: ConfigDict) -> None:
    """Refuse other classes that pydantic does not know: it was told to take any."""
    found = _with_array_types(hint)
    if not _holds_bare_arrays(found, []):
        # In a list, because a model has a config of its own and takes no other.
        TypeAdapter(list[found], config=config)  # type: ignore[valid-type]


def _with_array_types(hint: Any) -> Any:
    """Return a hint with an `ArrayType` at each class of arrays in it."""
    if is_array_hint(hint):
        return Annotated[hint, ArrayType()]
    if isinstance(hint, NewType):
        return _or_same(hint, hint.__supertype__)
    if type(hint).__name__ == "TypeAliasType":
        return _or_same(hint, hint.__value__)
    origin = get_origin(hint)
    if origin is Annotated:
        if any(isinstance(each, ArrayType) for each in hint.__metadata__):
            return hint
        base = _with_array_types(hint.__origin__)
        return hint if base is hint.__origin__ else Annotated[(base, *hint.__metadata__)]
    arguments = get_args(hint)
    if origin is None or origin is Literal or not arguments:
        return hint
    changed = tuple(_with_array_types(each) for each in arguments)
    if all(new is old for new, old in zip(changed, arguments, strict=True)):
        return hint
    if origin in (Union, UnionType):
        return _UNION[changed]
    copy_with = getattr(hint, "copy_with", None)
    return GenericAlias(origin, changed) if copy_with is None else copy_with(changed)


def _or_same(hint: Any, inner: Any) -> Any:
    changed = _with_array_types(inner)
    return hint if changed is inner else changed


def _holds_bare_arrays(hint: Any, seen: list[Any]) -> bool:
    """Whether classes in a hint have arrays as members; these classes are added to `seen`."""
    if get_origin(hint) is Annotated:
        stated = any(isinstance(each, ArrayType) for each in hint.__metadata__)
        return not stated and _holds_bare_arrays(hint.__origin__, seen)
    if is_array_hint(hint):
        return True
    found = [_holds_bare_arrays(each, seen) for each in get_args(hint)]
    kind = get_origin(hint) or hint
    if _has_members(kind) and not any(kind is each for each in seen):
        seen.append(kind)
        found += [_holds_bare_arrays(each, seen) for each in _hints_of(kind).values()]
    return any(found)


def _has_members(kind: Any) -> bool:
    return isinstance(kind, type) and (
        dataclasses.is_dataclass(kind)
        or issubclass(kind, BaseModel)
        or (issubclass(kind, dict) and hasattr(kind, "__total__"))  # a TypedDict of any origin
        or (issubclass(kind, tuple) and hasattr(kind, "_fields"))
    )


def _hints_of(kind: Any) -> Mapping[str, Any]:
    try:
        return get_type_hints(kind, include_extras=True)
    except Exception:  # noqa: BLE001 - the class may be of anybody; pydantic says what is wrong
        return getattr(kind, "__annotations__", {})


def with_array_types(schema: Any) -> Any:
    """Return a core schema with arrays in the place of the class of arrays; or the same object."""
    if sys.modules.get("numpy") is None:
        return schema
    return _replaced(schema, iter(()))


def _replaced(part: Any, kinds: Iterator[ArrayType]) -> Any:
    if isinstance(part, list | tuple):
        items = [_replaced(each, kinds) for each in part]
        if all(new is old for new, old in zip(items, part, strict=True)):
            return part
        return type(part)(items)
    if not isinstance(part, dict):
        return part
    if part.get("type") == "is-instance" and is_array_hint(part.get("cls")):
        kind: Any = Annotated[part["cls"], next(kinds, ArrayType())]  # noqa: F821 - a key
        return TypeAdapter(kind).core_schema
    if part.get("type") in _WITH_MEMBERS and isinstance(part.get("cls"), type):
        hints = _hints_of(part["cls"])
        inner = part if part["type"] == "typed-dict" else part.get("schema")
        changed = _with_fields(inner, hints, kinds)
        if changed is inner:
            return part
        return changed if inner is part else {**part, "schema": changed}
    found = {name: _replaced(member, kinds) for name, member in part.items()}
    return part if all(found[name] is member for name, member in part.items()) else found


_WITH_MEMBERS = frozenset({"model", "dataclass", "typed-dict"})


def _with_fields(part: Any, hints: Mapping[str, Any], kinds: Iterator[ArrayType]) -> Any:
    """Return the schema of members, whose types are in `hints`; validators may be around it."""
    if not isinstance(part, dict):
        return part
    fields = part.get("fields")
    if fields is None:
        inner = part.get("schema")
        changed = _with_fields(inner, hints, kinds)
        return part if changed is inner else {**part, "schema": changed}
    found: Any
    if isinstance(fields, dict):
        found = {
            name: _replaced(each, iter(_kinds_in(hints.get(name)))) for name, each in fields.items()
        }
        same = all(found[name] is each for name, each in fields.items())
    else:
        found = [_replaced(each, iter(_kinds_in(hints.get(each["name"])))) for each in fields]
        same = all(new is old for new, old in zip(found, fields, strict=True))
    return part if same else {**part, "fields": found}


def _kinds_in(hint: Any) -> list[ArrayType]:
    """Return the types of the arrays in a hint that have none yet, in its order."""
    if is_array_hint(hint):
        return [ArrayType.of_hint(hint)]
    if get_origin(hint) is Annotated:
        if any(isinstance(each, ArrayType) for each in hint.__metadata__):
            return []
        return _kinds_in(hint.__origin__)
    return [kind for each in get_args(hint) for kind in _kinds_in(each)]
