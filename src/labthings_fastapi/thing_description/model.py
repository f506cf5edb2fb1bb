"""Attribute access to a Thing Description, with the names of W3C TD 1.1 (section 5.3).

The models check nothing beyond what pydantic needs: `validation` holds a document against the
W3C's JSON schema. Members without a field here are kept as extra attributes.
"""
# ruff: noqa: N815 - the field names are those of the standard

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Vocabulary(BaseModel):
    """The base of the vocabulary's classes; `@type` and `@context` are `at_type`, `at_context`."""

    model_config = ConfigDict(
        extra="allow",
        serialize_by_alias=True,
        populate_by_name=True,
        protected_namespaces=(),
        # The model is built when it is first used, not at import.
        defer_build=True,
    )

    at_type: str | list[str] | None = Field(None, alias="@type")
    title: str | None = None
    titles: dict[str, str] | None = None
    description: str | None = None
    descriptions: dict[str, str] | None = None


class DataType(StrEnum):
    """The types of JSON values that a data schema can name; each member is also a string."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    NUMBER = "number"
    STRING = "string"
    OBJECT = "object"
    ARRAY = "array"
    NULL = "null"


class DataSchema(Vocabulary):
    """The shape of a value (section 5.3.2)."""

    type: DataType | None = None
    const: Any = None
    default: Any = None
    enum: list[Any] | None = None
    oneOf: list[DataSchema] | None = None
    unit: str | None = None
    readOnly: bool | None = None
    writeOnly: bool | None = None
    format: str | None = None

    items: DataSchema | list[DataSchema] | None = None
    minItems: int | None = None
    maxItems: int | None = None

    minimum: int | float | None = None
    exclusiveMinimum: int | float | None = None
    maximum: int | float | None = None
    exclusiveMaximum: int | float | None = None
    multipleOf: int | float | None = None

    minLength: int | None = None
    maxLength: int | None = None
    pattern: str | None = None
    contentEncoding: str | None = None
    contentMediaType: str | None = None

    properties: dict[str, DataSchema] | None = None
    required: list[str] | None = None


class Form(Vocabulary):
    """How to perform an operation over a protocol (section 5.3.4.2)."""

    href: str
    op: str | list[str] | None = None
    contentType: str | None = None
    subprotocol: str | None = None
    security: str | list[str] | None = None


class PropertyAffordance(DataSchema):
    """A value to read, write or observe (section 5.3.1.3)."""

    observable: bool | None = None
    uriVariables: dict[str, DataSchema] | None = None
    forms: list[Form]


class ActionAffordance(Vocabulary):
    """Something to invoke (section 5.3.1.4)."""

    input: DataSchema | None = None
    output: DataSchema | None = None
    safe: bool | None = None
    idempotent: bool | None = None
    synchronous: bool | None = None
    uriVariables: dict[str, DataSchema] | None = None
    forms: list[Form]


class EventAffordance(Vocabulary):
    """Something to subscribe to (section 5.3.1.5)."""

    data: DataSchema | None = None
    uriVariables: dict[str, DataSchema] | None = None
    forms: list[Form]


class ThingDescription(Vocabulary):
    """The description of a Thing (section 5.3.1.1)."""

    at_context: Any = Field(alias="@context")
    id: str | None = None
    base: str | None = None
    version: dict[str, Any] | None = None
    properties: dict[str, PropertyAffordance] | None = None
    actions: dict[str, ActionAffordance] | None = None
    events: dict[str, EventAffordance] | None = None
    links: list[dict[str, Any]] | None = None
    forms: list[Form] | None = None
    security: str | list[str]
    securityDefinitions: dict[str, dict[str, Any]]
