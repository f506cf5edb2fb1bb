"""Open the hardware when a server starts, and close it when it stops."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Mapping, Sequence
from typing import Literal

from labthings_fastapi.actions.logs import thing_log
from labthings_fastapi.actions.manager import ActionManager
from labthings_fastapi.actions.turns import turn_of
from labthings_fastapi.concurrency.bounded_executor import BoundedExecutor, UserCodeExit, Workers
from labthings_fastapi.concurrency.things_loop import ThingsLoop, loop_of
from labthings_fastapi.exceptions import ThingStartError, describe_exception
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.thing import Thing, slots_of
from labthings_fastapi.thing_description.paths import name_of, path_of

LOGGER = own_logger("server")
PATIENCE_TO = {"enter": 5.0, "exit": 1.0}
"""How long (s) opening and closing an exclusive Thing waits for others that use it. Before it is
closed, invocations were cancelled and had their time to end."""
ThingState = Literal["closed", "opening", "open", "closing", "failed"]


class ThingLifecycle:
    """Opens and closes the Things of a server; used on the server's event loop."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._executor = BoundedExecutor(workers, "the server", limit=1, waiting=1000)
        self._entered: list[Thing] = []
        self._closing = False  # set by `close`, reset by `open`
        self.states: dict[str, ThingState] = {}
        # The Things that a tolerant server runs without: name → reason, and path → message for
        # clients. The second is always the same object.
        self.failures: dict[str, str] = {}
        self.unavailable: dict[str, str] = {}

    async def open(self, things: Sequence[Thing], *, tolerant: bool = False) -> None:
        self._closing = False
        for thing in things:
            self.failures.pop(name_of(thing), None)
            self.unavailable.pop(path_of(thing), None)
        for thing in things:
            if self._closing:
                return
            missing = next(filter(self.failures.get, needs_of(thing)), None)
            if missing is not None:
                self._record_failure(thing, f"it needs {missing!r}, which could not start")
                continue
            try:
                await self._open_one(thing)
            except ThingStartError as error:
                if not tolerant:
                    await self.close()
                    raise
                self._record_failure(thing, str(error).partition(": ")[2])
        if self.failures:
            LOGGER.warning("Running without: %s.", ", ".join(self.failures))

    def _record_failure(self, thing: Thing, reason: str) -> None:
        if self.states.get(name_of(thing)) != "failed":
            self.states[name_of(thing)] = "failed"
            thing_log(name_of(thing)).error("It was not started: %s", reason)
        self.failures[name_of(thing)] = reason
        self.unavailable[path_of(thing)] = f"Thing {name_of(thing)!r} was not started: {reason}."

    async def _open_one(self, thing: Thing) -> None:
        self.states[name_of(thing)] = "opening"
        try:
            await self._executor.run(call_hook, thing, "enter")
        except Exception as error:  # noqa: BLE001 - hardware raises anything; it is named below
            self.states[name_of(thing)] = "failed"
            reason = error.raised if isinstance(error, UserCodeExit) else error
            thing_log(name_of(thing)).error("It could not start: %s", describe_exception(reason))
            raise ThingStartError(name_of(thing), reason) from reason
        self.take_over(thing)

    def health(self, things: Mapping[str, Thing]) -> dict[str, dict[str, str]]:
        health = {}
        for name, thing in things.items():
            state = self.states.get(name, "closed")
            health[name] = {"class": type(thing).__name__, "state": state}
            if name in self.failures:
                health[name]["error"] = self.failures[name]
        return health

    def is_open(self, thing: Thing) -> bool:
        return self.states.get(name_of(thing)) == "open"

    def take_over(self, thing: Thing) -> None:
        """Close this open Thing with the others; any thread, but not during `close`."""
        self.states[name_of(thing)] = "open"
        self._entered.append(thing)

    async def close(self, timeout: float | None = None) -> None:
        """Call each `__exit__`, in reverse order, also if some fail."""
        self._closing = True
        deadline = None if timeout is None else time.monotonic() + timeout
        for name in [name for name, state in self.states.items() if state == "opening"]:
            share = _share(deadline, len(self._entered) + 1)
            try:
                async with asyncio.timeout(share):
                    await self._executor.run(lambda: None)  # behind its `__enter__`
            except TimeoutError:
                thing_log(name).error(
                    "It did not open within %.1f s. The other Things are closed now.", share
                )
        while self._entered:
            share = _share(deadline, len(self._entered))
            thing = self._entered.pop()
            self.states[name_of(thing)] = "closing"
            try:
                async with asyncio.timeout(share):
                    # An executor of its own, because a stuck `__exit__` blocks it.
                    executor = BoundedExecutor(self._workers, name_of(thing), limit=1)
                    await executor.run(call_hook, thing, "exit")
            except TimeoutError:
                thing_log(name_of(thing)).error(
                    "It was not closed within %.1f s. The next Thing is closed now.", share
                )
                self.states[name_of(thing)] = "failed"
                continue
            except Exception as error:  # noqa: BLE001 - hardware raises anything; it is logged
                reason = error.raised if isinstance(error, UserCodeExit) else error
                _log_failed_closing(thing, reason)
            self.states[name_of(thing)] = "closed"


def _share(deadline: float | None, of: int) -> float | None:
    return None if deadline is None else max((deadline - time.monotonic()) / of, 0.05)


def needs_of(thing: Thing) -> list[str]:
    return [
        name_of(target)
        for slot in slots_of(type(thing)).values()
        if not slot.wanted()[1]
        for target in slot.targets(thing)
    ]


def call_hook(thing: Thing, name: Literal["enter", "exit"]) -> None:
    """Call `__enter__` or `__exit__`: in turn if the Thing is exclusive, and in its own thread.

    It also runs if other code of the Thing is stuck.
    """
    turn = turn_of(thing)
    if turn is None or not turn.exclusive:
        _call_hook(thing, name)
    else:
        turn.run_anyway(f"__{name}__", PATIENCE_TO[name], _call_hook, thing, name)


def _call_hook(thing: Thing, name: Literal["enter", "exit"]) -> None:
    arguments = (None, None, None) if name == "exit" else ()
    if hasattr(thing, f"__a{name}__"):
        _loop_of(thing).call(getattr(thing, f"__a{name}__"), *arguments)
    elif hasattr(thing, f"__{name}__"):
        result = getattr(thing, f"__{name}__")(*arguments)
        if inspect.iscoroutine(result):
            _loop_of(thing).submit(result).result()
    else:
        return
    if name == "enter" and (kept := thing._kept_settings) is not None:
        kept.apply_again(thing)


def _loop_of(thing: Thing) -> ThingsLoop:
    return loop_of(thing._thing_server_interface, name_of(thing))


def open_now(thing: Thing) -> None:
    try:
        call_hook(thing, "enter")
    except BaseException as error:
        raise ThingStartError(name_of(thing), error) from error


def close_now(thing: Thing) -> None:
    """Close a Thing in the calling thread, because the server stopped while it was opened."""
    try:
        call_hook(thing, "exit")
    except BaseException as error:  # noqa: BLE001 - hardware raises anything; it is logged
        _log_failed_closing(thing, error)


def _log_failed_closing(thing: Thing, error: BaseException) -> None:
    thing_log(name_of(thing)).error(
        "It failed while it was closed: %s", describe_exception(error), exc_info=error
    )


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
