"""The validator that a data schema describes, compiled by pydantic.

What the Thing Description says is compiled, and not what the Python type would accept, so that a
value is accepted exactly if it is described. Types are JSON's: a boolean is no number, "3" is no
number, and 1.0 is an integer. The validated values are builtin ones: 1.0 has become 1 where an
integer is described, and bytes are decoded where the schema says that they are in base64.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import CoreSchema, PydanticCustomError, SchemaValidator
from pydantic_core import core_schema as core

from .arrays import DTYPE, SHAPE, ArrayType
from .wire_forms import FORMATS

Schema = Mapping[str, Any]

_BOUNDS = {"minimum": "ge", "maximum": "le", "exclusiveMinimum": "gt", "exclusiveMaximum": "lt"}


class _How:
    """How a data schema is compiled: `decode` gives bytes for what is in base64.

    A type that contains itself is a definition. Its validator is made when it is first needed.
    """

    def __init__(self, decode: bool, definitions: Schema) -> None:
        self.decode = decode
        self._definitions = definitions
        self._validators: dict[str, SchemaValidator] = {}

    def reference(self, pointer: str) -> CoreSchema:
        name = pointer.rsplit("/", 1)[-1]

        def check(value: Any) -> Any:
            validator = self._validators.get(name)
            if validator is None:
                compiled = failing_fast(_described(self._definitions[name], self))
                validator = self._validators.setdefault(name, SchemaValidator(compiled))
            return validator.validate_python(value)

        return core.no_info_plain_validator_function(check)


def described_schema(schema: Schema, *, decode: bool = False) -> CoreSchema:
    """Return the core schema of a data schema; `decode` gives bytes for what is in base64."""
    return _described(schema, _How(decode, schema.get("$defs", {})))


def _described(schema: Schema, how: _How) -> CoreSchema:
    compiled = _compiled(schema, how)
    if "not" not in schema:
        return compiled
    refused = SchemaValidator(_compiled(schema["not"], how))

    def check(value: Any) -> Any:
        if refused.isinstance_python(value):
            raise PydanticCustomError("not", "Input should not have this form")
        return value

    return core.no_info_after_validator_function(check, compiled)


def failing_fast(schema: Any) -> Any:
    """Return a core schema that stops at the first error of an array or dictionary.

    A list of a million wrong items has a million errors, and nobody reads them.
    """
    if isinstance(schema, list):
        return [failing_fast(each) for each in schema]
    if isinstance(schema, tuple):
        return tuple(failing_fast(each) for each in schema)
    if not isinstance(schema, dict):
        return schema
    copied = {key: failing_fast(value) for key, value in schema.items()}
    if copied.get("type") in _COLLECTIONS:
        copied["fail_fast"] = True
    return copied


_COLLECTIONS = frozenset({"list", "tuple", "dict"})


def _compiled(schema: Schema, how: _How) -> CoreSchema:
    if "$ref" in schema:
        return how.reference(schema["$ref"])
    if "const" in schema or "enum" in schema:
        return _choice([schema["const"]] if "const" in schema else schema["enum"])
    if SHAPE in schema:
        return _numbers(ArrayType.of_schema(schema), how)
    if "oneOf" in schema:
        arrays = [branch for branch in schema["oneOf"] if DTYPE in branch]
        if len(arrays) == 1 and len(schema["oneOf"]) > 1:
            return _array_or(arrays[0], schema["oneOf"], how)
        # A `not` in a branch keeps the branches apart, and does not change what all accept.
        return core.union_schema(
            [_compiled(branch, how) for branch in schema["oneOf"]],
            mode="left_to_right",
            custom_error_type="described_form",
            custom_error_message=f"Input should be {' or '.join(_words(schema['oneOf']))}",
        )
    compile_type = _TYPES.get(schema.get("type", ""))
    return compile_type(schema, how) if compile_type else core.any_schema()


def _words(branches: list[Schema]) -> list[str]:
    found: list[str] = []
    for branch in branches:
        values = [branch["const"]] if "const" in branch else branch.get("enum")
        found += map(repr, values) if values else [_A_TYPE.get(branch.get("type", ""), "a value")]
    return list(dict.fromkeys(found))


_A_TYPE = {
    "null": "null",
    "boolean": "a boolean",
    "string": "a text",
    "integer": "an integer",
    "number": "a number",
    "array": "an array",
    "object": "an object",
}


def _null(_schema: Schema, _how: _How) -> CoreSchema:
    return core.none_schema()


def _boolean(_schema: Schema, _how: _How) -> CoreSchema:
    return core.bool_schema(strict=True)


def _bounds(schema: Schema) -> dict[str, Any]:
    return {short: schema[name] for name, short in _BOUNDS.items() if name in schema}


def _integer(schema: Schema, _how: _How) -> CoreSchema:
    whole = core.no_info_after_validator_function(
        _as_integer, core.float_schema(strict=True, allow_inf_nan=False)
    )
    integer: CoreSchema = core.union_schema(
        [core.int_schema(strict=True), whole],
        mode="left_to_right",
        custom_error_type="int_type",
    )
    bounds = _bounds(schema)
    if bounds:
        fractional = any(isinstance(bound, float) for bound in bounds.values())
        bounded = core.float_schema(**bounds) if fractional else core.int_schema(**bounds)
        integer = core.chain_schema([integer, _checked(bounded) if fractional else bounded])
    return _multiple(schema, integer)


def _as_integer(value: float) -> int:
    if not value.is_integer():
        raise ValueError("not an integer")
    return int(value)


def _number(schema: Schema, _how: _How) -> CoreSchema:
    number: CoreSchema = core.union_schema(
        [core.int_schema(strict=True), core.float_schema(strict=True, allow_inf_nan=False)],
        mode="left_to_right",
        custom_error_type="float_type",
    )
    bounds = _bounds(schema)
    if bounds:
        number = core.chain_schema([number, _checked(core.float_schema(**bounds))])
    return _multiple(schema, number)


def _checked(bounded: CoreSchema) -> CoreSchema:
    """Return a schema that refuses what another refuses and keeps the value: 3 remains an int."""
    check = SchemaValidator(bounded).validate_python

    def checked(value: Any) -> Any:
        check(value)
        return value

    return core.no_info_plain_validator_function(checked)


def _multiple(schema: Schema, number: CoreSchema) -> CoreSchema:
    factor = schema.get("multipleOf")
    if factor is None:
        return number
    if isinstance(factor, float) and not factor.is_integer():
        return core.chain_schema([number, _checked(core.float_schema(multiple_of=factor))])

    def check(value: Any) -> Any:
        if value % factor:
            raise PydanticCustomError(
                "multiple_of",
                "Input should be a multiple of {multiple_of}",
                {"multiple_of": factor},
            )
        return value

    return core.no_info_after_validator_function(check, number)


def _string(schema: Schema, how: _How) -> CoreSchema:
    steps: list[CoreSchema] = [
        core.str_schema(
            strict=True,
            min_length=schema.get("minLength"),
            max_length=schema.get("maxLength"),
            pattern=schema.get("pattern"),
        )
    ]
    if schema.get("format") in FORMATS:
        form = core.str_schema(pattern=FORMATS[schema["format"]])
        steps.append(_checked_form(form, schema["format"]))
    if how.decode and schema.get("contentEncoding") == "base64url":
        steps.append(core.no_info_plain_validator_function(_decoded))
    return steps[0] if len(steps) == 1 else core.chain_schema(steps)


def _checked_form(form: CoreSchema, name: str) -> CoreSchema:
    return core.custom_error_schema(
        form, custom_error_type=name.replace("-", "_"), custom_error_message=_FORMS[name]
    )


_FORMS = {
    "date-time": "Input should be a date and time with an offset, as in 2026-05-01T12:00:00+02:00",
    "date": "Input should be a date, as in 2026-05-01",
    "uuid": "Input should be a UUID, as in 3d654bf1-6a5e-4d15-8f3e-0b1c2d3e4f50",
}


def _decoded(text: str) -> bytes:
    standard = text.replace("-", "+").replace("_", "/").rstrip("=")
    return base64.b64decode(standard + "=" * (-len(standard) % 4))


def _array(schema: Schema, how: _How) -> CoreSchema:
    if DTYPE in schema:
        return _numbers(ArrayType.of_schema(schema), how)
    items = schema.get("items")
    least, most = schema.get("minItems"), schema.get("maxItems")
    compiled: CoreSchema
    if isinstance(items, list) and least == most == len(items):
        compiled = core.tuple_schema([_described(item, how) for item in items])
    else:
        each = _described(items, how) if isinstance(items, Mapping) else None
        compiled = core.list_schema(each, min_length=least, max_length=most)
        if isinstance(items, list):
            compiled = core.no_info_after_validator_function(_by_position(items, how), compiled)
    if schema.get("uniqueItems"):
        return core.no_info_after_validator_function(_distinct, compiled)
    return compiled


def _numbers(kind: ArrayType, how: _How) -> CoreSchema:
    """Return the schema of an array of numpy's: an array, or nested lists of numbers."""

    def check(value: Any) -> Any:
        if not how.decode and _is_array_link(value):
            return value
        # Without a shape, single numbers have branches of their own.
        if kind.shape is None and not isinstance(value, list) and not hasattr(value, "dtype"):
            raise PydanticCustomError("list_type", "Input should be an array")
        array = kind.checked(value)
        return array if how.decode else value

    return core.no_info_plain_validator_function(check)


