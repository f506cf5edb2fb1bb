"""The data schema vocabulary (W3C TD 1.1, section 5.3.2)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from .vocabulary import (
    MANY,
    ONE,
    Maybe,
    MultiLanguage,
    Number,
    PositiveNumber,
    TypeNames,
    Vocabulary,
    one_or_many,
)

Kind = Literal["boolean", "integer", "number", "string", "object", "array", "null"]
Count = Annotated[int, Field(ge=0)]


class DataSchema(Vocabulary):
    """What data looks like: terms of all its subclasses, which `type` need not be there to tell."""

    at_type: Maybe[TypeNames] = Field(None, alias="@type")
    title: Maybe[str] = None
    titles: Maybe[MultiLanguage] = None
    description: Maybe[str] = None
    descriptions: Maybe[MultiLanguage] = None
    type: Maybe[Kind] = None
    const: Any = None
    default: Any = None
    enum: Maybe[Annotated[list[Any], Field(min_length=1)]] = None
    one_of: Maybe[list[DataSchema]] = Field(None, alias="oneOf")
    unit: Maybe[str] = None
    read_only: Maybe[bool] = Field(None, alias="readOnly")
    write_only: Maybe[bool] = Field(None, alias="writeOnly")
    format: Maybe[str] = None

    items: Maybe[
        Annotated[
            Annotated[DataSchema, Tag(ONE)] | Annotated[list[DataSchema], Tag(MANY)],
            Discriminator(one_or_many),
        ]
    ] = None
    min_items: Maybe[Count] = Field(None, alias="minItems")
    max_items: Maybe[Count] = Field(None, alias="maxItems")

    minimum: Maybe[Number] = None
    exclusive_minimum: Maybe[Number] = Field(None, alias="exclusiveMinimum")
    maximum: Maybe[Number] = None
    exclusive_maximum: Maybe[Number] = Field(None, alias="exclusiveMaximum")
    multiple_of: Maybe[PositiveNumber] = Field(None, alias="multipleOf")

    min_length: Maybe[Count] = Field(None, alias="minLength")
    max_length: Maybe[Count] = Field(None, alias="maxLength")
    pattern: Maybe[str] = None
    content_encoding: Maybe[str] = Field(None, alias="contentEncoding")
    content_media_type: Maybe[str] = Field(None, alias="contentMediaType")

    properties: Maybe[dict[str, DataSchema]] = None
    required: Maybe[list[str]] = None
