"""Polling of properties with `observable=<seconds>`: changes are published to observers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

from labthings_fastapi.exceptions import (
    ActionBusyError,
    ThingBusyError,
    ThingNotOpenError,
    TooBusyError,
)
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.thing import Thing
from labthings_fastapi.thing_description.paths import name_of

if TYPE_CHECKING:
    from labthings_fastapi.bindings.interaction.properties import PropertyInteraction
    from labthings_fastapi.bindings.interaction.things import ThingInteraction

LOGGER = own_logger("server.polling")


class Poller:
    """Polls each such property in its own interval, while a server runs.

    It shares its readings with clients who ask at the same time.
    """

    def __init__(
        self,
        interaction_of: Callable[[Thing], ThingInteraction],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._interaction_of = interaction_of
        self._sleep = sleep
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, things: Iterable[Thing]) -> None:
        self._loop = asyncio.get_running_loop()
        for thing in things:
            self._begin(thing)

    def add(self, thing: Thing) -> None:
        """Poll the properties of one more Thing, if the server runs; any thread."""
        if (loop := self._loop) is not None:
            loop.call_soon_threadsafe(self._begin, thing)

    def _begin(self, thing: Thing) -> None:
        if self._loop is None:
            return
        for one in self._interaction_of(thing).each_property.values():
            interval = one.descriptor.poll_interval
            if interval is not None:
                task = self._loop.create_task(self._repeat(Poll(thing, one), interval))
                self._tasks.add(task)

    async def _repeat(self, poll: Poll, interval: float) -> None:
        while True:
            await poll()
            await self._sleep(interval)

    async def stop(self) -> None:
        self._loop = None
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Poll:
    """Reads one property, and publishes the value if it has changed since the last call."""

    def __init__(self, thing: Thing, interaction: PropertyInteraction) -> None:
        self._thing = thing
        self._property = interaction
        self._last: bytes | None = None

    async def __call__(self) -> None:
        """Read once; never raises. An exclusive Thing that is in use is left alone."""
        from labthings_fastapi.bindings.interaction.failures import ReportedFailure

        try:
            reading = await self._property.reading(patience=0.0)
            json = await self._property.json_of(reading)
        except (ThingBusyError, ActionBusyError, TooBusyError, ThingNotOpenError):
            return
        except ReportedFailure:
            return  # it is logged, and followers are told
        except Exception:
            LOGGER.exception("%s of %r was not polled.", self._property.label, name_of(self._thing))
            return
        if self._last is not None and json != self._last and not reading.told:
            self._property.descriptor.publish(self._thing, reading.value)
        self._last = json
