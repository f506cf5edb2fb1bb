"""The server."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from labthings_fastapi.actions.logs import capture
from labthings_fastapi.actions.manager import ActionManager
from labthings_fastapi.concurrency.bounded_executor import BoundedExecutor, Workers
from labthings_fastapi.descriptors.slot import UNSET
from labthings_fastapi.exceptions import ThingNameError
from labthings_fastapi.messages.broker import Broker
from labthings_fastapi.outputs.store import BlobStore
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.server.access.request_target import RequestTargets
from labthings_fastapi.thing import Thing, slots_of
from labthings_fastapi.thing_description.paths import normalise_thing_path, thing_path
from labthings_fastapi.thing_host.interface import ThingServerInterface
from labthings_fastapi.thing_host.lock import GlobalLock
from labthings_fastapi.thing_host.server_id import ServerId

from .polling import Poller
from .registry import ThingRegistry

# The rest of what a server is built of is heavy, the web framework included. It is imported where
# a server is built, so that code which only names the class does not wait for it.
from .thing_lifecycle import ThingLifecycle, cancel_invocations

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from uuid import UUID

    from fastapi import FastAPI
    from starlette.testclient import TestClient

    from labthings_fastapi.bindings.binding import Binding
    from labthings_fastapi.server.access.audit import Audit
    from labthings_fastapi.server.address import ListenAddress
    from labthings_fastapi.server.openapi.document import ThingsAPI
    from labthings_fastapi.server.web.tls import TlsChoice

    from .config_model import ThingServerConfig

T = TypeVar("T", bound=Thing)
LOGGER = own_logger("server")


class ThingServer(ThingRegistry):
    """Serves Things over HTTP: builds them, opens them, runs their actions, closes them.

    `app` is a FastAPI app, to be extended or run by any ASGI server; `serve()` runs it here.
    """

    _scheme: Literal["http", "https"] = "http"

    def __init__(
        self,
        config: ThingServerConfig | Mapping[str, Any] | None = None,
        *,
        debug: bool = False,
        tolerant: bool = False,
    ) -> None:
        """Build the Things of a configuration; nothing is opened before the server starts.

        With `debug`, clients are sent the tracebacks of failures. A `tolerant` server runs without
        the Things that cannot start, and says so in its log and in `/health`.

        Raises:
            ServerConfigurationError: listing every mistake by its path.
            ThingSlotError: a slot cannot be filled.
        """
        from labthings_fastapi.server.config.validation import validated

        from .access.checks import AccessChecks
        from .journal_lifecycle import JournalLifecycle
        from .mdns import MdnsAnnouncement

        self.config = validated(config if config is not None else {})
        self.debug = debug
        self.tolerant = tolerant
        self.broker = Broker()
        self.global_lock = (
            GlobalLock(log_level=self.config.global_lock_log_level)
            if self.config.enable_global_lock
            else None
        )
        self._server_id = ServerId(self.settings_folder)
        self._announcing = MdnsAnnouncement(self.config.discovery, self._server_id.get)
        self.blobs = BlobStore(self.api_prefix)
        self.action_manager = self._make_manager()
        self._targets = RequestTargets(self.action_manager, self.api_prefix)
        self._audit = self._make_audit()
        self.access = AccessChecks(self.config)
        self._recording = JournalLifecycle(
            self.action_manager, self.config.journal, self.settings_folder
        )
        self._lock = threading.RLock()  # held while a Thing is added, also while it is opened
        super().__init__()
        self._workers = Workers("labthings-worker")
        self._executor = BoundedExecutor(self._workers, "the server", limit=1)
        self._thing_lifecycle = ThingLifecycle(self._workers)
        self._poller = Poller(self._workers)
        self.app = self._make_app()
        self._bind()
        self._attach()
        self._build()

    @classmethod
    def from_things(
        cls,
        things: Mapping[str, Any],
        *,
        debug: bool = False,
        tolerant: bool = False,
        **config: Any,
    ) -> Self:
        """Make a server from name → class, import string, or `{"cls": …, "kwargs": …}`."""
        return cls({"things": dict(things), **config}, debug=debug, tolerant=tolerant)

    def _build(self) -> None:
        from labthings_fastapi.server.config.build_things import build_things, connect_slots

        built = build_things(self.config, self._interface)
        connect_slots(built, self.config)
        for thing in built.values():
            thing.load_settings()
        for name, thing in built.items():
            self._things[name] = thing
            self._expose(thing)

    def _make_manager(self) -> ActionManager:
        return ActionManager(
            broker=self.broker,
            blobs=self.blobs,
            max_retained_runs=self.config.max_retained_runs,
            max_concurrent_runs=self.config.max_concurrent_runs,
            max_queued_runs=self.config.max_queued_runs,
        )

    def _make_audit(self) -> Audit:
        from labthings_fastapi.server.access.audit import Audit

        audit = Audit(lambda: self.action_manager.journal, self.broker.boot_id)
        self.action_manager.records.before = audit.write
        return audit

    def _make_app(self) -> ThingsAPI:
        from labthings_fastapi.dependencies.server import STATE_NAME
        from labthings_fastapi.server.access.middleware import with_access
        from labthings_fastapi.server.openapi.document import ThingsAPI

        app = ThingsAPI(
            self, lifespan=self._lifespan, openapi_url=f"{self.api_prefix}/openapi.json"
        )
        setattr(app.state, STATE_NAME, self)
        origins = self.config.cors_origins
        app.wrap(lambda inner: with_access(inner, self.access, self._targets, self._audit, origins))
        return app

    def _bind(self) -> None:
        """Offer Things in each protocol."""
        from labthings_fastapi.bindings.http.http_binding import HttpBinding
        from labthings_fastapi.bindings.interaction.things import Interactions
        from labthings_fastapi.bindings.websocket.websocket_binding import WebSocketBinding

        from .unavailable_things import UnavailableThings

        unavailable = self._thing_lifecycle.unavailable
        interactions = Interactions(
            self.action_manager,
            self._workers,
            calls_per_thing=self.config.max_reads_per_thing,
        )
        self.http = HttpBinding(self.app, interactions, prefix=self.api_prefix)
        self.websocket = WebSocketBinding(
            self.app, interactions, prefix=self.api_prefix, failures=lambda: unavailable
        )
        self.bindings: tuple[Binding, ...] = (self.http, self.websocket)
        self.app.add_middleware(UnavailableThings, unavailable=unavailable)

    def _attach(self) -> None:
        """Put the server's own resources on the app."""
        from . import docs_page, routes
        from .access import session_routes
        from .errors import use_problem_details

        self.http.descriptions.offer(self.bindings)
        self.http.directory.server_id = self._server_id.get
        self.http.directory.schemes = lambda: self.security_schemes
        use_problem_details(self.app, self.http.router, self.api_prefix)
        routes.attach(self, self.http.descriptions, self.app, self.api_prefix)
        session_routes.attach(self.access.authentication, self.app, self.api_prefix)
        docs_page.attach(self.app, self.api_prefix)
        self.action_manager.attach_to_app(self.app, self.api_prefix)
        self.action_manager.records.attach_to_app(self.app, self.api_prefix)

    def _interface(self, name: str, path: str | None = None) -> ThingServerInterface:
        where = path if path is not None else thing_path(name, self.api_prefix)
        return ThingServerInterface(self, name, where)

    def _expose(self, thing: Thing) -> None:
        for binding in self.bindings:
            binding.expose(thing)
        self._targets.add(thing)
        self.app.describe_anew()

    # --- what it holds --------------------------------------------------------------------

    @property
    def settings_folder(self) -> Path:
        """Where settings are kept."""
        return self.config.settings_folder

    @property
    def server_id(self) -> UUID | None:
        """What tells this server from all others: kept in its settings folder."""
        return self._server_id.get()

    @property
    def application_config(self) -> Mapping[str, Any] | None:
        """The laboratory's part of the configuration."""
        return self.config.application_config

    @property
    def scheme(self) -> Literal["http", "https"]:
        """The scheme of the server's URLs while `serve` runs; another ASGI server may differ."""
        return self._scheme

    @property
    def api_prefix(self) -> str:
        """What comes before every path."""
        return self.config.api_prefix

    @property
    def security_schemes(self) -> Sequence[str]:
        """How clients must show who they are, "bearer" or "basic"; empty: they need not."""
        return self.access.authentication.schemes

    def claim_folder(self) -> None:
        """Keep the servers of other processes out of the settings folder.

        Raises:
            FolderInUseError: one of them was first.
        """
        self._recording.claim_folder()

    def security_summary(self) -> dict[str, Any]:
        """Return how the server is protected."""
        schemes = self.access.authentication.schemes
        return {"authentication": schemes or None, "insecure": self.access.insecure}

    def thing_health(self) -> dict[str, dict[str, str]]:
        """Return the class and the state of each Thing, by name."""
        states, failures = self._thing_lifecycle.states, self._thing_lifecycle.failures
        return {
            name: {
                "class": type(thing).__name__,
                "state": states.get(name, "closed"),
                **({"error": failures[name]} if name in failures else {}),
            }
            for name, thing in self._things.items()
        }

    def add_thing(self, thing: T, path: str) -> T:
        """Serve a Thing that was made elsewhere, at `path`; also while the server runs.

        Then it is opened first, so this waits for its `__enter__`.

        Raises:
            ThingNameError: the path is taken, reserved or does not fit in a URL.
            ThingStartError: its `__enter__` failed.
        """
        where = normalise_thing_path(path)
        name = where.strip("/")
        with self._lock:
            if name in self._things:
                raise ThingNameError(
                    f"The path {where!r} is taken by Thing {name!r}: choose another path."
                )
            thing._thing_server_interface = self._interface(name, self.api_prefix + where)
            for slot in slots_of(type(thing)).values():
                slot.fill(thing, {**self._things, name: thing}, UNSET)
            thing.load_settings()
            opened = self._add_and_open(name, thing, self._thing_lifecycle)
            self._expose(thing)
            if opened:
                self._poller.add(thing)
        if opened:
            self.http.directory.announce(thing)
            self._announcing.add(thing)
        return thing

    # --- how it runs ----------------------------------------------------------------------

    @asynccontextmanager
    async def _lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        self.state = "starting"
        self.action_manager.accept_work()
        for logger_name in ("labthings_fastapi", *self.config.capture_loggers):
            capture(logger_name)
        try:
            await self._open()
            yield
        finally:
            if await self._stop():
                await self._executor.run(self._finish)

    async def _open(self) -> None:
        from labthings_fastapi.server.config.build_things import start_order

        await self._executor.run(self._recording.begin)
        opened: Mapping[str, Thing] = {}
        while not self._runs_with(opened):
            things = self._things
            more = [thing for thing in start_order(things) if thing.name not in opened]
            await self._thing_lifecycle.open(more, tolerant=self.tolerant)
            opened = things

    def _runs_with(self, opened: Mapping[str, Thing]) -> bool:
        """Begin to run, unless Things were added while these were opened."""
        with self._agreeing:
            if self.state == "starting":  # it may have been stopped meanwhile
                if opened is not self._things:
                    return False
                self._poller.start(filter(self._thing_lifecycle.is_open, opened.values()))
                self.state = "running"
        return True

    async def _announce(self, address: ListenAddress) -> None:
        """Announce the Things on the network, if they can be reached at this address."""
        await self._executor.run(self._announcing.begin, address, self.api_prefix, self)

    async def _stop(self, timeout: float | None = None) -> bool:
        """Refuse work, cancel invocations, end streams and close the Things, once in each run.

        The first caller does it and gets True: `serve` when it receives a signal, otherwise the
        end of the lifespan. With a timeout (seconds) no Thing holds up the others; without one
        each Thing is waited for.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._agreeing:
            if self.state in ("stopping", "stopped"):
                return False
            self.state = "stopping"
        try:
            self._announcing.withdraw()
            await self._poller.stop()
            await cancel_invocations(self.action_manager, self.config.shutdown_timeout)
            self.broker.end_streams()
        finally:
            left = None if deadline is None else deadline - time.monotonic()
            await self._thing_lifecycle.close(left)
        return True

    def _finish(self) -> None:
        """Write the rest of the journal and free the settings folder; the last step of a stop."""
        self._announcing.end()
        self.action_manager.records.before()
        self._recording.end(self.config.shutdown_timeout)
        self.state = "stopped"

    def serve(self, host: str = "127.0.0.1", port: int = 5000, *, tls: TlsChoice = False) -> None:
        """Run the server until the process receives SIGTERM or Ctrl-C.

        With `tls=True` it serves HTTPS with its own certificate, which it keeps in the settings
        folder; with `tls=("certificate.pem", "key.pem")` with that certificate.

        Raises:
            AddressError: the port is taken.
            CertificateError: the certificate cannot be used.
            ThingStartError: a Thing's `__enter__` failed.
            FolderInUseError: another process serves from the settings folder.
            UnprotectedError: the host can be reached from the network, and the server has no
                authentication.
        """
        from labthings_fastapi.server.access.exposure import check_listen_host, warn_of_exposure
        from labthings_fastapi.server.web.limits import limits_of
        from labthings_fastapi.server.web.run import ServerHooks, run_until_stopped
        from labthings_fastapi.server.web.tls import chosen_tls, specific_hosts

        check_listen_host(self.access, host)
        warn_of_exposure(self.access, host, tls=bool(tls))
        hooks = ServerHooks(self.app, self._announce, self._stop, self._finish)
        self._scheme = "https" if tls else "http"
        try:
            run_until_stopped(
                hooks,
                host,
                port,
                grace=self.config.shutdown_timeout,
                tls=chosen_tls(tls, self.settings_folder, specific_hosts(host)),
                limits=limits_of(self.config),
            )
        finally:
            self._scheme = "http"

    @contextmanager
    def test_client(self, **options: Any) -> Iterator[TestClient]:
        """Start the server in this process and give a client that talks to it, for tests."""
        from starlette.testclient import TestClient

        with TestClient(self.app, **options) as client:
            yield client
