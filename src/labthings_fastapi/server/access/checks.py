"""The checks of every request, each with one job: a check returns the problem, or None.

| question | check |
|---|---|
| Is a header repeated? | `check_repeated_headers` |
| Is the host name ours? (DNS rebinding) | `AccessChecks.check_host` |
| Does a web page of another origin send it? | `AccessChecks.check_origin` |
| May a client of the network use a server without authentication? | `check_exposure` |
| Is the body too large? | `AccessChecks.check_body_size` |
| Who sends it? | `AccessChecks.authenticate` |
| Does the role allow it? | `check_role` |
| Has the actor its share of connections? | `AccessChecks.check_share` |
"""

from __future__ import annotations

import asyncio
import re
import socket
from typing import TYPE_CHECKING, Any, Final

from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from labthings_fastapi.concurrency.bounded_executor import BoundedExecutor, Workers
from labthings_fastapi.exceptions import (
    BodyTooLargeError,
    NotAllowedError,
    TooBusyError,
    UnprotectedError,
)
from labthings_fastapi.outputs.links import BLOB_PATH
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.problems import problem_for_status, problem_from
from labthings_fastapi.request_location import request_path
from labthings_fastapi.security.addresses import is_loopback
from labthings_fastapi.security.guesses import TooManyGuessesError
from labthings_fastapi.security.hosts import HostRule, own_names, split_host
from labthings_fastapi.security.origins import OriginRule
from labthings_fastapi.security.roles import required_role

from . import refusals
from .authentication import Authentication
from .client_address import FORWARDED_HEADERS, client_of
from .refusal_log import RefusalLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from starlette.types import Message, Receive, Scope

    from labthings_fastapi.problems import Problem
    from labthings_fastapi.security.roles import Actor
    from labthings_fastapi.server.config_model import ThingServerConfig

LOGGER = own_logger("security")
SHARE: Final = 4
"""An actor who may use single Things only may have a quarter of the connections."""
LOGIN_BYTES: Final = 32 * 1024
"""The largest body of a request that needs no authentication."""
LOGIN_SECONDS: Final = 10.0
"""The time for that body, from its first byte to its last; also of one in chunks."""
_REMEDY = "see `max_body_bytes` and `max_upload_bytes` in the server's configuration"
_CHECKED_HEADERS: Final = FORWARDED_HEADERS | {b"origin", b"sec-fetch-site", b"transfer-encoding"}
_SINGLE_HEADERS: Final = frozenset(
    {b"host", b"origin", b"authorization", b"content-length", b"sec-fetch-site", b"content-type"}
)


class BodyLimit:
    """Two limits in bytes: one for bodies in memory, one for forms, whose files go to the disk."""

    def __init__(
        self,
        max_bytes: int,
        max_upload_bytes: int,
        remedy: str = _REMEDY,
        seconds: float | None = None,
    ) -> None:
        self.max_bytes = max_bytes
        self._seconds = seconds
        self._max_upload_bytes = max_upload_bytes
        self._remedy = remedy

    def _limit_for(self, headers: Mapping[bytes, bytes]) -> int:
        form = headers.get(b"content-type", b"").lower().startswith(b"multipart/form-data")
        return self._max_upload_bytes if form else self.max_bytes

    def check_length(self, headers: Mapping[bytes, bytes]) -> Problem | None:
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > (limit := self._limit_for(headers)):
            return problem_from(BodyTooLargeError(self._text(limit)))
        return None

    def apply(self, receive: Receive, headers: Mapping[bytes, bytes], http_version: str) -> Receive:
        """Return a `receive` that stops a body without `Content-Length` when it is too large.

        It stops each body that does not come within the time, if there is one.
        """
        if self._seconds is not None:
            receive = _in_time(receive, self._seconds)
        if b"content-length" in headers:
            return receive
        if b"transfer-encoding" not in headers and http_version.startswith("1"):
            return receive
        limit = self._limit_for(headers)
        size = 0

        async def receive_counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > limit:
                # The only class of errors that FastAPI does not replace while it reads a body.
                raise HTTPException(413, self._text(limit))
            return message

        return receive_counted

    def _text(self, limit: int) -> str:
        return (
            f"The body of this request is larger than {limit} bytes, the most that is accepted: "
            f"{self._remedy}."
        )


def _in_time(receive: Receive, seconds: float) -> Receive:
    """Return a `receive` that raises when a body has not come within `seconds`."""
    deadline = asyncio.get_running_loop().time() + seconds
    is_whole = False

    async def receive_in_time() -> Message:
        nonlocal is_whole
        if is_whole:  # what follows is the end of the connection
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, f"The body did not come within {seconds:g} s.") from None
        is_whole = not message.get("more_body", False)
        return message

    return receive_in_time


