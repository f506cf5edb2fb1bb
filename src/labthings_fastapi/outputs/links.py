"""The URLs of blobs.

The server's URL is known only while a request is answered. In what is kept (records, messages) a
link is therefore a path, and `absolute_links` adds the rest when it is sent.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol

from labthings_fastapi.exceptions import NoUrlForContextError
from labthings_fastapi.request_location import base_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from uuid import UUID

BLOB_PATH: Final = "/blob"


class HasId(Protocol):
    """Local data of a blob."""

    @property
    def id(self) -> UUID: ...


class LinkSource(Protocol):
    """Says under which URL clients find the data of a blob."""

    def publish(self, data: HasId, /) -> str: ...


_source: ContextVar[LinkSource | None] = ContextVar("labthings_blob_links", default=None)


@contextmanager
def links_from(source: LinkSource) -> Iterator[None]:
    """Let blobs get their URLs from `source` in this block, and in tasks that it starts."""
    token = _source.set(source)
    try:
        yield
    finally:
        _source.reset(token)


def href_of(data: HasId) -> str:
    """Return the URL of the data of a blob.

    Raises:
        NoUrlForContextError: no request is being answered.
    """
    source = _source.get()
    if source is None:
        raise NoUrlForContextError(f"blob {data.id}")
    return source.publish(data)


class RequestLinks:
    """The URLs of blobs for the answer to one request: an ASGI scope."""

    __slots__ = ("_prefix", "_scope")

    def __init__(self, scope: Mapping[str, Any], prefix: str) -> None:
        """Build nothing yet: few requests need it."""
        self._scope = scope
        self._prefix = prefix

    def publish(self, data: HasId) -> str:
        return f"{base_url(self._scope)}{self._prefix}{BLOB_PATH}/{data.id}"


class BareLinks:
    """The links in the record of an invocation: `/blob/<id>`, wherever the server may be later."""

    def publish(self, data: HasId) -> str:
        return f"{BLOB_PATH}/{data.id}"


LINK_START: Final = b'"href":"%b/' % BLOB_PATH.encode()
"""How a link in a record begins; in a text the quotation marks would be escaped."""


def absolute_links(json: bytes, base: str, prefix: str = "") -> bytes:
    """Return JSON in which the links to blobs begin with `base`; so far they have `prefix`."""
    start = b'"href":"%b%b/' % (prefix.encode(), BLOB_PATH.encode())
    return json.replace(start, b'"href":"%b%b/' % (base.encode(), BLOB_PATH.encode()))
