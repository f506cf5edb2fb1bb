"""The port of a server with TLS: most clients speak TLS there, some plain HTTP by mistake."""

from __future__ import annotations

import asyncio
import html
import re
import ssl
from typing import TYPE_CHECKING, Any, Final

from labthings_fastapi.problems import PROBLEM_MEDIA_TYPE, message_problem

from .connection_limits import LOGGER, address_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send

    from .connection_limits import Connections, ConnectionSlot

HANDSHAKE_RECORD: Final = 0x16
"""The first byte of every TLS connection (RFC 8446, section 5.1); no HTTP method begins so."""
GOODBYE_SECONDS: Final = 5.0
_HOST = re.compile(r"[A-Za-z0-9._-]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?")


class _AfterFirstBytes(ssl.SSLContext):
    """Stands for another context, on one connection from which bytes were read already.

    The event loop makes the connection's TLS object by `wrap_bio`, and there they are put back.
    """

    real: ssl.SSLContext
    first: bytes = b""

    def wrap_bio(self, incoming: ssl.MemoryBIO, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """Return the other context's TLS object, which reads these bytes before all others."""
        incoming.write(self.first)
        return self.real.wrap_bio(incoming, *args, **kwargs)


class Handshakes:
    """Turns connections into secured ones. Only the event loop's thread may use it."""

    def __init__(self, context: ssl.SSLContext, seconds: float) -> None:
        """Use the certificate of `context`, and wait for clients for so many seconds."""
        self._context = context
        self._seconds = seconds
        self._spare: list[_AfterFirstBytes] = []  # making one costs as much as a handshake

    async def secure(
        self, transport: asyncio.Transport, protocol: asyncio.Protocol, first: bytes
    ) -> asyncio.Transport | None:
        """Return the secured transport; `first` is what was read from the plain one.

        Raises:
            OSError: the handshake failed, or took too long.
        """
        context = self._spare.pop() if self._spare else _AfterFirstBytes(ssl.PROTOCOL_TLS_SERVER)
        context.real = self._context
        context.first = first
        try:
            return await asyncio.get_running_loop().start_tls(
                transport,
                protocol,
                context,
                server_side=True,
                ssl_handshake_timeout=self._seconds,
                ssl_shutdown_timeout=GOODBYE_SECONDS,
            )
        finally:
            context.first = b""
            self._spare.append(context)


class TlsGate(asyncio.Protocol):
    """Looks at the first byte of a connection, then passes it on: as TLS, or to the hint.

    Used as uvicorn's protocol class. What comes after the handshake speaks through `make_http`,
    what comes in plain through `make_hint`; both are given the connection's place.
    """

    def __init__(
        self,
        *,
        connections: Connections,
        handshakes: Handshakes,
        make_http: Callable[[ConnectionSlot], asyncio.Protocol],
        make_hint: Callable[[ConnectionSlot], asyncio.Protocol],
        open_connections: set[Any],
    ) -> None:
        """Stand in `open_connections`, which uvicorn shuts down, until it is passed on."""
        self._shared = connections
        self._handshakes = handshakes
        self._make_http = make_http
        self._make_hint = make_hint
        self._open_connections = open_connections
        self._transport: asyncio.Transport | None = None
        self._place: ConnectionSlot | None = None
        self._began = 0.0
        self._handshake: asyncio.Task[None] | None = None
        self._early = bytearray()  # decrypted before we were told that the handshake was over
        self._lost = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # a stream
        """Wait for the first byte, unless all places are taken: that cannot be said before TLS."""
        self._place = self._shared.admit(transport)
        if self._place is None:
            transport.abort()
            return
        self._transport = transport
        self._began = asyncio.get_running_loop().time()
        self._shared.watch(self)
        self._open_connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Decide by the first byte, and keep what comes early."""
        if self._handshake is not None:
            self._early += data
        elif self._transport is not None and data[0] == HANDSHAKE_RECORD:
            self._handshake = asyncio.get_running_loop().create_task(
                self._secure(self._transport, data)
            )
        elif self._transport is not None:
            self._pass_on(self._make_hint, self._transport, data)

    async def _secure(self, transport: asyncio.Transport, first: bytes) -> None:
        try:
            secured = await self._handshakes.secure(transport, self, first)
        except OSError as error:
            LOGGER.info("No TLS with %s: %s", address_of(transport) or "a client", _reason(error))
            self.connection_lost(error)
            return
        if secured is not None and not self._lost:
            self._pass_on(self._make_http, secured, bytes(self._early))

    def _pass_on(
        self,
        make: Callable[[ConnectionSlot], asyncio.Protocol],
        transport: asyncio.Transport,
        data: bytes,
    ) -> None:
        self._shared.unwatch(self)
        self._open_connections.discard(self)
        place, self._place = self._place, None
        if place is None:
            return
        protocol = make(place)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if data:
            protocol.data_received(data)

    def connection_lost(self, _error: Exception | None) -> None:
        """Leave the place to another; harmless twice."""
        self._lost = True
        self._shared.unwatch(self)
        self._open_connections.discard(self)
        if self._place is not None:
            self._place.release()

    def check(self, now: float) -> None:
        """End a connection that sends nothing; the handshake has a limit of its own."""
        waited = now - self._began
        if self._handshake is None and waited > self._shared.limits.header_seconds:
            self.shutdown()

    def shutdown(self) -> None:
        """End the connection; uvicorn calls it when the server stops."""
        if self._transport is not None:
            self._transport.abort()


def _reason(error: OSError) -> str:
    """Say in plain words what most often goes wrong."""
    if isinstance(error, ssl.SSLError) and "UNKNOWN_CA" in (error.reason or ""):
        return "the client does not trust the certificate; give it the certificate's file"
    if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
        return f"the client refused the certificate or the kind of TLS ({error.reason})"
    return str(error) or type(error).__name__


async def answer_in_plain(scope: Scope, _receive: Receive, send: Send) -> None:
    """Tell a client that came without TLS, as an ASGI app, how to come: nothing else is done."""
    headers = dict(scope["headers"])
    given = headers.get(b"host", b"").decode("latin-1")
    if _HOST.fullmatch(given):
        url = f"https://{given}{scope['raw_path'].decode('latin-1')}"
        if scope["query_string"]:
            url += f"?{scope['query_string'].decode('latin-1')}"
    else:
        url = "an address that begins with https://"
    if scope["method"] in ("GET", "HEAD") and b"text/html" in headers.get(b"accept", b""):
        kind, body = "text/html; charset=utf-8", _page(url).encode()
    else:
        detail = f"This port speaks HTTPS only, and nothing was done. Use {url}"
        problem = message_problem("https-required", "HTTPS is required", 400, detail, url=url)
        kind, body = PROBLEM_MEDIA_TYPE, problem.body()
    sent = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    sent += [(b"connection", b"close"), (b"cache-control", b"no-store")]
    sent += [(b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")]
    await send({"type": "http.response.start", "status": 400, "headers": sent})
    await send({"type": "http.response.body", "body": body})


def _page(url: str) -> str:
    shown = html.escape(url)
    where = f'<a href="{shown}">{shown}</a>' if url.startswith("https://") else shown
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>HTTPS is required'
        "</title></head>\n<body><h1>HTTPS is required</h1>\n"
        f"<p>This port speaks HTTPS only, and nothing was done. Use {where}</p></body></html>\n"
    )
