"""The server."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from labthings_fastapi.actions.logs import capture, capture_more
from labthings_fastapi.actions.manager import ActionManager
from labthings_fastapi.actions.thread_failures import thread_failure_hook
from labthings_fastapi.concurrency.bounded_executor import BoundedExecutor, Workers
from labthings_fastapi.descriptors.declarations import mistakes_for_server, raise_together
from labthings_fastapi.descriptors.slot import UNSET
from labthings_fastapi.exceptions import ThingNameError, ThingStartError
from labthings_fastapi.journal.journal import MemoryJournal
from labthings_fastapi.messages.broker import Broker
from labthings_fastapi.outputs.kept import KeptOutputs
from labthings_fastapi.outputs.store import BlobStore
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.thing import Thing, slots_of
from labthings_fastapi.thing_description import paths
from labthings_fastapi.thing_host.interface import ThingServerInterface
from labthings_fastapi.thing_host.server_id import ServerId

from .polling import Poller

# The other parts of a server, with the web framework, take long to import. They are imported where
# a server is built, so that `import labthings_fastapi` stays fast.
from .served_things import ServedThings
from .services import ThingServices
from .settings_keeper import SettingsKeeper
from .thing_hooks import close_now, end_viewers, open_now
from .thing_lifecycle import ThingLifecycle, cancel_invocations

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal
    from fastapi import FastAPI
    from starlette.testclient import TestClient

    from labthings_fastapi.bindings.binding import Binding
    from labthings_fastapi.server.address import ListenAddress
    from labthings_fastapi.server.openapi import ThingsAPI
    from labthings_fastapi.server.web.tls import TlsChoice

    from .config_model import ThingServerConfig

T = TypeVar("T", bound=Thing)
LOGGER = own_logger("server")


class ThingServer(ServedThings):
    """Builds Things, opens and closes them, and serves them over HTTP and WebSockets.

    `app` is a FastAPI app: extend it, run it with `serve()` or any ASGI server, or mount it.
    """

    _scheme: Literal["http", "https"] = "http"
    _startup_failure: Mapping[str, Any] | None = None
    _portal: BlockingPortal | None = None
    _when_listening: Callable[[ListenAddress], object] = staticmethod(lambda _address: None)

    def __init__(
        self,
        config: ThingServerConfig | Mapping[str, Any] | None = None,
        *,
        debug: bool = False,
        tolerant: bool = False,
        **keywords: Any,
    ) -> None:
        """Build the Things of a configuration; they are opened when the server starts.

        With `debug`, problems that are sent to clients have a traceback. A `tolerant` server runs
        without the Things that cannot start; its log and `/health` list them.

        Raises:
            ServerConfigurationError: listing every error in the configuration by its path.
            ThingSlotError: a slot cannot be filled.
            AffordanceDefinitionError: the types of a class have no JSON form, for example.
        """
        from labthings_fastapi.server.config.configured import configured

        from .access.audit import Audit, RequestTargets
        from .access.checks import AccessChecks
        from .journal_lifecycle import JournalLifecycle
        from .mdns import MdnsAnnouncement

        self.config = configured(config, keywords)
        self._debug, self.tolerant = debug, tolerant
        self._broker = Broker()
        self._server_id = ServerId(self.config.settings_folder)
        self._announcing = MdnsAnnouncement(self.config.discovery, self._server_id.get)
        self.action_manager = ActionManager(
            journal=MemoryJournal(outputs=KeptOutputs()),
            broker=self._broker,
            blobs=BlobStore(self.api_prefix, self.config.max_upload_bytes),
            max_retained_runs=self.config.max_retained_runs,
            max_retained_bytes=self.config.max_retained_bytes,
            max_concurrent_runs=self.config.max_concurrent_runs,
            max_queued_runs=self.config.max_queued_runs,
            has_global_lock=self.config.enable_global_lock,
        )
        self._targets = RequestTargets(self.action_manager, self.api_prefix)
        self._audit = Audit(lambda: self.action_manager.journal, self._broker.boot_id)
        self.action_manager.records.before = self._audit.write
        self._access = AccessChecks(self.config)
        self._recording = JournalLifecycle(self.action_manager, self.config)
        self._lock = threading.RLock()  # held while a Thing is added, also while it is opened
        self._state: Literal["stopped", "starting", "running", "stopping"] = "stopped"
        self._things: dict[str, Thing] = {}  # of a running server: replaced, never changed
        # Guards the two above, because all Things of a running server must be open. The event loop
        # takes it too, so it is never held while user code runs.
        self._agreeing = threading.Lock()
        self.services = ThingServices(
            *(self.config, self._broker),
            server_id=self._server_id.get,
            security_schemes=lambda: self._access.authentication.schemes,
            claim_folder=self._recording.folder_lock.secure_if_claimed,
            thing_states=self.thing_states,
            runs_tasks=lambda: self._state != "stopped",
        )
        self._workers = Workers("labthings-worker")
        self._executor = BoundedExecutor(self._workers, "the server", limit=1)
        self._thing_lifecycle = ThingLifecycle(self._workers)
        self.app = self._make_app()
        self._bind()
        self._attach()
        self._build()

    @classmethod
    def from_things(
        cls,
        things: Mapping[str, Any],
        debug: bool = False,
        *,
        tolerant: bool = False,
        **config: Any,
    ) -> Self:
        """Make a server from name → class, import string, or `{"cls": …, "kwargs": …}`."""
        return cls({"things": dict(things), **config}, debug=debug, tolerant=tolerant)

    @classmethod
    def from_config(
        cls, config: ThingServerConfig | Mapping[str, Any], debug: bool = False
    ) -> Self:
        """Make a server of a configuration; deprecated, because `ThingServer(config)` does it."""
        from labthings_fastapi.server.config.configured import deprecated

        deprecated("ThingServer.from_config is redundant: write ThingServer(config).", level=3)
        return cls(config, debug=debug)

    def _build(self) -> None:
        from labthings_fastapi.server.config.build_things import build_things, connect_slots

        built = build_things(self.config, self._interface)
        connect_slots(built, self.config)
        for thing in built.values():
            thing.load_settings()
        for name, thing in built.items():
            self._things[name] = thing
            self._thing_lifecycle.expect(thing)
            self._expose(thing)

    def _make_app(self) -> ThingsAPI:
        from labthings_fastapi.dependencies.server import STATE_NAME
        from labthings_fastapi.server.access.middleware import AccessMiddleware, with_cors
        from labthings_fastapi.server.openapi import ThingsAPI
        from labthings_fastapi.server.own_places import OwnPlaces

        checks, origins = self._access, self.config.cors_origins
        prefix, lifespan = self.api_prefix, self._lifespan
        app = ThingsAPI(lambda: self.things, checks.authentication, prefix, lifespan=lifespan)
        setattr(app.state, STATE_NAME, self)
        inside = (checks, self._targets, self._audit, lambda: app.user_middleware)
        app.wrap(lambda inner: AccessMiddleware(inner, *inside))
        app.wrap(lambda inner: with_cors(inner, origins, checks.refusal_log))
        app.wrap(lambda inner: OwnPlaces(inner, prefix))
        return app

    def _bind(self) -> None:
        from labthings_fastapi.bindings.http.http_binding import HttpBinding
        from labthings_fastapi.bindings.interaction.things import Interactions
        from labthings_fastapi.bindings.websocket.websocket_binding import WebSocketBinding

        from .long_calls import LongCalls
        from .reopening import Reopening

        self._interactions = interactions = Interactions(
            self.action_manager, self._workers, calls_per_thing=self.config.max_reads_per_thing
        )
        self._poller = Poller(interactions.of)
        self._settings_keeper = SettingsKeeper(self._workers)
        self._reopening = Reopening(self._thing_lifecycle, self.action_manager, interactions.of)
        self._long_calls = LongCalls(interactions.of)
        self._watching = (self._poller, self._settings_keeper, self._reopening, self._long_calls)
        websocket = WebSocketBinding(self.app, interactions, prefix=self.api_prefix)
        # Last, so that it dispatches before the sockets: requests of HTTP are many and small.
        self._http = HttpBinding(
            *(self.app, interactions), prefix=self.api_prefix, reopen=self._reopening.reopen
        )
        self._bindings: tuple[Binding, ...] = (self._http, websocket)

    def _attach(self) -> None:
        from . import docs_page, routes
        from .access import session_routes
        from .errors import use_problem_details

        self._http.descriptions.offer(self._bindings)
        self._http.directory.server_id = self._server_id.get
        self._http.directory.schemes = lambda: self._access.authentication.schemes
        use_problem_details(self.app, self._http.router, self.api_prefix)
        # Routes are tried in turn, and runs are asked for more often than all the rest.
        self.action_manager.attach_to_app(self.app, self.api_prefix)
        descriptions = self._http.descriptions
        routes.attach(self.app, self.config, lambda: self.things, descriptions, self._health)
        session_routes.attach(self._access.authentication, self.app, self.api_prefix)
        docs_page.attach(self.app, self.api_prefix)
        self.action_manager.records.attach_to_app(self.app, self.api_prefix)

    def _interface(self, name: str, path: str | None = None) -> ThingServerInterface:
        return ThingServerInterface(
            self.services, name, path=path or paths.thing_path(name, self.api_prefix)
        )

    def _expose(self, thing: Thing) -> None:
        from labthings_fastapi.server.own_places import warn_of_shared_name

        warn_of_shared_name(thing, self.api_prefix)
        thing._thing_server_interface.make_settings_folder()
        for binding in self._bindings:
            binding.expose(thing)
        self._targets.add(thing)
        self.app.discard_document()

    @property
    def scheme(self) -> Literal["http", "https"]:
        """The scheme of the server's URLs while `serve` runs; another ASGI server may differ."""
        return self._scheme

    @property
    def debug(self) -> bool:
        """Whether problems that are sent to clients have a traceback."""
        return self._debug

    @property
    def startup_failure(self) -> Mapping[str, Any] | None:
        """Why the last start failed: `{"thing": name, "exception": error}`; else None."""
        return self._startup_failure

    @property
    def blocking_portal(self) -> BlockingPortal | None:
        """While the server runs, the way from other threads into its event loop; else None.

        Things use `call_async_task` of their interface instead: their loop is another one.
        """
        return self._portal

    def _health(self) -> dict[str, Any]:
        schemes = self._access.authentication.schemes
        return {
            "status": self._state,
            "things": self._thing_lifecycle.health(
                self.things, self._interactions.failed_readings()
            ),
            "journal": self._recording.health(),
            "security": {"authentication": schemes or None, "insecure": self._access.insecure},
        }

    def add_thing(self, thing: T, path: str) -> T:
        """Serve an instance of a Thing at `path`, as in `/stage/`; any thread.

        If the server runs, the Thing is opened first, so this waits for its `__enter__`.

        Raises:
            ThingNameError: the path is taken, reserved or does not fit in a URL.
            AffordanceDefinitionError: its class has mistakes that only a server finds, such as a
                type without a JSON form.
            ThingStartError: its `__enter__` failed.
        """
        path = paths.normalise_thing_path(path)
        name = path.strip("/")
        raise_together(mistakes_for_server(type(thing)))
        with self._lock:
            if name in self._things:
                raise ThingNameError(
                    f"The path {path!r} is taken by Thing {name!r}: choose another path."
                )
            thing._thing_server_interface = self._interface(name, self.api_prefix + path)
            for slot in slots_of(type(thing)).values():
                slot.fill(thing, {**self._things, name: thing}, UNSET)
            thing.load_settings()
            self._thing_lifecycle.expect(thing)
            opened = self._add_and_open(name, thing)
            self._expose(thing)
            if opened:
                for part in self._watching:
                    part.add(thing)
        if opened:
            self._http.directory.announce(thing)
            self._announcing.add(thing)
        return thing

    def _add_and_open(self, name: str, thing: Thing) -> bool:
        """Add a Thing and, if the server runs, open it; return True if it is open."""
        opened = False
        while True:
            if opened != (self._state == "running"):
                if opened:
                    close_now(thing)
                else:
                    open_now(thing)
                    self._thing_lifecycle.unsafe.make_safe(thing)
                opened = not opened
            with self._agreeing:
                if opened == (self._state == "running"):
                    self._things = {**self._things, name: thing}
                    if opened:
                        self._thing_lifecycle.take_over(thing)
                    return opened

    @asynccontextmanager
    async def _lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        from anyio.from_thread import BlockingPortal

        self._state, self._startup_failure = "starting", None
        self._access.allow_origins_of(lambda: self.app.user_middleware)
        self.action_manager.accept_work()
        capture()
        capture_more(self.config.capture_loggers)
        thread_failure_hook.begin()
        try:
            await self._open()
            raised: BaseException | None = None
            async with BlockingPortal() as self._portal:
                try:
                    yield
                except BaseException as error:  # noqa: BLE001 - the portal would put it in a group
                    raised = error
                portal, self._portal = self._portal, None
                await portal.stop(cancel_remaining=True)
            if raised is not None:
                raise raised
        except ThingStartError as error:
            self._startup_failure = {"thing": error.thing, "exception": error.__cause__ or error}
            raise
        finally:
            self._portal = None
            thread_failure_hook.end()
            if await self._stop():
                await self._executor.run(self._finish)

    async def _open(self) -> None:
        from labthings_fastapi.server.config.build_things import start_order

        await self._executor.run(self._recording.begin)
        await self._executor.run(self._thing_lifecycle.unsafe.load, self.action_manager.journal)
        opened: Mapping[str, Thing] = {}
        while not self._runs_with(opened):
            things = self._things
            more = [thing for thing in start_order(things) if paths.name_of(thing) not in opened]
            await self._thing_lifecycle.open(more, tolerant=self.tolerant)
            opened = things

    def _runs_with(self, opened: Mapping[str, Thing]) -> bool:
        """Begin to run, unless Things were added while these were opened."""
        with self._agreeing:
            if self._state == "starting":  # it may have been stopped meanwhile
                if opened is not self._things:
                    return False
                for part in self._watching:
                    part.start(opened.values())
                self._state = "running"
        return True

    async def _announce(self, address: ListenAddress) -> None:
        with suppress(OSError, ValueError):  # nobody reads the output any more
            self._when_listening(address)
        begin, prefix = self._announcing.begin, self.api_prefix
        await self._executor.run(begin, address, prefix, lambda: self.things)

    async def _stop(self, timeout: float | None = None) -> bool:
        """Stop once in each run; the first caller gets True.

        With a timeout (seconds) no Thing holds up the others.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._agreeing:
            if self._state in ("stopping", "stopped"):
                return False
            self._state = "stopping"
        try:
            self._announcing.withdraw()
            await self._reopening.stop()
            await self._poller.stop()
            await cancel_invocations(self.action_manager, self.config.shutdown_timeout)
            await self._settings_keeper.stop()
            await self._long_calls.stop()
            self._broker.end_streams()
            end_viewers(self._things.values())
        finally:
            left = None if deadline is None else deadline - time.monotonic()
            await self._thing_lifecycle.close(left)
        return True

    def _finish(self) -> None:
        """Write the rest of the journal and free the settings folder; the last step of a stop."""
        self._announcing.end()
        self.action_manager.records.before()
        self._recording.end(self.config.shutdown_timeout)
        self._state = "stopped"

    @asynccontextmanager
    async def started(self) -> AsyncIterator[Self]:
        """Open the Things, and close them later: for the lifespan of an app that mounts `app`.

        Raises:
            RuntimeError: the server runs already.
            ThingStartError: a Thing's `__enter__` failed.
            FolderInUseError: another process serves from the settings folder.
        """
        if self._state != "stopped":
            raise RuntimeError(
                "The server runs already: use `started()` only where nothing else starts it, such "
                "as `serve()` or an ASGI server that runs `server.app`."
            )
        async with self.app.router.lifespan_context(self.app):
            yield self

    def reopen(self, name: str) -> None:
        """Close a Thing if it is open, and open it again: `__exit__`, then `__enter__`.

        As `POST /<name>/reopen` for clients. Any thread may call it, and waits, except the server's
        event loop and code of the Thing itself.

        Raises:
            ThingNotFoundError: there is no Thing with this name.
            ActionBusyError: it is in use, or is being opened again already.
            ServerNotRunningError: the server does not run.
            ThingStartError: its `__enter__` failed, or a Thing that it needs is not open.
        """
        self.path_for_thing(name)  # raises an error if there is none
        self._reopening.reopen_and_wait(self._things[name])

    def serve(self, host: str = "127.0.0.1", port: int = 5000, *, tls: TlsChoice = False) -> None:
        """Run the server until the process receives SIGTERM or Ctrl-C.

        With `tls=True` it serves HTTPS with its own certificate, which it keeps in the settings
        folder; with `tls=("certificate.pem", "key.pem")` with that certificate.

        Raises:
            AddressError: the port is taken.
            CertificateError: the certificate cannot be used.
            ThingStartError: a Thing's `__enter__` failed.
            FolderInUseError: another process serves from the settings folder.
            UnprotectedError: others reach the host, and the server has no authentication.
        """
        from labthings_fastapi.server.access.checks import check_listen_host, warn_of_exposure
        from labthings_fastapi.server.web import run
        from labthings_fastapi.server.web.connection_limits import limits_of
        from labthings_fastapi.server.web.tls import chosen_tls

        check_listen_host(self._access, host)
        hooks = run.ServerHooks(self.app, self._announce, self._stop, self._finish)
        with ExitStack() as stack:
            stack.enter_context(run.logging_to_stderr(debug=self.debug))
            self._recording.folder_lock.claim_and_make()
            stack.callback(self._recording.folder_lock.release)
            warn_of_exposure(self._access, host, tls=bool(tls))
            self._scheme = "https" if tls else "http"
            stack.callback(setattr, self, "_scheme", "http")
            run.run_until_stopped(
                *(hooks, host, port),
                grace=self.config.shutdown_timeout,
                tls=chosen_tls(tls, self.config.settings_folder, host),
                limits=limits_of(self.config),
            )

    @contextmanager
    def test_client(self, **options: Any) -> Iterator[TestClient]:
        """Start the server in this process, for tests, and return a client of it."""
        from starlette.testclient import TestClient

        with TestClient(self.app, **options) as client:
            yield client
