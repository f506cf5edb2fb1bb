"""JSON Schema as pydantic writes it, rewritten as a data schema of W3C TD 1.1 (section 5.3.2).

A data schema has no `anyOf`, and no references but to types that contain themselves, which are in
`$defs` beside it. The branches of `oneOf` must exclude one another,
so overlapping branches of a union are merged (`branches.py`). Pure functions.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from .branches import one_of
from .json_schema import Mode, finite, json_schema
from .merged_modes import merged_modes

Schema = Mapping[str, Any]
_Names = tuple[str, ...]

_KEPT = (
    "@type",
    "title",
    "titles",
    "description",
    "descriptions",
    "type",
    "const",
    "enum",
    "default",
    "unit",
    "readOnly",
    "writeOnly",
    "format",
    "formatMinimum",
    "formatMaximum",
    "formatExclusiveMinimum",
    "formatExclusiveMaximum",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "contentEncoding",
    "contentMediaType",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "required",
)
_NUMBER_LIMITS = frozenset(
    {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
)
_NO_NUMBERS = frozenset({"string", "boolean", "null", "array", "object"})
_IMPLIED_TYPES = {
    "properties": "object",
    "required": "object",
    "additionalProperties": "object",
    "items": "array",
    "minItems": "array",
    "pattern": "string",
    "minLength": "string",
    "minimum": "number",
    "maximum": "number",
    "multipleOf": "number",
}
# pydantic writes the encoding of bytes as a `format`; the standard has `contentEncoding`.
_ENCODINGS = {"base64": "base64", "base64url": "base64url", "binary": None}


def data_schema(json_schema: Schema) -> dict[str, Any]:
    """Return the data schema; each part except Any has a `type`, `const`, `enum` or `oneOf`.

    A reference to a type is replaced by the type. Only inside of itself it is a reference, to
    `$defs` of the data schema, with the `type` beside it for clients that do not follow references.
    A title that only repeats the name of a field or class is dropped.
    """
    found = json_schema.get("$defs") or json_schema.get("definitions") or {}
    definitions = _Definitions(finite(found))
    converted = _convert(finite(json_schema), definitions, ())
    described: dict[str, Any] = {}
    while open_names := definitions.recursive - described.keys():
        for name in sorted(open_names):
            described[name] = _convert(definitions[name], definitions, (name,))
    if described:
        # A member has them too, so that the schema of one parameter of an action is complete.
        for member in (converted, *converted.get("properties", {}).values()):
            if "$ref" in json.dumps(member):
                member["$defs"] = copy.deepcopy(described)
    return converted


class _Definitions(dict[str, Any]):
    """The definitions by name, and the names of those that were found to contain themselves."""

    def __init__(self, definitions: Mapping[str, Any]) -> None:
        super().__init__(definitions)
        self.recursive: set[str] = set()


def data_schema_of(
    adapter: TypeAdapter[Any], hint: Any, mode: Mode, *, by_alias: bool = True
) -> dict[str, Any]:
    """Return the data schema of a compiled type, without the name of its class as title."""
    if mode == "both":
        described = merged_modes(
            data_schema(json_schema(adapter, "validation", by_alias=by_alias)),
            data_schema(json_schema(adapter, "serialization", by_alias=by_alias)),
        )
    else:
        described = data_schema(json_schema(adapter, mode, by_alias=by_alias))
    if _is_name_of(described.get("title"), getattr(hint, "__name__", None)):
        del described["title"]
    return described


def _is_name_of(title: Any, name: str | None) -> bool:
    """Return whether a title is only the name of a field or class in another spelling."""
    return isinstance(title, str) and name is not None and _bare(title) == _bare(name)


def _bare(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).casefold()


def _convert(schema: Any, definitions: _Definitions, open_refs: _Names) -> dict[str, Any]:
    if not isinstance(schema, Mapping):  # the schemas `true` and `false`
        return {}
    if "$ref" in schema:
        return _inlined(schema, definitions, open_refs)
    if "allOf" in schema:
        parts = [_convert(part, definitions, open_refs) for part in schema["allOf"]]
        rest = {key: value for key, value in schema.items() if key != "allOf"}
        return _all_of([*parts, _convert(rest, definitions, open_refs)])
    converted = {key: value for key, value in schema.items() if key in _KEPT or ":" in key}
    converted |= _nested(schema, definitions, open_refs)
    _state_encoding(converted)
    branches = schema.get("oneOf") or schema.get("anyOf") or _branches_by_type(converted)
    if branches:
        found = one_of(
            _tagged(_convert(branch, definitions, open_refs), schema) for branch in branches
        )
        # An enumeration has its type and values beside the branches that name them.
        named = "enum" in converted
        found = _limits(found.get("oneOf", ())) | found
        return found | {key: converted[key] for key in converted if named or key != "type"}
    return _typed(converted)


def _limits(branches: Sequence[Schema]) -> dict[str, Any]:
    """Return the limits of numbers that may also be "NaN"; beside `oneOf` clients find them."""
    numbers = [branch for branch in branches if branch.get("type") == "number"]
    others = [branch for branch in branches if branch not in numbers]
    if len(numbers) != 1 or not all(branch.get("type") in _NO_NUMBERS for branch in others):
        return {}
    return {key: item for key, item in numbers[0].items() if key in _NUMBER_LIMITS}


def _inlined(schema: Schema, definitions: _Definitions, open_refs: _Names) -> dict[str, Any]:
    reference: str = schema["$ref"]
    siblings = _convert(
        {key: value for key, value in schema.items() if key != "$ref"}, definitions, open_refs
    )
    name = reference.rsplit("/", 1)[-1].replace("~1", "/").replace("~0", "~")
    target = definitions.get(name, {})
    if name in open_refs:
        definitions.recursive.add(name)
        kind = target.get("type")
        return {
            **({"type": kind} if isinstance(kind, str) else {}),
            "$ref": f"#/$defs/{name}",
            **siblings,
        }
    found = _convert(target, definitions, (*open_refs, name))
    if _is_name_of(found.get("title"), name):
        del found["title"]
    return found | siblings


def _nested(schema: Schema, definitions: _Definitions, open_refs: _Names) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "properties" in schema:
        found["properties"] = {
            name: _property(name, _convert(part, definitions, open_refs))
            for name, part in schema["properties"].items()
        }
    if isinstance(schema.get("additionalProperties"), Mapping):
        found["additionalProperties"] = _convert(
            schema["additionalProperties"], definitions, open_refs
        )
    elif schema.get("additionalProperties") is False or (
        # Without it, further members are ignored.
        schema.get("additionalProperties") is True and "properties" in schema
    ):
        found["additionalProperties"] = schema["additionalProperties"]
    if isinstance(schema.get("propertyNames"), Mapping):
        found["propertyNames"] = _convert(schema["propertyNames"], definitions, open_refs)
    if "prefixItems" in schema:
        parts = [_convert(part, definitions, open_refs) for part in schema["prefixItems"]]
        # Some clients do not support tuples, so one with equal items is written as an array.
        found["items"] = parts[0] if parts and all(each == parts[0] for each in parts) else parts
    elif isinstance(schema.get("items"), Mapping):
        found["items"] = _convert(schema["items"], definitions, open_refs)
    return found


def _property(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    if _is_name_of(schema.get("title"), name):
        del schema["title"]
    return schema


def _all_of(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Merge the parts of `allOf`; of two members with the same name the last one is used."""
    merged: dict[str, Any] = {}
    for part in parts:
        properties = {**merged.get("properties", {}), **part.get("properties", {})}
        required = [*merged.get("required", ()), *part.get("required", ())]
        if merged.get("type") == "integer" and part.get("type") == "number":
            part = {**part, "type": "integer"}
        merged |= part
        if properties:
            merged["properties"] = properties
        if required:
            merged["required"] = list(dict.fromkeys(required))
    return merged


def _state_encoding(schema: dict[str, Any]) -> None:
    if schema.get("format") in _ENCODINGS:
        encoding = _ENCODINGS[schema.pop("format")]
        if encoding:
            schema.setdefault("contentEncoding", encoding)


def _tagged(branch: dict[str, Any], union: Schema) -> dict[str, Any]:
    """Require the discriminator of a union, also if it has a default, as pydantic does."""
    tag = union.get("discriminator", {}).get("propertyName")
    if tag and tag in branch.get("properties", {}):
        branch["required"] = list(dict.fromkeys([*branch.get("required", ()), tag]))
    return branch


def _branches_by_type(schema: Schema) -> list[dict[str, Any]]:
    if not isinstance(schema.get("type"), list):
        return []
    return [{"type": kind} for kind in schema["type"]]


def _typed(schema: dict[str, Any]) -> dict[str, Any]:
    if not {"type", "const", "enum"} & schema.keys():
        kinds = (kind for member, kind in _IMPLIED_TYPES.items() if member in schema)
        kind = next(kinds, None)
        if kind:
            schema["type"] = kind
    return schema
