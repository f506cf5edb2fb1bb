"""The door: what every request passes before anything else sees it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from labthings_fastapi.actions.requester import Requester, request_context
from labthings_fastapi.exceptions import NotAllowedError, TooBusyError
from labthings_fastapi.problems import PROBLEM_MEDIA_TYPE, Problem, problem_from
from labthings_fastapi.security.origins import SAFE_METHODS
from labthings_fastapi.security.roles import required_role

from .authenticated_connections import AuthenticatedConnection, CredentialRevokedError
from .login_page import login_page, wants_page
from .rejections import foreign_page, no_host, repeated_header, unknown_host

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from labthings_fastapi.security.roles import Actor

    from .policy import AccessPolicy

Headers = list[tuple[bytes, bytes]]
NOSNIFF = b"x-content-type-options"
HEADERS = "labthings.headers"
"""Where those behind the door find the request's headers as a dictionary."""
_ALWAYS: Headers = [(NOSNIFF, b"nosniff"), (b"cross-origin-resource-policy", b"same-origin")]
_NOT_FRAMED = (b"content-security-policy", b"frame-ancestors 'none'")


class AccessMiddleware:
    """Plain ASGI in front of a whole app: HTTP, streams and WebSockets, and what comes later.

    Runs on the server's event loop and waits for no user code.
    """

    def __init__(self, inner: ASGIApp, access: AccessPolicy) -> None:
        """Stand in front of `inner`, with the rules of `entrance`."""
        self._inner = inner
        self._policy = access
        self._connections = access.authentication.connections

    # On the path of every request, here and below, what only passes something on is a function
    # that returns what is to be awaited: a coroutine for each step costs more than the step.
    # Servers would take it for ASGI 2, so the outermost is a coroutine: `ThingsAPI.__call__`.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Let one connection pass, or turn it away."""
        kind: str = scope["type"]
        if kind == "http":
            headers = scope[HEADERS] = dict(scope["headers"])
            method: str = scope["method"]
            if method == "GET" and self._policy.is_plain(scope, headers):
                return self._inner(scope, receive, dressed(send, _ALWAYS))
            return self._answer(scope, receive, send, headers)
        if kind == "websocket":
            return self._examine(scope, receive, send, dict(scope["headers"]), "GET")
        return self._inner(scope, receive, send)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, headers: Mapping[bytes, bytes]
    ) -> None:
        """Handle one request of HTTP."""
        access = self._policy
        added = access.origins.sharing(headers) if access.shares else []
        send = dressed(send, [*_ALWAYS, *added] if added else _ALWAYS)
        method: str = scope["method"]
        if method == "OPTIONS" and access.origins.is_preflight(method, headers):
            await self._preflight(scope["path"], headers, send)
            return
        version: str = scope.get("http_version", "1.1")
        receive = access.limit_for(scope, method).counting(receive, headers, version)
        await self._examine(scope, receive, send, headers, method)

    async def _examine(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        headers: Mapping[bytes, bytes],
        method: str,
    ) -> None:
        """Ask from where and from whom it comes, and let it in or not."""
        access = self._policy
        actor: Actor | None = None
        try:
            problem = await self._refusal(scope, headers, method)
            if problem is None and access.required and not access.is_open(scope, method):
                actor, problem = await access.identify(scope, headers)
        except TooBusyError as error:
            problem = problem_from(error)
        asked_by_person = scope["type"] == "http" and wants_page(method, headers)
        if problem is not None and problem.status == 401 and asked_by_person:
            await _send_all(send, problem, *login_page(access.session_path(scope)))
            return
        if problem is not None:
            await turn_away(scope, receive, send, problem)
            return
        await self._enter(scope, receive, send, method, actor)

    async def _refusal(
        self, scope: Scope, headers: Mapping[bytes, bytes], method: str
    ) -> Problem | None:
        """Say why a request must not pass, whoever sends it."""
        access = self._policy
        if len(headers) != len(scope["headers"]):
            problem = repeated_header(scope["headers"])
            if problem is not None:
                return problem
        peer = access.peers.of(scope)
        host = headers.get(b"host")
        if peer.address is not None:  # others are in this very process
            if host is None:
                if scope.get("http_version") == "1.1":
                    return no_host()
            elif not access.hosts.knows(host) and not await access.answers_to(host):
                return unknown_host(host)
        scheme = "https" if scope.get("scheme") in ("https", "wss") else "http"
        if access.origins.refuses(scope["type"], method, headers, scheme):
            return foreign_page(headers.get(b"origin"))
        return access.refuses_peer(peer) or access.limit_for(scope, method).refusal(headers)

    async def _preflight(self, path: str, headers: Mapping[bytes, bytes], send: Send) -> None:
        answer = self._policy.origins.preflight(headers)
        if answer is None:
            await _send_problem(send, foreign_page(headers.get(b"origin")).at(path))
            return
        await send({"type": "http.response.start", "status": 204, "headers": answer})
        await send({"type": "http.response.body", "body": b""})

    async def _enter(
        self, scope: Scope, receive: Receive, send: Send, method: str, actor: Actor | None
    ) -> None:
        if actor is not None:
            scope["labthings.actor"] = actor
        if scope["type"] == "websocket" or method in SAFE_METHODS:  # every role may read
            if actor is None:
                await self._follow(scope, receive, send, None)
                return
            connection, connections = (
                AuthenticatedConnection(actor, scope["type"], receive, send),
                self._connections,
            )
            connections.begin(connection)
            if scope["type"] == "websocket":  # on which changes are asked for all along
                scope["labthings.still_holds"] = partial(connections.still_holds, connection)
            try:
                await self._follow(scope, connection.receive, connection.send, actor)
            except CredentialRevokedError:
                pass
            finally:
                connections.end(connection)
            if connection.over.is_set():
                await connection.finish()
            return
        scope["labthings.max_body"] = self._policy.body_limit.most
        requester = self._asker(scope, actor)
        await self._mutate(scope, receive, send, requester, actor)

    def _asker(self, scope: Scope, actor: Actor | None) -> Requester:
        address = self._policy.peers.of(scope).address
        return Requester(actor.name if actor is not None else None, address)

    async def _follow(
        self, scope: Scope, receive: Receive, send: Send, actor: Actor | None
    ) -> None:
        """Let a client read, or open a socket, which may last."""
        if scope["type"] == "http":
            await self._inner(scope, receive, send)
            return
        requester = self._asker(scope, actor)
        scope["labthings.audit"] = self._policy.note_for(requester)
        with request_context(requester):
            await self._inner(scope, receive, send)

    async def _mutate(
        self, scope: Scope, receive: Receive, send: Send, requester: Requester, actor: Actor | None
    ) -> None:
        access = self._policy
        method: str = scope["method"]
        thing, affordance = access.subject(scope)
        told: list[int] = []

        def listen(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                told.append(message["status"])
            return send(message)

        if actor is not None and not access.is_open(scope, method):
            needed = required_role(method)
            if not actor.may(thing, needed):
                role = actor.role_for(thing)
                refusal = NotAllowedError(actor.name, role, needed, thing)
                await turn_away(scope, receive, listen, problem_from(refusal))
                access.note(scope, requester, thing, affordance, 403)
                return
        try:
            with request_context(requester):
                await self._inner(scope, receive, listen)
        finally:
            status = told[0] if told else 500
            # Runs have records of their own; what was refused changed nothing.
            if not requester.made_invocation and not 400 <= status < 500:
                access.note(scope, requester, thing, affordance, status)


def dressed(send: Send, added: Headers) -> Send:
    """Add headers to every answer: those that it does not have already."""

    def tell(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            message = {**message, "headers": _dress(message.get("headers", ()), added)}
        return send(message)

    return tell


def _dress(headers: Iterable[tuple[bytes, bytes]], added: Headers) -> Headers:
    found: Headers = list(headers)
    page = policy = False
    for name, value in found:
        if name == b"content-type":
            page = value.startswith(b"text/html")
        elif name == b"content-security-policy":
            policy = True
        elif name == NOSNIFF:  # a blob says it, too
            added = [each for each in added if each[0] != NOSNIFF]
    if page and not policy:
        found.append(_NOT_FRAMED)
    return found + added


async def turn_away(scope: Scope, receive: Receive, send: Send, problem: Problem) -> None:
    """Answer with a problem; a WebSocket is refused before it is opened."""
    problem = problem.at(scope["path"])
    if scope["type"] == "http":
        await _send_problem(send, problem)
        return
    if "websocket.http.response" in scope.get("extensions", {}):
        await receive()  # websocket.connect
        body = problem.body()
        start: Message = {
            "type": "websocket.http.response.start",
            "status": problem.status,
            "headers": _head(problem, PROBLEM_MEDIA_TYPE, body),
        }
        await send(start)
        await send({"type": "websocket.http.response.body", "body": body})
        return
    await receive()
    await send({"type": "websocket.close", "code": 1008, "reason": problem.title[:120]})


async def _send_problem(send: Send, problem: Problem) -> None:
    await _send_all(send, problem, problem.body(), PROBLEM_MEDIA_TYPE)


async def _send_all(
    send: Send,
    problem: Problem,
    body: bytes,
    media_type: str,
    more: Mapping[str, str] | None = None,
) -> None:
    headers = _head(problem, media_type, body)
    headers += [(name.lower().encode(), text.encode()) for name, text in (more or {}).items()]
    start: dict[str, Any] = {
        "type": "http.response.start",
        "status": problem.status,
        "headers": headers,
    }
    await send(start)
    await send({"type": "http.response.body", "body": body})


def _head(problem: Problem, media_type: str, body: bytes) -> Headers:
    found: Headers = [
        (b"content-type", media_type.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    found += [(name.lower().encode(), text.encode()) for name, text in problem.headers.items()]
    return found
