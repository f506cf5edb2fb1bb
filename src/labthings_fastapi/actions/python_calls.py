"""Actions that Python code calls: plain method calls that hold the locks that the action needs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

from labthings_fastapi.thing_description.paths import name_of

from .context import current_invocation
from .protocols import Runnable
from .start_gate import NeededLock, locks_needed
from .turns import TURN, Turn, emergency, in_emergency
from .waiting import LockWait, caller, one_caller

T = TypeVar("T")


def needs_locks(action: Runnable, thing: Any) -> bool:
    """Return whether a call must take locks first, or be noted in its invocation."""
    return (
        current_invocation() is not None
        or (action.concurrency != "parallel" and not action.stop)
        or TURN in getattr(thing, "__dict__", ())
    )


def _waits(action: Runnable, thing: Any) -> Iterator[tuple[LockWait, bool]]:
    """Note that the invocation enters a Thing, and yield the waits for the locks that it needs.

    The second value says whether the lock is kept during the call.
    """
    invocation = current_invocation()
    if invocation is not None:
        invocation.release_held()
        invocation.enter_thing(thing)
    if in_emergency():
        return
    what = f"a call of {name_of(thing)}.{action.name}"
    for lock, policy, keeps in _without_group(locks_needed(action, thing), thing):
        yield LockWait(lock, what, policy), keeps


def _without_group(locks: Any, thing: Any) -> Any:
    # Who has the turn of an exclusive Thing is alone: others in the group are queued for the turn.
    turn: Turn | None = thing.__dict__.get(TURN)
    holder = None if turn is None else turn.lock.holder_request
    if turn is None or not turn.exclusive or holder is None or holder.owner != caller():
        return locks
    return [NeededLock(turn.lock, "queue")] if locks else locks


@contextmanager
def locks_held(action: Runnable, thing: Any) -> Iterator[None]:
    """Hold the locks that a call from Python needs; waiting for them is a cancellation point."""
    if action.stop:
        for _ in _waits(action, thing):
            break
        with emergency():
            yield
        return
    held: list[LockWait] = []
    try:
        for wait, keeps in _waits(action, thing):
            wait.take()
            held.append(wait) if keeps else wait.over()
        yield
    except BaseException:
        for wait in reversed(held):
            wait.over_once_safe()
        raise
    for wait in reversed(held):
        wait.over()


@asynccontextmanager
async def locks_held_async(action: Runnable, thing: Any) -> AsyncIterator[None]:
    """Do the same without blocking the loop; a cancel of the invocation cancels the task."""
    if action.stop:
        for _ in _waits(action, thing):
            break
        with emergency():
            yield
        return
    held: list[LockWait] = []
    with one_caller():
        try:
            for wait, keeps in _waits(action, thing):
                await wait.take_async()
                held.append(wait) if keeps else wait.over()
            yield
        except BaseException:
            for wait in reversed(held):
                wait.over_once_safe()
            raise
        for wait in reversed(held):
            wait.over()


def drive(run: Callable[..., Any], generator: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
    """Go through a generator whose code must run in another thread: `run` calls it there."""
    step: Callable[..., Any] = generator.send
    value: Any = None
    try:
        while True:
            try:
                found = run(step, value)
            except StopIteration as stop:
                result: T = stop.value
                return result
            try:
                step, value = generator.send, (yield found)
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - it belongs to the generator
                step, value = generator.throw, error
    finally:
        run(generator.close)
