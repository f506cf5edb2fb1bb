"""How values are written as JSON, by their type; pure."""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

from pydantic_core import CoreSchema, SchemaSerializer, to_json

from .array_files import replaced_arrays
from .core_types import (
    has_arrays,
    is_plain,
    keeps_naive_times,
    needs_json_mode,
    written_by_pydantic,
)
from .wire_values import to_wire_json

_BUILTIN = frozenset({bool, int, float, str, type(None)})


class Writer(Protocol):
    """Returns a value as JSON; `context` is for the serialisers of its types."""

    def __call__(self, value: Any, /, *, context: Any) -> bytes: ...


class Dumper(Protocol):
    """Returns a value as builtin types; `context` is for the serialisers of its types."""

    def __call__(self, value: Any, /, *, context: Any) -> Any: ...


_write_plain: Writer = partial(to_json, inf_nan_mode="strings")


def writers(schema: CoreSchema, by_alias: bool) -> tuple[Writer, Dumper]:
    """Return the fastest function that writes each value as the data schema says, and a dumper.

    The dumper copies a value to builtin types, and leaves arrays as they are.
    """
    if is_plain(schema):
        return _write_plain, _as_it_is
    serialiser = SchemaSerializer(schema)
    dump = _dumper(serialiser, schema, by_alias)
    by_value = _by_value(dump, schema)
    if schema["type"] == "any":
        return _untyped(by_value), dump
    if written_by_pydantic(schema):
        return _direct(serialiser, by_value, by_alias), dump
    return by_value, dump


def _as_it_is(value: Any, /, *, context: Any) -> Any:  # noqa: ARG001 - a dumper has it
    return value


def _by_value(dump: Dumper, schema: CoreSchema) -> Writer:
    """Return a function that copies the value to simple types first, and writes these.

    pydantic's own settings for NaN and for bytes do not apply within users' models.
    """
    keep_naive = keeps_naive_times(schema)
    may_link = has_arrays(schema) or schema["type"] == "any"

    def write(value: Any, *, context: Any) -> bytes:
        dumped = dump(value, context=context)
        if may_link and context is not None:
            # Large arrays of a run are kept as blobs, and linked.
            link = getattr(context.get("blobs"), "link_array", None)
            if link is not None:
                dumped = replaced_arrays(dumped, link)
        return to_wire_json(dumped, keep_naive=keep_naive)

    return write


def _dumper(serialiser: SchemaSerializer, schema: CoreSchema, by_alias: bool) -> Dumper:
    """Return a function that copies the value to simple types, and leaves arrays as they are."""
    mode = "json" if needs_json_mode(schema) else "python"
    return partial(serialiser.to_python, mode=mode, by_alias=by_alias, warnings=False)


def _direct(serialiser: SchemaSerializer, by_value: Writer, by_alias: bool) -> Writer:
    to_bytes = serialiser.to_json

    def write(value: Any, *, context: Any) -> bytes:
        try:
            return to_bytes(value, by_alias=by_alias, warnings="error", context=context)
        except ValueError:
            # The value does not have its type and may hold floats, or it cannot be written.
            return by_value(value, context=context)

    return write


def _untyped(by_value: Writer) -> Writer:
    def write(value: Any, *, context: Any) -> bytes:
        writer = _write_plain if type(value) in _BUILTIN else by_value
        return writer(value, context=context)

    return write
