"""Where each client continues that polls without `Last-Event-ID`.

A long poll returns one message, and the next message may come before the client polls again. Such
a client says nothing that identifies it, so its position is kept here for some seconds after each
response. Decision 19 lists the cases that cannot be decided.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .request_response import HttpResponse

KEPT_SECONDS = 10.0
"""A client must poll again within this time, or it continues with new messages only."""
MAX_KEPT = 128

_Identity = tuple[str, "str | None", "str | None"]


class _Position:
    """The sequence number after which one client continues."""

    __slots__ = ("deadline", "from_head", "identity", "persistent", "port", "seq", "taken")

    def __init__(
        self,
        response: HttpResponse,
        seq: str,
        deadline: float,
        *,
        persistent: bool,
        from_head: bool,
    ) -> None:
        self.identity, self.port = _client_of(response)
        self.seq = seq
        self.deadline = deadline
        self.persistent = persistent
        """True if the client has used its connection for more than one request."""
        self.from_head = from_head
        self.taken = False
        """True if a request on another connection has continued here."""


class PollPositions:
    """The positions of the clients that poll one URL; used on the server's event loop.

    A client that keeps its connection open is identified by address and port. Clients that open a
    connection for each request, and have the same address, `User-Agent` and credentials, share
    their positions: each request takes the oldest one that no other request has taken.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._positions: list[_Position] = []  # in the order in which they are used

    def take(self, response: HttpResponse) -> tuple[str | None, bool]:
        """Return the number after which to continue, None for new messages only.

        The second value is True if the client has used this connection before.
        """
        now = self._clock()
        self._positions = [each for each in self._positions if each.deadline > now]
        identity, port = _client_of(response)
        positions = [each for each in self._positions if each.identity == identity]
        own = [each for each in positions if each.port == port]
        if own:
            position = min(own, key=lambda each: each.taken)  # the oldest that is not taken
            self._positions.remove(position)
            return position.seq, True
        shared = [each for each in positions if not each.taken and not each.persistent]
        if shared:
            self._use_up(shared[0], shared[-1])
            return shared[0].seq, False
        # Every known client still has its position, so this is a new client, or one that has
        # opened a new connection. A message that comes twice is better than a lost one.
        return (positions[-1].seq if positions else None), False

    @staticmethod
    def _use_up(position: _Position, newest: _Position) -> None:
        """Mark a position as taken; it stays for its own connection.

        The position of a client that is gone would otherwise be passed on for ever: the next
        request takes it, and leaves a newer one behind. So the oldest deadline stays behind too.
        """
        position.taken = True
        position.deadline, newest.deadline = newest.deadline, position.deadline

    def begin(self, response: HttpResponse, seq: str) -> None:
        """Keep the position of a client that has sent HEAD and is going to poll.

        It replaces the position from an earlier HEAD, and none from a poll: that may belong to
        another client.
        """
        identity, port = _client_of(response)
        for position in self._positions:
            if position.identity == identity and (position.port == port or position.from_head):
                self._positions.remove(position)
                break
        self._keep(_Position(response, seq, self._deadline(), persistent=False, from_head=True))

    def answered(self, response: HttpResponse, seq: str, *, persistent: bool) -> None:
        """Keep the position of a client that has been sent everything up to this number."""
        self._keep(
            _Position(response, seq, self._deadline(), persistent=persistent, from_head=False)
        )

    def gave_up(self, response: HttpResponse, seq: str) -> None:
        """Keep the position of a client that closed its connection; it is used next."""
        position = _Position(response, seq, self._deadline(), persistent=False, from_head=False)
        self._keep(position)
        self._positions.insert(0, self._positions.pop())

    def _deadline(self) -> float:
        return self._clock() + KEPT_SECONDS

    def _keep(self, position: _Position) -> None:
        self._positions.append(position)
        if len(self._positions) > MAX_KEPT:
            self._positions.remove(min(self._positions, key=lambda each: each.deadline))


def _client_of(response: HttpResponse) -> tuple[_Identity, int]:
    host, port = response.scope.get("client") or ("", 0)
    return (host, response.header(b"user-agent"), response.header(b"authorization")), port
