"""A POST to a resource of this very server, for what only FastAPI can do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Scope

_NOT_PASSED_ON = (
    b"sec-websocket-",
    b"upgrade",
    b"connection",
    b"content-",
    b"transfer-encoding",
    b"prefer",
    b"idempotency-key",
)
# What stands before the sockets may have kept the headers of the handshake.
_OF_THE_HANDSHAKE = frozenset({"subprotocols", "labthings.headers"})


async def post(app: ASGIApp, scope: Scope, path: str, body: bytes) -> tuple[int, bytes]:
    """Send JSON to `path`, as whoever opened the socket, and return status and body.

    Dependencies that FastAPI injects get a request with the headers of the handshake.
    """
    root: str = scope.get("root_path", "")
    headers = [
        (name, value) for name, value in scope["headers"] if not name.startswith(_NOT_PASSED_ON)
    ]
    headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    inner: Scope = {
        **{name: value for name, value in scope.items() if name not in _OF_THE_HANDSHAKE},
        "type": "http",
        "method": "POST",
        "scheme": {"ws": "http", "wss": "https"}.get(scope.get("scheme", "ws"), "http"),
        "path": f"{root}{path}",
        "raw_path": quote(f"{root}{path}").encode(),
        "query_string": b"",
        "headers": headers,
        "extensions": {},
    }
    exchange = _Exchange(body)
    await app(inner, exchange.receive, exchange.send)
    return exchange.status, b"".join(exchange.parts)


class _Exchange:
    """Plays the client; used by one task."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self.status = 500
        self.parts: list[bytes] = []

    async def receive(self) -> Message:
        if self._body is None:
            await asyncio.Event().wait()  # this client does not go away
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            self.parts.append(message.get("body", b""))
