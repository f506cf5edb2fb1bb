"""One HTTP request and its answer, with as little as possible between them and the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labthings_fastapi.bindings.interaction.origins import origin_of
from labthings_fastapi.exceptions import BodyTooLargeError, UnsupportedMediaTypeError
from labthings_fastapi.problems import PROBLEM_MEDIA_TYPE

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from labthings_fastapi.problems import Problem

MAX_BODY_BYTES = 16 * 1024 * 1024
JSON = "application/json"


class ClientGoneError(Exception):
    """The client closed the connection before its request was complete, or was turned out."""


class HttpRequest:
    """A request, as it comes in; used by one task."""

    __slots__ = ("_headers", "_receive", "scope")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        """Read from an ASGI call."""
        self.scope = scope
        self._receive = receive
        # What stands before us may have read them already.
        self._headers: dict[bytes, bytes] | None = scope.get("labthings.headers")

    def header(self, name: bytes) -> str | None:
        """Return a request header by its lower-case name."""
        if self._headers is None:
            self._headers = dict(self.scope["headers"])
        value = self._headers.get(name)
        return value.decode("latin-1") if value is not None else None

    def joined(self, name: bytes) -> str | None:
        """Return a header that may come more than once as one list (RFC 9110, section 5.3)."""
        value = self.header(name)
        if value is None or len(self._headers or ()) == len(self.scope["headers"]):
            return value
        every = [found for key, found in self.scope["headers"] if key == name]
        return b", ".join(every).decode("latin-1")

    @property
    def accepted(self) -> bytes:
        """The `Accept` header in small letters; empty without one."""
        if self._headers is None:
            self._headers = dict(self.scope["headers"])
        return self._headers.get(b"accept", b"").lower()

    @property
    def origin(self) -> str:
        """What absolute URLs of this server begin with, as this client reached it."""
        return origin_of(self.scope, self.header(b"host"))

    async def body(self) -> bytes:
        """Return the whole body, which must be JSON or empty.

        Raises:
            BodyTooLargeError: before the excess is read.
            UnsupportedMediaTypeError: there is a body and it is not called JSON.
        """
        most: int = self.scope.get("labthings.max_body", MAX_BODY_BYTES)
        length = self.header(b"content-length")
        if length is not None and length.isdecimal() and int(length) > most:
            raise self._too_large(most)
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if size > most:
                raise self._too_large(most)
            chunks.append(chunk)
            if not message.get("more_body", False):
                break
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        if body:
            self._require_json()
        return body

    @staticmethod
    def _too_large(most: int) -> BodyTooLargeError:
        return BodyTooLargeError(
            f"The body of this request is larger than {most} bytes, the most that is "
            "accepted: see `max_body_bytes` in the server's configuration."
        )

    def _require_json(self) -> None:
        found = (self.header(b"content-type") or "").partition(";")[0].strip().lower()
        if found == JSON or (found.startswith("application/") and found.endswith("+json")):
            return
        raise UnsupportedMediaTypeError(
            f"The body is sent as {found or 'nothing in particular'!r}, but must be JSON: "
            "add the header `Content-Type: application/json`."
        )


class HttpResponse(HttpRequest):
    """A request and the way to answer it; used by one task."""

    __slots__ = ("_send", "path", "varies")

    def __init__(self, scope: Scope, receive: Receive, send: Send, path: str) -> None:
        """Wrap an ASGI call; `path` is without the root path."""
        super().__init__(scope, receive)
        self._send = send
        self.path = path
        self.varies = False
        """Whether the answer depends on `Accept`, which caches must know (RFC 9110, 12.5.5)."""

    async def reply(
        self,
        status: int,
        body: bytes = b"",
        media_type: str = JSON,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Send the whole answer."""
        raw: list[tuple[bytes, bytes]] = []
        if status not in (204, 304):
            raw.append((b"content-length", b"%d" % len(body)))
            raw.append((b"content-type", media_type.encode("latin-1")))
        if self.varies:
            raw.append((b"vary", b"Accept"))
        for name, value in (headers or {}).items():
            raw.append((name.lower().encode("latin-1"), value.encode("latin-1")))
        await self._send({"type": "http.response.start", "status": status, "headers": raw})
        if self.scope["method"] == "HEAD":
            body = b""
        await self._send({"type": "http.response.body", "body": body})

    async def reply_known(
        self, body: bytes, etag: str, media_type: str, headers: dict[str, str] | None = None
    ) -> None:
        """Send a whole answer, or only 304 to a client that has it (RFC 9110, section 13.1.2)."""
        known = self.header(b"if-none-match") or ""
        headers = {"ETag": etag, "Cache-Control": "no-cache", **(headers or {})}
        if etag in (each.strip().removeprefix("W/") for each in known.split(",")) or known == "*":
            await self.reply(304, headers=headers)
        else:
            await self.reply(200, body, media_type, headers)

    async def begin_stream(self, media_type: str) -> None:
        """Send the head of an answer whose parts follow as they come."""
        headers = [
            (b"content-type", media_type.encode("latin-1")),
            (b"cache-control", b"no-store"),
            (b"vary", b"Accept"),
            (b"x-accel-buffering", b"no"),
        ]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def send_part(self, body: bytes, *, more: bool = True) -> None:
        """Send a part of a stream; waits while the client reads slowly."""
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def client_left(self) -> None:
        """Return when the client has closed the connection."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def refuse(self, problem: Problem) -> None:
        """Send an error."""
        body = problem.at(self.path).body()
        await self.reply(problem.status, body, PROBLEM_MEDIA_TYPE, problem.headers)
