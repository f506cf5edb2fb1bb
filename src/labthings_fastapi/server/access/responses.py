"""The security headers of every response, and the responses of refusals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from labthings_fastapi.problems import PROBLEM_MEDIA_TYPE, Problem

Headers = list[tuple[bytes, bytes]]
_NOSNIFF = (b"x-content-type-options", b"nosniff")
_SAME_ORIGIN = (b"cross-origin-resource-policy", b"same-origin")
_NO_FRAMES = (b"content-security-policy", b"frame-ancestors 'none'")


def with_security_headers(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    complete: Headers = list(headers)
    is_page = has_policy = has_nosniff = False
    for name, value in complete:
        if name == b"content-type":
            is_page = value.startswith(b"text/html")
        elif name == b"content-security-policy":
            has_policy = True
        elif name == b"x-content-type-options":
            has_nosniff = True
    if is_page and not has_policy:
        complete.append(_NO_FRAMES)
    if not has_nosniff:
        complete.append(_NOSNIFF)
    complete.append(_SAME_ORIGIN)
    return complete


async def send_refusal(scope: Scope, receive: Receive, send: Send, problem: Problem) -> None:
    """Send a problem; a WebSocket is refused before it is opened."""
    problem = problem.at(scope["path"])
    if scope["type"] == "http":
        await send_response(send, problem, problem.body(), PROBLEM_MEDIA_TYPE)
        return
    await receive()  # websocket.connect
    if "websocket.http.response" in scope.get("extensions", {}):
        body = problem.body()
        start: Message = {
            "type": "websocket.http.response.start",
            "status": problem.status,
            "headers": _headers_of(problem, PROBLEM_MEDIA_TYPE, body),
        }
        await send(start)
        await send({"type": "websocket.http.response.body", "body": body})
        return
    await send({"type": "websocket.close", "code": 1008, "reason": problem.title[:120]})


async def send_response(
    send: Send,
    problem: Problem,
    body: bytes,
    media_type: str,
    extra_headers: Mapping[str, str] | None = None,
) -> None:
    headers = _headers_of(problem, media_type, body)
    headers += _encoded(extra_headers or {})
    start: dict[str, Any] = {
        "type": "http.response.start",
        "status": problem.status,
        "headers": headers,
    }
    await send(start)
    await send({"type": "http.response.body", "body": body})


def _headers_of(problem: Problem, media_type: str, body: bytes) -> Headers:
    headers: Headers = [
        (b"content-type", media_type.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    return headers + _encoded(problem.headers)


def _encoded(headers: Mapping[str, str]) -> Headers:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]
