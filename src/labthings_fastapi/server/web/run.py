"""Run an app with uvicorn, until the process is told to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
import time
from concurrent.futures import wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from labthings_fastapi.own_log import own_logger
from labthings_fastapi.server.address import AddressError, ListenAddress

from .limits import Limits, limits_of
from .sockets import bind, bound_to, close_all
from .tls import chosen_tls, specific_hosts

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from labthings_fastapi.server.config_model import ThingServerConfig

    from .tls import Tls, TlsChoice

LOGGER = own_logger("server")
SWITCH_SECONDS = 0.001
"""For how long a thread of user code may keep Python to itself while the server wants it."""
FULL_COLLECTION_RARER = 5
"""How many times fewer full collections of garbage there are than Python would have."""
SIGNAL_SECONDS = 0.2
"""After how long at the latest a signal is heard that did not wake the main thread."""
CLOSING_SECONDS = 0.7
"""What is left for closing Things if the runs used up their time to stop."""
EXIT_INTERRUPTED = 130


class Stoppable(Protocol):
    """A `ThingServer`, as far as running it is concerned."""

    bound: ListenAddress | None
    """Where it listens; None when it does not, or when somebody else runs its app."""

    @property
    def app(self) -> ASGIApp:
        """What answers requests."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop on which it runs; None before it has started."""

    async def listening(self, bound: ListenAddress) -> None:
        """Hear where the server listens, now that it does; must not raise."""

    async def wind_down(self, timeout: float) -> None:
        """Refuse work, cancel runs, end streams, close the Things: all within so many seconds."""

    def finish(self) -> None:
        """Write what is left to write; harmless twice."""


class Configured(Stoppable, Protocol):
    """A `ThingServer`, with what it was told."""

    start_error: Exception | None
    """Why it could not start."""

    @property
    def config(self) -> ThingServerConfig:
        """The configuration."""

    @property
    def settings_folder(self) -> Path:
        """Where settings are kept."""


class PlainApp:
    """An app without Things, which has nothing to wind down."""

    loop: asyncio.AbstractEventLoop | None = None
    bound: ListenAddress | None = None

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def listening(self, bound: ListenAddress) -> None:
        """Do nothing."""

    async def wind_down(self, timeout: float) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Write nothing."""


def serve(server: Configured, host: str, port: int, tls: TlsChoice) -> None:
    """Run a server as its configuration says; what kept it from starting is raised as itself."""
    server.start_error = None
    try:
        run_until_stopped(
            server,
            host,
            port,
            grace=server.config.shutdown_timeout,
            tls=chosen_tls(tls, server.settings_folder, specific_hosts(host)),
            limits=limits_of(server.config),
        )
    except SystemExit:
        if server.start_error is not None:
            raise server.start_error from server.start_error.__cause__
        raise


def run_until_stopped(
    server: Stoppable,
    host: str,
    port: int,
    *,
    grace: float,
    tls: Tls | None = None,
    limits: Limits | None = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C; runs get `grace` seconds to stop, and all of it 2 more.

    uvicorn runs in a thread, because it would wait for stuck requests and skip the closing of
    hardware when forced. This thread waits for signals and keeps the deadline; a second signal
    ends the process at once with code 130. Called from another thread than the main one, it only
    serves: signals belong to the main thread.

    Raises:
        AddressError: the port is taken, or the address is not ours; nothing was started.
        SystemExit: the app could not start.
    """
    from .uvicorn_server import uvicorn_server

    sockets = bind(host, port)
    try:
        server.bound = bound_to(sockets, host, tls=tls is not None)
        running = uvicorn_server(
            without_traceback(server.app), server.bound, limits or Limits(), tls, server.listening
        )
        if threading.current_thread() is not threading.main_thread():
            running.run(sockets)
            return
        _run_in_a_thread(server, running, sockets, grace)
    finally:
        server.bound = None
        close_all(sockets)


def _run_in_a_thread(
    server: Stoppable, running: Any, sockets: list[socket.socket], grace: float
) -> None:
    # Python's usual 5 ms are long for a server: a run that computes would delay each answer, a
    # cancel too, by that much, and the many short hand-overs of a run wait for one another.
    sys.setswitchinterval(SWITCH_SECONDS)
    outcome = _Outcome()
    thread = threading.Thread(
        target=outcome.of, args=(running.run, sockets), name="labthings-http", daemon=True
    )
    with _signals() as asked:
        thread.start()
        while thread.is_alive() and not running.started and not asked.wait(0.02):
            pass
        _collect_garbage_less_often()
        # With a timeout, or Windows would not hand a signal on.
        while thread.is_alive() and not asked.wait(SIGNAL_SECONDS):
            pass
        if asked.is_set():
            _stop(server, running, thread, grace)
    server.finish()
    if outcome.error is not None and not asked.is_set():
        raise outcome.error
    _leave_stuck_threads_behind()


def _collect_garbage_less_often() -> None:
    """Keep what there is now out of every collection, and look through all the rest more rarely.

    Thousands of retained runs make a full collection stop all threads for a fifth of a second; the
    young ones, which find most of the garbage, stay as frequent as they were.
    """
    gc.collect()
    gc.freeze()
    young, middle, full = gc.get_threshold()
    gc.set_threshold(young, middle, full * FULL_COLLECTION_RARER)


def _stop(server: Stoppable, running: Any, thread: threading.Thread, grace: float) -> None:
    """Go through the steps of a shutdown, and past any that is stuck."""
    limit = grace + CLOSING_SECONDS
    if server.loop is not None and not server.loop.is_closed():
        winding = asyncio.run_coroutine_threadsafe(server.wind_down(limit), server.loop)
        deadline = time.monotonic() + limit + 0.2
        # In slices: a second signal must be heard, also on Windows, and also where the system gave
        # it to another thread than this one.
        while not winding.done() and time.monotonic() < deadline:
            wait([winding], SIGNAL_SECONDS)
        try:
            winding.result(0)
        except Exception:  # a TimeoutError: something does not even give up
            LOGGER.exception("The server could not be stopped in order; it ends all the same.")
    running.should_exit = True
    thread.join(0.5)
    # What is still open now does not listen: a client that never reads, a stuck request.
    running.force_exit = True
    thread.join(0.3)


class _Outcome:
    """Catches how uvicorn ends: by SystemExit if it, or the app, could not start."""

    def __init__(self) -> None:
        self.error: SystemExit | AddressError | None = None

    def of(self, run: Callable[[list[socket.socket]], None], sockets: list[socket.socket]) -> None:
        try:
            run(sockets)
        except (SystemExit, AddressError) as ended:
            self.error = ended


@contextmanager
def _signals() -> Iterator[threading.Event]:
    """Set the event at the first SIGTERM or SIGINT; end the process at the second."""
    asked = threading.Event()

    def handle(_number: int, _frame: object) -> None:
        if asked.is_set():
            os._exit(EXIT_INTERRUPTED)
        asked.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave_stuck_threads_behind() -> None:
    """End the process although threads that nobody can stop would keep it alive."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(0.1)
            if thread.is_alive():
                LOGGER.warning("Thread %r does not end; it is left behind.", thread.name)
                logging.shutdown()
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(0)


def without_traceback(app: ASGIApp) -> ASGIApp:
    """Say that a start failed without the traceback, which the caller has as an exception."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def tell(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                message = {"type": message["type"], "message": ""}
            await send(message)

        await app(scope, receive, tell if scope["type"] == "lifespan" else send)

    return wrapped
