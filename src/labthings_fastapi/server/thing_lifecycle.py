"""Open the hardware when a server starts, and close it when it stops."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from labthings_fastapi.actions.logs import thing_log
from labthings_fastapi.actions.manager import ActionManager
from labthings_fastapi.concurrency.bounded_executor import BoundedExecutor, UserCodeExit, Workers
from labthings_fastapi.exceptions import (
    ActionBusyError,
    ServerNotRunningError,
    ThingStartError,
    describe_exception,
)
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.thing import Thing, slots_of
from labthings_fastapi.thing_description.paths import name_of

from .thing_hooks import call_hook, log_failed_closing
from .unsafe_things import UnsafeThings

if TYPE_CHECKING:
    from labthings_fastapi.descriptors.reading_state import FailedReading
LOGGER = own_logger("server")
ThingState = Literal["closed", "opening", "open", "closing", "failing"]
HOW_TO_START = (
    "Start the server with `serve()` or `labthings-server`. In an app that mounts `server.app`, "
    "write `async with server.started():` in the lifespan of that app."
)


@dataclass(frozen=True, slots=True)
class Status:
    """The state of one Thing. `reason` says why it is failing; `since` is aware UTC."""

    state: ThingState
    since: datetime
    reason: str | None = None
    needs: str | None = None
    """The Thing that must be open first, if that is the reason."""


class ThingLifecycle:
    """Opens and closes the Things of a server; used on the server's event loop."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self.unsafe = UnsafeThings()
        self._executor = BoundedExecutor(workers, "the server", limit=1, waiting=1000)
        self._entered: list[Thing] = []  # in the order of `_places`
        self._places: dict[str, int] = {}
        self._reopening: dict[str, asyncio.Task[None]] = {}
        self._closing = False  # set by `close`, reset by `open`
        self._statuses: dict[str, Status] = {}

    def expect(self, thing: Thing) -> None:
        """Refuse clients who need code of this Thing until it is open; any thread."""
        self._set(thing, "closed")

    async def open(self, things: Sequence[Thing], *, tolerant: bool = False) -> None:
        self._closing = False
        for thing in things:
            self._places.setdefault(name_of(thing), len(self._places))
            self._set(thing, "closed")
        failing = []
        for thing in things:
            if self._closing:
                return
            try:
                await self._open_one(thing, self._executor)
            except ThingStartError:
                if not (tolerant or self._may_wait(thing)):
                    await self.close()
                    raise
                failing.append(name_of(thing))
        if failing:
            LOGGER.warning("Running without: %s.", ", ".join(failing))

    def _may_wait(self, thing: Thing) -> bool:
        """Whether the server starts without this Thing, because it is opened later by itself."""
        missing = self._statuses[name_of(thing)].needs
        return thing._labthings_reopen == "auto" or missing is not None

    async def _open_one(self, thing: Thing, executor: BoundedExecutor) -> None:
        """Open one Thing.

        Raises:
            ThingStartError: it failed, and the reason is logged; or it needs one that is not open.
        """
        name = name_of(thing)
        missing = next((need for need in needs_of(thing) if self._is_failing(need)), None)
        if missing is not None:
            reason = f"it needs {missing!r}, which could not start"
            self._fail(thing, reason, missing)
            thing_log(name).error("It was not started: %s", reason)
            raise ThingStartError(name, reason)
        self._set(thing, "opening")
        try:
            await executor.run(self._enter, thing)
        except Exception as error:  # noqa: BLE001 - hardware raises anything; it is named below
            raised = error.raised if isinstance(error, UserCodeExit) else error
            self._fail(thing, describe_exception(raised))
            thing_log(name).error("It could not start: %s", describe_exception(raised))
            raise ThingStartError(name, raised) from raised
        self.take_over(thing)

    def _enter(self, thing: Thing) -> None:
        call_hook(thing, "enter")
        self.unsafe.make_safe(thing)

    def _is_failing(self, name: str) -> bool:
        status = self._statuses.get(name)
        return status is not None and status.state == "failing"

    def _fail(self, thing: Thing, reason: str, needs: str | None = None) -> None:
        self._set(thing, "failing", reason, needs)

    def _set(
        self, thing: Thing, state: ThingState, reason: str | None = None, needs: str | None = None
    ) -> None:
        name, now = name_of(thing), datetime.now(UTC)
        before = self._statuses.get(name)
        if before is not None and state == before.state == "failing":
            now = before.since
        self._statuses[name] = Status(state, now, reason, needs)
        thing._thing_server_interface.opening.refusal = _refusal(thing, state, reason)

    def is_failing(self, thing: Thing) -> bool:
        return self._is_failing(name_of(thing))

    def health(
        self, things: Mapping[str, Thing], readings: Mapping[str, Mapping[str, FailedReading]]
    ) -> dict[str, dict[str, str]]:
        """Return the state of each Thing by name; `readings` are those that failed."""
        return {
            name: {"class": type(thing).__name__, **self._health(thing, readings.get(name, {}))}
            for name, thing in things.items()
        }

    def _health(self, thing: Thing, readings: Mapping[str, FailedReading]) -> dict[str, str]:
        status = self._statuses.get(name_of(thing))
        if status is None:
            return {"state": "closed"}
        if status.reason is not None:
            since = status.since.isoformat()
            return {"state": status.state, "error": status.reason, "since": since}
        if status.state == "open" and readings:
            failure = min(readings.values(), key=lambda each: each.since)
            more = f" (and {len(readings) - 1} more)" if len(readings) > 1 else ""
            reason = f"{failure.problem['detail']}{more}"
            return {"state": "failing", "error": reason, "since": failure.since.isoformat()}
        refusal = thing._thing_server_interface.opening.refusal
        return {"state": status.state} | ({"error": refusal} if refusal is not None else {})

    def take_over(self, thing: Thing) -> None:
        """Close this open Thing with the others; any thread, but not during `close`."""
        self._places.setdefault(name_of(thing), len(self._places))
        self._entered = sorted(
            (*self._entered, thing), key=lambda each: self._places[name_of(each)]
        )
        self._set(thing, "open")

    async def reopen(self, thing: Thing, others: Iterable[Thing] = ()) -> None:
        """Close a Thing if it is open, and open it again; then `others` that waited for it.

        Clients who need code of the Thing are refused meanwhile. The task goes on if the caller is
        cancelled.

        Raises:
            ActionBusyError: it is being opened again already.
            ServerNotRunningError: the server is stopping.
            ThingStartError: it could not be opened.
        """
        name = name_of(thing)
        if self._closing:
            raise ServerNotRunningError("The server is stopping.")
        if name in self._reopening:
            raise ActionBusyError(f"Thing {name!r} is being opened again already.")
        task = asyncio.get_running_loop().create_task(self._reopen(thing, list(others)))
        self._reopening[name] = task
        task.add_done_callback(lambda done: self._reopened(name, done))
        await asyncio.shield(task)

    def _reopened(self, name: str, task: asyncio.Task[None]) -> None:
        del self._reopening[name]
        if not task.cancelled():
            task.exception()  # it is logged; a caller may have left

    async def _reopen(self, thing: Thing, others: Sequence[Thing]) -> None:
        name = name_of(thing)
        # An executor of its own, because a driver that is stuck blocks it.
        executor = BoundedExecutor(self._workers, name, limit=1)
        if any(each is thing for each in self._entered):
            self._entered = [each for each in self._entered if each is not thing]
            self._set(thing, "closing")
            await self._exit(thing, executor)
        if self._closing:
            self._set(thing, "closed")
            return
        await self._open_one(thing, executor)
        thing_log(name).info("It was opened again.")
        for other in others:
            status = self._statuses.get(name_of(other))
            if status is not None and status.needs == name:
                with suppress(ThingStartError, ActionBusyError, ServerNotRunningError):
                    await self.reopen(other, others)

    async def close(self, timeout: float | None = None) -> None:
        """Call each `__exit__`, in reverse order, also if some fail."""
        self._closing = True
        deadline = None if timeout is None else time.monotonic() + timeout
        for name in [name for name, each in self._statuses.items() if each.state == "opening"]:
            share = _share(deadline, len(self._entered) + 1)
            try:
                async with asyncio.timeout(share):
                    await self._end_of_opening(name)
            except TimeoutError:
                thing_log(name).error(
                    "It did not open within %.1f s. The other Things are closed now.", share
                )
        while self._entered:
            share = _share(deadline, len(self._entered))
            thing = self._entered.pop()
            self._set(thing, "closing")
            try:
                async with asyncio.timeout(share):
                    await self._exit(thing, BoundedExecutor(self._workers, name_of(thing), limit=1))
            except TimeoutError:
                thing_log(name_of(thing)).error(
                    "It was not closed within %.1f s. The next Thing is closed now.", share
                )
                self._fail(thing, "It was not closed in time when the server stopped.")
                continue
            self._set(thing, "closed")

    async def _end_of_opening(self, name: str) -> None:
        task = self._reopening.get(name)
        if task is not None:
            await asyncio.wait({task})
        else:
            await self._executor.run(lambda: None)  # behind its `__enter__`

    async def _exit(self, thing: Thing, executor: BoundedExecutor) -> None:
        try:
            await executor.run(call_hook, thing, "exit")
        except Exception as error:  # noqa: BLE001 - hardware raises anything; it is logged
            reason = error.raised if isinstance(error, UserCodeExit) else error
            log_failed_closing(thing, reason)


