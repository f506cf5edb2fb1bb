"""One data schema for a value that is read and written; pure.

pydantic describes what a type accepts and what it writes. A Thing Description has one schema for a
property, so what is read must fit what may be written. Members that are only written by the type,
such as computed fields, are `readOnly`.
"""

from __future__ import annotations

from typing import Any

from .branches import one_of

Schema = dict[str, Any]


def merged_modes(accepted: Schema, written: Schema) -> Schema:
    """Return the schema of the values that are accepted, and of those that are written."""
    if accepted == written:
        return accepted
    definitions, others = accepted.get("$defs", {}), written.get("$defs", {})
    if definitions or others:
        both = {
            name: merged_modes(
                definitions.get(name, others.get(name)), others.get(name, definition)
            )
            for name, definition in {**others, **definitions}.items()
        }
        return merged_modes(_bare(accepted), _bare(written)) | {"$defs": both}
    if accepted.get("type") == written.get("type") == "object" and "properties" in accepted:
        return _objects(accepted, written)
    merged = dict(accepted)
    for key in ("items", "additionalProperties"):
        if isinstance(accepted.get(key), dict) and isinstance(written.get(key), dict):
            merged[key] = merged_modes(accepted[key], written[key])
    for key in ("items", "oneOf"):
        one, two = accepted.get(key), written.get(key)
        if isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
            merged[key] = [merged_modes(a, b) for a, b in zip(one, two, strict=True)]
    keys = ("items", "additionalProperties", "oneOf")
    if any(merged.get(key) != accepted.get(key) for key in keys) or _rest(accepted) == _rest(
        written
    ):
        return merged
    return one_of([accepted, written])


def _bare(schema: Schema) -> Schema:
    return {key: item for key, item in schema.items() if key != "$defs"}


def _rest(schema: Schema) -> Schema:
    """Return the members that decide which values fit."""
    ignored = ("title", "description", "default", "items", "additionalProperties", "oneOf")
    return {key: item for key, item in schema.items() if key not in ignored}


def _objects(accepted: Schema, written: Schema) -> Schema:
    properties = dict(accepted["properties"])
    served = written.get("properties", {})
    for name, part in served.items():
        if name in properties:
            properties[name] = merged_modes(properties[name], part)
        else:
            properties[name] = part | {"readOnly": True}
    merged = accepted | {"properties": properties}
    required = [name for name in accepted.get("required", ()) if name in served]
    merged.pop("required", None)
    return merged | ({"required": required} if required else {})
