"""The W3C data schema of a Python type, for code outside of the package; pure.

Affordances are described by `labthings_fastapi.schemas.data_schema`, which also merges the
branches of unions that overlap.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .model import DataSchema


def type_to_dataschema(hint: Any, **members: Any) -> DataSchema:
    """Return the data schema (W3C TD 1.1, section 5.3.2) of a type, with `members` added to it.

    Raises:
        RecursionError: the type contains itself, and a data schema has no references.
        pydantic.errors.PydanticUserError: the type has no JSON form.
    """
    from pydantic import TypeAdapter

    from .model import DataSchema

    describe_itself = getattr(hint, "model_json_schema", None)
    schema = describe_itself() if describe_itself else TypeAdapter(hint).json_schema()
    definitions = schema.pop("$defs", {})
    return DataSchema.model_validate(_converted(schema, definitions, ()) | members)


def convert_prefixitems(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema whose `prefixItems` (JSON Schema 2020-12) are a list of `items`, as in a TD.

    Raises:
        KeyError: the schema has both members.
    """
    converted = dict(schema)
    if "prefixItems" in converted:
        if "items" in converted:
            raise KeyError("A schema with 'prefixItems' and 'items' has no form in a TD.")
        converted["items"] = converted.pop("prefixItems")
    return converted


def _converted(schema: Any, definitions: Mapping[str, Any], parents: tuple[str, ...]) -> Any:
    """Rewrite a schema; `parents` are the names of the definitions around it."""
    if isinstance(schema, list):
        return [_converted(part, definitions, parents) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        if name in parents:
            raise RecursionError(
                f"{name} contains itself, so it cannot be described without references."
            )
        siblings = {key: part for key, part in schema.items() if key != "$ref"}
        return _converted(definitions[name] | siblings, definitions, (*parents, name))
    converted = convert_prefixitems(schema)
    if "anyOf" in converted:
        converted["oneOf"] = converted.pop("anyOf")
    if converted.get("default", ...) is None:
        del converted["default"]
    for key, part in converted.items():
        if key == "properties":
            converted[key] = {
                name: _converted(member, definitions, parents) for name, member in part.items()
            }
        elif key in ("items", "additionalProperties", "propertyNames", "oneOf", "allOf"):
            converted[key] = _converted(part, definitions, parents)
    return converted
