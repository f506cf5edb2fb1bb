"""Open Things again while the server runs: when somebody asks, or by itself (`reopen="auto"`)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from labthings_fastapi.actions.logs import thing_log
from labthings_fastapi.actions.manager import ActionManager
from labthings_fastapi.actions.turns import turn_of
from labthings_fastapi.bindings.interaction.properties import CLIENT_PATIENCE
from labthings_fastapi.bindings.interaction.things import ThingInteraction
from labthings_fastapi.exceptions import ActionBusyError, ServerNotRunningError, ThingStartError
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.thing import Thing
from labthings_fastapi.thing_description.paths import name_of

from .thing_lifecycle import ThingLifecycle

LOGGER = own_logger("server")
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""Seconds between two attempts: doubled after each that did not help."""


class Reopening:
    """Opens Things again; used on the server's event loop."""

    def __init__(
        self,
        lifecycle: ThingLifecycle,
        manager: ActionManager,
        interaction_of: Callable[[Thing], ThingInteraction],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._lifecycle = lifecycle
        self._manager = manager
        self._interaction_of = interaction_of
        self._sleep = sleep
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._things: list[Thing] = []

    async def reopen(self, thing: Thing) -> None:
        """Close a Thing, open it again, and read again what could not be read.

        Raises:
            ActionBusyError: an invocation uses the Thing, or it is being opened again already.
            ServerNotRunningError: the server does not run.
            ThingStartError: it could not be opened.
        """
        name = name_of(thing)
        self._running_loop(name)
        user = self._user(thing)
        if user is not None:
            raise ActionBusyError(
                f"Thing {name!r} cannot be opened again, because {user} uses it. Cancel that, or "
                "wait for its end."
            )
        await self._lifecycle.reopen(thing, self._things)
        for one in self._interaction_of(thing).each_property.values():
            if one.state.failure is not None:
                with suppress(Exception):  # it is logged, and followers are told
                    async with asyncio.timeout(CLIENT_PATIENCE):  # it may not answer at all
                        await one.reading()

    def _running_loop(self, name: str) -> asyncio.AbstractEventLoop:
        loop = self._loop
        if loop is None:
            raise ServerNotRunningError(
                f"Thing {name!r} cannot be opened again: the server does not run."
            )
        return loop

    def reopen_and_wait(self, thing: Thing) -> None:
        """Do as `reopen`, from any thread but that of the event loop.

        Raises:
            RuntimeError: the caller runs on the event loop.
        """
        loop = self._running_loop(name_of(thing))
        if _is_here(loop):
            raise RuntimeError(
                "server.reopen() waits, and cannot be called on the server's event loop: call it "
                "in a thread, as in `await asyncio.to_thread(server.reopen, name)`."
            )
        asyncio.run_coroutine_threadsafe(self.reopen(thing), loop).result()

    def _user(self, thing: Thing) -> str | None:
        name = name_of(thing)
        for invocation in self._manager.invocations:
            record = invocation.record
            if record.is_open and name in record.things:
                return f"run {record.id} ({record.thing}.{record.action})"
        turn = turn_of(thing)
        kept = None if turn is None else turn.lock.kept_from(None)
        return None if kept is None else kept.what

    def start(self, things: Iterable[Thing]) -> None:
        """Begin to look after these Things."""
        self._loop = asyncio.get_running_loop()
        for thing in things:
            self._begin(thing)

    def add(self, thing: Thing) -> None:
        """Look after one more Thing, if the server runs; any thread."""
        if (loop := self._loop) is not None:
            loop.call_soon_threadsafe(self._begin, thing)

    def _begin(self, thing: Thing) -> None:
        self._things.append(thing)
        if self._loop is not None and thing._labthings_reopen == "auto":
            self._tasks.add(self._loop.create_task(self._keep_open(thing)))

    async def _keep_open(self, thing: Thing) -> None:
        pause = FIRST_PAUSE
        while True:
            await self._sleep(pause)
            if not self.is_failing(thing):
                pause = FIRST_PAUSE
                continue
            try:
                await self.reopen(thing)
            except ActionBusyError:
                continue  # it is in use: try again after the same pause
            except ThingStartError:
                pass  # it is logged
            except Exception:
                LOGGER.exception("Thing %r could not be opened again.", name_of(thing))
            if self.is_failing(thing):
                pause = min(2 * pause, LONGEST_PAUSE)
                thing_log(name_of(thing)).info("It will be opened again in %g s.", pause)

    def is_failing(self, thing: Thing) -> bool:
        """Return whether its last opening, or the last reading of a property, has failed."""
        if self._lifecycle.is_failing(thing):
            return True
        each = self._interaction_of(thing).each_property.values()
        return any(one.state.failure is not None for one in each)

    async def stop(self) -> None:
        """Open nothing by itself any more."""
        self._loop = None
        tasks, self._tasks, self._things = self._tasks, set(), []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _is_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
