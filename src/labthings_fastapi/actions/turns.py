"""The turn of a Thing: one at a time uses it.

An exclusive Thing (`class Meter(lt.Thing, exclusive=True)`) has a turn from the beginning, and all
its code is run in turn. Any other Thing gets one when `lt.hold` first keeps it, so most Things
have none and pay nothing.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from typing import Any, TypeVar

from labthings_fastapi.concurrency.own_thread import OwnThread
from labthings_fastapi.exceptions import ActionBusyError, ThingBusyError, describe_exception
from labthings_fastapi.thing_description.paths import name_of

from .group_lock import GroupLock, LockRequest
from .logs import thing_log
from .thread_calls import ThreadBusyError, call_in_thread
from .waiting import Deadline, LockWait, caller, one_chain

T = TypeVar("T")
TURN = "_labthings_turn"
"""The name of a Thing's `Turn` among its attributes; a Thing without one is plain."""
WRITE_SECONDS = 0.05
"""How long (s) a write waits for one that keeps the Thing with `lt.hold`."""

PATIENCE: ContextVar[float | None] = ContextVar("labthings_patience", default=None)
"""How long (s) this code waits for the turn of a Thing; None: as long as it takes."""
_EMERGENCY: ContextVar[bool] = ContextVar("labthings_emergency", default=False)


class TurnLock(GroupLock):
    """The lock of a whole Thing. An action that would be rejected waits for all but `lt.hold`."""

    __slots__ = ()

    def refuses(self, request: LockRequest, holder: LockRequest) -> bool:  # noqa: ARG002
        return request.policy == "reject" and self.kept_from(request.owner) is not None


