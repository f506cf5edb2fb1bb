"""Settings that code of a Thing changes in place are saved and published while a server runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from labthings_fastapi.concurrency.bounded_executor import BoundedExecutor, Workers
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.thing import Thing
from labthings_fastapi.thing_description.paths import name_of

LOGGER = own_logger("server.settings")
INTERVAL = 1.0
"""Seconds between two looks at the settings of a Thing."""
GETTER_SECONDS = 1.0
"""Seconds that the getters of settings have when the server stops."""


class SettingsKeeper:
    """Looks for changes of lists, dictionaries and models that nobody set.

    `add` may be called from any thread, the rest on the server's event loop.
    """

    def __init__(
        self, workers: Workers, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._workers = workers
        self._sleep = sleep
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: dict[asyncio.Task[None], Thing] = {}

    def start(self, things: Iterable[Thing]) -> None:
        self._loop = asyncio.get_running_loop()
        for thing in things:
            self._begin(thing)

    def add(self, thing: Thing) -> None:
        """Keep the settings of one more Thing, if the server runs."""
        if (loop := self._loop) is not None:
            loop.call_soon_threadsafe(self._begin, thing)

    def _begin(self, thing: Thing) -> None:
        kept = thing._kept_settings
        if self._loop is not None and kept is not None and kept.can_change_in_place:
            self._tasks[self._loop.create_task(self._repeat(thing))] = thing

    async def _repeat(self, thing: Thing) -> None:
        executor = BoundedExecutor(self._workers, name_of(thing), limit=1)
        while True:
            await self._look(thing, executor, getters=False)
            await self._sleep(INTERVAL)

    async def stop(self) -> None:
        """Look a last time, also at what getters return; never raises."""
        self._loop = None
        tasks, self._tasks = self._tasks, {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(self._look_last(thing) for thing in tasks.values()))

    async def _look_last(self, thing: Thing) -> None:
        is_open = thing._thing_server_interface.opening.refusal is None
        for getters in (False, True) if is_open else (False,):
            # An executor of its own, because a stuck getter blocks it.
            executor = BoundedExecutor(self._workers, name_of(thing), limit=1)
            try:
                async with asyncio.timeout(GETTER_SECONDS):
                    await self._look(thing, executor, getters=getters)
            except TimeoutError:
                LOGGER.warning(
                    "The settings of %r could not be read within %s s for a last save.",
                    *(name_of(thing), GETTER_SECONDS),
                )

    async def _look(self, thing: Thing, executor: BoundedExecutor, *, getters: bool) -> None:
        kept = thing._kept_settings
        if kept is None:
            return
        try:
            await executor.run(kept.notice_changes, thing, getters)
        except Exception:  # no free thread, for instance
            LOGGER.exception("The settings of %r were not looked at.", name_of(thing))
