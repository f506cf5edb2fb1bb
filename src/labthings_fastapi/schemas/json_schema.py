"""JSON Schema as pydantic writes it, changed where that would promise something else.

Floats may also be the strings for NaN and the infinities, the members of an Enum have their names,
times have an offset, bytes are in base64 everywhere, and patterns are read alike by all clients.
A type that cannot be described is `{}`. Pure functions.
"""

from __future__ import annotations

import datetime
import enum
import math
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, JsonSchemaWarningKind
from pydantic_core import CoreSchema, SchemaValidator, from_json

from . import wire_forms
from .patterns import portable
from .wire_values import plain_value, to_wire_json

Mode = Literal["validation", "serialization", "both"]
"""What clients send, what they are sent, or a value that is read and written."""

COMPONENTS = "#/components/schemas/{model}"

_BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
_NAMES = {math.inf: "Infinity", -math.inf: "-Infinity"}
_MOST_COMBINATIONS = 64
_MOST_NAMES = 64
_MOST_FLAGS = 2**53 - 1  # the largest integer that every client reads exactly


class _Generator(GenerateJsonSchema):
    # One type or default that cannot be described must not make the whole document fail.

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {  # noqa: RUF012 - pydantic's name
        "skipped-choice",
        "non-serializable-default",
    }

    def __init__(self, *args: Any, **options: Any) -> None:
        self._configs: list[dict[str, Any]] = []
        super().__init__(*args, **options)

    def generate_inner(self, schema: Any) -> JsonSchemaValue:
        config = schema.get("config")
        if not config:
            return super().generate_inner(schema)
        self._configs.append(config)
        try:
            return super().generate_inner(schema)
        finally:
            self._configs.pop()

    def handle_invalid_for_json_schema(
        self,
        schema: CoreSchema,  # noqa: ARG002
        error_info: str,  # noqa: ARG002
    ) -> JsonSchemaValue:
        return {}

    def encode_default(self, dft: Any) -> Any:
        return from_json(to_wire_json(TypeAdapter(Any).dump_python(plain_value(dft))))

    def float_schema(self, schema: Any) -> JsonSchemaValue:
        number = super().float_schema(schema)
        strings = [name for name in wire_forms.NOT_FINITE if self._accepts(schema, name)]
        if not strings:
            return number
        return {"anyOf": [number, {"type": "string", "enum": strings}]}

    def _accepts(self, schema: dict[str, Any], name: str) -> bool:
        config: Any = self._configs[-1] if self._configs else None
        bare: Any = {key: item for key, item in schema.items() if key not in _NOT_VALIDATED}
        try:
            SchemaValidator(bare, config).validate_python(wire_forms.NOT_FINITE[name])
        except ValidationError:
            return False
        return True

    def decimal_schema(self, schema: Any) -> JsonSchemaValue:
        number = {"type": "number"}
        self.update_with_validations(number, schema, self.ValidationsMapping.numeric)
        number = {key: _as_number(item) for key, item in number.items()}
        sign = "[+]?" if _is_never_negative(schema, 0) else "[+-]?"
        text = {"type": "string", "pattern": wire_forms.DECIMAL.format(sign=sign)}
        branches: list[dict[str, Any]] = [number, text]
        if schema.get("allow_inf_nan"):
            branches.append({"type": "string", "enum": list(wire_forms.NOT_FINITE)})
        return {"anyOf": branches}

    def str_schema(self, schema: Any) -> JsonSchemaValue:
        written = super().str_schema(schema)
        pattern = written.get("pattern")
        if isinstance(pattern, str):
            written["pattern"] = portable(pattern)
        return written

    def bytes_schema(self, schema: Any) -> JsonSchemaValue:
        return wire_forms.base64_text(schema.get("min_length", 0), schema.get("max_length"))

    def datetime_schema(self, schema: Any) -> JsonSchemaValue:
        if schema.get("tz_constraint") == "naive":
            return {"type": "string", "pattern": wire_forms.NAIVE_DATE_TIME}
        return {"type": "string", "format": "date-time", **_time_limits(schema)}

    def date_schema(self, schema: Any) -> JsonSchemaValue:
        return {"type": "string", "format": "date", **_time_limits(schema)}

    def time_schema(self, schema: Any) -> JsonSchemaValue:
        if schema.get("tz_constraint") == "aware":
            time = {"type": "string", "format": "time", "pattern": wire_forms.AWARE_TIME}
            return time | _time_limits(schema)
        return {"type": "string", "pattern": wire_forms.TIME}  # the format needs an offset

    def timedelta_schema(self, schema: Any) -> JsonSchemaValue:
        sign = "" if _is_never_negative(schema, datetime.timedelta(0)) else "-?"
        # The format has no sign.
        return {"type": "string", "pattern": wire_forms.DURATION.format(sign=sign)}

    def complex_schema(self, schema: Any) -> JsonSchemaValue:  # noqa: ARG002
        return {"type": "string", "pattern": wire_forms.COMPLEX}

    def dict_schema(self, schema: Any) -> JsonSchemaValue:
        written = super().dict_schema(schema)
        for pattern, values in written.pop("patternProperties", {}).items():
            written["additionalProperties"] = values
            named = written.get("propertyNames", {})
            written["propertyNames"] = {"type": "string", **named, "pattern": portable(pattern)}
        names = _names_of(schema.get("keys_schema"))
        return written | ({"propertyNames": names} if names else {})

    def enum_schema(self, schema: Any) -> JsonSchemaValue:
        written = super().enum_schema(schema)
        if issubclass(schema["cls"], enum.Flag):
            return _flags(schema["cls"], written)
        members = [(member.name, value) for member, value in _pairs(schema, written)]
        if all(str(value).casefold() == name.casefold() for name, value in members):
            return written
        written["oneOf"] = [{"const": value, "title": name} for name, value in members]
        return written


