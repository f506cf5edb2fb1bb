"""One type of value: checked, written as JSON and described, compiled once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

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

_Writer = Callable[[Any, Any], bytes]

_CONFIG = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
_BUILTIN = frozenset({bool, int, float, str, type(None)})
_COMPILED = frozenset(
    {"adapter", "is_plain", "immutable", "_validate", "_validate_json", "_write", "_described"}
)


class ValueSchema(Generic[T]):
    """What a property, an input, an output or an event may hold.

    Compiled when first used, because a type may be named before it is defined. Any thread may use
    it: two that compile at once build the same.

    NaN and the infinities are written as the strings "NaN", "Infinity" and "-Infinity", also
    inside of users' models, and read back as floats. (A model inside of a list that is typed as
    Any keeps its own setting for what it declares as Any itself.) Bytes are written in base64
    (URL-safe alphabet, RFC 4648, section 5), and read in either alphabet.
    """

    __slots__ = ("constraints", "hint", "where", *sorted(_COMPILED))

    if TYPE_CHECKING:
        adapter: TypeAdapter[T]
        is_plain: bool
        """Only builtin types: validating and writing run no user code, so a loop may do it."""
        immutable: bool
        """Plain, and a value cannot change in place: it may be shared without a copy."""
        _validate: Callable[[Any], T]
        _validate_json: Callable[[bytes], T]
        _write: _Writer
        _described: dict[Mode, dict[str, Any]]

    def __init__(
        self, hint: Any, constraints: Mapping[str, Any] | None = None, *, where: str
    ) -> None:
        self.hint = hint
        self.constraints = dict(constraints or {})
        self.where = where
        check_known(self.constraints, where)

    def compile(self) -> None:
        """Build the validator now, to find a wrong hint or constraint.

        Raises:
            AffordanceDefinitionError: naming `where`.
        """
        hint = constrained(self.hint, self.constraints, self.where)
        try:
            adapter: TypeAdapter[T] = _adapter(hint)
            schema = adapter.core_schema
            plain, immutable = is_plain(schema), is_immutable(schema)
            write = _writer(schema)
        except Exception as error:  # Types bring schema code of their own.
            raise AffordanceDefinitionError(
                f"{self.where}: the type {hint!r} has no JSON form ({reason(error)})."
                " Use builtin types, a pydantic model or a dataclass."
            ) from error
        self.adapter = adapter
        self.is_plain = plain
        self.immutable = immutable
        self._validate = adapter.validator.validate_python
        self._validate_json = adapter.validator.validate_json
        self._write = write
        self._described = {}

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # Reached only while a slot is empty, so laziness costs the hot paths nothing.
            if name not in _COMPILED:
                raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")
            self.compile()
            return getattr(self, name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.hint!r}, where={self.where!r})"

    def validate(self, value: Any) -> T:
        """Return the value as the type wants it, or raise `pydantic.ValidationError`."""
        return self._validate(value)

    def validate_json(self, data: bytes) -> T:
        """Read and check JSON in one step.

        Raises:
            pydantic.ValidationError: its only error has the type `json_invalid` where the bytes
                are no JSON at all.
        """
        return self._validate_json(data)

    def to_json(self, value: T, context: Any = None) -> bytes:
        """Write the value as compact JSON; `context` is for the serialisers of its types.

        Raises:
            UnserialisableValueError: whatever stood in the way.
        """
        try:
            return self._write(value, context)
        except Exception as error:  # Serialisers may be user code.
            raise UnserialisableValueError(self.where, type(value), reason(error)) from error

    def json_schema(
        self, mode: Mode = "validation", ref_template: str = COMPONENTS
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the JSON Schema for OpenAPI, and the definitions that it refers to by name."""
        schema = json_schema(self.adapter, mode, ref_template)
        definitions: dict[str, Any] = schema.pop("$defs", {})
        return schema, definitions

    def data_schema(self, mode: Mode = "validation") -> dict[str, Any]:
        """Return the W3C data schema, which is the caller's to change."""
        described = self._described
        if mode not in described:
            described[mode] = data_schema_of(self.adapter, self.hint, mode)
        return copy.deepcopy(described[mode])


def _adapter(hint: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(hint, config=_CONFIG)
    except PydanticUserError as error:
        if error.code != "type-adapter-config-unused":
            raise
        return TypeAdapter(hint)  # Models and dataclasses bring their own config.


def _serialiser(schema: CoreSchema) -> SchemaSerializer:
    # Built here, because this config then also holds for what users' models declare as Any.
    return SchemaSerializer(schema, {"ser_json_inf_nan": "strings", "ser_json_bytes": "base64"})


@lru_cache(maxsize=256)
def _model_writer(model: type[BaseModel]) -> _Writer:
    return _careful(_serialiser(TypeAdapter(model).core_schema))


def _writer(schema: CoreSchema) -> _Writer:
    """Choose the cheapest way that never writes NaN as null."""
    if is_plain(schema):
        return _write_plain
    serialiser = _serialiser(schema)
    careful = _careful(serialiser)
    if schema["type"] == "any":
        return _untyped(careful)
    return careful if may_hold_floats(schema) else _without_floats(serialiser, careful)


def _write_plain(value: Any, _context: Any) -> bytes:
    return to_json(value, inf_nan_mode="strings")


def _careful(serialiser: SchemaSerializer) -> _Writer:
    """Dump to builtins first, at the price of a copy.

    pydantic's own setting does not reach the floats that users' models declare.
    """
    to_python = serialiser.to_python

    def write(value: Any, context: Any) -> bytes:
        dumped = to_python(value, mode="json", warnings=False, context=context)
        return to_json(dumped, inf_nan_mode="strings")

    return write


def _without_floats(serialiser: SchemaSerializer, careful: _Writer) -> _Writer:
    to_bytes = serialiser.to_json

    def write(value: Any, context: Any) -> bytes:
        try:
            return to_bytes(value, warnings="error", context=context)
        except ValueError:
            # The value is not what its type says (a float after all?), or cannot be written.
            return careful(value, context)

    return write


def _untyped(careful: _Writer) -> _Writer:
    def write(value: Any, context: Any) -> bytes:
        kind = type(value)
        if kind in _BUILTIN:
            return _write_plain(value, context)
        if issubclass(kind, BaseModel):
            return _model_writer(kind)(value, context)
        return careful(value, context)

    return write
