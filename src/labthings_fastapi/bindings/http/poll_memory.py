"""How far each client that polls has got, for those that do not say so themselves."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .request_response import HttpResponse

KEPT_SECONDS = 10.0
"""How soon a client must ask again to be taken for the same one."""
MAX_KEPT = 64

_Client = tuple[str, "str | None", "str | None"]


class PollMemory:
    """The latest sequence number that each client was given; used on the server's event loop.

    A long poll brings one message, and the next one comes while nobody listens, unless the client
    repeats `Last-Event-ID`. Some, node-wot among them, send nothing that tells them apart, and
    open a connection for each request. So they are known by address, program (`User-Agent`) and
    credentials, for a few seconds after each answer. Two that share all three, say two copies of a
    script on one computer, share a memory: neither gets anything twice, and what one of them has
    been given, the other misses if it was between two requests at that moment.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Know no client yet."""
        self._clock = clock
        self._seen: OrderedDict[_Client, tuple[str, float]] = OrderedDict()  # latest last

    def after(self, exchange: HttpResponse) -> str | None:
        """Return the number after which this client wants to go on; None: from now on."""
        seq, until = self._seen.get(_client(exchange), ("", 0.0))
        return seq if self._clock() < until else None

    def note(self, exchange: HttpResponse, seq: str) -> None:
        """Remember that this client knows all up to this number."""
        client = _client(exchange)
        self._seen[client] = seq, self._clock() + KEPT_SECONDS
        self._seen.move_to_end(client)
        if len(self._seen) > MAX_KEPT:
            self._seen.popitem(last=False)


def _client(exchange: HttpResponse) -> _Client:
    host, _port = exchange.scope.get("client") or ("", 0)
    return host, exchange.header(b"user-agent"), exchange.header(b"authorization")
