"""The type of a value: validation, JSON and data schema, compiled once."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, PydanticUserError, TypeAdapter
from pydantic_core import CoreSchema, SchemaSerializer, to_json

from labthings_fastapi.exceptions import (
    AffordanceDefinitionError,
    UnserialisableValueError,
)

from .constraints import check_known, constrained
from .core_types import is_immutable, is_plain, may_hold_floats
from .data_schema import data_schema_of
from .json_schema import COMPONENTS, Mode, json_schema
from .reasons import reason

T = TypeVar("T")


class _Writer(Protocol):
    def __call__(self, value: Any, /, *, context: Any) -> bytes: ...


_CONFIG = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
_BUILTIN = frozenset({bool, int, float, str, type(None)})


@dataclass(frozen=True, slots=True)
class _Compiled(Generic[T]):
    adapter: TypeAdapter[T]
    write: _Writer
    is_plain: bool
    immutable: bool


class ValueSchema(Generic[T]):
    """The type of a property, an input, an output or an event's data.

    The type is compiled at first use, because a type hint may name a class that is defined later.
    Safe from any thread: two threads that compile at once build equal objects.

    NaN and the infinities are written as the strings "NaN", "Infinity" and "-Infinity", also in
    users' models, and are read back as floats. (In a list of type Any, a model keeps its own
    setting for its members of type Any.) Bytes are written in base64 (URL-safe alphabet, RFC 4648,
    section 5), and are read in either alphabet.
    """

    def __init__(
        self, hint: Any, constraints: Mapping[str, Any] | None = None, *, where: str
    ) -> None:
        """Describe values of type `hint`; errors name `where`, for example `Stage.speed`."""
        self.hint = hint
        self.constraints = dict(constraints or {})
        self.where = where
        self._data_schemas: dict[Mode, dict[str, Any]] = {}
        check_known(self.constraints, where)

    @cached_property
    def compiled(self) -> _Compiled[T]:
        """The validator and the serialiser, built on first use.

        Raises:
            AffordanceDefinitionError: naming `where`; the type hint or a constraint is wrong.
        """
        hint = constrained(self.hint, self.constraints, self.where)
        try:
            return _compile(hint)
        except Exception as error:  # a type may bring schema code of its own
            raise AffordanceDefinitionError(
                f"{self.where}: the type {hint!r} has no JSON form ({reason(error)})."
                " Use builtin types, a pydantic model or a dataclass."
            ) from error

    def compile(self) -> None:
        """Find a wrong type hint or constraint now; idempotent.

        Raises:
            AffordanceDefinitionError: naming `where`.
        """
        self.compiled  # noqa: B018 - built by this

    @property
    def adapter(self) -> TypeAdapter[T]:
        """The compiled type."""
        return self.compiled.adapter

    @property
    def is_plain(self) -> bool:
        """Whether only builtin types take part: no user code runs, so an event loop may use it."""
        return self.compiled.is_plain

    @property
    def immutable(self) -> bool:
        """Whether the type is plain and a value cannot change in place: no copy is needed."""
        return self.compiled.immutable

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.hint!r}, where={self.where!r})"

    def validate(self, value: Any) -> T:
        """Return the value, converted to the type where that is possible.

        Raises:
            pydantic.ValidationError: the value does not fit the type.
        """
        return self.compiled.adapter.validate_python(value)

    def validate_json(self, data: bytes) -> T:
        """Parse and validate JSON.

        Raises:
            pydantic.ValidationError: its only error has the type `json_invalid` if the bytes are
                not JSON.
        """
        return self.compiled.adapter.validate_json(data)

    def to_json(self, value: T, context: Any = None) -> bytes:
        """Return the value as compact JSON; `context` is passed to the serialisers of its types.

        Raises:
            UnserialisableValueError: the value has no JSON form, or a serialiser failed.
        """
        try:
            return self.compiled.write(value, context=context)
        except Exception as error:  # serialisers may be user code
            raise UnserialisableValueError(self.where, type(value), reason(error)) from error

    def json_schema(
        self, mode: Mode = "validation", ref_template: str = COMPONENTS
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the JSON Schema for OpenAPI, and its definitions by name."""
        schema = json_schema(self.adapter, mode, ref_template)
        definitions: dict[str, Any] = schema.pop("$defs", {})
        return schema, definitions

    def data_schema(self, mode: Mode = "validation") -> dict[str, Any]:
        """Return a new copy of the W3C data schema."""
        schemas = self._data_schemas
        if mode not in schemas:
            schemas[mode] = data_schema_of(self.adapter, self.hint, mode)
        return copy.deepcopy(schemas[mode])


def _compile(hint: Any) -> _Compiled[Any]:
    adapter = _adapter(hint)
    schema = adapter.core_schema
    return _Compiled(
        adapter,
        _writer(schema),
        is_plain(schema),
        is_immutable(schema),
    )


def _adapter(hint: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(hint, config=_CONFIG)
    except PydanticUserError as error:
        if error.code != "type-adapter-config-unused":
            raise
        return TypeAdapter(hint)  # models and dataclasses have a config of their own


def _serialiser(schema: CoreSchema) -> SchemaSerializer:
    # Not the serialiser of the adapter: only this config also applies to members of type Any.
    return SchemaSerializer(schema, {"ser_json_inf_nan": "strings", "ser_json_bytes": "base64"})


@lru_cache(maxsize=256)
def _model_writer(model: type[BaseModel]) -> _Writer:
    return _nan_safe(_serialiser(TypeAdapter(model).core_schema))


def _writer(schema: CoreSchema) -> _Writer:
    """Return the fastest function that never writes NaN as null."""
    if is_plain(schema):
        return _write_plain
    serialiser = _serialiser(schema)
    nan_safe = _nan_safe(serialiser)
    if schema["type"] == "any":
        return _untyped(nan_safe)
    return nan_safe if may_hold_floats(schema) else _without_floats(serialiser, nan_safe)


_write_plain: _Writer = partial(to_json, inf_nan_mode="strings")


def _nan_safe(serialiser: SchemaSerializer) -> _Writer:
    """Return a function that copies the value to builtin types first.

    pydantic's own setting for NaN does not apply to floats in users' models.
    """
    to_python = serialiser.to_python

    def write(value: Any, *, context: Any) -> bytes:
        dumped = to_python(value, mode="json", warnings=False, context=context)
        return to_json(dumped, inf_nan_mode="strings")

    return write


def _without_floats(serialiser: SchemaSerializer, nan_safe: _Writer) -> _Writer:
    to_bytes = serialiser.to_json

    def write(value: Any, *, context: Any) -> bytes:
        try:
            return to_bytes(value, warnings="error", context=context)
        except ValueError:
            # The value does not have its type and may hold floats, or it cannot be written.
            return nan_safe(value, context=context)

    return write


def _untyped(nan_safe: _Writer) -> _Writer:
    def write(value: Any, *, context: Any) -> bytes:
        kind = type(value)
        if kind in _BUILTIN:
            return _write_plain(value, context=context)
        if issubclass(kind, BaseModel):
            return _model_writer(kind)(value, context=context)
        return nan_safe(value, context=context)

    return write
