"""Getters and setters that do not return leave a line in the log, so that nothing hangs unsaid."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

from labthings_fastapi.actions.logs import thing_log
from labthings_fastapi.bindings.interaction.calls import LONG_CALL, Call
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.thing import Thing

if TYPE_CHECKING:
    from labthings_fastapi.bindings.interaction.properties import PropertyInteraction
    from labthings_fastapi.bindings.interaction.things import ThingInteraction

LOGGER = own_logger("server")
INTERVAL = 2.0
"""Seconds between two looks at the calls in progress."""


class LongCalls:
    """Looks for such calls while a server runs; `add` from any thread, the rest on its loop."""

    def __init__(
        self,
        interaction_of: Callable[[Thing], ThingInteraction],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        limit: float = LONG_CALL,
    ) -> None:
        """Tell of calls that take longer than `limit` seconds."""
        self._interaction_of = interaction_of
        self._sleep = sleep
        self._limit = limit
        self._things: list[Thing] = []
        self._told: dict[Call, PropertyInteraction] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self, things: Iterable[Thing]) -> None:
        """Begin to look at these Things."""
        self._things, self._told = list(things), {}
        self._task = asyncio.get_running_loop().create_task(self._repeat())

    def add(self, thing: Thing) -> None:
        """Look at one more Thing."""
        self._things = [*self._things, thing]

    async def _repeat(self) -> None:
        while True:
            await self._sleep(INTERVAL)
            try:
                self._look()
            except Exception:
                LOGGER.exception("Calls of Things that take long could not be looked at.")

    def _look(self) -> None:
        long = {
            call: one
            for thing in self._things
            for one in self._interaction_of(thing).each_property.values()
            for call in one.calls.longer_than(self._limit)
        }
        for call, one in long.items():
            if call not in self._told:
                thing_log(one.thing_name).warning("%s: %s", one.label, call.told())
        for call, one in self._told.items():
            if call not in long:
                thing_log(one.thing_name).info(
                    "%s: its %s has returned, after more than %d s.",
                    *(one.label, call.what, call.seconds - INTERVAL),
                )
        self._told = long

    async def stop(self) -> None:
        """Look no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
