"""The schemas of the OpenAPI document that others refer to by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labthings_fastapi.schemas.values import ValueSchema

Json = dict[str, Any]
_REF = "#/components/schemas/"


class Components:
    """The schemas that others refer to by name, with a number added to names that are taken."""

    def __init__(self, schemas: Json) -> None:
        """Add to the document's own schemas."""
        self._schemas = schemas

    def schema(self, values: ValueSchema[Any], mode: Any) -> Json:
        """Return the JSON Schema of a type, after adding what it refers to."""
        suffix = ""
        number = 1
        while True:
            schema, definitions = values.json_schema(mode, f"{_REF}{{model}}{suffix}")
            named = {f"{name}{suffix}": found for name, found in definitions.items()}
            if all(self._schemas.get(name, found) == found for name, found in named.items()):
                self._schemas.update(named)
                return schema
            number += 1
            suffix = f"_{number}"
