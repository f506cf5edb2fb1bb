"""Refusals as problems, how they are sent, and the security headers of every response."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Mapping

from starlette.types import Message, Receive, Scope, Send

from labthings_fastapi.problems import (
    PROBLEM_MEDIA_TYPE,
    Problem,
    message_problem,
    not_authenticated,
)
from labthings_fastapi.security.guesses import TooManyGuessesError

Headers = list[tuple[bytes, bytes]]
_NOSNIFF = (b"x-content-type-options", b"nosniff")
_SAME_ORIGIN = (b"cross-origin-resource-policy", b"same-origin")
_NO_FRAMES = (b"content-security-policy", b"frame-ancestors 'none'")


def unknown_host(host: bytes) -> Problem:
    detail = (
        f"{host.decode('latin-1')!r} is not a name of this server. Add it to `allowed_hosts` in "
        "the configuration, or use an IP address."
    )
    return message_problem("unknown-host", "Unknown host name", 421, detail)


def foreign_page(origin: bytes | None) -> Problem:
    page = f"A page of {origin.decode('latin-1')!r}" if origin else "A page of another site"
    detail = (
        f"{page} sent this request. To allow it, add the page's origin to `cors_origins` in the "
        "configuration, or a `CORSMiddleware` that allows it to `server.app`."
    )
    return message_problem("cross-site", "Web pages of other origins may not do this", 403, detail)


def unprotected(address: str) -> Problem:
    title = "The server has no authentication, so it serves its own computer only"
    detail = (
        f"The request came from {address}, and the server has no authentication. Make a token with "
        "`labthings-server token create --role operator` and restart the server, or set "
        "`security.insecure` in its configuration to let every client use its instruments."
    )
    return message_problem("unprotected", title, 403, detail)


def unauthenticated(*, invalid: bool, passwords: bool) -> Problem:
    """Ask for a token or password (RFC 9110, section 15.5.2); `invalid`: it was not accepted."""
    challenge = 'Bearer realm="LabThings"'
    reason = "This server requires authentication. "
    if invalid:
        challenge += ', error="invalid_token"'
        reason = "The token or password is not valid, has expired or was revoked. "
    if passwords:
        challenge += ', Basic realm="LabThings", charset="UTF-8"'
    problem = not_authenticated(
        reason + "Send the header `Authorization: Bearer <token>`; make a token on the server's "
        "computer with `labthings-server token create`."
    )
    problem.headers["WWW-Authenticate"] = challenge
    return problem


def too_many_guesses(error: TooManyGuessesError) -> Problem:
    """Refuse an address that sent too many wrong tokens or passwords (RFC 6585, section 4)."""
    seconds = max(1, math.ceil(error.seconds))
    problem = message_problem(
        "too-many-guesses",
        "Too many wrong tokens or passwords",
        429,
        f"Too many wrong tokens or passwords came from this address. Try again in {seconds} s. A "
        "valid token is accepted at any time.",
    )
    problem.headers["Retry-After"] = str(seconds)
    return problem


IS_ANSWERED = "labthings.is_answered"
"""In the scope of a request: whether an app that raised an error had sent a complete response."""


class SecuredResponse:
    """Adds the security headers to a response of HTTP, and keeps its status; used by one task."""

    __slots__ = ("_send", "is_complete", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 500  # without a response, the app has failed
        self.is_complete = False

    def send(self, message: Message) -> Awaitable[None]:
        """Send a part of the response."""
        # No coroutine of its own, because each part of each response passes here.
        if message["type"] != "http.response.start":
            self.is_complete = not message.get("more_body")
            return self._send(message)
        self.status = message["status"]
        headers: Headers = list(message.get("headers", ()))
        is_page = has_policy = has_nosniff = False
        for name, value in headers:
            if name == b"content-type":
                is_page = value.startswith(b"text/html")
            elif name == b"content-security-policy":
                has_policy = True
            elif name == b"x-content-type-options":
                has_nosniff = True
        if is_page and not has_policy:
            headers.append(_NO_FRAMES)
        if not has_nosniff:
            headers.append(_NOSNIFF)
        headers.append(_SAME_ORIGIN)
        return self._send({**message, "headers": headers})


async def send_refusal(
    scope: Scope, receive: Receive, send: Send, problem: Problem, close_code: int = 1008
) -> None:
    """Send a problem; a WebSocket is refused before it is opened."""
    problem = problem.at(scope["path"])
    if scope["type"] == "http":
        await send_response(send, problem, problem.body(), PROBLEM_MEDIA_TYPE)
        return
    await receive()  # websocket.connect
    if "websocket.http.response" in scope.get("extensions", {}):
        body = problem.body()
        await send_response(send, problem, body, PROBLEM_MEDIA_TYPE, kind="websocket.http")
    else:
        close = {"type": "websocket.close", "code": close_code, "reason": problem.title[:120]}
        await send(close)


async def send_response(
    send: Send,
    problem: Problem,
    body: bytes,
    media_type: str,
    extra_headers: Mapping[str, str] | None = None,
    *,
    kind: str = "http",
) -> None:
    """Send a body with the status and headers of a problem; `kind` begins the ASGI messages."""
    named = {
        "Content-Type": media_type,
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        **problem.headers,
        **(extra_headers or {}),
    }
    headers = [(name.lower().encode(), value.encode()) for name, value in named.items()]
    start = {"type": f"{kind}.response.start", "status": problem.status, "headers": headers}
    await send(start)
    await send({"type": f"{kind}.response.body", "body": body})
