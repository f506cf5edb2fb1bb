"""Keep Things over several steps, so that nobody else uses them in between."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from labthings_fastapi.actions.group_lock import GroupLock, group_lock_for
from labthings_fastapi.actions.turns import in_emergency, make_turn
from labthings_fastapi.actions.waiting import Deadline, LockWait, one_caller
from labthings_fastapi.exceptions import ActionBusyError
from labthings_fastapi.thing_description.paths import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


class Hold:
    """What `hold` returns: for `with` or `async with`, in the thread or task that enters it."""

    def __init__(self, things: tuple[Any, ...], timeout: float | None) -> None:
        """Prepare to keep these Things."""
        unique = {id(thing): thing for thing in things}.values()
        # In one order everywhere, so that two that keep the same Things never wait in a circle.
        self._things = sorted(unique, key=lambda thing: (name_of(thing), id(thing)))
        self._timeout = timeout
        self._held: list[LockWait] = []
        self._one_caller: AbstractContextManager[None] | None = None

    def __enter__(self) -> None:
        deadline = _Deadlines(self._timeout)
        try:
            for wait in self._waits():
                wait.take(deadline.next())
                self._held.append(wait)
        except BaseException:
            self._release(failed=True)
            raise

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._release(failed=kind is not None)

    async def __aenter__(self) -> None:
        self._one_caller = one_caller()
        self._one_caller.__enter__()
        deadline = _Deadlines(self._timeout)
        try:
            for wait in self._waits():
                await wait.take_async(deadline.next())
                self._held.append(wait)
        except BaseException:
            await self.__aexit__(BaseException)
            raise

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._release(failed=kind is not None)
        if self._one_caller is not None:
            self._one_caller.__exit__(None, None, None)

    def _waits(self) -> Iterator[LockWait]:
        if in_emergency():
            return  # it passes all of them
        for thing in self._things:
            for lock in _locks_of(thing):
                yield LockWait(lock, f"lt.hold of {name_of(thing)}", is_hold=True)

    def _release(self, *, failed: bool) -> None:
        while self._held:
            wait = self._held.pop()
            if failed:
                wait.over_once_safe()
            else:
                wait.over()


class _Deadlines:
    """What is left of one timeout for several waits."""

    def __init__(self, timeout: float | None) -> None:
        self._timeout = timeout
        self._began = time.monotonic()

    def next(self) -> Deadline | None:
        if self._timeout is None:
            return None
        left = self._timeout - (time.monotonic() - self._began)
        return Deadline(max(left, 0.0), ActionBusyError, told=self._timeout)


def _locks_of(thing: Any) -> list[GroupLock]:
    """Return the locks that keep others from a Thing, in the order in which actions take them."""
    turn = make_turn(thing)
    turn.lock.name = name_of(thing)
    if turn.exclusive:
        return [turn.lock]
    found = [group_lock_for(action, thing) for action in thing.action_descriptors.values()]
    groups = {lock.name: lock for lock in found if lock is not None}
    return [*(groups[name] for name in sorted(groups)), turn.lock]


def hold(*things: Any, timeout: float | None = None) -> Hold:
    """Keep Things for a `with` block, so that nobody else moves them between its steps.

    ::

        with lt.hold(self.stage, self.camera):
            self.stage.move_to(z)
            image = self.camera.grab()

    It waits until actions with a `concurrency` other than "parallel" and exclusive Things are
    free; a cancel ends the wait. In the block, actions that other invocations start or call there
    wait, or are refused if they are declared with "reject", and writes of properties by others
    are refused; all are told who keeps the Thing. Emergency stops pass, and so do reads, unless
    the Thing is exclusive. An action that is declared as parallel and already runs goes on. What
    the invocation itself does passes. Outside an invocation, the thread keeps the Things. In
    async code write `async with lt.hold(...)`.

    Args:
        things: the Things to keep.
        timeout: the longest wait (s). None (the default): as long as it takes.

    Raises:
        TypeError: something is not a Thing, or nothing is given.
        ActionBusyError: they were not free within `timeout`, or who has one of them waits for the
            caller. The message names the other one.
    """
    if not things:
        raise TypeError("lt.hold() needs at least one Thing, as in `with lt.hold(self.stage):`.")
    for thing in things:
        if not hasattr(thing.__class__, "actions") or not hasattr(thing, "__dict__"):
            raise TypeError(f"lt.hold() keeps Things, and {thing!r} is not one.")
    return Hold(things, timeout)
