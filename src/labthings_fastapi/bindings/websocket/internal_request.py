"""A POST to this server itself, for actions whose dependencies only FastAPI can resolve."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Scope

_OMITTED_HEADERS = (
    b"sec-websocket-",
    b"upgrade",
    b"connection",
    b"content-",
    b"transfer-encoding",
    b"prefer",
    b"idempotency-key",
)
# "labthings.headers" is a copy of the handshake's headers that other middleware may have made.
_OMITTED_KEYS = frozenset({"subprotocols", "labthings.headers"})


async def post(app: ASGIApp, scope: Scope, path: str, body: bytes) -> tuple[int, bytes]:
    """Send JSON to `path` with the headers of a socket's handshake; return status and body."""
    root: str = scope.get("root_path", "")
    headers = [
        (name, value) for name, value in scope["headers"] if not name.startswith(_OMITTED_HEADERS)
    ]
    headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    http_scope: Scope = {
        **{name: value for name, value in scope.items() if name not in _OMITTED_KEYS},
        "type": "http",
        "method": "POST",
        "scheme": {"ws": "http", "wss": "https"}.get(scope.get("scheme", "ws"), "http"),
        "path": f"{root}{path}",
        "raw_path": quote(f"{root}{path}").encode(),
        "query_string": b"",
        "headers": headers,
        "extensions": {},
    }
    received: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Message] = []

    async def receive() -> Message:
        if not received:
            await asyncio.Event().wait()  # this client never disconnects
        return received.pop()

    async def send(message: Message) -> None:
        sent.append(message)

    await app(http_scope, receive, send)
    status = next((each["status"] for each in sent if "status" in each), 500)
    return status, b"".join(each.get("body", b"") for each in sent)