class AccessRequest:
    """A request of HTTP, or the handshake of a WebSocket, as the checks need it."""

    __slots__ = ("actor", "client", "headers", "is_http", "method", "scope")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.is_http: bool = scope["type"] == "http"
        self.method: str = scope["method"] if self.is_http else "GET"
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.client = client_of(scope)
        self.actor: Actor | None = None

    def text(self, name: bytes) -> str | None:
        value = self.headers.get(name)
        return value.decode("latin-1") if value is not None else None

    @property
    def scheme(self) -> str:
        return "https" if self.scope.get("scheme") in ("https", "wss") else "http"


def check_repeated_headers(request: AccessRequest) -> Problem | None:
    if len(request.headers) == len(request.scope["headers"]):
        return None
    seen: set[bytes] = set()
    for name, _value in request.scope["headers"]:
        if name in _SINGLE_HEADERS and name in seen:
            # Two parts of a server could read different values.
            text = f"The header {name.decode('latin-1')!r} is sent more than once: send it once."
            return problem_for_status(400, text)
        seen.add(name)
    return None


def check_role(request: AccessRequest, thing: str | None) -> Problem | None:
    actor = request.actor
    required = required_role(request.method)
    if actor is None or actor.may(thing, required):
        return None
    return problem_from(NotAllowedError(actor.name, actor.role_for(thing), required, thing))


