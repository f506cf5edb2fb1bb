"""One HTTP request and its response, directly on ASGI.

Starlette's `Request` and `Response` would take a third of the time of reading a property.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labthings_fastapi.exceptions import BodyTooLargeError, UnsupportedMediaTypeError
from labthings_fastapi.outputs.negotiation import preferred
from labthings_fastapi.problems import PROBLEM_MEDIA_TYPE
from labthings_fastapi.request_location import base_url
from labthings_fastapi.schemas.array_files import ARRAY_MEDIA_TYPES, ArrayFile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.types import Receive, Scope, Send

    from labthings_fastapi.problems import Problem

DEFAULT_MAX_BODY_BYTES = 16 * 1024 * 1024
JSON = "application/json"
_JSON = JSON.encode()


class ClientGoneError(Exception):
    """The client closed the connection, or its credential was revoked: no response is possible."""


class HttpRequest:
    """One request, as it comes in; used by one task."""

    __slots__ = ("_receive", "headers", "scope")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self._receive = receive
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        """By lower-case name; of a header that is repeated, the last one."""

    def header(self, name: bytes) -> str | None:
        """Return a request header by its lower-case name."""
        value = self.headers.get(name)
        return value.decode("latin-1") if value is not None else None

    def joined_header(self, name: bytes) -> str | None:
        """Return a header that may be repeated, as one list (RFC 9110, section 5.3)."""
        if name not in self.headers:
            return None
        values = [value for key, value in self.scope["headers"] if key == name]
        return b", ".join(values).decode("latin-1")

    @property
    def accept(self) -> bytes:
        """The `Accept` header in lower case; empty without one."""
        return self.headers.get(b"accept", b"").lower()

    def wanted(self, offered: Sequence[str]) -> str:
        """Return which of these media types, or JSON, the client prefers (RFC 9110, 12.5.1)."""
        return preferred(self.joined_header(b"accept"), offered)

    @property
    def base_url(self) -> str:
        """Scheme, host and root path by which this client reached the server."""
        return base_url(self.scope)

    async def value(self) -> bytes | ArrayFile:
        """Return the whole body: JSON, a file with arrays, or nothing.

        Raises:
            BodyTooLargeError: before the excess is read.
            UnsupportedMediaTypeError: the `Content-Type` of the body is neither.
        """
        media_type = self.headers.get(b"content-type", _JSON)
        if media_type == _JSON:
            return await self.body()
        bare = media_type.partition(b";")[0].strip().lower().decode("latin-1")
        if bare not in ARRAY_MEDIA_TYPES:
            return await self.body()
        body = await self._received()
        # An action may change its input in place.
        return ArrayFile(bare, body if isinstance(body, bytearray) else bytearray(body))

    async def body(self) -> bytes:
        """Return the whole body, which must be JSON or empty.

        Raises:
            BodyTooLargeError: before the excess is read.
            UnsupportedMediaTypeError: the `Content-Type` of the body is not JSON.
        """
        body = await self._received()
        if body and self.headers.get(b"content-type") != _JSON:
            self._require_json()
        return body if isinstance(body, bytes) else bytes(body)

    async def _received(self) -> bytes | bytearray:
        """Return the whole body; one that came in several pieces is a bytearray."""
        limit: int = self.scope.get("labthings.max_body", DEFAULT_MAX_BODY_BYTES)
        length = self.headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > limit:
            raise _too_large(limit)
        whole = bytearray()
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            body: bytes = message.get("body", b"")
            more = message.get("more_body", False)
            if len(whole) + len(body) > limit:
                raise _too_large(limit)
            if not more and not whole:
                return body  # the usual case
            whole += body
            if not more:
                return whole

    def _require_json(self) -> None:
        media_type = (self.header(b"content-type") or "").partition(";")[0].strip().lower()
        if media_type == JSON:
            return
        if media_type.startswith("application/") and media_type.endswith("+json"):
            return
        raise UnsupportedMediaTypeError(
            f"The Content-Type is {media_type or 'missing'!r}, but must be application/json: "
            "send the body as JSON, with the header `Content-Type: application/json`."
        )


def _too_large(limit: int) -> BodyTooLargeError:
    return BodyTooLargeError(
        f"The body of this request is larger than {limit} bytes, the most that is "
        "accepted: see `max_body_bytes` in the server's configuration."
    )


class HttpResponse(HttpRequest):
    """A request, and the response to it; used by one task."""

    __slots__ = ("_send", "path", "varies")

    def __init__(self, scope: Scope, receive: Receive, send: Send, path: str) -> None:
        """Wrap an ASGI call; `path` is without the root path."""
        # Not by `super()`, because this is called for each request.
        self.scope = scope
        self._receive = receive
        self.headers = dict(scope["headers"])
        self._send = send
        self.path = path
        self.varies = False
        """True if the response depends on `Accept`, which caches need (RFC 9110, 12.5.5)."""

    async def send(
        self,
        status: int,
        body: bytes = b"",
        media_type: str = JSON,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send the whole response."""
        raw: list[tuple[bytes, bytes]] = []
        if status not in (204, 304):
            raw.append((b"content-length", b"%d" % len(body)))
            raw.append((b"content-type", media_type.encode("latin-1")))
        if self.varies:
            raw.append((b"vary", b"Accept"))
        for name, value in headers.items() if headers else ():
            raw.append((name.lower().encode("latin-1"), value.encode("latin-1")))
        await self._send({"type": "http.response.start", "status": status, "headers": raw})
        if self.scope["method"] == "HEAD":
            body = b""
        await self._send({"type": "http.response.body", "body": body})

    async def send_parts(
        self,
        status: int,
        parts: Sequence[bytes | memoryview],
        media_type: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send the whole response, one part after the other, and copy none."""
        size = sum(map(len, parts))
        raw = [
            (b"content-length", b"%d" % size),
            (b"content-type", media_type.encode("latin-1")),
            (b"vary", b"Accept"),
            (b"x-content-type-options", b"nosniff"),
        ]
        for name, value in headers.items() if headers else ():
            raw.append((name.lower().encode("latin-1"), value.encode("latin-1")))
        await self._send({"type": "http.response.start", "status": status, "headers": raw})
        if self.scope["method"] == "HEAD":
            parts = (b"",)
        last = len(parts) - 1
        for index, part in enumerate(parts):
            more = index < last
            await self._send({"type": "http.response.body", "body": part, "more_body": more})

    async def send_unless_known(
        self, body: bytes, etag: str, media_type: str, headers: Mapping[str, str] | None = None
    ) -> None:
        """Send the response, or 304 if the client has it already (RFC 9110, section 13.1.2)."""
        known = self.header(b"if-none-match") or ""
        headers = {"ETag": etag, "Cache-Control": "no-cache", **(headers or {})}
        if etag in (each.strip().removeprefix("W/") for each in known.split(",")) or known == "*":
            await self.send(304, headers=headers)
        else:
            await self.send(200, body, media_type, headers)

    async def send_problem(self, problem: Problem) -> None:
        """Send an error."""
        body = problem.at(self.path).body()
        await self.send(problem.status, body, PROBLEM_MEDIA_TYPE, problem.headers)

    async def begin_stream(self, media_type: str) -> None:
        """Send the headers of a response whose parts follow."""
        headers = [
            (b"content-type", media_type.encode("latin-1")),
            (b"cache-control", b"no-store"),
            (b"vary", b"Accept"),
            (b"x-accel-buffering", b"no"),
        ]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def send_part(self, body: bytes | memoryview, *, more: bool = True) -> None:
        """Send a part of a stream; waits while the client reads slowly."""
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def client_left(self) -> None:
        """Return when the client has closed the connection."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
