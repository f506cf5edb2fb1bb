"""Announce the services of a server by mDNS, with the library zeroconf."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labthings_fastapi.concurrency.background_loop import BackgroundLoop
from labthings_fastapi.exceptions import describe_exception
from labthings_fastapi.own_log import own_logger

from .services import DIRECTORY_TYPE, SERVICE_TYPE

if TYPE_CHECKING:
    from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

    from labthings_fastapi.concurrency.threadsafe_event import ThreadsafeEvent

    from .services import Origin, Service

LOGGER = own_logger("discovery")
GOODBYE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Reach:
    """Where the services are: addresses that have been bound, the port, http or https."""

    addresses: tuple[str, ...]
    port: int
    scheme: str


class Advertiser:
    """Announces services until it is told to withdraw them; any thread may call.

    All of it happens on an event loop in a daemon thread of its own: the server never waits for
    it, nor it for the server. Whatever goes wrong is one warning, for the server works without.
    """

    def __init__(self, origin: Origin, reach: Reach) -> None:
        """Begin; the first services follow by `add`."""
        self._origin = origin
        self._reach = reach
        self._new: deque[Service] = deque()
        self._withdrawn = False
        self._warned = False
        self._registering: set[asyncio.Task[None]] = set()  # of the loop
        self._side = BackgroundLoop("labthings-discovery", self._run)

    def add(self, service: Service) -> None:
        """Announce one more service."""
        self._new.append(service)
        self._side.wake()

    def withdraw(self) -> None:
        """Say goodbye for all services; does not wait for it, and is harmless twice."""
        self._withdrawn = True
        self._side.wake()

    def join(self, timeout: float) -> bool:
        """Wait, at most so many seconds, until all has been withdrawn; tell whether it has."""
        return self._side.join(timeout)

    async def _run(self, bell: ThreadsafeEvent) -> None:
        try:
            async with _Responders(self._reach) as responders:
                while not self._withdrawn:
                    while self._new:
                        self._begin(responders, self._new.popleft())
                    await bell.wait()
                for task in self._registering:
                    task.cancel()
        except Exception as error:  # noqa: BLE001 - of sockets, networks and a library: see above
            self._warn(error)

    def _begin(self, responders: _Responders, service: Service) -> None:
        task = asyncio.create_task(self._announce(responders, service))
        self._registering.add(task)
        task.add_done_callback(self._registering.discard)

    async def _announce(self, responders: _Responders, service: Service) -> None:
        try:
            await responders.announce(service, self._origin)
        except Exception as error:  # noqa: BLE001 - see above
            self._warn(error)

    def _warn(self, error: Exception) -> None:
        if self._warned:
            return
        self._warned = True
        LOGGER.warning(
            "The server cannot be found by mDNS, or not all of it, at %s: %s. It works all the "
            "same; `discovery: false` in its configuration ends the attempt.",
            ", ".join(self._reach.addresses),
            describe_exception(error),
        )


class _Responders:
    """Two mDNS responders, because one has a single type for each name; used on one loop.

    The directory is found by its subtype too (RFC 6763, section 7.1), under the same name.
    """

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._open: list[AsyncZeroconf] = []

    async def __aenter__(self) -> _Responders:
        self._open.append(self._responder())
        return self

    def _responder(self) -> AsyncZeroconf:
        from zeroconf.asyncio import AsyncZeroconf

        return AsyncZeroconf(interfaces=list(self._reach.addresses))

    async def announce(self, service: Service, origin: Origin) -> None:
        """Look whether the name is free, choose another if not, and announce the service."""
        info = self._info(SERVICE_TYPE, f"{service.name}.{SERVICE_TYPE}", service, origin)
        await (await self._open[0].async_register_service(info, allow_name_change=True))
        if service.type == "Directory":
            same = self._info(DIRECTORY_TYPE, info.name, service, origin)
            other = self._responder()
            self._open.append(other)
            await (await other.async_register_service(same, cooperating_responders=True))

    def _info(self, type_: str, name: str, service: Service, origin: Origin) -> AsyncServiceInfo:
        from zeroconf.asyncio import AsyncServiceInfo

        return AsyncServiceInfo(
            type_,
            name,
            port=self._reach.port,
            properties=service.txt(self._reach.scheme),
            server=origin.target,
            parsed_addresses=list(self._reach.addresses),
        )

    async def __aexit__(self, *_: object) -> None:
        """Say goodbye, and close the sockets, in bounded time."""
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                await asyncio.gather(*(each.async_close() for each in self._open))
        except TimeoutError:
            LOGGER.debug("Saying goodbye took longer than %s s.", GOODBYE_SECONDS)
