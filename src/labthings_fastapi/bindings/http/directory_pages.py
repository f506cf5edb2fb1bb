"""The pages of the list of Things, and their links (W3C WoT Discovery, section 7.3.2.1.5); pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode

from pydantic_core import to_json

from labthings_fastapi.exceptions import RequestError
from labthings_fastapi.thing_description.directory import DISCOVERY_CONTEXT, FORMATS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


@dataclass(frozen=True, slots=True)
class Page:
    """What a request asks for: Things from `offset` on, at most `limit` (None: all)."""

    offset: int = 0
    limit: int | None = None
    format: str = FORMATS[0]

    @classmethod
    def of_query(cls, query: bytes) -> Page:
        """Return the page that a query string asks for.

        Raises:
            RequestError: a parameter has a value that makes no sense.
        """
        parameters = parse_qs(query.decode("latin-1"), keep_blank_values=True)
        offset, limit = (_number(parameters, name) for name in ("offset", "limit"))
        if limit == 0:
            raise RequestError("The limit is 0, but must be at least 1.")
        format = parameters.get("format", FORMATS[:1])[-1]
        if format not in FORMATS:
            raise RequestError(f"The format is {format!r}, but must be {' or '.join(FORMATS)}.")
        return cls(offset or 0, limit, format)

    def of(self, things: Sequence[Any]) -> Sequence[Any]:
        """Return the part of a list that is on this page."""
        end = None if self.limit is None else self.offset + self.limit
        return things[self.offset : end]

    def next(self, total: int) -> Page | None:
        """Return the page after this one, of a list with so many entries."""
        if self.limit is None or self.offset + self.limit >= total:
            return None
        return Page(self.offset + self.limit, self.limit, self.format)

    def url(self, things: str) -> str:
        """Return the URL of this page; `things` is that of the whole list."""
        query: dict[str, int | str] = {}
        if self.offset or self.limit is not None:
            query["offset"] = self.offset
        if self.limit is not None:
            query["limit"] = self.limit
        if self.format != FORMATS[0]:
            query["format"] = self.format
        return f"{things}?{urlencode(query)}" if query else things


def link_header(page: Page, total: int, things: str, etag: str) -> str:
    """Return the links of a page: to the next one, and to the whole list in its present state."""
    links = [f'<{things}>; rel="canonical"; etag="{etag}"']
    following = page.next(total)
    if following is not None:
        links.insert(0, f'<{following.url(things)}>; rel="next"')
    return ", ".join(links)


def list_etag(things: Sequence[tuple[str, str]]) -> str:
    """Return a tag of a list: it changes when a Thing comes, goes or changes its place.

    `things` are the pairs of id and path.
    """
    return hashlib.sha256(to_json(list(things))).hexdigest()[:24]


def list_body(page: Page, total: int, things: str, members: Sequence[bytes]) -> bytes:
    """Return a page: an array, or a collection that says how to go on."""
    array = b"[" + b",".join(members) + b"]"
    if page.format == FORMATS[0]:
        return array
    following = page.next(total)
    head = {
        "@context": DISCOVERY_CONTEXT,
        "@id": page.url(things),
        "@type": "ThingCollection",
        "total": total,
    }
    if following is not None:
        head["next"] = following.url(things)
    return to_json(head)[:-1] + b',"members":' + array + b"}"


def refuse_diff(query: bytes) -> None:
    """Refuse to send the difference to the Thing Description with an event.

    Raises:
        RequestError: the client asks for it.
    """
    if parse_qs(query.decode("latin-1")).get("diff", ["false"])[-1] != "false":
        raise RequestError(
            "'diff' is not supported: the events of this directory have the id of the Thing only. "
            "Get its description to see what has changed."
        )


def _number(parameters: Mapping[str, list[str]], name: str) -> int | None:
    if name not in parameters:
        return None
    value = parameters[name][-1]
    if not (value.isascii() and value.isdecimal() and len(value) < 10):
        raise RequestError(f"The {name} is {value!r}, but must be a whole number such as 20.")
    return int(value)
