"""The Thing Description as a strict model (W3C TD 1.1, sections 5.3.1 and 5.3.4)."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from .data_schema_model import DataSchema
from .security_model import AnySecurityScheme
from .vocabulary import (
    AbsoluteUri,
    Context,
    DateTime,
    Language,
    Maybe,
    MultiLanguage,
    OneOrMany,
    TypeNames,
    UriReference,
    Vocabulary,
)

PropertyOp = Literal["readproperty", "writeproperty", "observeproperty", "unobserveproperty"]
ActionOp = Literal["invokeaction", "queryaction", "cancelaction"]
EventOp = Literal["subscribeevent", "unsubscribeevent"]
ThingOp = Literal[
    "readallproperties",
    "writeallproperties",
    "readmultipleproperties",
    "writemultipleproperties",
    "observeallproperties",
    "unobserveallproperties",
    "queryallactions",
    "subscribeallevents",
    "unsubscribeallevents",
]

_SIZES = re.compile(r"any|[0-9]+x[0-9]+( [0-9]+x[0-9]+)*", re.IGNORECASE)


class ExpectedResponse(Vocabulary):
    """The answer, where it is of another type than the request."""

    content_type: str = Field(alias="contentType")


class AdditionalExpectedResponse(Vocabulary):
    """Another answer that may come, such as an error; `schema` names a schema definition."""

    success: Maybe[bool] = None
    content_type: Maybe[str] = Field(None, alias="contentType")
    schema_: Maybe[str] = Field(None, alias="schema")


class Form(Vocabulary):
    """How to do something over a protocol; the operations are those of its place."""

    href: UriReference
    content_type: Maybe[str] = Field(None, alias="contentType")
    content_coding: Maybe[str] = Field(None, alias="contentCoding")
    security: Maybe[OneOrMany[str]] = None
    scopes: Maybe[OneOrMany[str]] = None
    response: Maybe[ExpectedResponse] = None
    additional_responses: Maybe[list[AdditionalExpectedResponse]] = Field(
        None, alias="additionalResponses"
    )
    subprotocol: Maybe[str] = None


class PropertyForm(Form):
    """A form of a property: by default, it reads and writes."""

    op: Maybe[OneOrMany[PropertyOp]] = None


class ActionForm(Form):
    """A form of an action: by default, it invokes."""

    op: Maybe[OneOrMany[ActionOp]] = None


class EventForm(Form):
    """A form of an event: by default, it subscribes and unsubscribes."""

    op: Maybe[OneOrMany[EventOp]] = None


class ThingForm(Form):
    """A form of the whole Thing, which must say what it does."""

    op: OneOrMany[ThingOp]


def _scalars(variables: dict[str, DataSchema]) -> dict[str, DataSchema]:
    for name, schema in variables.items():
        if schema.type in ("object", "array"):
            raise ValueError(f"{name!r} is of type {schema.type}, which does not fit in a URI")
    return variables


UriVariables = Annotated[dict[str, DataSchema], AfterValidator(_scalars)]


class InteractionAffordance(Vocabulary):
    """Something that one can do with a Thing."""

    at_type: Maybe[TypeNames] = Field(None, alias="@type")
    title: Maybe[str] = None
    titles: Maybe[MultiLanguage] = None
    description: Maybe[str] = None
    descriptions: Maybe[MultiLanguage] = None
    uri_variables: Maybe[UriVariables] = Field(None, alias="uriVariables")


class PropertyAffordance(InteractionAffordance, DataSchema):
    """A value to read, to write or to observe."""

    observable: Maybe[bool] = None
    forms: Annotated[list[PropertyForm], Field(min_length=1)]


class ActionAffordance(InteractionAffordance):
    """Something to invoke."""

    input: Maybe[DataSchema] = None
    output: Maybe[DataSchema] = None
    safe: Maybe[bool] = None
    idempotent: Maybe[bool] = None
    synchronous: Maybe[bool] = None
    forms: Annotated[list[ActionForm], Field(min_length=1)]


class EventAffordance(InteractionAffordance):
    """Something to be told of."""

    subscription: Maybe[DataSchema] = None
    data: Maybe[DataSchema] = None
    data_response: Maybe[DataSchema] = Field(None, alias="dataResponse")
    cancellation: Maybe[DataSchema] = None
    forms: Annotated[list[EventForm], Field(min_length=1)]


class VersionInfo(Vocabulary):
    """The version of the description, and of the Thing Model behind it."""

    instance: str
    model: Maybe[str] = None


class Link(Vocabulary):
    """A link to another resource, RFC 8288."""

    href: UriReference
    type: Maybe[str] = None
    rel: Maybe[str] = None
    anchor: Maybe[UriReference] = None
    sizes: Maybe[str] = None
    hreflang: Maybe[OneOrMany[Language]] = None

    @model_validator(mode="after")
    def _only_icons_have_sizes(self) -> Self:
        if self.sizes is not None and (self.rel != "icon" or not _SIZES.fullmatch(self.sizes)):
            raise ValueError("'sizes' is for links with rel 'icon', written as '16x16 32x32'")
        return self


class ThingDescription(Vocabulary):
    """What a Thing is, what it can do, and how to reach it."""

    at_context: Context = Field(alias="@context")
    at_type: Maybe[TypeNames] = Field(None, alias="@type")
    id: Maybe[AbsoluteUri] = None
    title: str
    titles: Maybe[MultiLanguage] = None
    description: Maybe[str] = None
    descriptions: Maybe[MultiLanguage] = None
    version: Maybe[VersionInfo] = None
    created: Maybe[DateTime] = None
    modified: Maybe[DateTime] = None
    support: Maybe[AbsoluteUri] = None
    base: Maybe[AbsoluteUri] = None
    profile: Maybe[OneOrMany[AbsoluteUri]] = None
    properties: Maybe[dict[str, PropertyAffordance]] = None
    actions: Maybe[dict[str, ActionAffordance]] = None
    events: Maybe[dict[str, EventAffordance]] = None
    links: Maybe[list[Link]] = None
    forms: Maybe[Annotated[list[ThingForm], Field(min_length=1)]] = None
    uri_variables: Maybe[UriVariables] = Field(None, alias="uriVariables")
    security: OneOrMany[str]
    security_definitions: Annotated[dict[str, AnySecurityScheme], Field(min_length=1)] = Field(
        alias="securityDefinitions"
    )
    schema_definitions: Maybe[Annotated[dict[str, DataSchema], Field(min_length=1)]] = Field(
        None, alias="schemaDefinitions"
    )
