"""What guessing tokens and passwords costs: waiting times for the address that guesses; no I/O."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

FREE_GUESSES: Final = 5
"""So many wrong tokens or passwords of one address cost nothing: people mistype."""
LONGEST_WAIT: Final = 60.0
MEMORY_SECONDS: Final = 15 * 60.0
LOG_SECONDS: Final = 60.0
MOST_ADDRESSES: Final = 10_000


class TooManyGuessesError(Exception):
    """An address must wait for `seconds` before it may try another token or password."""

    def __init__(self, seconds: float) -> None:
        """Say how long to wait."""
        super().__init__(f"wait {seconds:g} s")
        self.seconds = seconds


@dataclass(slots=True)
class _Guesser:
    failures: int = 0
    last_failure: float = float("-inf")
    logged: float = float("-inf")
    unlogged: int = 0
    tries_now: bool = False


def _network(address: str) -> str:
    """Return the network that one client has: an IPv6 client may use any address of a /64."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return address if parsed.version == 4 else str(ipaddress.ip_network((parsed, 64), strict=False))


class Guesses:
    """Wrong tokens and passwords by address; used on the server's event loop.

    What is known to be right needs no attempt, so nobody can lock others out. A client in this
    process, which has no address, does not wait.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Know of no guesses; `clock` returns seconds."""
        self._clock = clock
        self._guessers: OrderedDict[str, _Guesser] = OrderedDict()  # by network, oldest first

    @contextmanager
    def attempt(self, address: str | None) -> Iterator[None]:
        """Try a token or password, one at a time for each address.

        Raises:
            TooManyGuessesError: the address must wait; nothing was tried.
        """
        if address is None:
            yield
            return
        guesser = self._guesser(address)
        wait = 1.0 if guesser.tries_now else self._wait(guesser)
        if wait > 0:
            raise TooManyGuessesError(wait)
        guesser.tries_now = True
        try:
            yield
        finally:
            guesser.tries_now = False

    def _wait(self, guesser: _Guesser) -> float:
        excess = guesser.failures - FREE_GUESSES
        if excess < 0:
            return 0.0
        wait = min(2.0 ** min(excess, 10), LONGEST_WAIT)
        return guesser.last_failure + wait - self._clock()

    def failed(self, address: str | None) -> int:
        """Count a wrong token or password; return how many to log now, 0 for none."""
        if address is None:
            return 1
        guesser, now = self._guesser(address), self._clock()
        guesser.failures += 1
        guesser.last_failure = now
        guesser.unlogged += 1
        if now - guesser.logged < LOG_SECONDS:
            return 0
        guesser.logged, count, guesser.unlogged = now, guesser.unlogged, 0
        return count

    def _guesser(self, address: str) -> _Guesser:
        network = _network(address)
        guesser = self._guessers.pop(network, None) or _Guesser()
        if self._clock() - guesser.last_failure > MEMORY_SECONDS:
            guesser.failures = 0
        self._guessers[network] = guesser
        if len(self._guessers) > MOST_ADDRESSES:
            self._guessers.popitem(last=False)
        return guesser
