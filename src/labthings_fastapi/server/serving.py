"""Run an app with uvicorn, until the process is told to stop."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send


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
