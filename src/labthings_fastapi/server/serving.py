"""Run an app with uvicorn, until the process is told to stop."""

from __future__ import annotations

import os
import signal
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from labthings_fastapi.exceptions import LabThingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class AddressError(LabThingsError, OSError):
    """A server cannot listen where it should: the port is taken, or the address is not ours."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        """Name the place and what the operating system says."""
        super().__init__(
            f"Port {port} of {host!r} cannot be used: {reason}. Stop what uses it, or choose "
            "another host or port."
        )


def check_address(host: str, port: int) -> None:
    """Make sure, before hardware is opened, that a server can listen here.

    Raises:
        AddressError: it cannot.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            if os.name == "posix":  # elsewhere the option would share a port that is in use
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise AddressError(host, port, error.strerror or str(error)) from error


def run_until_stopped(app: ASGIApp, host: str, port: int, *, grace: float) -> None:
    """Serve `app` until SIGTERM or Ctrl-C; open requests get `grace` seconds to end.

    Raises:
        SystemExit: the app could not start, or the port is taken.
    """
    import uvicorn

    with _sigterm_ends_quietly():
        uvicorn.run(
            without_traceback(app),
            host=host,
            port=port,
            timeout_graceful_shutdown=max(1, round(grace)),
        )


def without_traceback(app: ASGIApp) -> ASGIApp:
    """Say that a start failed without the traceback, which the caller has as an exception."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def tell(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                message = {"type": message["type"], "message": ""}
            await send(message)

        await app(scope, receive, tell if scope["type"] == "lifespan" else send)

    return wrapped


@contextmanager
def _sigterm_ends_quietly() -> Iterator[None]:
    """Keep the signal, which uvicorn sends on once it has stopped, from killing the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
