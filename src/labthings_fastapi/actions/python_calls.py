"""Actions that Python code calls: plain method calls that hold the locks that the action needs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from typing import Any, TypeVar

from labthings_fastapi.concurrency.things_loop import ThingsLoop, loop_of
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
    """Yield the waits for the locks that a call needs, and whether each is kept during the call."""
    invocation = current_invocation()
    if invocation is not None:
        invocation.release_held()
    if not in_emergency():
        what = f"a call of {name_of(thing)}.{action.name}"
        for lock, policy, keeps in _without_group(locks_needed(action, thing), thing):
            yield LockWait(lock, what, policy), keeps


def _enter(thing: Any) -> None:
    # Only now: a Thing that was waited for in vain is in use by others, who keep it safe.
    invocation = current_invocation()
    if invocation is not None:
        invocation.enter_thing(thing)


def _without_group(locks: Any, thing: Any) -> Any:
    # Who has the turn of an exclusive Thing is alone: others in the group are queued for the turn.
    turn: Turn | None = thing.__dict__.get(TURN)
    holder = None if turn is None else turn.lock.holder_request
    if turn is None or not turn.exclusive or holder is None or holder.owner != caller():
        return locks
    return [NeededLock(turn.lock, "queue")] if locks else locks


def _alone(action: Runnable, thing: Any) -> AbstractContextManager[None]:
    turn: Turn | None = thing.__dict__.get(TURN)
    return nullcontext() if turn is None else turn.alone(f"a call of {action.name!r}")


def _passing(action: Runnable) -> AbstractContextManager[None]:
    return emergency() if action.stop else nullcontext()


@contextmanager
def locks_held(action: Runnable, thing: Any) -> Iterator[None]:
    """Hold the locks that a call from Python needs; waiting for them is a cancellation point."""
    held: list[LockWait] = []
    try:
        with _passing(action):
            for wait, keeps in _waits(action, thing):
                wait.take()
                held.append(wait) if keeps else wait.over()
            _enter(thing)
            with _alone(action, thing):
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
    held: list[LockWait] = []
    with one_caller():
        try:
            with _passing(action):
                for wait, keeps in _waits(action, thing):
                    await wait.take_async()
                    held.append(wait) if keeps else wait.over()
                _enter(thing)
                turn: Turn | None = thing.__dict__.get(TURN)
                if turn is None:
                    yield
                else:
                    async with turn.alone_async(f"a call of {action.name!r}"):
                        yield
        except BaseException:
            for wait in reversed(held):
                wait.over_once_safe()
            raise
        for wait in reversed(held):
            wait.over()


def own_loop(thing: Any) -> ThingsLoop:
    """Return the loop on which the async actions of a Thing run, whichever Thing awaits them.

    So a driver's connections and locks, which belong to one loop, work for all.
    """
    return loop_of(thing._thing_server_interface, name_of(thing))


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