_NOT_VALIDATED = frozenset({"serialization", "metadata", "ref"})


def _pairs(schema: Any, written: dict[str, Any]) -> Any:
    return zip(schema["members"], written["enum"], strict=True)


def _as_number(item: Any) -> Any:
    return item if isinstance(item, str | int) else float(item)


def _time_limits(schema: Any) -> dict[str, str]:
    """Return the limits of a time; JSON Schema has no keywords for them, but validators do."""
    return {
        key: finite(schema[name])
        for name, key in _TIME_LIMITS.items()
        if isinstance(schema.get(name), datetime.date | datetime.time)
    }


_TIME_LIMITS = {
    "ge": "formatMinimum",
    "le": "formatMaximum",
    "gt": "formatExclusiveMinimum",
    "lt": "formatExclusiveMaximum",
}


def _is_never_negative(schema: Any, zero: Any) -> bool:
    limits = (schema[name] for name in ("ge", "gt") if schema.get(name) is not None)
    return any(limit >= zero for limit in limits)


def _names_of(keys: Any) -> dict[str, Any] | None:
    """Return the schema of the names of an object whose keys are no plain texts in Python."""
    kind = (keys or {}).get("type")
    if kind == "int":
        return _integer_names(keys)
    if kind == "float":
        return {"type": "string", "pattern": wire_forms.FLOAT_NAME}
    if kind == "bool":
        return {"type": "string", "enum": ["true", "false"]}
    if kind in ("enum", "literal"):
        values = keys.get("members") or keys.get("expected")
        names = [getattr(value, "value", value) for value in values]
        return {"type": "string", "enum": [str(name) for name in names]}
    return None


def _integer_names(keys: Any) -> dict[str, Any]:
    least = max(keys.get("ge", -math.inf), keys.get("gt", -math.inf) + 1)
    most = min(keys.get("le", math.inf), keys.get("lt", math.inf) - 1)
    if most - least < _MOST_NAMES:
        return {"type": "string", "enum": [str(n) for n in range(least, most + 1)]}
    if least >= 0:
        return {"type": "string", "pattern": wire_forms.NATURAL_NAME}
    return {"type": "string", "pattern": wire_forms.INTEGER_NAME}


def _flags(kind: type[enum.Flag], written: dict[str, Any]) -> dict[str, Any]:
    """Describe flags as the sums of their members, which have names in the description."""
    bits = [member for member in kind if member.value]
    mask = 0
    for member in bits:
        mask |= member.value
    text = "Flags, whose values are added: "
    text += ", ".join(f"{member.value} {member.name}" for member in bits) + "."
    described: dict[str, Any] = {
        key: written[key] for key in ("title", "description") if key in written
    }
    described["description"] = "\n\n".join([*filter(None, [described.get("description")]), text])
    described["type"] = "integer"
    if _keeps_unknown(kind, 1 << mask.bit_length()):
        return described | {"minimum": 0, "maximum": _MOST_FLAGS}
    if mask & (mask + 1) and bin(mask).count("1") <= _MOST_COMBINATIONS.bit_length():
        return described | {"enum": [n for n in range(mask + 1) if not n & ~mask]}
    return described | {"minimum": 0, "maximum": mask}


def _keeps_unknown(kind: type[enum.Flag], unknown: int) -> bool:
    """Return whether values with unnamed bits are members, as of an IntFlag."""
    try:
        return isinstance(kind(unknown), kind)
    except ValueError:
        return False


def json_schema(
    adapter: TypeAdapter[Any],
    mode: Literal["validation", "serialization"],
    ref_template: str = "#/$defs/{model}",
    *,
    by_alias: bool = True,
) -> dict[str, Any]:
    """Return the JSON Schema of a type, with its definitions in `$defs`."""
    written: dict[str, Any] = finite(
        adapter.json_schema(
            by_alias=by_alias, mode=mode, ref_template=ref_template, schema_generator=_Generator
        )
    )
    return written


def finite(value: Any) -> Any:
    """Return a copy with the strings "NaN", "Infinity" and "-Infinity" instead of such floats.

    An infinite bound is left out, because it excludes no value. Numbers and arrays of numpy, which
    are limits and defaults of those who use it, become plain ones.
    """
    value = plain_value(value)
    if isinstance(value, dict):
        if value.get("type") == "string" and isinstance(value.get("const"), list):
            value = {**value, "const": value["const"][0]}  # see `Blob`
        return {
            key: finite(item)
            for key, item in value.items()
            if not (key in _BOUNDS and _is_infinite(item))
        }
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return _NAMES.get(value, "NaN") if _is_infinite(value) else value


def _is_infinite(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