class Turn:
    """Lets one at a time use a Thing; any thread may use it.

    `lock` belongs to an invocation, or outside one to a thread. Calls of an exclusive Thing also
    take `_calls`, so that two threads or tasks of one invocation do not use it at once.

    `exclusive`: all code of the Thing is run in turn; otherwise only `lt.hold` takes it. `thread`:
    the thread in which that code runs, if the Thing has one of its own.
    """

    __slots__ = ("_calls", "_thing", "exclusive", "lock", "thread")

    def __init__(self, thing: Any, *, exclusive: bool, own_thread: bool = False) -> None:
        self._thing = weakref.ref(thing)  # which has this object among its attributes
        self.exclusive = exclusive or own_thread
        self.thread = OwnThread() if own_thread else None
        self.lock = TurnLock("its turn")
        self._calls = GroupLock("its turn")

    @property
    def name(self) -> str:
        """The name of the Thing."""
        thing = self._thing()
        return "?" if thing is None else name_of(thing)

    def take(self, what: str, seconds: float | None = None) -> LockWait:
        """Take the turn, at most after `seconds`; a cancellation point.

        Raises:
            ThingBusyError: it was not free in that time, or within `PATIENCE`.
            ActionBusyError: who has it waits for the caller.
        """
        self.lock.name = name = self.name  # a server may have renamed the Thing
        patience = PATIENCE.get()
        limits = [limit for limit in (patience, seconds) if limit is not None]
        wait = LockWait(self.lock, f"{what} of {name}")
        wait.take(Deadline(min(limits), ThingBusyError) if limits else None)
        return wait

    @contextmanager
    def taken(self, what: str, seconds: float | None = None) -> Iterator[None]:
        """Have the turn inside a `with` block; an emergency stop passes without it."""
        if _EMERGENCY.get():
            yield
            return
        wait = self.take(what, seconds)
        try:
            with self.alone(what):
                yield
        finally:
            wait.over()

    @contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """Keep the other threads of the invocation that has the turn out of an exclusive Thing."""
        if not self._needs_call_lock():
            yield
            return
        with one_chain() as chain:
            wait = self._wait_alone(what, chain)
            patience = PATIENCE.get()
            wait.take(None if patience is None else Deadline(patience, ThingBusyError))
            try:
                yield
            finally:
                wait.over()

    @asynccontextmanager
    async def alone_async(self, what: str) -> AsyncIterator[None]:
        """Do the same without blocking the loop."""
        if not self._needs_call_lock():
            yield
            return
        with one_chain() as chain:
            wait = self._wait_alone(what, chain)
            await wait.take_async()
            try:
                yield
            finally:
                wait.over()

    def _needs_call_lock(self) -> bool:
        return self.exclusive and self.thread is None and not _EMERGENCY.get()

    def _wait_alone(self, what: str, chain: Hashable) -> LockWait:
        self._calls.name = name = self.name
        return LockWait(self._calls, f"{what} of {name}", owner=chain)

    @contextmanager
    def writing(self, what: str, inner: AbstractContextManager[Any]) -> Iterator[None]:
        """Have the turn for a write, then enter `inner`.

        Raises:
            ActionBusyError: another one keeps the Thing with `lt.hold`.
            ThingBusyError: as `take`.
        """
        if _EMERGENCY.get():
            with inner:
                yield
            return
        if self.lock.kept_from(caller()) is None and self.exclusive:
            wait = self.take(what)
        else:
            self.lock.name = name = self.name
            wait = LockWait(self.lock, f"{what} of {name}")
            wait.take(Deadline(WRITE_SECONDS, ActionBusyError))
        try:
            with self.alone(what), inner:
                yield
        finally:
            wait.over()

    def read(self, what: str, getter: Callable[[Any], T], thing: Any) -> T:
        """Call a getter: in turn, if the Thing is exclusive."""
        if not self.exclusive:
            return getter(thing)
        with self.taken(what):
            return self.run(getter, thing)

    def call(self, what: str, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function in turn, in the Thing's own thread if it has one."""
        with self.taken(what):
            return self.run(function, *arguments)

    def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function in the Thing's own thread, if it has one; the caller has the turn."""
        if self.thread is None or _EMERGENCY.get():
            return function(*arguments)
        return call_in_thread(self.thread, self.name, function, arguments)

    def run_anyway(
        self, what: str, patience: float, function: Callable[..., T], *arguments: Any
    ) -> T:
        """Call a function that must run, such as `__exit__`, also if the Thing is stuck.

        After `patience` seconds it runs without the turn, and in the calling thread if the
        Thing's own is not free: a driver that is bound to a thread then raises an error.
        """
        wait = None
        try:
            wait = self.take(what, patience)
        except (ThingBusyError, ActionBusyError) as error:
            thing_log(self.name).warning("%s does not wait: %s", what, describe_exception(error))
        try:
            if self.thread is None:
                return function(*arguments)
            try:
                return call_in_thread(self.thread, self.name, function, arguments, patience)
            except ThreadBusyError:
                text = "%s runs in another thread than the Thing's own, which is stuck."
                thing_log(self.name).warning(text, what)
                with emergency():
                    return function(*arguments)
        finally:
            if wait is not None:
                wait.over()


def turn_of(thing: Any) -> Turn | None:
    """Return the turn of a Thing; None for a plain one."""
    found: Turn | None = getattr(thing, "__dict__", {}).get(TURN)
    return found


_making = threading.Lock()


def make_turn(thing: Any, *, exclusive: bool = False, own_thread: bool = False) -> Turn:
    """Return the turn of a Thing, which is made if it is a plain one."""
    with _making:
        found: Turn | None = thing.__dict__.get(TURN)
        if found is None:
            found = Turn(thing, exclusive=exclusive, own_thread=own_thread)
            thing.__dict__[TURN] = found
    return found


def run_code(thing: Any, function: Callable[..., T], *arguments: Any) -> T:
    """Call code of a Thing in the Thing's own thread, if it has one."""
    turn: Turn | None = thing.__dict__.get(TURN)
    return function(*arguments) if turn is None else turn.run(function, *arguments)


def in_emergency() -> bool:
    """Return whether this code belongs to an emergency stop, which waits for nothing."""
    return _EMERGENCY.get()


@contextmanager
def emergency() -> Iterator[None]:
    """Let the code in the `with` block pass all groups and turns."""
    token = _EMERGENCY.set(True)
    try:
        yield
    finally:
        with suppress(ValueError):  # a loop that has ended releases its tasks in no context
            _EMERGENCY.reset(token)
