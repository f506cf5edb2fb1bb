"""JSON Schema as pydantic writes it, without NaN, and `{}` for types that it cannot describe."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, JsonSchemaWarningKind
from pydantic_core import CoreSchema

Mode = Literal["validation", "serialization"]

COMPONENTS = "#/components/schemas/{model}"

_BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
_NAMES = {math.inf: "Infinity", -math.inf: "-Infinity"}


class _Generator(GenerateJsonSchema):
    # One type or default that cannot be described must not make the whole document fail.

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {  # noqa: RUF012 - pydantic's name
        "skipped-choice",
        "non-serializable-default",
    }

    def handle_invalid_for_json_schema(
        self,
        schema: CoreSchema,  # noqa: ARG002
        error_info: str,  # noqa: ARG002
    ) -> JsonSchemaValue:
        return {}


def json_schema(
    adapter: TypeAdapter[Any], mode: Mode, ref_template: str = "#/$defs/{model}"
) -> dict[str, Any]:
    """Return the JSON Schema of a type, with its definitions in `$defs`."""
    written: dict[str, Any] = finite(
        adapter.json_schema(mode=mode, ref_template=ref_template, schema_generator=_Generator)
    )
    return written


def finite(value: Any) -> Any:
    """Return a copy with the strings "NaN", "Infinity" and "-Infinity" instead of such floats.

    An infinite bound is left out, because it excludes no value.
    """
    if isinstance(value, dict):
        return {
            key: finite(item)
            for key, item in value.items()
            if not (key in _BOUNDS and _is_infinite(item))
        }
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return _NAMES.get(value, "NaN") if _is_infinite(value) else value


def _is_infinite(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
