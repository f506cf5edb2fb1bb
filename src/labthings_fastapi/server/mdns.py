"""Announces a server and its Things by mDNS, so that clients find them on the network."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING
from uuid import UUID

from labthings_fastapi.discovery.addresses import announced_addresses
from labthings_fastapi.discovery.advertiser import Advertiser, Reach
from labthings_fastapi.discovery.services import Origin
from labthings_fastapi.exceptions import describe_exception
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.thing import Thing
from labthings_fastapi.thing_description.paths import name_of, path_of, title_of

if TYPE_CHECKING:
    from labthings_fastapi.server.address import ListenAddress

LOGGER = own_logger("discovery")
GOODBYE_SECONDS = 1.5


def can_announce() -> bool:
    return find_spec("zeroconf") is not None and find_spec("ifaddr") is not None


class MdnsAnnouncement:
    def __init__(self, enabled: bool | None, server_id: Callable[[], UUID | None]) -> None:
        """Announce always (True), never (False), or if other computers can connect (None)."""
        self._enabled = enabled
        self._server_id = server_id
        self._lock = threading.Lock()  # guards the next four, briefly
        self._advertiser: Advertiser | None = None
        self._origin = Origin("")
        self._names: set[str] = set()
        self._announced: set[str] = set()  # names of Things

    def begin(
        self, address: ListenAddress, prefix: str, things: Callable[[], Mapping[str, Thing]]
    ) -> None:
        if self._enabled is False or not can_announce():
            return
        try:
            addresses = announced_addresses(address.addresses, loopback=bool(self._enabled))
            if addresses:
                reach = Reach(tuple(addresses), address.port, address.scheme)
                origin = Origin(socket.gethostname(), self._server_id())
                # A Thing is in `things` before `add` announces it, so that none is missed.
                with self._lock:
                    self._start(origin, reach, prefix, things().values())
        except Exception as error:  # noqa: BLE001 - networks differ, and the server works without
            LOGGER.warning("The server could not be announced: %s.", describe_exception(error))

    def _start(self, origin: Origin, reach: Reach, prefix: str, things: Iterable[Thing]) -> None:
        self._origin = origin
        directory = origin.directory(prefix)
        self._names, self._announced = {directory.name}, set()
        self._advertiser = Advertiser(origin, reach)
        self._advertiser.add(directory)
        for thing in things:
            self._add(self._advertiser, thing)
        LOGGER.info("Announced by mDNS (_wot._tcp) at %s.", ", ".join(reach.addresses))

    def add(self, thing: Thing) -> None:
        with self._lock:
            if self._advertiser is not None and name_of(thing) not in self._announced:
                self._add(self._advertiser, thing)

    def _add(self, advertiser: Advertiser, thing: Thing) -> None:
        self._announced.add(name_of(thing))
        service = self._origin.thing(name_of(thing), title_of(thing), path_of(thing), self._names)
        self._names.add(service.name)
        advertiser.add(service)

    def withdraw(self) -> None:
        advertiser = self._advertiser
        if advertiser is not None:
            advertiser.withdraw()

    def end(self) -> None:
        """Withdraw the announcement, and wait for at most 1.5 s; idempotent."""
        with self._lock:
            advertiser, self._advertiser = self._advertiser, None
        if advertiser is not None:
            advertiser.withdraw()
            advertiser.join(GOODBYE_SECONDS)