def _is_array_link(value: Any) -> bool:
    """Whether it stands, in what we have written, for an array that was kept and checked before."""
    return isinstance(value, dict) and DTYPE in value


def _array_or(array: Schema, branches: list[Schema], how: _How) -> CoreSchema:
    """Return a union of which one branch is an array; of a list, the error says what it lacks."""
    others = [branch for branch in branches if branch is not array]
    check = SchemaValidator(_compiled(array, how)).validate_python
    other = SchemaValidator(_compiled({"oneOf": others}, how))
    takes_lists = any(branch.get("type", "array") == "array" for branch in others)

    def either(value: Any) -> Any:
        if not isinstance(value, list) and not hasattr(value, "dtype"):
            if not how.decode and _is_array_link(value):
                return value
            return other.validate_python(value)
        if takes_lists and other.isinstance_python(value):
            return other.validate_python(value)
        return check(value)

    return core.no_info_plain_validator_function(either)


def _by_position(items: list[Schema], how: _How) -> Callable[[list[Any]], list[Any]]:
    validators = [SchemaValidator(_described(item, how)) for item in items]

    def check(values: list[Any]) -> list[Any]:
        checked = [
            validator.validate_python(value)
            for validator, value in zip(validators, values, strict=False)
        ]
        return [*checked, *values[len(checked) :]]

    return check


