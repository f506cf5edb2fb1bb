"""Whether, where and as what a server is announced on the network, so that clients find it."""

from __future__ import annotations

import socket
import threading
from importlib.util import find_spec
from typing import TYPE_CHECKING

from labthings_fastapi.discovery.addresses import announced_addresses
from labthings_fastapi.discovery.advertiser import Advertiser, Reach
from labthings_fastapi.discovery.services import Origin
from labthings_fastapi.exceptions import describe_exception
from labthings_fastapi.own_log import own_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from uuid import UUID

    from labthings_fastapi.server.address import ListenAddress
    from labthings_fastapi.thing import Thing

    from .registry import ThingRegistry

LOGGER = own_logger("discovery")
GOODBYE_SECONDS = 1.5


def can_announce() -> bool:
    """Tell whether the libraries of the extra `discovery` are installed."""
    return find_spec("zeroconf") is not None and find_spec("ifaddr") is not None


class MdnsAnnouncement:
    """The announcements of one server; its methods may be called from any thread.

    Only a server that knows its own address announces itself, which is one that `serve()` runs.
    """

    def __init__(self, choice: bool | None, server_id: Callable[[], UUID | None]) -> None:
        """Announce always, never, or (None) if there is another computer to see it."""
        self._choice = choice
        self._server_id = server_id
        self._lock = threading.Lock()  # guards the next four
        self._advertiser: Advertiser | None = None
        self._origin = Origin("")
        self._names: set[str] = set()
        self._announced: set[str] = set()  # the Things

    def begin(self, bound: ListenAddress, prefix: str, register: ThingRegistry) -> None:
        """Announce the directory and all Things of a register; may wait for the disk.

        One that comes meanwhile is announced here or by `add`, if it is in the register first.
        A failure is a warning in the log: the server works without.
        """
        if self._choice is False or not can_announce():
            return
        try:
            found = announced_addresses(bound.addresses, loopback=bool(self._choice))
            if found:
                reach = Reach(tuple(found), bound.port, bound.scheme)
                origin = Origin(socket.gethostname(), self._server_id())
                with self._lock:
                    self._start(origin, reach, prefix, register.things.values())
        except Exception as error:  # noqa: BLE001 - of networks and operating systems: see above
            LOGGER.warning("The server cannot be announced: %s.", describe_exception(error))

    def _start(self, origin: Origin, reach: Reach, prefix: str, things: Iterable[Thing]) -> None:
        self._origin = origin
        self._names, self._announced = set(), set()
        self._advertiser = Advertiser(origin, reach)
        directory = origin.directory(prefix)
        self._names.add(directory.name)
        self._advertiser.add(directory)
        for thing in things:
            self._add(self._advertiser, thing)
        LOGGER.info("Announced by mDNS (_wot._tcp) at %s.", ", ".join(reach.addresses))

    def add(self, thing: Thing) -> None:
        """Announce a Thing, if the server is announced; harmless twice."""
        with self._lock:
            if self._advertiser is not None and thing.name not in self._announced:
                self._add(self._advertiser, thing)

    def _add(self, advertiser: Advertiser, thing: Thing) -> None:
        self._announced.add(thing.name)
        service = self._origin.thing(thing.name, thing.title, thing.path, self._names)
        self._names.add(service.name)
        advertiser.add(service)

    def withdraw(self) -> None:
        """Begin to say goodbye, without waiting; harmless twice."""
        advertiser = self._advertiser
        if advertiser is not None:
            advertiser.withdraw()

    def end(self) -> None:
        """Say goodbye, and wait for it a little; harmless twice."""
        with self._lock:
            advertiser, self._advertiser = self._advertiser, None
        if advertiser is not None:
            advertiser.withdraw()
            advertiser.join(GOODBYE_SECONDS)