class AccessChecks:
    def __init__(self, config: ThingServerConfig) -> None:
        workers = Workers("labthings-access")
        self.refusal_log = RefusalLog()
        self.insecure = config.security.insecure
        self.authentication = Authentication(config.security, config.settings_folder, workers)
        self.body_limit = BodyLimit(config.max_body_bytes, config.max_upload_bytes)
        self._upload_path = f"{config.api_prefix}{BLOB_PATH}"
        most = config.max_upload_bytes
        self._upload_limit = BodyLimit(most, most, "see `max_upload_bytes` in its configuration")
        login_bytes = min(LOGIN_BYTES, config.max_body_bytes)
        self._login_limit = BodyLimit(
            login_bytes, login_bytes, "send a token, or a name and a password", LOGIN_SECONDS
        )
        self._small_body = login_bytes
        self._connection_share = max(1, config.max_connections // SHARE)
        self._host_name = socket.gethostname()
        self._hosts = HostRule({*own_names(self._host_name), *config.allowed_hosts})
        self._fqdn_lookup = BoundedExecutor(workers, "the name of this computer", limit=1)
        self._fqdn = ""
        self._origins = OriginRule(frozenset(config.cors_origins))
        self._warn_if_all_may()
        self.session_path = f"{config.api_prefix}/session"
        self._open_to_all = self.insecure and not self.authentication.required
        self._open_to_local = not self.authentication.required

    _has_own_cors = False
    _knows_lab = False

    def pass_at_once(self, request: AccessRequest) -> bool:
        """Return True if no check can refuse: the usual request of a program on this computer."""
        headers = request.headers
        host = headers.get(b"host", b"")
        return (
            (self._open_to_all or (self._open_to_local and request.client.is_local))
            and (host in self._hosts.known or self._hosts.allows(host))
            and len(headers) == len(request.scope["headers"])
            and headers.keys().isdisjoint(_CHECKED_HEADERS)
            and request.scope.get("http_version", "1.1") == "1.1"
            and (length := headers.get(b"content-length", b"0")).isdigit()
            and int(length) <= self._small_body
        )

    async def first_problem(self, request: AccessRequest) -> Problem | None:
        try:
            return (
                check_repeated_headers(request)
                or await self.check_host(request)
                or self.check_origin(request)
                or self.check_exposure(request)
                or self.check_body_size(request)
                or await self.authenticate(request)
            )
        except TooBusyError as error:
            return problem_from(error)
        except TooManyGuessesError as error:
            return refusals.too_many_guesses(error)

    async def check_host(self, request: AccessRequest) -> Problem | None:
        if request.client.address is None:  # a client in this process may use any name
            return None
        host = request.headers.get(b"host")
        if host is None:  # see RFC 9112, section 3.2
            text = "The request has no Host header, which HTTP/1.1 requires."
            is_old = request.scope.get("http_version") != "1.1"
            return None if is_old else problem_for_status(400, text)
        if self._hosts.allows(host) or await self._is_fqdn(host):
            return None
        self.refusal_log.host(host.decode("latin-1"), request.client.address)
        return refusals.unknown_host(host)

    async def _is_fqdn(self, host: bytes) -> bool:
        """Look up the full name of this computer, when a request first uses it."""
        parts = split_host(host.decode("latin-1"))
        first_label = self._host_name.lower().partition(".")[0]
        if parts is None or parts[0].partition(".")[0] != first_label:
            return False
        if not self._fqdn:
            # On a worker thread: the resolver may take seconds.
            self._fqdn = await self._fqdn_lookup.run(socket.getfqdn)
            self._hosts.add(self._fqdn)
        return self._hosts.allows(host)

    def allow_origins_of(self, added: Callable[[], Iterable[Any]]) -> None:
        """Accept what a `CORSMiddleware` accepts that the laboratory has added to the app; once."""
        if self._knows_lab:
            return
        self._knows_lab = True
        for each in added():
            if isinstance(each.cls, type) and issubclass(each.cls, CORSMiddleware):
                origins = {str(origin).lower() for origin in each.kwargs.get("allow_origins", ())}
                pattern = each.kwargs.get("allow_origin_regex")
                self._origins = OriginRule(
                    self._origins.allowed | origins,
                    self._origins.pattern if pattern is None else re.compile(pattern),
                )
                self._has_own_cors = True
                self._warn_if_all_may()

    def _warn_if_all_may(self) -> None:
        if self._origins.allows_everybody:
            LOGGER.warning(
                "Every web page that is open in a browser on this network may control the "
                "instruments: `*` is among the allowed origins. List the origins instead."
            )

    def _is_answered_by_the_lab(self, request: AccessRequest) -> bool:
        """Return True for a preflight request (Fetch, 3.3): browsers send it without a token."""
        return (
            self._has_own_cors
            and request.method == "OPTIONS"
            and b"access-control-request-method" in request.headers
        )

    def check_origin(self, request: AccessRequest) -> Problem | None:
        kind = request.scope["type"]
        if self._origins.refuses(kind, request.method, request.headers, request.scheme):
            self.refusal_log.origin(request.text(b"origin"), request.client.address)
            return refusals.foreign_page(request.headers.get(b"origin"))
        return None

    def check_exposure(self, request: AccessRequest) -> Problem | None:
        if self.authentication.required or self.insecure or request.client.is_local:
            return None
        return refusals.unprotected(request.client.address or "")

    def check_body_size(self, request: AccessRequest) -> Problem | None:
        return self.limit_for(request).check_length(request.headers)

    def limit_for(self, request: AccessRequest) -> BodyLimit:
        if self.is_login(request):
            return self._login_limit
        return self._upload_limit if self._is_upload(request) else self.body_limit

    def _is_upload(self, request: AccessRequest) -> bool:
        """Return True if the body goes to the disk as it arrives."""
        if request.method not in ("POST", "PATCH"):
            return False
        path = request_path(request.scope)
        return path == self._upload_path or path.startswith(f"{self._upload_path}/")

    def is_login(self, request: AccessRequest) -> bool:
        if request.method not in ("POST", "DELETE"):
            return False
        return request_path(request.scope) == self.session_path

    async def authenticate(self, request: AccessRequest) -> Problem | None:
        if not self.authentication.required or self.is_login(request):
            return None
        if self._is_answered_by_the_lab(request):
            return None
        authorization, cookies = request.text(b"authorization"), request.text(b"cookie")
        if cookies is not None and self._origins.is_cross_origin(request.headers, request.scheme):
            cookies = None  # a browser sends cookies for pages of every origin
        address = request.client.address
        request.actor = await self.authentication.actor(authorization, cookies, address)
        if request.actor is not None:
            return None
        invalid = authorization is not None
        return refusals.unauthenticated(invalid=invalid, passwords=self.authentication.passwords)

    def check_share(self, actor: Actor) -> Problem | None:
        """Refuse an actor of single Things who has a share of the connections open already."""
        if not actor.is_restricted:
            return None
        if self.authentication.connections.count_of(actor) < self._connection_share:
            return None
        return problem_from(
            TooBusyError(
                f"{actor.name!r} has {self._connection_share} streams, sockets and requests open, "
                "the most for somebody who may use single Things only. Close some of them."
            )
        )


def check_listen_host(access: AccessChecks, host: str) -> None:
    if not (access.authentication.required or access.insecure or is_loopback(host)):
        raise UnprotectedError(host)


def warn_of_exposure(access: AccessChecks, host: str, *, tls: bool) -> None:
    if is_loopback(host):
        return
    if not access.authentication.required:
        LOGGER.warning(
            "INSECURE: every client that reaches %r over the network may use the instruments of "
            "this server. Make a token with `labthings-server token create`: then the server "
            "requires authentication.",
            host,
        )
    elif not tls:
        LOGGER.warning(
            "Tokens and passwords are sent to %r without encryption, and others on the network "
            "can read them: serve with --tls, or behind a proxy that uses TLS.",
            host,
        )
