"""Polling of properties with `observable=<seconds>`: changes are published to observers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from labthings_fastapi.actions.logs import thing_log
from labthings_fastapi.actions.turns import PATIENCE
from labthings_fastapi.concurrency.bounded_executor import BoundedExecutor, Workers
from labthings_fastapi.descriptors.property import BaseProperty
from labthings_fastapi.exceptions import ThingBusyError, describe_exception
from labthings_fastapi.thing import Thing
from labthings_fastapi.thing_description.paths import name_of


class Poller:
    """Polls each such property in its own interval, while a server runs."""

    def __init__(
        self, workers: Workers, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._workers = workers
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
        polled = [
            (descriptor, interval)
            for descriptor in thing.property_descriptors.values()
            if (interval := descriptor.poll_interval) is not None
        ]
        if self._loop is None or not polled:
            return
        executor = BoundedExecutor(self._workers, name_of(thing), limit=1, waiting=len(polled))
        for descriptor, interval in polled:
            poll = Poll(thing, descriptor)
            self._tasks.add(self._loop.create_task(self._repeat(poll, executor, interval)))

    async def _repeat(self, poll: Poll, executor: BoundedExecutor, interval: float) -> None:
        while True:
            await executor.run(poll)
            await self._sleep(interval)

    async def stop(self) -> None:
        self._loop = None
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Poll:
    """Reads one property, and publishes the value if it has changed since the last call."""

    def __init__(self, thing: Thing, descriptor: BaseProperty[Any]) -> None:
        self._thing = thing
        self._descriptor = descriptor
        self._last: bytes | None = None
        self._failing = False

    def __call__(self) -> None:
        """Read once; never raises. A getter that fails repeatedly is logged once."""
        PATIENCE.set(0)  # of an exclusive Thing that is in use
        try:
            value = self._descriptor.get(self._thing)
            payload = self._descriptor.to_json(value)
        except ThingBusyError:
            return
        except BaseException as error:  # noqa: BLE001 - getters are user code
            if not self._failing:
                text = "Property %r cannot be read for observers: %s"
                reason = describe_exception(error)
                thing_log(name_of(self._thing)).error(text, self._descriptor.name, reason)
            self._failing = True
            return
        self._failing = False
        if self._last is not None and payload != self._last:
            self._descriptor.publish(self._thing, value)
        self._last = payload
