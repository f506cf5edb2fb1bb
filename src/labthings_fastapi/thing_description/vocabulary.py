"""What the terms of the TD vocabulary have in common (W3C TD 1.1, section 5)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
)

TD_CONTEXT = "https://www.w3.org/2022/wot/td/v1.1"
TD_1_0_CONTEXT = "https://www.w3.org/2019/wot/td/v1"

ONE, MANY = "(one)", "(many)"

T = TypeVar("T")

_URI_REFERENCE = re.compile(r"[^\s<>\"\\^`|]*")
_ABSOLUTE_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"\\^`|]+")
_LANGUAGE = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")


class Vocabulary(BaseModel):
    """A class of the vocabulary: its own terms are checked strictly, others are let through.

    The standard allows further members anywhere (section 7.1), and forbids null for its own.
    """

    model_config = ConfigDict(
        strict=True,
        extra="allow",
        serialize_by_alias=True,
        allow_inf_nan=False,
        protected_namespaces=(),
        defer_build=True,
    )

    def document(self) -> dict[str, Any]:
        """Return the JSON object that this stands for, without members that were not there."""
        return self.model_dump(mode="json", exclude_unset=True)


def _not_null(value: Any) -> Any:
    if value is None:
        raise ValueError("null is not allowed; leave out what has no value")
    return value


Maybe = Annotated[T | None, BeforeValidator(_not_null)]
"""A member that may be left out, but not be null."""


def one_or_many(value: Any) -> str:
    """Return the tag by which a union of a value and an array of them is told apart."""
    return MANY if isinstance(value, list) else ONE


OneOrMany = Annotated[
    Annotated[T, Tag(ONE)] | Annotated[list[T], Tag(MANY), Field(min_length=1)],
    Discriminator(one_or_many),
]
"""A single value, or an array of them with at least one."""


def _uri_reference(value: str) -> str:
    if not _URI_REFERENCE.fullmatch(value):
        raise ValueError("is no URI reference (RFC 3986), nor a template of one")
    return value


def _absolute_uri(value: str) -> str:
    if not _ABSOLUTE_URI.fullmatch(value):
        raise ValueError("is no absolute URI (RFC 3986): it needs a scheme such as 'https:'")
    return value


def _language(value: str) -> str:
    if not _LANGUAGE.fullmatch(value):
        raise ValueError("is no language tag (BCP 47) such as 'en' or 'de-CH'")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("is no number")
    return value


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError("is not greater than 0")
    return value


def _date_time(value: str) -> str:
    if "T" not in value.upper():
        raise ValueError("is no date with a time (RFC 3339) such as '2024-05-01T12:00:00Z'")
    datetime.fromisoformat(value)
    return value


def _thing_type(value: str) -> str:
    if value == "tm:ThingModel":
        raise ValueError("is the type of a Thing Model, which is no Thing Description")
    return value


def _terms(entry: Mapping[Any, Any]) -> None:
    for term, meaning in entry.items():
        if not isinstance(meaning, str):
            raise ValueError(f"has {meaning!r} for {term!r}, which must be a URI or a language")
        if term == "@language":
            _language(meaning)


def _context(value: Any) -> Any:
    entries = value if isinstance(value, list) else [value]
    for entry in entries:
        if isinstance(entry, str):
            _absolute_uri(entry)
        elif not isinstance(entry, Mapping):
            raise ValueError(f"has the entry {entry!r}, which is neither a URI nor a map")
        else:
            _terms(entry)
    wanted = [TD_1_0_CONTEXT, TD_CONTEXT] if TD_1_0_CONTEXT in entries else [TD_CONTEXT]
    if entries[: len(wanted)] != wanted:
        raise ValueError(f"must begin with {', '.join(wanted)}")
    return value


# Pydantic's own check of a union would report each mistake twice.
Number = Annotated[int | float, PlainValidator(_number)]
PositiveNumber = Annotated[int | float, PlainValidator(_number), AfterValidator(_positive)]
UriReference = Annotated[str, AfterValidator(_uri_reference)]
AbsoluteUri = Annotated[str, AfterValidator(_absolute_uri)]
Language = Annotated[str, AfterValidator(_language)]
MultiLanguage = dict[Language, str]
DateTime = Annotated[str, AfterValidator(_date_time)]
TypeName = Annotated[str, AfterValidator(_thing_type)]
TypeNames = Annotated[
    Annotated[TypeName, Tag(ONE)] | Annotated[list[TypeName], Tag(MANY)],
    Discriminator(one_or_many),
]
Context = Annotated[Any, AfterValidator(_context)]