def _refusal(thing: Thing, state: ThingState, reason: str | None) -> str | None:
    """Return why clients may not use code of a Thing in this state; None: they may."""
    name = name_of(thing)
    if state == "open":
        return None
    if state == "failing":
        return f"Thing {name!r} was not started: {reason}."
    hardware = _first_with_hardware(thing, set())
    if hardware is None:
        return None
    if hardware is thing:
        subject = f"Thing {name!r} is not open"
    else:
        subject = f"Thing {name!r} uses Thing {name_of(hardware)!r}, which is not open"
    if state == "closed":
        return f"{subject}: the server does not run. {HOW_TO_START}"
    return f"{subject}: it is {state}. Try again in a moment."


def _first_with_hardware(thing: Thing, visited: set[int]) -> Thing | None:
    """Return this Thing or one in its slots, or in theirs, that has an `__enter__`."""
    if id(thing) in visited:
        return None
    visited.add(id(thing))
    if hasattr(thing, "__enter__") or hasattr(thing, "__aenter__"):
        return thing
    targets = (target for slot in slots_of(type(thing)).values() for target in slot.targets(thing))
    found = (_first_with_hardware(target, visited) for target in targets)
    return next((each for each in found if each is not None), None)


def _share(deadline: float | None, of: int) -> float | None:
    return None if deadline is None else max((deadline - time.monotonic()) / of, 0.05)


def needs_of(thing: Thing) -> list[str]:
    return [
        name_of(target)
        for slot in slots_of(type(thing)).values()
        if not slot.wanted()[1]
        for target in slot.targets(thing)
    ]


async def cancel_invocations(manager: ActionManager, timeout: float) -> None:
    """Refuse new invocations, cancel the others, and wait `timeout` seconds at most for them."""
    from labthings_fastapi.actions.routes import wait_for_end

    deadline = time.monotonic() + timeout
    manager.refuse_work("The server is stopping.")
    # The latest first. Otherwise the end of one would start the next one that is queued.
    cancelled = [invocation for invocation in reversed(manager.invocations) if invocation.cancel()]
    async with asyncio.TaskGroup() as group:
        for invocation in cancelled:
            group.create_task(wait_for_end(invocation, max(deadline - time.monotonic(), 0)))
    for invocation in cancelled:
        if invocation.record.is_open:
            LOGGER.warning("%s did not stop within %s s.", invocation.record.action_path, timeout)
