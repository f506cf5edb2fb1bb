"""Announces the services of a server by mDNS, with the library zeroconf."""

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
    """Where the services are reached: addresses of sockets, the port, http or https."""

    addresses: tuple[str, ...]
    port: int
    scheme: str


class Advertiser:
    """Announces services until `withdraw`. Any thread may call its methods.

    It uses an event loop in a daemon thread of its own, so that neither delays the other. An error
    is logged as one warning: the server works without an announcement.
    """

    def __init__(self, origin: Origin, reach: Reach) -> None:
        """Start without services; `add` announces them."""
        self._origin = origin
        self._reach = reach
        self._queue: deque[Service] = deque()  # appended by any thread, emptied on the loop
        self._withdrawn = False
        self._warned = False  # used on the loop only
        self._tasks: set[asyncio.Task[None]] = set()  # used on the loop only
        self._loop = BackgroundLoop("labthings-discovery", self._run)

    def add(self, service: Service) -> None:
        """Announce one more service."""
        self._queue.append(service)
        self._loop.wake()

    def withdraw(self) -> None:
        """Begin to withdraw all services, without waiting; idempotent."""
        self._withdrawn = True
        self._loop.wake()

    def join(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds for the withdrawal; return True if it has ended."""
        return self._loop.join(timeout)

    async def _run(self, changed: ThreadsafeEvent) -> None:
        try:
            async with _Responders(self._reach) as responders:
                while not self._withdrawn:
                    while self._queue:
                        self._begin(responders, self._queue.popleft())
                    await changed.wait()
                for task in self._tasks:
                    task.cancel()
        except Exception as error:  # noqa: BLE001 - networks differ: logged
            self._warn(error)

    def _begin(self, responders: _Responders, service: Service) -> None:
        task = asyncio.create_task(self._announce(responders, service))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _announce(self, responders: _Responders, service: Service) -> None:
        try:
            await responders.announce(service, self._origin)
        except Exception as error:  # noqa: BLE001 - logged
            self._warn(error)

    def _warn(self, error: Exception) -> None:
        if self._warned:
            return
        self._warned = True
        LOGGER.warning(
            "Some services could not be announced by mDNS at %s: %s. The server works without it; "
            "set `discovery: false` in the configuration to switch it off.",
            ", ".join(self._reach.addresses),
            describe_exception(error),
        )


class _Responders:
    """Two mDNS responders, used on one loop.

    The directory is also announced by its subtype (RFC 6763, section 7.1) under the same name, and
    one responder of zeroconf keeps a single type for each name.
    """

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._responders: list[AsyncZeroconf] = []

    async def __aenter__(self) -> _Responders:
        self._responders.append(self._make_responder())
        return self

    def _make_responder(self) -> AsyncZeroconf:
        from zeroconf.asyncio import AsyncZeroconf

        return AsyncZeroconf(interfaces=list(self._reach.addresses))

    async def announce(self, service: Service, origin: Origin) -> None:
        """Announce a service, under another name if its name is taken on the network."""
        info = self._info(SERVICE_TYPE, f"{service.name}.{SERVICE_TYPE}", service, origin)
        await (await self._responders[0].async_register_service(info, allow_name_change=True))
        if service.type == "Directory":
            subtype = self._info(DIRECTORY_TYPE, info.name, service, origin)
            second = self._make_responder()
            self._responders.append(second)
            await (await second.async_register_service(subtype, cooperating_responders=True))

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
        """Withdraw the services and close the sockets, in bounded time."""
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                await asyncio.gather(*(each.async_close() for each in self._responders))
        except TimeoutError:
            LOGGER.debug("The mDNS services were not withdrawn within %s s.", GOODBYE_SECONDS)
