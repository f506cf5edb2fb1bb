"""Run an app with uvicorn until the process receives SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.config import STARTUP_FAILURE

from labthings_fastapi.own_log import log_to_stderr, own_logger, without_queries_of_sockets
from labthings_fastapi.server.access.refusals import IS_ANSWERED
from labthings_fastapi.server.address import (
    AddressError,
    ListenAddress,
    bind,
    close_all,
    listen_address,
)
from labthings_fastapi.thing_host.operating_system import give_up, in_forked_children, reset_signals

from .connection_limits import ConnectionLimits, Limits
from .process_end import end_process_by
from .protocols import HttpProtocol, WebSocketProtocol
from .tls import Tls

LOGGER = own_logger("server")
UVICORN_LOGGERS = ("uvicorn.error", "uvicorn.access", "uvicorn.asgi")
SWITCH_SECONDS = 0.001  # user code may keep the interpreter so long while the server waits for it
FROZEN_BY_PROGRAM = 1000  # Python 3.12 itself begins with some hundred frozen objects
COLLECTION_THRESHOLDS = 2000, 0, 500
"""Of garbage: with thousands of retained invocations, each full collection stops all threads for
some 50 ms, and Python's usual thresholds take a quarter of the processor time of an invocation. The
zero makes every second collection one of the middle generation, while it is small."""
POLL_SECONDS = 0.2  # the main thread handles a signal that did not wake it after this time
STOPPING_SECONDS = 2.0  # from a signal to the end of the process, beside the time of invocations
CLOSING_SECONDS = 0.7  # for closing Things if invocations used all their time to stop
EXIT_INTERRUPTED = 130
TLS_CLOSING_SECONDS = 5.0
TICKS = 10  # how many ticks of uvicorn's main loop make one second


async def _nothing(_argument: object) -> None:
    return


@dataclass(frozen=True, slots=True)
class ServerHooks:
    """What running a server needs of it. The defaults are for an app without Things."""

    app: ASGIApp
    listening: Callable[[ListenAddress], Awaitable[None]] = _nothing
    """Awaited on the event loop, once clients can connect; must not raise."""
    stop: Callable[[float], Coroutine[Any, Any, object]] = _nothing
    """Awaited on the event loop: refuse work, cancel invocations, end streams, close Things, all
    within that many seconds."""
    finish: Callable[[], object] = lambda: None
    """Write the rest of the journal; called in the main thread after `stop`."""


def run_until_stopped(
    hooks: ServerHooks,
    host: str,
    port: int,
    *,
    grace: float,
    tls: Tls | None = None,
    limits: Limits | None = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C; invocations get `grace` seconds to stop, all the rest 2 more.

    That holds to the end of the process, also if it waits for threads, pools or `atexit` functions.
    Forked children have the default signal handlers, and none of the server's sockets.

    A second signal ends the process at once with code 130. What is changed in the process (signal
    handlers, logging, `sys.setswitchinterval`, `gc.freeze`, `gc.set_threshold`) is restored at the
    end. In another thread than the main one no signal is handled, and only logging is changed.

    Raises:
        AddressError: the port is taken, or the address is not ours; nothing was started.
        Exception: what kept the app from starting.
    """
    with ExitStack() as stack:
        sockets = bind(host, port)
        stack.callback(close_all, sockets)
        stack.enter_context(logging_to_stderr())
        address = listen_address(sockets, host, tls=tls is not None)
        server = UvicornServer(hooks, address, limits or Limits(), tls)
        thread = _ServerThread(server, sockets)
        if threading.current_thread() is threading.main_thread():
            _run_in_a_thread(hooks, thread, grace)
        else:
            thread.run()
        if thread.error is not None:
            raise thread.error


