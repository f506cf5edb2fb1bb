"""What the door goes by: names, origins, credentials, and who the things belong to."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import logging
import socket
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from labthings_fastapi.exceptions import (
    CredentialError,
    ServerConfigurationError,
    UnprotectedError,
)
from labthings_fastapi.portal.workers import Lane, Workers
from labthings_fastapi.problems import well_formed
from labthings_fastapi.security.addresses import is_loopback
from labthings_fastapi.security.authentication import (
    Authenticator,
    NamePassword,
    basic_pair,
)
from labthings_fastapi.security.credential_file import FILE_NAME, CredentialFile
from labthings_fastapi.security.hosts import HostRule, own_names, split_host
from labthings_fastapi.security.origins import OriginRule

from .admission import unknown_actor, unprotected
from .audit import Audit, Mutation
from .body_limit import BodyLimit
from .visits import Visits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import Scope

    from labthings_fastapi.actions.asking import Asker
    from labthings_fastapi.problems import Problem
    from labthings_fastapi.security.credentials import Credential
    from labthings_fastapi.security.roles import Actor

    from .config_model import ThingServerConfig
    from .subjects import Subject, Subjects

LOGGER = logging.getLogger("labthings_fastapi.security")
REFRESH_SECONDS = 2.0
"""For how long what the file of credentials says is taken for true."""
PATIENCE_SECONDS = 2.0
MOST_PEERS = 1000
LOGIN_BYTES = 32 * 1024
"""The largest body that anybody may send who has not said who it is."""
_FORWARDED = frozenset({b"x-forwarded-for", b"forwarded", b"x-real-ip"})
"""By these a proxy says for whom it asks; anybody else may send them, too."""
_TELLING = _FORWARDED | {b"origin", b"sec-fetch-site", b"content-length", b"transfer-encoding"}


class Peer(NamedTuple):
    """Who is at the other end: the IP address or "unknown", or None in this very process."""

    address: str | None
    is_local: bool


STRANGER = Peer("unknown", False)  # the word of RFC 7239, section 6.2


class Entrance:
    """The rules of one server's door; used on the server's event loop.

    Whether clients must say who they are is decided once, when the server is made.
    """

    def __init__(
        self,
        config: ThingServerConfig,
        audit: Audit,
        subjects: Subjects,
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
        self._file = CredentialFile(security.credentials or config.settings_folder / FILE_NAME)
        if security.authentication != "off":
            self._file.refresh()
        self.asks = security.authentication == "required" or bool(self._file.credentials)
        if security.authentication == "required" and not self._file.credentials:
            raise ServerConfigurationError(
                f"security.authentication: it is 'required', and {self._file.path} has no "
                "credentials, so nobody could do anything: make a token with `labthings-server "
                "token create --role operator`."
            )
        # Browsers keep cookies by host, and not by port: another server there has another name.
        ours = hashlib.sha256(str(self._file.path.resolve()).encode("utf-8", "replace"))
        self.authenticator = Authenticator(
            lambda: self._file.credentials, cookie=f"labthings_session_{ours.hexdigest()[:8]}"
        )
        workers = Workers("labthings-door")
        self._passwords = Lane(workers, "the check of passwords", limit=2)
        # Apart from these, or whoever tries many passwords could keep a revoked token alive.
        self._reading = Lane(workers, "the file of credentials", limit=1)
        self._naming = Lane(workers, "the name of this computer", limit=1)
        self._peers: dict[str, Peer] = {}
        self._fqdn = ""
        self.visits = Visits(self._refresh, self._is_valid, REFRESH_SECONDS)
        self._refreshed = time.monotonic()
        self._refreshing: asyncio.Task[None] | None = None

    @property
    def passwords(self) -> bool:
        """Whether somebody may come with a name and a password."""
        return any(each.kind == "password" for each in self._file.credentials)

    @property
    def schemes(self) -> list[str]:
        """How clients show who they are, in the words of HTTP; nothing if they need not."""
        if not self.asks:
            return []
        return ["bearer", "basic"] if self.passwords else ["bearer"]

    # --- from where -----------------------------------------------------------------------

    def peer_of(self, scope: Scope) -> Peer:
        """Return who is at the other end.

        ASGI servers put what `X-Forwarded-For` says in the place of an address, be it nonsense:
        who sends such a header is neither in this process nor, for all we know, on this computer.
        """
        client = scope.get("client")
        name = client[0] if client else ""
        found = self._peers.get(name)
        if found is None:
            found = _peer(name)
            if len(self._peers) >= MOST_PEERS:
                self._peers.clear()
            self._peers[name] = found
        if found.is_local and _came_through_a_proxy(scope, found):
            return STRANGER
        return found

    def is_plain(self, scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
        """Whether there is nothing to ask about a GET: no page, no body, nobody to identify.

        The usual case by far, from programs on the same computer; all others are looked at.
        """
        client = scope.get("client")
        peer = self._peers.get(client[0]) if client else None
        return (
            peer is not None
            and (peer.is_local or self.insecure)
            and not self.asks
            and not self.shares
            and self.hosts.knows(headers.get(b"host", b""))
            and len(headers) == len(scope["headers"])
            and headers.keys().isdisjoint(_TELLING)
        )

    def refuses_peer(self, peer: Peer) -> Problem | None:
        """Turn clients from the network away while nobody has to say who they are."""
        if self.asks or self.insecure or peer.is_local:
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
        if not (self.asks or self.insecure or is_loopback(host)):
            raise UnprotectedError(host)

    def warn_of_exposure(self, host: str, *, tls: bool) -> None:
        """Say at every start what a server on the network does not protect."""
        if is_loopback(host):
            return
        if not self.asks:
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
        return method in ("POST", "DELETE") and _path(scope) == f"{self.prefix}/session"

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
        await self._refresh_if_old()
        authorization, cookies = _text(headers, b"authorization"), _text(headers, b"cookie")
        scheme = "https" if scope.get("scheme") in ("https", "wss") else "http"
        if cookies is not None and self.origins.is_from_elsewhere(headers, scheme):
            cookies = None
        actor = self.authenticator.actor(authorization, cookies)
        if actor is None and authorization is not None:
            found = await self.check(authorization)
            actor = found.actor if found is not None else None
        if actor is not None:
            return actor, None
        tried = authorization is not None
        if tried:
            LOGGER.warning("A token or password from %s was refused.", self.peer_of(scope).address)
        return None, unknown_actor(tried=tried, passwords=self.passwords)

    async def check(self, authorization: str) -> Credential | None:
        """Return the credential of an `Authorization` header; a password takes its time."""
        await self._refresh_if_old()
        found = self.authenticator.by_bearer(authorization)
        pair = basic_pair(authorization)
        if found is not None or pair is None:
            return found
        return await self.check_password(pair)

    async def check_password(self, pair: NamePassword) -> Credential | None:
        """Return the credential of a name and a password.

        Raises:
            TooBusyError: too many passwords are being checked.
        """
        await self._refresh_if_old()
        if not self.passwords:
            return None
        found = self.authenticator.remembered(pair)
        if found is None:
            found = await self._passwords.run(self.authenticator.check, pair)
            if found is not None:
                self.authenticator.remember(pair, found)
        return found

    async def _refresh_if_old(self) -> None:
        """Go by what the file says now, also for the first request after a quiet night."""
        if time.monotonic() - self._refreshed <= REFRESH_SECONDS:
            return
        task, loop = self._refreshing, asyncio.get_running_loop()
        if task is None or task.done() or task.get_loop() is not loop:
            task = self._refreshing = loop.create_task(self._refresh())
        await asyncio.wait({task}, timeout=PATIENCE_SECONDS)  # a network share may hang
        self._refreshed = time.monotonic()

    def _is_valid(self, actor: Actor) -> bool:
        now = datetime.now(UTC)
        return any(each.actor == actor and each.is_valid_at(now) for each in self._file.credentials)

    async def _refresh(self) -> None:
        try:
            if await self._reading.run(self._file.refresh):
                LOGGER.info("The credentials in %s were read again.", self._file.path)
        except CredentialError as error:
            LOGGER.error("%s", error)

    # --- what -----------------------------------------------------------------------------

    def subject(self, scope: Scope) -> Subject:
        """Return what a request is about."""
        return self._subjects.of(_path(scope))

    def note(
        self, scope: Scope, asker: Asker, thing: str | None, affordance: str, status: int
    ) -> None:
        """Have a request recorded that changed something, or tried to without being allowed."""
        path = well_formed(scope["path"])
        self._audit.note(
            Mutation(
                *(asker.name, asker.address, thing or "", affordance),
                *(scope["method"], path, status),
            )
        )

    def note_for(self, asker: Asker) -> Callable[[str, str, str, int], None]:
        """Return what a WebSocket calls after each change: Thing, affordance, operation, status."""

        def note(thing: str, affordance: str, operation: str, status: int) -> None:
            self._audit.note(
                Mutation(asker.name, asker.address, thing, affordance, operation, "ws", status)
            )

        return note


def _path(scope: Scope) -> str:
    root: str = scope.get("root_path", "")
    path: str = scope["path"]
    return path[len(root) :] if root and f"{path}/".startswith(f"{root}/") else path


def _text(headers: Mapping[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    return value.decode("latin-1") if value is not None else None


def _peer(name: str) -> Peer:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return Peer(None, True)
    return Peer(name, is_loopback(name))  # an address is not looked up


def _came_through_a_proxy(scope: Scope, peer: Peer) -> bool:
    """Whether a proxy asks for somebody whose address the ASGI server did not find out."""
    for name, value in scope["headers"]:
        if name in _FORWARDED:
            found = peer
            if name != b"x-forwarded-for":  # which the ASGI server has read
                found = _peer(value.decode("latin-1"))
            if found.address is None or not found.is_local:
                return True
    return False


def security_summary(entrance: Entrance) -> dict[str, Any]:
    """Say in a few words how the server is protected, for `/health` and for people."""
    return {"authentication": entrance.schemes or None, "insecure": entrance.insecure}
