"""Data schemas as a Thing Description states them (W3C TD 1.1, section 5.3.2); pure."""

from __future__ import annotations

from typing import Any

from .units import unit_members

Schema = dict[str, Any]


def value_schema(schema: Schema, unit: str | None = None) -> Schema:
    """Return a copy of a data schema with what only a description needs.

    The unit belongs to the numbers, also to those inside an array or object, except where a number
    has a unit of its own. An object that may have any members has empty `properties`, and `type`
    stands beside `oneOf` where all branches share it: some clients need both.
    """
    described: Schema = _completed(schema)
    if unit and not _add_unit(described, unit_members(unit)):
        described |= unit_members(unit)
    return described


def _completed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_completed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found: Schema = {}
    for key, part in schema.items():
        if key == "properties":
            found[key] = {name: _completed(member) for name, member in part.items()}
        elif key in ("items", "oneOf", "additionalProperties"):
            found[key] = _completed(part)
        elif key == "unit" and isinstance(part, str):
            found |= unit_members(part)
        else:
            found[key] = part
    _complete(found)
    return found


def _complete(found: Schema) -> None:
    if found.get("default", ...) is None and found.get("type", "null") != "null":
        del found["default"]  # Python's sign that there is none
    if found.get("type") == "object":
        found.setdefault("properties", {})
    if "oneOf" in found and "type" not in found:
        types = {branch.get("type") for branch in found["oneOf"] if isinstance(branch, dict)}
        if len(types) == 1 and None not in types:
            found["type"] = types.pop()


def _add_unit(schema: Schema, unit: Schema) -> bool:
    """Add a unit to the numbers of a value that have none; return whether it has numbers."""
    kinds = {each.get("type") for each in (schema, *schema.get("oneOf", ()))}
    if kinds & {"number", "integer"}:
        if "unit" not in schema:
            schema |= unit
        return True
    added = [_add_unit(part, unit) for part in _parts(schema)]
    return any(added)


def _parts(schema: Schema) -> list[Schema]:
    """Return the schemas of what an array, object or union contains, as far as they are known."""
    items = schema.get("items", [])
    others = schema.get("additionalProperties")
    found = [
        *(items if isinstance(items, list) else [items]),
        *schema.get("properties", {}).values(),
        *schema.get("oneOf", ()),
        others,
    ]
    return [each for each in found if isinstance(each, dict)]


def units_in(schema: Any) -> set[str]:
    """Return all units in a part of a description."""
    if isinstance(schema, list):
        return set().union(*map(units_in, schema))
    if not isinstance(schema, dict):
        return set()
    found = {schema["unit"]} if isinstance(schema.get("unit"), str) else set()
    return found.union(*(units_in(part) for key, part in schema.items() if key != "forms"))