def _distinct(values: list[Any]) -> list[Any]:
    if len({_identity(value) for value in values}) < len(values):
        raise PydanticCustomError("unique_items", "Input should not have equal items")
    return values


def _object(schema: Schema, how: _How) -> CoreSchema:
    properties: Schema = schema.get("properties", {})
    extra = schema.get("additionalProperties")
    if not properties and (extra is not False or "propertyNames" in schema):
        return _dictionary(schema, extra, how)
    required = schema.get("required", ())
    fields = {
        name: core.typed_dict_field(_described(part, how), required=name in required)
        for name, part in properties.items()
    }
    extras_schema = _described(extra, how) if isinstance(extra, Mapping) else None
    compiled: CoreSchema = core.typed_dict_schema(
        fields,
        extra_behavior="forbid" if extra is False else "ignore" if extra is None else "allow",
        extras_schema=extras_schema,
    )
    computed = [name for name, part in properties.items() if part.get("readOnly")]
    if extra is False and computed:
        # Computed by the type itself, which does not take them from outside.
        compiled = core.no_info_after_validator_function(_without(computed), compiled)
    return compiled


def _without(names: list[str]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda members: {key: item for key, item in members.items() if key not in names}


def _dictionary(schema: Schema, extra: Any, how: _How) -> CoreSchema:
    names = schema.get("propertyNames")
    compiled: CoreSchema = core.dict_schema(
        core.str_schema(strict=True)
        if names is None
        else _described({"type": "string", **names}, how),
        _described(extra, how) if isinstance(extra, Mapping) else core.any_schema(),
        min_length=schema.get("minProperties"),
        max_length=schema.get("maxProperties"),
    )
    required = frozenset(schema.get("required", ()))
    if not required:
        return compiled

    def check(members: dict[str, Any]) -> dict[str, Any]:
        for name in required - members.keys():
            raise PydanticCustomError("missing", "The member {name} is missing", {"name": name})
        return members

    return core.no_info_after_validator_function(check, compiled)


_TYPES: dict[str, Callable[[Schema, _How], CoreSchema]] = {
    "null": _null,
    "boolean": _boolean,
    "integer": _integer,
    "number": _number,
    "string": _string,
    "array": _array,
    "object": _object,
}


def _choice(values: list[Any]) -> CoreSchema:
    """Return a schema of these values; JSON has one kind of number, and a boolean is none."""
    chosen = {_identity(value): value for value in values}
    expected = " or ".join(map(repr, values))

    def choose(value: Any) -> Any:
        try:
            return chosen[_identity(value)]
        except (KeyError, TypeError):
            raise PydanticCustomError(
                "enum", "Input should be {expected}", {"expected": expected}
            ) from None

    return core.no_info_plain_validator_function(choose)


def _identity(value: Any) -> Any:
    """Return what is equal for equal JSON values only; in Python, 1 and True are equal."""
    if isinstance(value, list | tuple):
        return ("array", *map(_identity, value))
    if isinstance(value, dict):
        return frozenset((name, _identity(item)) for name, item in value.items())
    return (bool, value) if isinstance(value, bool) else value