def _run_in_a_thread(hooks: ServerHooks, thread: _ServerThread, grace: float) -> None:
    """Run uvicorn in a thread, and keep this one for signals and the deadline."""
    # uvicorn waits for stuck requests, and skips the closing of hardware when it must end.
    with ExitStack() as changes:
        changes.enter_context(in_forked_children(thread.server.leave_to_parent))
        stop_requested = changes.enter_context(_signals())
        changes.callback(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(SWITCH_SECONDS)
        thread.start()
        while thread.is_alive() and not thread.server.started and not stop_requested.wait(0.02):
            pass
        if gc.get_freeze_count() < FROZEN_BY_PROGRAM:
            # What exists now stays: full collections, which stop all threads, need not look at it.
            gc.collect()
            gc.freeze()
            changes.callback(gc.unfreeze)
        changes.callback(gc.set_threshold, *gc.get_threshold())
        gc.set_threshold(*COLLECTION_THRESHOLDS)
        # With a timeout, because on Windows a wait without one handles no signals.
        while thread.is_alive() and not stop_requested.wait(POLL_SECONDS):
            pass
        stopped_at = time.monotonic()
        if stop_requested.is_set():
            _stop(hooks, thread, grace)
            thread.error = None  # after a signal, the way in which uvicorn ends is no failure
        if thread.error is None:
            end_process_by(stopped_at + grace + STOPPING_SECONDS)


def _stop(hooks: ServerHooks, thread: _ServerThread, grace: float) -> None:
    server, limit = thread.server, grace + CLOSING_SECONDS
    if server.loop is not None and thread.is_alive():
        stopping = asyncio.run_coroutine_threadsafe(hooks.stop(limit), server.loop)
        deadline = time.monotonic() + limit + 0.2
        # In slices: a second signal must be handled, also on Windows, and also where the system
        # gave it to another thread.
        while not stopping.done() and thread.is_alive() and time.monotonic() < deadline:
            wait([stopping], POLL_SECONDS)
        try:
            stopping.result(0)
        except Exception:  # among others a TimeoutError
            LOGGER.exception("The server did not stop in order. The process ends all the same.")
    server.should_exit = True
    thread.join(0.5)
    # Connections that are still open do not react: a client that never reads, a stuck request.
    server.force_exit = True
    thread.join(0.3)
    hooks.finish()


class UvicornServer(uvicorn.Server):
    """uvicorn on sockets that are bound already."""

    loop: asyncio.AbstractEventLoop | None = None
    """The event loop; None before the app is started. May be read from any thread."""

    def __init__(
        self, hooks: ServerHooks, address: ListenAddress, limits: Limits, tls: Tls | None
    ) -> None:
        config = uvicorn.Config(
            self._call,
            interface="asgi3",
            ws=WebSocketProtocol,
            log_config=None,  # uvicorn's own would close the log files of the program that serves
            # A line for each request drowns all others, and costs as much as reading a property.
            access_log=logging.getLogger().isEnabledFor(logging.DEBUG),
            server_header=False,  # an attacker need not know the versions
            # Tasks outlive their connections: without it, clients that go away during a slow read
            # would leave any number of them behind.
            limit_concurrency=2 * limits.connections + 100,
            ws_max_size=limits.frame_bytes,
            ws_per_message_deflate=False,  # values are small, and compressing each halves the rate
            ws_ping_interval=limits.ping_seconds,
            ws_ping_timeout=limits.ping_seconds,
            timeout_keep_alive=limits.keep_alive_seconds,
            timeout_graceful_shutdown=1,
        )
        super().__init__(config)
        self.start_error: BaseException | None = None
        self._hooks = hooks
        self._address = address
        self._limits = limits
        self._tls = tls
        self._sockets: list[socket.socket] = []

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app, and keep the error of its start, which uvicorn would log and drop."""
        if scope["type"] != "lifespan":
            try:
                await self._hooks.app(scope, receive, send)
            except Exception:
                if not scope.get(IS_ANSWERED):
                    raise
                # uvicorn would close the connection, although the client may send its next request.
                LOGGER.exception("The app failed to answer %s %s.", scope["method"], scope["path"])
            return

        async def send_without_traceback(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                message = {"type": message["type"], "message": ""}
            await send(message)

        try:
            await self._hooks.app(scope, receive, send_without_traceback)
        except BaseException as error:
            self.start_error = error
            raise

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self._sockets = sockets or []
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(STARTUP_FAILURE)
        try:
            await self._listen(sockets or [])
        except OSError as error:
            await self.lifespan.shutdown()
            reason = error.strerror or str(error)
            raise AddressError(self._address.host, self._address.port, reason) from error
        self.started = True
        uvicorn_log = logging.getLogger("uvicorn.error")
        uvicorn_log.info("Listening on %s (Ctrl-C stops it)", self._address.url)
        await self._hooks.listening(self._address)

    async def _listen(self, sockets: list[socket.socket]) -> None:
        make_protocol = functools.partial(
            HttpProtocol,
            self.config,
            self.server_state,
            self.lifespan.state,
            limits=ConnectionLimits(self._limits),
        )
        tls: dict[str, Any] = {}
        if self._tls is not None:
            tls = {
                "ssl": self._tls.context,
                "ssl_handshake_timeout": self._limits.header_seconds,
                "ssl_shutdown_timeout": TLS_CLOSING_SECONDS,
            }
        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(make_protocol, sock=each, backlog=self.config.backlog, **tls)
            for each in sockets
        ]

    def leave_to_parent(self) -> None:
        """Give up the sockets and the signals; called in a forked child of this process."""
        reset_signals()
        transports = [connection.transport for connection in self.server_state.connections]
        sockets = [transport.get_extra_info("socket") for transport in transports]
        give_up(each for each in (*self._sockets, *sockets) if each is not None)

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS == 0:
            self._check_connections()
        return await super().on_tick(counter)

    def _check_connections(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in tuple(self.server_state.connections):
            try:
                cast("HttpProtocol | WebSocketProtocol", connection).check(now, self._limits)
            except Exception:  # one connection must not keep the others from being checked
                LOGGER.exception("The time limits of a connection could not be checked.")


class _ServerThread(threading.Thread):
    """Runs uvicorn, and keeps what ended it: `error` is read after the thread has ended."""

    def __init__(self, server: UvicornServer, sockets: list[socket.socket]) -> None:
        super().__init__(name="labthings-http", daemon=True)
        self.server = server
        self.error: BaseException | None = None
        self._sockets = sockets

    def run(self) -> None:
        try:
            self.server.run(self._sockets)
        except SystemExit as error:  # uvicorn's way to say that the app could not start
            self.error = self.server.start_error or error
        except BaseException as error:  # noqa: BLE001 - raised in the thread that called `serve`
            self.error = error


@contextmanager
def _signals() -> Iterator[threading.Event]:
    """Set the event at the first SIGTERM or SIGINT; end the process at the second."""
    stop_requested = threading.Event()

    def handle(_number: int, _frame: object) -> None:
        if stop_requested.is_set():
            os._exit(EXIT_INTERRUPTED)
        stop_requested.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop_requested
    finally:
        for number, handler in before.items():
            if handler is not None:  # None: it was not set from Python, and cannot be set again
                signal.signal(number, handler)


@contextmanager
def logging_to_stderr(*, debug: bool = False) -> Iterator[None]:
    """Log to stderr if the program has not set up logging, and show what uvicorn reports."""
    root = logging.getLogger()
    root_level, added = root.level, []
    if not root.handlers:
        log_to_stderr(logging.DEBUG if debug else logging.INFO)
        added = list(root.handlers)
    loggers = [logging.getLogger(name) for name in UVICORN_LOGGERS]
    before = [(each, each.level, each.propagate, list(each.handlers)) for each in loggers]
    for each in loggers:
        if each.level == logging.NOTSET:
            each.setLevel(logging.INFO)
        each.addFilter(without_queries_of_sockets)
    try:
        yield
    finally:
        for each, level, propagate, handlers in before:
            each.setLevel(level)
            each.propagate = propagate
            each.handlers[:] = handlers
            each.removeFilter(without_queries_of_sockets)
        for handler in added:
            root.removeHandler(handler)
        if added:
            root.setLevel(root_level)
