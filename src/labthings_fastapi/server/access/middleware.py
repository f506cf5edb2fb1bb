"""The outermost ASGI middleware of a server: checks, security headers and the audit."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.middleware.cors import CORSMiddleware

from labthings_fastapi.actions.context import Requester, current_requester
from labthings_fastapi.problems import well_formed
from labthings_fastapi.request_location import request_path, root_path
from labthings_fastapi.security.origins import SAFE_METHODS

from .audit import Mutation
from .authenticated_connections import AuthenticatedConnection, CredentialRevokedError
from .checks import AccessRequest, check_role
from .refusals import IS_ANSWERED, SecuredResponse, send_refusal, send_response
from .session_routes import login_page, wants_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from starlette.datastructures import Headers
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from labthings_fastapi.problems import Problem
    from labthings_fastapi.security.roles import Actor

    from .audit import Audit, RequestTargets
    from .checks import AccessChecks
    from .refusal_log import RefusalLog

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_REQUEST_HEADERS = (
    *("Authorization", "Content-Type", "Idempotency-Key"),
    *("If-None-Match", "Last-Event-ID", "Prefer"),
    *("Tus-Resumable", "Upload-Length", "Upload-Metadata", "Upload-Offset"),
)
_RESPONSE_HEADERS = (
    *("Allow", "ETag", "Last-Event-ID", "Link", "Location"),
    *("Preference-Applied", "Retry-After", "WWW-Authenticate"),
    *("Tus-Resumable", "Upload-Expires", "Upload-Length", "Upload-Offset"),
)


class _LoggedCors(CORSMiddleware):
    """Logs the origins whose preflight requests it refuses."""

    def __init__(self, app: ASGIApp, refusal_log: RefusalLog, **options: Any) -> None:
        super().__init__(app, **options)
        self._refusal_log = refusal_log

    def preflight_response(self, request_headers: Headers) -> Response:
        origin = request_headers["origin"]
        if not self.is_allowed_origin(origin):
            self._refusal_log.origin(origin, None)
        return super().preflight_response(request_headers)


def with_cors(app: ASGIApp, origins: Sequence[str], refusal_log: RefusalLog) -> ASGIApp:
    if not origins:
        return app
    return _LoggedCors(
        app,
        refusal_log,
        allow_origins=origins,
        allow_methods=_METHODS,
        allow_headers=_REQUEST_HEADERS,
        expose_headers=_RESPONSE_HEADERS,
    )


def requester_of(request: AccessRequest) -> Requester:
    actor, address = request.actor, request.client.address
    if actor is None:
        return Requester(None, address)
    return Requester(actor.name, address, is_restricted=actor.is_restricted)


def _has_reached_user_code(requester: Requester, scope: Scope) -> bool:
    """Return True if a setter or endpoint of a Thing, or a route of the app, was called."""
    endpoint = scope.get("endpoint")  # set by Starlette
    module: str = getattr(endpoint, "__module__", None) or ""
    own = endpoint is None or module.partition(".")[0] == "labthings_fastapi"
    return requester.reached_user_code or not own


class AccessMiddleware:
    """Refuses requests that a check does not allow, and records those that change something."""

    def __init__(
        self,
        app: ASGIApp,
        checks: AccessChecks,
        targets: RequestTargets,
        audit: Audit,
        added: Callable[[], Iterable[Any]] = tuple,
    ) -> None:
        """Check requests for `app`; `added` returns the middleware of the laboratory inside it."""
        self._added = added
        self._app = app
        self._checks = checks
        self._targets = targets
        self._audit = audit
        self._connections = checks.authentication.connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request = AccessRequest(scope)
        response = SecuredResponse(send)
        if request.is_http:
            send = response.send
        if not self._checks.pass_at_once(request):
            admitted = await self._admit(request, receive, send)
            if admitted is None:
                return
            receive = admitted
        if request.actor is not None:
            scope["labthings.actor"] = request.actor
        try:
            if request.is_http and request.method not in SAFE_METHODS:
                await self._serve_change(request, receive, response)
            elif request.actor is not None:  # every role may read
                await self._serve_authenticated(request, request.actor, receive, send)
            elif request.is_http:
                await self._app(scope, receive, send)
            else:
                await self._serve_socket(request, receive, send)
        except Exception:
            scope[IS_ANSWERED] = response.is_complete
            raise

    async def _admit(self, request: AccessRequest, receive: Receive, send: Send) -> Receive | None:
        """Refuse a request, or return its `receive` with a limit on the body."""
        self._checks.allow_origins_of(self._added)  # no middleware can be added any more
        problem = await self._checks.first_problem(request)
        if problem is not None:
            await self._refuse(request, receive, send, problem)
            return None
        if not request.is_http:
            return receive
        version: str = request.scope.get("http_version", "1.1")
        return self._checks.limit_for(request).apply(receive, request.headers, version)

    async def _refuse(
        self, request: AccessRequest, receive: Receive, send: Send, problem: Problem
    ) -> None:
        is_page = request.is_http and wants_page(request.method, request.headers)
        if is_page and problem.status == 401:
            session_path = f"{root_path(request.scope)}{self._checks.session_path}"
            await send_response(send, problem, *login_page(session_path))
        else:
            await send_refusal(request.scope, receive, send, problem)

    async def _serve_authenticated(
        self, request: AccessRequest, actor: Actor, receive: Receive, send: Send
    ) -> None:
        """Serve a response or socket that ends when the credential is revoked."""
        problem = self._checks.check_share(actor)
        if problem is not None:
            await self._refuse(request, receive, send, problem)
            return
        scope, connections = request.scope, self._connections
        connection = AuthenticatedConnection(actor, scope["type"], receive, send)
        connections.begin(connection)
        if not request.is_http:  # before each change that a client makes with the socket
            scope["labthings.still_holds"] = partial(connections.still_holds, connection)
        try:
            if request.is_http:
                await self._app(scope, connection.receive, connection.send)
            else:
                await self._serve_socket(request, connection.receive, connection.send)
        except CredentialRevokedError:
            pass
        finally:
            connections.end(connection)
        if connection.over.is_set():
            await connection.finish()

    async def _serve_socket(self, request: AccessRequest, receive: Receive, send: Send) -> None:
        requester = requester_of(request)
        request.scope["labthings.audit"] = partial(self._record_socket_change, requester)
        token = current_requester.set(requester)
        try:
            await self._app(request.scope, receive, send)
        finally:
            current_requester.reset(token)

    async def _serve_change(
        self, request: AccessRequest, receive: Receive, response: SecuredResponse
    ) -> None:
        scope = request.scope
        scope["labthings.max_body"] = self._checks.body_limit.max_bytes
        path = request_path(scope)  # before the call, because a mount changes the scope
        actor, address = request.actor, request.client.address
        if actor is None:
            requester = Requester(None, address)
        else:
            requester = Requester(actor.name, address, is_restricted=actor.is_restricted)
        if actor is not None and not self._checks.is_login(request):
            problem = check_role(request, self._targets.find(path).thing)
            if problem is not None:
                await send_refusal(scope, receive, response.send, problem)
                self._record(request, requester, path, 403)
                return
        token = current_requester.set(requester)
        try:
            await self._app(scope, receive, response.send)
        finally:
            current_requester.reset(token)
            # An invocation has a record of its own. A request that was refused changed nothing,
            # unless it reached code of a user: a setter may move, and then refuse.
            if not requester.made_invocation and (
                not 400 <= response.status < 500 or _has_reached_user_code(requester, scope)
            ):
                self._record(request, requester, path, response.status)

    def _record(self, request: AccessRequest, requester: Requester, path: str, status: int) -> None:
        target = self._targets.find(path)
        url_path: str = request.scope["path"]
        if not url_path.isascii():
            url_path = well_formed(url_path)
        self._audit.note(
            Mutation(
                *(requester.name, requester.address, target.thing or "", target.part),
                *(request.method, url_path, status),
            )
        )

    def _record_socket_change(
        self, requester: Requester, thing: str, affordance: str, operation: str, status: int
    ) -> None:
        self._audit.note(
            Mutation(
                *(requester.name, requester.address, thing, affordance),
                *(operation, "ws", status),
            )
        )
