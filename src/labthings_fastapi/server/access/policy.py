"""What the door goes by: names, origins, credentials, and who the things belong to."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from labthings_fastapi.bindings.interaction.origins import path_of
from labthings_fastapi.concurrency.bounded_executor import BoundedExecutor, Workers
from labthings_fastapi.exceptions import UnprotectedError
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.problems import well_formed
from labthings_fastapi.security.addresses import is_loopback
from labthings_fastapi.security.hosts import HostRule, own_names, split_host
from labthings_fastapi.security.origins import OriginRule

from .audit import Audit, Mutation
from .authentication import Authentication
from .body_limit import BodyLimit
from .client_address import FORWARDED, ClientAddress, ClientAddresses
from .rejections import unknown_actor, unprotected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import Scope

    from labthings_fastapi.actions.requester import Requester
    from labthings_fastapi.problems import Problem
    from labthings_fastapi.security.roles import Actor
    from labthings_fastapi.server.config_model import ThingServerConfig

    from .request_target import RequestTarget, RequestTargets

LOGGER = own_logger("security")
LOGIN_BYTES = 32 * 1024
"""The largest body that anybody may send who has not said who it is."""
_TELLING = FORWARDED | {b"origin", b"sec-fetch-site", b"content-length", b"transfer-encoding"}


class AccessPolicy:
    """The rules of one server's door; used on the server's event loop."""

    def __init__(
        self,
        config: ThingServerConfig,
        audit: Audit,
        subjects: RequestTargets,
    ) -> None:
        """Take the rules from a configuration.

        Raises:
            CredentialError: the file of credentials cannot be read.
            ServerConfigurationError: authentication is required, and there is nothing to show.
        """
        security = config.security
        self._host_name = socket.gethostname()
        self.hosts = HostRule({*own_names(self._host_name), *config.allowed_hosts})
        self.origins = OriginRule(frozenset(config.cors_origins))
        self.shares = bool(config.cors_origins)
        self.body_limit = BodyLimit(config.max_body_bytes, config.max_upload_bytes)
        login_bytes = min(LOGIN_BYTES, config.max_body_bytes)
        self._login_limit = BodyLimit(
            login_bytes, login_bytes, "send a token, or a name and a password"
        )
        self.insecure = security.insecure
        self.prefix = config.api_prefix
        self._audit = audit
        self._subjects = subjects
        workers = Workers("labthings-door")
        self.authentication = Authentication(security, config.settings_folder, workers)
        self.required = self.authentication.required
        self.peers = ClientAddresses()
        self._naming = BoundedExecutor(workers, "the name of this computer", limit=1)
        self._fqdn = ""

    # --- from where -----------------------------------------------------------------------

    def is_plain(self, scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
        """Whether there is nothing to ask about a GET: no page, no body, nobody to identify.

        The usual case by far, from programs on the same computer; all others are looked at.
        """
        peer = self.peers.seen(scope)
        return (
            peer is not None
            and (peer.is_local or self.insecure)
            and not self.required
            and not self.shares
            and self.hosts.knows(headers.get(b"host", b""))
            and len(headers) == len(scope["headers"])
            and headers.keys().isdisjoint(_TELLING)
        )

    def refuses_peer(self, peer: ClientAddress) -> Problem | None:
        """Turn clients from the network away while nobody has to say who they are."""
        if self.required or self.insecure or peer.is_local:
            return None
        return unprotected(peer.address or "")

    async def answers_to(self, host: bytes) -> bool:
        """Whether this is one of our names; the long one is asked for when it is first needed.

        Raises:
            TooBusyError: too many wait for that.
        """
        if self.hosts.allows(host):
            return True
        parts = split_host(host.decode("latin-1"))
        first = self._host_name.lower().partition(".")[0]
        if parts is None or parts[0].partition(".")[0] != first:
            return False
        if not self._fqdn:
            # It may ask the network, and for seconds.
            self._fqdn = await self._naming.run(socket.getfqdn)
            self.hosts.add(self._fqdn)
        return self.hosts.allows(host)

    def check_exposure(self, host: str) -> None:
        """Make sure that listening on `host` lets nobody in who should not be.

        Raises:
            UnprotectedError: it can be reached from the network, and nobody has to say who it is.
        """
        if not (self.required or self.insecure or is_loopback(host)):
            raise UnprotectedError(host)

    def warn_of_exposure(self, host: str, *, tls: bool) -> None:
        """Say at every start what a server on the network does not protect."""
        if is_loopback(host):
            return
        if not self.required:
            LOGGER.warning(
                "INSECURE: everybody who reaches %r over the network may move the instruments of "
                "this server. `labthings-server token create` makes a token, and then asks for it.",
                host,
            )
        elif not tls:
            LOGGER.warning(
                "Tokens and passwords travel to %r in the clear, and others on the network can "
                "read them: serve with --tls, or behind a proxy that does.",
                host,
            )

    # --- who ------------------------------------------------------------------------------

    def session_path(self, scope: Scope) -> str:
        """Return where browsers exchange a token for a cookie."""
        return f"{scope.get('root_path', '').rstrip('/')}{self.prefix}/session"

    def is_open(self, scope: Scope, method: str) -> bool:
        """Whether this is where one says who one is, which nobody can do before."""
        return method in ("POST", "DELETE") and path_of(scope) == f"{self.prefix}/session"

    def limit_for(self, scope: Scope, method: str) -> BodyLimit:
        """Return how large a body may be."""
        return self._login_limit if self.is_open(scope, method) else self.body_limit

    async def identify(
        self, scope: Scope, headers: Mapping[bytes, bytes]
    ) -> tuple[Actor | None, Problem | None]:
        """Return who sends a request, or why that is not known.

        Raises:
            TooBusyError: too many passwords are being checked.
        """
        authorization, cookies = _text(headers, b"authorization"), _text(headers, b"cookie")
        scheme = "https" if scope.get("scheme") in ("https", "wss") else "http"
        if cookies is not None and self.origins.is_from_elsewhere(headers, scheme):
            cookies = None
        actor = await self.authentication.actor(authorization, cookies)
        if actor is not None:
            return actor, None
        tried = authorization is not None
        if tried:
            LOGGER.warning("A token or password from %s was refused.", self.peers.of(scope).address)
        return None, unknown_actor(tried=tried, passwords=self.authentication.passwords)

    # --- what -----------------------------------------------------------------------------

    def subject(self, scope: Scope) -> RequestTarget:
        """Return what a request is about."""
        return self._subjects.of(path_of(scope))

    def note(
        self, scope: Scope, requester: Requester, thing: str | None, affordance: str, status: int
    ) -> None:
        """Have a request recorded that changed something, or tried to without being allowed."""
        path = well_formed(scope["path"])
        self._audit.note(
            Mutation(
                *(requester.name, requester.address, thing or "", affordance),
                *(scope["method"], path, status),
            )
        )

    def note_for(self, requester: Requester) -> Callable[[str, str, str, int], None]:
        """Return what a WebSocket calls after each change: Thing, affordance, operation, status."""

        def note(thing: str, affordance: str, operation: str, status: int) -> None:
            self._audit.note(
                Mutation(
                    requester.name, requester.address, thing, affordance, operation, "ws", status
                )
            )

        return note


def _text(headers: Mapping[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    return value.decode("latin-1") if value is not None else None


def security_summary(access: AccessPolicy) -> dict[str, Any]:
    """Say in a few words how the server is protected, for `/health` and for people."""
    return {"authentication": access.authentication.schemes or None, "insecure": access.insecure}
